//! After the faults everything came to rest, and stayed there: one half takes writes, its region holds the lease, the
//! other half follows it on its timeline, both Clusters are Ready and unfenced, both copies name the primary, and nothing
//! is under way or owed. One definition, for the checker and for whoever waits for it.

use super::{Evidence, Verdict, at};
use crate::ground::{Ground, Half, Standing};
use continuum_core::name::Region;
use serde_json::Value;

/// Annotation that fences instances.
pub(super) const FENCE: &str = "cnpg.io/fencedInstances";

/// Checks.
pub fn check(ground: &Ground) -> Verdict {
    let missing = missing(&ground.standing());
    let mut evidence: Vec<Evidence> = Vec::new();
    if let Some((when, what)) = &ground.run.broken {
        let since = ground.run.rest_since.map(|since| format!("at rest from {}, ", at(since))).unwrap_or_default();
        let text = format!("{since}and at {} no more: {what}", at(*when));
        evidence.push(Evidence { at: Some(*when), text });
    }
    evidence.extend(missing.into_iter().map(Evidence::from));
    Verdict::of("converged", String::new(), evidence)
}

/// What is missing to rest. Empty: it has converged.
fn missing(standing: &Standing<'_>) -> Vec<String> {
    [unsettled(standing), owed(standing)].concat()
}

/// Events that nobody has taken yet. A fact that is told while the world is at rest, as a return to health, is owed for a
/// moment.
pub fn owed(standing: &Standing<'_>) -> Vec<String> {
    let of_record = standing.record.iter().flat_map(|record| &record.owed);
    let of_record = of_record.map(|event| format!("event {} is owed", event.message_id));
    let of_copies = standing.halves.iter().filter_map(|(region, half)| {
        let owed = half.copy.as_ref()?["status"]["eventsOwed"].as_u64().filter(|owed| *owed > 0)?;
        Some(format!("{owed} events are owed, says the copy in {region}"))
    });
    of_record.chain(of_copies).collect()
}

/// What else is missing.
pub fn unsettled(standing: &Standing<'_>) -> Vec<String> {
    let primary = match standing.accepting.as_slice() {
        [primary] => *primary,
        [] => return vec!["no half takes writes".into()],
        several => {
            let names: Vec<&str> = several.iter().map(|region| region.as_str()).collect();
            return vec![format!("the halves in {} take writes", names.join(" and "))];
        }
    };
    let mut missing = of_record(standing, primary);
    let timeline = standing.halves.get(primary).map(|half| half.instance.timeline);
    for (region, half) in standing.halves.iter().filter(|(region, _)| **region != primary) {
        if !(half.instance.streaming && half.instance.in_recovery) {
            missing.push(format!("the half in {region} does not follow {primary}"));
        } else if Some(half.instance.timeline) != timeline {
            missing.push(format!("the half in {region} follows on timeline {}", half.instance.timeline));
        }
    }
    for (region, half) in &standing.halves {
        missing.extend(of_objects(region, half, primary));
    }
    missing
}

fn of_record(standing: &Standing<'_>, primary: &Region) -> Vec<String> {
    let Some(record) = standing.record else { return Vec::new() };
    let mut missing = Vec::new();
    if !record.held_by(primary) {
        let holder = record.holder.as_ref().map_or("nobody", Region::as_str);
        missing.push(format!("{primary} is primary and {holder} holds the lease"));
    }
    missing.extend(record.intent.iter().map(|intent| format!("switchover {} is under way", intent.id)));
    missing.extend(record.pending.iter().map(|pending| format!("failback {} waits", pending.id)));
    missing
}

fn of_objects(region: &Region, half: &Half<'_>, primary: &Region) -> Vec<String> {
    let mut missing = Vec::new();
    if let Some(cluster) = &half.cluster {
        if !is_true(cluster, "Ready") {
            missing.push(format!("the Cluster in {region} is not Ready"));
        }
        if cluster["metadata"]["annotations"].get(FENCE).is_some_and(fences) {
            missing.push(format!("the Cluster in {region} is fenced"));
        }
    } else {
        missing.push(format!("there is no Cluster in {region}"));
    }
    let Some(status) = half.copy.as_ref().map(|copy| &copy["status"]) else { return missing };
    if status["primaryRegion"].as_str() != Some(primary.as_str()) {
        let named = status["primaryRegion"].as_str().unwrap_or("none");
        missing.push(format!("the copy in {region} names {named} as primary"));
    }
    let phase = status["phase"].as_str().unwrap_or_default();
    if phase == "Degraded" {
        let conditions = status["conditions"].as_array().into_iter().flatten();
        let why = conditions.filter(|condition| condition["type"] == "Ready").find_map(|c| c["message"].as_str());
        missing.push(format!("the copy in {region} says {phase}: {}", why.unwrap_or("and not why")));
    }
    missing
}

/// Whether this value of the annotation fences an instance: a JSON list of their names.
pub(super) fn fences(annotation: &Value) -> bool {
    // What is no list is not known to fence nobody.
    serde_json::from_str::<Vec<String>>(annotation.as_str().unwrap_or_default()).map_or(true, |names| !names.is_empty())
}

fn is_true(object: &Value, kind: &str) -> bool {
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|condition| condition["type"] == kind && condition["status"] == "True")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::fixture::{editable, entry, lease_write, moved, region};
    use crate::servers::postgres::Event;
    use serde_json::json;
    use std::time::Duration;

    #[test]
    fn two_replicas_are_no_rest() {
        let mut ground = moved();
        ground.journal.push(entry(80.0, "shop-hel", Event::RefusesWrites));
        assert_eq!(check(&ground).evidence, ["no half takes writes"]);
    }

    #[test]
    fn a_lease_elsewhere_and_a_half_that_does_not_follow_are_caught() {
        let mut ground = moved();
        ground.lease.push(lease_write(80.0, "fsn", 3));
        ground.regions.get_mut(&region("fsn")).unwrap().instance.streaming = false;
        let expected = ["hel is primary and fsn holds the lease", "the half in fsn does not follow hel"];
        assert_eq!(check(&ground).evidence, expected);
    }

    #[test]
    fn a_fence_a_cluster_that_is_not_ready_and_a_copy_that_names_another_are_caught() {
        let mut ground = moved();
        let fsn = ground.regions.get_mut(&region("fsn")).unwrap();
        let cluster = editable(&mut fsn.cluster);
        cluster["metadata"]["annotations"] = json!({ FENCE: "[\"*\"]" });
        cluster["status"] = json!({});
        editable(&mut fsn.copy)["status"]["primaryRegion"] = json!("fsn");
        let expected =
            ["the Cluster in fsn is not Ready", "the Cluster in fsn is fenced", "the copy in fsn names fsn as primary"];
        assert_eq!(check(&ground).evidence, expected);
    }

    #[test]
    fn a_list_of_no_instance_fences_nothing() {
        let fenced = ["[]", "", "[\"*\"]", "[\"shop-fsn-1\"]", "*"].map(|text| fences(&json!(text)));
        assert_eq!(fenced, [false, true, true, true, true]);
    }

    #[test]
    fn rest_that_did_not_last_is_caught_though_it_came_back() {
        let mut ground = moved();
        ground.run.broken = Some((Duration::from_secs(60), "no half takes writes".into()));
        let told = "at rest from 28.00 s, and at 60.00 s no more: no half takes writes";
        assert_eq!(check(&ground).evidence, [told]);
    }
}
