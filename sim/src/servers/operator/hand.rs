//! What the software of one host does to the Cluster: it sees it through its own cache, and writes over its own
//! connection. A write that fails changes nothing that is remembered; whoever wanted it looks again.

use super::Common;
use super::api::{Api, Failure};
use super::view::{FENCE, View};
use crate::determinism::EPOCH;
use crate::servers::kube_api::{CLUSTERS, PODS};
use crate::servers::postgres::State;
use futures_util::future::select;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::ops::{Deref, RangeInclusive};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// A status write that lost a race is tried so often with what is there then.
const RACES_MAX: u32 = 5;

/// See the module.
pub(super) struct Hand {
    common: Arc<Common>,
    pub api: Api,
}

impl Deref for Hand {
    type Target = Common;

    fn deref(&self) -> &Common {
        &self.common
    }
}

impl Hand {
    pub fn new(common: Arc<Common>, api: Api) -> Self {
        Self { common, api }
    }

    /// Time since the start of the run.
    pub fn now(&self) -> Duration {
        self.api.now()
    }

    /// Wall time.
    pub fn wall(&self) -> Timestamp {
        Timestamp::from_second((EPOCH + self.now()).as_secs().cast_signed()).unwrap_or_default()
    }

    /// What the instances report is read again this much later.
    pub fn report_in(&self, ms: RangeInclusive<u64>) {
        let due = self.now() + self.pick(ms);
        self.change(|memory| memory.report_due = Some(memory.report_due.map_or(due, |old| old.min(due))));
    }

    /// The Cluster as it was last seen, where it exists.
    pub fn view(&self) -> Option<View> {
        self.cluster().map(|cluster| View::of(&cluster))
    }

    pub fn cluster(&self) -> Option<Arc<Value>> {
        self.api.get(&CLUSTERS, &self.object.name)
    }

    /// The half's pod as it was last seen.
    pub fn pod(&self) -> Option<Arc<Value>> {
        self.api.get(&PODS, &self.pod_name())
    }

    /// Where everything stands, to wait from.
    pub fn mark(&self) -> (u64, u64, u64) {
        (self.api.version(), self.instance.life(), self.memory().version)
    }

    /// Waits until something moved on from `mark`, at most until `due`.
    pub async fn moved_on(&self, mark: (u64, u64, u64), due: Option<Duration>) {
        let mut woken = pin!(self.woken.notified());
        woken.as_mut().enable();
        if self.memory().version > mark.2 {
            return;
        }
        let (object, process) = (pin!(self.api.changed_since(mark.0)), pin!(self.instance.changed_since(mark.1)));
        let time = async {
            match due {
                Some(due) => tokio::time::sleep(due.saturating_sub(self.now()).max(Duration::from_millis(1))).await,
                None => std::future::pending().await,
            }
        };
        select(select(select(object, process), woken), pin!(time)).await;
    }

    /// Waits until the Cluster is so, or gone.
    pub async fn until_view(&self, condition: impl Fn(&View) -> bool) {
        loop {
            let mark = self.mark();
            if self.view().is_none_or(|view| condition(&view)) {
                return;
            }
            self.moved_on(mark, None).await;
        }
    }

    pub async fn instance_is(&self, state: State) {
        self.instance.watch(|instance| (instance.state == state || !instance.alive).then_some(())).await;
    }

    /// Patches metadata or spec. Whether it was taken.
    pub async fn set_fence(&self, fenced: bool) -> bool {
        let value = if fenced { json!("[\"*\"]") } else { Value::Null };
        let patch = json!({"metadata": {"annotations": {FENCE: value}}});
        self.api.patch(&CLUSTERS, &self.object.name, "", &patch).await.is_ok()
    }

    /// Patches the status, and conditions in it: (type, status and reason and message, or `None` to remove it).
    /// Whether it was taken.
    pub async fn set_status(&self, status: Value, conditions: &[(&str, Option<Condition>)]) -> bool {
        for _ in 0..RACES_MAX {
            let Some(cluster) = self.cluster() else { return false };
            let mut patch = json!({"status": status});
            if !conditions.is_empty() {
                patch["status"]["conditions"] = with_conditions(&cluster, conditions, self.wall());
                // A list is replaced whole: only where it is still the one that was read.
                patch["metadata"] = json!({"resourceVersion": cluster["metadata"]["resourceVersion"]});
            }
            match self.api.patch(&CLUSTERS, &self.object.name, "status", &patch).await {
                Ok(()) => return true,
                Err(failure) if failure.is_conflict() => {
                    if self.api.read(&CLUSTERS, &self.object.name).await.is_err() {
                        return false;
                    }
                }
                Err(_) => return false,
            }
        }
        false
    }

    /// Sets phase and reason, and Ready with them where it is given.
    pub async fn set_phase(&self, phase: &str, reason: Option<&str>, ready: Option<bool>) -> bool {
        let ready = ready.map(|ready| ("Ready", Some(Condition::ready(ready))));
        self.set_status(json!({"phase": phase, "phaseReason": reason}), ready.as_slice()).await
    }

    /// Patches the pod's status. A failure shows itself as the pod staying what it was.
    pub async fn set_pod(&self, status: Value) -> Result<(), Failure> {
        self.api.patch(&PODS, &self.pod_name(), "status", &json!({"status": status})).await
    }
}

fn with_conditions(cluster: &Value, conditions: &[(&str, Option<Condition>)], at: Timestamp) -> Value {
    let mut present = cluster["status"]["conditions"].as_array().cloned().unwrap_or_default();
    for (kind, value) in conditions {
        let place = present.iter().position(|condition| condition["type"] == *kind);
        let new = value.as_ref().map(|value| value.to_json(kind, at));
        match (place, new) {
            (Some(place), Some(new)) => present[place] = new,
            (Some(place), None) => drop(present.remove(place)),
            (None, Some(new)) => present.push(new),
            (None, None) => {}
        }
    }
    Value::Array(present)
}

/// A condition's content.
#[derive(Clone, Copy)]
pub(super) struct Condition {
    status: bool,
    reason: &'static str,
    message: &'static str,
}

impl Condition {
    pub const fn new(status: bool, reason: &'static str, message: &'static str) -> Self {
        Self { status, reason, message }
    }

    pub fn ready(ready: bool) -> Self {
        if ready {
            Self::new(true, "ClusterIsReady", "Cluster is Ready")
        } else {
            Self::new(false, "ClusterIsNotReady", "Cluster Is Not Ready")
        }
    }

    fn to_json(self, kind: &str, at: Timestamp) -> Value {
        json!({
            "type": kind,
            "status": if self.status { "True" } else { "False" },
            "reason": self.reason,
            "message": self.message,
            "lastTransitionTime": at.to_string(),
        })
    }
}
