//! The status of a controller's own copy, made of what it knows.

use super::{ATTEND_PAUSE, Controller, UNSEEN_TOLD, facts};
use crate::clock::{Monotonic, within};
use crate::driver::{Driver, Progress};
use crate::ledger::{Ledger, whole_seconds};
use crate::look::limited;
use crate::measures::{Measures, measures};
use crate::name::Region;
use crate::next::finalizers;
use crate::observe::{CopyView, replication};
use crate::ports::Outcome;
use crate::record::{Ended, Record};
use crate::status::{self, Known};
use crate::term::REQUEST_LIMIT;
use serde_json::Value;
use std::time::Duration;

/// Between two tries to hold or let go of the copy, where one failed.
const HOLD_PAUSE: Duration = Duration::from_secs(2);

/// So long a status that stands is not looked at again, where nothing is new.
const STILL_EVERY: Duration = Duration::from_secs(5);

/// See [`Controller::stamp`].
#[derive(PartialEq)]
struct Stamp {
    read_count: u64,
    changes: u64,
    progress: Progress,
}

impl Controller {
    /// Writes the status, whenever it would say something else.
    pub(super) async fn write_statuses(&self) {
        let mut hold_tried = None;
        let mut written: Option<(Stamp, Monotonic)> = None;
        loop {
            let (stamp, now) = (self.stamp(), self.clock.now());
            let stands =
                |(before, at): &(Stamp, Monotonic)| Some(before) == stamp.as_ref() && now.since(*at) < STILL_EVERY;
            if written.as_ref().is_some_and(stands) {
                self.rest(ATTEND_PAUSE).await;
                continue;
            }
            let (copy, waits) = {
                let shared = self.shared();
                let copy = shared.copies.get(&self.me).and_then(|copy| copy.known().cloned());
                let spec = copy.as_ref().and_then(|copy| copy.spec.as_deref().ok());
                let followed = spec.filter(|spec| self.unavailable(spec).is_none());
                // What stands there says more than who has not looked yet.
                let waits = followed.is_some_and(|spec| shared.awaits_halves(spec, self.clock.now()));
                (copy, waits)
            };
            if let Some(copy) = &copy {
                self.keep_finalizer(copy, &mut hold_tried).await;
            }
            let is_written = match copy.filter(|_| !waits) {
                Some(copy) => self.write_status(&copy).await,
                None => false,
            };
            written = stamp.filter(|_| is_written).map(|stamp| (stamp, now));
            self.rest(ATTEND_PAUSE).await;
        }
    }

    /// What is measured now. Absent: its own copy was not read yet, or it is for another replica to tell.
    pub fn measures(&self) -> Option<Measures> {
        let copy = self.shared().copies.get(&self.me)?.known().cloned().filter(|_| !self.sequencer.waits)?;
        let known = self.known(&copy);
        let phase = self.shared().phase.clone();
        Some(measures(&known, &self.me, phase.as_deref()))
    }

    /// The switchover that ended last, with its journal. Absent: none did, or the record was not read yet.
    pub fn last_switchover(&self) -> Option<Ended> {
        self.record()?.last.as_deref().cloned()
    }

    fn known(&self, copy: &CopyView) -> Known {
        let invalid = copy.spec.as_ref().err().map(ToString::to_string);
        let unbuilt = copy.spec.as_ref().ok().and_then(|spec| self.unavailable(spec));
        let record = self.record();
        // A move that is under way is told as such.
        let at_rest = record.as_ref().is_none_or(|record| record.is_at_rest());
        let invalid = match invalid {
            None if at_rest => facts::one_object(&self.me, &self.shared().copies),
            invalid => invalid,
        };
        let holds = record.as_ref().is_some_and(|r| r.held_by(&self.me));
        let term = self.keeper.as_ref().filter(|_| holds).map(|keeper| keeper.term());
        let mut shared = self.shared();
        let holder = record.as_ref().and_then(|r| r.holder.clone());
        if shared.holder.as_ref().map(|(region, _)| region) != holder.as_ref() {
            shared.holder = holder.map(|region| (region, self.clock.now()));
        }
        // What was looked at before the lease passed says nothing of who takes writes now.
        let since = shared.holder.as_ref().map(|(_, since)| *since);
        let fresh =
            |region: &Region| shared.halves_at.get(region).zip(since).is_some_and(|((at, _), since)| *at >= since);
        let halves = shared.halves_named(&copy.spec);
        let fresh = halves.iter().filter(|(region, _)| fresh(region));
        let writers = facts::writers(record.as_deref(), fresh);
        let (lag, standby_streams) = replication(record.as_deref(), halves);
        Known {
            witness_unreachable: match &self.keeper {
                _ if unbuilt.is_some() => unbuilt,
                Some(keeper) if !holds => keeper.unreachable(),
                Some(keeper) => keeper
                    .unreachable()
                    .or_else(|| Some(format!("the witness refuses the renewal: {}", keeper.refused()?))),
                // Which kinds a process has is not said by the resource.
                None => Some(match &copy.spec {
                    Ok(spec) => format!("no witness of kind {} is configured", spec.lease.kind.name()),
                    Err(_) => "no witness is configured".to_owned(),
                }),
            },
            term_left: term.map(|term| term.left),
            term_guard: term.map(|term| term.guard),
            lag_seconds: lag.map(whole_seconds),
            writers,
            observed_primary: facts::observed_primary(halves),
            standby_streams,
            // One look that failed makes nothing unhealthy.
            standby_unseen: facts::standby_unseen(record.as_deref(), halves)
                .filter(|_| !shared.halves_ever_seen || shared.halves_unseen >= UNSEEN_TOLD),
            progress: self.driver.as_ref().map(Driver::progress).unwrap_or_default(),
            health: shared.health.clone(),
            refused: shared.refused.clone(),
            ledger: match &shared.noted {
                Some(noted) => Some(noted.now().clone()),
                // Where nobody is told, what stands there stays owed.
                None if !self.publisher.is_configured() => Some(Ledger::of(&copy.status.read())),
                None => None,
            },
            invalid,
            record,
        }
    }

    /// What is measured of the lag at rest. Absent: nothing is, or something is under way.
    pub(super) fn lag_at_rest(&self, record: &Record) -> Option<Value> {
        let shared = self.shared();
        let copy = shared.copies.get(&self.me).and_then(|copy| copy.known()).filter(|_| record.is_at_rest())?;
        let (lag, _) = replication(Some(record), shared.halves_named(&copy.spec));
        Some(status::lag_patch(Some(record), Some(whole_seconds(lag?)), copy, &copy.status.read()))
    }

    /// While an intent stands, the copy outlasts its deletion: who drives is not ended in the middle of it.
    async fn keep_finalizer(&self, copy: &CopyView, tried: &mut Option<Monotonic>) {
        let Some(record) = self.record().filter(|record| finalizers(record, copy).is_some()) else { return };
        if tried.is_some_and(|at| self.clock.now().since(at) < HOLD_PAUSE) {
            return;
        }
        // The status is written often, and with each write the version changes.
        let fresh = limited(&*self.clock, REQUEST_LIMIT, self.observers.copies.copy(&self.me)).await;
        let wanted = fresh.known().and_then(|fresh| Some((fresh, finalizers(&record, fresh)?)));
        let Some((fresh, wanted)) = wanted else { return };
        let written = self.actors.copy.set_finalizers(&fresh.resource_version, &wanted);
        let outcome = within(&*self.clock, REQUEST_LIMIT, written).await;
        *tried = (outcome != Some(Outcome::Done(()))).then(|| self.clock.now());
        if tried.is_some() {
            tracing::warn!(?outcome, "the finalizer of a switchover under way was not written; it is tried again");
        }
    }

    /// Whether it stands there as it should.
    async fn write_status(&self, copy: &CopyView) -> bool {
        let known = self.known(copy);
        let stands = copy.status.read();
        let mut patch = status::patch(&known, &self.me, copy, &stands, self.clock.wall());
        let phase = patch["phase"].as_str().map(str::to_owned);
        if std::mem::replace(&mut self.shared().phase, phase.clone()) != phase {
            // A return to health is an event.
            self.to_note.ring();
        }
        // The end of the term moves with every look; it alone is no reason to write before it has come.
        let expires = patch["leaseExpiresAt"].take();
        let told = stands.get("leaseExpiresAt").cloned().unwrap_or(Value::Null);
        let over =
            told.as_str().is_some_and(|at| at.parse::<jiff::Timestamp>().is_ok_and(|at| at <= self.clock.wall()));
        patch["leaseExpiresAt"] = told.clone();
        // So does the lag. At rest, while the witness can be read, the herald says it after the next read.
        let lag = status::lag_of(&patch);
        if self.stamp().is_some() {
            status::leave_lag(&mut patch, &stands);
        }
        if status::stands(&patch, &stands) && !over && expires.is_null() == told.is_null() {
            return true;
        }
        patch["leaseExpiresAt"] = expires;
        status::merge(&mut patch, lag);
        matches!(self.patch_status(&patch).await, Outcome::Done(()))
    }

    /// What the status is made of, as it stands now. Absent: it may become another by itself.
    fn stamp(&self) -> Option<Stamp> {
        let keeper = self.keeper.as_ref()?;
        let view = keeper.view()?;
        let record = view.record.as_ref().filter(|record| record.is_at_rest())?;
        let is_well = keeper.unreachable().is_none() && keeper.refused().is_none();
        let holds = !record.held_by(&self.me) || keeper.term().left > Duration::ZERO;
        let progress = self.driver.as_ref().map(Driver::progress).unwrap_or_default();
        let changes = self.shared().changes;
        (is_well && holds).then_some(Stamp { read_count: view.read_count, changes, progress })
    }
}
