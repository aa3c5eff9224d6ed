//! The chart of the controller: what it renders, what it refuses, and that a real API server takes it. Whether its roles
//! are enough is shown in `kube_adapter_contract` and by the controller's own test of two processes.

mod alerts;
mod dashboard;
mod install;
mod outside;
mod refusals;
mod render;
mod rights;
mod sources;

use std::path::{Path, PathBuf};

/// Values of the chart's folder `ci`.
const CI: [&str; 3] = ["fsn", "hel", "third-place"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn ci(name: &str) -> String {
    read(&format!("charts/continuum/ci/{name}.yaml"))
}

/// A folder that goes with its owner.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("continuum-chart-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a temporary folder can be made");
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
