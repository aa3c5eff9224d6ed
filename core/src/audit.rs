//! Audit events: the twelve reserved types, their bodies, and message ids made from durable facts.
//!
//! An event's id is `type:namespace/name:fact`, so a crash owes the event still, and a repeat is a duplicate
//! that the stream drops. What is owed stands in the record ([`crate::record::Record::owed`]) or in a copy's status
//! ([`crate::ledger`]); publishing is [`crate::publisher`]'s.

use crate::name::{NotAnObjectName, ObjectName, Region};
use crate::plan::{INITIATOR_DEFAULT, Plan};
use crate::record::{Intent, Kind, Pending};
use crate::spec::Spec;
use crate::steps::{STEP_COUNT, failure_text};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The subject events are published on.
pub const SUBJECT: &str = "catalyst.audit";

/// The reserved types, in the order that a test pins. New ones go at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum EventType {
    /// A switchover succeeded.
    #[serde(rename = "continuum-switchover")]
    Switchover,
    /// A failback waits.
    #[serde(rename = "continuum-failback-pending")]
    FailbackPending,
    /// A failback succeeded.
    #[serde(rename = "continuum-failback-completed")]
    FailbackCompleted,
    /// The holder lost its lease.
    #[serde(rename = "continuum-lease-lost")]
    LeaseLost,
    /// A region became holder.
    #[serde(rename = "continuum-lease-acquired")]
    LeaseAcquired,
    /// Replication lag above the objective.
    #[serde(rename = "continuum-cnpg-lag-breach")]
    LagBreach,
    /// The standby could be promoted: before a requested switchover.
    #[serde(rename = "continuum-cnpg-promotable")]
    Promotable,
    /// A step failed.
    #[serde(rename = "continuum-error")]
    Error,
    /// Back to health.
    #[serde(rename = "continuum-reconcile-success")]
    ReconcileSuccess,
    /// First observed.
    #[serde(rename = "continuum-cr-created")]
    CrCreated,
    /// A field that a switchover depends on changed.
    #[serde(rename = "continuum-config-changed")]
    ConfigChanged,
    /// A re-acquire found another holder.
    #[serde(rename = "continuum-lease-collision")]
    LeaseCollision,
}

impl EventType {
    /// All, in order.
    pub const ALL: [EventType; 12] = [
        EventType::Switchover,
        EventType::FailbackPending,
        EventType::FailbackCompleted,
        EventType::LeaseLost,
        EventType::LeaseAcquired,
        EventType::LagBreach,
        EventType::Promotable,
        EventType::Error,
        EventType::ReconcileSuccess,
        EventType::CrCreated,
        EventType::ConfigChanged,
        EventType::LeaseCollision,
    ];

    /// The wire string: what the body's `type` and the header `audit-type` carry.
    pub fn as_str(self) -> &'static str {
        match self {
            EventType::Switchover => "continuum-switchover",
            EventType::FailbackPending => "continuum-failback-pending",
            EventType::FailbackCompleted => "continuum-failback-completed",
            EventType::LeaseLost => "continuum-lease-lost",
            EventType::LeaseAcquired => "continuum-lease-acquired",
            EventType::LagBreach => "continuum-cnpg-lag-breach",
            EventType::Promotable => "continuum-cnpg-promotable",
            EventType::Error => "continuum-error",
            EventType::ReconcileSuccess => "continuum-reconcile-success",
            EventType::CrCreated => "continuum-cr-created",
            EventType::ConfigChanged => "continuum-config-changed",
            EventType::LeaseCollision => "continuum-lease-collision",
        }
    }

    /// The type of this wire string.
    pub fn parse(text: &str) -> Result<Self, InvalidEvent> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| InvalidEvent::UnknownType(text.to_owned()))
    }
}

/// An event: its body, and the id that makes a repeat a duplicate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// `Nats-Msg-Id`.
    pub message_id: String,
    /// What is published.
    pub body: EventBody,
}

/// The body, JSON; empty fields are left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventBody {
    /// Type; also header `audit-type`.
    #[serde(rename = "type")]
    pub kind: EventType,
    /// `ns/name`; also header `continuum-name`.
    pub continuum_name: String,
    /// `spec.applicationRef`; also header `application-name`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub application_name: String,
    /// From.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_primary: Option<Region>,
    /// To.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_primary: Option<Region>,
    /// Lag, s, where measured; 0 included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag_seconds: Option<u64>,
    /// `N/7`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub step: String,
    /// Reason.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Message.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Who.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub initiated_by: String,
    /// When, UTC.
    pub timestamp: Timestamp,
}

/// What identifies an event in the stream, for a search.
#[derive(Clone, Debug, PartialEq)]
pub struct EventQuery {
    /// Continuum.
    pub continuum: ObjectName,
    /// Type.
    pub kind: EventType,
    /// From, where it matters.
    pub from: Option<Region>,
    /// To, where it matters.
    pub to: Option<Region>,
    /// This message id only, where given.
    pub message_id: Option<String>,
    /// How far back, s.
    pub window_seconds: u32,
}

/// By how much the clocks of this machine, of whoever made the event, and of the stream may differ, s.
const CLOCK_SLACK_SECONDS: i64 = 300;

/// The window that begins when something happened, and a slack before it, s. Wall times of two machines meet here; a
/// clock that is wrong by more than the slack makes a search miss what it looks for, and decides nothing else.
pub fn window_since(happened: Timestamp, now: Timestamp) -> u32 {
    let age = now.as_second().saturating_sub(happened.as_second()).max(0);
    u32::try_from(age + CLOCK_SLACK_SECONDS).unwrap_or(u32::MAX)
}

impl Event {
    /// The search for this very event, which nobody published before it happened.
    pub fn query(&self, continuum: &ObjectName, now: Timestamp) -> EventQuery {
        EventQuery {
            continuum: continuum.clone(),
            kind: self.body.kind,
            from: None,
            to: None,
            message_id: Some(self.message_id.clone()),
            window_seconds: window_since(self.body.timestamp, now),
        }
    }

    /// Whether it is about the intent, or the failback, of this id.
    pub fn is_about(&self, id: &str) -> bool {
        let prefix = format!("{}:{}:", self.body.kind.as_str(), self.body.continuum_name);
        let fact = self.message_id.strip_prefix(&prefix).and_then(|fact| fact.strip_prefix(id));
        fact.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
    }
}

/// The Continuum that an event is about.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// `ns/name`.
    pub continuum: &'a ObjectName,
    /// `spec.applicationRef`.
    pub application: &'a str,
}

impl<'a> About<'a> {
    /// The one that a plan moves.
    pub fn plan(plan: &'a Plan) -> Self {
        Self { continuum: &plan.continuum, application: &plan.application }
    }

    /// An event with nothing but what every event has. `fact` is what makes it this event and no other:
    /// it must be durable, so that whoever emits it again gives it the same id.
    fn event(&self, kind: EventType, reason: &str, fact: &str, at: Timestamp) -> Event {
        Event {
            message_id: message_id(kind, self.continuum, fact),
            body: EventBody {
                kind,
                continuum_name: self.continuum.to_string(),
                application_name: self.application.to_owned(),
                from_primary: None,
                to_primary: None,
                lag_seconds: None,
                step: String::new(),
                reason: reason.to_owned(),
                message: String::new(),
                initiated_by: INITIATOR_DEFAULT.to_owned(),
                timestamp: at,
            },
        }
    }
}

fn message_id(kind: EventType, continuum: &ObjectName, fact: &str) -> String {
    format!("{}:{continuum}:{fact}", kind.as_str())
}

/// The id of the event of the switchover with this intent.
pub fn switchover_id(continuum: &ObjectName, intent: &str) -> String {
    message_id(EventType::Switchover, continuum, intent)
}

fn of_intent(kind: EventType, intent: &Intent, reason: &str, at: Timestamp) -> Event {
    let mut event = About::plan(&intent.plan).event(kind, reason, &intent.id, at);
    event.body.from_primary = Some(intent.from().clone());
    event.body.to_primary = Some(intent.to().clone());
    event.body.initiated_by = intent.plan.initiated_by.clone();
    event
}

/// Step 7 of a switchover: it succeeded. The time is that of the step's beginning, however often it is published.
pub fn switchover(intent: &Intent, at: Timestamp) -> Event {
    let at = intent.step(STEP_COUNT).started_at.unwrap_or(at);
    let mut event = of_intent(EventType::Switchover, intent, &intent.plan.reason, at);
    event.body.step = format!("{STEP_COUNT}/{STEP_COUNT}");
    event.body.message = format!("switchover {} → {} completed", intent.from(), intent.to());
    event
}

/// What is owed to the stream when a switchover succeeded, in order. `acknowledged`: step 7's event is there.
/// `missed_ms`: by how much the objective was missed.
pub fn owed_at_end(intent: &Intent, acknowledged: bool, missed_ms: Option<u64>, at: Timestamp) -> Vec<Event> {
    let moved = (!acknowledged).then(|| switchover(intent, at));
    let failback = (intent.kind == Kind::Failback).then(|| failback_completed(intent, at));
    let missed = missed_ms.map(|missed_ms| rto_missed(intent, missed_ms, at));
    moved.into_iter().chain(failback).chain(missed).collect()
}

/// A failback was asked for; also where no approval is needed, and then at once followed by its end.
pub fn failback_pending(about: About, pending: &Pending, from: &Region) -> Event {
    let mut event = about.event(EventType::FailbackPending, "approval-pending", &pending.id, pending.since);
    event.body.from_primary = Some(from.clone());
    event.body.to_primary = Some(pending.to.clone());
    event.body.initiated_by = pending.requested_by.clone();
    event.body.message = format!("failback {from} → {} waits for approval", pending.to);
    event
}

/// A failback succeeded.
pub fn failback_completed(intent: &Intent, at: Timestamp) -> Event {
    let mut event = of_intent(EventType::FailbackCompleted, intent, "approval-granted", at);
    let by = intent.approved_by.as_deref().map_or(String::new(), |by| format!(", approved by {by}"));
    event.body.message = format!("failback {} → {} completed{by}", intent.from(), intent.to());
    event
}

/// The holder of this generation lost its lease: the term that this renewal began ran out.
pub fn lease_lost(about: About, holder: &Region, (generation, renewal): (u64, u64), at: Timestamp) -> Event {
    let mut event = about.event(EventType::LeaseLost, "lease-lost", &format!("{generation}.{renewal}"), at);
    event.body.from_primary = Some(holder.clone());
    event.body.message = format!("lost lease of region \"{holder}\" (gen {generation})");
    event
}

/// A region became holder, with this generation.
pub fn lease_acquired(about: About, holder: &Region, generation: u64, at: Timestamp) -> Event {
    let mut event = about.event(EventType::LeaseAcquired, "lease-acquire", &generation.to_string(), at);
    event.body.to_primary = Some(holder.clone());
    event.body.message = format!("acquired lease for region \"{holder}\" (gen {generation})");
    event
}

/// The lag went above the objective, once for each time it did: `fact` is where the record stood when that was first
/// seen.
pub fn lag_breach(
    about: About,
    primary: &Region,
    (lag_seconds, rto_seconds): (u64, u32),
    fact: &str,
    at: Timestamp,
) -> Event {
    let mut event = about.event(EventType::LagBreach, "lag-breach", &format!("{primary}:{fact}"), at);
    event.body.from_primary = Some(primary.clone());
    event.body.lag_seconds = Some(lag_seconds);
    event.body.message = format!("replication lag {lag_seconds}s > RTO {rto_seconds}s");
    event
}

/// The standby could be promoted: before a requested switchover. `lag_seconds` where measured.
pub fn promotable(intent: &Intent, lag_seconds: Option<u64>, at: Timestamp) -> Event {
    let mut event = of_intent(EventType::Promotable, intent, "promotable", at);
    event.body.to_primary = None;
    event.body.lag_seconds = lag_seconds;
    event.body.message = match lag_seconds {
        Some(lag) => format!("standby {} can be promoted, {lag}s behind", intent.to()),
        None => format!("standby {} can be promoted", intent.to()),
    };
    event
}

/// A step failed for good.
pub fn step_failed(intent: &Intent, step: u8, cause: &str, at: Timestamp) -> Event {
    let mut event = of_intent(EventType::Error, intent, "step-failed", at);
    event.message_id = format!("{}:{step}", event.message_id);
    // An abort is no step's failure.
    event.body.step = if step > 0 { format!("{step}/{STEP_COUNT}") } else { String::new() };
    event.body.message = failure_text(step, cause);
    event
}

/// A switchover succeeded, later than its objective allows.
pub fn rto_missed(intent: &Intent, missed_ms: u64, at: Timestamp) -> Event {
    let mut event = of_intent(EventType::Error, intent, "rto-missed", at);
    event.message_id = format!("{}:rto", event.message_id);
    event.body.message = rto_missed_text(intent.plan.rto_seconds, missed_ms);
    event
}

/// `RTO of 60 s missed by 1.9 s`.
pub fn rto_missed_text(rto_seconds: u32, missed_ms: u64) -> String {
    format!("RTO of {rto_seconds} s missed by {:.1} s", missed_ms as f64 / 1000.0)
}

/// Somebody else wrote what this product keeps: once for each time.
pub fn interference(about: About, fact: &str, message: &str, at: Timestamp) -> Event {
    let mut event = about.event(EventType::Error, "interference", &format!("interference:{fact}"), at);
    event.body.message = message.to_owned();
    event
}

/// A requested move never began: the precondition of this step failed, of step 1 where the plan is invalid. `request`
/// is the request's identity; `why` names the step.
pub fn request_failed(
    about: About,
    request: &str,
    to: &Region,
    by: Option<&str>,
    (step, why): (u8, &str),
    at: Timestamp,
) -> Event {
    let mut event = about.event(EventType::Error, "step-failed", request, at);
    event.body.to_primary = Some(to.clone());
    event.body.step = format!("{}/{STEP_COUNT}", step.max(1));
    event.body.message = why.to_owned();
    event.body.initiated_by = by.unwrap_or(INITIATOR_DEFAULT).to_owned();
    event
}

/// Healthy again: `fact` is where the record stood then.
pub fn reconcile_success(about: About, primary: &Region, fact: &str, at: Timestamp) -> Event {
    let mut event = about.event(EventType::ReconcileSuccess, "ok", fact, at);
    event.body.to_primary = Some(primary.clone());
    event
}

/// First observed by a region's controller: once for each region and uid, whatever restarts.
pub fn cr_created(about: About, spec: &Spec, region: &Region, uid: &str, at: Timestamp) -> Event {
    let mut event = about.event(EventType::CrCreated, "cr-observed", &format!("{region}:{uid}"), at);
    event.body.to_primary = Some(spec.primary.clone());
    event.body.message = regions(spec);
    event
}

/// A field that a switchover depends on changed: the fingerprints before and after. It is told of one region's
/// copy in one `metadata.generation`, so that a change back and forth is told each time.
pub fn config_changed(
    about: About,
    spec: &Spec,
    (region, generation): (&Region, i64),
    (former, current): (&str, &str),
    at: Timestamp,
) -> Event {
    let fact = format!("{region}:{generation}:{former}:{current}");
    let mut event = about.event(EventType::ConfigChanged, "config-drift", &fact, at);
    event.body.to_primary = Some(spec.primary.clone());
    event.body.message = format!("prev={former} cur={current} {}", regions(spec));
    event
}

/// A re-acquire after a lost lease found another holder. An unreachable witness is no collision. `loser` was primary.
pub fn lease_collision(about: About, loser: &Region, holder: &Region, generation: u64, at: Timestamp) -> Event {
    let mut event = about.event(EventType::LeaseCollision, "lease-collision", &format!("{loser}:{generation}"), at);
    event.body.from_primary = Some(loser.clone());
    event.body.message = format!("ErrLeaseHeldByAnother: held by \"{holder}\" (gen {generation})");
    event
}

fn regions(spec: &Spec) -> String {
    let standbys: Vec<&str> = spec.standbys.iter().map(Region::as_str).collect();
    format!("primaryRegion={}, hotStandby=[{}]", spec.primary, standbys.join(", "))
}

/// An event that may not be published, or a message that is no event.
#[derive(Debug, thiserror::Error)]
pub enum InvalidEvent {
    /// The type is not one of the twelve.
    #[error("event type `{0}` is not reserved")]
    UnknownType(String),
    /// `continuumName` is not `ns/name`.
    #[error("event without a continuumName")]
    Name(#[source] NotAnObjectName),
    /// Not the JSON of an event.
    #[error("not an event")]
    Json(#[source] serde_json::Error),
}

impl EventBody {
    /// Checks what every event must have; type and time are there by construction.
    pub fn check(&self) -> Result<(), InvalidEvent> {
        self.continuum_name.parse::<ObjectName>().map(|_| ()).map_err(InvalidEvent::Name)
    }

    /// Reads a published body.
    pub fn parse(json: &[u8]) -> Result<Self, InvalidEvent> {
        let value: serde_json::Value = serde_json::from_slice(json).map_err(InvalidEvent::Json)?;
        if let Some(kind) = value.get("type").and_then(|kind| kind.as_str()) {
            EventType::parse(kind)?;
        }
        let body: EventBody = serde_json::from_value(value).map_err(InvalidEvent::Json)?;
        body.check()?;
        Ok(body)
    }
}

impl Event {
    /// The message's headers, in order. `application-name` may be empty.
    pub fn headers(&self) -> [(&'static str, &str); 4] {
        [
            ("Nats-Msg-Id", &self.message_id),
            ("audit-type", self.body.kind.as_str()),
            ("continuum-name", &self.body.continuum_name),
            ("application-name", &self.body.application_name),
        ]
    }
}

impl EventQuery {
    /// Whether a stored event is one of those asked for. How old it is, the stream knows.
    pub fn fits(&self, message_id: Option<&str>, body: &EventBody) -> bool {
        let same = |wanted: &Option<Region>, region: &Option<Region>| wanted.is_none() || wanted == region;
        body.kind == self.kind
            && body.continuum_name == self.continuum.to_string()
            && same(&self.from, &body.from_primary)
            && same(&self.to, &body.to_primary)
            && (self.message_id.is_none() || self.message_id.as_deref() == message_id)
    }
}

#[cfg(test)]
#[path = "audit/tests.rs"]
mod tests;
