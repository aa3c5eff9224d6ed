//! What controllers change beside their life: everything but renewals of the lease, the claims of who holds it, each
//! one's own copy of the resource, events that tell of no operation, and what others write. While nothing else is asked of them it must be nothing,
//! whoever a request says it is made for: a dry run that acts by the ports of an execution carries no mark.

use crate::lease::{self, CLAIM_ANNOTATIONS};
use crate::moments::Sources;
use crate::servers::kube_api::{CONTINUUMS, Change, ChangeEvent, LEASES};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// In a writer's name, before its host.
const AT_CONTROLLER: &str = "@controller.";

/// What a claim says that a dry run tries.
const TRIED: &str = "dry-run";

/// Types of events that tell of an operation.
const OF_OPERATIONS: [&str; 5] = [
    "continuum-switchover",
    "continuum-failback-pending",
    "continuum-failback-completed",
    "continuum-cnpg-promotable",
    "continuum-error",
];

/// Where the servers' histories stand.
#[derive(Clone, Debug)]
pub struct Place {
    /// Of the API servers, by what they are called here.
    versions: BTreeMap<String, u64>,
    zone: usize,
    messages: usize,
}

impl Place {
    /// Where they stand now.
    pub fn now(sources: &Sources) -> Self {
        let regions = sources.halves.iter().map(|(region, half)| (region.to_string(), half.store.version()));
        let witness = sources.witness.iter().map(|(store, _)| ("witness".to_owned(), store.version()));
        Self {
            versions: regions.chain(witness).collect(),
            zone: sources.dns.history().len(),
            messages: sources.nats.messages().len(),
        }
    }

    /// What was changed since, a line each.
    pub fn acts_since(&self, sources: &Sources) -> Vec<String> {
        let mut acts = Vec::new();
        let version = |name: &str| self.versions.get(name).copied().unwrap_or_default();
        for (region, half) in &sources.halves {
            let changes = half.store.history_since(version(region.as_str()));
            let acted = changes.iter().filter(|change| *change.resource != LEASES && is_act(change, region.as_str()));
            acts.extend(acted.map(|change| told(change, region.as_str())));
        }
        if let Some((store, _)) = &sources.witness {
            let changes = store.history_since(version("witness"));
            let acted = changes.iter().filter(|change| *change.resource == LEASES && is_act(change, "the witness"));
            acts.extend(acted.map(|change| told(change, "the witness")));
        }
        for change in sources.dns.history().iter().skip(self.zone).filter(|change| is_controller(&change.from)) {
            acts.push(format!("the zone, by {}", change.from));
        }
        for stored in sources.nats.messages_after(self.messages) {
            let kind = stored.message.headers.get("audit-type").map(String::as_str).unwrap_or_default();
            if OF_OPERATIONS.contains(&kind) {
                acts.push(format!("the audit stream, by {kind}"));
            }
        }
        acts
    }
}

fn told(change: &Change, place: &str) -> String {
    format!("{}/{} in {place}, by {}", change.resource.plural, change.name, change.by)
}

fn is_controller(host: &str) -> bool {
    AT_CONTROLLER.strip_prefix('@').is_some_and(|prefix| host.starts_with(prefix))
}

fn is_act(change: &Change, place: &str) -> bool {
    if !change.by.contains(AT_CONTROLLER) {
        return false;
    }
    let Some(before) = change.before.as_ref().filter(|_| change.event == ChangeEvent::Modified) else { return true };
    if *change.resource == LEASES {
        // A renewal moves a time, and what is confirmed or no longer owed is written down with it.
        let operation =
            |object: &Value| lease::record(object).map(|r| (r.holder, r.generation, r.sequence, r.intent, r.pending));
        return operation(before) != operation(&change.object);
    }
    // One who holds the lease claims what it keeps; a claim made for a dry run is one that should not have been written.
    let intent = &change.object["metadata"]["annotations"][CLAIM_ANNOTATIONS[1]];
    if unclaimed(before) == unclaimed(&change.object) && intent != TRIED {
        return false;
    }
    // Its own copy tells of it, and follows what it did before; but it asks for nothing.
    let asks = |object: &Value| {
        ["switchover", "failback"].map(|kind| object["spec"][kind]["requested"] == json!(true)).contains(&true)
    };
    let own = *change.resource == CONTINUUMS && change.by.ends_with(&format!("{AT_CONTROLLER}{place}"));
    !own || asks(&change.object) && !asks(before)
}

/// The object without what a claim changes: the claim itself, and what the server says of each write.
fn unclaimed(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.retain(|field, _| !matches!(field.as_str(), "resourceVersion" | "managedFields"));
        let annotations = metadata.get_mut("annotations").and_then(Value::as_object_mut);
        if let Some(annotations) = annotations {
            annotations.retain(|name, _| !CLAIM_ANNOTATIONS.contains(&name.as_str()));
        }
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_no_act_and_a_role_is() {
        let half = |generation: &str, primary: &str| {
            json!({
                "metadata": { "resourceVersion": generation, "annotations": { CLAIM_ANNOTATIONS[0]: generation, "other": "x" } },
                "spec": { "replica": { "primary": primary } },
            })
        };
        assert_eq!(unclaimed(&half("1", "shop-fsn")), unclaimed(&half("2", "shop-fsn")));
        assert_ne!(unclaimed(&half("1", "shop-fsn")), unclaimed(&half("2", "shop-hel")));
    }
}
