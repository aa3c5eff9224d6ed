//! The command itself: what it prints where, and its exit codes.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn continuum(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_continuum"))
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .args(arguments)
        .output()
        .expect("the command was built with its tests")
}

fn stdout(arguments: &[&str]) -> String {
    let output = continuum(arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}");
    String::from_utf8(output.stdout).expect("the command writes UTF-8")
}

#[test]
fn help_is_no_error() {
    for arguments in [&["--help"][..], &["run", "--help"], &["help", "lint"], &["--version"]] {
        assert!(!stdout(arguments).is_empty());
    }
}

#[test]
fn schemas_are_json() {
    for (of, title) in [("scenario", "Scenario"), ("report", "RunReport")] {
        let schema: serde_json::Value = serde_json::from_str(&stdout(&["schema", "--of", of])).unwrap();
        assert_eq!(schema["title"], title);
    }
}

#[test]
fn shells_get_their_completions() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        assert!(stdout(&["completions", shell]).contains("continuum"), "{shell}");
    }
}

#[test]
fn lint_counts_the_files_of_a_folder() {
    assert!(stdout(&["lint", "scenarios"]).ends_with(" checked, no mistakes\n"));
}

#[test]
fn a_pipe_gets_no_colours() {
    let output = continuum(&["run", "scenarios/no-route.yaml"]);
    assert!(!output.stdout.is_empty() && !output.stdout.contains(&0x1b));
}

/// Runs a scenario of these steps: the exit code, and what was printed.
fn run(name: &str, rest: &str) -> (Option<i32>, String) {
    let text = format!(
        "{{apiVersion: continuum.openova.io/v1alpha1, kind: Scenario, metadata: {{name: {name}}}, \
         spec: {{world: {{workload: {{clients: 0}}}}, {rest}}}}}"
    );
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.yaml"));
    fs::write(&path, text).expect("the folder is there");
    let output = continuum(&["run", path.to_str().expect("a path of this repository")]);
    (output.status.code(), String::from_utf8(output.stdout).expect("the command writes UTF-8"))
}

#[test]
fn a_run_that_gave_what_was_expected_has_exit_code_0() {
    let (code, told) = run("as-expected", "steps: [wait: {for: {elapsed: 1s}, atMost: 2s}], expect: {primary: fsn}");
    assert_eq!(code, Some(0), "{told}");
}

#[test]
fn an_expectation_that_is_not_met_has_exit_code_1_and_is_told() {
    let (code, told) = run("not-met", "steps: [wait: {for: {elapsed: 1s}, atMost: 2s}], expect: {primary: hel}");
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("expect.primary"), "{told}");
}

#[test]
fn a_fault_that_never_fired_has_exit_code_1_and_is_told() {
    let steps = "steps: [crash: {host: nats, on: {write: clusters/shop-fsn, nth: 99}}, \
                 wait: {for: {elapsed: 1s}, atMost: 2s}]";
    let (code, told) = run("never-fired", steps);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("fault never fired"), "{told}");
}

#[test]
fn a_run_that_did_not_finish_has_exit_code_2() {
    let (code, told) = run("unfinished", "steps: [wait: {for: {primary: hel}, atMost: 2s}]");
    assert_eq!(code, Some(2), "{told}");
}

#[test]
fn a_file_with_a_mistake_has_exit_code_64_and_runs_nothing() {
    let (code, told) = run("mistaken", "steps: [explode: {}]");
    assert_eq!((code, told.as_str()), (Some(64), ""));
}
