//! What was read and is taken for true for a while, so that not every look at a database asks an API server first.

use continuum_core::clock::{Clock, Monotonic};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// For so long. A secret that disappeared is noticed within it.
const KEPT_FOR: Duration = Duration::from_secs(60);

/// Values by key, each for [`KEPT_FOR`] from when it was put.
pub(crate) struct Kept<K, V> {
    clock: Arc<dyn Clock>,
    values: Mutex<BTreeMap<K, (Monotonic, V)>>,
}

impl<K: Ord, V: Clone> Kept<K, V> {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, values: Mutex::default() }
    }

    pub fn get(&self, key: &K) -> Option<V> {
        let now = self.clock.now();
        let values = self.values();
        let (at, value) = values.get(key)?;
        (now.since(*at) < KEPT_FOR).then(|| value.clone())
    }

    /// Only one value of a key is kept, and no more keys than are asked for.
    pub fn put(&self, key: K, value: V) {
        let now = self.clock.now();
        let mut values = self.values();
        values.retain(|_, (at, _)| now.since(*at) < KEPT_FOR);
        values.insert(key, (now, value));
    }

    pub fn drop(&self, key: &K) {
        self.values().remove(key);
    }

    pub fn clear(&self) {
        self.values().clear();
    }

    fn values(&self) -> MutexGuard<'_, BTreeMap<K, (Monotonic, V)>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;

    struct Hand(Mutex<Duration>);

    #[async_trait]
    impl Clock for Hand {
        fn now(&self) -> Monotonic {
            Monotonic(*self.0.lock().unwrap())
        }
        fn wall(&self) -> jiff::Timestamp {
            jiff::Timestamp::UNIX_EPOCH
        }
        async fn sleep(&self, _: Duration) {}
    }

    #[test]
    fn a_value_is_kept_for_a_minute_and_no_longer() {
        let clock = Arc::new(Hand(Mutex::default()));
        let kept = Kept::new(clock.clone());
        kept.put("a", 1);
        *clock.0.lock().unwrap() = Duration::from_secs(59);
        assert_eq!(kept.get(&"a"), Some(1));
        *clock.0.lock().unwrap() = Duration::from_secs(60);
        assert_eq!(kept.get(&"a"), None);
    }
}
