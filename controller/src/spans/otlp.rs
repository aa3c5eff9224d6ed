//! OTLP over HTTP in its JSON form: what is sent, and what its answer means. Pure.
//! <https://opentelemetry.io/docs/specs/otlp/#otlphttp>

use super::{Fact, Span, SpanResult};
use continuum_core::name::Region;
use continuum_live::http_client::HttpAnswer;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Behind the path of the endpoint.
pub(crate) const PATH: &str = "/v1/traces";
/// Of what is sent.
pub(crate) const CONTENT_TYPE: &str = "application/json";

/// Numbers that the protocol gives to its words.
const KIND_INTERNAL: u8 = 1;
const STATUS_OK: u8 = 1;
const STATUS_ERROR: u8 = 2;
/// Answers after which the same may be sent again.
const AGAIN: [u16; 4] = [429, 502, 503, 504];

/// Whose spans they are.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub service: String,
    pub region: Region,
}

/// What an answer says of the spans.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// All but so many.
    Yes { refused: u64 },
    /// Not now.
    Later(u16),
    /// And not later either.
    Never(u16),
}

/// The body of a request.
pub(crate) fn body(source: &Source, spans: &[Span]) -> Vec<u8> {
    let resource = [
        ("service.name", Fact::Text(source.service.clone())),
        ("service.version", env!("CARGO_PKG_VERSION").into()),
        ("continuum.region", source.region.as_str().into()),
    ];
    let request = json!({ "resourceSpans": [{
        "resource": { "attributes": attributes(&resource) },
        "scopeSpans": [{
            "scope": { "name": "continuum", "version": env!("CARGO_PKG_VERSION") },
            "spans": spans.iter().map(span).collect::<Vec<_>>(),
        }],
    }] });
    request.to_string().into_bytes()
}

fn span(span: &Span) -> Value {
    let status = match &span.result {
        SpanResult::Open => json!({}),
        SpanResult::Well => json!({ "code": STATUS_OK }),
        SpanResult::Wrong(why) => json!({ "code": STATUS_ERROR, "message": why }),
    };
    let mut written = json!({
        "traceId": span.trace,
        "spanId": span.id,
        "name": span.name,
        "kind": KIND_INTERNAL,
        "startTimeUnixNano": nanoseconds(span.began),
        "endTimeUnixNano": nanoseconds(span.ended),
        "attributes": attributes(&span.facts),
        "status": status,
    });
    if let Some(parent) = &span.parent {
        written["parentSpanId"] = json!(parent);
    }
    written
}

/// 64-bit numbers are texts in JSON.
fn nanoseconds(at: Timestamp) -> String {
    at.as_nanosecond().max(0).to_string()
}

fn attributes(facts: &[(&'static str, Fact)]) -> Vec<Value> {
    let value = |fact: &Fact| match fact {
        Fact::Text(text) => json!({ "stringValue": text }),
        Fact::Number(number) => json!({ "intValue": number.to_string() }),
        Fact::Is(is) => json!({ "boolValue": is }),
    };
    facts.iter().map(|(key, fact)| json!({ "key": key, "value": value(fact) })).collect()
}

/// Nothing of an answer's text is told: it may hold what was sent, credentials among it.
pub(crate) fn taken(answer: &HttpAnswer) -> Taken {
    match answer.status {
        200..=299 => {
            let told: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            // A text, as 64-bit numbers are, or a number.
            let count = &told["partialSuccess"]["rejectedSpans"];
            Taken::Yes { refused: count.as_u64().or_else(|| count.as_str()?.parse().ok()).unwrap_or_default() }
        }
        status if AGAIN.contains(&status) => Taken::Later(status),
        status => Taken::Never(status),
    }
}
