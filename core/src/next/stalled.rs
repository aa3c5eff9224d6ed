//! A demotion that cannot end by itself. The operator makes the token, and calls the demotion done, from a PostgreSQL that
//! is shut down behind the fence. Where somebody lifts the fence before (16k of the recordings), or the operator lifts it
//! and its next write is lost, PostgreSQL runs: the operator looks again every ten seconds, finds it running, and refuses
//! every change of the role meanwhile. Fenced again it is through in seconds, but for the 25 s that the instance manager
//! is deaf after an unfencing.
//!
//! Where the operator was between the unfencing and its last write all the time, that write comes after all: the
//! demotion is over, and its fence is on, which nobody else would lift.

use super::permit::permit_to_follow;
use crate::observe::{Claim, ClusterView, Half, Role};
use crate::ports::ClusterChange;
use crate::record::Record;
use std::time::Duration;

/// Between lifting the fence and its last write the operator took up to 1.8 s in the recordings.
const STALLED_AFTER: Duration = Duration::from_secs(5);
/// The same where each moment may cost a write.
const WRITES_AFTER: Duration = Duration::from_secs(1);
/// The operator looks at a demotion that waits every ten seconds.
const LEFT_AFTER: Duration = Duration::from_secs(15);

/// Whether the signs are there; one look does not tell it from the end of a demotion.
pub(super) fn is_stalled(half: &Half) -> bool {
    let begun = half.cluster.known().is_some_and(|c| c.role == Role::Replica && c.in_progress && !c.fenced);
    begun && half.database.known().is_some_and(|database| database.in_recovery.is_some())
}

/// Whether the signs have lasted, so that the half is to be fenced again. The write is conditional on the version that was
/// seen: where the operator came to its end after all, it is refused.
pub(super) fn stalled_for_good(half: &Half) -> bool {
    is_stalled(half) && half.stalled_for >= if half.takes_writes() { WRITES_AFTER } else { STALLED_AFTER }
}

/// Whether a demotion is over and the fence that this product put on again is on: for a moment, or for good. There may be
/// no token any more, where the half was told to be primary behind the fence. A fence that somebody else wants is none of
/// these.
pub(super) fn is_left_fenced(half: &Half) -> bool {
    let ours = |cluster: &ClusterView| cluster.claim.as_ref().is_some_and(Claim::fences);
    half.cluster.known().is_some_and(|c| {
        let over = c.role == Role::Replica && !c.in_progress;
        c.fenced && over && ours(c)
    })
}

/// Whether such a fence was lifted, and its claim tells of it still.
pub(super) fn is_fence_lifted(cluster: &ClusterView) -> bool {
    cluster.role == Role::Replica
        && !cluster.fenced
        && !cluster.in_progress
        && cluster.claim.as_ref().is_some_and(Claim::fences)
}

/// What the holder does for a half whose demotion does not end, or whose fence outlived it.
pub(super) fn mend(half: &Half, record: &Record) -> Option<ClusterChange> {
    if stalled_for_good(half) {
        return Some(ClusterChange::Fence);
    }
    if half.cluster.known().is_some_and(is_fence_lifted) {
        // A fence that comes from now on is somebody else's.
        return Some(ClusterChange::Claim);
    }
    let left = is_left_fenced(half) && half.left_fenced_for >= LEFT_AFTER;
    let permit = permit_to_follow(half, record).filter(|_| left)?;
    Some(ClusterChange::Unfence { permit })
}
