//! The operator proper: one thing at a time, each from what the object and the instance show.

use super::view::{FENCING, HEALTHY, PROMOTING, RESTARTING, Role, SWITCH, TRANSITION, UNRECOVERABLE, View};
use super::{Condition, Restart, Shared, Stuck, Token};
use crate::determinism::EPOCH;
use crate::servers::postgres::{Control, Snapshot, State};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

/// The operator looks at `pg_controldata` of a demotion this often, beside the moments at which something changed.
const DEMOTION_LOOK: Duration = Duration::from_secs(10);
/// It asks whether a restart in place is through only after this long.
const RESTART_LOOK: Duration = Duration::from_millis(5_150);

const AFTER_CREATION: &str = "ReplicaClusterAfterCreation";

impl Shared {
    pub(super) async fn reconcile(&self) {
        loop {
            let mark = self.mark();
            let Some(view) = self.view() else {
                self.moved_on(mark, None).await;
                continue;
            };
            let instance = self.instance.snapshot();
            if !self.step(&view, &instance).await {
                self.moved_on(mark, self.due()).await;
            }
        }
    }

    /// When to look again although nothing changed.
    fn due(&self) -> Option<Duration> {
        let memory = self.memory();
        let restart = memory.restart.map(|restart| restart.ordered + RESTART_LOOK);
        let demotion = Some(memory.next_demotion_look);
        [restart, demotion].into_iter().flatten().filter(|due| *due > self.now()).min()
    }

    /// Does one thing. `false`: there is nothing to do.
    async fn step(&self, view: &View, instance: &Snapshot) -> bool {
        if view.promotion_token.is_none() && view.last_promotion_token.is_some() {
            self.pause(50..=100).await;
            self.set_status(json!({"lastPromotionToken": null}), &[], "operator");
            return true;
        }
        if view.role == Role::Primary && view.demotion_token.is_some() {
            self.pause(40..=150).await;
            self.set_status(json!({"demotionToken": null}), &[], "operator");
            return true;
        }
        if self.finish_restart(view).await {
            return true;
        }
        if view.should_promote() {
            if view.phase == PROMOTING || view.phase == UNRECOVERABLE {
                return false;
            }
            self.pause(60..=150).await;
            self.set_phase(PROMOTING, Some("Replica cluster promotion in progress"), Some(false), "operator");
            return true;
        }
        if view.role == Role::Replica && !view.in_progress && self.reports_primary(instance) {
            self.begin_demotion().await;
            return true;
        }
        if view.in_progress {
            return self.go_on_with_demotion(view, instance).await;
        }
        self.order_restart(view, instance).await
    }

    /// Fences, and says that a demotion is under way.
    async fn begin_demotion(&self) {
        self.pause(130..=260).await;
        // The role may have been changed back; until now nothing forbids it.
        let Some(view) = self.view().filter(|view| view.role == Role::Replica) else { return };
        if !view.fenced {
            self.set_fence(true);
            self.pause(20..=60).await;
        }
        let why = "Enabled external cluster after a node was generated";
        self.change(|memory| memory.token_made = false);
        self.set_status(
            json!({"switchReplicaClusterStatus": {"inProgress": true}}),
            &[
                (TRANSITION, Some(Condition::new(false, AFTER_CREATION, why))),
                (FENCING, Some(Condition::new(true, AFTER_CREATION, why))),
                (
                    SWITCH,
                    Some(Condition::new(false, "ReplicaEnabledSetTrue", "Starting the Replica cluster transition")),
                ),
            ],
            "operator",
        );
    }

    async fn go_on_with_demotion(&self, view: &View, instance: &Snapshot) -> bool {
        if self.memory().knobs.stuck.contains(&Stuck::AtDemotion) {
            return false;
        }
        if view.transition != Some(true) {
            if !view.fenced {
                self.pause(100..=200).await;
                self.set_fence(true);
                return true;
            }
            return false;
        }
        if !self.memory().token_made {
            return self.look_for_shutdown(instance).await;
        }
        if view.fenced {
            self.pause(25..=60).await;
            self.set_fence(false);
            return true;
        }
        self.pause(20..=50).await;
        self.change(|memory| memory.demoted_at = Some(self.now()));
        self.set_status(
            json!({"switchReplicaClusterStatus": {"inProgress": null}}),
            &[
                (TRANSITION, None),
                (FENCING, None),
                (
                    SWITCH,
                    Some(Condition::new(true, "ReplicaEnabledSetTrue", "Completed the Replica cluster transition")),
                ),
            ],
            "operator",
        );
        true
    }

    /// Reads `pg_controldata`. Where PostgreSQL did not shut down cleanly it never says so, and the demotion stays.
    async fn look_for_shutdown(&self, instance: &Snapshot) -> bool {
        let now = self.now();
        let shut_down = instance.alive
            && instance.state == State::Stopped
            && matches!(instance.control, Control::ShutDown | Control::ShutDownInRecovery);
        if !shut_down {
            if self.memory().next_demotion_look <= now {
                self.change(|memory| memory.next_demotion_look = now + DEMOTION_LOOK);
            }
            return false;
        }
        self.dawdle(|knobs| knobs.demotion_extra).await;
        self.pause(130..=180).await;
        let (timeline, redo) = instance.checkpoint.unwrap_or((instance.timeline, instance.end));
        let at = Timestamp::from_second((EPOCH + self.now()).as_secs().cast_signed()).unwrap_or_default();
        let token = Token::new(timeline, redo, &self.instance.system_id(), at).encode();
        let dropped = self.change(|memory| {
            memory.token_made = true;
            std::mem::take(&mut memory.knobs.drop_token)
        });
        if !dropped {
            self.set_status(json!({"demotionToken": token}), &[], "operator");
        }
        true
    }

    /// A primary that waits for a restart is restarted in place.
    async fn order_restart(&self, view: &View, instance: &Snapshot) -> bool {
        let wanted = view.role == Role::Primary
            && instance.alive
            && instance.state == State::Running
            && !instance.in_recovery
            && instance.pending_restart
            && !view.fenced
            && self.memory().restart.is_none();
        if !wanted {
            return false;
        }
        let with_token = view.promotion_token.is_some();
        let early_ready_percent = self.memory().knobs.early_ready_percent;
        if with_token && self.chance(early_ready_percent) {
            // Seen once: healthy and Ready for a moment, before the configuration is found to have changed.
            self.pause(230..=280).await;
            self.report();
            self.pause(30..=60).await;
            self.set_phase(HEALTHY, None, Some(true), "operator");
            self.pause(150..=300).await;
            self.set_phase(
                super::view::APPLYING,
                Some("PostgreSQL configuration changed"),
                Some(false),
                "instance-manager",
            );
        } else if with_token {
            self.pause(150..=280).await;
            self.set_phase(
                super::view::APPLYING,
                Some("PostgreSQL configuration changed"),
                Some(false),
                "instance-manager",
            );
            self.pause(270..=400).await;
            self.report();
        } else {
            self.pause(150..=220).await;
            self.report();
            self.pause(30..=60).await;
            self.set_phase(
                super::view::APPLYING,
                Some("PostgreSQL configuration changed"),
                Some(false),
                "instance-manager",
            );
        }
        self.pause(40..=110).await;
        let reason = "Postgres needs a restart to apply some configuration changes";
        self.set_phase(RESTARTING, Some(reason), None, "operator");
        self.change(|memory| memory.restart = Some(Restart { ordered: self.now(), done: None }));
        true
    }

    async fn finish_restart(&self, view: &View) -> bool {
        let Some(Restart { ordered, done: Some(done) }) = self.memory().restart else { return false };
        let now = self.now();
        if now < ordered + RESTART_LOOK || now < done {
            return false;
        }
        self.pause(0..=120).await;
        self.change(|memory| memory.restart = None);
        if view.phase == RESTARTING {
            self.set_phase(HEALTHY, Some("Primary instance restarted in-place"), Some(true), "operator");
            self.pause(150..=240).await;
            self.set_status(json!({"phaseReason": Value::Null}), &[], "operator");
        }
        true
    }
}
