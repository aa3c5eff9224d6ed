//! What clients remember: every write they tried, and what they were told.

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
pub struct Memory(Arc<Mutex<Vec<Attempt>>>);

impl Memory {
    /// Of these attempts.
    pub fn of(attempts: Vec<Attempt>) -> Self {
        Self(Arc::new(Mutex::new(attempts)))
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

    /// The longest time in which no write was acknowledged, between two that were: when, and how long.
    pub fn longest_gap(&self) -> Option<(Duration, Duration)> {
        let attempts = self.lock();
        let acknowledged = attempts.iter().filter(|a| a.outcome == Outcome::Acknowledged);
        let mut times: Vec<Duration> = acknowledged.filter_map(|a| a.ended).collect();
        times.sort();
        times.windows(2).map(|pair| (pair[0], pair[1] - pair[0])).max_by_key(|(_, length)| *length)
    }

    /// A write begins. Its place in the memory.
    pub(super) fn begin(&self, client: &str, number: u64, now: Duration) -> usize {
        let attempts = &mut *self.lock();
        attempts.push(Attempt {
            client: client.to_owned(),
            number,
            started: now,
            ended: None,
            half: None,
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
        Attempt { client: "c".into(), number, started: ended, ended: Some(ended), half: Some(half.into()), outcome }
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
        assert_eq!(memory.longest_gap(), Some((Duration::from_secs(10), Duration::from_secs(15))));
        assert_eq!(memory.acknowledged_count(), 3);
    }

    #[test]
    fn a_client_that_starts_again_goes_on_counting() {
        let memory = Memory::default();
        let place = memory.begin("clients.fsn-1", 1, Duration::ZERO);
        assert!(memory.any_under_way());
        memory.forget_under_way("clients.fsn", Duration::from_secs(1));
        assert!(!memory.any_under_way());
        assert_eq!(memory.next_number("clients.fsn-1"), 2);
        assert_eq!(memory.attempts()[place].outcome, Outcome::Unknown("the client crashed".into()));
    }
}
