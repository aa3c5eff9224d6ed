//! What one region's own copy says of events, beside those in the record: facts that no record knows, since one
//! controller alone sees them. Each is put here once, with the mark that keeps it from being put here again; it is
//! published only when the copy's status has both, and taken away when the stream has acknowledged it. So neither a crash
//! nor an outage of the stream loses one, and a restart tells none twice.
//!
//! Pure: what is owed follows from the ledger as it stands and from what is known now.

use crate::audit::{self, About, Event};
use crate::clock::Monotonic;
use crate::name::{ObjectName, Region};
use crate::next::Interference;
use crate::observe::CopyView;
use crate::plan::{Plan, short_hash};
use crate::record::{OWED_COUNT_MAX, Record};
use crate::spec::Spec;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

/// The field of the status in which it stands.
const FIELD: &str = "events";
/// Part of it.
const OWED: &str = "owed";
/// See [`CopyView::status`].
const FINGERPRINT: &str = "configurationFingerprint";
/// Between two returns to health that one region tells of, s: a phase that flaps in a thousand Continuums is no flood.
const RETURNS_APART_SECONDS: u32 = 600;
/// So many interferences are remembered as told, oldest first.
pub(crate) const INTERFERENCES_MAX: usize = 16;

/// A term that ran out before it could be renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Lapse {
    /// Of this generation.
    pub generation: u64,
    /// The renewal that began it.
    pub renewal: u64,
}

/// See the module. Absent marks are written as null, so that a merge patch removes them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ledger {
    /// What the stream has not acknowledged, in order.
    #[serde(skip)]
    pub owed: Vec<Event>,
    /// What stands among them that this version cannot read. It is kept as it is, for one that can.
    #[serde(skip)]
    pub unread: Vec<Value>,
    /// Unique id of the resource whose first sight was put here.
    created: Option<String>,
    /// What decides a plan, as it was last seen.
    #[serde(skip)]
    configuration: Option<String>,
    /// The last lapse of this region's term.
    lapse: Option<Lapse>,
    /// The lease was renewed since, or who has it now was put here.
    lapse_over: bool,
    /// Where the record stood when the lag went above its objective; absent: it is not.
    lag_breach: Option<String>,
    /// The same of the breach before, so that one renewal has one at most.
    last_lag_breach: Option<String>,
    /// This region holds the lease, all was well when it was looked at last, and that was put here.
    healthy: bool,
    /// Where the record stood when a return to health was put here last.
    last_return: Option<String>,
    /// Facts of what others did.
    interferences: Vec<String>,
}

/// What is known now.
pub struct Facts<'a> {
    /// This region.
    pub me: &'a Region,
    /// The Continuum.
    pub name: &'a ObjectName,
    /// Its own copy, and the spec in it.
    pub copy: &'a CopyView,
    /// See `copy`.
    pub spec: &'a Spec,
    /// What that makes of the configuration: [`configuration`].
    pub configuration: Option<&'a str>,
    /// The record as last read, and when that was.
    pub record: Option<(&'a Record, Monotonic)>,
    /// The last lapse of its term that this process saw, and when.
    pub lapse: Option<(Lapse, Monotonic)>,
    /// Lag from the holder's half to the other; absent: not measured.
    pub lag: Option<Duration>,
    /// The phase that the status tells; absent: none was decided yet.
    pub phase: Option<&'a str>,
    /// What others made otherwise than the record says.
    pub interferences: &'a [Interference],
    /// Wall time, for the events.
    pub now: Timestamp,
}

impl Facts<'_> {
    fn about(&self) -> About<'_> {
        About { continuum: self.name, application: &self.spec.application }
    }

    /// The record, where this region holds it.
    fn held(&self) -> Option<&Record> {
        self.record.map(|(record, _)| record).filter(|record| record.held_by(self.me))
    }
}

impl Ledger {
    /// As the status has it: an older or a newer version may have written it, or nobody yet. A mark that cannot be read
    /// counts as absent, and costs no other.
    pub fn of(status: &Value) -> Self {
        let ledger = &status[FIELD];
        let mut read = Self {
            created: mark(ledger, "created"),
            configuration: mark(status, FINGERPRINT),
            lapse: mark(ledger, "lapse"),
            lapse_over: mark(ledger, "lapseOver"),
            lag_breach: mark(ledger, "lagBreach"),
            last_lag_breach: mark(ledger, "lastLagBreach"),
            healthy: mark(ledger, "healthy"),
            last_return: mark(ledger, "lastReturn"),
            interferences: mark(ledger, "interferences"),
            ..Self::default()
        };
        for event in ledger[OWED].as_array().into_iter().flatten() {
            match Event::deserialize(event) {
                Ok(event) => read.owed.push(event),
                Err(cause) => {
                    tracing::warn!(%cause, "an event that is owed cannot be read, and is kept for a version that can");
                    read.unread.push(event.clone());
                }
            }
        }
        read
    }

    /// The patch of the status that puts it there.
    pub fn patch(&self) -> Value {
        let mut ledger = json!(self);
        ledger[OWED] = self.unread.iter().cloned().chain(self.owed.iter().map(|event| json!(event))).collect();
        json!({ FIELD: ledger, FINGERPRINT: self.configuration })
    }

    /// Puts an event here, unless the same is.
    fn owe(&mut self, event: Event) {
        if self.owed.iter().all(|owed| owed.message_id != event.message_id) {
            self.owed.push(event);
        }
    }

    /// An order that was refused to whoever gave it. The same one, given again before the stream took it, is told once.
    pub fn owe_refusal(&mut self, event: Event) {
        let same = |owed: &Event| {
            (owed.body.kind, &owed.body.to_primary, &owed.body.message)
                == (event.body.kind, &event.body.to_primary, &event.body.message)
        };
        if self.owed.len() < OWED_COUNT_MAX && !self.owed.iter().any(same) {
            self.owe(event);
        }
    }

    /// The stream has this event.
    pub fn paid(&mut self, message_id: &str) {
        self.owed.retain(|event| event.message_id != message_id);
    }

    /// Puts here what became so since it was last looked at.
    pub fn note(&mut self, facts: &Facts<'_>) {
        if self.created.as_ref() != Some(&facts.copy.uid) {
            self.created = Some(facts.copy.uid.clone());
            self.owe(audit::cr_created(facts.about(), facts.spec, facts.me, &facts.copy.uid, facts.now));
        }
        self.note_lapse(facts);
        self.note_lag(facts);
        self.note_health(facts);
        for interference in facts.interferences {
            let fact = interference.fact();
            // One that is not told stays to be told.
            if self.owed.len() < OWED_COUNT_MAX && !self.interferences.contains(&fact) {
                self.owe(audit::interference(facts.about(), &fact, &interference.to_string(), facts.now));
                self.interferences.push(fact);
            }
        }
        // What is seen no more goes first: what is forgotten while it is still told would be owed anew.
        let told: Vec<_> = facts.interferences.iter().map(|interference| interference.fact()).collect();
        let mut surplus = self.interferences.len().saturating_sub(INTERFERENCES_MAX);
        self.interferences.retain(|fact| {
            let goes = surplus > 0 && !told.contains(fact);
            surplus -= usize::from(goes);
            !goes
        });
        self.note_configuration(facts);
    }

    /// A term that ran out, and who was found to have the lease then.
    fn note_lapse(&mut self, facts: &Facts<'_>) {
        let Some((record, read_at)) = facts.record else { return };
        if let Some((lapse, at)) = facts.lapse.filter(|(lapse, _)| self.lapse < Some(*lapse)) {
            // Whether it was handed on meanwhile, the next read tells.
            if may_be_handed_on(record, facts.me) && read_at <= at {
                return;
            }
            self.lapse = Some(lapse);
            self.lapse_over = handed_on(record, facts.me, lapse);
            if !self.lapse_over {
                let of = (lapse.generation, lapse.renewal);
                self.owe(audit::lease_lost(facts.about(), facts.me, of, facts.now));
            }
        }
        let Some(lapse) = self.lapse.filter(|_| !self.lapse_over) else { return };
        if record.held_by(facts.me) {
            self.lapse_over = record.generation > lapse.generation || record.renewal > lapse.renewal;
        } else if let Some(holder) = record.holder.as_ref().filter(|_| record.generation > lapse.generation) {
            self.lapse_over = true;
            if !handed_on(record, facts.me, lapse) {
                self.owe(audit::lease_collision(facts.about(), facts.me, holder, record.generation, facts.now));
            }
        }
    }

    fn note_lag(&mut self, facts: &Facts<'_>) {
        let Some(record) = facts.held() else {
            self.lag_breach = None;
            return;
        };
        // A lag that cannot be measured ends no breach, and begins none.
        let Some(lag) = facts.lag else { return };
        if lag <= Duration::from_secs(facts.spec.rto_seconds.into()) {
            self.lag_breach = None;
        } else if self.lag_breach.is_none() {
            let fact = place(record);
            self.lag_breach = Some(fact.clone());
            if self.last_lag_breach.as_ref() != Some(&fact) {
                let lag = (whole_seconds(lag), facts.spec.rto_seconds);
                self.owe(audit::lag_breach(facts.about(), facts.me, lag, &fact, facts.now));
                self.last_lag_breach = Some(fact);
            }
        }
    }

    /// The return to health, as the status tells it. `Pending` says that nothing is known yet. One that comes too soon
    /// after the last is put here once it may be, if all is still well then.
    fn note_health(&mut self, facts: &Facts<'_>) {
        let Some(record) = facts.held() else {
            self.healthy = false;
            return;
        };
        match facts.phase {
            None | Some("Pending") => {}
            // The phase is of before this switchover began.
            Some("Healthy") if record.intent.is_some() => {}
            Some("Healthy") if self.healthy => {}
            Some("Healthy") => {
                if may_tell_return(self.last_return.as_deref(), record, facts.spec.lease.renew_seconds) {
                    let fact = place(record);
                    self.owe(audit::reconcile_success(facts.about(), facts.me, &fact, facts.now));
                    (self.healthy, self.last_return) = (true, Some(fact));
                }
            }
            Some(_) => self.healthy = false,
        }
    }

    /// What decides a plan changed. One region tells it: the two copies have to be changed alike.
    fn note_configuration(&mut self, facts: &Facts<'_>) {
        let Some((record, _)) = facts.record else { return };
        let Some(now) = facts.configuration else { return };
        if self.configuration.as_deref() == Some(now) {
            return;
        }
        let before = self.configuration.replace(now.to_owned());
        let teller = record.holder.as_ref().unwrap_or(&facts.spec.primary);
        if let Some(before) = before.filter(|_| teller == facts.me) {
            let of = (facts.me, facts.copy.generation);
            self.owe(audit::config_changed(facts.about(), facts.spec, of, (&before, now), facts.now));
        }
    }
}

fn mark<T: DeserializeOwned + Default>(of: &Value, field: &str) -> T {
    T::deserialize(&of[field]).unwrap_or_default()
}

/// Whether this region, as far as this record shows, may have handed its lease on without having heard that it did.
fn may_be_handed_on(record: &Record, me: &Region) -> bool {
    record.held_by(me)
        && record.intent.as_ref().is_some_and(|intent| match intent.forward() {
            true => intent.from() == me && intent.step(5).started_at.is_some(),
            false => intent.to() == me,
        })
}

/// Whether the generation that lapsed ended because this region named the next holder itself, as far as the record
/// tells.
fn handed_on(record: &Record, me: &Region, lapse: Lapse) -> bool {
    let by_us = record.named_by.as_ref().is_none_or(|by| by == me);
    record.generation == lapse.generation + 1 && by_us && !record.held_by(me)
}

/// Where the record stands: a durable name for now.
fn place(record: &Record) -> String {
    format!("{}.{}", record.generation, record.renewal)
}

/// Whether ten minutes have passed since a return to health was told of at the place `last`. They are counted in
/// renewals: a restart does not forget those, and no wall clock decides anything. A place that this record has not come
/// to is another record's, and holds nothing back.
fn may_tell_return(last: Option<&str>, record: &Record, renew_seconds: u32) -> bool {
    let renewal = |place: &str| place.split_once('.').and_then(|(_, renewal)| renewal.parse::<u64>().ok());
    let Some(since) = last.and_then(renewal).and_then(|told| record.renewal.checked_sub(told)) else { return true };
    // One more than fit in: it was told of at any time until the renewal after its own.
    since > u64::from(RETURNS_APART_SECONDS.div_ceil(renew_seconds.max(1)))
}

/// A lag as events tell it, s: rounded up, so that one above its objective is told as such.
pub(crate) fn whole_seconds(lag: Duration) -> u64 {
    u64::try_from(lag.as_millis().div_ceil(1000)).unwrap_or(u64::MAX)
}

/// Fingerprint of what decides a plan to whichever region, and whether anything starts one by itself. The same
/// wherever the role stands. Absent: it makes no plan. It costs as much as all else that is looked at once a second.
pub fn configuration(name: &ObjectName, spec: &Spec) -> Option<String> {
    let mut regions: Vec<&Region> = spec.regions().collect();
    regions.sort();
    let mut neutral = spec.clone();
    neutral.primary = regions[0].clone();
    neutral.standbys = regions[1..].iter().map(|r| (*r).clone()).collect();
    let plans: Option<Vec<String>> =
        regions.iter().map(|to| Some(Plan::new(name, &neutral, to, None, None).ok()?.fingerprint())).collect();
    Some(short_hash(format!("{}\n{}", plans?.join("\n"), spec.auto_failover).as_bytes()))
}

#[cfg(test)]
mod tests;
