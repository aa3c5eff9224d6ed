//! The discipline of acting. What is decided is tested where it is decided.

use super::*;
use crate::clock::Monotonic;
use crate::look::Depth;
use crate::observe::CopyView;
use crate::ports::{ClusterChange, ClusterWrite};
use crate::preflight::fixture::{self, fsn, hel};
use crate::record::Kind;
use crate::spec::Invalid;
use crate::testing::outside::Outside;
use crate::testing::witness::{Fate, Witness};
use crate::testing::{Bench, HandClock, token};
use crate::transition::{Beginning, Order};
use std::sync::Arc;

const ID: &str = "shop/shop/4.1";

/// A driver in fsn, which holds a record whose switchover is in step 2, and a keeper that runs.
struct Rig {
    bench: Bench<'static>,
    clock: Arc<HandClock>,
    witness: Arc<Witness>,
    keeper: Arc<Keeper>,
    outside: Arc<Outside>,
    driver: Arc<Driver>,
    record: Record,
}

impl Rig {
    fn new() -> Self {
        let clock = Arc::new(HandClock::default());
        let order = Order { plan: fixture::plan(), kind: Kind::Planned, request: None, now: clock.wall() };
        let Edit::Write(record) = transition::begin(&fixture::record(), &fsn(), &order) else { panic!() };
        let start = transition::start(&record, &fsn(), ID, 2, clock.wall(), &Beginning::default());
        let Edit::Write(record) = start else { panic!() };
        let witness = Witness::new(&clock, Some(*record));
        let keeper = Arc::new(Keeper::new(fsn(), clock.clone(), witness.clone(), witness.clone()));
        keeper.set_lease(fixture::spec().lease);
        let outside = Arc::new(Outside { witness: Mutex::new(Some(witness.clone())), ..Outside::default() });
        let observers = outside.observers(&witness);
        let actors = outside.actors(&witness);
        let publisher = Arc::new(Publisher::new(fixture::shop(), clock.clone(), None, None));
        let (me, name) = (fsn(), fixture::shop());
        let driver = Arc::new(Driver::new(me, name, clock.clone(), keeper.clone(), observers, actors, publisher));
        let mut bench = Bench::new(&clock);
        let running = keeper.clone();
        bench.spawn(async move { running.run().await });
        bench.run(Duration::from_secs(1));
        let record = witness.record();
        Self { bench, clock, witness, keeper, outside, driver, record }
    }

    /// The term runs down until this much is left: renewals are lost, reads are answered.
    fn run_down_to(&mut self, left: Duration) {
        self.witness.script([Fate::Lost; 100]);
        while self.keeper.term().left > left {
            self.bench.run(Duration::from_millis(100));
        }
    }

    /// Has the driver act as if it had decided so; how many writes reached the world.
    fn act(&mut self, change: ClusterChange) -> usize {
        self.act_with(change, Memory::default()).0
    }

    fn act_with(&mut self, change: ClusterChange, mut memory: Memory) -> (usize, Memory) {
        let cluster = fixture::cluster(&fsn());
        let write = ClusterWrite {
            region: fsn(),
            object: cluster.object,
            resource_version: cluster.resource_version,
            claim: crate::observe::Claim { generation: 4, intent: ID.into() },
            change,
            server_limit: None,
        };
        let decision = Decision::Act(2, Action::Cluster(write));
        let (driver, record) = (self.driver.clone(), self.record.clone());
        let memory = self.bench.finish(async move {
            let Decision::Act(step, action) = &decision else { unreachable!() };
            let intent = record.intent.clone().unwrap();
            driver.act(&record, &intent, &mut memory, &decision, *step, action, false).await;
            memory
        });
        (self.outside.writes.lock().unwrap().len(), memory)
    }
}

fn demote() -> ClusterChange {
    ClusterChange::Demote { primary: "shop-hel".into() }
}

fn promote() -> ClusterChange {
    ClusterChange::Promote {
        primary: "shop-fsn".into(),
        token: Some(token(3, "0/7000028")),
        permit: crate::next::Permit::forged(),
    }
}

#[test]
fn an_action_is_sent_only_where_its_limit_fits_into_the_term() {
    for (left, sent) in [(5_200, 1), (4_900, 0), (0, 0)] {
        let mut rig = Rig::new();
        rig.run_down_to(Duration::from_millis(left));
        assert_eq!(rig.act(demote()), sent, "{left} ms left");
    }
}

#[test]
fn a_write_that_makes_writable_is_sent_only_where_its_limit_ends_before_the_guard() {
    for change in [promote(), ClusterChange::Unfence { permit: crate::next::Permit::forged() }] {
        for (left, sent) in [(15_300, 1), (14_900, 0)] {
            let mut rig = Rig::new();
            rig.run_down_to(Duration::from_millis(left));
            assert_eq!(rig.act(change.clone()), sent, "{left} ms left");
        }
    }
}

#[test]
fn a_record_that_moved_on_stops_every_action() {
    type Move = fn(&mut Record);
    let moves: [(&str, Move); 4] = [
        ("another holder", |r| (r.holder, r.generation) = (Some(hel()), 5)),
        ("another generation", |r| r.generation = 6),
        ("the intent ended", |r| r.intent = None),
        ("it is undone", |r| {
            let undo = crate::record::Direction::Undo { step: 2, reason: "failed".into() };
            r.intent.as_mut().unwrap().direction = undo;
        }),
    ];
    for (name, change) in moves {
        // Not read yet by the keeper: what cannot be taken back looks for itself.
        let mut rig = Rig::new();
        rig.witness.change(change);
        assert_eq!(rig.act(promote()), 0, "{name}");
        let mut rig = Rig::new();
        rig.witness.change(change);
        rig.bench.run(Duration::from_secs(2));
        assert_eq!(rig.act(demote()), 0, "{name}");
    }
    assert_eq!(Rig::new().act(demote()), 1);
    assert_eq!(Rig::new().act(promote()), 1);
}

#[test]
fn what_cannot_be_taken_back_is_not_sent_while_the_witness_does_not_answer() {
    let mut rig = Rig::new();
    rig.witness.register().reads_hang = true;
    assert_eq!(rig.act(promote()), 0);
    assert_eq!(rig.act(demote()), 1, "a demotion can be");
}

#[test]
fn no_answer_within_five_seconds_is_an_unknown_outcome() {
    let mut rig = Rig::new();
    *rig.outside.hangs.lock().unwrap() = true;
    let began = rig.clock.now();
    let mut memory = Memory::default();
    memory.begun(2);
    let (sent, memory) = rig.act_with(demote(), memory);
    let took = rig.clock.now().since(began);
    assert_eq!((sent, took.as_secs()), (1, 5));
    assert!(format!("{memory:?}").contains("no answer in 5 s"), "{memory:?}");
}

#[test]
fn a_further_attempt_is_written_down_before_it_is_sent() {
    let mut rig = Rig::new();
    let mut memory = Memory::default();
    memory.look(&rig.record, &fixture::observations(), rig.clock.now());
    memory.begun(2);
    let (_, memory) = rig.act_with(demote(), memory);
    rig.act_with(demote(), memory);
    let attempts: Vec<u32> = rig.outside.writes.lock().unwrap().iter().map(|(_, attempts)| *attempts).collect();
    assert_eq!(attempts, [1, 2]);
    rig.witness.script([Fate::Lost; 100]);
    let mut memory = Memory::default();
    memory.look(&rig.record, &fixture::observations(), rig.clock.now());
    assert_eq!(rig.act_with(demote(), memory).0, 2, "what cannot be written down is not sent");
}

#[test]
fn a_step_that_another_process_started_is_not_taken_for_ones_own() {
    let mut rig = Rig::new();
    let start = Change::Start(Beginning::default());
    for (step, own) in [(2, false), (3, true)] {
        let (driver, record, change) = (rig.driver.clone(), rig.record.clone(), start.clone());
        rig.bench.run(Duration::from_secs(1));
        let memory = rig.bench.finish(async move {
            let mut memory = Memory::default();
            driver.change(&record.intent.unwrap(), &mut memory, step, &change).await;
            memory
        });
        let mut expected = Memory::default();
        if own {
            expected.begun(step);
        }
        assert_eq!(memory, expected, "step {step}");
    }
}

/// As the fixture's halves are, looked at by asking their servers.
fn known_halves() -> KnownHalves {
    KnownHalves { of: fixture::spec().halves(), halves: Arc::new(fixture::observations().halves), asked: true }
}

fn elsewhere(copy: &mut CopyView) {
    Arc::make_mut(copy.spec.as_mut().unwrap()).pair = Some(ObjectName::new("shop", "another"));
}

/// What a turn of the driver made of a free record: whether it was taken, and what is said.
fn free(told: CopyView, read: Seen<CopyView>, known: KnownHalves) -> (bool, Option<String>) {
    let mut rig = Rig::new();
    rig.witness.change(|record| (record.holder, record.intent) = (None, None));
    rig.bench.run(Duration::from_secs(20));
    *rig.outside.copy_read.lock().unwrap() = Some(read);
    rig.driver.set_copy(told);
    rig.driver.set_halves(known);
    let driver = rig.driver.clone();
    rig.bench.finish(async move {
        driver.turn(&mut Mind::default()).await;
    });
    assert!(rig.driver.told().copy.as_ref().unwrap().spec.is_ok(), "what cannot be followed is not followed");
    (rig.witness.record().holder == Some(fsn()), rig.driver.progress().waiting)
}

#[test]
fn a_free_record_is_taken_by_halves_that_the_copy_names_as_it_is_read_now() {
    let copy = fixture::copy();
    let read = || Seen::Is(fixture::copy());
    assert_eq!(free(copy.clone(), read(), known_halves()), (true, None));

    let mut others = known_halves();
    others.of.as_mut().unwrap().pair = ObjectName::new("shop", "another");
    assert!(!free(copy.clone(), read(), others).0, "what was looked at are halves of another pair");
    let watched = KnownHalves { asked: false, ..known_halves() };
    assert!(!free(copy.clone(), read(), watched).0, "watches told of them");

    let mut changed = fixture::copy();
    elsewhere(&mut changed);
    assert!(!free(copy.clone(), Seen::Is(changed), known_halves()).0, "the copy names others by now");
    let invalid = Invalid { path: "spec.rto".into(), message: "is no duration".into() };
    let unread = [
        (Seen::Is(CopyView { spec: Err(invalid), ..fixture::copy() }), "is no duration"),
        (Seen::Unknown("no answer".into()), "its own copy cannot be read: no answer"),
        (Seen::Missing, "its own copy cannot be read: "),
    ];
    for (read, said) in unread {
        let (taken, waiting) = free(copy.clone(), read, known_halves());
        assert!(!taken && waiting.as_ref().is_some_and(|why| why.contains(said)), "{said}: {waiting:?}");
    }
}

#[test]
fn a_half_is_kept_for_the_copy_as_it_is_read_now() {
    for (changed, writes) in [(false, 1), (true, 0)] {
        let mut rig = Rig::new();
        rig.witness.change(|record| record.intent = None);
        rig.bench.run(Duration::from_secs(20));
        let mut read = fixture::copy();
        if changed {
            elsewhere(&mut read);
        }
        *rig.outside.copy_read.lock().unwrap() = Some(Seen::Is(read.clone()));
        rig.driver.set_copy(fixture::copy());
        rig.driver.set_halves(known_halves());
        let driver = rig.driver.clone();
        rig.bench.finish(async move {
            let mut mind = Mind::default();
            // A glance shows that something is amiss; what is done comes of a look at all of it.
            driver.turn(&mut mind).await;
            assert!(mind.upkeep.amiss);
            driver.turn(&mut mind).await;
        });
        assert_eq!(rig.outside.writes.lock().unwrap().len(), writes, "changed: {changed}");
        let told = rig.driver.told().copy.clone().unwrap();
        assert_eq!(told.spec, read.spec, "it goes on with what was read");
    }
}

/// What is due in a region that drives nothing, at a moment in ms, when watches had told so much.
fn due_when<'a>(
    record: &'a Record,
    standing: &'a Standing<'a>,
    upkeep: &'a Upkeep,
) -> impl FnMut(Option<u64>, u64) -> Option<crate::look::Needs> + 'a {
    let mut rounds = Rounds::default();
    move |told, ms| {
        let now = Monotonic(Duration::from_millis(ms));
        rounds.hear(told, (Monotonic::default(), 1, 0), now);
        needs::of_standing(record, standing, true, upkeep, &mut rounds, now)
    }
}

#[test]
fn what_a_watch_tells_of_the_halves_is_looked_at_at_once_and_else_now_and_then() {
    let record = fixture::record();
    for (standing, other) in [(Standing::Tends, Depth::Cluster), (Standing::GivesWay, Depth::Not)] {
        let upkeep = Upkeep::default();
        let mut due = due_when(&record, &standing, &upkeep);
        assert!(due(Some(7), 0).is_some());
        assert!(due(Some(7), 100).is_none(), "nothing was told since");
        let needs = due(Some(8), 200).unwrap();
        assert_eq!((needs.from, needs.to), (Depth::Cluster, other));
        assert!(due(Some(8), 9000).is_none_or(|needs| needs.from == Depth::Not), "what was told is what stands");
        assert!(
            due(Some(8), 10_200).is_some_and(|needs| needs.from == Depth::Cluster),
            "and is looked at again without a word"
        );
    }
}

#[test]
fn where_watches_do_not_tell_the_halves_are_looked_at_every_second() {
    let record = fixture::record();
    for (standing, every) in [(Standing::Tends, 1000), (Standing::GivesWay, 500)] {
        let upkeep = Upkeep::default();
        let mut due = due_when(&record, &standing, &upkeep);
        assert!(due(Some(7), 0).is_some());
        assert!(due(None, 4000).is_none(), "a watch that broke may be back in a moment");
        assert!(due(None, 4000 + every - 100).is_none());
        assert!(due(None, 4000 + every).is_some());
        assert!(due(None, 4000 + every + 100).is_none());
        assert!(due(None, 4000 + 2 * every).is_some());
        assert!(due(Some(7), 4100 + 2 * every).is_some(), "it tells again");
    }
}

#[test]
fn what_is_under_way_or_amiss_is_looked_at_however_still_the_watches_are() {
    let mut waits = fixture::record();
    waits.pending = Some(fixture::pending());
    let mut amiss = Upkeep::default();
    amiss.amiss = true;
    for (record, upkeep) in [(&waits, &Upkeep::default()), (&fixture::record(), &amiss)] {
        let standing = Standing::GivesWay;
        let mut due = due_when(record, &standing, upkeep);
        assert!(due(Some(7), 0).is_some());
        assert!(due(Some(7), 500).is_some());
    }
}

#[test]
fn a_record_a_spec_or_halves_that_are_others_are_looked_by_at_once() {
    let (record, upkeep, standing) = (fixture::record(), Upkeep::default(), Standing::Tends);
    let mut rounds = Rounds::default();
    let mut due = |news| {
        let now = Monotonic(Duration::from_millis(1));
        rounds.hear(Some(7), news, now);
        needs::of_standing(&record, &standing, true, &upkeep, &mut rounds, now).is_some()
    };
    let later = Monotonic(Duration::from_secs(1));
    for news in [(Monotonic::default(), 1, 0), (later, 1, 0), (later, 2, 0), (later, 2, 1)] {
        assert!(due(news), "{news:?}");
        assert!(!due(news), "{news:?}");
    }
}
