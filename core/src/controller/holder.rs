//! What the holder does beside driving: it serves requests, and has a waiting failback answered.

use super::Controller;
use crate::audit::{self, About};
use crate::clock::within;
use crate::look::half_of;
use crate::name::Region;
use crate::observe::{Accepts, Claim, CopyView, Role, Seen};
use crate::ports::{ClusterChange, ClusterWrite};
use crate::record::Record;
use crate::report::ExecuteResult;
use crate::requests::{self, Answer, Asked};
use crate::sequencer::{Begun, ExecuteOrder, OperationError, TIMED_OUT};
use crate::spec::Spec;
use crate::term::REQUEST_LIMIT;
use crate::transition;
use std::collections::BTreeMap;
use std::time::Duration;

impl Controller {
    /// What the holder does beside driving: requests, approvals, events owed.
    pub(super) async fn hold(&self, record: &Record, spec: &Spec) {
        self.pay(record).await;
        if record.intent.is_some() {
            return;
        }
        let copies = self.shared().copies.clone();
        if record.pending.is_some() {
            self.attend_pending(record, spec, &copies).await;
            return;
        }
        let Some(asked) = requests::unserved(record, &copies) else { return };
        let (id, begun) = match asked {
            Asked::Switchover { id, request } => {
                let order = ExecuteOrder {
                    reason: request.reason.clone(),
                    requested_by: request.requested_by.clone(),
                    request: Some(id.clone()),
                    confirmed: request.confirmed.clone(),
                };
                (id, self.sequencer.begin(&request.target, &order).await)
            }
            Asked::Failback { id, failback, .. } => {
                let order = ExecuteOrder {
                    requested_by: failback.requested_by.clone(),
                    request: Some(id.clone()),
                    ..ExecuteOrder::default()
                };
                (id, self.sequencer.pend(spec, &failback, &order).await)
            }
        };
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
        tracing::warn!(request = %id, %why, "request refused");
        if let Some(keeper) = &self.keeper {
            let me = self.me.clone();
            if let Err(cause) = keeper.update(move |record| transition::refuse(record, &me, &id)).await {
                tracing::warn!(%cause, "the refusal was not written");
            }
        }
    }

    /// After a free record was taken: the other half is claimed, and once it is seen to refuse writes, its own.
    /// What an earlier holder sent and is still under way finds another version then (PROTOCOL 2.6). Nothing
    /// else of the halves is changed. Until the other can be seen, its own is left alone.
    pub(super) async fn claim_halves(&self, record: &Record, spec: &Spec) {
        let wanted = self.shared().to_claim;
        let (Some(generation), Some(pair), Some(keeper)) = (wanted, &spec.pair, &self.keeper) else { return };
        if record.generation != generation || record.intent.is_some() {
            self.shared().to_claim = None;
            return;
        }
        let claim = Claim { generation, intent: format!("acquired/{generation}") };
        let other = spec.regions().find(|region| **region != self.me);
        for region in other.into_iter().chain([&self.me]) {
            let half = half_of(&self.observers, &*self.clock, pair, region).await;
            let Seen::Is(cluster) = half.cluster else { return };
            if *region != self.me && cluster.role == Role::Primary {
                return;
            }
            if cluster.claim.as_ref() != Some(&claim) {
                let write = ClusterWrite {
                    region: region.clone(),
                    object: cluster.object,
                    resource_version: cluster.resource_version,
                    claim: claim.clone(),
                    change: ClusterChange::Claim,
                    server_limit: None,
                };
                if keeper.term().allows(REQUEST_LIMIT) {
                    let outcome = within(&*self.clock, REQUEST_LIMIT, self.actors.pair.write(&write)).await;
                    tracing::info!(%region, generation, ?outcome, "half claimed");
                }
                // The next look tells what came of it.
                return;
            }
            let refuses = match &half.database {
                Seen::Is(database) => database.accepts == Accepts::No,
                other => *other == Seen::Unconfigured,
            };
            if *region != self.me && !refuses {
                return;
            }
        }
        self.shared().to_claim = None;
    }

    async fn attend_pending(&self, record: &Record, spec: &Spec, copies: &BTreeMap<Region, Seen<CopyView>>) {
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
        let about = About { continuum: &self.name, application: &spec.application };
        let event = audit::failback_pending(about, pending, &self.me);
        let told = self.publish_once(event).await;
        let approved_by = match requests::answer(copies, pending.since) {
            Some(Answer::Refused) => return self.sequencer.decline(pending, "refused by a person").await,
            Some(Answer::Approved(who)) => Some(who),
            None if !pending.approval_required && !requests::approval_required(copies) => Some("not required".into()),
            None if now.since(since) >= Duration::from_secs(pending.timeout_seconds.into()) => {
                let why = format!("{TIMED_OUT} after {} s", pending.timeout_seconds);
                return self.sequencer.decline(pending, &why).await;
            }
            None => None,
        };
        if told && let Some(approved_by) = approved_by {
            self.sequencer.approve(pending, &approved_by, spec).await;
        }
    }
}
