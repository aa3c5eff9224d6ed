//! The ports: what core needs of the world. Each is split in what only *observes* and what *acts*, so
//! that a dry run and a health check, which are given [`Observers`] alone, read only as a matter of types.
//!
//! Rules for adapters. A look never changes anything, and gives [`Seen`]: `Missing` only where the server
//! said so, `Unknown` with its cause for everything else. An action gives an [`Outcome`]; a time-out or a
//! lost connection is `Unknown`, which obliges the caller to look before it decides. An adapter knows no
//! rule of the protocol. Limits on time are the caller's; an adapter also passes the server-side limit.

use crate::audit::{Event, EventQuery};
use crate::clock::Monotonic;
use crate::name::{ObjectName, Region};
use crate::next::Permit;
use crate::observe::{
    Answer, Claim, ClusterView, CopyView, DatabaseView, FoundEvent, RouteView, Seen, Shortcomings, StreamView, ZoneView,
};
use crate::plan::Plan;
use crate::record::{Record, RecordSet};
use crate::roles::{LoginResult, RoleLogin, RoleSecret};
use crate::spec::LeaseKind;
use crate::weights::Weights;
use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// What became of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<T = ()> {
    /// It was applied.
    Done(T),
    /// It was not applied, and may be after another look: a conflict (409), too many requests, a 5xx that
    /// says it did nothing.
    NotApplied(String),
    /// It will never be applied as it stands: a 4xx other than 408, 409, 429.
    Refused(String),
    /// It may have been applied, or may still be: a time-out, a lost connection, a 5xx in general.
    Unknown(String),
}

/// A version of the register, opaque; `None` where the register does not exist yet.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Version(pub Option<String>);

/// What became of a compare-and-set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cas {
    /// Applied; the new version.
    Done(Version),
    /// Another version stands there.
    Conflict,
    /// Not applied and never will be.
    Refused(String),
    /// May have been applied.
    Unknown(String),
}

/// Leave to ask a server that many ask at once. It lasts until it is dropped.
pub type Turn = Box<dyn Send + Sync>;

/// Who is the next of those that wait for their turn: the least of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// A move needs it, or a caller waits for it: since then.
    Awaited(Monotonic),
    /// It has been due since then.
    Due(Monotonic),
}

/// The witness, read. Linearizable.
#[async_trait]
pub trait ObserveWitness: Send + Sync {
    /// What kind of witness this is.
    fn kind(&self) -> LeaseKind;
    /// Until a keeper of this rank may read. A witness that does not mind how many ask lets everybody.
    async fn turn(&self, _rank: Rank) -> Turn {
        Box::new(())
    }
    /// Version and record; `Missing` where there is none, with the version to create it.
    async fn read(&self) -> Result<(Version, Option<Record>), String>;
    /// The region whose cluster the witness stands in; absent: a third place (H16).
    fn shares(&self) -> Option<Region>;
    /// Rights on the register that this controller lacks. A witness without rights of its own lacks none.
    async fn missing_rights(&self) -> Seen<Vec<String>> {
        Seen::Is(Vec::new())
    }
    /// By what the register may lose what it holds, or come to lose it. One that its server keeps like everything else has none.
    async fn shortcomings(&self) -> Seen<Shortcomings> {
        Seen::Is(Shortcomings::default())
    }
}

/// The witness, written.
#[async_trait]
pub trait ActOnWitness: Send + Sync {
    /// Until a keeper of this rank may write.
    async fn turn(&self, _rank: Rank) -> Turn {
        Box::new(())
    }
    /// Writes `record` where `expected` still stands.
    async fn compare_and_set(&self, expected: &Version, record: &Record) -> Cas;
}

/// A write to a Cluster, conditional on `resource_version`, carrying a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterWrite {
    /// Region whose API server is asked.
    pub region: Region,
    /// The Cluster.
    pub object: ObjectName,
    /// As just read.
    pub resource_version: String,
    /// Written with it.
    pub claim: Claim,
    /// What changes.
    pub change: ClusterChange,
    /// The server gives up after this long (`?timeout=`): a write that makes writable dies young.
    pub server_limit: Option<Duration>,
}

/// What changes in a Cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterChange {
    /// Nothing but the claim.
    Claim,
    /// `spec.replica.primary` names the other half, and there is no promotion token: one patch does both.
    Demote {
        /// Name of the other half.
        primary: String,
    },
    /// The fence and the demotion in ONE patch: a half that is fenced first and told to be a replica later never
    /// gets through (H44). The operator takes the fence off once the token is there.
    FenceAndDemote {
        /// Name of the other half.
        primary: String,
    },
    /// `spec.replica.primary` names itself, with a token or without.
    Promote {
        /// Its own name.
        primary: String,
        /// The token.
        token: Option<String>,
        /// Leave to do so.
        permit: Permit,
    },
    /// `cnpg.io/fencedInstances: ["*"]`.
    Fence,
    /// Removes it.
    Unfence {
        /// Leave to do so.
        permit: Permit,
    },
}

impl ClusterChange {
    /// Whether it may only be asked about ([`ObservePair::admits`]), and never written.
    pub fn is_to_try(&self) -> bool {
        match self {
            ClusterChange::Promote { permit, .. } | ClusterChange::Unfence { permit } => permit.is_to_try(),
            _ => false,
        }
    }

    /// Whether it changes whose replica a half is.
    pub fn changes_role(&self) -> bool {
        match self {
            Self::Demote { .. } | Self::FenceAndDemote { .. } | Self::Promote { .. } => true,
            Self::Claim | Self::Fence | Self::Unfence { .. } => false,
        }
    }

    /// Whether it makes a half writable: it needs more of the term, and a server-side limit (PROTOCOL 3).
    pub fn makes_writable(&self) -> bool {
        matches!(self, ClusterChange::Promote { .. } | ClusterChange::Unfence { .. })
    }
}

/// Both halves, each looked at through its own region's API server.
#[async_trait]
pub trait ObservePair: Send + Sync {
    /// The Cluster of `pair` in `region`.
    async fn cluster(&self, region: &Region, pair: &ObjectName) -> Seen<ClusterView>;
    /// The half's role secrets, by role. One that is not there is left out.
    async fn secrets(&self, region: &Region, cluster: &ClusterView) -> Seen<BTreeMap<String, RoleSecret>>;
    /// Whether a Backup of the Cluster runs.
    async fn backup_runs(&self, region: &Region, cluster: &ClusterView) -> Seen<bool>;
    /// Rights that the steps of this plan need and this controller lacks in `region`.
    async fn missing_rights(&self, region: &Region, plan: &Plan) -> Seen<Vec<String>>;
    /// Whether this write would be admitted: the very patch, tried through the real admission chain and thrown
    /// away (`?dryRun=All`), so it changes nothing. `Is(Err)`: refused, and why (an invalid change, a policy, a
    /// missing right, a webhook that must answer and is dead). `Unknown`: nobody said so, a conflict included.
    async fn admits(&self, write: &ClusterWrite) -> Seen<Result<(), String>>;
}

/// Both halves, written.
#[async_trait]
pub trait ActOnPair: Send + Sync {
    /// Writes.
    async fn write(&self, write: &ClusterWrite) -> Outcome;
}

/// PostgreSQL of a half, looked at with SQL that changes nothing.
#[async_trait]
pub trait ObserveDatabase: Send + Sync {
    /// The half in `region`.
    async fn look(&self, region: &Region, cluster: &ObjectName) -> Seen<DatabaseView>;
    /// Whether a new session of this role is let in. `Is(Err)`: the server refuses its password, and with which code.
    /// `Unknown` where it refuses for another reason (an address, a limit): nothing it gives is of the secret.
    async fn lets_in(&self, region: &Region, cluster: &ObjectName, login: &RoleLogin) -> LoginResult;
}

/// PostgreSQL of a half, tried.
#[async_trait]
pub trait ActOnDatabase: Send + Sync {
    /// Whether a transaction is accepted over a *new* connection: assigns a transaction id and rolls back;
    /// with `commit`, commits one WAL message, which waits for a synchronous standby.
    async fn try_write(&self, region: &Region, cluster: &ObjectName, commit: bool) -> Outcome;
}

/// A write of a route's weights, conditional, carrying a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteWrite {
    /// Region whose API server is asked.
    pub region: Region,
    /// The HTTPRoute.
    pub object: ObjectName,
    /// As just read.
    pub resource_version: String,
    /// Written with it.
    pub claim: Claim,
    /// New weights of each rule, in order. Other backends stay as they are.
    pub weights: Weights,
}

/// The route of each region, looked at.
#[async_trait]
pub trait ObserveRoute: Send + Sync {
    /// The HTTPRoute of `region`.
    async fn route(&self, region: &Region, route: &ObjectName) -> Seen<RouteView>;
    /// Whether this write would be admitted, tried as [`ObservePair::admits`] is.
    async fn admits(&self, write: &RouteWrite) -> Seen<Result<(), String>>;
}

/// The route of each region, written.
#[async_trait]
pub trait ActOnRoute: Send + Sync {
    /// Writes.
    async fn set_weights(&self, write: &RouteWrite) -> Outcome;
}

/// The application's records, looked at.
#[async_trait]
pub trait ObserveRecords: Send + Sync {
    /// Whether the publisher shows what stands in the zone. Where it does not, what the zone's servers answer is all that
    /// is known, and [`ObserveRecords::zone`] is not asked.
    fn shows_zone(&self) -> bool {
        true
    }
    /// What the zone's API shows of these names.
    async fn zone(&self, zone: &str, hostnames: &[String]) -> Seen<ZoneView>;
    /// Whether the zone's API would take this set, tried without a change. `Is(Err)`: it would not, and why.
    /// `Unknown`: it did not say so. `NotLooked`: there is no way to try it.
    async fn takes(&self, zone: &str, set: &RecordSet) -> Seen<Result<(), String>>;
    /// The authoritative servers of the zone, where nobody lists them.
    async fn authorities(&self, zone: &str) -> Seen<Vec<SocketAddr>>;
    /// What this authoritative server answers.
    async fn answer(&self, server: SocketAddr, hostname: &str) -> Seen<Answer>;
    /// The status code that a health check's URL gives at this address, asked as the DNS server asks it. A redirect is
    /// not followed: it is the answer.
    async fn health(&self, url: &str, address: IpAddr) -> Seen<u16>;
}

/// The application's records, published.
#[async_trait]
pub trait PublishRecords: Send + Sync {
    /// Replaces the sets, which name addresses of the region `leads_to`; one with no contents is removed. All or nothing.
    async fn publish(&self, zone: &str, leads_to: &Region, sets: &[RecordSet]) -> Outcome;
}

/// Resolvers elsewhere in the world.
#[async_trait]
pub trait ObserveVantages: Send + Sync {
    /// Their names, in order.
    fn vantages(&self) -> Vec<String>;
    /// What one answers. At most 3 s.
    async fn lookup(&self, vantage: &str, hostname: &str) -> Result<Vec<IpAddr>, String>;
}

/// The audit stream, looked at.
#[async_trait]
pub trait ObserveAudit: Send + Sync {
    /// The stream that takes [`crate::audit::SUBJECT`].
    async fn stream(&self) -> Seen<StreamView>;
    /// The newest event that fits, if there is one.
    async fn find(&self, query: &EventQuery) -> Result<Option<FoundEvent>, String>;
}

/// The audit stream, written.
#[async_trait]
pub trait PublishAudit: Send + Sync {
    /// Publishes; done only when the stream acknowledged. The sequence in the stream.
    async fn publish(&self, event: &Event) -> Outcome<u64>;
}

/// Request latency, before and after.
#[async_trait]
pub trait ObserveLatency: Send + Sync {
    /// Median latency of the application's requests now, and before the switchover that began and ended then. It is not asked
    /// before [`crate::health::LATENCY_AFTER`] has passed since.
    ///
    /// # Errors
    /// Why it cannot be read; what is measured in vain is no verdict.
    async fn compare(&self, application: &str, began: Timestamp, ended: Timestamp) -> Result<Latencies, String>;
}

/// What a source of metrics says of latency.
#[derive(Clone, Debug, PartialEq)]
pub enum Latencies {
    /// Both medians, ms.
    Measured {
        /// Now.
        now_ms: f64,
        /// Before the switchover began.
        before_ms: f64,
    },
    /// There is nothing to compare, and why.
    NoVerdict(String),
}

/// The Continuum resource in both regions, looked at.
#[async_trait]
pub trait ObserveCopies: Send + Sync {
    /// The copy in `region`.
    async fn copy(&self, region: &Region) -> Seen<CopyView>;
}

/// The Continuum resource in one's own region, written. A controller never writes the other's copy.
#[async_trait]
pub trait ActOnCopy: Send + Sync {
    /// Merge patch of what stands under `spec`, conditional on `resource_version`.
    async fn patch_spec(&self, resource_version: &str, patch: &Value) -> Outcome;
    /// Replaces `metadata.finalizers`, conditional on `resource_version`.
    async fn set_finalizers(&self, resource_version: &str, finalizers: &[String]) -> Outcome;
    /// Merge patch of what stands under `status`, unconditional: each field has one writer.
    async fn patch_status(&self, patch: &Value) -> Outcome;
}

/// What watches told last. It is looked at while nothing happens, so that an idle controller asks no server; what is acted
/// on is read afresh.
///
/// `None`: this cannot tell, because nothing is watched there, or the watch has not listed everything since it began or
/// broke, or it is behind what was read afresh. Who asks reads then.
#[async_trait]
pub trait Cache: Send + Sync {
    /// As [`ObservePair::cluster`].
    fn cluster(&self, region: &Region, pair: &ObjectName) -> Option<Seen<ClusterView>>;
    /// As [`ObserveRoute::route`].
    fn route(&self, region: &Region, route: &ObjectName) -> Option<Seen<RouteView>>;
    /// As [`ObserveCopies::copy`].
    fn copy(&self, region: &Region) -> Option<Seen<CopyView>>;
    /// Grows with whatever any watch tells of the Clusters of this pair: where it stands still, so do they. Absent: not
    /// every region's are known.
    fn clusters_told(&self, pair: &ObjectName) -> Option<u64>;
    /// Until that is another than `than`, or may be.
    async fn clusters_told_more(&self, pair: &ObjectName, than: u64);
    /// Grows with whatever is told of the copy in `region`. Absent: it is not known.
    fn copy_told(&self, region: &Region) -> Option<u64>;
    /// Until that is another than `than`, or may be.
    async fn copy_told_more(&self, region: &Region, than: u64);
}

/// Whether what watches told will do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// Servers are asked.
    #[default]
    Servers,
    /// What watches told, and servers where that cannot tell.
    Watches,
}

/// What a dry run and a health check may use. A dependency that is not configured is absent.
#[derive(Clone)]
pub struct Observers {
    /// Witness.
    pub witness: Option<Arc<dyn ObserveWitness>>,
    /// Pair.
    pub pair: Arc<dyn ObservePair>,
    /// Database probe.
    pub database: Option<Arc<dyn ObserveDatabase>>,
    /// Route.
    pub route: Arc<dyn ObserveRoute>,
    /// Records.
    pub records: Option<Arc<dyn ObserveRecords>>,
    /// Vantages.
    pub vantages: Option<Arc<dyn ObserveVantages>>,
    /// Audit stream.
    pub audit: Option<Arc<dyn ObserveAudit>>,
    /// Latency.
    pub latency: Option<Arc<dyn ObserveLatency>>,
    /// Copies of the Continuum.
    pub copies: Arc<dyn ObserveCopies>,
    /// What watches told. Absent: nothing is watched.
    pub cache: Option<Arc<dyn Cache>>,
}

impl Observers {
    /// Which kind of witness there is; absent: none.
    pub fn witness_kind(&self) -> Option<LeaseKind> {
        self.witness.as_ref().map(|witness| witness.kind())
    }
}

impl Observers {
    fn told<T>(&self, source: Source, look: impl FnOnce(&dyn Cache) -> Option<Seen<T>>) -> Option<Seen<T>> {
        self.cache.as_deref().filter(|_| source == Source::Watches).and_then(look)
    }

    /// The Cluster of `pair` in `region`.
    pub async fn cluster(&self, source: Source, region: &Region, pair: &ObjectName) -> Seen<ClusterView> {
        match self.told(source, |cache| cache.cluster(region, pair)) {
            Some(seen) => seen,
            None => self.pair.cluster(region, pair).await,
        }
    }

    /// The HTTPRoute of `region`.
    pub async fn route(&self, source: Source, region: &Region, route: &ObjectName) -> Seen<RouteView> {
        match self.told(source, |cache| cache.route(region, route)) {
            Some(seen) => seen,
            None => self.route.route(region, route).await,
        }
    }

    /// The copy in `region`.
    pub async fn copy(&self, source: Source, region: &Region) -> Seen<CopyView> {
        match self.told(source, |cache| cache.copy(region)) {
            Some(seen) => seen,
            None => self.copies.copy(region).await,
        }
    }
}

/// What the driver and the keeper act through.
#[derive(Clone)]
pub struct Actors {
    /// Witness.
    pub witness: Option<Arc<dyn ActOnWitness>>,
    /// Pair.
    pub pair: Arc<dyn ActOnPair>,
    /// Database probe.
    pub database: Option<Arc<dyn ActOnDatabase>>,
    /// Route.
    pub route: Arc<dyn ActOnRoute>,
    /// Records.
    pub records: Option<Arc<dyn PublishRecords>>,
    /// Audit stream.
    pub audit: Option<Arc<dyn PublishAudit>>,
    /// Own copy of the Continuum.
    pub copy: Arc<dyn ActOnCopy>,
}
