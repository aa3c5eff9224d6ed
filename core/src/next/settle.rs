//! For how long halves have been as they are seen, and whether one has come through the restart that its operator orders
//! after a promotion (H30).
//!
//! The operator turns `archive_mode` from `always` to `on`, which takes a restart. An operator that leaves the setting as
//! it is orders none (H52): there only time tells that nothing more comes.

use super::permit::is_untouched;
use super::stalled::{is_left_fenced, is_stalled};
use crate::clock::Monotonic;
use crate::name::Region;
use crate::observe::{Half, Observations, Seen};
use std::collections::BTreeMap;
use std::time::Duration;

/// The operator has ordered the restart within two seconds of the promotion in every recording.
const SETTLED_AFTER: Duration = Duration::from_secs(10);

/// What the operator calls a Cluster for which it does nothing.
pub(super) const HEALTHY: &str = "Cluster in healthy state";

/// Since when each half is seen to be at rest, stalled, left behind a fence, or not touched by its operator.
#[derive(Debug, Default)]
pub(crate) struct Settling {
    at_rest: Since,
    stalled: Since,
    left_fenced: Since,
    untouched: Since,
}

type Since = BTreeMap<Region, Monotonic>;

impl Settling {
    /// Takes note of a look, and says in it for how long each half has been so.
    pub(crate) fn fill(&mut self, seen: &mut Observations, now: Monotonic) {
        for (region, half) in &mut seen.halves {
            if matches!(half.database, Seen::NotLooked) || matches!(half.cluster, Seen::NotLooked) {
                continue;
            }
            half.left_fenced_for = lasting(&mut self.left_fenced, region, is_left_fenced(half), now);
            half.untouched_for = lasting(&mut self.untouched, region, is_untouched(half), now);
            half.settled_for = lasting(&mut self.at_rest, region, is_at_rest(half), now);
            half.stalled_for = lasting(&mut self.stalled, region, is_stalled(half), now);
        }
    }
}

/// For how long it has been so.
fn lasting(since: &mut Since, region: &Region, is: bool, now: Monotonic) -> Duration {
    if !is {
        since.remove(region);
        return Duration::ZERO;
    }
    now.since(*since.entry(region.clone()).or_insert(now))
}

fn is_at_rest(half: &Half) -> bool {
    let quiet = half.cluster.known().is_some_and(|c| c.ready == Some(true) && c.phase.as_deref() == Some(HEALTHY));
    quiet && half.takes_writes() && half.database.known().is_some_and(|d| d.pending_restart == Some(false))
}

/// Not seen is not through: while the restart goes on no connection is taken.
pub(super) fn restart_is_through(half: &Half) -> bool {
    half.database.known().is_some_and(|database| {
        let left_always = match database.archive_mode.as_deref() {
            Some("always") => half.settled_for < SETTLED_AFTER,
            Some(_) => false,
            None => true,
        };
        database.pending_restart == Some(false) && !left_always
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preflight::fixture;

    fn promoted(archive_mode: &str) -> Observations {
        let mut seen = fixture::facts().observations;
        let half = seen.half_mut(&fixture::fsn());
        if let Seen::Is(database) = &mut half.database {
            database.archive_mode = Some(archive_mode.into());
        }
        seen
    }

    fn through_after(seconds: &[u64], look: impl Fn(u64) -> Observations) -> Vec<bool> {
        let mut settling = Settling::default();
        let at = |seconds: &u64| {
            let mut seen = look(*seconds);
            settling.fill(&mut seen, Monotonic(Duration::from_secs(*seconds)));
            restart_is_through(seen.half(&fixture::fsn()))
        };
        seconds.iter().map(at).collect()
    }

    #[test]
    fn a_setting_that_was_restarted_for_is_proof_enough() {
        assert_eq!(through_after(&[0], |_| promoted("on")), [true]);
    }

    #[test]
    fn a_setting_that_the_operator_leaves_is_settled_by_time_at_rest() {
        assert_eq!(through_after(&[0, 5, 9, 10, 11], |_| promoted("always")), [false, false, false, true, true]);
    }

    #[test]
    fn a_restart_that_is_ordered_late_begins_the_wait_anew() {
        let ordered_at_8 = |at| {
            let mut seen = promoted("always");
            if at == 8
                && let Seen::Is(database) = &mut seen.half_mut(&fixture::fsn()).database
            {
                database.pending_restart = Some(true);
            }
            seen
        };
        assert_eq!(through_after(&[0, 7, 8, 9, 18, 19], ordered_at_8), [false, false, false, false, false, true]);
    }

    #[test]
    fn what_is_not_looked_at_neither_settles_nor_unsettles() {
        let blind_at_5 = |at| {
            let mut seen = promoted("always");
            if at == 5 {
                seen.half_mut(&fixture::fsn()).database = Seen::NotLooked;
            }
            seen
        };
        assert_eq!(through_after(&[0, 5, 10], blind_at_5), [false, false, true]);
    }
}
