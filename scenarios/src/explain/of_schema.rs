//! Topics that the schema of a scenario file tells of: steps, conditions and expectations.

use super::{DOCUMENT, Topic, fact};
use crate::format;
use serde_json::Value;

/// Steps of a scenario with which a person or a tool acts, and which no fault ends.
const ACTS: [&str; 6] = ["approve", "refuse", "abort", "edit", "delete", "secret"];

/// Keys that say when, the same for all that has them.
const MOMENTS: [&str; 5] = ["at", "before", "after", "on", "when"];

/// Where something can be expected: what the schema calls it, and what a file does.
const EXPECTED: [(&str, &str); 5] = [
    ("DryRunExpect", "of a dryRun"),
    ("ExecuteExpect", "of a move"),
    ("HealthExpect", "of a health"),
    ("Facts", "in assert"),
    ("Expect", "at the end"),
];

pub(super) fn conditions() -> Vec<Topic> {
    let schema = format::schema();
    let choices = schema["$defs"]["Condition"]["oneOf"].as_array().cloned().unwrap_or_default();
    let topic = |choice: &Value| {
        let key = || choice["properties"].as_object()?.keys().next().cloned();
        let name = choice["const"].as_str().map(str::to_owned).or_else(key)?;
        let value = &choice["properties"][&name];
        let words = words(&schema, value);
        let mut facts =
            vec![fact("in", format!("`wait: {{ for: ... }}`, and `when` of a fault; {DOCUMENT}, Conditions"))];
        if !words.is_empty() {
            facts.insert(0, fact("one of", words.join(", ")));
        }
        Some(Topic { name, aliases: Vec::new(), title: told(choice), facts })
    };
    choices.iter().filter_map(topic).collect()
}

/// A key may stand in several places, and is told of each.
pub(super) fn expectations() -> Vec<Topic> {
    let schema = format::schema();
    let mut topics: Vec<Topic> = Vec::new();
    for (definition, place) in EXPECTED {
        let keys = schema["$defs"][definition]["properties"].as_object();
        for (key, value) in keys.into_iter().flatten() {
            let text = told_with_words(&schema, value);
            let fact = fact(place, text);
            match topics.iter_mut().find(|topic| topic.name == *key) {
                Some(topic) => topic.facts.push(fact),
                None => {
                    topics.push(Topic { name: key.clone(), aliases: Vec::new(), title: told(value), facts: vec![fact] })
                }
            }
        }
    }
    for topic in &mut topics {
        topic.facts.push(fact("told in", format!("{DOCUMENT}, Facts, and spec.expect")));
    }
    topics
}

/// The steps of a scenario that are faults, or those that are not.
pub(super) fn scenario_steps(faults: bool) -> Vec<Topic> {
    let schema = format::schema();
    let choices = schema["$defs"]["Step"]["oneOf"].as_array().cloned().unwrap_or_default();
    let mut topics = Vec::new();
    for choice in &choices {
        let Some((name, body)) = choice["properties"].as_object().and_then(|map| map.iter().next()) else { continue };
        let body = resolve(&schema, body);
        let is_fault = body["properties"].get("at").is_some() && !ACTS.contains(&name.as_str());
        if is_fault == faults {
            topics.push(Topic {
                name: name.clone(),
                aliases: Vec::new(),
                title: told(choice),
                facts: keys(&schema, body),
            });
        }
    }
    topics
}

/// A line for each key of a step.
fn keys(schema: &Value, body: &Value) -> Vec<(String, String)> {
    let required = |key: &str| body["required"].as_array().is_some_and(|keys| keys.iter().any(|known| known == key));
    let mut facts = Vec::new();
    let mut timed = false;
    for (key, value) in body["properties"].as_object().into_iter().flatten() {
        if MOMENTS.contains(&key.as_str()) {
            timed = true;
            continue;
        }
        let mut text = told_with_words(schema, value);
        let within = within(schema, value);
        if !within.is_empty() {
            text.push_str(&format!(" Its keys: {}.", within.join(", ")));
        }
        if required(key) {
            text.push_str(" Must be there.");
        }
        facts.push((key.clone(), text));
    }
    if timed {
        facts.push(fact("moment", format!("one of {}, or none: at its line", MOMENTS.join(", "))));
    }
    facts.push(fact("told in", DOCUMENT));
    facts
}

/// What is said of a value, and the words that it can be.
fn told_with_words(schema: &Value, value: &Value) -> String {
    let words = words(schema, value);
    match words.is_empty() {
        true => told(value),
        false => format!("{} One of: {}.", told(value), words.join(", ")),
    }
}

fn told(schema: &Value) -> String {
    schema["description"].as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The keys of a value that is a map of known ones.
fn within<'a>(schema: &'a Value, value: &'a Value) -> Vec<&'a str> {
    let value = resolve(schema, value);
    let choices = value["anyOf"].as_array().into_iter().flatten().map(|choice| resolve(schema, choice));
    let maps = std::iter::once(value).chain(choices).filter_map(|map| map["properties"].as_object());
    maps.flatten().map(|(key, _)| key.as_str()).collect()
}

/// The words that a value can be. Empty: it is no word out of a list.
fn words<'a>(schema: &'a Value, value: &'a Value) -> Vec<&'a str> {
    let value = resolve(schema, value);
    if let Some(words) = value["enum"].as_array() {
        return words.iter().filter_map(Value::as_str).collect();
    }
    let choices = value["oneOf"].as_array().or(value["anyOf"].as_array());
    let of_choice = |choice: &'a Value| match choice["const"].as_str() {
        Some(word) => vec![word],
        None => words(schema, choice),
    };
    choices.into_iter().flatten().flat_map(of_choice).collect()
}

fn resolve<'a>(schema: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(path) => schema.pointer(path.trim_start_matches('#')).unwrap_or(value),
        None => value,
    }
}
