//! The scenario files of the repository, loaded and run as the command runs them.

use continuum_scenarios::format::{self, Scenario};
use continuum_scenarios::outcome::Outcome;
use continuum_scenarios::runner::{Fabric, RunOptions, Runner};
use continuum_scenarios::simulate::Simulation;
use std::path::{Path, PathBuf};

/// The folder.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios")
}

/// The names of all files, sorted.
pub fn names() -> Vec<String> {
    let files = format::find(&[folder()]).unwrap_or_else(|mistakes| panic!("{}", mistakes[0]));
    let name = |file: &PathBuf| file.file_stem().map(|name| name.to_string_lossy().into_owned());
    files.iter().filter_map(name).collect()
}

/// The scenario of this name.
pub fn load(name: &str) -> Scenario {
    format::load(&folder().join(format!("{name}.yaml"))).unwrap_or_else(|mistakes| panic!("{}", mistakes[0]))
}

/// Runs the scenario of this name with its own seed.
pub fn run(name: &str, fabric: Fabric) -> Outcome {
    let scenario = load(name);
    let seed = scenario.spec.seed;
    Simulation::default().run(&scenario, &options(name, seed, fabric, false))
}

/// Runs the scenario of this name with a seed: its trace, byte for byte as the command writes it.
pub fn trace(name: &str, seed: u64, fabric: Fabric) -> String {
    let outcome = Simulation::default().run(&load(name), &options(name, seed, fabric, true));
    assert_eq!(outcome.crashed, None, "{name} with seed {seed} on {}", fabric.name());
    outcome.trace.expect("a trace was asked for")
}

fn options(name: &str, seed: u64, fabric: Fabric, trace: bool) -> RunOptions {
    RunOptions { file: format!("scenarios/{name}.yaml"), seed, fabric, trace }
}
