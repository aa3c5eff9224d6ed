//! A failback: it waits, is approved or declined.

use super::*;

#[test]
fn a_failback_waits_under_the_id_that_its_intent_will_have() {
    let waiting = written(pend(&fixture::record(), &fsn(), &failback(), APPROVAL));
    let pending = waiting.pending.as_ref().unwrap();
    assert_eq!((pending.id.as_str(), pending.timeout_seconds), ("shop/shop/4.1", 60));
    assert_eq!((waiting.sequence, waiting.served.len()), (1, 1));
    assert_eq!(pend(&waiting, &fsn(), &failback(), APPROVAL), Edit::Already);
    let direct = Order { request: None, ..failback() };
    let silent = written(pend(&fixture::record(), &fsn(), &direct, APPROVAL));
    assert_eq!(pend(&silent, &fsn(), &direct, APPROVAL), Edit::Already);
    let later = Order { request: None, now: at(60), plan: fixture::plan(), kind: Kind::Failback };
    let intent = written(approve(&waiting, &fsn(), "shop/shop/4.1", &later, "alice")).intent.unwrap();
    assert_eq!((intent.id.as_str(), intent.kind, intent.started_at), ("shop/shop/4.1", Kind::Failback, at(60)));
    assert_eq!(intent.approved_by.as_deref(), Some("alice"));
    assert_eq!(intent.request.as_deref(), Some("00c0ffee00c0ffee"));
}

#[test]
fn an_approval_counts_for_the_failback_that_waits_and_for_no_other() {
    let waiting = written(pend(&fixture::record(), &fsn(), &failback(), APPROVAL));
    let approve = |record: &Record, me: &Region, id: &str, order: &Order| approve(record, me, id, order, "alice");
    assert!(refused(approve(&waiting, &fsn(), "shop/shop/4.0", &failback())).contains("waits no more"));
    assert_eq!(refused(approve(&waiting, &hel(), "shop/shop/4.1", &failback())), "not the holder any more");
    let mut elsewhere = failback();
    elsewhere.plan.to = Region::new("nbg");
    let why = "the failback to hel was approved, not one from fsn to nbg";
    assert_eq!(refused(approve(&waiting, &fsn(), "shop/shop/4.1", &elsewhere)), why);
    let intent = written(approve(&waiting, &fsn(), "shop/shop/4.1", &failback()));
    assert_eq!(intent.pending, None);
    assert_eq!(approve(&intent, &fsn(), "shop/shop/4.1", &failback()), Edit::Already);
}

#[test]
fn a_declined_failback_ends_with_its_cause() {
    let waiting = written(pend(&fixture::record(), &fsn(), &failback(), APPROVAL));
    let id = "shop/shop/4.1";
    assert_eq!(refused(decline(&waiting, &hel(), id, "", at(60))), "not the holder any more");
    let ended = written(decline(&waiting, &fsn(), id, "refused by a person", at(60)));
    assert_eq!(decline(&ended, &fsn(), id, "", at(60)), Edit::Already);
    assert_eq!(ended.pending, None);
    let last = ended.last.unwrap();
    assert_eq!((last.id.as_str(), last.result), (id, EndResult::Declined));
    assert_eq!(last.failure.as_deref(), Some("refused by a person"));
}
