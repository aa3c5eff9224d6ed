//! How the databases of a Continuum are reached, where its resource says so.

use super::field::{Field, is_object_name};
use super::parse::{namespace, region};
use super::{PostgresPlace, ranges};
use continuum_core::name::{ObjectName, Region};
use continuum_core::spec::Invalid;
use serde_json::Value;
use std::collections::BTreeMap;

/// What a resource says of how its databases are reached.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DatabaseAccess {
    /// `probe.secretRef`; absent: nobody may look.
    pub secret: Option<ObjectName>,
    /// `regions[].postgres`, where it says anything.
    pub places: BTreeMap<Region, PostgresPlace>,
}

/// How the databases of a stored Continuum (the whole object) are reached.
///
/// # Errors
///
/// The first wrong field, and how to mend it.
pub fn database_access(object: &Value) -> Result<DatabaseAccess, Invalid> {
    let own_namespace = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
    let spec = Field::root("spec", object.get("spec"));
    let probe = spec.child("probe")?;
    let secret = if probe.is_present() { Some(secret(&probe.child("secretRef")?, own_namespace)?) } else { None };
    let mut places = BTreeMap::new();
    for item in spec.child("regions")?.items()? {
        let postgres = item.child("postgres")?;
        let place = place(&postgres)?;
        if place.host.is_some() || place.port.is_some() {
            places.insert(region(&item.child("name")?)?, place);
        }
    }
    Ok(DatabaseAccess { secret, places })
}

fn secret(field: &Field, own_namespace: &str) -> Result<ObjectName, Invalid> {
    let name_field = field.child("name")?;
    let name = name_field.required()?;
    if !is_object_name(name) {
        return Err(name_field.invalid(format!("`{name}` is no name of a secret")));
    }
    Ok(ObjectName::new(namespace(field, own_namespace)?, name))
}

fn place(field: &Field) -> Result<PostgresPlace, Invalid> {
    let host_field = field.child("host")?;
    let host = host_field.optional()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':');
    if let Some(host) = host.as_ref().filter(|host| !host.chars().all(plain)) {
        return Err(host_field.invalid(format!("`{host}` is no name or address of one server")));
    }
    Ok(PostgresPlace { host, port: field.child("port")?.number(&ranges::PORT)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(spec: Value) -> Value {
        json!({ "metadata": { "namespace": "shop", "name": "shop" }, "spec": spec })
    }

    #[test]
    fn a_resource_says_who_looks_and_where_a_region_is_reached() {
        let access = database_access(&object(json!({
            "probe": { "secretRef": { "name": "probe" } },
            "regions": [
                { "name": "fsn", "lbIPs": ["10.1.0.1"] },
                { "name": "hel", "postgres": { "host": "db.hel.example.org", "port": 5433 } },
            ],
        })));
        let place = PostgresPlace { host: Some("db.hel.example.org".into()), port: Some(5433) };
        let places = BTreeMap::from([(Region::new("hel"), place)]);
        assert_eq!(access, Ok(DatabaseAccess { secret: Some(ObjectName::new("shop", "probe")), places }));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_path() {
        let of_region = |postgres| json!({ "regions": [{ "name": "hel", "postgres": postgres }] });
        for (spec, path) in [
            (json!({ "probe": {} }), "spec.probe.secretRef.name"),
            (json!({ "probe": { "secretRef": { "name": "No Secret" } } }), "spec.probe.secretRef.name"),
            (of_region(json!({ "port": 0 })), "spec.regions[0].postgres.port"),
            (of_region(json!({ "port": 65_536 })), "spec.regions[0].postgres.port"),
            (of_region(json!({ "host": "a,b" })), "spec.regions[0].postgres.host"),
            (of_region(json!({ "host": "/run/postgresql" })), "spec.regions[0].postgres.host"),
            (of_region(json!("db")), "spec.regions[0].postgres"),
        ] {
            assert_eq!(
                database_access(&object(spec.clone())).map_err(|invalid| invalid.path),
                Err(path.into()),
                "{spec}"
            );
        }
    }
}
