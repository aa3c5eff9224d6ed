//! The clock port. Core never reads a clock itself: terms and ages are counted on what this gives.

use crate::name::ObjectName;
use async_trait::async_trait;
use futures_util::future::{Either, select};
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

/// Time since this process started, on its own monotonic clock. Never compared between machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Monotonic(pub Duration);

impl Monotonic {
    /// Time from `earlier` to here; zero where `earlier` is later.
    pub fn since(self, earlier: Monotonic) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl std::ops::Add<Duration> for Monotonic {
    type Output = Monotonic;
    fn add(self, d: Duration) -> Monotonic {
        Monotonic(self.0 + d)
    }
}

/// A clock: monotonic time to decide by, wall time only to write down for people, and waiting.
#[async_trait]
pub trait Clock: Send + Sync {
    /// Monotonic time of this process.
    fn now(&self) -> Monotonic;
    /// Wall time, for timestamps in reports and events. Never decided by.
    fn wall(&self) -> jiff::Timestamp;
    /// Waits.
    async fn sleep(&self, duration: Duration);
}

/// The moments at which the tasks of one Continuum look again: all at the same ones. So one to which nothing happens wakes up
/// once a second, however many tasks it has, and a thousand of them do not wake up at once.
#[derive(Clone, Copy, Debug)]
pub struct Beats {
    hash: u64,
}

/// Between two of them.
const BEAT: Duration = Duration::from_secs(1);
/// Those of several fall together, so that a process with many wakes up no more often than in so long a time.
const SLOT: Duration = Duration::from_millis(50);

impl Beats {
    /// Those of `name`.
    pub fn of(name: &ObjectName) -> Self {
        let bytes = name.namespace.bytes().chain([0]).chain(name.name.bytes());
        // FNV-1a: the same on every machine and in every build.
        let hash =
            bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
        Self { hash }
    }

    /// From `now` to the last one that is no later than `pause` from then. A pause that is shorter than a beat stays as it is.
    pub fn within(self, now: Monotonic, pause: Duration) -> Duration {
        self.every(BEAT, now, pause)
    }

    /// The same, of what comes once in a `period`, as a renewal does: those of many are spread over it.
    pub fn once_in(self, period: Duration, now: Monotonic) -> Duration {
        self.every(period.max(BEAT), now, period)
    }

    fn every(self, period: Duration, now: Monotonic, pause: Duration) -> Duration {
        if pause < period {
            return pause;
        }
        let (now, period) = (now.0.as_nanos(), period.as_nanos());
        let slots = u128::from(self.hash) % (period / SLOT.as_nanos());
        let phase = slots * SLOT.as_nanos();
        // The phase is shorter than the period, so nothing is taken from nothing.
        let beat = |at: u128| (at + period - phase) / period;
        let left = (beat(now + pause.as_nanos()) - 1) * period + phase - now;
        Duration::from_nanos(u64::try_from(left).unwrap_or(u64::MAX))
    }
}

/// Runs `work` for at most `limit`; `None` where it did not end. The work is dropped then: whatever it
/// had sent may still be carried out.
pub async fn within<T>(clock: &dyn Clock, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    match select(pin!(work), clock.sleep(limit)).await {
        Either::Left((value, _)) => Some(value),
        Either::Right(((), _)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beats(name: &str) -> Beats {
        Beats::of(&ObjectName::new("shop", name))
    }

    #[test]
    fn tasks_rest_to_the_same_beats_and_never_longer_than_asked() {
        let ms = Duration::from_millis;
        let ends = |at: u64, pause: u64| ms(at) + beats("shop").within(Monotonic(ms(at)), ms(pause));
        let first = ends(0, 1000);
        assert_eq!(ends(7, 20), ms(27), "it is not made longer");
        for at in 0..2000 {
            for pause in [1000, 1500, 4000] {
                let end = ends(at, pause);
                assert!(end > ms(at) && end <= ms(at + pause) && end > ms(at + pause) - BEAT, "{at} {pause} {end:?}");
                assert_eq!((end + BEAT - first).as_nanos() % BEAT.as_nanos(), 0, "{at} {pause} {end:?}");
            }
        }
    }

    #[test]
    fn what_many_do_once_in_a_period_is_spread_over_it() {
        let period = Duration::from_secs(10);
        let mut of_each_second = [0; 10];
        for number in 0..1000 {
            let first = beats(&format!("app-{number}")).once_in(period, Monotonic::default());
            assert!(first > Duration::ZERO && first <= period);
            let again = beats(&format!("app-{number}")).once_in(period, Monotonic(first));
            assert_eq!(again, period, "from then on it is in step");
            let soon = Duration::from_millis(250);
            assert_eq!(beats(&format!("app-{number}")).once_in(soon, Monotonic(first)), soon);
            of_each_second[first.as_secs() as usize % 10] += 1;
        }
        assert!(of_each_second.iter().all(|count| (50..200).contains(count)), "{of_each_second:?}");
    }
}
