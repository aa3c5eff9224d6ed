//! The documentation tells the truth: tables equal the code they describe, examples work, and every path that is
//! named exists.

use continuum_live::resource;
use continuum_scenarios::explain::Kind;
use continuum_scenarios::format::{self, World};
use continuum_scenarios::outcome::Verdict;
use continuum_scenarios::render;
use continuum_scenarios::runner::{Fabric, RunOptions, Runner};
use continuum_scenarios::simulate::Simulation;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const DOCUMENTS: [&str; 13] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "docs/protocol.md",
    "docs/scenarios.md",
    "docs/resource.md",
    "docs/incidents.md",
    "docs/gitops.md",
    "docs/controller.md",
    "docs/install.md",
    "docs/runbook.md",
    "docs/http-api.md",
    "docs/claims.md",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The fenced blocks of a document in this language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let opening = format!("```{language}");
    let mut blocks: Vec<String> = Vec::new();
    let mut within = false;
    for line in text.lines() {
        if !within && line == opening {
            within = true;
            blocks.push(String::new());
        } else if within && line == "```" {
            within = false;
        } else if within && let Some(block) = blocks.last_mut() {
            block.push_str(line);
            block.push('\n');
        }
    }
    blocks
}

/// What stands between backticks outside fenced blocks, and where links of this repository lead.
fn names(text: &str) -> Vec<String> {
    let prose: Vec<&str> = text.split("\n```").step_by(2).collect();
    let mut names = Vec::new();
    for part in prose {
        names.extend(part.split('`').skip(1).step_by(2).map(str::to_owned));
        let targets = part.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        names.extend(targets.map(|(target, _)| target.to_owned()).filter(|target| !target.contains("://")));
    }
    names
}

fn example(text: &str) -> String {
    let scenarios = blocks(text, "yaml").into_iter().find(|block| block.contains("kind: Scenario"));
    scenarios.expect("a scenario in the document")
}

#[test]
fn the_table_of_steps_is_that_of_the_code() {
    let table = continuum_core::steps::table_markdown();
    assert!(read("docs/protocol.md").contains(&table), "docs/protocol.md should hold this table:\n{table}");
}

#[test]
fn every_scenario_in_the_documentation_is_free_of_mistakes() {
    let mut count = 0;
    for document in DOCUMENTS {
        for block in blocks(&read(document), "yaml").iter().filter(|block| block.contains("kind: Scenario")) {
            if let Err(mistakes) = format::parse(document, block) {
                panic!("{}", mistakes[0]);
            }
            count += 1;
        }
    }
    assert!(count >= 2, "the blocks were found");
}

#[test]
fn the_example_of_the_readme_runs_and_passes() {
    let scenario = format::parse("my-first.yaml", &example(&read("README.md"))).expect("free of mistakes");
    let options =
        RunOptions { file: "my-first.yaml".into(), seed: scenario.spec.seed, fabric: Fabric::Turmoil, trace: false };
    let outcome = Simulation::default().run(&scenario, &options);
    assert_eq!(outcome.verdict(), Verdict::Passed, "{}", render::table(&outcome));
}

/// The words of a table, without colours and without what holds a digit: times and positions.
fn words(table: &str) -> Vec<String> {
    let mut plain = String::new();
    let mut coloured = false;
    for character in table.chars() {
        match character {
            '\u{1b}' => coloured = true,
            'm' if coloured => coloured = false,
            other if !coloured => plain.push(other),
            _ => {}
        }
    }
    let no_digit = |word: &&str| !word.contains(|c: char| c.is_ascii_digit());
    plain.split_whitespace().filter(no_digit).map(str::to_owned).collect()
}

#[test]
fn the_readmes_picture_of_a_run_is_what_the_command_prints() {
    let file = "scenarios/planned-switchover.yaml";
    let scenario = format::parse(file, &read(file)).expect("free of mistakes");
    let options = RunOptions { file: file.into(), seed: scenario.spec.seed, fabric: Fabric::Turmoil, trace: false };
    let table = render::table(&Simulation::default().run(&scenario, &options));
    let picture = blocks(&read("README.md"), "text").into_iter().find(|block| block.starts_with("planned-switchover"));
    assert_eq!(words(&picture.expect("a picture of a run")), words(&table), "it prints:\n{table}");
}

#[test]
fn the_readmes_picture_of_a_mistake_is_what_the_command_prints() {
    let readme = read("README.md");
    let mistaken = example(&readme).replace("execute: { to: hel,", "execute: { to: hell,");
    let mistakes = format::parse("my-first.yaml", &mistaken).expect_err("there is no region hell");
    let picture = blocks(&readme, "text").into_iter().find(|block| block.starts_with("my-first.yaml"));
    let summary = "1 mistake; whether there are more shows when it is mended; nothing ran";
    assert_eq!(picture.expect("a picture of a mistake"), format!("{}\n\n{summary}\n", mistakes[0]));
}

#[test]
fn every_path_that_is_named_exists() {
    let here: BTreeSet<String> = fs::read_dir(root())
        .expect("the repository")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    let mut count = 0;
    for document in DOCUMENTS {
        let folder = root().join(document).parent().expect("a document is in a folder").to_owned();
        for name in names(&read(document)) {
            let first = name.split('/').next().unwrap_or_default();
            // Names with other signs are patterns, commands or values.
            let is_path = (name.contains('/') && here.contains(first) || name.ends_with(".md"))
                && name.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
            if is_path {
                count += 1;
                let there = root().join(&name).exists() || folder.join(&name).exists();
                assert!(there, "{document} names {name}, which is not there");
            }
        }
    }
    assert!(count > 50, "the names were found");
}

/// The rows of all tables of a document, by what stands between backticks in their first cell.
fn rows(text: &str) -> Vec<(Vec<String>, Vec<String>)> {
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    let tables = text.lines().filter(|line| line.starts_with('|'));
    tables
        .map(|line| {
            let cells: Vec<String> = cells(line);
            (cells[0].split('`').skip(1).step_by(2).map(str::to_owned).collect(), cells)
        })
        .collect()
}

/// The cell beside this name: `default`, where the table has it there.
fn beside(rows: &[(Vec<String>, Vec<String>)], name: &str) -> Option<String> {
    let row = rows.iter().find(|(names, _)| names.iter().any(|known| known == name))?;
    Some(row.1[1].trim_matches('`').to_owned())
}

/// Every leaf of an object schema, with its default.
fn leaves(schema: &Value, path: &str, found: &mut Vec<(String, Option<Value>)>) {
    let join = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    if let Some(properties) = schema["properties"].as_object() {
        for (name, property) in properties {
            leaves(property, &join(name), found);
        }
    } else if schema["items"]["properties"].is_object() {
        leaves(&schema["items"], &format!("{path}[]"), found);
    } else {
        found.push((path.to_owned(), schema.get("default").cloned()));
    }
}

fn said(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[test]
fn every_field_of_the_resource_is_documented_with_its_default() {
    let definition = serde_json::to_value(resource::crd()).expect("a definition is JSON");
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
    let text = read("docs/resource.md");
    let rows = rows(&text);
    let mut fields = Vec::new();
    leaves(&schema["spec"], "", &mut fields);
    assert!(fields.len() > 30, "the schema was read");
    for (path, default) in fields {
        let beside = beside(&rows, &path).unwrap_or_else(|| panic!("docs/resource.md lacks a row for `{path}`"));
        match default {
            Some(default) if default != Value::Array(Vec::new()) => assert_eq!(beside, said(&default), "{path}"),
            _ => {}
        }
    }
    let mut fields = Vec::new();
    leaves(&schema["status"], "", &mut fields);
    for (path, _) in fields.iter().filter(|(path, _)| !path.starts_with("conditions")) {
        let reserved = path.split('.').next().unwrap_or_default();
        let named = beside(&rows, path).is_some() || text.contains(&format!("`{reserved}`"));
        assert!(named, "docs/resource.md does not name status.{path}");
    }
}

#[test]
fn every_key_of_a_world_is_documented_with_its_default() {
    let rows = rows(&read("docs/scenarios.md"));
    let world = serde_json::to_value(World::default()).expect("a world is JSON");
    let mut keys = Vec::new();
    defaults(&world, "", &mut keys);
    assert!(keys.len() > 30, "the defaults were read");
    for (key, default) in keys.iter().filter(|(_, default)| !default.is_null()) {
        let beside = beside(&rows, key).unwrap_or_else(|| panic!("docs/scenarios.md lacks a row for `{key}`"));
        assert_eq!(in_seconds(&beside), in_seconds(&said(default)), "{key}");
    }
}

fn defaults(value: &Value, path: &str, found: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                defaults(value, &path, found);
            }
        }
        other => found.push((path.to_owned(), other.clone())),
    }
}

/// `1h` and `3600s` are the same.
fn in_seconds(text: &str) -> String {
    let number =
        |unit: char, seconds: u64| Some(format!("{}s", text.strip_suffix(unit)?.parse::<u64>().ok()? * seconds));
    number('h', 3600).or_else(|| number('m', 60)).unwrap_or_else(|| text.to_owned())
}

#[test]
fn every_step_and_every_key_of_one_is_documented() {
    let text = read("docs/scenarios.md");
    let schema = format::schema();
    let steps = schema["$defs"]["Step"]["oneOf"].as_array().expect("a step is one of several");
    assert!(steps.len() > 20, "the schema was read");
    let is_named = |name: &str| text.contains(&format!("`{name}`")) || text.contains(&format!("`{name}:"));
    for step in steps {
        let (name, body) = step["properties"].as_object().and_then(|map| map.iter().next()).expect("a step has a name");
        assert!(is_named(name), "docs/scenarios.md lacks the step `{name}`");
        let definition = body["$ref"].as_str().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
        let keys = schema["$defs"][definition]["properties"].as_object();
        for key in keys.into_iter().flat_map(|keys| keys.keys()) {
            assert!(is_named(key), "docs/scenarios.md lacks the key `{key}` of `{name}`");
        }
    }
}

/// What stands from this heading to the next of its level or above.
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let start = text.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no `{heading}`")) + 1;
    let rest = &text[start + heading.len()..];
    &rest[..rest.find("\n##").unwrap_or(rest.len())]
}

#[test]
fn faults_and_operations_are_documented_where_explain_counts_them() {
    let text = read("docs/scenarios.md");
    for (kind, heading) in [(Kind::Fault, "### Faults"), (Kind::Operation, "### Operations")] {
        let told: BTreeSet<String> = rows(section(&text, heading)).into_iter().flat_map(|(names, _)| names).collect();
        let known: BTreeSet<String> = kind.topics().into_iter().map(|topic| topic.name).collect();
        assert_eq!(told, known, "{heading}");
    }
}

#[test]
fn incidents_name_the_scenarios_that_stage_them() {
    let mut staged: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in format::find(&[root().join("scenarios")]).expect("the folder of scenarios") {
        let mut named = BTreeSet::new();
        incidents_in(&fs::read_to_string(&path).expect("a scenario"), &mut named);
        for incident in named {
            let name = path.file_stem().expect("a file has a name").display();
            staged.entry(incident).or_default().push(format!("`{name}`"));
        }
    }
    assert!(staged.len() > 15, "the scenarios were read");
    let table: String =
        staged.iter().map(|(incident, names)| format!("| `{incident}` | {} |\n", names.join(", "))).collect();
    assert!(read("docs/incidents.md").ends_with(&table), "docs/incidents.md should end with\n{table}");
}

#[test]
fn every_name_that_a_scenario_may_use_is_documented() {
    let text = read("docs/scenarios.md");
    let lists =
        [format::HostName::KNOWN, format::ObjectRef::KNOWN, format::CheckName::KNOWN, format::RegionName::KNOWN];
    for name in lists.concat() {
        assert!(text.contains(&format!("`{name}`")), "docs/scenarios.md does not name `{name}`");
    }
}

#[test]
fn every_reserved_event_is_documented() {
    let text = read("docs/protocol.md");
    for kind in continuum_core::audit::EventType::ALL {
        assert!(text.contains(&format!("| `{}` |", kind.as_str())), "{}", kind.as_str());
    }
}

#[test]
fn every_incident_that_is_named_is_told() {
    let told = read("docs/incidents.md");
    let mut named = BTreeSet::new();
    for folder in ["core", "live", "sim", "scenarios", "tests", "docs"] {
        incidents(&root().join(folder), &mut named);
    }
    assert!(named.len() > 20, "the sources were read");
    for incident in named {
        assert!(told.contains(&format!("| {incident} |")), "docs/incidents.md lacks {incident}");
    }
}

/// Every H and two digits in the sources under a folder.
fn incidents(folder: &Path, named: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            incidents(&entry, named);
        } else if entry
            .extension()
            .is_some_and(|extension| ["rs", "yaml", "md"].iter().any(|known| extension == *known))
        {
            incidents_in(&fs::read_to_string(&entry).unwrap_or_default(), named);
        }
    }
}

/// Every H and two digits in a text.
fn incidents_in(text: &str, named: &mut BTreeSet<String>) {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let is_incident =
        |word: &&str| word.len() == 3 && word.starts_with('H') && word[1..].chars().all(|digit| digit.is_ascii_digit());
    named.extend(words.filter(is_incident).map(str::to_owned));
}
