//! What clients felt, from their own memory: when nobody could write, when nobody new could, and how that stands to the
//! objective. Counted from the beginning of the steps to the end, whether or not writes ever come back.

use super::conduct::Conductor;
use super::narrate::ms;
use crate::outcome::{Entry, EntryKind, Felt, Interval, Summary};
use continuum_core::report::ExecuteResult;
use continuum_sim::ground::Ground;
use continuum_sim::workload::{Memory, Outcome, Road, Silence, Span};
use std::time::Duration;

/// What an acknowledgement takes at most where nothing is wrong.
const ANSWER: Duration = Duration::from_millis(100);

/// Fills in what clients felt, and tells of it in the timeline.
pub(super) fn summarise(run: &mut Conductor<'_>, ground: &Ground) {
    let result = &mut run.outcome.result;
    if ground.client_count == 0 {
        result.rto_missed_by_ms = missed_by(result, 0);
        return;
    }
    let (memory, within) = (Memory::of(ground.attempts.clone()), ground.run.measured);
    // Between two writes there is always some time: the longest is a fact, whatever it is.
    let gap = memory.silences(within, Duration::ZERO).into_iter().map(|silence| silence.span.length()).max();
    let silences = memory.silences(within, ground.run.pause_max + ANSWER);
    let refused = without(&memory.newcomers_refused(within), &silences);
    let by_application = || ground.attempts.iter().filter(|attempt| attempt.road != Road::Straight);
    let gap_ms = gap.map_or(0, ms);
    result.write_gap_ms = Some(gap_ms);
    result.rto_missed_by_ms = missed_by(result, gap_ms);
    result.felt = Some(Felt {
        without_writer_ms: silences.iter().map(|silence| ms(silence.span.length())).sum(),
        without_writer: silences.iter().map(|silence| interval(&silence.span)).collect(),
        until_the_end: silences.last().is_some_and(|last| last.after.is_none()),
        new_sessions_refused_ms: refused.iter().map(|span| ms(span.length())).sum(),
        new_sessions_refused: refused.iter().map(interval).collect(),
        refused_writes: by_application()
            .filter(|a| a.outcome != Outcome::Acknowledged && !a.outcome.is_silence())
            .count() as u64,
        unanswered_writes: by_application().filter(|a| a.outcome.is_silence()).count() as u64,
    });
    silences.iter().for_each(|silence| run.outcome.timeline.extend(rows(silence)));
}

fn interval(span: &Span) -> Interval {
    Interval { from_ms: ms(span.from), to_ms: ms(span.to) }
}

/// By how much the objective was missed: by a switchover as a whole, or by what clients felt, whichever is more.
fn missed_by(result: &Summary, gap_ms: u64) -> Option<u64> {
    let moved_ms = result.duration_ms.filter(|_| result.result == Some(ExecuteResult::Succeeded)).unwrap_or(0);
    let missed_by_ms = moved_ms.max(gap_ms).saturating_sub(u64::from(result.rto_seconds) * 1000);
    (missed_by_ms > 0).then_some(missed_by_ms)
}

/// What is left of the spans beside the silences.
fn without(spans: &[Span], silences: &[Silence]) -> Vec<Span> {
    let mut left = spans.to_vec();
    for silence in silences.iter().map(|silence| silence.span) {
        let cut = |span: Span| {
            [Span { to: span.to.min(silence.from), ..span }, Span { from: span.from.max(silence.to), ..span }]
        };
        left = left.into_iter().flat_map(cut).filter(|span| span.from < span.to).collect();
    }
    left
}

/// The last write that clients made and the next: beside them stands what controllers saw.
fn rows(silence: &Silence) -> Vec<Entry> {
    let row = |at, detail: String| Entry {
        at_ms: ms(at),
        kind: EntryKind::Clients,
        label: "clients".into(),
        detail,
        ..Entry::default()
    };
    let first = match &silence.before {
        Some(half) => format!("last write, acknowledged by {half}"),
        None => "nobody can write".into(),
    };
    let last = match &silence.after {
        Some(half) => format!("first write, acknowledged by {half}"),
        None => "the run ends, and no write was acknowledged".into(),
    };
    let took_ms = Some(ms(silence.span.length()));
    vec![row(silence.span.from, first), Entry { took_ms, ..row(silence.span.to, last) }]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(from: u64, to: u64) -> Span {
        Span { from: Duration::from_secs(from), to: Duration::from_secs(to) }
    }

    #[test]
    fn a_silence_is_not_told_twice_as_a_refusal_of_newcomers() {
        let silence = |from, to| Silence { span: span(from, to), before: None, after: None };
        let silences = [silence(10, 20), silence(30, 40)];
        assert_eq!(without(&[span(5, 35)], &silences), [span(5, 10), span(20, 30)]);
        assert_eq!(without(&[span(12, 18), span(41, 42)], &silences), [span(41, 42)]);
    }

    #[test]
    fn an_objective_is_missed_by_the_move_or_by_what_clients_felt() {
        let moved = |seconds: u64, result| Summary {
            rto_seconds: 60,
            duration_ms: Some(seconds * 1000),
            result: Some(result),
            ..Summary::default()
        };
        assert_eq!(missed_by(&moved(60, ExecuteResult::Succeeded), 13_000), None);
        assert_eq!(missed_by(&moved(62, ExecuteResult::Succeeded), 13_000), Some(2_000));
        assert_eq!(missed_by(&moved(62, ExecuteResult::Undone), 13_000), None);
        assert_eq!(missed_by(&moved(20, ExecuteResult::Undone), 61_000), Some(1_000));
    }
}
