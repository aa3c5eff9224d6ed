//! What a record owes the stream: each event is there from the write that makes what it tells of so.

use super::*;
use crate::audit::About;

fn told<'a>(name: &'a crate::name::ObjectName) -> Told<'a> {
    Told { about: About { continuum: name, application: "shop" }, at: at(0) }
}

/// Ids of what is owed, without the resource's name.
fn ids(record: &Record) -> Vec<String> {
    record.owed.iter().map(|event| event.message_id.replace(":shop/shop:", ":").replace("continuum-", "")).collect()
}

fn paid_all(record: &Record) -> Record {
    Record { owed: Vec::new(), ..record.clone() }
}

/// Step `number` was tried, and its effect was seen.
fn through(record: &Record, number: u8) -> Record {
    let (me, id) = (record.holder.clone().unwrap(), record.intent.as_ref().unwrap().id.clone());
    let record = match start(record, &me, &id, number, at(1), &Beginning::default()) {
        Edit::Write(record) => *record,
        _ => record.clone(),
    };
    written(finish(&record, &me, &id, number, at(2), &Effect { lag_seconds: Some(3), ..Effect::default() }))
}

#[test]
fn a_generation_that_is_held_for_a_moment_owes_its_event() {
    let name = fixture::shop();
    let record = written(acquire(&Record::free(30), &fsn(), 30, Some(3), Some(told(&name))));
    assert_eq!((ids(&record), record.named_by.clone()), (vec!["lease-acquired:1".to_owned()], Some(fsn())));
    let (record, id) = begun();
    let record = written(swap(&record, &fsn(), &id, at(3)));
    assert_eq!((ids(&record), record.named_by.clone()), (vec!["lease-acquired:5".to_owned()], Some(fsn())));
    let record = written(turn(&record, &hel(), &id, 6, "refused", false, at(4)));
    let record = written(swap_back(&record, &hel(), &id, at(5)));
    let owed = ["lease-acquired:5", "error:shop/shop/4.1:6", "lease-acquired:6"];
    assert_eq!((ids(&record), record.named_by.clone()), (owed.map(str::to_owned).to_vec(), Some(hel())));
}

#[test]
fn a_lease_that_is_taken_back_owes_its_holder_and_why() {
    let (record, id) = begun();
    let swapped = paid_all(&written(swap(&record, &fsn(), &id, at(3))));
    let record = written(take_back(&swapped, &fsn(), &id, &swapped, at(40), "hel fell silent"));
    assert_eq!(ids(&record), ["lease-acquired:6", "error:shop/shop/4.1:6"]);
    assert_eq!(record.named_by, Some(fsn()), "so that hel sees that it did not hand it on");
}

#[test]
fn where_there_is_no_stream_an_acquisition_owes_nothing() {
    assert!(written(acquire(&Record::free(30), &fsn(), 30, None, None)).owed.is_empty());
}

#[test]
fn the_standby_that_can_be_promoted_is_owed_when_step_1_is_done() {
    let record = through(&begun().0, 1);
    assert_eq!(ids(&record), ["cnpg-promotable:shop/shop/4.1"]);
    assert_eq!(record.owed[0].body.lag_seconds, Some(3));
}

#[test]
fn a_failed_step_is_owed_when_it_fails_and_once() {
    let (record, id) = begun();
    let record = written(turn(&record, &fsn(), &id, 4, "SERVFAIL", false, at(9)));
    assert_eq!(ids(&record), ["error:shop/shop/4.1:4"]);
    assert_eq!(record.owed[0].body.timestamp, at(9));
    let record = written(turn_forward(&paid_all(&record), &fsn(), &id));
    let again = written(turn(&record, &fsn(), &id, 4, "SERVFAIL", false, at(10)));
    assert!(again.owed.is_empty(), "that it failed was told");
    let ended = written(end(&again, &fsn(), &id, &ending(EndResult::Undone)));
    assert!(ended.owed.is_empty(), "at the end it is not told once more");
}

#[test]
fn an_abort_is_owed_without_a_step() {
    let (record, id) = begun();
    let record = written(turn(&record, &fsn(), &id, 0, "aborted by a person", false, at(9)));
    assert_eq!((ids(&record), record.owed[0].body.step.as_str()), (vec!["error:shop/shop/4.1:0".to_owned()], ""));
}

#[test]
fn a_refused_request_owes_its_error_with_the_write_that_serves_it() {
    let name = fixture::shop();
    let about = About { continuum: &name, application: "shop" };
    let event = audit::request_failed(about, "r1", &hel(), None, (1, "why"), at(0));
    let record = written(refuse(&fixture::record(), &fsn(), "r1", Some(event.clone())));
    assert_eq!((ids(&record), record.served.clone()), (vec!["error:r1".to_owned()], vec!["r1".to_owned()]));
    assert_eq!(refuse(&paid_all(&record), &fsn(), "r1", Some(event)), Edit::Already, "told once");
}

#[test]
fn a_failback_that_waits_is_owed_also_where_it_is_declined_at_once() {
    let waiting = written(pend(&fixture::record(), &fsn(), &failback(), APPROVAL));
    assert_eq!(ids(&waiting), ["failback-pending:shop/shop/4.1"]);
    let body = &waiting.owed[0].body;
    assert_eq!((body.from_primary.clone(), body.to_primary.clone()), (Some(fsn()), Some(hel())));
    let declined = written(decline(&waiting, &fsn(), "shop/shop/4.1", "refused", at(60)));
    assert_eq!(declined.owed, waiting.owed);
}

#[test]
fn what_one_move_owes_outlives_the_next_one() {
    let (record, id) = begun();
    let ending = Ending { acknowledged: false, ..ending(EndResult::Succeeded) };
    let mut record = written(end(&record, &fsn(), &id, &ending));
    assert_eq!(ids(&record), ["switchover:shop/shop/4.1"]);
    record.pending = written(pend(&fixture::record(), &fsn(), &failback(), APPROVAL)).pending;
    let id = record.pending.as_ref().unwrap().id.clone();
    record.last.as_mut().unwrap().id = "another".into();
    let declined = written(decline(&record, &fsn(), &id, "refused", at(60)));
    assert_eq!(declined.owed, record.owed);
}

#[test]
fn a_failback_owes_its_end_and_a_missed_objective() {
    let (mut record, id) = begun();
    record.intent.as_mut().unwrap().kind = Kind::Failback;
    let ending = Ending { took_ms: Some(90_000), ..ending(EndResult::Succeeded) };
    let record = written(end(&record, &fsn(), &id, &ending));
    assert_eq!(ids(&record), ["failback-completed:shop/shop/4.1", "error:shop/shop/4.1:rto"]);
}
