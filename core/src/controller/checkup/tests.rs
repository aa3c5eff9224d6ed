//! The loop of the health check, beside a keeper that holds the record and a copy that is read.

use super::*;
use crate::clock::Clock;
use crate::controller::Options;
use crate::observe::{CopyView, Seen};
use crate::preflight::fixture::{self, fsn, hel};
use crate::record::Kind;
use crate::spec::Invalid;
use crate::testing::outside::Outside;
use crate::testing::witness::Witness;
use crate::testing::{Bench, HandClock};
use crate::transition::{self, Edit, Ending, Order};
use serde_json::json;
use std::sync::Arc;

const DELAY: Duration = Duration::from_secs(30);

struct Rig {
    bench: Bench<'static>,
    witness: Arc<Witness>,
    outside: Arc<Outside>,
    controller: Arc<Controller>,
}

impl Rig {
    /// fsn holds the record, after the switchover that made it primary.
    fn new(outside: Outside) -> Self {
        let clock = Arc::new(HandClock::default());
        let witness = Witness::new(&clock, Some(moved()));
        let outside = Arc::new(outside);
        let controller = Arc::new(outside.controller(&witness, &clock, Options { health_delay: DELAY }));
        let mut bench = Bench::new(&clock);
        let running = controller.clone();
        bench.spawn(async move { running.keeper.as_ref().unwrap().run().await });
        let running = controller.clone();
        bench.spawn(async move { running.attend().await });
        let running = controller.clone();
        bench.spawn(async move { running.checkup().await });
        Self { bench, witness, outside, controller }
    }

    fn run(&mut self, seconds: u64) {
        self.bench.run(Duration::from_secs(seconds));
    }

    fn found(&self) -> Option<(String, Result<HealthReport, String>)> {
        self.controller.shared().health.clone()
    }

    /// Another's change of the record, which is read at once.
    fn change(&mut self, change: impl FnOnce(&mut Record)) {
        self.witness.change(change);
        self.controller.keeper.as_ref().unwrap().read_soon();
    }
}

/// With a move that begins now.
fn begun(record: &Record) -> Record {
    let now = jiff::Timestamp::UNIX_EPOCH;
    let order = Order { plan: fixture::plan(), kind: Kind::Planned, request: None, now };
    let Edit::Write(begun) = transition::begin(record, &fsn(), &order) else { panic!() };
    *begun
}

/// The record after a switchover from hel to fsn.
fn moved() -> Record {
    let begun = begun(&fixture::record());
    let id = begun.intent.as_ref().unwrap().id.clone();
    let (result, now) = (EndResult::Succeeded, jiff::Timestamp::UNIX_EPOCH);
    let ending = Ending { result, now, acknowledged: true, write_gap_ms: None, took_ms: None };
    let Edit::Write(mut record) = transition::end(&begun, &fsn(), &id, &ending) else { panic!() };
    let last = record.last.as_mut().unwrap();
    (last.from, last.to) = (hel(), fsn());
    *record
}

fn id() -> String {
    moved().last.unwrap().id
}

/// A move that began and ended, without having moved anything.
fn undone(record: &mut Record) {
    let last = record.last.as_mut().unwrap();
    (last.id, last.result) = ("shop/shop/4.9".into(), EndResult::Undone);
}

#[test]
fn what_was_seen_while_the_role_moved_again_is_dropped() {
    for change in [undone as fn(&mut Record), |record| *record = begun(record)] {
        let mut rig = Rig::new(Outside { looks_hang: true.into(), ..Outside::default() });
        rig.run(33);
        assert_eq!(rig.found(), None, "it looks");
        rig.change(change);
        rig.run(25);
        assert_eq!(rig.found(), None);
        rig.change(|record| record.intent = None);
        *rig.outside.looks_hang.lock().unwrap() = false;
        rig.run(35);
        assert_eq!(rig.found().map(|(of, _)| of), Some(id()), "it is looked at once more");
    }
}

#[test]
fn a_look_that_could_not_be_made_takes_nothing_back() {
    let mut rig = Rig::new(Outside { looks_hang: true.into(), ..Outside::default() });
    rig.run(55);
    let found = rig.found().expect("it was looked at");
    assert!(!found.1.as_ref().unwrap().overall_healthy, "no half could be read");
    *rig.outside.copy_read.lock().unwrap() = Some(Seen::Unknown("no answer".into()));
    rig.run(300);
    assert_eq!(rig.found(), Some(found));

    let mut rig = Rig::new(Outside::default());
    rig.run(10);
    let unread = Some(Seen::Is(CopyView {
        spec: Err(Invalid { path: "spec.rto".into(), message: "wrong".into() }),
        ..fixture::copy()
    }));
    *rig.outside.copy_read.lock().unwrap() = unread;
    rig.run(23);
    let (_, result) = rig.found().expect("it was tried");
    assert!(result.is_err(), "where nothing is known, that is told");
    *rig.outside.copy_read.lock().unwrap() = None;
    rig.run(35);
    assert!(rig.found().unwrap().1.is_ok());
}

#[test]
fn what_a_former_process_found_unwell_is_looked_at_again_after_a_pause() {
    let report = json!({ "newPrimaryRegion": "fsn", "overallHealthy": false, "checks": [], "generatedAt": "1970-01-01T00:00:00Z" });
    let status = json!({ "lastSwitchoverHealth": { "id": id(), "report": report } });
    let copy = CopyView { status: status.into(), ..fixture::copy() };
    let mut rig = Rig::new(Outside { copy_read: Some(Seen::Is(copy)).into(), ..Outside::default() });
    rig.run(28);
    assert_eq!(rig.found(), None, "not at once: what restarts in a loop looks no more often");
    rig.run(5);
    assert_eq!(rig.found().map(|(of, _)| of), Some(id()));
}

#[test]
fn what_was_found_well_before_latency_could_be_compared_is_looked_at_again() {
    let looks_again = |has_latency: bool, generated_at: &str| {
        let checks =
            json!([{ "name": "latency-normal", "passed": false, "detail": "deferred: early", "deferred": true }]);
        let report = json!({
            "newPrimaryRegion": "fsn", "overallHealthy": true, "checks": checks, "generatedAt": generated_at,
        });
        let status = json!({ "lastSwitchoverHealth": { "id": id(), "report": report } });
        let copy = CopyView { status: status.into(), ..fixture::copy() };
        let mut rig = Rig::new(Outside { copy_read: Some(Seen::Is(copy)).into(), has_latency, ..Outside::default() });
        rig.run(90);
        rig.found().map(|(_, report)| report.unwrap().checks.iter().any(|c| c.name == "latency-normal" && c.passed))
    };
    assert_eq!(looks_again(true, "1970-01-01T00:00:30Z"), Some(true));
    assert_eq!(looks_again(true, "1970-01-01T00:01:00Z"), None, "there is nothing to compare");
    assert_eq!(looks_again(false, "1970-01-01T00:00:30Z"), None, "nobody tells of latency");
}

#[test]
fn latency_is_not_asked_for_within_a_minute_of_the_move() {
    let mut rig = Rig::new(Outside { has_latency: true, ..Outside::default() });
    let ended = rig.bench.clock.wall();
    rig.change(|record| record.last.as_mut().unwrap().finished_at = ended);
    let latency = |rig: &Rig| {
        let (_, report) = rig.found().unwrap();
        report.unwrap().checks.into_iter().find(|check| check.name == "latency-normal").unwrap().detail
    };
    rig.run(35);
    let early = latency(&rig);
    assert!(early.contains("60 s of requests are needed; it is looked at again"), "{early}");
    rig.run(40);
    assert_eq!(latency(&rig), "median 5.0 ms, before 5.0 ms");
}

#[test]
fn a_report_that_the_status_does_not_tell_of_is_given_for_ten_seconds() {
    let mut rig = Rig::new(Outside::default());
    let mut generated = |after: u64| {
        rig.run(after);
        let controller = rig.controller.clone();
        rig.bench.finish(async move { controller.last_health(&Cancel::default()).await }).unwrap().generated_at
    };
    let first = generated(10);
    assert_eq!(generated(9), first);
    assert_ne!(generated(2), first);
}

#[test]
fn the_pause_doubles_up_to_a_limit() {
    let pauses = |delay: u64| {
        let of = |looks| {
            let waiting = Waiting { id: "1.1".into(), since: Monotonic::default(), looks };
            waiting.pause(&Found::Checked(None), Duration::from_secs(delay)).as_secs()
        };
        [0, 1, 2, 3, 4, 9, u32::MAX].map(of)
    };
    assert_eq!(pauses(30), [30, 30, 60, 120, 240, 300, 300]);
    assert_eq!(pauses(0), [10, 10, 20, 40, 80, 300, 300]);
    assert_eq!(pauses(3600), [300; 7]);
    let first = Waiting { id: "1.1".into(), since: Monotonic::default(), looks: 0 };
    assert_eq!(first.pause(&Found::Unchecked, Duration::from_secs(3600)).as_secs(), 3600);
}
