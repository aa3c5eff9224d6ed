//! The checkers on whole runs: a sound controller passes them all, and each mutant is caught by the one it
//! is made for.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
use continuum_core::name::{ObjectName, Region};
use continuum_core::report::ExecuteReport;
use continuum_core::sequencer::ExecuteOrder;
use continuum_sim::checkers::{self, Verdict};
use continuum_sim::determinism::on_seeded_thread;
use continuum_sim::faults::{DnsFault, Fault, Kind, Trigger, WorldFault};
use continuum_sim::ground::{self, Ground, Known, MayBeLeft, Replication, RunGround};
use continuum_sim::moments::Moments;
use continuum_sim::mutants::Mutant;
use continuum_sim::servers::kube_api::CLUSTERS;
use continuum_sim::workload::Span;
use continuum_sim::world::{Alter, Answered, Order, REGIONS, World, WorldOptions, awaited, objects, options};
use serde_json::json;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

const HOSTNAME: &str = objects::HOSTNAME;

struct Run {
    world: World,
    acts: Vec<String>,
    /// When the last operation was answered.
    quiet_since: Duration,
}

fn address(region: &str) -> IpAddr {
    options::address(region).parse().unwrap()
}

fn run(mutant: Option<Mutant>) -> Run {
    let alter = mutant.map(|mutant| -> Alter { Arc::new(move |_: &str, net, ports| mutant.alter(net, ports)) });
    Run { world: World::new(WorldOptions::default(), alter), acts: Vec::new(), quiet_since: Duration::ZERO }
}

impl Run {
    fn tick(&mut self) {
        self.world.step().unwrap();
    }

    fn wait(&mut self, seconds: u64) {
        let end = self.world.now() + Duration::from_secs(seconds);
        while self.world.now() < end {
            self.tick();
        }
    }

    fn arm(&self, trigger: Trigger, fault: WorldFault, lasts_seconds: u64) {
        let lasts = Some(Duration::from_secs(lasts_seconds));
        self.world.board.arm(self.world.now(), Fault { trigger, kind: Kind::World(fault), lasts });
    }

    fn execute(&mut self) -> Option<ExecuteReport> {
        let (order, answer) =
            awaited(|answer| Order::Execute { to: Region::new("hel"), order: ExecuteOrder::default(), answer });
        self.world.desks["fsn"].leave(order);
        let report = self.answer(80, |_| answer.look());
        self.quiet_since = self.world.now();
        report
    }

    fn dry_run(&mut self) {
        self.dry_run_in("fsn");
    }

    fn dry_run_in(&mut self, region: &str) {
        let before = ground::Place::now(&self.world.sources());
        let (order, answer) = awaited(|answer| Order::DryRun { to: Region::new("hel"), reason: None, answer });
        self.world.desks[region].leave(order);
        assert!(self.answer(20, |_| answer.look()).is_some(), "the dry run was answered");
        self.acts.extend(before.acts_since(&self.world.sources()));
    }

    fn answer<T>(&mut self, seconds: u64, look: impl Fn(&Self) -> Answered<T>) -> Option<T> {
        for _ in 0..seconds * 100 {
            self.tick();
            match look(self) {
                Answered::NotYet => {}
                Answered::With(answer) => return Some(answer.unwrap()),
                Answered::Lost => return None,
            }
        }
        None
    }

    fn ground(&self) -> Ground {
        let known = Known {
            replication: Replication::Asynchronous,
            may_be_left: MayBeLeft::default(),
            client_count: self.world.options.client_count,
            continuum: ObjectName::new(objects::NAMESPACE, objects::APPLICATION),
            route: ObjectName::new(objects::NAMESPACE, objects::APPLICATION),
            hostnames: vec![HOSTNAME.into()],
            addresses: REGIONS.map(|region| (Region::new(region), BTreeSet::from([address(region)]))).into(),
            dry_run_requests: self.world.board.dry_run_changes(),
            dry_run_acts: self.acts.clone(),
            run: RunGround {
                measured: Span { from: Duration::from_secs(3), to: self.world.now() },
                pause_max: self.world.workload.pause_max(),
                quiet_since: self.quiet_since,
                expects_rest: true,
                rest_since: None,
                broken: None,
                samples: self.world.watch.samples().to_vec(),
                blind: Vec::new(),
            },
        };
        let memory = self.world.workload.memory();
        Ground::take(self.world.now(), &self.world.sources(), &memory, self.moments(), known)
    }

    fn moments(&self) -> Moments {
        self.world.watch.moments().clone()
    }

    fn verdicts(&self) -> Vec<Verdict> {
        checkers::all(&self.ground())
    }
}

fn told(verdicts: &[Verdict]) -> Vec<String> {
    verdicts.iter().map(|verdict| format!("{verdict} {:?}", verdict.evidence)).collect()
}

fn simulate(work: impl FnOnce() + Send + 'static) {
    on_seeded_thread(1, work).unwrap();
}

#[test]
fn a_planned_switchover_passes_every_checker_and_shows_its_moments_in_order() {
    simulate(|| {
        let mut run = run(None);
        run.wait(15);
        run.dry_run();
        let began = run.world.now();
        assert_eq!(run.execute().expect("it ends").completed_steps, [1, 2, 3, 4, 5, 6, 7]);
        run.wait(60);
        let verdicts = run.verdicts();
        assert!(verdicts.iter().all(|verdict| verdict.ok), "{:#?}", told(&verdicts));
        let moments = run.moments();
        let mut last = began;
        for step in 1..=7 {
            let (started, effect) = (moments.started(step).unwrap(), moments.effect(step).unwrap());
            assert!(last <= started && started <= effect, "step {step} at {started:?}, its effect at {effect:?}");
            last = started;
        }
        let gap = run.world.workload.memory().gap("fsn", "hel", began).length().expect("both halves acknowledged");
        assert!((10..20).contains(&gap.as_secs()), "the drain of 10 s and little more, not {gap:?}");
    });
}

/// Runs a switchover under a mutant, and demands that its checker sees it.
fn is_caught(mutant: Mutant, prepare: impl FnOnce(&mut Run) + Send + 'static) {
    simulate(move || {
        let mut run = run(Some(mutant));
        run.wait(15);
        prepare(&mut run);
        run.execute();
        run.wait(60);
        let verdicts = run.verdicts();
        let caught = verdicts.iter().any(|verdict| verdict.name == mutant.caught_by() && !verdict.ok);
        assert!(caught, "{} went unseen: {:#?}", mutant.name(), told(&verdicts));
    });
}

/// A tool tells the old half to be primary again.
fn revert(run: &mut Run) {
    let half = objects::cluster("fsn");
    let primary = json!({ "spec": { "replica": { "primary": half } } });
    let store = run.world.store("fsn");
    store.merge_patch(&CLUSTERS, objects::NAMESPACE, &half, "", &primary, "argocd-controller").unwrap();
}

#[test]
fn promoting_before_the_old_half_has_stopped_is_caught() {
    is_caught(Mutant::PromotesFirst, |_| ());
}

#[test]
fn promoting_without_the_token_is_caught() {
    is_caught(Mutant::DropsToken, |run| {
        run.arm(Trigger::Before(2), WorldFault::Partition("pg.fsn".into(), "pg.hel".into()), 40);
    });
}

#[test]
fn a_holder_that_changes_without_a_new_generation_is_caught() {
    is_caught(Mutant::KeepsGeneration, |_| ());
}

#[test]
fn a_dry_run_that_writes_is_caught() {
    is_caught(Mutant::WritesInDryRun, Run::dry_run);
}

#[test]
fn a_dry_run_that_acts_by_the_ports_of_an_execution_is_caught() {
    is_caught(Mutant::ActsInDryRun, Run::dry_run);
}

#[test]
fn a_dry_run_that_claims_a_half_for_another_generation_is_caught() {
    is_caught(Mutant::ClaimsAheadInDryRun, Run::dry_run);
}

#[test]
fn a_dry_run_that_claims_a_half_without_the_lease_is_caught() {
    is_caught(Mutant::ClaimsWithoutTheLeaseInDryRun, |run| run.dry_run_in("hel"));
}

#[test]
fn an_event_that_is_published_twice_is_caught() {
    is_caught(Mutant::PublishesTwice, |_| ());
}

#[test]
fn a_lag_above_the_objective_that_was_none_is_caught() {
    is_caught(Mutant::InventsLag, |_| ());
}

#[test]
fn weights_that_are_not_undone_are_caught() {
    is_caught(Mutant::ForgetsWeights, |run| {
        run.arm(Trigger::Before(4), WorldFault::Dns(DnsFault::Refuse), 10);
    });
}

#[test]
fn a_status_that_stands_still_is_caught() {
    is_caught(Mutant::StatusStandsStill, |_| ());
}

#[test]
fn an_interference_that_names_nobody_is_caught_and_one_that_names_who_wrote_is_not() {
    for (mutant, lies) in [(Some(Mutant::ForgetsWriters), true), (None, false)] {
        simulate(move || {
            let mut run = run(mutant);
            run.wait(15);
            run.execute();
            revert(&mut run);
            run.wait(60);
            let verdicts = run.verdicts();
            let status = verdicts.iter().find(|verdict| verdict.name == "status-true").unwrap();
            let lie = status.evidence.iter().any(|lie| lie.contains("by somebody else`, and it was another"));
            assert_eq!((lie, status.ok), (lies, !lies), "{:#?}", told(&verdicts));
        });
    }
}

#[test]
fn a_fence_that_stays_is_caught() {
    is_caught(Mutant::LeavesFence, |_| ());
}

#[test]
fn routes_that_lead_nobody_anywhere_are_caught() {
    is_caught(Mutant::LeadsNowhere, |_| ());
}
