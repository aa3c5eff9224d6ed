//! The record as it stands in a Lease, read for ground truth. Core's types say what a record is; how it lies
//! in a Lease is read here once more, and not with the witness adapter whose writes are judged by it.

use continuum_core::record::Record;
use serde_json::{Map, Value, json};

/// Annotation that holds what the Lease's own fields do not.
pub const RECORD_ANNOTATION: &str = "dr.openova.io/record";

/// Annotations that every write of a controller carries: its generation, and what it is made for.
pub const CLAIM_ANNOTATIONS: [&str; 2] = ["dr.openova.io/generation", "dr.openova.io/intent"];

/// The record in a Lease. `None` where it holds none: it stands there empty, or is another tool's.
pub fn record(lease: &Value) -> Option<Record> {
    let text = lease["metadata"]["annotations"][RECORD_ANNOTATION].as_str()?;
    let mut fields: Map<String, Value> = serde_json::from_str(text).ok()?;
    let spec = &lease["spec"];
    fields.remove("holder");
    if let Some(holder) = spec["holderIdentity"].as_str().filter(|holder| !holder.is_empty()) {
        fields.insert("holder".into(), json!(holder));
    }
    fields.insert("generation".into(), json!(spec["leaseTransitions"].as_u64().unwrap_or(0)));
    fields.insert("ttlSeconds".into(), spec["leaseDurationSeconds"].clone());
    serde_json::from_value(Value::Object(fields)).ok()
}

/// A Lease that holds `record`, as far as this simulator reads one.
pub fn lease(namespace: &str, name: &str, record: &Record) -> Value {
    let mut fields = serde_json::to_value(record).expect("a record has string keys only");
    if let Some(fields) = fields.as_object_mut() {
        for in_spec in ["holder", "generation", "ttlSeconds"] {
            fields.remove(in_spec);
        }
    }
    json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "namespace": namespace, "name": name, "annotations": { RECORD_ANNOTATION: fields.to_string() },
        },
        "spec": {
            "holderIdentity": record.holder.as_ref().map(|holder| holder.as_str()),
            "leaseTransitions": record.generation,
            "leaseDurationSeconds": record.ttl_seconds,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use continuum_core::name::Region;

    #[test]
    fn a_record_comes_back_from_its_lease() {
        let mut kept = Record::free(30);
        assert_eq!(record(&lease("continuum", "shop.shop", &kept)), Some(kept.clone()));
        kept.holder = Some(Region::new("fsn"));
        kept.generation = 4;
        assert_eq!(record(&lease("continuum", "shop.shop", &kept)), Some(kept));
    }

    #[test]
    fn a_lease_of_another_tool_holds_no_record() {
        assert_eq!(record(&json!({ "spec": { "holderIdentity": "somebody" } })), None);
    }
}
