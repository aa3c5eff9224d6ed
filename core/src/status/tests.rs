use super::*;
use crate::next::{Interference, Object};
use crate::preflight::fixture::{self, fsn, hel};
use crate::record::Kind;
use crate::transition::{self, Edit, Ending, Order};
use std::collections::BTreeMap;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + second).unwrap()
}

fn known() -> Known {
    Known {
        record: Some(fixture::record().into()),
        term_left: Some(Duration::from_secs(20)),
        lag_seconds: Some(0),
        standby_streams: Some(true),
        ..Known::default()
    }
}

fn patch(known: &Known, me: &Region, copy: &CopyView, now: Timestamp) -> Value {
    super::patch(known, me, copy, &copy.status.read(), now)
}

fn status(known: &Known) -> Value {
    patch(known, &fsn(), &fixture::copy(), at(0))
}

fn phase_of(known: &Known) -> (String, String, String) {
    let status = status(known);
    let ready = condition_of(&status, "Ready");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&status["phase"]), text(&ready["status"]), text(&ready["reason"]))
}

fn condition_of<'a>(status: &'a Value, kind: &str) -> &'a Value {
    status["conditions"].as_array().unwrap().iter().find(|c| c["type"] == kind).unwrap()
}

fn words(of: (&str, &str, &str)) -> (String, String, String) {
    (of.0.into(), of.1.into(), of.2.into())
}

fn with_intent() -> Record {
    let order = Order { plan: fixture::plan(), kind: Kind::Planned, request: None, now: at(0) };
    match transition::begin(&fixture::record(), &fsn(), &order) {
        Edit::Write(record) => *record,
        other => panic!("{other:?}"),
    }
}

/// A record whose last switchover ended so at second 0.
fn ended(result: EndResult) -> Record {
    let record = with_intent();
    let id = record.intent.as_ref().unwrap().id.clone();
    let turned = match result {
        EndResult::Undone => transition::turn(&record, &fsn(), &id, 4, "SERVFAIL", false, at(0)),
        _ => Edit::Write(Box::new(record)),
    };
    let Edit::Write(record) = turned else { panic!() };
    let ending = Ending { result, now: at(0), acknowledged: true, write_gap_ms: None, took_ms: None };
    let Edit::Write(record) = transition::end(&record, &fsn(), &id, &ending) else { panic!() };
    *record
}

#[test]
fn phases_and_reasons_follow_from_what_is_known() {
    assert_eq!(phase_of(&known()), words(("Healthy", "True", "Reconciled")));
    let nothing = Known::default();
    assert_eq!(phase_of(&nothing), words(("Pending", "Unknown", "InProgress")));
    let unreachable = Some("no answer in 3 s".to_owned());
    let blind = Known { witness_unreachable: unreachable.clone(), ..Known::default() };
    assert_eq!(phase_of(&blind), words(("Pending", "Unknown", "WitnessUnavailable")));
    let degraded = Known { witness_unreachable: unreachable, ..known() };
    assert_eq!(phase_of(&degraded), words(("Degraded", "False", "WitnessUnavailable")));
    let moving = Known { record: Some(with_intent().into()), ..known() };
    assert_eq!(phase_of(&moving), words(("SwitchingOver", "Unknown", "InProgress")));
    let invalid = Known { invalid: Some("spec.rto: wrong".into()), ..known() };
    assert_eq!(phase_of(&invalid), words(("Failed", "False", "Invalid")));
    let undone = Known { record: Some(ended(EndResult::Undone).into()), ..known() };
    assert_eq!(phase_of(&undone), words(("Healthy", "True", "SwitchoverFailed")));
    let alone = Known { standby_streams: Some(false), ..known() };
    assert_eq!(phase_of(&alone).0, "Degraded");
}

#[test]
fn a_switchover_is_failed_over_until_its_health_was_checked_by_whichever_process() {
    let moved = Known { record: Some(ended(EndResult::Succeeded).into()), ..known() };
    assert_eq!(phase_of(&moved), words(("FailedOver", "True", "Succeeded")));
    let checked = Known { health: Some(("shop/shop/4.1".into(), Err("cancelled".into()))), ..moved.clone() };
    assert_eq!(phase_of(&checked).0, "Healthy");
    let mut copy = fixture::copy();
    copy.status = json!({ "lastSwitchoverHealth": { "id": "shop/shop/4.1" } }).into();
    assert_eq!(patch(&moved, &fsn(), &copy, at(0))["phase"], "Healthy", "checked before a restart");
    assert_eq!(patch(&moved, &fsn(), &fixture::copy(), at(36_000))["phase"], "FailedOver", "however long ago");
    let unseen = Known { standby_unseen: Some("Cluster of hel: it does not exist".into()), ..moved };
    assert_eq!(phase_of(&unseen), words(("Degraded", "False", "NotHolder")), "its absence is told at once");
}

#[test]
fn what_is_not_measured_is_null_so_that_an_old_value_goes() {
    let status = status(&Known { lag_seconds: None, standby_streams: None, term_left: None, ..known() });
    for field in ["replicationLagSeconds", "walLagSeconds", "standbyAvailable", "hotStandbyAbsent", "leaseExpiresAt"] {
        assert!(status.get(field).is_some_and(Value::is_null), "{field}");
    }
    assert_eq!(condition_of(&status, "StandbyAvailable")["status"], "Unknown");
}

#[test]
fn the_step_under_way_is_named() {
    let mut moving = Known { record: Some(with_intent().into()), ..known() };
    assert_eq!(status(&moving)["switchoverStep"], "step 1/7 — validate-lease");
    moving.progress.step = 3;
    assert_eq!(status(&moving)["switchoverStep"], "step 3/7 — drain-http");
    assert!(status(&known()).get("switchoverStep").is_some_and(Value::is_null));
}

#[test]
fn a_refused_abort_is_said_with_its_reason() {
    let mut moving = Known { record: Some(with_intent().into()), ..known() };
    moving.progress.waiting = Some("replaying".into());
    moving.progress.abort_refused = Some("shop/shop/4.1".into());
    let status = status(&moving);
    let message = condition_of(&status, "Ready")["message"].as_str().unwrap();
    assert_eq!(
        message,
        "moving from fsn to hel; replaying; the abort is refused: step 6 was started, so it goes forward only"
    );
}

#[test]
fn a_condition_keeps_its_time_until_its_status_changes() {
    let mut copy = fixture::copy();
    let first = patch(&known(), &fsn(), &copy, at(0));
    copy.status = first.clone().into();
    let later = patch(&known(), &fsn(), &copy, at(60));
    assert_eq!(condition_of(&later, "Ready"), condition_of(&first, "Ready"));
    let moving = Known { record: Some(with_intent().into()), ..known() };
    let changed = patch(&moving, &fsn(), &copy, at(60));
    assert_ne!(
        condition_of(&changed, "Ready")["lastTransitionTime"],
        condition_of(&first, "Ready")["lastTransitionTime"]
    );
    assert_eq!(condition_of(&changed, "LeaseHeld"), condition_of(&first, "LeaseHeld"));
}

/// What every condition is said of.
fn all_told() -> Known {
    let interference =
        Interference { object: Object::Half(hel()), what: "told to be primary".into(), manager: None, since: None };
    let progress = Progress { interference: vec![interference], watched: true, ..Progress::default() };
    Known { health: Some(("x".into(), Err("cancelled".into()))), progress, ..known() }
}

/// `observedGeneration` of each condition, by type.
fn observed(status: &Value) -> BTreeMap<&str, &Value> {
    let conditions = status["conditions"].as_array().unwrap().iter();
    conditions.map(|c| (c["type"].as_str().unwrap(), &c["observedGeneration"])).collect()
}

#[test]
fn each_condition_tells_of_which_generation_of_its_own_copy_it_was_made() {
    const KINDS: [&str; 5] = ["Interference", "LastSwitchoverHealthy", "LeaseHeld", "Ready", "StandbyAvailable"];
    for (region, generation) in [(fsn(), 7), (hel(), 9)] {
        let mut copy = CopyView { generation, ..fixture::copy() };
        // Of what stands there nothing is taken over.
        copy.status = patch(&all_told(), &region, &CopyView { generation: 3, ..fixture::copy() }, at(0)).into();
        let status = patch(&all_told(), &region, &copy, at(60));
        let generation = json!(generation);
        assert_eq!(observed(&status), KINDS.map(|kind| (kind, &generation)).into(), "{region}");
        assert_eq!(status["observedGeneration"], generation);
    }
}

#[test]
fn a_condition_keeps_its_time_and_is_written_anew_where_its_generation_alone_moves() {
    let told = |health, generation, status: &Value, now| {
        let copy = CopyView { generation, status: status.clone().into(), ..fixture::copy() };
        patch(&Known { health, ..all_told() }, &fsn(), &copy, now)
    };
    let first = told(all_told().health, 7, &Value::Null, at(0));
    let later = told(None, 8, &first, at(60));
    assert!(!stands(&later, &first));
    let mut expected = first["conditions"].clone();
    // That check was made of the former spec, and what it found stays until the next.
    for condition in expected.as_array_mut().unwrap().iter_mut().filter(|c| c["type"] != "LastSwitchoverHealthy") {
        condition["observedGeneration"] = json!(8);
    }
    assert_eq!(later["conditions"], expected);
}

#[test]
fn the_health_condition_stays_until_the_next_check() {
    let mut copy = fixture::copy();
    let errored = Known { health: Some(("x".into(), Err("cancelled".into()))), ..known() };
    copy.status = patch(&errored, &fsn(), &copy, at(0)).into();
    let kept = patch(&known(), &fsn(), &copy, at(60));
    let condition = condition_of(&kept, "LastSwitchoverHealthy");
    assert_eq!((&condition["status"], &condition["reason"]), (&json!("Unknown"), &json!("HealthCheckErrored")));
    assert_eq!(condition["message"], "PostSwitchoverHealth errored: cancelled");
}

#[test]
fn the_acting_primary_is_of_the_lineage_and_the_holder_only_where_that_is_in_doubt() {
    let mut record = fixture::record();
    record.holder = Some(hel());
    assert_eq!(acting_primary(&record), Some(fsn()));
    record.lineage = Lineage::Unknown;
    assert_eq!(acting_primary(&record), Some(hel()));
    let seen = Known { record: Some(record.into()), observed_primary: Some(fsn()), ..known() };
    assert_eq!(status(&seen)["primaryRegion"], "fsn", "who takes writes is seen");
}

#[test]
fn a_patch_that_changes_nothing_is_known_as_such() {
    let there = json!({ "a": 1, "b": { "c": [1, 2] }, "other": true });
    assert!(stands(&json!({ "a": 1, "b": { "c": [1, 2] } }), &there));
    assert!(stands(&json!({ "gone": null }), &there));
    assert!(!stands(&json!({ "a": null }), &there));
    assert!(!stands(&json!({ "b": { "c": [1] } }), &there));
    assert!(!stands(&json!({ "new": 1 }), &there));
}

#[test]
fn the_lag_is_told_by_region_and_removed_from_a_region_that_is_no_standby_any_more() {
    let mut copy = fixture::copy();
    copy.status = json!({ "replicationLag": { "fsn": "3s" } }).into();
    let status = patch(&Known { lag_seconds: Some(5), ..known() }, &fsn(), &copy, at(0));
    assert_eq!(status["replicationLag"], json!({ "fsn": null, "hel": "5s" }));
    let status = patch(&Known { lag_seconds: None, ..known() }, &fsn(), &copy, at(0));
    assert_eq!(status["replicationLag"], Value::Null);
}

#[test]
fn the_records_that_were_published_are_told_once_they_were_seen_and_after_the_undo_the_former_ones() {
    let mut record = with_intent();
    let told = |record: &Record| status(&Known { record: Some(record.clone().into()), ..known() });
    assert_eq!(told(&record).get("lastLuaRecord"), None, "what stands in the status stays");
    let intent = record.intent.as_mut().unwrap();
    intent.steps[3].finished_at = Some(at(9));
    let status = told(&record);
    let first = &status["lastLuaRecord"]["records"][0];
    assert_eq!((&first["primaryRegion"], &first["hostname"]), (&json!("hel"), &json!("shop.example.org")));
    assert!(first["body"].as_str().is_some_and(|body| body.starts_with("A \"")), "{first}");
    assert_eq!(status["lastLuaRecordAt"], json!(at(9)));
    let intent = record.intent.as_mut().unwrap();
    let former = RecordSet {
        hostname: "shop.example.org".into(),
        kind: LUA.into(),
        ttl_seconds: 60,
        contents: vec!["A \"before\"".into()],
    };
    intent.former.records = Some(vec![former]);
    intent.steps[3].undone_at = Some(at(12));
    let status = told(&record);
    let expected = json!({ "hostname": "shop.example.org", "body": "A \"before\"", "ttl": 60, "primaryRegion": "fsn" });
    assert_eq!(status["lastLuaRecord"]["records"], json!([expected]));
}

#[test]
fn a_standby_that_is_away_or_cannot_be_seen_is_degraded_also_after_a_switchover_that_was_undone() {
    let unseen = Known { standby_streams: None, standby_unseen: Some("Cluster of hel: time-out".into()), ..known() };
    assert_eq!(phase_of(&unseen).0, "Degraded", "H03: a region that is gone is not healthy");
    let status = status(&unseen);
    assert!(condition_of(&status, "Ready")["message"].as_str().unwrap().contains("time-out"));
    let undone = Known { record: Some(ended(EndResult::Undone).into()), standby_streams: Some(false), ..known() };
    assert_eq!(phase_of(&undone).0, "Degraded");
}

#[test]
fn a_lease_that_cannot_be_read_or_renewed_is_not_said_to_be_held() {
    let status = status(&Known { witness_unreachable: Some("403".into()), ..known() });
    assert_eq!(condition_of(&status, "LeaseHeld")["status"], "Unknown");
    assert_eq!(condition_of(&status, "Ready")["reason"], "WitnessUnavailable");
}

#[test]
fn a_failback_that_was_declined_is_no_last_switchover() {
    let mut record = ended(EndResult::Undone);
    assert_eq!(status(&Known { record: Some(record.clone().into()), ..known() })["lastSwitchover"]["result"], "Failed");
    record.last.as_mut().unwrap().result = EndResult::Declined;
    assert_eq!(status(&Known { record: Some(record.into()), ..known() }).get("lastSwitchover"), None);
}

#[test]
fn the_order_that_was_refused_last_is_told_and_one_of_before_is_left_as_it_stands() {
    use crate::sequencer::Refusal;
    let refusal = Refusal { to: hel(), step: 4, why: "step-4 (flip-dns): no address".into() };
    let refused = RefusedOrder { refusal, by: Some("jane".into()), at: at(0) };
    let told = status(&Known { refused: Some(refused), ..known() })["lastRefusal"].clone();
    let expected =
        json!({ "at": at(0), "to": "hel", "requestedBy": "jane", "message": "step-4 (flip-dns): no address" });
    assert_eq!(told, expected);
    assert_eq!(status(&known()).get("lastRefusal"), None);
}

#[test]
fn a_process_that_has_not_looked_yet_leaves_what_is_said_of_others_and_of_events() {
    let mut copy = fixture::copy();
    let stands = json!({ "type": "Interference", "status": "True", "reason": "OtherWriter", "message": "a write" });
    let mut told = copy.status.read();
    told["conditions"] = json!([stands]);
    copy.status = told.into();
    let fresh = patch(&known(), &fsn(), &copy, at(0));
    assert_eq!(*condition_of(&fresh, "Interference"), stands);
    assert_eq!((fresh.get("eventsOwed"), fresh.get("eventsOwedSince")), (None, None));
    let mut looked = Known { ledger: Some(Ledger::default()), ..known() };
    looked.progress.watched = true;
    let looked = patch(&looked, &fsn(), &copy, at(0));
    assert_eq!(condition_of(&looked, "Interference")["status"], "False");
    assert_eq!((&looked["eventsOwed"], &looked["eventsOwedSince"]), (&json!(0), &Value::Null));
}

#[test]
fn a_lag_that_moves_is_left_as_it_stands_and_one_of_another_standby_or_none_is_not() {
    let lag = |region: &str, seconds: u64| json!({ "replicationLagSeconds": seconds, "walLagSeconds": seconds, "replicationLag": { region: format!("{seconds}s") } });
    let left = |mut patch: Value, told: &Value| {
        leave_lag(&mut patch, told);
        patch
    };
    assert_eq!(left(lag("hel", 3), &lag("hel", 1)), lag("hel", 1));
    assert_eq!(left(lag("hel", 3), &lag("fsn", 1)), lag("hel", 3));
    assert_eq!(left(lag("hel", 3), &json!({})), lag("hel", 3));
    let unmeasured = json!({ "replicationLagSeconds": null, "walLagSeconds": null, "replicationLag": null });
    assert_eq!(left(unmeasured.clone(), &lag("hel", 1)), unmeasured, "one that is not known any more goes at once");
    let mut moved = lag("hel", 3);
    moved["replicationLag"]["fsn"] = Value::Null;
    assert_eq!(left(moved, &lag("hel", 1)), lag("hel", 1));
}
