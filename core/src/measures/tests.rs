use super::*;
use crate::driver::Progress;
use crate::ledger::Ledger;
use crate::preflight::fixture::{self, fsn, hel};
use crate::record::Kind;
use crate::transition::{self, Edit, Order};
use std::sync::Arc;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + second).unwrap()
}

/// A move that ended, with two steps that were done, one of which a clock that was set back timed.
fn ended(result: EndResult) -> Ended {
    let order = Order { plan: fixture::plan(), kind: Kind::Planned, request: None, now: at(0) };
    let Edit::Write(record) = transition::begin(&fixture::record(), &fsn(), &order) else { panic!() };
    let intent = record.intent.unwrap();
    let mut steps = intent.steps.clone();
    (steps[0].started_at, steps[0].finished_at) = (Some(at(0)), Some(at(2)));
    (steps[1].started_at, steps[1].finished_at) = (Some(at(9)), Some(at(2)));
    (steps[2].started_at, steps[2].finished_at) = (Some(at(9)), None);
    Ended {
        id: intent.id.clone(),
        kind: Kind::Planned,
        from: fsn(),
        to: hel(),
        request: None,
        reason: "drill".into(),
        initiated_by: "jane".into(),
        approved_by: None,
        fingerprint: String::new(),
        started_at: at(0),
        finished_at: at(22),
        result,
        failed_at_step: 0,
        failure: None,
        steps,
        write_gap_ms: Some(1500),
        took_ms: Some(21_500),
        rto_missed_by_ms: None,
        loss_seconds: Some(0),
        extra: Default::default(),
    }
}

#[test]
fn what_is_not_known_is_absent_and_never_0() {
    assert_eq!(measures(&Known::default(), &fsn(), None), Measures::default());
    assert_eq!(measures(&Known::default(), &fsn(), Some("Odd")).phase, None);
    let unreachable = Known {
        record: Some(fixture::record().into()),
        witness_unreachable: Some("no answer".into()),
        ..Known::default()
    };
    assert_eq!(measures(&unreachable, &fsn(), Some("Degraded")).generation, None, "it may be another by now");
}

#[test]
fn what_is_owed_is_known_with_record_and_ledger_and_interference_once_it_was_looked_for() {
    let record = || Some(fixture::record());
    let owed = |record, ledger| measures(&Known { record, ledger, ..Known::default() }, &fsn(), None).events_owed;
    assert_eq!(owed(record().map(Into::into), None), None);
    assert_eq!(owed(None, Some(Ledger::default())), None);
    assert_eq!(owed(record().map(Into::into), Some(Ledger::default())), Some(0));
    let looked = |watched| Known {
        record: record().map(Into::into),
        progress: Progress { watched, ..Progress::default() },
        ..Known::default()
    };
    assert_eq!(measures(&looked(false), &fsn(), None).interference, None);
    assert_eq!(measures(&looked(true), &fsn(), None).interference, Some(0));
}

#[test]
fn what_is_known_is_measured() {
    let mut record = fixture::record();
    record.last = Some(ended(EndResult::Succeeded).into());
    let known = Known {
        record: Some(record.clone().into()),
        term_left: Some(Duration::from_secs(20)),
        term_guard: Some(Duration::from_secs(10)),
        lag_seconds: Some(0),
        ledger: Some(Ledger::default()),
        progress: Progress { watched: true, ..Progress::default() },
        ..Known::default()
    };
    let measured = measures(&known, &fsn(), Some("Healthy"));
    assert_eq!(measured.phase, Some("Healthy"));
    assert_eq!(measured.generation, Some(record.generation));
    assert_eq!((measured.term_left, measured.lag_seconds), (Some(Duration::from_secs(20)), Some(0)));
    assert_eq!(measured.term_guard, Some(Duration::from_secs(10)));
    assert_eq!((measured.events_owed, measured.events_owed_since, measured.interference), (Some(0), None, Some(0)));
    let last = measured.last.unwrap();
    assert_eq!((last.succeeded, last.at), (true, at(22)));
    assert_eq!((last.took, last.loss_seconds), (Some(Duration::from_millis(21_500)), Some(0)));
    assert_eq!(last.write_gap, Some(Duration::from_millis(1500)));
    assert_eq!(last.steps, [("validate-lease", Duration::from_secs(2))]);
}

#[test]
fn a_move_that_was_undone_observed_no_objective_and_one_that_was_declined_was_none() {
    let mut known = Known { record: Some(fixture::record().into()), ..Known::default() };
    let mut last = |result| {
        Arc::make_mut(known.record.as_mut().unwrap()).last = Some(ended(result).into());
        measures(&known, &fsn(), None).last
    };
    let undone = last(EndResult::Undone).unwrap();
    assert_eq!((undone.succeeded, undone.took, undone.loss_seconds), (false, None, None));
    assert_eq!(last(EndResult::Declined), None);
}
