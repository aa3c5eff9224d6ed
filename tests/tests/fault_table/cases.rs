//! The table: every step x every fault x before and after its effect, as scenarios made from one pattern.

use std::fmt;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The controller that drives the step loses its power, and is started again.
    Crash,
    /// The step's request is applied, and its answer never comes.
    LoseReply,
    /// The step's request is applied long after its client gave up.
    Delay,
    /// The server answers a few times with a failure.
    Error,
    /// It does so until the step's limit has passed.
    ErrorForGood,
    /// The server leaves the step's requests unanswered for a while.
    Hang,
    /// The server's software stands still for a while, for everybody.
    Stall,
}

/// Faults, each with the word that its cases are named by.
const FAULTS: [(Fault, &str); 7] = [
    (Fault::Crash, "crash"),
    (Fault::LoseReply, "reply-lost"),
    (Fault::Delay, "request-delayed"),
    (Fault::Error, "error"),
    (Fault::ErrorForGood, "error-for-good"),
    (Fault::Hang, "hang"),
    (Fault::Stall, "stall"),
];

/// On which side of the step's effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Before it.
    Before,
    /// After it.
    After,
}

/// One case of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// 1 to 7.
    pub step: u8,
    /// What goes wrong.
    pub fault: Fault,
    /// On which side of the effect.
    pub side: Side,
    /// The host that it happens to.
    pub host: &'static str,
}

/// The servers that the steps, 1 to 7, are carried out on.
const SERVERS: [&[&str]; 7] =
    [&["api.witness"], &["api.fsn"], &["api.fsn", "api.hel"], &["dns"], &["api.witness"], &["api.hel"], &["nats"]];

/// All cases.
pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for step in 1..=7 {
        for (fault, _) in FAULTS {
            for side in [Side::Before, Side::After] {
                let hosts = hosts(step, fault, side);
                cases.extend(hosts.iter().map(|&host| Case { step, fault, side, host }));
            }
        }
    }
    cases
}

fn hosts(step: u8, fault: Fault, side: Side) -> &'static [&'static str] {
    match (fault, step, side) {
        // The swap hands the driving over: past it, both have to live with the death of either.
        (Fault::Crash, 5, Side::After) => &["controller.fsn", "controller.hel"],
        (Fault::Crash, 1..=5, _) => &["controller.fsn"],
        (Fault::Crash, ..) => &["controller.hel"],
        // Nothing is asked of the stream until long after: nobody would feel it.
        (Fault::Stall, 7, Side::After) => &[],
        _ => SERVERS[usize::from(step) - 1],
    }
}

impl fmt::Display for Case {
    /// `step-6-reply-lost-before-api-hel`, which a scenario may be named.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = if self.side == Side::Before { "before" } else { "after" };
        write!(f, "step-{}-{}-{side}-{}", self.step, self.word(), self.host.replace('.', "-"))
    }
}

impl Case {
    fn word(self) -> &'static str {
        FAULTS.iter().find(|(fault, _)| *fault == self.fault).map_or("", |(_, word)| word)
    }

    /// The fault, as a step of a scenario.
    fn line(self) -> String {
        let side = if self.side == Side::Before { "before" } else { "after" };
        let (host, when) = (self.host, format!("{side}: {{ step: {} }}", self.step));
        // The limit of step 2 is most of the recovery-time objective; others have seconds.
        let past_limit = if self.step == 2 { "45s" } else { "20s" };
        match self.fault {
            Fault::Crash => format!("crash: {{ host: {host}, for: 16s, {when} }}"),
            Fault::LoseReply => format!("loseReply: {{ from: {host}, {when} }}"),
            Fault::Delay => format!("delayRequest: {{ to: {host}, by: 15s, {when} }}"),
            Fault::Error => format!("answer: {{ from: {host}, status: 503, times: 3, {when} }}"),
            Fault::ErrorForGood => {
                format!("answer: {{ from: {host}, status: 503, times: 1000, for: {past_limit}, {when} }}")
            }
            Fault::Hang => format!("hang: {{ from: {host}, times: 1000, for: 12s, {when} }}"),
            Fault::Stall => format!("pause: {{ host: {host}, for: 12s, {when} }}"),
        }
    }

    /// The scenario's text.
    pub fn text(self) -> String {
        // Faults end with the steps: one that begins at the very end needs the time to be felt.
        let lasts = self.step == 7 && self.side == Side::After;
        let pause = if lasts { "    - wait: { for: { elapsed: 14s }, atMost: 20s }\n" } else { "" };
        text(&self.to_string(), &format!("    - {}\n", self.line()), pause)
    }
}

/// The text of the scenario in which nothing goes wrong.
pub fn text_without_fault() -> String {
    text("no-fault", "", "")
}

fn text(name: &str, fault: &str, pause: &str) -> String {
    format!(
        "apiVersion: continuum.openova.io/v1alpha1
kind: Scenario
metadata: {{ name: {name} }}
spec:
  limit: 5m
  world: {{ drain: 2s, tick: 20ms, workload: {{ clients: 2, writesPerSecond: 4 }} }}
  steps:
{fault}    - execute: {{ to: hel }}
{pause}"
    )
}
