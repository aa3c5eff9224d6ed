//! What to do next: pure and total functions of the record, what was seen, and what this process remembers.
//! Which of them speaks follows from where this region stands (PROTOCOL 7), at every look:
//!
//! ```text
//!   holder, an intent stands   next       execute, resume, undo and failback are this function in a loop
//!   holder, no intent          tend       both halves, routes and records are as the record says
//!   not the holder             give_way   one's own half does not write
//! ```
//!
//! A step is done when its *effect* is observed, so a crash, a lost answer and a repeated action are one
//! case (H01, H25). Whatever makes a half writable needs leave (`permit`) and asks whose history is the newest
//! (`source`).

mod copy;
mod forward;
mod give_way;
mod interference;
mod left;
mod memory;
mod permit;
mod promote;
mod settle;
mod source;
mod stalled;
mod standing;
mod tend;
mod traffic;
mod undo;
mod upkeep;

#[cfg(test)]
mod tests;

pub use copy::{FINALIZER, finalizers, mend_copy};
pub use give_way::give_way;
pub use interference::{Interference, interference};
pub use memory::Memory;
pub use permit::{Missing, Permit, permit};
pub(crate) use settle::Settling;
pub use source::{Source, Token, data_source};
pub use standing::{Object, Place, Standing, standing};
pub use tend::{acquire, tend};
pub(crate) use undo::due as undo_due;
pub use upkeep::Upkeep;

use crate::audit::Event;
use crate::clock::Monotonic;
use crate::name::{ObjectName, Region};
use crate::observe::{
    Accepts, Answer, Claim, ClusterView, DatabaseView, Half, Observations, RouteView, Seen, ZoneView,
};
use crate::plan::Plan;
use crate::ports::{ClusterChange, ClusterWrite, RouteWrite};
use crate::record::{Direction, EndResult, Intent, Lineage, Record, RecordSet};
use crate::records::{change_of, holds};
use crate::term::REQUEST_LIMIT;
use crate::transition::{Beginning, Effect};
use crate::weights::Weights;
use std::net::SocketAddr;
use std::time::Duration;

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Toward the step's effect.
    Act(u8, Action),
    /// Toward the step's undo.
    Undo(u8, Action),
    /// Nothing yet: a step's effect is on its way.
    Wait(u8, String),
    /// The intent ends so.
    Finish(EndResult),
    /// Nothing can be done until the world changes, and why. It is said, and looked at again.
    Stuck(u8, String),
    /// Another region holds the record: it drives.
    NotMine(Option<Region>),
    /// Toward what the record says of an object, without an intent.
    Keep(Object, Action),
    /// Everything is as the record says, or what is not cannot be changed now, and why.
    Rest(Option<String>),
}

/// Something to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// A change of the record.
    Record(Change),
    /// A write to a Cluster.
    Cluster(ClusterWrite),
    /// A write to a route.
    Route(RouteWrite),
    /// Publish these records.
    Publish {
        /// The region whose addresses they name.
        leads_to: Region,
        /// All of them; one with no contents is to be gone.
        sets: Vec<RecordSet>,
    },
    /// Try a write over a new connection in this region; with `commit`, a commit.
    TryWrite {
        /// Where.
        region: Region,
        /// Commit, so that a synchronous standby is waited for.
        commit: bool,
    },
    /// Publish the event of the switchover.
    Emit(Box<Event>),
    /// Ask whether this write would be admitted, and change nothing.
    Admit(ClusterWrite),
    /// Bring one's own copy of the resource in line with the record: a merge patch of its spec.
    Copy {
        /// As just read.
        resource_version: String,
        /// The patch.
        patch: serde_json::Value,
    },
}

/// A change of the record that the driver has the keeper write.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The step begins.
    Start(Beginning),
    /// Its effect was seen.
    Finish(Effect),
    /// Undo from here.
    Turn {
        /// The step that failed; 0: an abort.
        step: u8,
        /// Why.
        reason: String,
        /// Every attempt of step 6 was refused.
        promotion_refused: bool,
    },
    /// Step 5.
    Swap,
    /// Its undo.
    SwapBack,
    /// The promotion was issued after all.
    TurnForward,
    /// Before a promotion of one's own half while undoing.
    DoubtLineage,
    /// The undo of the step was seen.
    Undone(Option<Lineage>),
    /// Its effect is gone, and why: it is done anew.
    Redo(String),
    /// `from` left a newer token.
    Token(String),
    /// The target is promoted with another token than step 6 started with.
    PromoteWith(Option<String>),
    /// `from` takes the record back from a holder that fell silent, and why.
    TakeBack {
        /// The record that stood still.
        seen: Box<Record>,
        /// Why.
        reason: String,
    },
    /// A free record is taken, above every claim that was seen.
    Acquire {
        /// The half's timeline, where it is primary already.
        timeline: Option<u32>,
        /// The greatest generation of any claim.
        claimed: u64,
        /// The term, s.
        ttl_seconds: u32,
        /// Continuum and application, for the event; absent: there is no stream to tell.
        about: Option<(ObjectName, String)>,
    },
    /// The lineage is confirmed, or in doubt.
    Lineage(Lineage),
    /// Whether the other half has every acknowledged write.
    InSync(bool),
}

/// Whether an action makes a half writable: it needs more of the term.
pub fn makes_writable(action: &Action) -> bool {
    matches!(action, Action::Cluster(write) if write.change.makes_writable())
}

/// Whether the record must be read once more before the action (PROTOCOL 2.7).
pub fn irreversible(action: &Action) -> bool {
    let change = match action {
        Action::Record(change) => change,
        _ => return makes_writable(action),
    };
    matches!(change, Change::Swap | Change::SwapBack)
}

/// What the preflight run for step 1 says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Preconditions {
    /// It was not run yet.
    NotLooked,
    /// All of them hold.
    Hold,
    /// The lag alone is not known: a standby that was idle has measured none yet when writes begin.
    Unmeasured(String),
    /// These do not.
    Fail(String),
}

/// Everything `next` looks at beside the record and the observations.
pub struct Now<'a> {
    /// This process's monotonic time.
    pub at: Monotonic,
    /// This region.
    pub me: &'a Region,
    /// The intent that a person wants aborted.
    pub abort: Option<&'a str>,
    /// When this controller first saw itself the holder in this generation, wall time.
    pub held_since: Option<jiff::Timestamp>,
    /// Why the witness could not be read last; absent: it could.
    pub witness_unread: Option<String>,
    /// Whether the preconditions of step 1 hold.
    pub preconditions: Preconditions,
    /// How far the standby was behind when it was measured last; absent: it could not be.
    pub lag: Option<std::time::Duration>,
    /// The event that step 7 publishes.
    pub event: Option<Event>,
}

/// See the module. Total: every combination has a decision.
pub fn next(record: &Record, seen: &Observations, memory: &Memory, now: &Now<'_>) -> Decision {
    let Some(intent) = &record.intent else { return Decision::NotMine(record.holder.clone()) };
    if !record.held_by(now.me) {
        return Decision::NotMine(record.holder.clone());
    }
    let case = Case { record, intent, seen, memory, now };
    match &intent.direction {
        Direction::Forward => case.forward(),
        Direction::Undo { .. } => case.undo(),
    }
}

/// The step that is under way: the first whose effect was not seen.
pub fn current_step(intent: &Intent) -> u8 {
    (1..=7).find(|n| intent.step(*n).finished_at.is_none()).unwrap_or(7)
}

/// One call's arguments, so that the parts of the decision need not pass them on.
struct Case<'a> {
    record: &'a Record,
    intent: &'a Intent,
    seen: &'a Observations,
    memory: &'a Memory,
    now: &'a Now<'a>,
}

/// A half, known, with its claim checked: nobody newer wrote it.
type Checked<'a> = Result<&'a ClusterView, String>;

impl Case<'_> {
    fn plan(&self) -> &Plan {
        &self.intent.plan
    }

    /// The claim that writes of this decision carry.
    fn claim(&self) -> Claim {
        let id = &self.intent.id;
        let intent = if self.intent.forward() { id.clone() } else { format!("{id}/undo") };
        Claim { generation: self.record.generation, intent }
    }

    fn claimed(&self, claim: &Option<Claim>) -> bool {
        let ours = self.claim();
        claim.as_ref().is_some_and(|claim| (claim.generation, claim.purpose()) == (ours.generation, ours.purpose()))
    }

    fn cluster_of<'b>(&self, region: &Region, seen: &'b Seen<ClusterView>) -> Checked<'b> {
        match seen {
            Seen::Is(cluster) => permit::newer_claim(cluster, self.record).map_or(Ok(cluster), Err),
            other => Err(format!("cluster in {region}: {}", other.why().unwrap_or_default())),
        }
    }

    fn cluster_from(&self) -> Checked<'_> {
        self.cluster_of(self.intent.from(), &self.seen.half(self.intent.from()).cluster)
    }

    fn cluster_to(&self) -> Checked<'_> {
        self.cluster_of(self.intent.to(), &self.seen.half(self.intent.to()).cluster)
    }

    fn database_from(&self) -> Option<&DatabaseView> {
        self.seen.half(self.intent.from()).database.known()
    }

    fn write_cluster(&self, region: &Region, cluster: &ClusterView, change: ClusterChange) -> Action {
        Action::Cluster(cluster_write(region, cluster, self.claim(), change))
    }

    /// Brings the demotion of `from` to its end, where it does not come there by itself.
    fn end_demotion(&self) -> Option<Action> {
        let (from, cluster) = (self.intent.from(), self.cluster_from().ok()?);
        let change = stalled::mend(self.seen.half(from), self.record)?;
        Some(self.write_cluster(from, cluster, change))
    }

    /// The write that tells a half of the plan, which must not write, to be the other's replica; or why not yet.
    fn demote_again(&self, region: &Region, cluster: &ClusterView) -> Result<Action, &'static str> {
        let other = if region == self.intent.from() { self.intent.to() } else { self.intent.from() };
        let primary = name_of_other(self.seen.half(other), cluster).ok_or(NAME_UNKNOWN)?;
        Ok(self.write_cluster(region, cluster, demotion(self.seen.half(region), primary)))
    }

    /// Whether every name is answered, and only with addresses of `to`.
    fn answers_only_to(&self) -> Result<(), String> {
        for hostname in &self.plan().records.hostnames {
            self.each_answer(hostname, |answer| {
                let foreign = answer.addresses.iter().find(|a| !self.plan().addresses.contains(a))?;
                Some((foreign.to_string(), format!(", which is not in {}", self.intent.to())))
            })?;
        }
        Ok(())
    }

    /// Whether every authoritative server was asked for the name and leads somewhere, and `fault` finds nothing in its
    /// answer; else what each of the others answers.
    fn each_answer(&self, hostname: &str, fault: impl Fn(&Answer) -> Option<(String, String)>) -> Result<(), String> {
        let answers = self.seen.answers.get(hostname).filter(|answers| !answers.is_empty());
        let Some(answers) = answers else {
            let why = self.seen.authorities.unread().unwrap_or_else(|| "it is asked for again soon".into());
            return Err(format!("{hostname}: {why}"));
        };
        let told = |(server, answer): (&SocketAddr, &Seen<Answer>)| {
            let Seen::Is(answer) = answer else {
                return Some(format!("{hostname} at {server}: {}", answer.why().unwrap_or_default()));
            };
            let (what, rest) = match answer.leads() {
                true => fault(answer)?,
                false => (answer.code.clone(), String::new()),
            };
            let by = if answers.len() > 1 { format!(" by {server}") } else { String::new() };
            Some(format!("{hostname} is answered with {what}{by}{rest}"))
        };
        let faults: Vec<String> = answers.iter().filter_map(told).collect();
        if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
    }

    /// How long a server may answer from its caches what was before this step 4.
    fn caches(&self) -> Duration {
        // Where nothing shows what stood before, the most is allowed for.
        let standing = self.intent.former.records.as_deref().filter(|_| !self.memory.zone_is_answered);
        let standing = standing.unwrap_or_default();
        let (plan, count) = (self.plan(), self.memory.authorities().len());
        Duration::from_secs(plan.dns.cache_seconds_of(count, &plan.records.hostnames, standing).into())
    }

    fn zone(&self) -> Result<&ZoneView, String> {
        match &self.seen.zone {
            Seen::Is(zone) => Ok(zone),
            other => Err(format!("zone: {}", other.why().unwrap_or_default())),
        }
    }

    /// Whether the zone holds these sets, as far as can be seen.
    fn zone_holds(&self, wanted: &[RecordSet]) -> Result<bool, String> {
        Ok(holds(self.zone()?, wanted))
    }

    /// Whether these sets are published. Where nothing shows what the zone holds, this process published them itself, and
    /// does so again where servers go on answering otherwise.
    fn is_published(&self, wanted: &[RecordSet]) -> Result<bool, String> {
        let zone = self.zone()?;
        if zone.by_api() {
            return Ok(holds(zone, wanted));
        }
        let is_new = self.memory.dns_tried.is_some_and(|last| self.now.at.since(last) < REQUEST_LIMIT);
        Ok(match &self.memory.sent {
            Some(sent) if sent.sets != wanted => false,
            Some(sent) if sent.taken => is_new || holds(zone, wanted),
            // Nobody said so; but names that led elsewhere lead there since.
            Some(_) => self.memory.led_elsewhere && zone.is_whole() && holds(zone, wanted),
            None => false,
        })
    }

    /// What to publish so that the zone holds these sets and no others that decide addresses.
    fn publish(&self, leads_to: &Region, wanted: &[RecordSet]) -> Action {
        Action::Publish { leads_to: leads_to.clone(), sets: change_of(self.seen.zone.known(), wanted) }
    }
}

/// A write of weights to the route as it was just read.
fn route_write(region: &Region, route: &RouteView, claim: Claim, weights: Weights) -> RouteWrite {
    RouteWrite {
        region: region.clone(),
        object: route.object.clone(),
        resource_version: route.resource_version.clone(),
        claim,
        weights,
    }
}

/// Whether a newer generation than this one wrote the route.
fn is_newer(route: &RouteView, generation: u64) -> bool {
    route.claim.as_ref().is_some_and(|claim| claim.generation > generation)
}

/// A write to the half as it was just read. One that makes it writable dies young (PROTOCOL 3).
pub(crate) fn cluster_write(
    region: &Region,
    cluster: &ClusterView,
    claim: Claim,
    change: ClusterChange,
) -> ClusterWrite {
    let fences = fences_again(cluster, &change);
    let with_fence = |claim: Claim| if fences { claim.fencing() } else { claim };
    // Where its effect did not last, the claim of an earlier write stands.
    let stands = cluster.claim.as_ref() == Some(&with_fence(claim.clone()));
    let claim = if stands && change.changes_role() { claim.again() } else { claim };
    ClusterWrite {
        region: region.clone(),
        object: cluster.object.clone(),
        resource_version: cluster.resource_version.clone(),
        claim: with_fence(claim),
        server_limit: change.makes_writable().then_some(REQUEST_LIMIT),
        change,
    }
}

/// Whether the claim is to say that this product put the fence on again: also of a write that leaves such a fence on.
fn fences_again(cluster: &ClusterView, change: &ClusterChange) -> bool {
    match change {
        ClusterChange::Fence => true,
        ClusterChange::Claim | ClusterChange::Demote { .. } | ClusterChange::FenceAndDemote { .. } => {
            cluster.fenced && cluster.claim.as_ref().is_some_and(Claim::fences)
        }
        ClusterChange::Promote { .. } | ClusterChange::Unfence { .. } => false,
    }
}

/// What is waited for before a half is told whose replica to be.
const NAME_UNKNOWN: &str = "the name of the other half is not known";

/// How a half that must not write is told so: fenced and demoted in one patch. One that is still seen as a standby is
/// told back alone, which its operator carries out by doing nothing; fenced, nobody would lift it again.
fn demotion(half: &Half, primary: String) -> ClusterChange {
    let standby = |database: &DatabaseView| database.in_recovery == Some(true) && database.accepts == Accepts::No;
    if half.database.known().is_some_and(standby) {
        ClusterChange::Demote { primary }
    } else {
        ClusterChange::FenceAndDemote { primary }
    }
}

/// The name by which this half knows the other: the other's own word, else what it follows.
fn name_of_other(other: &Half, own: &ClusterView) -> Option<String> {
    other.cluster.known().map(|other| other.self_name.clone()).or(own.source.clone())
}
