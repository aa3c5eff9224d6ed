//! What a resource definition says of an object: types, ranges, patterns, required keys, sets, defaults, and which keys
//! there are at all. The simulated server is given the definitions that real ones are given, and answers in the words of
//! theirs.
//!
//! Deliberately absent: that what stands already is not judged again.

use super::rules::Rule;
use super::{BACKUPS, CLUSTERS, CONTINUUMS, HTTP_ROUTES, Resource};
use jiff::Timestamp;
use regex_lite::Regex;
use serde::Deserialize;
use serde_json::{Number, Value};
use std::collections::BTreeMap;
use std::sync::LazyLock;

static DEFINED: LazyLock<[Defined; 4]> = LazyLock::new(|| {
    [
        Defined::new(&CONTINUUMS, include_str!("../../../../live/crds/continuums.dr.openova.io.yaml")),
        Defined::new(&CLUSTERS, include_str!("../../../crds/clusters.postgresql.cnpg.io.yaml")),
        Defined::new(&BACKUPS, include_str!("../../../crds/backups.postgresql.cnpg.io.yaml")),
        Defined::new(&HTTP_ROUTES, include_str!("../../../crds/httproutes.gateway.networking.k8s.io.yaml")),
    ]
});

/// What is said beside, where rules in CEL could not be asked.
const RULES_UNCHECKED: &str = "<nil>: Invalid value: null: some validation rules were not checked because the object was \
                               invalid; correct the existing errors to complete validation";

/// A kind with its definition.
struct Defined {
    resource: &'static Resource,
    schema: Schema,
    /// It has rules in CEL.
    has_rules: bool,
}

/// Something that an object breaks.
struct Violation {
    text: String,
    /// Rules are not asked of such an object.
    blocks_rules: bool,
}

#[derive(Default)]
struct Violations(Vec<Violation>);

impl Violations {
    fn add(&mut self, text: String) {
        self.0.push(Violation { text, blocks_rules: false });
    }

    /// A type, a length, a count, a key that is missing, a value that is none of those that there are.
    fn block(&mut self, text: String) {
        self.0.push(Violation { text, blocks_rules: true });
    }
}

/// A node of a structural schema, as far as it is judged.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Schema {
    #[serde(rename = "type")]
    kind: Option<String>,
    format: Option<String>,
    nullable: bool,
    default: Option<Value>,
    properties: BTreeMap<String, Schema>,
    additional_properties: Option<Additional>,
    items: Option<Box<Schema>>,
    required: Vec<String>,
    #[serde(rename = "enum")]
    one_of: Vec<Value>,
    pattern: Option<Pattern>,
    minimum: Option<f64>,
    maximum: Option<f64>,
    min_length: Option<usize>,
    max_length: Option<usize>,
    min_items: Option<usize>,
    max_items: Option<usize>,
    #[serde(rename = "x-kubernetes-list-type")]
    list_type: Option<String>,
    #[serde(rename = "x-kubernetes-list-map-keys")]
    map_keys: Vec<String>,
    #[serde(rename = "x-kubernetes-preserve-unknown-fields")]
    keeps_unknown: bool,
    #[serde(rename = "x-kubernetes-validations")]
    rules: Vec<Rule>,
}

/// What further keys of a map may hold.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Additional {
    Any(bool),
    Each(Box<Schema>),
}

#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Pattern {
    text: String,
    expression: Regex,
}

impl TryFrom<String> for Pattern {
    type Error = regex_lite::Error;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Ok(Self { expression: Regex::new(&text)?, text })
    }
}

/// The parts of a definition that lead to its schema.
#[derive(Deserialize)]
struct Definition {
    spec: DefinitionSpec,
}

#[derive(Deserialize)]
struct DefinitionSpec {
    versions: Vec<DefinitionVersion>,
}

#[derive(Deserialize)]
struct DefinitionVersion {
    schema: DefinitionSchema,
}

#[derive(Deserialize)]
struct DefinitionSchema {
    #[serde(rename = "openAPIV3Schema")]
    schema: Schema,
}

impl Defined {
    fn new(resource: &'static Resource, text: &str) -> Self {
        let definition: Definition = serde_saphyr::from_str(text).expect("a file of this project is a definition");
        let version = definition.spec.versions.into_iter().next().expect("a definition has a version");
        Self { resource, schema: version.schema.schema, has_rules: text.contains("x-kubernetes-validations:") }
    }
}

/// What an object breaks of its kind's definition, in the server's words. Kinds without one are not judged.
/// `before`: what stood there.
pub(super) fn violations(resource: &Resource, object: &Value, before: Option<&Value>) -> Vec<String> {
    let Some(defined) = DEFINED.iter().find(|defined| *defined.resource == *resource) else { return Vec::new() };
    let mut found = Violations::default();
    defined.schema.judge("", object, &mut found);
    let unchecked = defined.has_rules && found.0.iter().any(|violation| violation.blocks_rules);
    let mut texts: Vec<String> = found.0.into_iter().map(|violation| violation.text).collect();
    if unchecked {
        texts.push(RULES_UNCHECKED.to_owned());
    } else {
        defined.schema.ask_rules("", object, before, &mut texts);
    }
    texts
}

/// Drops the keys that its kind's definition does not know, without a word, and puts in what it gives where a key is
/// missing.
pub(super) fn bring_into_shape(resource: &Resource, object: &mut Value) {
    let Some(defined) = DEFINED.iter().find(|defined| *defined.resource == *resource) else { return };
    let Some(fields) = object.as_object_mut() else { return };
    // These three are the server's own.
    let ours = |key: &str| matches!(key, "apiVersion" | "kind" | "metadata");
    fields.retain(|key, _| ours(key) || defined.schema.keeps(key));
    for (key, value) in fields.iter_mut().filter(|(key, _)| !ours(key)) {
        defined.schema.of(key).into_iter().for_each(|schema| schema.prune(value));
    }
    defined.schema.fill_in(object);
}

impl Schema {
    /// What is said of the value of a key.
    fn of(&self, key: &str) -> Option<&Schema> {
        match (self.properties.get(key), &self.additional_properties) {
            (Some(schema), _) => Some(schema),
            (None, Some(Additional::Each(schema))) => Some(schema),
            (None, _) => None,
        }
    }

    fn keeps(&self, key: &str) -> bool {
        let any = matches!(self.additional_properties, Some(Additional::Any(true)));
        self.keeps_unknown || any || self.of(key).is_some()
    }

    fn prune(&self, value: &mut Value) {
        match value {
            Value::Object(map) => {
                map.retain(|key, _| self.keeps(key));
                for (key, value) in map {
                    self.of(key).into_iter().for_each(|schema| schema.prune(value));
                }
            }
            Value::Array(items) => {
                let schema = self.items.iter();
                schema.for_each(|schema| items.iter_mut().for_each(|item| schema.prune(item)));
            }
            _ => {}
        }
    }

    fn fill_in(&self, value: &mut Value) {
        match value {
            Value::Object(map) => {
                for (key, schema) in &self.properties {
                    if let Some(default) = schema.default.as_ref().filter(|_| !map.contains_key(key)) {
                        map.insert(key.clone(), default.clone());
                    }
                    if let Some(value) = map.get_mut(key) {
                        schema.fill_in(value);
                    }
                }
            }
            Value::Array(items) => {
                if let Some(schema) = &self.items {
                    items.iter_mut().for_each(|item| schema.fill_in(item));
                }
            }
            _ => {}
        }
    }

    fn judge(&self, path: &str, value: &Value, found: &mut Violations) {
        if value.is_null() && self.nullable {
            return;
        }
        if let Some(kind) = &self.kind
            && !is_of(kind, value)
        {
            let is = kind_of(value);
            found.block(format!("{path}: Invalid value: {is:?}: {path} in body must be of type {kind}: {is:?}"));
            return;
        }
        if !self.one_of.is_empty() && !self.one_of.contains(value) {
            let supported: Vec<String> = self.one_of.iter().map(Value::to_string).collect();
            found.block(format!("{path}: Unsupported value: {value}: supported values: {}", supported.join(", ")));
        }
        match value {
            Value::String(text) => self.judge_text(path, text, found),
            Value::Number(number) => self.judge_number(path, number, found),
            Value::Array(items) => self.judge_list(path, items, found),
            Value::Object(_) => self.judge_map(path, value, found),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn judge_text(&self, path: &str, text: &str, found: &mut Violations) {
        let length = text.chars().count();
        if let Some(most) = self.max_length.filter(|most| length > *most) {
            found.block(format!("{path}: Too long: may not be more than {most} bytes"));
        }
        if let Some(least) = self.min_length.filter(|least| length < *least) {
            let rule = format!("should be at least {least} chars long");
            found.add(format!("{path}: Invalid value: {text:?}: {path} in body {rule}"));
        }
        if let Some(pattern) = self.pattern.as_ref().filter(|pattern| !pattern.expression.is_match(text)) {
            let wanted = &pattern.text;
            found.add(format!("{path}: Invalid value: {text:?}: {path} in body should match '{wanted}'"));
        }
        if self.format.as_deref() == Some("date-time") && text.parse::<Timestamp>().is_err() {
            found.add(format!("{path}: Invalid value: {text:?}: {path} in body must be of type date-time: {text:?}"));
        }
    }

    fn judge_number(&self, path: &str, number: &Number, found: &mut Violations) {
        let value = number.as_f64().unwrap_or(f64::NAN);
        if let Some(least) = self.minimum.filter(|least| value < *least) {
            let rule = format!("should be greater than or equal to {least}");
            found.add(format!("{path}: Invalid value: {number}: {path} in body {rule}"));
        }
        if let Some(most) = self.maximum.filter(|most| value > *most) {
            let rule = format!("should be less than or equal to {most}");
            found.add(format!("{path}: Invalid value: {number}: {path} in body {rule}"));
        }
    }

    fn judge_list(&self, path: &str, items: &[Value], found: &mut Violations) {
        let count = items.len();
        if let Some(most) = self.max_items.filter(|most| count > *most) {
            found.block(format!("{path}: Too many: {count}: must have at most {most} items"));
        }
        if let Some(least) = self.min_items.filter(|least| count < *least) {
            found.add(format!("{path}: Invalid value: {count}: {path} in body should have at least {least} items"));
        }
        if let Some(schema) = &self.items {
            for (index, item) in items.iter().enumerate() {
                schema.judge(&format!("{path}[{index}]"), item, found);
            }
        }
        for (index, item) in items.iter().enumerate() {
            let key = self.key(item);
            if key.is_some() && items[..index].iter().any(|earlier| self.key(earlier) == key) {
                found.add(format!("{path}[{index}]: Duplicate value: {}", key.unwrap_or_default()));
            }
        }
    }

    /// By what an item must differ from all others of its list.
    fn key(&self, item: &Value) -> Option<Value> {
        match self.list_type.as_deref()? {
            "set" => Some(item.clone()),
            "map" => Some(self.map_keys.iter().map(|key| (key.clone(), item[key].clone())).collect()),
            _ => None,
        }
    }

    fn judge_map(&self, path: &str, value: &Value, found: &mut Violations) {
        for key in self.required.iter().filter(|key| value.get(key).is_none()) {
            found.block(format!("{}: Required value", within(path, key)));
        }
        for (key, value) in value.as_object().into_iter().flatten() {
            if let Some(schema) = self.of(key) {
                schema.judge(&within(path, key), value, found);
            }
        }
    }
}

impl Schema {
    /// What the rules forbid, those of the outermost value first.
    fn ask_rules(&self, path: &str, value: &Value, before: Option<&Value>, found: &mut Vec<String>) {
        if value.is_null() && self.nullable {
            return;
        }
        found.extend(self.rules.iter().filter_map(|rule| rule.forbids(path, value, before)));
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    let (schema, before) = (self.of(key).into_iter(), before.and_then(|before| before.get(key)));
                    schema.for_each(|schema| schema.ask_rules(&within(path, key), value, before, found));
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    // Which item was which before is not known of a list.
                    let schema = self.items.iter();
                    schema.for_each(|schema| schema.ask_rules(&format!("{path}[{index}]"), item, None, found));
                }
            }
            _ => {}
        }
    }
}

/// The path of a key within a value.
fn within(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn is_of(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => true,
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_definition_can_be_read_and_judges() {
        for Defined { resource, schema, has_rules } in DEFINED.iter() {
            assert!(!schema.properties.is_empty(), "{}", resource.qualified());
            let found = violations(resource, &json!({ "spec": 7 }), None);
            assert_eq!(found.len(), 1 + usize::from(*has_rules), "{}: {found:?}", resource.qualified());
        }
    }

    #[test]
    fn a_list_that_is_a_set_holds_nothing_twice() {
        let spec = json!({ "spec": { "applicationRef": "shop", "primaryRegion": "fsn",
            "hotStandbyRegions": ["hel", "hel"], "leaseClient": { "kind": "k8s-lease" },
            "regions": [{ "name": "fsn" }, { "name": "fsn" }] } });
        assert_eq!(
            violations(&CONTINUUMS, &spec, None),
            [
                r#"spec.hotStandbyRegions[1]: Duplicate value: "hel""#,
                r#"spec.regions[1]: Duplicate value: {"name":"fsn"}"#
            ]
        );
    }
}
