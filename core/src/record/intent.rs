//! The intent: the move under way, with its journal and what undoing it needs.

use super::{EndResult, Extra, Kind, Lineage, RecordSet};
use crate::name::Region;
use crate::plan::Plan;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Where an intent goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Direction {
    /// Towards `to`.
    Forward,
    /// Back, for a reason: the step that failed (0: none, a person's abort) and why.
    Undo {
        /// The step that failed; 0 for an abort.
        step: u8,
        /// Why, in one line.
        reason: String,
    },
}

/// The switchover under way: plan, journal, and what undoing needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Intent {
    /// `namespace/name/generation.sequence`.
    pub id: String,
    /// What kind of move.
    pub kind: Kind,
    /// The plan that is followed. Never re-read from a spec.
    pub plan: Plan,
    /// Its fingerprint.
    pub fingerprint: String,
    /// Identity of the request that started it, 16 hex digits. Absent where the controller itself did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// Who approved it, where approval was needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
    /// When it was written, wall time.
    pub started_at: Timestamp,
    /// The generation it began in.
    pub began_generation: u64,
    /// Forward, or back and why.
    pub direction: Direction,
    /// The demotion token of `from`'s half, once seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The one before it, where step 2 is done anew: still good where the half has not left recovery since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_before: Option<String>,
    /// Failover only: whether the target had everything. Absent: not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eligible: Option<bool>,
    /// What undoing needs.
    #[serde(default)]
    pub former: Former,
    /// `status.seen.beat` of `to`'s controller when step 4 began: step 5 wants it grown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beat_before: Option<u64>,
    /// How often a step that was done had to be done anew, since its effect was gone.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub redone: u32,
    /// The token that the target was promoted with: its own where its history is the newest. Absent: step 6 did
    /// not start, or it was promoted without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promoted_with: Option<String>,
    /// When `to`'s controller first saw itself the holder, on its own wall clock. With the end of step 5, which is on
    /// `from`'s, it joins durations on the two machines without comparing their clocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handed_over_at: Option<Timestamp>,
    /// The seven steps.
    pub steps: [StepState; 7],
    /// What a newer version wrote.
    #[serde(flatten)]
    pub extra: Extra,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// What the last move left: where routes and records lead. A declined failback moved nothing and leaves this be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Left {
    /// Its plan.
    pub plan: Plan,
    /// What stood before it: what its undo left.
    pub former: Former,
    /// [`EndResult::Succeeded`] or [`EndResult::Undone`].
    pub result: EndResult,
    /// What a newer version wrote.
    #[serde(flatten)]
    pub extra: Extra,
}

/// What stood before the switchover changed it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Former {
    /// Weights of the two backends in the route of each region, by region.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub weights: BTreeMap<Region, FormerWeights>,
    /// The records that were published, as the DNS server had them. Absent: not read yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<Vec<RecordSet>>,
    /// The names that were answered with addresses when step 4 began. Absent: not asked (an older version).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered: Option<Vec<String>>,
    /// The addresses that each name was answered with when step 4 began, where nothing shows the records themselves.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub led_to: BTreeMap<String, Vec<IpAddr>>,
    /// The lineage before the demotion.
    #[serde(default)]
    pub lineage: Lineage,
    /// What a newer version wrote.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Former {
    /// Whether every name led to addresses of the plan's old region, and to no others, by what was answered.
    pub fn led_home(&self, plan: &Plan) -> bool {
        let home = |address: &IpAddr| plan.former_addresses.contains(address);
        self.led_to.values().all(|addresses| !addresses.is_empty() && addresses.iter().all(home))
    }
}

/// The weights of the two backends of one region's route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FormerWeights {
    /// Weight toward `from`'s backend: the greatest of all rules.
    pub from: u32,
    /// Weight toward `to`'s backend: the greatest of all rules.
    pub to: u32,
    /// The same of each rule that has one of them, by the rule's key. Empty in a record of an older version, where
    /// the two above are those of each rule.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rules: BTreeMap<String, FormerRule>,
}

/// The weights of the two backends of one rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FormerRule {
    /// Weight toward `from`'s backend. Absent: the rule had no such backend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u32>,
    /// Weight toward `to`'s backend. Absent: the rule had no such backend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u32>,
}

/// The journal of one step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepState {
    /// When it was first tried, wall time. Present means *tried*.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When its effect was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// How often it was tried.
    #[serde(default)]
    pub attempts: u32,
    /// Why it failed, where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// When its undo was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone_at: Option<Timestamp>,
    /// What was found, for people: `last write 0/3A2F1C8, token in hand`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What a newer version wrote.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Intent {
    /// The step, 1 to 7.
    pub fn step(&self, number: u8) -> &StepState {
        &self.steps[usize::from(number) - 1]
    }

    /// The step, 1 to 7, to change.
    pub fn step_mut(&mut self, number: u8) -> &mut StepState {
        &mut self.steps[usize::from(number) - 1]
    }

    /// From where.
    pub fn from(&self) -> &Region {
        &self.plan.from
    }

    /// To where.
    pub fn to(&self) -> &Region {
        &self.plan.to
    }

    /// Whether it goes forward.
    pub fn forward(&self) -> bool {
        self.direction == Direction::Forward
    }

    /// From a moment in the old region to one in the new, ms: what each region measured with its own clock, added up.
    /// Absent where the new region did not write down when it took over.
    pub fn lasted_ms(&self, since: Timestamp, until: Timestamp) -> Option<u64> {
        let between = |since: Timestamp, until: Timestamp| {
            u64::try_from(until.as_millisecond().checked_sub(since.as_millisecond())?).ok()
        };
        Some(between(since, self.step(5).finished_at?)? + between(self.handed_over_at?, until)?)
    }

    /// Whether the point of no return is passed: the record says that step 6 started.
    pub fn past_return(&self) -> bool {
        self.step(6).started_at.is_some()
    }
}
