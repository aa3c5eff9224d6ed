//! The events that a controller owes the stream, beside the one that step 7 publishes.

use super::Controller;
use super::facts::{LeaseNews, configuration, lease_news, replication};
use crate::audit::{self, About, Event};
use crate::clock::within;
use crate::observe::CopyView;
use crate::ports::Outcome;
use crate::record::Record;
use crate::spec::Spec;
use crate::status;
use crate::term::WITNESS_LIMIT;
use crate::transition;
use serde_json::{Value, json};
use std::time::Duration;

impl Controller {
    /// Publishes the events that the record owes, in order.
    pub(super) async fn pay(&self, record: &Record) {
        let Some(last) = &record.last else { return };
        // Without a stream they stay owed: what nobody took is not paid.
        if self.observers.audit.is_none() || self.actors.audit.is_none() {
            return;
        }
        for event in &last.owed {
            if !self.publish_once(event.clone()).await {
                return;
            }
            let (me, id) = (self.me.clone(), event.message_id.clone());
            if let Some(keeper) = &self.keeper
                && let Err(cause) = keeper.update(move |record| transition::paid(record, &me, &id)).await
            {
                tracing::warn!(%cause, "a paid event was not written down");
                return;
            }
        }
    }

    /// Publishes an event unless the stream has it. Whether it is there now. The search comes first,
    /// since a repeat is dropped by the stream only for two minutes.
    pub(super) async fn publish_once(&self, event: Event) -> bool {
        if self.shared().published.contains(&event.message_id) {
            return true;
        }
        let (Some(observe), Some(act)) = (&self.observers.audit, &self.actors.audit) else { return true };
        let query = event.query(&self.name);
        let there = match within(&*self.clock, WITNESS_LIMIT, observe.find(&query)).await {
            Some(Ok(found)) => found.is_some(),
            _ => return false,
        };
        let there = there
            || match within(&*self.clock, WITNESS_LIMIT, act.publish(&event)).await {
                Some(Outcome::Done(sequence)) => {
                    tracing::info!(kind = event.body.kind.as_str(), sequence, "event acknowledged");
                    true
                }
                _ => false,
            };
        if there {
            self.shared().published.push(event.message_id);
        }
        there
    }

    /// Events that follow from the resource and the record, once each.
    pub(super) async fn tell_events(&self, copy: &CopyView, spec: &Spec) {
        let about = About { continuum: &self.name, application: &spec.application };
        let now = self.clock.wall();
        let mut events = vec![audit::cr_created(about, spec, &self.me, &copy.uid, now)];
        let record = self.record();
        events.extend(record.as_ref().and_then(|record| self.lease_event(about, record, spec)));
        if record.as_ref().is_none_or(|r| !r.held_by(&self.me)) {
            self.shared().lag_breach = None;
        }
        if let Some(record) = record.as_ref().filter(|r| r.held_by(&self.me)) {
            events.push(audit::lease_acquired(about, &self.me, record.generation, now));
            events.extend(self.lag_event(about, record, spec));
            if let Some(intent) = record.intent.as_ref().filter(|i| i.step(1).finished_at.is_some()) {
                let (lag, _) = replication(Some(record), &self.shared().halves);
                events.push(audit::promotable(intent, lag.map(whole_seconds), intent.started_at));
            } else if record.intent.is_none()
                && let (_, Some(true)) = replication(Some(record), &self.shared().halves)
                && let Some(primary) = status::acting_primary(record)
            {
                let fact = format!("{}.{}", record.generation, record.sequence);
                events.push(audit::reconcile_success(about, &primary, &fact, now));
            }
        }
        for interference in self.driver.iter().flat_map(|driver| driver.progress().interference) {
            events.push(audit::interference(about, &interference.fact(), &interference.to_string(), now));
        }
        let mut owed = 0;
        for event in events {
            if owed > 0 || !self.publish_once(event).await {
                owed += 1;
            }
        }
        self.tell_drift(copy, spec, about).await;
        let mut shared = self.shared();
        shared.owed_count = owed;
        if owed == 0 && record.is_some_and(|record| !record.held_by(&self.me)) {
            // It was handed on, or its loss was told: what happens to it from now on is another's.
            shared.had_lease = None;
        }
    }

    /// `continuum-lease-lost` and `continuum-lease-collision`, where this process lost the lease that it had.
    fn lease_event(&self, about: About<'_>, record: &Record, spec: &Spec) -> Option<Event> {
        let left = self.keeper.as_ref()?.term().left;
        let mut shared = self.shared();
        if record.held_by(&self.me) && !left.is_zero() {
            shared.had_lease = Some(record.generation);
        }
        let now = self.clock.wall();
        Some(match lease_news(&self.me, shared.had_lease, left, record)? {
            LeaseNews::Lost { generation } => audit::lease_lost(about, &self.me, generation, now),
            LeaseNews::Collision { holder, generation } => {
                audit::lease_collision(about, &spec.primary, &holder, generation, now)
            }
        })
    }

    /// `continuum-cnpg-lag-breach`, once for each time that the lag went above the objective.
    fn lag_event(&self, about: About<'_>, record: &Record, spec: &Spec) -> Option<Event> {
        let mut shared = self.shared();
        // A lag that cannot be measured ends no breach, and begins none.
        let lag = replication(Some(record), &shared.halves).0?;
        if lag <= Duration::from_secs(spec.rto_seconds.into()) {
            shared.lag_breach = None;
            return None;
        }
        let since = *shared.lag_breach.get_or_insert_with(|| self.clock.wall());
        Some(audit::lag_breach(about, &self.me, whole_seconds(lag), spec.rto_seconds, since))
    }

    /// `continuum-config-changed`, where what a plan is made of is not what the status remembers.
    async fn tell_drift(&self, copy: &CopyView, spec: &Spec, about: About<'_>) {
        let Some(fingerprint) = configuration(&self.name, spec) else { return };
        let before = copy.status.get("configurationFingerprint").and_then(Value::as_str);
        if before == Some(fingerprint.as_str()) {
            return;
        }
        let Some(record) = self.record() else { return };
        // One region tells it: the two copies have to be changed alike.
        let teller = record.holder.as_ref().unwrap_or(&spec.primary);
        if let Some(before) = before.filter(|_| *teller == self.me) {
            let of = (&self.me, copy.generation);
            let event = audit::config_changed(about, spec, of, (before, &fingerprint), self.clock.wall());
            if !self.publish_once(event).await {
                return;
            }
        }
        self.patch_status(&json!({ "configurationFingerprint": fingerprint })).await;
    }
}

/// A lag as events tell it, s: rounded up, so that one above its objective is told as such.
fn whole_seconds(lag: Duration) -> u64 {
    u64::try_from(lag.as_millis().div_ceil(1000)).unwrap_or(u64::MAX)
}
