//! Shapes of core's reports, as schemas: core derives none, since its crates are few. Tests hold them to the reports, here and
//! beside whoever describes reports by them.
#![expect(dead_code, reason = "a shape is described, and never made")]

use schemars::JsonSchema;

/// What a dry run found.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DryRunReport {
    /// The plan's fingerprint.
    #[schemars(regex(pattern = "^[0-9a-f]{16}$"))]
    plan_fingerprint: String,
    /// Always seven, in order.
    #[schemars(length(equal = 7))]
    steps: Vec<DryRunStep>,
    /// Advice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    /// What would make the switchover fail or be unsafe. Absent: nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    blockers: Vec<String>,
    /// The sum over the steps, s.
    estimated_duration_seconds: u32,
    /// Steps 2, 3 and 5, s.
    estimated_write_disruption_seconds: u32,
    /// When, UTC.
    #[schemars(extend("format" = "date-time"))]
    generated_at: String,
}

/// One step of a dry run.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DryRunStep {
    /// Its number.
    #[schemars(range(min = 1, max = 7))]
    step: u8,
    /// Its exact name.
    name: String,
    /// False where it has a blocker, or facts that could not be read.
    preconditions_met: bool,
    /// Estimate, s.
    estimated_duration_seconds: u32,
    /// Remarks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

/// What became of a switchover.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecuteReport {
    /// Its id. Absent: none was written.
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
    /// Numbers of the steps whose effect was seen, in order.
    completed_steps: Vec<u8>,
    /// The step that failed; 0: none.
    failed_at_step: u8,
    /// Why, with the step. Absent: nothing failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    error: String,
    /// Numbers of the steps whose undo was seen, in the order of undoing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rolled_back: Vec<u8>,
    /// Began, UTC.
    #[schemars(extend("format" = "date-time"))]
    started_at: String,
    /// Ended, UTC.
    #[schemars(extend("format" = "date-time"))]
    finished_at: String,
    /// Between the last write seen accepted and the first again, s. Absent: not measured.
    #[serde(default, skip_serializing_if = "absent")]
    write_gap_seconds: f64,
    /// How long it took, s. Absent: it did not succeed, or that was not measured.
    #[serde(default, skip_serializing_if = "absent")]
    took_seconds: f64,
    /// By how much it missed its recovery-time objective, s. Absent: it met it, or that was not measured.
    #[serde(default, skip_serializing_if = "absent")]
    rto_missed_by_seconds: f64,
    /// Events still owed to the audit stream. Absent: none.
    #[serde(default, skip_serializing_if = "absent")]
    events_owed: u64,
}

/// How a switchover ended. `succeeded`: the role moved. `undone`: it failed, and what was done was undone. `undoing`: it
/// failed, and not every undo was seen yet. `declined`: a failback that was refused, cancelled or not approved in time.
/// `refused`: it did not begin, and the error says why. `alreadyThere`: the target is primary already. `unknown`: whether it
/// began or how it ended could not be learned.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "each variant would be a schema of its own")]
pub enum ExecuteResult {
    Succeeded,
    Undone,
    Undoing,
    Declined,
    Refused,
    AlreadyThere,
    Unknown,
}

/// What a health check found.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HealthReport {
    /// The region that should be primary now.
    new_primary_region: String,
    /// Always four, in order.
    #[schemars(length(equal = 4))]
    checks: Vec<HealthCheck>,
    /// Every check that is not deferred passed.
    overall_healthy: bool,
    /// When, UTC.
    #[schemars(extend("format" = "date-time"))]
    generated_at: String,
}

/// One check.
#[derive(JsonSchema)]
pub struct HealthCheck {
    /// `replicas-healthy`, `dns-probes`, `latency-normal`, `audit-posted`.
    name: String,
    /// Whether it passed. False where deferred.
    passed: bool,
    /// What was seen.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    detail: String,
    /// It could not run because a dependency is not configured. Absent: it ran.
    #[serde(default, skip_serializing_if = "absent")]
    deferred: bool,
}

/// No value stands for a field that is absent.
fn absent<T>(_: &T) -> bool {
    true
}
