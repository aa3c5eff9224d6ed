use super::*;
use crate::preflight::fixture::{self, fsn, hel};
use crate::record::{Kind, Lineage};
use crate::testing::witness::{Call, Fate, Witness};
use crate::testing::{Bench, HandClock};
use crate::transition::Order;
use std::cell::RefCell;
use std::rc::Rc;

/// A keeper of `region` that runs, and what it runs on.
struct Rig {
    clock: Arc<HandClock>,
    witness: Arc<Witness>,
    keeper: Arc<Keeper>,
    bench: Bench<'static>,
}

impl Rig {
    fn new(region: Region, record: Option<Record>) -> Self {
        let clock = Arc::new(HandClock::default());
        let witness = Witness::new(&clock, record);
        let mut bench = Bench::new(&clock);
        let keeper = keeper(&mut bench, region, &witness);
        Self { clock, witness, keeper, bench }
    }

    /// Fsn holds the record, and its keeper has renewed it.
    fn holding() -> Self {
        let mut rig = Self::new(fsn(), Some(fixture::record()));
        rig.run(1);
        rig
    }

    fn run(&mut self, seconds: u64) {
        self.bench.run(Duration::from_secs(seconds));
    }

    fn update(&mut self, change: impl Fn(&Record) -> Edit + Send + Sync + 'static) -> Result<Record, NotWritten> {
        let keeper = self.keeper.clone();
        self.bench.finish(async move { keeper.update(change).await })
    }

    fn since(&self, from: Duration) -> Vec<Call> {
        self.witness.calls().into_iter().filter(|(at, _)| *at >= from).map(|(_, call)| call).collect()
    }
}

fn keeper(bench: &mut Bench<'static>, region: Region, witness: &Arc<Witness>) -> Arc<Keeper> {
    let keeper = Arc::new(Keeper::new(region, bench.clock.clone(), witness.clone(), witness.clone()));
    keeper.set_lease(fixture::spec().lease);
    let running = keeper.clone();
    bench.spawn(async move { running.run().await });
    keeper
}

/// A change that can be told apart, and is no renewal.
fn mark(record: &Record) -> Edit {
    let mut next = record.clone();
    next.sequence += 100;
    Edit::Write(Box::new(next))
}

fn with_intent() -> Record {
    let order = Order {
        plan: fixture::plan(),
        kind: Kind::Planned,
        request: None,
        now: jiff::Timestamp::from_second(1_795_000_000).unwrap(),
    };
    match transition::begin(&fixture::record(), &fsn(), &order) {
        Edit::Write(record) => *record,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_keeper_reads_before_it_writes_anything() {
    let mut rig = Rig::new(fsn(), Some(fixture::record()));
    rig.update(mark).unwrap();
    let calls = rig.witness.calls();
    assert_eq!((calls[0].1, calls[1].1), (Call::Read, Call::Write));
}

#[test]
fn nothing_is_written_before_the_timings_are_known_or_anything_was_read() {
    let clock = Arc::new(HandClock::default());
    let witness = Witness::new(&clock, Some(fixture::record()));
    let mut bench = Bench::new(&clock);
    let keeper = Arc::new(Keeper::new(fsn(), clock.clone(), witness.clone(), witness.clone()));
    let running = keeper.clone();
    bench.spawn(async move { running.run().await });
    let asking = keeper.clone();
    let answer = bench.finish(async move { asking.update(mark).await });
    assert!(matches!(answer, Err(NotWritten::Unreachable(_))));
    keeper.set_lease(fixture::spec().lease);
    let mut blind = Rig::new(fsn(), Some(fixture::record()));
    blind.witness.register().reads_hang = true;
    assert!(matches!(blind.update(mark), Err(NotWritten::Unreachable(_))));
    for calls in [witness.calls(), blind.witness.calls()] {
        assert!(calls.iter().all(|(_, call)| *call == Call::Read), "{calls:?}");
    }
}

#[test]
fn a_register_that_nobody_made_yet_is_made_by_the_first_change() {
    let mut rig = Rig::new(fsn(), None);
    let record = rig.update(|record| transition::acquire(record, &fsn(), 30, Some(3), None)).unwrap();
    assert_eq!((record.held_by(&fsn()), record.generation), (true, 1));
    rig.run(1);
    assert_eq!(rig.witness.record().renewal, 1, "and renewed at once");
}

#[test]
fn the_term_is_renewed_in_time_for_as_long_as_the_witness_answers() {
    let mut rig = Rig::holding();
    for _ in 0..120 {
        rig.run(1);
        assert!(rig.keeper.term().left > Duration::from_secs(19));
    }
    assert_eq!(rig.witness.record().renewal, 7 + 13);
    assert_eq!(rig.witness.record().generation, 4);
}

#[test]
fn changes_that_hang_do_not_keep_the_term_from_being_renewed() {
    let mut rig = Rig::holding();
    for round in 0..30 {
        rig.witness.script([Fate::Lost]);
        let keeper = rig.keeper.clone();
        rig.bench.spawn(async move { drop(keeper.update(mark).await) });
        for _ in 0..4 {
            rig.run(1);
            let term = rig.keeper.term();
            assert!(term.left > term.guard, "round {round}: {term:?}");
        }
    }
}

#[test]
fn reads_that_hang_keep_neither_the_term_nor_a_change_from_being_written() {
    let mut rig = Rig::new(fsn(), Some(with_intent()));
    rig.run(1);
    rig.witness.register().reads_hang = true;
    for _ in 0..60 {
        rig.run(1);
        let term = rig.keeper.term();
        assert!(term.left > term.guard, "{term:?}");
    }
    assert!(rig.keeper.unreachable().is_some());
    rig.update(mark).unwrap();
}

#[test]
fn a_read_that_failed_is_made_again_although_the_term_is_renewed_since() {
    let mut rig = Rig::holding();
    rig.run(5);
    rig.witness.register().reads_hang = true;
    rig.keeper.read_soon();
    rig.run(4);
    assert!(rig.keeper.unreachable().is_some());
    // It answers again just before the next renewal is due.
    rig.witness.register().reads_hang = false;
    rig.update(mark).unwrap();
    rig.run(2);
    assert_eq!(rig.keeper.unreachable(), None);
    let began = rig.clock.now().0;
    rig.run(60);
    assert!(rig.since(began).iter().all(|call| *call == Call::Write), "renewals are all that it costs");
}

#[test]
fn after_an_unknown_outcome_it_reads_before_it_writes() {
    let mut rig = Rig::holding();
    let began = rig.clock.now().0;
    rig.witness.script([Fate::AnswerLost]);
    let change = |record: &Record| if record.sequence >= 100 { Edit::Already } else { mark(record) };
    let record = rig.update(change).unwrap();
    assert_eq!(record.sequence, 100, "found to be written already (H25)");
    assert_eq!(rig.since(began), [Call::Write, Call::Read]);
}

#[test]
fn while_an_outcome_is_unknown_and_nothing_can_be_read_nothing_is_written() {
    let mut rig = Rig::holding();
    let began = rig.clock.now().0;
    rig.witness.script([Fate::AnswerLost]);
    rig.witness.register().reads_hang = true;
    for _ in 0..5 {
        let keeper = rig.keeper.clone();
        rig.bench.spawn(async move { drop(keeper.update(mark).await) });
        rig.run(8);
    }
    let writes = rig.since(began).into_iter().filter(|call| *call == Call::Write).count();
    assert_eq!(writes, 1, "neither a change nor a renewal");
}

#[test]
fn after_a_conflict_the_change_is_applied_again_to_what_was_read() {
    let mut rig = Rig::holding();
    let before = rig.witness.record().renewal;
    let began = rig.clock.now().0;
    rig.witness.script([Fate::Overtaken, Fate::Overtaken]);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let seeing = seen.clone();
    let record = rig.update(move |record| {
        seeing.lock().unwrap().push(record.renewal);
        mark(record)
    });
    assert_eq!(record.unwrap().renewal, before + 2);
    assert_eq!(*seen.lock().unwrap(), [before, before + 1, before + 2]);
    assert_eq!(rig.since(began), [Call::Write, Call::Read, Call::Write, Call::Read, Call::Write]);
}

#[test]
fn a_refused_change_is_said_at_once_and_with_its_cause() {
    let mut rig = Rig::holding();
    rig.witness.script([Fate::Refused]);
    assert_eq!(rig.update(mark), Err(NotWritten::Refused("forbidden".into())));
    assert_eq!(rig.update(|_| Edit::Stale("not any more".into())), Err(NotWritten::Stale("not any more".into())));
}

#[test]
fn a_change_that_cannot_be_written_is_given_up_after_ten_seconds_with_the_cause() {
    let mut rig = Rig::holding();
    rig.witness.script([Fate::Lost; 50]);
    rig.witness.register().reads_hang = true;
    let began = rig.clock.now().0;
    assert_eq!(rig.update(mark), Err(NotWritten::Unreachable("no answer in 3 s".into())));
    let took = rig.clock.now().0 - began;
    assert!((10..15).contains(&took.as_secs()), "{took:?}");
}

#[test]
fn the_term_counts_from_the_sending_of_the_renewal() {
    let mut rig = Rig::new(fsn(), Some(fixture::record()));
    rig.witness.register().way = Duration::from_millis(1_400);
    rig.bench.run(Duration::from_millis(2_800 + 2_700));
    assert_eq!(rig.keeper.term().left, Duration::ZERO, "sent, and not answered yet");
    rig.bench.run(Duration::from_millis(100));
    assert_eq!(rig.keeper.term().left, Duration::from_millis(30_000 - 2_800));
}

#[test]
fn a_renewal_of_unknown_outcome_counts_for_nothing() {
    let mut rig = Rig::new(fsn(), Some(fixture::record()));
    rig.witness.script([Fate::AnswerLost, Fate::Lost, Fate::Lost]);
    rig.run(9);
    assert_eq!(rig.witness.record().renewal, 8);
    assert_eq!(rig.keeper.term().left, Duration::ZERO);
    rig.run(3);
    assert!(rig.keeper.term().left > Duration::from_secs(25), "one that is answered does");
}

#[test]
fn a_new_holders_term_begins_with_its_own_first_renewal() {
    let mut record = fixture::record();
    record.renewal = 50;
    let mut rig = Rig::new(hel(), Some(record));
    rig.run(1);
    rig.witness.script([Fate::Lost]);
    rig.witness.change(|record| (record.holder, record.generation) = (Some(hel()), 5));
    rig.keeper.read_soon();
    rig.run(1);
    let read = rig.keeper.view().unwrap().record.unwrap();
    assert!(read.held_by(&hel()), "named, but its first renewal is lost");
    assert!(!rig.keeper.term().allows(Duration::ZERO));
    rig.run(3);
    assert!(rig.keeper.term().allows(Duration::from_secs(5)));
}

#[test]
fn a_term_of_an_older_generation_is_none() {
    let mut rig = Rig::holding();
    assert!(rig.keeper.term().allows(Duration::ZERO));
    let intent = with_intent().intent;
    rig.witness.change(|record| (record.generation, record.intent) = (6, intent));
    rig.witness.script([Fate::Lost]);
    rig.keeper.read_soon();
    rig.run(1);
    assert_eq!(rig.keeper.term().left, Duration::ZERO);
}

#[test]
fn a_longer_ttl_in_the_spec_makes_no_present_term_longer() {
    let mut rig = Rig::holding();
    rig.keeper.set_lease(LeaseSpec { ttl_seconds: 600, ..fixture::spec().lease });
    assert!(rig.keeper.term().left <= Duration::from_secs(30), "the others wait for 30 s only");
    rig.run(11);
    assert_eq!(rig.witness.record().ttl_seconds, 600);
    assert!(rig.keeper.term().left > Duration::from_secs(580));
}

#[test]
fn a_holder_renews_also_after_its_term_lapsed_where_nobody_took_it() {
    let mut rig = Rig::holding();
    rig.witness.script([Fate::Lost; 40]);
    rig.witness.register().reads_hang = true;
    rig.run(40);
    assert_eq!(rig.keeper.term().left, Duration::ZERO);
    rig.witness.script([]);
    rig.witness.register().reads_hang = false;
    rig.run(5);
    assert!(rig.keeper.term().left > Duration::from_secs(20));
    assert_eq!(rig.witness.record().generation, 4);
}

#[test]
fn who_lost_the_record_renews_nothing_and_has_no_term() {
    let mut rig = Rig::holding();
    rig.witness.change(|record| (record.holder, record.generation) = (Some(hel()), 5));
    rig.run(30);
    assert_eq!(rig.keeper.term().left, Duration::ZERO);
    assert_eq!(rig.witness.record().renewal, 8, "only the one before");
}

#[test]
fn the_beat_grows_at_every_read_while_an_intent_stands_and_at_nothing_else() {
    let mut rig = Rig::holding();
    rig.run(30);
    assert_eq!(rig.keeper.view().unwrap().beat, 0, "no intent, no beat");
    let intent = with_intent().intent;
    rig.update(move |record| {
        let mut next = record.clone();
        next.intent = intent.clone();
        Edit::Write(Box::new(next))
    })
    .unwrap();
    assert_eq!(rig.keeper.view().unwrap().beat, 0, "a write is no read");
    rig.run(10);
    let beat = rig.keeper.view().unwrap().beat;
    assert!((32..=44).contains(&beat), "four times a second: {beat}");
    rig.witness.register().reads_hang = true;
    rig.run(1);
    let beat = rig.keeper.view().unwrap().beat;
    rig.run(20);
    assert_eq!(rig.keeper.view().unwrap().beat, beat);
}

#[test]
fn a_version_is_first_seen_once_however_often_it_is_read() {
    let mut rig = Rig::new(hel(), Some(fixture::record()));
    rig.run(1);
    let first = rig.keeper.view().unwrap();
    rig.run(35);
    let later = rig.keeper.view().unwrap();
    assert_eq!(later.first_seen, first.first_seen);
    assert!(later.read_at > first.read_at && later.read_count >= first.read_count + 3);
    rig.witness.change(|record| record.renewal += 1);
    rig.run(11);
    assert!(rig.keeper.view().unwrap().first_seen > first.first_seen);
}

#[test]
fn of_two_that_acquire_at_once_one_wins_and_the_other_hears_who() {
    let clock = Arc::new(HandClock::default());
    let witness = Witness::new(&clock, None);
    let mut bench = Bench::new(&clock);
    let answers = Rc::new(RefCell::new(Vec::new()));
    for region in [fsn(), hel()] {
        let keeper = keeper(&mut bench, region.clone(), &witness);
        let answers = answers.clone();
        bench.spawn(async move {
            let me = region.clone();
            let answer = keeper.update(move |record| transition::acquire(record, &me, 30, Some(3), None)).await;
            answers.borrow_mut().push((region, answer));
        });
    }
    bench.run(Duration::from_secs(5));
    let record = witness.record();
    assert_eq!((record.generation, record.lineage), (1, Lineage::Of { region: fsn(), timeline: 3 }));
    let answers = answers.borrow();
    let lost: Vec<_> = answers.iter().filter_map(|(region, answer)| Some((region, answer.as_ref().err()?))).collect();
    let held = NotWritten::Stale("ErrLeaseHeldByAnother: held by fsn, generation 1".into());
    assert_eq!((answers.len(), lost), (2, vec![(&hel(), &held)]));
}

#[test]
fn a_caller_that_gave_up_does_not_stop_the_keeper() {
    let mut rig = Rig::holding();
    let keeper = rig.keeper.clone();
    let clock = rig.clock.clone();
    rig.witness.register().way = Duration::from_millis(500);
    let gone = rig.bench.finish(async move { within(&*clock, Duration::from_millis(100), keeper.update(mark)).await });
    assert_eq!(gone, None);
    rig.run(30);
    assert!(rig.keeper.term().left > Duration::from_secs(15));
}

#[test]
fn who_watches_reads_and_never_writes_not_even_what_is_handed_in() {
    let clock = Arc::new(HandClock::default());
    let witness = Witness::new(&clock, Some(fixture::record()));
    let keeper = Arc::new(Keeper::new(fsn(), clock.clone(), witness.clone(), witness.clone()));
    keeper.set_lease(fixture::spec().lease);
    let mut bench = Bench::new(&clock);
    let watching = keeper.clone();
    bench.spawn(async move { watching.watch().await });
    bench.run(Duration::from_secs(60));
    witness.change(|record| record.renewal += 1);
    bench.run(Duration::from_secs(60));
    assert_eq!(keeper.record().as_deref(), Some(&witness.record()), "it follows the record");
    let handing = keeper.clone();
    let written = bench.finish(async move { handing.update(mark).await });
    assert!(matches!(written, Err(NotWritten::Unreachable(_))), "{written:?}");
    assert!(witness.calls().iter().all(|(_, call)| *call == Call::Read));
    assert_eq!(keeper.term().left, Duration::ZERO, "nothing may be done on it");
}

#[test]
fn a_wall_clock_that_is_set_in_mid_move_changes_no_time_of_the_journal() {
    let mut rig = Rig::holding();
    let hour = Duration::from_secs(3_600);
    rig.clock.set_wall_ahead(hour);
    let (begun, at) = (rig.keeper.journal_time(), rig.clock.now());
    assert_eq!(begun, rig.clock.wall(), "nothing is under way");
    rig.update(|_| Edit::Write(Box::new(with_intent()))).unwrap();
    rig.clock.set_wall_ahead(hour * 2);
    rig.run(5);
    assert_eq!(rig.keeper.journal_time(), begun + rig.clock.now().since(at));
    rig.update(|record| Edit::Write(Box::new(Record { intent: None, ..record.clone() }))).unwrap();
    assert_eq!(rig.keeper.journal_time(), rig.clock.wall());
}

#[test]
fn a_wall_clock_that_was_set_between_two_moves_is_that_of_the_next() {
    let mut rig = Rig::new(hel(), Some(fixture::record()));
    rig.run(1);
    assert_eq!(rig.keeper.journal_time(), rig.clock.wall());
    rig.clock.set_wall_ahead(Duration::from_secs(3_600));
    // Nobody asks for the time meanwhile; the record is read.
    rig.run(60);
    let (at, wall) = (rig.clock.now(), rig.clock.wall());
    rig.witness.change(|record| *record = with_intent());
    rig.run(60);
    assert_eq!(rig.keeper.journal_time(), wall + rig.clock.now().since(at));
}

mod turns;
