//! The command itself: what it prints where, and its exit codes.

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
