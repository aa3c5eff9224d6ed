//! The resource's status: one pure function from what a controller knows to what stands there. Absent
//! values are written as null, so that a merge patch removes what is not known any more (an unmeasured
//! lag is never an old one).

use crate::driver::Progress;
use crate::ledger::Ledger;
use crate::name::Region;
use crate::observe::{CopyView, SeenRecord};
use crate::record::{Direction, EndResult, Intent, Lineage, Record, RecordSet};
use crate::records::{LUA, record_sets};
use crate::report::HealthReport;
use crate::sequencer::RefusedOrder;
use crate::steps;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// What `phase` can be.
pub const PHASES: [&str; 6] = ["Pending", "Healthy", "Degraded", "SwitchingOver", "FailedOver", "Failed"];

/// What [`lag_patch`] says.
const LAGS: [&str; 3] = ["replicationLagSeconds", "walLagSeconds", "replicationLag"];

/// How the message of `Ready` begins while a switchover is undone.
pub const UNDOING: &str = "undoing: ";

/// What a status is made of.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The record, as last read.
    pub record: Option<Arc<Record>>,
    /// Why the witness cannot be read; absent: it can.
    pub witness_unreachable: Option<String>,
    /// What is left of this region's own term; absent: not the holder.
    pub term_left: Option<Duration>,
    /// The end of that in which it begins nothing that makes a half writable; absent: not the holder.
    pub term_guard: Option<Duration>,
    /// Lag from the holder's half, s; absent: unmeasured.
    pub lag_seconds: Option<u64>,
    /// Who takes writes.
    pub writers: Writers,
    /// The region whose half was seen to take writes, and no other; told where the record cannot tell.
    pub observed_primary: Option<Region>,
    /// The other half streams from the holder's; absent: not observed.
    pub standby_streams: Option<bool>,
    /// Why that could not be observed, where it was tried.
    pub standby_unseen: Option<String>,
    /// What the driver does.
    pub progress: Progress,
    /// The health check after the last switchover, and the id of that.
    pub health: Option<(String, Result<HealthReport, String>)>,
    /// The order that this process refused last.
    pub refused: Option<RefusedOrder>,
    /// What is wrong with the resource.
    pub invalid: Option<String>,
    /// What it owes the stream beside what the record does; absent: that was not read yet.
    pub ledger: Option<Ledger>,
}

/// Who takes writes, as far as it was observed since the holder is the holder.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Writers {
    /// Whether the holder's half does; absent: not observed.
    pub holder: Option<bool>,
    /// Why it does not.
    pub why_not: String,
    /// The other region, where its half does.
    pub other: Option<Region>,
}

/// The patch of the status, for the copy as it stands; `told`: its status.
pub fn patch(known: &Known, me: &Region, copy: &CopyView, told: &Value, now: Timestamp) -> Value {
    let record = known.record.as_deref();
    // While a promotion may be under way, who takes writes says more than who holds the lease.
    let observed = known.observed_primary.clone().filter(|_| record.is_none_or(|r| r.lineage == Lineage::Unknown));
    let primary = observed.or_else(|| record.and_then(acting_primary));
    // Another region's record is known only as of the last read; what it owes is its holder's to tell.
    let own = record.filter(|r| r.held_by(me));
    let owed = || own.iter().flat_map(|record| &record.owed).chain(known.ledger.iter().flat_map(|ledger| &ledger.owed));
    let intent = record.and_then(|r| r.intent.as_deref());
    let step = intent.map(|intent| {
        let number = if known.progress.step > 0 { known.progress.step } else { crate::next::current_step(intent) };
        format!("step {number}/7 — {}", steps::name(number))
    });
    let (phase, ready) = phase(known, me, told);
    let mut status = json!({
        "phase": phase,
        "primaryRegion": primary,
        "currentPrimary": primary,
        "leaseHolder": record.and_then(|r| r.holder.as_ref()),
        "leaseExpiresAt": known.term_left.and_then(|left| lease_expires(left, now)),
        "switchoverInProgress": intent.is_some(),
        "switchoverStep": step,
        "standbyAvailable": known.standby_streams,
        "hotStandbyAbsent": known.standby_streams.map(|there| !there),
        "observedGeneration": copy.generation,
    });
    // Until it is known what is owed, what stands there says more.
    if let Some(ledger) = &known.ledger {
        status["eventsOwed"] = (owed().count() + ledger.unread.len()).into();
        status["eventsOwedSince"] = json!(owed().map(|event| event.body.timestamp).min());
    }
    merge(&mut status, lag_patch(record, known.lag_seconds, copy, told));
    if let Some((records, at)) = intent.and_then(published) {
        status["lastLuaRecord"] = json!({ "records": records });
        status["lastLuaRecordAt"] = json!(at);
    }
    if let Some(last) = record.and_then(|r| r.last.as_ref()) {
        // A failback that was declined moved nothing.
        if last.result != EndResult::Declined {
            status["lastSwitchover"] = last.last_switchover();
        }
        if let Some(seconds) = last.took_seconds() {
            status["lastSwitchoverDurationSeconds"] = seconds.into();
        }
    }
    if let Some((id, result)) = &known.health {
        status["lastSwitchoverHealth"] = json!({ "id": id, "report": result.as_ref().ok() });
    }
    // It stays until another is refused, whatever restarts.
    if let Some(refused) = &known.refused {
        status["lastRefusal"] = json!({
            "at": refused.at,
            "to": refused.refusal.to,
            "requestedBy": refused.by,
            "message": refused.refusal.why,
        });
    }
    status["conditions"] = conditions(known, &ready, &Before { told, generation: copy.generation, now });
    status
}

/// What is said of the lag, s; absent: unmeasured, and then nothing stays of what was measured before.
pub fn lag_patch(record: Option<&Record>, seconds: Option<u64>, copy: &CopyView, told: &Value) -> Value {
    // What is not known any more is removed; what is only not known here stays: a null in a merge patch removes.
    let standby = standby_of(record, copy).zip(seconds);
    let before = told["replicationLag"].as_object().into_iter().flatten();
    let mut lags: serde_json::Map<String, Value> = before.map(|(region, _)| (region.clone(), Value::Null)).collect();
    lags.extend(standby.map(|(region, lag)| (region.to_string(), format!("{lag}s").into())));
    let lags = if standby.is_some() { Value::Object(lags) } else { Value::Null };
    json!({ "replicationLagSeconds": seconds, "walLagSeconds": seconds, "replicationLag": lags })
}

/// Leaves in `patch` what `told` says of the lag, where both name the same standby: it moves all the time.
pub fn leave_lag(patch: &mut Value, told: &Value) {
    fn standbys(status: &Value) -> Vec<&String> {
        let lags = status["replicationLag"].as_object().into_iter().flatten();
        lags.filter(|(_, lag)| !lag.is_null()).map(|(region, _)| region).collect()
    }
    let is_measured = |status: &Value| status[LAGS[0]].is_u64();
    if is_measured(patch) && is_measured(told) && standbys(patch) == standbys(told) {
        merge(patch, lag_of(told));
    }
}

/// What `status` says of the lag.
pub fn lag_of(status: &Value) -> Value {
    LAGS.map(|key| (key.to_owned(), status.get(key).cloned().unwrap_or_default())).into_iter().collect()
}

/// Puts the fields of `more` into `patch`.
pub fn merge(patch: &mut Value, more: Value) {
    if let (Value::Object(patch), Value::Object(more)) = (patch, more) {
        patch.extend(more);
    }
}

/// The region that is not the holder, where the copy's spec can be read.
fn standby_of<'a>(record: Option<&Record>, copy: &'a CopyView) -> Option<&'a Region> {
    let (holder, spec) = (record?.holder.as_ref()?, copy.spec.as_ref().ok()?);
    spec.regions().find(|region| *region != holder)
}

/// The records that step 4 published, or its undo brought back, and when that was seen.
fn published(intent: &Intent) -> Option<(Vec<Value>, Timestamp)> {
    let step = intent.step(4);
    let (sets, region, at) = match step.undone_at {
        Some(at) => (intent.former.records.clone()?, intent.from(), at),
        None => (record_sets(&intent.plan).ok()?, intent.to(), step.finished_at?),
    };
    let lua = sets.iter().filter(|set| set.kind == LUA);
    let record = |set: &RecordSet, body: &String| json!({ "hostname": set.hostname, "body": body, "ttl": set.ttl_seconds, "primaryRegion": region });
    Some((lua.flat_map(|set| set.contents.iter().map(move |body| record(set, body))).collect(), at))
}

/// `status.seen` (PROTOCOL 2.8), and with it, where this region holds the record, the end of the term of which `left` is
/// left: it moves with each renewal.
pub fn seen_patch(seen: &SeenRecord, left: Option<Duration>, now: Timestamp) -> Value {
    let mut patch = json!({ "seen": { "renewal": seen.renewal, "intent": seen.intent, "beat": seen.beat } });
    if let Some(at) = left.and_then(|left| lease_expires(left, now)) {
        patch["leaseExpiresAt"] = json!(at);
    }
    patch
}

fn lease_expires(left: Duration, now: Timestamp) -> Option<Timestamp> {
    let at = now.checked_add(left).ok().filter(|_| !left.is_zero())?;
    Some(at.round(jiff::Unit::Second).unwrap_or(at))
}

/// The region whose half was last made primary, where that is known; else the holder.
pub fn acting_primary(record: &Record) -> Option<Region> {
    match &record.lineage {
        Lineage::Of { region, .. } => Some(region.clone()),
        Lineage::Unknown => record.holder.clone(),
    }
}

/// The switchover whose health was checked last, by any process: its id.
pub fn checked(status: &Value) -> Option<&str> {
    status["lastSwitchoverHealth"]["id"].as_str()
}

/// The report of that check. Absent: it could not run, or told none that can be read.
pub fn health_report(status: &Value) -> Option<HealthReport> {
    serde_json::from_value(status["lastSwitchoverHealth"]["report"].clone()).ok()
}

struct Ready {
    status: &'static str,
    reason: &'static str,
    message: String,
}

fn phase(known: &Known, me: &Region, told: &Value) -> (&'static str, Ready) {
    let ready = |status, reason, message: String| Ready { status, reason, message };
    if let Some(why) = &known.invalid {
        return ("Failed", ready("False", "Invalid", why.clone()));
    }
    let Some(record) = &known.record else {
        return match &known.witness_unreachable {
            Some(cause) => ("Pending", ready("Unknown", "WitnessUnavailable", cause.clone())),
            None => {
                let why = known.progress.waiting.clone().unwrap_or_else(|| "the record was not read yet".into());
                ("Pending", ready("Unknown", "InProgress", why))
            }
        };
    };
    if let Some(cause) = &known.witness_unreachable {
        return ("Degraded", ready("False", "WitnessUnavailable", cause.clone()));
    }
    if let Some(intent) = &record.intent {
        let mut message = match &intent.direction {
            Direction::Forward => format!("moving from {} to {}", intent.from(), intent.to()),
            Direction::Undo { step, reason } => {
                format!("{UNDOING}{}", steps::failure_text(*step, reason))
            }
        };
        if let Some(waiting) = &known.progress.waiting {
            message.push_str(if known.progress.stuck { "; stuck: " } else { "; " });
            message.push_str(waiting);
        }
        if known.progress.abort_refused.is_some() {
            message.push_str("; the abort is refused: step 6 was started, so it goes forward only");
        }
        return ("SwitchingOver", ready("Unknown", "InProgress", message));
    }
    if record.holder.is_none() {
        let why = known
            .progress
            .waiting
            .as_ref()
            .map_or("the lease is free".to_owned(), |why| format!("the lease is free: {why}"));
        return ("Pending", ready("Unknown", "InProgress", why));
    }
    if let Some(why) = not_as_recorded(known) {
        return ("Degraded", ready("False", "NotHolder", why));
    }
    if known.standby_streams == Some(false) {
        return ("Degraded", ready("False", "NotHolder", "the standby does not stream".into()));
    }
    if let Some(why) = &known.standby_unseen {
        return ("Degraded", ready("False", "NotHolder", format!("whether the standby streams is not known: {why}")));
    }
    let moved = record.last.as_ref().filter(|l| l.result == EndResult::Succeeded);
    let checked = known.health.as_ref().map(|(id, _)| id.as_str()).or(checked(told));
    if let Some(last) = moved.filter(|last| record.held_by(me) && checked != Some(last.id.as_str())) {
        let missed =
            last.rto_missed_by_ms.map(|missed| format!("; the RTO was missed by {:.1} s", missed as f64 / 1000.0));
        let missed = missed.unwrap_or_default();
        let message = format!("{} is primary{missed}; health is checked soon", last.to);
        return ("FailedOver", ready("True", "Succeeded", message));
    }
    let failed = record.last.as_ref().filter(|l| l.result == EndResult::Undone);
    if let Some(last) = failed.filter(|l| record.served.last() == l.request.as_ref() || l.request.is_none()) {
        let cause = steps::failure_text(last.failed_at_step, last.failure.as_deref().unwrap_or_default());
        return ("Healthy", ready("True", "SwitchoverFailed", format!("the last switchover was undone: {cause}")));
    }
    ("Healthy", ready("True", "Reconciled", "nothing to do".into()))
}

/// Why it is not so that one half takes writes and it is the holder's, as far as that was observed.
fn not_as_recorded(known: &Known) -> Option<String> {
    if let Some(interference) = known.progress.interference.last().filter(|_| known.progress.interfered) {
        return Some(format!("somebody else wrote what this product keeps: {interference}"));
    }
    if let Some(other) = &known.writers.other {
        return Some(format!("the half in {other} takes writes, and another region holds the lease"));
    }
    if let Some(waiting) = &known.progress.waiting {
        return Some(waiting.clone());
    }
    (known.writers.holder == Some(false)).then(|| format!("nobody takes writes: {}", known.writers.why_not))
}

/// `Interference`: there from the first time on.
fn interference(known: &Known) -> Option<(&'static str, &'static str, String)> {
    let list: Vec<String> = known.progress.interference.iter().map(ToString::to_string).collect();
    let text = list.join("; ");
    match (list.is_empty(), known.progress.interfered) {
        (true, _) => None,
        (false, true) => Some(("True", "OtherWriter", text)),
        (false, false) => Some(("False", "PutRight", format!("put right: {text}"))),
    }
}

fn conditions(known: &Known, ready: &Ready, before: &Before<'_>) -> Value {
    let held = match known.record.as_deref().map(|r| &r.holder) {
        // What was read before may not hold any more.
        Some(_) if known.witness_unreachable.is_some() => {
            ("Unknown", "WitnessUnavailable", known.witness_unreachable.clone().unwrap_or_default())
        }
        Some(Some(holder)) => ("True", "Held", format!("held by {holder}")),
        Some(None) => ("False", "Free", "nobody holds the lease".to_owned()),
        None => ("Unknown", "WitnessUnavailable", known.witness_unreachable.clone().unwrap_or_default()),
    };
    let standby = match known.standby_streams {
        Some(true) => ("True", "StandbyReachable", "the standby streams".to_owned()),
        Some(false) => ("False", "StandbyUnreachable", "the standby does not stream".to_owned()),
        None => {
            let why = known.standby_unseen.clone().unwrap_or_else(|| "not observed".to_owned());
            ("Unknown", "StandbyUnreachable", why)
        }
    };
    let mut list = vec![
        before.condition("LeaseHeld", held.0, held.1, &held.2),
        before.condition("Ready", ready.status, ready.reason, &ready.message),
        before.condition("StandbyAvailable", standby.0, standby.1, &standby.2),
    ];
    match interference(known) {
        Some((status, reason, message)) => list.push(before.condition("Interference", status, reason, &message)),
        // A process that has not looked yet does not say that it is over.
        None if !known.progress.watched => list.extend(before.existing("Interference").cloned()),
        None if before.existing("Interference").is_some() => {
            let message = "nobody else writes what this product keeps";
            list.push(before.condition("Interference", "False", "None", message));
        }
        None => {}
    }
    match &known.health {
        Some((_, Ok(report))) => {
            let status = if report.overall_healthy { "True" } else { "False" };
            let message = crate::health::summary(report);
            list.push(before.condition("LastSwitchoverHealthy", status, "PostSwitchoverHealth", &message));
        }
        Some((_, Err(cause))) => {
            let message = format!("PostSwitchoverHealth errored: {cause}");
            list.push(before.condition("LastSwitchoverHealthy", "Unknown", "HealthCheckErrored", &message));
        }
        // It stays until the next check.
        None => list.extend(before.existing("LastSwitchoverHealthy").cloned()),
    }
    Value::Array(list)
}

/// What conditions go on from.
struct Before<'a> {
    /// The status as it stands.
    told: &'a Value,
    /// Of the copy.
    generation: i64,
    now: Timestamp,
}

impl Before<'_> {
    fn existing(&self, kind: &str) -> Option<&Value> {
        self.told.get("conditions")?.as_array()?.iter().find(|c| c["type"] == kind)
    }

    fn condition(&self, kind: &str, status: &str, reason: &str, message: &str) -> Value {
        let before = self.existing(kind).filter(|c| c["status"] == status);
        let now = || self.now.round(jiff::Unit::Second).unwrap_or(self.now).to_string();
        let since = before.and_then(|c| c["lastTransitionTime"].as_str()).map_or_else(now, str::to_owned);
        json!({
            "type": kind,
            "status": status,
            "reason": reason,
            "message": message,
            "lastTransitionTime": since,
            "observedGeneration": self.generation,
        })
    }
}

/// Whether the patch would change nothing that stands in the status.
pub fn stands(patch: &Value, status: &Value) -> bool {
    match (patch, status) {
        (Value::Object(patch), status) => patch.iter().all(|(key, value)| match status.get(key) {
            Some(there) => stands(value, there),
            None => value.is_null(),
        }),
        (patch, status) => patch == status,
    }
}

#[cfg(test)]
mod tests;
