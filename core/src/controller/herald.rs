//! What a controller says of the record in its own copy, so that others see that it lives and what it knows (PROTOCOL 2.8),
//! and of the lag.

use super::Controller;
use crate::clock::within;
use crate::observe::SeenRecord;
use crate::ports::Outcome;
use crate::status;
use serde_json::Value;
use std::time::Duration;

/// Between two tries to say it, and between two looks whether one's own copy was read.
const PAUSE: Duration = Duration::from_millis(100);
/// Between two tries at rest, where it is refused.
const REFUSED_PAUSE: Duration = Duration::from_secs(5);

impl Controller {
    /// Says in `status.seen` what was read last, wherever a read gave something new, and with it what the lag is by then: at rest
    /// nothing else tells of a lag that moves. A record that nobody renews is read as often, so that its standby's lag is
    /// told all the same.
    pub(super) async fn herald(&self) {
        let Some(keeper) = &self.keeper else { return };
        let news = self.news();
        let mut said: Option<(SeenRecord, Value)> = None;
        loop {
            let base = self.beat_before();
            let seen = keeper.view().zip(base).and_then(|(view, base)| {
                let record = view.record?;
                let left = record.held_by(&self.me).then(|| keeper.term().left);
                let intent = record.intent.as_ref().map(|i| i.id.clone());
                Some((SeenRecord { renewal: record.renewal, intent, beat: base + view.beat }, left, record))
            });
            if let Some((seen, left, record)) = seen {
                let lag = self.lag_at_rest(&record).unwrap_or_default();
                let says = (seen, lag["replicationLagSeconds"].clone());
                if said.as_ref() != Some(&says) {
                    let mut patch = status::seen_patch(&says.0, left, self.clock.wall());
                    status::merge(&mut patch, lag);
                    let again = match self.patch_status(&patch).await {
                        Outcome::Done(()) => None,
                        // A move waits for what is said of it, and what refuses may let it through a moment later.
                        Outcome::Refused(_) if says.0.intent.is_none() => Some(REFUSED_PAUSE),
                        _ => Some(PAUSE),
                    };
                    if let Some(pause) = again {
                        self.clock.sleep(pause).await;
                        continue;
                    }
                    said = Some(says);
                }
            }
            match base {
                Some(_) => news.heard().await,
                // That one's own copy was read for the first time rings no bell.
                None => drop(within(&*self.clock, PAUSE, news.heard()).await),
            }
        }
    }

    /// The beat that stood in one's own copy when this process began: the beat goes on from there, so that
    /// a restart is not taken for a death. Absent: the copy was not read yet.
    fn beat_before(&self) -> Option<u64> {
        let mut shared = self.shared();
        if shared.beat_before.is_none() {
            let copy = shared.copies.get(&self.me)?.known()?;
            shared.beat_before = Some(copy.seen.as_ref().map_or(0, |seen| seen.beat));
        }
        shared.beat_before
    }
}
