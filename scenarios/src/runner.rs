//! Where a scenario meets the world that runs it.

use crate::format::Scenario;
use crate::outcome::Outcome;
use clap::ValueEnum;

/// How a scenario is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunOptions {
    /// The scenario's file, as it was named: for the command that reproduces the run.
    pub file: String,
    /// The seed: the command's, else the scenario's.
    pub seed: u64,
    /// The network that carries it.
    pub fabric: Fabric,
    /// Whether the trace is wanted.
    pub trace: bool,
}

/// The simulated network of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Fabric {
    /// The reference: a network that others wrote, moved on tick by tick.
    #[default]
    Turmoil,
    /// Our own, about twice as fast: it skips what nothing happens in.
    Direct,
}

impl Fabric {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Fabric::Turmoil => "turmoil",
            Fabric::Direct => "direct",
        }
    }
}

impl RunOptions {
    /// The command that makes this run again.
    pub fn command(&self) -> String {
        let fabric = match self.fabric {
            Fabric::Turmoil => "",
            Fabric::Direct => " --fabric direct",
        };
        format!("continuum run {} --seed {}{fabric}", quoted(&self.file), self.seed)
    }
}

/// A file's name as a shell takes it.
fn quoted(file: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:@%,".contains(c);
    if file.chars().all(plain) { file.to_owned() } else { format!("'{}'", file.replace('\'', "'\\''")) }
}

/// Runs scenarios. Each call is made on a thread of its own that has run nothing before.
pub trait Runner: Send + Sync {
    /// Runs one to its end. Whatever goes wrong in the world is told in the outcome.
    fn run(&self, scenario: &Scenario, options: &RunOptions) -> Outcome;
}
