//! Events of Kubernetes, which `kubectl describe` shows below a Continuum: what changed in its status.
//!
//! What is told follows from two statuses alone, the one before and the one now ([`transitions`]). Whoever sees a Continuum for
//! the first time has no status before, so a process that begins tells nothing anew. The leader alone tells.
//!
//! They are for people, and nothing waits for them: a queue of its own holds what is to be written and loses the oldest where
//! it is full, one request writes each, and none is sent twice. What went wrong is counted. Whoever must know everything reads
//! the audit stream.

mod transitions;

use crate::metrics::{Counts, Written};
use continuum_core::clock::{Clock, within};
use continuum_core::plan::short_hash;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use transitions::{Notice, Severity};

/// So many wait at most: a whole switchover of ten Continuums.
const WAITING_MAX: usize = 256;
/// For one request.
const LIMIT: Duration = Duration::from_secs(5);
/// The most bytes of a note that an API server takes.
const NOTE_MAX: usize = 1024;
/// The most bytes of the Continuum's name in that of its Event, which has to fit into 253.
const NAME_MAX: usize = 200;
/// Who tells, as every Event says.
const REPORTER: &str = "dr.openova.io/continuum-controller";

/// The queue, for whoever sees what changed.
#[derive(Clone)]
pub(crate) struct KubeEvents(Arc<Inner>);

struct Inner {
    waiting: Mutex<VecDeque<Event>>,
    more: Notify,
    counts: Counts,
    clock: Arc<dyn Clock>,
    /// The pod.
    instance: String,
}

impl KubeEvents {
    pub fn new(instance: String, counts: Counts, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner { waiting: Mutex::default(), more: Notify::new(), counts, clock, instance }))
    }

    /// A Continuum was `before`, and is `now`. Never waits.
    pub fn changed(&self, before: &Value, now: &Value) {
        let notices = transitions::between(&before["status"], &now["status"]);
        if notices.is_empty() {
            return;
        }
        let at = micro_time(self.0.clock.wall());
        let events = notices.into_iter().map(|notice| event(now, notice, &at, &self.0.instance));
        let mut waiting = self.waiting();
        waiting.extend(events);
        while waiting.len() > WAITING_MAX {
            waiting.pop_front();
            self.0.counts.event(Written::Dropped);
        }
        drop(waiting);
        self.0.more.notify_one();
    }

    /// Writes what waits, for ever.
    pub async fn write(&self, client: Client) {
        let mut failed_before = false;
        loop {
            let next = self.waiting().pop_front();
            let Some(event) = next else {
                self.0.more.notified().await;
                continue;
            };
            let why = self.create(&client, &event).await.err();
            self.0.counts.event(if why.is_some() { Written::Failed } else { Written::Done });
            match &why {
                // Once, until one is written again: they are for people, and the log is told what they tell anyway.
                Some(cause) if !failed_before => tracing::warn!(%cause, "an Event of Kubernetes was not written"),
                Some(cause) => tracing::debug!(%cause, "an Event of Kubernetes was not written"),
                None => {}
            }
            failed_before = why.is_some();
        }
    }

    async fn create(&self, client: &Client, event: &Event) -> Result<(), String> {
        let namespace = event.metadata.namespace.as_deref().unwrap_or_default();
        let api: Api<Event> = Api::namespaced(client.clone(), namespace);
        match within(&*self.0.clock, LIMIT, api.create(&PostParams::default(), event)).await {
            None => Err(format!("no answer in {} s", LIMIT.as_secs())),
            Some(Ok(_)) => Ok(()),
            // Another replica told the same, or this one did and heard no answer.
            Some(Err(kube::Error::Api(status))) if status.code == 409 => Ok(()),
            Some(Err(kube::Error::Api(status))) if status.code == 403 => Err(format!(
                "give this controller's account the verb create on events.events.k8s.io in namespace {namespace}: {}",
                status.message
            )),
            Some(Err(error)) => Err(crate::chain(&error)),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Event>> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Its name follows from what it tells: whoever tells the same meets the one that is there.
fn event(of: &Value, notice: Notice, at: &MicroTime, instance: &str) -> Event {
    let text = |pointer: &str| of.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let (name, uid) = (text("/metadata/name").unwrap_or_default(), text("/metadata/uid"));
    let version = text("/metadata/resourceVersion");
    let note = cut(notice.note, NOTE_MAX);
    let fact = format!("{uid:?} {version:?} {} {note}", notice.reason);
    let start = cut(name.clone(), NAME_MAX);
    let start = start.trim_end_matches(['.', '-']);
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{start}.{}", short_hash(fact.as_bytes()))),
            namespace: text("/metadata/namespace"),
            ..ObjectMeta::default()
        },
        action: Some(notice.action.into()),
        event_time: Some(at.clone()),
        note: Some(note),
        reason: Some(notice.reason.into()),
        regarding: Some(ObjectReference {
            api_version: text("/apiVersion"),
            kind: text("/kind"),
            namespace: text("/metadata/namespace"),
            name: Some(name),
            uid,
            resource_version: version,
            ..ObjectReference::default()
        }),
        reporting_controller: Some(REPORTER.into()),
        reporting_instance: Some(instance.to_owned()),
        type_: Some(
            match notice.severity {
                Severity::Normal => "Normal",
                Severity::Warning => "Warning",
            }
            .into(),
        ),
        ..Event::default()
    }
}

/// The library has another version of the same crate.
fn micro_time(at: Timestamp) -> MicroTime {
    let same = k8s_openapi::jiff::Timestamp::from_microsecond(at.as_microsecond());
    MicroTime(same.unwrap_or(k8s_openapi::jiff::Timestamp::UNIX_EPOCH))
}

/// The front of a text, of so many bytes at most.
fn cut(mut text: String, most: usize) -> String {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

#[cfg(test)]
mod tests;
