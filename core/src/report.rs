//! The reports of the four operations, in the exact shapes other systems decode. A field may be added,
//! never renamed or removed.

use crate::name::Region;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a dry run found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DryRunReport {
    /// The plan's fingerprint, 16 hex digits.
    pub plan_fingerprint: String,
    /// Always seven, in order.
    pub steps: Vec<DryRunStep>,
    /// Advice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What would make the switchover fail or be unsafe.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blockers: Vec<String>,
    /// The sum over the steps, s.
    pub estimated_duration_seconds: u32,
    /// Steps 2 + 3 + 5, s.
    pub estimated_write_disruption_seconds: u32,
    /// When, UTC.
    pub generated_at: Timestamp,
}

/// One step of a dry run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DryRunStep {
    /// 1 to 7.
    pub step: u8,
    /// Its exact name.
    pub name: String,
    /// False where it has a blocker, or facts that could not be read.
    pub preconditions_met: bool,
    /// Estimate, s.
    pub estimated_duration_seconds: u32,
    /// Remarks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// What Execute did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecuteReport {
    /// The intent's id; empty where none was written.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// `succeeded`, `undone`, `declined`, `refused`, `alreadyThere`, `unknown`.
    pub result: ExecuteResult,
    /// The plan's fingerprint.
    pub plan_fingerprint: String,
    /// From.
    pub from: Region,
    /// To.
    pub to: Region,
    /// Numbers of the steps whose effect was seen, in order.
    pub completed_steps: Vec<u8>,
    /// The step that failed; 0: none.
    pub failed_at_step: u8,
    /// `step-4 (flip-dns): <cause>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Numbers of the steps whose undo was seen, in the order of undoing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rolled_back: Vec<u8>,
    /// Began, UTC.
    pub started_at: Timestamp,
    /// Ended, UTC.
    pub finished_at: Timestamp,
    /// Between the last write seen accepted and the first again, s. Absent: not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_gap_seconds: Option<f64>,
    /// How long it took, s: what each region measured with its own clock, added up. Absent: it did not succeed, or that was not
    /// measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_seconds: Option<f64>,
    /// By how much it missed its recovery-time objective, s. Absent: it met it, or that was not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rto_missed_by_seconds: Option<f64>,
    /// Events still owed to the audit stream.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub events_owed: usize,
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// How Execute ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ExecuteResult {
    /// The role moved.
    Succeeded,
    /// It failed, and everything that was done was seen undone.
    Undone,
    /// It failed, and not every undo was seen in its time: they go on. The error says which.
    Undoing,
    /// A failback that was refused, cancelled or not approved in time.
    Declined,
    /// It did not begin: the error says why.
    Refused,
    /// `to` is primary already; nothing was done.
    AlreadyThere,
    /// Whether it began or how it ended could not be learned: it may go on. The error says why.
    Unknown,
}

/// What a health check found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthReport {
    /// The region that should be primary now.
    pub new_primary_region: Region,
    /// Always four, in order.
    pub checks: Vec<HealthCheck>,
    /// Every check that is not deferred passed.
    pub overall_healthy: bool,
    /// When, UTC.
    pub generated_at: Timestamp,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthCheck {
    /// `replicas-healthy`, `dns-probes`, `latency-normal`, `audit-posted`.
    pub name: String,
    /// Whether it passed. False where deferred.
    pub passed: bool,
    /// What was seen.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// It could not run because a dependency is not configured.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deferred: bool,
}
