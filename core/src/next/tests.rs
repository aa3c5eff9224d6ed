//! What is decided, by step. A decision is a pure function, so a world is plain data and time is a number.

mod answered;
mod forward;
mod give_way;
mod interference;
mod promotion;
mod property;
mod source;
mod stalled;
mod tend;
mod traffic;
mod undo;
mod walk;

use super::*;
use crate::clock::Monotonic;
use crate::driver::apply;
use crate::observe::{Accepts, Answers, Half, Role, SeenRecord};
use crate::ports::Outcome;
use crate::preflight::fixture::{self, fsn, hel};
use crate::record::Kind;
use crate::testing::token;
use crate::transition::{self, Edit, Order};
use jiff::Timestamp;
use std::time::Duration;

const ID: &str = "shop/shop/4.1";

fn wall(second: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + second).unwrap()
}

/// Everything a decision is made from, and what remembers.
#[derive(Clone)]
struct World {
    record: Record,
    seen: Observations,
    memory: Memory,
    at: Monotonic,
    me: Region,
    abort: Option<String>,
    preconditions: Preconditions,
    witness_unread: Option<String>,
}

impl World {
    /// The intent was just written, B's controller has seen it, and nothing blocks.
    fn begun() -> Self {
        let order = Order { plan: fixture::plan(), kind: Kind::Planned, request: None, now: wall(0) };
        let Edit::Write(record) = transition::begin(&fixture::record(), &fsn(), &order) else { panic!("begins") };
        let mut world = World {
            record: *record,
            seen: fixture::observations(),
            memory: Memory::default(),
            at: Monotonic(Duration::from_secs(100)),
            me: fsn(),
            abort: None,
            preconditions: Preconditions::Hold,
            witness_unread: None,
        };
        world.set_beat(Some(1));
        world
    }

    /// The steps before `step` are done and their effects stand; `step` has not started.
    fn before(step: u8) -> Self {
        let mut world = Self::begun();
        for number in 1..step {
            if number > 1 {
                world.start(number);
            }
            match number {
                2 => {
                    world.demoted();
                    world.record.intent.as_mut().unwrap().token = Some(token(3, "0/7000028"));
                }
                3 => world.weights(0, 100),
                4 => world.flipped(),
                5 => {
                    world.set_beat(Some(2));
                    world.change(5, &Change::Swap);
                    world.me = hel();
                }
                6 => world.promoted(),
                _ => {}
            }
            if number != 5 {
                let lineage = (number == 6).then_some(Lineage::Of { region: hel(), timeline: 4 });
                world.change(number, &Change::Finish(Effect { lineage, ..Effect::default() }));
            }
        }
        world
    }

    /// As `before`, and the record says that `step` started, by this process.
    fn during(step: u8) -> Self {
        let mut world = Self::before(step);
        if step > 1 {
            world.start(step);
        }
        world.look();
        world.memory.begun(step);
        world
    }

    fn start(&mut self, step: u8) {
        let what = match step {
            3 => {
                let former = crate::weights::former(&fixture::route(), "shop-fsn", "shop-hel");
                let weights = [(fsn(), former.clone()), (hel(), former)].into();
                Beginning { former: crate::record::Former { weights, ..Default::default() }, ..Beginning::default() }
            }
            4 => {
                let records = Some(self.zone().records.clone());
                Beginning {
                    former: crate::record::Former { records, ..Default::default() },
                    beat: Some(1),
                    ..Beginning::default()
                }
            }
            6 => Beginning { promoted_with: Some(token(3, "0/7000028")), ..Beginning::default() },
            _ => Beginning::default(),
        };
        self.change(step, &Change::Start(what));
    }

    fn change(&mut self, step: u8, change: &Change) {
        match apply(&self.record, &self.me, ID, step, wall(step.into()), change) {
            Edit::Write(record) => self.record = *record,
            other => panic!("{change:?} of step {step}: {other:?}"),
        }
    }

    fn turn(mut self, step: u8) -> Self {
        let change = Change::Turn { step, reason: "failed".into(), promotion_refused: false };
        self.change(step, &change);
        self
    }

    fn look(&mut self) {
        self.memory.look(&self.record, &self.seen, self.at);
    }

    fn decide(&mut self) -> Decision {
        self.look();
        let intent = self.record.intent.as_ref().expect("an intent stands");
        let event = Some(crate::audit::switchover(intent, wall(60)));
        let now = Now {
            lag: None,
            at: self.at,
            me: &self.me,
            abort: self.abort.as_deref(),
            held_since: None,
            witness_unread: self.witness_unread.clone(),
            preconditions: self.preconditions.clone(),
            event,
        };
        next(&self.record, &self.seen, &self.memory, &now)
    }

    /// The promotion would be admitted, as was asked a moment ago.
    fn admitted(mut self) -> Self {
        let decision = self.try_with(done());
        assert!(matches!(decision, Decision::Act(6, Action::Admit(_))), "{decision:?}");
        self
    }

    fn pass(&mut self, seconds: u64) {
        self.at = self.at + Duration::from_secs(seconds);
    }

    /// Decides, and notes that what was decided had this outcome.
    fn try_with(&mut self, outcome: Outcome<()>) -> Decision {
        let decision = self.decide();
        self.memory.tried(&decision, &outcome, self.at);
        decision
    }

    fn claim(&self) -> Option<Claim> {
        let intent = self.record.intent.as_ref().unwrap();
        let intent = if intent.forward() { ID.to_owned() } else { format!("{ID}/undo") };
        Some(Claim { generation: self.record.generation, intent })
    }

    fn from(&mut self) -> (&mut ClusterView, &mut DatabaseView) {
        parts(self.seen.half_mut(&fsn()))
    }

    fn to(&mut self) -> (&mut ClusterView, &mut DatabaseView) {
        parts(self.seen.half_mut(&hel()))
    }

    fn zone(&mut self) -> &mut crate::observe::ZoneView {
        let Seen::Is(zone) = &mut self.seen.zone else { panic!("the zone is seen") };
        zone
    }

    fn route(&mut self, region: &Region) -> &mut crate::observe::RouteView {
        let Some(Seen::Is(route)) = self.seen.routes.get_mut(region) else { panic!("the route is seen") };
        route
    }

    fn set_beat(&mut self, beat: Option<u64>) {
        let Some(Seen::Is(copy)) = self.seen.copies.get_mut(&hel()) else { panic!("the copy is seen") };
        copy.seen = beat.map(|beat| SeenRecord { renewal: 7, intent: Some(ID.into()), beat });
    }

    /// A is demoted for this intent, and its token is there.
    fn demoted(&mut self) {
        let claim = self.claim();
        let (cluster, database) = self.from();
        cluster.claim = claim;
        cluster.role = Role::Replica;
        cluster.primary_name = Some("shop-hel".into());
        cluster.demotion_token = Some(token(3, "0/7000028"));
        *database = fixture::standby_database();
    }

    /// The routes' weights, claimed for this intent.
    fn weights(&mut self, from: u32, to: u32) {
        let claim = self.claim();
        for region in [fsn(), hel()] {
            let route = self.route(&region);
            route.claim = claim.clone();
            route.rules = vec![fixture::rule(&[("shop-fsn", from), ("shop-hel", to)])];
        }
    }

    /// The records of B are published and answered.
    fn flipped(&mut self) {
        self.zone().records = crate::records::record_sets(&fixture::plan()).unwrap();
        self.answer("NOERROR", &[fixture::address(&hel())]);
    }

    fn answer(&mut self, code: &str, addresses: &[std::net::IpAddr]) {
        let answer = Answer { code: code.into(), addresses: addresses.to_vec(), ttl_seconds: Some(30) };
        self.answers(&[Seen::Is(answer)]);
    }

    /// What each of so many authoritative servers answers.
    fn answers(&mut self, answers: &[Seen<Answer>]) {
        let all: Answers = (1..).map(fixture::server).zip(answers.iter().cloned()).collect();
        self.seen.authorities = Seen::Is(all.keys().copied().collect());
        self.seen.answers = [("shop.example.org".to_owned(), all)].into();
    }

    /// B was promoted for this intent, and everything after it is through.
    fn promoted(&mut self) {
        let claim = self.claim();
        let (cluster, database) = self.to();
        cluster.claim = claim;
        cluster.role = Role::Primary;
        cluster.primary_name = Some("shop-hel".into());
        cluster.promotion_token = Some(token(3, "0/7000028"));
        cluster.last_promotion_token = cluster.promotion_token.clone();
        cluster.timeline = Some(4);
        *database = fixture::primary_database("shop-fsn");
        database.timeline = Some(4);
    }
}

fn parts(half: &mut Half) -> (&mut ClusterView, &mut DatabaseView) {
    match half {
        Half { cluster: Seen::Is(cluster), database: Seen::Is(database), .. } => (cluster, database),
        other => panic!("the half is seen: {other:?}"),
    }
}

fn done() -> Outcome<()> {
    Outcome::Done(())
}

#[track_caller]
fn waits(decision: Decision) -> String {
    match decision {
        Decision::Wait(_, why) => why,
        other => panic!("does not wait: {other:?}"),
    }
}

#[track_caller]
fn stuck(decision: Decision) -> String {
    match decision {
        Decision::Stuck(_, why) => why,
        other => panic!("is not stuck: {other:?}"),
    }
}

/// The step that failed and the reason, of a decision to turn back.
#[track_caller]
fn turns(decision: Decision) -> (u8, String) {
    match decision {
        Decision::Act(_, Action::Record(Change::Turn { step, reason, promotion_refused: false })) => (step, reason),
        other => panic!("does not turn back: {other:?}"),
    }
}

#[track_caller]
fn cluster_write(decision: Decision) -> ClusterWrite {
    match decision {
        Decision::Act(_, Action::Cluster(write)) | Decision::Undo(_, Action::Cluster(write)) => write,
        other => panic!("writes no Cluster: {other:?}"),
    }
}

#[track_caller]
fn changes(decision: Decision) -> Change {
    match decision {
        Decision::Act(_, Action::Record(change)) | Decision::Undo(_, Action::Record(change)) => change,
        other => panic!("changes no record: {other:?}"),
    }
}

#[track_caller]
fn finishes(decision: Decision) -> Effect {
    match changes(decision) {
        Change::Finish(effect) => effect,
        other => panic!("the step is not done: {other:?}"),
    }
}
