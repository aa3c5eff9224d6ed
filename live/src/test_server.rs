//! An API server of canned answers, for the tests of this crate: what was sent is kept, what comes back is
//! scripted. How the adapters behave against a server with rules of its own is tested elsewhere.

use crate::kube_api::{Access, KubeApi, Regions, regions};
use continuum_core::name::Region;
use http_body_util::{BodyExt, Full};
use kube::client::Body;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

/// A request that came in.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    /// `PATCH /apis/...`.
    pub line: String,
    /// Body; null where there is none.
    pub body: Value,
}

/// What was sent, oldest first.
pub type Log = Arc<Mutex<Vec<Sent>>>;

/// An API server of region `hel` that gives these answers in turn, and what it was sent.
pub fn server(answers: impl IntoIterator<Item = (u16, Value)>) -> (KubeApi, Log) {
    let log = Log::default();
    let answers: Arc<Mutex<VecDeque<(u16, Value)>>> = Arc::new(Mutex::new(answers.into_iter().collect()));
    let kept = log.clone();
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let (kept, answers) = (kept.clone(), answers.clone());
        async move {
            let line = format!("{} {}", request.method(), request.uri());
            let body = request.into_body().collect().await?.to_bytes();
            let body = serde_json::from_slice(&body).unwrap_or_default();
            kept.lock().unwrap().push(Sent { line, body });
            let (code, answer) = answers.lock().unwrap().pop_front().expect("one answer for each request");
            let text = match answer {
                Value::String(text) => text,
                json => json.to_string(),
            };
            let answer = http::Response::builder().status(code).body(Full::new(bytes::Bytes::from(text)));
            Ok::<_, tower::BoxError>(answer?)
        }
    });
    (KubeApi::new(Access::new(kube::Client::new(service, "default")), "hel"), log)
}

/// The same, as the only region.
pub fn region(answers: impl IntoIterator<Item = (u16, Value)>) -> (Regions, Log) {
    let (api, log) = server(answers);
    (regions([(Region::new("hel"), api)]), log)
}

/// An error as an API server writes it.
pub fn status(code: u16, reason: &str, message: &str) -> (u16, Value) {
    let body = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message });
    (code, body)
}
