//! The OpenAPI document of the API, from one table of calls and the types that are read and written. A test puts every
//! answer of the other tests to it.

mod failure;
#[cfg(test)]
pub(super) mod tests;

use super::orders::{About, Accepted, FailbackRequest, SwitchoverRequest};
use super::{DryRunRequest, Problem};
use crate::report_shapes as shapes;
use crate::resource::ContinuumStatus;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

/// Where schemas stand in the document.
const SCHEMAS: &str = "/components/schemas";
/// What is answered where something failed.
const FAILED: &str = "Problem";
/// In the path of every call about a Continuum, before its own.
const CONTINUUM: &str = "/v1/continuums/{namespace}/{name}";

/// A call.
struct Call {
    verb: &'static str,
    /// Behind [`CONTINUUM`], or from the root.
    path: &'static str,
    about: &'static str,
    /// Schema of the body; absent: there is none.
    body: Option<&'static str>,
    /// What is answered where it is well: status, schema, meaning.
    answers: &'static [(u16, &'static str, &'static str)],
    /// Statuses of its own with which it fails, beside those of every call.
    fails: &'static [u16],
}

const TAKEN: (u16, &str, &str) = (202, "Accepted", "It stands, and is named");

/// Calls about a Continuum.
const CALLS: [Call; 8] = [
    Call {
        verb: "post",
        path: "dry-run",
        about: "What a switchover would find. Changes nothing",
        body: Some("DryRunRequest"),
        answers: &[(200, "DryRunReport", "The report")],
        fails: &[408, 413],
    },
    Call {
        verb: "get",
        path: "health",
        about: "The last health report, or one that is made now: where there is none, or where the last is more than 10 s old and is not that of a check that found a switchover well",
        body: None,
        answers: &[(200, "HealthReport", "The report")],
        fails: &[],
    },
    Call {
        verb: "get",
        path: "status",
        about: "The status, as this region's copy of the resource has it",
        body: None,
        answers: &[(200, "ContinuumStatus", "The status")],
        fails: &[],
    },
    Call {
        verb: "post",
        path: "switchover",
        about: "Begins a switchover",
        body: Some("SwitchoverRequest"),
        answers: &[(200, "ExecuteReport", "The role is there already"), TAKEN],
        fails: &[408, 409, 413, 422],
    },
    Call {
        verb: "post",
        path: "failback",
        about: "Asks for the move back to the first of the standbys",
        body: Some("FailbackRequest"),
        answers: &[(200, "ExecuteReport", "The role is there already"), TAKEN],
        fails: &[408, 409, 413, 422],
    },
    Call {
        verb: "post",
        path: "failback/approve",
        about: "Approves the failback of this id",
        body: Some("About"),
        answers: &[TAKEN],
        fails: &[408, 409, 413, 422],
    },
    Call {
        verb: "post",
        path: "failback/refuse",
        about: "Refuses the failback of this id",
        body: Some("About"),
        answers: &[TAKEN],
        fails: &[408, 409, 413, 422],
    },
    Call {
        verb: "post",
        path: "abort",
        about: "Asks for the end of the switchover of this id, before its promotion",
        body: Some("About"),
        answers: &[TAKEN],
        fails: &[408, 409, 413, 422],
    },
];

/// Statuses with which every call about a Continuum may fail, and what each means.
const FAILS: [(u16, &str); 9] = [
    (400, "A name in the path is empty or no UTF-8; or the body is not this call's, or names a plan that is none"),
    (401, "Credentials are missing or wrong"),
    (404, "No such path, or no Continuum of this name is served here"),
    (408, "The body did not come within 30 s"),
    (409, "It cannot be taken as things stand: why"),
    (413, "The body is longer than 64 KiB"),
    (422, "This Idempotency-Key came with another body before"),
    (500, "The resource cannot be read or written, or the health check could not run"),
    (503, "Not answered within the limit, or not known whether it stands; with Retry-After nothing was done"),
];

/// Of those, what only some calls have.
const FAILS_OF_SOME: [u16; 4] = [408, 409, 413, 422];

/// The document, as it is served and committed.
static TEXT: LazyLock<String> = LazyLock::new(|| {
    let text = serde_json::to_string_pretty(&document()).expect("JSON can be written");
    text + "\n"
});

/// Answers the document.
pub(super) async fn serve() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], TEXT.as_str())
}

/// The document.
fn document() -> Value {
    let mut paths = Map::new();
    for call in &CALLS {
        paths.insert(format!("{CONTINUUM}/{}", call.path), json!({ call.verb: operation(call) }));
    }
    paths.insert("/healthz".into(), json!({ "get": {
        "operationId": "healthz",
        "summary": "Whether the process lives. To anybody",
        "security": [],
        "responses": { "200": { "description": "It does", "content": { "text/plain": { "schema": { "const": "ok" } } } } },
    } }));
    paths.insert(
        "/openapi.json".into(),
        json!({ "get": {
        "operationId": "openapi",
        "summary": "This document",
        "responses": {
            "200": { "description": "It", "content": { "application/json": { "schema": { "type": "object" } } } },
            "401": failure(FAILS[1].1),
        },
    } }),
    );
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Continuum",
            "summary": "The HTTP API of Continuum's controller",
            "description": "HEAD is answered wherever GET is, without a body.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache 2.0", "identifier": "Apache-2.0" },
        },
        "security": [{ "ownerTier": [], "token": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "ownerTier": {
                    "type": "apiKey", "in": "header", "name": "X-Catalyst-Owner-Tier",
                    "description": "Exactly `true`: the platform's gateway sets it where an owner asks",
                },
                "token": {
                    "type": "http", "scheme": "bearer",
                    "description": "Where the controller was given one (CONTINUUM_API_TOKEN)",
                },
            },
            "schemas": schemas(),
        },
    })
}

fn operation(call: &Call) -> Value {
    let mut responses = Map::new();
    for (status, schema, meaning) in call.answers {
        responses.insert(status.to_string(), json!({ "description": meaning, "content": content(schema) }));
    }
    for (status, meaning) in FAILS {
        if call.fails.contains(&status) || !FAILS_OF_SOME.contains(&status) {
            responses.insert(status.to_string(), failure(meaning));
        }
    }
    let named = |name: &str, about: &str| json!({ "name": name, "in": "path", "required": true, "description": about, "schema": { "type": "string", "minLength": 1 } });
    let mut parameters = vec![named("namespace", "Its namespace"), named("name", "Name of the Continuum")];
    if call.fails.contains(&StatusCode::UNPROCESSABLE_ENTITY.as_u16()) {
        parameters.push(json!({
            "name": "Idempotency-Key", "in": "header",
            "description": "One for each order: the same order, given again, is answered as before",
            "schema": { "type": "string", "pattern": "^[!-~]{1,255}$" },
        }));
    }
    let mut operation = json!({
        "operationId": call.path.replace('/', "-"),
        "summary": call.about,
        "parameters": parameters,
        "responses": responses,
    });
    if let Some(schema) = call.body {
        operation["requestBody"] = json!({ "required": true, "content": content(schema) });
    }
    operation
}

fn content(schema: &str) -> Value {
    json!({ "application/json": { "schema": reference(schema) } })
}

fn failure(meaning: &str) -> Value {
    let schema = json!({ "schema": reference(FAILED) });
    json!({
        "description": meaning,
        "content": { "application/json": schema, Problem::DETAILS: schema },
    })
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#{SCHEMAS}/{schema}") })
}

/// Every schema by its name.
fn schemas() -> Map<String, Value> {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = SCHEMAS.into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    for add in [
        add::<DryRunRequest>,
        add::<SwitchoverRequest>,
        add::<FailbackRequest>,
        add::<About>,
        add::<Accepted>,
        add::<ContinuumStatus>,
        add::<shapes::DryRunReport>,
        add::<shapes::ExecuteReport>,
        add::<shapes::HealthReport>,
        add::<failure::Problem>,
    ] {
        add(&mut generator);
    }
    generator.take_definitions(true)
}

fn add<T: JsonSchema>(generator: &mut SchemaGenerator) {
    generator.subschema_for::<T>();
}
