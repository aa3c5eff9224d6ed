//! RequestFailback: a failback waits in the record for a person, where one is needed.

use super::orders::changed;
use super::{Begun, ExecuteOrder, Following, HandedOn, OperationError, Put, Sequencer, TIMED_OUT, What};
use crate::keeper::NotWritten;
use crate::mailbox::Cancel;
use crate::name::Region;
use crate::plan::{Plan, REASON_FAILBACK};
use crate::preflight::{Facts, Findings, preflight};
use crate::record::{Kind, Lineage, Pending};
use crate::report::{ExecuteReport, ExecuteResult};
use crate::requests::{answered_before, approval_required};
use crate::spec::{FailbackSpec, Spec};
use crate::steps;
use crate::transition::{self, Approval, Order};
use serde_json::json;

impl Sequencer {
    /// Asks for a failback to the first of the standbys, waits for approval where it is required, and
    /// executes it. Its waiting stands in the record, so it survives this process.
    pub async fn request_failback(
        &self,
        order: &ExecuteOrder,
        cancel: &Cancel,
    ) -> Result<ExecuteReport, OperationError> {
        let operation = "failback";
        let what = match self.order_failback(order).await? {
            Begun::Report(report) => return Ok(*report),
            Begun::Following(what) => what,
        };
        let Some(report) = cancel.unless(self.follow(&what)).await else {
            if self.withdraw(&what).await {
                return Err(OperationError::Cancelled { operation });
            }
            let why = "it was given up, and it may run all the same: it was approved before, or could not be withdrawn";
            return Ok(self.unknown(&what.plan, what.id(), why, what.since));
        };
        match &report.error {
            Some(cause) if report.result == ExecuteResult::Declined && cause.contains(TIMED_OUT) => {
                Err(OperationError::ApprovalTimeout { cause: cause.clone() })
            }
            _ => Ok(report),
        }
    }

    /// The caller gave up while it waited: nobody is to approve it any more. Whether that is so; else it may run.
    async fn withdraw(&self, what: &Following) -> bool {
        if let What::Id(id) = &what.what {
            let record = self.keeper.as_ref().and_then(|k| k.record());
            return match record.and_then(|r| r.pending.clone()).filter(|p| p.id == *id) {
                Some(pending) => self.decline(&pending, "cancelled").await,
                None => false,
            };
        }
        let record = self.keeper.as_ref().and_then(|k| k.record());
        let begun = |request: &String| {
            record.and_then(|r| r.intent.clone()).is_some_and(|i| i.request.as_ref() == Some(request))
        };
        if matches!(&what.what, What::Request(request) if begun(request)) {
            return false;
        }
        // The holder has it: it is told in the resource.
        let patch = json!({ "failback": { "refused": true } });
        match self.put("failback", None, &patch).await {
            Put::Done => true,
            Put::Not(why) | Put::Unknown(why) => {
                tracing::error!(%why, "a failback that was given up may still run; refuse it in the resource");
                false
            }
        }
    }

    /// Writes the pending failback, or has the region that holds the record do so. `asked` is what the copy says in
    /// which it stands; that a person must approve may be said in any copy.
    pub async fn pend(&self, spec: &Spec, asked: &FailbackSpec, order: &ExecuteOrder) -> Result<Begun, OperationError> {
        let operation = "failback";
        let started = self.journal_time();
        let spec = &self.led(spec);
        let to = spec.standbys.first().unwrap_or(&spec.primary);
        let plan = self.failback_plan(spec, to, order.requested_by.as_deref())?;
        if let Some(former) = self.given_before(operation, order, spec, &plan, started).await? {
            return Ok(former);
        }
        if let Some(cause) = changed(order, &plan, self.failback_plan(spec, to, None).ok().as_ref()) {
            return Ok(Begun::Report(Box::new(self.unbegun(&plan, 1, &cause, started))));
        }
        if self.waits {
            return Ok(self.hand_on(operation, plan, started, order, HandedOn::Failback).await);
        }
        let Some(keeper) = &self.keeper else {
            let report = self.unbegun(&plan, 1, "no witness is configured", started);
            return Ok(Begun::Report(Box::new(report)));
        };
        let (findings, facts) = self.findings(&plan, &self.observers).await;
        if let Some(blocker) = findings.blockers().next() {
            let (step, cause) = (blocker.step(), blocker.text.clone());
            tracing::warn!(operation, step, %cause, "refused");
            return Ok(Begun::Report(Box::new(self.unbegun(&plan, step, &cause, started))));
        }
        if let Some(region) = answered_before(&facts.observations.copies, to, order.request.as_deref()) {
            let cause = format!(
                "the copy in {region} holds an answer to an earlier failback; set failback.approved and \
                 failback.refused to false there, and ask again"
            );
            return Ok(Begun::Report(Box::new(self.unbegun(&plan, 1, &cause, started))));
        }
        let holder = facts.witness.known().and_then(|r| r.as_ref()?.holder.clone());
        if order.request.is_none() && holder.is_some_and(|holder| holder != self.me) {
            return Ok(self.hand_on(operation, plan, started, order, HandedOn::Failback).await);
        }
        let approval = Approval {
            required: asked.approval_required || approval_required(&facts.observations.copies),
            timeout_seconds: asked.timeout_seconds,
        };
        let me = self.me.clone();
        let order = Order { plan: plan.clone(), kind: Kind::Failback, request: order.identity(), now: started };
        match keeper.update(move |record| transition::pend(record, &me, &order, approval)).await {
            Ok(record) => {
                let id = record.pending.map(|p| p.id).unwrap_or_default();
                Ok(Begun::Following(Box::new(Following { what: What::Id(id), plan, since: started })))
            }
            Err(cause @ NotWritten::Unreachable(_)) => {
                let why = format!("whether it waits is not known, the status will tell: {cause}");
                Ok(Begun::Report(Box::new(self.unknown(&plan, "", &why, started))))
            }
            Err(cause) => Ok(Begun::Report(Box::new(self.unbegun(&plan, 1, &cause.to_string(), started)))),
        }
    }

    /// The spec, led by the acting primary: right after a switchover it does not name it yet.
    pub fn led(&self, spec: &Spec) -> Spec {
        let record = self.keeper.as_ref().and_then(|k| k.record());
        match record.as_ref().map(|record| &record.lineage) {
            Some(Lineage::Of { region, .. }) => spec.led_by(region),
            _ => spec.clone(),
        }
    }

    /// The plan from the acting primary to `to`, whose role it was.
    fn failback_plan(&self, spec: &Spec, to: &Region, requested_by: Option<&str>) -> Result<Plan, OperationError> {
        Plan::new(&self.name, spec, to, Some(REASON_FAILBACK), requested_by)
            .map_err(|source| OperationError::InvalidPlan { operation: "failback", source })
    }

    /// The pending failback was approved: it becomes the intent, where nothing blocks it now.
    pub async fn approve(&self, pending: &Pending, approved_by: &str, spec: &Spec) {
        // It goes where it was approved to go, whatever the order of the regions is by now.
        let plan = match self.failback_plan(spec, &pending.to, Some(&pending.requested_by)) {
            Ok(plan) => plan,
            Err(error) => {
                self.decline(pending, &error.cause()).await;
                return;
            }
        };
        let Some(keeper) = &self.keeper else { return };
        let findings = self.findings_of(&plan, &pending.id).await;
        if let Some(blocker) = findings.blockers().next() {
            let cause = steps::failure_text(blocker.step(), &blocker.text);
            self.decline(pending, &cause).await;
            return;
        }
        let order = Order { plan, kind: Kind::Failback, request: None, now: self.journal_time() };
        let (me, id, approved_by) = (self.me.clone(), pending.id.clone(), approved_by.to_owned());
        let written = keeper.update(move |record| transition::approve(record, &me, &id, &order, &approved_by)).await;
        if let Err(cause) = written {
            tracing::warn!(%cause, "the approved failback was not written");
        }
    }

    async fn findings_of(&self, plan: &Plan, id: &str) -> Findings {
        let (_, facts) = self.findings(plan, &self.observers).await;
        preflight(plan, &Facts { in_execution_of: Some(id), ..facts })
    }

    /// The pending failback ends without an intent. Whether that was written.
    pub async fn decline(&self, pending: &Pending, why: &str) -> bool {
        let Some(keeper) = &self.keeper else { return false };
        let now = self.clock.wall();
        let (me, id, why) = (self.me.clone(), pending.id.clone(), why.to_owned());
        let written = keeper.update(move |record| transition::decline(record, &me, &id, &why, now)).await;
        if let Err(cause) = &written {
            tracing::warn!(%cause, "the declined failback was not written");
        }
        written.is_ok()
    }
}
