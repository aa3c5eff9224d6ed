//! Whether the two copies of a Continuum say the same.

use continuum_core::plan::short_hash;
use serde_json::{Map, Value};

/// Hash of the parts of a stored object's spec in which the copies of both regions must agree: everything but
/// `primaryRegion`, the order of the regions, `switchover` and `failback`. It is made from what is written,
/// valid or not, so that a field which this version does not know counts too.
pub fn agreement_hash(object: &Value) -> String {
    let empty = Map::new();
    let spec = object.get("spec").and_then(Value::as_object).unwrap_or(&empty);
    let mut agreed = Map::new();
    for (key, value) in spec {
        match key.as_str() {
            "primaryRegion" | "hotStandbyRegions" | "switchover" | "failback" => {}
            "regions" => {
                agreed.insert(key.clone(), sorted(value.as_array().cloned().unwrap_or_default()));
            }
            _ if value.is_null() => {}
            _ => {
                agreed.insert(key.clone(), value.clone());
            }
        }
    }
    let standbys = spec.get("hotStandbyRegions").and_then(Value::as_array).into_iter().flatten();
    agreed.insert(
        "hotStandbyRegions".into(),
        sorted(spec.get("primaryRegion").into_iter().chain(standbys).cloned().collect()),
    );
    short_hash(Value::Object(agreed).to_string().as_bytes())
}

fn sorted(mut items: Vec<Value>) -> Value {
    items.sort_by_key(Value::to_string);
    Value::Array(items)
}
