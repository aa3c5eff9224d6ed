//! RequestFailback: a failback waits in the record for a person, where one is needed.

use super::{Begun, ExecuteOrder, OperationError, Sequencer, TIMED_OUT};
use crate::mailbox::Cancel;
use crate::name::Region;
use crate::plan::{Plan, REASON_FAILBACK};
use crate::preflight::{Facts, Findings, preflight};
use crate::record::{Kind, Lineage, Pending};
use crate::report::{ExecuteReport, ExecuteResult};
use crate::requests::answered_before;
use crate::spec::Spec;
use crate::steps;
use crate::transition::{self, Order};

impl Sequencer {
    /// Asks for a failback to the first of the standbys, waits for approval where it is required, and
    /// executes it. Its waiting stands in the record, so it survives this process.
    pub async fn request_failback(
        &self,
        order: &ExecuteOrder,
        cancel: &Cancel,
    ) -> Result<ExecuteReport, OperationError> {
        let operation = "failback";
        let (_, spec) = self.own_copy(&self.observers, operation).await?;
        let seconds = spec.failback.timeout_seconds;
        let id = match self.pend(&spec, order).await? {
            Begun::Report(report) => return Ok(*report),
            Begun::Intent(id) | Begun::Requested(id) => id,
        };
        let Some(report) = cancel.unless(self.follow(&id)).await else {
            let record = self.keeper.as_ref().and_then(|k| k.view()).and_then(|v| v.record);
            if let Some(pending) = record.and_then(|r| r.pending).filter(|p| p.id == id) {
                self.decline(&pending, "cancelled", &spec).await;
            }
            return Err(OperationError::Cancelled { operation });
        };
        if report.result == ExecuteResult::Declined && report.error.as_deref().is_some_and(|e| e.contains(TIMED_OUT)) {
            return Err(OperationError::ApprovalTimeout { seconds });
        }
        Ok(report)
    }

    /// Writes the pending failback.
    pub async fn pend(&self, spec: &Spec, order: &ExecuteOrder) -> Result<Begun, OperationError> {
        let operation = "failback";
        let started = self.clock.wall();
        // Right after a switchover the spec does not name the acting primary yet.
        let view = self.keeper.as_ref().and_then(|k| k.view()).and_then(|v| v.record);
        let spec = &match view.map(|record| record.lineage) {
            Some(Lineage::Of { region, .. }) => spec.led_by(&region),
            _ => spec.clone(),
        };
        let to = spec.standbys.first().unwrap_or(&spec.primary);
        let plan = self.failback_plan(spec, to, order.requested_by.as_deref())?;
        let Some(keeper) = &self.keeper else {
            let report = self.unbegun(&plan, 1, "no witness is configured", started);
            return Ok(Begun::Report(Box::new(report)));
        };
        let (findings, facts) = self.findings(&plan, &self.observers).await;
        if let Some(blocker) = findings.blockers().next() {
            let (step, cause) = (blocker.step(), blocker.text.clone());
            tracing::warn!(operation, step, %cause, "refused");
            self.tell_error(&plan, &blocker.to_string(), order.request.as_deref()).await;
            return Ok(Begun::Report(Box::new(self.unbegun(&plan, step, &cause, started))));
        }
        if let Some(region) = answered_before(&facts.observations.copies, to, order.request.as_deref()) {
            let cause = format!(
                "the copy in {region} holds an answer to an earlier failback; set failback.approved and \
                 failback.refused to false there, and ask again"
            );
            self.tell_error(&plan, &cause, order.request.as_deref()).await;
            return Ok(Begun::Report(Box::new(self.unbegun(&plan, 1, &cause, started))));
        }
        let (me, timeout) = (self.me.clone(), spec.failback.timeout_seconds);
        let order = Order { plan: plan.clone(), kind: Kind::Failback, request: order.request.clone(), now: started };
        match keeper.update(move |record| transition::pend(record, &me, &order, timeout)).await {
            Ok(record) => Ok(Begun::Intent(record.pending.map(|p| p.id).unwrap_or_default())),
            Err(cause) => Ok(Begun::Report(Box::new(self.unbegun(&plan, 1, &cause.to_string(), started)))),
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
        let plan = self.failback_plan(spec, &pending.to, Some(&pending.requested_by));
        let (Some(keeper), Ok(plan)) = (&self.keeper, plan) else { return };
        let findings = self.findings_of(&plan, &pending.id).await;
        if let Some(blocker) = findings.blockers().next() {
            let cause = steps::failure_text(blocker.step(), &blocker.text);
            self.decline(pending, &cause, spec).await;
            return;
        }
        let order = Order { plan, kind: Kind::Failback, request: None, now: self.clock.wall() };
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

    /// The pending failback ends without an intent.
    pub async fn decline(&self, pending: &Pending, why: &str, spec: &Spec) {
        let plan = self.failback_plan(spec, &pending.to, Some(&pending.requested_by));
        let (Some(keeper), Ok(plan)) = (&self.keeper, plan) else { return };
        let order = Order { plan, kind: Kind::Failback, request: None, now: self.clock.wall() };
        let (me, id, why) = (self.me.clone(), pending.id.clone(), why.to_owned());
        let written =
            keeper.update(move |record| transition::decline(record, &me, &id, &why, &order, Vec::new())).await;
        if let Err(cause) = written {
            tracing::warn!(%cause, "the declined failback was not written");
        }
    }
}
