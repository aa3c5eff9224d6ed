//! One's own copy of the resource, as the record says.

use super::standing::Object;
use super::{Action, Decision};
use crate::observe::CopyView;
use crate::record::{Lineage, Record};
use crate::requests;
use crate::spec::Spec;
use serde_json::{Value, json};

/// Brings the copy's spec in line with the record, where it is not.
pub fn mend_copy(record: &Record, copy: &CopyView) -> Option<Decision> {
    let patch = mended(record, copy.spec.as_ref().ok()?)?;
    let resource_version = copy.resource_version.clone();
    Some(Decision::Keep(Object::Copy, Action::Copy { resource_version, patch }))
}

/// The patch that brings a copy's spec in line with the record, where it is not: after a switchover the
/// acting primary, with the former one first among the standbys; what was served or answered, reset. A
/// person who changes `primaryRegion` by hand starts nothing.
pub(super) fn mended(record: &Record, spec: &Spec) -> Option<Value> {
    if record.intent.is_some() {
        return None;
    }
    let mut patch = serde_json::Map::new();
    if let Lineage::Of { region, .. } = &record.lineage
        && spec.standbys.contains(region)
    {
        let led = spec.led_by(region);
        patch.insert("primaryRegion".into(), json!(led.primary));
        patch.insert("hotStandbyRegions".into(), json!(led.standbys));
    }
    if spec.switchover.as_ref().is_some_and(|s| record.has_served(&requests::of_switchover(s))) {
        patch.insert("switchover".into(), json!({ "requested": false, "confirmedFingerprint": null }));
    }
    // An answer that is left standing would be the answer to the next failback too, in whichever copy.
    let failback = &spec.failback;
    let served = failback.requested_at.is_some() && requests::failback_served(record, spec);
    let answered = failback.requested_at.is_none() && (failback.approved || failback.refused);
    if record.pending.is_none() && (served || answered) {
        patch.insert(
            "failback".into(),
            json!({
                "requested": false, "confirmedFingerprint": null, "approved": false, "approvedAt": null, "approvedBy": null, "refused": false,
                "answered": null,
            }),
        );
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

/// Holds a copy that is deleted until no intent stands: its controller finishes what it drives.
pub const FINALIZER: &str = "dr.openova.io/switchover-under-way";

/// What `metadata.finalizers` should be, where it is not: ours stands while an intent does. None can be added to a copy
/// that is deleted already.
pub fn finalizers(record: &Record, copy: &CopyView) -> Option<Vec<String>> {
    let is_ours = |finalizer: &String| finalizer == FINALIZER;
    match (record.intent.is_some(), copy.finalizers.iter().any(is_ours)) {
        (true, false) if !copy.deleted => Some(copy.finalizers.iter().cloned().chain([FINALIZER.to_owned()]).collect()),
        (false, true) => Some(copy.finalizers.iter().filter(|finalizer| !is_ours(finalizer)).cloned().collect()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
