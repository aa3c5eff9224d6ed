//! The term: how long this region may act on what it last renewed. Durations on one's own monotonic
//! clock only; no time from another machine is compared (H17).
//!
//! Self-fencing and takeover are decided from the same two numbers and will stand here.

use crate::clock::Monotonic;
use crate::spec::LeaseSpec;
use std::time::Duration;

/// How long a request to the witness or the audit stream may take.
pub const WITNESS_LIMIT: Duration = Duration::from_secs(3);

/// How long any other request may take.
pub const REQUEST_LIMIT: Duration = Duration::from_secs(5);

/// The holder's view of its own term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// Left until it ends; zero where it has, or where nothing was renewed yet.
    pub left: Duration,
    /// Fencing begins this long before the end.
    pub guard: Duration,
}

impl Term {
    /// The term of a holder whose last renewal known to have succeeded was sent at `sent`.
    pub fn of(lease: &LeaseSpec, sent: Option<Monotonic>, now: Monotonic) -> Self {
        let ttl = Duration::from_secs(lease.ttl_seconds.into());
        let left = sent.map_or(Duration::ZERO, |sent| ttl.saturating_sub(now.since(sent)));
        Self { left, guard: Duration::from_secs(lease.guard_seconds.into()) }
    }

    /// Whether an action that takes at most `limit` may be sent.
    pub fn allows(&self, limit: Duration) -> bool {
        self.left > limit
    }

    /// Whether a write that makes a half writable may be sent: its limit must end before the guard
    /// begins, so that it cannot come true after the term (H27).
    pub fn allows_writable(&self, limit: Duration) -> bool {
        self.left > limit + self.guard
    }
}

/// How long a record must not have changed, since one first saw its present version, before its term is
/// known to be over: `ttl` times (1 + drift), plus 1 s.
pub fn over_after(lease: &LeaseSpec) -> Duration {
    let ttl_ms = u64::from(lease.ttl_seconds) * 1000;
    Duration::from_millis(ttl_ms + ttl_ms * u64::from(lease.drift_percent) / 100 + 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::LeaseKind;

    const LEASE: LeaseSpec = LeaseSpec {
        kind: LeaseKind::K8sLease,
        ttl_seconds: 30,
        renew_seconds: 10,
        guard_seconds: 10,
        drift_percent: 1,
    };

    #[test]
    fn a_term_counts_from_the_sending_of_the_renewal() {
        let sent = Monotonic(Duration::from_secs(100));
        let term = Term::of(&LEASE, Some(sent), Monotonic(Duration::from_secs(112)));
        assert_eq!(term.left, Duration::from_secs(18));
        assert!(term.allows(REQUEST_LIMIT));
        assert!(term.allows_writable(REQUEST_LIMIT));
    }

    #[test]
    fn a_write_that_makes_writable_must_end_before_the_guard_begins() {
        let term = Term::of(&LEASE, Some(Monotonic::default()), Monotonic(Duration::from_secs(16)));
        assert!(term.allows(REQUEST_LIMIT));
        assert!(!term.allows_writable(REQUEST_LIMIT));
    }

    #[test]
    fn nothing_is_allowed_before_the_first_renewal() {
        assert!(!Term::of(&LEASE, None, Monotonic(Duration::from_secs(1))).allows(Duration::ZERO));
    }

    #[test]
    fn others_wait_for_the_drift_and_a_second_more() {
        assert_eq!(over_after(&LEASE), Duration::from_millis(31_300));
    }
}
