//! Health: of a switchover that this region drove to its end, `health_delay` after it, and again for as long as it was not
//! found well; and for whoever asks.

use super::{ATTEND_PAUSE, Controller};
use crate::clock::{Monotonic, within};
use crate::mailbox::Cancel;
use crate::name::Region;
use crate::record::{EndResult, Ended};
use crate::report::HealthReport;
use crate::sequencer::OperationError;
use crate::status;
use std::time::Duration;

/// The whole health check's limit.
const HEALTH_LIMIT: Duration = Duration::from_secs(30);
/// What was not found well is looked at again after `health_delay`, and no sooner than this.
const AGAIN_MIN: Duration = Duration::from_secs(10);
/// So long a report is given to whoever asks, where it may be otherwise by now.
const KEPT: Duration = Duration::from_secs(10);

/// The last report of a check.
#[derive(Clone)]
pub(super) struct KeptReport {
    /// The switchover that it is about; absent: of none.
    of: Option<String>,
    report: HealthReport,
    at: Monotonic,
}

impl KeptReport {
    /// That a switchover was found well stays so until it is checked again. A standby may stream again by now, and
    /// where nothing was moved there is no moment that the report is of.
    fn stands(&self, now: Monotonic) -> bool {
        self.of.is_some() && self.report.overall_healthy || now.since(self.at) < KEPT
    }
}

impl Controller {
    /// Health of the last switchover that the record tells of; where there was none, of the acting primary. The report
    /// is kept for [`Controller::last_health`].
    pub async fn health(&self, cancel: &Cancel) -> Result<HealthReport, OperationError> {
        let (primary, last) = self.to_be_checked();
        let report = self.sequencer.health(last.as_ref(), &primary, cancel).await?;
        self.keep(last.map(|last| last.id), report.clone());
        Ok(report)
    }

    /// The report of the last check of that, where there was one in this process that still stands; else one is made, and
    /// kept.
    pub async fn last_health(&self, cancel: &Cancel) -> Result<HealthReport, OperationError> {
        let (primary, last) = self.to_be_checked();
        let id = last.map(|last| last.id);
        let kept = self.shared().report.clone();
        let is_it = |kept: &KeptReport| kept.of == id && kept.report.new_primary_region == primary;
        match kept.filter(|kept| is_it(kept) && kept.stands(self.clock.now())) {
            Some(kept) => Ok(kept.report),
            None => self.health(cancel).await,
        }
    }

    /// The acting primary, and the switchover that made it so.
    fn to_be_checked(&self) -> (Region, Option<Ended>) {
        let record = self.record();
        let primary = record.as_ref().and_then(status::acting_primary).unwrap_or_else(|| self.me.clone());
        let last = record.and_then(|r| r.last).filter(|l| l.result == EndResult::Succeeded && l.to == primary);
        (primary, last)
    }

    /// See the module.
    pub(super) async fn checkup(&self) {
        let mut waiting: Option<(String, Monotonic)> = None;
        let mut moved: Option<Ended> = None;
        loop {
            self.clock.sleep(ATTEND_PAUSE).await;
            let Some(record) = self.record().filter(|r| r.held_by(&self.me) && r.intent.is_none()) else { continue };
            match record.last {
                Some(last) if last.result == EndResult::Succeeded => moved = Some(last),
                // A failback that was declined meanwhile moved nothing.
                Some(last) if last.result == EndResult::Declined => {}
                _ => moved = None,
            }
            let Some(last) = moved.clone() else { continue };
            let pause = match self.found_well(&last.id) {
                Some(true) => continue,
                Some(false) => self.options.health_delay.max(AGAIN_MIN),
                None => self.options.health_delay,
            };
            let now = self.clock.now();
            let since = waiting.as_ref().filter(|(id, _)| *id == last.id).map_or(now, |(_, at)| *at);
            waiting = Some((last.id.clone(), since));
            if now.since(since) < pause {
                continue;
            }
            let cancel = Cancel::default();
            let work = self.sequencer.health(Some(&last), &last.to, &cancel);
            let result = match within(&*self.clock, HEALTH_LIMIT, work).await {
                Some(Ok(report)) => Ok(report),
                Some(Err(error)) => Err(error.cause()),
                None => Err(format!("did not end in {} s", HEALTH_LIMIT.as_secs())),
            };
            tracing::info!(id = %last.id, healthy = ?result.as_ref().map(|r| r.overall_healthy), "health checked");
            waiting = None;
            if let Ok(report) = &result {
                self.keep(Some(last.id.clone()), report.clone());
            }
            self.shared().health = Some((last.id, result));
        }
    }

    fn keep(&self, of: Option<String>, report: HealthReport) {
        let at = self.clock.now();
        self.shared().report = Some(KeptReport { of, report, at });
    }

    /// Whether a switchover was well at its last check, by any process. Absent: it was not checked yet.
    fn found_well(&self, id: &str) -> Option<bool> {
        let shared = self.shared();
        if let Some((_, result)) = shared.health.as_ref().filter(|(of, _)| of == id) {
            return Some(result.as_ref().is_ok_and(|report| report.overall_healthy));
        }
        let copy = shared.copies.get(&self.me).and_then(|c| c.known())?;
        (status::checked(&copy.status) == Some(id)).then(|| status::found_well(&copy.status))
    }
}
