//! What the API server keeps, with the rules for changing it, and everything that ever happened to it.
//!
//! It stands for etcd: it survives a crash of the server's host. Users in the same process (the operator
//! model, the set-up of a world, checkers) call it directly and pass no gate.

use super::select::Selector;
use super::{Refusal, Resource, patch};
use crate::determinism::EPOCH;
use crate::here;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Bound;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Notify;

/// The annotation that says in which generation an object was claimed.
const CLAIM: &str = "dr.openova.io/generation";

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

type Key = (&'static Resource, String, String);

struct State {
    /// Of the server: makes uids differ between servers.
    name: String,
    objects: BTreeMap<Key, Arc<Value>>,
    version: u64,
    /// A watch cannot begin at a version before this one.
    oldest: u64,
    made: u64,
    history: Vec<Change>,
    admissions: Vec<(&'static Resource, Admission)>,
    denied: Vec<Right>,
}

/// An object that a write is about, and who writes.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) resource: &'static Resource,
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
    pub(super) by: &'a str,
}

/// What must be so for a deletion.
#[derive(Default)]
pub(super) struct Preconditions {
    pub(super) uid: Option<String>,
    pub(super) version: Option<String>,
}

impl Store {
    /// An empty store of the API server `name`.
    pub fn new(name: &str) -> Self {
        let state = State {
            name: name.to_string(),
            objects: BTreeMap::new(),
            version: 1,
            oldest: 1,
            made: 0,
            history: Vec::new(),
            admissions: Vec::new(),
            denied: Vec::new(),
        };
        Store { state: Arc::new(Mutex::new(state)), changed: Arc::new(Notify::new()) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the store")
    }

    /// The object.
    pub fn get(&self, resource: &'static Resource, namespace: &str, name: &str) -> Option<Value> {
        self.lock().object(resource, namespace, name).map(|object| (*object).clone())
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
        let first = (resource, String::new(), String::new());
        let objects = state
            .objects
            .range((Bound::Included(first), Bound::Unbounded))
            .take_while(|((kind, ..), _)| *kind == resource)
            .filter(|((_, at, _), object)| namespace.is_none_or(|n| n == at) && selector.selects(object))
            .map(|(_, object)| object.clone())
            .collect();
        (state.version, objects)
    }

    /// Creates an object; its status is dropped where that is a subresource.
    pub fn create(&self, resource: &'static Resource, object: Value, by: &str) -> Result<Value, Refusal> {
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default().to_string();
        self.create_in(resource, &namespace, object, by)
    }

    pub(super) fn create_in(
        &self,
        resource: &'static Resource,
        namespace: &str,
        object: Value,
        by: &str,
    ) -> Result<Value, Refusal> {
        let created = self.lock().create(resource, namespace, object, by)?;
        self.changed.notify_waiters();
        Ok((*created).clone())
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
    ) -> Result<Value, Refusal> {
        self.update(Target { resource, namespace, name, by }, subresource, |object| {
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
    ) -> Result<Value, Refusal> {
        let updated = self.lock().update(target, subresource, edit)?;
        self.changed.notify_waiters();
        Ok((*updated).clone())
    }

    /// Deletes an object. Its last state.
    pub fn delete(&self, resource: &'static Resource, namespace: &str, name: &str, by: &str) -> Result<Value, Refusal> {
        self.delete_if(Target { resource, namespace, name, by }, &Preconditions::default())
    }

    pub(super) fn delete_if(&self, target: Target<'_>, only: &Preconditions) -> Result<Value, Refusal> {
        let deleted = self.lock().delete(target, only)?;
        self.changed.notify_waiters();
        Ok((*deleted).clone())
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
        let oldest = self.lock().oldest;
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

    /// Denies a right to all who ask over HTTP.
    pub fn deny(&self, right: Right) {
        self.lock().denied.push(right);
    }

    pub(super) fn denies(&self, asked: &Right) -> bool {
        self.lock().denied.iter().any(|right| right.covers(asked))
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

impl State {
    fn object(&self, resource: &'static Resource, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.objects.get(&(resource, namespace.to_string(), name.to_string())).cloned()
    }

    fn present(&self, target: Target<'_>) -> Result<Arc<Value>, Refusal> {
        let object = self.object(target.resource, target.namespace, target.name);
        object.ok_or_else(|| Refusal::not_found(target.resource, target.name))
    }

    fn create(
        &mut self,
        resource: &'static Resource,
        namespace: &str,
        mut object: Value,
        by: &str,
    ) -> Result<Arc<Value>, Refusal> {
        let name = self.name_for(resource, &object)?;
        let asked = object["metadata"]["namespace"].as_str().unwrap_or(namespace);
        if asked != namespace {
            let message = "the namespace of the provided object does not match the namespace sent on the request";
            return Err(Refusal::bad_request(message));
        }
        if object["metadata"]["resourceVersion"].as_str().is_some_and(|version| !version.is_empty()) {
            return Err(Refusal::new(500, "", "resourceVersion should not be set on objects to be created"));
        }
        let target = Target { resource, namespace, name: &name, by };
        if self.object(resource, namespace, &name).is_some() {
            return Err(Refusal::already_exists(resource, &name));
        }
        self.made += 1;
        let fields = object.as_object_mut().ok_or_else(|| Refusal::bad_request("not an object"))?;
        fields.insert("apiVersion".into(), resource.api_version().into());
        fields.insert("kind".into(), resource.kind.into());
        let metadata = fields.entry("metadata").or_insert(Value::Null);
        let metadata = metadata.as_object_mut().ok_or_else(|| Refusal::bad_request("metadata is not an object"))?;
        metadata.insert("name".into(), name.clone().into());
        if resource.namespaced {
            metadata.insert("namespace".into(), namespace.into());
        }
        metadata.insert("uid".into(), self.uid().into());
        metadata.insert("creationTimestamp".into(), timestamp().into());
        if resource.status_subresource {
            metadata.insert("generation".into(), 1.into());
            fields.remove("status");
        }
        self.admit(resource, None, &object)?;
        Ok(self.commit(target, ChangeEvent::Added, None, object))
    }

    fn name_for(&self, resource: &Resource, object: &Value) -> Result<String, Refusal> {
        let field = |name: &str| object["metadata"][name].as_str().filter(|text| !text.is_empty());
        match (field("name"), field("generateName")) {
            (Some(name), _) => Ok(name.to_string()),
            (None, Some(prefix)) => {
                // The real server's alphabet: no vowels, so no words.
                const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
                let hash = Sha256::digest(format!("{} {prefix} {}", self.name, self.made));
                let suffix = hash.iter().take(5).map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]));
                Ok(prefix.chars().chain(suffix).collect())
            }
            (None, None) => {
                let detail = "metadata.name: Required value: name or generateName is required";
                Err(Refusal::invalid(resource, "", detail))
            }
        }
    }

    fn uid(&self) -> String {
        let hash = Sha256::digest(format!("{} {}", self.name, self.made));
        let mut uid = String::new();
        for (index, byte) in hash.iter().take(16).enumerate() {
            if [4, 6, 8, 10].contains(&index) {
                uid.push('-');
            }
            let _ = write!(uid, "{byte:02x}");
        }
        uid
    }

    fn update(
        &mut self,
        target: Target<'_>,
        subresource: &str,
        edit: impl FnOnce(&mut Value) -> Result<(), Refusal>,
    ) -> Result<Arc<Value>, Refusal> {
        let Target { resource, name, .. } = target;
        let old = self.present(target)?;
        let mut edited = (*old).clone();
        edit(&mut edited)?;
        check(target, &old, "resourceVersion", edited["metadata"]["resourceVersion"].as_str())?;
        check(target, &old, "uid", edited["metadata"]["uid"].as_str())?;
        let (mut new, other_status) = match subresource {
            "" => (edited, resource.status_subresource.then(|| old.get("status").cloned())),
            "status" if resource.status_subresource => ((*old).clone(), Some(edited.get("status").cloned())),
            _ => return Err(Refusal::not_found(resource, name)),
        };
        let fields = new.as_object_mut().ok_or_else(|| Refusal::bad_request("not an object"))?;
        if let Some(status) = other_status {
            put(fields, "status", status);
        }
        fields.insert("apiVersion".into(), resource.api_version().into());
        fields.insert("kind".into(), resource.kind.into());
        let metadata = fields.entry("metadata").or_insert_with(|| json!({}));
        let metadata = metadata.as_object_mut().ok_or_else(|| Refusal::bad_request("metadata is not an object"))?;
        for owned in ["name", "namespace", "uid", "creationTimestamp", "generation", "resourceVersion"] {
            put(metadata, owned, old["metadata"].get(owned).cloned());
        }
        if resource.status_subresource && content(&new) != content(&old) {
            new["metadata"]["generation"] = json!(old["metadata"]["generation"].as_u64().unwrap_or_default() + 1);
        }
        if subresource.is_empty() {
            self.admit(resource, Some(&old), &new)?;
        }
        if new == *old {
            return Ok(old);
        }
        Ok(self.commit(target, ChangeEvent::Modified, Some(old), new))
    }

    fn delete(&mut self, target: Target<'_>, only: &Preconditions) -> Result<Arc<Value>, Refusal> {
        let old = self.present(target)?;
        check(target, &old, "resourceVersion", only.version.as_deref())?;
        check(target, &old, "uid", only.uid.as_deref())?;
        Ok(self.commit(target, ChangeEvent::Deleted, Some(old.clone()), (*old).clone()))
    }

    fn admit(&self, resource: &'static Resource, old: Option<&Value>, new: &Value) -> Result<(), Refusal> {
        let mut judges = self.admissions.iter().filter(|(kind, _)| *kind == resource);
        judges.try_for_each(|(_, admission)| admission(old, new))
    }

    fn commit(
        &mut self,
        target: Target<'_>,
        event: ChangeEvent,
        before: Option<Arc<Value>>,
        mut object: Value,
    ) -> Arc<Value> {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let object = Arc::new(object);
        let key = (target.resource, target.namespace.to_string(), target.name.to_string());
        match event {
            ChangeEvent::Deleted => self.objects.remove(&key),
            ChangeEvent::Added | ChangeEvent::Modified => self.objects.insert(key, object.clone()),
        };
        let claim = object["metadata"]["annotations"][CLAIM].as_str();
        self.history.push(Change {
            at: here::now().unwrap_or_default(),
            version: self.version,
            event,
            resource: target.resource,
            namespace: target.namespace.to_string(),
            name: target.name.to_string(),
            by: target.by.to_string(),
            claim: claim.and_then(|generation| generation.parse().ok()),
            object: object.clone(),
            before,
        });
        object
    }
}

/// Where a precondition is given, it must hold.
fn check(target: Target<'_>, old: &Value, field: &str, asked: Option<&str>) -> Result<(), Refusal> {
    let present = old["metadata"][field].as_str().unwrap_or_default();
    match asked {
        None | Some("") => Ok(()),
        Some(asked) if asked == present => Ok(()),
        Some(_) if field == "resourceVersion" => Err(Refusal::conflict(target.resource, target.name)),
        Some(asked) => {
            let why = format!("Precondition failed: UID in precondition: {asked}, UID in object meta: {present}");
            Err(Refusal::operation_cannot_be_fulfilled(target.resource, target.name, &why))
        }
    }
}

fn put(object: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    match value {
        Some(value) => object.insert(name.to_string(), value),
        None => object.remove(name),
    };
}

/// What the generation counts changes of: all but metadata and status.
fn content(object: &Value) -> Vec<(&String, &Value)> {
    let fields = object.as_object().into_iter().flatten();
    fields.filter(|(name, _)| *name != "metadata" && *name != "status").collect()
}

/// Now, as the server writes it: whole seconds.
fn timestamp() -> String {
    let since_epoch = EPOCH + here::now().unwrap_or_default();
    let now = jiff::Timestamp::from_second(since_epoch.as_secs() as i64);
    now.expect("simulated time is in range").to_string()
}
