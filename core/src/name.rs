//! Names: regions, objects, Continuums.

use litemap::LiteMap;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A region, by the name the resource gives it: any DNS label, such as `hel` or `hz-hel-rtz-prod`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Region(String);

impl Region {
    /// A region of this name. The name is not checked here; [`crate::spec::Spec`] does that with its path.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Something of each of a few regions: a vector, where a tree would keep room for eleven.
pub type ByRegion<T> = LiteMap<Region, T>;

/// An object in a namespace. Also names a Continuum (`namespace/name`, as audit events carry it).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectName {
    /// Namespace.
    pub namespace: String,
    /// Name in it.
    pub name: String,
}

impl ObjectName {
    /// An object of this namespace and name.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A text that is not `namespace/name`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not of the form namespace/name")]
pub struct NotAnObjectName(String);

impl FromStr for ObjectName {
    type Err = NotAnObjectName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(Self::new(namespace, name))
            }
            _ => Err(NotAnObjectName(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_continuum_is_named_by_namespace_and_name() {
        let name: ObjectName = "shop/web".parse().unwrap();
        assert_eq!(name, ObjectName::new("shop", "web"));
        assert_eq!(name.to_string(), "shop/web");
    }

    #[test]
    fn what_is_not_namespace_and_name_is_refused() {
        for text in ["", "shop", "/", "shop/", "/web", "shop/web/1"] {
            assert_eq!(text.parse::<ObjectName>(), Err(NotAnObjectName(text.to_owned())));
        }
    }

    #[test]
    fn region_names_are_any_dns_label() {
        for name in ["hel", "hz-hel-rtz-prod"] {
            assert_eq!(serde_json::to_value(Region::new(name)).unwrap(), name);
            assert_eq!(Region::new(name).to_string(), name);
        }
    }
}
