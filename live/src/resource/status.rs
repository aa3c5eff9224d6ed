//! The types of `status`. Who writes it sends merge patches of its own fields; see
//! [`ActOnCopy`](continuum_core::ports::ActOnCopy).

use continuum_core::observe::SeenRecord;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What is observed. A lag that was not measured is absent, never 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
#[serde(rename_all = "camelCase", default)]
pub struct ContinuumStatus {
    /// `Pending`, `Healthy`, `Degraded`, `SwitchingOver`, `FailedOver`, `Failed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// The acting primary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary_region: Option<String>,
    /// The instance that is primary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_primary: Option<String>,
    /// Holder of the lease.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_holder: Option<String>,
    /// When its term ends, by the writer's clock. Nothing is decided by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub lease_expires_at: Option<String>,
    /// Replication lag, s. Absent: not measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replication_lag_seconds: Option<u64>,
    /// The same. Absent: not measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wal_lag_seconds: Option<u64>,
    /// Lag of each standby region, such as `5s`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub replication_lag: BTreeMap<String, String>,
    /// Whether a switchover is under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub switchover_in_progress: Option<bool>,
    /// `step 3/7 — drain-http`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub switchover_step: Option<String>,
    /// The switchover that ended last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_switchover: Option<LastSwitchover>,
    /// How long it took, s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_switchover_duration_seconds: Option<u64>,
    /// The order that was refused last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_refusal: Option<LastRefusal>,
    /// The records that were published last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_lua_record: Option<LastLuaRecord>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub last_lua_record_at: Option<String>,
    /// Whether the standby region is reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standby_available: Option<bool>,
    /// The opposite.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hot_standby_absent: Option<bool>,
    /// What this region's controller last read from the witness.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<SeenStatus>,
    /// `metadata.generation` that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `LeaseHeld`, `Ready`, `StandbyAvailable`, `LastSwitchoverHealthy`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<StatusCondition>,
}

/// The switchover that ended last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LastSwitchover {
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub at: Option<String>,
    /// From.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// To.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// `Success`, `Failed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// Such as `22s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rto_observed: Option<String>,
    /// Such as `0s`. Absent: not measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rpo_observed: Option<String>,
    /// Who.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initiated_by: Option<String>,
}

/// The order that was refused last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LastRefusal {
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub at: Option<String>,
    /// Where to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Who asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<String>,
    /// Why; names the step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// The records that were published last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LastLuaRecord {
    /// One for each hostname.
    #[serde(default)]
    pub records: Vec<PublishedRecord>,
}

/// A published record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PublishedRecord {
    /// Name.
    pub hostname: String,
    /// Content.
    pub body: String,
    /// Time to live, s.
    pub ttl: u32,
    /// The region that it answers.
    pub primary_region: String,
}

/// What this region's controller last read from the witness: shows the other that this one lives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SeenStatus {
    /// `renewal` of the record.
    pub renewal: u64,
    /// Id of the switchover under way in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<String>,
    /// Grows at every read while a switchover is under way.
    #[serde(default)]
    pub beat: u64,
}

/// A condition, as Kubernetes has them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatusCondition {
    /// Type.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False`, `Unknown`.
    pub status: String,
    /// One word.
    #[serde(default)]
    pub reason: String,
    /// One line.
    #[serde(default)]
    pub message: String,
    /// When `status` changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub last_transition_time: Option<String>,
    /// `metadata.generation` that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// `status.seen` of a stored object. Absent where it is not there or has another form: then it shows nothing.
pub fn seen_of(object: &Value) -> Option<SeenRecord> {
    let seen: SeenStatus = serde_json::from_value(object.pointer("/status/seen")?.clone()).ok()?;
    Some(SeenRecord { renewal: seen.renewal, intent: seen.intent, beat: seen.beat })
}
