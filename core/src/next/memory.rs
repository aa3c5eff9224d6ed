//! What a driver remembers between two decisions, in this process alone. Durations are ages, counted on
//! this process's clock since it first saw the condition; a restart counts anew, and loses nothing that
//! matters: the journal is in the record.

use super::{Action, Change, Decision, current_step};
use crate::clock::Monotonic;
use crate::name::Region;
use crate::observe::{Observations, Seen};
use crate::ports::{ClusterChange, Outcome};
use crate::record::{Direction, Intent, Record, RecordSet};
use crate::records::{holds, record_sets};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

/// Pause before a step's action is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// The longest such pause.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(30);

/// Between two looks at servers whose undo is past its limit.
const LATE_LOOK_PAUSE: Duration = Duration::from_secs(15);
/// How often records are published anew after their step was through, before others are left to it.
const SETTLE_MAX: u32 = 3;

/// For so long a half that did not answer is not asked again.
const SILENT_FOR: Duration = Duration::from_secs(5);
/// For so long an answer that the promotion would be admitted counts.
const ADMITTED_FOR: Duration = Duration::from_secs(5);

/// What is remembered of one step.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Tries {
    /// This process wrote that the step started, so nobody tried it before.
    pub begun: bool,
    /// This process tried its action, whatever came of it, also before the step was begun anew.
    pub ever: bool,
    /// Since when it is the step under way (or its undo is due).
    pub since: Option<Monotonic>,
    /// How often its action was tried in this process.
    pub count: u32,
    /// How many of these were refused.
    pub refused: u32,
    /// How many in a row did not succeed: what the pause grows with.
    pub failed: u32,
    /// When it was tried last.
    pub last: Option<Monotonic>,
    /// What went wrong last.
    pub cause: Option<String>,
}

/// Records on their way.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sent {
    pub sets: Vec<RecordSet>,
    /// The publisher said that it took them.
    pub taken: bool,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// Intent, generation and direction that this is about; another one starts afresh.
    about: Option<(String, u64, bool)>,
    /// The intent, and since when this process knows of it, whoever drives it.
    known: Option<(String, Monotonic)>,
    pub(super) steps: [Tries; 8],
    /// Halves of which the last look got no answer, when, and why.
    silent: BTreeMap<Region, (Monotonic, String)>,
    /// How often a step was done anew, as the record had it last.
    redone: u32,
    /// The demotion of `from` was in progress when it was seen last.
    demotion_ends: bool,
    /// When the promotion was last seen to be admitted.
    admitted: Option<Monotonic>,
    /// How often weights were put right after step 3 was through.
    weights_mended: u32,
    /// Since when both routes have weight 0 toward `from`.
    drained: Option<Monotonic>,
    /// Since when this process drives the intent.
    pub(super) driving: Option<Monotonic>,
    /// When records were last published or tried to be.
    pub(super) dns_tried: Option<Monotonic>,
    /// Of these, how many after their step was through: others write them too.
    settled: u32,
    settling: bool,
    /// When records were last sent on the way forward, of an intent that is being undone since.
    pub(super) sent_forward: Option<Monotonic>,
    /// What was sent to the publisher last, unless it was not applied.
    pub(super) sent: Option<Sent>,
    /// Where only answers tell: names were seen that led elsewhere than this step or undo leads them.
    pub(super) led_elsewhere: bool,
    /// The publisher shows no records: only servers' answers tell of them.
    pub(super) zone_is_answered: bool,
    /// The region whose route was written last, or tried to be.
    pub(super) route_tried: Option<Region>,
    /// When a step's servers were looked at last although its undo is past its limit.
    late_look: [Option<Monotonic>; 8],
    /// Why the servers of an undo could not be read when they were looked at last.
    unseen: [Option<String>; 8],
    /// A new connection to the new primary was seen to take a write.
    pub(super) write_passed: bool,
    /// The stream acknowledged the event.
    pub(super) event_passed: bool,
    /// Regions whose route was written.
    routes: BTreeSet<Region>,
    /// The authoritative servers. Once found they are asked throughout: those that step 4 asked its undo asks too.
    authorities: Vec<SocketAddr>,
}

impl Memory {
    /// Takes note of the record, wherever this region stands.
    pub fn know(&mut self, record: &Record, now: Monotonic) {
        let id = record.intent.as_ref().map(|intent| &intent.id);
        if id != self.known.as_ref().map(|(id, _)| id) {
            self.known = id.map(|id| (id.clone(), now));
        }
    }

    /// Why the half of this region did not answer the last look, where that was a moment ago.
    pub fn silent(&self, region: &Region, now: Monotonic) -> Option<&str> {
        let (at, why) = self.silent.get(region)?;
        (now.since(*at) < SILENT_FOR).then_some(why)
    }

    /// Whether an earlier look at this region's half got no answer: the next one waits no longer for it than others.
    pub fn was_silent(&self, region: &Region) -> bool {
        self.silent.contains_key(region)
    }

    /// Puts what is known of halves that were not looked at this time into `seen`.
    pub fn fill(&self, seen: &mut Observations, now: Monotonic) {
        for region in self.silent.keys() {
            if let Some(why) = self.silent(region, now)
                && seen.half(region).cluster == Seen::NotLooked
            {
                seen.half_mut(region).cluster = Seen::Unknown(why.to_owned());
            }
        }
    }

    /// The authoritative servers, where they are known already.
    pub fn authorities(&self) -> &[SocketAddr] {
        &self.authorities
    }

    /// How long this process knows of the intent.
    pub(super) fn known_for(&self, now: Monotonic) -> Duration {
        self.known.as_ref().map_or(Duration::ZERO, |(_, since)| now.since(*since))
    }

    /// Takes note of a look at record and world. Pure but for `self`.
    pub fn look(&mut self, record: &Record, seen: &Observations, now: Monotonic) {
        let Some(intent) = &record.intent else { return };
        let about = (intent.id.clone(), record.generation, intent.forward());
        if self.about.as_ref() != Some(&about) {
            let before = self.about.as_ref().filter(|before| before.0 == about.0);
            let same = before.is_some();
            // What was published last outlives the turn: a delayed write may still land.
            let dns_tried = self.dns_tried.filter(|_| same);
            let sent_forward = before.filter(|before| before.2).and(dns_tried).or(self.sent_forward);
            let known = self.known.take();
            let authorities = if same { std::mem::take(&mut self.authorities) } else { Vec::new() };
            *self = Memory {
                about: Some(about),
                driving: Some(now),
                dns_tried,
                sent_forward: sent_forward.filter(|_| same),
                known,
                authorities,
                ..Memory::default()
            };
        }
        self.know(record, now);
        if let Some(zone) = seen.zone.known() {
            self.zone_is_answered = !zone.by_api();
            if self.zone_is_answered && zone.is_whole() {
                let wanted =
                    if intent.forward() { record_sets(&intent.plan).ok() } else { intent.former.records.clone() };
                self.led_elsewhere |= wanted.is_some_and(|wanted| !holds(zone, &wanted));
            }
        }
        if let Some(servers) = seen.authorities.known() {
            self.authorities = servers.clone();
        }
        if self.redone != intent.redone {
            self.redone = intent.redone;
            let kept = self.steps.each_ref().map(|tries| (tries.begun, tries.ever));
            self.steps = kept.map(|(begun, ever)| Tries { begun, ever, ..Tries::default() });
        }
        for (region, half) in &seen.halves {
            match &half.cluster {
                Seen::Unknown(why) => drop(self.silent.insert(region.clone(), (now, why.clone()))),
                Seen::NotLooked => {}
                _ => drop(self.silent.remove(region)),
            }
        }
        match intent.direction {
            Direction::Forward => {
                let step = current_step(intent);
                // Until a demotion is seen to have ended the lease cannot be swapped, which is no fault of step 5's.
                // What is not seen begins nothing anew.
                let in_progress = seen.half(intent.from()).cluster.known().map(|cluster| cluster.in_progress);
                let before = self.demotion_ends;
                self.demotion_ends = in_progress.unwrap_or(before);
                let anew = step == 5 && in_progress.is_some_and(|goes_on| goes_on || before);
                let since = &mut self.steps[usize::from(step)].since;
                *since = since.filter(|_| !anew).or(Some(now));
            }
            Direction::Undo { .. } => {
                self.look_at_undo(intent, now);
                let mut routes = seen.routes.iter().filter_map(|(region, route)| Some((region, route.unread()?)));
                let route = routes.next().map(|(region, why)| format!("route in {region}: {why}"));
                self.unseen[3] = route.or(self.unseen[3].take());
                self.unseen[4] = seen.zone.unread().map(|why| format!("zone: {why}")).or(self.unseen[4].take());
            }
        }
        self.settling = if intent.forward() { current_step(intent) == 7 } else { intent.step(4).undone_at.is_some() };
        let weights = [intent.from(), intent.to()].map(|region| weight(seen, region, intent));
        if weights.iter().any(|weight| weight.is_some_and(|weight| weight > 0)) {
            self.drained = None;
        } else if weights.iter().all(Option::is_some) {
            // A look that failed begins no drain, and takes back none that was seen to begin.
            self.drained.get_or_insert(now);
        }
    }

    /// The highest step whose undo is due is under way; past its limit, the next one too.
    fn look_at_undo(&mut self, intent: &Intent, now: Monotonic) {
        for number in super::undo::due(intent) {
            let tries = &mut self.steps[usize::from(number)];
            let since = *tries.since.get_or_insert(now);
            let limit = crate::steps::step(number).undo_limit();
            if number == 5 || limit.is_none_or(|limit| now.since(since) < limit) {
                break;
            }
        }
    }

    /// Takes note of what became of an action on the world.
    pub fn tried(&mut self, decision: &Decision, outcome: &Outcome<()>, now: Monotonic) {
        let (Decision::Act(step, action) | Decision::Undo(step, action)) = decision else { return };
        match action {
            Action::Publish { sets, .. } => {
                self.dns_tried = Some(now);
                let is_refused = matches!(outcome, Outcome::Refused(_) | Outcome::NotApplied(_));
                let taken = matches!(outcome, Outcome::Done(()));
                self.sent = (!is_refused).then(|| Sent { sets: sets.clone(), taken });
                // A server that does not take them now keeps no intent standing either.
                self.settled += u32::from(self.settling);
            }
            Action::Route(write) => {
                self.route_tried = Some(write.region.clone());
                self.weights_mended += u32::from(*step > 3 && matches!(outcome, Outcome::Done(())));
            }
            Action::Admit(_) => self.admitted = matches!(outcome, Outcome::Done(())).then_some(now),
            _ => {}
        }
        // What came of it is looked at at once.
        self.late_look[usize::from(*step)] = None;
        let (slot, is_attempt) = slot(*step, action);
        let tries = &mut self.steps[usize::from(slot)];
        tries.last = Some(now);
        tries.count += u32::from(is_attempt);
        tries.ever |= is_attempt;
        tries.failed += 1;
        match outcome {
            Outcome::Done(()) => {
                tries.cause = None;
                tries.failed = 0;
                match action {
                    Action::TryWrite { .. } => self.write_passed = true,
                    Action::Emit(_) => self.event_passed = true,
                    // What would be admitted is asked for at once.
                    Action::Admit(_) => tries.last = None,
                    // The other region's route needs no pause; this one again does, or whoever else writes it
                    // keeps us from everything else.
                    Action::Route(write) if self.routes.insert(write.region.clone()) => tries.last = None,
                    _ => {}
                }
            }
            Outcome::NotApplied(cause) | Outcome::Unknown(cause) => tries.cause = Some(cause.clone()),
            Outcome::Refused(cause) => {
                tries.refused += u32::from(is_attempt);
                tries.cause = Some(cause.clone());
            }
        }
    }

    /// Takes note that this process wrote that the step started.
    pub fn begun(&mut self, step: u8) {
        self.steps[usize::from(step)].begun = true;
    }

    /// Whether the record must say that the step is tried again before it is: also where another process
    /// started it, which may have tried it. Only so does "every attempt was refused" mean every one.
    pub fn is_retry(&self, action: &Action, step: u8) -> bool {
        if !slot(step, action).1 {
            return false;
        }
        let tries = &self.steps[usize::from(step)];
        let forward = self.about.as_ref().is_some_and(|about| about.2);
        matches!(action, Action::Cluster(_) | Action::Route(_) | Action::Publish { .. } | Action::Emit(_))
            && (tries.count > 0 || forward && !tries.begun)
    }

    /// Whether nobody but this process can have tried the step's action: it started the step.
    pub fn is_ours_alone(&self, step: u8) -> bool {
        self.steps[usize::from(step)].begun
    }

    /// Whether the step's action was never tried, by anybody.
    pub(super) fn is_untried(&self, step: u8) -> bool {
        self.is_ours_alone(step) && !self.steps[usize::from(step)].ever
    }

    /// Takes note of a change of the record that was sent. Only the swap is itself what its step does.
    pub fn sent(&mut self, step: u8, change: &Change) {
        self.steps[usize::from(step)].ever |= matches!(change, Change::Swap | Change::SwapBack);
    }

    /// The witness refused a change of the record. Only the swap is itself what its step does; a journal that could
    /// not be written is no attempt at anything (F10).
    pub fn refused(&mut self, step: u8, change: &Change, cause: &str, now: Monotonic) {
        let is_attempt = matches!(change, Change::Swap | Change::SwapBack);
        let tries = &mut self.steps[usize::from(step)];
        tries.last = Some(now);
        tries.count += u32::from(is_attempt);
        tries.refused += u32::from(is_attempt);
        tries.failed += 1;
        tries.cause = Some(cause.to_owned());
    }

    /// Whether the promotion was seen to be admitted a moment ago.
    pub(super) fn admitted(&self, now: Monotonic) -> bool {
        self.admitted.is_some_and(|at| now.since(at) < ADMITTED_FOR)
    }

    /// Whether somebody else goes on writing the weights, so that they were left to them.
    pub(super) fn weights_left_to_others(&self) -> bool {
        self.weights_mended >= SETTLE_MAX
    }

    /// Whether somebody else goes on writing the records, so that they were left to them.
    pub fn left_to_others(&self) -> bool {
        self.settled >= SETTLE_MAX
    }

    /// Whether the stream acknowledged the event of the switchover.
    pub fn event_passed(&self) -> bool {
        self.event_passed
    }

    /// Whether the servers of an undo are to be looked at now: past its limit the undo before it goes on, and
    /// a server that does not answer would hold up each of its looks.
    pub fn undo_looks_at(&mut self, step: u8, now: Monotonic) -> bool {
        let limit = crate::steps::step(step).undo_limit();
        if limit.is_none_or(|limit| self.age(step, now) <= limit) {
            return true;
        }
        let last = &mut self.late_look[usize::from(step)];
        let due = last.is_none_or(|last| now.since(last) >= LATE_LOOK_PAUSE);
        if due {
            *last = Some(now);
        }
        due
    }

    /// For how long both routes are drained; absent: they are not.
    pub fn drained_for(&self, now: Monotonic) -> Option<Duration> {
        self.drained.map(|since| now.since(since))
    }

    /// How long this step is the one under way, or its undo is due.
    pub fn age(&self, step: u8, now: Monotonic) -> Duration {
        self.steps[usize::from(step)].since.map_or(Duration::ZERO, |since| now.since(since))
    }

    /// Whether the pause after the last try is over. It grows once the step is past its limit.
    pub(super) fn may_try(&self, step: u8, limit: Option<Duration>, now: Monotonic) -> bool {
        let tries = &self.steps[usize::from(step)];
        let Some(last) = tries.last else { return true };
        let late = limit.is_some_and(|limit| self.age(step, now) > limit);
        let pause = if late {
            (RETRY_PAUSE * 2u32.saturating_pow(tries.failed.min(5))).min(RETRY_PAUSE_MAX)
        } else {
            RETRY_PAUSE
        };
        now.since(last) >= pause
    }

    /// Why the servers of an undo could not be read, also while they are not looked at.
    pub(super) fn unseen(&self, step: u8) -> String {
        self.unseen[usize::from(step)].clone().unwrap_or_else(|| "it is looked at again soon".into())
    }

    pub(super) fn cause(&self, step: u8) -> Option<&str> {
        self.steps[usize::from(step)].cause.as_deref()
    }
}

/// Under which step an action is remembered, and whether it counts as an attempt at that step. What others undid is
/// put right under the step that did it, and is no attempt at the one that is under way; nor is it an attempt at the
/// demotion that it is fenced again once it stalled, and a refusal of that turns nothing back.
fn slot(step: u8, action: &Action) -> (u8, bool) {
    match action {
        Action::Cluster(write) => match write.change {
            ClusterChange::Fence | ClusterChange::Unfence { .. } | ClusterChange::Claim if step >= 2 => (2, false),
            ClusterChange::Demote { .. } | ClusterChange::FenceAndDemote { .. } if step > 2 => (2, false),
            _ => (step, true),
        },
        Action::Route(_) if step > 3 => (3, false),
        Action::Admit(_) => (step, false),
        _ => (step, true),
    }
}

/// Weight toward the old region in the route of `region`; absent: not seen.
fn weight(seen: &Observations, region: &Region, intent: &Intent) -> Option<u32> {
    seen.routes.get(region)?.known()?.weight(&intent.plan.backend(intent.from()))
}
