//! The definition of the resource, generated from the types.

use super::Continuum;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::Value;

/// Name of the definition.
pub const CRD_NAME: &str = "continuums.dr.openova.io";

/// The definition.
pub fn crd() -> CustomResourceDefinition {
    let mut value = serde_json::to_value(Continuum::crd()).expect("a definition has string keys only");
    simplify(&mut value);
    serde_json::from_value(value).expect("it was one before two kinds of optional keys were removed")
}

/// Removes what schemars says and an API server is better without: `nullable`, so that a null is the same as
/// absent and a rule need not ask for both; formats of unsigned numbers, which an API server warns of (their
/// `minimum` stays).
fn simplify(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if map.get("nullable") == Some(&Value::Bool(true)) {
                map.remove("nullable");
            }
            if map.get("format").and_then(Value::as_str).is_some_and(|format| format.starts_with("uint")) {
                map.remove("format");
            }
            map.values_mut().for_each(simplify);
        }
        Value::Array(items) => items.iter_mut().for_each(simplify),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// Beside the manifest, so that it is found from wherever the tests run.
    const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/crds/continuums.dr.openova.io.yaml");

    #[test]
    fn the_committed_definition_is_the_one_the_types_make() {
        let text = serde_saphyr::to_string(&crd()).unwrap();
        let text = format!("# Generated from the types in live/src/resource; a test holds it equal to them.\n{text}");
        if std::env::var_os("CONTINUUM_WRITE_CRD").is_some() {
            std::fs::write(Path::new(FILE), &text).unwrap();
        }
        let committed = std::fs::read_to_string(FILE).unwrap_or_default();
        assert!(
            committed == text,
            "{FILE} is not what the types make; write it anew with CONTINUUM_WRITE_CRD=1 and look at the difference"
        );
    }
}
