//! What was read and is taken for true for a while, so that not every look at a database asks an API server first.

use continuum_core::clock::{Clock, Monotonic};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Values by key, each for as long from when it was put.
pub(crate) struct Kept<K, V> {
    clock: Arc<dyn Clock>,
    kept_for: Duration,
    values: Mutex<BTreeMap<K, (Monotonic, V)>>,
}

impl<K: Ord, V: Clone> Kept<K, V> {
    /// Each for `kept_for`.
    pub fn new(clock: Arc<dyn Clock>, kept_for: Duration) -> Self {
        Self { clock, kept_for, values: Mutex::default() }
    }

    pub fn get(&self, key: &K) -> Option<V> {
        let now = self.clock.now();
        let values = self.values();
        let (at, value) = values.get(key)?;
        (now.since(*at) < self.kept_for).then(|| value.clone())
    }

    /// Only one value of a key is kept, and no more keys than are asked for.
    pub fn put(&self, key: K, value: V) {
        let now = self.clock.now();
        let mut values = self.values();
        values.retain(|_, (at, _)| now.since(*at) < self.kept_for);
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
    use crate::postgres::test_server::Hand;

    #[test]
    fn a_value_is_kept_for_its_time_and_no_longer() {
        let clock = Arc::new(Hand::default());
        let kept = Kept::new(clock.clone(), Duration::from_secs(60));
        kept.put("a", 1);
        clock.advance(Duration::from_secs(59));
        assert_eq!(kept.get(&"a"), Some(1));
        clock.advance(Duration::from_secs(1));
        assert_eq!(kept.get(&"a"), None);
    }
}
