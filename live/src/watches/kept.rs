//! The objects of one kind, as a watch tells. Nothing here waits for a server.

use super::Changed;
use crate::kube_api::{Watched, name_of};
use continuum_core::name::ObjectName;
use continuum_core::observe::Stored;
use kube::runtime::watcher::Event;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// What is kept of each object: `make` makes it. `of` says to which group it belongs, by a name in its namespace; where it is
/// absent, each is one of its own.
pub(super) struct Kept<V> {
    make: fn(Value) -> V,
    of: Option<fn(&V) -> &str>,
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
    /// How often something was told of a group: of one object of it, or of everything. Those that were asked about.
    told_of: BTreeMap<ObjectName, Arc<Told>>,
    objects: BTreeMap<ObjectName, V>,
    /// Names of the objects of each group; none where each is one of its own.
    groups: BTreeMap<ObjectName, BTreeSet<ObjectName>>,
    /// What a list has given so far.
    listed: BTreeMap<ObjectName, V>,
    /// Names whose object was changed, made or deleted; absent: nobody asks.
    changed: Option<BTreeSet<ObjectName>>,
}

/// How often something was told.
#[derive(Default)]
pub(super) struct Told {
    count: AtomicU64,
    more: Notify,
}

impl Told {
    /// So often.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// Until there was more after this was called.
    pub fn more(&self) -> Notified<'_> {
        self.more.notified()
    }

    fn tell(&self) {
        self.count.fetch_add(1, Ordering::AcqRel);
        self.more.notify_waiters();
    }
}

impl<V> State<V> {
    /// Something was told of this group.
    fn tell(&self, group: &ObjectName) {
        if let Some(told) = self.told_of.get(group) {
            told.tell();
        }
    }

    fn leave(&mut self, group: &ObjectName, name: &ObjectName) {
        if let Some(names) = self.groups.get_mut(group) {
            names.remove(name);
            if names.is_empty() {
                self.groups.remove(group);
            }
        }
    }
}

impl<V: Clone + PartialEq> Kept<V> {
    /// With `tells`, names of what changes are kept for whoever asks.
    pub fn new(make: fn(Value) -> V, of: Option<fn(&V) -> &str>, tells: bool) -> Self {
        let state = State {
            unknown: Some("it was not listed yet".into()),
            told: 0,
            told_of: BTreeMap::new(),
            objects: BTreeMap::new(),
            groups: BTreeMap::new(),
            listed: BTreeMap::new(),
            changed: tells.then(BTreeSet::new),
        };
        Self { make, of, state: Mutex::new(state), news: Notify::new(), anew: Notify::new(), doubted: Notify::new() }
    }

    /// Takes what a watch told.
    pub fn take(&self, event: Event<Watched>) {
        let mut state = self.state();
        // `Init` is the watcher's own word, and comes of no server.
        state.told += u64::from(!matches!(event, Event::Init));
        match event {
            Event::Init => state.listed.clear(),
            Event::InitApply(object) => {
                let Watched { object, .. } = object;
                let (name, listed) = (name_of(&object), (self.make)(object));
                // One that is as it was is kept once.
                let known = state.objects.get(&name).filter(|known| **known == listed).cloned();
                state.listed.insert(name, known.unwrap_or(listed));
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut state.listed);
                let before = std::mem::replace(&mut state.objects, listed);
                state.unknown = None;
                state.groups = self.groups(&state.objects);
                state.told_of.values().for_each(|told| told.tell());
                let State { objects, changed, .. } = &mut *state;
                if let Some(changed) = changed {
                    // Which of them changed meanwhile, whoever asks finds out.
                    changed.extend(before.into_keys().chain(objects.keys().cloned()));
                }
            }
            Event::Apply(object) => {
                let Watched { object, .. } = object;
                let name = name_of(&object);
                if let Some(changed) = &mut state.changed {
                    changed.insert(name.clone());
                }
                let now = (self.make)(object);
                let group = self.group(&name, &now);
                if self.of.is_some() {
                    state.groups.entry(group.clone()).or_default().insert(name.clone());
                }
                state.tell(&group);
                // It may have belonged to another.
                let before = state.objects.insert(name.clone(), now).map(|before| self.group(&name, &before));
                if let Some(before) = before.filter(|before| *before != group) {
                    state.leave(&before, &name);
                    state.tell(&before);
                }
            }
            // What it holds is what the object was before, and is not looked at.
            Event::Delete(object) => {
                let name = name_of(&object.object);
                if let Some(before) = state.objects.remove(&name) {
                    let group = self.group(&name, &before);
                    state.leave(&group, &name);
                    state.tell(&group);
                }
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

    /// What is told of this group from now on.
    pub fn told_of(&self, group: &ObjectName) -> Arc<Told> {
        self.state().told_of.entry(group.clone()).or_default().clone()
    }

    /// Whether it is known what there is.
    pub fn is_known(&self) -> bool {
        self.state().unknown.is_none()
    }

    fn group(&self, name: &ObjectName, object: &V) -> ObjectName {
        match self.of {
            Some(of) => ObjectName::new(&name.namespace, of(object)),
            None => name.clone(),
        }
    }

    fn groups(&self, objects: &BTreeMap<ObjectName, V>) -> BTreeMap<ObjectName, BTreeSet<ObjectName>> {
        let mut groups: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (name, object) in objects.iter().filter(|_| self.of.is_some()) {
            groups.entry(self.group(name, object)).or_default().insert(name.clone());
        }
        groups
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

    /// The objects of a group; absent: not known.
    pub fn of_group(&self, group: &ObjectName) -> Option<Vec<(ObjectName, V)>> {
        let state = self.state();
        let names = state.groups.get(group).into_iter().flatten();
        let found = names.filter_map(|name| Some((name.clone(), state.objects.get(name)?.clone())));
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

impl Kept<Stored> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use serde_json::json;
    use std::pin::pin;

    fn object(name: &str, version: &str) -> Watched {
        let object = json!({ "metadata": { "namespace": "shop", "name": name, "resourceVersion": version } });
        object.into()
    }

    fn name(name: &str) -> ObjectName {
        ObjectName::new("shop", name)
    }

    fn list<V: Clone + PartialEq>(kept: &Kept<V>, objects: &[(&str, &str)]) {
        kept.take(Event::Init);
        for (name, version) in objects {
            kept.take(Event::InitApply(object(name, version)));
        }
        kept.take(Event::InitDone);
    }

    fn changed(kept: &Kept<Stored>) -> Vec<(String, Option<String>)> {
        let version = |object: Stored| object.read()["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
        let changes = kept.changes().unwrap().into_iter();
        changes.map(|(name, object)| (name.name, object.map(version))).collect()
    }

    fn words(changes: &[(&str, Option<&str>)]) -> Vec<(String, Option<String>)> {
        changes.iter().map(|(name, version)| ((*name).to_owned(), version.map(str::to_owned))).collect()
    }

    #[test]
    fn nothing_is_known_before_a_whole_list_and_from_an_error_to_the_next() {
        let kept = Kept::new(Stored::from, None, true);
        kept.take(Event::Init);
        kept.take(Event::InitApply(object("a", "1")));
        assert_eq!(kept.get(&name("a")), None, "the list is not whole");
        kept.take(Event::InitDone);
        assert!(kept.get(&name("a")).unwrap().is_some());
        assert_eq!(kept.get(&name("b")), Some(None));
        kept.broke("410".into());
        assert_eq!(kept.get(&name("a")), None);
        assert_eq!(kept.of_group(&name("a")), None);
        assert_eq!((kept.changes(), kept.unknown()), (Err("410".into()), Some("410".into())));
        kept.take(Event::Init);
        kept.take(Event::InitApply(object("a", "2")));
        assert_eq!(kept.get(&name("a")), None, "what was there before may be gone");
        kept.take(Event::InitDone);
        assert!(kept.get(&name("a")).unwrap().is_some());
    }

    /// A Cluster's pair, for what it belongs to.
    fn pairs() -> Kept<Arc<Value>> {
        let of: fn(&Arc<Value>) -> &str = |object| object["metadata"]["labels"]["pair"].as_str().unwrap_or_default();
        Kept::new(Arc::new, Some(of), false)
    }

    fn half(name: &str, pair: &str) -> Watched {
        let metadata = json!({ "namespace": "shop", "name": name, "labels": { "pair": pair } });
        json!({ "metadata": metadata }).into()
    }

    #[test]
    fn what_is_told_of_one_pair_is_no_word_of_another() {
        let kept = pairs();
        let told = |pair: &str| kept.told_of(&name(pair)).count();
        assert_eq!((told("shop"), told("blog")), (0, 0));
        list(&kept, &[]);
        assert_eq!((told("shop"), told("blog")), (1, 1), "a list tells of all");
        kept.take(Event::Apply(half("shop-fsn", "shop")));
        kept.take(Event::Apply(half("shop-fsn", "shop")));
        assert_eq!((told("shop"), told("blog")), (3, 1));
        kept.take(Event::Apply(half("shop-fsn", "blog")));
        assert_eq!((told("shop"), told("blog")), (4, 2), "it was of the one, and is of the other");
        kept.take(Event::Delete(half("shop-fsn", "")));
        assert_eq!((told("shop"), told("blog")), (4, 3), "as it was known, whatever it said at last");
        kept.broke("410".into());
        assert!(!kept.is_known());
        list(&kept, &[]);
        assert_eq!((told("shop"), told("blog")), (5, 4));
    }

    #[test]
    fn whoever_waits_for_more_is_woken() {
        let kept = pairs();
        list(&kept, &[]);
        let told = kept.told_of(&name("shop"));
        let mut more = pin!(told.more());
        kept.take(Event::Apply(half("blog-fsn", "blog")));
        assert!(more.as_mut().now_or_never().is_none());
        kept.take(Event::Apply(half("shop-fsn", "shop")));
        assert!(more.now_or_never().is_some());
    }

    #[test]
    fn a_list_that_broke_off_leaves_nothing_in_the_next() {
        let kept = Kept::new(Arc::new, None, false);
        kept.take(Event::Init);
        kept.take(Event::InitApply(object("a", "1")));
        kept.broke("no answer".into());
        list(&kept, &[("b", "2")]);
        assert_eq!((kept.get(&name("a")), kept.get(&name("b")).unwrap().is_some()), (Some(None), true));
    }

    #[test]
    fn what_changed_is_told_once_as_it_is_now() {
        let kept = Kept::new(Stored::from, None, true);
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
    fn the_objects_of_a_group_are_found_among_those_of_others() {
        let kept = pairs();
        let found = |namespace: &str, pair: &str| {
            let found = kept.of_group(&ObjectName::new(namespace, pair)).unwrap();
            found.into_iter().map(|(name, _)| name.name).collect::<Vec<_>>()
        };
        let at = |namespace: &str, name: &str, pair: &str| {
            json!({ "metadata": { "namespace": namespace, "name": name, "labels": { "pair": pair } } }).into()
        };
        kept.take(Event::Init);
        for (namespace, name) in [("sho", "z"), ("shop", "a"), ("shop", "b"), ("shop-2", "a"), ("z", "a")] {
            kept.take(Event::InitApply(at(namespace, name, if name == "b" { "blog" } else { "shop" })));
        }
        kept.take(Event::InitDone);
        assert_eq!(
            (found("shop", "shop"), found("shop", "blog"), found("blog", "shop")),
            (vec!["a".into()], vec!["b".into()], vec![])
        );
        kept.take(Event::Apply(at("shop", "b", "shop")));
        assert_eq!((found("shop", "shop"), found("shop", "blog")), (vec!["a".into(), "b".into()], vec![]));
        kept.take(Event::Delete(at("shop", "a", "")));
        assert_eq!(found("shop", "shop"), ["b"]);
    }

    #[test]
    fn what_is_listed_anew_and_is_as_it_was_is_kept_once() {
        let kept = Kept::new(Arc::new, None, false);
        list(&kept, &[("a", "1"), ("b", "1")]);
        let before = |of: &str| kept.get(&name(of)).unwrap().unwrap();
        let [a, b] = ["a", "b"].map(before);
        list(&kept, &[("a", "1"), ("b", "2")]);
        assert!(Arc::ptr_eq(&a, &before("a")) && !Arc::ptr_eq(&b, &before("b")));
    }
}
