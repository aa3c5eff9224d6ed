//! Each check has worlds that trigger exactly it; and the contract's claims about the dry run.

use super::fixture::{self, fsn, hel};
use super::table::IDS;
use super::*;
use crate::audit;
use crate::name::ObjectName;
use crate::observe::{Accepts, Claim, CopyView, DatabaseView, Role, RouteView, SynchronousView};
use crate::plan::{InvalidPlan, Plan};
use crate::record::{EndResult, Ended, Kind, Lsn, Pending};
use crate::report::DryRunReport;
use crate::spec::{Invalid, LeaseKind, Selector};
use jiff::Timestamp;
use std::collections::BTreeSet;

type Change = fn(&mut Plan, &mut Facts);

fn looked(change: Change) -> (Plan, Findings) {
    let (mut plan, mut facts) = (fixture::plan(), fixture::facts());
    change(&mut plan, &mut facts);
    let findings = preflight(&plan, &facts);
    (plan, findings)
}

fn reported(change: Change) -> DryRunReport {
    let (plan, findings) = looked(change);
    report(&plan, &findings, Timestamp::UNIX_EPOCH)
}

fn is<T>(seen: &mut Seen<T>) -> &mut T {
    match seen {
        Seen::Is(value) => value,
        _ => panic!("the fixture has it"),
    }
}

fn record<'a>(facts: &'a mut Facts<'_>) -> &'a mut Record {
    is(&mut facts.witness).as_mut().unwrap()
}
fn source<'a>(facts: &'a mut Facts<'_>) -> &'a mut ClusterView {
    is(&mut facts.observations.from.cluster)
}
fn target<'a>(facts: &'a mut Facts<'_>) -> &'a mut ClusterView {
    is(&mut facts.observations.to.cluster)
}
fn primary<'a>(facts: &'a mut Facts<'_>) -> &'a mut DatabaseView {
    is(&mut facts.observations.from.database)
}
fn standby<'a>(facts: &'a mut Facts<'_>) -> &'a mut DatabaseView {
    is(&mut facts.observations.to.database)
}
fn copy<'a>(facts: &'a mut Facts<'_>, region: &Region) -> &'a mut CopyView {
    is(facts.observations.copies.get_mut(region).unwrap())
}
fn route<'a>(facts: &'a mut Facts<'_>, region: &Region) -> &'a mut RouteView {
    is(facts.observations.routes.get_mut(region).unwrap())
}
fn secrets<'a>(facts: &'a mut Facts<'_>, region: &Region) -> &'a mut std::collections::BTreeMap<String, String> {
    is(facts.observations.secrets.get_mut(region).unwrap())
}
fn unreadable<T>() -> Seen<T> {
    Seen::Unknown("no answer in 5 s".into())
}
fn synchronous(facts: &mut Facts, halves: &[&str]) {
    for (name, other) in [("shop-fsn", "shop-hel"), ("shop-hel", "shop-fsn")] {
        let cluster = if name == "shop-fsn" { source(facts) } else { target(facts) };
        cluster.synchronous = halves.contains(&name).then(|| SynchronousView {
            number: 1,
            required: true,
            standby_names_pre: vec![other.to_owned()],
        });
    }
}
/// hel's API server does not answer at all.
fn hel_down(facts: &mut Facts) {
    let seen = &mut facts.observations;
    seen.to.cluster = unreadable();
    seen.to.database = Seen::NotLooked;
    seen.copies.insert(hel(), unreadable());
    seen.routes.insert(hel(), unreadable());
    seen.secrets.insert(hel(), Seen::NotLooked);
    seen.rights.insert("hel".into(), unreadable());
}
/// The role has moved to hel: lease, specs, replication.
fn moved(facts: &mut Facts) {
    record(facts).holder = Some(hel());
    for cluster in [source(facts)] {
        cluster.role = Role::Replica;
    }
    let cluster = target(facts);
    cluster.role = Role::Primary;
    cluster.promotion_token = Some("token".into());
    cluster.last_promotion_token = Some("token".into());
    let seen = &mut facts.observations;
    seen.from.database = Seen::Is(fixture::standby_database());
    seen.to.database = Seen::Is(fixture::primary_database("shop-fsn"));
}

pub(crate) fn ended() -> Ended {
    Ended {
        id: "shop/shop/4.2".into(),
        kind: Kind::Planned,
        from: fsn(),
        to: hel(),
        request: None,
        reason: "operator-requested".into(),
        initiated_by: "controller".into(),
        approved_by: None,
        fingerprint: fixture::plan().fingerprint(),
        started_at: Timestamp::UNIX_EPOCH,
        finished_at: Timestamp::UNIX_EPOCH,
        result: EndResult::Succeeded,
        failed_at_step: 0,
        failure: None,
        steps: Default::default(),
        write_gap_ms: None,
        loss_seconds: None,
        owed: Vec::new(),
        extra: Default::default(),
    }
}

fn pending() -> Pending {
    Pending {
        id: "shop/shop/4.3".into(),
        to: fsn(),
        requested_by: "ops".into(),
        reason: "failback".into(),
        request: None,
        since: Timestamp::UNIX_EPOCH,
        timeout_seconds: 3600,
        extra: Default::default(),
    }
}

/// What is changed in a healthy world, and the checks that must find something: these, and no others.
#[rustfmt::skip]
const CASES: &[(&str, Change, &[Id])] = &[
    ("nothing", |_, _| {}, &[]),
    ("no route", |p, f| { p.route = None; f.observations.routes.clear() }, &[]),
    ("lease kind dns-quorum", |p, _| p.lease.kind = LeaseKind::DnsQuorum, &[Id::WitnessKind]),
    ("lease kind cloudflare-kv, so no witness", |p, f| { p.lease.kind = LeaseKind::CloudflareKv; f.witness = Seen::Unconfigured }, &[Id::WitnessKind]),
    ("no witness", |_, f| f.witness = Seen::Unconfigured, &[Id::Witness]),
    ("witness unreachable", |_, f| f.witness = unreadable(), &[Id::Witness]),
    ("third party", |_, f| record(f).holder = Some(Region::new("x")), &[Id::LeaseThirdParty, Id::LeaseThirdPartySwap]),
    ("third party, expired", |_, f| { record(f).holder = Some(Region::new("x")); f.stale_for = Some(Duration::from_secs(600)) }, &[Id::LeaseThirdParty, Id::LeaseThirdPartySwap]),
    ("stale", |_, f| f.stale_for = Some(Duration::from_millis(31_300)), &[Id::LeaseRenewed]),
    ("not quite stale", |_, f| f.stale_for = Some(Duration::from_millis(31_299)), &[]),
    ("staleness not known", |_, f| f.stale_for = None, &[]),
    ("free", |_, f| record(f).holder = None, &[Id::LeaseFree]),
    ("free and old", |_, f| { record(f).holder = None; f.stale_for = Some(Duration::from_secs(600)) }, &[Id::LeaseFree]),
    ("no record yet", |_, f| f.witness = Seen::Is(None), &[Id::LeaseFree]),
    ("no register yet", |_, f| f.witness = Seen::Missing, &[Id::LeaseFree]),
    ("role has moved", |_, f| moved(f), &[Id::LeaseRedundant]),
    ("role has moved, the new half is down", |_, f| { moved(f); standby(f).accepts = Accepts::No }, &[Id::LeaseRedundant]),
    ("lease has moved, the old half writes", |_, f| record(f).holder = Some(hel()), &[Id::LeaseRedundant, Id::SinglePrimary]),
    ("newer claim on a half", |_, f| target(f).claim = Some(Claim { generation: 5, intent: String::new() }), &[Id::Generation]),
    ("newer claim on a route", |_, f| route(f, &fsn()).claim = Some(Claim { generation: 5, intent: String::new() }), &[Id::Generation]),
    ("claims of this generation", |_, f| source(f).claim = Some(Claim { generation: 4, intent: String::new() }), &[]),
    ("claim, and the record is lost", |_, f| { f.witness = Seen::Is(None); source(f).claim = Some(Claim { generation: 4, intent: String::new() }) }, &[Id::LeaseFree, Id::Generation]),
    ("failback waits", |_, f| record(f).pending = Some(pending()), &[Id::UnderWay]),
    ("own failback waits", |_, f| { record(f).pending = Some(pending()); f.in_execution_of = Some("shop/shop/4.3") }, &[]),
    ("another's failback waits", |_, f| { record(f).pending = Some(pending()); f.in_execution_of = Some("shop/shop/4.4") }, &[Id::UnderWay]),
    ("event owed", |_, f| record(f).last = Some(Ended { owed: vec![owed()], ..ended() }), &[Id::EventsOwed]),
    ("last one ended well", |_, f| record(f).last = Some(ended()), &[]),
    ("too many hostnames", |p, _| p.records.hostnames = (0..1000).map(|i| format!("shop-number-{i}.example.org")).collect(), &[Id::IntentLength]),
    ("API server of hel down", |_, f| hel_down(f), &[Id::ApiServers]),
    ("copy missing", |_, f| { f.observations.copies.insert(hel(), Seen::Missing); }, &[Id::Copies]),
    ("copy not looked at", |_, f| { f.observations.copies.remove(&fsn()); }, &[Id::Copies]),
    ("copy not readable", |_, f| { f.observations.copies.insert(hel(), unreadable()); }, &[Id::Copies]),
    ("copy invalid", |_, f| copy(f, &hel()).spec = Err(Invalid { path: "spec.rto".into(), message: "is no duration".into() }), &[Id::Copies]),
    ("copies differ", |_, f| copy(f, &hel()).agreement_hash = "other".into(), &[Id::CopiesAgree]),
    ("controller of hel read nothing", |_, f| copy(f, &hel()).seen = None, &[Id::ControllerAlive]),
    ("controller of hel 3 behind", |_, f| record(f).renewal = 10, &[Id::ControllerAlive]),
    ("controller of hel 2 behind", |_, f| record(f).renewal = 9, &[]),
    ("controller of fsn is not asked", |_, f| copy(f, &fsn()).seen = None, &[]),
    ("witness in hel", |_, f| f.observations.witness_shares = Some(hel()), &[Id::WitnessApart]),
    ("automatic and asynchronous", |_, f| is_automatic(f), &[Id::AutoFailover]),
    ("automatic and synchronous", |_, f| { is_automatic(f); synchronous(f, &["shop-fsn", "shop-hel"]); record(f).in_sync = true }, &[]),
    ("no pair", |_, f| { let seen = &mut f.observations; seen.from = Half { cluster: Seen::Missing, ..Half::default() }; seen.to = seen.from.clone() }, &[Id::Pair]),
    ("no half in hel", |_, f| f.observations.to = Half { cluster: Seen::Missing, ..Half::default() }, &[Id::Pair]),
    ("half not readable", |_, f| f.observations.from.cluster = unreadable(), &[Id::Pair]),
    ("half not looked at", |_, f| f.observations.from = Half::default(), &[Id::Pair]),
    ("right missing", |_, f| { f.observations.rights.insert("hel".into(), Seen::Is(vec!["patch clusters".into()])); }, &[Id::Rights]),
    ("right missing at the witness", |_, f| { f.observations.rights.insert("witness".into(), Seen::Is(vec!["update leases".into()])); }, &[Id::Rights]),
    ("rights not looked at", |_, f| { f.observations.rights.remove("fsn"); }, &[Id::Rights]),
    ("rights at the witness not readable", |_, f| { f.observations.rights.insert("witness".into(), unreadable()); }, &[Id::Rights]),
    ("witness without rights to ask", |_, f| { f.observations.rights.remove("witness"); }, &[]),
    ("RTO too short", |p, _| { p.rto_seconds = 37 }, &[Id::RtoTooShort]),
    ("old half is a replica", |_, f| source(f).role = Role::Replica, &[Id::SourcePrimary]),
    ("old half refuses", |_, f| { primary(f).accepts = Accepts::No; primary(f).detail = "read-only".into() }, &[Id::SourcePrimary]),
    ("old half times out", |_, f| { let d = primary(f); d.accepts = Accepts::Unknown; d.in_recovery = None; d.replicas = None }, &[Id::SourcePrimary]),
    ("both write", |_, f| { standby(f).accepts = Accepts::Yes; standby(f).in_recovery = Some(false); target(f).role = Role::Primary }, &[Id::SinglePrimary]),
    ("both say primary", |_, f| target(f).role = Role::Primary, &[Id::TargetReplica]),
    ("role change on the old half", |_, f| source(f).in_progress = true, &[Id::RoleChange]),
    ("role change on the new half", |_, f| target(f).in_progress = true, &[Id::RoleChange]),
    ("old half knows no other", |_, f| source(f).external_clusters = vec!["shop-fsn".into()], &[Id::ExternalClusters]),
    ("new half does not know itself", |_, f| target(f).external_clusters = vec!["shop-fsn".into()], &[Id::ExternalClusters]),
    ("old half has no source", |_, f| source(f).source = None, &[Id::ExternalClusters]),
    ("token on the old half", |_, f| source(f).promotion_token = Some("token".into()), &[Id::SourceToken]),
    ("last token on the old half", |_, f| { source(f).promotion_token = Some("token".into()); source(f).last_promotion_token = Some("token".into()) }, &[]),
    ("old half not Ready", |_, f| source(f).ready = Some(false), &[Id::SourceReady]),
    ("old half without Ready", |_, f| source(f).ready = None, &[Id::SourceReady]),
    ("archiving fails", |_, f| target(f).archiving = Some(false), &[Id::Archiving]),
    ("no archive", |_, f| source(f).archiving = None, &[]),
    ("backup runs", |_, f| source(f).backup_running = Some(true), &[Id::Backup]),
    ("backups not looked at", |_, f| source(f).backup_running = None, &[]),
    ("new half's switchoverDelay above the guard", |_, f| target(f).switchover_delay_seconds = 9, &[Id::SwitchoverDelayGuard]),
    ("switchoverDelay above the step", |p, f| { p.lease.guard_seconds = 20; source(f).switchover_delay_seconds = 11 }, &[Id::SwitchoverDelayLimit]),
    ("switchoverDelay just within the step", |p, f| { p.lease.guard_seconds = 20; source(f).switchover_delay_seconds = 10 }, &[]),
    ("default switchoverDelay", |_, f| source(f).switchover_delay_seconds = 3600, &[Id::SwitchoverDelayGuard, Id::SwitchoverDelayLimit]),
    ("no probe", |_, f| { f.observations.from.database = Seen::Unconfigured; f.observations.to.database = Seen::Unconfigured }, &[Id::Database]),
    ("old half not probed", |_, f| f.observations.from.database = unreadable(), &[Id::Database]),
    ("new half not probed", |_, f| f.observations.to.database = unreadable(), &[Id::Database]),
    ("new half refuses connections", |_, f| { let d = standby(f); d.in_recovery = None; d.timeline = None; d.system_id = None; d.detail = "connection refused".into() }, &[Id::Database]),
    ("other system", |_, f| standby(f).system_id = Some("1".into()), &[Id::SystemId]),
    ("system not known", |_, f| { standby(f).system_id = None; target(f).system_id = None }, &[Id::SystemId]),
    ("system from the Cluster", |_, f| standby(f).system_id = None, &[]),
    ("timeline behind", |_, f| standby(f).timeline = Some(2), &[Id::Timeline]),
    ("timeline not known", |_, f| { standby(f).timeline = None; target(f).timeline = None }, &[Id::Timeline]),
    ("not streaming", |_, f| replica(f).streaming = false, &[Id::Streaming]),
    ("no row", |_, f| primary(f).replicas = Some(Vec::new()), &[Id::Streaming]),
    ("another's row", |_, f| replica(f).application_name = "shop-fsn-2".into(), &[Id::Streaming]),
    ("replay paused", |_, f| standby(f).replay_paused = Some(true), &[Id::ReplayPaused]),
    ("columns hidden", |_, f| primary(f).replicas = None, &[Id::LagKnown]),
    ("behind with no lag", |_, f| replica(f).replay = Some(Lsn(1)), &[Id::LagKnown]),
    ("lag above the RPO", |p, f| { p.rpo_seconds = 5; behind(f, 6_000) }, &[Id::LagWithinRpo]),
    ("lag at the RPO", |p, f| { p.rpo_seconds = 5; behind(f, 5_900) }, &[]),
    ("lag below a second", |_, f| behind(f, 100), &[]),
    ("synchronous on the old half only", |_, f| synchronous(f, &["shop-fsn"]), &[Id::SynchronousBoth]),
    ("synchronous on the new half only", |_, f| synchronous(f, &["shop-hel"]), &[Id::SynchronousBoth]),
    ("acknowledged by an own standby", |_, f| { synchronous(f, &["shop-fsn", "shop-hel"]); record(f).in_sync = true; source(f).instances = 2; target(f).instances = 2; target(f).synchronous.as_mut().unwrap().number = 2 }, &[Id::SynchronousBoth]),
    ("synchronous, in sync", |_, f| { synchronous(f, &["shop-fsn", "shop-hel"]); record(f).in_sync = true }, &[]),
    ("synchronous, not in sync", |_, f| synchronous(f, &["shop-fsn", "shop-hel"]), &[Id::InSync]),
    ("legacy annotation", |_, f| source(f).legacy_primary_annotation = true, &[Id::LegacyAnnotation]),
    ("route missing in hel", |_, f| { f.observations.routes.insert(hel(), Seen::Missing); }, &[Id::Route]),
    ("route not readable", |_, f| { f.observations.routes.insert(fsn(), unreadable()); }, &[Id::Route]),
    ("backend of the new region missing", |_, f| route(f, &fsn()).backends = vec![("shop-fsn".into(), 1)], &[Id::RouteBackends]),
    ("backends named otherwise", |_, f| route(f, &hel()).backends = vec![("web".into(), 1)], &[Id::RouteBackends]),
    ("drain of 31 s", |p, f| { p.rto_seconds = 90; p.route.as_mut().unwrap().drain_seconds = 31; f.stale_for = None }, &[Id::DrainLong]),
    ("drain of 30 s", |p, _| { p.rto_seconds = 90; p.route.as_mut().unwrap().drain_seconds = 30 }, &[]),
    ("no address", |p, _| p.addresses.clear(), &[Id::Addresses]),
    ("pickfirst", |p, _| p.records.selector = Selector::Pickfirst, &[Id::RecordsValid]),
    ("ifurlup without a URL", |p, _| p.records.health_check = None, &[Id::RecordsValid]),
    ("no hostname", |p, f| { p.records.hostnames.clear(); p.zone = None; f.observations.zone = Seen::NotLooked }, &[Id::RecordsValid]),
    ("no publisher", |_, f| f.observations.zone = Seen::Unconfigured, &[Id::Zone]),
    ("zone not readable", |_, f| f.observations.zone = unreadable(), &[Id::Zone]),
    ("no such zone", |_, f| f.observations.zone = Seen::Missing, &[Id::Zone]),
    ("TTL above the RTO", |p, _| p.records.ttl_seconds = 61, &[Id::TtlAboveRto]),
    ("published TTL above the RTO", |_, f| is(&mut f.observations.zone).records[0].ttl_seconds = 3600, &[Id::TtlAboveRto]),
    ("new half not Ready", |_, f| target(f).ready = Some(false), &[Id::TargetReady]),
    ("token on the new half", |_, f| target(f).promotion_token = Some("token".into()), &[Id::TargetToken]),
    ("new half fenced", |_, f| target(f).fenced = true, &[Id::TargetFenced]),
    ("minApplyDelay", |_, f| target(f).min_apply_delay = true, &[Id::MinApplyDelay]),
    ("secret missing", |_, f| secrets(f, &hel()).clear(), &[Id::RoleSecrets]),
    ("secrets differ", |_, f| { secrets(f, &hel()).insert("app".into(), "other".into()); }, &[Id::RoleSecrets]),
    ("another role's secret missing", |_, f| { secrets(f, &fsn()).insert("report".into(), "x".into()); }, &[Id::RoleSecrets]),
    ("secrets not readable", |_, f| { f.observations.secrets.insert(hel(), unreadable()); }, &[Id::RoleSecrets]),
    ("smartShutdownTimeout of 180 s", |_, f| target(f).smart_shutdown_timeout_seconds = 180, &[Id::SmartShutdownRto]),
    ("smartShutdownTimeout of 6 s", |_, f| target(f).smart_shutdown_timeout_seconds = 6, &[Id::SmartShutdownLong]),
    ("smartShutdownTimeout of 5 s", |_, f| target(f).smart_shutdown_timeout_seconds = 5, &[]),
    ("smartShutdownTimeout of the old half", |_, f| source(f).smart_shutdown_timeout_seconds = 180, &[]),
    ("fewer instances", |_, f| source(f).instances = 2, &[Id::Instances]),
    ("more instances", |_, f| target(f).instances = 2, &[]),
    ("other parameters", |_, f| target(f).configuration_hash = "other".into(), &[Id::Configuration]),
    ("no stream", |_, f| f.observations.stream = Seen::Unconfigured, &[Id::AuditStream]),
    ("no stream takes the subject", |_, f| f.observations.stream = Seen::Missing, &[Id::AuditStream]),
    ("stream unreachable", |_, f| f.observations.stream = unreadable(), &[Id::AuditStream]),
];

fn owed() -> audit::Event {
    let about = audit::About { continuum: &fixture::shop(), application: "shop" };
    audit::lease_acquired(about, &fsn(), 4, Timestamp::UNIX_EPOCH)
}
fn is_automatic(facts: &mut Facts) {
    copy(facts, &fsn()).spec.as_mut().unwrap().auto_failover = true;
}
fn replica<'a>(facts: &'a mut Facts<'_>) -> &'a mut crate::observe::ReplicaRow {
    &mut primary(facts).replicas.as_mut().unwrap()[0]
}
fn behind(facts: &mut Facts, lag_ms: u64) {
    let row = replica(facts);
    row.replay = Some(Lsn(1));
    row.replay_lag = Some(Duration::from_millis(lag_ms));
}

#[test]
fn each_check_finds_exactly_what_it_is_for() {
    for (name, change, expected) in CASES {
        let (_, findings) = looked(*change);
        let ids: BTreeSet<Id> = findings.found.iter().map(|finding| finding.id).collect();
        let expected: BTreeSet<Id> = expected.iter().copied().collect();
        assert_eq!(ids, expected, "{name}: {:?}", findings.found);
        assert!(findings.found.iter().all(|finding| !finding.text.contains('\n')), "{name}: one line each");
    }
}

#[test]
fn each_check_that_can_be_observed_has_a_world_that_triggers_it() {
    let triggered: BTreeSet<Id> = CASES.iter().flat_map(|(_, _, ids)| ids.iter().copied()).collect();
    for id in IDS {
        assert_eq!(triggered.contains(id), id.check().needs.is_none(), "{}", id.check().id);
    }
}

#[test]
fn a_blocker_makes_its_step_unmet_and_a_warning_does_not() {
    for (name, change, expected) in CASES {
        let (_, findings) = looked(*change);
        for id in *expected {
            let check = id.check();
            if check.severity == Severity::Blocker {
                assert!(!findings.met(check.step), "{name}");
            } else if !findings.blocked(check.step) {
                assert!(findings.met(check.step), "{name}");
            }
        }
    }
}

#[test]
fn the_table_names_every_precondition_once_and_in_the_order_of_steps() {
    let names: BTreeSet<&str> = CHECKS.iter().map(|check| check.id).collect();
    assert_eq!(names.len(), CHECKS.len());
    assert!(CHECKS.is_sorted_by_key(|check| check.step));
    for (id, check) in IDS.iter().zip(CHECKS) {
        assert_eq!(id.check(), check);
    }
}

/// The list of what the best tools check before a switchover, with the checks that stand for each entry.
#[rustfmt::skip]
const LISTED: &[(&str, &[&str])] = &[
    ("target is the live downstream and streaming", &["target-replica", "streaming"]),
    ("replay not paused", &["replay-paused"]),
    ("lag known and within the RPO", &["lag-known", "lag-within-rpo"]),
    ("target timeline not behind", &["timeline"]),
    ("same system id", &["system-id"]),
    ("both halves Ready", &["source-ready", "target-ready"]),
    ("archiving healthy", &["archiving"]),
    ("reciprocal externalClusters", &["external-clusters"]),
    ("no role change in progress", &["role-change"]),
    ("no promotion token in the source's spec but its last, none in the target's", &["source-token", "target-token"]),
    ("no minApplyDelay", &["min-apply-delay"]),
    ("no backup running where it would hold the shutdown", &["backup"]),
    ("nothing fenced on the target", &["target-fenced"]),
    ("no other writable primary", &["single-primary", "source-primary"]),
    ("role secrets of both halves present and equal", &["role-secrets"]),
    ("the new region's controller alive", &["controller-alive"]),
    ("lease held by fromRegion with the expected generation and time left", &["lease-third-party", "lease-third-party-swap", "generation", "lease-renewed"]),
    ("witness reachable", &["witness", "witness-kind"]),
    ("both API servers reachable with the rights the steps need", &["api-servers", "rights", "pair", "database"]),
    ("route found and its backends matched", &["route", "route-backends"]),
    ("addresses known for toRegion", &["addresses"]),
    ("records valid and the zone writable", &["records-valid", "zone"]),
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
        f.observations.from = Half { cluster: Seen::Missing, ..Half::default() };
        f.observations.to = Half { cluster: Seen::Missing, ..Half::default() };
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
fn a_lease_that_is_not_renewed_orders_a_failover() {
    let report = reported(|_, f| f.stale_for = Some(Duration::from_secs(40)));
    assert_eq!(
        report.blockers,
        ["step-1: lease held by \"fsn\", generation 4, is not renewed since 40 s: order a failover"]
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
