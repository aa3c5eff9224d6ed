//! The events that a controller owes the stream: those in the record, while it holds it, and those in its own copy's
//! status. What is owed is decided by [`crate::transition`] and [`crate::ledger`]; this writes it down and pays it.

use super::{ATTEND_PAUSE, Controller};
use crate::audit::{About, Event, EventType};
use crate::ledger::{Facts, Ledger};
use crate::observe::{CopyView, replication};
use crate::ports::Outcome;
use crate::publisher::Before;
use crate::record::Record;
use crate::spec::Spec;
use crate::term::WITNESS_LIMIT;
use crate::transition;
use std::collections::BTreeSet;

/// What the task that pays remembers.
#[derive(Default)]
pub(super) struct Purse {
    /// The ledger, as the status has it.
    written: Option<Ledger>,
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

    fn before(&self, event: &Event) -> Before {
        if self.inherited.contains(&event.message_id) { Before::Others } else { Before::Us }
    }
}

impl Controller {
    /// Publishes what is owed to the audit stream, in order. Without a stream it stays owed: what nobody took is not
    /// paid.
    pub(super) async fn publish(&self) {
        let mut purse = Purse::default();
        loop {
            if self.publisher.is_configured() {
                if let Some((copy, spec)) = self.followed() {
                    self.write_ledger(&mut purse, &copy, &spec).await;
                }
                if let Some(record) = self.record() {
                    let held = record.held_by(&self.me);
                    purse.look(&record, held);
                    if held {
                        self.pay_record(&purse, &record).await;
                    }
                }
                self.pay_ledger(&mut purse).await;
            }
            self.clock.sleep(ATTEND_PAUSE).await;
        }
    }

    /// Puts what became so since into the ledger, and that into the status.
    async fn write_ledger(&self, purse: &mut Purse, copy: &CopyView, spec: &Spec) {
        let view = self.keeper.as_ref().and_then(|keeper| keeper.view());
        let record = view.as_ref().and_then(|view| Some((view.record.as_ref()?, view.read_at)));
        let interferences = self.driver.as_ref().map(|driver| driver.progress().interference).unwrap_or_default();
        let refused = self.sequencer.take_refused();
        let before = purse.written.get_or_insert_with(|| {
            let ledger = Ledger::of(&copy.status);
            purse.inherited.extend(ledger.owed.iter().map(|event| event.message_id.clone()));
            ledger
        });
        let ledger = {
            let mut shared = self.shared();
            let (lag, _) = replication(record.map(|(record, _)| record), &shared.halves);
            let phase = shared.phase.clone();
            let ledger = shared.ledger.get_or_insert_with(|| before.clone());
            ledger.note(&Facts {
                me: &self.me,
                name: &self.name,
                copy,
                spec,
                record,
                lapse: self.keeper.as_ref().and_then(|keeper| keeper.lapse()),
                lag,
                phase: phase.as_deref(),
                interferences: &interferences,
                now: self.clock.wall(),
            });
            let about = About { continuum: &self.name, application: &spec.application };
            for order in refused {
                ledger.owe_refusal(order.event(about));
            }
            ledger.clone()
        };
        if ledger != *before && self.patch_status(&ledger.patch()).await {
            *before = ledger;
        }
    }

    /// Publishes the events that the record owes.
    async fn pay_record(&self, purse: &Purse, record: &Record) {
        let Some(keeper) = &self.keeper else { return };
        for event in &record.owed {
            if !self.is_taken(event, purse.before(event)).await {
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
    async fn pay_ledger(&self, purse: &mut Purse) {
        let owed = purse.written.as_ref().map(|ledger| ledger.owed.clone()).unwrap_or_default();
        for event in owed {
            // Both regions see what somebody else wrote.
            let shared = event.body.reason == "interference";
            let before = if shared { Before::Others } else { purse.before(&event) };
            if !self.is_taken(&event, before).await {
                return;
            }
            if let Some(ledger) = &mut self.shared().ledger {
                ledger.paid(&event.message_id);
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
