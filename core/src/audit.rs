//! Audit events: the twelve reserved types, their bodies, and message ids made from durable facts.

use crate::name::{ObjectName, Region};
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
