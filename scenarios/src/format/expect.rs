//! What a scenario expects: of a report, at a point of the run (`assert`), and at its end (`expect`).

use super::names::{CheckName, EventName, HealthCheckName, RegionName};
use super::scalars::{Number, StepNumber, TimeSpan, maybe_flag, maybe_number, maybe_number_at, mistake};
use super::spot::{Place, Spot};
use continuum_core::report::ExecuteResult;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

/// What a dry run is expected to say.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct DryRunExpect {
    /// Every blocker: a part of the text of each, and no others. `[]`: none.
    pub blockers: Option<Vec<String>>,
    /// Parts of the text of warnings that must be there; others may be.
    pub warnings: Option<Vec<String>>,
    /// Parts of the text of notes, at any step, that must be there; others may be.
    pub notes: Option<Vec<String>>,
    /// The steps whose preconditions are not met, and no others.
    pub unmet: Option<Vec<StepNumber>>,
    /// The fingerprint is that of the dry run before (true), or another (false).
    #[serde(deserialize_with = "maybe_flag")]
    pub same_fingerprint: Option<bool>,
    /// It is an error, whose text contains this.
    pub error: Option<String>,
}

/// What an execution is expected to do.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ExecuteExpect {
    /// How it ends.
    pub result: Option<ResultWord>,
    /// The steps whose effect was seen, in order.
    pub completed_steps: Option<Vec<StepNumber>>,
    /// The step that failed.
    pub failed_at_step: Option<StepNumber>,
    /// Part of the report's error, or of the error in which the operation ended.
    pub error: Option<String>,
    /// The steps undone, in the order of undoing.
    pub rolled_back: Option<Vec<StepNumber>>,
    /// How many events are still owed to the audit stream when it ends.
    #[serde(deserialize_with = "maybe_number")]
    pub events_owed: Option<usize>,
}

/// How an execution ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ResultWord {
    /// The role moved.
    Succeeded,
    /// It failed, and everything that was done was seen undone.
    Undone,
    /// It failed, and not every undo was seen in its time.
    Undoing,
    /// A failback that was refused, cancelled or not approved in time.
    Declined,
    /// It did not begin.
    Refused,
    /// The target is primary already.
    AlreadyThere,
    /// Whether it began or how it ended could not be learned.
    Unknown,
}

impl ResultWord {
    /// As the file writes it.
    pub fn word(self) -> &'static str {
        match self {
            ResultWord::Succeeded => "succeeded",
            ResultWord::Undone => "undone",
            ResultWord::Undoing => "undoing",
            ResultWord::Declined => "declined",
            ResultWord::Refused => "refused",
            ResultWord::AlreadyThere => "alreadyThere",
            ResultWord::Unknown => "unknown",
        }
    }
}

impl From<ResultWord> for ExecuteResult {
    fn from(word: ResultWord) -> Self {
        match word {
            ResultWord::Succeeded => ExecuteResult::Succeeded,
            ResultWord::Undone => ExecuteResult::Undone,
            ResultWord::Undoing => ExecuteResult::Undoing,
            ResultWord::Declined => ExecuteResult::Declined,
            ResultWord::Refused => ExecuteResult::Refused,
            ResultWord::AlreadyThere => ExecuteResult::AlreadyThere,
            ResultWord::Unknown => ExecuteResult::Unknown,
        }
    }
}

/// What becomes of a change that a person or a tool asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ChangeExpect {
    /// Each server that was asked took it.
    #[default]
    Taken,
    /// A server refused it, or none has the object.
    Refused,
}

/// What a health check is expected to find.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct HealthExpect {
    /// Every check that is not deferred passed.
    #[serde(deserialize_with = "maybe_flag")]
    pub overall_healthy: Option<bool>,
    /// The checks that fail, and no others.
    pub failed: Option<Vec<HealthCheckName>>,
    /// The checks that are deferred, and no others.
    pub deferred: Option<Vec<HealthCheckName>>,
    /// Part of the detail of a check.
    pub detail: Option<String>,
}

/// Who holds the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum HolderWord {
    /// Region fsn.
    Fsn,
    /// Region hel.
    Hel,
    /// Nobody.
    Free,
    /// Somebody who is no region of this Continuum.
    ThirdParty,
}

impl HolderWord {
    /// As the file writes it.
    pub fn word(self) -> &'static str {
        match self {
            HolderWord::Fsn => "fsn",
            HolderWord::Hel => "hel",
            HolderWord::Free => "free",
            HolderWord::ThirdParty => "thirdParty",
        }
    }
}

/// `status.phase` of the Continuum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum PhaseWord {
    /// Nothing is known yet.
    Pending,
    /// All is well.
    Healthy,
    /// Something is wrong.
    Degraded,
    /// A switchover is under way.
    SwitchingOver,
    /// From a switchover's end to its health check.
    FailedOver,
    /// A switchover failed and was not undone.
    Failed,
}

/// The verdict of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// It holds.
    Ok,
    /// It does not, as this scenario shows.
    Failed,
}

/// The gap in which no write was acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("minProperties" = 1))]
pub struct GapExpect {
    /// At most so long.
    pub at_most: Option<TimeSpan>,
    /// At least so long.
    pub at_least: Option<TimeSpan>,
}

/// Facts of the world, as its servers know them. What is left out is not looked at.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Facts {
    /// The region whose half, and no other, takes writes.
    pub primary: Option<RegionName>,
    /// The regions whose halves take writes. `[]`: none.
    pub writable: Option<Vec<RegionName>>,
    /// Who holds the lease.
    pub holder: Option<HolderWord>,
    /// The lease's generation.
    #[serde(deserialize_with = "maybe_number")]
    pub generation: Option<u64>,
    /// The region, and no other, whose addresses the authoritative server answers.
    pub dns: Option<RegionName>,
    /// The region, and no other, to which the route sends.
    pub route: Option<RegionName>,
    /// Whether a switchover is under way.
    #[serde(deserialize_with = "maybe_flag")]
    pub switchover_under_way: Option<bool>,
    /// `status.phase` in the copy of the region that holds the lease.
    pub phase: Option<PhaseWord>,
    /// How many events of each type the audit stream holds.
    #[serde(deserialize_with = "events")]
    pub events: BTreeMap<EventName, u64>,
    /// How many events are owed to the audit stream.
    #[serde(deserialize_with = "maybe_number")]
    pub events_owed: Option<usize>,
    /// Condition `LastSwitchoverHealthy` in the copy of the region that holds the lease.
    #[serde(deserialize_with = "maybe_flag")]
    pub last_switchover_healthy: Option<bool>,
}

/// `spec.expect`: how the run ends. Every check must hold besides, where `checks` does not say otherwise.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Expect {
    /// How the last execution or failback ended; of one before it, say so in its own step.
    pub result: Option<Spot<ResultWord>>,
    /// Writes that were acknowledged and are not there at the end.
    #[serde(deserialize_with = "maybe_number_at")]
    pub acknowledged_writes_lost: Option<Spot<u64>>,
    /// The gap in which no write was acknowledged, over the whole run.
    #[serde(deserialize_with = "gap")]
    pub write_gap: Option<Spot<GapExpect>>,
    /// Verdicts that differ from `ok`.
    pub checks: BTreeMap<CheckName, Spot<Verdict>>,
    /// The region whose half, and no other, takes writes.
    pub primary: Option<Spot<RegionName>>,
    /// Who holds the lease.
    pub holder: Option<Spot<HolderWord>>,
    /// The lease's generation.
    #[serde(deserialize_with = "maybe_number_at")]
    pub generation: Option<Spot<u64>>,
    /// The region, and no other, whose addresses the authoritative server answers.
    pub dns: Option<Spot<RegionName>>,
    /// The region, and no other, to which the route sends.
    pub route: Option<Spot<RegionName>>,
    /// `status.phase` in the copy of the region that holds the lease.
    pub phase: Option<Spot<PhaseWord>>,
    /// How many events of each type the audit stream holds.
    #[serde(deserialize_with = "events_at")]
    pub events: BTreeMap<EventName, Spot<u64>>,
}

impl Expect {
    /// The part that is said of the world, as `assert` says it.
    pub fn facts(&self) -> Facts {
        Facts {
            primary: bare(&self.primary),
            holder: bare(&self.holder),
            generation: bare(&self.generation),
            dns: bare(&self.dns),
            route: bare(&self.route),
            phase: bare(&self.phase),
            events: self.events.iter().map(|(name, count)| (name.clone(), count.value)).collect(),
            ..Facts::default()
        }
    }

    /// Where the file says what is expected of a fact, by the key of `assert`.
    pub fn place_of(&self, key: &str) -> Option<Place> {
        match key.split_once('.') {
            Some(("events", name)) => self.events.get(&EventName::of(name)).map(|count| count.place),
            _ => match key {
                "primary" => place(&self.primary),
                "holder" => place(&self.holder),
                "generation" => place(&self.generation),
                "dns" => place(&self.dns),
                "route" => place(&self.route),
                "phase" => place(&self.phase),
                _ => None,
            },
        }
    }

    /// Whether this check is expected to fail.
    pub fn expects_failure_of(&self, check: &str) -> bool {
        self.checks.get(&CheckName::of(check)).is_some_and(|verdict| verdict.value == Verdict::Failed)
    }
}

fn bare<T: Clone>(spot: &Option<Spot<T>>) -> Option<T> {
    spot.as_ref().map(|spot| spot.value.clone())
}

fn place<T>(spot: &Option<Spot<T>>) -> Option<Place> {
    spot.as_ref().map(|spot| spot.place)
}

fn events<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<EventName, u64>, D::Error> {
    Ok(events_at(deserializer)?.into_iter().map(|(name, count)| (name, count.value)).collect())
}

fn events_at<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<EventName, Spot<u64>>, D::Error> {
    let events = BTreeMap::<EventName, Spot<Number>>::deserialize(deserializer)?;
    Ok(events.into_iter().map(|(name, Spot { value: Number(value), place })| (name, Spot { value, place })).collect())
}

fn gap<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Spot<GapExpect>>, D::Error> {
    let gap = Option::<Spot<GapExpect>>::deserialize(deserializer)?;
    match gap.as_deref() {
        Some(GapExpect { at_most: None, at_least: None }) => {
            Err(mistake("a gap of which nothing is expected".into(), "expected `atMost`, `atLeast`, or both".into()))
        }
        Some(GapExpect { at_most: Some(most), at_least: Some(least) }) if least > most => {
            Err(mistake(format!("no gap is at least {least} and at most {most}"), "exchange them, or keep one".into()))
        }
        _ => Ok(gap),
    }
}
