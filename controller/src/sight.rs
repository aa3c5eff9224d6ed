//! Whether this process sees the witness: what became of its requests about Leases there, whichever Continuum they were for.

use continuum_core::clock::Monotonic;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// See the module.
#[derive(Clone, Default)]
pub(crate) struct Sight(Arc<Mutex<Option<Missed>>>);

/// Requests that were missed since the last that was answered.
#[derive(Clone, Copy)]
struct Missed {
    first: Monotonic,
    last: Monotonic,
}

impl Sight {
    /// The witness answered a request.
    pub fn answered(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// It did not, until `now`.
    pub fn missed(&self, now: Monotonic) {
        let mut missed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *missed = Some(Missed { first: missed.map_or(now, |missed| missed.first), last: now });
    }

    /// How long it was asked in vain. It does not grow while nothing is asked.
    pub fn blind_for(&self) -> Duration {
        let missed = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        missed.map_or(Duration::ZERO, |missed| missed.last.since(missed.first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blindness_lasts_from_the_first_request_that_was_missed_to_the_last_and_ends_with_one_that_is_answered() {
        let (sight, at) = (Sight::default(), |seconds| Monotonic(Duration::from_secs(seconds)));
        assert_eq!(sight.blind_for(), Duration::ZERO, "nothing was asked");
        sight.missed(at(3));
        assert_eq!(sight.blind_for(), Duration::ZERO, "one request that its caller gave up shows nothing");
        sight.missed(at(5));
        assert_eq!(sight.blind_for(), Duration::from_secs(2));
        sight.answered();
        sight.missed(at(50));
        assert_eq!(sight.blind_for(), Duration::ZERO);
    }
}
