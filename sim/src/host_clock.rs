//! The clocks of a controller's host, which may be wrong: production's own clock, and what a fault adds to it.
//!
//! A rate bends both clocks and every wait; an offset moves the wall clock alone. The monotonic clock never jumps: what it
//! gained while it went too fast it keeps.

use crate::fabric::Net;
use crate::faults::Skew;
use async_trait::async_trait;
use continuum_core::clock::{Clock, Monotonic};
use continuum_live::clock::SystemClock;
use jiff::{SignedDuration, Timestamp};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// How the clocks of one host have been wrong, and since when each. Cheap to clone.
#[derive(Clone, Default)]
pub struct Skews(Arc<Mutex<Vec<(Duration, Skew)>>>);

impl Skews {
    /// From now on they are wrong so.
    pub fn set(&self, now: Duration, skew: Skew) {
        self.lock().push((now, skew));
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Duration, Skew)>> {
        self.0.lock().expect("nothing panics while it holds the clocks")
    }

    /// The present one, and since when.
    fn present(&self) -> (Duration, Skew) {
        self.lock().last().copied().unwrap_or_default()
    }

    /// By how much a clock that nobody sets has come to differ from the right time, ns.
    fn drift_ns(&self, from: Duration, to: Duration) -> i64 {
        let skews = self.lock();
        let ends = skews.iter().skip(1).map(|(at, _)| *at).chain([to]);
        let spans = skews.iter().zip(ends).map(|((begin, skew), end)| {
            let length = end.min(to).saturating_sub((*begin).max(from)).as_nanos() as i64;
            length / 100 * i64::from(skew.faster_percent)
        });
        spans.sum()
    }
}

/// See the module.
pub struct HostClock {
    inner: SystemClock,
    net: Net,
    started: Duration,
    skews: Skews,
}

impl HostClock {
    /// The clock of a process that starts now.
    pub fn new(net: Net, skews: Skews) -> Self {
        Self { inner: SystemClock::new(), started: net.now(), net, skews }
    }
}

#[async_trait]
impl Clock for HostClock {
    fn now(&self) -> Monotonic {
        let Monotonic(right) = self.inner.now();
        let drift_ns = self.skews.drift_ns(self.started, self.net.now());
        let length = Duration::from_nanos(drift_ns.unsigned_abs());
        Monotonic(if drift_ns < 0 { right.saturating_sub(length) } else { right + length })
    }

    fn wall(&self) -> Timestamp {
        let (since, skew) = self.skews.present();
        let drift = SignedDuration::from_nanos(self.skews.drift_ns(since, self.net.now()));
        self.inner.wall() + SignedDuration::from_millis(skew.offset_ms) + drift
    }

    async fn sleep(&self, duration: Duration) {
        let (_, skew) = self.skews.present();
        self.inner.sleep(duration.mul_f64(100.0 / f64::from(100 + skew.faster_percent))).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_keeps_what_it_gained_and_gains_nothing_more() {
        let seconds = Duration::from_secs;
        let skews = Skews::default();
        assert_eq!(skews.drift_ns(seconds(0), seconds(100)), 0);
        skews.set(seconds(10), Skew { offset_ms: 0, faster_percent: 2 });
        skews.set(seconds(60), Skew::default());
        let drift_s = |from, to| skews.drift_ns(seconds(from), seconds(to)) as f64 / 1e9;
        assert_eq!([drift_s(0, 10), drift_s(0, 35), drift_s(0, 60), drift_s(0, 100)], [0.0, 0.5, 1.0, 1.0]);
        assert_eq!(drift_s(35, 100), 0.5, "a process that started later gained less");
        skews.set(seconds(100), Skew { offset_ms: 0, faster_percent: -10 });
        assert_eq!(drift_s(60, 110), -1.0);
    }
}
