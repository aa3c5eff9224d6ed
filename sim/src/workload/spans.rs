//! Times in which clients could not do something, read from what they remember.

use super::memory::{Attempt, Outcome, Road};
use std::time::Duration;

/// From one time to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// From.
    pub from: Duration,
    /// To.
    pub to: Duration,
}

impl Span {
    /// How long.
    pub fn length(&self) -> Duration {
        self.to.saturating_sub(self.from)
    }
}

/// A time in which no write was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    /// From the last acknowledgement to the next.
    pub span: Span,
    /// The region whose half gave the last one. Absent: there was none since the measuring began.
    pub before: Option<String>,
    /// The region whose half gave the next one. Absent: there was none until it ended.
    pub after: Option<String>,
}

/// See [`super::Memory::silences`].
pub(super) fn silences(attempts: &[Attempt], within: Span, longer_than: Duration) -> Vec<Silence> {
    let by_application = attempts.iter().filter(|a| a.outcome == Outcome::Acknowledged && a.road != Road::Straight);
    let mut acknowledged: Vec<(Duration, Option<&String>)> = by_application
        .filter_map(|a| Some((a.ended?, a.half.as_ref())))
        .filter(|(at, _)| (within.from..=within.to).contains(at))
        .collect();
    acknowledged.sort();
    let mut silences = Vec::new();
    let mut last: (Duration, Option<&String>) = (within.from, None);
    for next in acknowledged.into_iter().chain([(within.to, None)]) {
        let span = Span { from: last.0, to: next.0 };
        if span.length() > longer_than {
            silences.push(Silence { span, before: last.1.cloned(), after: next.1.cloned() });
        }
        last = next;
    }
    silences
}

/// See [`super::Memory::newcomers_refused`]. One that was refused counts from its beginning to the end of the next
/// that was not.
pub(super) fn newcomers_refused(attempts: &[Attempt], within: Span) -> Vec<Span> {
    let mut newcomers: Vec<(Duration, Duration, bool)> = attempts
        .iter()
        .filter(|a| a.road == Road::NewSession)
        .filter_map(|a| Some((a.ended?, a.started, a.outcome == Outcome::Acknowledged)))
        .filter(|(ended, ..)| (within.from..=within.to).contains(ended))
        .collect();
    newcomers.sort();
    let mut refused = Vec::new();
    let mut since: Option<Duration> = None;
    for (ended, started, acknowledged) in newcomers {
        match (acknowledged, since) {
            (false, None) => since = Some(started.max(within.from)),
            (true, Some(from)) => {
                refused.push(Span { from, to: ended });
                since = None;
            }
            _ => {}
        }
    }
    refused.extend(since.map(|from| Span { from, to: within.to }));
    refused
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn span(from: u64, to: u64) -> Span {
        Span { from: seconds(from), to: seconds(to) }
    }

    fn attempt(at: u64, half: &str, road: Road, acknowledged: bool) -> Attempt {
        let outcome = if acknowledged { Outcome::Acknowledged } else { Outcome::Refused("57P03".into()) };
        let (started, ended, half) = (seconds(at), Some(seconds(at)), Some(half.into()));
        Attempt { client: "c".into(), number: at, started, ended, half, road, outcome }
    }

    #[test]
    fn a_silence_counts_from_the_beginning_and_to_the_end() {
        assert_eq!(silences(&[], span(2, 90), seconds(1))[0].span, span(2, 90));
        let attempts = [
            attempt(10, "fsn", Road::Pooled, true),
            attempt(11, "fsn", Road::Pooled, true),
            attempt(20, "hel", Road::Pooled, false),
            attempt(30, "hel", Road::NewSession, true),
        ];
        let found = silences(&attempts, span(9, 90), seconds(2));
        let halves = |silence: &Silence| (silence.span, silence.before.clone(), silence.after.clone());
        let expected = [
            (span(11, 30), Some("fsn".to_owned()), Some("hel".to_owned())),
            (span(30, 90), Some("hel".to_owned()), None),
        ];
        assert_eq!(found.iter().map(halves).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_write_straight_to_a_half_ends_no_silence() {
        let attempts = [attempt(10, "fsn", Road::Pooled, true), attempt(20, "fsn", Road::Straight, true)];
        assert_eq!(silences(&attempts, span(9, 30), seconds(2))[0].span, span(10, 30));
    }

    #[test]
    fn a_newcomer_is_refused_until_one_is_not_or_to_the_end() {
        let new = |at, acknowledged| attempt(at, "hel", Road::NewSession, acknowledged);
        let attempts =
            [new(5, true), new(6, false), attempt(7, "hel", Road::Pooled, true), new(8, false), new(9, true)];
        assert_eq!(newcomers_refused(&attempts, span(0, 50)), [span(6, 9)]);
        let attempts = [new(5, true), new(40, false)];
        assert_eq!(newcomers_refused(&attempts, span(0, 50)), [span(40, 50)]);
    }
}
