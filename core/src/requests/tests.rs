use super::*;
use crate::preflight::fixture::{self, fsn, hel};
use std::sync::Arc;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + second).unwrap()
}

fn request() -> SwitchoverRequest {
    SwitchoverRequest {
        target: hel(),
        requested_at: at(0),
        key: None,
        requested_by: Some("alice".into()),
        reason: None,
        confirmed: None,
    }
}

/// The copies of both regions, changed.
fn copies(change: impl Fn(&Region, &mut Spec)) -> ByRegion<Seen<CopyView>> {
    let copy = |region: Region| {
        let mut copy = fixture::copy();
        change(&region, Arc::make_mut(copy.spec.as_mut().unwrap()));
        (region, Seen::Is(copy))
    };
    [copy(fsn()), copy(hel())].into_iter().collect()
}

#[test]
fn a_request_is_told_apart_by_target_time_and_person() {
    let of = |change: fn(&mut SwitchoverRequest)| {
        let mut request = request();
        change(&mut request);
        of_switchover(&request)
    };
    let same = of(|r| r.reason = Some("drill".into()));
    assert_eq!(same, of_switchover(&request()), "the reason is no part of it");
    assert_eq!((same.len(), same.bytes().all(|b| b.is_ascii_hexdigit())), (16, true));
    for other in [of(|r| r.target = fsn()), of(|r| r.requested_at = at(1)), of(|r| r.requested_by = None)] {
        assert_ne!(other, same);
    }
}

#[test]
fn a_request_is_found_in_whichever_copy_it_stands() {
    for at_region in [fsn(), hel()] {
        let copies = copies(|region, spec| spec.switchover = (*region == at_region).then(request));
        let asked = unserved(&fixture::record(), &copies).unwrap();
        assert_eq!(asked, Unserved::Switchover { id: of_switchover(&request()), request: request() });
    }
    assert_eq!(unserved(&fixture::record(), &copies(|_, _| {})), None);
}

#[test]
fn a_served_request_is_not_asked_again_also_in_a_copy_restored_from_a_backup() {
    let copies = copies(|_, spec| spec.switchover = Some(request()));
    let mut record = fixture::record();
    record.served.push(of_switchover(&request()));
    assert_eq!(unserved(&record, &copies), None, "H12");
}

#[test]
fn a_served_failback_is_not_another_one_once_the_regions_have_changed_places() {
    let ask = |_: &Region, spec: &mut Spec| spec.failback.requested_at = Some(at(0));
    let mut record = fixture::record();
    let Some(Unserved::Failback { id, target, .. }) = unserved(&record, &copies(ask)) else { panic!("asked") };
    assert_eq!(target, hel());
    record.served.push(id);
    assert_eq!(unserved(&record, &copies(ask)), None);
    let turned = copies(|region, spec| {
        ask(region, spec);
        (spec.primary, spec.standbys) = (hel(), vec![fsn()]);
    });
    assert_eq!(unserved(&record, &turned), None, "H12");
}

#[test]
fn a_copy_that_cannot_be_read_or_is_invalid_asks_for_nothing() {
    let mut copies = copies(|_, spec| spec.switchover = Some(request()));
    copies.insert(fsn(), Seen::Unknown("time-out".into()));
    let Some(Seen::Is(copy)) = copies.get_mut(&hel()) else { panic!() };
    copy.spec = Err(crate::spec::Invalid { path: "spec.rto".into(), message: "wrong".into() });
    assert_eq!(unserved(&fixture::record(), &copies), None);
}

#[test]
fn an_abort_counts_in_any_copy_and_for_the_intent_that_it_names() {
    let copies = copies(|region, spec| {
        spec.abort = Some(if *region == fsn() { "shop/shop/3.1".into() } else { "shop/shop/4.1".into() });
    });
    assert!(aborted(&copies, "shop/shop/4.1"), "an old one in the other copy does not hide it");
    assert!(aborted(&copies, "shop/shop/3.1"));
    assert!(!aborted(&copies, "shop/shop/4.2"));
}

#[test]
fn a_refusal_counts_more_than_an_approval() {
    let with = |approved: bool, refused: bool| {
        answer(
            &copies(|region, spec| {
                spec.failback.approved = approved && *region == fsn();
                spec.failback.approved_by = Some("alice".into());
                spec.failback.refused = refused && *region == hel();
            }),
            "2.1",
            at(0),
        )
    };
    assert_eq!(with(false, false), None);
    assert_eq!(with(true, false), Some(ApprovalAnswer::Approved("alice".into())));
    assert_eq!(with(true, true), Some(ApprovalAnswer::Refused));
}

#[test]
fn an_answer_that_names_its_failback_is_one_to_that_alone_whatever_the_clocks_say() {
    let named = |approved: bool, answered: &str| {
        let copies = copies(|_, spec| {
            spec.failback.approved = approved;
            spec.failback.refused = !approved;
            spec.failback.approved_at = approved.then(|| at(0));
            spec.failback.answered = Some(answered.into());
        });
        answer(&copies, "2.1", at(1000))
    };
    assert_eq!(named(true, "2.1"), Some(ApprovalAnswer::Approved("unnamed".into())));
    assert_eq!(named(false, "2.1"), Some(ApprovalAnswer::Refused));
    assert_eq!([named(true, "1.9"), named(false, "1.9")], [None, None]);
}

#[test]
fn the_key_of_a_request_is_its_identity() {
    let keyed = SwitchoverRequest { key: Some("k".into()), ..request() };
    assert_eq!(of_switchover(&keyed), "k");
    let failback = FailbackSpec { requested_at: Some(at(0)), key: Some("k".into()), ..FailbackSpec::default() };
    assert_eq!(of_failback(&failback, &hel()).as_deref(), Some("k"));
    assert_eq!(of_failback(&FailbackSpec { requested_at: None, ..failback }, &hel()), None, "nothing is asked");
}

#[test]
fn an_approval_that_is_older_than_the_failback_does_not_count() {
    let approved_at = |second: Option<i64>| {
        let copies = copies(|region, spec| {
            spec.failback.approved = *region == hel();
            spec.failback.approved_at = second.map(at);
        });
        answer(&copies, "2.1", at(100)).is_some()
    };
    assert!(!approved_at(Some(39)), "it was that of another failback");
    assert!(approved_at(Some(40)), "clocks differ");
    assert!(approved_at(None), "a person with kubectl need not say when");
}

#[test]
fn an_answer_that_stands_before_the_question_is_found_unless_it_came_with_it() {
    let ask = |asked: Option<Timestamp>| {
        copies(move |region, spec| {
            spec.failback.requested_at = asked;
            spec.failback.approved = *region == hel();
        })
    };
    let request = of_failback(&FailbackSpec { requested_at: Some(at(0)), ..FailbackSpec::default() }, &hel());
    assert_eq!(answered_before(&copies(|_, _| {}), &hel(), None), None);
    assert_eq!(answered_before(&ask(None), &hel(), None), Some(hel()));
    assert_eq!(answered_before(&ask(None), &hel(), request.as_deref()), Some(hel()));
    assert_eq!(answered_before(&ask(Some(at(0))), &hel(), request.as_deref()), None);
    assert_eq!(answered_before(&ask(Some(at(1))), &hel(), request.as_deref()), Some(hel()));
}

#[test]
fn approval_is_required_where_either_copy_says_so() {
    let required = |by: Option<Region>| {
        approval_required(&copies(|region, spec| spec.failback.approval_required = by.as_ref() == Some(region)))
    };
    assert!(!required(None));
    assert!(required(Some(fsn())) && required(Some(hel())));
}

#[test]
fn an_order_is_known_by_its_key_and_told_apart_by_what_it_asks() {
    let order = keyed("one", b"a");
    assert_eq!((order.len(), key_of(&order).len()), (33, 16));
    assert_eq!(given(&order, &order), Given::Again);
    assert_eq!(given(&order, &keyed("one", b"b")), Given::WithItsKey);
    assert_eq!(given(&order, &keyed("two", b"a")), Given::Another);
    // Of an older version, and of a request without a key.
    assert_eq!(given(&order, key_of(&order)), Given::Again);
    assert_eq!(given(key_of(&order), &order), Given::Again);
    assert_eq!(given(&order, &of_switchover(&request())), Given::Another);
    // What somebody wrote into a resource is one's own key, whatever is in it.
    assert_eq!(given("nightly.1", "nightly.2"), Given::Another);
}

#[test]
fn under_one_key_one_request_is_served() {
    let keyed = |body: &[u8]| SwitchoverRequest { key: Some(keyed("one", body)), ..request() };
    let mut record = fixture::record();
    record.served.push(of_switchover(&keyed(b"a")));
    assert_eq!(unserved(&record, &copies(|_, spec| spec.switchover = Some(keyed(b"b")))), None);
}
