//! What is measured of one Continuum, for whoever counts: a pure function from what a controller knows, as the status is.
//! Absent: not known, and never 0.

use crate::name::Region;
use crate::record::{EndResult, Ended};
use crate::status::{Known, PHASES};
use crate::steps::{STEP_COUNT, name};
use jiff::Timestamp;
use std::time::Duration;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measures {
    /// One of [`PHASES`].
    pub phase: Option<&'static str>,
    /// Of the record.
    pub generation: Option<u64>,
    /// What is left of this region's own term; absent too where it is not the holder.
    pub term_left: Option<Duration>,
    /// The end of the term in which it begins nothing that makes a half writable; absent too where it is not the holder.
    pub term_guard: Option<Duration>,
    /// Replication lag from the holder's half, s.
    pub lag_seconds: Option<u64>,
    /// The move that ended last.
    pub last: Option<LastMove>,
    /// Events that are owed to the stream.
    pub events_owed: Option<usize>,
    /// When the oldest of them happened.
    pub events_owed_since: Option<Timestamp>,
    /// What somebody else wrote that this product keeps, and that still stands or was put right just now.
    pub interference: Option<usize>,
}

/// A move that ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LastMove {
    /// It succeeded.
    pub succeeded: bool,
    /// When it ended.
    pub at: Timestamp,
    /// From its beginning to its end; of one that succeeded.
    pub took: Option<Duration>,
    /// How long nobody took writes.
    pub write_gap: Option<Duration>,
    /// Writes lost, s of replication lag; of one that succeeded.
    pub loss_seconds: Option<u64>,
    /// How long each step took that was done, by the clock of the region that did it.
    pub steps: Vec<(&'static str, Duration)>,
}

impl LastMove {
    fn of(ended: &Ended) -> Self {
        let succeeded = ended.result == EndResult::Succeeded;
        let took = |number: u8| {
            let step = &ended.steps[usize::from(number) - 1];
            // A clock that was set back meanwhile measured nothing.
            let took = step.finished_at?.duration_since(step.started_at?);
            Some((name(number), Duration::try_from(took).ok()?))
        };
        Self {
            succeeded,
            at: ended.finished_at,
            took: ended.took_ms.filter(|_| succeeded).map(Duration::from_millis),
            write_gap: ended.write_gap_ms.map(Duration::from_millis),
            loss_seconds: ended.loss_seconds.filter(|_| succeeded),
            steps: (1..=STEP_COUNT).filter_map(took).collect(),
        }
    }
}

/// From what is known in the region `me`, whose status says `phase`.
pub fn measures(known: &Known, me: &Region, phase: Option<&str>) -> Measures {
    let record = known.record.as_deref();
    // What was read before a witness went away may not hold any more.
    let current = record.filter(|_| known.witness_unreachable.is_none());
    let own = record.filter(|record| record.held_by(me));
    // What is owed is known once both were read.
    let ledger = known.ledger.as_ref().filter(|_| record.is_some());
    let owed = || own.iter().flat_map(|record| &record.owed).chain(ledger.iter().flat_map(|ledger| &ledger.owed));
    Measures {
        phase: PHASES.into_iter().find(|known| Some(*known) == phase),
        generation: current.map(|record| record.generation),
        term_left: known.term_left,
        term_guard: known.term_guard,
        lag_seconds: known.lag_seconds,
        // A failback that was declined moved nothing.
        last: record.and_then(|r| r.last.as_deref()).filter(|l| l.result != EndResult::Declined).map(LastMove::of),
        events_owed: ledger.map(|ledger| owed().count() + ledger.unread.len()),
        events_owed_since: ledger.and_then(|_| owed().map(|event| event.body.timestamp).min()),
        interference: Some(known.progress.interference.len()).filter(|_| known.progress.watched),
    }
}

#[cfg(test)]
mod tests;
