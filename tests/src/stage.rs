//! A world that a test conducts by hand: it steps until something holds, and asks the controllers for
//! operations. It judges nothing.

use continuum_core::name::Region;
use continuum_core::record::Record;
use continuum_core::report::{DryRunReport, ExecuteReport};
use continuum_core::sequencer::ExecuteOrder;
use continuum_sim::determinism::on_seeded_thread;
use continuum_sim::servers::kube_api::CONTINUUMS;
use continuum_sim::world::objects::{APPLICATION, NAMESPACE};
use continuum_sim::world::{Answered, Awaited, Order, REGIONS, World, WorldOptions, awaited};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// How long anything may take before the test gives up, simulated.
const LIMIT: Duration = Duration::from_secs(180);

/// See the module.
pub struct Stage {
    /// The world.
    pub world: World,
}

impl Stage {
    /// Runs `play` in a world of these options, on a thread of its own.
    pub fn play<T: Send + 'static>(options: WorldOptions, play: impl FnOnce(&mut Stage) -> T + Send + 'static) -> T {
        let seed = options.seed;
        let played = on_seeded_thread(seed, move || play(&mut Stage { world: World::new(options, None) }));
        played.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Steps until something holds.
    pub fn until(&mut self, what: &str, holds: impl Fn(&World) -> bool) {
        let limit = self.world.now() + LIMIT;
        while !holds(&self.world) {
            assert!(self.world.now() < limit, "{what} did not come in {} s", LIMIT.as_secs());
            self.tick();
        }
    }

    /// Lets time pass.
    pub fn pass(&mut self, time: Duration) {
        let until = self.world.now() + time;
        while self.world.now() < until {
            self.tick();
        }
    }

    /// Waits until both controllers have looked at everything that they look at: a second after each has
    /// written its status.
    pub fn begin(&mut self) {
        self.until("the controllers' status", |world| {
            REGIONS.iter().all(|region| copy(world, region)["status"]["phase"].is_string())
        });
        self.pass(Duration::from_secs(7));
    }

    /// A dry run, asked in `region`.
    pub fn dry_run(&mut self, region: &str, to: &str) -> Result<DryRunReport, String> {
        let (order, answer) = awaited(|answer| Order::DryRun { to: Region::new(to), reason: None, answer });
        self.world.desks[region].leave(order);
        self.answer(&answer)
    }

    /// An execution, asked in `region`.
    pub fn execute(&mut self, region: &str, to: &str) -> Result<ExecuteReport, String> {
        let (to, order) = (Region::new(to), ExecuteOrder::default());
        let (order, answer) = awaited(|answer| Order::Execute { to, order, answer });
        self.world.desks[region].leave(order);
        self.answer(&answer)
    }

    /// The record as it stands at the witness.
    pub fn record(&self) -> Option<Record> {
        self.world.watch.record().cloned()
    }

    /// Holds everything still but the hosts that serve, and the controller of `region`: clients, operators, databases'
    /// own checkpoints are no part of it, since an idle database writes nothing.
    pub fn hold_still(&mut self, region: &str) {
        self.world.workload.hold();
        self.until("the clients' last writes", |world| world.workload.is_still());
        self.pass(Duration::from_secs(1));
        for host in ["operator.fsn".to_owned(), "operator.hel".to_owned(), format!("controller.{}", other(region))] {
            self.world.fabric.pause(&host);
        }
    }

    fn answer<T>(&mut self, answer: &Awaited<T>) -> Result<T, String> {
        let limit = self.world.now() + LIMIT;
        loop {
            match answer.look() {
                Answered::With(answer) => return answer,
                Answered::Lost => panic!("the controller died before it answered"),
                Answered::NotYet => assert!(self.world.now() < limit, "no answer in {} s", LIMIT.as_secs()),
            }
            self.tick();
        }
    }

    fn tick(&mut self) {
        self.world.step().unwrap_or_else(|error| panic!("{error}"));
    }
}

/// A region's copy of the Continuum.
pub fn copy(world: &World, region: &str) -> Arc<Value> {
    world.store(region).get(&CONTINUUMS, NAMESPACE, APPLICATION).unwrap_or_default()
}

/// The other region.
pub fn other(region: &str) -> &'static str {
    continuum_sim::world::other(region)
}
