//! The command `continuum`.

use continuum_scenarios::runner::Runner;
use continuum_scenarios::simulate::Simulation;
use std::process::ExitCode;
use std::sync::Arc;

fn main() -> ExitCode {
    let runner: Arc<dyn Runner> = Arc::new(Simulation::default());
    continuum_scenarios::cli::main(&runner)
}
