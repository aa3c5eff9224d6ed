//! Preflight: may this plan be executed in this world? Pure and total. The dry run prints what it finds;
//! execution refuses for the same findings (H23).
//!
//! ```text
//!   CHECKS (table)     lease, copies      step 1, 5
//!        ▲             pair, operator     step 2
//!        │             replication        step 2
//!        │             admission          step 2, 6
//!        │ Id          traffic            step 3, 4, 7
//!   Findings ◄──────── target             step 6
//!        │
//!        └──► report   seven steps, warnings, blockers
//! ```
//!
//! A cause is a blocker once, at the first step that it concerns; other steps that need the same fact are
//! unmet and note it. Facts that could not be read block. It never looks at the world itself.

mod admission;
#[cfg(test)]
mod cases;
mod copies;
#[doc(hidden)]
pub mod fixture;
mod lease;
#[cfg(test)]
mod listed;
mod operator;
mod pair;
mod replication;
mod report;
mod table;
mod target;
#[cfg(test)]
mod tests;
mod traffic;

pub(crate) use copies::one_object;
pub use report::report;
pub use table::{CHECKS, Check, Id, Severity};

use crate::name::Region;
use crate::observe::{Accepts, ClusterView, Half, Observations, Seen};
use crate::plan::Plan;
use crate::record::Record;
use crate::steps::STEP_COUNT;
use std::fmt;
use std::time::Duration;

/// What preflight decides from.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts<'a> {
    /// The world. What was not looked at counts as not readable.
    pub observations: Observations,
    /// The witness's record; `Is(None)` or `Missing` where nobody wrote one yet; `Unconfigured` without a
    /// witness.
    pub witness: Seen<Option<Record>>,
    /// How long by our own clock since we first saw the record's present version. Absent: not known.
    pub stale_for: Option<Duration>,
    /// The region that looks.
    pub me: Region,
    /// The intent, or failback, whose own standing in the record is no other switchover under way.
    pub in_execution_of: Option<&'a str>,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The check.
    pub id: Id,
    /// What was found, without the step.
    pub text: String,
}

impl Finding {
    /// The step that it belongs to.
    pub fn step(&self) -> u8 {
        self.id.check().step
    }

    /// Whether it blocks.
    pub fn blocks(&self) -> bool {
        self.id.check().severity == Severity::Blocker
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step-{}: {}", self.step(), self.text)
    }
}

/// Everything that was found.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Findings {
    found: Vec<Finding>,
    unmet: [bool; STEP_COUNT as usize],
    notes: [Vec<String>; STEP_COUNT as usize],
}

impl Findings {
    /// Blockers, by step.
    pub fn blockers(&self) -> impl Iterator<Item = &Finding> {
        self.found.iter().filter(|finding| finding.blocks())
    }

    /// Warnings, by step.
    pub fn warnings(&self) -> impl Iterator<Item = &Finding> {
        self.found.iter().filter(|finding| !finding.blocks())
    }

    /// Whether the plan may be executed.
    pub fn clear(&self) -> bool {
        self.blockers().next().is_none()
    }

    /// Whether a check found something.
    pub fn has(&self, id: Id) -> bool {
        self.found.iter().any(|finding| finding.id == id)
    }

    /// Whether the step has no blocker and all facts that it needs.
    pub fn met(&self, step: u8) -> bool {
        !self.unmet[index(step)] && !self.blocked(step)
    }

    /// Remarks on the step.
    pub fn notes(&self, step: u8) -> &[String] {
        &self.notes[index(step)]
    }

    /// The blockers in one line, for an error; absent where there is none.
    pub fn refusal(&self) -> Option<String> {
        let blockers: Vec<String> = self.blockers().map(Finding::to_string).collect();
        (!blockers.is_empty()).then(|| blockers.join("; "))
    }

    /// Whether the one thing that speaks against it is that the lag is not known.
    pub fn wants_only_the_lag(&self) -> bool {
        self.blockers().all(|finding| finding.id == Id::LagKnown)
    }

    fn blocked(&self, step: u8) -> bool {
        self.blockers().any(|finding| finding.step() == step)
    }

    fn add(&mut self, id: Id, text: impl Into<String>) {
        self.found.push(Finding { id, text: text.into() });
    }

    fn note(&mut self, step: u8, text: impl Into<String>) {
        self.notes[index(step)].push(text.into());
    }

    /// The step lacks a fact whose cause is a blocker elsewhere.
    fn unmet(&mut self, step: u8, note: impl Into<String>) {
        self.unmet[index(step)] = true;
        self.note(step, note);
    }
}

fn index(step: u8) -> usize {
    usize::from(step) - 1
}

/// Checks the plan against the facts.
pub fn preflight(plan: &Plan, facts: &Facts) -> Findings {
    let case = Case { plan, facts };
    let mut out = Findings::default();
    lease::look(&case, &mut out);
    copies::look(&case, &mut out);
    pair::look(&case, &mut out);
    operator::look(&case, &mut out);
    admission::look(&case, &mut out);
    replication::look(&case, &mut out);
    traffic::look(&case, &mut out);
    target::look(&case, &mut out);
    // Stable: findings of one check keep the order of the regions.
    out.found.sort_by_key(|finding| (finding.step(), finding.id));
    out
}

/// The plan with its facts, and what several checks ask of them.
struct Case<'a> {
    plan: &'a Plan,
    facts: &'a Facts<'a>,
}

impl<'a> Case<'a> {
    fn seen(&self) -> &'a Observations {
        &self.facts.observations
    }

    /// The half of the old region.
    fn from(&self) -> &'a Half {
        self.seen().half(&self.plan.from)
    }

    /// The half of the new region.
    fn to(&self) -> &'a Half {
        self.seen().half(&self.plan.to)
    }

    /// Both halves with their regions, the old one first.
    fn halves(&self) -> [(&'a Region, &'a Half); 2] {
        [(&self.plan.from, self.from()), (&self.plan.to, self.to())]
    }

    fn source(&self) -> Option<&'a ClusterView> {
        self.from().cluster.known()
    }

    fn target(&self) -> Option<&'a ClusterView> {
        self.to().cluster.known()
    }

    /// The record, where it was read and there is one.
    fn record(&self) -> Option<&'a Record> {
        self.facts.witness.known()?.as_ref()
    }

    /// The lease is at the new region already: the roles are not to move, so what they should be before
    /// a move is not asked.
    fn redundant(&self) -> bool {
        self.record().is_some_and(|record| record.held_by(&self.plan.to))
    }

    /// Why the API server of this region is not reached: neither the copy nor the Cluster could be read.
    fn api_down(&self, region: &Region) -> Option<&'a str> {
        match (self.seen().copies.get(region), &self.seen().half(region).cluster) {
            (Some(Seen::Unknown(cause)), Seen::Unknown(_) | Seen::NotLooked) => Some(cause),
            _ => None,
        }
    }

    /// PostgreSQL of this half does not answer, and a blocker of step 2 says so: what follows from it is no
    /// cause of its own.
    fn silent(&self, half: &Half) -> bool {
        match &half.database {
            Seen::Unknown(_) => true,
            Seen::Is(database) => {
                !self.redundant() && database.in_recovery.is_none() && database.accepts != Accepts::Yes
            }
            _ => false,
        }
    }

    /// What a look at something behind this region's API server gave, or why it gave nothing. A server
    /// that is not reached at all is a blocker of its own, so then the step is only unmet.
    fn read<T>(
        &self,
        out: &mut Findings,
        region: &Region,
        look: Option<&'a Seen<T>>,
        step: u8,
    ) -> Result<&'a T, Option<String>> {
        match look {
            Some(Seen::Is(value)) => Ok(value),
            _ if self.api_down(region).is_some() => {
                out.unmet(step, format!("not read in {region}: see step 1"));
                Err(None)
            }
            look => Err(Some(look.and_then(Seen::why).unwrap_or_else(|| "not looked at".into()))),
        }
    }
}

/// Seconds for people: `0.1 s`, `12 s`.
fn seconds(duration: Duration) -> String {
    if duration.subsec_millis() == 0 {
        format!("{} s", duration.as_secs())
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}
