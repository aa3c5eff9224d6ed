//! What the API server keeps, and everything that ever happened to it. The rules for changing it stand in
//! `registry.rs`.
//!
//! It stands for etcd: it survives a crash of the server's host. Users in the same process (the
//! set-up of a world, a person's edits, checkers) call it directly and pass no gate.

use super::registry::{Key, Preconditions, State, Target};
use super::select::Selector;
use super::{Refusal, Resource, Webhook, patch};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Bound;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Notify;

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeEvent {
    /// Created.
    Added,
    /// Changed.
    Modified,
    /// Deleted.
    Deleted,
}

impl ChangeEvent {
    /// As in a watch.
    pub fn name(self) -> &'static str {
        match self {
            ChangeEvent::Added => "ADDED",
            ChangeEvent::Modified => "MODIFIED",
            ChangeEvent::Deleted => "DELETED",
        }
    }
}

/// One change of one object.
#[derive(Clone, Debug)]
pub struct Change {
    /// Simulated time.
    pub at: Duration,
    /// Its resource version.
    pub version: u64,
    /// What happened.
    pub event: ChangeEvent,
    /// Kind of the object.
    pub resource: &'static Resource,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Who did it: `<field manager or user agent>@<host>` through HTTP, else as the caller calls itself.
    pub by: String,
    /// The generation it claims (annotation `dr.openova.io/generation`).
    pub claim: Option<u64>,
    /// The object after it; for a deletion the last one.
    pub object: Arc<Value>,
    /// The object before it.
    pub before: Option<Arc<Value>>,
}

/// A right that can be denied. `*` in a field stands for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Right {
    /// `get`, `patch`, ...
    pub verb: String,
    /// API group.
    pub group: String,
    /// Plural name.
    pub resource: String,
    /// Subresource; empty for the object itself.
    pub subresource: String,
}

impl Right {
    fn covers(&self, asked: &Right) -> bool {
        let fits = |mine: &str, theirs: &str| mine == "*" || mine == theirs;
        fits(&self.verb, &asked.verb)
            && fits(&self.group, &asked.group)
            && fits(&self.resource, &asked.resource)
            && fits(&self.subresource, &asked.subresource)
    }
}

/// Judges a new or changed object, given the old one, as a validating webhook does. It is called while the
/// store is locked, so it must not use the store.
pub type Admission = Arc<dyn Fn(Option<&Value>, &Value) -> Result<(), Refusal> + Send + Sync>;

/// The store of one API server. Clones are the same store.
#[derive(Clone)]
pub struct Store {
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
}

impl Store {
    /// An empty store of the API server `name`.
    pub fn new(name: &str) -> Self {
        let state = State::new(name);
        Store { state: Arc::new(Mutex::new(state)), changed: Arc::new(Notify::new()) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the store")
    }

    /// The object.
    pub fn get(&self, resource: &'static Resource, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.lock().object(resource, namespace, name)
    }

    /// The objects of a kind, by namespace and name.
    pub fn list(&self, resource: &'static Resource, namespace: Option<&str>) -> Vec<Value> {
        self.select(resource, namespace, &Selector::default()).1.iter().map(|object| (**object).clone()).collect()
    }

    /// The present version, and the objects that a selector selects.
    pub(super) fn select(
        &self,
        resource: &'static Resource,
        namespace: Option<&str>,
        selector: &Selector,
    ) -> (u64, Vec<Arc<Value>>) {
        let state = self.lock();
        (state.version, selected(&state.objects, resource, namespace, selector))
    }

    /// As [`Store::select`], at an earlier version.
    pub(super) fn select_at(
        &self,
        version: u64,
        resource: &'static Resource,
        namespace: Option<&str>,
        selector: &Selector,
    ) -> Result<Vec<Arc<Value>>, Refusal> {
        let state = self.lock();
        if version < state.oldest {
            return Err(Refusal::expired(version, state.oldest));
        }
        Ok(selected(&state.objects_at(version), resource, namespace, selector))
    }

    /// Creates an object; its status is dropped where that is a subresource.
    pub fn create(&self, resource: &'static Resource, object: Value, by: &str) -> Result<Arc<Value>, Refusal> {
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default().to_string();
        self.create_in(Target { resource, namespace: &namespace, name: "", by, dry_run: false }, object)
    }

    /// As [`Store::create`]; the target's name is not used.
    pub(super) fn create_in(&self, target: Target<'_>, object: Value) -> Result<Arc<Value>, Refusal> {
        let created = self.lock().create(target, object)?;
        self.changed.notify_waiters();
        Ok(created)
    }

    /// Merges a patch into an object, or into its status with `subresource` = `status`. Conditional where the
    /// patch names `metadata.resourceVersion`.
    pub fn merge_patch(
        &self,
        resource: &'static Resource,
        namespace: &str,
        name: &str,
        subresource: &str,
        patch: &Value,
        by: &str,
    ) -> Result<Arc<Value>, Refusal> {
        self.update(Target { resource, namespace, name, by, dry_run: false }, subresource, |object| {
            patch::merge(object, patch);
            Ok(())
        })
    }

    /// Changes an object with `edit`, which sees the present one.
    pub(super) fn update(
        &self,
        target: Target<'_>,
        subresource: &str,
        edit: impl FnOnce(&mut Value) -> Result<(), Refusal>,
    ) -> Result<Arc<Value>, Refusal> {
        let updated = self.lock().update(target, subresource, edit)?;
        self.changed.notify_waiters();
        Ok(updated)
    }

    /// Replaces an object; the first result says that it was created instead.
    pub(super) fn replace(
        &self,
        target: Target<'_>,
        subresource: &str,
        new: Value,
    ) -> Result<(bool, Arc<Value>), Refusal> {
        let (created, object) = self.lock().replace(target, subresource, new)?;
        self.changed.notify_waiters();
        Ok((created, object))
    }

    /// Deletes an object, or marks it where finalizers hold it. Its last state.
    pub fn delete(
        &self,
        resource: &'static Resource,
        namespace: &str,
        name: &str,
        by: &str,
    ) -> Result<Arc<Value>, Refusal> {
        let target = Target { resource, namespace, name, by, dry_run: false };
        self.delete_if(target, &Preconditions::default())
    }

    pub(super) fn delete_if(&self, target: Target<'_>, only: &Preconditions) -> Result<Arc<Value>, Refusal> {
        let deleted = self.lock().delete(target, only)?;
        self.changed.notify_waiters();
        Ok(deleted)
    }

    /// Everything that ever happened, in order.
    pub fn history(&self) -> Vec<Change> {
        self.history_since(0)
    }

    /// What happened after a version.
    pub fn history_since(&self, version: u64) -> Vec<Change> {
        let state = self.lock();
        let begin = state.history.partition_point(|change| change.version <= version);
        state.history[begin..].to_vec()
    }

    /// As [`Store::history_since`], where the server still has it for a watch.
    pub(super) fn watchable_since(&self, version: u64) -> Result<Vec<Change>, Refusal> {
        let state = self.lock();
        let oldest = state.oldest.max(state.began_at.unwrap_or_default());
        drop(state);
        if version < oldest { Err(Refusal::expired(version, oldest)) } else { Ok(self.history_since(version)) }
    }

    /// The present version.
    pub fn version(&self) -> u64 {
        self.lock().version
    }

    /// Waits until something has happened after `version`; the version then.
    pub async fn changed_since(&self, version: u64) -> u64 {
        loop {
            let mut changed = pin!(self.changed.notified());
            // Before looking, so that no change falls between.
            changed.as_mut().enable();
            let now = self.version();
            if now > version {
                return now;
            }
            changed.await;
        }
    }

    /// Adds a judge of creations and changes of a kind (not of its subresources).
    pub fn add_admission(&self, resource: &'static Resource, admission: Admission) {
        self.lock().admissions.push((resource, admission));
    }

    /// Registers a webhook that writes over HTTP have to pass (of the kind itself, not of its subresources).
    pub fn add_webhook(&self, resource: &'static Resource, webhook: Webhook) {
        self.lock().webhooks.push((resource, webhook));
    }

    pub(super) fn webhooks(&self, resource: &Resource) -> Vec<Webhook> {
        let state = self.lock();
        state.webhooks.iter().filter(|(kind, _)| *kind == resource).map(|(_, webhook)| webhook.clone()).collect()
    }

    /// Denies a right to all who ask over HTTP.
    pub fn deny(&self, right: Right) {
        self.lock().denied.push(right);
    }

    pub(super) fn denies(&self, asked: &Right) -> bool {
        self.lock().denied.iter().any(|right| right.covers(asked))
    }

    /// A process begins to serve. Where it is not the first, watches of the one before it are answered 410: it writes objects of
    /// its own as it begins, so that theirs are all of older versions, and has no memory of those: seen of kube-apiserver 1.37,
    /// killed and started again on the same etcd.
    pub(super) fn begin(&self) {
        let mut state = self.lock();
        state.version += u64::from(state.began_at.is_some());
        state.began_at = Some(state.version);
    }

    /// Forgets old versions: a watch from before now is answered 410.
    pub fn compact(&self) {
        let mut state = self.lock();
        state.oldest = state.version;
    }

    /// SHA-256 over all objects, in hexadecimal digits.
    pub fn digest(&self) -> String {
        let state = self.lock();
        let mut hash = Sha256::new();
        for ((resource, namespace, name), object) in &state.objects {
            let line = format!("{}/{namespace}/{name} {object}\n", resource.qualified());
            hash.update(line);
        }
        hash.finalize().iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

/// The objects of a kind, in a namespace or in all, that a selector selects: by namespace and name.
fn selected(
    objects: &BTreeMap<Key, Arc<Value>>,
    resource: &'static Resource,
    namespace: Option<&str>,
    selector: &Selector,
) -> Vec<Arc<Value>> {
    let first = (resource, String::new(), String::new());
    objects
        .range((Bound::Included(first), Bound::Unbounded))
        .take_while(|((kind, ..), _)| *kind == resource)
        .filter(|((_, at, _), object)| namespace.is_none_or(|n| n == at) && selector.selects(object))
        .map(|(_, object)| object.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::kube_api::{CLUSTERS, SECRETS};
    use serde_json::json;

    fn store() -> Store {
        let store = Store::new("fsn");
        let object = json!({ "metadata": { "name": "shop-fsn", "namespace": "shop" }, "spec": { "instances": 1 } });
        store.create(&CLUSTERS, object, "set-up").unwrap();
        store
    }

    fn patch(store: &Store, subresource: &str, patch: Value) -> Result<Arc<Value>, Refusal> {
        store.merge_patch(&CLUSTERS, "shop", "shop-fsn", subresource, &patch, "test")
    }

    #[test]
    fn the_digest_is_of_the_content() {
        let (one, other) = (store(), store());
        assert_eq!(one.digest(), other.digest());
        patch(&one, "", json!({ "spec": { "instances": 1 } })).unwrap();
        assert_eq!(one.digest(), other.digest());
        patch(&one, "status", json!({ "status": { "phase": "x" } })).unwrap();
        assert_ne!(one.digest(), other.digest());
    }

    #[test]
    fn a_generated_name_is_new_each_time_and_the_same_in_each_run() {
        let names = |store: Store| {
            [(); 2].map(|()| {
                let object = json!({ "metadata": { "generateName": "shop-", "namespace": "shop" } });
                store.create(&SECRETS, object, "test").unwrap()["metadata"]["name"].clone()
            })
        };
        let [first, second] = names(store());
        assert_ne!(first, second);
        assert!(first.as_str().is_some_and(|name| name.starts_with("shop-") && name.len() == 10), "{first}");
        assert_eq!([first, second], names(store()));
    }

    #[test]
    fn admission_judges_the_object_but_not_its_status() {
        let store = store();
        store.add_admission(&CLUSTERS, Arc::new(|_, _| Err(Refusal::new(422, "Invalid", "no"))));
        assert!(patch(&store, "status", json!({ "status": { "phase": "x" } })).is_ok());
        assert_eq!(patch(&store, "", json!({ "spec": { "instances": 2 } })).unwrap_err().message, "no");
    }

    #[tokio::test]
    async fn a_change_wakes_whoever_waits_for_it() {
        let store = store();
        let version = store.version();
        let waiting = tokio::spawn({
            let store = store.clone();
            async move { store.changed_since(version).await }
        });
        tokio::task::yield_now().await;
        patch(&store, "", json!({ "spec": { "instances": 2 } })).unwrap();
        assert_eq!(waiting.await.unwrap(), version + 1);
        assert_eq!(store.changed_since(version).await, version + 1);
    }

    #[test]
    fn a_denied_right_may_be_for_all_of_a_kind() {
        let right = |verb: &str, resource: &str, subresource: &str| Right {
            verb: verb.into(),
            group: String::new(),
            resource: resource.into(),
            subresource: subresource.into(),
        };
        let store = store();
        store.deny(right("*", "secrets", ""));
        assert!(store.denies(&right("get", "secrets", "")));
        assert!(!store.denies(&right("get", "secrets", "status")));
        assert!(!store.denies(&right("get", "leases", "")));
    }
}
