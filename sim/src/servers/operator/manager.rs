//! The instance manager: what it does to PostgreSQL. One thing at a time: while it restarts PostgreSQL in place, or
//! waits for it after an unfencing, it sees neither a fence nor a promotion. Several of the recorded surprises are
//! that, and nothing else.

use super::database::Status;
use super::hand::{Condition, Hand};
use super::view::{HEALTHY, RESTARTING, Role, TRANSITION, View};
use crate::servers::kube_api::CLUSTERS;
use crate::servers::postgres::{Configuration, Order, Shutdown, State, Synchronous};
use futures_util::future::{Either, select};
use serde_json::json;
use std::ops::RangeInclusive;
use std::pin::pin;
use std::time::Duration;

/// From a container's start to the manager's first look at its Cluster, ms.
const BOOT_MS: RangeInclusive<u64> = 800..=1_000;
/// After it lifted a fence a manager asks whether PostgreSQL is up, at once and after 5 s, and then sleeps for 20 s
/// (`RequestAndWaitFencingOff`), ms.
const DEAF_MS: RangeInclusive<u64> = 24_400..=25_200;
/// Seen too: PostgreSQL was up before the 5 s were over, ms.
const DEAF_AT_LEAST_MS: RangeInclusive<u64> = 21_000..=24_400;
/// After a restart in place it asks at once and after 5 s, too, ms.
const RESTART: Duration = Duration::from_millis(5_130);
/// After a restart in place a start takes longer for this long.
const RESTART_MEMORY: Duration = Duration::from_secs(10);
/// A manager that must wait for its Cluster to be otherwise looks again after this, ms.
const LATER_MS: RangeInclusive<u64> = 980..=1_050;

impl Hand {
    /// The container's main process, to its end. One that the world began with runs already.
    pub(super) async fn run_manager(&self, runs: bool) {
        if runs {
            self.begin_with_the_world().await;
        } else {
            self.boot().await;
        }
        self.change(|memory| memory.manager_up = true);
        let ended = async {
            loop {
                let mark = self.mark();
                if self.memory().expects_running && self.instance.status().state == State::Stopped {
                    return;
                }
                self.moved_on(mark, None).await;
            }
        };
        // It ends where its PostgreSQL ends by itself, also while it is deaf.
        select(pin!(ended), pin!(self.manage())).await;
    }

    async fn manage(&self) {
        loop {
            let mark = self.mark();
            let Some(view) = self.view() else {
                self.moved_on(mark, None).await;
                continue;
            };
            let instance = self.instance.status();
            match self.care_for(&view, &instance).await {
                Cared::Yes => {}
                Cared::ToTheEnd => return,
                Cared::No => {
                    let due = self.memory().promotion.as_ref().filter(|p| !p.refused).map(|p| p.next_look);
                    self.moved_on(mark, due.filter(|due| *due > self.now())).await;
                }
            }
        }
    }

    /// Does one thing.
    async fn care_for(&self, view: &View, instance: &Status) -> Cared {
        let stopped = instance.state == State::Stopped;
        if view.fenced && !stopped {
            self.pause(90..=160).await;
            self.as_recorded(400).await;
            self.report_in(60..=160);
            self.stop(Shutdown::Fast, view.switchover_delay).await;
            return Cared::Yes;
        }
        if view.fenced && view.role == Role::Replica && view.transition == Some(false) {
            self.become_standby().await;
            return Cared::Yes;
        }
        if !view.fenced && stopped {
            self.start(view, instance).await;
            return Cared::Yes;
        }
        if view.fenced {
            return Cared::No;
        }
        if view.target_primary.as_ref() != Some(&self.pod_name()) && !instance.standby_signal {
            // A former primary ends; its container starts again, and waits until it is the target.
            self.pause(60..=160).await;
            self.stop(Shutdown::Fast, view.switchover_delay).await;
            return Cared::ToTheEnd;
        }
        if view.phase == RESTARTING && view.role == Role::Primary {
            self.restart(view).await;
            return Cared::Yes;
        }
        if self.apply_configuration(view, instance).await || self.promote(view, instance).await {
            return Cared::Yes;
        }
        match view.role == Role::Primary && self.follow_secret(view, instance).await {
            true => Cared::Yes,
            false => Cared::No,
        }
    }

    /// It has run for long: what it would set, it has set.
    async fn begin_with_the_world(&self) {
        while self.view().is_none() {
            let mark = self.mark();
            self.moved_on(mark, None).await;
        }
        let (Some(view), instance) = (self.view(), self.instance.status()) else { return };
        self.instance.configure(self.desired(&view, instance.standby_signal));
        self.start_now().await;
        self.remember_secret(&view).await;
    }

    /// The container starts. Before PostgreSQL does, its files are brought in line with the Cluster, which has to be
    /// read first: without the API server it waits.
    async fn boot(&self) {
        self.change(|memory| {
            memory.expects_running = false;
            memory.promotion = None;
            memory.secret_version = None;
        });
        self.pause(BOOT_MS).await;
        self.as_recorded(2_500).await;
        loop {
            let Ok(cluster) = self.api.read(&CLUSTERS, &self.object.name).await else {
                self.pause(LATER_MS).await;
                continue;
            };
            let (view, instance) = (View::of(&cluster), self.instance.status());
            let standby = instance.standby_signal || view.role == Role::Replica;
            if !standby && view.target_primary.as_ref() != Some(&self.pod_name()) {
                self.pause(LATER_MS).await;
                continue;
            }
            let converted = standby && !instance.standby_signal;
            self.instance.configure(Configuration { standby, ..self.desired(&view, instance.standby_signal) });
            // From here on it answers. Where it is fenced, with PostgreSQL down.
            self.change(|memory| memory.manager_up = true);
            if view.fenced {
                self.report_in(300..=600);
                return;
            }
            if instance.standby_signal {
                self.pause(150..=370).await
            } else {
                self.pause(50..=90).await
            }
            self.instance.configure(self.desired(&view, standby));
            // Not an unfencing: it is not deaf after it.
            self.start_now().await;
            if converted {
                self.report_in(300..=400);
            }
            return;
        }
    }

    /// Stops PostgreSQL, at once where it does not end within `limit`.
    pub(super) async fn stop(&self, mode: Shutdown, limit: Duration) {
        self.change(|memory| memory.expects_running = false);
        self.instance.order(Order::Stop(mode));
        let stopped = self.instance_is(State::Stopped);
        if let Either::Right(_) = select(pin!(stopped), pin!(tokio::time::sleep(limit))).await {
            self.instance.order(Order::Stop(Shutdown::Immediate));
            self.instance_is(State::Stopped).await;
        }
    }

    /// Lifts the fence.
    async fn start(&self, view: &View, instance: &Status) {
        let shorter = self.memory().knobs.times_recorded && self.chance(50);
        let deaf = self.pick(if shorter { DEAF_AT_LEAST_MS } else { DEAF_MS });
        let hears_again = self.now() + self.built_in(deaf);
        let as_primary = !instance.standby_signal;
        let now = self.now();
        let restarted = self.memory().restarted_at.is_some_and(|at| now.saturating_sub(at) < RESTART_MEMORY);
        match (as_primary, restarted) {
            (true, _) => self.pause(50..=90).await,
            (false, true) => self.pause(1_500..=4_400).await,
            (false, false) => self.pause(150..=370).await,
        }
        self.instance.configure(self.desired(view, instance.standby_signal));
        self.start_now().await;
        if as_primary && view.role == Role::Replica {
            // The operator is at work on the demotion, and reads the report at once. Whatever the spec says,
            // PostgreSQL takes writes until the manager hears again.
            self.report_in(60..=140);
        }
        tokio::time::sleep(hears_again.saturating_sub(self.now())).await;
    }

    /// Until it runs, or has ended again: then so does its manager.
    async fn start_now(&self) {
        self.instance.order(Order::Start);
        self.instance.watch(|instance| (instance.state != State::Stopped || !instance.alive).then_some(())).await;
        self.change(|memory| memory.expects_running = true);
        self.instance.watch(|instance| (instance.state != State::Starting || !instance.alive).then_some(())).await;
    }

    /// The designated primary's transition: the fenced primary becomes a standby in its files.
    async fn become_standby(&self) {
        self.pause(40..=220).await;
        let Some(view) = self.view().filter(|view| view.role == Role::Replica) else { return };
        self.instance.configure(self.desired(&view, true));
        self.report_in(20..=150);
        self.pause(30..=150).await;
        let done = "Instance Manager has completed the DesignatedPrimary transition";
        let completed = Condition::new(true, "TransitionCompleted", done);
        self.set_status(json!({}), &[(TRANSITION, Some(completed))]).await;
    }

    /// Restarts PostgreSQL in place: smart, then fast. Nothing is heard until that is through and 5 s are over.
    async fn restart(&self, view: &View) {
        let begun = self.now();
        self.pause(150..=240).await;
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
        self.instance.configure(self.desired(view, false));
        self.start_now().await;
        self.report_in(250..=700);
        let now = self.now();
        self.change(|memory| memory.restarted_at = Some(now));
        let hears_again = begun + self.built_in(RESTART);
        let least = now + Duration::from_millis(50);
        tokio::time::sleep(hears_again.max(least).saturating_sub(self.now())).await;
        if self.view().is_some_and(|view| view.phase == RESTARTING) {
            self.set_phase(HEALTHY, Some(RESTARTED), Some(true)).await;
        }
    }

    /// Writes configuration files that the spec wants otherwise.
    async fn apply_configuration(&self, view: &View, instance: &Status) -> bool {
        if instance.state != State::Running
            || self.instance.configuration() == self.desired(view, instance.standby_signal)
        {
            return false;
        }
        self.pause(80..=180).await;
        let standby = self.instance.status().standby_signal;
        if let Some(view) = self.view() {
            self.instance.configure(self.desired(&view, standby));
        }
        true
    }

    /// The configuration that a spec asks for.
    fn desired(&self, view: &View, standby: bool) -> Configuration {
        let always = view.role == Role::Replica || self.memory().knobs.archive_mode_stays;
        let synchronous = view
            .synchronous
            .clone()
            .map_or_else(Synchronous::default, |(standbys, required)| Synchronous { standbys, required });
        Configuration {
            archive_mode: if always { "always" } else { "on" }.into(),
            synchronous,
            standby,
            limits: view.limits,
            wal_sender_timeout: view.wal_sender_timeout,
        }
    }
}

/// The reason that a restart in place leaves beside a healthy phase for a moment.
pub(super) const RESTARTED: &str = "Primary instance restarted in-place";

enum Cared {
    /// One thing was done.
    Yes,
    /// There is nothing to do.
    No,
    /// The instance manager ends.
    ToTheEnd,
}
