//! The events that a controller owes the stream, beside the one that step 7 publishes.

use super::Controller;
use super::facts::{configuration, replication};
use crate::audit::{self, About, Event, EventQuery};
use crate::clock::within;
use crate::observe::CopyView;
use crate::ports::Outcome;
use crate::record::Record;
use crate::spec::Spec;
use crate::status;
use crate::term::WITNESS_LIMIT;
use crate::transition;
use serde_json::{Value, json};

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
        let query = EventQuery {
            continuum: self.name.clone(),
            kind: event.body.kind,
            from: None,
            to: None,
            message_id: Some(event.message_id.clone()),
            window_seconds: u32::MAX,
        };
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
        if let Some(record) = record.as_ref().filter(|r| r.held_by(&self.me)) {
            events.push(audit::lease_acquired(about, &self.me, record.generation, now));
            if let Some(intent) = record.intent.as_ref().filter(|i| i.step(1).finished_at.is_some()) {
                let (lag, _) = replication(Some(record), &self.shared().halves);
                events.push(audit::promotable(intent, lag, intent.started_at));
            } else if record.intent.is_none()
                && let (_, Some(true)) = replication(Some(record), &self.shared().halves)
                && let Some(primary) = status::acting_primary(record)
            {
                let fact = format!("{}.{}", record.generation, record.sequence);
                events.push(audit::reconcile_success(about, &primary, &fact, now));
            }
        }
        let mut owed = 0;
        for event in events {
            if owed > 0 || !self.publish_once(event).await {
                owed += 1;
            }
        }
        self.tell_drift(copy, spec, about).await;
        self.shared().owed_count = owed;
    }

    /// `continuum-config-changed`, where what a plan is made of is not what the status remembers.
    async fn tell_drift(&self, copy: &CopyView, spec: &Spec, about: About<'_>) {
        let Some(fingerprint) = configuration(&self.name, spec) else { return };
        let before = copy.status.get("configurationFingerprint").and_then(Value::as_str);
        if before == Some(fingerprint.as_str()) {
            return;
        }
        if let Some(before) = before {
            let event = audit::config_changed(about, spec, before, &fingerprint, self.clock.wall());
            if !self.publish_once(event).await {
                return;
            }
        }
        self.patch_status(&json!({ "configurationFingerprint": fingerprint })).await;
    }
}
