//! Whether the world is at rest, and since when. Rest begins when nothing disturbs the world any more (no fault begins or
//! ends, nobody does anything, no operation is under way) and it has converged, and lasts as long as it stays so.

use super::facts;
use continuum_sim::world::World;
use std::time::Duration;

/// How often it is looked: what is missing for less may be missed.
const EVERY: Duration = Duration::from_millis(100);

/// For so long an event may be owed that became so in the midst of rest.
const PAID_WITHIN: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Default)]
pub(super) struct Rest {
    /// When the world was disturbed last.
    pub disturbed: Duration,
    /// Since when it is at rest. Absent: it is not.
    pub since: Option<Duration>,
    /// What was missing when it was looked last.
    pub missing: Vec<String>,
    /// The rest that was to last: from when, and where it broke, what was missing.
    pub soaked: Option<(Duration, Option<(Duration, String)>)>,
    /// What struck and ended so far.
    struck: usize,
    looked: Duration,
    /// Since when events are owed.
    owed_since: Option<Duration>,
}

impl Rest {
    /// Something was done to the world.
    pub fn disturb(&mut self, now: Duration) {
        self.disturbed = now;
        self.since = None;
    }

    /// Looks, between ticks.
    pub fn look(&mut self, world: &World) {
        let now = world.now();
        let struck = world.board.log_from(self.struck);
        if let Some(last) = struck.last() {
            self.struck += struck.len();
            self.disturb(last.at.max(self.disturbed));
        }
        if now < self.looked + EVERY {
            return;
        }
        self.looked = now;
        let (unsettled, owed) = facts::missing(world);
        self.owed_since = (!owed.is_empty()).then(|| self.owed_since.unwrap_or(now));
        let is_brief = self.owed_since.is_none_or(|since| now < since + PAID_WITHIN);
        let stays = unsettled.is_empty() && is_brief && self.since.is_some();
        self.missing = [unsettled, owed].concat();
        if self.missing.is_empty() {
            self.since.get_or_insert(now);
        } else if !stays {
            self.since = None;
        }
    }
}
