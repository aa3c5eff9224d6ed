//! The command itself: what it prints where, and its exit codes.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_continuum"));
    command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).args(arguments).env_remove("COLUMNS");
    command
}

fn continuum(arguments: &[&str]) -> Output {
    command(arguments).output().expect("the command was built with its tests")
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
    for (of, title) in [("scenario", "Scenario"), ("report", "RunReport"), ("sweep", "SweepReport")] {
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

/// A scenario file of these steps.
fn file(name: &str, rest: &str) -> String {
    let text = format!(
        "{{apiVersion: continuum.openova.io/v1alpha1, kind: Scenario, metadata: {{name: {name}}}, \
         spec: {{world: {{workload: {{clients: 0}}}}, {rest}}}}}"
    );
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.yaml"));
    fs::write(&path, text).expect("the folder is there");
    path.to_str().expect("a path of this repository").to_owned()
}

/// Runs a scenario of these steps: the exit code, and what was printed.
fn run(name: &str, rest: &str) -> (Option<i32>, String) {
    code_and_text(&continuum(&["run", &file(name, rest)]))
}

fn code_and_text(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Steps that pass at once.
const SHORT: &str = "steps: [wait: {for: {elapsed: 1s}, atMost: 2s}]";
/// Steps that take longer than anybody waits.
const ENDLESS: &str = "limit: 1000h, steps: [wait: {for: {elapsed: 900h}, atMost: 1000h}]";

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

#[test]
fn several_scenarios_give_the_worst_of_their_codes() {
    let passed = file("worst-passed", SHORT);
    let failed = file("worst-failed", "steps: [wait: {for: {elapsed: 1s}, atMost: 2s}], expect: {primary: hel}");
    let unfinished = file("worst-unfinished", "steps: [wait: {for: {primary: hel}, atMost: 2s}]");
    assert_eq!(continuum(&["run", &passed, &failed, &unfinished]).status.code(), Some(1));
    assert_eq!(continuum(&["run", &passed, &unfinished]).status.code(), Some(2));
}

#[test]
fn a_trace_never_replaces_a_scenario_by_whatever_name() {
    let scenario = file("not-to-be-replaced", SHORT);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let names = ["not-to-be-replaced-symbolic", "not-to-be-replaced-hard"].map(|name| folder.join(name));
    for name in &names {
        // Left by an earlier run of this test.
        let _ = fs::remove_file(name);
    }
    std::os::unix::fs::symlink(&scenario, &names[0]).expect("a link is made");
    fs::hard_link(&scenario, &names[1]).expect("a link is made");
    let before = fs::read(&scenario).expect("the scenario is there");
    for trace in [Path::new(&scenario), &names[0], &names[1]] {
        let output = command(&["run", &scenario, "--trace"]).arg(trace).output().expect("the command starts");
        assert_eq!(code_and_text(&output), (Some(64), String::new()), "{trace:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("would replace the scenario"), "{trace:?}");
        assert!(fs::read(&scenario).expect("the scenario is there") == before, "{trace:?}");
    }
    let other = folder.join("not-to-be-replaced-either.yaml");
    fs::copy(&scenario, &other).expect("a scenario is copied");
    let output = command(&["run", &scenario, "--trace"]).arg(&other).output().expect("the command starts");
    assert_eq!(code_and_text(&output), (Some(64), String::new()));
    assert!(fs::read(&other).expect("the scenario is there") == before, "another scenario is one too");
}

#[test]
fn a_trace_that_cannot_be_written_is_found_before_anything_runs() {
    let scenario = file("untraceable", SHORT);
    for trace in ["/nowhere/at/all.txt", "/dev/full", env!("CARGO_TARGET_TMPDIR")] {
        let output = continuum(&["run", &scenario, "--trace", trace]);
        assert_eq!(code_and_text(&output), (Some(74), String::new()), "{trace}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("nothing ran"), "{trace}");
    }
}

#[test]
fn output_that_cannot_be_written_is_worse_than_a_failed_check() {
    let failed = file("lost-output", "steps: [wait: {for: {elapsed: 1s}, atMost: 2s}], expect: {primary: hel}");
    let lint = ["lint", failed.as_str()];
    for arguments in [&["run", failed.as_str()][..], &lint, &["schema"], &["completions", "bash"], &["explain"]] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("there is such a device");
        let status = command(arguments).stdout(full).stderr(Stdio::null()).status().expect("the command starts");
        assert_eq!(status.code(), Some(74), "{arguments:?}");
    }
}

#[test]
fn a_closed_pipe_ends_no_run() {
    let (one, two) = (file("piped-1", SHORT), file("piped-2", SHORT));
    let trace = Path::new(env!("CARGO_TARGET_TMPDIR")).join("piped.txt");
    let mut run = command(&["run", &one, "--trace", trace.to_str().expect("a path of this repository")]);
    let mut child = run.stdout(Stdio::piped()).spawn().expect("the command starts");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    assert!(fs::read_to_string(trace).expect("the trace was written").contains("controller"));

    // Progress that nobody reads.
    let mut child =
        command(&["run", &one, &two]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    drop(child.stderr.take());
    let output = child.wait_with_output().expect("it ends");
    let (code, told) = code_and_text(&output);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.ends_with("2 passed, 0 failed, 0 unfinished\n"), "{told}");
}

/// Runs these one after the other, and interrupts when the first has ended.
fn interrupted(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut child = command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut told = BufReader::new(child.stderr.take().expect("it is piped"));
    let mut line = String::new();
    told.read_line(&mut line).expect("a line of progress");
    assert!(line.starts_with("1/"), "{line}");
    let signalled = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(signalled.expect("kill starts").success());
    let mut rest = String::new();
    told.read_to_string(&mut rest).expect("text");
    let output = child.wait_with_output().expect("it ends");
    let (code, text) = code_and_text(&output);
    (code, text, rest)
}

#[test]
fn an_interrupted_run_keeps_what_has_finished_and_says_what_has_not() {
    let (short, endless) = (file("before-the-signal", SHORT), file("never-ends", ENDLESS));
    let (code, text, told) = interrupted(&["run", "-j", "1", &short, &endless]);
    assert_eq!(code, Some(2), "{text}{told}");
    assert!(text.contains("passed          before-the-signal") && text.ends_with("1 not run\n"), "{text}");
    assert!(told.contains("interrupted: 1 run did not end"), "{told}");

    let (code, text, _) = interrupted(&["run", "-j", "1", "-o", "json", &short, &endless]);
    let report: serde_json::Value = serde_json::from_str(&text).expect("the report is whole");
    assert_eq!((code, &report["passed"], &report["notRun"]), (Some(2), &1.into(), &1.into()));
}

#[test]
fn many_seeds_are_summed_up_and_what_failed_can_be_run_again() {
    let passed = file("seeds-pass", SHORT);
    let (code, text) = code_and_text(&continuum(&["run", &passed, "--seeds", "1..3"]));
    assert_eq!((code, text.as_str()), (Some(0), "3 runs · 3 passed\n"));

    let failed = file("seeds-fail", "steps: [wait: {for: {elapsed: 1s}, atMost: 2s}], expect: {primary: hel}");
    let (code, text) = code_and_text(&continuum(&["run", &failed, "--seeds", "8..9", "-j", "2"]));
    assert_eq!(code, Some(1), "{text}");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "2 runs · 0 passed, 2 failed");
    assert!(lines[1].starts_with("FAILED seeds 8, 9  line 1: expect.primary: expected hel, found fsn"), "{text}");
    assert!(text.contains(&format!("continuum run {failed} --seed 8\n")), "{text}");
}

#[test]
fn a_gap_of_many_seeds_is_told_as_it_spreads() {
    let (code, text) = code_and_text(&continuum(&["run", "scenarios/no-route.yaml", "--seeds", "1..2"]));
    assert_eq!(code, Some(0), "{text}");
    assert!(text.starts_with("2 runs · 2 passed · gap p50 ") && text.contains(" s, p95 "), "{text}");
}

#[test]
fn seeds_that_are_no_range_are_refused() {
    for arguments in [&["--seeds", "9..3"][..], &["--seeds", "5"], &["--seeds", "1..2", "--seed", "1"]] {
        let output = continuum(&[&["run", "scenarios/no-route.yaml"], arguments].concat());
        assert_eq!(code_and_text(&output), (Some(64), String::new()), "{arguments:?}");
    }
}

#[test]
fn what_is_asked_for_is_explained() {
    assert!(stdout(&["explain", "h25"]).contains("scenarios/reply-lost-on-promotion.yaml"));
    assert!(stdout(&["explain", "checks"]).lines().any(|line| line.starts_with("one-writer ")));
    assert!(stdout(&["explain"]).contains("partition"));
    let output = continuum(&["explain", "partitoin"]);
    assert_eq!(code_and_text(&output), (Some(64), String::new()));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "nothing is called `partitoin`: did you mean `partition`?\n");
}

#[test]
fn lines_fit_the_columns_that_there_are() {
    let bad = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bad/unknown-step-far.yaml");
    let asked = [
        &["--help"][..],
        &["run", "--help"],
        &["lint", bad],
        &["explain"],
        &["explain", "incident"],
        &["run", "scenarios/no-route.yaml"],
        &["run", "scenarios/no-route.yaml", "scenarios/blocked-by-lag.yaml"],
        &["run", "scenarios/no-route.yaml", "--seeds", "1..2"],
    ];
    for arguments in asked {
        let output = command(arguments).env("COLUMNS", "60").output().expect("the command starts");
        for line in String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).lines() {
            // A word is not broken, and a path is one; nor is a command.
            let whole = line.split_whitespace().count() <= 1 || line.starts_with("reproduce");
            assert!(line.chars().count() <= 60 || whole, "{arguments:?}: {line}");
        }
    }
}
