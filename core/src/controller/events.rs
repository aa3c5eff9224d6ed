//! The events that a controller owes the stream: those in the record, while it holds it, and those in its own copy's
//! status. What is owed is decided by [`crate::transition`] and [`crate::ledger`]; one task here writes it down, and
//! another pays it, so that a stream that is silent hides nothing that happens meanwhile.

use super::{ATTEND_PAUSE, Controller};
use crate::audit::{About, Event, EventType};
use crate::clock::within;
use crate::ledger::{Facts, Ledger, configuration};
use crate::name::ObjectName;
use crate::observe::{CopyView, replication};
use crate::ports::Outcome;
use crate::publisher::Before;
use crate::record::Record;
use crate::spec::Spec;
use crate::term::WITNESS_LIMIT;
use crate::transition;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The ledger of this process.
pub(super) struct Noted {
    /// As it stands.
    now: Ledger,
    /// As the status has it.
    written: Ledger,
    /// Its events when this process began: a former one may have published any of them.
    inherited: BTreeSet<String>,
    /// The spec that was looked at last, and the configuration that it makes.
    configured: Option<(Arc<Spec>, Option<String>)>,
}

impl Noted {
    fn begin(ledger: Ledger) -> Self {
        let inherited = ledger.owed.iter().map(|event| event.message_id.clone()).collect();
        Self { now: ledger.clone(), written: ledger, inherited, configured: None }
    }

    fn configure(&mut self, name: &ObjectName, spec: &Arc<Spec>) {
        if !self.configured.as_ref().is_some_and(|(known, _)| known == spec) {
            self.configured = Some((spec.clone(), configuration(name, spec)));
        }
    }

    /// What is owed beside the record, as it stands.
    pub(super) fn now(&self) -> &Ledger {
        &self.now
    }
}

/// What the task that pays remembers of the record.
#[derive(Default)]
pub(super) struct Purse {
    /// The generation that this region held when it was looked at last.
    held: Option<u64>,
    /// The record was seen before.
    seen: bool,
    /// Events of which another process may have published any: a former one of this region, or the other region's.
    inherited: BTreeSet<String>,
}

impl Purse {
    /// Takes note of the record: what was owed when this region came to hold it, another may have published. Only the
    /// event of its own coming is new.
    fn look(&mut self, record: &Record, held: bool) {
        let held = held.then_some(record.generation);
        if held != self.held || !self.seen {
            let own = format!("{}:", EventType::LeaseAcquired.as_str());
            let last = format!(":{}", record.generation);
            let is_own = |id: &str| self.seen && id.starts_with(&own) && id.ends_with(&last);
            let owed = record.owed.iter().map(|event| event.message_id.clone());
            self.inherited.extend(owed.filter(|id| !is_own(id)));
        }
        (self.held, self.seen) = (held, true);
    }
}

/// Who may have published one of these before.
fn before(inherited: &BTreeSet<String>, event: &Event) -> Before {
    if inherited.contains(&event.message_id) { Before::Others } else { Before::Us }
}

impl Controller {
    /// Notes what this controller alone can tell of.
    pub(super) async fn note_events(&self) {
        loop {
            if !self.publisher.is_configured() {
                // No event is told, so none is kept; the status tells of the last.
                let refused = self.sequencer.take_refused().pop();
                self.shared().refused(refused);
            } else if let Some((copy, spec)) = self.followed() {
                self.note(&copy, &spec).await;
            }
            within(&*self.clock, self.until_beat(ATTEND_PAUSE), self.to_note.heard()).await;
        }
    }

    /// Publishes what is owed to the audit stream, in order. Without a stream it stays owed: what nobody took is not
    /// paid.
    pub(super) async fn publish(&self) {
        let mut purse = Purse::default();
        loop {
            if self.publisher.is_configured() {
                if let Some(record) = self.record() {
                    let held = record.held_by(&self.me);
                    purse.look(&record, held);
                    if held {
                        self.pay_record(&purse, &record).await;
                    }
                }
                self.pay_ledger().await;
            }
            within(&*self.clock, self.until_beat(ATTEND_PAUSE), self.to_pay.heard()).await;
        }
    }

    /// Puts what became so since into the ledger, and that into the status.
    async fn note(&self, copy: &CopyView, spec: &Arc<Spec>) {
        let view = self.keeper.as_ref().and_then(|keeper| keeper.view());
        let record = view.as_ref().and_then(|view| Some((view.record.as_deref()?, view.read_at)));
        let interferences = self.driver.as_ref().map(|driver| driver.progress().interference).unwrap_or_default();
        let refused = self.sequencer.take_refused();
        let changed = {
            let mut shared = self.shared();
            shared.refused(refused.last().cloned());
            let (lag, _) = replication(record.map(|(record, _)| record), shared.halves_named(&copy.spec));
            let phase = shared.phase.clone();
            let noted = shared.noted.get_or_insert_with(|| Noted::begin(Ledger::of(&copy.status.read())));
            noted.configure(&self.name, spec);
            let configuration = noted.configured.as_ref().and_then(|(_, configuration)| configuration.as_deref());
            noted.now.note(&Facts {
                me: &self.me,
                name: &self.name,
                copy,
                spec,
                configuration,
                record,
                lapse: self.keeper.as_ref().and_then(|keeper| keeper.lapse()),
                lag,
                phase: phase.as_deref(),
                interferences: &interferences,
                now: self.clock.wall(),
            });
            let about = About { continuum: &self.name, application: &spec.application };
            for order in refused {
                noted.now.owe_refusal(order.event(about));
            }
            let changed = (noted.now != noted.written).then(|| noted.now.clone());
            shared.changes += u64::from(changed.is_some());
            changed
        };
        if let Some(ledger) = changed
            && matches!(self.patch_status(&ledger.patch()).await, Outcome::Done(()))
            && let Some(noted) = &mut self.shared().noted
        {
            noted.written = ledger;
            self.to_pay.ring();
        }
    }

    /// Publishes the events that the record owes.
    async fn pay_record(&self, purse: &Purse, record: &Record) {
        let Some(keeper) = &self.keeper else { return };
        for event in &record.owed {
            if !self.is_taken(event, before(&purse.inherited, event)).await {
                return;
            }
            let (me, id) = (self.me.clone(), event.message_id.clone());
            if let Err(cause) = keeper.update(move |record| transition::paid(record, &me, &id)).await {
                tracing::warn!(%cause, "a paid event was not written down");
                return;
            }
        }
    }

    /// Publishes the events that the status says are owed: only what is written down there.
    async fn pay_ledger(&self) {
        let owed: Vec<_> = {
            let shared = self.shared();
            let Some(noted) = &shared.noted else { return };
            // Both regions see what somebody else wrote.
            let by_both = |event: &Event| event.body.reason == "interference";
            let before = |event| if by_both(event) { Before::Others } else { before(&noted.inherited, event) };
            noted.written.owed.iter().map(|event| (event.clone(), before(event))).collect()
        };
        for (event, before) in owed {
            if !self.is_taken(&event, before).await {
                return;
            }
            if let Some(noted) = &mut self.shared().noted {
                noted.now.paid(&event.message_id);
                self.to_note.ring();
            }
        }
    }

    async fn is_taken(&self, event: &Event, before: Before) -> bool {
        let outcome = self.publisher.publish(event, before, WITNESS_LIMIT).await;
        if let Outcome::NotApplied(cause) | Outcome::Refused(cause) | Outcome::Unknown(cause) = &outcome {
            tracing::debug!(id = %event.message_id, %cause, "an event stays owed");
        }
        matches!(outcome, Outcome::Done(()))
    }
}
