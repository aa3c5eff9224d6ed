//! Who holds the record: taken, renewed, handed on, given back. With each new holder, and in the same write, its event
//! is owed.

use super::{Edit, on_intent, owe, stale, turn_back, under_way, write};
use crate::audit::{self, About};
use crate::name::Region;
use crate::record::{Lineage, Position, Record};
use jiff::Timestamp;

/// Of which Continuum a change of holder is told, and when it is made.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// The Continuum.
    pub about: About<'a>,
    /// Wall time.
    pub at: Timestamp,
}

/// `me` writes `holder` in, in a new generation. Where there is no stream to tell (`None`), nothing is owed.
fn name_holder(next: &mut Record, me: &Region, holder: &Region, told: Option<Told<'_>>) {
    next.holder = Some(holder.clone());
    next.named_by = Some(me.clone());
    next.generation += 1;
    if let Some(Told { about, at }) = told {
        owe(next, audit::lease_acquired(about, holder, next.generation, at));
    }
}

/// Takes a free record for `me`, whose half stands on `timeline` (absent: neither half is primary yet).
pub fn acquire(record: &Record, me: &Region, ttl_seconds: u32, timeline: Option<u32>, told: Option<Told<'_>>) -> Edit {
    acquire_above(record, me, ttl_seconds, timeline, 0, told)
}

/// As [`acquire`], under a generation above every claim that was seen: a register that was lost and made anew
/// would else begin below the claims that stand, and nothing could be written any more.
pub fn acquire_above(
    record: &Record,
    me: &Region,
    ttl_seconds: u32,
    timeline: Option<u32>,
    claimed: u64,
    told: Option<Told<'_>>,
) -> Edit {
    match &record.holder {
        Some(holder) if holder == me => Edit::Already,
        Some(holder) => stale(format!("ErrLeaseHeldByAnother: held by {holder}, generation {}", record.generation)),
        None => {
            let mut next = record.clone();
            next.generation = record.generation.max(claimed);
            name_holder(&mut next, me, me, told);
            next.ttl_seconds = ttl_seconds;
            if let Some(timeline) = timeline {
                next.lineage = Lineage::Of { region: me.clone(), timeline };
            }
            write(next)
        }
    }
}

/// Renews. The position is the newest at hand; the timeline grows with the holder's own half under the
/// same claim, since the operator fails over inside a region by itself.
pub fn renew(record: &Record, me: &Region, ttl_seconds: u32, position: Option<Position>) -> Edit {
    if !record.held_by(me) {
        return stale(match &record.holder {
            Some(holder) => format!("held by {holder}, generation {}", record.generation),
            None => "the record is free".into(),
        });
    }
    let mut next = record.clone();
    next.renewal += 1;
    next.ttl_seconds = ttl_seconds;
    if let Some(position) = position {
        next.position = Some(position);
        if let Lineage::Of { region, timeline } = &mut next.lineage
            && region == me
            && position.timeline > *timeline
        {
            *timeline = position.timeline;
        }
    }
    write(next)
}

/// Gives the record back. Not the holder: nothing to do.
pub fn release(record: &Record, me: &Region) -> Edit {
    if !record.held_by(me) {
        return Edit::Already;
    }
    if let Some(why) = under_way(record) {
        return stale(why);
    }
    let mut next = record.clone();
    (next.holder, next.named_by) = (None, None);
    next.generation += 1;
    write(next)
}

/// The lease passes to `to`, intent and driving with it (H06: one compare-and-set).
pub fn swap(record: &Record, me: &Region, id: &str, now: Timestamp) -> Edit {
    on_intent(record, me, id, |next, intent| {
        if !intent.forward() {
            return stale("the switchover is being undone");
        }
        if next.held_by(intent.to()) {
            return Edit::Already;
        }
        if next.abort.as_ref() == Some(&intent.id) {
            return stale("it is to be aborted");
        }
        name_holder(next, me, intent.to(), Some(Told { about: About::plan(&intent.plan), at: now }));
        next.lineage = Lineage::Unknown;
        next.position = None;
        let note = format!("{} holds generation {}; {} drives from here", intent.to(), next.generation, intent.to());
        let step = intent.step_mut(5);
        step.started_at.get_or_insert(now);
        step.finished_at = Some(now);
        step.note = Some(note);
        write(next.clone())
    })
}

/// The lease passes back to `from`, to go on undoing.
pub fn swap_back(record: &Record, me: &Region, id: &str, now: Timestamp) -> Edit {
    on_intent(record, me, id, |next, intent| {
        if intent.forward() {
            return stale("the switchover goes forward");
        }
        if next.held_by(intent.from()) {
            return Edit::Already;
        }
        name_holder(next, me, intent.from(), Some(Told { about: About::plan(&intent.plan), at: now }));
        next.position = None;
        intent.step_mut(5).undone_at = Some(now);
        if intent.step(6).started_at.is_some() {
            intent.step_mut(6).undone_at = Some(now);
        }
        write(next.clone())
    })
}

/// `from` takes the record back from a holder whose term is over, to undo a move that has not come to its promotion
/// (PROTOCOL 2.11). `seen` is the record that stood still for so long: any other is left alone.
pub fn take_back(record: &Record, me: &Region, id: &str, seen: &Record, now: Timestamp, reason: &str) -> Edit {
    let Some(intent) = record.intent.as_ref().filter(|i| i.id == id) else {
        return stale(format!("intent {id} stands no more"));
    };
    if record.held_by(me) && record.generation > seen.generation {
        return Edit::Already;
    }
    if (&record.holder, record.generation, record.renewal) != (&seen.holder, seen.generation, seen.renewal) {
        return stale("its holder lives: the record has changed");
    }
    if intent.from() != me || intent.past_return() {
        return stale("only the old region takes it back, and only before step 6 was started");
    }
    let mut next = record.clone();
    let mut intent = intent.clone();
    name_holder(&mut next, me, me, Some(Told { about: About::plan(&intent.plan), at: now }));
    next.position = None;
    if intent.forward() {
        turn_back(&mut next, &mut intent, 6, reason, now);
    }
    intent.step_mut(5).undone_at = Some(now);
    next.intent = Some(intent);
    write(next)
}
