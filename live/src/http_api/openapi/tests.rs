use super::*;
use axum::http::Method;
use boon::{Compiler, SchemaIndex, Schemas};
use continuum_core::report;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Where the document stands for the library.
const HERE: &str = "https://example.org/openapi.json";
/// The committed document.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");

/// What is wrong with `value` as the document's schema at this pointer says.
fn mistakes(document: &Value, pointer: &str, value: &Value) -> Option<String> {
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.enable_format_assertions();
    compiler.add_resource(HERE, document.clone()).unwrap();
    let schema: SchemaIndex = compiler.compile(&format!("{HERE}#{pointer}"), &mut schemas).unwrap();
    schemas.validate(value, schema).err().map(|error| error.to_string())
}

/// A pointer's part.
fn escaped(part: &str) -> String {
    part.replace('~', "~0").replace('/', "~1")
}

/// The documented path that this one is.
fn documented(path: &str) -> Option<String> {
    let path = path.split('?').next().unwrap_or_default();
    let segments: Vec<&str> = path.split('/').collect();
    let template = match segments[..] {
        ["", "v1", "continuums", _, _, ref rest @ ..] => format!("{CONTINUUM}/{}", rest.join("/")),
        _ => path.to_owned(),
    };
    document()["paths"].get(&template).is_some().then_some(template)
}

/// Holds what was answered to the document, wherever it knows the path and the verb.
pub(in crate::http_api) fn check(verb: &str, path: &str, status: u16, kind: Option<&str>, body: &str) {
    let document = document();
    let Some(template) = documented(path) else { return };
    let verb = verb.to_ascii_lowercase();
    let Some(operation) = document["paths"][&template].get(&verb) else {
        let allowed = ["head", "options"].contains(&verb.as_str()) || status == 405 || status == 401 || status == 400;
        assert!(allowed, "{verb} {path}: {status}, and the document knows no such verb");
        return;
    };
    let response = &operation["responses"][status.to_string()];
    assert!(response.is_object(), "{verb} {path}: the document knows no answer {status}: {body}");
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default();
    assert!(response["content"].get(kind).is_some(), "{verb} {path}: {status} is not answered as {kind}");
    let value = serde_json::from_str(body).unwrap_or_else(|_| Value::from(body));
    let (template, kind) = (escaped(&template), escaped(kind));
    let pointer = format!("/paths/{template}/{verb}/responses/{status}/content/{kind}/schema");
    assert_eq!(mistakes(&document, &pointer, &value), None, "{verb} {path}: {body}");
}

#[test]
fn the_committed_document_is_the_one_that_is_served() {
    if std::env::var_os("CONTINUUM_WRITE_OPENAPI").is_some() {
        std::fs::write(Path::new(FILE), TEXT.as_str()).unwrap();
    }
    assert!(
        std::fs::read_to_string(FILE).unwrap_or_default() == *TEXT,
        "{FILE} is not what the types make; write it anew with CONTINUUM_WRITE_OPENAPI=1 and look at the difference"
    );
    let answer = super::super::tests::owner("GET", "/openapi.json", "");
    assert_eq!((answer.status, answer.body.as_str()), (200, TEXT.as_str()));
    assert_eq!(super::super::tests::ask("GET", "/openapi.json", &[], "").status, 401);
}

/// The router is asked for every documented path by every verb.
#[test]
fn the_routes_are_those_of_the_document() {
    assert_eq!(CALLS.map(|call| call.path), super::super::CALLS);
    for (template, verbs) in document()["paths"].as_object().unwrap() {
        let path = template.replace("{namespace}", "shop").replace("{name}", "shop");
        let documented: BTreeSet<String> = verbs.as_object().unwrap().keys().cloned().collect();
        let mut routed = BTreeSet::new();
        for verb in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            let answer = super::super::tests::owner(verb.as_str(), &path, "");
            assert_ne!(answer.status, 404, "{verb} {path}");
            if answer.status != 405 {
                routed.insert(verb.as_str().to_ascii_lowercase());
            }
        }
        assert_eq!(routed, documented, "{path}");
    }
}

/// The same schema, to which a field that it does not name is a mistake, and which wants every field that is named so.
fn strict(name: &str) -> Value {
    let mut document = document();
    for schema in document["components"]["schemas"].as_object_mut().unwrap().values_mut() {
        if schema["properties"].is_object() {
            schema["additionalProperties"] = false.into();
        }
    }
    assert!(document["components"]["schemas"][name].is_object(), "there is no schema {name}");
    document
}

/// Holds a shape to core's report: in full, and with nothing but what is required.
fn hold<T: serde::Serialize + serde::de::DeserializeOwned>(name: &str, full: &Value) {
    let document = strict(name);
    let pointer = format!("{SCHEMAS}/{name}");
    // What core makes of it is all of it: the report has no field that the schema lacks, and the other way round.
    let report: T = serde_json::from_value(full.clone()).unwrap();
    let written = serde_json::to_value(&report).unwrap();
    assert_eq!(mistakes(&document, &pointer, &written), None, "{written:#}");
    let schema = &document["components"]["schemas"][name];
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<String>>();
    assert_eq!(keys(&schema["properties"]), keys(&written), "{name}");
    for required in schema["required"].as_array().unwrap() {
        let mut less = full.clone();
        less.as_object_mut().unwrap().remove(required.as_str().unwrap());
        assert!(serde_json::from_value::<T>(less).is_err(), "{name}: core does without {required}");
    }
    let required: BTreeSet<String> =
        schema["required"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect();
    let least: BTreeMap<&String, &Value> =
        full.as_object().unwrap().iter().filter(|(name, _)| required.contains(*name)).collect();
    let least: T = serde_json::from_value(json!(least)).unwrap();
    assert_eq!(keys(&serde_json::to_value(&least).unwrap()), required, "{name}: what is not required may be absent");
}

#[test]
fn the_shapes_are_those_of_cores_reports() {
    let at = "2026-11-20T10:00:00Z";
    let step = json!({ "step": 1, "name": "validate-lease", "preconditionsMet": true, "estimatedDurationSeconds": 1, "notes": ["a"] });
    hold::<report::DryRunStep>("DryRunStep", &step);
    hold::<report::DryRunReport>(
        "DryRunReport",
        &json!({
            "planFingerprint": "0123456789abcdef", "steps": vec![step; 7], "warnings": ["w"], "blockers": ["b"],
            "estimatedDurationSeconds": 24, "estimatedWriteDisruptionSeconds": 14, "generatedAt": at,
        }),
    );
    hold::<report::ExecuteReport>(
        "ExecuteReport",
        &json!({
            "id": "shop/shop/1.1", "result": "undone", "planFingerprint": "0123456789abcdef", "from": "fsn", "to": "hel",
            "completedSteps": [1, 2], "failedAtStep": 3, "error": "step-3 (drain-http): no", "rolledBack": [2, 1],
            "startedAt": at, "finishedAt": at, "writeGapSeconds": 1.5, "tookSeconds": 21.5, "rtoMissedBySeconds": 0.5,
            "eventsOwed": 1,
        }),
    );
    let check = json!({ "name": "dns-probes", "passed": false, "detail": "deferred", "deferred": true });
    hold::<report::HealthCheck>("HealthCheck", &check);
    hold::<report::HealthReport>(
        "HealthReport",
        &json!({
            "newPrimaryRegion": "hel", "checks": vec![check; 4], "overallHealthy": true, "generatedAt": at,
        }),
    );
}

#[test]
fn every_result_of_a_switchover_is_in_its_schema() {
    use report::ExecuteResult::{AlreadyThere, Declined, Refused, Succeeded, Undoing, Undone, Unknown};
    let results = [Succeeded, Undone, Undoing, Declined, Refused, AlreadyThere, Unknown];
    assert_eq!(document()["components"]["schemas"]["ExecuteResult"]["enum"], json!(results));
}

#[test]
fn bodies_are_described_as_they_are_read() {
    let document = document();
    for (schema, body, fits) in [
        ("DryRunRequest", json!({ "toRegion": "hel" }), true),
        ("DryRunRequest", json!({ "targetRegion": "hel", "reason": "drill", "colour": "red" }), true),
        ("DryRunRequest", json!({ "reason": "drill" }), false),
        ("SwitchoverRequest", json!({ "toRegion": "hel", "confirmedFingerprint": "0123456789abcdef" }), true),
        ("SwitchoverRequest", json!({ "toRegion": 7 }), false),
        ("FailbackRequest", json!({}), true),
        ("About", json!({ "id": "1", "approvedBy": "jane" }), true),
        ("About", json!({ "approvedBy": "jane" }), false),
    ] {
        let found = mistakes(&document, &format!("{SCHEMAS}/{schema}"), &body);
        assert_eq!(found.is_none(), fits, "{schema} {body}: {found:?}");
    }
}

#[test]
fn an_answer_that_is_not_documented_is_noticed() {
    let noticed = |verb: &str, path: &str, status: u16, body: &str| {
        let (verb, path, body) = (verb.to_owned(), path.to_owned(), body.to_owned());
        std::panic::catch_unwind(move || check(&verb, &path, status, Some("application/json"), &body)).is_err()
    };
    const STATUS: &str = "/v1/continuums/shop/shop/status";
    assert!(!noticed("GET", STATUS, 200, r#"{"phase":"Healthy"}"#));
    assert!(noticed("GET", STATUS, 200, r#"{"phase":7}"#));
    assert!(noticed("GET", STATUS, 418, r#"{"error":"no"}"#));
    assert!(noticed("GET", STATUS, 500, r#"{"cause":"no"}"#));
    assert!(noticed("PUT", STATUS, 200, "{}"));
}
