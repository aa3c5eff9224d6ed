//! What a decision looks at, and nothing else: each server that is away costs a look its whole limit. Both regions are
//! looked at side by side, and of one whose answer nothing depends on no answer is waited for long.

use crate::clock::Monotonic;
use crate::look::{Brief, Depth, Needs};
use crate::name::Region;
use crate::next::{Memory, Standing, Upkeep, current_step, undo_due};
use crate::ports::Source;
use crate::record::{Intent, Record};
use crate::steps;
use std::time::Duration;

/// Between two looks at the halves' Clusters while nothing is under way.
const CLUSTERS_EVERY: Duration = Duration::from_secs(1);
/// The same where this region's half must not write: somebody may have it promoted within seconds.
const OWN_CLUSTER_EVERY: Duration = Duration::from_millis(500);
/// The same where watches tell what changes.
const STILL_EVERY: Duration = Duration::from_secs(10);
/// So much earlier than that a look may be: a timer is never exact, and the next one is a second later.
const SLACK: Duration = Duration::from_millis(20);
/// Where a step is done within this, the next one looks.
const AT_ONCE: Duration = Duration::from_secs(1);
/// Between two looks at what clients are led by.
const TRAFFIC_EVERY: Duration = Duration::from_secs(5);

/// What the step under way looks at.
pub(super) fn of_intent(record: &Record, intent: &Intent, me: &Region, memory: &mut Memory, now: Monotonic) -> Needs {
    let mut needs = if intent.forward() { forward(intent, memory, now) } else { undo(record, intent, me, memory, now) };
    // The last look at it found nobody there, a moment ago.
    let silent = |region: &Region| memory.silent(region, now).is_some();
    if intent.from() != me && silent(intent.from()) {
        needs.from = Depth::Not;
    }
    if intent.to() != me && silent(intent.to()) && (needs.brief.to || intent.forward()) {
        needs.to = Depth::Not;
    }
    needs
}

fn forward(intent: &Intent, memory: &Memory, now: Monotonic) -> Needs {
    let beside = Brief { from: true, routes: true, ..Brief::default() };
    match current_step(intent) {
        2 => Needs { from: Depth::Whole, ..Needs::default() },
        // Steps 2 and 3 are looked at again as long as the next ones wait, and before the lease is handed on (2.9).
        3 => {
            let drain = Duration::from_secs(intent.plan.drain_seconds().into());
            let waits = match memory.drained_for(now) {
                Some(drained) => drained + AT_ONCE < drain,
                None => memory.age(3, now) >= AT_ONCE,
            };
            let from = if waits { Depth::Whole } else { Depth::Not };
            Needs { from, routes: true, brief: Brief { from: true, ..Brief::default() }, ..Needs::default() }
        }
        // Step 4 is over at once, or waits for caches.
        4 => {
            let waits = memory.age(4, now) >= AT_ONCE;
            let from = if waits { Depth::Whole } else { Depth::Not };
            Needs { from, routes: waits, zone: true, answers: true, copies: true, brief: beside, ..Needs::default() }
        }
        5 => Needs {
            from: Depth::Whole,
            routes: true,
            copies: true,
            brief: Brief { routes: true, ..Brief::default() },
            ..Needs::default()
        },
        // Before the request the old half is asked, as long as a request may take; after it, only beside.
        6 if !intent.past_return() => Needs {
            from: Depth::Whole,
            to: Depth::Whole,
            brief: Brief { from: memory.was_silent(intent.from()), ..Brief::default() },
            ..Needs::default()
        },
        6 => Needs { from: Depth::Whole, to: Depth::Whole, brief: beside, ..Needs::default() },
        // The event waits for no DNS server.
        7 => {
            let late = steps::step(7).limit(&intent.plan).is_none_or(|limit| memory.age(7, now) > limit);
            let settles = intent.step(7).finished_at.is_some() || late;
            Needs { from: Depth::Whole, routes: settles, zone: settles, brief: beside, ..Needs::default() }
        }
        _ => Needs { copies: true, ..Needs::default() },
    }
}

/// The other half is looked at by whoever gives the lease back, and by A where step 6 was started (2.4a). Where it was
/// not, nobody was ever allowed to promote it (2.4d), so it is looked at only beside.
fn undo(record: &Record, intent: &Intent, me: &Region, memory: &mut Memory, now: Monotonic) -> Needs {
    let brief = Brief { to: !intent.past_return(), ..Brief::default() };
    if me == intent.to() {
        return Needs { to: Depth::Whole, brief, ..Needs::default() };
    }
    let due = undo_due(intent);
    let mut looks_at = |step: u8| due.contains(&step) && memory.undo_looks_at(step, now);
    let dns = looks_at(4);
    let swapped = record.generation != intent.began_generation;
    Needs {
        from: Depth::Whole,
        to: if swapped || due.contains(&2) { Depth::Whole } else { Depth::Not },
        routes: looks_at(3),
        zone: due.is_empty() || dns,
        answers: dns,
        brief,
        ..Needs::default()
    }
}

/// When what was looked at last, while no intent stands.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rounds {
    own: Option<Monotonic>,
    other: Option<Monotonic>,
    traffic: Option<Monotonic>,
    /// How much watches had told of the pair's Clusters by then; absent: that is not known.
    told: Option<u64>,
    /// What else a look goes by, as it was then.
    news: News,
}

/// Since when the record is known as it stands, the generation of one's own copy, and how often the halves were seen to be
/// others than before.
pub(super) type News = (Monotonic, i64, u64);

impl Rounds {
    /// Everything is looked at again at once.
    pub(super) fn hurry(&mut self) {
        *self = Self { told: self.told, news: self.news, ..Self::default() };
    }

    /// How much watches had told by the last look.
    pub(super) fn told(&self) -> Option<u64> {
        self.told
    }

    /// What is new is looked at at once: what somebody else makes of a half is answered before its operator carries it out. A
    /// watch that broke is given a moment to come back, before everybody asks its server.
    pub(super) fn hear(&mut self, told: Option<u64>, news: News, now: Monotonic) {
        let broke = told.is_none() && self.told.is_some();
        let is_new = told.is_some() && told != self.told || news != self.news;
        (self.told, self.news) = (told, news);
        if is_new {
            (self.own, self.other) = (None, None);
        } else if broke {
            (self.own, self.other) = (Some(now), Some(now));
        }
    }
}

/// What is due to be looked at while this region drives nothing; `None`: nothing yet. `own_is_from`: this region is the plan's
/// `from`.
pub(super) fn of_standing(
    record: &Record,
    standing: &Standing<'_>,
    own_is_from: bool,
    upkeep: &Upkeep,
    rounds: &mut Rounds,
    now: Monotonic,
) -> Option<Needs> {
    let tends = matches!(standing, Standing::Tends);
    let glance = !upkeep.amiss;
    // What was told is what stands, and whatever else would be told.
    let stands_still = glance && rounds.told.is_some() && record.is_at_rest();
    let due = |last: &mut Option<Monotonic>, every: Duration| {
        let due = last.is_none_or(|last| now.since(last) + SLACK >= every);
        if due {
            *last = Some(now);
        }
        due
    };
    let every = |every: Duration| if stands_still { STILL_EVERY } else { every };
    let own = due(&mut rounds.own, every(if tends { CLUSTERS_EVERY } else { OWN_CLUSTER_EVERY }));
    let other = (tends || upkeep.amiss) && due(&mut rounds.other, every(CLUSTERS_EVERY));
    // A record that knows of no move and is not the first of its kind may have lost what it knew.
    let moved = record.left.is_some() || record.generation > 1;
    let traffic = tends && moved && due(&mut rounds.traffic, TRAFFIC_EVERY);
    if !own && !other && !traffic {
        return None;
    }
    // Something is otherwise than it should be: it is looked at whole before anything is done.
    let depth = |due: bool| match due {
        _ if upkeep.amiss => Depth::Whole,
        true => Depth::Cluster,
        false => Depth::Not,
    };
    let (own, other) = (depth(own), depth(other));
    let (from, to) = if own_is_from { (own, other) } else { (other, own) };
    // What a deed depends on is waited for: of another region far away a whole look takes longer than a glance.
    let brief = Brief { from: !own_is_from && glance, to: own_is_from && glance, routes: true, zone: true };
    // While an intent stands, this region gives way to one that moves things.
    let source = if glance && record.intent.is_none() { Source::Watches } else { Source::Servers };
    Some(Needs { from, to, routes: traffic, zone: traffic, brief, source, ..Needs::default() })
}
