//! The table of checks is complete, and each check has worlds that trigger exactly it.

use super::fixture::{self, fsn, hel};
use super::table::IDS;
use super::*;
use crate::audit;
use crate::observe::{
    Accepts, Answer, Claim, CopyView, DatabaseView, Role, RouteParent, RouteView, Shortcomings, SynchronousView,
};
use crate::plan::Plan;
use crate::record::{EndResult, Ended, Kind, Lsn, Pending};
use crate::roles::LoginResult;
use crate::spec::{Invalid, LeaseKind, Selector};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;
use std::sync::Arc;

type Change = fn(&mut Plan, &mut Facts);

pub(super) fn looked(change: Change) -> (Plan, Findings) {
    let (mut plan, mut facts) = (fixture::plan(), fixture::facts());
    change(&mut plan, &mut facts);
    let findings = preflight(&plan, &facts);
    (plan, findings)
}

fn is<T>(seen: &mut Seen<T>) -> &mut T {
    match seen {
        Seen::Is(value) => value,
        _ => panic!("the fixture has it"),
    }
}

pub(super) fn record<'a>(facts: &'a mut Facts<'_>) -> &'a mut Record {
    is(&mut facts.witness).as_mut().unwrap()
}
fn source<'a>(facts: &'a mut Facts<'_>) -> &'a mut ClusterView {
    is(&mut facts.observations.half_mut(&fixture::fsn()).cluster)
}
pub(super) fn target<'a>(facts: &'a mut Facts<'_>) -> &'a mut ClusterView {
    is(&mut facts.observations.half_mut(&fixture::hel()).cluster)
}
fn primary<'a>(facts: &'a mut Facts<'_>) -> &'a mut DatabaseView {
    is(&mut facts.observations.half_mut(&fixture::fsn()).database)
}
fn standby<'a>(facts: &'a mut Facts<'_>) -> &'a mut DatabaseView {
    is(&mut facts.observations.half_mut(&fixture::hel()).database)
}
fn copy<'a>(facts: &'a mut Facts<'_>, region: &Region) -> &'a mut CopyView {
    is(facts.observations.copies.get_mut(region).unwrap())
}
fn set_rules(facts: &mut Facts<'_>, region: &Region, rules: &[&[(&str, u32)]]) {
    route(facts, region).rules = rules.iter().map(|backends| fixture::rule(backends)).collect();
}

fn set_health(facts: &mut Facts<'_>, seen: Seen<u16>) {
    let urls = facts.observations.health_urls.values_mut();
    urls.for_each(|here| *here = seen.clone());
}

/// A second authoritative server answers as the first.
fn set_second(facts: &mut Facts<'_>) {
    let second = fixture::server(2);
    facts.observations.authorities = Seen::Is(vec![fixture::server(1), second]);
    for servers in facts.observations.answers.values_mut() {
        let answer = servers[&fixture::server(1)].clone();
        servers.insert(second, answer);
    }
}

fn set_answers(facts: &mut Facts<'_>, seen: Seen<Answer>) {
    facts
        .observations
        .answers
        .values_mut()
        .flat_map(|servers| servers.values_mut())
        .for_each(|answer| *answer = seen.clone());
}

fn refused() -> Answer {
    Answer { code: "REFUSED".into(), addresses: Vec::new(), ttl_seconds: None }
}

fn parent(accepted: Option<bool>, resolved: Option<bool>) -> RouteParent {
    RouteParent { name: "public".into(), accepted, resolved, detail: "NoMatchingParent".into() }
}

fn route<'a>(facts: &'a mut Facts<'_>, region: &Region) -> &'a mut RouteView {
    is(facts.observations.routes.get_mut(region).unwrap())
}
pub(super) fn secrets<'a>(
    facts: &'a mut Facts<'_>,
    region: &Region,
) -> &'a mut std::collections::BTreeMap<String, String> {
    is(&mut facts.observations.roles.get_mut(region).unwrap().secrets)
}
fn login(facts: &mut Facts<'_>, login: LoginResult) {
    facts.observations.roles.get_mut(&fsn()).unwrap().logins.insert("app".into(), login);
}
pub(super) fn unreadable<T>() -> Seen<T> {
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
pub(super) fn hel_down(facts: &mut Facts) {
    let seen = &mut facts.observations;
    seen.half_mut(&fixture::hel()).cluster = unreadable();
    seen.half_mut(&fixture::hel()).database = Seen::NotLooked;
    seen.copies.insert(hel(), unreadable());
    seen.routes.insert(hel(), unreadable());
    seen.roles.remove(&hel());
    seen.rights.insert("hel".into(), unreadable());
}
/// PostgreSQL of hel is down: it refuses connections, is not Ready, and no longer streams.
fn target_down(facts: &mut Facts) {
    let database = standby(facts);
    (database.in_recovery, database.timeline, database.system_id) = (None, None, None);
    database.detail = "connection refused".into();
    target(facts).ready = Some(false);
    primary(facts).replicas = Some(Vec::new());
}
/// The role has moved to hel: lease, specs, replication.
pub(super) fn moved(facts: &mut Facts) {
    record(facts).holder = Some(hel());
    source(facts).role = Role::Replica;
    let cluster = target(facts);
    cluster.role = Role::Primary;
    cluster.promotion_token = Some("token".into());
    cluster.last_promotion_token = Some("token".into());
    let seen = &mut facts.observations;
    seen.half_mut(&fixture::fsn()).database = Seen::Is(fixture::standby_database());
    seen.half_mut(&fixture::hel()).database = Seen::Is(fixture::primary_database("shop-fsn"));
}

fn ended() -> Ended {
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
        took_ms: None,
        rto_missed_by_ms: None,
        loss_seconds: None,
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
        approval_required: true,
        fingerprint: String::new(),
        extra: Default::default(),
    }
}

/// What is changed in a healthy world, and the checks that must find something: these, and no others.
#[rustfmt::skip]
const CASES: &[(&str, Change, &[Id])] = &[
    ("nothing", |_, _| {}, &[]),
    ("no route", |p, f| { p.route = None; f.observations.routes.clear() }, &[]),
    ("lease kind nats-kv", |p, _| p.lease.kind = LeaseKind::NatsKv, &[Id::WitnessKind]),
    ("lease kind dns-quorum", |p, _| p.lease.kind = LeaseKind::DnsQuorum, &[Id::WitnessKind]),
    ("lease kind cloudflare-kv, so no witness", |p, f| { p.lease.kind = LeaseKind::CloudflareKv; f.witness = Seen::Unconfigured }, &[Id::WitnessKind]),
    ("kind changed while it is kept", |_, f| f.observations.witness_kind = Some(LeaseKind::NatsKv), &[Id::WitnessKind]),
    ("kind nats-kv, kept so", |p, f| { p.lease.kind = LeaseKind::NatsKv; f.observations.witness_kind = Some(LeaseKind::NatsKv) }, &[]),
    ("register that forgets", |_, f| f.observations.witness_shortcomings = Seen::Is(Shortcomings { blockers: vec!["x".into()], ..Shortcomings::default() }), &[Id::WitnessKeeps]),
    ("register not looked at", |_, f| f.observations.witness_shortcomings = unreadable(), &[Id::WitnessKeeps]),
    ("register on one server", |_, f| f.observations.witness_shortcomings = Seen::Is(Shortcomings { warnings: vec!["x".into()], ..Shortcomings::default() }), &[Id::WitnessLasts]),
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
    ("lease has moved, the old half writes", |_, f| record(f).holder = Some(hel()), &[Id::LeaseRedundant, Id::SinglePrimary, Id::TargetPrimary]),
    ("lease has moved, both are replicas", |_, f| { moved(f); target(f).role = Role::Replica; *standby(f) = fixture::standby_database() }, &[Id::LeaseRedundant, Id::TargetPrimary]),
    ("lease has moved, the old half's spec says primary", |_, f| { moved(f); source(f).role = Role::Primary }, &[Id::LeaseRedundant, Id::SinglePrimary]),
    ("newer claim on a half", |_, f| target(f).claim = Some(Claim { generation: 5, intent: String::new() }), &[Id::Generation]),
    ("newer claim on a route", |_, f| route(f, &fsn()).claim = Some(Claim { generation: 5, intent: String::new() }), &[Id::Generation]),
    ("claims of this generation", |_, f| source(f).claim = Some(Claim { generation: 4, intent: String::new() }), &[]),
    ("claim, and the record is lost", |_, f| { f.witness = Seen::Is(None); source(f).claim = Some(Claim { generation: 4, intent: String::new() }) }, &[Id::LeaseFree, Id::Generation]),
    ("failback waits", |_, f| record(f).pending = Some(pending()), &[Id::UnderWay]),
    ("own failback waits", |_, f| { record(f).pending = Some(pending()); f.in_execution_of = Some("shop/shop/4.3") }, &[]),
    ("another's failback waits", |_, f| { record(f).pending = Some(pending()); f.in_execution_of = Some("shop/shop/4.4") }, &[Id::UnderWay]),
    ("event of the last one owed", |_, f| { record(f).last = Some(ended().into()); record(f).owed = vec![owed("shop/shop/4.2")] }, &[Id::EventsOwed]),
    ("another event owed", |_, f| { record(f).last = Some(ended().into()); record(f).owed = vec![owed("0123456789abcdef"), owed("shop/shop/4.20")] }, &[]),
    ("last one ended well", |_, f| record(f).last = Some(ended().into()), &[]),
    ("too many hostnames", |p, _| p.records.hostnames = (0..1000).map(|i| format!("shop-number-{i}.example.org")).collect(), &[Id::IntentLength]),
    ("API server of hel down", |_, f| hel_down(f), &[Id::ApiServers]),
    ("copy missing", |_, f| { f.observations.copies.insert(hel(), Seen::Missing); }, &[Id::Copies]),
    ("copy not looked at", |_, f| { f.observations.copies.remove(&fsn()); }, &[Id::Copies]),
    ("copy not readable", |_, f| { f.observations.copies.insert(hel(), unreadable()); }, &[Id::Copies]),
    ("copy invalid", |_, f| copy(f, &hel()).spec = Err(Invalid { path: "spec.rto".into(), message: "is no duration".into() }), &[Id::Copies]),
    ("copy deleted and held", |_, f| copy(f, &hel()).deleted = true, &[Id::Copies]),
    ("copies are one object", |_, f| copy(f, &hel()).uid = fixture::uid(&fsn()), &[Id::Copies]),
    ("copies differ", |_, f| copy(f, &hel()).agreement_hash = "other".into(), &[Id::CopiesAgree]),
    ("controller of hel read nothing", |_, f| copy(f, &hel()).seen = None, &[Id::ControllerAlive]),
    ("controller of hel 3 behind", |_, f| record(f).renewal = 10, &[Id::ControllerAlive]),
    ("controller of hel 2 behind", |_, f| record(f).renewal = 9, &[]),
    ("controller of hel 3 ahead, at another witness", |_, f| record(f).renewal = 4, &[Id::ControllerAlive]),
    ("controller of hel 2 ahead", |_, f| record(f).renewal = 5, &[]),
    ("controller of fsn is not asked", |_, f| copy(f, &fsn()).seen = None, &[]),
    ("witness in hel", |_, f| f.observations.witness_shares = Some(hel()), &[Id::WitnessApart]),
    ("automatic and asynchronous", |_, f| is_automatic(f), &[Id::AutoFailover]),
    ("automatic and synchronous", |_, f| { is_automatic(f); synchronous(f, &["shop-fsn", "shop-hel"]); record(f).in_sync = true }, &[]),
    ("no pair", |_, f| { let seen = &mut f.observations; *seen.half_mut(&fixture::fsn()) = Half { cluster: Seen::Missing, ..Half::default() }; *seen.half_mut(&fixture::hel()) = seen.half(&fixture::fsn()).clone() }, &[Id::Pair]),
    ("no half in hel", |_, f| *f.observations.half_mut(&fixture::hel()) = Half { cluster: Seen::Missing, ..Half::default() }, &[Id::Pair]),
    ("half not readable", |_, f| f.observations.half_mut(&fixture::fsn()).cluster = unreadable(), &[Id::Pair]),
    ("half not looked at", |_, f| *f.observations.half_mut(&fixture::fsn()) = Half::default(), &[Id::Pair]),
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
    ("names of the topology that are not the Clusters'", |_, f| topology(f), &[]),
    ("a Cluster's name where the topology has another", |_, f| { topology(f); source(f).source = Some("shop-hel".into()) }, &[Id::ExternalClusters]),
    ("old half left alone by its operator", |_, f| source(f).reconciliation_disabled = true, &[Id::OperatorActs]),
    ("new half hibernated", |_, f| target(f).hibernated = true, &[Id::OperatorActs]),
    ("operator that may wipe the token", |_, f| { source(f).operator_commit = Some("a4060c152".into()); target(f).operator_commit = Some("a4060c152".into()) }, &[Id::OperatorFault]),
    ("operators of two releases", |_, f| target(f).operator_commit = Some("94ee311".into()), &[Id::OperatorsDiffer]),
    ("operator of nobody's release", |_, f| { source(f).operator_commit = Some("a95a534".into()); target(f).operator_commit = Some("a95a534".into()) }, &[]),
    ("operator that may mistake the designated primary", |_, f| target(f).instances = 3, &[Id::OperatorFlaw]),
    ("kept by a GitOps tool", |_, f| source(f).kept_by = vec!["Argo CD (label argocd.argoproj.io/instance)".into()], &[Id::KeptElsewhere]),
    ("demotion refused", |_, f| { f.observations.admitted.insert(fsn(), Seen::Is(Err("422".into()))); }, &[Id::DemotionAdmitted]),
    ("promotion refused", |_, f| { f.observations.admitted.insert(hel(), Seen::Is(Err("500".into()))); }, &[Id::PromotionAdmitted]),
    ("promotion not tried", |_, f| { f.observations.admitted.remove(&hel()); }, &[Id::PromotionAdmitted]),
    ("promotion tried without an answer", |_, f| { f.observations.admitted.insert(hel(), unreadable()); }, &[Id::PromotionAdmitted]),
    ("promotion refused for want of the right", |_, f| { f.observations.rights.insert("hel".into(), Seen::Is(vec!["patch clusters".into()])); f.observations.admitted.insert(hel(), Seen::Is(Err("403".into()))); }, &[Id::Rights]),
    ("old half knows no other", |_, f| source(f).external_clusters = vec!["shop-fsn".into()], &[Id::ExternalClusters]),
    ("new half does not know itself", |_, f| target(f).external_clusters = vec!["shop-fsn".into()], &[Id::ExternalClusters]),
    ("old half has no source", |_, f| source(f).source = None, &[Id::ExternalClusters]),
    ("token on the old half", |_, f| source(f).promotion_token = Some("token".into()), &[Id::SourceToken]),
    ("last token on the old half", |_, f| { source(f).promotion_token = Some("token".into()); source(f).last_promotion_token = Some("token".into()) }, &[]),
    ("old half not Ready", |_, f| source(f).ready = Some(false), &[Id::SourceReady]),
    ("old half without Ready", |_, f| source(f).ready = None, &[Id::SourceReady]),
    ("archiving fails", |_, f| target(f).archiving = Some(false), &[Id::Archiving]),
    ("no archive", |_, f| source(f).archiving = None, &[]),
    ("backup runs", |_, f| f.observations.backup_runs = Seen::Is(true), &[Id::Backup]),
    ("backups not looked at", |_, f| f.observations.backup_runs = unreadable(), &[]),
    ("new half's switchoverDelay above the guard", |_, f| target(f).switchover_delay_seconds = 9, &[Id::SwitchoverDelayGuard]),
    ("switchoverDelay above the step", |p, f| { p.lease.guard_seconds = 20; source(f).switchover_delay_seconds = 11 }, &[Id::SwitchoverDelayLimit]),
    ("switchoverDelay just within the step", |p, f| { p.lease.guard_seconds = 20; source(f).switchover_delay_seconds = 10 }, &[]),
    ("default switchoverDelay", |_, f| source(f).switchover_delay_seconds = 3600, &[Id::SwitchoverDelayGuard, Id::SwitchoverDelayLimit]),
    ("no probe", |_, f| { f.observations.half_mut(&fixture::fsn()).database = Seen::Unconfigured; f.observations.half_mut(&fixture::hel()).database = Seen::Unconfigured }, &[Id::Database]),
    ("old half not probed", |_, f| f.observations.half_mut(&fixture::fsn()).database = unreadable(), &[Id::Database]),
    ("new half not probed", |_, f| f.observations.half_mut(&fixture::hel()).database = unreadable(), &[Id::Database]),
    ("new half refuses connections", |_, f| { let d = standby(f); d.in_recovery = None; d.timeline = None; d.system_id = None; d.detail = "connection refused".into() }, &[Id::Database]),
    ("new half's PostgreSQL is down", |_, f| { target_down(f) }, &[Id::Database]),
    ("old half's PostgreSQL is down", |_, f| { let d = primary(f); d.accepts = Accepts::No; d.in_recovery = None; d.replicas = None; source(f).ready = Some(false) }, &[Id::SourcePrimary]),
    ("other system", |_, f| standby(f).system_id = Some("1".into()), &[Id::SystemId]),
    ("system not known", |_, f| { standby(f).system_id = None; target(f).system_id = None }, &[Id::SystemId]),
    ("system from the Cluster", |_, f| standby(f).system_id = None, &[]),
    ("timeline behind", |_, f| standby(f).timeline = Some(2), &[Id::Timeline]),
    ("timeline not known", |_, f| { standby(f).timeline = None; target(f).timeline = None }, &[Id::Timeline]),
    ("not streaming", |_, f| replica(f).streaming = false, &[Id::Streaming]),
    ("archived WAL alone", |_, f| { target(f).ships_wal_only = true; primary(f).replicas = Some(Vec::new()) }, &[Id::WalOnly]),
    ("no connection noted, but it streams", |_, f| target(f).ships_wal_only = true, &[]),
    ("no row", |_, f| primary(f).replicas = Some(Vec::new()), &[Id::Streaming]),
    ("another's row", |_, f| replica(f).application_name = "shop-fsn-2".into(), &[Id::Streaming]),
    ("replay not known", |_, f| standby(f).replay_paused = None, &[Id::ReplayPaused]),
    ("hot-standby settings lower on the new half", |_, f| standby(f).hot_standby.as_mut().unwrap().connections = 50, &[Id::HotStandbySettings]),
    ("hot-standby settings higher on the new half", |_, f| standby(f).hot_standby.as_mut().unwrap().connections = 500, &[]),
    ("a logical slot on the old half alone", |_, f| primary(f).logical_slots = Some(vec!["feed".into()]), &[Id::LogicalSlots]),
    ("a logical slot on both", |_, f| { primary(f).logical_slots = Some(vec!["feed".into()]); standby(f).logical_slots = Some(vec!["feed".into()]) }, &[]),
    ("a dead connection beside the living one", |_, f| second_row(f), &[Id::ReplicaRows]),
    ("the same, of a synchronous pair", |_, f| { second_row(f); synchronous(f, &["shop-fsn", "shop-hel"]); record(f).in_sync = true }, &[Id::ReplicaRows, Id::LagKnown]),
    ("a standby that fell silent and is behind", |p, f| { p.rpo_seconds = 30; behind(f, 100); replica(f).reply_age = Some(SignedDuration::from_secs(11)) }, &[Id::LagKnown]),
    ("a standby that fell silent and has it all", |_, f| replica(f).reply_age = Some(SignedDuration::from_secs(50)), &[]),
    ("replay paused", |_, f| standby(f).replay_paused = Some(true), &[Id::ReplayPaused]),
    ("columns hidden", |_, f| primary(f).replicas = None, &[Id::LagKnown]),
    ("behind with no lag", |_, f| replica(f).replay = Some(Lsn(1)), &[Id::LagKnown]),
    ("lag above the RPO", |p, f| { p.rpo_seconds = 5; behind(f, 6_000) }, &[Id::LagWithinRpo]),
    ("lag just above the RPO", |p, f| { p.rpo_seconds = 5; behind(f, 5_001) }, &[Id::LagWithinRpo]),
    ("lag at the RPO", |p, f| { p.rpo_seconds = 5; behind(f, 5_000) }, &[]),
    ("behind, with a clock ahead of the primary's", |_, f| { behind(f, 100); replica(f).reply_age = Some(SignedDuration::from_secs(-5)) }, &[Id::LagKnown]),
    ("behind, with a clock ahead by what clocks differ", |_, f| { behind(f, 100); replica(f).reply_age = Some(SignedDuration::from_millis(-900)) }, &[]),
    ("behind by the time since it was heard", |p, f| { p.rpo_seconds = 5; behind(f, 100); replica(f).reply_age = Some(SignedDuration::from_secs(6)) }, &[Id::LagWithinRpo]),
    ("lag below a second", |_, f| behind(f, 100), &[]),
    ("synchronous on the old half only", |_, f| synchronous(f, &["shop-fsn"]), &[Id::SynchronousBoth]),
    ("synchronous on the new half only", |_, f| synchronous(f, &["shop-hel"]), &[Id::SynchronousBoth]),
    ("acknowledged by an own standby", |_, f| { synchronous(f, &["shop-fsn", "shop-hel"]); record(f).in_sync = true; source(f).instances = 2; target(f).instances = 2; mended(f); target(f).synchronous.as_mut().unwrap().number = 2 }, &[Id::SynchronousBoth]),
    ("synchronous, in sync", |_, f| { synchronous(f, &["shop-fsn", "shop-hel"]); record(f).in_sync = true }, &[]),
    ("synchronous, not in sync", |_, f| synchronous(f, &["shop-fsn", "shop-hel"]), &[Id::InSync]),
    ("legacy annotation", |_, f| source(f).legacy_primary_annotation = true, &[Id::LegacyAnnotation]),
    ("route missing in hel", |_, f| { f.observations.routes.insert(hel(), Seen::Missing); }, &[Id::Route]),
    ("route not readable", |_, f| { f.observations.routes.insert(fsn(), unreadable()); }, &[Id::Route]),
    ("backend of the new region missing", |_, f| set_rules(f, &fsn(), &[&[("shop-fsn", 1)]]), &[Id::RouteBackends]),
    ("backends named otherwise", |_, f| set_rules(f, &hel(), &[&[("web", 1)]]), &[Id::RouteBackends]),
    ("no rules at all", |_, f| set_rules(f, &hel(), &[]), &[Id::RouteBackends]),
    ("another weight in each rule", |_, f| set_rules(f, &hel(), &[&[("shop-fsn", 9), ("shop-hel", 1)], &[("shop-fsn", 7), ("shop-hel", 0)]]), &[]),
    ("a rule of others", |_, f| set_rules(f, &hel(), &[&[("shop-fsn", 9), ("shop-hel", 1)], &[("static", 1)]]), &[]),
    ("a rule with the old region's backend alone", |_, f| set_rules(f, &fsn(), &[&[("shop-fsn", 9), ("shop-hel", 1)], &[("shop-fsn", 1), ("static", 1)]]), &[Id::RouteRule]),
    ("a rule that has a backend twice", |_, f| set_rules(f, &hel(), &[&[("shop-fsn", 9), ("shop-fsn", 1), ("shop-hel", 1)]]), &[Id::RouteRule]),
    ("all weights 0 in the new region", |_, f| set_rules(f, &hel(), &[&[("shop-fsn", 0), ("shop-hel", 0)]]), &[Id::RouteWeights]),
    ("all weights 0 in one rule of the new region", |_, f| set_rules(f, &hel(), &[&[("shop-fsn", 9), ("shop-hel", 0)], &[("static", 0)]]), &[Id::RouteWeights]),
    ("all weights 0 in the old region", |_, f| set_rules(f, &fsn(), &[&[("shop-fsn", 0), ("shop-hel", 0)]]), &[]),
    ("weights refused", |_, f| { f.observations.weights_admitted.insert(hel(), Seen::Is(Err("422".into()))); }, &[Id::RouteAdmitted]),
    ("weights not tried", |_, f| { f.observations.weights_admitted.remove(&fsn()); }, &[Id::RouteAdmitted]),
    ("weights refused for want of the right", |_, f| { f.observations.rights.insert("hel".into(), Seen::Is(vec!["patch httproutes".into()])); f.observations.weights_admitted.insert(hel(), Seen::Is(Err("403".into()))); }, &[Id::Rights]),
    ("the new region's gateway does not accept the route", |_, f| route(f, &hel()).parents = vec![parent(Some(false), None)], &[Id::RouteAccepted]),
    ("the old region's gateway does not accept the route", |_, f| route(f, &fsn()).parents = vec![parent(Some(false), None)], &[Id::RouteGateway]),
    ("a GitOps tool keeps a route", |_, f| route(f, &hel()).kept_by = vec!["Flux (label kustomize.toolkit.fluxcd.io/name)".into()], &[Id::RouteKeptElsewhere]),
    ("a gateway does not find a backend", |_, f| route(f, &hel()).parents = vec![parent(Some(true), Some(false))], &[Id::RouteGateway]),
    ("a gateway is content", |_, f| route(f, &hel()).parents = vec![parent(Some(true), Some(true))], &[]),
    ("a gateway has not looked at the route as it stands", |_, f| route(f, &hel()).parents = vec![parent(None, None)], &[]),
    ("drain of 31 s", |p, f| { p.rto_seconds = 90; p.route.as_mut().unwrap().drain_seconds = 31; f.stale_for = None }, &[Id::DrainLong]),
    ("drain of 30 s", |p, _| { p.rto_seconds = 90; p.route.as_mut().unwrap().drain_seconds = 30 }, &[]),
    ("no address", |p, _| p.addresses.clear(), &[Id::Addresses]),
    ("pickfirst", |p, _| p.records.selector = Selector::Pickfirst, &[Id::RecordsValid]),
    ("ifurlup without a URL", |p, _| p.records.health_check = None, &[Id::RecordsValid]),
    ("no hostname", |p, f| { p.records.hostnames.clear(); p.zone = None; f.observations.zone = Seen::Unconfigured }, &[Id::RecordsValid]),
    ("no zone", |p, f| { p.zone = None; f.observations.zone = Seen::Unconfigured }, &[Id::Zone]),
    ("no publisher", |_, f| f.observations.zone = Seen::Unconfigured, &[Id::Zone]),
    ("zone not readable", |_, f| f.observations.zone = unreadable(), &[Id::Zone]),
    ("no such zone", |_, f| f.observations.zone = Seen::Missing, &[Id::Zone]),
    ("the health URL redirects (H51)", |_, f| set_health(f, Seen::Is(302)), &[Id::HealthUrl]),
    ("the health URL gives another success than 200", |_, f| set_health(f, Seen::Is(204)), &[Id::HealthUrl]),
    ("an authoritative server is silent", |_, f| set_answers(f, unreadable()), &[Id::Authorities]),
    ("an authoritative server refuses", |_, f| set_answers(f, Seen::Is(refused())), &[Id::Authorities]),
    ("the authoritative servers are not known", |_, f| f.observations.authorities = unreadable(), &[Id::Authorities]),
    ("a second authoritative server", |_, f| set_second(f), &[Id::AuthorityCaches]),
    ("a second authoritative server without caches", |p, f| { set_second(f); p.dns.cache_seconds = Some(0) }, &[]),
    ("caches before the only server", |p, _| p.dns.cache_seconds = Some(7), &[Id::AuthorityCaches]),
    ("the health URL is not answered", |_, f| set_health(f, unreadable()), &[Id::HealthUrlSeen]),
    ("the health URL is answered 500 by a route that serves nobody", |_, f| { set_rules(f, &hel(), &[&[("shop-fsn", 0), ("shop-hel", 0)]]); set_health(f, Seen::Is(500)); }, &[Id::RouteWeights]),
    ("zone readable and not writable (H51)", |_, f| f.observations.zone_takes = Seen::Is(Err("update of Lua records is not allowed".into())), &[Id::Zone]),
    ("zone of which nobody says whether it is writable", |_, f| f.observations.zone_takes = unreadable(), &[Id::Zone]),
    ("a publisher that shows no records", |_, f| answered(f, "10.1.0.1"), &[]),
    ("a publisher that shows no records, and no addresses for an undo", |p, f| { p.former_addresses.clear(); answered(f, "10.1.0.1") }, &[Id::Addresses]),
    ("a publisher that shows no records, and a name that leads elsewhere", |_, f| answered(f, "192.0.2.7"), &[Id::FormerAnswers]),
    ("TTL above the RTO", |p, _| p.records.ttl_seconds = 61, &[Id::TtlAboveRto]),
    ("published TTL above the RTO", |_, f| is(&mut f.observations.zone).records[0].ttl_seconds = 3600, &[Id::TtlAboveRto]),
    ("new half not Ready", |_, f| target(f).ready = Some(false), &[Id::TargetReady]),
    ("token on the new half", |_, f| target(f).promotion_token = Some("token".into()), &[Id::TargetToken]),
    ("new half fenced", |_, f| target(f).fenced = true, &[Id::TargetFenced]),
    ("minApplyDelay", |_, f| target(f).min_apply_delay = true, &[Id::MinApplyDelay]),
    ("secret missing", |_, f| secrets(f, &hel()).clear(), &[Id::RoleSecrets]),
    ("secrets differ", |_, f| { secrets(f, &hel()).insert("app".into(), "other".into()); }, &[Id::RoleSecrets]),
    ("another role's secret missing", |_, f| { secrets(f, &fsn()).insert("report".into(), "x".into()); }, &[Id::RoleSecrets]),
    ("secrets not readable", |_, f| f.observations.roles.get_mut(&hel()).unwrap().secrets = unreadable(), &[Id::RoleSecrets]),
    ("password refused", |_, f| login(f, Seen::Is(Err("28P01".into()))), &[Id::RoleLogin]),
    ("password refused after the move", |_, f| { moved(f); login(f, Seen::Is(Err("28P01".into()))) }, &[Id::LeaseRedundant]),
    ("login not tried", |_, f| login(f, unreadable()), &[Id::RoleLoginUnknown]),
    ("no login to try", |_, f| f.observations.roles.get_mut(&fsn()).unwrap().logins.clear(), &[]),
    ("smartShutdownTimeout of 180 s", |_, f| target(f).smart_shutdown_timeout_seconds = 180, &[Id::SmartShutdownRto]),
    ("smartShutdownTimeout of 6 s", |_, f| target(f).smart_shutdown_timeout_seconds = 6, &[Id::SmartShutdownLong]),
    ("smartShutdownTimeout of 5 s", |_, f| target(f).smart_shutdown_timeout_seconds = 5, &[]),
    ("smartShutdownTimeout of the old half", |_, f| source(f).smart_shutdown_timeout_seconds = 180, &[]),
    ("fewer instances", |_, f| { source(f).instances = 2; mended(f) }, &[Id::Instances]),
    ("more instances", |_, f| { target(f).instances = 2; mended(f) }, &[]),
    ("other parameters", |_, f| target(f).configuration_hash = "other".into(), &[Id::Configuration]),
    ("no stream", |_, f| f.observations.stream = Seen::Unconfigured, &[Id::AuditStream]),
    ("no stream takes the subject", |_, f| f.observations.stream = Seen::Missing, &[Id::AuditStream]),
    ("stream unreachable", |_, f| f.observations.stream = unreadable(), &[Id::AuditStream]),
];

fn owed(of: &str) -> audit::Event {
    let about = audit::About { continuum: &fixture::shop(), application: "shop" };
    audit::request_failed(about, of, &hel(), None, (1, ""), Timestamp::UNIX_EPOCH)
}
/// Operators of a build without faults that are known.
fn mended(facts: &mut Facts) {
    source(facts).operator_commit = None;
    target(facts).operator_commit = None;
}
/// Two Clusters that go by other names in the topology.
fn topology(facts: &mut Facts) {
    for (own, other, is_source) in [("eu-central", "eu-north", true), ("eu-north", "eu-central", false)] {
        let cluster = if is_source { source(facts) } else { target(facts) };
        cluster.self_name = own.into();
        cluster.source = Some(other.into());
        cluster.primary_name = Some("eu-central".into());
        cluster.external_clusters = vec![own.into(), other.into()];
    }
}
fn is_automatic(facts: &mut Facts) {
    Arc::make_mut(copy(facts, &fsn()).spec.as_mut().unwrap()).auto_failover = true;
}
fn replica<'a>(facts: &'a mut Facts<'_>) -> &'a mut crate::observe::ReplicaRow {
    &mut primary(facts).replicas.as_mut().unwrap()[0]
}
/// What a connection that died leaves for a minute: it stands before the new one.
fn second_row(facts: &mut Facts) {
    let dead = crate::observe::ReplicaRow {
        replay: Some(Lsn(1)),
        replay_lag: Some(Duration::from_millis(3)),
        reply_age: Some(SignedDuration::from_secs(40)),
        ..replica(facts).clone()
    };
    primary(facts).replicas.as_mut().unwrap().insert(0, dead);
}
/// The publisher shows no records, and this is answered.
fn answered(facts: &mut Facts, address: &str) {
    let zone = is(&mut facts.observations.zone);
    zone.shown = crate::observe::Shown::ByAnswers { silent: BTreeSet::new() };
    (zone.records[0].kind, zone.records[0].contents) = ("A".into(), vec![address.into()]);
    facts.observations.zone_takes = Seen::NotLooked;
}
fn behind(facts: &mut Facts, lag_ms: u64) {
    let row = replica(facts);
    row.replay = Some(Lsn(1));
    row.reply_age = Some(SignedDuration::from_millis(200));
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
