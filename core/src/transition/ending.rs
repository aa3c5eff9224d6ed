//! The end of a switchover in the record.

use super::{Edit, on_intent, owe, write};
use crate::audit;
use crate::name::Region;
use crate::record::{Direction, EndResult, Ended, Extra, Intent, Kind, Left, Record};
use jiff::Timestamp;

/// What is written when a switchover ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Ending {
    /// How.
    pub result: EndResult,
    /// Wall time.
    pub now: Timestamp,
    /// The stream acknowledged the event of step 7.
    pub acknowledged: bool,
    /// How long writes were not accepted, ms.
    pub write_gap_ms: Option<u64>,
    /// How long it took, ms.
    pub took_ms: Option<u64>,
}

/// By how much a move of this length missed the objective of its plan, ms; absent where it did not.
pub fn rto_missed_by_ms(intent: &Intent, took_ms: Option<u64>) -> Option<u64> {
    took_ms?.checked_sub(u64::from(intent.plan.rto_seconds) * 1000).filter(|missed| *missed > 0)
}

/// One write moves the intent to `last`.
pub fn end(record: &Record, me: &Region, id: &str, ending: &Ending) -> Edit {
    on_intent(record, me, id, |next, intent| {
        let (failed_at_step, failure) = match &intent.direction {
            Direction::Forward => (0, None),
            Direction::Undo { step, reason } => (*step, Some(reason.clone())),
        };
        if ending.result == EndResult::Undone {
            // The intent is what step 1 put there; it goes with this write.
            intent.step_mut(1).undone_at = Some(ending.now);
        }
        next.abort = None;
        let missed_ms = rto_missed_by_ms(intent, ending.took_ms);
        if ending.result == EndResult::Succeeded {
            for event in audit::owed_at_end(intent, ending.acknowledged, missed_ms, ending.now) {
                owe(next, event);
            }
        }
        if ending.result != EndResult::Declined {
            next.left = Some(Left {
                plan: intent.plan.clone(),
                former: intent.former.clone(),
                result: ending.result,
                extra: Extra::new(),
            });
        }
        next.last = Some(Box::new(Ended {
            id: intent.id.clone(),
            kind: intent.kind,
            from: intent.from().clone(),
            to: intent.to().clone(),
            request: intent.request.clone(),
            reason: intent.plan.reason.clone(),
            initiated_by: intent.plan.initiated_by.clone(),
            approved_by: intent.approved_by.clone(),
            fingerprint: intent.fingerprint.clone(),
            started_at: intent.started_at,
            finished_at: ending.now,
            result: ending.result,
            failed_at_step,
            failure,
            steps: intent.steps.clone(),
            write_gap_ms: ending.write_gap_ms,
            took_ms: ending.took_ms,
            rto_missed_by_ms: missed_ms,
            loss_seconds: (ending.result == EndResult::Succeeded && intent.kind != Kind::Failover).then_some(0),
            extra: Extra::new(),
        }));
        write(next.clone())
    })
}
