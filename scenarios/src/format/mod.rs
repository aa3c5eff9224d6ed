//! The scenario file: its types, how one is read, and what is wrong with it.
//!
//! A [`Scenario`] that [`load`] gives is complete: every name is one the world has, every duration has a unit, and
//! nothing in it can be seen never to happen. Nothing here runs anything.

mod check;
mod expect;
mod load;
mod mistake;
mod moment;
mod names;
mod scalars;
mod spot;
mod steps;
mod world;
mod yaml;

pub use self::expect::*;
pub use self::load::{find, load, parse};
pub use self::mistake::Mistake;
pub use self::moment::{Condition, Moment, StepRef, Timing, WriteRef};
pub use self::names::*;
pub use self::scalars::{Count, FailureCode, Seconds, StepNumber, TimeSpan};
pub use self::spot::{Place, Spot};
pub use self::steps::*;
pub use self::world::*;

use schemars::JsonSchema;
use serde::Deserialize;

/// A scenario: a world, what is done in it, and what should come of it.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scenario {
    /// `continuum.openova.io/v1alpha1`.
    pub api_version: ApiVersion,
    /// `Scenario`.
    pub kind: Kind,
    /// Name and description.
    pub metadata: Metadata,
    /// Everything else.
    pub spec: ScenarioSpec,
}

/// Name and description.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// Name, a DNS label.
    pub name: ScenarioName,
    /// What it shows, for people.
    #[serde(default)]
    pub description: String,
}

/// World, steps and expectations.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScenarioSpec {
    /// Every random choice of the run follows from it.
    #[serde(default = "first")]
    pub seed: u64,
    /// Simulated time after which the run is given up.
    #[serde(default = "limit")]
    pub limit: Spot<TimeSpan>,
    /// How the world is at the start.
    #[serde(default)]
    pub world: World,
    /// What is done, in order.
    pub steps: Spot<Vec<Spot<Step>>>,
    /// How it ends.
    #[serde(default)]
    pub expect: Expect,
}

fn first() -> u64 {
    1
}

fn limit() -> Spot<TimeSpan> {
    TimeSpan::seconds(600).into()
}

/// The JSON schema of a scenario file, for editors.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Scenario).to_value()
}
