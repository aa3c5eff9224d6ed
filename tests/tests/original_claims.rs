//! What the tests of the controller that this one succeeds claimed, and which test or scenario holds it here.
//!
//! [`CLAIMS`] is the whole list but for the HTTP API and the collision of two holders, whose parts are not built yet
//! (the event's shape is there). A test below holds that every name in it exists.

use continuum_tests::scenario_files;
use std::fs;
use std::path::{Path, PathBuf};

/// A claim, and the tests (functions) or scenarios (files) that hold it.
const CLAIMS: &[(&str, &[&str])] = &[
    // Dry run.
    ("happy path", &["dry_run_happy_path", "planned-switchover"]),
    ("the same plan has the same fingerprint", &["same_plan_same_fingerprint_whatever_was_found"]),
    ("another target has another fingerprint", &["another_target_another_fingerprint"]),
    (
        "a third party's lease blocks 1 and 5",
        &["third_partys_lease_blocks_1_and_5_and_is_named", "blocked-by-a-third-partys-expired-lease"],
    ),
    ("no pair blocks 2", &["no_pair_blocks_2_and_leaves_6_unmet_with_a_note", "blocked-without-a-pair"]),
    ("no route is no blocker", &["no_route_is_no_blocker_and_takes_no_time", "no-route"]),
    ("no address blocks 4", &["no_address_blocks_4", "blocked-without-an-address"]),
    (
        "no witness blocks 1, no publisher 4, no audit 7, without an error",
        &[
            "no_witness_blocks_1_no_publisher_4_no_audit_7_without_an_error",
            "blocked-without-a-witness",
            "blocked-without-a-publisher",
            "blocked-without-an-audit-stream",
        ],
    ),
    ("an invalid plan is an error", &["an_invalid_plan_is_an_error_not_a_report"]),
    ("a cancelled dry run is an error", &["a_cancelled_dry_run_is_an_error"]),
    (
        "the lease at the target warns",
        &["lease_at_target_warns_that_the_switchover_is_redundant", "lease-at-the-target"],
    ),
    // Health.
    ("happy path with latency deferred", &["happy_path_has_latency_deferred"]),
    ("replicas that are not Ready", &["replicas_not_ready_fail_and_are_named"]),
    ("an old address", &["an_old_address_fails"]),
    ("an error of a resolver", &["a_resolver_error_fails_and_is_named"]),
    ("the audit event is missing", &["a_missing_event_fails"]),
    ("no resolvers and no tail are deferred", &["no_resolvers_and_no_tail_are_deferred"]),
    ("a cancelled health check is an error", &["a_cancelled_health_check_is_an_error"]),
    ("always four checks", &["all_four_checks_run_where_every_one_fails"]),
    ("three default vantages", &["three_vantages_are_asked_by_default"]),
    ("an error of the tail is named", &["a_tail_error_fails_and_is_named"]),
    // End to end.
    ("dry run, then switchover, then health", &["end-to-end-dry-run-then-switchover-then-health"]),
    ("a blocked switchover never runs", &["end-to-end-dry-run-blocked-switchover-never-runs"]),
    // Events.
    ("the wire strings are pinned", &["wire_strings_are_pinned_in_order"]),
    ("round trip", &["every_type_has_a_valid_event_that_survives_a_round_trip"]),
    ("every type is valid and an unknown one refused", &["a_type_that_is_not_reserved_is_refused"]),
    // Controller.
    (
        "created once over three reconciles",
        &["a_resource_is_told_of_once_for_each_region_over_many_reconciles_and_a_restart"],
    ),
    (
        "a changed configuration with both fingerprints, and detecting it is idempotent",
        &["a_changed_configuration_is_told_of_once_with_both_fingerprints"],
    ),
    ("the collision carries its cause", &["the_messages_are_the_contracts"]),
    ("ns/name", &["a_continuum_is_named_by_namespace_and_name", "what_is_not_namespace_and_name_is_refused"]),
    (
        "the summary and the condition True",
        &["happy_path_has_latency_deferred", "after_a_good_switchover_the_condition_is_true_with_a_summary"],
    ),
    (
        "the summary and the condition False",
        &[
            "all_four_checks_run_where_every_one_fails",
            "after_a_switchover_whose_standby_died_the_condition_is_false_with_a_summary",
        ],
    ),
    // Execute.
    ("step 3 failing undoes the cordon", &["step-3-fails"]),
    ("step 4 failing restores weights and cordon", &["step-4-fails"]),
    // Witness: on the record as a pure function, and over a Lease on the simulated and the real API server.
    ("acquire an empty one", &["an_empty_record_is_acquired_with_a_new_generation"]),
    ("acquire is blocked", &["a_record_held_by_another_is_not_acquired_and_the_holder_is_named"]),
    (
        "acquire after expiry: a lapsed lease blocks, and is never stolen",
        &["a_record_held_by_another_is_not_acquired_and_the_holder_is_named", "lease-lapsed"],
    ),
    ("acquire by the same holder", &["acquiring_what_one_holds_changes_nothing"]),
    ("renew extends", &["a_renewal_extends_the_term_and_keeps_the_generation"]),
    ("renew of an expired one that another took is lost", &["who_lost_the_record_renews_nothing_and_has_no_term"]),
    ("renew by another is lost", &["who_is_not_the_holder_renews_nothing", "the_holder_alone_renews"]),
    ("release is idempotent", &["a_release_frees_the_record_and_a_second_one_changes_nothing"]),
    ("release by another is a no-op", &["who_is_not_the_holder_releases_nothing"]),
    ("slots are apart", &["registers_stand_apart"]),
    ("the generation is monotonic", &["the_generation_grows_at_every_change_of_holder_alone"]),
    ("read an empty one", &["nothing_is_read_where_nobody_wrote"]),
    ("cancel", &["a_caller_that_gave_up_does_not_stop_the_keeper"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The text of every source file of the workspace, but this one.
fn sources(folder: &Path, into: &mut String) {
    for entry in fs::read_dir(folder).expect("the workspace can be read") {
        let path = entry.expect("the workspace can be read").path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("original_claims.rs") {
            into.push_str(&fs::read_to_string(&path).expect("a source file is text"));
        }
    }
}

#[test]
fn every_claim_has_a_test_or_a_scenario_that_exists() {
    let mut text = String::new();
    ["core", "live", "sim", "scenarios", "tests"].iter().for_each(|part| sources(&root().join(part), &mut text));
    let scenarios = scenario_files::names();
    let is_there = |name: &str| {
        if name.contains('-') { scenarios.iter().any(|s| s == name) } else { text.contains(&format!("fn {name}(")) }
    };
    let missing: Vec<_> = CLAIMS.iter().flat_map(|(_, by)| by.iter()).filter(|name| !is_there(name)).collect();
    assert!(missing.is_empty(), "no such test or scenario: {missing:?}");
    assert!(CLAIMS.iter().all(|(_, by)| !by.is_empty()));
}
