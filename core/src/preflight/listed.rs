//! The table of checks against the list of what the best tools check.

use super::CHECKS;
use std::collections::BTreeSet;

/// The list of what the best tools check before a switchover, with the checks that stand for each entry.
#[rustfmt::skip]
const LISTED: &[(&str, &[&str])] = &[
    ("target is the live downstream and streaming", &["target-replica", "streaming", "wal-only"]),
    ("replay not paused, and settings that let it go on", &["replay-paused", "hot-standby-settings"]),
    ("logical slots that survive", &["logical-slots"]),
    ("one connection of the standby", &["replica-rows"]),
    ("lag known and within the RPO", &["lag-known", "lag-within-rpo"]),
    ("target timeline not behind", &["timeline"]),
    ("same system id", &["system-id"]),
    ("both halves Ready", &["source-ready", "target-ready"]),
    ("archiving healthy", &["archiving"]),
    ("reciprocal externalClusters", &["external-clusters"]),
    ("no role change in progress", &["role-change"]),
    ("the role where the lease is", &["target-primary"]),
    ("operators that act, of releases without known faults, and alike", &["operator-acts", "operator-fault", "operator-flaw", "operators-differ"]),
    ("both changes of role admitted", &["demotion-admitted", "promotion-admitted"]),
    ("no GitOps tool that keeps the halves or the routes", &["kept-elsewhere", "route-kept-elsewhere"]),
    ("no promotion token in the source's spec but its last, none in the target's", &["source-token", "target-token"]),
    ("no minApplyDelay", &["min-apply-delay"]),
    ("no backup running where it would hold the shutdown", &["backup"]),
    ("nothing fenced on the target", &["target-fenced"]),
    ("no other writable primary", &["single-primary", "source-primary"]),
    ("role secrets of both halves present and equal", &["role-secrets"]),
    ("the login tried with them (H53)", &["role-login", "role-login-unknown"]),
    ("the new region's controller alive", &["controller-alive"]),
    ("lease held by fromRegion with the expected generation and time left", &["lease-third-party", "lease-third-party-swap", "generation", "lease-renewed"]),
    ("witness reachable", &["witness", "witness-kind"]),
    ("a register that keeps what it holds, and outlasts the loss of a server", &["witness-keeps", "witness-lasts"]),
    ("both API servers reachable with the rights the steps need", &["api-servers", "rights", "pair", "database"]),
    ("route found and its backends matched", &["route", "route-backends"]),
    ("no rule that would be drained to nothing, or serves nobody already (H38)", &["route-rule", "route-weights"]),
    ("the weights admitted", &["route-admitted"]),
    ("what gateways say about the route", &["route-accepted", "route-gateway"]),
    ("addresses known for toRegion", &["addresses"]),
    ("records valid and the zone writable", &["records-valid", "zone"]),
    ("each authoritative server answers: step 4 and its undo wait for it", &["authorities"]),
    ("where names lead that an undo leads back, where no publisher shows records", &["former-answers"]),
    ("caches of authoritative servers, which step 4 waits for", &["authority-caches"]),
    ("the URL of a health check that decides what is answered (H20)", &["health-url", "health-url-seen"]),
    ("audit stream reachable", &["audit-stream"]),
    ("no switchover under way and no event owed", &["under-way", "events-owed"]),
    ("switchoverDelay at most guard - 2 s, and + 13 s within step 2's limit", &["switchover-delay-guard", "switchover-delay-limit", "rto-too-short"]),
    ("smartShutdownTimeout of the target within the RTO", &["smart-shutdown-rto"]),
    ("the two copies of the Continuum agree", &["copies", "copies-agree"]),
    ("fewer instances on the target than on the source", &["instances"]),
    ("configuration drift between the halves", &["configuration"]),
    ("smartShutdownTimeout of the target above 5 s", &["smart-shutdown-long"]),
    ("cnpg.io/cluster.primary on the primary", &["legacy-annotation"]),
    ("DNS TTL above the RTO", &["ttl-above-rto"]),
    ("drain longer than 30 s", &["drain-long"]),
    ("lease free", &["lease-free"]),
    ("lease already at the target", &["lease-redundant"]),
    ("minimum stay not over", &["minimum-stay"]),
    ("the witness shares a region", &["witness-apart"]),
    ("synchronous settings on one half only, or not in sync", &["synchronous-both", "in-sync"]),
    ("autoFailover of an asynchronous pair", &["auto-failover"]),
    ("the plan fits into the record", &["intent-length"]),
];

#[test]
fn the_table_lists_every_known_precondition_and_no_other() {
    let listed: BTreeSet<&str> = LISTED.iter().flat_map(|(_, ids)| ids.iter().copied()).collect();
    let table: BTreeSet<&str> = CHECKS.iter().map(|check| check.id).collect();
    assert_eq!(listed, table);
}
