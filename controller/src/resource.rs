//! One Continuum as its watch told of it last.

use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};

/// The object, replaced whole. Only what is not decided by may be taken from here: a decision reads anew.
pub struct Resource(Mutex<Arc<Value>>);

impl Resource {
    /// As it is now.
    pub fn new(object: Arc<Value>) -> Self {
        Self(Mutex::new(object))
    }

    /// As it was told last.
    pub fn object(&self) -> Arc<Value> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// It is another now.
    pub fn set(&self, object: Arc<Value>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = object;
    }
}
