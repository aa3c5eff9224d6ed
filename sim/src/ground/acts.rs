//! What controllers change beside their life: everything but renewals of the lease, the claims on the halves that its
//! holder keeps, each one's own copy of the resource, events that tell of no operation, and what others write. While
//! nothing else is asked of them it must be nothing, whoever a request says it is made for: a dry run that acts by the
//! ports of an execution carries no mark.

use crate::lease::CLAIM_ANNOTATIONS;
use crate::moments::Sources;
use crate::register::RecordWrite;
use crate::servers::kube_api::{CLUSTERS, CONTINUUMS, Change, ChangeEvent, LEASES};
use continuum_core::record::Record;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// In a writer's name, before its host.
const AT_CONTROLLER: &str = "@controller.";

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
        let witness = sources.witness.iter().map(|register| ("witness".to_owned(), register.version()));
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
        let lease = super::lease_writes(sources);
        for (region, half) in &sources.halves {
            let changes = half.store.history_since(version(region.as_str()));
            let acted = changes.iter().filter(|change| {
                let record = lease.iter().rev().find(|write| write.at <= change.at).map(|write| &write.record);
                *change.resource != LEASES && is_act(change, region.as_str(), record)
            });
            acts.extend(acted.map(|change| told(change, region.as_str())));
        }
        if let Some(register) = &sources.witness {
            let writes = register.writes_since(version("witness"));
            let acted = writes.iter().filter(|write| is_record_act(write));
            acts.extend(acted.map(|write| format!("the record at the witness, by {}", write.by)));
            // Others, and what is no record.
            let changes = register.store().map(|store| store.history_since(version("witness"))).unwrap_or_default();
            let strange = changes.iter().filter(|change| {
                *change.resource == LEASES && change.by.contains(AT_CONTROLLER) && !register.is_record(change)
            });
            acts.extend(strange.map(|change| told(change, "the witness")));
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

/// The object before it, where a controller changed one that was there.
fn modified(change: &Change) -> Option<&Value> {
    change.before.as_deref().filter(|_| change.event == ChangeEvent::Modified)
}

/// Whether a change of a Lease is more than a renewal, which moves a time; what is confirmed or no longer owed is
/// written down with it.
fn is_record_act(write: &RecordWrite) -> bool {
    if !write.by.contains(AT_CONTROLLER) {
        return false;
    }
    let Some(before) = &write.before else { return true };
    let operation = |r: &Record| (r.holder.clone(), r.generation, r.sequence, r.intent.clone(), r.pending.clone());
    operation(before) != operation(&write.record)
}

/// `record`: what the lease said when it was made.
fn is_act(change: &Change, place: &str, record: Option<&Record>) -> bool {
    if !change.by.contains(AT_CONTROLLER) {
        return false;
    }
    let Some(before) = modified(change) else { return true };
    if *change.resource == CLUSTERS && unclaimed(before) == unclaimed(&change.object) {
        return !record.is_some_and(|record| is_holders_claim(change, record));
    }
    // Its own copy tells of it, and follows what it did before; but it asks for nothing.
    let asks = |object: &Value| {
        ["switchover", "failback"].map(|kind| object["spec"][kind]["requested"] == json!(true)).contains(&true)
    };
    let own = *change.resource == CONTINUUMS && change.by.ends_with(&format!("{AT_CONTROLLER}{place}"));
    !own || asks(&change.object) && !asks(before)
}

/// Whether who made it holds the lease, and claims for its generation, and for no move and no trial.
fn is_holders_claim(change: &Change, record: &Record) -> bool {
    let is_holder =
        record.holder.as_ref().is_some_and(|holder| change.by.ends_with(&format!("{AT_CONTROLLER}{holder}")));
    let claim = [record.generation.to_string(), format!("held/{}", record.generation)];
    let annotations = &change.object["metadata"]["annotations"];
    is_holder && CLAIM_ANNOTATIONS.iter().zip(&claim).all(|(name, said)| annotations[*name] == said.as_str())
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
    use continuum_core::name::Region;
    use std::sync::Arc;
    use std::time::Duration;

    /// A claim on a half in hel, by the controller of a region.
    fn claim(by: &str, generation: &str, intent: &str) -> Change {
        let half = |annotations: Value| Arc::new(json!({ "metadata": { "annotations": annotations } }));
        Change {
            at: Duration::ZERO,
            version: 2,
            event: ChangeEvent::Modified,
            resource: &CLUSTERS,
            namespace: "shop".into(),
            name: "shop-hel".into(),
            by: format!("continuum@controller.{by}"),
            claim: generation.parse().ok(),
            object: half(json!({ CLAIM_ANNOTATIONS[0]: generation, CLAIM_ANNOTATIONS[1]: intent })),
            before: Some(half(json!({}))),
        }
    }

    #[test]
    fn a_claim_is_no_act_where_its_holder_makes_it_for_its_own_generation() {
        let record = Record { holder: Some(Region::new("fsn")), generation: 4, ..Record::free(30) };
        for (by, generation, intent, acts) in [
            ("fsn", "4", "held/4", false),
            ("hel", "4", "held/4", true),
            ("fsn", "3", "held/3", true),
            ("fsn", "5", "held/5", true),
            ("fsn", "4", "dry-run", true),
            ("fsn", "4", "shop/shop/1.1", true),
        ] {
            let claim = claim(by, generation, intent);
            assert_eq!(is_act(&claim, "hel", Some(&record)), acts, "{by} {generation} {intent}");
        }
        let claim = claim("fsn", "4", "held/4");
        assert!(is_act(&claim, "hel", None), "nobody holds what there is not");
        assert!(is_act(&claim, "hel", Some(&Record { holder: None, ..record.clone() })));
        // Only halves are kept by claims.
        assert!(is_act(&Change { resource: &crate::servers::kube_api::HTTP_ROUTES, ..claim }, "hel", Some(&record)));
    }

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
