//! Orders that never began, and the events that tell of them.

use super::{Begun, OperationError};
use crate::audit::{About, Event, request_failed};
use crate::name::Region;
use crate::report::ExecuteResult;
use crate::requests::identity;
use crate::steps::failure_text;
use crate::transition::ALREADY_UNDER_WAY;
use jiff::Timestamp;

/// A requested move that never began.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// Where to.
    pub to: Region,
    /// The step whose precondition failed.
    pub step: u8,
    /// Why; names the step.
    pub why: String,
}

impl Refusal {
    /// What is to be told of what came of an order; absent: it began, that is not known, or there was nothing to do.
    pub fn of(to: &Region, begun: &Result<Begun, OperationError>) -> Option<Self> {
        let (step, why) = match begun {
            // The same order twice: nothing failed, it is being done.
            Ok(Begun::Report(report)) if report.error.as_ref().is_some_and(|e| e.contains(ALREADY_UNDER_WAY)) => {
                return None;
            }
            Ok(Begun::Report(report)) if report.result == ExecuteResult::Refused => {
                (report.failed_at_step, report.error.clone().unwrap_or_default())
            }
            Err(error @ OperationError::InvalidPlan { .. }) => (1, failure_text(1, &error.cause())),
            _ => return None,
        };
        Some(Self { to: to.clone(), step, why })
    }

    /// Its event. `request` is the request's identity.
    pub fn event(&self, about: About, request: &str, by: Option<&str>, at: Timestamp) -> Event {
        request_failed(about, request, &self.to, by, (self.step, &self.why), at)
    }
}

/// An order that was refused to whoever gave it.
#[derive(Clone, Debug, PartialEq)]
pub struct RefusedOrder {
    /// What was refused, and why.
    pub refusal: Refusal,
    /// Who gave it.
    pub by: Option<String>,
    /// When it was refused.
    pub at: Timestamp,
}

impl RefusedOrder {
    /// Its event.
    pub fn event(&self, about: About) -> Event {
        let by = self.by.as_deref();
        self.refusal.event(about, &identity(&self.refusal.to, self.at, by), by, self.at)
    }
}
