//! The board: armed faults, the gate through which request faults strike, and a log of what struck.

use super::steps::Stored;
use super::{Does, Fault, Kind, RequestFault, Scope, Trigger, WorldFault};
use crate::gate::{After, Asked, Before, Gate};
use crate::here;
use crate::moments::{Moments, Seen};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// An armed fault, in the order of arming.
pub type FaultId = usize;

/// A fault struck, or ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Struck {
    /// When.
    pub at: Duration,
    /// Which.
    pub fault: FaultId,
    /// `lose reply`.
    pub label: String,
    /// `api.hel -> controller.hel`.
    pub detail: String,
    /// It ended.
    pub ended: bool,
}

/// All faults of a run. The gate of all its servers.
#[derive(Default)]
pub struct FaultBoard {
    state: Mutex<State>,
}

/// What was asked of whom by whom.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Question {
    /// Host that asks.
    pub from: String,
    /// Host of the server.
    pub server: String,
    /// `get`.
    pub verb: String,
    /// `clusters/shop-fsn`.
    pub what: String,
}

#[derive(Default)]
struct State {
    armed: Vec<Armed>,
    stored: Stored,
    /// The moments that were seen when it was looked last.
    seen: Seen,
    /// Requests whose replies are to be hurt once they are applied.
    awaited: Vec<(Asked, FaultId, After)>,
    log: Vec<Struck>,
    dry_run_changes: Vec<Asked>,
    /// How often each was asked.
    asked: BTreeMap<Question, u64>,
    /// When the last of the delayed requests and replies lands.
    last_landing: Option<Duration>,
}

struct Armed {
    fault: Fault,
    at: Duration,
    /// What had been seen when it was armed: moments, and the number of writes to the record. These do not count.
    seen: Seen,
    writes_seen: u64,
    /// Somebody felt it.
    felt: bool,
    ended_at: Option<Duration>,
    /// Writes of the object that its trigger names.
    write_count: u32,
    strike_count: u32,
    first: Option<Duration>,
    ended: bool,
}

impl FaultBoard {
    /// Without faults.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often each was asked so far.
    pub fn asked(&self) -> BTreeMap<Question, u64> {
        self.lock().asked.clone()
    }

    /// Arms a fault.
    pub fn arm(&self, now: Duration, fault: Fault) -> FaultId {
        let state = &mut *self.lock();
        let felt = matches!(&fault.kind, Kind::World(fault) if fault.is_felt_at_once());
        state.armed.push(Armed {
            fault,
            at: now,
            seen: state.seen,
            writes_seen: state.stored.count(),
            felt,
            ended_at: None,
            write_count: 0,
            strike_count: 0,
            first: None,
            ended: false,
        });
        state.armed.len() - 1
    }

    /// The faults of the world that begin now. Others end now: what is left is [`FaultBoard::active`]. To be called
    /// between ticks.
    pub fn due(&self, now: Duration, moments: &Moments) -> Vec<WorldFault> {
        let state = &mut *self.lock();
        state.seen = moments.seen();
        let mut begun = Vec::new();
        for id in 0..state.armed.len() {
            let armed = &mut state.armed[id];
            let Kind::World(fault) = &armed.fault.kind else { continue };
            if armed.ended {
                continue;
            }
            let fault = fault.clone();
            if let Some(first) = armed.first {
                if armed.fault.lasts.is_some_and(|lasts| now >= first + lasts) {
                    state.end(id, now);
                }
            } else if armed.begins(now, moments) {
                armed.first = Some(now);
                armed.strike_count = 1;
                armed.ended = !fault.goes_on();
                armed.ended_at = armed.ended.then_some(now);
                state.log.push(struck(now, id, &fault, false));
                // In the order of arming: what begins after it in this tick stays.
                state.end_by(now, &fault);
                begun.push(fault);
            }
        }
        begun
    }

    /// The deeds whose moment has come. Each is given once. To be called between ticks.
    pub fn deeds_due(&self, now: Duration, moments: &Moments) -> Vec<FaultId> {
        let mut due = Vec::new();
        for (id, armed) in self.lock().armed.iter_mut().enumerate() {
            if armed.fault.kind == Kind::Deed && armed.first.is_none() && armed.begins(now, moments) {
                (armed.first, armed.ended) = (Some(now), true);
                due.push(id);
            }
        }
        due
    }

    /// Something was sent from one host to another on a way on which nothing passes as it should.
    pub(crate) fn note_trouble(&self, from: &str, to: &str) {
        self.lock().feel(|fault| fault.is_felt_between(from, to));
    }

    /// A standby has received what it has not replayed.
    pub(crate) fn note_replay_behind(&self) {
        self.lock().feel(WorldFault::is_felt_in_replay);
    }

    /// Whether a fault of replay goes on that nobody is known to have felt.
    pub(crate) fn waits_for_replay(&self) -> bool {
        self.lock().armed.iter().any(|armed| armed.goes_on_unfelt(WorldFault::is_felt_in_replay))
    }

    /// The faults of the world that began and that nobody felt.
    pub fn unfelt(&self) -> Vec<(FaultId, Fault)> {
        let state = self.lock();
        let unfelt =
            state.armed.iter().enumerate().filter(|(_, armed)| {
                matches!(armed.fault.kind, Kind::World(_)) && armed.first.is_some() && !armed.felt
            });
        unfelt.map(|(id, armed)| (id, armed.fault.clone())).collect()
    }

    /// When each fault struck first, and when it ended; absent: it goes on.
    pub fn spans(&self) -> Vec<(Fault, Duration, Option<Duration>)> {
        let state = self.lock();
        let begun = state.armed.iter().filter(|armed| armed.fault.kind != Kind::Deed);
        begun.filter_map(|armed| Some((armed.fault.clone(), armed.first?, armed.ended_at))).collect()
    }

    /// The faults of the world that go on.
    pub fn active(&self) -> Vec<WorldFault> {
        let state = self.lock();
        let going_on = state.armed.iter().filter(|armed| armed.first.is_some() && !armed.ended);
        let of_world = going_on.filter_map(|armed| match &armed.fault.kind {
            Kind::World(fault) => Some(fault.clone()),
            Kind::Request(_) | Kind::Deed => None,
        });
        of_world.collect()
    }

    /// Ends the faults in this scope that have begun.
    pub fn heal(&self, now: Duration, scope: &Scope) {
        self.lock().heal(now, scope);
    }

    /// When a fault struck first.
    pub fn fired(&self, id: FaultId) -> Option<Duration> {
        self.lock().armed.get(id)?.first
    }

    /// The faults that never struck.
    pub fn unfired(&self) -> Vec<(FaultId, Fault)> {
        let state = self.lock();
        let unfired =
            state.armed.iter().enumerate().filter(|(_, armed)| armed.first.is_none() && armed.fault.kind != Kind::Deed);
        unfired.map(|(id, armed)| (id, armed.fault.clone())).collect()
    }

    /// What struck and what ended, from the n-th entry on.
    pub fn log_from(&self, n: usize) -> Vec<Struck> {
        self.lock().log.get(n..).map(<[Struck]>::to_vec).unwrap_or_default()
    }

    /// When the last of the requests and replies that were delayed so far lands. Absent: none was.
    pub fn last_landing(&self) -> Option<Duration> {
        self.lock().last_landing
    }

    /// Changing requests that carried a dry run's mark. There must be none.
    pub fn dry_run_changes(&self) -> Vec<Asked> {
        self.lock().dry_run_changes.clone()
    }
}

impl Gate for FaultBoard {
    fn before(&self, asked: &Asked) -> Before {
        let now = here::now().unwrap_or_default();
        let state = &mut *self.lock();
        let question = Question {
            from: asked.from.clone(),
            server: asked.server.clone(),
            verb: asked.verb.clone(),
            what: asked.what.clone(),
        };
        *state.asked.entry(question).or_default() += 1;
        if asked.changing && asked.dry_run {
            state.dry_run_changes.push(asked.clone());
        }
        if asked.changing {
            for armed in &mut state.armed {
                armed.count_write(asked);
            }
        }
        state.feel(|fault| fault.is_felt_by(asked));
        let hit = state.armed.iter().position(|armed| armed.strikes(asked, &state.stored, now));
        let Some(id) = hit else { return Before::Apply };
        let armed = &mut state.armed[id];
        let Kind::Request(fault) = &armed.fault.kind else { return Before::Apply };
        // A trial that is met because changes are uses none of them up.
        armed.strike_count += u32::from(!(fault.changing && asked.trial));
        let applied_first = matches!(armed.fault.trigger, Trigger::After(_));
        let (now_or_then, later) = match (fault.does, applied_first) {
            (Does::LoseReply, _) | (Does::Hang, true) => (Before::Apply, Some(After::Lose)),
            (Does::DelayReply(by), _) | (Does::DelayRequest(by), true) => (Before::Apply, Some(After::Delay(by))),
            (Does::Answer(status), true) => (Before::Apply, Some(After::Answer(status))),
            (Does::Answer(status), false) => (Before::Answer(status), None),
            (Does::DelayRequest(by), false) => (Before::Delay(by), None),
            (Does::Hang, false) => (Before::Hang, None),
        };
        if let Before::Delay(by) = now_or_then {
            state.note_landing(now + by);
        }
        match later {
            Some(after) => state.awaited.push((asked.clone(), id, after)),
            None => state.note(id, asked, now),
        }
        now_or_then
    }

    fn after(&self, asked: &Asked, status: u16) -> After {
        let now = here::now().unwrap_or_default();
        let state = &mut *self.lock();
        let applied = status < 400;
        if applied {
            state.stored.follow(asked);
        }
        let Some(index) = state.awaited.iter().position(|(awaited, ..)| awaited == asked) else { return After::Send };
        let (_, id, after) = state.awaited.remove(index);
        let names_a_request = !matches!(state.armed[id].fault.trigger, Trigger::At(_));
        if names_a_request && !applied {
            // The one that is meant is the one that has an effect.
            state.armed[id].strike_count -= 1;
            return After::Send;
        }
        if let After::Delay(by) = after {
            state.note_landing(now + by);
        }
        state.note(id, asked, now);
        after
    }
}

impl State {
    /// Notes that those faults were felt that go on and of which `is_felt` says so.
    fn feel(&mut self, is_felt: impl Fn(&WorldFault) -> bool) {
        for armed in self.armed.iter_mut().filter(|armed| armed.goes_on_unfelt(&is_felt)) {
            armed.felt = true;
        }
    }

    fn end(&mut self, id: FaultId, now: Duration) {
        let armed = &mut self.armed[id];
        (armed.ended, armed.ended_at) = (true, Some(now));
        if let Kind::World(fault) = &armed.fault.kind {
            self.log.push(struck(now, id, fault, true));
        }
    }

    /// Ends what this fault ends.
    fn end_by(&mut self, now: Duration, by: &WorldFault) {
        match by {
            WorldFault::Heal(scope) => self.heal(now, scope),
            WorldFault::Restart(host) => self.end_all(now, &WorldFault::Crash(host.clone())),
            WorldFault::Resume(host) => self.end_all(now, &WorldFault::Pause(host.clone())),
            _ => {}
        }
    }

    fn end_all(&mut self, now: Duration, fault: &WorldFault) {
        let same = |armed: &Armed| matches!(&armed.fault.kind, Kind::World(other) if other == fault);
        self.end_where(now, |armed| armed.first.is_some() && same(armed));
    }

    fn heal(&mut self, now: Duration, scope: &Scope) {
        self.end_where(now, |armed| match &armed.fault.kind {
            Kind::World(fault) => armed.first.is_some() && fault.is_in(scope),
            Kind::Request(fault) => {
                let hosts: Vec<&str> = std::iter::once(fault.server.as_str()).chain(fault.from.as_deref()).collect();
                let begun = armed.first.is_some() || matches!(armed.fault.trigger, Trigger::At(at) if at <= now);
                begun && scope.covers(&hosts)
            }
            Kind::Deed => false,
        });
    }

    fn end_where(&mut self, now: Duration, ends: impl Fn(&Armed) -> bool) {
        let ended = |(id, armed): (FaultId, &Armed)| (!armed.ended && ends(armed)).then_some(id);
        let ids: Vec<FaultId> = self.armed.iter().enumerate().filter_map(ended).collect();
        ids.into_iter().for_each(|id| self.end(id, now));
    }

    fn note_landing(&mut self, at: Duration) {
        self.last_landing = self.last_landing.max(Some(at));
    }

    fn note(&mut self, id: FaultId, asked: &Asked, now: Duration) {
        let armed = &mut self.armed[id];
        armed.first.get_or_insert(now);
        armed.felt = true;
        if let Kind::Request(fault) = &armed.fault.kind {
            let label = fault.label();
            let detail = format!("{} -> {}", asked.server, asked.from);
            self.log.push(Struck { at: now, fault: id, label, detail, ended: false });
        }
    }
}

impl Armed {
    fn goes_on_unfelt(&self, is_felt: impl Fn(&WorldFault) -> bool) -> bool {
        !self.felt
            && !self.ended
            && self.first.is_some()
            && matches!(&self.fault.kind, Kind::World(fault) if is_felt(fault))
    }

    /// Whether a fault of the world, or a deed, begins.
    fn begins(&self, now: Duration, moments: &Moments) -> bool {
        match &self.fault.trigger {
            Trigger::At(at) => now >= *at,
            Trigger::Before(step) => moments.has_started_since(*step, &self.seen),
            Trigger::After(step) => moments.has_effect_since(*step, &self.seen),
            Trigger::OnWrite { nth, .. } => self.write_count >= *nth,
        }
    }

    fn count_write(&mut self, asked: &Asked) {
        let Trigger::OnWrite { what, .. } = &self.fault.trigger else { return };
        let right_server = match &self.fault.kind {
            Kind::Request(fault) => fault.covers(asked),
            Kind::World(_) | Kind::Deed => true,
        };
        if *what == asked.what && right_server && !is_part_of_a_region(&asked.from) {
            self.write_count += 1;
        }
    }

    /// Whether a request fault strikes this request.
    fn strikes(&self, asked: &Asked, stored: &Stored, now: Duration) -> bool {
        let Kind::Request(fault) = &self.fault.kind else { return false };
        if self.ended || !fault.covers(asked) {
            return false;
        }
        let (begun, one) = match &self.fault.trigger {
            Trigger::At(at) => (Some((*at).max(self.at)), false),
            _ => (self.first, true),
        };
        let count_max = fault.times.unwrap_or(if one { 1 } else { u32::MAX });
        let is_over = self.fault.lasts.zip(begun).is_some_and(|(lasts, begun)| now >= begun + lasts);
        if self.strike_count >= count_max || is_over {
            return false;
        }
        match &self.fault.trigger {
            Trigger::At(at) => now >= *at,
            Trigger::Before(step) | Trigger::After(step) => {
                stored.is_request_of(*step, asked, fault.what.is_some(), self.writes_seen)
            }
            Trigger::OnWrite { what, nth } => asked.changing && *what == asked.what && self.write_count >= *nth,
        }
    }
}

impl RequestFault {
    /// Whether it is a state of the server, which whoever only asks whether a change would be taken meets too.
    fn meets_trials(&self) -> bool {
        matches!(self.does, Does::Answer(_) | Does::Hang)
    }

    /// One that is meant for certain requests is meant for those of the product and of people; one that hurts a
    /// whole server hurts the region's operator and instance manager, too.
    fn covers(&self, asked: &Asked) -> bool {
        let for_all = self.what.is_none() && self.times.is_none();
        (for_all || self.from.is_some() || !is_part_of_a_region(&asked.from))
            && self.server == asked.server
            && self.from.as_ref().is_none_or(|from| *from == asked.from)
            && self.what.as_ref().is_none_or(|what| *what == asked.what)
            && (asked.changing || !self.changing || asked.trial && self.meets_trials())
    }
}

/// Hosts of a region's operator and database, which write the objects that they manage at their own times.
fn is_part_of_a_region(host: &str) -> bool {
    host.starts_with("operator.") || host.starts_with("pg.")
}

fn struck(at: Duration, fault: FaultId, what: &WorldFault, ended: bool) -> Struck {
    Struck { at, fault, label: what.label().to_owned(), detail: what.detail(), ended }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
