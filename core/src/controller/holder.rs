//! What the holder is asked: requests, and the answer to a waiting failback.

use super::Controller;
use crate::audit::{About, Event, EventType};
use crate::name::ByRegion;
use crate::observe::{CopyView, Seen};
use crate::record::Record;
use crate::report::ExecuteResult;
use crate::requests::{self, ApprovalAnswer, Unserved};
use crate::sequencer::{Begun, ExecuteOrder, OperationError, Refusal, RefusedOrder, TIMED_OUT};
use crate::spec::Spec;
use crate::transition;
use std::time::Duration;

impl Controller {
    /// Serves what is asked, where nothing else is under way.
    pub(super) async fn hold(&self, record: &Record) {
        let unserved = requests::unserved(record, &self.shared().copies);
        if let Some(intent) = &record.intent {
            // The same order once more: who asked hears at once that it is under way.
            if let Some(Unserved::Switchover { id, request }) = unserved
                && request.target == *intent.to()
                && intent.forward()
            {
                self.refuse(&id, &transition::already_under_way(intent), None).await;
            }
            return;
        }
        if record.pending.is_none() && unserved.is_none() {
            return;
        }
        // Whoever asked or approved may have thought better of it since a watch told, and the spec may be another.
        let copies = self.read_copies().await;
        let Some(Ok(spec)) = copies.get(&self.me).and_then(Seen::known).map(|own| &own.spec) else { return };
        if record.pending.is_some() {
            self.attend_pending(record, spec, &copies).await;
            return;
        }
        let Some(asked) = requests::unserved(record, &copies) else { return };
        let (id, to, by, begun) = match asked {
            Unserved::Switchover { id, request } => {
                let order = ExecuteOrder {
                    reason: request.reason.clone(),
                    requested_by: request.requested_by.clone(),
                    request: Some(id.clone()),
                    confirmed: request.confirmed.clone(),
                    key: None,
                };
                let begun = self.sequencer.begin(&request.target, &order).await;
                (id, request.target, request.requested_by, begun)
            }
            Unserved::Failback { id, target, failback } => {
                let order = ExecuteOrder {
                    requested_by: failback.requested_by.clone(),
                    request: Some(id.clone()),
                    confirmed: failback.confirmed.clone(),
                    ..ExecuteOrder::default()
                };
                (id, target, failback.requested_by.clone(), self.sequencer.pend(spec, &failback, &order).await)
            }
        };
        let about = About { continuum: &self.name, application: &spec.application };
        let refusal = Refusal::of(&to, &begun);
        if let Some(refusal) = refusal.clone() {
            self.shared().refused(Some(RefusedOrder { refusal, by: by.clone(), at: self.clock.wall() }));
        }
        let refusal = refusal.filter(|_| self.publisher.is_configured());
        let told = refusal.map(|refusal| refusal.event(about, &id, by.as_deref(), self.clock.wall()));
        let why = match begun {
            Ok(Begun::Following(what)) => {
                return tracing::info!(intent = what.id(), request = %id, "request served");
            }
            // It may have begun; then the record shows it as served at the next look.
            Ok(Begun::Report(report)) if report.result == ExecuteResult::Unknown => {
                return tracing::warn!(request = %id, why = ?report.error, "not known whether the request is served");
            }
            Ok(Begun::Report(report)) => report.error.unwrap_or_else(|| "already there".into()),
            // Its own API server was slow: nothing was found out about the request, which stands.
            Err(error @ OperationError::Unreadable { .. }) => {
                return tracing::warn!(request = %id, why = error.chain(), "the request could not be looked at yet");
            }
            Err(error) => error.chain(),
        };
        self.refuse(&id, &why, told).await;
    }

    /// Writes down that a request was answered, and begins nothing for it. Its event is owed by the same write, so that
    /// it is told once: where it cannot be written the request stands, and nothing was answered yet.
    async fn refuse(&self, id: &str, why: &str, told: Option<Event>) {
        tracing::warn!(request = %id, %why, "request refused");
        let Some(keeper) = &self.keeper else { return };
        let (me, id) = (self.me.clone(), id.to_owned());
        if let Err(cause) = keeper.update(move |record| transition::refuse(record, &me, &id, told.clone())).await {
            tracing::warn!(%cause, "the refusal was not written");
        }
    }

    async fn attend_pending(&self, record: &Record, spec: &Spec, copies: &ByRegion<Seen<CopyView>>) {
        let Some(pending) = &record.pending else { return };
        let now = self.clock.now();
        let since = {
            let mut shared = self.shared();
            let known = shared.pending_since.as_ref().filter(|(id, _)| *id == pending.id).map(|(_, at)| *at);
            let since = known.unwrap_or(now);
            shared.pending_since = Some((pending.id.clone(), since));
            since
        };
        // The event of its waiting comes before its end, also where no approval is required. A stream
        // that is away keeps it from beginning, and from nothing else.
        let told = record.owed_of(&pending.id).all(|event| event.body.kind != EventType::FailbackPending);
        let approved_by = match requests::answer(copies, &pending.id, pending.since) {
            Some(ApprovalAnswer::Refused) => {
                self.sequencer.decline(pending, "refused by a person").await;
                return;
            }
            Some(ApprovalAnswer::Approved(who)) => Some(who),
            None if !pending.approval_required && !requests::approval_required(copies) => Some("not required".into()),
            None if now.since(since) >= Duration::from_secs(pending.timeout_seconds.into()) => {
                let why = format!("{TIMED_OUT} after {} s", pending.timeout_seconds);
                self.sequencer.decline(pending, &why).await;
                return;
            }
            None => None,
        };
        if told && let Some(approved_by) = approved_by {
            self.sequencer.approve(pending, &approved_by, spec).await;
        }
    }
}
