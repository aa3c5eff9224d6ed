//! A Cluster object, as the operator reads it.

use crate::servers::postgres::{Limits, WAL_SENDER_TIMEOUT};
use serde_json::Value;
use std::time::Duration;

/// Annotation that fences instances.
pub(super) const FENCE: &str = "cnpg.io/fencedInstances";
/// Set while a demotion waits for the instance manager: False, then True.
pub(super) const TRANSITION: &str = "ReplicaClusterDesignatedPrimaryTransition";
/// Set while the operator fences for a demotion.
pub(super) const FENCING: &str = "ReplicaClusterFencing";
/// False while a demotion is under way, True after the first one.
pub(super) const SWITCH: &str = "ReplicaClusterSwitch";

pub(super) const HEALTHY: &str = "Cluster in healthy state";
pub(super) const APPLYING: &str = "Applying configuration";
pub(super) const PROMOTING: &str = "Promoting to primary cluster";
pub(super) const RESTARTING: &str = "Primary instance is being restarted in-place";
pub(super) const UNRECOVERABLE: &str = "Cluster is in an unrecoverable state, needs manual intervention";

pub(super) const WAITING: &str = "Waiting for the instances to become active";

/// Annotation that has the operator leave a Cluster alone.
const RECONCILIATION: &str = "cnpg.io/reconciliationLoop";

/// What the spec asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Primary,
    Replica,
}

/// What the operator looks at.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub role: Role,
    pub promotion_token: Option<String>,
    pub last_promotion_token: Option<String>,
    pub demotion_token: Option<String>,
    pub fenced: bool,
    pub in_progress: bool,
    /// Condition [`TRANSITION`].
    pub transition: Option<bool>,
    /// Condition [`FENCING`].
    pub fencing: bool,
    pub phase: String,
    pub phase_reason: Option<String>,
    pub target_primary: Option<String>,
    /// The operator has to leave it alone.
    pub disabled: bool,
    /// It is to have no pods.
    pub hibernated: bool,
    /// The status says that there is no pod.
    pub gone: bool,
    /// Secret of the application's role.
    pub application_secret: String,
    /// Its version, as the operator saw it last.
    pub secret_version: Option<String>,
    pub archiving: Option<bool>,
    pub instances: u64,
    pub smart_shutdown_timeout: Duration,
    pub switchover_delay: Duration,
    /// `standbyNamesPre`, and whether an acknowledgement is required.
    pub synchronous: Option<(Vec<String>, bool)>,
    pub limits: Limits,
    pub wal_sender_timeout: Duration,
}

impl View {
    pub fn of(cluster: &Value) -> Self {
        let (spec, status) = (&cluster["spec"], &cluster["status"]);
        let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let seconds = |value: &Value, default| Duration::from_secs(value.as_u64().unwrap_or(default));
        let synchronous = &spec["postgresql"]["synchronous"];
        Self {
            role: role(cluster),
            promotion_token: text(&spec["replica"]["promotionToken"]),
            last_promotion_token: text(&status["lastPromotionToken"]),
            demotion_token: text(&status["demotionToken"]),
            fenced: is_fenced(cluster),
            in_progress: status["switchReplicaClusterStatus"]["inProgress"] == true,
            transition: condition(cluster, TRANSITION),
            fencing: condition(cluster, FENCING) == Some(true),
            phase: text(&status["phase"]).unwrap_or_default(),
            phase_reason: text(&status["phaseReason"]),
            target_primary: text(&status["targetPrimary"]),
            disabled: cluster["metadata"]["annotations"][RECONCILIATION] == "disabled",
            hibernated: super::pods::is_hibernated(cluster),
            gone: status["instancesReportedState"].is_null(),
            application_secret: application_secret(cluster),
            secret_version: text(&status["secretsResourceVersion"]["applicationSecretVersion"]),
            archiving: condition(cluster, "ContinuousArchiving"),
            instances: spec["instances"].as_u64().unwrap_or(1),
            smart_shutdown_timeout: seconds(&spec["smartShutdownTimeout"], 180),
            // 0 is as good as absent.
            switchover_delay: match seconds(&spec["switchoverDelay"], 0) {
                Duration::ZERO => Duration::from_secs(3600),
                delay => delay,
            },
            synchronous: synchronous.is_object().then(|| {
                let names = synchronous["standbyNamesPre"].as_array().cloned().unwrap_or_default();
                let names = names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect();
                (names, synchronous["dataDurability"] != "preferred")
            }),
            limits: limits_of(cluster),
            wal_sender_timeout: duration(&spec["postgresql"]["parameters"]["wal_sender_timeout"])
                .unwrap_or(WAL_SENDER_TIMEOUT),
        }
    }

    /// A replica whose demotion is through.
    pub fn ended_a_demotion(&self) -> bool {
        self.role == Role::Replica && !self.in_progress && self.demotion_token.is_some()
    }

    /// A promotion with a token is asked for and not through: the operator does nothing else meanwhile.
    pub fn should_promote(&self) -> bool {
        self.role == Role::Primary
            && self.promotion_token.is_some()
            && self.promotion_token != self.last_promotion_token
    }
}

/// The role that a Cluster's spec asks for: `enabled` where it is there, else whether `primary` is another than itself.
/// A stanza with a source alone is a replica's.
pub(super) fn role(cluster: &Value) -> Role {
    let replica = &cluster["spec"]["replica"];
    if !replica.is_object() {
        return Role::Primary;
    }
    let given = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let own = given(&replica["self"]).or(given(&cluster["metadata"]["name"]));
    let is_replica = replica["enabled"].as_bool().unwrap_or_else(|| given(&replica["primary"]) != own);
    if is_replica { Role::Replica } else { Role::Primary }
}

/// The annotation is a list of instances in JSON. What is no such list fences nobody.
fn is_fenced(cluster: &Value) -> bool {
    let text = cluster["metadata"]["annotations"][FENCE].as_str().unwrap_or_default();
    let fenced: Vec<String> = serde_json::from_str(text).unwrap_or_default();
    let pod = format!("{}-1", cluster["metadata"]["name"].as_str().unwrap_or_default());
    fenced.iter().any(|name| *name == "*" || *name == pod)
}

/// The name that the bootstrap gives, else the operator's own.
fn application_secret(cluster: &Value) -> String {
    let bootstrap = &cluster["spec"]["bootstrap"];
    let given =
        ["recovery", "pg_basebackup", "initdb"].into_iter().find_map(|way| bootstrap[way]["secret"]["name"].as_str());
    let own = || format!("{}-app", cluster["metadata"]["name"].as_str().unwrap_or_default());
    given.map_or_else(own, str::to_owned)
}

/// What a Cluster's parameters set.
pub fn limits_of(cluster: &Value) -> Limits {
    limits(&cluster["spec"]["postgresql"]["parameters"])
}

/// PostgreSQL's parameters are texts.
fn limits(parameters: &Value) -> Limits {
    let own = Limits::default();
    let number = |name: &str, own: u32| parameters[name].as_str().and_then(|text| text.parse().ok()).unwrap_or(own);
    Limits {
        max_connections: number("max_connections", own.max_connections),
        max_worker_processes: number("max_worker_processes", own.max_worker_processes),
        max_wal_senders: number("max_wal_senders", own.max_wal_senders),
        max_prepared_transactions: number("max_prepared_transactions", own.max_prepared_transactions),
        max_locks_per_transaction: number("max_locks_per_transaction", own.max_locks_per_transaction),
    }
}

/// `60s`, `1min`, `5000ms`, `5000` (ms).
fn duration(value: &Value) -> Option<Duration> {
    let text = value.as_str()?.trim();
    let unit = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..unit].parse().ok()?;
    Some(match text[unit..].trim() {
        "" | "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "min" => Duration::from_secs(60 * number),
        _ => return None,
    })
}

/// Names in `spec.externalClusters`.
pub(super) fn external_clusters(cluster: &Value) -> Vec<String> {
    let clusters = cluster["spec"]["externalClusters"].as_array().cloned().unwrap_or_default();
    clusters.iter().filter_map(|cluster| cluster["name"].as_str().map(str::to_owned)).collect()
}

/// A condition's status. Absent, or neither True nor False: `None`.
pub(super) fn condition(cluster: &Value, kind: &str) -> Option<bool> {
    let conditions = cluster["status"]["conditions"].as_array()?;
    match conditions.iter().find(|condition| condition["type"] == kind)?["status"].as_str()? {
        "True" => Some(true),
        "False" => Some(false),
        _ => None,
    }
}
