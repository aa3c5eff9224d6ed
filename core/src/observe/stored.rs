//! JSON that is kept for long and looked at seldom.

use serde_json::Value;
use std::fmt;
use std::sync::Arc;

/// A JSON value as text: so it takes a tenth of the memory. Shared, not copied.
#[derive(Clone, PartialEq, Eq)]
pub struct Stored(Arc<str>);

impl Stored {
    /// The value, made anew each time.
    pub fn read(&self) -> Value {
        // It was a value before it was text.
        serde_json::from_str(&self.0).unwrap_or_default()
    }

    /// Whether it is not only equal, but the same.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl From<&Value> for Stored {
    fn from(value: &Value) -> Self {
        Self(value.to_string().into())
    }
}

impl From<Value> for Stored {
    fn from(value: Value) -> Self {
        Self::from(&value)
    }
}

impl Default for Stored {
    /// `null`.
    fn default() -> Self {
        Self::from(Value::Null)
    }
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_stored_is_read_as_it_was() {
        for value in [json!({ "a": [1, 1.5, null, "ü\n"], "b": {} }), json!(u64::MAX), json!(-0.0), Value::Null] {
            let stored = Stored::from(&value);
            assert_eq!(stored.read(), value);
            assert!(stored == Stored::from(value) && stored.is(&stored.clone()));
        }
        assert_eq!(Stored::default().read(), Value::Null);
    }
}
