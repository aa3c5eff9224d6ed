//! Readiness of the pod, and what the instances report of themselves.
//!
//! The operator reads the instances' reports when something woke it. A standby that comes up within the readiness
//! probe's patience wakes nobody: after a demotion the Cluster may show no system id for minutes (seen in the traces).

use super::{Condition, Shared};
use crate::servers::kube_api::CLUSTERS;
use crate::servers::postgres::{Snapshot, State};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Period of the readiness probe.
const PROBE: Duration = Duration::from_secs(1);
/// Failures in a row that make a pod not ready.
const FAILURES: u32 = 3;

impl Shared {
    /// Probes, and carries due reports out.
    pub(super) async fn watch_readiness(&self) {
        let mut next_probe = self.now() + PROBE;
        let mut failures = 0;
        loop {
            let due = self.memory().report_due;
            let until = due.map_or(next_probe, |due| due.min(next_probe));
            let mark = self.mark();
            if until > self.now() {
                // A report may be asked for meanwhile.
                self.moved_on(mark, Some(until)).await;
            }
            let now = self.now();
            if self.memory().report_due.is_some_and(|due| due <= now) {
                self.change(|memory| memory.report_due = None);
                self.report();
            }
            let instance = self.instance.snapshot();
            self.note_archiving(&instance);
            let container_ended = instance.alive && !self.memory().manager_up;
            if now >= next_probe || (container_ended && self.memory().pod_ready) {
                next_probe = now + PROBE;
                let ok = instance.alive && instance.state == State::Running && self.memory().manager_up;
                failures = if ok { 0 } else { failures + 1 };
                if ok || failures >= FAILURES || container_ended {
                    self.set_pod_ready(ok).await;
                }
            }
        }
    }

    async fn set_pod_ready(&self, ready: bool) {
        if self.memory().pod_ready == ready {
            return;
        }
        if ready {
            // From the kubelet to the operator.
            self.pause(250..=400).await;
        }
        self.change(|memory| memory.pod_ready = ready);
        let count = match (self.view(), ready) {
            (Some(view), true) => json!(view.instances),
            _ => Value::Null,
        };
        self.set_status(json!({"readyInstances": count}), &[], "operator");
        if ready {
            self.report_in(110..=170);
        }
    }

    /// Writes down what the instance reports. One that does not answer leaves the old report in place.
    pub(super) fn report(&self) {
        let instance = self.instance.snapshot();
        let Some(view) = self.view() else { return };
        if !instance.alive || !self.memory().manager_up || view.should_promote() {
            return;
        }
        let (status, system_id_known) = self.reported(&instance);
        let consistent = if system_id_known {
            Condition::new(true, "Unique", "A single, unique system ID was found across reporting instances.")
        } else {
            Condition::new(false, "NotFound", "Instances are present, but none have reported a system ID.")
        };
        let Some(cluster) = self.store.get(&CLUSTERS, &self.object.namespace, &self.object.name) else { return };
        let news = status
            .as_object()
            .is_some_and(|status| status.iter().any(|(key, value)| differs(&cluster["status"][key], value)));
        if news {
            self.set_status(status, &[("ConsistentSystemID", Some(consistent))], "operator");
        }
    }

    fn reported(&self, instance: &Snapshot) -> (Value, bool) {
        let answers = instance.state == State::Running;
        let primary = !instance.standby_signal;
        let name = format!("{}-1", self.object.name);
        let timeline = if answers { json!(instance.timeline) } else { Value::Null };
        let mut status = Map::new();
        status.insert(
            "instancesReportedState".into(),
            json!({name: {"ip": "10.0.0.1", "isPrimary": primary, "timeLineID": timeline}}),
        );
        let system_id = if answers { json!(self.instance.system_id()) } else { Value::Null };
        status.insert("systemID".into(), system_id);
        if answers && primary {
            status.insert("timelineID".into(), timeline);
        }
        (Value::Object(status), answers)
    }

    /// The condition appears with the first WAL file that a half archives: a standby does that too
    /// (`archive_mode: always`).
    fn note_archiving(&self, instance: &Snapshot) {
        let archives = instance.state == State::Running && (!instance.standby_signal || instance.checkpoint.is_some());
        if !archives || self.view().is_none_or(|view| view.archiving.is_some()) {
            return;
        }
        let archiving = Condition::new(true, "ContinuousArchivingSuccess", "Continuous archiving is working");
        self.set_status(json!({}), &[("ContinuousArchiving", Some(archiving))], "instance-manager");
    }
}

/// Whether a merge of `new` would change `old`.
fn differs(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            new.iter().any(|(key, value)| differs(old.get(key).unwrap_or(&Value::Null), value))
        }
        (old, new) => old != new,
    }
}
