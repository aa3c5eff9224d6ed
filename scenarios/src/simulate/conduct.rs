//! Conducts a run: takes the scenario's steps one after the other, a tick at a time, and arms what waits for
//! its moment. What it knows of the world it reads from the servers.

use super::asking::Requests;
use super::deed::PERSON_DEFAULT;
use super::narrate::Narrator;
use super::rest::Rest;
use super::{facts, instead, judge, translate};
use crate::format::{ChangeExpect, Moment, Person, Place, Scenario, Spot, Step};
use crate::outcome::{self, Report, Unmet};
use crate::runner::RunOptions;
use continuum_core::name::Region;
use continuum_core::record::Record;
use continuum_core::report::ExecuteReport;
use continuum_core::sequencer::ExecuteOrder;
use continuum_sim::faults::{Fault, FaultId, Kind, Trigger};
use continuum_sim::servers::kube_api::CONTINUUMS;
use continuum_sim::workload::Outcome;
use continuum_sim::world::objects::{APPLICATION, NAMESPACE};
use continuum_sim::world::{Alter, Answered, Awaited, Order, REGIONS, World, awaited};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a world may take to become ready.
const READY_LIMIT: Duration = Duration::from_secs(20);
/// How long a single write may take: a client's own limits, and what the network adds.
const WRITE_LIMIT: Duration = Duration::from_secs(5);
/// How long an execution whose caller died is followed before it counts as never begun.
const BEGIN_LIMIT: Duration = Duration::from_secs(10);

/// The run is given up: why.
#[derive(Debug)]
pub(super) struct GivenUp(pub String);

/// See the module.
pub(super) struct Conductor<'a> {
    pub scenario: &'a Scenario,
    pub world: World,
    pub outcome: outcome::Outcome,
    narrator: Narrator,
    /// Steps that wait for a condition, and since when.
    deferred: Vec<(Moment, Duration, &'a Spot<Step>)>,
    /// Steps of a person that wait for their moment, which the board knows.
    deeds: BTreeMap<FaultId, (Moment, &'a Spot<Step>)>,
    /// Where the faults stand that were armed.
    armed: BTreeMap<FaultId, Place>,
    /// Executions that are not waited for.
    pending: Vec<Pending<'a>>,
    /// Requests that are not answered yet.
    pub requests: Vec<Requests<'a>>,
    /// Fingerprint of the last dry run.
    pub fingerprint: Option<String>,
    /// What controllers changed during dry runs that ran alone, beside their life.
    pub dry_run_acts: Vec<String>,
    deadline: Duration,
    /// When the last execution ended.
    pub ended: Option<Duration>,
    /// When the steps began: from here on clients are measured.
    pub began: Duration,
    /// When the clients were stopped: up to here they are measured. Absent: they were not.
    pub stopped: Option<Duration>,
    /// Whether the world is at rest, and since when.
    pub rest: Rest,
}

struct Pending<'a> {
    place: Place,
    answer: Awaited<ExecuteReport>,
    expect: &'a crate::format::ExecuteExpect,
    failback: bool,
    /// `sequence` of the record when it was asked.
    sequence: u64,
    /// Since when its caller is dead.
    lost: Option<Duration>,
}

impl<'a> Conductor<'a> {
    pub fn new(scenario: &'a Scenario, options: &RunOptions, alter: Option<Alter>) -> Self {
        let world = World::new(translate::world(scenario, options), alter);
        Self {
            scenario,
            world,
            outcome: outcome::Outcome::begin(scenario, options),
            narrator: Narrator::default(),
            deferred: Vec::new(),
            deeds: BTreeMap::new(),
            armed: BTreeMap::new(),
            pending: Vec::new(),
            requests: Vec::new(),
            fingerprint: None,
            dry_run_acts: Vec::new(),
            deadline: scenario.spec.limit.0,
            ended: None,
            began: Duration::ZERO,
            stopped: None,
            rest: Rest::default(),
        }
    }

    /// Whether the world is to come to rest with one primary.
    pub fn expects_rest(&self) -> bool {
        !self.scenario.spec.expect.expects_failure_of("converged")
    }

    /// To the end.
    pub fn run(mut self) -> outcome::Outcome {
        let steps = self.steps().inspect_err(|_| judge::note_unfired(&mut self));
        if let Err(GivenUp(why)) = steps.and_then(|()| judge::settle(&mut self)) {
            self.outcome.did_not_finish = Some(why);
        }
        judge::judge(&mut self);
        self.outcome.timeline.sort_by_key(|entry| entry.at_ms);
        self.outcome
    }

    fn steps(&mut self) -> Result<(), GivenUp> {
        for fault in translate::first_faults(self.scenario) {
            self.world.board.arm(Duration::ZERO, fault);
        }
        self.arm_ahead();
        let ready = self.world.options.clone();
        self.until_or(
            "the world to become ready",
            READY_LIMIT,
            |run| facts::ready(&run.world),
            |world| Some(instead::unready(world)),
        )
        .or_else(|GivenUp(why)| if facts::can_be_ready(&ready) { Err(GivenUp(why)) } else { Ok(()) })?;
        if self.scenario.spec.world.lease.expired {
            let over = facts::term_over(&ready);
            self.until("the term to be over", over, |run| run.world.now() >= over)?;
        }
        self.began = self.world.now();
        self.narrator.ready(&self.world, &mut self.outcome);
        for step in self.scenario.spec.steps.iter() {
            self.step(step)?;
        }
        while !self.is_idle() {
            self.tick()?;
        }
        Ok(())
    }

    /// Faults and deeds with a time of their own are armed before anything happens, wherever they stand.
    fn arm_ahead(&mut self) {
        for step in self.scenario.spec.steps.iter() {
            if matches!(step.timing().moment(), Moment::At(_)) {
                self.arm(step);
            }
        }
    }

    fn step(&mut self, step: &'a Spot<Step>) -> Result<(), GivenUp> {
        match &step.value {
            Step::DryRun(what) => self.dry_run(step.place, what)?,
            Step::Execute(what) => {
                let region = self.asked(what.asked.as_ref());
                let confirmed = match what.fingerprint.as_deref() {
                    Some("dryRun") => self.fingerprint.clone(),
                    other => other.map(str::to_owned),
                };
                let order = ExecuteOrder {
                    reason: what.reason.clone(),
                    requested_by: what.by.clone(),
                    confirmed,
                    ..ExecuteOrder::default()
                };
                let to = what.to.region();
                self.narrator.asked(&self.world, &mut self.outcome, &format!("to {to}, asked in {region}"));
                let (order, answer) = awaited(|answer| Order::Execute { to, order, answer });
                self.execute(step.place, &region, order, answer, &what.expect, false, what.wait)?;
            }
            Step::Failback(what) => {
                let region = self.asked(what.asked.as_ref());
                let order = ExecuteOrder { requested_by: what.by.clone(), ..ExecuteOrder::default() };
                self.narrator.asked(&self.world, &mut self.outcome, &format!("failback, asked in {region}"));
                let (order, answer) = awaited(|answer| Order::Failback { order, answer });
                self.execute(step.place, &region, order, answer, &what.expect, true, what.wait)?;
            }
            Step::Health(what) => self.health(step.place, what)?,
            Step::Request(what) => self.request(step.place, what)?,
            Step::Wait(what) => {
                let since = self.world.now();
                let what_for = format!("{} (line {})", what.until, step.place.line);
                let holds = |run: &Self| facts::holds(&run.world, &what.until, since);
                self.until_or(&what_for, what.at_most.0, holds, |world| Some(instead::of(world, &what.until)))?;
            }
            Step::Assert(expected) => facts::expect_facts(self, &|_| Some(step.place), "assert", expected),
            Step::Write(what) => {
                let write = self.world.workload.write_straight(what.to.as_str());
                let limit = self.world.now() + WRITE_LIMIT;
                while write.outcome().is_none() && self.world.now() < limit {
                    self.tick()?;
                }
                let outcome = write.outcome().unwrap_or(Outcome::Unknown("its host is down".into()));
                facts::expect_write(self, step.place, what, &outcome);
                self.narrator.wrote(&self.world, &mut self.outcome, what.to.as_str(), &facts::told(&outcome));
            }
            _ if matches!(step.timing().moment(), Moment::At(_)) => {}
            _ => self.arm(step),
        }
        Ok(())
    }

    /// Arms a fault, or has a person act, now or at its moment.
    fn arm(&mut self, step: &'a Spot<Step>) {
        let (moment, now) = (step.timing().moment(), self.world.now());
        let kinds = translate::faults(&step.value);
        match translate::trigger(&moment, now) {
            Some(trigger) if !kinds.is_empty() => self.arm_faults(step, trigger),
            _ if moment == Moment::Now => self.act(step),
            Some(trigger) => {
                let id = self.world.board.arm(now, Fault { trigger, kind: Kind::Deed, lasts: None });
                self.deeds.insert(id, (moment, step));
            }
            None => self.deferred.push((moment, now, step)),
        }
    }

    fn arm_faults(&mut self, step: &Spot<Step>, trigger: Trigger) {
        let lasts = translate::lasts(&step.timing());
        for kind in translate::faults(&step.value) {
            let id = self.world.board.arm(self.world.now(), Fault { trigger: trigger.clone(), kind, lasts });
            self.armed.insert(id, step.place);
        }
    }

    /// What a person does.
    fn act(&mut self, step: &Spot<Step>) {
        let by = |person: &Person| person.by.clone().unwrap_or_else(|| PERSON_DEFAULT.into());
        match &step.value {
            Step::Approve(person) => {
                let patch = json!({ "failback": { "approved": true, "approvedBy": by(person) } });
                self.edit_copies(&patch);
            }
            Step::Refuse(_) => self.edit_copies(&json!({ "failback": { "refused": true } })),
            Step::Abort(_) => {
                let id = self.record().and_then(|r| r.intent).map(|i| i.id);
                self.edit_copies(&json!({ "switchover": { "abort": id } }));
            }
            _ => {}
        }
        let became = self.change(step);
        self.rest.disturb(self.world.now());
        self.narrator.deed(&self.world, &mut self.outcome, &step.value, became.as_ref());
    }

    /// Changes an object, and notes where it became of it what was not expected. Whether anything changed by it; `None`: the
    /// step changes none.
    fn change(&mut self, step: &Spot<Step>) -> Option<Result<bool, String>> {
        let (what, became, expected) = match &step.value {
            Step::Edit(edit) => {
                (format!("edit.expect of {}", edit.resource), facts::edit(&self.world, edit), edit.expect)
            }
            Step::Delete(delete) => {
                (format!("delete.expect of {}", delete.resource), facts::delete(&self.world, delete), delete.expect)
            }
            Step::Secret(secret) => {
                let became = self.world.change_secret(secret.region.as_str(), &secret.password);
                (format!("secret of {}", secret.region), became.map(|()| true), ChangeExpect::Taken)
            }
            _ => return None,
        };
        match (&became, expected) {
            (Err(cause), ChangeExpect::Taken) => {
                self.unmet(Some(step.place), &what, "taken".into(), format!("refused: {cause}"));
            }
            (Ok(_), ChangeExpect::Refused) => {
                self.unmet(Some(step.place), &what, "refused".into(), "taken".into());
            }
            _ => {}
        }
        Some(became)
    }

    fn edit_copies(&self, spec: &serde_json::Value) {
        for region in REGIONS {
            let patch = json!({ "spec": spec });
            // The copies stand in every world; a refusal would show as an expectation that is not met.
            let _ = self.world.store(region).merge_patch(&CONTINUUMS, NAMESPACE, APPLICATION, "", &patch, "person");
        }
    }

    /// The region that is asked: the one named, else the holder, else the primary.
    pub fn asked(&self, named: Option<&crate::format::RegionName>) -> Region {
        let holder = self.record().and_then(|r| r.holder).filter(|h| REGIONS.contains(&h.as_str()));
        named
            .map(crate::format::RegionName::region)
            .or(holder)
            .unwrap_or_else(|| Region::new(&self.world.options.primary))
    }

    /// The record as it stands at the witness.
    pub fn record(&self) -> Option<Record> {
        self.world.watch.record().cloned()
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one step of a scenario")]
    fn execute(
        &mut self,
        place: Place,
        region: &Region,
        order: Order,
        answer: Awaited<ExecuteReport>,
        expect: &'a crate::format::ExecuteExpect,
        failback: bool,
        wait: bool,
    ) -> Result<(), GivenUp> {
        let sequence = self.record().map_or(0, |r| r.sequence);
        self.world.desks[region.as_str()].leave(order);
        self.pending.push(Pending { place, answer, expect, failback, sequence, lost: None });
        let count = self.pending.len();
        while wait && self.pending.len() == count {
            self.tick()?;
        }
        Ok(())
    }

    /// Looks whether executions ended. One whose caller died is followed in the record itself.
    fn look_at_pending(&mut self) {
        if self.pending.is_empty() {
            // Called at every tick; reading the record copies it.
            return;
        }
        let (now, record) = (self.world.now(), self.record());
        let mut index = 0;
        while index < self.pending.len() {
            let pending = &mut self.pending[index];
            let report = match pending.answer.look() {
                Answered::With(report) => Some(report),
                Answered::NotYet => None,
                Answered::Lost => {
                    let since = *pending.lost.get_or_insert(now);
                    follow(record.as_ref(), pending.sequence, now.saturating_sub(since))
                }
            };
            let Some(report) = report else {
                index += 1;
                continue;
            };
            let pending = self.pending.remove(index);
            self.ended = Some(now);
            let step = if pending.failback { "failback" } else { "execute" };
            facts::expect_execute(self, (step, pending.place), pending.expect, &report);
            let wrap = if pending.failback { Report::Failback } else { Report::Execute };
            self.report(report.map_or_else(Report::Error, wrap));
        }
    }

    /// One tick, with everything that follows from it.
    pub fn tick(&mut self) -> Result<(), GivenUp> {
        if self.world.now() >= self.deadline {
            return Err(GivenUp(self.not_at_its_end()));
        }
        self.world.step().map_err(|error| GivenUp(error.to_string()))?;
        self.narrator.look(&self.world, &mut self.outcome);
        self.look_at_deferred();
        self.look_at_pending();
        self.look_at_requests();
        if !self.pending.is_empty() {
            self.rest.disturb(self.world.now());
        }
        self.rest.look(&self.world);
        Ok(())
    }

    fn look_at_deferred(&mut self) {
        let now = self.world.now();
        for id in self.world.board.deeds_due(now, self.world.watch.moments()) {
            if let Some((_, step)) = self.deeds.remove(&id) {
                self.act(step);
            }
        }
        let due = |moment: &Moment, since: Duration, world: &World| match moment {
            Moment::When(condition) => facts::holds(world, condition, since),
            // The board knows all others.
            _ => false,
        };
        let mut index = 0;
        while index < self.deferred.len() {
            let (moment, since, _) = &self.deferred[index];
            if !due(moment, *since, &self.world) {
                index += 1;
                continue;
            }
            let (_, _, step) = self.deferred.remove(index);
            if translate::faults(&step.value).is_empty() {
                self.act(step);
            } else {
                self.arm_faults(step, Trigger::At(now));
            }
        }
    }

    /// Where a fault stands. Absent: it came with the world.
    pub fn place_of(&self, fault: FaultId) -> Option<Place> {
        self.armed.get(&fault).copied()
    }

    /// Steps that never came to their moment: where they stand, which moment, and what was so instead. They do not come to it
    /// any more.
    pub fn give_up_waiting(&mut self) -> Vec<(Place, String, String)> {
        let deferred = std::mem::take(&mut self.deferred).into_iter().map(|(moment, _, step)| (moment, step));
        let waiting = deferred.chain(std::mem::take(&mut self.deeds).into_values());
        let told = |moment: &Moment| match moment {
            Moment::When(condition) => {
                format!("the run ended before; instead: {}", instead::of(&self.world, condition))
            }
            _ => "the run ended before".to_owned(),
        };
        let mut given_up: Vec<_> =
            waiting.map(|(moment, step)| (step.place, moment.to_string(), told(&moment))).collect();
        given_up.sort();
        given_up
    }

    /// Ticks until a condition holds.
    pub fn until(&mut self, what: &str, at_most: Duration, holds: impl Fn(&Self) -> bool) -> Result<(), GivenUp> {
        self.until_or(what, at_most, holds, |_| None)
    }

    /// The same; where it does not come to hold, what is so in its place is told.
    fn until_or(
        &mut self,
        what: &str,
        at_most: Duration,
        holds: impl Fn(&Self) -> bool,
        instead: impl Fn(&World) -> Option<String>,
    ) -> Result<(), GivenUp> {
        let limit = self.world.now() + at_most;
        while !holds(self) {
            let now = self.world.now();
            let why = if now >= limit {
                format!("waited {} s for {what}", at_most.as_secs())
            } else if now >= self.deadline {
                format!("{}, waiting for {what}", self.not_at_its_end())
            } else {
                self.tick()?;
                continue;
            };
            let instead = instead(&self.world).map(|instead| format!("; instead: {instead}"));
            return Err(GivenUp(why + &instead.unwrap_or_default()));
        }
        Ok(())
    }

    fn not_at_its_end(&self) -> String {
        format!("not at its end after {} s of simulated time", self.deadline.as_secs())
    }

    /// Whether nothing that was asked is still waited for.
    pub fn is_idle(&self) -> bool {
        self.pending.is_empty() && self.requests.is_empty()
    }

    /// A request was answered, or given up.
    pub fn narrate_request(&mut self, detail: &str) {
        self.narrator.requested(&self.world, &mut self.outcome, detail);
    }

    /// Judging may go past the scenario's own limit.
    pub fn extend(&mut self) {
        self.deadline = self.scenario.spec.limit.0 + translate::judging(self.scenario) - Duration::from_secs(60);
    }

    /// When the run is given up.
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    pub fn report(&mut self, report: Report) {
        let at_ms = self.now_ms();
        self.outcome.report(at_ms, report);
    }

    pub fn now_ms(&self) -> u64 {
        super::narrate::ms(self.world.now())
    }

    /// Something expected was not found.
    pub fn unmet(&mut self, place: Option<Place>, what: &str, expected: String, found: String) {
        let line = place.map(|place| place.line);
        self.outcome.unmet.push(Unmet { line, what: what.to_owned(), expected, found });
        // In the order of the file, which is not that in which things are found out.
        self.outcome.unmet.sort_by_key(|unmet| unmet.line);
    }
}

/// What the record tells of an execution whose caller died; `None`: nothing yet.
fn follow(record: Option<&Record>, sequence: u64, for_: Duration) -> Option<Result<ExecuteReport, String>> {
    let record = record?;
    if record.sequence > sequence {
        let ended = record.intent.is_none() && record.pending.is_none();
        let last = record.last.as_ref().filter(|_| ended)?;
        return Some(Ok(ExecuteReport::from_ended(last, record.owed_of(&last.id).count())));
    }
    (for_ >= BEGIN_LIMIT).then(|| Err("the controller died before it began".into()))
}
