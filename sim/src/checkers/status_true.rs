//! The status of both copies tells the truth: at the end in every word, and while the run goes on in none that stays
//! wrong for longer than a controller needs to look.

mod in_flight;

use super::{Evidence, Verdict, interference};
use crate::ground::{Ground, RegionGround};
use crate::servers::kube_api::{CONTINUUMS, Change};
use continuum_core::name::Region;
use continuum_core::record::EndResult;
use serde_json::Value;
use std::collections::BTreeSet;

/// Checks.
pub fn check(ground: &Ground) -> Verdict {
    let mut evidence: Vec<Evidence> = in_flight::lies(ground);
    evidence.extend(of_interference(ground));
    for (region, truth) in &ground.regions {
        let Some(status) = truth.copy.as_ref().map(|copy| &copy["status"]) else { continue };
        if !status.is_object() {
            evidence.push(format!("the copy in {region} has no status").into());
            continue;
        }
        evidence.extend(
            lies(ground, truth, status).into_iter().map(|lie| format!("the status in {region} says {lie}").into()),
        );
    }
    Verdict::of("status-true", String::new(), evidence)
}

fn lies(ground: &Ground, here: &RegionGround, status: &Value) -> Vec<String> {
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
    lies.extend(of_last(ground, status));
    let phase = status["phase"].as_str().unwrap_or_default();
    let is_at_rest = ground.run.rest_since.is_some() && ground.run.broken.is_none();
    let may_rest = match phase {
        "Healthy" | "FailedOver" => true,
        "Failed" => spec_was_changed(here),
        _ => false,
    };
    // Without a witness nobody can say more than that.
    if is_at_rest && ground.record().is_some() && !may_rest {
        lies.push(format!("phase {phase}, and it is at rest"));
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

/// Interference that was none, once for each copy that told of it.
fn of_interference(ground: &Ground) -> Vec<Evidence> {
    let mut found = Vec::new();
    for (region, truth) in &ground.regions {
        let mut told = BTreeSet::new();
        for change in truth.history.iter().filter(|change| *change.resource == CONTINUUMS) {
            let lies = interference::untruths(ground, &change.object["status"], change.at);
            let new = lies.into_iter().filter(|lie| told.insert(lie.clone())).collect::<Vec<_>>();
            let text = |lie: String| format!("the status in {region} told of an interference {lie}");
            found.extend(new.into_iter().map(|lie| Evidence { at: Some(change.at), text: text(lie) }));
        }
    }
    found
}

/// Whether somebody beside the controllers changed what the resource asks for: only then it may be one that nobody can
/// follow.
fn spec_was_changed(here: &RegionGround) -> bool {
    let changed =
        |change: &Change| change.before.as_ref().is_some_and(|before| before["spec"] != change.object["spec"]);
    let copies = here.history.iter().filter(|change| *change.resource == CONTINUUMS);
    copies.into_iter().any(|change| !change.by.contains("@controller.") && changed(change))
}

/// What is said of the last switchover. A failback that was declined moved nothing, and is no switchover.
fn of_last(ground: &Ground, status: &Value) -> Option<String> {
    let last = ground.record()?.last.as_ref().filter(|last| last.result != EndResult::Declined)?;
    let said = &status["lastSwitchover"];
    let result = if last.result == EndResult::Succeeded { "Success" } else { "Failed" };
    let truth = [last.from.as_str(), last.to.as_str(), result];
    let told = ["from", "to", "result"].map(|field| said[field].as_str().unwrap_or("nothing"));
    (told != truth).then(|| format!("lastSwitchover {}, it was {}", told.join(" "), truth.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::fixture::{claimed, editable, entry, moved, region};
    use crate::moments::Sample;
    use crate::servers::postgres::Event;
    use crate::workload::Span;
    use continuum_core::record::Lsn;
    use serde_json::json;
    use std::sync::Arc;
    use std::time::Duration;

    /// A copy in fsn that says this from a time on.
    fn says(ground: &mut Ground, at: f64, status: serde_json::Value) {
        let mut change = claimed(at, &CONTINUUMS, "shop", 1, "fsn");
        change.object = Arc::new(json!({ "status": status }));
        ground.regions.get_mut(&region("fsn")).unwrap().history.push(change);
    }

    fn healthy(primary: &str) -> serde_json::Value {
        json!({ "phase": "Healthy", "primaryRegion": primary, "leaseHolder": primary })
    }

    #[test]
    fn healthy_while_nobody_takes_writes_is_caught_though_it_is_right_at_the_end() {
        let mut ground = moved();
        says(&mut ground, 30.0, healthy("hel"));
        assert!(check(&ground).ok, "{:?}", check(&ground));
        ground.journal.push(entry(60.0, "shop-hel", Event::RefusesWrites));
        ground.journal.push(entry(69.0, "shop-hel", Event::AcceptsWrites { timeline: 2 }));
        assert!(check(&ground).ok, "a controller has to look first");
        ground.journal.push(entry(70.0, "shop-hel", Event::RefusesWrites));
        ground.journal.push(entry(90.0, "shop-hel", Event::AcceptsWrites { timeline: 2 }));
        let told = "the status in fsn said Healthy, and nobody took writes, 70.00 s to 90.00 s";
        assert_eq!(
            (check(&ground).at, check(&ground).evidence),
            (Some(Duration::from_secs(70)), vec![told.to_owned()])
        );
        let span = Span { from: Duration::from_secs(71), to: Duration::from_secs(95) };
        ground.run.blind.push((region("fsn"), span));
        assert!(check(&ground).ok, "who cannot see does not lie");
    }

    #[test]
    fn a_primary_that_takes_no_writes_is_caught() {
        let mut ground = moved();
        says(&mut ground, 30.0, healthy("fsn"));
        says(&mut ground, 50.0, healthy("hel"));
        let told = "the status in fsn said primaryRegion fsn, and hel took writes, 30.00 s to 50.00 s";
        assert_eq!(check(&ground).evidence, [told]);
    }

    #[test]
    fn ready_in_a_phase_that_is_not_and_a_standby_that_does_not_stream_are_caught() {
        let mut ground = moved();
        let conditions =
            json!([{ "type": "Ready", "status": "True" }, { "type": "StandbyAvailable", "status": "True" }]);
        let mut status = healthy("hel");
        status["conditions"] = conditions;
        says(&mut ground, 30.0, status.clone());
        let sample = |at, streaming| Sample {
            at: Duration::from_secs(at),
            region: region("fsn"),
            streaming,
            replayed: Lsn(100),
        };
        ground.run.samples = vec![sample(40, false), sample(55, true)];
        status["phase"] = json!("Degraded");
        says(&mut ground, 60.0, status);
        assert_eq!(
            check(&ground).evidence,
            [
                "the status in fsn said StandbyAvailable True, and the standby did not stream, 40.00 s to 55.00 s",
                "the status in fsn said Ready True in phase Degraded, 60.00 s to 100.00 s",
            ]
        );
    }

    #[test]
    fn a_lag_that_is_not_so_is_caught() {
        let mut ground = moved();
        let mut status = healthy("hel");
        status["replicationLagSeconds"] = json!(0);
        says(&mut ground, 30.0, status);
        let committed = |number| Event::Committed { client: "c".into(), number, lsn: Lsn(200), timeline: 2 };
        ground.journal.push(entry(40.0, "shop-hel", committed(9)));
        let replayed = |at, replayed| Sample {
            at: Duration::from_secs(at),
            region: region("fsn"),
            streaming: true,
            replayed: Lsn(replayed),
        };
        ground.run.samples = (30..80).map(|at| replayed(at, 100)).chain([replayed(80, 200)]).collect();
        let told = "the status in fsn said replicationLagSeconds 0, it was 11, 51.00 s to 80.00 s";
        assert_eq!(check(&ground).evidence, [told]);
    }

    #[test]
    fn a_status_that_names_the_old_primary_is_caught() {
        let mut ground = moved();
        let fsn = ground.regions.get_mut(&region("fsn")).unwrap();
        let status = &mut editable(&mut fsn.copy)["status"];
        status["primaryRegion"] = json!("fsn");
        status["phase"] = json!("Degraded");
        status["switchoverInProgress"] = json!(true);
        status["leaseHolder"] = Value::Null;
        assert_eq!(
            check(&ground).evidence,
            [
                "the status in fsn says primaryRegion fsn, it is hel",
                "the status in fsn says leaseHolder nothing, it is hel",
                "the status in fsn says switchoverInProgress true, it is false",
                "the status in fsn says phase Degraded, and it is at rest",
            ]
        );
    }

    #[test]
    fn failed_at_rest_is_true_only_of_a_resource_that_somebody_changed() {
        let mut ground = moved();
        let fsn = ground.regions.get_mut(&region("fsn")).unwrap();
        editable(&mut fsn.copy)["status"]["phase"] = json!("Failed");
        let mut change = claimed(60.0, &CONTINUUMS, "shop", 1, "fsn");
        change.before = Some(Arc::new(json!({ "spec": { "hotStandbyRegions": ["hel"] } })));
        change.object = Arc::new(json!({ "spec": { "hotStandbyRegions": ["hel", "hel"] } }));
        for (by, lies) in [("continuum@controller.fsn", 1), ("alice", 0)] {
            let mut ground = ground.clone();
            change.by = by.into();
            ground.regions.get_mut(&region("fsn")).unwrap().history.push(change.clone());
            let evidence = check(&ground).evidence;
            assert_eq!(evidence.iter().filter(|lie| lie.contains("phase Failed")).count(), lies, "{by}: {evidence:?}");
        }
    }

    #[test]
    fn a_lag_of_zero_where_nobody_follows_is_caught() {
        let mut ground = moved();
        let fsn = ground.regions.get_mut(&region("fsn")).unwrap();
        editable(&mut fsn.copy)["status"]["replicationLagSeconds"] = json!(0);
        assert!(check(&ground).ok);
        ground.regions.get_mut(&region("fsn")).unwrap().instance.streaming = false;
        assert_eq!(check(&ground).evidence, ["the status in fsn says replicationLagSeconds 0, and nobody follows"]);
    }

    #[test]
    fn an_interference_in_a_run_in_which_nobody_interfered_is_caught_once() {
        let mut ground = moved();
        let message = "Cluster in fsn: takes writes, by somebody else";
        let condition =
            json!({ "type": "Interference", "status": "True", "reason": "OtherWriter", "message": message });
        let mut status = healthy("hel");
        status["conditions"] = json!([condition]);
        for at in [30.0, 31.0] {
            says(&mut ground, at, status.clone());
        }
        says(&mut ground, 32.0, healthy("hel"));
        let told = format!("the status in fsn told of an interference `{message}`, and nobody else had written it");
        assert_eq!((check(&ground).at, check(&ground).evidence), (Some(Duration::from_secs(30)), vec![told]));
    }

    #[test]
    fn a_copy_without_a_status_is_caught() {
        let mut ground = moved();
        ground.regions.get_mut(&region("fsn")).unwrap().copy = Some(json!({}).into());
        assert_eq!(check(&ground).evidence, ["the copy in fsn has no status"]);
    }
}
