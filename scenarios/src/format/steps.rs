//! `spec.steps`: what is done, in order. An operation is waited for; a fault is set and the next step follows.
//! A step with a moment is armed when the scenario comes to its line (with `at`, from the start).

use super::expect::{ChangeExpect, DryRunExpect, ExecuteExpect, Facts, HealthExpect};
use super::faults::*;
use super::moment::{Condition, Timing, timed};
use super::names::{RegionName, Resource, SiteName};
use super::one_key;
use super::requests::{HttpRequest, Via};
use super::scalars::{TimeSpan, flag};
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
    /// Sends a request to a controller's HTTP API.
    Request(HttpRequest),
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
    /// The DNS server misbehaves; with `refuse` and `hang` its API alone, and names are still answered.
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
    /// Whether it is asked over the controllers' HTTP API.
    pub fn calls_api(&self) -> bool {
        match self {
            Step::Request(_) => true,
            Step::DryRun(step) => step.via.is_some(),
            Step::Health(step) => step.via.is_some(),
            _ => false,
        }
    }

    /// When it happens and how long it lasts.
    pub fn timing(&self) -> Timing<'_> {
        match self {
            Step::DryRun(_)
            | Step::Execute(_)
            | Step::Failback(_)
            | Step::Health(_)
            | Step::Wait(_)
            | Step::Assert(_)
            | Step::Write(_)
            | Step::Request(_) => Timing::default(),
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
    /// `api`: over the controller's HTTP API. Left out: at the controller itself.
    #[serde(default)]
    pub via: Option<Via>,
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
    /// `api`: over the controller's HTTP API, which answers with the last report. Left out: the check is made anew.
    pub via: Option<Via>,
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
        /// What should become of it. Left out: it is taken.
        #[serde(default)]
        pub expect: ChangeExpect,
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
        /// What should become of it. Left out: it is taken.
        #[serde(default)]
        pub expect: ChangeExpect,
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
