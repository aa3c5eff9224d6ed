//! Generations are monotonic and obeyed: the record's grows by one at each change of holder and never
//! otherwise; the claim on an object never falls; nobody claims a generation that another region holds or that
//! does not exist yet. A controller may write its own half under a generation that it does not hold to close it: to
//! fence. What lets a half take writes, a promotion or the end of a fence, is its holder's alone.

use super::{Verdict, at};
use crate::ground::{Ground, LeaseWrite};
use crate::servers::kube_api::{CLUSTERS, Change, ChangeEvent, HTTP_ROUTES};
use continuum_core::name::Region;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// In a writer's name, before its host.
const AT_CONTROLLER: &str = "@controller.";

/// A write that opens a half is given up by its server after so long.
const SERVER_LIMIT: Duration = Duration::from_secs(5);

/// Annotation that fences instances.
const FENCE: &str = "cnpg.io/fencedInstances";

/// Checks.
pub fn check(ground: &Ground) -> Verdict {
    let mut evidence = Vec::new();
    for pair in ground.lease.windows(2) {
        evidence.extend(wrong_step(&pair[0], &pair[1]));
    }
    for (region, truth) in &ground.regions {
        let mut claims: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        let claimable = |change: &&Change| *change.resource == CLUSTERS || *change.resource == HTTP_ROUTES;
        for change in truth.history.iter().filter(claimable) {
            let object = (change.resource.plural, change.name.as_str());
            if change.event == ChangeEvent::Deleted {
                claims.remove(&object);
                continue;
            }
            let before = claims.get(&object).copied();
            let what = format!("{}/{} in {region}", object.0, object.1);
            let when = at(change.at);
            if let Some(before) = before
                && change.claim.is_none_or(|claim| claim < before)
            {
                let now = change.claim.map_or("none".to_owned(), |claim| claim.to_string());
                evidence.push(format!("{what}: claim fell from {before} to {now} at {when}, by {}", change.by));
            }
            evidence.extend(wrong_opening(ground, change).map(|why| format!("{what}: {why} at {when}")));
            if let Some(claim) = change.claim {
                if before != Some(claim) {
                    evidence.extend(
                        wrong_claim(ground, region, change, claim).map(|why| format!("{what}: {why} at {when}")),
                    );
                }
                claims.insert(object, claim);
            }
        }
    }
    Verdict::of("generations", String::new(), evidence)
}

fn wrong_step(before: &LeaseWrite, after: &LeaseWrite) -> Option<String> {
    let grown = u64::from(before.record.holder != after.record.holder);
    let (old, new) = (before.record.generation, after.record.generation);
    // A free record is taken above every claim that stands.
    let taken = before.record.holder.is_none() && after.record.holder.is_some() && new > old;
    if new == old + grown || taken {
        return None;
    }
    let holder = |write: &LeaseWrite| write.record.holder.as_ref().map_or("nobody".to_owned(), Region::to_string);
    Some(format!(
        "holder {} -> {}, but generation {old} -> {new} at {}, by {}",
        holder(before),
        holder(after),
        at(after.at),
        after.by
    ))
}

/// What is wrong with a new claim.
fn wrong_claim(ground: &Ground, region: &Region, change: &Change, claim: u64) -> Option<String> {
    let writer = Region::new(change.by.split_once(AT_CONTROLLER)?.1);
    let held = ground.lease.iter().find(|write| write.record.generation == claim);
    let Some(held) = held.filter(|write| write.at <= change.at) else {
        return Some(format!("{writer} claimed generation {claim}, which did not exist"));
    };
    let own_half = *change.resource == CLUSTERS && writer == *region;
    if held.record.held_by(&writer) || own_half {
        return None;
    }
    let holder = held.record.holder.as_ref().map_or("nobody".to_owned(), Region::to_string);
    Some(format!("{writer} claimed generation {claim}, which {holder} holds"))
}

/// What is wrong with a controller's write that lets a half take writes.
fn wrong_opening(ground: &Ground, change: &Change) -> Option<String> {
    let writer = Region::new(change.by.split_once(AT_CONTROLLER)?.1);
    let opens = *change.resource == CLUSTERS
        && is_open(&change.object)
        && change.before.as_ref().is_some_and(|before| !is_open(before));
    let holds = change.claim.is_some_and(|claim| held(ground, claim, &writer, change.at));
    let claim = change.claim.map_or("without a generation".to_owned(), |claim| format!("under generation {claim}"));
    (opens && !holds).then(|| format!("{writer} opened it {claim}, which it does not hold"))
}

/// Whether `writer` held this generation when it sent what was applied at that time.
fn held(ground: &Ground, generation: u64, writer: &Region, at: Duration) -> bool {
    let ends = ground.lease.iter().skip(1).map(|write| write.at).chain([Duration::MAX]);
    ground.lease.iter().zip(ends).any(|(write, end)| {
        let stood = write.at <= at && at <= end.saturating_add(SERVER_LIMIT);
        stood && write.record.generation == generation && write.record.held_by(writer)
    })
}

/// Its half is to be primary, and no fence keeps it from that.
fn is_open(cluster: &Value) -> bool {
    let replica = &cluster["spec"]["replica"];
    let fence = cluster["metadata"]["annotations"][FENCE].as_str().unwrap_or_default();
    replica["self"].is_string() && replica["primary"] == replica["self"] && (fence.is_empty() || fence == "[]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::fixture::{claimed, lease_write, moved, region};
    use serde_json::json;
    use std::sync::Arc;

    #[test]
    fn a_holder_that_changes_without_its_generation_is_caught_and_so_is_the_other_way_round() {
        let mut ground = moved();
        ground.lease.push(lease_write(70.0, "fsn", 2));
        ground.lease.push(lease_write(71.0, "fsn", 3));
        assert_eq!(
            check(&ground).evidence,
            [
                "holder hel -> fsn, but generation 2 -> 2 at 70.00 s, by continuum@controller.fsn",
                "holder fsn -> fsn, but generation 2 -> 3 at 71.00 s, by continuum@controller.fsn",
            ]
        );
    }

    #[test]
    fn a_claim_that_falls_is_a_late_write_of_an_older_generation() {
        let mut ground = moved();
        let hel = ground.regions.get_mut(&region("hel")).unwrap();
        hel.history.push(claimed(60.0, &CLUSTERS, "shop-hel", 1, "fsn"));
        let verdict = check(&ground);
        assert_eq!(
            verdict.evidence[0],
            "clusters/shop-hel in hel: claim fell from 2 to 1 at 60.00 s, by continuum@controller.fsn"
        );
    }

    #[test]
    fn a_generation_is_claimed_by_its_holder_alone_and_not_before_it_exists() {
        let mut ground = moved();
        let fsn = ground.regions.get_mut(&region("fsn")).unwrap();
        fsn.history.push(claimed(60.0, &HTTP_ROUTES, "shop", 2, "fsn"));
        fsn.history.push(claimed(61.0, &HTTP_ROUTES, "shop", 3, "hel"));
        assert_eq!(
            check(&ground).evidence,
            [
                "httproutes/shop in fsn: fsn claimed generation 2, which hel holds at 60.00 s",
                "httproutes/shop in fsn: hel claimed generation 3, which did not exist at 61.00 s",
            ]
        );
    }

    #[test]
    fn a_controller_may_fence_its_own_half_under_another_regions_generation() {
        let mut ground = moved();
        let fsn = ground.regions.get_mut(&region("fsn")).unwrap();
        fsn.history.push(claimed(60.0, &CLUSTERS, "shop-fsn", 2, "fsn"));
        assert!(check(&ground).ok);
    }

    #[test]
    fn a_region_that_opens_its_own_half_under_a_generation_that_it_does_not_hold_is_caught() {
        let cluster = |primary: &str, fence: &str| {
            let metadata = json!({ "annotations": { FENCE: fence } });
            Arc::new(json!({ "metadata": metadata, "spec": { "replica": { "self": "shop-fsn", "primary": primary } } }))
        };
        let openings = [("shop-hel", "", "shop-fsn", ""), ("shop-fsn", "[\"*\"]", "shop-fsn", "")];
        for (primary, fence, primary_then, fence_then) in openings {
            let mut ground = moved();
            let fsn = ground.regions.get_mut(&region("fsn")).unwrap();
            // Its claim is that of the fence before: no new one to judge.
            let mut write = claimed(60.0, &CLUSTERS, "shop-fsn", 2, "fsn");
            write.before = Some(cluster(primary, fence));
            write.object = cluster(primary_then, fence_then);
            fsn.history.push(write.clone());
            assert_eq!(
                check(&ground).evidence,
                ["clusters/shop-fsn in fsn: fsn opened it under generation 2, which it does not hold at 60.00 s"]
            );
            let fsn = ground.regions.get_mut(&region("fsn")).unwrap();
            fsn.history.pop();
            fsn.history.push(Change { before: Some(write.object), object: write.before.unwrap(), ..write });
            assert!(check(&ground).ok, "closing it is no harm");
        }
    }
}
