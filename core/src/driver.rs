//! The driver: the loop around the decisions of [`crate::next`]. It looks, asks what to do, and does that, wherever its
//! region stands (PROTOCOL 7). It holds no logic of a switchover; what it adds is the discipline of acting: still the
//! holder, still this generation, enough of the term left (PROTOCOL 2.7), and what is tried is written down before it
//! is tried.

mod hear;
mod keep;
mod needs;
mod say;

use crate::clock::{Beats, Clock, within};
use crate::keeper::{Keeper, NotWritten, View};
use crate::look::{Needs, look};
use crate::mailbox::Bell;
use crate::name::{ObjectName, Region};
use crate::next::{
    Action, Change, Decision, Interference, Memory, Now, Place, Preconditions, Settling, Standing, Upkeep,
    current_step, irreversible, makes_writable, next, standing,
};
use crate::observe::{Observations, Seen, replication};
use crate::plan::Plan;
use crate::ports::{Actors, Observers, Outcome};
use crate::preflight::{Facts, preflight};
use crate::publisher::{Before, Publisher};
use crate::record::{EndResult, Intent, Record};
use crate::term::{REQUEST_LIMIT, WITNESS_LIMIT};
use crate::transition::{self, Edit, Ending, Told};
use crate::{audit, steps};
use hear::Heard;
pub(crate) use hear::KnownHalves;
use keep::Watched;
use needs::Rounds;
use say::{describe, log_change, say};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Between two looks while a step's effect is awaited.
const LOOK_PAUSE: Duration = Duration::from_millis(200);
/// No look takes half as long: each of its parts has a limit.
const LOOK_MAX: Duration = Duration::from_secs(20);
/// The same of a look that asks all that a preflight asks.
const PREFLIGHT_MAX: Duration = Duration::from_secs(40);

/// What the driver last decided, for the status and the log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// The step under way; 0: none.
    pub step: u8,
    /// What it waits for, or why it is stuck.
    pub waiting: Option<String>,
    /// Whether it can go on by itself.
    pub stuck: bool,
    /// The intent that a person asked to abort, which is refused because of this.
    pub abort_refused: Option<String>,
    /// What somebody else made otherwise than the record says; told for ten minutes after it was put right.
    pub interference: Vec<Interference>,
    /// Whether any of it still stands.
    pub interfered: bool,
    /// It was looked for; before that nothing says that there is none.
    pub watched: bool,
}

/// See the module.
pub struct Driver {
    me: Region,
    name: ObjectName,
    clock: Arc<dyn Clock>,
    beats: Beats,
    keeper: Arc<Keeper>,
    observers: Observers,
    actors: Actors,
    publisher: Arc<Publisher>,
    told: Mutex<Heard>,
    /// Rung whenever there is something new for it.
    bell: Arc<Bell>,
    progress: Mutex<Progress>,
}

/// How long the loop pauses after what it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pause {
    /// Not at all.
    None,
    /// As while an effect is awaited.
    Look,
    /// Until there is something new, or it is time to look again.
    Idle,
}

/// What one driver's loop remembers.
#[derive(Default)]
struct Mind {
    memory: Memory,
    upkeep: Upkeep,
    rounds: Rounds,
    settling: Settling,
    /// Since when this process sees this region hold the record in this generation.
    held: Option<(u64, jiff::Timestamp)>,
    /// What was found interfered with.
    interference: Vec<Watched>,
}

impl Driver {
    /// A driver of one Continuum in one region.
    pub fn new(
        me: Region,
        name: ObjectName,
        clock: Arc<dyn Clock>,
        keeper: Arc<Keeper>,
        observers: Observers,
        actors: Actors,
        publisher: Arc<Publisher>,
    ) -> Self {
        let (told, progress, bell) = (Mutex::default(), Mutex::default(), Arc::new(Bell::default()));
        keeper.tell(bell.clone());
        let beats = Beats::of(&name);
        Self { me, name, clock, beats, keeper, observers, actors, publisher, told, bell, progress }
    }

    fn told(&self) -> MutexGuard<'_, Heard> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is being done.
    pub fn progress(&self) -> Progress {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, mut progress: Progress) {
        let mut current = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.interference = std::mem::take(&mut current.interference);
        (progress.interfered, progress.watched) = (current.interfered, current.watched);
        if let Some(waiting) = progress.waiting.as_ref().filter(|waiting| current.waiting.as_ref() != Some(waiting)) {
            if progress.stuck {
                tracing::warn!(step = progress.step, why = %waiting, "stuck");
            } else {
                tracing::debug!(step = progress.step, why = %waiting, "waiting");
            }
        }
        *current = progress;
    }

    /// Does whatever follows from where this region stands. Runs for ever.
    pub async fn run(&self) {
        let mut mind = Mind::default();
        loop {
            match self.turn(&mut mind).await {
                Pause::None => {}
                Pause::Look => self.clock.sleep(LOOK_PAUSE).await,
                Pause::Idle => self.idle(&mind).await,
            }
        }
    }

    /// One look, one decision, one deed. How long to pause after it.
    async fn turn(&self, mind: &mut Mind) -> Pause {
        let Some(view) = self.keeper.view() else { return Pause::Idle };
        let record = view.record.as_deref();
        if let Some(record) = record {
            mind.memory.know(record, self.clock.now());
            self.note_holding(mind, record);
        }
        match (standing(record, &self.me), record) {
            (Standing::Drives(intent), Some(record)) => Box::pin(self.drive(mind, &view, record, intent)).await,
            (Standing::Free, _) => Box::pin(self.acquire(mind)).await,
            (standing, Some(record)) => Box::pin(self.keep(mind, &view, record, standing)).await,
            (_, None) => Pause::Idle,
        }
    }

    fn note_holding(&self, mind: &mut Mind, record: &Record) {
        let held = record.held_by(&self.me).then_some(record.generation);
        if mind.held.map(|(generation, _)| generation) != held {
            mind.held = held.map(|generation| (generation, self.keeper.journal_time()));
        }
    }

    /// Holder, an intent stands.
    async fn drive(&self, mind: &mut Mind, view: &View, record: &Record, intent: &Intent) -> Pause {
        let began = self.clock.now();
        let needs = needs::of_intent(record, intent, &self.me, &mut mind.memory, began);
        let mut seen = look(&self.observers, &*self.clock, &intent.plan, needs, mind.memory.authorities()).await;
        let preconditions = self.preconditions(record, view, intent, &seen).await;
        let at = self.clock.now();
        let limit = if preconditions == Preconditions::NotLooked { LOOK_MAX } else { PREFLIGHT_MAX };
        if at.since(began) > limit {
            // This process stood still meanwhile, and what it saw is old.
            return Pause::None;
        }
        let memory = &mut mind.memory;
        memory.look(record, &seen, at);
        memory.fill(&mut seen, at);
        mind.settling.fill(&mut seen, at);
        let place = Place { record, me: &self.me, plan: &intent.plan, away: None, seen: &seen, at };
        self.watch_others(&mut mind.interference, &place);
        let (abort, halves) = {
            let told = self.told();
            (told.abort.clone(), told.halves.if_of(Some(&intent.plan.halves())))
        };
        let event = audit::switchover(intent, self.keeper.journal_time());
        let now = Now {
            at,
            me: &self.me,
            abort: abort.as_deref(),
            held_since: mind.held.map(|(_, since)| since),
            witness_unread: self.keeper.unreachable(),
            preconditions,
            lag: replication(Some(record), &halves).0,
            event: Some(event),
        };
        let decision = next(record, &seen, memory, &now);
        let refused = abort.or(record.abort.clone());
        let refused = refused.filter(|id| *id == intent.id && intent.past_return() && intent.forward());
        self.carry_out(record, intent, memory, decision, refused).await
    }

    /// Whether enough of the term is left for the action's limit.
    fn allows(&self, action: &Action, limit: Duration) -> bool {
        let term = self.keeper.term();
        if makes_writable(action) { term.allows_writable(limit) } else { term.allows(limit) }
    }

    /// The record, where this region holds it and an intent stands in it.
    fn mine(&self) -> Option<Arc<Record>> {
        self.keeper.record().filter(|record| record.held_by(&self.me) && record.intent.is_some())
    }

    /// Step 1 wants the preconditions of the dry run, over the same facts.
    async fn preconditions(&self, record: &Record, view: &View, intent: &Intent, seen: &Observations) -> Preconditions {
        let confirmed = seen.copies.get(intent.to()).and_then(|c| c.known()).and_then(|c| c.seen.as_ref());
        let confirmed = confirmed.and_then(|s| s.intent.as_deref()) == Some(intent.id.as_str());
        if current_step(intent) != 1 || !intent.forward() || !confirmed {
            return Preconditions::NotLooked;
        }
        let observations = look(&self.observers, &*self.clock, &intent.plan, Needs::ALL, &[]).await;
        let facts = Facts {
            observations,
            witness: Seen::Is(Some(record.clone())),
            stale_for: Some(self.clock.now().since(view.first_seen)),
            me: self.me.clone(),
            in_execution_of: Some(&intent.id),
        };
        let found = preflight(&intent.plan, &facts);
        match found.refusal() {
            None => Preconditions::Hold,
            Some(why) if found.wants_only_the_lag() => Preconditions::Unmeasured(why),
            Some(why) => Preconditions::Fail(why),
        }
    }

    async fn carry_out(
        &self,
        record: &Record,
        intent: &Intent,
        memory: &mut Memory,
        decision: Decision,
        abort_refused: Option<String>,
    ) -> Pause {
        let progress = |step: u8, waiting: Option<&str>, stuck: bool| Progress {
            step,
            waiting: waiting.map(str::to_owned),
            stuck,
            abort_refused: abort_refused.clone(),
            ..Progress::default()
        };
        match &decision {
            Decision::NotMine(_) | Decision::Keep(..) | Decision::Rest(_) => Pause::Idle,
            Decision::Wait(step, why) => {
                self.note(progress(*step, Some(why), false));
                Pause::Look
            }
            Decision::Stuck(step, why) => {
                self.note(progress(*step, Some(why), true));
                Pause::Look
            }
            Decision::Finish(result) => self.finish(record, intent, memory, *result).await,
            Decision::Act(step, action) | Decision::Undo(step, action) => {
                self.note(progress(*step, None, false));
                let undo = matches!(decision, Decision::Undo(..));
                self.act(record, intent, memory, &decision, *step, action, undo).await
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one decision, passed on once")]
    async fn act(
        &self,
        record: &Record,
        intent: &Intent,
        memory: &mut Memory,
        decision: &Decision,
        step: u8,
        action: &Action,
        undo: bool,
    ) -> Pause {
        if let Action::Record(change) = action {
            if irreversible(action) && !self.still_stands(record).await {
                return Pause::Look;
            }
            return self.change(intent, memory, step, change).await;
        }
        if memory.is_retry(action, step) {
            let (me, id) = (self.me.clone(), intent.id.clone());
            let written = self.keeper.update(move |r| transition::retry(r, &me, &id, step)).await;
            if written.is_err() {
                return Pause::Look;
            }
        }
        if irreversible(action) && !self.still_stands(record).await {
            return Pause::Look;
        }
        let limit = limit_of(action);
        if !self.allows(action, limit) || !self.same_holding(record, intent) {
            // The keeper renews meanwhile; nothing is sent that could outlive the term.
            return Pause::Look;
        }
        let before = if memory.is_ours_alone(step) { Before::Us } else { Before::Others };
        let outcome = within(&*self.clock, limit, self.perform(action, &intent.plan, before))
            .await
            .unwrap_or_else(|| no_answer(limit));
        tracing::info!(
            step,
            name = steps::name(step),
            undo,
            action = describe(action),
            outcome = say(&outcome),
            "acted"
        );
        memory.tried(decision, &outcome, self.clock.now());
        Pause::None
    }

    /// Whether this region still holds the record in this generation, with the same intent in the same
    /// direction, as far as it was read.
    fn same_holding(&self, record: &Record, intent: &Intent) -> bool {
        self.mine().is_some_and(|now| {
            let same = |i: &Intent| i.id == intent.id && i.direction == intent.direction;
            now.generation == record.generation && now.intent.as_deref().is_some_and(same)
        })
    }

    /// Reads the witness once more: a newer record stops an irreversible action.
    async fn still_stands(&self, record: &Record) -> bool {
        let Some(witness) = &self.observers.witness else { return false };
        match within(&*self.clock, WITNESS_LIMIT, witness.read()).await {
            Some(Ok((_, Some(now)))) => {
                now.held_by(&self.me)
                    && now.generation == record.generation
                    && now.intent.as_ref().map(|i| (&i.id, &i.direction))
                        == record.intent.as_ref().map(|i| (&i.id, &i.direction))
            }
            _ => false,
        }
    }

    /// `before`: who may have published the event of an [`Action::Emit`] already.
    async fn perform(&self, action: &Action, plan: &Plan, before: Before) -> Outcome<()> {
        match action {
            Action::Record(_) => Outcome::Done(()),
            Action::Cluster(write) => self.actors.pair.write(write).await,
            Action::Route(write) => self.actors.route.set_weights(write).await,
            Action::Publish { leads_to, sets } => match (&self.actors.records, &plan.zone) {
                (Some(records), Some(zone)) => records.publish(zone, leads_to, sets).await,
                _ => Outcome::Refused("no DNS publisher is configured".into()),
            },
            Action::TryWrite { region, commit } => self.try_write(region, plan, *commit).await,
            Action::Emit(event) => self.publisher.publish(event, before, WITNESS_LIMIT).await,
            Action::Admit(write) => match self.observers.pair.admits(write).await {
                Seen::Is(Ok(())) => Outcome::Done(()),
                Seen::Is(Err(why)) => Outcome::NotApplied(format!("the promotion would be refused: {why}")),
                other => Outcome::Unknown(other.why().unwrap_or_default()),
            },
            Action::Copy { resource_version, patch } => self.actors.copy.patch_spec(resource_version, patch).await,
        }
    }

    async fn try_write(&self, region: &Region, plan: &Plan, commit: bool) -> Outcome<()> {
        match (self.observers.pair.cluster(region, &plan.pair).await, &self.actors.database) {
            (Seen::Is(cluster), Some(database)) => database.try_write(region, &cluster.object, commit).await,
            (Seen::Is(_), None) => Outcome::Refused("no database probe is configured".into()),
            (other, _) => Outcome::NotApplied(other.why().unwrap_or_default()),
        }
    }

    /// Has a change of the record written.
    async fn change(&self, intent: &Intent, memory: &mut Memory, step: u8, change: &Change) -> Pause {
        let (me, id, now) = (self.me.clone(), intent.id.clone(), self.keeper.journal_time());
        log_change(intent, step, change);
        let begins = matches!(change, Change::Start(_));
        let (change, tried) = (change.clone(), change.clone());
        // Before it is: what became of it may never be known.
        memory.sent(step, &tried);
        let written = self.keeper.update(move |record| apply(record, &me, &id, step, now, &change)).await;
        let ours = |r: &Record| r.intent.as_ref().is_some_and(|i| i.step(step).started_at == Some(now));
        if begins && written.as_ref().is_ok_and(ours) {
            memory.begun(step);
        }
        if let Err(NotWritten::Refused(cause)) = &written {
            memory.refused(step, &tried, cause, self.clock.now());
        }
        self.after_write(written)
    }

    fn after_write(&self, written: Result<Record, NotWritten>) -> Pause {
        match written {
            Ok(_) => Pause::None,
            Err(cause) => {
                tracing::warn!(%cause, "the record was not written");
                Pause::Look
            }
        }
    }

    async fn finish(&self, record: &Record, intent: &Intent, memory: &Memory, result: EndResult) -> Pause {
        if !self.still_stands(record).await {
            return Pause::Look;
        }
        let now = self.keeper.journal_time();
        let acknowledged = memory.event_passed() || intent.step(7).finished_at.is_some();
        let took_ms = intent.lasted_ms(intent.started_at, now).filter(|_| result == EndResult::Succeeded);
        let ending = Ending { result, now, acknowledged, write_gap_ms: write_gap_ms(intent, result), took_ms };
        let (me, id) = (self.me.clone(), intent.id.clone());
        let written = self.keeper.update(move |record| transition::end(record, &me, &id, &ending)).await;
        if written.is_ok() {
            tracing::info!(id = %intent.id, ?result, "switchover ended");
            if memory.left_to_others() {
                tracing::warn!(id = %intent.id, "somebody else writes the records too, and they were left as they are");
            }
        }
        self.after_write(written)
    }
}

pub(crate) fn apply(record: &Record, me: &Region, id: &str, step: u8, now: jiff::Timestamp, change: &Change) -> Edit {
    match change {
        Change::Start(what) => transition::start(record, me, id, step, now, what),
        Change::Finish(effect) => transition::finish(record, me, id, step, now, effect),
        Change::Turn { step, reason, promotion_refused } => {
            transition::turn(record, me, id, *step, reason, *promotion_refused, now)
        }
        Change::Swap => transition::swap(record, me, id, now),
        Change::SwapBack => transition::swap_back(record, me, id, now),
        Change::TurnForward => transition::turn_forward(record, me, id),
        Change::DoubtLineage => transition::doubt_lineage(record, me, id),
        Change::Undone(lineage) => transition::undone(record, me, id, step, now, lineage.as_ref()),
        Change::Redo(why) => transition::redo(record, me, id, step, why),
        Change::Token(token) => transition::renew_token(record, me, id, token),
        Change::PromoteWith(token) => transition::promote_with(record, me, id, token.as_deref()),
        Change::TakeBack { seen, reason } => {
            let id = seen.intent.as_ref().map_or("", |intent| &intent.id);
            transition::take_back(record, me, id, seen, now, reason)
        }
        Change::Acquire { timeline, claimed, ttl_seconds, about } => {
            let about = about.as_ref().map(|(continuum, application)| audit::About { continuum, application });
            let told = about.map(|about| Told { about, at: now });
            transition::acquire_above(record, me, *ttl_seconds, *timeline, *claimed, told)
        }
        Change::Lineage(lineage) => transition::keep_lineage(record, me, lineage),
        Change::InSync(in_sync) => transition::keep_in_sync(record, me, *in_sync),
    }
}

fn limit_of(action: &Action) -> Duration {
    match action {
        Action::Emit(_) | Action::Record(_) => WITNESS_LIMIT,
        _ => REQUEST_LIMIT,
    }
}

fn no_answer(limit: Duration) -> Outcome<()> {
    Outcome::Unknown(format!("no answer in {} s: looking", limit.as_secs()))
}

/// How long writes stopped, from the cordon's request to the new primary's first confirmed write; a planned move only.
/// An upper bound of what clients saw, but for the moment in which the lease passed.
fn write_gap_ms(intent: &Intent, result: EndResult) -> Option<u64> {
    let ended = intent.step(6).finished_at.filter(|_| result == EndResult::Succeeded)?;
    intent.lasted_ms(intent.step(2).started_at?, ended)
}

#[cfg(test)]
mod tests;
