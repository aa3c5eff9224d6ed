//! The table: one screen for a person. Seed and options first, a line for each transition, the verdicts, and last
//! the command that gives the run again.

use super::layout::{BAD, CARE, GOOD, QUIET, STEP, STRONG, WIDTH, grouped, join, pad, paint, seconds, wrap};
use crate::outcome::{Check, Entry, EntryKind, Interval, Outcome, Report, RunReport, Summary, Verdict, word};

/// Where the heading of the times ends.
const HEADING_COLUMN: usize = 9;
/// Where the detail of a phase begins.
const PHASE_COLUMN: usize = 24;
/// Where the detail of a step begins.
const STEP_COLUMN: usize = 40;
/// Where durations end.
const TOOK_COLUMN: usize = 93;
/// Where the text of the last block begins.
const VERDICT_COLUMN: usize = 11;
/// How many times without a writer are shown one by one.
const SPANS_SHOWN_MAX: usize = 3;
/// How many lines of evidence are shown for one check.
const EVIDENCE_LINES_MAX: usize = 20;

/// One run.
pub fn table(run: &Outcome) -> String {
    let mut out = Lines::default();
    out.line(format!("{} · {}", paint(STRONG, &run.scenario), options(run)));
    if run.timeline.is_empty() {
        out.line(String::new());
    } else {
        let took = format!("{:>width$}", "took", width = TOOK_COLUMN - HEADING_COLUMN);
        out.line(paint(QUIET, &format!("{:>width$}{took}", "time", width = HEADING_COLUMN)));
    }
    for entry in &run.timeline {
        out.entry(run, entry);
    }
    if !run.timeline.is_empty() {
        out.line(String::new());
    }
    out.verdicts(run);
    out.text
}

/// Several runs: a line for each, and the whole of those that did not pass.
pub fn summary(runs: &[Outcome]) -> String {
    let labels: Vec<String> = runs.iter().map(|run| label(run, runs)).collect();
    let width = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0);
    let mut out = Lines::default();
    for (run, label) in runs.iter().zip(&labels) {
        let checks = run.checks.len();
        let held = run.checks.iter().filter(|check| check.ok).count();
        let gap = run.result.write_gap_ms.map(|ms| format!("writes stopped for {}", seconds(ms))).unwrap_or_default();
        let mut facts =
            vec![result(&run.result), gap, format!("{held} of {checks} checks"), format!("seed {}", run.seed)];
        facts.retain(|fact| !fact.is_empty());
        let verdict = run.verdict();
        let shown = paint(style(verdict), &pad(verdict_word(verdict), 16));
        out.line(format!("{shown}{}  {}", pad(label, width), facts.join(" · ")));
    }
    for run in runs.iter().filter(|run| run.verdict() != Verdict::Passed) {
        out.line(String::new());
        out.text.push_str(&table(run));
    }
    let report = RunReport::of(runs);
    out.line(String::new());
    let count = |n: usize, what: &str, style| paint(if n > 0 { style } else { QUIET }, &format!("{n} {what}"));
    out.line(format!(
        "{}, {}, {}",
        count(report.passed, "passed", GOOD),
        count(report.failed, "failed", BAD),
        count(report.unfinished, "unfinished", BAD)
    ));
    out.text
}

/// The name of a scenario; with its file where another one has the name too.
fn label(run: &Outcome, runs: &[Outcome]) -> String {
    let is_other = |other: &&Outcome| other.scenario == run.scenario && other.file != run.file;
    match runs.iter().find(is_other) {
        Some(_) => format!("{} ({})", run.scenario, run.file),
        None => run.scenario.clone(),
    }
}

fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::Failed => "FAILED",
        Verdict::DidNotFinish => "DID NOT FINISH",
        Verdict::Crashed => "CRASHED",
    }
}

fn style(verdict: Verdict) -> anstyle::Style {
    if verdict == Verdict::Passed { GOOD } else { BAD }
}

fn options(run: &Outcome) -> String {
    let o = &run.options;
    let authorities = if o.authorities == 1 { String::new() } else { format!(", {} authorities", o.authorities) };
    format!(
        "seed {} · {} {} ms · {} -> {}, {}, ttl {} s, drain {} s{authorities}",
        run.seed, o.fabric, o.tick_ms, o.primary, o.standby, o.replication, o.ttl_seconds, o.drain_seconds
    )
}

/// `succeeded in 27.3 s (RTO 60 s) · lost 0 (RPO 5 s)`.
fn result(summary: &Summary) -> String {
    let mut parts = Vec::new();
    if let Some(result) = summary.result {
        parts.push(match (summary.duration_ms, summary.rto_missed_by_ms) {
            (Some(ms), None) => format!("{} in {} (RTO {} s)", word(result), seconds(ms), summary.rto_seconds),
            (Some(ms), Some(_)) => format!("{} in {}", word(result), seconds(ms)),
            (None, _) => word(result).to_owned(),
        });
    }
    if let Some(ms) = summary.rto_missed_by_ms {
        parts.push(format!("RTO of {} s missed by {}", summary.rto_seconds, seconds(ms)));
    }
    if summary.acknowledged_writes > 0 {
        parts.push(format!("lost {} (RPO {} s)", grouped(summary.acknowledged_writes_lost), summary.rpo_seconds));
    }
    parts.join(" · ")
}

/// `no write acknowledged 3.1 s - 16.9 s (13.8 s); new sessions refused 0.6 s more, from 22.4 s; 838 acknowledged, ...`.
fn clients(summary: &Summary) -> Option<String> {
    let felt = summary.felt.as_ref()?;
    let mut parts = vec![match felt.without_writer.as_slice() {
        [] => "somebody could write all the time".to_owned(),
        spans => {
            let mut shown: Vec<String> = spans.iter().take(SPANS_SHOWN_MAX).map(span).collect();
            if felt.until_the_end && spans.len() <= SPANS_SHOWN_MAX {
                shown.iter_mut().next_back().into_iter().for_each(|last| last.push_str(", to the end"));
            }
            let more = spans.len().saturating_sub(SPANS_SHOWN_MAX);
            if more > 0 {
                shown.push(if more == 1 { "once more".to_owned() } else { format!("{more} times more") });
            }
            let all =
                if spans.len() > 1 { format!(", {} in all", seconds(felt.without_writer_ms)) } else { String::new() };
            format!("no write acknowledged {}{all}", shown.join(", "))
        }
    }];
    if let Some(first) = felt.new_sessions_refused.first() {
        let from = seconds(first.from_ms);
        let length = match felt.new_sessions_refused_ms {
            0..100 => "less than 0.1 s".to_owned(),
            ms => seconds(ms),
        };
        parts.push(format!("new sessions refused {length} more, from {from}"));
    }
    let mut counts = vec![format!("{} acknowledged", grouped(summary.acknowledged_writes))];
    for (count, what) in [(felt.refused_writes, "refused"), (felt.unanswered_writes, "not answered")] {
        if count > 0 {
            counts.push(format!("{} {what}", grouped(count)));
        }
    }
    counts.push(format!("{} lost", grouped(summary.acknowledged_writes_lost)));
    parts.push(counts.join(", "));
    Some(parts.join("; "))
}

/// `3.1 s - 16.9 s (13.8 s)`.
fn span(span: &Interval) -> String {
    let length = span.to_ms.saturating_sub(span.from_ms);
    format!("{} - {} ({})", seconds(span.from_ms), seconds(span.to_ms), seconds(length))
}

#[derive(Default)]
struct Lines {
    text: String,
}

impl Lines {
    fn line(&mut self, line: impl AsRef<str>) {
        self.text.push_str(line.as_ref().trim_end());
        self.text.push('\n');
    }

    /// A line of the timeline, and what its report adds.
    fn entry(&mut self, run: &Outcome, entry: &Entry) {
        let time = paint(QUIET, &format!("{:>9}", seconds(entry.at_ms)));
        let (head, column) = match (entry.kind, entry.step) {
            (EntryKind::Fault, _) => {
                let label = pad(&format!("FAULT {}", entry.label), STEP_COLUMN - 17);
                (format!("{time}       {} ", paint(CARE, &label)), STEP_COLUMN)
            }
            (EntryKind::Step, Some(step)) if !entry.label.is_empty() => {
                let label = pad(&entry.label, STEP_COLUMN - 17);
                (format!("{time}   {} {label} ", paint(STEP, &format!("{step}/7"))), STEP_COLUMN)
            }
            (EntryKind::Step, _) => (format!("{time}{}", " ".repeat(STEP_COLUMN - 9)), STEP_COLUMN),
            _ => (format!("{time}  {}", paint(STRONG, &pad(&entry.label, PHASE_COLUMN - 11))), PHASE_COLUMN),
        };
        self.columns(&head, column, &entry.detail, entry.took_ms);
        if let Some(reported) = entry.report.and_then(|index| run.reports.get(index)) {
            self.report(&reported.report);
        }
    }

    /// `head`, the detail wrapped at its column, and a duration at the end of its last line.
    fn columns(&mut self, head: &str, column: usize, detail: &str, took_ms: Option<u64>) {
        let took = took_ms.map(seconds);
        let end = took.as_ref().map_or(WIDTH, |took| TOOK_COLUMN - took.len() - 2);
        let wrapped = wrap(detail, end - column);
        let last = wrapped.len() - 1;
        for (index, part) in wrapped.iter().enumerate() {
            let start = if index == 0 { head.to_owned() } else { " ".repeat(column) };
            match &took {
                Some(took) if index == last => {
                    let took = format!("{took:>width$}", width = TOOK_COLUMN - end);
                    self.line(format!("{start}{}{}", pad(part, end - column), paint(QUIET, &took)));
                }
                _ => self.line(format!("{start}{part}")),
            }
        }
    }

    fn report(&mut self, report: &Report) {
        match report {
            Report::DryRun(r) => {
                r.blockers.iter().for_each(|blocker| self.remark(BAD, "blocker", blocker));
                r.warnings.iter().for_each(|warning| self.remark(CARE, "warning", warning));
            }
            Report::Execute(r) | Report::Failback(r) => {
                r.error.iter().for_each(|error| self.remark(CARE, "error", error));
            }
            Report::Health(r) => {
                for check in r.checks.iter().filter(|check| !check.passed && !check.deferred) {
                    self.remark(BAD, "failed", &format!("{}: {}", check.name, check.detail));
                }
            }
            Report::Error(_) => {}
        }
    }

    fn remark(&mut self, style: anstyle::Style, label: &str, text: &str) {
        let head = format!("{}{}", " ".repeat(PHASE_COLUMN), paint(style, &pad(label, 9)));
        self.columns(&head, PHASE_COLUMN + 9, text, None);
    }

    fn verdicts(&mut self, run: &Outcome) {
        let result = result(&run.result);
        if !result.is_empty() {
            self.block("result", &result);
        }
        if let Some(clients) = clients(&run.result) {
            self.block("clients", &clients);
        }
        if !run.checks.is_empty() {
            let parts: Vec<(String, usize)> = run.checks.iter().map(verdict_of).collect();
            for (index, line) in join(&parts, WIDTH - VERDICT_COLUMN).iter().enumerate() {
                let head = if index == 0 { "checks" } else { "" };
                self.line(format!("{}{line}", paint(STRONG, &pad(head, VERDICT_COLUMN))));
            }
        }
        for check in run.checks.iter().filter(|check| !check.ok) {
            self.evidence(check);
        }
        for unmet in &run.unmet {
            self.styled_block(BAD, "UNMET", &unmet.to_string());
        }
        if let Some(why) = &run.did_not_finish {
            self.styled_block(BAD, "NOT ENDED", why);
        }
        if let Some(why) = &run.crashed {
            self.styled_block(BAD, "CRASHED", why);
        }
        self.block("reproduce", &run.reproduce);
    }

    fn evidence(&mut self, check: &Check) {
        let (label, style) = if check.expected_to_fail { ("shown", CARE) } else { ("FAILED", BAD) };
        let when = check.at_ms.map(|at_ms| format!(" at {}", seconds(at_ms))).unwrap_or_default();
        self.styled_block(style, label, &format!("{}{when}: {}", check.name, check.detail));
        // The detail of a check that failed is the first of its evidence.
        let lines: Vec<&String> = check.evidence.iter().filter(|line| **line != check.detail).collect();
        for line in lines.iter().take(EVIDENCE_LINES_MAX) {
            self.block("", line);
        }
        if let Some(more) = lines.len().checked_sub(EVIDENCE_LINES_MAX).filter(|more| *more > 0) {
            self.block("", &format!("and {more} more, in --output json"));
        }
        for (index, line) in check.trace.iter().enumerate() {
            self.styled_block(QUIET, if index == 0 { "trace" } else { "" }, line);
        }
    }

    fn block(&mut self, label: &str, text: &str) {
        self.styled_block(STRONG, label, text);
    }

    fn styled_block(&mut self, style: anstyle::Style, label: &str, text: &str) {
        self.columns(&paint(style, &pad(label, VERDICT_COLUMN)), VERDICT_COLUMN, text, None);
    }
}

/// `no-lost-write ok (1,412 acknowledged)`, and its length.
fn verdict_of(check: &Check) -> (String, usize) {
    let word = if check.ok { "ok" } else { "FAILED" };
    let detail = match (check.ok, check.detail.as_str()) {
        (true, detail) if !detail.is_empty() => format!(" ({detail})"),
        _ => String::new(),
    };
    let length = check.name.chars().count() + 1 + word.len() + detail.chars().count();
    let style = if check.ok { GOOD } else { BAD };
    (format!("{} {}{detail}", check.name, paint(style, word)), length)
}
