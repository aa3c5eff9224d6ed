//! The API server as operator, instance manager and kubelet see it: over the network, through caches that a watch
//! keeps. Each of them has its own, as the real ones have, and so each of them can be cut off alone.

use crate::fabric::Net;
use crate::servers::kube_api::{Resource, http};
use ::http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use ::http::{Method, Request, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::timeout;

/// A request that was not answered in this time is given up.
const REQUEST_MAX: Duration = Duration::from_secs(5);
/// After a failure the next try comes this much later.
const AGAIN: Duration = Duration::from_secs(1);
/// A watch is asked for this long, and then again: a lost segment is never sent again here, so that silence is all
/// that shows a stream that died.
const WATCH: Duration = Duration::from_secs(5);

/// Why a request has no effect that is known of.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// Nobody answered, or not in time.
    #[error("the API server does not answer")]
    Unreachable(#[from] io::Error),
    /// It said no.
    #[error("{code}: {message}")]
    Refused {
        /// HTTP status.
        code: u16,
        /// Why.
        message: String,
    },
}

impl Failure {
    /// Whether it tells how the object is: gone, there already, or another than it was.
    fn is_answer(&self) -> bool {
        matches!(self, Failure::Refused { code: 404 | 409, .. })
    }

    pub fn is_conflict(&self) -> bool {
        matches!(self, Failure::Refused { code: 409, .. })
    }
}

type Sender = SendRequest<Full<Bytes>>;

struct Inner {
    net: Net,
    host: String,
    agent: &'static str,
    namespace: String,
    seen: Mutex<Seen>,
    changed: Notify,
    /// The connection of the last request, where it may be used again.
    idle: tokio::sync::Mutex<Option<Sender>>,
}

#[derive(Default)]
struct Seen {
    objects: BTreeMap<(&'static str, String), Arc<Value>>,
    /// Grows with every change.
    version: u64,
    /// Kinds that were listed.
    listed: Vec<&'static str>,
}

/// See the module. Clones are one.
#[derive(Clone)]
pub(super) struct Api(Arc<Inner>);

impl Api {
    pub fn new(net: Net, host: &str, agent: &'static str, namespace: &str) -> Self {
        let (host, namespace) = (host.to_owned(), namespace.to_owned());
        let (seen, changed, idle) = (Mutex::default(), Notify::new(), tokio::sync::Mutex::default());
        Self(Arc::new(Inner { net, host, agent, namespace, seen, changed, idle }))
    }

    /// Time since the start of the run.
    pub fn now(&self) -> Duration {
        self.0.net.now()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.seen.lock().expect("nothing panics while it holds a cache")
    }

    /// The object as it was last seen. What kind of object is looked for must be [followed](Self::follow).
    pub fn get(&self, resource: &'static Resource, name: &str) -> Option<Arc<Value>> {
        self.seen().objects.get(&(resource.plural, name.to_owned())).cloned()
    }

    /// Whether it was ever seen what there is of a kind.
    pub fn knows(&self, resource: &'static Resource) -> bool {
        self.seen().listed.contains(&resource.plural)
    }

    /// Grows when something new is seen.
    pub fn version(&self) -> u64 {
        self.seen().version
    }

    /// Waits until something new was seen after `version`.
    pub async fn changed_since(&self, version: u64) {
        loop {
            let mut changed = pin!(self.0.changed.notified());
            changed.as_mut().enable();
            if self.version() > version {
                return;
            }
            changed.await;
        }
    }

    /// Merges a patch into an object, or into its status.
    pub async fn patch(
        &self,
        resource: &'static Resource,
        name: &str,
        subresource: &str,
        patch: &Value,
    ) -> Result<(), Failure> {
        let path = match subresource {
            "" => self.path(resource, name),
            subresource => format!("{}/{subresource}", self.path(resource, name)),
        };
        let object = self.ask(Method::PATCH, &path, Some(patch)).await?;
        self.note(resource, object);
        Ok(())
    }

    /// Creates an object.
    pub async fn create(&self, resource: &'static Resource, object: &Value) -> Result<(), Failure> {
        let object = self.ask(Method::POST, &self.path(resource, ""), Some(object)).await?;
        self.note(resource, object);
        Ok(())
    }

    /// Deletes an object, at once or as its kind has it.
    pub async fn delete(&self, resource: &'static Resource, name: &str, at_once: bool) -> Result<(), Failure> {
        let grace = if at_once { "?gracePeriodSeconds=0" } else { "" };
        self.ask(Method::DELETE, &format!("{}{grace}", self.path(resource, name)), None).await.map(drop)
    }

    /// Reads an object anew.
    pub async fn read(&self, resource: &'static Resource, name: &str) -> Result<Arc<Value>, Failure> {
        let object = self.ask(Method::GET, &self.path(resource, name), None).await?;
        self.note(resource, object.clone());
        Ok(Arc::new(object))
    }

    fn path(&self, resource: &Resource, name: &str) -> String {
        let root = if resource.group.is_empty() { "/api" } else { "/apis" };
        let (group, namespace) = (resource.api_version(), &self.0.namespace);
        let path = format!("{root}/{group}/namespaces/{namespace}/{}", resource.plural);
        if name.is_empty() { path } else { format!("{path}/{name}") }
    }

    fn note(&self, resource: &'static Resource, object: Value) {
        let Some(name) = object["metadata"]["name"].as_str().map(str::to_owned) else { return };
        let fresh = {
            let mut seen = self.seen();
            let key = (resource.plural, name);
            let newer = seen.objects.get(&key).is_none_or(|old| version(old) < version(&object));
            if newer {
                seen.objects.insert(key, Arc::new(object));
                seen.version += 1;
            }
            newer
        };
        if fresh {
            self.0.changed.notify_waiters();
        }
    }

    /// Keeps the cache of a kind as its API server has it. Runs for ever.
    pub async fn follow(&self, resource: &'static Resource) {
        loop {
            if let Err(failure) = self.follow_until_broken(resource).await {
                tracing::trace!(target: "continuum_sim::operator", %failure, "watch ended");
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn follow_until_broken(&self, resource: &'static Resource) -> Result<(), Failure> {
        let mut list = self.ask(Method::GET, &self.path(resource, ""), None).await?;
        let mut from = list["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
        let items: Vec<Value> = list["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
        {
            let mut seen = self.seen();
            seen.objects.retain(|(plural, _), _| *plural != resource.plural);
            for item in items {
                let name = item["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                seen.objects.insert((resource.plural, name), Arc::new(item));
            }
            seen.version += 1;
            if !seen.listed.contains(&resource.plural) {
                seen.listed.push(resource.plural);
            }
        }
        self.0.changed.notify_waiters();
        let mut sender = self.connect().await?;
        loop {
            let path = self.path(resource, "");
            let seconds = WATCH.as_secs();
            let path = format!("{path}?watch=true&timeoutSeconds={seconds}&resourceVersion={from}");
            let asked = timeout(REQUEST_MAX, self.send(&mut sender, Method::GET, &path, None)).await;
            let mut body = asked.map_err(|_| silent())??;
            let mut buffer = Vec::new();
            loop {
                let frame = timeout(WATCH + REQUEST_MAX, body.frame()).await.map_err(|_| silent())?;
                let Some(frame) = frame else { break };
                let Ok(data) = frame.map_err(io::Error::other)?.into_data() else { continue };
                buffer.extend_from_slice(&data);
                while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = buffer.drain(..=end).collect();
                    let mut event: Value = serde_json::from_slice(&line).map_err(io::Error::other)?;
                    let object = event["object"].take();
                    match event["type"].as_str() {
                        Some("ADDED" | "MODIFIED") => from = self.saw(resource, object),
                        Some("DELETED") => from = self.saw_deletion(resource, &object),
                        _ => return Err(io::Error::other("the watch is too old").into()),
                    }
                }
            }
        }
    }

    fn saw(&self, resource: &'static Resource, object: Value) -> String {
        let from = version(&object).to_string();
        self.note(resource, object);
        from
    }

    fn saw_deletion(&self, resource: &'static Resource, object: &Value) -> String {
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        {
            let mut seen = self.seen();
            seen.objects.remove(&(resource.plural, name));
            seen.version += 1;
        }
        self.0.changed.notify_waiters();
        version(object).to_string()
    }

    /// Asks, over the connection that is there or a new one.
    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let mut idle = self.0.idle.lock().await;
        let asked = timeout(REQUEST_MAX, async {
            let mut sender = match idle.take().filter(|sender| !sender.is_closed()) {
                Some(sender) => sender,
                None => self.connect().await?,
            };
            let answer = self.send(&mut sender, method, path, body).await?;
            let bytes = answer.collect().await.map_err(io::Error::other)?.to_bytes();
            Ok::<_, Failure>((serde_json::from_slice(&bytes).map_err(io::Error::other)?, sender))
        });
        let asked = asked.await.unwrap_or_else(|_| Err(silent()));
        match asked {
            Ok((value, sender)) => {
                *idle = Some(sender);
                Ok(value)
            }
            Err(failure) => {
                tracing::debug!(target: "continuum_sim::operator", %failure, path, "request failed");
                if !failure.is_answer() {
                    // Whoever asked looks again after it, and asks for what is then to be asked for.
                    tokio::time::sleep(AGAIN).await;
                }
                Err(failure)
            }
        }
    }

    async fn send(
        &self,
        sender: &mut Sender,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Incoming, Failure> {
        let kind = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.0.host)
            .header(USER_AGENT, self.0.agent)
            .header(CONTENT_TYPE, kind)
            .body(Full::new(bytes))
            .map_err(io::Error::other)?;
        sender.ready().await.map_err(io::Error::other)?;
        let answer = sender.send_request(request).await.map_err(io::Error::other)?;
        let status = answer.status();
        if status < StatusCode::BAD_REQUEST {
            return Ok(answer.into_body());
        }
        let bytes = answer.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
        let said: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        Err(Failure::Refused {
            code: status.as_u16(),
            message: said["message"].as_str().unwrap_or_default().to_owned(),
        })
    }

    async fn connect(&self) -> Result<Sender, Failure> {
        let connecting = timeout(REQUEST_MAX, self.0.net.connect(&self.0.host, http::PORT));
        let stream = connecting.await.map_err(|_| silent())??;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        self.0.net.spawn(Box::pin(async move {
            // A connection that breaks fails its request.
            let _ = connection.await;
        }));
        Ok(sender)
    }
}

fn silent() -> Failure {
    io::Error::from(io::ErrorKind::TimedOut).into()
}

fn version(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().and_then(|version| version.parse().ok()).unwrap_or_default()
}
