//! The shapes of core's reports, for the JSON schema only: core names no schema crate. A test holds the two
//! together.

use continuum_core::report;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a dry run found.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DryRunReport {
    /// The plan's fingerprint, 16 hex digits.
    plan_fingerprint: String,
    /// Always seven, in order.
    steps: Vec<DryRunStep>,
    /// Advice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    /// What would make the switchover fail or be unsafe.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    blockers: Vec<String>,
    /// The sum over the steps, s.
    estimated_duration_seconds: u32,
    /// Steps 2 + 3 + 5, s.
    estimated_write_disruption_seconds: u32,
    /// When, RFC 3339, UTC.
    generated_at: String,
}

/// One step of a dry run.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DryRunStep {
    /// 1 to 7.
    step: u8,
    /// Its name.
    name: String,
    /// False where it has a blocker, or facts that could not be read.
    preconditions_met: bool,
    /// Estimate, s.
    estimated_duration_seconds: u32,
    /// Remarks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

/// What an execution did.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExecuteReport {
    /// The intent's id. Absent where none was written.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    id: String,
    /// How it ended.
    result: ExecuteResult,
    /// The plan's fingerprint.
    plan_fingerprint: String,
    /// From.
    from: String,
    /// To.
    to: String,
    /// The steps whose effect was seen, in order.
    completed_steps: Vec<u8>,
    /// The step that failed. 0: none.
    failed_at_step: u8,
    /// `step-4 (flip-dns): <cause>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// The steps whose undo was seen, in the order of undoing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rolled_back: Vec<u8>,
    /// Began, RFC 3339, UTC.
    started_at: String,
    /// Ended, RFC 3339, UTC.
    finished_at: String,
    /// Between the last write seen accepted and the first again, s. Absent: not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    write_gap_seconds: Option<f64>,
    /// How long it took, s, on the regions' own clocks. Absent: it did not succeed, or that was not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    took_seconds: Option<f64>,
    /// By how much it missed its recovery-time objective, s. Absent: it met it, or that was not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rto_missed_by_seconds: Option<f64>,
    /// Events still owed to the audit stream.
    #[serde(default, skip_serializing_if = "is_zero")]
    events_owed: usize,
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// How an execution ended.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ExecuteResult {
    /// The role moved.
    Succeeded,
    /// It failed, and what was done was undone.
    Undone,
    /// A failback that was refused, cancelled or not approved in time.
    Declined,
    /// It did not begin: the error says why.
    Refused,
    /// The target is primary already.
    AlreadyThere,
    /// Whether it began or how it ended could not be learned.
    Unknown,
}

/// The word for a result.
pub(crate) fn word(result: report::ExecuteResult) -> &'static str {
    match result {
        report::ExecuteResult::Succeeded => "succeeded",
        report::ExecuteResult::Undone => "undone",
        report::ExecuteResult::Undoing => "undoing",
        report::ExecuteResult::Declined => "declined",
        report::ExecuteResult::Refused => "refused",
        report::ExecuteResult::AlreadyThere => "already there",
        report::ExecuteResult::Unknown => "unknown",
    }
}

/// What a health check found.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HealthReport {
    /// The region that should be primary now.
    new_primary_region: String,
    /// Always four, in order.
    checks: Vec<HealthCheck>,
    /// Every check that is not deferred passed.
    overall_healthy: bool,
    /// When, RFC 3339, UTC.
    generated_at: String,
}

/// One check.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct HealthCheck {
    /// `replicas-healthy`, `dns-probes`, `latency-normal`, `audit-posted`.
    name: String,
    /// Whether it passed. False where deferred.
    passed: bool,
    /// What was seen.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    detail: String,
    /// It could not run because a dependency is not configured.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    deferred: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Report;
    use crate::render::example;

    /// Reads what core wrote into the shape, strictly, and writes it again.
    fn again<T: for<'de> Deserialize<'de> + Serialize>(written: &impl Serialize) -> serde_json::Value {
        let value = serde_json::to_value(written).unwrap();
        let shaped: T = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(serde_json::to_value(shaped).unwrap(), value);
        value
    }

    #[test]
    fn the_schema_describes_the_reports_as_core_writes_them() {
        let mut kinds = 0;
        for reported in example::failed().reports.iter().chain(&example::passed().reports) {
            kinds += 1;
            match &reported.report {
                Report::DryRun(r) => again::<DryRunReport>(r),
                Report::Execute(r) | Report::Failback(r) => again::<ExecuteReport>(r),
                Report::Health(r) => again::<HealthReport>(r),
                Report::Error(_) => continue,
            };
        }
        assert!(kinds >= 5);
    }
}
