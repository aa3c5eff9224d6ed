//! How a record becomes another: pure functions, handed to the keeper, which writes what they give.
//!
//! After a conflict or an unknown outcome the keeper reads and applies the function again, so each tells
//! apart "not any more" ([`Edit::Stale`]) and "it stands there already" ([`Edit::Already`]).

mod ending;
mod failback;
mod holder;

pub use ending::{Ending, end, rto_missed_by_ms};
pub use failback::{Approval, approve, decline, pend};
pub use holder::{Told, acquire, acquire_above, release, renew, swap, swap_back, take_back};

use crate::audit::{self, Event};
use crate::name::Region;
use crate::plan::Plan;
use crate::record::{
    Direction, Extra, Former, Intent, Kind, Lineage, OWED_COUNT_MAX, Record, SERVED_COUNT_MAX, StepState,
};
use jiff::Timestamp;

/// What a function makes of a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    /// Write this.
    Write(Box<Record>),
    /// What it wants stands there already.
    Already,
    /// It cannot be any more, and why.
    Stale(String),
}

fn write(record: Record) -> Edit {
    Edit::Write(Box::new(record))
}

fn stale(why: impl Into<String>) -> Edit {
    Edit::Stale(why.into())
}

/// The order to move the role.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// The plan.
    pub plan: Plan,
    /// Planned or failback.
    pub kind: Kind,
    /// Identity of the request, where one was made.
    pub request: Option<String>,
    /// Wall time.
    pub now: Timestamp,
}

/// The id that the next intent or pending failback of this record will have.
pub fn next_id(record: &Record, plan: &Plan) -> String {
    format!("{}/{}.{}", plan.continuum, record.generation, record.sequence + 1)
}

fn serve(record: &mut Record, request: Option<&String>) {
    if let Some(request) = request
        && !record.has_served(request)
    {
        record.served.push(request.clone());
        let surplus = record.served.len().saturating_sub(SERVED_COUNT_MAX);
        record.served.drain(..surplus);
    }
}

/// How the answer to the order of a move begins that is under way.
pub const ALREADY_UNDER_WAY: &str = "already under way";

/// What is answered to the order of a move that goes where one under way goes.
pub fn already_under_way(intent: &Intent) -> String {
    format!("{ALREADY_UNDER_WAY}: {}", intent.id)
}

fn under_way(record: &Record) -> Option<String> {
    if let Some(intent) = &record.intent {
        return Some(format!("switchover {} is under way", intent.id));
    }
    if let Some(pending) = &record.pending {
        return Some(format!("failback {} waits for approval", pending.id));
    }
    None
}

fn busy(record: &Record) -> Option<String> {
    let last = record.last.as_ref().map(|last| (&last.id, record.owed_of(&last.id).count()));
    let owed = last.filter(|(_, count)| *count > 0);
    under_way(record).or_else(|| owed.map(|(id, count)| format!("{count} events of {id} are owed")))
}

/// The event is owed from this write on.
fn owe(next: &mut Record, event: Event) {
    if next.owed.iter().all(|owed| owed.message_id != event.message_id) {
        next.owed.push(event);
    }
}

/// Whether `me` may begin what the order asks: it holds the record, the role is to leave it, and nothing
/// else is under way.
fn may_begin(record: &Record, me: &Region, order: &Order) -> Result<(), Edit> {
    if let Some(request) = order.request.as_ref().filter(|r| record.has_served(r)) {
        return Err(stale(format!("request {request} was served already")));
    }
    if !record.held_by(me) {
        return Err(stale("not the holder any more"));
    }
    if order.plan.from != *me {
        return Err(stale(format!("{me} holds the record, and the plan moves the role away from {}", order.plan.from)));
    }
    busy(record).map_or(Ok(()), |why| Err(stale(why)))
}

/// Writes the intent. `me` holds the record and is where the role comes from.
pub fn begin(record: &Record, me: &Region, order: &Order) -> Edit {
    // The answer to this very write may have been lost (H25); not every order has a request's identity.
    let same = |i: &Intent| match &order.request {
        Some(request) => i.request.as_ref() == Some(request),
        None => i.request.is_none() && i.started_at == order.now && i.plan == order.plan,
    };
    if record.intent.as_deref().is_some_and(same) {
        return Edit::Already;
    }
    if let Err(cannot) = may_begin(record, me, order) {
        return cannot;
    }
    let mut next = record.clone();
    next.sequence += 1;
    next.intent = Some(intent(record, order, next_id(record, &order.plan), None).into());
    serve(&mut next, order.request.as_ref());
    write(next)
}

fn intent(record: &Record, order: &Order, id: String, approved_by: Option<String>) -> Intent {
    let mut steps: [StepState; 7] = Default::default();
    steps[0].started_at = Some(order.now);
    steps[0].attempts = 1;
    Intent {
        id,
        kind: order.kind,
        plan: order.plan.clone(),
        fingerprint: order.plan.fingerprint(),
        request: order.request.clone(),
        approved_by,
        started_at: order.now,
        began_generation: record.generation,
        direction: Direction::Forward,
        token: None,
        token_before: None,
        eligible: None,
        former: Former::default(),
        beat_before: None,
        redone: 0,
        promoted_with: None,
        handed_over_at: None,
        steps,
        extra: Extra::new(),
    }
}

/// Remembers that a request was answered without an intent. `told`: the event that says so; absent: there is none.
pub fn refuse(record: &Record, me: &Region, request: &str, told: Option<Event>) -> Edit {
    if record.has_served(request) {
        return Edit::Already;
    }
    if !record.held_by(me) {
        return stale("not the holder any more");
    }
    let mut next = record.clone();
    serve(&mut next, Some(&request.to_owned()));
    // Where the stream is away for long, refusals do not grow the record beyond what a witness takes.
    if let Some(event) = told.filter(|_| next.owed.len() < OWED_COUNT_MAX) {
        owe(&mut next, event);
    }
    write(next)
}

/// Changes the intent of this id, if it stands and `me` still holds the record.
pub fn on_intent(
    record: &Record,
    me: &Region,
    id: &str,
    change: impl FnOnce(&mut Record, &mut Intent) -> Edit,
) -> Edit {
    if !record.held_by(me) {
        return stale("not the holder any more");
    }
    let Some(intent) = record.intent.as_ref().filter(|i| i.id == id) else {
        return stale(format!("intent {id} stands no more"));
    };
    let (mut next, mut intent) = (record.clone(), intent.clone());
    next.intent = None;
    match change(&mut next, &mut intent) {
        Edit::Write(mut next) => {
            // A function that ended the intent wrote `last` for it.
            if next.last.as_ref().is_none_or(|last| last.id != intent.id) {
                next.intent = Some(intent);
            }
            Edit::Write(next)
        }
        other => other,
    }
}

/// What is noted when a step begins, beside that it does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Beginning {
    /// What undoing will need. Fields already noted stay.
    pub former: Former,
    /// `status.seen.beat` of the other controller (step 4).
    pub beat: Option<u64>,
    /// What the target is about to be promoted with (step 6).
    pub promoted_with: Option<String>,
    /// When this controller first saw itself the holder (step 6), wall time.
    pub handed_over_at: Option<Timestamp>,
}

/// Step `number` is about to be tried.
pub fn start(record: &Record, me: &Region, id: &str, number: u8, now: Timestamp, what: &Beginning) -> Edit {
    on_intent(record, me, id, |next, intent| {
        if intent.step(number).started_at.is_some() {
            if number == 4 && intent.beat_before.is_none() && what.beat.is_some() {
                intent.beat_before = what.beat;
                return write(next.clone());
            }
            return Edit::Already;
        }
        // An abort that came before the point of no return is heard.
        if number == 6 && next.abort.as_ref() == Some(&intent.id) {
            return stale("it is to be aborted");
        }
        let step = intent.step_mut(number);
        step.started_at = Some(now);
        step.attempts = 1;
        for (region, weights) in &what.former.weights {
            intent.former.weights.entry(region.clone()).or_insert(weights.clone());
        }
        if intent.former.records.is_none() {
            intent.former.records = what.former.records.clone();
        }
        if intent.former.answered.is_none() {
            intent.former.answered = what.former.answered.clone();
        }
        if intent.former.led_to.is_empty() {
            intent.former.led_to = what.former.led_to.clone();
        }
        if number == 2 {
            intent.former.lineage = next.lineage.clone();
        }
        if number == 4 {
            intent.beat_before = what.beat;
        }
        if number == 6 {
            intent.promoted_with = what.promoted_with.clone();
            intent.handed_over_at = intent.handed_over_at.or(what.handed_over_at);
        }
        write(next.clone())
    })
}

/// Step `number` is about to be tried once more.
pub fn retry(record: &Record, me: &Region, id: &str, number: u8) -> Edit {
    on_intent(record, me, id, |next, intent| {
        intent.step_mut(number).attempts += 1;
        write(next.clone())
    })
}

/// What the effect of a step brought.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effect {
    /// The demotion token (step 2).
    pub token: Option<String>,
    /// The confirmed lineage (step 6).
    pub lineage: Option<Lineage>,
    /// For people.
    pub note: Option<String>,
    /// How far the standby was behind (step 1), s, rounded up. Absent: not measured.
    pub lag_seconds: Option<u64>,
}

/// The effect of step `number` was seen.
pub fn finish(record: &Record, me: &Region, id: &str, number: u8, now: Timestamp, effect: &Effect) -> Edit {
    on_intent(record, me, id, |next, intent| {
        let step = intent.step_mut(number);
        if step.finished_at.is_some() {
            return Edit::Already;
        }
        step.started_at.get_or_insert(now);
        step.finished_at = Some(now);
        step.note = effect.note.clone();
        if effect.token.is_some() {
            intent.token = effect.token.clone();
        }
        if let Some(lineage) = &effect.lineage {
            next.lineage = lineage.clone();
        }
        if number == 1 {
            owe(next, audit::promotable(intent, effect.lag_seconds, now));
        }
        write(next.clone())
    })
}

/// The effect of a step that was done is gone, and why: it is done anew (PROTOCOL 2.9). The token of a demotion goes
/// with it.
pub fn redo(record: &Record, me: &Region, id: &str, number: u8, why: &str) -> Edit {
    on_intent(record, me, id, |next, intent| {
        if intent.step(number).finished_at.is_none() {
            return Edit::Already;
        }
        let state = intent.step_mut(number);
        state.finished_at = None;
        state.note = Some(format!("done anew: {why}"));
        intent.redone += 1;
        if number == 2 {
            intent.token_before = intent.token.take();
        }
        write(next.clone())
    })
}

/// `from` left a newer token than the one that stands in the intent (PROTOCOL 2.10).
pub fn renew_token(record: &Record, me: &Region, id: &str, token: &str) -> Edit {
    on_intent(record, me, id, |next, intent| {
        if intent.token.as_deref() == Some(token) {
            return Edit::Already;
        }
        intent.token = Some(token.to_owned());
        write(next.clone())
    })
}

/// What the target is about to be promoted with, where that is not what step 6 started with.
pub fn promote_with(record: &Record, me: &Region, id: &str, token: Option<&str>) -> Edit {
    on_intent(record, me, id, |next, intent| {
        if intent.promoted_with.as_deref() == token {
            return Edit::Already;
        }
        intent.promoted_with = token.map(str::to_owned);
        next.lineage = Lineage::Unknown;
        write(next.clone())
    })
}

/// A person wants the intent of this id aborted. Written by whichever controller heard it, holder or not.
pub fn ask_abort(record: &Record, id: &str) -> Edit {
    match &record.intent {
        Some(intent) if intent.id == id => {}
        _ => return stale(format!("intent {id} stands no more")),
    }
    if record.abort.as_deref() == Some(id) {
        return Edit::Already;
    }
    let mut next = record.clone();
    next.abort = Some(id.to_owned());
    write(next)
}

/// Changes what the holder keeps while no intent stands.
fn kept(record: &Record, me: &Region, change: impl FnOnce(&mut Record)) -> Edit {
    if !record.held_by(me) {
        return stale("not the holder any more");
    }
    if let Some(intent) = &record.intent {
        return stale(format!("switchover {} is under way", intent.id));
    }
    let mut next = record.clone();
    change(&mut next);
    if next == *record { Edit::Already } else { write(next) }
}

/// The half that is primary, and its timeline; unknown from before a promotion until it takes writes.
pub fn keep_lineage(record: &Record, me: &Region, lineage: &Lineage) -> Edit {
    kept(record, me, |next| next.lineage = lineage.clone())
}

/// Whether the other half has every acknowledged write.
pub fn keep_in_sync(record: &Record, me: &Region, in_sync: bool) -> Edit {
    kept(record, me, |next| next.in_sync = in_sync)
}

/// Back, because step `number` failed (0: a person's abort). Refused past the point of no return, but for
/// the one exception, where every attempt of step 6 was refused (`promotion_refused`).
pub fn turn(
    record: &Record,
    me: &Region,
    id: &str,
    number: u8,
    reason: &str,
    promotion_refused: bool,
    now: Timestamp,
) -> Edit {
    on_intent(record, me, id, |next, intent| {
        if !intent.forward() {
            return Edit::Already;
        }
        if intent.past_return() && !promotion_refused {
            return stale("the point of no return is passed: step 6 was started, so it goes forward only");
        }
        turn_back(next, intent, number, reason, now);
        write(next.clone())
    })
}

/// The direction is back from here, and the failure is owed to the stream: once for each step that failed.
fn turn_back(next: &mut Record, intent: &mut Intent, number: u8, reason: &str, now: Timestamp) {
    let failed_before = number > 0 && intent.step(number).failure.is_some();
    if !failed_before {
        owe(next, audit::step_failed(intent, number, reason, now));
    }
    intent.direction = Direction::Undo { step: number, reason: reason.to_owned() };
    if number > 0 {
        intent.step_mut(number).failure = Some(reason.to_owned());
    }
}

/// The promotion of `to` turned out to have been issued: forward again, through another swap.
pub fn turn_forward(record: &Record, me: &Region, id: &str) -> Edit {
    on_intent(record, me, id, |next, intent| {
        if intent.forward() {
            return Edit::Already;
        }
        intent.direction = Direction::Forward;
        if !next.held_by(&intent.plan.to) {
            // What was undone meanwhile is done once more, and the lease passes once more: to a controller that has
            // shown since then that it lives.
            intent.beat_before = None;
            for number in 3..=5 {
                intent.step_mut(number).finished_at = None;
                intent.step_mut(number).undone_at = None;
            }
        }
        intent.step_mut(6).undone_at = None;
        write(next.clone())
    })
}

/// A promotion of the holder's own half is about to be issued while undoing: the lineage is not known
/// until it takes writes.
pub fn doubt_lineage(record: &Record, me: &Region, id: &str) -> Edit {
    on_intent(record, me, id, |next, _| {
        if next.lineage == Lineage::Unknown {
            return Edit::Already;
        }
        next.lineage = Lineage::Unknown;
        write(next.clone())
    })
}

/// The undo of step `number` was seen.
pub fn undone(record: &Record, me: &Region, id: &str, number: u8, now: Timestamp, lineage: Option<&Lineage>) -> Edit {
    on_intent(record, me, id, |next, intent| {
        if intent.step(number).undone_at.is_some() {
            return Edit::Already;
        }
        intent.step_mut(number).undone_at = Some(now);
        if let Some(lineage) = lineage {
            next.lineage = lineage.clone();
        }
        write(next.clone())
    })
}

/// An owed event was acknowledged by the stream.
pub fn paid(record: &Record, me: &Region, message_id: &str) -> Edit {
    if !record.held_by(me) {
        return stale("not the holder any more");
    }
    let mut next = record.clone();
    next.owed.retain(|event| event.message_id != message_id);
    if next.owed.len() == record.owed.len() { Edit::Already } else { write(next) }
}

#[cfg(test)]
mod tests;
