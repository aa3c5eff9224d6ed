//! The driver: the loop around [`next`]. It looks, asks what to do, and does that. It holds no logic of a
//! switchover; what it adds is the discipline of acting: still the holder, still this generation, enough of
//! the term left (PROTOCOL 2.7), and what is tried is written down before it is tried.

use crate::audit::Event;
use crate::clock::{Clock, Monotonic, within};
use crate::keeper::{Keeper, NotWritten, View};
use crate::look::{Needs, look};
use crate::name::Region;
use crate::next::{Action, Change, Decision, Memory, Now, current_step, irreversible, makes_writable, next, undo_due};
use crate::observe::{Observations, Seen};
use crate::ports::{Actors, Observers, Outcome};
use crate::preflight::{Facts, preflight};
use crate::record::{EndResult, Intent, Record};
use crate::term::{REQUEST_LIMIT, WITNESS_LIMIT};
use crate::transition::{self, Edit, Ending};
use crate::{audit, steps};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Between two looks while a step's effect is awaited.
const LOOK_PAUSE: Duration = Duration::from_millis(300);
/// Between two glances at the keeper's view while there is nothing to drive.
const IDLE_PAUSE: Duration = Duration::from_millis(250);

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
}

/// See the module.
pub struct Driver {
    me: Region,
    clock: Arc<dyn Clock>,
    keeper: Arc<Keeper>,
    observers: Observers,
    actors: Actors,
    abort: Mutex<Option<String>>,
    progress: Mutex<Progress>,
}

impl Driver {
    /// A driver of one Continuum in one region.
    pub fn new(me: Region, clock: Arc<dyn Clock>, keeper: Arc<Keeper>, observers: Observers, actors: Actors) -> Self {
        Self { me, clock, keeper, observers, actors, abort: Mutex::default(), progress: Mutex::default() }
    }

    /// A person wants the intent of this id aborted; any other id is ignored.
    pub fn set_abort(&self, id: Option<String>) {
        *self.abort.lock().unwrap_or_else(PoisonError::into_inner) = id;
    }

    /// What is being done.
    pub fn progress(&self) -> Progress {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, progress: Progress) {
        let mut current = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        if *current != progress {
            if let Some(waiting) = &progress.waiting {
                if progress.stuck {
                    tracing::warn!(step = progress.step, why = %waiting, "stuck");
                } else {
                    tracing::debug!(step = progress.step, why = %waiting, "waiting");
                }
            }
            *current = progress;
        }
    }

    /// Drives whatever this region holds. Runs for ever.
    pub async fn run(&self) {
        let mut memory = Memory::default();
        loop {
            let pause = self.turn(&mut memory).await;
            if !pause.is_zero() {
                self.clock.sleep(pause).await;
            }
        }
    }

    /// One look, one decision, one deed. How long to pause after it.
    async fn turn(&self, memory: &mut Memory) -> Duration {
        let Some((view, record)) = self.mine() else {
            self.note(Progress::default());
            return IDLE_PAUSE;
        };
        let Some(intent) = &record.intent else { return IDLE_PAUSE };
        let seen = look(
            &self.observers,
            &*self.clock,
            &intent.plan,
            needs(&record, intent, &self.me, memory, self.clock.now()),
        )
        .await;
        let blocker = self.blocker(&record, &view, intent, &seen).await;
        let at = self.clock.now();
        memory.look(&record, &seen, at);
        let abort = self.abort.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let event = audit::switchover(intent, self.clock.wall());
        let now = Now { at, me: &self.me, abort: abort.as_deref(), blocker, event: Some(event) };
        let decision = next(&record, &seen, memory, &now);
        let refused = abort.filter(|id| *id == intent.id && intent.past_return() && intent.forward());
        self.carry_out(&record, intent, memory, decision, refused).await
    }

    /// The record, where this region holds it and an intent stands in it.
    fn mine(&self) -> Option<(View, Record)> {
        let view = self.keeper.view()?;
        let record = view.record.clone()?;
        (record.held_by(&self.me) && record.intent.is_some()).then_some((view, record))
    }

    /// Step 1 wants the preconditions of the dry run, over the same facts.
    async fn blocker(
        &self,
        record: &Record,
        view: &View,
        intent: &Intent,
        seen: &Observations,
    ) -> Option<Option<String>> {
        let confirmed = seen.copies.get(intent.to()).and_then(|c| c.known()).and_then(|c| c.seen.as_ref());
        let confirmed = confirmed.and_then(|s| s.intent.as_deref()) == Some(intent.id.as_str());
        if current_step(intent) != 1 || !intent.forward() || !confirmed {
            return None;
        }
        let observations = look(&self.observers, &*self.clock, &intent.plan, Needs::ALL).await;
        let facts = Facts {
            observations,
            witness: Seen::Is(Some(record.clone())),
            stale_for: Some(self.clock.now().since(view.first_seen)),
            me: self.me.clone(),
            in_execution_of: Some(&intent.id),
        };
        Some(preflight(&intent.plan, &facts).refusal())
    }

    async fn carry_out(
        &self,
        record: &Record,
        intent: &Intent,
        memory: &mut Memory,
        decision: Decision,
        abort_refused: Option<String>,
    ) -> Duration {
        let progress = |step: u8, waiting: Option<&str>, stuck: bool| Progress {
            step,
            waiting: waiting.map(str::to_owned),
            stuck,
            abort_refused: abort_refused.clone(),
        };
        match &decision {
            Decision::NotMine(_) => IDLE_PAUSE,
            Decision::Wait(step, why) => {
                self.note(progress(*step, Some(why), false));
                LOOK_PAUSE
            }
            Decision::Stuck(step, why) => {
                self.note(progress(*step, Some(why), true));
                LOOK_PAUSE
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
    ) -> Duration {
        if let Action::Record(change) = action {
            if irreversible(action) && !self.still_stands(record).await {
                return LOOK_PAUSE;
            }
            return self.change(intent, memory, step, change).await;
        }
        if memory.is_retry(action, step) {
            let (me, id) = (self.me.clone(), intent.id.clone());
            let written = self.keeper.update(move |r| transition::retry(r, &me, &id, step)).await;
            if written.is_err() {
                return LOOK_PAUSE;
            }
        }
        if irreversible(action) && !self.still_stands(record).await {
            return LOOK_PAUSE;
        }
        let limit = limit_of(action);
        let term = self.keeper.term();
        let allowed = if makes_writable(action) { term.allows_writable(limit) } else { term.allows(limit) };
        if !allowed || !self.same_holding(record, intent) {
            // The keeper renews meanwhile; nothing is sent that could outlive the term.
            return LOOK_PAUSE;
        }
        let outcome = within(&*self.clock, limit, self.perform(action, memory.may_have_tried(step)))
            .await
            .unwrap_or_else(|| Outcome::Unknown(format!("no answer in {} s: looking", limit.as_secs())));
        tracing::info!(
            step,
            name = steps::name(step),
            undo,
            action = describe(action),
            outcome = say(&outcome),
            "acted"
        );
        memory.tried(decision, &outcome, self.clock.now());
        Duration::ZERO
    }

    /// Whether this region still holds the record in this generation, with the same intent in the same
    /// direction, as far as it was read.
    fn same_holding(&self, record: &Record, intent: &Intent) -> bool {
        self.mine().is_some_and(|(_, now)| {
            let same = |i: &Intent| i.id == intent.id && i.direction == intent.direction;
            now.generation == record.generation && now.intent.as_ref().is_some_and(same)
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

    /// `search`: what is published may be there already.
    async fn perform(&self, action: &Action, search: bool) -> Outcome<()> {
        match action {
            Action::Record(_) => Outcome::Done(()),
            Action::Cluster(write) => self.actors.pair.write(write).await,
            Action::Route(write) => self.actors.route.set_weights(write).await,
            Action::Publish(sets) => match (&self.actors.records, self.zone()) {
                (Some(records), Some(zone)) => records.publish(&zone, sets).await,
                _ => Outcome::Refused("no DNS publisher is configured".into()),
            },
            Action::TryWrite { region, commit } => self.try_write(region, *commit).await,
            Action::Emit(event) => match &self.actors.audit {
                Some(audit) => self.emit(&**audit, event, search).await,
                None => Outcome::Refused("no audit stream is configured".into()),
            },
        }
    }

    fn zone(&self) -> Option<String> {
        self.mine()?.1.intent?.plan.zone
    }

    async fn try_write(&self, region: &Region, commit: bool) -> Outcome<()> {
        let Some((_, record)) = self.mine() else { return Outcome::NotApplied("not the holder any more".into()) };
        let Some(intent) = &record.intent else { return Outcome::NotApplied("no intent stands".into()) };
        match (self.observers.pair.cluster(region, &intent.plan.pair).await, &self.actors.database) {
            (Seen::Is(cluster), Some(database)) => database.try_write(region, &cluster.object, commit).await,
            (Seen::Is(_), None) => Outcome::Refused("no database probe is configured".into()),
            (other, _) => Outcome::NotApplied(other.why().unwrap_or_default()),
        }
    }

    /// Publishes the event. Where it may have been published before, the stream is searched first: it drops a
    /// repeat for two minutes only.
    async fn emit(&self, audit: &dyn crate::ports::PublishAudit, event: &Event, search: bool) -> Outcome<()> {
        if search
            && let (Some(observe), Some((_, record))) = (&self.observers.audit, self.mine())
            && let Some(intent) = record.intent
        {
            match observe.find(&event.query(&intent.plan.continuum)).await {
                Ok(Some(_)) => return Outcome::Done(()),
                Ok(None) => {}
                Err(cause) => return Outcome::NotApplied(format!("the stream could not be searched: {cause}")),
            }
        }
        match audit.publish(event).await {
            Outcome::Done(sequence) => {
                tracing::info!(kind = event.body.kind.as_str(), sequence, "event acknowledged");
                Outcome::Done(())
            }
            Outcome::NotApplied(cause) => Outcome::NotApplied(cause),
            Outcome::Refused(cause) => Outcome::Refused(cause),
            Outcome::Unknown(cause) => Outcome::Unknown(cause),
        }
    }

    /// Has a change of the record written.
    async fn change(&self, intent: &Intent, memory: &mut Memory, step: u8, change: &Change) -> Duration {
        let (me, id, now) = (self.me.clone(), intent.id.clone(), self.clock.wall());
        log_change(intent, step, change);
        let begins = matches!(change, Change::Start(_));
        let change = change.clone();
        let written = self.keeper.update(move |record| apply(record, &me, &id, step, now, &change)).await;
        let ours = |r: &Record| r.intent.as_ref().is_some_and(|i| i.step(step).started_at == Some(now));
        if begins && written.as_ref().is_ok_and(ours) {
            memory.begun(step);
        }
        if let Err(NotWritten::Refused(cause)) = &written {
            memory.refused(step, cause, self.clock.now());
        }
        self.after_write(written)
    }

    fn after_write(&self, written: Result<Record, NotWritten>) -> Duration {
        match written {
            Ok(_) => Duration::ZERO,
            Err(cause) => {
                tracing::warn!(%cause, "the record was not written");
                LOOK_PAUSE
            }
        }
    }

    async fn finish(&self, record: &Record, intent: &Intent, memory: &Memory, result: EndResult) -> Duration {
        if !self.still_stands(record).await {
            return LOOK_PAUSE;
        }
        let now = self.clock.wall();
        let acknowledged = memory.event_passed() || intent.step(7).finished_at.is_some();
        let owed = audit::owed_at_end(intent, result, acknowledged, now);
        let ending = Ending { result, now, owed, write_gap_ms: write_gap_ms(intent, result) };
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

/// What the step under way looks at, and nothing else: each server that is away costs a look its whole limit.
fn needs(record: &Record, intent: &Intent, me: &Region, memory: &mut Memory, now: Monotonic) -> Needs {
    if !intent.forward() {
        return undo_needs(record, intent, me, memory, now);
    }
    match current_step(intent) {
        2 => Needs { from: true, ..Needs::default() },
        3 => Needs { routes: true, ..Needs::default() },
        4 => Needs { zone: true, answers: true, copies: true, ..Needs::default() },
        // The other region may be away: a promotion waits for no look at it.
        6 => Needs { to: true, ..Needs::default() },
        // The records are looked at once more, but the event waits for no DNS server.
        7 => {
            let late = steps::step(7).limit(&intent.plan).is_none_or(|limit| memory.age(7, now) > limit);
            Needs { zone: intent.step(7).finished_at.is_some() || late, ..Needs::default() }
        }
        _ => Needs { copies: true, ..Needs::default() },
    }
}

/// The other half is looked at by whoever gives the lease back, and by A where the lease was away (2.4a). Before
/// the swap nobody was ever allowed to promote it (2.4d).
fn undo_needs(record: &Record, intent: &Intent, me: &Region, memory: &mut Memory, now: Monotonic) -> Needs {
    if me == intent.to() {
        return Needs { to: true, ..Needs::default() };
    }
    let due = undo_due(intent);
    let mut looks_at = |step: u8| due.contains(&step) && memory.undo_looks_at(step, now);
    Needs {
        from: true,
        to: record.generation != intent.began_generation,
        routes: looks_at(3),
        zone: due.is_empty() || looks_at(4),
        ..Needs::default()
    }
}

pub(crate) fn apply(record: &Record, me: &Region, id: &str, step: u8, now: jiff::Timestamp, change: &Change) -> Edit {
    match change {
        Change::Start(what) => transition::start(record, me, id, step, now, what),
        Change::Finish(effect) => transition::finish(record, me, id, step, now, effect),
        Change::Turn { step, reason, promotion_refused } => {
            transition::turn(record, me, id, *step, reason, *promotion_refused)
        }
        Change::Swap => transition::swap(record, me, id, now),
        Change::SwapBack => transition::swap_back(record, me, id, now),
        Change::TurnForward => transition::turn_forward(record, me, id),
        Change::DoubtLineage => transition::doubt_lineage(record, me, id),
        Change::Undone(lineage) => transition::undone(record, me, id, step, now, lineage.as_ref()),
    }
}

fn limit_of(action: &Action) -> Duration {
    match action {
        Action::Emit(_) | Action::Record(_) => WITNESS_LIMIT,
        _ => REQUEST_LIMIT,
    }
}

/// From the cordon's request to the new primary's first confirmed write, by the journal; a planned move
/// only. An upper bound of what clients saw.
fn write_gap_ms(intent: &Intent, result: EndResult) -> Option<u64> {
    let (began, ended) = (intent.step(2).started_at?, intent.step(6).finished_at?);
    let gap = ended.as_millisecond().checked_sub(began.as_millisecond())?;
    (result == EndResult::Succeeded).then(|| u64::try_from(gap).ok()).flatten()
}

fn log_change(intent: &Intent, step: u8, change: &Change) {
    let name = steps::name(step);
    match change {
        Change::Start(_) => tracing::info!(id = %intent.id, step, name, "step started"),
        Change::Finish(effect) => {
            tracing::info!(id = %intent.id, step, name, note = effect.note.as_deref().unwrap_or(""), "step done");
        }
        Change::Turn { step, reason, .. } => tracing::warn!(id = %intent.id, step, %reason, "undoing"),
        Change::Undone(_) => tracing::info!(id = %intent.id, step, name, "step undone"),
        Change::Swap | Change::SwapBack => tracing::info!(id = %intent.id, step, "swapping the lease"),
        Change::TurnForward => tracing::warn!(id = %intent.id, "the promotion was issued after all: forward"),
        Change::DoubtLineage => {}
    }
}

fn describe(action: &Action) -> String {
    match action {
        Action::Record(_) => "record".into(),
        Action::Cluster(write) => {
            let what = match &write.change {
                crate::ports::ClusterChange::Claim => "claim",
                crate::ports::ClusterChange::Demote { .. } => "demote",
                crate::ports::ClusterChange::Promote { .. } => "promote",
                crate::ports::ClusterChange::Fence => "fence",
                crate::ports::ClusterChange::Unfence => "unfence",
            };
            format!("{what} {} in {}", write.object, write.region)
        }
        Action::Route(write) => format!("weights of {} in {}", write.object, write.region),
        Action::Publish(_) => "publish records".into(),
        Action::TryWrite { region, .. } => format!("write over a new connection in {region}"),
        Action::Emit(event) => format!("publish {}", event.body.kind.as_str()),
    }
}

fn say(outcome: &Outcome<()>) -> String {
    match outcome {
        Outcome::Done(()) => "done".into(),
        Outcome::NotApplied(cause) => format!("not applied: {cause}"),
        Outcome::Refused(cause) => format!("refused: {cause}"),
        Outcome::Unknown(cause) => format!("unknown: {cause}"),
    }
}

#[cfg(test)]
mod tests;
