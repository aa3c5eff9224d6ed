//! The simulated server's definitions of the resources that others define, held to the whole ones.

use continuum_tests::definitions::{reduced, whole};
use continuum_tests::live;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::Value;
use std::collections::BTreeMap;

/// What a schema may say of a field that both of them then say alike.
const WORDS: [&str; 6] = ["type", "format", "minimum", "maximum", "enum", "default"];

/// What the reduction says and the whole schema does not, with its path.
fn unsaid(reduced: &Value, whole: &Value, path: &str) -> Vec<String> {
    let list = |schema: &Value, word: &str| schema[word].as_array().cloned().unwrap_or_default();
    let mut found: Vec<String> = WORDS
        .into_iter()
        .filter(|word| !reduced[word].is_null() && reduced[word] != whole[word])
        .map(|word| format!("{path} {word}: {}, not {}", reduced[word], whole[word]))
        .collect();
    let required = list(whole, "required");
    let only_here = list(reduced, "required").into_iter().filter(|field| !required.contains(field));
    found.extend(only_here.map(|field| format!("{path} requires {field}")));
    for (name, schema) in reduced["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        match whole["properties"].get(name) {
            Some(whole) => found.extend(unsaid(schema, whole, &path)),
            None => found.push(format!("{path} is no field")),
        }
    }
    for of_each in ["items", "additionalProperties"] {
        if reduced[of_each].is_object() {
            found.extend(unsaid(&reduced[of_each], &whole[of_each], &format!("{path}[]")));
        }
    }
    found
}

#[test]
fn whatever_the_definitions_of_the_simulated_server_say_the_whole_ones_say_too() {
    let Some(whole) = whole().expect("definitions") else {
        live::skip("whole definitions of others' resources", "run `tools/servers build`");
        return;
    };
    let value = |one: &CustomResourceDefinition| serde_json::to_value(one).expect("it came from YAML");
    let whole: BTreeMap<_, _> = whole.iter().map(|one| (one.metadata.name.clone(), value(one))).collect();
    for one in reduced().expect("definitions") {
        let (reduced, whole) = (value(&one), &whole[&one.metadata.name]);
        for named in ["/group", "/scope", "/names/kind", "/names/listKind", "/names/plural", "/versions/0/name"] {
            let named = format!("/spec{named}");
            assert_eq!(reduced.pointer(&named), whole.pointer(&named), "{:?} {named}", one.metadata.name);
        }
        let schema = |of: &Value| of["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
        assert_eq!(unsaid(&schema(&reduced), &schema(whole), ""), [""; 0], "{:?}", one.metadata.name);
    }
}
