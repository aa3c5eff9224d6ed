//! Requests that stand in the resource: what they are, and which one is to be served. Pure.
//!
//! A request's identity is the hash of target, `requestedAt` and `requestedBy`; it is served once, which
//! the record's `served` shows, so a copy restored from an old backup starts nothing (H12).

use crate::name::{ByRegion, Region};
use crate::observe::{CopyView, Seen};
use crate::plan::short_hash;
use crate::record::Record;
use crate::spec::{FailbackSpec, Spec, SwitchoverRequest};
use jiff::{SignedDuration, Timestamp};

/// Length of a hash.
const HASH_LENGTH: usize = 16;

/// Identity of a request, 16 hex digits.
pub fn identity(target: &Region, requested_at: Timestamp, requested_by: Option<&str>) -> String {
    short_hash(format!("{target}\n{requested_at}\n{}", requested_by.unwrap_or_default()).as_bytes())
}

/// Identity of an order that may be given again, from the key that it comes with and what is asked: 16 hex digits of each,
/// and a dot between them.
pub fn keyed(key: &str, asked: &[u8]) -> String {
    format!("{}.{}", short_hash(key.as_bytes()), short_hash(asked))
}

/// What orders with one key have in common, whatever each asks. An identity without a key is all of it.
pub fn key_of(identity: &str) -> &str {
    let is_hash = |part: &str| part.len() == HASH_LENGTH && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    match identity.split_once('.') {
        Some((key, asked)) if is_hash(key) && is_hash(asked) => key,
        _ => identity,
    }
}

/// What an order is to one that was given before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// Another.
    Another,
    /// The same again.
    Again,
    /// Another with its key.
    WithItsKey,
}

/// What an order is to one that was given before. Where either does not tell what it asks, an older version wrote it: the
/// key decides.
pub fn given(identity: &str, before: &str) -> Given {
    let (key, other) = (key_of(identity), key_of(before));
    match key == other {
        false => Given::Another,
        true if identity == before || key == identity || other == before => Given::Again,
        true => Given::WithItsKey,
    }
}

/// Identity of a requested switchover: its key, where it has one.
pub fn of_switchover(request: &SwitchoverRequest) -> String {
    let hashed = || identity(&request.target, request.requested_at, request.requested_by.as_deref());
    request.key.clone().unwrap_or_else(hashed)
}

/// Whether the failback that stands in this spec was served: to whichever region, since the regions' order
/// turns with every switchover, and a request must not become another one by it (H12).
pub fn failback_served(record: &Record, spec: &Spec) -> bool {
    let mut regions = spec.regions();
    regions.any(|to| of_failback(&spec.failback, to).is_some_and(|id| record.has_served(&id)))
}

/// Identity of a requested failback to `target`: its key, where it has one. Absent where none is requested.
pub fn of_failback(failback: &FailbackSpec, target: &Region) -> Option<String> {
    let at = failback.requested_at?;
    Some(failback.key.clone().unwrap_or_else(|| identity(target, at, failback.requested_by.as_deref())))
}

/// What is asked and was not served.
#[derive(Clone, Debug, PartialEq)]
pub enum Unserved {
    /// A switchover.
    Switchover {
        /// Identity.
        id: String,
        /// What is asked.
        request: SwitchoverRequest,
    },
    /// A failback to the first of the standbys.
    Failback {
        /// Identity.
        id: String,
        /// Where to.
        target: Region,
        /// What is asked.
        failback: FailbackSpec,
    },
}

/// The first request of any copy, in the regions' order, that the record does not show as served.
pub fn unserved(record: &Record, copies: &ByRegion<Seen<CopyView>>) -> Option<Unserved> {
    let new = |id: &String| !record.has_served(id);
    specs(copies).find_map(|spec| {
        let switchover = spec.switchover.as_ref().map(|request| (of_switchover(request), request));
        if let Some((id, request)) = switchover.filter(|(id, _)| new(id)) {
            return Some(Unserved::Switchover { id, request: request.clone() });
        }
        let target = spec.standbys.first()?;
        let id = of_failback(&spec.failback, target).filter(|_| !failback_served(record, spec))?;
        Some(Unserved::Failback { id, target: target.clone(), failback: spec.failback.clone() })
    })
}

/// What a person said of a waiting failback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApprovalAnswer {
    /// Go, and who said so.
    Approved(String),
    /// Do not.
    Refused,
}

/// How much older an approval may say it is than the failback it approves: clocks differ.
const APPROVAL_SLACK: SignedDuration = SignedDuration::from_secs(60);

/// What was said in any copy of the failback `id`, which waits since then; absent: nothing yet. Refusal counts more than
/// approval. An answer that names another failback is none to this one. An approval that names none, and says that it is
/// much older, is that of another failback too: a copy came back from a backup, or with its region. Two wall clocks are
/// compared here, and only to leave an approval out.
pub fn answer(copies: &ByRegion<Seen<CopyView>>, id: &str, since: Timestamp) -> Option<ApprovalAnswer> {
    let about = |f: &&FailbackSpec| f.answered.as_deref().is_none_or(|answered| answered == id);
    let failbacks: Vec<&FailbackSpec> = specs(copies).map(|spec| &spec.failback).filter(about).collect();
    if failbacks.iter().any(|f| f.refused) {
        return Some(ApprovalAnswer::Refused);
    }
    let in_time = |f: &FailbackSpec| f.approved_at.is_none_or(|at| at >= since - APPROVAL_SLACK);
    let approved = failbacks.iter().find(|f| f.approved && (f.answered.is_some() || in_time(f)))?;
    Some(ApprovalAnswer::Approved(approved.approved_by.clone().unwrap_or_else(|| "unnamed".into())))
}

/// Whether any copy says that a failback needs a person's approval.
pub fn approval_required(copies: &ByRegion<Seen<CopyView>>) -> bool {
    specs(copies).any(|spec| spec.failback.approval_required)
}

/// The region whose copy holds an answer before anything waits for one. It would be the answer to whatever
/// is asked next. One that came with this very request is its own.
pub fn answered_before(copies: &ByRegion<Seen<CopyView>>, to: &Region, request: Option<&str>) -> Option<Region> {
    let stands = |spec: &Spec| {
        let failback = &spec.failback;
        let own = request.is_some() && of_failback(failback, to).as_deref() == request;
        (failback.approved || failback.refused) && !own
    };
    let mut copies = copies.iter();
    copies
        .find(|(_, copy)| copy.known().and_then(|c| c.spec.as_deref().ok()).is_some_and(stands))
        .map(|(r, _)| r.clone())
}

/// Whether any copy says that the intent of this id be aborted. Another id means another intent.
pub fn aborted(copies: &ByRegion<Seen<CopyView>>, id: &str) -> bool {
    specs(copies).any(|spec| spec.abort.as_deref() == Some(id))
}

fn specs(copies: &ByRegion<Seen<CopyView>>) -> impl Iterator<Item = &Spec> {
    copies.values().filter_map(|copy| copy.known()?.spec.as_deref().ok())
}

#[cfg(test)]
mod tests;
