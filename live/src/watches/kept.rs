//! The objects of one kind, as a watch tells. Nothing here waits for a server.

use super::Changed;
use crate::kube_api::name_of;
use continuum_core::name::ObjectName;
use kube::api::DynamicObject;
use kube::runtime::watcher::Event;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// What is kept of each object: `make` makes it.
pub(super) struct Kept<V> {
    make: fn(Value) -> V,
    state: Mutex<State<V>>,
    news: Notify,
    anew: Notify,
    doubted: Notify,
}

struct State<V> {
    /// Why it is not known what there is.
    unknown: Option<String>,
    /// How much was told so far.
    told: u64,
    /// How often something was told of the objects of a namespace: one at a time, or all of them.
    told_in: BTreeMap<String, u64>,
    objects: BTreeMap<ObjectName, V>,
    /// What a list has given so far.
    listed: BTreeMap<ObjectName, V>,
    /// Names whose object was changed, made or deleted; absent: nobody asks.
    changed: Option<BTreeSet<ObjectName>>,
}

impl<V: Clone> Kept<V> {
    /// With `tells`, names of what changes are kept for whoever asks.
    pub fn new(make: fn(Value) -> V, tells: bool) -> Self {
        let state = State {
            unknown: Some("it was not listed yet".into()),
            told: 0,
            told_in: BTreeMap::new(),
            objects: BTreeMap::new(),
            listed: BTreeMap::new(),
            changed: tells.then(BTreeSet::new),
        };
        Self { make, state: Mutex::new(state), news: Notify::new(), anew: Notify::new(), doubted: Notify::new() }
    }

    /// Takes what a watch told.
    pub fn take(&self, event: Event<DynamicObject>) {
        let mut state = self.state();
        // `Init` is the watcher's own word, and comes of no server.
        state.told += u64::from(!matches!(event, Event::Init));
        match event {
            Event::Init => state.listed.clear(),
            Event::InitApply(object) => {
                let object = as_value(&object);
                let name = name_of(&object);
                state.listed.insert(name, (self.make)(object));
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut state.listed);
                let before = std::mem::replace(&mut state.objects, listed);
                state.unknown = None;
                let State { objects, changed, told_in, .. } = &mut *state;
                let namespaces: BTreeSet<&String> =
                    before.keys().chain(objects.keys()).map(|name| &name.namespace).collect();
                namespaces.into_iter().for_each(|namespace| *told_in.entry(namespace.clone()).or_default() += 1);
                if let Some(changed) = changed {
                    // Which of them changed meanwhile, whoever asks finds out.
                    changed.extend(before.into_keys().chain(objects.keys().cloned()));
                }
            }
            Event::Apply(object) => {
                let object = as_value(&object);
                let name = name_of(&object);
                if let Some(changed) = &mut state.changed {
                    changed.insert(name.clone());
                }
                *state.told_in.entry(name.namespace.clone()).or_default() += 1;
                state.objects.insert(name, (self.make)(object));
            }
            // What it holds is what the object was before, and is not looked at.
            Event::Delete(object) => {
                let name = name_of(&as_value(&object));
                state.objects.remove(&name);
                *state.told_in.entry(name.namespace.clone()).or_default() += 1;
                if let Some(changed) = &mut state.changed {
                    changed.insert(name);
                }
            }
        }
        drop(state);
        self.news.notify_one();
    }

    /// The watch broke: what it told is not known to stand any more.
    pub fn broke(&self, cause: String) {
        self.state().unknown = Some(cause);
        self.news.notify_one();
    }

    /// Nothing that was told counts any more, and whoever watches is to list everything again.
    pub fn begin_anew(&self, cause: String) {
        self.broke(cause);
        self.anew.notify_one();
    }

    /// How much was told so far.
    pub fn told(&self) -> u64 {
        self.state().told
    }

    /// How often something was told of this namespace.
    pub fn told_in(&self, namespace: &str) -> u64 {
        self.state().told_in.get(namespace).copied().unwrap_or_default()
    }

    /// What was told does not count, unless there was more since this much was: the watch may be dead. Who lists already, or
    /// waits after a failure, goes on.
    pub fn doubt(&self, told_then: u64) {
        {
            let mut state = self.state();
            if state.unknown.is_some() || state.told != told_then {
                return;
            }
            state.unknown = Some("a request to its server got no answer".to_owned());
        }
        self.news.notify_one();
        self.doubted.notify_one();
    }

    /// Until that is so.
    pub async fn is_doubted(&self) {
        self.doubted.notified().await;
    }

    /// Until that is so.
    pub async fn is_to_begin_anew(&self) {
        self.anew.notified().await;
    }

    /// Why it is not known what there is.
    pub fn unknown(&self) -> Option<String> {
        self.state().unknown.clone()
    }

    /// The object of this name, where there is one; absent: not known.
    pub fn get(&self, name: &ObjectName) -> Option<Option<V>> {
        let state = self.state();
        state.unknown.is_none().then(|| state.objects.get(name).cloned())
    }

    /// The objects of a namespace that are `wanted`; absent: not known.
    pub fn of_namespace(&self, namespace: &str, wanted: impl Fn(&V) -> bool) -> Option<Vec<(ObjectName, V)>> {
        let state = self.state();
        let from = ObjectName::new(namespace, "");
        let here = state.objects.range(from..).take_while(|(name, _)| name.namespace == namespace);
        let found = here.filter(|(_, object)| wanted(object)).map(|(name, object)| (name.clone(), object.clone()));
        state.unknown.is_none().then(|| found.collect())
    }

    /// Until something was told, or the watch broke.
    pub async fn news(&self) {
        self.news.notified().await;
    }

    fn state(&self) -> MutexGuard<'_, State<V>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept<Arc<Value>> {
    /// What changed since this was asked last, or why it is not known what there is.
    pub fn changes(&self) -> Result<Vec<Changed>, String> {
        let mut state = self.state();
        if let Some(cause) = &state.unknown {
            return Err(cause.clone());
        }
        let names = state.changed.as_mut().map(std::mem::take).unwrap_or_default();
        Ok(names.into_iter().map(|name| (name.clone(), state.objects.get(&name).cloned())).collect())
    }
}

fn as_value(object: &DynamicObject) -> Value {
    serde_json::to_value(object).expect("it was read from JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(name: &str, version: &str) -> DynamicObject {
        let object = json!({ "metadata": { "namespace": "shop", "name": name, "resourceVersion": version } });
        serde_json::from_value(object).unwrap()
    }

    fn name(name: &str) -> ObjectName {
        ObjectName::new("shop", name)
    }

    fn list(kept: &Kept<Arc<Value>>, objects: &[(&str, &str)]) {
        kept.take(Event::Init);
        for (name, version) in objects {
            kept.take(Event::InitApply(object(name, version)));
        }
        kept.take(Event::InitDone);
    }

    fn changed(kept: &Kept<Arc<Value>>) -> Vec<(String, Option<String>)> {
        let version = |object: Arc<Value>| object["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
        let changes = kept.changes().unwrap().into_iter();
        changes.map(|(name, object)| (name.name, object.map(version))).collect()
    }

    fn words(changes: &[(&str, Option<&str>)]) -> Vec<(String, Option<String>)> {
        changes.iter().map(|(name, version)| ((*name).to_owned(), version.map(str::to_owned))).collect()
    }

    #[test]
    fn nothing_is_known_before_a_whole_list_and_from_an_error_to_the_next() {
        let kept = Kept::new(Arc::new, true);
        kept.take(Event::Init);
        kept.take(Event::InitApply(object("a", "1")));
        assert_eq!(kept.get(&name("a")), None, "the list is not whole");
        kept.take(Event::InitDone);
        assert!(kept.get(&name("a")).unwrap().is_some());
        assert_eq!(kept.get(&name("b")), Some(None));
        kept.broke("410".into());
        assert_eq!(kept.get(&name("a")), None);
        assert_eq!(kept.of_namespace("shop", |_| true), None);
        assert_eq!((kept.changes(), kept.unknown()), (Err("410".into()), Some("410".into())));
        kept.take(Event::Init);
        kept.take(Event::InitApply(object("a", "2")));
        assert_eq!(kept.get(&name("a")), None, "what was there before may be gone");
        kept.take(Event::InitDone);
        assert!(kept.get(&name("a")).unwrap().is_some());
    }

    #[test]
    fn what_is_told_of_one_namespace_is_no_word_of_another() {
        let kept = Kept::new(Arc::new, false);
        list(&kept, &[("a", "1"), ("b", "1")]);
        assert_eq!((kept.told_in("shop"), kept.told_in("blog")), (1, 0), "a list is one word");
        kept.take(Event::Apply(object("a", "2")));
        kept.take(Event::Delete(object("b", "3")));
        list(&kept, &[]);
        assert_eq!((kept.told_in("shop"), kept.told_in("blog")), (4, 0), "also where nothing is left");
    }

    #[test]
    fn a_list_that_broke_off_leaves_nothing_in_the_next() {
        let kept = Kept::new(Arc::new, false);
        kept.take(Event::Init);
        kept.take(Event::InitApply(object("a", "1")));
        kept.broke("no answer".into());
        list(&kept, &[("b", "2")]);
        assert_eq!((kept.get(&name("a")), kept.get(&name("b")).unwrap().is_some()), (Some(None), true));
    }

    #[test]
    fn what_changed_is_told_once_as_it_is_now() {
        let kept = Kept::new(Arc::new, true);
        list(&kept, &[("a", "1"), ("b", "2")]);
        assert_eq!(changed(&kept), words(&[("a", Some("1")), ("b", Some("2"))]));
        assert_eq!(changed(&kept), []);
        kept.take(Event::Apply(object("a", "3")));
        kept.take(Event::Apply(object("a", "4")));
        kept.take(Event::Delete(object("b", "5")));
        assert_eq!(changed(&kept), words(&[("a", Some("4")), ("b", None)]));
        // What went while nobody watched is told by no event.
        list(&kept, &[("c", "7")]);
        assert_eq!(changed(&kept), words(&[("a", None), ("c", Some("7"))]));
    }

    #[test]
    fn objects_of_one_namespace_are_found_among_those_of_others() {
        let kept = Kept::new(Arc::new, false);
        let at = |namespace: &str, name: &str| {
            let object = json!({ "metadata": { "namespace": namespace, "name": name } });
            serde_json::from_value(object).unwrap()
        };
        kept.take(Event::Init);
        for (namespace, name) in [("sho", "z"), ("shop", "a"), ("shop", "b"), ("shop-2", "a"), ("z", "a")] {
            kept.take(Event::InitApply(at(namespace, name)));
        }
        kept.take(Event::InitDone);
        let found = kept.of_namespace("shop", |object| object["metadata"]["name"] != "b").unwrap();
        assert_eq!(found.into_iter().map(|(name, _)| name).collect::<Vec<_>>(), [name("a")]);
    }
}
