//! The contract's claims about the dry run.

use super::cases::{hel_down, looked, moved, record, secrets, target, unreadable};
use super::fixture::{self, hel};
use super::*;
use crate::name::ObjectName;
use crate::plan::InvalidPlan;
use crate::report::DryRunReport;
use jiff::Timestamp;

fn reported(change: fn(&mut Plan, &mut Facts)) -> DryRunReport {
    let (plan, findings) = looked(change);
    report(&plan, &findings, Timestamp::UNIX_EPOCH)
}

#[test]
fn dry_run_happy_path() {
    let report = reported(|_, _| {});
    assert_eq!(report.blockers, [""; 0]);
    assert_eq!(report.warnings, [""; 0]);
    let numbers: Vec<u8> = report.steps.iter().map(|step| step.step).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7]);
    assert!(report.steps.iter().all(|step| step.preconditions_met));
    assert_eq!((report.estimated_duration_seconds, report.estimated_write_disruption_seconds), (24, 14));
    assert_eq!(report.plan_fingerprint, fixture::plan().fingerprint());
}

#[test]
fn the_report_says_that_a_passing_dry_run_promises_nothing() {
    let report = reported(|_, _| {});
    assert!(report.steps[0].notes.iter().any(|note| note.contains("does not promise success")));
}

#[test]
fn the_reports_json_has_the_contracts_shape() {
    let json = serde_json::to_value(reported(|_, _| {})).unwrap();
    let keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        ["estimatedDurationSeconds", "estimatedWriteDisruptionSeconds", "generatedAt", "planFingerprint", "steps"]
    );
    assert_eq!(json["generatedAt"], "1970-01-01T00:00:00Z");
    assert_eq!(json["steps"][0]["name"], "validate-lease");
    assert_eq!(json["steps"][0]["preconditionsMet"], true);
    assert_eq!(json["steps"][2]["estimatedDurationSeconds"], 10);
}

#[test]
fn same_plan_same_fingerprint_whatever_was_found() {
    let healthy = reported(|_, _| {});
    let broken = reported(|_, f| {
        f.witness = Seen::Unconfigured;
        f.observations = Observations::default();
    });
    assert_eq!(healthy.plan_fingerprint, broken.plan_fingerprint);
    assert_eq!(healthy.plan_fingerprint.len(), 16);
}

#[test]
fn another_target_another_fingerprint() {
    let mut spec = fixture::spec();
    spec.standbys.push(Region::new("nbg"));
    let plan = |to: &str| Plan::new(&fixture::shop(), &spec, &Region::new(to), None, None).unwrap();
    assert_ne!(plan("hel").fingerprint(), plan("nbg").fingerprint());
}

#[test]
fn third_partys_lease_blocks_1_and_5_and_is_named() {
    let report = reported(|_, f| record(f).holder = Some(Region::new("x")));
    assert_eq!(
        report.blockers,
        ["step-1: lease held by \"x\", generation 4", "step-5: lease held by \"x\", generation 4"]
    );
    assert!(!report.steps[0].preconditions_met && !report.steps[4].preconditions_met);
}

#[test]
fn no_pair_blocks_2_and_leaves_6_unmet_with_a_note() {
    let report = reported(|_, f| {
        *f.observations.half_mut(&fixture::fsn()) = Half { cluster: Seen::Missing, ..Half::default() };
        *f.observations.half_mut(&fixture::hel()) = Half { cluster: Seen::Missing, ..Half::default() };
    });
    assert_eq!(report.blockers, ["step-2: no Cluster of pair shop/shop in fsn and hel"]);
    let met: Vec<bool> = report.steps.iter().map(|step| step.preconditions_met).collect();
    assert_eq!(met, [true, false, true, true, true, false, true]);
    assert!(report.steps[5].notes.iter().any(|note| note.contains("see step 2")));
}

#[test]
fn no_route_is_no_blocker_and_takes_no_time() {
    let report = reported(|p, f| {
        p.route = None;
        f.observations.routes.clear();
    });
    assert_eq!(report.blockers, [""; 0]);
    assert!(report.steps[2].preconditions_met);
    assert_eq!(report.steps[2].estimated_duration_seconds, 0);
    assert_eq!((report.estimated_duration_seconds, report.estimated_write_disruption_seconds), (14, 4));
}

#[test]
fn no_address_blocks_4() {
    let report = reported(|p, _| p.addresses.clear());
    assert_eq!(report.blockers, ["step-4: no addresses of hel are known; set spec.regions[].lbIPs"]);
}

#[test]
fn no_witness_blocks_1_no_publisher_4_no_audit_7_without_an_error() {
    let report = reported(|_, f| {
        f.witness = Seen::Unconfigured;
        f.observations.zone = Seen::Unconfigured;
        f.observations.stream = Seen::Unconfigured;
    });
    assert_eq!(
        report.blockers,
        [
            "step-1: no witness is configured",
            "step-4: no DNS publisher is configured",
            "step-7: no audit stream is configured"
        ]
    );
    assert_eq!(report.steps.len(), 7);
}

#[test]
fn an_invalid_plan_is_an_error_not_a_report() {
    let plan = |change: fn(&mut crate::spec::Spec), to: &str, name: &ObjectName| {
        let mut spec = fixture::spec();
        change(&mut spec);
        Plan::new(name, &spec, &Region::new(to), None, None).unwrap_err()
    };
    assert!(matches!(plan(|_| {}, "", &fixture::shop()), InvalidPlan::Empty(_)));
    assert!(matches!(plan(|_| {}, "hel", &ObjectName::new("shop", "")), InvalidPlan::Empty(_)));
    assert!(matches!(plan(|s| s.primary = Region::new(""), "hel", &fixture::shop()), InvalidPlan::Empty(_)));
    assert!(matches!(plan(|s| s.pair = None, "hel", &fixture::shop()), InvalidPlan::NoPair));
    assert!(matches!(plan(|s| s.standbys.clear(), "fsn", &fixture::shop()), InvalidPlan::SameRegion(_)));
    assert!(matches!(plan(|_| {}, "nbg", &fixture::shop()), InvalidPlan::UnknownRegion { .. }));
}

#[test]
fn lease_at_target_warns_that_the_switchover_is_redundant() {
    let report = reported(|_, f| moved(f));
    assert_eq!(report.blockers, [""; 0]);
    assert_eq!(report.warnings, ["step-1: lease held by \"hel\", generation 4: the switchover is redundant"]);
    assert!(report.steps[0].preconditions_met);
}

#[test]
fn a_lease_that_is_not_renewed_says_that_its_holder_is_needed() {
    let report = reported(|_, f| f.stale_for = Some(Duration::from_secs(40)));
    assert_eq!(
        report.blockers,
        ["step-1: lease held by \"fsn\", generation 4, is not renewed since 40 s: a switchover needs its holder; \
             where its region is lost, see docs/runbook.md#a-region-is-lost"]
    );
}

#[test]
fn later_steps_note_what_they_depend_on() {
    let report = reported(|_, f| f.witness = unreadable());
    assert!(report.steps[0].notes.iter().all(|note| !note.contains("depends on")));
    for step in &report.steps[1..] {
        let last = step.notes.last().unwrap();
        assert_eq!(last, "depends on step 1 (validate-lease), which is blocked", "step {}", step.step);
    }
}

#[test]
fn a_cause_is_a_blocker_once_at_its_first_step() {
    let report = reported(|_, f| hel_down(f));
    assert_eq!(report.blockers, ["step-1: the API server of hel is not reached: no answer in 5 s"]);
    let met: Vec<bool> = report.steps.iter().map(|step| step.preconditions_met).collect();
    assert_eq!(met, [false, false, false, true, true, false, true]);
}

#[test]
fn facts_that_were_not_looked_at_block_every_step_that_needs_them() {
    let report = reported(|_, f| f.observations = Observations::default());
    for step in [1, 2, 3, 4, 6, 7] {
        assert!(!report.steps[step - 1].preconditions_met, "step {step}");
    }
}

#[test]
fn the_smart_shutdown_timeout_of_the_target_is_named_in_step_6() {
    let report = reported(|_, f| target(f).smart_shutdown_timeout_seconds = 3);
    assert!(report.steps[5].notes.iter().any(|note| note.starts_with("smartShutdownTimeout of shop-hel is 3 s")));
}

#[test]
fn no_secret_is_shown_not_even_its_hash() {
    let report = reported(|_, f| {
        secrets(f, &hel()).insert("app".into(), "0123456789abcdef".into());
    });
    assert_eq!(report.blockers, ["step-6: secrets shop-fsn-app and shop-hel-app differ"]);
    assert!(!serde_json::to_string(&report).unwrap().contains("0123456789abcdef"));
}
