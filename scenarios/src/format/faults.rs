//! Steps that last, with or without an end: faults.

use super::moment::timed;
use super::names::{ClockName, HostName, ObjectRef, RegionName, ServerName};
use super::scalars::{Count, FailureCode, TimeSpan, flag, some_time, some_time_pattern};
use super::world::OperatorTask;
use schemars::JsonSchema;
use serde::Deserialize;

timed! {
    lasting
    /// `pauseReplay`.
    PauseReplay {}
}

timed! {
    lasting
    /// `skew`.
    Skew {
        /// The controller's host.
        pub host: ClockName,
        /// Its wall clock is so far ahead.
        #[serde(default)]
        pub ahead: Option<TimeSpan>,
        /// Or so far behind.
        #[serde(default)]
        pub behind: Option<TimeSpan>,
        /// All its clocks go so many percent too fast, 1 to 50.
        #[serde(default)]
        pub faster: Option<u8>,
        /// Or too slow.
        #[serde(default)]
        pub slower: Option<u8>,
    }
}

timed! {
    lasting
    /// `region`.
    RegionStep {
        /// Which.
        pub region: RegionName,
        /// What befalls it.
        pub does: RegionDoes,
    }
}

/// What befalls a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum RegionDoes {
    /// Every host of it loses its power.
    Crash,
    /// No host of it reaches a host elsewhere, nor the other way round.
    Partition,
    /// It comes back.
    Return,
}

timed! {
    lasting
    /// `partition`.
    Partition {
        /// The two hosts.
        #[schemars(extend("uniqueItems" = true))]
        pub between: (HostName, HostName),
        /// Only what the first sends the second is dropped.
        #[serde(default, deserialize_with = "flag")]
        pub one_way: bool,
    }
}

timed! {
    lasting
    /// `delay`.
    Delay {
        /// The two hosts.
        #[schemars(extend("uniqueItems" = true))]
        pub between: (HostName, HostName),
        /// The latency of each message.
        #[serde(deserialize_with = "some_time")]
        #[schemars(extend("pattern" = some_time_pattern()))]
        pub by: TimeSpan,
    }
}

timed! {
    /// `heal`: ends all faults, or those between two hosts, or those of one host. A crashed host is restarted and a
    /// paused one resumed.
    #[schemars(extend("not" = serde_json::json!({ "required": ["between", "host"] })))]
    Heal {
        /// Only those between these two.
        #[serde(default)]
        #[schemars(extend("uniqueItems" = true))]
        pub between: Option<(HostName, HostName)>,
        /// Only those of this host.
        #[serde(default)]
        pub host: Option<HostName>,
    }
}

timed! {
    lasting
    /// `crash`.
    Crash {
        /// The host.
        pub host: HostName,
    }
}

timed! {
    lasting
    /// `pause`.
    Pause {
        /// The host.
        pub host: HostName,
    }
}

timed! {
    /// `restart`, `resume`.
    OneHost {
        /// The host.
        pub host: HostName,
    }
}

timed! {
    /// `killPostgres`, `dropToken`.
    OneRegion {
        /// The region of the half.
        pub region: RegionName,
    }
}

timed! {
    lasting
    /// `loseReply`. With `before` or `after` a step: the step's first changing request.
    LoseReply {
        /// Whose answer.
        pub from: ServerName,
        /// Only writes of this object.
        #[serde(default)]
        pub write: Option<ObjectRef>,
        /// How many. Left out: 1 where a step or a write is named, else all.
        #[serde(default)]
        pub times: Option<Count>,
    }
}

timed! {
    lasting
    /// `delayRequest`. With `before` or `after` a step: the step's first changing request.
    DelayRequest {
        /// Requests to whom.
        pub to: ServerName,
        /// How much later they are applied.
        #[serde(deserialize_with = "some_time")]
        #[schemars(extend("pattern" = some_time_pattern()))]
        pub by: TimeSpan,
        /// Only writes of this object.
        #[serde(default)]
        pub write: Option<ObjectRef>,
        /// How many. Left out: 1 where a step or a write is named, else all.
        #[serde(default)]
        pub times: Option<Count>,
    }
}

timed! {
    lasting
    /// `answer`. With `before` or `after` a step: the step's first changing request.
    Answer {
        /// Who answers.
        pub from: ServerName,
        /// With what: 400 to 599.
        pub status: FailureCode,
        /// Only writes of this object.
        #[serde(default)]
        pub write: Option<ObjectRef>,
        /// How many. Left out: 1 where a step or a write is named, else all.
        #[serde(default)]
        pub times: Option<Count>,
    }
}

timed! {
    lasting
    /// `hang`. With `before` or `after` a step: the step's first changing request.
    Hang {
        /// Who does not answer.
        pub from: ServerName,
        /// Only writes of this object.
        #[serde(default)]
        pub write: Option<ObjectRef>,
        /// How many. Left out: 1 where a step or a write is named, else all.
        #[serde(default)]
        pub times: Option<Count>,
    }
}

timed! {
    lasting
    /// `operator`.
    #[schemars(extend("oneOf" = serde_json::json!([{ "required": ["stuck"] }, { "required": ["slow"] }])))]
    Operator {
        /// Whose operator.
        pub region: RegionName,
        /// What it never finishes.
        #[serde(default)]
        pub stuck: Option<OperatorTask>,
        /// How much longer it takes.
        #[serde(default)]
        pub slow: Slow,
    }
}

/// How much longer an operator takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("minProperties" = 1))]
pub struct Slow {
    /// For a demotion.
    #[serde(deserialize_with = "some_time")]
    #[schemars(extend("pattern" = some_time_pattern()))]
    pub demotion: TimeSpan,
    /// For a promotion.
    #[serde(deserialize_with = "some_time")]
    #[schemars(extend("pattern" = some_time_pattern()))]
    pub promotion: TimeSpan,
}

timed! {
    lasting
    /// `lag`.
    Lag {
        /// How far behind.
        #[serde(deserialize_with = "some_time")]
        #[schemars(extend("pattern" = some_time_pattern()))]
        pub by: TimeSpan,
    }
}

timed! {
    lasting
    /// `audit`.
    Audit {
        /// How it misbehaves.
        pub does: AuditDoes,
    }
}

/// How the audit stream misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum AuditDoes {
    /// It refuses what is published.
    Refuse,
    /// It neither stores nor acknowledges.
    Hang,
}

timed! {
    lasting
    /// `dns`.
    Dns {
        /// How it misbehaves.
        pub does: DnsDoes,
    }
}

/// How the DNS server misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum DnsDoes {
    /// Its API refuses every change.
    Refuse,
    /// Its API never answers.
    Hang,
    /// Its API says that a change was made, and makes none.
    Lie,
    /// It accepts LUA records, and answers SERVFAIL for them (H19).
    Broken,
    /// Its API shows LUA records and changes none: what newer servers do unless told otherwise (H51).
    ReadOnlyLua,
}
