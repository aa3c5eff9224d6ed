//! `spec.steps`: what is done, in order. An operation is waited for; a fault is set and the next step follows.
//! A step with a moment is armed when the scenario comes to its line (with `at`, from the start).

use super::expect::{DryRunExpect, ExecuteExpect, Facts, HealthExpect};
use super::moment::{Condition, Timing, timed};
use super::names::{HostName, ObjectRef, RegionName, Resource, ServerName, SiteName};
use super::one_key;
use super::scalars::{Count, FailureCode, TimeSpan, flag, some_time, some_time_pattern};
use super::world::OperatorTask;
use schemars::JsonSchema;
use serde::Deserialize;

/// One step: a map of one key.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    /// Looks what a switchover would do.
    DryRun(DryRun),
    /// Moves the primary role, and waits for the end.
    Execute(Execute),
    /// Asks for the move back, and waits for the end.
    Failback(Failback),
    /// Approves the failback that waits.
    Approve(Person),
    /// Refuses the failback that waits.
    Refuse(Person),
    /// Aborts the switchover under way.
    Abort(Person),
    /// Checks health.
    Health(Health),
    /// Waits for a condition.
    Wait(Wait),
    /// Looks at the world, and fails the run where it is otherwise.
    Assert(#[schemars(extend("minProperties" = 1))] Facts),
    /// Writes from a client.
    Write(Write),
    /// Patches a resource as a person or a tool would.
    Edit(Edit),
    /// Drops what two hosts send each other.
    Partition(Partition),
    /// Makes the way between two hosts longer.
    Delay(Delay),
    /// Ends faults.
    Heal(Heal),
    /// Cuts a host's power. It is started again before the run is judged.
    Crash(Crash),
    /// Starts a crashed host.
    Restart(OneHost),
    /// Stops a host's software; its kernel goes on.
    Pause(Pause),
    /// Resumes a paused host.
    Resume(OneHost),
    /// A request is applied and its answer is lost.
    LoseReply(LoseReply),
    /// A request is applied late, whatever its client does meanwhile.
    DelayRequest(DelayRequest),
    /// A request is not applied, and answered with a failure.
    Answer(Answer),
    /// A request is neither applied nor answered.
    Hang(Hang),
    /// The database operator is stuck or slow.
    Operator(Operator),
    /// The standby falls behind.
    Lag(Lag),
    /// The audit stream misbehaves.
    Audit(Audit),
    /// The DNS server misbehaves.
    Dns(Dns),
    /// Kills PostgreSQL without a shutdown (H31).
    KillPostgres(OneRegion),
    /// The demotion token of a half vanishes.
    DropToken(OneRegion),
    /// The standby's replay stands still.
    PauseReplay(PauseReplay),
    /// A controller's clocks are wrong.
    Skew(Skew),
    /// Something befalls every host of a region.
    Region(RegionStep),
    /// Deletes a resource as a person or a tool would.
    Delete(Delete),
    /// Changes the password in a role secret as a person or a tool would.
    Secret(Secret),
}

impl Step {
    /// When it happens and how long it lasts.
    pub fn timing(&self) -> Timing<'_> {
        match self {
            Step::DryRun(_)
            | Step::Execute(_)
            | Step::Failback(_)
            | Step::Health(_)
            | Step::Wait(_)
            | Step::Assert(_)
            | Step::Write(_) => Timing::default(),
            Step::Approve(step) | Step::Refuse(step) | Step::Abort(step) => step.timing(),
            Step::Edit(step) => step.timing(),
            Step::Partition(step) => step.timing(),
            Step::Delay(step) => step.timing(),
            Step::Heal(step) => step.timing(),
            Step::Crash(step) => step.timing(),
            Step::Restart(step) | Step::Resume(step) => step.timing(),
            Step::Pause(step) => step.timing(),
            Step::LoseReply(step) => step.timing(),
            Step::DelayRequest(step) => step.timing(),
            Step::Answer(step) => step.timing(),
            Step::Hang(step) => step.timing(),
            Step::Operator(step) => step.timing(),
            Step::Lag(step) => step.timing(),
            Step::Audit(step) => step.timing(),
            Step::Dns(step) => step.timing(),
            Step::KillPostgres(step) | Step::DropToken(step) => step.timing(),
            Step::PauseReplay(step) => step.timing(),
            Step::Skew(step) => step.timing(),
            Step::Region(step) => step.timing(),
            Step::Delete(step) => step.timing(),
            Step::Secret(step) => step.timing(),
        }
    }
}

/// `dryRun`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DryRun {
    /// Where the role would go.
    pub to: RegionName,
    /// The region whose controller is asked. Left out: the one that holds the lease, else the primary.
    #[serde(default, rename = "in")]
    pub asked: Option<RegionName>,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
    /// What it should say.
    #[serde(default)]
    pub expect: DryRunExpect,
}

/// `execute`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Execute {
    /// Where the role goes.
    pub to: RegionName,
    /// The region whose controller is asked. Left out: the one that holds the lease, else the primary.
    #[serde(default, rename = "in")]
    pub asked: Option<RegionName>,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
    /// Who asks.
    #[serde(default)]
    pub by: Option<String>,
    /// The fingerprint that was confirmed: 16 hex digits, or `dryRun` for that of the last dry run.
    #[serde(default)]
    #[schemars(regex(pattern = "^([0-9a-fA-F]{16}|dryRun)$"))]
    pub fingerprint: Option<String>,
    /// False: goes on at once, while it runs.
    #[serde(default = "yes", deserialize_with = "flag")]
    pub wait: bool,
    /// How it should end.
    #[serde(default)]
    pub expect: ExecuteExpect,
}

/// `failback`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Failback {
    /// The region whose controller is asked. Left out: the one that holds the lease, else the primary.
    #[serde(default, rename = "in")]
    pub asked: Option<RegionName>,
    /// Who asks.
    #[serde(default)]
    pub by: Option<String>,
    /// False: goes on at once, while it waits or runs.
    #[serde(default = "yes", deserialize_with = "flag")]
    pub wait: bool,
    /// How it should end.
    #[serde(default)]
    pub expect: ExecuteExpect,
}

fn yes() -> bool {
    true
}

/// `health`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Health {
    /// The region whose controller is asked. Left out: the one that holds the lease, else the primary.
    #[serde(rename = "in")]
    pub asked: Option<RegionName>,
    /// What it should find.
    pub expect: HealthExpect,
}

/// `wait`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Wait {
    /// What for.
    #[serde(rename = "for", deserialize_with = "one_key::one")]
    pub until: Condition,
    /// The run fails where it takes longer.
    pub at_most: TimeSpan,
}

/// `write`: one row, over a new session, to the half of a region, by a client there. It waits as a client does: 2 s for
/// the session, 2 s for the answer.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Write {
    /// The region whose half is written to.
    pub to: RegionName,
    /// What should become of it.
    #[serde(default)]
    pub expect: Option<WriteExpect>,
}

/// What becomes of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum WriteExpect {
    /// It is acknowledged.
    Acknowledged,
    /// It is refused, or nobody takes the session.
    Refused,
    /// Nothing certain is heard of it within the client's limits.
    NoAnswer,
}

timed! {
    /// `approve`, `refuse`, `abort`: a person acts.
    Person {
        /// Who.
        #[serde(default)]
        pub by: Option<String>,
    }
}

timed! {
    /// `edit`: a merge patch; of the zone, the body of a PATCH of its API.
    Edit {
        /// The site whose API server is asked. Left out: each that holds the resource.
        #[serde(default)]
        pub region: Option<SiteName>,
        /// The resource.
        pub resource: Resource,
        /// Who writes, as the object's `managedFields` name it: `argocd-controller`. Left out: `person`.
        #[serde(default, rename = "as")]
        pub manager: Option<String>,
        /// True: patches the status subresource.
        #[serde(default, deserialize_with = "flag")]
        pub status: bool,
        /// The patch (RFC 7386), or, of the zone, `rrsets`.
        pub patch: serde_json::Map<String, serde_json::Value>,
    }
}

timed! {
    /// `delete`.
    Delete {
        /// The site whose API server is asked. Left out: each that holds the resource.
        #[serde(default)]
        pub region: Option<SiteName>,
        /// The resource.
        pub resource: Resource,
    }
}

timed! {
    /// `secret`: another password in the secret of the application's role.
    Secret {
        /// The region whose secret it is.
        pub region: RegionName,
        /// The new password.
        pub password: String,
    }
}

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
        pub host: HostName,
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
