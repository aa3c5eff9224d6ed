//! The command `continuum`.

use continuum_scenarios::format::Scenario;
use continuum_scenarios::outcome::Outcome;
use continuum_scenarios::runner::{RunOptions, Runner};
use std::process::ExitCode;

/// Stands where the simulated world will.
struct NoWorld;

impl Runner for NoWorld {
    fn run(&self, scenario: &Scenario, options: &RunOptions) -> Outcome {
        let did_not_finish = Some("no simulated world is built in".into());
        Outcome { did_not_finish, ..Outcome::begin(scenario, options) }
    }
}

fn main() -> ExitCode {
    continuum_scenarios::cli::main(&NoWorld)
}
