//! Every fault at every step: what may never happen does not happen while it lasts, and after it the pair
//! comes to rest in one region or the other. The table is made by `cases`; each of its cases is run with
//! several seeds, on all cores, and judged by every checker.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod cases;
mod run;

use cases::{Case, Fault, Side};
use continuum_scenarios::simulate::Simulation;
use continuum_sim::mutants::{Mutant, Naive};
use continuum_sim::world::Alter;
use run::{Told, UNFINISHED, run_all, run_text};
use std::sync::Arc;

/// Each case is run with these.
const SEEDS: [u64; 2] = [11, 12];

#[test]
fn every_fault_at_every_step_is_survived_and_leaves_one_writer_and_no_intent() {
    let wanted = std::env::var("FAULT_TABLE").ok();
    let mut work: Vec<(Case, u64)> = Vec::new();
    for case in cases::all() {
        if wanted.as_ref().is_none_or(|wanted| case.to_string().contains(wanted)) {
            work.extend(SEEDS.map(|seed| (case, seed)));
        }
    }
    let told = run_all(&work, &Simulation::default());
    println!("{}", run::table(&told));
    let failed: Vec<&Told> = told.iter().filter(|told| told.failure.is_some()).collect();
    for told in &failed {
        println!("{told}");
    }
    let names: Vec<String> = failed.iter().map(|told| format!("{} (seed {})", told.case, told.seed)).collect();
    assert!(failed.is_empty(), "{} of {} runs failed:\n{}", failed.len(), told.len(), names.join("\n"));
}

#[test]
fn the_table_has_every_step_with_every_fault_on_both_sides() {
    let cases = cases::all();
    for step in 1..=7 {
        for side in [Side::Before, Side::After] {
            for fault in [Fault::Crash, Fault::LoseReply, Fault::Delay, Fault::Error, Fault::Hang] {
                let is_there = |case: &Case| case.step == step && case.side == side && case.fault == fault;
                assert!(cases.iter().any(is_there), "step {step}, {fault:?}, {side:?}");
            }
        }
    }
}

/// A controller that is naive about one kind of fault, the case that hurts it, and the checker that sees it.
struct Hurt {
    naive: fn() -> Alter,
    fault: Fault,
    step: u8,
    seen_by: &'static str,
}

const HURT: [Hurt; 5] = [
    Hurt { naive: || naive(Naive::ForgetsAtRestart), fault: Fault::Crash, step: 3, seen_by: UNFINISHED },
    Hurt { naive: || naive(Naive::DoesItAnew), fault: Fault::LoseReply, step: 7, seen_by: "audit" },
    Hurt { naive: || naive(Naive::BelievesItself), fault: Fault::Delay, step: 4, seen_by: "nothing-left" },
    Hurt { naive: forgets_weights, fault: Fault::ErrorForGood, step: 4, seen_by: "nothing-left" },
    Hurt { naive: || naive(Naive::TakesSilenceForYes), fault: Fault::Hang, step: 7, seen_by: "audit" },
];

fn naive(naive: Naive) -> Alter {
    Arc::new(move |_, _, ports| naive.alter(ports))
}

/// Its undo forgets something: what only a fault brings to light.
fn forgets_weights() -> Alter {
    Arc::new(|_, net, ports| Mutant::ForgetsWeights.alter(net, ports))
}

#[test]
fn faults_hurt_a_naive_controller() {
    for Hurt { naive, fault, step, seen_by } in HURT {
        let simulation = Simulation::broken(Arc::new(naive));
        let is_meant = |case: &Case| case.step == step && case.fault == fault && case.side == Side::Before;
        let case = cases::all().into_iter().find(is_meant).unwrap();
        for told in run_all(&[(case, SEEDS[0])], &simulation) {
            assert!(told.is_caught_by(seen_by), "{seen_by} does not see that {case} hurts:\n{told}");
        }
        let unhurt = run_text(&cases::text_without_fault(), SEEDS[0], &simulation);
        let failed: Vec<_> = unhurt.checks.iter().filter(|check| !check.ok).collect();
        assert!(failed.is_empty(), "without {fault:?} nothing is wrong with it: {failed:?}");
    }
}
