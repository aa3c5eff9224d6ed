//! Nothing is left behind at the end: no switchover under way, no fence, no token on a replica, no event owed;
//! routes and DNS lead to the primary and nowhere else.

use super::Verdict;
use super::converged::{FENCE, fences};
use crate::ground::{Ground, RegionGround};
use crate::lease::CLAIM_ANNOTATIONS;
use crate::moments::weights;
use continuum_core::name::Region;
use serde_json::Value;

/// Checks.
pub fn check(ground: &Ground) -> Verdict {
    let mut evidence = Vec::new();
    if let Some(record) = ground.record() {
        if let Some(intent) = record.intent.as_ref().filter(|_| !ground.may_be_left.intent) {
            evidence.push(format!("switchover {} is under way", intent.id));
        }
        if let Some(pending) = record.pending.as_ref().filter(|_| !ground.may_be_left.pending) {
            evidence.push(format!("failback {} waits", pending.id));
        }
        evidence.extend(record.owed.iter().map(|event| format!("event {} is owed", event.message_id)));
    }
    for (region, truth) in &ground.regions {
        evidence.extend(of_cluster(ground, region, truth));
        if let Some(owed) =
            truth.copy.as_ref().and_then(|copy| copy["status"]["eventsOwed"].as_u64()).filter(|n| *n > 0)
        {
            evidence.push(format!("{owed} events are owed, says the status in {region}"));
        }
    }
    if let Some(primary) = ground.primary() {
        for (region, truth) in &ground.regions {
            evidence.extend(truth.route.iter().flat_map(|route| of_route(ground, route, region, primary)));
        }
        evidence.extend(of_dns(ground, primary));
    }
    Verdict::of("nothing-left", String::new(), evidence)
}

fn of_cluster(ground: &Ground, region: &Region, truth: &RegionGround) -> Vec<String> {
    let Some(cluster) = &truth.cluster else { return Vec::new() };
    let name = &truth.cluster_name.name;
    let mut evidence = Vec::new();
    if cluster["metadata"]["annotations"].get(FENCE).is_some_and(fences) {
        evidence.push(format!("{name} is fenced"));
    }
    let token = &cluster["spec"]["replica"]["promotionToken"];
    let is_replica = ground.primary().is_some_and(|primary| primary != region);
    if is_replica && token.as_str().is_some_and(|token| !token.is_empty()) {
        evidence.push(format!("{name} is a replica and has a promotion token"));
    }
    evidence
}

fn of_route(ground: &Ground, route: &Value, region: &Region, primary: &Region) -> Vec<String> {
    let mut evidence = Vec::new();
    if route["metadata"]["annotations"][CLAIM_ANNOTATIONS[0]].is_null() {
        // No controller ever wrote it: it is as people made it, and nothing that a switchover left.
        return evidence;
    }
    let backends = weights(route);
    let of_primary = |name: &str| name.ends_with(&format!("-{primary}"));
    if !backends.iter().any(|(name, weight)| of_primary(name) && *weight > 0) {
        evidence.push(format!("the route in {region} leads nobody to {primary}"));
    }
    // Backends that are no region's keep their share.
    let of_other =
        |name: &str| ground.regions.keys().any(|other| other != primary && name.ends_with(&format!("-{other}")));
    for (name, weight) in backends.iter().filter(|(name, weight)| of_other(name) && *weight > 0) {
        evidence.push(format!("the route in {region} has weight {weight} toward {name}"));
    }
    evidence
}

fn of_dns(ground: &Ground, primary: &Region) -> Vec<String> {
    let mut evidence = Vec::new();
    let Some(wanted) = ground.regions.get(primary).map(|region| &region.addresses) else { return evidence };
    for (hostname, answers) in &ground.dns.answers {
        match answers {
            None => evidence.push(format!("{hostname} answers SERVFAIL")),
            Some(answers) if answers.is_empty() => evidence.push(format!("{hostname} answers no address")),
            Some(answers) => {
                let others: Vec<String> = answers.difference(wanted).map(ToString::to_string).collect();
                if !others.is_empty() {
                    evidence.push(format!("{hostname} answers {}, not of {primary}", others.join(", ")));
                }
            }
        }
    }
    evidence
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::fixture::{editable, moved, region, route};
    use serde_json::json;

    #[test]
    fn a_fence_a_token_and_an_owed_event_are_caught() {
        let mut ground = moved();
        let fsn = ground.regions.get_mut(&region("fsn")).unwrap();
        let cluster = editable(&mut fsn.cluster);
        cluster["metadata"]["annotations"] = json!({ FENCE: "[\"*\"]" });
        cluster["spec"]["replica"]["promotionToken"] = json!("token");
        editable(&mut fsn.copy)["status"]["eventsOwed"] = json!(1);
        assert_eq!(
            check(&ground).evidence,
            [
                "shop-fsn is fenced",
                "shop-fsn is a replica and has a promotion token",
                "1 events are owed, says the status in fsn",
            ]
        );
    }

    #[test]
    fn weights_and_records_that_lead_elsewhere_are_caught() {
        let mut ground = moved();
        let fsn = ground.regions.get_mut(&region("fsn")).unwrap();
        fsn.route = Some(route(100, 0).into());
        let addresses = fsn.addresses.clone();
        ground.dns.answers.insert("shop.example.org".into(), Some(addresses));
        assert_eq!(
            check(&ground).evidence,
            [
                "the route in fsn leads nobody to hel",
                "the route in fsn has weight 100 toward shop-fsn",
                "shop.example.org answers 10.1.0.1, not of hel",
            ]
        );
        ground.dns.answers.insert("shop.example.org".into(), None);
        assert_eq!(check(&ground).evidence[2], "shop.example.org answers SERVFAIL");
    }

    #[test]
    fn a_route_that_no_controller_wrote_is_as_people_made_it() {
        let mut ground = moved();
        let fsn = ground.regions.get_mut(&region("fsn")).unwrap();
        let mut route = route(0, 0);
        route["metadata"] = json!({});
        fsn.route = Some(route.into());
        assert!(check(&ground).ok);
    }

    #[test]
    fn a_failback_that_may_wait_is_nothing_left_behind() {
        let mut ground = moved();
        let pending = json!({
            "id": "shop/shop/2.2", "to": "fsn", "requestedBy": "jane", "reason": "failback",
            "since": "2026-01-01T00:01:00Z", "timeoutSeconds": 3600,
        });
        ground.lease.last_mut().unwrap().record.pending = serde_json::from_value(pending).unwrap();
        assert_eq!(check(&ground).evidence, ["failback shop/shop/2.2 waits"]);
        ground.may_be_left.pending = true;
        assert!(check(&ground).ok);
    }
}
