//! How a switchover that ended is told: Execute's report, and `status.lastSwitchover`. Both from the
//! record alone, so that a crash loses neither.

use crate::record::{EndResult, Ended};
use crate::report::{ExecuteReport, ExecuteResult};
use crate::steps::{STEP_COUNT, failure_text};
use serde_json::{Value, json};

impl Ended {
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
        // The two times may come from the clocks of two machines.
        let took_ms = self.finished_at.as_millisecond().saturating_sub(self.started_at.as_millisecond()).max(0);
        if succeeded {
            status["rtoObserved"] = format!("{}s", (took_ms + 999) / 1000).into();
        }
        if let Some(loss) = self.loss_seconds.filter(|_| succeeded) {
            status["rpoObserved"] = format!("{loss}s").into();
        }
        status
    }

    /// Numbers of the steps for which `seen` gives a time, in order.
    fn steps_where(&self, seen: impl Fn(&crate::record::StepState) -> bool) -> Vec<u8> {
        (1..=STEP_COUNT).zip(&self.steps).filter(|(_, state)| seen(state)).map(|(number, _)| number).collect()
    }
}

impl ExecuteReport {
    /// The report of a switchover that began and ended.
    pub fn from_ended(ended: &Ended) -> Self {
        let mut rolled_back = ended.steps_where(|state| state.undone_at.is_some());
        // Undone is what was done, backwards.
        rolled_back.reverse();
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
            completed_steps: ended.steps_where(|state| state.finished_at.is_some()),
            failed_at_step: ended.failed_at_step,
            error: ended.error(),
            rolled_back,
            started_at: ended.started_at,
            finished_at: ended.finished_at,
            write_gap_seconds: ended.write_gap_ms.map(|ms| ms as f64 / 1000.0),
            events_owed: ended.owed.len(),
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
            loss_seconds: Some(0),
            owed: Vec::new(),
            extra: Default::default(),
        }
    }

    #[test]
    fn a_switchover_that_succeeded_is_reported_with_what_was_measured() {
        let ended = ended(&[1, 2, 3, 4, 5, 6, 7], &[]);
        let report = ExecuteReport::from_ended(&ended);
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
        let report = ExecuteReport::from_ended(&ended);
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
}
