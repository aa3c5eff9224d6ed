//! A demotion that cannot end by itself. The operator makes the token, and calls the demotion done, from a PostgreSQL that
//! is shut down behind the fence. Where somebody lifts the fence before (16k of the recordings), or the operator lifts it
//! and its next write is lost, PostgreSQL runs: the operator looks again every ten seconds, finds it running, and refuses
//! every change of the role meanwhile. Fenced again it is through in seconds.

use crate::observe::{Half, Role};
use std::time::Duration;

/// Between lifting the fence and its last write the operator took up to 1.8 s in the recordings.
const STALLED_AFTER: Duration = Duration::from_secs(5);
/// The same where each moment may cost a write.
const WRITES_AFTER: Duration = Duration::from_secs(1);

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
