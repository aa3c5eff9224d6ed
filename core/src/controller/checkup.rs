//! Health: of the switchover that made this region primary, `health_delay` after it, and again for as long as it was not
//! found well, or latency could not be compared yet; and for whoever asks.

use super::{ATTEND_PAUSE, Controller};
use crate::clock::{Monotonic, within};
use crate::health::before_latency;
use crate::mailbox::Cancel;
use crate::name::Region;
use crate::observe::Stored;
use crate::record::{EndResult, Ended, Record};
use crate::report::HealthReport;
use crate::sequencer::OperationError;
use crate::status;
use std::sync::Arc;
use std::time::Duration;

/// The whole health check's limit.
const HEALTH_LIMIT: Duration = Duration::from_secs(30);
/// What was not found well is looked at again after `health_delay`, within these; then after twice as long each time, up
/// to the greater.
const AGAIN: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(300));
/// So long a report is given to whoever asks, where it may be otherwise by now.
const KEPT: Duration = Duration::from_secs(10);

/// The last report of a check.
#[derive(Clone)]
pub(super) struct KeptReport {
    /// The switchover that it is about; absent: of none.
    of: Option<String>,
    report: HealthReport,
    /// When the look began.
    at: Monotonic,
}

/// How a switchover was found at its last check, by any process.
enum Found {
    /// One's own copy, which would tell, was not read.
    Unknown,
    Unchecked,
    /// With this report; absent: the check could not run.
    Checked(Option<HealthReport>),
}

impl Found {
    fn report(&self) -> Option<&HealthReport> {
        match self {
            Found::Checked(report) => report.as_ref(),
            Found::Unknown | Found::Unchecked => None,
        }
    }

    /// Whether there is nothing more to look for. `moved` is absent where that switchover is known by its id alone.
    fn is_settled(&self, moved: Option<&Ended>, compares_latency: bool) -> bool {
        let early = |report| compares_latency && moved.is_some_and(|moved| before_latency(report, moved));
        self.report().is_some_and(|report| report.overall_healthy && !early(report))
    }
}

/// What the loop looks at next.
struct Waiting {
    id: String,
    since: Monotonic,
    /// How often it was looked at by this process.
    looks: u32,
}

impl Waiting {
    /// From `since` to the next look.
    fn pause(&self, found: &Found, health_delay: Duration) -> Duration {
        match found {
            Found::Unchecked => health_delay,
            _ => {
                let doubled = 2_u32.saturating_pow(self.looks.saturating_sub(1));
                health_delay.clamp(AGAIN.0, AGAIN.1).saturating_mul(doubled).min(AGAIN.1)
            }
        }
    }
}

impl Controller {
    /// Health of the last switchover that the record tells of; where there was none, of the acting primary. The report
    /// is kept for [`Controller::last_health`].
    pub async fn health(&self, cancel: &Cancel) -> Result<HealthReport, OperationError> {
        let (primary, last) = self.to_be_checked();
        let id = last.as_ref().map(|last| last.id.clone());
        let at = self.clock.now();
        let found = id.as_ref().map(|id| self.found(id));
        let before = found.as_ref().and_then(Found::report);
        let report = self.sequencer.health(last.as_ref(), &primary, before, cancel).await?;
        self.keep(id, &report, at);
        Ok(report)
    }

    /// The report of the last check of that, where there was one in this process that still stands; else one is made, and
    /// kept. That a switchover was found well stays so, where the check is the one that is told. A standby may stream
    /// again by now; and where nothing was moved, or others look, there is no moment that a report is of.
    pub async fn last_health(&self, cancel: &Cancel) -> Result<HealthReport, OperationError> {
        let (primary, last) = self.to_be_checked();
        let id = last.as_ref().map(|last| last.id.clone());
        let kept = self.shared().report.clone();
        let Some(kept) = kept.filter(|kept| kept.of == id && kept.report.new_primary_region == primary) else {
            return self.health(cancel).await;
        };
        let is_told = || id.is_some_and(|id| self.found(&id).is_settled(last.as_ref(), self.compares_latency()));
        if self.clock.now().since(kept.at) < KEPT || kept.report.overall_healthy && is_told() {
            return Ok(kept.report);
        }
        self.health(cancel).await
    }

    /// The acting primary, and the switchover that made it so.
    fn to_be_checked(&self) -> (Region, Option<Ended>) {
        let record = self.record();
        let primary = record.as_deref().and_then(status::acting_primary).unwrap_or_else(|| self.me.clone());
        let last = record.as_deref().and_then(|r| r.last.as_deref());
        let last = last.filter(|l| l.result == EndResult::Succeeded && l.to == primary).cloned();
        (primary, last)
    }

    /// See the module.
    pub(super) async fn checkup(&self) {
        let mut moved: Option<Ended> = None;
        let mut waiting: Option<Waiting> = None;
        // The status and the last move by which nothing was to be checked: read again, they say no more.
        let mut well: Option<(Stored, Option<String>)> = None;
        loop {
            self.rest(ATTEND_PAUSE).await;
            let Some(record) = self.mine_to_check() else { continue };
            let stands = self.own_status().map(|status| (status, record.last.as_ref().map(|last| last.id.clone())));
            if waiting.is_none() && well.is_some() && stands == well {
                continue;
            }
            // A move that was undone, or a failback that was declined, leaves standing what was moved before.
            if let Some(last) = record.last.as_ref().filter(|last| last.result == EndResult::Succeeded) {
                moved = Some(Ended::clone(last));
            }
            let moved = moved.as_ref().filter(|moved| moved.to == self.me);
            let Some(id) = moved.map(|moved| moved.id.clone()).or_else(|| self.told()) else {
                well = stands;
                continue;
            };
            let found = self.found(&id);
            if matches!(found, Found::Unknown) {
                continue;
            }
            if found.is_settled(moved, self.compares_latency()) {
                (waiting, well) = (None, stands);
                continue;
            }
            let now = self.clock.now();
            let begun = Waiting { id: id.clone(), since: now, looks: 0 };
            let next = waiting.take().filter(|waiting| waiting.id == id).unwrap_or(begun);
            if now.since(next.since) < next.pause(&found, self.options.health_delay) {
                waiting = Some(next);
                continue;
            }
            let result = Box::pin(self.check(moved, &id, found.report())).await;
            waiting = Some(Waiting { id: id.clone(), since: self.clock.now(), looks: next.looks.saturating_add(1) });
            let is_the_same = |r: &Record| r.last.as_ref().map(|l| &l.id) == record.last.as_ref().map(|l| &l.id);
            if !self.mine_to_check().is_some_and(|now| is_the_same(&now)) {
                // The role moves again: what was seen meanwhile is of that.
                continue;
            }
            // A look that could not be made takes nothing back of what the one before it found.
            if let Err(cause) = &result
                && found.report().is_some()
            {
                tracing::debug!(%id, cause, "health was not checked again");
                continue;
            }
            let mut shared = self.shared();
            shared.changes += 1;
            shared.health = Some((id, result));
        }
    }

    /// The record, where this region holds it for sure and nothing is under way.
    fn mine_to_check(&self) -> Option<Arc<Record>> {
        let holds = self.keeper.as_ref().is_some_and(|keeper| keeper.term().left > Duration::ZERO);
        self.record().filter(|record| holds && record.held_by(&self.me) && record.intent.is_none())
    }

    async fn check(
        &self,
        moved: Option<&Ended>,
        id: &str,
        before: Option<&HealthReport>,
    ) -> Result<HealthReport, String> {
        let (cancel, at) = (Cancel::default(), self.clock.now());
        let work = self.sequencer.health(moved, &self.me, before, &cancel);
        let result = match within(&*self.clock, HEALTH_LIMIT, work).await {
            Some(Ok(report)) => Ok(report),
            Some(Err(error)) => Err(error.cause()),
            None => Err(format!("did not end in {} s", HEALTH_LIMIT.as_secs())),
        };
        tracing::info!(%id, healthy = ?result.as_ref().map(|r| r.overall_healthy), "health checked");
        if let Ok(report) = &result {
            self.keep(moved.map(|moved| moved.id.clone()), report, at);
        }
        result
    }

    fn compares_latency(&self) -> bool {
        self.sequencer.dry_observers.latency.is_some()
    }

    fn keep(&self, of: Option<String>, report: &HealthReport, at: Monotonic) {
        let mut shared = self.shared();
        // One that began later ended sooner.
        if shared.report.as_ref().is_none_or(|kept| kept.of != of || kept.at <= at) {
            shared.report = Some(KeptReport { of, report: report.clone(), at });
        }
    }

    fn found(&self, id: &str) -> Found {
        let shared = self.shared();
        if let Some((_, result)) = shared.health.as_ref().filter(|(of, _)| of == id) {
            return Found::Checked(result.as_ref().ok().cloned());
        }
        let Some(copy) = shared.copies.get(&self.me).and_then(|c| c.known()) else { return Found::Unknown };
        let told = copy.status.read();
        match status::checked(&told) == Some(id) {
            true => Found::Checked(status::health_report(&told)),
            false => Found::Unchecked,
        }
    }

    fn own_status(&self) -> Option<Stored> {
        Some(self.shared().copies.get(&self.me)?.known()?.status.clone())
    }

    /// The switchover that one's own copy tells of as checked, whichever ended since.
    fn told(&self) -> Option<String> {
        status::checked(&self.own_status()?.read()).map(str::to_owned)
    }
}

#[cfg(test)]
mod tests;
