//! The instance manager: what it does to PostgreSQL. One thing at a time: while it restarts PostgreSQL in place, or
//! waits for it after an unfencing, it sees neither a fence nor a promotion. Several of the recorded surprises are
//! that, and nothing else.

use super::view::{HEALTHY, Role, TRANSITION, UNRECOVERABLE, View};
use super::{Condition, Promotion, Shared, Stuck, Token};
use crate::servers::kube_api::SECRETS;
use crate::servers::postgres::{Configuration, Order, Shutdown, Snapshot, State, Synchronous};
use continuum_core::record::Lsn;
use futures_util::future::{Either, select};
use serde_json::json;
use std::pin::pin;
use std::time::Duration;

/// A promotion whose token was not replayed to is looked at again after this, ms.
const LOOK_AGAIN_MS: std::ops::RangeInclusive<u64> = 10_300..=10_700;
/// The Lease of a Cluster that was primary until just now is free this long after it is wanted again, ms.
const LEASE_MS: std::ops::RangeInclusive<u64> = 14_200..=14_700;
/// ... where the demotion ended less than this before.
const LEASE_MEMORY: Duration = Duration::from_secs(30);
/// A manager that started PostgreSQL as a primary under a spec that says replica sees no fence for this long.
const BLOCKED_MS: std::ops::RangeInclusive<u64> = 15_000..=21_000;
/// After a restart in place a start takes longer for this long.
const RESTART_MEMORY: Duration = Duration::from_secs(10);

impl Shared {
    pub(super) async fn manage(&self) {
        loop {
            let mark = self.mark();
            let Some(view) = self.view() else {
                self.moved_on(mark, None).await;
                continue;
            };
            let instance = self.instance.snapshot();
            if !self.care_for(&view, &instance).await {
                let due = self.memory().promotion.as_ref().filter(|p| !p.refused).map(|p| p.next_look);
                self.moved_on(mark, due.filter(|due| *due > self.now())).await;
            }
        }
    }

    /// Does one thing. `false`: there is nothing to do.
    async fn care_for(&self, view: &View, instance: &Snapshot) -> bool {
        if !instance.alive {
            self.change_if(|memory| std::mem::replace(&mut memory.manager_up, false));
            return false;
        }
        if !self.memory().manager_up {
            self.boot(2_000..=2_500).await;
            return true;
        }
        let stopped = instance.state == State::Stopped;
        if stopped && self.memory().expects_running {
            // PostgreSQL ended by itself. So does its manager, and the container starts again.
            self.change(|memory| memory.manager_up = false);
            self.boot(2_650..=2_850).await;
            return true;
        }
        if self.restart(view).await {
            return true;
        }
        if view.fenced && !stopped {
            self.pause(110..=190).await;
            self.report_in(60..=160);
            self.stop(Shutdown::Fast, view.switchover_delay).await;
            return true;
        }
        if view.fenced && view.role == Role::Replica && view.transition == Some(false) {
            self.become_standby().await;
            return true;
        }
        if !view.fenced && stopped {
            self.start(view, instance).await;
            return true;
        }
        if self.apply_configuration(view, instance).await {
            return true;
        }
        self.promote(view, instance).await
    }

    fn change_if(&self, f: impl FnOnce(&mut super::Memory) -> bool) {
        let changed = f(&mut self.memory());
        if changed {
            self.change(|_| ());
        }
    }

    /// The container starts. Before PostgreSQL does, its files are brought in line with the spec.
    async fn boot(&self, ms: std::ops::RangeInclusive<u64>) {
        self.pause(ms).await;
        let instance = self.instance.snapshot();
        if !instance.alive {
            return;
        }
        if let Some(view) = self.view() {
            let standby = instance.standby_signal || (view.role == Role::Replica && !view.in_progress);
            let converted = standby && !instance.standby_signal;
            self.change(|memory| memory.report_after_start = converted);
            self.instance.configure(Configuration { standby, ..desired(&view, instance.standby_signal) });
        }
        let now = self.now();
        self.change(|memory| {
            memory.manager_up = true;
            memory.expects_running = false;
            // Whatever was ordered, PostgreSQL starts anew now.
            memory.restart = memory.restart.map(|restart| super::Restart { done: Some(now), ..restart });
            memory.promotion = None;
        });
    }

    /// Stops PostgreSQL, at once where it does not end within `limit`.
    async fn stop(&self, mode: Shutdown, limit: Duration) {
        self.change(|memory| memory.expects_running = false);
        self.instance.order(Order::Stop(mode));
        let stopped = self.instance_is(State::Stopped);
        if let Either::Right(_) = select(pin!(stopped), pin!(tokio::time::sleep(limit))).await {
            self.instance.order(Order::Stop(Shutdown::Immediate));
            self.instance_is(State::Stopped).await;
        }
    }

    async fn start(&self, view: &View, instance: &Snapshot) {
        let as_primary = !instance.standby_signal;
        let now = self.now();
        let restarted = self.memory().restarted_at.is_some_and(|at| now.saturating_sub(at) < RESTART_MEMORY);
        match (as_primary, restarted) {
            (true, _) => self.pause(70..=110).await,
            (false, true) => self.pause(1_500..=4_400).await,
            (false, false) => self.pause(180..=400).await,
        }
        self.instance.configure(desired(view, instance.standby_signal));
        self.start_now().await;
        if std::mem::take(&mut self.memory().report_after_start) {
            self.report_in(300..=400);
        }
        if as_primary && view.role == Role::Replica {
            // The operator is at work on the demotion, and reads the report at once. Whatever the spec says,
            // PostgreSQL takes writes until the manager looks again.
            self.report_in(60..=140);
            self.pause(BLOCKED_MS).await;
        }
    }

    async fn start_now(&self) {
        self.instance.order(Order::Start);
        self.instance.watch(|instance| (instance.state != State::Stopped || !instance.alive).then_some(())).await;
        self.change(|memory| memory.expects_running = true);
        self.instance_is(State::Running).await;
    }

    /// The designated primary's transition: the fenced primary becomes a standby in its files.
    async fn become_standby(&self) {
        self.pause(60..=250).await;
        let Some(view) = self.view().filter(|view| view.role == Role::Replica) else { return };
        self.instance.configure(desired(&view, true));
        self.report_in(20..=150);
        self.pause(50..=180).await;
        let done = "Instance Manager has completed the DesignatedPrimary transition";
        self.set_status(
            json!({}),
            &[(TRANSITION, Some(Condition::new(true, "TransitionCompleted", done)))],
            "instance-manager",
        );
    }

    /// Restarts PostgreSQL in place: smart, then fast.
    async fn restart(&self, view: &View) -> bool {
        let Some(restart) = self.memory().restart else { return false };
        if restart.done.is_some() {
            // Blocked until the operator has looked.
            let until = restart.ordered + Duration::from_millis(5_150);
            tokio::time::sleep(until.saturating_sub(self.now()).max(Duration::from_millis(50))).await;
            return true;
        }
        self.pause(170..=260).await;
        self.report_in(40..=140);
        if view.smart_shutdown_timeout.is_zero() {
            self.stop(Shutdown::Fast, view.switchover_delay).await;
        } else {
            self.change(|memory| memory.expects_running = false);
            self.instance.order(Order::Stop(Shutdown::Smart));
            let stopped = self.instance_is(State::Stopped);
            let limit = tokio::time::sleep(view.smart_shutdown_timeout);
            if let Either::Right(_) = select(pin!(stopped), pin!(limit)).await {
                self.stop(Shutdown::Fast, view.switchover_delay).await;
            }
        }
        self.instance.configure(desired(view, false));
        self.start_now().await;
        self.report_in(20..=550);
        let now = self.now();
        self.change(|memory| {
            memory.restarted_at = Some(now);
            memory.restart = memory.restart.map(|restart| super::Restart { done: Some(now), ..restart });
        });
        true
    }

    /// Writes configuration files that the spec wants otherwise.
    async fn apply_configuration(&self, view: &View, instance: &Snapshot) -> bool {
        if instance.state != State::Running || self.instance.configuration() == desired(view, instance.standby_signal) {
            return false;
        }
        self.pause(100..=200).await;
        let standby = self.instance.snapshot().standby_signal;
        if let Some(view) = self.view() {
            self.instance.configure(desired(&view, standby));
        }
        true
    }

    async fn promote(&self, view: &View, instance: &Snapshot) -> bool {
        if view.role != Role::Primary || view.fenced {
            self.change_if(|memory| memory.promotion.take().is_some());
            return false;
        }
        if !instance.standby_signal {
            let pending = view.should_promote() && instance.state == State::Running && !instance.in_recovery;
            if pending {
                // Already primary when the token came.
                self.promoted(view).await;
            }
            return pending;
        }
        let now = self.now();
        let promotion = self.memory().promotion.clone();
        let Some(promotion) = promotion.filter(|promotion| promotion.token == view.promotion_token) else {
            let recently = self.memory().demoted_at.is_some_and(|at| now.saturating_sub(at) < LEASE_MEMORY);
            let first = if view.promotion_token.is_some() { self.pick(350..=480) } else { self.pick(250..=400) };
            let lease = if recently { self.pick(LEASE_MS) } else { Duration::ZERO };
            let token = view.promotion_token.clone();
            let promotion = Promotion {
                token,
                next_look: now + first,
                lease_free: now + lease,
                waits_for_lease: recently,
                refused: false,
            };
            self.change(|memory| memory.promotion = Some(promotion));
            return true;
        };
        if promotion.refused || promotion.next_look > now {
            return false;
        }
        match self.verify(view, instance, now < promotion.lease_free) {
            Verdict::Promote => {
                self.end_recovery(view, promotion.waits_for_lease).await;
            }
            Verdict::Later if promotion.token.is_none() => {
                let next = promotion.lease_free.max(now + Duration::from_millis(500));
                self.change(|memory| memory.promotion = Some(Promotion { next_look: next, ..promotion }));
            }
            Verdict::Later => {
                let next = now + self.pick(LOOK_AGAIN_MS);
                self.change(|memory| memory.promotion = Some(Promotion { next_look: next, ..promotion }));
            }
            Verdict::Wrong => {
                self.change(|memory| memory.promotion = Some(Promotion { refused: true, ..promotion }));
                let reason = "Promotion token content is not correct for current instance";
                self.set_phase(UNRECOVERABLE, Some(reason), Some(false), "instance-manager");
            }
        }
        true
    }

    /// Whether the token fits, as the real one compares it with `pg_controldata`.
    fn verify(&self, view: &View, instance: &Snapshot, lease_held: bool) -> Verdict {
        if self.memory().knobs.stuck.contains(&Stuck::AtPromotion) || lease_held || instance.state != State::Running {
            return Verdict::Later;
        }
        let Some(token) = &view.promotion_token else { return Verdict::Promote };
        let Some(token) = Token::decode(token) else { return Verdict::Wrong };
        let (timeline, redo) = instance.checkpoint.unwrap_or((instance.timeline, Lsn::default()));
        let wanted = token.timeline.parse::<u32>().unwrap_or_default();
        if token.database_system_identifier != self.instance.system_id() || wanted < timeline {
            return Verdict::Wrong;
        }
        if wanted > timeline || redo < token.redo {
            return Verdict::Later;
        }
        if redo > token.redo { Verdict::Wrong } else { Verdict::Promote }
    }

    async fn end_recovery(&self, view: &View, waited_for_lease: bool) {
        if waited_for_lease {
            // It tries for the Lease every few seconds.
            self.pause(900..=2_400).await;
        }
        self.dawdle(|knobs| knobs.promotion_extra).await;
        self.pause(80..=160).await;
        self.instance.order(Order::Promote);
        self.instance.watch(|instance| (!instance.in_recovery || !instance.alive).then_some(())).await;
        if !self.instance.snapshot().alive {
            return;
        }
        self.change(|memory| memory.promotion = None);
        self.adopt_secret();
        if view.promotion_token.is_some() {
            self.promoted(view).await;
        } else if view.phase == UNRECOVERABLE {
            self.set_phase(HEALTHY, None, None, "operator");
        }
    }

    async fn promoted(&self, view: &View) {
        self.pause(100..=260).await;
        self.set_status(json!({"lastPromotionToken": view.promotion_token}), &[], "instance-manager");
    }

    /// The role's password becomes that of this half's secret, which is made where there is none: every client with
    /// the other half's password is locked out.
    fn adopt_secret(&self) {
        let name = format!("{}-app", self.object.name);
        let namespace = &self.object.namespace;
        let secret = self.store.get(&SECRETS, namespace, &name);
        let password = match &secret {
            Some(secret) => super::secret_password(secret),
            None => {
                let password = format!("{:016x}", self.pick(0..=u64::from(u32::MAX)).as_nanos());
                let secret = super::secret(namespace, &name, &password);
                if let Err(refusal) = self.store.create(&SECRETS, secret, "operator") {
                    tracing::debug!(target: "continuum_sim::operator", %refusal, "secret refused");
                }
                Some(password)
            }
        };
        if let Some(password) = password
            && self.instance.password_of("app").is_some()
            && self.instance.accepts_writes()
        {
            self.instance.set_password("app", &password);
        }
    }
}

enum Verdict {
    Promote,
    Later,
    Wrong,
}

/// The configuration that a spec asks for.
fn desired(view: &View, standby: bool) -> Configuration {
    let archive_mode = if view.role == Role::Replica { "always" } else { "on" };
    let synchronous = view
        .synchronous
        .clone()
        .map_or_else(Synchronous::default, |(standbys, required)| Synchronous { standbys, required });
    Configuration { archive_mode: archive_mode.into(), synchronous, standby }
}
