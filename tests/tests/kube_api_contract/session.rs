//! A case's talk with a server, and the transcript of it in which what differs from run to run (uids,
//! versions, times, the namespace) has a name instead.

use continuum_tests::exchange::{self, Answer, Watching};
use http::Method;
use kube::Client;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::future::Future;
use std::pin::Pin;

/// A case of the suite.
pub type Case = for<'a> fn(&'a mut Session) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

pub const JSON: &str = "application/json";
pub const MERGE_PATCH: &str = "application/merge-patch+json";

/// Reasons whose message every release has worded alike, and which people meet in logs.
const STABLE_MESSAGES: [&str; 3] = ["NotFound", "AlreadyExists", "Conflict"];

/// Who said what is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Sent,
    Answered,
}

pub struct Session {
    server: Client,
    pub namespace: String,
    transcript: String,
    uids: BTreeMap<String, String>,
    versions: BTreeMap<String, String>,
}

impl Session {
    pub fn new(server: Client, namespace: String) -> Self {
        Self { server, namespace, transcript: String::new(), uids: BTreeMap::new(), versions: BTreeMap::new() }
    }

    pub fn transcript(&self) -> &str {
        &self.transcript
    }

    /// The whole path of `clusters/a?x=y`.
    pub fn path(&self, rest: &str) -> String {
        let plural = rest.split(['/', '?']).next().unwrap_or_default();
        let group = match plural {
            "clusters" | "backups" => "/apis/postgresql.cnpg.io/v1",
            "httproutes" => "/apis/gateway.networking.k8s.io/v1",
            "continuums" => "/apis/dr.openova.io/v1",
            "leases" => "/apis/coordination.k8s.io/v1",
            "secrets" => "/api/v1",
            _ => panic!("the suite knows no resource {plural}"),
        };
        format!("{group}/namespaces/{}/{rest}", self.namespace)
    }

    /// Sends anything to a path of the case's namespace.
    pub async fn send(&mut self, method: Method, rest: &str, content_type: &str, body: &str) -> Answer {
        let path = self.path(rest);
        self.send_to(method, &path, content_type, body).await
    }

    /// Sends anything anywhere.
    pub async fn send_to(&mut self, method: Method, path: &str, content_type: &str, body: &str) -> Answer {
        let answer = exchange::ask(&self.server, method.clone(), path, content_type, body.to_owned())
            .await
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        let path = self.tidy_path(path);
        writeln!(self.transcript, "{method} {path}").expect("a string takes all");
        if !body.is_empty() {
            let body = match serde_json::from_str(body) {
                Ok(body) => self.named(&body, Side::Sent, &mut Vec::new()).to_string(),
                Err(_) => body.to_owned(),
            };
            writeln!(self.transcript, "  sent {body}").expect("a string takes all");
        }
        let shown = self.named(&answer.body, Side::Answered, &mut Vec::new());
        writeln!(self.transcript, "  {} {shown}", answer.status).expect("a string takes all");
        answer
    }

    pub async fn get(&mut self, rest: &str) -> Answer {
        self.send(Method::GET, rest, JSON, "").await
    }

    pub async fn create(&mut self, plural: &str, body: &Value) -> Answer {
        self.send(Method::POST, plural, JSON, &body.to_string()).await
    }

    pub async fn put(&mut self, rest: &str, body: &Value) -> Answer {
        self.send(Method::PUT, rest, JSON, &body.to_string()).await
    }

    pub async fn patch(&mut self, rest: &str, body: &Value) -> Answer {
        self.send(Method::PATCH, rest, MERGE_PATCH, &body.to_string()).await
    }

    pub async fn delete(&mut self, rest: &str) -> Answer {
        self.send(Method::DELETE, rest, JSON, "").await
    }

    /// Creates a Cluster of this name; the object as the server has it.
    pub async fn cluster(&mut self, name: &str) -> Value {
        let answer = self.create("clusters", &cluster(name)).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.body
    }

    /// The version of the list of this resource: where a watch begins.
    pub async fn version_of(&mut self, plural: &str) -> String {
        version(&self.get(plural).await.body)
    }

    /// Opens a watch.
    pub async fn watch(&mut self, rest: &str) -> Watched {
        let path = self.path(rest);
        let (status, watching) =
            exchange::watch(&self.server, &path).await.unwrap_or_else(|error| panic!("watch {path}: {error}"));
        let path = self.tidy_path(&path);
        writeln!(self.transcript, "WATCH {path}\n  {}", status.as_u16()).expect("a string takes all");
        Watched { status: status.as_u16(), watching }
    }

    /// The next event of a watch; `None` where it ended.
    pub async fn event(&mut self, watched: &mut Watched) -> Option<Value> {
        let event = self.unseen_event(watched).await;
        let shown = self.shown_event(event.as_ref());
        self.transcript.push_str(&shown);
        event
    }

    /// All events until the watch ends. Of equal ones in a row the transcript shows one: how many bookmarks
    /// there are depends on when the server's clock ticks.
    pub async fn events_until_the_end(&mut self, watched: &mut Watched) -> Vec<Value> {
        let mut events = Vec::new();
        let mut last = String::new();
        loop {
            let event = self.unseen_event(watched).await;
            let shown = self.shown_event(event.as_ref());
            if shown != last {
                self.transcript.push_str(&shown);
                last = shown;
            }
            match event {
                Some(event) => events.push(event),
                None => return events,
            }
        }
    }

    async fn unseen_event(&self, watched: &mut Watched) -> Option<Value> {
        watched.watching.next().await.unwrap_or_else(|error| panic!("watch: {error}"))
    }

    fn shown_event(&mut self, event: Option<&Value>) -> String {
        match event {
            Some(event) => format!("  EVENT {}\n", self.named(event, Side::Answered, &mut Vec::new())),
            None => "  END\n".to_owned(),
        }
    }

    /// Names for what differs from run to run, in a text: a path or a message.
    fn tidy(&self, text: &str) -> String {
        let mut tidy = text.replace(&self.namespace, "ns");
        for (real, name) in &self.uids {
            tidy = tidy.replace(real, name);
        }
        for (real, name) in &self.versions {
            tidy = tidy.replace(&format!("({real})"), &format!("({name})"));
        }
        tidy
    }

    /// A path with names for what differs from run to run.
    fn tidy_path(&self, path: &str) -> String {
        let path = self.tidy(path);
        if let Some((before, _)) = path.split_once("continue=") {
            return format!("{before}continue=more");
        }
        let Some((before, version)) = path.split_once("resourceVersion=") else { return path };
        let (version, after) = version.split_at(version.find('&').unwrap_or(version.len()));
        // 0 and 1 mean something; a greater number is one that was read.
        let version = if version.parse::<u64>().is_ok_and(|number| number > 1) { "read" } else { version };
        format!("{before}resourceVersion={version}{after}")
    }

    /// An answer with its keys sorted and names for what differs from run to run.
    fn named(&mut self, value: &Value, side: Side, path: &mut Vec<String>) -> Value {
        match value {
            Value::Object(fields) => {
                let mut sorted: Vec<(&String, &Value)> = fields.iter().collect();
                sorted.sort_by_key(|(key, _)| *key);
                let mut named = Map::new();
                for (key, value) in sorted {
                    path.push(key.clone());
                    if let Some(value) = self.named_field(fields, side, path, value) {
                        named.insert(key.clone(), value);
                    }
                    path.pop();
                }
                Value::Object(named)
            }
            Value::Array(items) => Value::Array(items.iter().map(|item| self.named(item, side, path)).collect()),
            Value::String(text) => Value::String(self.tidy(text)),
            _ => value.clone(),
        }
    }

    fn named_field(
        &mut self,
        owner: &Map<String, Value>,
        side: Side,
        path: &mut Vec<String>,
        value: &Value,
    ) -> Option<Value> {
        let parent = path.len().checked_sub(2).map(|at| path[at].clone()).unwrap_or_default();
        let key = path.last().cloned().unwrap_or_default();
        match (parent.as_str(), key.as_str(), value) {
            ("metadata", "managedFields", _) => None,
            // Lists of the real server carry an empty one.
            ("metadata", "continue", Value::String(text)) if text.is_empty() => None,
            ("metadata", "continue", Value::String(_)) => Some("more".into()),
            ("metadata", "creationTimestamp" | "deletionTimestamp", Value::String(_)) => Some("time".into()),
            ("metadata" | "preconditions", "resourceVersion", Value::String(version))
                if owner.contains_key("name") || side == Side::Sent =>
            {
                Some(self.version_name(version).into())
            }
            // A list's and a bookmark's: other things may have happened on the server meanwhile.
            ("metadata", "resourceVersion", Value::String(_)) => Some("current".into()),
            (_, "uid", Value::String(uid)) => Some(self.uid_name(uid).into()),
            (_, "message", Value::String(_)) if !has_stable_message(owner) => Some("text".into()),
            // Custom and built-in resources differ in what they say of a wrong verb.
            (_, "details", _) if owner.get("reason").is_some_and(|reason| reason == "MethodNotAllowed") => None,
            // The causes of a refusal name its fields in words of the release.
            ("details", "causes", _) => None,
            _ => Some(self.named(value, side, path)),
        }
    }

    fn uid_name(&mut self, uid: &str) -> String {
        let next = format!("uid{}", self.uids.len() + 1);
        self.uids.entry(uid.to_owned()).or_insert(next).clone()
    }

    fn version_name(&mut self, version: &str) -> String {
        let next = format!("v{}", self.versions.len() + 1);
        self.versions.entry(version.to_owned()).or_insert(next).clone()
    }
}

/// A watch that a case opened.
pub struct Watched {
    pub status: u16,
    watching: Watching,
}

/// Whether an object is a Status whose message is worth comparing, or no Status at all.
fn has_stable_message(owner: &Map<String, Value>) -> bool {
    owner.get("status").and_then(Value::as_str) != Some("Failure")
        || owner.get("reason").and_then(Value::as_str).is_some_and(|reason| STABLE_MESSAGES.contains(&reason))
}

/// A small Cluster.
pub fn cluster(name: &str) -> Value {
    serde_json::json!({
        "apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster",
        "metadata": {"name": name},
        "spec": {"instances": 1, "replica": {"primary": "a", "self": "a", "source": "b"},
                 "externalClusters": [{"name": "a"}, {"name": "b"}]}
    })
}

/// `metadata.resourceVersion`.
pub fn version(object: &Value) -> String {
    object["metadata"]["resourceVersion"].as_str().unwrap_or_else(|| panic!("no version in {object}")).to_owned()
}

/// `metadata.resourceVersion` as the number that it is on these servers.
pub fn version_number(object: &Value) -> u64 {
    version(object).parse().expect("versions of etcd are numbers")
}
