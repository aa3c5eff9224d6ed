//! How a switchover that ended is told: Execute's report, and `status.lastSwitchover`. Both from the
//! record alone, so that a crash loses neither.

use crate::plan::Plan;
use crate::record::{Direction, EndResult, Ended, Intent, StepState};
use crate::report::{ExecuteReport, ExecuteResult};
use crate::steps::{STEP_COUNT, failure_text};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::cmp::Reverse;

/// Numbers of the steps for which `seen` gives a time, in order.
fn steps_where(steps: &[StepState; 7], seen: impl Fn(&StepState) -> Option<Timestamp>) -> Vec<u8> {
    (1..=STEP_COUNT).zip(steps).filter(|(_, state)| seen(state).is_some()).map(|(number, _)| number).collect()
}

/// Numbers of the steps whose undo was seen, in the order of undoing: backwards, but for one that passed its
/// limit and was seen later. Steps 5 and 6 hold the others back, and were timed by another machine's clock.
fn rolled_back(steps: &[StepState; 7]) -> Vec<u8> {
    let mut undone = steps_where(steps, |state| state.undone_at);
    let at = |number: &u8| steps[usize::from(*number) - 1].undone_at.filter(|_| *number < 5);
    undone.sort_by_key(|number| (at(number), Reverse(*number)));
    undone
}

impl Ended {
    /// How long it took, s, rounded up; absent where it did not succeed.
    pub fn took_seconds(&self) -> Option<u64> {
        let took_ms = self.took_ms.filter(|_| self.result == EndResult::Succeeded)?;
        Some(took_ms.div_ceil(1000))
    }

    /// `step-4 (flip-dns): <cause>`; absent where nothing failed.
    pub fn error(&self) -> Option<String> {
        self.failure.as_ref().map(|cause| failure_text(self.failed_at_step, cause))
    }

    /// `status.lastSwitchover`. Durations are whole seconds, rounded up (`22s`), there where measured.
    pub fn last_switchover(&self) -> Value {
        let succeeded = self.result == EndResult::Succeeded;
        let mut status = json!({
            "at": self.finished_at,
            "from": self.from,
            "to": self.to,
            "reason": self.reason,
            "result": if succeeded { "Success" } else { "Failed" },
            "initiatedBy": self.initiated_by,
        });
        if let Some(seconds) = self.took_seconds() {
            status["rtoObserved"] = format!("{seconds}s").into();
        }
        if let Some(loss) = self.loss_seconds.filter(|_| succeeded) {
            status["rpoObserved"] = format!("{loss}s").into();
        }
        status
    }
}

impl ExecuteReport {
    /// The report of what was refused before it began: `step` is the one whose precondition failed, 0 for none.
    pub fn unbegun(plan: &Plan, step: u8, cause: &str, since: Timestamp, now: Timestamp) -> Self {
        Self {
            id: String::new(),
            result: ExecuteResult::Refused,
            plan_fingerprint: plan.fingerprint(),
            from: plan.from.clone(),
            to: plan.to.clone(),
            completed_steps: Vec::new(),
            failed_at_step: step,
            error: Some(failure_text(step, cause)),
            rolled_back: Vec::new(),
            started_at: since,
            finished_at: now,
            write_gap_seconds: None,
            took_seconds: None,
            rto_missed_by_seconds: None,
            events_owed: 0,
        }
    }

    /// The report of a switchover that began and ended; so many of its events are still owed.
    pub fn from_ended(ended: &Ended, events_owed: usize) -> Self {
        Self {
            id: ended.id.clone(),
            result: match ended.result {
                EndResult::Succeeded => ExecuteResult::Succeeded,
                EndResult::Undone => ExecuteResult::Undone,
                EndResult::Declined => ExecuteResult::Declined,
            },
            plan_fingerprint: ended.fingerprint.clone(),
            from: ended.from.clone(),
            to: ended.to.clone(),
            completed_steps: steps_where(&ended.steps, |state| state.finished_at),
            failed_at_step: ended.failed_at_step,
            error: ended.error(),
            rolled_back: rolled_back(&ended.steps),
            started_at: ended.started_at,
            finished_at: ended.finished_at,
            write_gap_seconds: ended.write_gap_ms.map(|ms| ms as f64 / 1000.0),
            took_seconds: ended.took_ms.map(|ms| ms as f64 / 1000.0),
            rto_missed_by_seconds: ended.rto_missed_by_ms.map(|ms| ms as f64 / 1000.0),
            events_owed,
        }
    }

    /// The report of a switchover whose undo is not through, though each had its time: it goes on.
    pub fn from_undoing(intent: &Intent, now: Timestamp) -> Self {
        let waiting: Vec<String> = (2..=STEP_COUNT)
            .rev()
            .filter(|n| intent.step(*n).started_at.is_some() && intent.step(*n).undone_at.is_none())
            .map(|n| format!("step {n}"))
            .collect();
        let (failed_at_step, cause) = match &intent.direction {
            Direction::Undo { step, reason } => (*step, failure_text(*step, reason)),
            Direction::Forward => (0, String::new()),
        };
        Self {
            id: intent.id.clone(),
            result: ExecuteResult::Undoing,
            plan_fingerprint: intent.fingerprint.clone(),
            from: intent.from().clone(),
            to: intent.to().clone(),
            completed_steps: steps_where(&intent.steps, |state| state.finished_at),
            failed_at_step,
            error: Some(format!("{cause}; still being undone: {}", waiting.join(", "))),
            rolled_back: rolled_back(&intent.steps),
            started_at: intent.started_at,
            finished_at: now,
            write_gap_seconds: None,
            took_seconds: None,
            rto_missed_by_seconds: None,
            events_owed: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Region;
    use crate::record::{Kind, StepState};
    use jiff::{SignedDuration, Timestamp};

    fn ended(done: &[u8], undone: &[u8]) -> Ended {
        let at = Timestamp::UNIX_EPOCH;
        let mut steps: [StepState; 7] = Default::default();
        for (number, state) in (1u8..).zip(&mut steps) {
            state.finished_at = done.contains(&number).then_some(at);
            state.undone_at = undone.contains(&number).then_some(at);
        }
        Ended {
            id: "shop/shop/4.2".into(),
            kind: Kind::Planned,
            from: Region::new("fsn"),
            to: Region::new("hel"),
            request: None,
            reason: "operator-requested".into(),
            initiated_by: "ops".into(),
            approved_by: None,
            fingerprint: "5f0c93a1e27b440d".into(),
            started_at: at,
            finished_at: at + SignedDuration::from_millis(21_300),
            result: EndResult::Succeeded,
            failed_at_step: 0,
            failure: None,
            steps,
            write_gap_ms: Some(14_200),
            took_ms: Some(21_300),
            rto_missed_by_ms: None,
            loss_seconds: Some(0),
            extra: Default::default(),
        }
    }

    #[test]
    fn a_switchover_that_succeeded_is_reported_with_what_was_measured() {
        let ended = ended(&[1, 2, 3, 4, 5, 6, 7], &[]);
        let report = ExecuteReport::from_ended(&ended, 0);
        assert_eq!(
            serde_json::to_value(&report).unwrap(),
            json!({
                "id": "shop/shop/4.2",
                "result": "succeeded",
                "planFingerprint": "5f0c93a1e27b440d",
                "from": "fsn",
                "to": "hel",
                "completedSteps": [1, 2, 3, 4, 5, 6, 7],
                "failedAtStep": 0,
                "startedAt": "1970-01-01T00:00:00Z",
                "finishedAt": "1970-01-01T00:00:21.3Z",
                "tookSeconds": 21.3,
                "writeGapSeconds": 14.2
            })
        );
        assert_eq!(
            ended.last_switchover(),
            json!({
                "at": "1970-01-01T00:00:21.3Z",
                "from": "fsn",
                "to": "hel",
                "reason": "operator-requested",
                "result": "Success",
                "rtoObserved": "22s",
                "rpoObserved": "0s",
                "initiatedBy": "ops"
            })
        );
    }

    #[test]
    fn a_failed_step_is_named_and_the_undos_are_listed_in_their_order() {
        let mut ended = ended(&[1, 2, 3], &[1, 2, 3, 4]);
        ended.result = EndResult::Undone;
        ended.failed_at_step = 4;
        ended.failure = Some("timed out after 5 s".into());
        let report = ExecuteReport::from_ended(&ended, 0);
        assert_eq!(report.error.as_deref(), Some("step-4 (flip-dns): timed out after 5 s"));
        assert_eq!(report.rolled_back, [4, 3, 2, 1]);
        assert_eq!(report.completed_steps, [1, 2, 3]);
        assert_eq!(ended.last_switchover()["result"], "Failed");
        assert_eq!(ended.last_switchover().get("rtoObserved"), None);
    }

    #[test]
    fn an_abort_names_no_step() {
        let mut ended = ended(&[1], &[1]);
        ended.result = EndResult::Undone;
        ended.failure = Some("aborted by ops".into());
        assert_eq!(ended.error().as_deref(), Some("aborted by ops"));
    }

    #[test]
    fn a_loss_that_was_not_measured_is_absent() {
        let mut ended = ended(&[1, 2, 3, 4, 5, 6, 7], &[]);
        ended.loss_seconds = None;
        assert_eq!(ended.last_switchover().get("rpoObserved"), None);
    }

    #[test]
    fn an_undo_that_was_seen_late_stands_late_in_what_was_rolled_back() {
        let mut ended = ended(&[1, 2, 3, 4, 5], &[1, 2, 3, 4, 5]);
        let at = |seconds: i64| Some(Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds));
        // Step 5's time is the other machine's, and its clock is an hour ahead.
        for (number, second) in [(1, 60), (2, 40), (3, 10), (4, 50), (5, 3_600)] {
            ended.steps[number - 1].undone_at = at(second);
        }
        assert_eq!(ExecuteReport::from_ended(&ended, 0).rolled_back, [5, 3, 2, 4, 1]);
    }

    #[test]
    fn an_undo_that_is_not_through_lists_what_was_seen_and_names_the_rest() {
        use crate::preflight::fixture;
        use crate::transition::{self, Beginning, Edit, Order};
        let now = Timestamp::UNIX_EPOCH;
        let order = Order { plan: fixture::plan(), kind: Kind::Planned, request: None, now };
        let (me, id) = (fixture::fsn(), "shop/shop/4.1");
        let written = |edit: Edit| if let Edit::Write(record) = edit { *record } else { panic!("{edit:?}") };
        let mut record = written(transition::begin(&fixture::record(), &me, &order));
        for step in 2..=4 {
            record = written(transition::start(&record, &me, id, step, now, &Beginning::default()));
        }
        record = written(transition::turn(&record, &me, id, 4, "SERVFAIL", false, now));
        record = written(transition::undone(&record, &me, id, 3, now, None));
        let report = ExecuteReport::from_undoing(record.intent.as_ref().unwrap(), now);
        assert_eq!((report.result, report.failed_at_step), (ExecuteResult::Undoing, 4));
        assert_eq!(report.rolled_back, [3]);
        let error = "step-4 (flip-dns): SERVFAIL; still being undone: step 4, step 2";
        assert_eq!(report.error.as_deref(), Some(error));
    }
}
