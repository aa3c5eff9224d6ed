//! The status of both copies tells the truth at the end.

use super::Verdict;
use crate::ground::Ground;
use continuum_core::name::Region;
use serde_json::Value;

/// Checks.
pub fn check(ground: &Ground) -> Verdict {
    let mut evidence = Vec::new();
    for (region, truth) in &ground.regions {
        let Some(status) = truth.copy.as_ref().map(|copy| &copy["status"]) else { continue };
        if !status.is_object() {
            evidence.push(format!("the copy in {region} has no status"));
            continue;
        }
        evidence.extend(lies(ground, status).into_iter().map(|lie| format!("the status in {region} says {lie}")));
    }
    Verdict::of("status-true", String::new(), evidence)
}

fn lies(ground: &Ground, status: &Value) -> Vec<String> {
    let mut lies = Vec::new();
    let mut compare = |field: &str, truth: Option<&Region>| {
        if status[field].as_str() != truth.map(Region::as_str) {
            let says = status[field].as_str().unwrap_or("nothing");
            lies.push(format!("{field} {says}, it is {}", truth.map_or("none", Region::as_str)));
        }
    };
    if let Some(primary) = ground.primary() {
        compare("primaryRegion", Some(primary));
    }
    if let Some(record) = ground.record() {
        compare("leaseHolder", record.holder.as_ref());
        let under_way = record.intent.is_some();
        if status["switchoverInProgress"].as_bool().unwrap_or(false) != under_way {
            lies.push(format!("switchoverInProgress {}, it is {under_way}", !under_way));
        }
    }
    // H02: a lag that nobody could measure is no number.
    let follows = ground.primary().is_none_or(|primary| {
        ground.regions.iter().any(|(region, truth)| region != primary && truth.instance.streaming)
    });
    if let Some(lag) = status["replicationLagSeconds"].as_u64().filter(|_| !follows) {
        lies.push(format!("replicationLagSeconds {lag}, and nobody follows"));
    }
    lies
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::fixture::{moved, region};
    use serde_json::json;

    #[test]
    fn a_status_that_names_the_old_primary_is_caught() {
        let mut ground = moved();
        let fsn = ground.regions.get_mut(&region("fsn")).unwrap();
        let status = &mut fsn.copy.as_mut().unwrap()["status"];
        status["primaryRegion"] = json!("fsn");
        status["switchoverInProgress"] = json!(true);
        status["leaseHolder"] = Value::Null;
        assert_eq!(
            check(&ground).evidence,
            [
                "the status in fsn says primaryRegion fsn, it is hel",
                "the status in fsn says leaseHolder nothing, it is hel",
                "the status in fsn says switchoverInProgress true, it is false",
            ]
        );
    }

    #[test]
    fn a_lag_of_zero_where_nobody_follows_is_caught() {
        let mut ground = moved();
        let fsn = ground.regions.get_mut(&region("fsn")).unwrap();
        fsn.copy.as_mut().unwrap()["status"]["replicationLagSeconds"] = json!(0);
        assert!(check(&ground).ok);
        ground.regions.get_mut(&region("fsn")).unwrap().instance.streaming = false;
        assert_eq!(check(&ground).evidence, ["the status in fsn says replicationLagSeconds 0, and nobody follows"]);
    }

    #[test]
    fn a_copy_without_a_status_is_caught() {
        let mut ground = moved();
        ground.regions.get_mut(&region("fsn")).unwrap().copy = Some(json!({}));
        assert_eq!(check(&ground).evidence, ["the copy in fsn has no status"]);
    }
}
