//! The same seed and file give the same trace in two processes, and what the command prints is the same too.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the run printed, and its trace.
fn run(file: &str, trace: &str) -> (Vec<u8>, Vec<u8>) {
    let trace: PathBuf = Path::new(env!("CARGO_TARGET_TMPDIR")).join(trace);
    let output = Command::new(env!("CARGO_BIN_EXE_continuum"))
        .args(["run", file, "--seed", "8", "--trace"])
        .arg(&trace)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .output()
        .expect("the command starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    (output.stdout, fs::read(trace).expect("the trace was written"))
}

#[test]
fn in_two_processes_the_trace_is_the_same() {
    let file = "scenarios/reply-lost-on-promotion.yaml";
    let (first, second) = (run(file, "processes-1.txt"), run(file, "processes-2.txt"));
    assert!(first.1.len() > 10_000, "the trace says too little to prove anything");
    assert!(first == second, "the two processes differ");
}
