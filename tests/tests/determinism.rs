//! The same seed and file give the same trace, byte for byte. Two processes: `scenarios/tests/processes.rs`.

use continuum_scenarios::runner::Fabric;
use continuum_tests::scenario_files;
use sha2::{Digest, Sha256};
use std::thread;

/// A run with faults in it: moments, lost replies, crashes, all that could make a difference.
const FAULTY: [&str; 3] = ["controller-crash-at-step-5", "reply-lost-on-promotion", "step-4-fails"];

/// SHA-256 of the trace of `planned-switchover` with seed 1. It holds in debug and in release, whatever the
/// machine. It changes with everything that changes what a controller does or logs: then it is taken anew.
const PLANNED_SWITCHOVER: [(Fabric, &str); 2] = [
    (Fabric::Turmoil, "91abfa2981e8ffe9bd543189f36256a99d83a156c683b20afe53f3c0de4845e0"),
    (Fabric::Direct, "9af06c857cdcc1554ea55bd6fdcb410588b66fba9bfd388e219af5a4e99ee543"),
];

fn hash(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where two traces part, for people.
fn same(first: &str, second: &str, what: &str) {
    let parted = first.lines().zip(second.lines()).position(|(a, b)| a != b);
    if let Some(at) = parted {
        let line = |text: &str| text.lines().nth(at).unwrap_or_default().to_owned();
        panic!("{what}: line {} differs\n{}\n{}", at + 1, line(first), line(second));
    }
    assert_eq!(first.len(), second.len(), "{what}: one trace goes on after the other's end");
}

#[test]
fn the_trace_of_a_planned_switchover_is_the_same_in_every_build_and_on_every_machine() {
    for (fabric, known) in PLANNED_SWITCHOVER {
        assert_eq!(hash(&scenario_files::trace("planned-switchover", 1, fabric)), known, "on {}", fabric.name());
    }
}

#[test]
fn twice_in_one_process_the_trace_is_the_same_also_with_faults() {
    for (name, fabric) in FAULTY.into_iter().flat_map(|name| [(name, Fabric::Turmoil), (name, Fabric::Direct)]) {
        let (first, second) = (scenario_files::trace(name, 3, fabric), scenario_files::trace(name, 3, fabric));
        assert!(first.lines().count() > 100, "{name} says too little to prove anything");
        same(&first, &second, name);
    }
}

#[test]
fn on_four_threads_at_once_the_trace_is_the_same() {
    let name = "planned-switchover";
    for fabric in [Fabric::Turmoil, Fabric::Direct] {
        let runs: Vec<_> = (0..4).map(|_| thread::spawn(move || scenario_files::trace(name, 5, fabric))).collect();
        let traces: Vec<String> = runs.into_iter().map(|run| run.join().unwrap()).collect();
        for other in &traces[1..] {
            same(&traces[0], other, name);
        }
    }
}

#[test]
fn other_seeds_give_other_traces() {
    let name = "planned-switchover";
    let mut hashes: Vec<String> =
        (11..14).map(|seed| hash(&scenario_files::trace(name, seed, Fabric::Turmoil))).collect();
    hashes.sort();
    hashes.dedup();
    assert_eq!(hashes.len(), 3);
}
