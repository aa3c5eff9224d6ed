//! The scenario file: its types, how one is read, and what is wrong with it.
//!
//! A [`Scenario`] that [`load`] gives is complete: every name is one the world has, every duration has a unit, and
//! nothing in it can be seen never to happen. Nothing here runs anything.

mod check;
mod contradictions;
mod expect;
mod faults;
mod load;
mod mistake;
mod moment;
mod names;
mod one_key;
mod parts;
mod pattern;
mod requests;
mod scalars;
mod spot;
mod steps;
mod structure;
mod world;
mod yaml;

pub use self::expect::*;
pub use self::faults::*;
pub use self::load::{find, load, parse};
pub use self::mistake::Mistake;
pub(crate) use self::mistake::did_you_mean;
pub use self::moment::{Condition, Moment, StepRef, Timing, WriteRef};
pub use self::names::*;
pub use self::requests::{HttpRequest, RequestExpect, Via};
pub use self::scalars::{Count, FailureCode, Seconds, StepNumber, TimeSpan};
pub use self::spot::{Place, Spot};
pub use self::steps::*;
pub use self::world::*;

use self::parts::Part;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

/// A scenario: a world, what is done in it, and what should come of it.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scenario {
    /// `continuum.openova.io/v1alpha1`.
    pub api_version: ApiVersion,
    /// `Scenario`.
    pub kind: Kind,
    /// Name and description.
    #[serde(deserialize_with = "metadata")]
    pub metadata: Metadata,
    /// Everything else.
    pub spec: ScenarioSpec,
}

impl Scenario {
    /// Whether any step is asked over the controllers' HTTP API: only then its world has a host `platform`.
    pub fn calls_api(&self) -> bool {
        self.spec.steps.iter().any(|step| step.calls_api())
    }
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
    #[serde(default = "first", deserialize_with = "scalars::number")]
    pub seed: u64,
    /// Simulated time after which the run is given up.
    #[serde(default = "limit", deserialize_with = "scalars::some_time_at")]
    #[schemars(extend("pattern" = scalars::some_time_pattern()))]
    pub limit: Spot<TimeSpan>,
    /// How the world is at the start.
    #[serde(default, deserialize_with = "world")]
    pub world: World,
    /// What is done, in order.
    #[serde(deserialize_with = "one_key::steps")]
    #[schemars(length(min = 1))]
    pub steps: Spot<Vec<Spot<Step>>>,
    /// How it ends.
    #[serde(default, deserialize_with = "expect")]
    pub expect: Spot<Expect>,
}

fn metadata<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Metadata, D::Error> {
    let stand_in = || Metadata { name: ScenarioName::stand_in(), description: String::new() };
    parts::part(deserializer, Part::Metadata, stand_in)
}

fn world<'de, D: Deserializer<'de>>(deserializer: D) -> Result<World, D::Error> {
    parts::part(deserializer, Part::World, World::default)
}

fn expect<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Spot<Expect>, D::Error> {
    parts::part(deserializer, Part::Expect, Spot::default)
}

fn first() -> u64 {
    1
}

fn limit() -> Spot<TimeSpan> {
    TimeSpan::seconds(600).into()
}

/// The JSON schema of a scenario file, for editors. It refuses what [`parse`] refuses, wherever one value or one map
/// shows what is wrong; a test holds the two together.
pub fn schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(Scenario).to_value();
    bound_numbers(&mut schema);
    schema
}

/// Says how large a whole number may be, which its format alone does not.
fn bound_numbers(schema: &mut serde_json::Value) {
    let max = match schema["format"].as_str() {
        Some("uint64" | "uint") => Some(u64::MAX),
        Some("uint32") => Some(u64::from(u32::MAX)),
        _ => None,
    };
    if let (Some(max), None) = (max, schema.get("maximum")) {
        schema["maximum"] = max.into();
    }
    let parts: Box<dyn Iterator<Item = &mut serde_json::Value>> = match schema {
        serde_json::Value::Array(items) => Box::new(items.iter_mut()),
        serde_json::Value::Object(fields) => Box::new(fields.values_mut()),
        _ => return,
    };
    parts.for_each(bound_numbers);
}
