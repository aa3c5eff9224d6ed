//! `metadata.managedFields`: who changed which field last, and when, as the real server keeps it for updates and
//! merge patches. A field belongs to whoever gave it its present value; lists belong as a whole to one manager (those of
//! our resources are atomic, the rules of an HTTPRoute among them).
//!
//! Kept for the resources that people and tools write beside the product. Deliberately absent: the status, server-side
//! apply, the limit of ten managers.

use super::{CLUSTERS, CONTINUUMS, HTTP_ROUTES, Resource};
use serde_json::{Map, Value, json};

type Fields = Map<String, Value>;

/// What stands there when a world begins is nobody's, as where somebody has cleared the list: it stays short.
const NOBODY: [&str; 2] = ["setup", "world"];

/// Notes what `manager` made of `old`. Nothing where it is no such resource, or nothing changed.
pub(super) fn note(resource: &Resource, old: Option<&Value>, new: &mut Value, manager: &str, now: &str) {
    if ![&CLUSTERS, &CONTINUUMS, &HTTP_ROUTES].contains(&resource) || NOBODY.contains(&manager) {
        return;
    }
    let (mut given, mut gone) = (Fields::new(), Fields::new());
    let nothing = Value::Null;
    let old = old.unwrap_or(&nothing);
    compare(&old["spec"], &new["spec"], "f:spec", &mut given, &mut gone);
    let (mut metadata, mut metadata_gone) = (Fields::new(), Fields::new());
    for name in ["annotations", "labels", "finalizers", "ownerReferences"] {
        let (old, new) = (&old["metadata"][name], &new["metadata"][name]);
        compare(old, new, &format!("f:{name}"), &mut metadata, &mut metadata_gone);
    }
    put(&mut given, "f:metadata", metadata);
    put(&mut gone, "f:metadata", metadata_gone);
    if given.is_empty() && gone.is_empty() {
        return;
    }
    let mut entries = old["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    if !given.is_empty() && !entries.iter().any(|entry| entry["manager"] == manager) {
        entries.push(json!({
            "manager": manager, "operation": "Update", "apiVersion": resource.api_version(), "time": now,
            "fieldsType": "FieldsV1", "fieldsV1": {},
        }));
    }
    for entry in &mut entries {
        let own = entry["manager"] == manager;
        let Some(fields) = entry["fieldsV1"].as_object_mut() else { continue };
        take(fields, &gone);
        if own {
            add(fields, &given);
            entry["time"] = now.into();
        } else {
            take(fields, &given);
        }
    }
    entries.retain(|entry| entry["fieldsV1"].as_object().is_some_and(|fields| !fields.is_empty()));
    new["metadata"]["managedFields"] = entries.into();
}

fn put(fields: &mut Fields, name: &str, inner: Fields) {
    if !inner.is_empty() {
        fields.insert(name.to_owned(), inner.into());
    }
}

/// What of `new` is not as in `old`, and what of `old` is not there any more.
fn compare(old: &Value, new: &Value, name: &str, given: &mut Fields, gone: &mut Fields) {
    match (old, new) {
        (old, new) if old == new => {}
        (_, Value::Null) => drop(gone.insert(name.to_owned(), json!({}))),
        (Value::Object(old), Value::Object(new)) => {
            let (mut given_here, mut gone_here) = (Fields::new(), Fields::new());
            for key in old.keys().chain(new.keys().filter(|key| !old.contains_key(*key))) {
                let (old, new) = (old.get(key).unwrap_or(&Value::Null), new.get(key).unwrap_or(&Value::Null));
                compare(old, new, &format!("f:{key}"), &mut given_here, &mut gone_here);
            }
            put(given, name, given_here);
            put(gone, name, gone_here);
        }
        (_, new) => drop(given.insert(name.to_owned(), whole(new))),
    }
}

/// A value that is new whole. Of a map it says itself, and each field.
fn whole(value: &Value) -> Value {
    let Value::Object(map) = value else { return json!({}) };
    let mut fields: Fields = map.iter().map(|(key, value)| (format!("f:{key}"), whole(value))).collect();
    if !fields.is_empty() {
        fields.insert(".".into(), json!({}));
    }
    fields.into()
}

fn add(fields: &mut Fields, more: &Fields) {
    for (name, inner) in more {
        let place = fields.entry(name.clone()).or_insert_with(|| json!({}));
        if let (Value::Object(place), Value::Object(inner)) = (place, inner) {
            add(place, inner);
        }
    }
}

/// Takes the leaves of `away`, and what is below them.
fn take(fields: &mut Fields, away: &Fields) {
    for (name, inner) in away {
        let Some(place) = fields.get_mut(name).and_then(Value::as_object_mut) else { continue };
        let inner = inner.as_object();
        match inner.filter(|inner| !inner.is_empty()) {
            Some(inner) => take(place, inner),
            None => place.clear(),
        }
        if place.is_empty() {
            fields.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who owns what after these writes.
    fn after(writes: &[(&str, Value)]) -> Value {
        let mut object: Option<Value> = None;
        for (index, (manager, write)) in writes.iter().enumerate() {
            let mut new = write.clone();
            if let Some(old) = &object {
                new["metadata"]["managedFields"] = old["metadata"]["managedFields"].clone();
            }
            note(&CLUSTERS, object.as_ref(), &mut new, manager, &format!("t{index}"));
            object = Some(new);
        }
        let entries = object.unwrap()["metadata"]["managedFields"].as_array().cloned().unwrap();
        let of = |entry: &Value| {
            let time = entry["time"].as_str().unwrap();
            (format!("{} {time}", entry["manager"].as_str().unwrap()), entry["fieldsV1"].clone())
        };
        Value::Object(entries.iter().map(of).collect())
    }

    fn cluster(primary: &str, annotation: Option<&str>) -> Value {
        let mut cluster = json!({"metadata": {"name": "a"}, "spec": {"replica": {"primary": primary, "self": "a"}}});
        if let Some(value) = annotation {
            cluster["metadata"]["annotations"] = json!({"x": value});
        }
        cluster
    }

    #[test]
    fn a_field_belongs_to_whoever_changed_it_last() {
        let spec = |own: &str| json!({"f:spec": {"f:replica": {own: {}}}});
        assert_eq!(
            after(&[("kubectl", cluster("a", None)), ("argocd-controller", cluster("b", None))]),
            json!({
                "kubectl t0": {"f:spec": {".": {}, "f:replica": {".": {}, "f:self": {}}}},
                "argocd-controller t1": spec("f:primary"),
            })
        );
        assert_eq!(
            after(&[
                ("kubectl", cluster("a", None)),
                ("argocd-controller", cluster("b", None)),
                ("continuum", cluster("a", Some("7"))),
            ]),
            json!({
                "kubectl t0": {"f:spec": {".": {}, "f:replica": {".": {}, "f:self": {}}}},
                "continuum t2": {
                    "f:spec": {"f:replica": {"f:primary": {}}},
                    "f:metadata": {"f:annotations": {".": {}, "f:x": {}}},
                },
            })
        );
    }

    #[test]
    fn what_is_gone_belongs_to_nobody() {
        assert_eq!(
            after(&[("a", cluster("a", None)), ("b", cluster("a", Some("7"))), ("a", cluster("a", None))]),
            json!({"a t2": {"f:spec": {".": {}, "f:replica": {".": {}, "f:primary": {}, "f:self": {}}}}})
        );
    }
}
