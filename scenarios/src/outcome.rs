//! What a run of a scenario gave: plain facts, the same for every way of showing them.
//!
//! Times are simulated, since the start of the run. Serialised, this is the shape that `continuum schema --of
//! report` describes; a field may be added, never renamed or removed.

use crate::format::Scenario;
use crate::runner::RunOptions;
use continuum_core::report::{DryRunReport, ExecuteReport, ExecuteResult, HealthReport};
use continuum_live::report_shapes as shapes;
use schemars::JsonSchema;
use serde::Serialize;
use std::fmt;

/// The outcome of one run.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// Name of the scenario.
    pub scenario: String,
    /// Its file, as it was named.
    pub file: String,
    /// The seed.
    pub seed: u64,
    /// What kind of world it ran in.
    pub options: Options,
    /// What happened, in order.
    pub timeline: Vec<Entry>,
    /// Every report that an operation gave, in order.
    pub reports: Vec<Reported>,
    /// What came of it.
    pub result: Summary,
    /// The verdicts of the checkers.
    pub checks: Vec<Check>,
    /// What the scenario expected and did not find.
    pub unmet: Vec<Unmet>,
    /// Why the run was given up before its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub did_not_finish: Option<String>,
    /// Why the simulator itself failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crashed: Option<String>,
    /// The command that gives this run again.
    pub reproduce: String,
    /// The trace, where one was asked for. No part of the report.
    #[serde(skip)]
    pub trace: Option<String>,
}

/// What kind of world a run was in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Options {
    /// What carries the simulated network.
    pub fabric: String,
    /// Resolution of simulated time, ms.
    pub tick_ms: u64,
    /// The region that is primary at the start.
    pub primary: String,
    /// Its standby.
    pub standby: String,
    /// `async` or `sync`.
    pub replication: String,
    /// The term of the lease, s.
    pub ttl_seconds: u32,
    /// How long step 3 waits, s.
    pub drain_seconds: u32,
    /// How many DNS servers answer for the application's names.
    pub authorities: u32,
}

/// One line of the timeline.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// When, ms.
    pub at_ms: u64,
    /// What kind of line.
    pub kind: EntryKind,
    /// The step it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<u8>,
    /// In one or two words: `ready`, `validate-lease`, `lose reply`. Empty: goes on from the line above.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// The rest.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// How long it took, ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
    /// Index of the report it tells of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<usize>,
}

/// What kind of line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum EntryKind {
    /// The world came to be as described.
    Ready,
    /// A dry run.
    DryRun,
    /// A switchover or failback was asked for, or ended.
    Execute,
    /// A step of a switchover.
    Step,
    /// A fault began or ended.
    Fault,
    /// A health check.
    Health,
    /// Clients wrote for the last time, or for the first time again.
    Clients,
    /// Anything else.
    #[default]
    Note,
}

/// A report, and when it was given.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reported {
    /// When, ms.
    pub at_ms: u64,
    /// The report.
    pub report: Report,
}

/// A report of an operation.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Report {
    /// Of a dry run.
    DryRun(#[schemars(with = "shapes::DryRunReport")] DryRunReport),
    /// Of a switchover.
    Execute(#[schemars(with = "shapes::ExecuteReport")] ExecuteReport),
    /// Of a failback.
    Failback(#[schemars(with = "shapes::ExecuteReport")] ExecuteReport),
    /// Of a health check.
    Health(#[schemars(with = "shapes::HealthReport")] HealthReport),
    /// An operation ended in an error instead of a report.
    Error(String),
}

/// What came of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// How the last switchover or failback ended. Absent: there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shapes::ExecuteResult>")]
    pub result: Option<ExecuteResult>,
    /// How long it took, ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Recovery-time objective, s.
    pub rto_seconds: u32,
    /// By how much the objective was missed, ms: by a switchover that succeeded, or by the longest time in which
    /// nobody could write. Absent: it was met.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rto_missed_by_ms: Option<u64>,
    /// The longest time in which no client's write was acknowledged, from the beginning of the steps to the end of the
    /// run, whether or not one ever was again, ms. Absent: there were no clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_gap_ms: Option<u64>,
    /// What else clients felt. Absent: there were none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub felt: Option<Felt>,
    /// How many writes were acknowledged to clients.
    pub acknowledged_writes: u64,
    /// How many of those are not there at the end.
    pub acknowledged_writes_lost: u64,
    /// Recovery-point objective, s.
    pub rpo_seconds: u32,
    /// The region whose half takes writes at the end. Absent: none, or both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary: Option<String>,
    /// How long the run took, simulated, ms.
    pub simulated_ms: u64,
}

/// What clients felt, over the whole run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Felt {
    /// How long no write was acknowledged, all such times together, ms. One counts where every client has tried.
    pub without_writer_ms: u64,
    /// These times.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub without_writer: Vec<Interval>,
    /// The last of them lasted to the end of the run.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub until_the_end: bool,
    /// How long, beside that, no new session led to a write, all such times together, ms.
    pub new_sessions_refused_ms: u64,
    /// These times.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub new_sessions_refused: Vec<Interval>,
    /// How many writes were refused, or found nobody who took them.
    pub refused_writes: u64,
    /// How many were not answered.
    pub unanswered_writes: u64,
}

/// From one time to another, since the start of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Interval {
    /// From, ms.
    pub from_ms: u64,
    /// To, ms.
    pub to_ms: u64,
}

/// The verdict of a checker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// Its name: `one-writer`.
    pub name: String,
    /// Whether it holds.
    pub ok: bool,
    /// The scenario shows that it does not hold: no failure of the run.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub expected_to_fail: bool,
    /// In a few words: `1,412 acknowledged`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Where it does not hold: which instances, which writes, between which instants.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// When what the first piece of evidence tells of began, ms. Absent: it is so at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<u64>,
    /// What the trace tells around that time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trace: Vec<String>,
}

/// Something expected that was not found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Unmet {
    /// Line of the file, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// What: `execute.expect.result`, `expect.primary`, `fault never fired`.
    pub what: String,
    /// What was expected.
    pub expected: String,
    /// What was found.
    pub found: String,
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        write!(f, "{}: expected {}, found {}", self.what, self.expected, self.found)
    }
}

/// The verdict on a run, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// Every check holds, and everything expected was found.
    Passed,
    /// The run was given up before its end.
    DidNotFinish,
    /// A check does not hold, or something expected was not found.
    Failed,
    /// The simulator itself failed.
    Crashed,
}

impl Verdict {
    /// The exit code.
    pub fn exit_code(self) -> u8 {
        match self {
            Verdict::Passed => 0,
            Verdict::Failed => 1,
            Verdict::DidNotFinish => 2,
            Verdict::Crashed => 70,
        }
    }
}

impl Outcome {
    /// The outcome of a run that has only begun.
    pub fn begin(scenario: &Scenario, options: &RunOptions) -> Self {
        let world = &scenario.spec.world;
        Self {
            scenario: scenario.metadata.name.to_string(),
            file: options.file.clone(),
            seed: options.seed,
            options: Options {
                fabric: options.fabric.name().into(),
                tick_ms: u64::try_from(world.tick.0.as_millis()).unwrap_or(u64::MAX),
                primary: world.primary.to_string(),
                standby: world.primary.other().to_string(),
                replication: match world.replication {
                    crate::format::Replication::Async => "async".into(),
                    crate::format::Replication::Sync => "sync".into(),
                },
                ttl_seconds: world.ttl.0,
                drain_seconds: world.drain.0,
                authorities: world.dns.authorities,
            },
            timeline: Vec::new(),
            reports: Vec::new(),
            result: Summary { rto_seconds: world.rto.0, rpo_seconds: world.rpo.0, ..Summary::default() },
            checks: Vec::new(),
            unmet: Vec::new(),
            did_not_finish: None,
            crashed: None,
            reproduce: options.command(),
            trace: None,
        }
    }

    /// The verdict.
    pub fn verdict(&self) -> Verdict {
        if self.crashed.is_some() {
            Verdict::Crashed
        } else if self.did_not_finish.is_some() {
            // Whatever else is wrong with it, it was judged where it stood, half-way.
            Verdict::DidNotFinish
        } else if self.checks.iter().any(|check| check.ok == check.expected_to_fail) || !self.unmet.is_empty() {
            Verdict::Failed
        } else {
            Verdict::Passed
        }
    }

    /// Adds a report, with its line in the timeline.
    pub fn report(&mut self, at_ms: u64, report: Report) {
        let (kind, label, detail) = describe(&report);
        let took_ms = match &report {
            Report::Execute(r) | Report::Failback(r) => took_ms(r),
            _ => None,
        };
        let index = self.reports.len();
        self.timeline.push(Entry {
            at_ms,
            kind,
            label: label.into(),
            detail,
            took_ms,
            report: Some(index),
            ..Entry::default()
        });
        self.reports.push(Reported { at_ms, report });
    }
}

/// How long a move took, ms: as the controllers counted it where it moved, since its times are those of two machines then.
pub(crate) fn took_ms(report: &ExecuteReport) -> Option<u64> {
    let apart = || u64::try_from(report.finished_at.duration_since(report.started_at).as_millis()).ok();
    report.took_seconds.map(|seconds| (seconds * 1000.0).round() as u64).or_else(apart)
}

fn describe(report: &Report) -> (EntryKind, &'static str, String) {
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    match report {
        Report::DryRun(r) => (
            EntryKind::DryRun,
            "dry run",
            format!(
                "{}, {}, fingerprint {}",
                count(r.blockers.len(), "blocker"),
                count(r.warnings.len(), "warning"),
                r.plan_fingerprint
            ),
        ),
        Report::Execute(r) => (EntryKind::Execute, "executed", ended(r)),
        Report::Failback(r) => (EntryKind::Execute, "failback", ended(r)),
        Report::Health(r) => {
            let passed = r.checks.iter().filter(|check| check.passed).count();
            let deferred = r.checks.iter().filter(|check| check.deferred).count();
            let failed = r.checks.len() - passed - deferred;
            let healthy = if r.overall_healthy { "healthy" } else { "UNHEALTHY" };
            (EntryKind::Health, "health", format!("{healthy}: {passed} passed, {failed} failed, {deferred} deferred"))
        }
        Report::Error(error) => (EntryKind::Note, "error", error.clone()),
    }
}

fn ended(report: &ExecuteReport) -> String {
    let mut text = format!("{} -> {}: {}", report.from, report.to, word(report.result));
    if !report.rolled_back.is_empty() {
        let steps: Vec<String> = report.rolled_back.iter().map(u8::to_string).collect();
        text.push_str(&format!(", steps {} taken back", steps.join(", ")));
    }
    if report.events_owed > 0 {
        text.push_str(&format!(", {} owed to the audit stream", report.events_owed));
    }
    text
}

/// What `continuum run` writes as JSON and YAML: every run with its verdict.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunReport {
    /// The runs, in the order of their files.
    pub runs: Vec<JudgedRun>,
    /// How many passed.
    pub passed: usize,
    /// How many failed.
    pub failed: usize,
    /// How many did not finish, or crashed.
    pub unfinished: usize,
    /// How many were not run, because a signal came before.
    #[serde(skip_serializing_if = "is_zero")]
    pub not_run: usize,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// A run and its verdict.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct JudgedRun {
    /// The verdict.
    pub verdict: Verdict,
    /// What the run gave.
    #[serde(flatten)]
    pub outcome: Outcome,
}

impl RunReport {
    /// Judges runs.
    pub fn of(outcomes: &[Outcome]) -> Self {
        let count = |wanted: &[Verdict]| outcomes.iter().filter(|run| wanted.contains(&run.verdict())).count();
        Self {
            passed: count(&[Verdict::Passed]),
            failed: count(&[Verdict::Failed]),
            unfinished: count(&[Verdict::DidNotFinish, Verdict::Crashed]),
            not_run: 0,
            runs: outcomes
                .iter()
                .map(|outcome| JudgedRun { verdict: outcome.verdict(), outcome: outcome.clone() })
                .collect(),
        }
    }

    /// The worst verdict. Passed where nothing ran.
    pub fn worst(&self) -> Verdict {
        self.runs.iter().map(|run| run.verdict).max().unwrap_or(Verdict::Passed)
    }
}

/// The word for a result.
pub(crate) fn word(result: ExecuteResult) -> &'static str {
    match result {
        ExecuteResult::Succeeded => "succeeded",
        ExecuteResult::Undone => "undone",
        ExecuteResult::Undoing => "undoing",
        ExecuteResult::Declined => "declined",
        ExecuteResult::Refused => "refused",
        ExecuteResult::AlreadyThere => "already there",
        ExecuteResult::Unknown => "unknown",
    }
}

/// What core's reports consist of, by their names in the schema.
const OF_CORE: [&str; 5] = ["DryRunReport", "DryRunStep", "ExecuteReport", "HealthReport", "HealthCheck"];

/// The JSON schema of a [`RunReport`]. Core's reports are of this very version, and have no field that it does not name.
pub fn schema() -> serde_json::Value {
    let mut schema = schemars::generate::SchemaSettings::default()
        .for_serialize()
        .into_generator()
        .into_root_schema_for::<RunReport>()
        .to_value();
    for name in OF_CORE {
        schema["$defs"][name]["additionalProperties"] = false.into();
    }
    schema
}

#[cfg(test)]
mod tests;
