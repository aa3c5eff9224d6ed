//! An API server of a few objects, for the tests of this module: what it was asked is kept, but for what is watched.

use async_trait::async_trait;
use continuum_core::clock::{Clock, Monotonic};
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use k8s_openapi::ByteString;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tower::BoxError;

/// A clock that is set by hand.
#[derive(Default)]
pub struct Hand(Mutex<Duration>);

impl Hand {
    pub fn advance(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }
}

#[async_trait]
impl Clock for Hand {
    fn now(&self) -> Monotonic {
        Monotonic(*self.0.lock().unwrap())
    }
    fn wall(&self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH
    }
    async fn sleep(&self, _: Duration) {}
}

#[derive(Clone, Default)]
pub struct Server(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// By path; a list by that of its kind.
    objects: BTreeMap<String, Value>,
    asked: Vec<String>,
}

impl Server {
    pub fn put(&self, path: &str, object: Value) {
        self.0.lock().unwrap().objects.insert(path.to_owned(), object);
    }

    pub fn put_secret(&self, name: &str, data: &[(&str, &str)]) {
        let data: BTreeMap<&str, ByteString> =
            data.iter().map(|(key, value)| (*key, ByteString(value.as_bytes().to_vec()))).collect();
        let metadata = json!({ "namespace": "shop", "name": name });
        self.put(&format!("/api/v1/namespaces/shop/secrets/{name}"), json!({ "metadata": metadata, "data": data }));
    }

    /// What was asked since this was called last, by the last part of its path.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().asked)
    }

    pub fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let (code, body) = server.answer(&request);
            async move { Response::builder().status(code).body(body) }
        });
        Client::new(service, "shop")
    }

    fn answer(&self, request: &Request<Body>) -> (u16, UnsyncBoxBody<Bytes, BoxError>) {
        let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
        if query.contains("watch=true") {
            let silent = futures_util::stream::pending::<Result<Frame<Bytes>, BoxError>>();
            return (200, StreamBody::new(silent).boxed_unsync());
        }
        let mut state = self.0.lock().unwrap();
        // Only who watches asks for all namespaces.
        let is_watched = !path.contains("/namespaces/");
        if !is_watched {
            state.asked.push(path.rsplit('/').next().unwrap_or_default().to_owned());
        }
        let empty = json!({ "kind": "List", "apiVersion": "v1", "metadata": { "resourceVersion": "7" }, "items": [] });
        let missing =
            json!({ "kind": "Status", "status": "Failure", "reason": "NotFound", "message": "", "code": 404 });
        let (code, object) = match state.objects.get(path) {
            Some(object) => (200, object.clone()),
            None if is_watched => (200, empty),
            None => (404, missing),
        };
        (code, Full::from(object.to_string()).map_err(BoxError::from).boxed_unsync())
    }
}
