//! The registry's rules: how an object may be created, changed and deleted, as the real server applies them
//! to its own resources and to custom ones.

use super::managed;
use super::store::{Admission, Change, ChangeEvent, Right};
use super::{LEASES, PODS, Refusal, Resource, SECRETS, Webhook, schema};
use crate::determinism::EPOCH;
use crate::here;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// The annotation that says in which generation an object was claimed.
const CLAIM: &str = "dr.openova.io/generation";

/// The version at which a store begins; something was written before, so the first ones are forgotten.
const FIRST_VERSION: u64 = 100;

/// The longest name.
const NAME_LENGTH_MAX: usize = 253;

pub(super) type Key = (&'static Resource, String, String);

pub(super) struct State {
    /// Of the server: makes uids differ between servers.
    name: String,
    pub(super) objects: BTreeMap<Key, Arc<Value>>,
    pub(super) version: u64,
    /// What was before this version is forgotten.
    pub(super) oldest: u64,
    /// Of the process that serves: it tells of what was written since it began, and of nothing before. Absent: none did yet.
    pub(super) began_at: Option<u64>,
    made: u64,
    pub(super) history: Vec<Change>,
    pub(super) admissions: Vec<(&'static Resource, Admission)>,
    pub(super) webhooks: Vec<(&'static Resource, Webhook)>,
    pub(super) denied: Vec<Right>,
}

/// An object that a write is about, and who writes.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) resource: &'static Resource,
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
    pub(super) by: &'a str,
    /// All is as if, but nothing is kept.
    pub(super) dry_run: bool,
}

/// What must be so for a deletion.
#[derive(Default)]
pub(super) struct Preconditions {
    pub(super) uid: Option<String>,
    pub(super) version: Option<String>,
    /// How long a pod may take to end, s.
    pub(super) grace: Option<u64>,
}

/// What of the metadata only the server writes.
const OWNED: [&str; 9] = [
    "name",
    "namespace",
    "uid",
    "creationTimestamp",
    "generation",
    "resourceVersion",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
];

impl State {
    pub(super) fn new(name: &str) -> Self {
        State {
            name: name.to_string(),
            objects: BTreeMap::new(),
            version: FIRST_VERSION,
            oldest: FIRST_VERSION,
            began_at: None,
            made: 0,
            history: Vec::new(),
            admissions: Vec::new(),
            webhooks: Vec::new(),
            denied: Vec::new(),
        }
    }

    /// The objects as they were at a version.
    pub(super) fn objects_at(&self, version: u64) -> BTreeMap<Key, Arc<Value>> {
        let mut objects = BTreeMap::new();
        for change in self.history.iter().take_while(|change| change.version <= version) {
            let key = (change.resource, change.namespace.clone(), change.name.clone());
            match change.event {
                ChangeEvent::Deleted => objects.remove(&key),
                ChangeEvent::Added | ChangeEvent::Modified => objects.insert(key, change.object.clone()),
            };
        }
        objects
    }

    pub(super) fn object(&self, resource: &'static Resource, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.objects.get(&(resource, namespace.to_string(), name.to_string())).cloned()
    }

    pub(super) fn present(&self, target: Target<'_>) -> Result<Arc<Value>, Refusal> {
        let object = self.object(target.resource, target.namespace, target.name);
        object.ok_or_else(|| Refusal::not_found(target.resource, target.name))
    }

    pub(super) fn create(&mut self, target: Target<'_>, mut object: Value) -> Result<Arc<Value>, Refusal> {
        let Target { resource, namespace, .. } = target;
        check_kind(resource, &object)?;
        let name = self.name_for(resource, &object)?;
        let target = Target { name: &name, ..target };
        check_place(target, &object)?;
        if object["metadata"]["resourceVersion"].as_str().is_some_and(|version| !version.is_empty()) {
            return Err(Refusal::new(500, "", "resourceVersion should not be set on objects to be created"));
        }
        if !is_dns_subdomain(&name) {
            let detail = format!(
                "metadata.name: Invalid value: {name:?}: a lowercase RFC 1123 subdomain must consist of lower case \
                 alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character"
            );
            return Err(Refusal::invalid(resource, &name, &detail));
        }
        if self.object(resource, namespace, &name).is_some() {
            return Err(Refusal::already_exists(resource, &name));
        }
        self.made += 1;
        tidy(resource, &mut object)?;
        if resource.status_subresource {
            put(&mut object, "status", None);
        }
        let metadata = &mut object["metadata"];
        for owned in OWNED {
            put(metadata, owned, None);
        }
        metadata["name"] = name.clone().into();
        put(metadata, "namespace", resource.namespaced.then(|| namespace.into()));
        metadata["uid"] = self.uid().into();
        metadata["creationTimestamp"] = timestamp().into();
        put(metadata, "generation", resource.status_subresource.then(|| 1.into()));
        schema::bring_into_shape(resource, &mut object);
        check_schema(target, None, &object)?;
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

    pub(super) fn update(
        &mut self,
        target: Target<'_>,
        subresource: &str,
        edit: impl FnOnce(&mut Value) -> Result<(), Refusal>,
    ) -> Result<Arc<Value>, Refusal> {
        let Target { resource, .. } = target;
        let old = self.present(target)?;
        let mut edited = (*old).clone();
        edit(&mut edited)?;
        check_kind(resource, &edited)?;
        check_place(target, &edited)?;
        if asks_for_another(&old, "resourceVersion", edited["metadata"]["resourceVersion"].as_str()) {
            return Err(Refusal::conflict(resource, target.name));
        }
        if asks_for_another(&old, "uid", edited["metadata"]["uid"].as_str()) {
            let detail = format!("metadata.uid: Invalid value: {}: field is immutable", edited["metadata"]["uid"]);
            return Err(Refusal::invalid(resource, target.name, &detail));
        }
        if let Some(detail) = finalizer_added(&old, &edited).filter(|_| subresource.is_empty()) {
            return Err(Refusal::invalid(resource, target.name, &detail));
        }
        let (mut new, other_status) = match subresource {
            "" => (edited, resource.status_subresource.then(|| old.get("status").cloned())),
            _ => ((*old).clone(), Some(edited.get("status").cloned())),
        };
        tidy(resource, &mut new)?;
        if let Some(status) = other_status {
            put(&mut new, "status", status);
        }
        for owned in OWNED {
            put(&mut new["metadata"], owned, old["metadata"].get(owned).cloned());
        }
        schema::bring_into_shape(resource, &mut new);
        if resource.status_subresource && content(&new) != content(&old) {
            grow_generation(&mut new);
        }
        check_schema(target, Some(&old), &new)?;
        if subresource.is_empty() {
            self.admit(resource, Some(&old), &new)?;
        }
        if new == *old {
            return Ok(old);
        }
        if is_deleted(&new) && new["metadata"].get("finalizers").is_none() {
            // The deletion has a version of its own, but the answer is the object as it was before it.
            self.commit(target, ChangeEvent::Deleted, Some(old), new.clone());
            return Ok(Arc::new(new));
        }
        Ok(self.commit(target, ChangeEvent::Modified, Some(old), new))
    }

    /// Replaces an object; the first result says that it was created instead, which some kinds allow.
    pub(super) fn replace(
        &mut self,
        target: Target<'_>,
        subresource: &str,
        mut new: Value,
    ) -> Result<(bool, Arc<Value>), Refusal> {
        let Target { resource, namespace, name, .. } = target;
        check_place(target, &new)?;
        let old = self.object(resource, namespace, name);
        check_uid(target, old.as_deref().unwrap_or(&Value::Null), new["metadata"]["uid"].as_str())?;
        if old.is_none() && resource == &LEASES {
            tidy(resource, &mut new)?;
            put(&mut new["metadata"], "resourceVersion", None);
            return Ok((true, self.create(target, new)?));
        }
        self.present(target)?;
        let version = new["metadata"]["resourceVersion"].as_str().unwrap_or_default();
        if version.is_empty() && resource != &SECRETS {
            return Err(Refusal::without_version(resource, name));
        }
        let updated = self.update(target, subresource, |object| {
            *object = new;
            Ok(())
        })?;
        Ok((false, updated))
    }

    pub(super) fn delete(&mut self, target: Target<'_>, only: &Preconditions) -> Result<Arc<Value>, Refusal> {
        let old = self.present(target)?;
        check_uid(target, &old, only.uid.as_deref())?;
        if let Some(asked) =
            only.version.as_deref().filter(|version| asks_for_another(&old, "resourceVersion", Some(version)))
        {
            let present = old["metadata"]["resourceVersion"].as_str().unwrap_or_default();
            return Err(Refusal::other_version(target, asked, present));
        }
        let mut new = (*old).clone();
        if let Some(grace) = grace_period(target.resource, &old, only.grace) {
            return Ok(self.delete_gracefully(target, old, grace));
        }
        if old["metadata"].get("finalizers").is_none() {
            let gone = self.commit(target, ChangeEvent::Deleted, Some(old), new);
            if !target.dry_run {
                self.collect(&gone);
            }
            return Ok(gone);
        }
        if is_deleted(&old) {
            return Ok(old);
        }
        new["metadata"]["deletionTimestamp"] = timestamp().into();
        new["metadata"]["deletionGracePeriodSeconds"] = 0.into();
        if target.resource.status_subresource {
            grow_generation(&mut new);
        }
        Ok(self.commit(target, ChangeEvent::Modified, Some(old), new))
    }

    /// What belonged to an object that is gone goes too, as the garbage collector has it.
    fn collect(&mut self, gone: &Value) {
        let uid = &gone["metadata"]["uid"];
        let belongs = |object: &Value| {
            object["metadata"]["ownerReferences"]
                .as_array()
                .is_some_and(|owners| owners.iter().any(|o| o["uid"] == *uid))
        };
        let orphans: Vec<Key> =
            self.objects.iter().filter(|(_, object)| belongs(object)).map(|(key, _)| key.clone()).collect();
        for (resource, namespace, name) in orphans {
            let by = "system:serviceaccount:kube-system:generic-garbage-collector";
            let target = Target { resource, namespace: &namespace, name: &name, by, dry_run: false };
            // One that is gone already needs nobody.
            let _ = self.delete(target, &Preconditions::default());
        }
    }

    /// Marks a pod; one that is marked may be given less time, and no more.
    fn delete_gracefully(&mut self, target: Target<'_>, old: Arc<Value>, grace: u64) -> Arc<Value> {
        let present = old["metadata"]["deletionGracePeriodSeconds"].as_u64();
        if present.is_some_and(|present| present <= grace) {
            return old;
        }
        let mut new = (*old).clone();
        new["metadata"]["deletionTimestamp"] = timestamp_in(grace).into();
        new["metadata"]["deletionGracePeriodSeconds"] = grace.into();
        grow_generation(&mut new);
        self.commit(target, ChangeEvent::Modified, Some(old), new)
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
        if target.dry_run {
            return Arc::new(object);
        }
        if event != ChangeEvent::Deleted {
            let manager = target.by.split('@').next().unwrap_or_default();
            managed::note(target.resource, before.as_deref(), &mut object, manager, &timestamp());
        }
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

/// Brings an object into the form in which it is kept: its own kind, and no map or list left empty in its
/// metadata, since the real server drops those.
fn tidy(resource: &Resource, object: &mut Value) -> Result<(), Refusal> {
    let fields = object.as_object_mut().ok_or_else(|| Refusal::bad_request("the body is not an object"))?;
    fields.insert("apiVersion".into(), resource.api_version().into());
    fields.insert("kind".into(), resource.kind.into());
    let metadata = fields.entry("metadata").or_insert_with(|| json!({})).as_object_mut();
    let metadata = metadata.ok_or_else(|| Refusal::bad_request("metadata is not an object"))?;
    metadata.retain(|_, value| match value {
        Value::Null => false,
        Value::Object(map) => !map.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => true,
    });
    Ok(())
}

/// Sets a field of an object, or removes it.
fn put(object: &mut Value, name: &str, value: Option<Value>) {
    let fields = object.as_object_mut().expect("tidied to be an object");
    match value {
        Some(value) => fields.insert(name.to_string(), value),
        None => fields.remove(name),
    };
}

/// How long a pod that is deleted stays. `None`: it goes at once, as one that is on no node or has ended does.
fn grace_period(resource: &Resource, old: &Value, asked: Option<u64>) -> Option<u64> {
    let ended = matches!(old["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    if resource != &PODS || ended || old["spec"]["nodeName"].as_str().unwrap_or_default().is_empty() {
        return None;
    }
    let own = || old["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap_or(30);
    Some(asked.unwrap_or_else(own)).filter(|grace| *grace > 0)
}

fn is_deleted(object: &Value) -> bool {
    object["metadata"].get("deletionTimestamp").is_some()
}

/// What is wrong with a change that has a deleted object held by something new.
fn finalizer_added(old: &Value, new: &Value) -> Option<String> {
    let of = |object: &Value| -> Vec<String> {
        let all = object.pointer("/metadata/finalizers").and_then(Value::as_array);
        all.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let held = of(old);
    let added: Vec<String> = of(new).into_iter().filter(|finalizer| !held.contains(finalizer)).collect();
    (is_deleted(old) && !added.is_empty()).then(|| {
        let added: Vec<String> = added.iter().map(|finalizer| format!("{finalizer:?}")).collect();
        format!(
            "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new \
             finalizers []string{{{}}}",
            added.join(", ")
        )
    })
}

fn grow_generation(object: &mut Value) {
    let generation = object["metadata"]["generation"].as_u64().unwrap_or_default();
    object["metadata"]["generation"] = (generation + 1).into();
}

/// Judges the whole object where a write changes its spec or its status. Real servers leave what stood before alone where
/// they can; this one is never kinder.
fn check_schema(target: Target<'_>, old: Option<&Value>, new: &Value) -> Result<(), Refusal> {
    let changed = |field: &str| old.is_none_or(|old| old.get(field) != new.get(field));
    if !changed("spec") && !changed("status") {
        return Ok(());
    }
    match schema::violations(target.resource, new, old).as_slice() {
        [] => Ok(()),
        [only] => Err(Refusal::invalid(target.resource, target.name, only)),
        all => Err(Refusal::invalid(target.resource, target.name, &format!("[{}]", all.join(", ")))),
    }
}

fn check_kind(resource: &Resource, object: &Value) -> Result<(), Refusal> {
    let other = |field: &str, mine: &str| object[field].as_str().is_some_and(|theirs| theirs != mine);
    if other("kind", resource.kind) || other("apiVersion", &resource.api_version()) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
        return Err(Refusal::other_kind(resource, &text(&object["kind"]), &text(&object["metadata"]["name"])));
    }
    Ok(())
}

/// An object cannot say that it stands elsewhere than its URL.
fn check_place(target: Target<'_>, object: &Value) -> Result<(), Refusal> {
    let Target { name, namespace, .. } = target;
    let named = object["metadata"]["name"].as_str().unwrap_or(name);
    if named != name && !named.is_empty() {
        let message = format!("the name of the object ({named}) does not match the name on the URL ({name})");
        return Err(Refusal::bad_request(message));
    }
    if object["metadata"]["namespace"].as_str().unwrap_or(namespace) != namespace {
        let message = "the namespace of the provided object does not match the namespace sent on the request";
        return Err(Refusal::bad_request(message));
    }
    Ok(())
}

fn is_dns_subdomain(name: &str) -> bool {
    let label = |label: &str| {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        !label.is_empty() && label.chars().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    name.len() <= NAME_LENGTH_MAX && name.split('.').all(label)
}

/// Whether a field of the metadata is asked to be what it is not.
fn asks_for_another(old: &Value, field: &str, asked: Option<&str>) -> bool {
    let present = old["metadata"][field].as_str().unwrap_or_default();
    asked.is_some_and(|asked| !asked.is_empty() && asked != present)
}

/// A replacement or a deletion may be for the object of one uid only.
fn check_uid(target: Target<'_>, old: &Value, asked: Option<&str>) -> Result<(), Refusal> {
    let present = old["metadata"]["uid"].as_str().unwrap_or_default();
    match asked {
        Some(asked) if asks_for_another(old, "uid", Some(asked)) => Err(Refusal::other_uid(target, asked, present)),
        _ => Ok(()),
    }
}

/// What the generation counts changes of: all but metadata and status.
fn content(object: &Value) -> Vec<(&String, &Value)> {
    let fields = object.as_object().into_iter().flatten();
    fields.filter(|(name, _)| *name != "metadata" && *name != "status").collect()
}

/// Now, as the server writes it: whole seconds.
fn timestamp() -> String {
    timestamp_in(0)
}

/// So many seconds later.
fn timestamp_in(seconds: u64) -> String {
    let since_epoch = EPOCH + here::now().unwrap_or_default() + Duration::from_secs(seconds);
    let now = jiff::Timestamp::from_second(since_epoch.as_secs() as i64);
    now.expect("simulated time is in range").to_string()
}
