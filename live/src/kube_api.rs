//! Requests to one Kubernetes API server, and what their answers mean for core's ports. Objects travel as
//! JSON: an adapter reads a few fields of what it is given, and sends only what it changes.
//!
//! Deliberately absent: limits on time (the caller's), retries, caches.

mod access;
mod fields;
mod object;
mod turns;
mod versions;

use access::Line;
pub use access::{Access, Barrier};
pub(crate) use fields::{BadField, Fields};
pub(crate) use object::Watched;

use crate::causes;
use crate::watches::ServerWatches;
use bytes::Bytes;
use continuum_core::name::{ByRegion, ObjectName, Region};
use continuum_core::observe::{Claim, Seen};
use continuum_core::ports::{Cas, Outcome};
use http_body_util::BodyExt;
use kube::api::{GetParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use versions::{SentAt, VersionsRead};

/// A request that was given up sooner says nothing of its server: looks that nothing waits for have a second
/// ([`continuum_core::look::BRIEF_LIMIT`]), and tasks end. Whatever else is asked has longer.
const DOUBTED_AFTER: Duration = Duration::from_millis(1500);

/// What servers written in Go answer of a path that they do not serve, in plain text; k8s.io/apiserver is one.
const NOT_SERVED: &[u8] = b"404 page not found";

/// Who owns the fields that are written.
const FIELD_MANAGER: &str = "continuum";
/// Annotation with the generation of a claim.
pub const GENERATION_ANNOTATION: &str = "dr.openova.io/generation";
/// Annotation with the intent of a claim.
pub const INTENT_ANNOTATION: &str = "dr.openova.io/intent";

/// A kind of object, as paths name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub group: &'static str,
    pub version: &'static str,
    pub plural: &'static str,
}

/// CloudNativePG's Cluster.
pub(crate) const CLUSTERS: Kind = Kind { group: "postgresql.cnpg.io", version: "v1", plural: "clusters" };
/// CloudNativePG's Backup.
pub(crate) const BACKUPS: Kind = Kind { group: "postgresql.cnpg.io", version: "v1", plural: "backups" };
/// Gateway API's HTTPRoute.
pub(crate) const ROUTES: Kind = Kind { group: "gateway.networking.k8s.io", version: "v1", plural: "httproutes" };
/// Secrets.
pub(crate) const SECRETS: Kind = Kind { group: "", version: "v1", plural: "secrets" };
/// Leases.
pub(crate) const LEASES: Kind = Kind { group: "coordination.k8s.io", version: "v1", plural: "leases" };
/// Our own resource.
pub(crate) const CONTINUUMS: Kind =
    Kind { group: crate::resource::GROUP, version: crate::resource::VERSION, plural: "continuums" };
/// Asks what one may do.
pub(crate) const ACCESS_REVIEWS: Kind =
    Kind { group: "authorization.k8s.io", version: "v1", plural: "selfsubjectaccessreviews" };

impl Kind {
    /// What to look at where a server does not have it.
    pub fn is_it_installed(&self) -> String {
        let (plural, group) = (self.plural, self.group);
        match group {
            crate::resource::GROUP => {
                format!("is {plural}.{group} installed? `continuum-controller --print-crd` gives it")
            }
            "" | "coordination.k8s.io" | "authorization.k8s.io" => {
                "every Kubernetes API server has it: does the address lead to one?".to_owned()
            }
            _ => format!("is {plural}.{group} installed?"),
        }
    }

    /// The path of this kind; an empty namespace: not namespaced.
    fn requests(&self, namespace: &str) -> kube::core::Request {
        let root = if self.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", self.group) };
        let place = if namespace.is_empty() { String::new() } else { format!("/namespaces/{namespace}") };
        kube::core::Request::new(format!("{root}/{}{place}/{}", self.version, self.plural))
    }
}

/// A request that was not answered with success: `GET clusters in hel: <cause>`.
#[derive(Debug, thiserror::Error)]
#[error("{verb} {what} in {place}")]
pub(crate) struct KubeError {
    verb: &'static str,
    what: &'static str,
    place: String,
    #[source]
    cause: Cause,
}

/// Why there was no success.
#[derive(Debug, thiserror::Error)]
enum Cause {
    /// It cannot be written down.
    #[error("not a valid request")]
    Invalid(#[source] kube::core::request::Error),
    /// No connection was opened: the server never saw it.
    #[error("no connection")]
    NoConnection(#[source] kube::Error),
    /// Nobody knows what became of it.
    #[error("no answer")]
    NoAnswer(#[source] kube::Error),
    /// The server said so. `missing`: in so many words that there is no such object.
    #[error("{code} {message}")]
    Answer { code: u16, message: String, missing: bool },
    /// A success that cannot be read.
    #[error("an answer that is no JSON")]
    Garbled(#[source] serde_json::Error),
    /// A success that is no list: what is there was not said.
    #[error("an answer without a list of items")]
    NoItems,
}

impl KubeError {
    /// What happened, with all its causes, in one line.
    pub fn text(&self) -> String {
        match causes::command_failed(self) {
            Some(words) => format!("{self}: {words}"),
            None => causes::chain(self),
        }
    }

    /// Whether the server said that there is no such object. A path that it does not serve (the kind is not
    /// installed) is not that.
    pub fn is_missing(&self) -> bool {
        matches!(self.cause, Cause::Answer { missing: true, .. })
    }

    /// The status code, where there was an answer.
    pub fn code(&self) -> Option<u16> {
        match self.cause {
            Cause::Answer { code, .. } => Some(code),
            _ => None,
        }
    }

    /// For a look.
    pub fn seen<T>(&self) -> Seen<T> {
        if self.is_missing() { Seen::Missing } else { Seen::Unknown(self.text()) }
    }

    /// For an action. Every 5xx is `Unknown`: what its body says is for people, and another look costs little.
    pub fn outcome<T>(&self) -> Outcome<T> {
        match &self.cause {
            Cause::Invalid(_) => Outcome::Refused(self.text()),
            Cause::NoConnection(_) => Outcome::NotApplied(self.text()),
            Cause::NoAnswer(_) | Cause::Garbled(_) | Cause::NoItems => Outcome::Unknown(self.text()),
            Cause::Answer { code: 409 | 429, .. } => Outcome::NotApplied(self.text()),
            Cause::Answer { code: 400..=407 | 410..=499, .. } => Outcome::Refused(self.text()),
            Cause::Answer { .. } => Outcome::Unknown(self.text()),
        }
    }

    /// For a write that was only tried (`dryRun=All`): why it would be refused. A 4xx says so, and so does the
    /// server where a webhook that must be asked did not answer (`failurePolicy: Fail`). What may pass at the next
    /// try (a conflict, too many requests) and every other 5xx is no refusal.
    pub fn admission(&self) -> Seen<Result<(), String>> {
        match &self.cause {
            Cause::Answer { code: 500, message, .. } if message.contains("failed calling webhook") => {
                Seen::Is(Err(self.text()))
            }
            _ => match self.outcome::<()>() {
                Outcome::Refused(cause) => Seen::Is(Err(cause)),
                Outcome::NotApplied(cause) | Outcome::Unknown(cause) => Seen::Unknown(cause),
                Outcome::Done(()) => unreachable!("an error is never done"),
            },
        }
    }

    /// For a compare-and-set. What was certainly not applied is `Unknown` too, unless it never will be: the
    /// caller reads before it writes again.
    pub fn cas(&self) -> Cas {
        if self.code() == Some(409) {
            return Cas::Conflict;
        }
        match self.outcome::<()>() {
            Outcome::Refused(cause) => Cas::Refused(cause),
            Outcome::NotApplied(cause) | Outcome::Unknown(cause) => Cas::Unknown(cause),
            Outcome::Done(()) => unreachable!("an error is never done"),
        }
    }
}

/// One API server.
#[derive(Clone)]
pub struct KubeApi {
    access: Access,
    /// The region or `witness`, for messages.
    place: String,
    /// Versions of what is watched as well, as they were read last.
    read: Arc<Mutex<VersionsRead>>,
    /// When a status was sent last.
    status_sent: Arc<Mutex<Option<Instant>>>,
    /// Watches of the same server, which are to hear of a request that got no answer.
    watches: Option<Arc<ServerWatches>>,
}

impl KubeApi {
    /// The API server of `place` (a region, or `witness`).
    pub fn new(access: Access, place: impl Into<String>) -> Self {
        Self { access, place: place.into(), read: Arc::default(), status_sent: Arc::default(), watches: None }
    }

    /// The same, of a server that is watched as well.
    #[must_use]
    pub fn beside(self, watches: Option<Arc<ServerWatches>>) -> Self {
        Self { watches, ..self }
    }

    /// How it is asked.
    pub(crate) fn access(&self) -> &Access {
        &self.access
    }

    /// One object.
    pub(crate) async fn get(&self, kind: &Kind, object: &ObjectName) -> Result<Value, KubeError> {
        let sent = self.versions().sent();
        let request = kind.requests(&object.namespace).get(&object.name, &GetParams::default());
        let found = self.send("GET", kind, Line::Reads, request).await;
        match &found {
            Ok(found) => self.note(kind, found, sent),
            Err(error) if error.is_missing() => self.versions().note_missing(kind, object),
            Err(_) => {}
        }
        found
    }

    /// Whether this object was read or written at a version after this one. Versions of one object grow as numbers do.
    pub(crate) fn has_read_newer(&self, kind: &Kind, object: &ObjectName, version: &str) -> bool {
        self.versions().has_newer(kind, object, version)
    }

    fn note(&self, kind: &Kind, object: &Value, sent: SentAt) {
        self.versions().note(kind, object, sent);
    }

    fn status_sent(&self) -> MutexGuard<'_, Option<Instant>> {
        self.status_sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn versions(&self) -> MutexGuard<'_, VersionsRead> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The objects of a namespace that carry a label.
    pub(crate) async fn list(
        &self,
        kind: &Kind,
        namespace: &str,
        selector: Option<&str>,
    ) -> Result<Vec<Value>, KubeError> {
        let sent = self.versions().sent();
        let params = ListParams { label_selector: selector.map(str::to_owned), ..ListParams::default() };
        let mut list = self.send("GET", kind, Line::Reads, kind.requests(namespace).list(&params)).await?;
        match list.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => {
                items.iter().for_each(|item| self.note(kind, item, sent));
                Ok(items)
            }
            _ => Err(KubeError { verb: "GET", what: kind.plural, place: self.place.clone(), cause: Cause::NoItems }),
        }
    }

    /// A JSON merge patch of an object, or of a subresource of it. With `server_limit` the server gives up
    /// after that long.
    pub(crate) async fn patch(
        &self,
        kind: &Kind,
        object: &ObjectName,
        subresource: Option<&str>,
        patch: &Value,
        server_limit: Option<Duration>,
    ) -> Result<Value, KubeError> {
        let sent = self.versions().sent();
        let patched = self.send_patch(kind, object, subresource, patch, server_limit, false).await?;
        self.note(kind, &patched, sent);
        Ok(patched)
    }

    /// The same patch, tried through the whole admission chain and thrown away (`dryRun=All`): nothing changes.
    pub(crate) async fn try_patch(&self, kind: &Kind, object: &ObjectName, patch: &Value) -> Result<Value, KubeError> {
        self.send_patch(kind, object, None, patch, None, true).await
    }

    async fn send_patch(
        &self,
        kind: &Kind,
        object: &ObjectName,
        subresource: Option<&str>,
        patch: &Value,
        server_limit: Option<Duration>,
        dry_run: bool,
    ) -> Result<Value, KubeError> {
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), dry_run, ..PatchParams::default() };
        let requests = kind.requests(&object.namespace);
        // A move waits for the other region's controller to say that it saw it.
        let of_a_move = !patch["status"]["seen"]["intent"].is_null();
        let line = match subresource == Some("status") && !of_a_move {
            true => Line::Statuses(*self.status_sent()),
            false => Line::Writes,
        };
        let patch = Patch::Merge(patch);
        let request = match subresource {
            None => requests.patch(&object.name, &params, &patch),
            Some(subresource) => requests.patch_subresource(subresource, &object.name, &params, &patch),
        };
        self.send("PATCH", kind, line, request.map(|request| with_limit(request, server_limit))).await
    }

    /// Creates an object; an empty namespace: not namespaced.
    pub(crate) async fn create(&self, kind: &Kind, namespace: &str, body: &Value) -> Result<Value, KubeError> {
        let request = kind.requests(namespace).create(&post_params(), bytes(body));
        self.send("POST", kind, Line::Writes, request).await
    }

    async fn send(
        &self,
        verb: &'static str,
        kind: &Kind,
        line: Line,
        request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<Value, KubeError> {
        let error = |cause| KubeError { verb, what: kind.plural, place: self.place.clone(), cause };
        let request = request.map_err(|source| error(Cause::Invalid(source)))?;
        let _turn = self.access.turn(line).await;
        if let Line::Statuses(_) = line {
            *self.status_sent() = Some(Instant::now());
        }
        let mut unanswered = self.watches.as_deref().map(Unanswered::new);
        let answer = self.answer(request).await;
        if let Some(unanswered) = &mut unanswered {
            unanswered.ended = Some(answer.is_ok());
        }
        let (code, body) = answer.map_err(error)?;
        if code.is_success() {
            serde_json::from_slice(&body).map_err(|source| error(Cause::Garbled(source)))
        } else {
            Err(error(answer_cause(kind, code.as_u16(), &body)))
        }
    }

    async fn answer(&self, request: http::Request<Vec<u8>>) -> Result<(http::StatusCode, Bytes), Cause> {
        let answer = self.access.client().send(request.map(kube::client::Body::from)).await.map_err(|source| {
            if is_no_connection(&source) { Cause::NoConnection(source) } else { Cause::NoAnswer(source) }
        })?;
        let code = answer.status();
        Ok((code, answer.into_body().collect().await.map_err(Cause::NoAnswer)?.to_bytes()))
    }
}

/// A request that is under way.
struct Unanswered<'a> {
    watches: &'a ServerWatches,
    told_then: [u64; 3],
    began: Instant,
    /// Whether it was answered; absent: nobody waits for that any more.
    ended: Option<bool>,
}

impl<'a> Unanswered<'a> {
    fn new(watches: &'a ServerWatches) -> Self {
        Self { watches, told_then: watches.told_so_far(), began: Instant::now(), ended: None }
    }
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        let unanswered = match self.ended {
            Some(answered) => !answered,
            None => self.began.elapsed() >= DOUBTED_AFTER,
        };
        if unanswered {
            self.watches.doubt(self.told_then, self.began);
        } else if self.ended.is_some() {
            self.watches.answered(self.began);
        }
    }
}

fn post_params() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() }
}

fn bytes(body: &Value) -> Vec<u8> {
    body.to_string().into_bytes()
}

/// Adds `timeout=` to a request whose path has a query already.
fn with_limit(request: http::Request<Vec<u8>>, limit: Option<Duration>) -> http::Request<Vec<u8>> {
    let Some(limit) = limit else { return request };
    let (mut parts, body) = request.into_parts();
    let limit = match (limit.as_secs(), limit.subsec_millis()) {
        (seconds, 0) => format!("{seconds}s"),
        _ => format!("{}ms", limit.as_millis()),
    };
    let uri = format!("{}&timeout={limit}", parts.uri);
    parts.uri = uri.parse().expect("a URI with a number more in its query is one");
    http::Request::from_parts(parts, body)
}

/// A Kubernetes `Status`, or whatever a proxy in between wrote.
fn answer_cause(kind: &Kind, code: u16, body: &[u8]) -> Cause {
    let status: Value = serde_json::from_slice(body).unwrap_or_default();
    let message = match status.get("message").and_then(Value::as_str) {
        Some(message) => message.to_owned(),
        None if code == 404 && body.trim_ascii() == NOT_SERVED => {
            format!("it has no such kind: {}", kind.is_it_installed())
        }
        None => String::from_utf8_lossy(body).trim().chars().take(200).collect(),
    };
    Cause::Answer { code, message, missing: code == 404 && status["reason"] == "NotFound" }
}

fn is_no_connection(error: &kube::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<hyper_util::client::legacy::Error>() {
            return error.is_connect();
        }
        cause = error.source();
    }
    false
}

/// One API server for each region; shared by the adapters of one Continuum.
pub type Regions = Arc<ByRegion<KubeApi>>;

/// These.
pub fn regions(of: impl IntoIterator<Item = (Region, KubeApi)>) -> Regions {
    Arc::new(of.into_iter().collect())
}

/// `metadata.namespace` and `metadata.name`.
pub(crate) fn name_of(object: &Value) -> ObjectName {
    ObjectName::new(text(object, "/metadata/namespace"), text(object, "/metadata/name"))
}

/// A text at a JSON pointer; empty where there is none.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The claim on an object; `None` where nobody claimed it.
///
/// # Errors
///
/// The generation is no number: whose it is cannot be told.
pub(crate) fn claim_of(object: &Value) -> Result<Option<Claim>, String> {
    let fields = Fields::of(object);
    let Some(generation) = fields.annotation(GENERATION_ANNOTATION)? else { return Ok(None) };
    let intent = fields.annotation(INTENT_ANNOTATION)?.unwrap_or_default().to_owned();
    match generation.parse() {
        Ok(generation) => Ok(Some(Claim { generation, intent })),
        Err(_) => {
            Err(fields.bad(&format!("annotation {GENERATION_ANNOTATION}"), &json!(generation), "a number").into())
        }
    }
}

/// The metadata of a conditional patch that carries a claim.
pub(crate) fn claiming(resource_version: &str, claim: &Claim) -> Value {
    json!({
        "resourceVersion": resource_version,
        "annotations": {
            GENERATION_ANNOTATION: claim.generation.to_string(),
            INTENT_ANNOTATION: claim.intent,
        },
    })
}

/// What an action gives for a region without an API server.
pub(crate) fn no_server<T>(region: &Region) -> Outcome<T> {
    Outcome::Refused(format!("no API server is configured for region {region}"))
}

#[cfg(test)]
mod tests;
