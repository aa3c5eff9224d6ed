//! One Continuum as its watch told of it last.

use continuum_core::observe::Stored;
use serde_json::Value;
use std::sync::{Mutex, PoisonError};

/// The object, replaced whole. Only what is not decided by may be taken from here: a decision reads anew.
pub struct Resource(Mutex<Stored>);

impl Resource {
    /// As it is now.
    pub fn new(object: Stored) -> Self {
        Self(Mutex::new(object))
    }

    /// As it was told last.
    pub fn object(&self) -> Value {
        let object = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        object.read()
    }

    /// It is another now.
    pub fn set(&self, object: Stored) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = object;
    }
}
