//! The driver without an intent: a free record is taken, and what the record says is kept so. The decisions are
//! [`tend`]'s, [`give_way`]'s and [`acquire`]'s; looking and acting follow the discipline of the driver.

use super::needs;
use super::say::{describe, say};
use super::{Driver, LOOK_MAX, Mind, Pause, Progress, apply, limit_of, no_answer};
use crate::clock::{Monotonic, within};
use crate::keeper::View;
use crate::ledger::INTERFERENCES_MAX;
use crate::look::{BRIEF_LIMIT, limited, look, when};
use crate::name::ByRegion;
use crate::next::{
    Action, Decision, Interference, Object, Place, Standing, acquire, give_way, interference, irreversible, mend_copy,
    tend,
};
use crate::observe::{CopyView, Half, Observations, Seen};
use crate::plan::Plan;
use crate::ports::{Outcome, Source};
use crate::publisher::Before;
use crate::record::Record;
use crate::spec::Spec;
use crate::term::{REQUEST_LIMIT, WITNESS_LIMIT};
use futures_util::future::{join, join_all};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// What somebody else made of an object.
pub(super) struct Watched {
    interference: Interference,
    /// When it was seen last.
    seen: Monotonic,
    /// It was not put right since, as far as was looked.
    stands: bool,
}

/// For so long it is still said that somebody interfered after it was put right.
const INTERFERENCE_TOLD_FOR: Duration = Duration::from_secs(600);

impl Driver {
    /// Nobody holds the record: the region whose half is the acting primary takes it.
    pub(super) async fn acquire(&self, mind: &mut Mind) -> Pause {
        let (spec, known) = {
            let told = self.told();
            (told.copy.as_ref().and_then(|copy| copy.spec.clone().ok()), told.halves.clone())
        };
        let kept = self.observers.witness_kind();
        let Some(spec) = spec.filter(|spec| spec.lease.kind.unavailable(kept).is_none()) else { return Pause::Idle };
        // The spec may name others since they were looked at. Or the record was held a moment ago, and watches were: servers
        // are asked at the next look.
        let halves = if known.asked { known.if_of(spec.halves().as_ref()) } else { Arc::default() };
        let told_of = self.publisher.is_configured().then_some(&self.name);
        match acquire(&self.me, &spec, &halves, told_of) {
            Ok(change) => {
                if !mind.upkeep.may_try(&Object::Record, self.clock.now()) {
                    return Pause::Idle;
                }
                // Whose halves they are may be another by now.
                let why = match self.own_copy().await {
                    Seen::Is(copy) if copy.spec.as_ref() == Ok(&spec) => None,
                    Seen::Is(copy) if copy.spec.is_ok() => {
                        self.set_copy(copy);
                        return Pause::Idle;
                    }
                    // The last one that could be followed stands.
                    Seen::Is(copy) => copy.spec.err().map(|invalid| invalid.to_string()),
                    unread => Some(format!("its own copy cannot be read: {}", unread.why().unwrap_or_default())),
                };
                let why = match why {
                    Some(why) => Some((why, false)),
                    None => self.keeps_another_register(&spec).await.map(|why| (why, true)),
                };
                if let Some((why, stuck)) = why {
                    mind.upkeep.tried(&Object::Record, &Outcome::NotApplied(why.clone()), self.clock.now());
                    self.note(Progress { stuck, waiting: Some(why), ..Progress::default() });
                    return Pause::Idle;
                }
                self.note(Progress::default());
                self.keep_object(mind, None, &Object::Record, &Action::Record(change)).await
            }
            Err(why) => {
                self.note(Progress { waiting: Some(why.into()), ..Progress::default() });
                Pause::Idle
            }
        }
    }

    /// Of a region whose copy is known to name another kind of witness: there its controller looks into another register, and
    /// each of the two could be held by somebody else.
    async fn keeps_another_register(&self, spec: &Spec) -> Option<String> {
        let others = spec.regions().filter(|region| **region != self.me);
        let looks = others.map(|region| async move {
            let copy = limited(&*self.clock, BRIEF_LIMIT, self.observers.copies.copy(region)).await;
            let kind = copy.known()?.spec.as_ref().ok()?.lease.kind;
            (kind != spec.lease.kind).then_some(region)
        });
        let region = join_all(looks).await.into_iter().flatten().next()?;
        let kind = spec.lease.kind.name();
        Some(format!("the copy in {region} names another kind of witness than {kind}; bring both to one"))
    }

    /// No intent to drive: both halves, routes, records and one's own copy are as the record says.
    pub(super) async fn keep(&self, mind: &mut Mind, view: &View, record: &Record, standing: Standing<'_>) -> Pause {
        let (copy, known, halves_told) = {
            let told = self.told();
            let named = told.copy.as_ref().and_then(|copy| copy.spec.as_ref().ok()?.halves());
            (told.copy.clone(), told.halves.if_of(named.as_ref()), told.halves_told)
        };
        let Some(copy) = copy else { return Pause::Idle };
        mind.upkeep.stand(record, &standing);
        // The plan leads to the holder.
        let own_is_from = !record.held_by(&self.me);
        let now = self.clock.now();
        let pair = copy.spec.as_ref().ok().and_then(|spec| spec.pair.as_ref());
        let cache = self.observers.cache.as_ref();
        let told = cache.zip(pair).and_then(|(cache, pair)| cache.clusters_told(pair));
        let news = (view.first_seen, copy.generation, halves_told);
        mind.rounds.hear(told, news, now);
        let due = needs::of_standing(record, &standing, own_is_from, &mind.upkeep, &mut mind.rounds, now);
        let Some(due) = due else {
            // A deed of one's own copy waits for no look at the halves.
            return self.keep_copy(mind, record, &copy).await.unwrap_or(Pause::Idle);
        };
        let Some(plan) = copy.spec.as_ref().ok().and_then(|spec| self.plan_here(spec, record)) else {
            return Pause::Idle;
        };
        let (mut seen, own_copy) =
            join(look(&self.observers, &*self.clock, &plan, due, &[]), when(mind.upkeep.amiss, self.own_copy())).await;
        match own_copy {
            // What was looked at is not what the spec names by now.
            Seen::Is(fresh) if fresh.spec.is_ok() && fresh.spec != copy.spec => {
                self.set_copy(fresh);
                mind.rounds.hurry();
                return Pause::None;
            }
            Seen::Missing => return Pause::Idle,
            // Where it cannot be read or followed, the last one that could be stands.
            _ => {}
        }
        let at = self.clock.now();
        if at.since(now) > LOOK_MAX {
            // This process stood still meanwhile, and what it saw is old.
            mind.rounds.hurry();
            return Pause::None;
        }
        mind.settling.fill(&mut seen, at);
        // What was seen before the record was read last proves nothing against anybody.
        let away = self.plan_away(&plan, record, &copy);
        let away = away.as_ref();
        let place = Place { record, me: &self.me, plan: &plan, away, seen: &seen, at };
        if due.source == Source::Watches && !interference(&place).is_empty() {
            mind.upkeep.amiss = true;
            mind.rounds.hurry();
            return Pause::None;
        }
        self.watch_others(&mut mind.interference, &place);
        complete(&mut seen, &known);
        let place = Place { record, me: &self.me, plan: &plan, away, seen: &seen, at };
        let decision = match standing {
            Standing::Tends => tend(&place, &mind.upkeep),
            _ => give_way(&place, &mind.upkeep, at.since(view.first_seen)),
        };
        let amiss = std::mem::replace(&mut mind.upkeep.amiss, !matches!(decision, Decision::Rest(None)));
        match decision {
            // A glance showed it; it is looked at whole, and afresh, before anything is done.
            Decision::Keep(..) | Decision::Rest(Some(_)) if !amiss => {
                mind.rounds.hurry();
                Pause::None
            }
            Decision::Keep(object, action) => {
                self.note(Progress::default());
                self.keep_object(mind, Some((record, &plan)), &object, &action).await
            }
            Decision::Rest(why) => {
                self.note(Progress { stuck: why.is_some(), waiting: why, ..Progress::default() });
                self.keep_copy(mind, record, &copy).await.unwrap_or(Pause::Idle)
            }
            _ => Pause::Idle,
        }
    }

    /// One's own copy, afresh: something is done by what it says.
    async fn own_copy(&self) -> Seen<CopyView> {
        limited(&*self.clock, REQUEST_LIMIT, self.observers.copies.copy(&self.me)).await
    }

    /// Brings one's own copy in line with the record.
    async fn keep_copy(&self, mind: &mut Mind, record: &Record, copy: &CopyView) -> Option<Pause> {
        mend_copy(record, copy).filter(|_| mind.upkeep.may_try(&Object::Copy, self.clock.now()))?;
        let plan = self.plan_here(copy.spec.as_ref().ok()?, record)?;
        // The status is written often, and with each write the version changes.
        let fresh = self.own_copy().await;
        let Some(fresh) = fresh.known() else {
            let unread = Outcome::NotApplied("the copy cannot be read".into());
            mind.upkeep.tried(&Object::Copy, &unread, self.clock.now());
            return None;
        };
        // And the record is read after the copy: what stands there may be a person's answer to what an older record
        // does not know yet.
        let read = within(&*self.clock, WITNESS_LIMIT, self.observers.witness.as_ref()?.read()).await;
        let Some(Ok((_, Some(read)))) = read else {
            let unread = Outcome::NotApplied("the record cannot be read".into());
            mind.upkeep.tried(&Object::Copy, &unread, self.clock.now());
            return None;
        };
        let Decision::Keep(object, action) = mend_copy(&read, fresh)? else { return None };
        Some(self.keep_object(mind, Some((record, &plan)), &object, &action).await)
    }

    /// The plan that would have led to the region that holds the record, from the other one.
    fn plan_here(&self, spec: &Spec, record: &Record) -> Option<Plan> {
        let holder = record.holder.as_ref()?;
        let from = if *holder == self.me { spec.regions().find(|region| **region != self.me)? } else { &self.me };
        Plan::new(&self.name, &spec.led_by(from), holder, None, None).ok()
    }

    /// The plan that would lead away from the region that holds the record, where that knows of no move.
    fn plan_away(&self, here: &Plan, record: &Record, copy: &CopyView) -> Option<Plan> {
        let spec = copy.spec.as_ref().ok().filter(|_| record.left.is_none() && record.intent.is_none())?;
        Plan::new(&self.name, &spec.led_by(&here.to), &here.from, None, None).ok()
    }

    /// One deed of a decision without an intent.
    async fn keep_object(
        &self,
        mind: &mut Mind,
        here: Option<(&Record, &Plan)>,
        object: &Object,
        action: &Action,
    ) -> Pause {
        let outcome = match action {
            Action::Record(change) => {
                let (me, now, change) = (self.me.clone(), self.keeper.journal_time(), change.clone());
                match self.keeper.update(move |record| apply(record, &me, "", 0, now, &change)).await {
                    Ok(_) => Outcome::Done(()),
                    Err(cause) => Outcome::NotApplied(cause.to_string()),
                }
            }
            action => {
                let Some((record, plan)) = here else { return Pause::Idle };
                let limit = limit_of(action);
                // A half is made less writable whoever holds the record (2.2); everything else is the holder's.
                let free = matches!(action, Action::Copy { .. }) || !record.held_by(&self.me);
                if irreversible(action) && !self.still_stands(record).await || !free && !self.allows(action, limit) {
                    return Pause::Look;
                }
                within(&*self.clock, limit, self.perform(action, plan, Before::Us))
                    .await
                    .unwrap_or_else(|| no_answer(limit))
            }
        };
        tracing::info!(%object, action = describe(action), outcome = say(&outcome), "kept");
        mind.upkeep.tried(object, &outcome, self.clock.now());
        Pause::None
    }

    /// What somebody else made otherwise is noted, logged once, and told for a while after it was put right.
    pub(super) fn watch_others(&self, known: &mut Vec<Watched>, place: &Place<'_>) {
        let leads = place.record.held_by(&self.me);
        for watched in known.iter_mut() {
            // Whoever does not lead looks at no route. What was not looked at stands as it did.
            let unseen = !place.shows(&watched.interference.object);
            watched.stands &= unseen && (leads || matches!(watched.interference.object, Object::Half(_)));
        }
        for interference in interference(place) {
            match known.iter_mut().find(|watched| watched.interference == interference) {
                Some(watched) => (watched.stands, watched.seen) = (true, place.at),
                None => {
                    tracing::warn!(%interference, "interference");
                    known.push(Watched { interference, seen: place.at, stands: true });
                }
            }
        }
        known.retain(|watched| watched.stands || place.at.since(watched.seen) < INTERFERENCE_TOLD_FOR);
        // What stands is told last, and forgotten last.
        known.sort_by_key(|watched| watched.stands);
        let surplus = known.len().saturating_sub(INTERFERENCES_MAX);
        known.drain(..surplus);
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.watched = true;
        progress.interfered = known.iter().any(|watched| watched.stands);
        progress.interference = known.iter().map(|watched| watched.interference.clone()).collect();
    }
}

/// What a glance did not look at is as it was seen last.
fn complete(seen: &mut Observations, told: &ByRegion<Half>) {
    for (region, known) in told {
        let half = seen.half_mut(region);
        if half.cluster == Seen::NotLooked {
            half.cluster = known.cluster.clone();
        }
        if half.database == Seen::NotLooked {
            half.database = known.database.clone();
        }
    }
}
