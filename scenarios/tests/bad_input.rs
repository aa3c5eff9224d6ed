//! Every mistake in a file is answered with its place, what was expected and exit code 64, and nothing runs.

use continuum_scenarios::format;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn continuum(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_continuum"))
        .args(arguments)
        .output()
        .expect("the command was built with its tests")
}

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn bad_files() -> Vec<PathBuf> {
    format::find(&[here("tests/bad")]).expect("the folder is beside this file")
}

/// Exit code 64, an answer on stderr, and nothing on stdout: nothing ran.
fn assert_usage(output: &Output, what: &str) {
    assert_eq!(output.status.code(), Some(64), "{what}");
    assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{what}");
}

#[test]
fn every_bad_file_is_answered_with_place_and_expectation() {
    let mut answers = String::new();
    for path in bad_files() {
        let mistakes = format::load(&path).expect_err(&path.display().to_string());
        for mut mistake in mistakes {
            assert!(mistake.place.is_some(), "{mistake}");
            mistake.file = format!("bad/{}", path.file_name().unwrap().display());
            answers.push_str(&format!("{mistake}\n\n"));
        }
    }
    insta::assert_snapshot!(answers);
}

#[test]
fn a_bad_file_runs_nothing_not_even_its_good_neighbours() {
    for path in bad_files() {
        let path = path.to_str().unwrap().to_owned();
        let good = here("no-route.yaml").to_str().unwrap().to_owned();
        assert_usage(&continuum(&["run", &good, &path]), &path);
        assert_usage(&continuum(&["lint", &path]), &path);
    }
}

#[test]
fn a_missing_file_is_told_and_runs_nothing() {
    let path = here("nowhere.yaml");
    let mistakes = format::load(&path).unwrap_err();
    assert_eq!(mistakes[0].message, "no such file or folder");
    assert_usage(&continuum(&["run", path.to_str().unwrap()]), "missing file");
}

#[test]
fn a_folder_without_scenarios_is_told() {
    let folder = here("src");
    let mistakes = format::find(std::slice::from_ref(&folder)).unwrap_err();
    assert_eq!(mistakes[0].message, "no scenario in this folder");
    assert_usage(&continuum(&["run", folder.to_str().unwrap()]), "empty folder");
}

/// A pipe that nobody writes into: to open it would wait for ever. Removed at the end.
struct Pipe(PathBuf);

impl Pipe {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("continuum-{name}-{}.yaml", std::process::id()));
        assert!(Command::new("mkfifo").arg(&path).status().expect("mkfifo starts").success());
        Self(path)
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        // Nothing depends on it.
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn what_is_neither_a_file_nor_a_folder_is_refused_at_once() {
    let pipe = Pipe::new("pipe");
    for path in [pipe.0.as_path(), Path::new("/dev/null")] {
        for mistakes in [format::find(&[path.to_owned()]).unwrap_err(), format::load(path).unwrap_err()] {
            assert_eq!(mistakes[0].message, "neither a file nor a folder");
        }
        assert_usage(&continuum(&["lint", path.to_str().unwrap()]), "a pipe or a device");
    }
}

#[test]
fn a_file_too_large_is_not_parsed() {
    let path = std::env::temp_dir().join(format!("continuum-too-large-{}.yaml", std::process::id()));
    std::fs::write(&path, vec![b'#'; 2 * 1024 * 1024]).unwrap();
    let mistakes = format::load(&path).unwrap_err();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(mistakes[0].message, "too large for a scenario");
}

#[test]
fn wrong_arguments_are_usage_errors() {
    for arguments in [
        &["run"][..],
        &["run", "--seed", "x", "a.yaml"],
        &["run", "--output", "xml", "a.yaml"],
        &["run", "--jobs", "0", "a.yaml"],
        &["explode"],
        &[],
    ] {
        assert_usage(&continuum(arguments), &format!("{arguments:?}"));
    }
}

#[test]
fn a_seed_that_is_none_is_answered_with_what_one_is() {
    for arguments in [["--seed", "-1"], ["--seed", "x"], ["--seeds", "-1..5"]] {
        let output = continuum(&["run", arguments[0], arguments[1], "a.yaml"]);
        assert_usage(&output, &format!("{arguments:?}"));
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains("expected") && !told.contains("-- -1"), "{told}");
    }
}

#[test]
fn a_file_that_is_named_twice_is_taken_once_and_that_is_said() {
    let (plain, roundabout) = (here("no-route.yaml"), here("tests/../no-route.yaml"));
    let output = continuum(&["lint", plain.to_str().unwrap(), roundabout.to_str().unwrap()]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1 scenario checked, no mistakes\n");
    assert!(String::from_utf8_lossy(&output.stderr).contains("named more than once; taken once"));
}

#[test]
fn one_trace_file_takes_one_scenario() {
    let scenarios = here("").to_str().unwrap().to_owned();
    assert_usage(&continuum(&["run", &scenarios, "--trace", "trace.txt"]), "trace of several");
}
