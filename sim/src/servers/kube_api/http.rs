//! The API server on the network: HTTP/1.1 without TLS, every request through the gate.
//!
//! A request that was received is carried out whether or not its client still waits, as long as the host
//! runs. It ends early only where it says so itself (`?timeout=`).

use super::patch;
use super::registry::{Preconditions, Target};
use super::request::{PAGE_NOT_FOUND, Request, Verb};
use super::select::Selector;
use super::watch::watch;
use super::{PODS, Refusal, Resource, Right, SELF_SUBJECT_ACCESS_REVIEWS, Store};
use crate::fabric::Net;
use crate::gate::{After, Asked, Before, SharedGate};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER, USER_AGENT};
use http::{Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::oneshot;

/// Where it listens.
pub const PORT: u16 = 80;

/// In the user agent of what belongs to a dry run.
const DRY_RUN: &str = "continuum-dry-run";

/// After how long a client that was told 429 may come again, s.
const RETRY_AFTER_S: u64 = 1;

/// What no request is carried out in less than.
const TAKES: Duration = Duration::from_micros(1);

type Answer = Response<BoxBody<Bytes, Infallible>>;

struct Server {
    net: Net,
    name: String,
    store: Store,
    gate: SharedGate,
    /// What was answered last for each object that was asked for, by its path.
    rendered: Mutex<BTreeMap<Path, (Arc<Value>, Bytes)>>,
}

/// Plural of the kind, namespace, name.
type Path = (&'static str, String, String);

/// One request, with what the gate is told of it.
struct Received {
    request: Request,
    headers: HeaderMap,
    body: Bytes,
    asked: Asked,
}

/// The software of an API server's host.
pub async fn serve(net: Net, server_name: String, store: Store, gate: SharedGate) {
    let listener = net.listen(PORT).await.expect("the port of a fresh host is free");
    store.begin();
    let server = Arc::new(Server { net: net.clone(), name: server_name, store, gate, rendered: Mutex::default() });
    loop {
        // An accept fails where its client is gone already.
        let Ok((stream, from)) = listener.accept().await else { continue };
        let from = net.reverse_lookup(from.ip()).unwrap_or_else(|| from.ip().to_string());
        let server = server.clone();
        net.spawn(Box::pin(async move {
            let service = service_fn(|request| {
                let (server, from) = (server.clone(), from.clone());
                async move { Ok::<_, Infallible>(server.answer(from, request).await) }
            });
            let http = hyper::server::conn::http1::Builder::new().timer(TokioTimer::new()).clone();
            // A connection that breaks is its client's affair.
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
        }));
    }
}

impl Server {
    async fn answer(self: Arc<Self>, from: String, request: http::Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        match head.uri.path() {
            "/version" => return json_answer(200, &version()),
            "/healthz" | "/livez" | "/readyz" => return text_answer(200, "ok"),
            _ => {}
        }
        let Ok(body) = body.collect().await else {
            return refuse(&Refusal::bad_request("the body of the request broke off"));
        };
        let request = Request::parse(&head.method, head.uri.path(), head.uri.query().unwrap_or_default());
        let request = match request {
            Ok(request) => request,
            Err(refusal) if refusal.message == PAGE_NOT_FOUND => return text_answer(404, PAGE_NOT_FOUND),
            Err(refusal) => return refuse(&refusal),
        };
        let body = body.to_bytes();
        let asked = self.asked(from, &request, &head.headers, &body);
        let received = Received { request, headers: head.headers, body, asked };
        let (done, answer) = oneshot::channel();
        let server = self.clone();
        self.net.spawn(Box::pin(async move {
            if let Some(answer) = server.carry_out(received).await {
                // Its client may be gone; what it asked for is done.
                let _ = done.send(answer);
            }
        }));
        match answer.await {
            Ok(answer) => answer,
            Err(_) => pending().await,
        }
    }

    fn asked(&self, from: String, request: &Request, headers: &HeaderMap, body: &[u8]) -> Asked {
        let name = match request.verb {
            Verb::Create => created_name(body),
            _ => request.name.clone(),
        };
        let plural = request.resource.plural;
        let reads = matches!(request.verb, Verb::Get | Verb::List | Verb::Watch);
        Asked {
            server: self.name.clone(),
            from,
            verb: request.verb.name().to_string(),
            what: if name.is_empty() { plural.to_string() } else { format!("{plural}/{name}") },
            subresource: request.subresource.clone(),
            changing: !reads && !request.is_dry_run() && request.resource != &SELF_SUBJECT_ACCESS_REVIEWS,
            trial: !reads && request.is_dry_run(),
            dry_run: user_agent(headers).contains(DRY_RUN),
            body: String::from_utf8_lossy(body).into_owned(),
        }
    }

    /// Through the gate and into the store. `None`: it is never answered.
    async fn carry_out(&self, received: Received) -> Option<Answer> {
        let limit = match received.request.limit() {
            Ok(limit) => limit.unwrap_or(Duration::MAX),
            Err(refusal) => return Some(refuse(&refusal)),
        };
        let delay = match self.gate.before(&received.asked) {
            Before::Apply => TAKES,
            Before::Delay(delay) => delay,
            Before::Answer(code) => {
                let Request { resource, name, .. } = &received.request;
                return Some(refuse(&Refusal::of_code(code, resource, name)));
            }
            Before::Hang => return None,
        };
        if delay > limit {
            tokio::time::sleep(limit).await;
            return Some(refuse(&Refusal::timeout()));
        }
        if delay > TAKES {
            tokio::time::sleep(delay).await;
        }
        let answer = match self.pass_webhooks(&received.request, limit.saturating_sub(delay)).await {
            None => refuse(&Refusal::allotted_time_over()),
            Some(Err(refusal)) => refuse(&refusal),
            Some(Ok(())) => self.apply(&received).unwrap_or_else(|refusal| refuse(&refusal)),
        };
        match self.gate.after(&received.asked, answer.status().as_u16()) {
            After::Send => {}
            After::Lose => return None,
            After::Delay(delay) => tokio::time::sleep(delay).await,
            After::Answer(code) => {
                let Request { resource, name, .. } = &received.request;
                return Some(refuse(&Refusal::of_code(code, resource, name)));
            }
        }
        Some(answer)
    }

    /// `None`: the request's own limit was over.
    async fn pass_webhooks(&self, request: &Request, limit: Duration) -> Option<Result<(), Refusal>> {
        let writes = matches!(request.verb, Verb::Create | Verb::Update | Verb::Patch);
        if !writes || !request.subresource.is_empty() {
            return Some(Ok(()));
        }
        for webhook in self.store.webhooks(request.resource) {
            match webhook.ask(&self.net, limit).await {
                Some(Ok(())) => {}
                other => return other,
            }
        }
        Some(Ok(()))
    }

    fn apply(&self, received: &Received) -> Result<Answer, Refusal> {
        let Received { request, headers, body, asked } = received;
        if request.resource == &SELF_SUBJECT_ACCESS_REVIEWS {
            return Ok(json_answer(201, &self.review(parse(body)?)));
        }
        self.authorize(request)?;
        let by = format!("{}@{}", writer(request, headers), asked.from);
        let namespace = request.namespace.as_deref().unwrap_or_default();
        let dry_run = request.is_dry_run();
        let target = Target { resource: request.resource, namespace, name: &request.name, by: &by, dry_run };
        let value = match request.verb {
            Verb::Get => {
                let object = self.store.get(request.resource, namespace, &request.name);
                let object = object.ok_or_else(|| Refusal::not_found(request.resource, &request.name))?;
                let path = (request.resource.plural, namespace.to_owned(), request.name.clone());
                let body = Full::new(self.render(path, object));
                return Ok(answer(200, "application/json", body.boxed()));
            }
            Verb::List => self.list(request)?.into(),
            Verb::Watch => {
                let events = watch(self.store.clone(), request, selector(request)?)?;
                return Ok(answer(200, "application/json", BodyExt::boxed(StreamBody::new(events))));
            }
            Verb::Create => {
                check_type(headers, "application/json")?;
                let created = self.store.create_in(target, parse(body)?)?;
                return Ok(json_answer(201, &created));
            }
            Verb::Update => {
                check_type(headers, "application/json")?;
                let (created, object) = self.store.replace(target, &request.subresource, parse(body)?)?;
                return Ok(json_answer(if created { 201 } else { 200 }, &object));
            }
            Verb::Patch => {
                check_type(headers, "application/merge-patch+json")?;
                let change = parse(body)?;
                if !change.is_object() {
                    return Err(Refusal::bad_request("the patch is not an object"));
                }
                self.store.update(target, &request.subresource, |object| {
                    patch::merge(object, &change);
                    Ok(())
                })?
            }
            Verb::Delete => {
                let mut only = preconditions(body)?;
                only.grace = request.number("gracePeriodSeconds")?.or(only.grace);
                let object = self.store.delete_if(target, &only)?;
                // Of a pod the object is given, whether it is gone or not.
                if object["metadata"].get("finalizers").is_some() || request.resource == &PODS {
                    return Ok(json_answer(200, &object));
                }
                json!({
                    "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                    "details": {
                        "name": request.name, "group": request.resource.group,
                        "kind": request.resource.plural, "uid": object["metadata"]["uid"],
                    },
                })
                .into()
            }
        };
        Ok(json_answer(200, &value))
    }

    /// Objects are asked for far more often than they change.
    fn render(&self, path: Path, object: Arc<Value>) -> Bytes {
        let mut rendered = self.rendered.lock().expect("nothing panics while it holds what was answered");
        match rendered.get(&path).filter(|(known, _)| Arc::ptr_eq(known, &object)) {
            Some((_, bytes)) => bytes.clone(),
            None => {
                let bytes = Bytes::from(object.to_string());
                rendered.insert(path, (object, bytes.clone()));
                bytes
            }
        }
    }

    fn authorize(&self, request: &Request) -> Result<(), Refusal> {
        let resource = request.resource;
        let right = Right {
            verb: request.verb.name().into(),
            group: resource.group.into(),
            resource: resource.plural.into(),
            subresource: request.subresource.clone(),
        };
        match self.store.denies(&right) {
            true => Err(Refusal::forbidden(resource, &request.name, &right, request.namespace.as_deref())),
            false => Ok(()),
        }
    }

    fn review(&self, mut review: Value) -> Value {
        let attributes = &review["spec"]["resourceAttributes"];
        let field = |name: &str| attributes[name].as_str().unwrap_or_default().to_string();
        let right = Right {
            verb: field("verb"),
            group: field("group"),
            resource: field("resource"),
            subresource: field("subresource"),
        };
        review["apiVersion"] = SELF_SUBJECT_ACCESS_REVIEWS.api_version().into();
        if review["metadata"].is_null() {
            review["metadata"] = json!({});
        }
        review["kind"] = SELF_SUBJECT_ACCESS_REVIEWS.kind.into();
        review["status"] = json!({ "allowed": !self.store.denies(&right) });
        review
    }

    fn list(&self, request: &Request) -> Result<Value, Refusal> {
        // The newest is new enough for whatever version is asked for.
        request.number("resourceVersion")?;
        let (namespace, selector) = (request.namespace.as_deref(), selector(request)?);
        // `<version>/<first>`: all pages show the moment of the first.
        let (version, objects, begin) = match request.parameter("continue").split_once('/') {
            None => {
                let (version, objects) = self.store.select(request.resource, namespace, &selector);
                (version, objects, 0)
            }
            Some((version, first)) => {
                let number = |text: &str| text.parse().map_err(|_| Refusal::bad_request("continue key is not valid"));
                let version = number(version)?;
                let objects = self.store.select_at(version, request.resource, namespace, &selector)?;
                let begin = objects.len().min(number(first)? as usize);
                (version, objects, begin)
            }
        };
        let limit = request.number("limit")?.filter(|limit| *limit > 0).map_or(usize::MAX, |limit| limit as usize);
        let end = objects.len().min(begin.saturating_add(limit));
        let mut list = json!({
            "kind": format!("{}List", request.resource.kind),
            "apiVersion": request.resource.api_version(),
            "metadata": { "resourceVersion": version.to_string() },
            "items": objects[begin..end].iter().map(|object| listed(request.resource, object)).collect::<Vec<_>>(),
        });
        if end < objects.len() {
            list["metadata"]["continue"] = format!("{version}/{end}").into();
            list["metadata"]["remainingItemCount"] = (objects.len() - end).into();
        }
        Ok(list)
    }
}

/// An object as a list shows it: one of a built-in kind leaves it to the list to say what it is.
fn listed(resource: &Resource, object: &Value) -> Value {
    let mut object = object.clone();
    if !resource.status_subresource {
        let fields = object.as_object_mut().expect("what is stored is an object");
        fields.retain(|name, _| name != "apiVersion" && name != "kind");
    }
    object
}

fn selector(request: &Request) -> Result<Selector, Refusal> {
    Selector::parse(request.parameter("labelSelector"), request.parameter("fieldSelector"))
}

fn preconditions(body: &[u8]) -> Result<Preconditions, Refusal> {
    if body.is_empty() {
        return Ok(Preconditions::default());
    }
    let options: Value = parse(body)?;
    let field = |name: &str| options["preconditions"][name].as_str().map(str::to_string);
    let grace = options["gracePeriodSeconds"].as_u64();
    Ok(Preconditions { uid: field("uid"), version: field("resourceVersion"), grace })
}

fn check_type(headers: &HeaderMap, accepted: &str) -> Result<(), Refusal> {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or(accepted);
    if given.split(';').next().map(str::trim) == Some(accepted) {
        return Ok(());
    }
    let message =
        format!("the body of the request was in an unknown format - accepted media types include: {accepted}");
    Err(Refusal::new(415, "UnsupportedMediaType", message))
}

fn parse(body: &[u8]) -> Result<Value, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::bad_request(format!("unable to read the body: {error}")))
}

fn created_name(body: &[u8]) -> String {
    let object: Value = serde_json::from_slice(body).unwrap_or_default();
    object["metadata"]["name"].as_str().unwrap_or_default().to_string()
}

fn user_agent(headers: &HeaderMap) -> &str {
    headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The field manager, or the front of the user agent.
fn writer<'a>(request: &'a Request, headers: &'a HeaderMap) -> &'a str {
    match request.parameter("fieldManager") {
        "" => user_agent(headers).split('/').next().unwrap_or_default(),
        manager => manager,
    }
}

fn version() -> Value {
    json!({ "major": "1", "minor": "37", "gitVersion": "v1.37.2", "platform": "linux/amd64" })
}

fn refuse(refusal: &Refusal) -> Answer {
    let mut answer = json_answer(refusal.code, &refusal.status());
    if refusal.code == 429 {
        answer.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_S.into());
    }
    answer
}

fn json_answer(code: u16, value: &Value) -> Answer {
    answer(code, "application/json", Full::new(Bytes::from(value.to_string())).boxed())
}

fn text_answer(code: u16, text: &'static str) -> Answer {
    answer(code, "text/plain", Full::new(Bytes::from(text)).boxed())
}

fn answer(code: u16, kind: &'static str, body: BoxBody<Bytes, Infallible>) -> Answer {
    let mut answer = Response::new(body);
    // A code that HTTP does not know comes from a fault's description.
    *answer.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(kind));
    answer
}
