//! What clients remember: every write they tried, and what they were told.

use super::spans::{self, Silence, Span};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// What became of a write, as its client knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server said that it is committed.
    Acknowledged,
    /// The server said that it is not, with this SQLSTATE.
    Refused(String),
    /// It was sent, and nothing certain was heard of it.
    Unknown(String),
    /// It was not sent.
    NotSent(String),
}

impl Outcome {
    /// Whether nothing certain was heard: neither that it is committed nor that it is not.
    pub fn is_silence(&self) -> bool {
        match self {
            Outcome::Unknown(_) => true,
            Outcome::NotSent(cause) => cause == NO_ANSWER,
            Outcome::Acknowledged | Outcome::Refused(_) => false,
        }
    }
}

/// Why a write was not sent: whoever was asked said nothing within the limit.
pub(super) const NO_ANSWER: &str = "no answer";

/// Over which road a write went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Road {
    /// As an application writes: where DNS and the gateway lead, over a session that was open.
    Pooled,
    /// The same, over a session of its own.
    NewSession,
    /// Straight to a half, over a session of its own, because a scenario asked for it. No application can.
    Straight,
}

/// A row that its client was told is committed, and did not find in the half that took its next write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The client.
    pub client: String,
    /// The number of the write that is not there.
    pub number: u64,
    /// The region whose half was asked.
    pub half: String,
    /// When.
    pub at: Duration,
}

/// One write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The client.
    pub client: String,
    /// Its number of the write, from 1.
    pub number: u64,
    /// When it began.
    pub started: Duration,
    /// When its outcome was known. Absent: it is under way.
    pub ended: Option<Duration>,
    /// The region whose half it was meant for. Absent: it did not get that far.
    pub half: Option<String>,
    /// Over which road it went.
    pub road: Road,
    /// What became of it. Under way: unknown.
    pub outcome: Outcome,
}

/// How long nothing was written while the primary role moved, as clients saw it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gap {
    /// The last acknowledgement of the old half. Absent: there was none.
    pub last: Option<Duration>,
    /// The first acknowledgement of the new half. Absent: there was none.
    pub first: Option<Duration>,
}

impl Gap {
    /// From the last to the first. Absent: one of them is.
    pub fn length(&self) -> Option<Duration> {
        Some(self.first?.saturating_sub(self.last?))
    }
}

/// The memory of all clients. Cheap to clone; it outlives a crash of their hosts.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<Vec<Attempt>>>, Arc<Mutex<Vec<Missing>>>);

impl Memory {
    /// Of these attempts.
    pub fn of(attempts: Vec<Attempt>) -> Self {
        Self(Arc::new(Mutex::new(attempts)), Arc::default())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Attempt>> {
        self.0.lock().expect("nothing panics while it holds the memory")
    }

    /// Every write, in the order of their beginnings.
    pub fn attempts(&self) -> Vec<Attempt> {
        self.lock().clone()
    }

    /// How many writes were acknowledged.
    pub fn acknowledged_count(&self) -> usize {
        self.lock().iter().filter(|attempt| attempt.outcome == Outcome::Acknowledged).count()
    }

    /// The gap of a move between two regions' halves that began at `since`.
    pub fn gap(&self, from: &str, to: &str, since: Duration) -> Gap {
        let attempts = self.lock();
        let acknowledged = |half: &str| {
            let half = half.to_owned();
            attempts
                .iter()
                .filter(move |a| a.outcome == Outcome::Acknowledged && a.half.as_ref() == Some(&half))
                .filter_map(|a| a.ended)
        };
        let first = acknowledged(to).filter(|at| *at >= since).min();
        let last = acknowledged(from).filter(|at| first.is_none_or(|first| *at <= first)).max();
        Gap { last, first }
    }

    /// The times within `within` in which no client's write was acknowledged, each longer than `longer_than`. They
    /// begin and end with it, whether or not anything was ever acknowledged.
    pub fn silences(&self, within: Span, longer_than: Duration) -> Vec<Silence> {
        spans::silences(&self.lock(), within, longer_than)
    }

    /// The times within `within` in which no new session led to an acknowledgement.
    pub fn newcomers_refused(&self, within: Span) -> Vec<Span> {
        spans::newcomers_refused(&self.lock(), within)
    }

    /// The rows that clients did not find again.
    pub fn missing(&self) -> Vec<Missing> {
        self.1.lock().expect("nothing panics while it holds what is missing").clone()
    }

    /// A client did not find its row again.
    pub(super) fn miss(&self, missing: Missing) {
        self.1.lock().expect("nothing panics while it holds what is missing").push(missing);
    }

    /// The number of the client's last write that was acknowledged.
    pub(super) fn last_acknowledged(&self, client: &str) -> Option<u64> {
        let attempts = self.lock();
        let mut own = attempts.iter().rev().filter(|a| a.client == client && a.outcome == Outcome::Acknowledged);
        own.next().map(|attempt| attempt.number)
    }

    /// The write at this place, and whether it has ended.
    pub(super) fn at(&self, place: usize) -> Option<Attempt> {
        self.lock().get(place).cloned()
    }

    /// A write begins. Its place in the memory.
    pub(super) fn begin(&self, client: &str, number: u64, road: Road, now: Duration) -> usize {
        let attempts = &mut *self.lock();
        attempts.push(Attempt {
            client: client.to_owned(),
            number,
            started: now,
            ended: None,
            half: None,
            road,
            outcome: Outcome::Unknown("under way".into()),
        });
        attempts.len() - 1
    }

    /// The write at this place goes to this half.
    pub(super) fn aim(&self, place: usize, half: &str) {
        self.lock()[place].half = Some(half.to_owned());
    }

    /// The write at this place ended.
    pub(super) fn end(&self, place: usize, outcome: Outcome, now: Duration) {
        let attempt = &mut self.lock()[place];
        attempt.outcome = outcome;
        attempt.ended = Some(now);
    }

    /// The number of a client's next write.
    pub(super) fn next_number(&self, client: &str) -> u64 {
        self.lock().iter().filter(|attempt| attempt.client == client).map(|attempt| attempt.number).max().unwrap_or(0)
            + 1
    }

    pub(super) fn any_under_way(&self) -> bool {
        self.lock().iter().rev().any(|attempt| attempt.ended.is_none())
    }

    /// A host of clients starts: whatever they were at before is not going to end any more.
    pub(super) fn forget_under_way(&self, host: &str, now: Duration) {
        for attempt in self.lock().iter_mut().filter(|a| a.ended.is_none() && a.client.starts_with(host)) {
            attempt.ended = Some(now);
            attempt.outcome = Outcome::Unknown("the client crashed".into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(number: u64, half: &str, ended: u64, outcome: Outcome) -> Attempt {
        let ended = Duration::from_secs(ended);
        let half = Some(half.into());
        Attempt { client: "c".into(), number, started: ended, ended: Some(ended), half, road: Road::Pooled, outcome }
    }

    #[test]
    fn the_gap_of_a_move_is_between_acknowledgements_of_the_two_halves() {
        let seconds = |s| Some(Duration::from_secs(s));
        let memory = Memory::of(vec![
            attempt(1, "hel", 1, Outcome::Acknowledged),
            attempt(2, "fsn", 10, Outcome::Acknowledged),
            attempt(3, "fsn", 12, Outcome::Unknown("no answer".into())),
            attempt(4, "hel", 20, Outcome::Refused("25006".into())),
            attempt(5, "hel", 25, Outcome::Acknowledged),
        ]);
        let gap = memory.gap("fsn", "hel", Duration::from_secs(5));
        assert_eq!((gap.last, gap.first, gap.length()), (seconds(10), seconds(25), seconds(15)));
        assert_eq!(memory.acknowledged_count(), 3);
    }

    #[test]
    fn a_client_that_starts_again_goes_on_counting() {
        let memory = Memory::default();
        let place = memory.begin("clients.fsn-1", 1, Road::Pooled, Duration::ZERO);
        assert!(memory.any_under_way());
        memory.forget_under_way("clients.fsn", Duration::from_secs(1));
        assert!(!memory.any_under_way());
        assert_eq!(memory.next_number("clients.fsn-1"), 2);
        assert_eq!(memory.attempts()[place].outcome, Outcome::Unknown("the client crashed".into()));
    }
}
