//! The Continuums that this process serves, for its HTTP API.

use crate::metrics::Blockers;
use continuum_core::controller::Controller;
use continuum_core::measures::Measures;
use continuum_core::name::ObjectName;
use continuum_core::record::Ended;
use continuum_live::http_api::{self, Operations};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// See the module.
#[derive(Clone, Default)]
pub(crate) struct Directory(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// All Continuums were listed, once.
    listed: bool,
    /// Who answers for each; absent: nobody at this moment.
    entries: BTreeMap<ObjectName, Option<Arc<Controller>>>,
}

impl Directory {
    /// All Continuums were listed: one that is not known is none.
    pub fn listed(&self) {
        self.state().listed = true;
    }

    /// There is such a Continuum, and nobody answers for it yet.
    pub fn expects(&self, name: &ObjectName) {
        self.state().entries.insert(name.clone(), None);
    }

    /// This answers for it from now on. Nothing for one that went meanwhile, here and below.
    pub fn answers(&self, name: &ObjectName, controller: Arc<Controller>) {
        self.set(name, Some(controller));
    }

    /// Nobody answers for it now.
    pub fn silent(&self, name: &ObjectName) {
        self.set(name, None);
    }

    fn set(&self, name: &ObjectName, controller: Option<Arc<Controller>>) {
        if let Some(entry) = self.state().entries.get_mut(name) {
            *entry = controller;
        }
    }

    /// It is gone.
    pub fn remove(&self, name: &ObjectName) {
        self.state().entries.remove(name);
    }

    /// What the metrics page tells of each.
    pub fn measured(&self) -> Vec<(ObjectName, Option<Measures>, Blockers)> {
        let entries: Vec<_> = self.state().entries.iter().map(|(name, entry)| (name.clone(), entry.clone())).collect();
        let measured = entries.into_iter().map(|(name, controller)| {
            let blockers = controller.iter().flat_map(|controller| controller.sequencer().blockers());
            let blockers = blockers.map(|(to, count)| (to.to_string(), count)).collect();
            (name, controller.and_then(|controller| controller.measures()), blockers)
        });
        measured.collect()
    }

    /// The switchover of each that ended last.
    pub fn ended(&self) -> Vec<(ObjectName, Ended)> {
        let entries: Vec<_> = self.state().entries.iter().map(|(name, entry)| (name.clone(), entry.clone())).collect();
        entries.into_iter().filter_map(|(name, controller)| Some((name, controller?.last_switchover()?))).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl http_api::Directory for Directory {
    fn find(&self, continuum: &ObjectName) -> Option<Arc<dyn Operations>> {
        self.state().entries.get(continuum)?.clone().map(|controller| controller as _)
    }

    fn may_come(&self, continuum: &ObjectName) -> bool {
        let state = self.state();
        !state.listed || state.entries.contains_key(continuum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use continuum_live::http_api::Directory as _;

    #[test]
    fn one_that_is_not_known_is_none_only_after_a_whole_list() {
        let (directory, name) = (Directory::default(), ObjectName::new("shop", "shop"));
        assert!(directory.may_come(&name));
        directory.listed();
        assert!(!directory.may_come(&name));
        directory.expects(&name);
        assert!(directory.may_come(&name) && directory.find(&name).is_none());
        directory.remove(&name);
        // Its tasks end later, and say so.
        directory.silent(&name);
        assert!(!directory.may_come(&name));
    }
}
