//! A healthy pair, with nothing to find: what tests start from, here and in other crates.

use super::Facts;
use crate::name::{ByRegion, ObjectName, Region};
use crate::observe::{
    Accepts, Answer, ClusterView, CopyView, DatabaseView, Half, HotStandby, Observations, ReplicaRow, Role, RouteRule,
    RouteView, Seen, SeenRecord, Shortcomings, Shown, StreamView, ZoneView,
};
use crate::plan::Plan;
use crate::record::{Lineage, Lsn, Pending, Position, Record, RecordSet};
use crate::roles::Roles;
use crate::spec::{
    DnsSpec, FailbackSpec, HealthCheckSpec, LeaseKind, LeaseSpec, RecordSpec, RegionSpec, RejoinPolicy, RouteSpec,
    Selector, Spec,
};
use jiff::SignedDuration;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

const SYSTEM_ID: &str = "7711780216894003665";
const HOSTNAME: &str = "shop.example.org";

/// The old region.
pub fn fsn() -> Region {
    Region::new("fsn")
}

/// The new region.
pub fn hel() -> Region {
    Region::new("hel")
}

/// `shop/shop`: Continuum, pair and route.
pub fn shop() -> ObjectName {
    ObjectName::new("shop", "shop")
}

/// Addresses of the two regions: 10.1.0.1 and 10.2.0.1.
pub fn address(region: &Region) -> IpAddr {
    IpAddr::from([10, if *region == fsn() { 1 } else { 2 }, 0, 1])
}

/// An authoritative server.
pub fn server(number: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, number], 53))
}

/// The spec: primary fsn, standby hel.
pub fn spec() -> Spec {
    Spec {
        application: "shop".into(),
        primary: fsn(),
        standbys: vec![hel()],
        lease: LeaseSpec {
            kind: LeaseKind::K8sLease,
            ttl_seconds: 30,
            renew_seconds: 10,
            guard_seconds: 10,
            drift_percent: 1,
        },
        records: RecordSpec {
            selector: Selector::Ifurlup,
            health_check: Some(HealthCheckSpec {
                url: "http://shop.example.org/healthz".into(),
                interval_seconds: 5,
                timeout_seconds: 2,
            }),
            ttl_seconds: 30,
            hostnames: vec![HOSTNAME.into()],
        },
        dns: DnsSpec::default(),
        regions: [fsn(), hel()].map(|name| RegionSpec { addresses: vec![address(&name)], name }).to_vec(),
        rto_seconds: 60,
        rpo_seconds: 0,
        auto_failover: false,
        pair: Some(shop()),
        route: Some(RouteSpec { object: shop(), drain_seconds: 10 }),
        zone: Some("example.org".into()),
        rejoin: RejoinPolicy::WhenLossless,
        switchover: None,
        abort: None,
        failback: FailbackSpec::default(),
    }
}

/// The plan from fsn to hel.
pub fn plan() -> Plan {
    Plan::new(&shop(), &spec(), &hel(), None, None).expect("the fixture's spec makes a valid plan")
}

/// The record: held by fsn, generation 4.
pub fn record() -> Record {
    Record {
        format: crate::record::RECORD_FORMAT,
        holder: Some(fsn()),
        generation: 4,
        renewal: 7,
        lineage: Lineage::Of { region: fsn(), timeline: 3 },
        position: Some(Position { timeline: 3, lsn: lsn() }),
        ..Record::free(30)
    }
}

fn lsn() -> Lsn {
    Lsn(0x700_0028)
}

/// The Cluster of a region.
pub fn cluster(region: &Region) -> ClusterView {
    let other = if *region == fsn() { "shop-hel" } else { "shop-fsn" };
    let name = format!("shop-{region}");
    ClusterView {
        object: ObjectName::new("shop", &name),
        resource_version: "875".into(),
        claim: None,
        role: if *region == fsn() { Role::Primary } else { Role::Replica },
        role_writer: None,
        primary_name: Some("shop-fsn".into()),
        self_name: name.clone(),
        source: Some(other.into()),
        promotion_token: None,
        min_apply_delay: false,
        external_clusters: vec![name, other.into()],
        ships_wal_only: false,
        instances: 1,
        ready_instances: Some(1),
        fenced: false,
        reconciliation_disabled: false,
        hibernated: false,
        operator_commit: Some("4b5e244".into()),
        kept_by: Vec::new(),
        legacy_primary_annotation: false,
        ready: Some(true),
        phase: Some("Cluster in healthy state".into()),
        in_progress: false,
        archiving: Some(true),
        timeline: Some(3),
        system_id: Some(SYSTEM_ID.into()),
        demotion_token: None,
        last_promotion_token: None,
        switchover_delay_seconds: 8,
        smart_shutdown_timeout_seconds: 0,
        synchronous: None,
        role_secrets: BTreeMap::from([("app".to_owned(), format!("shop-{region}-app"))]),
        configuration_hash: "a1b2c3d4".into(),
    }
}

/// PostgreSQL of the primary, with one idle standby of this name.
pub fn primary_database(standby: &str) -> DatabaseView {
    DatabaseView {
        accepts: Accepts::Yes,
        detail: String::new(),
        in_recovery: Some(false),
        timeline: Some(3),
        lsn: Some(lsn()),
        replay_paused: None,
        archive_mode: Some("on".into()),
        pending_restart: Some(false),
        hot_standby: Some(HotStandby {
            connections: 100,
            worker_processes: 32,
            wal_senders: 10,
            prepared_transactions: 0,
            locks_per_transaction: 64,
        }),
        logical_slots: Some(Vec::new()),
        system_id: Some(SYSTEM_ID.into()),
        replicas: Some(vec![ReplicaRow {
            application_name: standby.into(),
            streaming: true,
            replay: Some(lsn()),
            replay_lag: None,
            reply_age: Some(SignedDuration::from_secs(4)),
            sync_state: "async".into(),
        }]),
    }
}

/// PostgreSQL of the standby.
pub fn standby_database() -> DatabaseView {
    DatabaseView {
        accepts: Accepts::No,
        detail: "in recovery".into(),
        in_recovery: Some(true),
        replay_paused: Some(false),
        archive_mode: Some("always".into()),
        replicas: Some(Vec::new()),
        ..primary_database("")
    }
}

/// The route as each region has it.
pub fn route() -> RouteView {
    RouteView {
        object: shop(),
        resource_version: "12".into(),
        claim: None,
        rules: vec![rule(&[("shop-fsn", 100), ("shop-hel", 0)])],
        parents: Vec::new(),
        weights_writer: None,
        kept_by: Vec::new(),
    }
}

/// A rule for all requests, with these backends and weights.
pub fn rule(backends: &[(&str, u32)]) -> RouteRule {
    RouteRule {
        key: "/".into(),
        about: "rule 1 (/)".into(),
        backends: backends.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect(),
        ..RouteRule::default()
    }
}

/// A failback to hel that waits for a person.
pub fn pending() -> Pending {
    Pending {
        id: "shop/shop/4.1".into(),
        to: hel(),
        requested_by: "jane".into(),
        reason: "failback".into(),
        request: None,
        since: jiff::Timestamp::UNIX_EPOCH,
        timeout_seconds: 600,
        approval_required: true,
        fingerprint: String::new(),
        extra: Default::default(),
    }
}

/// Of a region's copy.
pub fn uid(region: &Region) -> String {
    format!("00000000-0000-0000-0000-00000000000{}", if *region == fsn() { 1 } else { 2 })
}

/// A region's copy of the Continuum, whose controller has read the record's last renewal.
pub fn copy() -> CopyView {
    CopyView {
        finalizers: Vec::new(),
        deleted: false,
        resource_version: "40".into(),
        uid: uid(&fsn()),
        generation: 1,
        spec: Ok(spec().into()),
        agreement_hash: "5f0c93a1e27b440d".into(),
        seen: Some(SeenRecord { renewal: 7, intent: None, beat: 0 }),
        status: Value::Null.into(),
    }
}

/// The world.
pub fn observations() -> Observations {
    fn both<T>(of: impl Fn(&Region) -> T) -> ByRegion<Seen<T>> {
        [fsn(), hel()].into_iter().map(|region| (region.clone(), Seen::Is(of(&region)))).collect()
    }
    let published = RecordSet {
        hostname: HOSTNAME.into(),
        kind: "LUA".into(),
        ttl_seconds: 30,
        contents: vec!["A \"ifurlup('http://shop.example.org/healthz', {{'10.1.0.1'}}, {timeout=2})\"".into()],
    };
    let answer = Answer { code: "NOERROR".into(), addresses: vec![address(&fsn())], ttl_seconds: Some(30) };
    Observations {
        halves: [(fsn(), primary_database("shop-hel")), (hel(), standby_database())]
            .map(|(region, database)| {
                let cluster = Seen::Is(cluster(&region));
                (region, Half { cluster, database: Seen::Is(database), ..Half::default() })
            })
            .into_iter()
            .collect(),
        routes: both(|_| route()),
        copies: both(|region| CopyView { uid: uid(region), ..copy() }),
        zone: Seen::Is(ZoneView { records: vec![published], shown: Shown::ByApi }),
        zone_takes: Seen::Is(Ok(())),
        health_urls: plan().addresses.into_iter().map(|address| (address, Seen::Is(200))).collect(),
        authorities: Seen::Is(vec![server(1)]),
        answers: [(HOSTNAME.to_owned(), [(server(1), Seen::Is(answer))].into())].into(),
        stream: Seen::Is(StreamView { name: "AUDIT".into(), message_count: 3 }),
        rights: ["fsn", "hel", "witness"].map(|place| (place.to_owned(), Seen::Is(Vec::new()))).into(),
        admitted: both(|_| Ok(())),
        weights_admitted: both(|_| Ok(())),
        roles: [fsn(), hel()].into_iter().map(|region| (region.clone(), roles(&region))).collect(),
        backup_runs: Seen::Is(false),
        witness_shares: None,
        witness_shortcomings: Seen::Is(Shortcomings::default()),
        witness_kind: Some(LeaseKind::K8sLease),
    }
}

/// The roles of the half in `region`; fsn's database was asked.
pub fn roles(region: &Region) -> Roles {
    let secrets = Seen::Is([("app".to_owned(), "c0ffee00c0ffee00".to_owned())].into());
    let login = (*region == fsn()).then(|| ("app".to_owned(), Seen::Is(Ok(()))));
    Roles { secrets, logins: login.into_iter().collect() }
}

/// Facts in which [`plan`] has no finding.
pub fn facts() -> Facts<'static> {
    Facts {
        observations: observations(),
        witness: Seen::Is(Some(record())),
        stale_for: Some(Duration::from_secs(4)),
        me: fsn(),
        in_execution_of: None,
    }
}
