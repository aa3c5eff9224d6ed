//! Where a scenario meets the world that runs it.

use crate::format::Scenario;
use crate::outcome::Outcome;

/// How a scenario is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunOptions {
    /// The scenario's file, as it was named: for the command that reproduces the run.
    pub file: String,
    /// The seed: the command's, else the scenario's.
    pub seed: u64,
    /// Whether the trace is wanted.
    pub trace: bool,
}

/// Runs scenarios. Each call is made on a thread of its own that has run nothing before.
pub trait Runner: Send + Sync {
    /// Runs one to its end. Whatever goes wrong in the world is told in the outcome.
    fn run(&self, scenario: &Scenario, options: &RunOptions) -> Outcome;
}
