//! A failback in the record: it waits, and becomes the intent or ends without one.

use super::{Edit, Order, intent, may_begin, next_id, owe, serve, stale, write};
use crate::audit::{self, About};
use crate::name::Region;
use crate::plan::REASON_FAILBACK;
use crate::record::{EndResult, Ended, Extra, Kind, Pending, Record};
use jiff::Timestamp;

/// What a failback waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Approval {
    /// A person must approve.
    pub required: bool,
    /// How long it may wait, s.
    pub timeout_seconds: u32,
}

/// A failback waits for approval.
pub fn pend(record: &Record, me: &Region, order: &Order, approval: Approval) -> Edit {
    let same = |p: &Pending| match &order.request {
        Some(request) => p.request.as_ref() == Some(request),
        None => p.request.is_none() && p.since == order.now && p.to == order.plan.to,
    };
    if record.pending.as_ref().is_some_and(same) {
        return Edit::Already;
    }
    if let Err(cannot) = may_begin(record, me, order) {
        return cannot;
    }
    let mut next = record.clone();
    let pending = Pending {
        id: next_id(record, &order.plan),
        to: order.plan.to.clone(),
        requested_by: order.plan.initiated_by.clone(),
        reason: REASON_FAILBACK.into(),
        request: order.request.clone(),
        since: order.now,
        timeout_seconds: approval.timeout_seconds,
        approval_required: approval.required,
        fingerprint: order.plan.fingerprint(),
        extra: Extra::new(),
    };
    owe(&mut next, audit::failback_pending(About::plan(&order.plan), &pending, &order.plan.from));
    next.pending = Some(pending);
    next.sequence += 1;
    serve(&mut next, order.request.as_ref());
    write(next)
}

/// The pending failback of this id was approved: it becomes the intent.
pub fn approve(record: &Record, me: &Region, id: &str, order: &Order, approved_by: &str) -> Edit {
    if record.intent.as_ref().is_some_and(|i| i.id == id) {
        return Edit::Already;
    }
    if !record.held_by(me) {
        return stale("not the holder any more");
    }
    let Some(pending) = record.pending.as_ref().filter(|p| p.id == id) else {
        return stale(format!("failback {id} waits no more"));
    };
    if order.plan.from != *me || order.plan.to != pending.to {
        return stale(format!(
            "the failback to {} was approved, not one from {} to {}",
            pending.to, order.plan.from, order.plan.to
        ));
    }
    let mut order = order.clone();
    order.request = pending.request.clone();
    let mut next = record.clone();
    next.pending = None;
    next.intent = Some(intent(record, &order, id.to_owned(), Some(approved_by.to_owned())).into());
    write(next)
}

/// The pending failback of this id was refused, cancelled or not approved in time.
pub fn decline(record: &Record, me: &Region, id: &str, why: &str, now: Timestamp) -> Edit {
    if record.last.as_ref().is_some_and(|l| l.id == id) {
        return Edit::Already;
    }
    if !record.held_by(me) {
        return stale("not the holder any more");
    }
    let Some(pending) = record.pending.clone().filter(|p| p.id == id) else {
        return stale(format!("failback {id} waits no more"));
    };
    let mut next = record.clone();
    next.pending = None;
    next.last = Some(Box::new(Ended {
        id: pending.id,
        kind: Kind::Failback,
        from: me.clone(),
        to: pending.to,
        request: pending.request,
        reason: pending.reason,
        initiated_by: pending.requested_by,
        approved_by: None,
        fingerprint: pending.fingerprint,
        started_at: pending.since,
        finished_at: now,
        result: EndResult::Declined,
        failed_at_step: 0,
        failure: Some(why.to_owned()),
        steps: Default::default(),
        write_gap_ms: None,
        took_ms: None,
        rto_missed_by_ms: None,
        loss_seconds: None,
        extra: Extra::new(),
    }));
    write(next)
}
