//! The clock of a running controller. The only place of this crate that reads one.

use async_trait::async_trait;
use continuum_core::clock::{Clock, Monotonic};
use jiff::Timestamp;
use std::time::{Duration, UNIX_EPOCH};
use tokio::time::Instant;

/// tokio's monotonic time since it was made, and the machine's wall time.
#[derive(Clone, Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock that starts now.
    #[allow(clippy::new_without_default)] // reads a clock, which no default should
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Monotonic {
        Monotonic(self.start.elapsed())
    }

    // This is the implementation of the port that everything else takes wall time from.
    #[allow(clippy::disallowed_methods)]
    fn wall(&self) -> Timestamp {
        let since_epoch = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::UNIX_EPOCH + since_epoch
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
