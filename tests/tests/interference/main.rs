//! Another writer sets back, or deletes, each object that the controllers write, at each moment. At most one half takes
//! writes, nothing acknowledged is lost that could be kept, no status lies, and within 30 s the pair is as it should be
//! or its status says that it is not.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod cases;

use cases::{Case, Deed, Moment};
use continuum_scenarios::outcome::Outcome;
use continuum_scenarios::runner::{Fabric, RunOptions, Runner};
use continuum_scenarios::simulate::Simulation;
use continuum_scenarios::{format, render};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{fs, thread};

/// What is judged whatever is done to an object.
const ALWAYS: [&str; 6] = ["one-writer", "no-lost-write", "generations", "dry-run-pure", "audit", "status-true"];

/// Phases that say that something is wrong.
const TOLD: [&str; 2] = ["Degraded", "SwitchingOver"];

#[test]
fn whatever_another_writer_does_there_is_one_writer_and_it_is_put_right_or_told() {
    let wanted = std::env::var("INTERFERENCE").ok();
    let cases: Vec<Case> = cases::all()
        .into_iter()
        .filter(|case| wanted.as_ref().is_none_or(|wanted| case.to_string().contains(wanted)))
        .collect();
    let simulation = Simulation::default();
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Some(why) = run(*case, &simulation) {
                        failed.lock().unwrap().push(why);
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().unwrap();
    failed.sort();
    assert!(failed.is_empty(), "{} of {} runs failed:\n{}", failed.len(), cases.len(), failed.join("\n"));
}

#[test]
fn the_table_has_every_object_at_every_moment() {
    let cases = cases::all();
    for object in &cases::OBJECTS {
        for moment in (1..=7).flat_map(|step| [Moment::Before(step), Moment::After(step)]) {
            let there = |case: &Case| case.object == object && case.moment == moment && case.deed == Deed::SetBack;
            assert!(cases.iter().any(there), "{}, {moment:?}", object.name);
        }
    }
}

/// Why the run is not what is claimed; the scenario is left behind for who wants to look at it.
fn run(case: Case, simulation: &Simulation) -> Option<String> {
    let text = case.text();
    let scenario = format::parse("", &text).unwrap_or_else(|wrong| panic!("{}\n{text}", wrong[0]));
    let outcome =
        simulation.run(&scenario, &RunOptions { file: String::new(), seed: 21, fabric: Fabric::Direct, trace: false });
    let why = failure(case, &outcome)?;
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("interference");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(format!("{case}.yaml")), &text).unwrap();
    fs::write(folder.join(format!("{case}.txt")), render::table(&outcome)).unwrap();
    Some(format!("{case}: {why}"))
}

fn failure(case: Case, outcome: &Outcome) -> Option<String> {
    // A record that says what it never said is believed by nobody: until a person mends it, no half is made writable.
    let forged = case.object.name == "record" && case.deed == Deed::SetBack;
    // Nor can what the promoted half alone had be brought back by anybody.
    let lost_with_its_half = case.deed == Deed::Deleted && case.object.holds_data;
    let unending = forged || lost_with_its_half;
    let gave_up = outcome.did_not_finish.as_ref().filter(|_| !unending);
    if let Some(why) = outcome.crashed.as_ref().or(gave_up) {
        return Some(why.clone());
    }
    let fell = |name: &str| outcome.checks.iter().find(|check| check.name == name && !check.ok);
    // Somebody else's numbers are not the controllers'.
    let record = case.object.name == "record";
    let exempt = |name: &str| match name {
        "no-lost-write" => lost_with_its_half,
        "generations" => record,
        // A move that can never end has not told of its end.
        "audit" => record || lost_with_its_half && outcome.did_not_finish.is_some(),
        _ => false,
    };
    let judged = ALWAYS.iter().filter(|name| !exempt(name));
    if let Some(check) = judged.filter_map(|name| fell(name)).next() {
        return Some(format!("{}: {:?}", check.name, check.evidence));
    }
    let phase = outcome.unmet.iter().find(|unmet| unmet.what.contains("phase")).map(|unmet| unmet.found.as_str());
    let told = phase.is_some_and(|phase| TOLD.iter().any(|told| phase.contains(told)));
    match fell("converged").or(fell("writes-resume")) {
        Some(check) if !(told || unending && outcome.did_not_finish.is_some()) => {
            Some(format!("{} ({phase:?}): {:?}", check.name, check.evidence))
        }
        _ => None,
    }
}
