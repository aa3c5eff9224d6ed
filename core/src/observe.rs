//! What was seen of the world: plain data, made by adapters, read by decisions.
//!
//! Unknown is not zero, not false and not failure, so every look gives a [`Seen`], and what a server did
//! not say is an `Option`.

mod database;
mod route;
mod stored;

pub use database::{Accepts, CLOCKS_APART_MAX, DatabaseView, HotStandby, REPLY_AGE_MAX, ReplicaRow};
pub use route::{RouteParent, RouteRule, RouteView};
pub use stored::Stored;

use crate::name::{ByRegion, ObjectName, Region};
use crate::record::{Lsn, Record, RecordSet};
use crate::roles::Roles;
use crate::spec::{Invalid, LeaseKind, Spec};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// What a look at something gave.
#[derive(Clone, Debug, PartialEq, Default)]
pub enum Seen<T> {
    /// This.
    Is(T),
    /// The server answered that there is no such thing.
    Missing,
    /// No such dependency is configured.
    Unconfigured,
    /// Could not be read, and why.
    Unknown(String),
    /// Was not looked at.
    #[default]
    NotLooked,
}

impl<T> Seen<T> {
    /// The value, where there is one.
    pub fn known(&self) -> Option<&T> {
        match self {
            Seen::Is(value) => Some(value),
            _ => None,
        }
    }

    /// Why there is no value, in a few words.
    pub fn why(&self) -> Option<String> {
        match self {
            Seen::Is(_) => None,
            Seen::Missing => Some("not found".into()),
            Seen::Unconfigured => Some("not configured".into()),
            Seen::Unknown(cause) => Some(cause.clone()),
            Seen::NotLooked => Some("not looked at".into()),
        }
    }

    /// Why a look gave no value; absent: it gave one, or there was no look.
    pub fn unread(&self) -> Option<String> {
        (!matches!(self, Seen::NotLooked)).then(|| self.why()).flatten()
    }

    /// Why a look got no answer; absent: it got one, or there was no look.
    pub fn unanswered(&self) -> Option<&String> {
        match self {
            Seen::Unknown(cause) => Some(cause),
            _ => None,
        }
    }

    /// Maps the value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Seen<U> {
        match self {
            Seen::Is(value) => Seen::Is(f(value)),
            Seen::Missing => Seen::Missing,
            Seen::Unconfigured => Seen::Unconfigured,
            Seen::Unknown(cause) => Seen::Unknown(cause),
            Seen::NotLooked => Seen::NotLooked,
        }
    }
}

/// A claim on an object (PROTOCOL 2.3): annotations `dr.openova.io/generation` and `dr.openova.io/intent`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Claim {
    /// The writer's generation.
    pub generation: u64,
    /// The intent it was written for, with its direction: `<id>` or `<id>/undo`. It makes a claim of the
    /// same generation for another purpose a new write, which kills what is still in flight. `/again` after it: the same
    /// purpose was claimed before, by a write whose effect did not last. `/fence` at its end: the write put a fence on again
    /// for a demotion that had stalled.
    pub intent: String,
}

impl Claim {
    /// The same as another claim than the one that stands: who guards the role refuses a change of it by which nothing is
    /// claimed anew.
    pub fn again(self) -> Self {
        Self { intent: format!("{}{AGAIN}", self.intent), ..self }
    }

    /// The same, of a write that fences again.
    pub fn fencing(self) -> Self {
        Self { intent: format!("{}{FENCE}", self.intent), ..self }
    }

    /// Whether its write fenced again.
    pub fn fences(&self) -> bool {
        self.intent.ends_with(FENCE)
    }

    /// The intent, with its direction.
    pub fn purpose(&self) -> &str {
        let intent = self.intent.strip_suffix(FENCE).unwrap_or(&self.intent);
        intent.strip_suffix(AGAIN).unwrap_or(intent)
    }
}

const AGAIN: &str = "/again";
const FENCE: &str = "/fence";

/// What a half's spec asks it to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// There is no `replica` stanza, `replica.enabled` is false, or, without `enabled`, `primary` names itself.
    Primary,
    /// A replica of another cluster; also a stanza with neither `enabled` nor `primary`.
    Replica,
}

/// Who wrote a field, as the object's `metadata.managedFields` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldWriter {
    /// Field manager: `kubectl-edit`, `argocd-controller`, `continuum`.
    pub manager: String,
    /// Wall time of the API server, s; absent where the entry lacks it.
    pub at: Option<Timestamp>,
}

/// One CloudNativePG Cluster, as its region's API server has it.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterView {
    /// Namespace and name.
    pub object: ObjectName,
    /// For conditional writes.
    pub resource_version: String,
    /// Who wrote it last for us. Absent: nobody did.
    pub claim: Option<Claim>,
    /// What its spec asks for.
    pub role: Role,
    /// Who wrote `spec.replica` last. Absent: the server keeps no record of it, or nobody wrote it.
    pub role_writer: Option<FieldWriter>,
    /// `spec.replica.primary`, or the primary that follows from `enabled` and `source`.
    pub primary_name: Option<String>,
    /// `spec.replica.self`, or the Cluster's own name.
    pub self_name: String,
    /// `spec.replica.source`.
    pub source: Option<String>,
    /// `spec.replica.promotionToken`.
    pub promotion_token: Option<String>,
    /// `spec.replica.minApplyDelay` is set.
    pub min_apply_delay: bool,
    /// Names in `spec.externalClusters`.
    pub external_clusters: Vec<String>,
    /// The external cluster that `source` names has no `connectionParameters`: the half follows by the WAL that
    /// is archived, and never streams.
    pub ships_wal_only: bool,
    /// `spec.instances`.
    pub instances: u32,
    /// `status.readyInstances`; absent where the status lacks it.
    pub ready_instances: Option<u32>,
    /// `cnpg.io/fencedInstances` lists an instance, or `*`.
    pub fenced: bool,
    /// `cnpg.io/reconciliationLoop: disabled`: the operator does nothing for it.
    pub reconciliation_disabled: bool,
    /// `cnpg.io/hibernation: on`: its pods are taken away.
    pub hibernated: bool,
    /// The commit that its operator was built from (`status.cloudNativePGCommitHash`), abbreviated.
    pub operator_commit: Option<String>,
    /// GitOps tools and the like that put the object as they have it, with the sign of it:
    /// `Argo CD (annotation argocd.argoproj.io/tracking-id)`.
    pub kept_by: Vec<String>,
    /// `cnpg.io/cluster.primary` is set (left by an old tool; stops nothing: H01).
    pub legacy_primary_annotation: bool,
    /// Condition Ready. Absent: no such condition.
    pub ready: Option<bool>,
    /// `status.phase`.
    pub phase: Option<String>,
    /// `status.switchReplicaClusterStatus.inProgress`.
    pub in_progress: bool,
    /// Condition ContinuousArchiving. Absent: no such condition.
    pub archiving: Option<bool>,
    /// `status.timelineID`.
    pub timeline: Option<u32>,
    /// `status.systemID`; away while the instance is down.
    pub system_id: Option<String>,
    /// `status.demotionToken`.
    pub demotion_token: Option<String>,
    /// `status.lastPromotionToken`.
    pub last_promotion_token: Option<String>,
    /// `spec.switchoverDelay`, s (3,600 where it is absent or 0).
    pub switchover_delay_seconds: u32,
    /// `spec.smartShutdownTimeout`, s (default 180).
    pub smart_shutdown_timeout_seconds: u32,
    /// `spec.postgresql.synchronous`, where present.
    pub synchronous: Option<SynchronousView>,
    /// Secrets that hold a role's user and password, by role: `app`, and `superuser` where that may log in.
    pub role_secrets: BTreeMap<String, String>,
    /// Hash of the settings that should be alike on both halves (`spec.postgresql.parameters`, image).
    pub configuration_hash: String,
}

impl ClusterView {
    /// Why its operator carries out no change of its role, with the cure. Absent: it acts.
    pub fn operator_idle(&self) -> Option<String> {
        let disabled = "the annotation cnpg.io/reconciliationLoop is `disabled`; remove it";
        let hibernated = "it is hibernated (annotation cnpg.io/hibernation is `on`); wake it";
        let causes: Vec<&str> = [(self.reconciliation_disabled, disabled), (self.hibernated, hibernated)]
            .into_iter()
            .filter_map(|(holds, cause)| holds.then_some(cause))
            .collect();
        let name = &self.object.name;
        (!causes.is_empty()).then(|| format!("the operator does nothing for {name}: {}", causes.join(", and ")))
    }

    /// Whether every write that this half acknowledges as primary is on the half of this name too:
    /// durability is required, the name is waited for, and more must confirm than it has standbys of its own.
    pub fn synchronous_to(&self, other: &str) -> bool {
        self.synchronous.as_ref().is_some_and(|settings| {
            let own_standbys = self.instances.saturating_sub(1);
            settings.required
                && settings.number > own_standbys
                && settings.standby_names_pre.iter().any(|name| name == other)
        })
    }
}

/// `spec.postgresql.synchronous`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SynchronousView {
    /// `number`.
    pub number: u32,
    /// `dataDurability` is `required` (the default).
    pub required: bool,
    /// `standbyNamesPre`.
    pub standby_names_pre: Vec<String>,
}

/// A demotion token, decoded: base64 of a JSON object (names as CloudNativePG writes them).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DemotionToken {
    /// `latestCheckpointTimelineID`.
    pub timeline: u32,
    /// `latestCheckpointREDOLocation`.
    pub redo: Lsn,
    /// `databaseSystemIdentifier`.
    pub system_id: String,
}

/// One half of the pair.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Half {
    /// Its Cluster.
    pub cluster: Seen<ClusterView>,
    /// Its PostgreSQL.
    pub database: Seen<DatabaseView>,
    /// For how long it has been seen to take writes while its operator had nothing to do.
    pub settled_for: Duration,
    /// For how long its demotion has been seen under way without its fence, while its PostgreSQL runs.
    pub stalled_for: Duration,
    /// For how long it has been seen behind a fence that was put on again for such a demotion, which is over since.
    pub left_fenced_for: Duration,
    /// For how long it has been told to be a replica while its operator did nothing for that.
    pub untouched_for: Duration,
}

impl Half {
    /// Whether its PostgreSQL was seen to take writes.
    pub fn takes_writes(&self) -> bool {
        self.database.known().is_some_and(|database| database.accepts == Accepts::Yes)
    }
}

/// Lag and streaming from the holder's half to the other.
pub fn replication(record: Option<&Record>, halves: &ByRegion<Half>) -> (Option<Duration>, Option<bool>) {
    let Some(holder) = record.and_then(|r| r.holder.as_ref()) else { return (None, None) };
    let Some(database) = halves.get(holder).and_then(|h| h.database.known()) else { return (None, None) };
    let other = halves.iter().find(|(region, _)| *region != holder).and_then(|(_, h)| h.cluster.known());
    let Some(other) = other else { return (None, None) };
    let lag = database.lag_to(&other.object.name);
    let streams = database
        .replicas
        .as_ref()
        .map(|rows| rows.iter().any(|row| row.application_name == other.object.name && row.streaming));
    (lag, streams)
}

/// What each authoritative server answers for one name.
pub type Answers = BTreeMap<SocketAddr, Seen<Answer>>;

/// What a DNS server answered for one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// `NOERROR`, `NXDOMAIN`, `SERVFAIL`.
    pub code: String,
    /// Addresses, sorted.
    pub addresses: Vec<IpAddr>,
    /// Time to live of the first, s.
    pub ttl_seconds: Option<u32>,
}

impl Answer {
    /// Whether it leads somewhere.
    pub fn leads(&self) -> bool {
        self.code == "NOERROR" && !self.addresses.is_empty()
    }
}

/// The zone, for the names asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneView {
    /// Their sets. A name without records is absent.
    pub records: Vec<RecordSet>,
    /// How they are known.
    pub shown: Shown,
}

/// How the records of a zone are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// The publisher shows the sets themselves.
    ByApi,
    /// The publisher shows none: these are the addresses that the zone's servers answer. Another record may stand behind
    /// the same answer.
    ByAnswers {
        /// Names for which no server answered.
        silent: BTreeSet<String>,
    },
}

impl ZoneView {
    /// Whether the publisher shows the sets themselves.
    pub fn by_api(&self) -> bool {
        self.shown == Shown::ByApi
    }

    /// Whether each name was answered for, or its sets were shown.
    pub fn is_whole(&self) -> bool {
        matches!(&self.shown, Shown::ByApi) || matches!(&self.shown, Shown::ByAnswers { silent } if silent.is_empty())
    }
}

/// The audit stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamView {
    /// Name.
    pub name: String,
    /// Messages in it.
    pub message_count: u64,
}

/// An event found in the audit stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundEvent {
    /// Sequence in the stream.
    pub sequence: u64,
    /// When it was stored, wall time of the server.
    pub at: Timestamp,
}

/// One region's copy of the Continuum.
#[derive(Clone, Debug, PartialEq)]
pub struct CopyView {
    /// For conditional writes.
    pub resource_version: String,
    /// Unique id of the object.
    pub uid: String,
    /// `metadata.generation`.
    pub generation: i64,
    /// The spec, or what is wrong with it.
    pub spec: Result<Arc<Spec>, Invalid>,
    /// Hash of the parts of the spec in which the two copies must agree.
    pub agreement_hash: String,
    /// `metadata.finalizers`: what holds the object where it is deleted.
    pub finalizers: Vec<String>,
    /// It is deleted, and held.
    pub deleted: bool,
    /// `status.seen`.
    pub seen: Option<SeenRecord>,
    /// The whole status as it is stored (`null` where there is none).
    pub status: Stored,
}

/// `status.seen`: what that region's controller last read from the witness (PROTOCOL 2.8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenRecord {
    /// `renewal` of the record.
    pub renewal: u64,
    /// Id of the intent in it.
    pub intent: Option<String>,
    /// Grows at every read while an intent stands.
    pub beat: u64,
}

/// What is wrong with a register, each with its cure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shortcomings {
    /// It may lose what it holds.
    pub blockers: Vec<String>,
    /// It may come to.
    pub warnings: Vec<String>,
}

/// Everything that a decision may look at. What a step does not need is `NotLooked`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observations {
    /// The half in each region. Read with [`Observations::half`].
    pub halves: ByRegion<Half>,
    /// The route in each region.
    pub routes: ByRegion<Seen<RouteView>>,
    /// The Continuum's copy in each region.
    pub copies: ByRegion<Seen<CopyView>>,
    /// The zone.
    pub zone: Seen<ZoneView>,
    /// Whether the zone's API would take the records of the plan, as far as that can be tried without a change.
    pub zone_takes: Seen<Result<(), String>>,
    /// The status code of the health check's URL at each address of the new region. Empty: the records have none.
    pub health_urls: BTreeMap<IpAddr, Seen<u16>>,
    /// The authoritative servers of the zone.
    pub authorities: Seen<Vec<SocketAddr>>,
    /// What each of them answers, by hostname. A hostname that is absent was not asked for.
    pub answers: BTreeMap<String, Answers>,
    /// The audit stream.
    pub stream: Seen<StreamView>,
    /// Rights that the steps need and this controller lacks, by region and `witness`: `patch clusters`.
    pub rights: BTreeMap<String, Seen<Vec<String>>>,
    /// Whether each region's API server would take the change of role that the plan makes there. `NotLooked` where
    /// there is no such change.
    pub admitted: ByRegion<Seen<Result<(), String>>>,
    /// The same for the weights of each region's route.
    pub weights_admitted: ByRegion<Seen<Result<(), String>>>,
    /// The roles of each half. Only the old primary's database is asked whether it takes a password.
    pub roles: ByRegion<Roles>,
    /// A backup of the old primary runs.
    pub backup_runs: Seen<bool>,
    /// The witness stands in this region's cluster. Absent: in neither, as it should.
    pub witness_shares: Option<Region>,
    /// What is wrong with the witness's register.
    pub witness_shortcomings: Seen<Shortcomings>,
    /// What kind of witness it is; absent: there is none.
    pub witness_kind: Option<LeaseKind>,
}

/// A half that was not looked at.
static UNSEEN: Half = Half {
    cluster: Seen::NotLooked,
    database: Seen::NotLooked,
    settled_for: Duration::ZERO,
    stalled_for: Duration::ZERO,
    left_fenced_for: Duration::ZERO,
    untouched_for: Duration::ZERO,
};

impl Observations {
    /// The half in this region; `NotLooked` where it was not looked at.
    pub fn half(&self, region: &Region) -> &Half {
        self.halves.get(region).unwrap_or(&UNSEEN)
    }

    /// The half in this region, to change.
    pub fn half_mut(&mut self, region: &Region) -> &mut Half {
        self.halves.entry(region.clone()).or_default()
    }
}

#[cfg(test)]
mod tests;
