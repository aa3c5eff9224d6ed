//! What the chart holds a second time is the same as where it comes from.

use crate::{ci, read};
use continuum_tests::chart::{Helm, of_kind};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const COPIES: [(&str, &str); 2] = [
    ("live/crds/continuums.dr.openova.io.yaml", "charts/continuum/files/continuums.dr.openova.io.yaml"),
    ("live/policies/role-changes.yaml", "charts/continuum/files/role-changes.yaml"),
];

#[test]
fn the_files_of_the_chart_are_the_projects_own() {
    for (source, copy) in COPIES {
        assert_eq!(read(source), read(copy), "copy it: cp {source} {copy}");
    }
}

#[test]
fn the_chart_is_of_this_version() {
    let chart: Value = serde_saphyr::from_str(&read("charts/continuum/Chart.yaml")).expect("YAML");
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
}

/// Without what a chart adds to every object.
fn plain(object: &Value) -> Value {
    let mut object = object.clone();
    let metadata = object["metadata"].as_object_mut().expect("metadata");
    metadata.remove("labels");
    metadata.remove("annotations");
    object
}

/// Where two objects differ; `3600.0` and `3600` are one number.
fn differences(left: &Value, right: &Value, path: &str, into: &mut Vec<String>) {
    match (left, right) {
        (Value::Object(one), Value::Object(other)) => {
            for key in one.keys().chain(other.keys()).collect::<BTreeSet<_>>() {
                differences(&left[key], &right[key], &format!("{path}/{key}"), into);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, (one, other)) in one.iter().zip(other).enumerate() {
                differences(one, other, &format!("{path}/{index}"), into);
            }
        }
        _ if left == right || left.is_number() && left.as_f64() == right.as_f64() => {}
        _ => into.push(format!("{path}: {left} and {right}")),
    }
}

#[test]
fn the_definition_and_the_policy_are_rendered_as_they_stand_and_the_definition_is_kept() {
    let Some(helm) = Helm::find() else { return };
    let objects = helm.template(&ci("fsn"), &[]).expect("good values");
    for (source, _) in COPIES {
        for document in read(source).split("\n---\n") {
            let source: Value = serde_saphyr::from_str(document).expect("YAML");
            let kind = source["kind"].as_str().expect("a kind");
            let rendered = of_kind(&objects, kind, source["metadata"]["name"].as_str());
            assert_eq!(rendered.len(), 1, "{kind}");
            let mut different = Vec::new();
            differences(&plain(rendered[0]), &source, kind, &mut different);
            assert_eq!(different, Vec::<String>::new());
        }
    }
    let definition = of_kind(&objects, "CustomResourceDefinition", None)[0];
    assert_eq!(definition["metadata"]["annotations"], json!({"helm.sh/resource-policy": "keep"}));
}

/// The paths of values, `continuum.image.tag`; a map that is empty, and a list, are one value.
fn paths(value: &Value, path: &str, into: &mut BTreeSet<String>) {
    match value.as_object().filter(|map| !map.is_empty() && path != "continuum.resources") {
        Some(map) => {
            for (key, value) in map {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                paths(value, &path, into);
            }
        }
        None => drop(into.insert(path.to_owned())),
    }
}

#[test]
fn every_value_is_in_the_schema_and_in_the_table_of_the_documentation() {
    let values: Value = serde_saphyr::from_str(&read("charts/continuum/values.yaml")).expect("YAML");
    let mut there = BTreeSet::new();
    paths(&values, "", &mut there);
    let table = read("docs/install.md");
    let (_, table) = table.split_once("## Values").expect("a table of values");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | `"));
    let mut told = BTreeSet::new();
    for (path, rest) in rows {
        let (default, _) = rest.split_once("` |").expect("a default between backticks");
        let default: Value = serde_saphyr::from_str(default).expect("a default is YAML");
        let value = path.split('.').fold(&values, |place, key| &place[key]);
        assert_eq!(value, &default, "{path}: values.yaml on the left, docs/install.md on the right");
        told.insert(path.to_owned());
    }
    assert_eq!(there, told, "values.yaml on the left, the table of docs/install.md on the right");

    let schema: Value = serde_json::from_str(&read("charts/continuum/values.schema.json")).expect("JSON");
    for path in there {
        let mut place = &schema;
        for key in path.split('.') {
            place = &place["properties"][key];
        }
        assert!(!place.is_null(), "values.schema.json lacks {path}");
    }
}

#[test]
fn every_value_has_a_comment() {
    let text = read("charts/continuum/values.yaml");
    let mut told = false;
    for line in text.lines() {
        let words = line.trim();
        match words.split_once(':') {
            _ if words.starts_with('#') => told = true,
            // A list's items, a map's entries on lines of their own: of the value above.
            Some((_, "")) | None => {}
            Some((key, _)) => {
                assert!(
                    told || ["requests", "limits", "tolerations", "affinity", "- namespaceSelector"].contains(&key),
                    "{line}"
                );
                told = false;
            }
        }
    }
}
