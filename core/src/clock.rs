//! The clock port. Core never reads a clock itself: terms and ages are counted on what this gives.

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

/// Runs `work` for at most `limit`; `None` where it did not end. The work is dropped then: whatever it
/// had sent may still be carried out.
pub async fn within<T>(clock: &dyn Clock, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    match select(pin!(work), clock.sleep(limit)).await {
        Either::Left((value, _)) => Some(value),
        Either::Right(((), _)) => None,
    }
}
