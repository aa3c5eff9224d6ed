//! `docs/claims.md` is whole, and every row of it names tests or scenarios that there are.

use continuum_tests::scenario_files;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const DOCUMENT: &str = "docs/claims.md";
/// Rows of the document. Counted here too: a row that is dropped would be missed by nobody.
const CLAIMS: usize = 63;
/// Where tests stand.
const PACKAGES: [&str; 7] = ["core", "live", "nats", "sim", "scenarios", "controller", "tests"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The rows of all tables, each with its line, from 1; the head of a table stands above its rule.
fn rows(document: &str) -> Vec<(usize, &str)> {
    let lines: Vec<&str> = document.lines().collect();
    let is_rule = |index: usize| lines.get(index).is_some_and(|line| line.starts_with("|-"));
    let numbers = (0..lines.len()).filter(|index| lines[*index].starts_with('|'));
    numbers.filter(|index| !is_rule(*index) && !is_rule(index + 1)).map(|index| (index + 1, lines[index])).collect()
}

/// What is wrong with the rows, each with its line, where these are the names of tests and scenarios.
fn mistakes(document: &str, known: &BTreeSet<String>) -> Vec<String> {
    let mut mistakes = Vec::new();
    for (line, row) in rows(document) {
        let mut add = |what: &str| mistakes.push(format!("{DOCUMENT}:{line}: {what}"));
        let cell = row.trim_matches('|').rsplit('|').next().unwrap_or_default().trim();
        let names: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
        if names.is_empty() {
            add("nothing holds this claim; name tests or scenarios between backticks");
        } else if cell != format!("`{}`", names.join("`, `")) {
            add("write names between backticks with commas between, and nothing else");
        }
        for name in names.iter().filter(|name| !known.contains(**name)) {
            add(&format!("there is no test and no scenario `{name}`; name one that there is"));
        }
    }
    mistakes
}

/// The name of the function that begins in a line.
fn function(line: &str) -> Option<&str> {
    let line = line.strip_prefix("pub ").unwrap_or(line);
    let line = line.strip_prefix("async ").unwrap_or(line);
    line.strip_prefix("fn ")?.split(['(', '<']).next()
}

/// The functions of a source file that are marked as tests, and run.
fn marked(source: &str) -> Vec<&str> {
    let (mut found, mut attributes) = (Vec::new(), Vec::new());
    for line in source.lines().map(str::trim) {
        if line.starts_with("#[") {
            attributes.push(line);
        } else if let Some(name) = function(line) {
            let has = |start: &str| attributes.iter().any(|attribute: &&str| attribute.starts_with(start));
            if (has("#[test]") || has("#[tokio::test")) && !has("#[ignore") {
                found.push(name);
            }
            attributes.clear();
        }
    }
    found
}

/// What a source file lists in calls of macros that make a test of each name. Other words there are types and modules.
fn listed(source: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for definition in source.split("\nmacro_rules! ").skip(1) {
        let (name, body) = definition.split_once(" {").unwrap_or_default();
        let body = body.split("\n}").next().unwrap_or_default();
        if !body.contains("#[test]") && !body.contains("#[tokio::test") {
            continue;
        }
        let head = format!("\n{name}! {{");
        for call in source.split(&head).skip(1) {
            let lines = call.split("\n}").next().unwrap_or_default().lines();
            let words = lines.filter(|line| !line.trim().starts_with("//")).flat_map(|line| line.split([' ', ',']));
            let paths = words.filter(|word| !word.is_empty() && !word.ends_with(':'));
            let names = paths.map(|path| path.rsplit("::").next().unwrap_or(path));
            let is_name = |name: &&str| name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
            found.extend(names.filter(is_name));
        }
    }
    found
}

/// The names of the tests of every source file in a folder, but of this one.
fn tests(folder: &Path, into: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("the workspace can be read") {
        let path = entry.expect("the workspace can be read").path();
        if path.is_dir() {
            tests(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("original_claims.rs") {
            let source = fs::read_to_string(&path).expect("a source file is text");
            into.extend(marked(&source).into_iter().chain(listed(&source)).map(str::to_owned));
        }
    }
}

#[test]
fn every_claim_has_a_test_or_a_scenario_that_exists() {
    let document = fs::read_to_string(root().join(DOCUMENT)).expect("the document is there");
    let mut known: BTreeSet<String> = scenario_files::names().into_iter().collect();
    PACKAGES.iter().for_each(|package| tests(&root().join(package), &mut known));
    assert_eq!(mistakes(&document, &known), Vec::<String>::new());
    assert_eq!(rows(&document).len(), CLAIMS, "rows of {DOCUMENT}: none is dropped, and a new one is counted here");
}

#[test]
fn a_row_that_names_nothing_or_what_is_not_there_is_refused_with_its_line() {
    let document = "# Claims\n\n| claim | held by |\n|---|---|\n| `{}` is refused | |\n| one | `a`, `b-c` |\n\
                    | two | `a`, `d` |\n| three | `a`, b |\n";
    let told = mistakes(document, &["a", "b-c"].map(str::to_owned).into());
    let lines: Vec<&str> = told.iter().map(|told| told.split(';').next().unwrap_or_default()).collect();
    assert_eq!(
        lines,
        [
            "docs/claims.md:5: nothing holds this claim",
            "docs/claims.md:7: there is no test and no scenario `d`",
            "docs/claims.md:8: write names between backticks with commas between, and nothing else",
        ]
    );
    assert_eq!(rows(document).len(), 4);
}

#[test]
fn a_test_is_what_is_marked_as_one_or_listed_where_a_macro_marks_it() {
    let source = "fn helper() {}\n#[test]\n#[expect(\n    dead_code\n)]\nfn plain() {\n    fn within() {}\n}\n\
                  // #[test]\nfn no_more() {}\n#[tokio::test(start_paused = true)]\nasync fn paused() {}\n\
                  #[ignore]\n#[test]\nfn left_out() {}\npub async fn claim(bed: Bed) {}\n\
                  macro_rules! suite {\n    ($($case:ident)*) => { $(#[test] fn $case() { super::$case(); })* };\n}\n\
                  suite! { Own, there:\n    halves::claim,\n    // halves::gone,\n    other Rule\n}\n\
                  macro_rules! table {\n    ($($name:ident)*) => { [$(stringify!($name)),*] };\n}\ntable! {\n    entry\n}\n";
    assert_eq!(marked(source), ["plain", "paused"]);
    assert_eq!(listed(source), ["claim", "other"]);
}
