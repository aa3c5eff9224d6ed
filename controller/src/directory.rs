//! The Continuums that this process serves, for its HTTP API.

use continuum_core::controller::Controller;
use continuum_core::name::ObjectName;
use continuum_live::http_api::{self, Operations};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// See the module.
#[derive(Clone, Default)]
pub(crate) struct Directory(Arc<Mutex<BTreeMap<ObjectName, Arc<Controller>>>>);

impl Directory {
    pub fn insert(&self, name: ObjectName, controller: Arc<Controller>) {
        self.entries().insert(name, controller);
    }

    pub fn remove(&self, name: &ObjectName) {
        self.entries().remove(name);
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<ObjectName, Arc<Controller>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl http_api::Directory for Directory {
    fn find(&self, continuum: &ObjectName) -> Option<Arc<dyn Operations>> {
        self.entries().get(continuum).cloned().map(|controller| controller as _)
    }
}
