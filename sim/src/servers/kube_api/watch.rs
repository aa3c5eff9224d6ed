//! A watch: the changes after a version, one JSON document a line, with bookmarks, until its time is over.

use super::request::Request;
use super::select::Selector;
use super::{Change, ChangeEvent, Refusal, Resource, Store};
use bytes::Bytes;
use futures_util::stream::{Stream, unfold};
use hyper::body::Frame;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How often the real server sends a bookmark.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);

/// It sends one more this long before the watch's time is over.
const BOOKMARK_BEFORE_END: Duration = Duration::from_secs(2);

/// How long a watch lasts that names no `timeoutSeconds`. The real server draws it, from here to its double.
const TIMEOUT: Duration = Duration::from_secs(1800);

/// One watch.
struct Watch {
    store: Store,
    resource: &'static Resource,
    namespace: Option<String>,
    selector: Selector,
    /// All up to here was sent.
    version: u64,
    /// To be sent before anything else.
    first: Vec<u8>,
    end: Instant,
    /// `None`: not wanted, or no more.
    bookmark: Option<Instant>,
    over: bool,
}

/// Starts a watch as the request asks.
pub(super) fn watch(
    store: Store,
    request: &Request,
    selector: Selector,
) -> Result<impl Stream<Item = Result<Frame<Bytes>, Infallible>> + Send + Sync + use<>, Refusal> {
    let now = Instant::now();
    let timeout = request.number("timeoutSeconds")?.map_or(TIMEOUT, Duration::from_secs);
    let mut watch = Watch {
        store,
        resource: request.resource,
        namespace: request.namespace.clone(),
        selector,
        version: request.number("resourceVersion")?.unwrap_or_default(),
        first: Vec::new(),
        end: now + timeout,
        bookmark: None,
        over: false,
    };
    if request.is_set("allowWatchBookmarks") {
        watch.bookmark = Some(watch.bookmark_after(now));
    }
    // Without a version the watch begins with what there is.
    if watch.version == 0 || request.is_set("sendInitialEvents") {
        watch.begin_with_present(request.is_set("sendInitialEvents"));
    }
    Ok(unfold(watch, |mut watch| async move {
        let lines = watch.next().await?;
        Some((Ok(Frame::data(Bytes::from(lines))), watch))
    }))
}

impl Watch {
    fn begin_with_present(&mut self, marked: bool) {
        let (version, objects) = self.store.select(self.resource, self.namespace.as_deref(), &self.selector);
        let mut lines = Vec::new();
        for object in objects {
            line(&mut lines, ChangeEvent::Added.name(), &object);
        }
        self.version = version;
        if marked {
            let mut bookmark = self.bookmark();
            bookmark["metadata"]["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
            line(&mut lines, "BOOKMARK", &bookmark);
        }
        self.first = lines;
    }

    /// The next lines; `None` at the end.
    async fn next(&mut self) -> Option<Vec<u8>> {
        if !self.first.is_empty() {
            return Some(std::mem::take(&mut self.first));
        }
        while !self.over {
            let changes = match self.store.watchable_since(self.version) {
                Ok(changes) => changes,
                Err(refusal) => {
                    self.over = true;
                    let mut lines = Vec::new();
                    line(&mut lines, "ERROR", &refusal.status());
                    return Some(lines);
                }
            };
            let mut lines = Vec::new();
            for change in changes {
                self.version = change.version;
                if let Some((event, object)) = self.shown(&change) {
                    line(&mut lines, event.name(), &object);
                }
            }
            if !lines.is_empty() {
                return Some(lines);
            }
            let now = Instant::now();
            if now >= self.end {
                break;
            }
            if self.bookmark.is_some_and(|at| now >= at) {
                self.bookmark = (now + BOOKMARK_BEFORE_END < self.end).then(|| self.bookmark_after(now));
                line(&mut lines, "BOOKMARK", &self.bookmark());
                return Some(lines);
            }
            let until = self.bookmark.map_or(self.end, |at| at.min(self.end));
            // Woken or out of time: the loop looks either way.
            let _ = timeout_at(until, self.store.changed_since(self.version)).await;
        }
        None
    }

    /// What a change is to this watch: an object that begins to be selected was added, one that ceases to be
    /// was deleted, and is shown as it was before, with the version of the change.
    fn shown(&self, change: &Change) -> Option<(ChangeEvent, Arc<Value>)> {
        let here = change.resource == self.resource && self.namespace.as_ref().is_none_or(|n| *n == change.namespace);
        if !here {
            return None;
        }
        let before = change.before.as_ref().filter(|object| self.selector.selects(object));
        let after = change.event != ChangeEvent::Deleted && self.selector.selects(&change.object);
        match (before, after) {
            (None, false) => None,
            (None, true) => Some((ChangeEvent::Added, change.object.clone())),
            (Some(_), true) => Some((ChangeEvent::Modified, change.object.clone())),
            (Some(_), false) if change.event == ChangeEvent::Deleted => {
                Some((ChangeEvent::Deleted, change.object.clone()))
            }
            (Some(before), false) => {
                let mut object = (**before).clone();
                object["metadata"]["resourceVersion"] = change.version.to_string().into();
                Some((ChangeEvent::Deleted, Arc::new(object)))
            }
        }
    }

    fn bookmark_after(&self, now: Instant) -> Instant {
        let before_end = self.end.checked_sub(BOOKMARK_BEFORE_END).filter(|at| *at > now).unwrap_or(self.end);
        (now + BOOKMARK_EVERY).min(before_end)
    }

    fn bookmark(&self) -> Value {
        json!({
            "kind": self.resource.kind, "apiVersion": self.resource.api_version(),
            "metadata": { "resourceVersion": self.version.to_string() },
        })
    }
}

fn line(lines: &mut Vec<u8>, event: &str, object: &Value) {
    // By hand: a value of it all would be a copy of the object.
    lines.extend_from_slice(format!("{{\"object\":{object},\"type\":\"{event}\"}}\n").as_bytes());
}
