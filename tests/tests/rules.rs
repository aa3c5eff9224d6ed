//! Each rule of docs/protocol.md, section 2, is broken on purpose in a controller, and a scenario ends badly that ends
//! well with the product's own. Rules 5, 6 and 7 are not here: what breaks one of them alone is refused by the operator's
//! webhook or by the witness, or mended by the other rules, so core's own tests hold them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use continuum_core::name::Region;
use continuum_scenarios::format::{self, Scenario};
use continuum_scenarios::outcome::{Outcome, Verdict};
use continuum_scenarios::render;
use continuum_scenarios::runner::{Fabric, RunOptions, Runner};
use continuum_scenarios::simulate::Simulation;
use continuum_sim::mutants::Rule;
use continuum_sim::world::Alter;
use continuum_tests::scenario_files;
use std::sync::Arc;

/// What the scenario's own expectations say.
const EXPECTED: &str = "the scenario's expectation";

/// A rule, the scenario in which it matters, and what must see that it was broken.
struct Case {
    rule: Rule,
    scenario: &'static str,
    seen_by: &'static str,
    /// Of a run in which the moment comes at which it matters.
    seed: u64,
}

const CASES: [Case; 9] = [
    Case { rule: Rule::DrivesWithoutTheLease, scenario: "planned-switchover", seen_by: "generations", seed: 1 },
    Case { rule: Rule::PromotesWithoutTheLease, scenario: "planned-switchover", seen_by: "generations", seed: 1 },
    Case { rule: Rule::WritesUnconditionally, scenario: "late-demotion", seen_by: "generations", seed: 1 },
    Case { rule: Rule::BelievesTheOtherStopped, scenario: SET_BACK_AFTER_THE_SWAP, seen_by: "one-writer", seed: 1 },
    Case { rule: Rule::TrustsTheSilent, scenario: "target-controller-dead", seen_by: EXPECTED, seed: 1 },
    Case { rule: Rule::LooksOnce, scenario: PRIMARY_AGAIN, seen_by: "one-writer", seed: 2 },
    Case { rule: Rule::KeepsTheFirstToken, scenario: PRIMARY_AGAIN, seen_by: "writes-resume", seed: 2 },
    Case { rule: Rule::NeverTurnsBack, scenario: "target-silent-after-the-swap", seen_by: EXPECTED, seed: 1 },
    Case { rule: Rule::HearsItsOwnCopyAlone, scenario: ABORTED_IN_THE_OTHER_REGION, seen_by: EXPECTED, seed: 1 },
];

/// The old half is told to be primary again, and nobody there takes it back.
const SET_BACK_AFTER_THE_SWAP: &str = "
    - crash: { host: controller.fsn, after: { step: 5 }, for: 2m }
    - edit: { region: fsn, resource: clusters/shop-fsn, patch: { spec: { replica: { primary: shop-fsn } } }, after: { step: 5 } }
    - execute: { to: hel }
    - wait: { for: { elapsed: 60s }, atMost: 70s }
";

/// The old half was primary again in the midst of it, while nobody looked, and has a newer token.
const PRIMARY_AGAIN: &str = "
    - pause: { host: controller.fsn, after: { step: 4 }, for: 20s }
    - edit: { region: fsn, resource: clusters/shop-fsn, patch: { spec: { replica: { primary: shop-fsn } } }, after: { step: 4 } }
    - execute: { to: hel }
    - wait: { for: { elapsed: 60s }, atMost: 70s }
";

/// The new region's controller drives, and waits for the WAL.
const ABORTED_IN_THE_OTHER_REGION: &str = "
    - partition: { between: [pg.fsn, pg.hel], after: { step: 1 }, for: 3m }
    - edit: { region: fsn, resource: continuums/shop, patch: { spec: { switchover: { abort: shop/shop/1.1 } } }, after: { step: 5 } }
    - execute: { to: hel, expect: { result: undone, error: aborted } }
    - wait: { for: converged, atMost: 4m }
";

fn scenario(of: &str) -> Scenario {
    if !of.contains('\n') {
        return scenario_files::load(of);
    }
    let text = format!(
        "apiVersion: continuum.openova.io/v1alpha1
kind: Scenario
metadata: {{ name: rule }}
spec:
  limit: 10m
  world: {{ tick: 20ms, workload: {{ clients: 2, writesPerSecond: 4 }} }}
  steps:{}",
        of.trim_end()
    );
    format::parse("", &text).unwrap_or_else(|wrong| panic!("{}\n{text}", wrong[0]))
}

fn run(scenario: &Scenario, simulation: &Simulation, seed: u64) -> Outcome {
    simulation.run(scenario, &RunOptions { file: String::new(), seed, fabric: Fabric::Direct, trace: false })
}

fn is_seen(outcome: &Outcome, by: &str) -> bool {
    match by {
        EXPECTED => !outcome.unmet.is_empty(),
        checker => outcome.checks.iter().any(|check| check.name == checker && !check.ok),
    }
}

fn is_caught(rule: Rule) {
    let case = CASES.iter().find(|case| case.rule == rule).unwrap();
    let scenario = scenario(case.scenario);
    let kept = run(&scenario, &Simulation::default(), case.seed);
    println!("{}", render::table(&kept));
    let broken = move || -> Alter { Arc::new(move |region, _, ports| rule.break_in(&Region::new(region), ports)) };
    let broken = run(&scenario, &Simulation::broken(Arc::new(broken)), case.seed);
    println!("{}", render::table(&broken));
    assert_eq!(kept.verdict(), Verdict::Passed, "with the rule");
    assert!(is_seen(&broken, case.seen_by), "{} does not see that it is broken", case.seen_by);
}

macro_rules! rules {
    ($($name:ident $rule:ident)*) => {
        $(#[test] fn $name() { is_caught(Rule::$rule); })*
    };
}

rules! {
    rule_1_only_the_holder_drives DrivesWithoutTheLease
    rule_2_only_the_holder_makes_writable PromotesWithoutTheLease
    rule_3_a_write_carries_a_claim_and_is_conditional WritesUnconditionally
    rule_4_the_other_half_is_known_not_to_be_writable BelievesTheOtherStopped
    rule_8_the_lease_is_not_handed_to_the_dead TrustsTheSilent
    rule_9_what_was_done_is_looked_at_again LooksOnce
    rule_10_data_follows_the_newer_lineage KeepsTheFirstToken
    rule_11_there_is_a_way_back_after_the_swap NeverTurnsBack
    rule_12_an_abort_is_heard_in_either_copy HearsItsOwnCopyAlone
}

#[test]
fn every_rule_that_can_be_broken_has_its_scenario() {
    let staged: Vec<Rule> = CASES.iter().map(|case| case.rule).collect();
    assert_eq!(staged, Rule::ALL);
}
