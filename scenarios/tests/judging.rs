//! What a run is judged by, and when: nothing may still be under way that could make the verdict wrong.

use continuum_scenarios::format;
use continuum_scenarios::outcome::{Outcome, Verdict};
use continuum_scenarios::runner::{RunOptions, Runner};
use continuum_scenarios::simulate::Simulation;

/// A run of these steps, without clients.
fn run(steps: &str) -> Outcome {
    let text = format!(
        "{{apiVersion: continuum.openova.io/v1alpha1, kind: Scenario, metadata: {{name: judged}}, \
         spec: {{world: {{workload: {{clients: 0}}}}, steps: [{steps}]}}}}"
    );
    let scenario = format::parse("judged.yaml", &text).unwrap_or_else(|mistakes| panic!("{}", mistakes[0]));
    Simulation::default().run(&scenario, &RunOptions { file: "judged.yaml".into(), seed: 1, trace: false })
}

fn delayed(by: &str) -> Outcome {
    run(&format!(
        "delayRequest: {{to: api.hel, write: continuums/shop, by: {by}, at: 5s, times: 1}}, wait: {{for: {{elapsed: 10s}}, atMost: 20s}}"
    ))
}

#[test]
fn a_run_is_judged_after_the_last_delayed_request_has_landed() {
    let outcome = delayed("100s");
    assert_eq!(outcome.verdict(), Verdict::Passed, "{:?} {:?}", outcome.unmet, outcome.checks);
    assert!(outcome.result.simulated_ms >= 105_000, "judged at {} ms", outcome.result.simulated_ms);
}

#[test]
fn a_request_that_lands_past_the_end_of_the_run_is_told_of_and_the_run_is_judged() {
    let outcome = delayed("2h");
    assert_eq!(outcome.did_not_finish, None);
    let unmet: Vec<&str> = outcome.unmet.iter().map(|unmet| unmet.what.as_str()).collect();
    assert_eq!(unmet, ["delayed request never landed"]);
    assert!(outcome.checks.iter().all(|check| check.ok), "{:?}", outcome.checks);
}
