//! What `continuum run --output json` writes is what `continuum schema --of report` describes.

use serde_json::Value;
use std::path::Path;
use std::process::Command;

fn continuum(arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_continuum"))
        .args(arguments)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .output()
        .expect("the command starts");
    serde_json::from_slice(&output.stdout).expect("it prints JSON")
}

/// Everything in which `value` is not what `schema` says, as far as the report's schema uses JSON Schema.
fn mistakes(schema: &Value, value: &Value, root: &Value, path: &str, out: &mut Vec<String>) {
    if let Some(name) = schema["$ref"].as_str() {
        let target = root.pointer(name.trim_start_matches('#')).expect("a reference leads somewhere");
        return mistakes(target, value, root, path, out);
    }
    let fits = |schema: &Value| {
        let mut found = Vec::new();
        mistakes(schema, value, root, path, &mut found);
        found.is_empty()
    };
    for (keyword, enough) in [("oneOf", 1..=1), ("anyOf", 1..=usize::MAX)] {
        if let Some(choices) = schema[keyword].as_array() {
            let count = choices.iter().filter(|choice| fits(choice)).count();
            if !enough.contains(&count) {
                out.push(format!("{path}: {count} of {keyword} fit {value}"));
            }
        }
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        mistakes(part, value, root, path, out);
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !kinds.is_empty() && !kinds.iter().any(|kind| is(value, kind)) {
        out.push(format!("{path}: {value} is no {kinds:?}"));
    }
    if schema.get("const").is_some_and(|wanted| wanted != value)
        || schema["enum"].as_array().is_some_and(|words| !words.contains(value))
    {
        out.push(format!("{path}: {value} is not among the words"));
    }
    if let Some(fields) = value.as_object() {
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !fields.contains_key(name) {
                out.push(format!("{path}: {name} is missing"));
            }
        }
        if let Some(known) = schema["properties"].as_object() {
            for (name, field) in fields {
                match known.get(name) {
                    Some(schema) => mistakes(schema, field, root, &format!("{path}.{name}"), out),
                    None => out.push(format!("{path}: {name} is not described")),
                }
            }
        }
    }
    if let (Some(items), Some(item)) = (value.as_array(), schema.get("items")) {
        for (index, value) in items.iter().enumerate() {
            mistakes(item, value, root, &format!("{path}[{index}]"), out);
        }
    }
}

fn is(value: &Value, kind: &str) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        _ => value.is_object(),
    }
}

#[test]
fn many_seeds_as_json_have_the_documented_shape() {
    let schema = continuum(&["schema", "--of", "sweep"]);
    let report = continuum(&["run", "scenarios/no-route.yaml", "--seeds", "3..4", "--output", "json"]);
    let mut found = Vec::new();
    mistakes(&schema, &report, &schema, "", &mut found);
    assert_eq!(found, Vec::<String>::new());
    assert_eq!((&report["sweeps"][0]["firstSeed"], &report["sweeps"][0]["passed"]), (&3.into(), &2.into()));
}

#[test]
fn a_run_as_json_has_the_documented_shape() {
    let schema = continuum(&["schema", "--of", "report"]);
    for file in ["scenarios/planned-switchover.yaml", "scenarios/step-4-fails.yaml"] {
        let report = continuum(&["run", file, "--output", "json"]);
        let mut found = Vec::new();
        mistakes(&schema, &report, &schema, "", &mut found);
        assert_eq!(found, Vec::<String>::new(), "{file}");
        assert_eq!(report["passed"], 1, "{file}");
        // The check sees what it should.
        let mut wrong = report.clone();
        wrong["runs"][0]["seed"] = "one".into();
        mistakes(&schema, &wrong, &schema, "", &mut found);
        assert_eq!(found.len(), 1, "{found:?}");
    }
}
