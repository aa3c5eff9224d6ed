//! A message of the audit stream as its subscribers read it: from JSON, by the contract alone. Core's own type is not
//! used, since what core writes is judged by it.

use crate::ground::Message;
use serde_json::{Map, Value};

/// The reserved types.
const TYPES: [&str; 12] = [
    "continuum-switchover",
    "continuum-failback-pending",
    "continuum-failback-completed",
    "continuum-lease-lost",
    "continuum-lease-acquired",
    "continuum-cnpg-lag-breach",
    "continuum-cnpg-promotable",
    "continuum-error",
    "continuum-reconcile-success",
    "continuum-cr-created",
    "continuum-config-changed",
    "continuum-lease-collision",
];

/// The fields whose values are texts.
const TEXTS: [&str; 10] = [
    "type",
    "continuumName",
    "applicationName",
    "fromPrimary",
    "toPrimary",
    "step",
    "reason",
    "message",
    "initiatedBy",
    "timestamp",
];

/// What a message tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Body {
    /// Its type.
    pub kind: String,
    /// From where.
    pub from: Option<String>,
    /// Where to.
    pub to: Option<String>,
    /// `4/7`.
    pub step: Option<String>,
    /// How far the standby was behind, s.
    pub lag_seconds: Option<u64>,
    /// What it says in words; empty where it says nothing.
    pub message: String,
}

/// Reads a message. Else: what is wrong with it.
pub(super) fn read(message: &Message) -> Result<Body, String> {
    let fields: Map<String, Value> = serde_json::from_str(&message.body).map_err(|_| "not an event".to_owned())?;
    let mut texts = fields.iter().filter(|(name, _)| *name != "lagSeconds");
    if let Some((name, value)) = texts.find(|(name, value)| !TEXTS.contains(&name.as_str()) || !is_text(value)) {
        return Err(format!("`{name}` is no field of an event, or not with the value {value}"));
    }
    if let Some(lag) = fields.get("lagSeconds").filter(|lag| !lag.is_u64()) {
        return Err(format!("`lagSeconds` is {lag}"));
    }
    let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
    let kind = text("type").unwrap_or_default();
    if !TYPES.contains(&kind.as_str()) {
        return Err(format!("event type `{kind}` is not reserved"));
    }
    if kind != message.kind {
        return Err(format!("its header says `{}`, its body `{kind}`", message.kind));
    }
    let name = text("continuumName").unwrap_or_default();
    if !name.split_once('/').is_some_and(|(namespace, name)| !namespace.is_empty() && !name.is_empty()) {
        return Err(format!("its continuumName is `{name}`"));
    }
    let time = text("timestamp").unwrap_or_default();
    if !time.ends_with('Z') || time.parse::<jiff::Timestamp>().is_err() {
        return Err(format!("its timestamp is `{time}`"));
    }
    let message = text("message").unwrap_or_default();
    let lag_seconds = fields.get("lagSeconds").and_then(Value::as_u64);
    Ok(Body { kind, from: text("fromPrimary"), to: text("toPrimary"), step: text("step"), lag_seconds, message })
}

/// Empty ones are left out.
fn is_text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty())
}
