//! What is told of a change from one status to another. Pure.
//!
//! Levels are compared, and no change is counted on to be seen by itself: where two came between two looks, what follows from
//! both is told. docs/resource.md has the reasons.

use continuum_core::status::UNDOING;
use continuum_core::steps::{self, STEP_COUNT};
use serde_json::Value;

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    Normal,
    Warning,
}

use Severity::{Normal, Warning};

/// One thing to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notice {
    pub severity: Severity,
    pub reason: &'static str,
    /// What the controller was about.
    pub action: &'static str,
    pub note: String,
}

/// What is told of phases that are come to.
pub(super) const PHASES: [(&str, &str, Severity); 6] = [
    ("Pending", "PhasePending", Normal),
    ("Healthy", "PhaseHealthy", Normal),
    ("Degraded", "PhaseDegraded", Warning),
    ("SwitchingOver", "PhaseSwitchingOver", Normal),
    ("FailedOver", "PhaseFailedOver", Normal),
    ("Failed", "PhaseFailed", Warning),
];

/// What is told of conditions that become True, False or Unknown.
pub(super) const CONDITIONS: [(&str, [(&str, Severity); 3]); 5] = [
    ("LeaseHeld", [("LeaseHeld", Normal), ("LeaseFree", Warning), ("LeaseUnknown", Warning)]),
    ("Ready", [("Ready", Normal), ("NotReady", Warning), ("ReadyUnknown", Normal)]),
    ("StandbyAvailable", [("StandbyAvailable", Normal), ("StandbyUnavailable", Warning), ("StandbyUnknown", Warning)]),
    (
        "LastSwitchoverHealthy",
        [("SwitchoverHealthy", Normal), ("SwitchoverUnhealthy", Warning), ("SwitchoverHealthUnknown", Warning)],
    ),
    ("Interference", [("Interference", Warning), ("InterferenceOver", Normal), ("InterferenceUnknown", Warning)]),
];

pub(super) const STARTED: &str = "SwitchoverStarted";
pub(super) const STEP_DONE: &str = "SwitchoverStepDone";
pub(super) const FAILED: &str = "SwitchoverFailed";
pub(super) const UNDONE: &str = "SwitchoverUndone";
pub(super) const SUCCEEDED: &str = "SwitchoverSucceeded";
pub(super) const REFUSED: &str = "SwitchoverRefused";

const RECONCILE: &str = "Reconcile";
const SWITCHOVER: &str = "Switchover";

/// What is told of a Continuum whose status was `before` and is `now`.
pub(crate) fn between(before: &Value, now: &Value) -> Vec<Notice> {
    if before == now {
        return Vec::new();
    }
    let mut notices = Vec::new();
    // A status that begins tells of what was long ago; only what is now is news.
    if before["phase"].is_string() {
        refusal(before, now, &mut notices);
        switchover(before, now, &mut notices);
    }
    phase(before, now, &mut notices);
    conditions(before, now, &mut notices);
    notices
}

fn phase(before: &Value, now: &Value, notices: &mut Vec<Notice>) {
    let Some((phase, reason, severity)) = PHASES.into_iter().find(|(phase, ..)| now["phase"] == *phase) else { return };
    if before["phase"] == phase {
        return;
    }
    let change = match before["phase"].as_str() {
        Some(before) => format!("{before} → {phase}"),
        None => phase.to_owned(),
    };
    let note = format!("{change}: {}", message(now, "Ready"));
    notices.push(Notice { severity, reason, action: RECONCILE, note });
}

fn conditions(before: &Value, now: &Value, notices: &mut Vec<Notice>) {
    for (kind, [is, is_not, unknown]) in CONDITIONS {
        let status = condition(now, kind)["status"].as_str();
        if condition(before, kind)["status"].as_str() == status {
            continue;
        }
        let (reason, severity) = match status {
            Some("True") => is,
            Some("False") => is_not,
            Some(_) => unknown,
            None => continue,
        };
        let why = condition(now, kind)["reason"].as_str().unwrap_or_default();
        let note = format!("{why}: {}", message(now, kind));
        notices.push(Notice { severity, reason, action: RECONCILE, note });
    }
}

fn switchover(before: &Value, now: &Value, notices: &mut Vec<Notice>) {
    let mut tell = |severity, reason, note: String| notices.push(Notice { severity, reason, action: SWITCHOVER, note });
    let (ran, runs) = (Running::of(before), Running::of(now));
    let last = &now["lastSwitchover"];
    let ended = last["at"].is_string() && last["at"] != before["lastSwitchover"]["at"];
    let succeeded = last["result"] == "Success";
    let between = || format!("{} → {}", word(&last["from"]), word(&last["to"]));
    if ended && succeeded {
        let from = ran.as_ref().filter(|ran| !ran.undoes).map_or(STEP_COUNT + 1, |ran| ran.step);
        (from..=STEP_COUNT).for_each(|step| tell(Normal, STEP_DONE, done(step)));
        let took = last["rtoObserved"].as_str().map(|took| format!(" in {took}")).unwrap_or_default();
        tell(Normal, SUCCEEDED, format!("{}{took}", between()));
    } else if ended {
        tell(Warning, UNDONE, format!("{}: {}", between(), message(now, "Ready")));
    }
    let Some(runs) = runs else { return };
    let ran = ran.filter(|_| !ended);
    if ran.is_none() {
        tell(Normal, STARTED, message(now, "Ready").to_owned());
    }
    if runs.undoes {
        if !ran.is_some_and(|ran| ran.undoes) {
            tell(Warning, FAILED, message(now, "Ready").to_owned());
        }
        return;
    }
    // One that goes forward after all counts from where it stands.
    let from = ran.map_or(1, |ran| if ran.undoes { runs.step } else { ran.step });
    (from..runs.step).for_each(|step| tell(Normal, STEP_DONE, done(step)));
}

fn refusal(before: &Value, now: &Value, notices: &mut Vec<Notice>) {
    let refusal = &now["lastRefusal"];
    if !refusal.is_object() || *refusal == before["lastRefusal"] {
        return;
    }
    let note = format!("to {}: {}", word(&refusal["to"]), word(&refusal["message"]));
    notices.push(Notice { severity: Warning, reason: REFUSED, action: SWITCHOVER, note });
}

/// A switchover under way.
struct Running {
    step: u8,
    undoes: bool,
}

impl Running {
    fn of(status: &Value) -> Option<Self> {
        if status["switchoverInProgress"] != true {
            return None;
        }
        let text = status["switchoverStep"].as_str().unwrap_or_default();
        let step = (1..=STEP_COUNT).find(|step| text.starts_with(&format!("step {step}/"))).unwrap_or(1);
        Some(Self { step, undoes: message(status, "Ready").starts_with(UNDOING) })
    }
}

fn done(step: u8) -> String {
    format!("step {step}/{STEP_COUNT} ({}) is done", steps::name(step))
}

fn condition<'a>(status: &'a Value, kind: &str) -> &'a Value {
    let list = status["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().find(|condition| condition["type"] == kind).unwrap_or(&Value::Null)
}

fn message<'a>(status: &'a Value, kind: &str) -> &'a str {
    condition(status, kind)["message"].as_str().unwrap_or_default()
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}
