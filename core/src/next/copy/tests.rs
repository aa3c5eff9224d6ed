use super::*;
use crate::name::Region;
use crate::preflight::fixture::{self, fsn, hel};
use crate::record::Kind;
use crate::spec::SwitchoverRequest;
use crate::transition::{self, Edit, Order};
use jiff::Timestamp;

fn at() -> Timestamp {
    Timestamp::from_second(1_795_000_000).unwrap()
}

#[test]
fn a_spec_that_agrees_with_the_record_is_left_alone() {
    assert_eq!(mended(&fixture::record(), &fixture::spec()), None);
}

#[test]
fn after_a_switchover_the_spec_names_the_acting_primary_and_the_former_one_first() {
    let mut spec = fixture::spec();
    spec.standbys = vec![Region::new("nbg"), hel()];
    let mut record = fixture::record();
    record.lineage = Lineage::Of { region: hel(), timeline: 4 };
    let patch = mended(&record, &spec).unwrap();
    assert_eq!(patch, json!({ "primaryRegion": "hel", "hotStandbyRegions": ["fsn", "nbg"] }));
    record.lineage = Lineage::Unknown;
    assert_eq!(mended(&record, &spec), None, "nobody is known to be primary");
    record.lineage = Lineage::Of { region: Region::new("ash"), timeline: 4 };
    assert_eq!(mended(&record, &spec), None, "not a region of this Continuum");
}

#[test]
fn nothing_is_mended_while_a_switchover_is_under_way() {
    let mut spec = fixture::spec();
    (spec.primary, spec.standbys) = (hel(), vec![fsn()]);
    let order = Order { plan: fixture::plan(), kind: Kind::Planned, request: None, now: at() };
    let Edit::Write(record) = transition::begin(&fixture::record(), &fsn(), &order) else { panic!() };
    assert!(mended(&fixture::record(), &spec).is_some());
    assert_eq!(mended(&record, &spec), None);
}

#[test]
fn a_served_request_is_reset_and_one_that_is_not_stays() {
    let mut spec = fixture::spec();
    let request = SwitchoverRequest {
        target: hel(),
        requested_at: at(),
        key: None,
        requested_by: None,
        reason: None,
        confirmed: None,
    };
    spec.switchover = Some(request.clone());
    let mut record = fixture::record();
    assert_eq!(mended(&record, &spec), None);
    record.served.push(requests::of_switchover(&request));
    assert_eq!(
        mended(&record, &spec),
        Some(json!({ "switchover": { "requested": false, "confirmedFingerprint": null } }))
    );
}

#[test]
fn an_answer_to_a_failback_does_not_stand_for_the_next_one() {
    let reset = Some(json!({ "failback": {
        "requested": false, "confirmedFingerprint": null, "approved": false, "approvedAt": null, "approvedBy": null,
        "refused": false, "answered": null,
    } }));
    let mut record = fixture::record();
    let mut answered = fixture::spec();
    answered.failback.refused = true;
    assert_eq!(mended(&record, &answered), reset, "also in a copy that did not ask");
    let mut asked = fixture::spec();
    (asked.failback.requested_at, asked.failback.approved) = (Some(at()), true);
    assert_eq!(mended(&record, &asked), None, "asked and approved in one breath, not served yet");
    record.served.push(requests::of_failback(&asked.failback, &hel()).unwrap());
    assert_eq!(mended(&record, &asked), reset);
    let order = Order { plan: fixture::plan(), kind: Kind::Failback, request: None, now: at() };
    let approval = transition::Approval { required: true, timeout_seconds: 60 };
    let Edit::Write(waiting) = transition::pend(&record, &fsn(), &order, approval) else { panic!() };
    assert_eq!(mended(&waiting, &asked), None, "it waits, so the answer counts");
    assert_eq!(mended(&waiting, &answered), None);
}

#[test]
fn a_copy_is_held_while_an_intent_stands_and_what_others_hold_it_by_stays() {
    let order = Order { plan: fixture::plan(), kind: Kind::Planned, request: None, now: at() };
    let Edit::Write(under_way) = transition::begin(&fixture::record(), &fsn(), &order) else { panic!() };
    let (idle, under_way) = (fixture::record(), *under_way);
    let held_by = |all: &[&str], deleted: bool| CopyView {
        finalizers: all.iter().map(|finalizer| (*finalizer).to_owned()).collect(),
        deleted,
        ..fixture::copy()
    };
    let wanted = |record: &Record, copy: &CopyView| finalizers(record, copy).map(|all| all.join(" "));
    let both = format!("example.org/other {FINALIZER}");
    assert_eq!(wanted(&idle, &held_by(&[], false)), None);
    assert_eq!(wanted(&idle, &held_by(&["example.org/other"], false)), None);
    assert_eq!(wanted(&under_way, &held_by(&["example.org/other"], false)), Some(both.clone()));
    assert_eq!(wanted(&under_way, &held_by(&["example.org/other", FINALIZER], true)), None);
    for deleted in [false, true] {
        let copy = held_by(&["example.org/other", FINALIZER], deleted);
        assert_eq!(wanted(&idle, &copy).as_deref(), Some("example.org/other"));
    }
    // The API server takes no new one then.
    assert_eq!(wanted(&under_way, &held_by(&[], true)), None);
}
