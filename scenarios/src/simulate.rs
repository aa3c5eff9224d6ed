//! Runs scenarios in the simulated world.
//!
//! ```text
//!   scenario ──translate──► world options, faults
//!      │                         │
//!   Conductor: steps one after the other, a tick at a time ──► Outcome
//!      │ narrate: the timeline, from ground truth     judge: heal, converge, checkers, expectations
//! ```
//!
//! Each run has its own thread, seeded, so that the same seed and file give the same bytes.

mod around;
mod asking;
mod clients;
mod conduct;
mod deed;
mod facts;
mod fences;
mod instead;
mod judge;
mod narrate;
mod rest;
mod translate;

use crate::format::Scenario;
use crate::outcome::Outcome;
use crate::runner::{RunOptions, Runner};
use continuum_sim::determinism::on_seeded_thread;
use continuum_sim::trace::{self, TraceLine};
use continuum_sim::world::Alter;
use std::any::Any;
use std::sync::Arc;

/// The runner over the simulated world.
#[derive(Clone, Default)]
pub struct Simulation {
    mutant: Option<Mutant>,
}

/// Makes what changes the ports of the controllers, on the thread of the run.
pub type Mutant = Arc<dyn Fn() -> Alter + Send + Sync>;

impl Simulation {
    /// A runner whose controllers are broken on purpose: for tests of the checkers.
    pub fn broken(mutant: Mutant) -> Self {
        Self { mutant: Some(mutant) }
    }
}

impl Runner for Simulation {
    fn run(&self, scenario: &Scenario, options: &RunOptions) -> Outcome {
        trace::install();
        let (mut outcome, mut lines) = self.once(scenario, options, options.trace);
        if outcome.checks.iter().any(around::is_wanted) {
            if !options.trace {
                // The same seed gives the same run: what was not recorded is there for the asking.
                lines = self.once(scenario, options, true).1;
            }
            around::fill_in(&mut outcome.checks, &lines);
        }
        outcome
    }
}

impl Simulation {
    /// One run, and its trace where that is wanted.
    fn once(&self, scenario: &Scenario, options: &RunOptions, is_traced: bool) -> (Outcome, Vec<TraceLine>) {
        let (scenario_, options_, mutant) = (scenario.clone(), options.clone(), self.mutant.clone());
        let run = move || {
            if is_traced {
                trace::capture();
            }
            let alter = mutant.map(|mutant| mutant());
            let mut outcome = conduct::Conductor::new(&scenario_, &options_, alter).run();
            let lines = if is_traced { trace::take() } else { Vec::new() };
            if options_.trace {
                let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
                outcome.trace = Some(lines.join("\n") + "\n");
            }
            (outcome, lines)
        };
        on_seeded_thread(options.seed, run).unwrap_or_else(|panic| {
            let crashed = Some(told(&*panic));
            (Outcome { crashed, ..Outcome::begin(scenario, options) }, Vec::new())
        })
    }
}

fn told(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a text").to_owned()
}
