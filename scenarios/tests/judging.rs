//! What a run is judged by, and when: nothing may still be under way that could make the verdict wrong.

use continuum_scenarios::format;
use continuum_scenarios::outcome::{Outcome, Verdict};
use continuum_scenarios::runner::{Fabric, RunOptions, Runner};
use continuum_scenarios::simulate::Simulation;

/// A run of these steps, without clients.
fn run(steps: &str) -> Outcome {
    run_expecting(steps, "{}")
}

/// A run of these steps of which this is expected at the end, without clients.
fn run_expecting(steps: &str, expect: &str) -> Outcome {
    let text = format!(
        "{{apiVersion: continuum.openova.io/v1alpha1, kind: Scenario, metadata: {{name: judged}}, \
         spec: {{world: {{workload: {{clients: 0}}}}, steps: [{steps}], expect: {expect}}}}}"
    );
    let scenario = format::parse("judged.yaml", &text).unwrap_or_else(|mistakes| panic!("{}", mistakes[0]));
    Simulation::default()
        .run(&scenario, &RunOptions { file: "judged.yaml".into(), seed: 1, fabric: Fabric::Turmoil, trace: false })
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

#[test]
fn a_check_that_was_to_fail_and_holds_is_told_of() {
    let outcome = run_expecting("dryRun: {to: hel}", "{checks: {converged: failed}}");
    assert_eq!(outcome.verdict(), Verdict::Failed);
    let unmet: Vec<&str> = outcome.unmet.iter().map(|unmet| unmet.what.as_str()).collect();
    assert_eq!(unmet, ["expect.checks.converged"]);
}

#[test]
fn a_moment_that_never_came_is_told_of_with_its_line() {
    let outcome = run("dryRun: {to: hel}, partition: {between: [api.fsn, api.hel], when: {generation: 9}}");
    let unmet: Vec<_> = outcome.unmet.iter().map(|unmet| (unmet.line.is_some(), unmet.expected.as_str())).collect();
    assert_eq!(unmet, [(true, "when generation: 9")]);
}

#[test]
fn a_run_that_came_to_no_end_did_not_finish_whatever_else_was_not_met() {
    let outcome = run_expecting("wait: {for: {generation: 9}, atMost: 5s}", "{primary: hel}");
    assert!(!outcome.unmet.is_empty());
    assert_eq!(outcome.verdict(), Verdict::DidNotFinish);
    assert_eq!(
        outcome.did_not_finish.as_deref(),
        Some("waited 5 s for generation: 9 (line 1); instead: generation: 1")
    );
}

#[test]
fn a_fault_that_nobody_felt_had_no_effect() {
    let outcome = run("partition: {between: [dns, nats]}, wait: {for: {elapsed: 10s}, atMost: 20s}");
    let unmet: Vec<_> = outcome.unmet.iter().map(|unmet| (unmet.what.as_str(), unmet.found.as_str())).collect();
    assert_eq!(unmet, [("fault had no effect", "it delayed, changed and failed nothing")]);
    let outcome = run("partition: {between: [controller.fsn, api.witness]}, wait: {for: {elapsed: 20s}, atMost: 30s}");
    assert_eq!(outcome.unmet, []);
}

#[test]
fn a_run_is_judged_after_a_term_at_rest_and_some() {
    let outcome = run("wait: {for: converged, atMost: 20s}");
    assert_eq!(outcome.verdict(), Verdict::Passed, "{:?} {:?}", outcome.unmet, outcome.checks);
    assert!(outcome.result.simulated_ms >= 45_300, "judged at {} ms", outcome.result.simulated_ms);
}

#[test]
fn a_gap_that_lasts_to_the_end_is_counted() {
    let text = "{apiVersion: continuum.openova.io/v1alpha1, kind: Scenario, metadata: {name: judged}, spec: {world: \
                {replication: sync}, steps: [crash: {host: pg.hel}, wait: {for: {elapsed: 30s}, atMost: 1m}], \
                expect: {checks: {converged: failed}, writeGap: {atMost: 20s}}}}";
    let scenario = format::parse("judged.yaml", text).unwrap_or_else(|mistakes| panic!("{}", mistakes[0]));
    let outcome = Simulation::default()
        .run(&scenario, &RunOptions { file: "f".into(), seed: 1, fabric: Fabric::Turmoil, trace: false });
    assert!(outcome.result.write_gap_ms.is_some_and(|gap| gap > 29_000), "{:?}", outcome.result);
    assert!(outcome.unmet.iter().any(|unmet| unmet.what == "expect.writeGap.atMost"), "{:?}", outcome.unmet);
}

/// What was not met, with the line of the file.
fn unmet(outcome: &Outcome) -> Vec<String> {
    let told = outcome.unmet.iter().map(|unmet| {
        let line = unmet.line.map(|line| format!("{line} ")).unwrap_or_default();
        format!("{line}{}: {}, {}", unmet.what, unmet.expected, unmet.found)
    });
    told.collect()
}

#[test]
fn what_became_of_a_change_is_in_its_row_and_is_judged() {
    let delete = |expect: &str| format!("{{delete: {{resource: httproutes/shop{expect}}}}}");
    let twice = |expect: &str| run(&format!("{}, {}", delete(""), delete(expect)));
    let outcome = twice(", expect: refused");
    assert_eq!(unmet(&outcome), [] as [&str; 0]);
    let rows: Vec<&str> =
        outcome.timeline.iter().filter(|row| row.label == "delete").map(|row| row.detail.as_str()).collect();
    assert_eq!(rows, ["httproutes/shop: taken", "httproutes/shop: refused: there is no such object"]);
    assert_eq!(unmet(&twice("")), ["1 delete.expect of httproutes/shop: taken, refused: there is no such object"]);
    let taken = run("{delete: {resource: httproutes/shop, expect: refused}}");
    assert_eq!(unmet(&taken), ["1 delete.expect of httproutes/shop: refused, taken"]);
}

#[test]
fn what_the_end_is_expected_to_be_is_told_with_its_line_and_in_the_words_of_the_file() {
    let outcome =
        run_expecting("{execute: {to: hel}}", "{result:\n undone, dns:\n\n hel, events: {continuum-error:\n 7}}");
    assert_eq!(unmet(&outcome), ["2 expect.result: undone, succeeded", "5 expect.events.continuum-error: 7, 0"]);
}
