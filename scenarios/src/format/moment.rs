//! When a fault or an action happens: at once, at a time, or when something happens in the world. All of it is
//! judged by the world's ground truth, never by a controller's opinion; `lastSwitchoverHealthy` by what it wrote down.

use super::names::{EventName, ObjectRef, RegionName};
use super::scalars::{Count, StepNumber, TimeSpan, flag, number, some_time, some_time_pattern};
use super::spot::Spot;
use schemars::JsonSchema;
use serde::Deserialize;
use std::fmt;
use std::time::Duration;

/// One of the seven steps, as `{step: 5}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StepRef {
    /// 1 to 7.
    pub step: StepNumber,
}

/// A request that changes something, as `{write: "clusters/shop-fsn", nth: 3}`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WriteRef {
    /// The object written.
    pub write: ObjectRef,
    /// Which of the writes since this line of the scenario was reached. Left out: the first.
    #[serde(default)]
    pub nth: Option<Count>,
}

/// Something that can be true of the world.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Condition {
    /// One half takes writes, its region holds the lease, the other follows, and nothing is under way or owed.
    Converged,
    /// No switchover is under way and no failback waits.
    Idle,
    /// A switchover is under way: its intent stands in the record.
    SwitchoverUnderWay,
    /// A failback waits for approval.
    FailbackPending,
    /// This region's half, and no other, takes writes.
    Primary(RegionName),
    /// This region holds the lease.
    Holder(RegionName),
    /// The lease's generation is this or more.
    Generation(#[serde(deserialize_with = "number")] u64),
    /// The audit stream holds an event of this type.
    Event(EventName),
    /// The standby is behind by less than this.
    LagBelow(
        #[serde(deserialize_with = "some_time")]
        #[schemars(extend("pattern" = some_time_pattern()))]
        TimeSpan,
    ),
    /// The standby is behind by more than this.
    LagAbove(TimeSpan),
    /// Condition `LastSwitchoverHealthy` says so in the copy of the region that holds the lease.
    LastSwitchoverHealthy(#[serde(deserialize_with = "flag")] bool),
    /// So much time has passed since this line of the scenario was reached.
    Elapsed(TimeSpan),
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Condition::Converged => f.write_str("converged"),
            Condition::Idle => f.write_str("idle"),
            Condition::SwitchoverUnderWay => f.write_str("switchoverUnderWay"),
            Condition::FailbackPending => f.write_str("failbackPending"),
            Condition::Primary(region) => write!(f, "primary: {}", region.as_str()),
            Condition::Holder(region) => write!(f, "holder: {}", region.as_str()),
            Condition::Generation(generation) => write!(f, "generation: {generation}"),
            Condition::Event(event) => write!(f, "event: {}", event.as_str()),
            Condition::LagBelow(limit) => write!(f, "lagBelow: {limit}"),
            Condition::LagAbove(limit) => write!(f, "lagAbove: {limit}"),
            Condition::LastSwitchoverHealthy(healthy) => write!(f, "lastSwitchoverHealthy: {healthy}"),
            Condition::Elapsed(time) => write!(f, "elapsed: {time}"),
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Moment::Now => f.write_str("its line"),
            Moment::At(at) => write!(f, "at {:.1} s", at.as_secs_f64()),
            Moment::Before(step) => write!(f, "before step {step}"),
            Moment::After(step) => write!(f, "after step {step}"),
            Moment::Write { object, nth } => write!(f, "write {nth} of {object}"),
            Moment::When(condition) => write!(f, "when {condition}"),
        }
    }
}

/// When something happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Moment {
    /// When the scenario comes to its line.
    Now,
    /// At this time since the start of the run, wherever its line stands.
    At(Duration),
    /// When the stored record first shows that the step started.
    Before(u8),
    /// When the world first shows the step's effect.
    After(u8),
    /// When the n-th such write arrives.
    Write {
        /// The object written.
        object: ObjectRef,
        /// From 1.
        nth: u32,
    },
    /// When this is first true after the scenario came to its line.
    When(Condition),
}

/// The keys of a step that say when and for how long, as they stand in the file.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timing<'a> {
    /// `at`.
    pub at: Option<&'a Spot<TimeSpan>>,
    /// `before`.
    pub before: Option<&'a Spot<StepRef>>,
    /// `after`.
    pub after: Option<&'a Spot<StepRef>>,
    /// `on`.
    pub on: Option<&'a Spot<WriteRef>>,
    /// `when`.
    pub when: Option<&'a Spot<Condition>>,
    /// `for`: how long it lasts. Absent: until it is healed, or the run ends.
    pub lasts: Option<&'a Spot<TimeSpan>>,
}

impl Timing<'_> {
    /// The moment. The first one where a file that was not checked has several.
    pub fn moment(&self) -> Moment {
        if let Some(at) = self.at {
            Moment::At(at.0)
        } else if let Some(step) = self.before {
            Moment::Before(step.step.0)
        } else if let Some(step) = self.after {
            Moment::After(step.step.0)
        } else if let Some(on) = self.on {
            Moment::Write { object: on.write.clone(), nth: on.nth.map_or(1, |nth| nth.0) }
        } else if let Some(when) = self.when {
            Moment::When(when.value.clone())
        } else {
            Moment::Now
        }
    }

    /// How long it lasts.
    pub fn duration(&self) -> Option<Duration> {
        self.lasts.map(|lasts| lasts.0)
    }
}

/// What a schema says of moments: no two of them.
pub(crate) fn one_moment() -> Vec<serde_json::Value> {
    let keys = ["at", "before", "after", "on", "when"];
    let pairs = keys.iter().enumerate().flat_map(|(index, a)| keys[index + 1..].iter().map(move |b| [a, b]));
    pairs.map(|pair| serde_json::json!({ "not": { "required": pair } })).collect()
}

/// Defines a step that can be given a moment; with `lasting`, also how long it lasts (`for`).
macro_rules! timed {
    (@fields [$($lasts:tt)*] $(#[$doc:meta])* $name:ident { $($body:tt)* }) => {
        #[derive(Clone, Debug, PartialEq, ::serde::Deserialize, ::schemars::JsonSchema)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        #[schemars(extend("allOf" = $crate::format::moment::one_moment()))]
        $(#[$doc])*
        pub struct $name {
            $($body)*
            /// At this time since the start of the run.
            #[serde(default)]
            pub at: Option<$crate::format::spot::Spot<$crate::format::scalars::TimeSpan>>,
            /// When the record first shows that this step started.
            #[serde(default)]
            pub before: Option<$crate::format::spot::Spot<$crate::format::moment::StepRef>>,
            /// When the world first shows this step's effect.
            #[serde(default)]
            pub after: Option<$crate::format::spot::Spot<$crate::format::moment::StepRef>>,
            /// When such a write arrives.
            #[serde(default)]
            pub on: Option<$crate::format::spot::Spot<$crate::format::moment::WriteRef>>,
            /// When this is first true.
            #[serde(default, deserialize_with = "crate::format::one_key::maybe_at")]
            pub when: Option<$crate::format::spot::Spot<$crate::format::moment::Condition>>,
            $($lasts)*
        }
    };
    ($(#[$doc:meta])* $name:ident { $($body:tt)* }) => {
        $crate::format::moment::timed!(@fields [] $(#[$doc])* $name { $($body)* });
        impl $name {
            /// When it happens.
            pub fn timing(&self) -> $crate::format::moment::Timing<'_> {
                $crate::format::moment::Timing {
                    at: self.at.as_ref(),
                    before: self.before.as_ref(),
                    after: self.after.as_ref(),
                    on: self.on.as_ref(),
                    when: self.when.as_ref(),
                    lasts: None,
                }
            }
        }
    };
    (lasting $(#[$doc:meta])* $name:ident { $($body:tt)* }) => {
        $crate::format::moment::timed!(@fields [
            /// It ends after this long. Left out: when it is healed, or the run ends.
            #[serde(default, rename = "for", deserialize_with = "crate::format::scalars::maybe_some_time_at")]
            #[schemars(extend("pattern" = crate::format::scalars::some_time_pattern()))]
            pub lasts: Option<$crate::format::spot::Spot<$crate::format::scalars::TimeSpan>>,
        ] $(#[$doc])* $name { $($body)* });
        impl $name {
            /// When it happens and how long it lasts.
            pub fn timing(&self) -> $crate::format::moment::Timing<'_> {
                $crate::format::moment::Timing {
                    at: self.at.as_ref(),
                    before: self.before.as_ref(),
                    after: self.after.as_ref(),
                    on: self.on.as_ref(),
                    when: self.when.as_ref(),
                    lasts: self.lasts.as_ref(),
                }
            }
        }
    };
}
pub(crate) use timed;
