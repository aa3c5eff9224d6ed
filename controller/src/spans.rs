//! Spans of a switchover that ended: a pure function from its journal. One is for the whole, and below it stands one for each
//! step that was tried.
//!
//! ```text
//!   from  validate-lease  cordon-old-primary  drain-http  flip-dns  swap-lease
//!   to    uncordon-new-primary  audit-emit  switchover        one trace, told by two processes
//! ```
//!
//! Both regions read the journal, and each tells of what it did itself. Ids follow from the journal, so the parts meet in one
//! trace without anything that is handed over; and what is told twice, by a process that began anew or by another replica, is
//! the same span with the same content. That is why nothing is told before the end: until then what is done may be undone.

mod exporter;
mod follow;
mod otlp;
#[cfg(test)]
mod tests;

pub(crate) use exporter::Exporter;
pub(crate) use follow::follow;

use continuum_core::name::{ObjectName, Region};
use continuum_core::plan::short_hash;
use continuum_core::record::{EndResult, Ended, Kind};
use continuum_core::steps::{self, POINT_OF_NO_RETURN, STEP_COUNT};
use jiff::Timestamp;

/// The name of the span that the others stand below.
const WHOLE: &str = "switchover";

/// A span as it is sent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Span {
    /// 32 hex digits.
    pub trace: String,
    /// 16 hex digits.
    pub id: String,
    /// The span that it stands below; absent: none.
    pub parent: Option<String>,
    pub name: &'static str,
    pub began: Timestamp,
    /// Never before it began.
    pub ended: Timestamp,
    pub result: SpanResult,
    pub facts: Vec<(&'static str, Fact)>,
}

/// How what a span is of went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SpanResult {
    /// Neither well nor wrong: it was stopped.
    Open,
    Well,
    /// And why.
    Wrong(String),
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fact {
    Text(String),
    Number(u64),
    Is(bool),
}

impl From<&str> for Fact {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// The trace of a switchover, 32 hex digits. Its id alone would be that of another one too: of a pair of the same name in other
/// clusters, or of one whose record was deleted.
pub(crate) fn trace(ended: &Ended) -> String {
    let half = |half: &str| hash(ended, half);
    half("trace, first half") + &half("trace, second half")
}

/// 16 hex digits that both regions come to.
fn hash(ended: &Ended, of: &str) -> String {
    short_hash(format!("{} {} {}: {of}", ended.id, ended.started_at, ended.fingerprint).as_bytes())
}

/// What the region `me` tells of a switchover of `name`.
pub(crate) fn spans(name: &ObjectName, ended: &Ended, me: &Region) -> Vec<Span> {
    // A failback that was refused, cancelled or timed out moved nothing.
    if ended.result == EndResult::Declined {
        return Vec::new();
    }
    let steps = (1..=STEP_COUNT).filter(|number| step_is_of(ended, *number) == me);
    let mut spans: Vec<Span> = steps.filter_map(|number| step(name, ended, number)).collect();
    if whole_is_of(ended) == me {
        spans.push(whole(name, ended));
    }
    spans
}

/// The region that does this step: the holder of the lease, which step 5 hands on.
fn step_is_of(ended: &Ended, number: u8) -> &Region {
    let new = number >= POINT_OF_NO_RETURN || ended.kind == Kind::Failover;
    if new { &ended.to } else { &ended.from }
}

/// The region that ends it: one that is undone ends with the lease where it was.
fn whole_is_of(ended: &Ended) -> &Region {
    let back = ended.result == EndResult::Undone && ended.kind != Kind::Failover;
    if back { &ended.from } else { &ended.to }
}

fn whole(name: &ObjectName, ended: &Ended) -> Span {
    let (word, result) = match ended.result {
        EndResult::Succeeded => ("succeeded", SpanResult::Well),
        EndResult::Undone | EndResult::Declined => {
            let cause = ended.failure.as_deref().unwrap_or("it was undone");
            ("undone", SpanResult::Wrong(steps::failure_text(ended.failed_at_step, cause)))
        }
    };
    let mut facts = shared(name, ended);
    facts.extend([
        ("continuum.from", Fact::from(ended.from.as_str())),
        ("continuum.to", ended.to.as_str().into()),
        ("continuum.kind", kind(ended.kind).into()),
        ("continuum.result", word.into()),
    ]);
    let numbers = [
        ("continuum.generation", generation(ended)),
        ("continuum.failed_at_step", Some(u64::from(ended.failed_at_step)).filter(|step| *step > 0)),
        ("continuum.took_ms", ended.took_ms),
        ("continuum.write_gap_ms", ended.write_gap_ms),
    ];
    facts.extend(numbers.into_iter().filter_map(|(name, number)| Some((name, Fact::Number(number?)))));
    Span {
        trace: trace(ended),
        id: hash(ended, WHOLE),
        parent: None,
        name: WHOLE,
        began: ended.started_at,
        // Two machines' clocks.
        ended: ended.finished_at.max(ended.started_at),
        result,
        facts,
    }
}

/// Nothing of a step that was not tried.
fn step(name: &ObjectName, ended: &Ended, number: u8) -> Option<Span> {
    let state = &ended.steps[usize::from(number) - 1];
    let began = state.started_at?;
    // That one failed which the switchover was turned back for, though its effect had been there.
    let failed = ended.result == EndResult::Undone && ended.failed_at_step == number;
    let (word, result) = match (&state.failure, state.finished_at) {
        (Some(why), finished) if failed || finished.is_none() => ("failed", SpanResult::Wrong(why.clone())),
        (_, Some(_)) => ("done", SpanResult::Well),
        (_, None) => ("unfinished", SpanResult::Open),
    };
    let mut facts = shared(name, ended);
    facts.extend([
        ("continuum.step.number", Fact::Number(number.into())),
        ("continuum.step.name", steps::name(number).into()),
        ("continuum.step.result", word.into()),
        ("continuum.step.attempts", Fact::Number(state.attempts.into())),
        ("continuum.step.undone", Fact::Is(state.undone_at.is_some())),
    ]);
    facts.extend(state.undone_at.map(|at| ("continuum.step.undone_at", Fact::Text(at.to_string()))));
    facts.extend(state.note.as_deref().map(|note| ("continuum.step.note", note.into())));
    Some(Span {
        trace: trace(ended),
        id: hash(ended, steps::name(number)),
        parent: Some(hash(ended, WHOLE)),
        name: steps::name(number),
        began,
        // When a step failed is not in the journal: it was over by then.
        ended: state.finished_at.or(state.undone_at).unwrap_or(ended.finished_at).max(began),
        result,
        facts,
    })
}

/// What every span tells.
fn shared(name: &ObjectName, ended: &Ended) -> Vec<(&'static str, Fact)> {
    vec![
        ("continuum.namespace", name.namespace.as_str().into()),
        ("continuum.name", name.name.as_str().into()),
        ("continuum.switchover.id", ended.id.as_str().into()),
    ]
}

/// The generation that it began in, as its id has it: `namespace/name/generation.sequence`.
fn generation(ended: &Ended) -> Option<u64> {
    ended.id.rsplit_once('/')?.1.split_once('.')?.0.parse().ok()
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Planned => "planned",
        Kind::Failover => "failover",
        Kind::Failback => "failback",
    }
}
