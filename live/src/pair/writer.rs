//! Who wrote the role of a Cluster last, by `metadata.managedFields`.

use crate::kube_api::{BadField, Fields};
use continuum_core::observe::FieldWriter;
use serde_json::Value;

/// The fields that make the role, within `f:spec.f:replica`.
const ROLE_FIELDS: [&str; 2] = ["f:primary", "f:enabled"];

/// The last writer of `spec.replica`. One that owns a field that makes the role goes before one that owns the
/// stanza or another field of it; of several the newest.
///
/// Who owns nothing of it any more is not named: where the role was made by removing a field, nobody is.
pub(super) fn role_writer(fields: &Fields) -> Result<Option<FieldWriter>, BadField> {
    let mut last: Option<((bool, Option<jiff::Timestamp>), FieldWriter)> = None;
    for entry in fields.list("metadata.managedFields")? {
        let Some(owned) = entry.pointer("/fieldsV1/f:spec/f:replica") else { continue };
        let manager = entry["manager"].as_str().unwrap_or_default().to_owned();
        let at = entry["time"].as_str().and_then(|time| time.parse().ok());
        let rank = (makes_role(owned), at);
        if last.as_ref().is_none_or(|(best, _)| rank >= *best) {
            last = Some((rank, FieldWriter { manager, at }));
        }
    }
    Ok(last.map(|(_, writer)| writer))
}

fn makes_role(owned: &Value) -> bool {
    ROLE_FIELDS.iter().any(|field| owned.get(field).is_some())
}
