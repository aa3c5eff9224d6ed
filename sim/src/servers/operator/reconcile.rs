//! The operator proper: one thing at a time, each from what the object and the instance show.

use super::database::Status;
use super::hand::{Condition, Hand};
use super::manager::RESTARTED;
use super::view::{APPLYING, FENCING, HEALTHY, PROMOTING, RESTARTING, Role, SWITCH, TRANSITION, UNRECOVERABLE, View};
use super::{Stuck, Token};
use crate::servers::postgres::{Control, State};
use serde_json::{Value, json};
use std::time::Duration;

/// The operator looks at `pg_controldata` of a demotion this often, beside the moments at which something changed.
const DEMOTION_LOOK: Duration = Duration::from_secs(10);
/// A restart in place was ordered: why.
const PENDING_RESTART: &str = "Postgres needs a restart to apply some configuration changes";
const CHANGED: &str = "PostgreSQL configuration changed";
const AFTER_CREATION: &str = "ReplicaClusterAfterCreation";

impl Hand {
    pub(super) async fn reconcile(&self) {
        loop {
            let mark = self.mark();
            let Some(view) = self.view() else {
                self.moved_on(mark, None).await;
                continue;
            };
            let instance = self.instance.status();
            if !self.step(&view, &instance).await {
                self.moved_on(mark, self.due()).await;
            }
        }
    }

    /// When to look again although nothing changed.
    fn due(&self) -> Option<Duration> {
        Some(self.memory().next_demotion_look).filter(|due| *due > self.now())
    }

    /// Does one thing. `false`: there is nothing to do.
    async fn step(&self, view: &View, instance: &Status) -> bool {
        if view.disabled {
            return false;
        }
        if view.promotion_token.is_none() && view.last_promotion_token.is_some() {
            self.pause(30..=80).await;
            self.set_status(json!({"lastPromotionToken": null}), &[]).await;
            return true;
        }
        if view.role == Role::Primary && view.demotion_token.is_some() {
            self.pause(20..=130).await;
            self.set_status(json!({"demotionToken": null}), &[]).await;
            return true;
        }
        if view.phase == HEALTHY && view.phase_reason.as_deref() == Some(RESTARTED) {
            self.pause(130..=220).await;
            self.set_status(json!({"phaseReason": Value::Null}), &[]).await;
            return true;
        }
        if view.target_primary.as_ref() != Some(&self.pod_name()) {
            self.pause(120..=220).await;
            self.set_status(json!({"targetPrimary": self.pod_name()}), &[]).await;
            return true;
        }
        if view.should_promote() {
            if view.phase == PROMOTING || view.phase == UNRECOVERABLE {
                return false;
            }
            self.pause(40..=130).await;
            self.set_phase(PROMOTING, Some("Replica cluster promotion in progress"), Some(false)).await;
            return true;
        }
        if view.role == Role::Replica {
            return match view.transition {
                Some(true) => self.go_on_with_demotion(view, instance).await,
                // The instance manager has to do its part.
                Some(false) => false,
                None if self.has_pod() && self.reports_primary(instance) => {
                    self.begin_demotion().await;
                    true
                }
                None => false,
            };
        }
        self.order_restart(view, instance).await
    }

    /// The half has a pod that is not on its way out.
    pub(super) fn has_pod(&self) -> bool {
        self.pod().is_some_and(|pod| pod["metadata"]["deletionTimestamp"].is_null())
    }

    /// Fences, and says that a demotion is under way.
    async fn begin_demotion(&self) {
        self.pause(100..=230).await;
        self.as_recorded(2_500).await;
        // The role may have been changed back; until now nothing forbids it.
        let Some(view) = self.view().filter(|view| view.role == Role::Replica) else { return };
        if !view.fenced && !self.set_fence(true).await {
            return;
        }
        let why = "Enabled external cluster after a node was generated";
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
        )
        .await;
    }

    /// The instance manager has done its part: the token, and then the end. As the real one does it, the fence is not
    /// put on again where somebody took it off: PostgreSQL runs then, `pg_controldata` never says shut down, and the
    /// demotion stays (seen in the traces, 16k).
    async fn go_on_with_demotion(&self, view: &View, instance: &Status) -> bool {
        if self.memory().knobs.stuck.contains(&Stuck::AtDemotion) || !self.has_pod() {
            return false;
        }
        if !self.is_seen_shut_down(instance) {
            let now = self.now();
            if self.memory().next_demotion_look <= now {
                let next = now + self.built_in(DEMOTION_LOOK);
                self.change(|memory| memory.next_demotion_look = next);
            }
            return false;
        }
        self.dawdle(|knobs| knobs.demotion_extra).await;
        self.as_recorded(5_500).await;
        self.pause(100..=150).await;
        // The control file is read in the pod when its turn comes, and its last WAL is archived there. Where somebody
        // lifted the fence meanwhile PostgreSQL runs.
        let instance = &self.instance.status();
        if !self.has_pod() || !self.is_seen_shut_down(instance) {
            return true;
        }
        let Some((timeline, redo)) = instance.checkpoint else { return true };
        let token = Token::new(timeline, redo, &self.instance.system_id(), self.wall());
        let known = view.demotion_token.as_deref().and_then(Token::decode).is_some_and(|known| known.is_same(&token));
        let dropped = std::mem::take(&mut self.memory().knobs.drop_token);
        if !known && !dropped && !self.set_status(json!({"demotionToken": token.encode()}), &[]).await {
            return true;
        }
        self.pause(0..=30).await;
        self.as_recorded(2_100).await;
        if view.fencing && view.fenced && !self.set_fence(false).await {
            return true;
        }
        // PostgreSQL starts meanwhile. Where this write is lost the next look finds it running, and the demotion never
        // ends: `reconcileDemotionToken` asks for a PostgreSQL that is shut down before it cleans up, token or not.
        self.pause(0..=20).await;
        self.as_recorded(1_200).await;
        self.dawdle(|knobs| knobs.last_write_extra).await;
        let completed = Condition::new(true, "ReplicaEnabledSetTrue", "Completed the Replica cluster transition");
        self.set_status(
            json!({"switchReplicaClusterStatus": {"inProgress": null}}),
            &[(TRANSITION, None), (FENCING, None), (SWITCH, Some(completed))],
        )
        .await;
        true
    }

    fn is_seen_shut_down(&self, instance: &Status) -> bool {
        let shut_down = matches!(instance.control, Control::ShutDown | Control::ShutDownInRecovery);
        instance.alive && self.memory().manager_up && shut_down
    }

    /// A primary that waits for a restart is restarted in place.
    async fn order_restart(&self, view: &View, instance: &Status) -> bool {
        let through = view.phase == PROMOTING && !instance.pending_restart;
        if through && instance.alive && instance.state == State::Running && !instance.in_recovery {
            self.pause(150..=280).await;
            self.report().await;
            self.set_phase(HEALTHY, None, Some(true)).await;
            return true;
        }
        let wanted = view.role == Role::Primary
            && instance.alive
            && instance.state == State::Running
            && !instance.in_recovery
            && instance.pending_restart
            && !view.fenced
            && view.phase != RESTARTING;
        if !wanted {
            return false;
        }
        self.as_recorded(2_500).await;
        let with_token = view.promotion_token.is_some();
        let early_ready_percent = self.memory().knobs.early_ready_percent;
        if with_token && self.chance(early_ready_percent) {
            // Seen once: healthy and Ready for a moment, before the configuration is found to have changed.
            self.pause(230..=280).await;
            self.report().await;
            self.pause(30..=60).await;
            self.set_phase(HEALTHY, None, Some(true)).await;
            self.pause(150..=300).await;
            self.set_phase(APPLYING, Some(CHANGED), Some(false)).await;
        } else if with_token {
            self.pause(150..=280).await;
            self.set_phase(APPLYING, Some(CHANGED), Some(false)).await;
            self.pause(270..=400).await;
            self.report().await;
        } else {
            self.pause(150..=220).await;
            self.report().await;
            self.pause(30..=60).await;
            self.set_phase(APPLYING, Some(CHANGED), Some(false)).await;
        }
        self.pause(40..=110).await;
        self.set_phase(RESTARTING, Some(PENDING_RESTART), None).await;
        true
    }
}
