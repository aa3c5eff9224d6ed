//! What the instances report of themselves, written down by the operator when something woke it.
//!
//! A standby that comes up within the readiness probe's patience wakes nobody: after a demotion the Cluster may show
//! no system id for minutes (seen in the traces).

use super::database::Status;
use super::hand::{Condition, Hand};
use super::view::View;
use crate::servers::postgres::State;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// A half that archived nothing yet is looked at this often.
const ARCHIVE_LOOK: Duration = Duration::from_millis(250);

impl Hand {
    /// Carries due reports out.
    pub(super) async fn write_reports(&self) {
        loop {
            let mark = self.mark();
            let due = self.memory().report_due;
            if due.is_some_and(|due| due <= self.now()) {
                self.change(|memory| memory.report_due = None);
                self.report().await;
            } else if !self.note_archiving().await {
                let unknown = self.view().is_some_and(|view| view.archiving.is_none());
                let look = unknown.then(|| self.now() + self.built_in(ARCHIVE_LOOK));
                self.moved_on(mark, [due, look].into_iter().flatten().min()).await;
            }
        }
    }

    /// Writes down what the instance reports. One that does not answer leaves the old report in place.
    pub(super) async fn report(&self) {
        let instance = self.instance.status();
        let (Some(view), Some(cluster)) = (self.view(), self.cluster()) else { return };
        if !instance.alive || !self.memory().manager_up || view.should_promote() || view.disabled || !self.has_pod() {
            return;
        }
        let (status, system_id_known) = self.reported(&instance);
        let consistent = if system_id_known {
            Condition::new(true, "Unique", "A single, unique system ID was found across reporting instances.")
        } else {
            Condition::new(false, "NotFound", "Instances are present, but none have reported a system ID.")
        };
        let news = status
            .as_object()
            .is_some_and(|status| status.iter().any(|(key, value)| differs(&cluster["status"][key], value)));
        if news {
            self.set_status(status, &[("ConsistentSystemID", Some(consistent))]).await;
        }
    }

    fn reported(&self, instance: &Status) -> (Value, bool) {
        let answers = instance.state == State::Running;
        let primary = !instance.standby_signal;
        let timeline = if answers { json!(instance.timeline) } else { Value::Null };
        let mut status = Map::new();
        status.insert(
            "instancesReportedState".into(),
            json!({self.pod_name(): {"ip": "10.0.0.1", "isPrimary": primary, "timeLineID": timeline}}),
        );
        let system_id = if answers { json!(self.instance.system_id()) } else { Value::Null };
        status.insert("systemID".into(), system_id);
        if answers && primary {
            status.insert("timelineID".into(), timeline);
        }
        (Value::Object(status), answers)
    }

    /// The condition appears with the first WAL file that a half archives: a standby does that too
    /// (`archive_mode: always`). Whether it was written.
    async fn note_archiving(&self) -> bool {
        let instance = self.instance.status();
        let archives = instance.state == State::Running && (!instance.standby_signal || instance.checkpoint.is_some());
        let Some(view) = self.view().filter(|view: &View| archives && !view.disabled) else { return false };
        let fails = self.memory().knobs.archiving_fails && !instance.standby_signal;
        // It is written with what the archiver last came to, not kept against others.
        let said = self.memory().archived == Some(!fails) || instance.standby_signal || view.archiving == Some(!fails);
        self.change_if(|memory| memory.archived.replace(!fails) != Some(!fails));
        if view.archiving.is_some() && said {
            return false;
        }
        let archiving = if fails {
            Condition::new(
                false,
                "ContinuousArchivingFailing",
                "unexpected failure invoking barman-cloud-wal-archive: exit status 2",
            )
        } else {
            Condition::new(true, "ContinuousArchivingSuccess", "Continuous archiving is working")
        };
        self.set_status(json!({}), &[("ContinuousArchiving", Some(archiving))]).await
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
