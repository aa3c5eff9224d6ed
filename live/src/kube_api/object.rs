//! Objects as kube's watcher hands them on: read once, and not once as kube's own types and once as JSON.

use kube::core::{ObjectMeta, Resource};
use serde::de::{Deserialize, Deserializer};
use serde_json::Value;
use std::borrow::Cow;

/// An object as it is, and what the watcher itself looks at of it.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    meta: ObjectMeta,
    pub object: Value,
}

impl<'de> Deserialize<'de> for Watched {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::from(Value::deserialize(deserializer)?))
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
