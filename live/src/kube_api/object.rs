//! Objects as API servers write them, without `metadata.managedFields`: who wrote which field, which nobody here reads, and
//! which is often larger than everything else.

use kube::core::{ObjectMeta, Resource};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt;

/// An object, or a list of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Object(pub Value);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Fields { of: Of::Object }).map(Self)
    }
}

/// What of an object is read.
#[derive(Clone, Copy, PartialEq)]
enum Of {
    Object,
    Metadata,
}

struct Metadata(Value);

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Fields { of: Of::Metadata }).map(Self)
    }
}

struct Fields {
    of: Of,
}

impl<'de> Visitor<'de> for Fields {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = match (self.of, key.as_str()) {
                (Of::Metadata, "managedFields") => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
                (Of::Object, "metadata") => map.next_value::<Metadata>()?.0,
                (Of::Object, "items") => {
                    let items = map.next_value::<Option<Vec<Object>>>()?;
                    items.map_or(Value::Null, |items| items.into_iter().map(|item| item.0).collect())
                }
                _ => map.next_value()?,
            };
            fields.insert(key, value);
        }
        Ok(Value::Object(fields))
    }
}

/// An object that kube's watcher hands on: as it is, and what the watcher itself looks at.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    meta: ObjectMeta,
    pub object: Value,
}

impl<'de> Deserialize<'de> for Watched {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::from(Object::deserialize(deserializer)?.0))
    }
}

impl From<Value> for Watched {
    fn from(object: Value) -> Self {
        let text = |name: &str| object["metadata"][name].as_str().map(str::to_owned);
        let meta = ObjectMeta {
            name: text("name"),
            namespace: text("namespace"),
            resource_version: text("resourceVersion"),
            uid: text("uid"),
            ..ObjectMeta::default()
        };
        Self { meta, object }
    }
}

impl Resource for Watched {
    type DynamicType = kube::core::ApiResource;
    type Scope = kube::core::DynamicResourceScope;

    fn kind(kind: &Self::DynamicType) -> Cow<'_, str> {
        kind.kind.as_str().into()
    }

    fn group(kind: &Self::DynamicType) -> Cow<'_, str> {
        kind.group.as_str().into()
    }

    fn version(kind: &Self::DynamicType) -> Cow<'_, str> {
        kind.version.as_str().into()
    }

    fn api_version(kind: &Self::DynamicType) -> Cow<'_, str> {
        kind.api_version.as_str().into()
    }

    fn plural(kind: &Self::DynamicType) -> Cow<'_, str> {
        kind.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(text: &str) -> Value {
        serde_json::from_str::<Object>(text).unwrap().0
    }

    #[test]
    fn who_wrote_what_is_left_out_of_an_object_and_of_each_item_of_a_list() {
        let written = json!({ "managedFields": [{ "manager": "x", "fieldsV1": { "f:spec": {} } }], "name": "shop" });
        let object =
            json!({ "kind": "Cluster", "metadata": written, "spec": { "managedFields": 1, "metadata": null } });
        let kept = json!({
            "kind": "Cluster", "metadata": { "name": "shop" }, "spec": { "managedFields": 1, "metadata": null },
        });
        assert_eq!(read(&object.to_string()), kept);
        let list = json!({ "metadata": { "resourceVersion": "7" }, "items": [object, object] });
        assert_eq!(read(&list.to_string()), json!({ "metadata": { "resourceVersion": "7" }, "items": [kept, kept] }));
    }

    #[test]
    fn what_is_no_list_of_objects_is_told_apart() {
        assert_eq!(read(r#"{"items":null}"#), json!({ "items": null }));
        for text in ["[]", "7", r#"{"metadata":7}"#, r#"{"items":7}"#, r#"{"items":[7]}"#] {
            assert!(serde_json::from_str::<Object>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_watcher_finds_what_it_looks_at() {
        let object =
            json!({ "metadata": { "namespace": "shop", "name": "shop-fsn", "resourceVersion": "9", "uid": "u" } });
        let watched: Watched = serde_json::from_value(object.clone()).unwrap();
        let meta = watched.meta();
        let found = [&meta.namespace, &meta.name, &meta.resource_version, &meta.uid].map(Option::as_deref);
        assert_eq!(found, [Some("shop"), Some("shop-fsn"), Some("9"), Some("u")]);
        assert_eq!(watched.object, object);
    }
}
