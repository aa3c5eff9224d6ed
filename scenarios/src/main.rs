//! The command `continuum`.

use continuum_scenarios::simulate::Simulation;
use std::process::ExitCode;

fn main() -> ExitCode {
    continuum_scenarios::cli::main(&Simulation::default())
}
