//! Orders that nobody waits for the end of: they are begun here, or left in one's own copy for whoever holds the record.
//! What became of one shows in record and status.

use super::{Begun, ExecuteOrder, Following, OperationError, Put, Sequencer, What};
use crate::name::Region;
use crate::observe::Seen;
use crate::plan::Plan;
use crate::record::{Intent, Record};
use crate::requests::{Given, given, of_failback, of_switchover};
use crate::spec::Spec;
use jiff::Timestamp;
use serde_json::{Value, json};

/// An answer to a failback, or an abort, was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// What it is about does not stand as it says.
    #[error("{0}")]
    Stale(String),
    /// The record could not be read.
    #[error("the witness cannot be read, ask again: {0}")]
    Unread(String),
    /// It could not be written.
    #[error("it could not be put into the resource: {0}")]
    Not(String),
    /// Nobody knows whether it was.
    #[error("whether it stands in the resource is not known: {0}")]
    Unknown(String),
}

/// What a person says of a failback that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FailbackAnswer {
    /// Go, and who says so.
    Approve(String),
    /// Do not.
    Refuse,
}

impl Sequencer {
    /// Begins a move to `to`.
    pub async fn order(&self, to: &Region, order: &ExecuteOrder) -> Result<Begun, OperationError> {
        let begun = self.begin(to, order).await;
        self.note_refusal(to, order, &begun);
        begun
    }

    /// Asks for a failback to the first of the standbys.
    pub async fn order_failback(&self, order: &ExecuteOrder) -> Result<Begun, OperationError> {
        let (_, spec) = self.own_copy(&self.observers, "failback").await?;
        let begun = self.pend(&spec, &spec.failback, order).await;
        let to = self.led(&spec).standbys.first().cloned().unwrap_or(self.me.clone());
        self.note_refusal(&to, order, &begun);
        begun
    }

    /// Answers the failback of this id, which has to wait.
    pub async fn answer_failback(&self, id: &str, answer: &FailbackAnswer) -> Result<(), NotTaken> {
        match self.record_now().await?.pending {
            Some(pending) if pending.id == id => {}
            Some(pending) => return Err(NotTaken::Stale(format!("failback {} waits, and not {id}", pending.id))),
            None => return Err(NotTaken::Stale(format!("no failback waits, so {id} does not"))),
        }
        // It names what it is about: by the time that it is read another failback may wait.
        let patch = match answer {
            FailbackAnswer::Approve(by) => json!({ "failback": {
                "approved": true,
                "approvedBy": by,
                "approvedAt": self.clock.wall(),
                "answered": id,
            } }),
            FailbackAnswer::Refuse => json!({ "failback": { "refused": true, "answered": id } }),
        };
        self.leave("failback", &patch).await
    }

    /// Asks for the end of the move of this id, which has to be under way and before its promotion.
    pub async fn abort(&self, id: &str) -> Result<(), NotTaken> {
        let intent = match self.record_now().await {
            Ok(record) => record.intent.map(|intent| *intent),
            // Where the witness cannot be reached, an abort of what was under way when it could is left all the same: it
            // names its move, and the other copy may be read where the record is not (2.12).
            Err(unread) => Some(self.intent_before(id).ok_or(unread)?),
        };
        match intent {
            Some(intent) if intent.id == id && intent.past_return() => {
                return Err(NotTaken::Stale(format!("the promotion of {id} was issued: it only goes forward")));
            }
            Some(intent) if intent.id == id => {}
            Some(intent) => {
                return Err(NotTaken::Stale(format!("switchover {} is under way, and not {id}", intent.id)));
            }
            None => return Err(NotTaken::Stale(format!("no switchover is under way, so {id} is not"))),
        }
        self.leave("abort", &json!({ "switchover": { "abort": id } })).await
    }

    /// The status, as it stands in this region's copy.
    pub async fn status(&self) -> Result<Value, OperationError> {
        Ok(self.own_copy(&self.observers, "status").await?.0.status.read())
    }

    /// What the order began when it was given before, where it names itself. Record and resource know, whichever process took
    /// the order.
    pub(super) async fn given_before(
        &self,
        operation: &'static str,
        order: &ExecuteOrder,
        spec: &Spec,
        plan: &Plan,
        since: Timestamp,
    ) -> Result<Option<Begun>, OperationError> {
        let Some(key) = &order.key else { return Ok(None) };
        let record = match self.read(&self.observers).await {
            Seen::Is(record) => record,
            Seen::Unconfigured => None,
            other => {
                let why = other.why().unwrap_or_default();
                let why = format!("whether this order was given before is not known, ask again: the witness: {why}");
                return Ok(Some(Begun::Report(Box::new(self.unknown(plan, "", &why, since)))));
            }
        };
        let Some((before, what)) = ordered(key, record.as_ref(), spec) else { return Ok(None) };
        match given(key, &before) {
            Given::WithItsKey => Err(OperationError::KeyOfAnother { operation }),
            _ => Ok(Some(Begun::Following(Box::new(Following { what, plan: plan.clone(), since })))),
        }
    }

    /// The record as the witness has it now: what was read before is up to a renewal old in a region that does not hold
    /// it.
    async fn record_now(&self) -> Result<Record, NotTaken> {
        match self.read(&self.observers).await {
            Seen::Is(record) => record.ok_or_else(|| NotTaken::Stale("nothing was ever recorded".into())),
            other => Err(NotTaken::Unread(other.why().unwrap_or_else(|| "no witness is configured".into()))),
        }
    }

    /// The intent of this id, where it stood in the record when that was read last.
    fn intent_before(&self, id: &str) -> Option<Intent> {
        self.keeper.as_ref()?.record()?.intent.as_deref().filter(|intent| intent.id == id).cloned()
    }

    async fn leave(&self, operation: &'static str, patch: &Value) -> Result<(), NotTaken> {
        match self.put(operation, None, patch).await {
            Put::Done => Ok(()),
            Put::Not(why) => Err(NotTaken::Not(why)),
            Put::Unknown(why) => Err(NotTaken::Unknown(why)),
        }
    }
}

/// The order that was given with this key: its identity, and what it became.
fn ordered(key: &str, record: Option<&Record>, spec: &Spec) -> Option<(String, What)> {
    let is = |before: &String| given(key, before) != Given::Another;
    if let Some(record) = record {
        let intent = record.intent.as_ref().map(|intent| (&intent.request, &intent.id));
        let pending = record.pending.as_ref().map(|pending| (&pending.request, &pending.id));
        let last = record.last.as_ref().map(|last| (&last.request, &last.id));
        for (request, id) in [intent, pending, last].into_iter().flatten() {
            if let Some(request) = request.as_ref().filter(|request| is(request)) {
                return Some((request.clone(), What::Id(id.clone())));
            }
        }
    }
    let served = record.and_then(|record| record.served.iter().find(|served| is(served)).cloned());
    let left = || {
        let failback = of_failback(&spec.failback, spec.standbys.first().unwrap_or(&spec.primary));
        spec.switchover.as_ref().map(of_switchover).into_iter().chain(failback).find(|standing| is(standing))
    };
    let request = served.or_else(left)?;
    Some((request.clone(), What::Request(request)))
}

/// Why the plan is not the one that was confirmed. `shown`: the one that a dry run showed.
pub(super) fn changed(order: &ExecuteOrder, plan: &Plan, shown: Option<&Plan>) -> Option<String> {
    let fingerprint = plan.fingerprint();
    let fits =
        |confirmed: &String| *confirmed == fingerprint || shown.is_some_and(|shown| *confirmed == shown.fingerprint());
    let confirmed = order.confirmed.as_ref().filter(|confirmed| !fits(confirmed))?;
    Some(format!(
        "the plan has changed: {confirmed} was confirmed, it is {fingerprint} now (regions, records, timings and the reason \
         count)"
    ))
}
