//! Forward: each step's action until its effect is seen.

use super::permit::runs_as_standby;
use super::source::{Token, has_stayed_standby};
use super::{Action, Case, Change, Decision, NAME_UNKNOWN, Preconditions, current_step, name_of_other};
use crate::ledger::whole_seconds;
use crate::observe::{Accepts, ClusterView, Role, Seen};
use crate::ports::ClusterChange;
use crate::record::{EndResult, Lineage};
use crate::steps::{self, POINT_OF_NO_RETURN};
use crate::token::decode_token;
use crate::transition::{Beginning, Effect};
use std::time::Duration;

/// What is kept of the objective for what follows a cordon that is done anew, beside the drain: step 4, where its effect
/// was not seen yet.
const AFTER_CORDON_TO_FLIP: Duration = Duration::from_secs(5);
/// The same: steps 5 and 6.
const AFTER_CORDON: Duration = Duration::from_secs(13);
/// Step 6 has this long before its request, however little is left of the objective (2.11).
const PROMOTION_PHASE_MIN: Duration = Duration::from_secs(10);

impl Case<'_> {
    pub(super) fn forward(&self) -> Decision {
        let step = current_step(self.intent);
        let aborted = [self.now.abort, self.record.abort.as_deref()].contains(&Some(self.intent.id.as_str()));
        if aborted && !self.intent.past_return() {
            return self.turn(0, "aborted by a person".into());
        }
        if step >= 6 && self.now.me != self.intent.to() {
            // The lease is swapped before; a record that says otherwise is not acted on.
            return Decision::Stuck(
                step,
                format!("{} drives this step, and {} holds the record", self.intent.to(), self.now.me),
            );
        }
        // At step 2 the cordon's effect comes first.
        if step > 2
            && let Some(action) = self.end_demotion()
            && self.memory.may_try(2, None, self.now.at)
        {
            return Decision::Act(step, action);
        }
        match step {
            1 => self.validate_lease(),
            2 => self.cordon(),
            3 => self.drain(),
            4 => self.flip_dns(),
            5 => self.swap_lease(),
            6 => self.uncordon(),
            _ => self.audit_emit(),
        }
    }

    pub(super) fn turn(&self, step: u8, reason: String) -> Decision {
        if self.intent.past_return() {
            // Earlier steps are done once more where the lease went back and forth (TurnForward).
            return Decision::Stuck(step, reason);
        }
        let change = Change::Turn { step, reason, promotion_refused: false };
        Decision::Act(step.max(1), Action::Record(change))
    }

    pub(super) fn start(&self, step: u8, what: Beginning) -> Option<Decision> {
        // Where step 4 is done once more, the sign of life is counted anew (2.8).
        let uncounted = step == 4 && self.intent.beat_before.is_none() && what.beat.is_some();
        let begun = self.intent.step(step).started_at.is_some() && !uncounted;
        (!begun).then_some(Decision::Act(step, Action::Record(Change::Start(what))))
    }

    pub(super) fn done(&self, step: u8, effect: Effect) -> Decision {
        Decision::Act(step, Action::Record(Change::Finish(effect)))
    }

    pub(super) fn noted(&self, step: u8, note: impl Into<String>) -> Decision {
        self.done(step, Effect { note: Some(note.into()), ..Effect::default() })
    }

    /// Waits for the step's effect, or, before the point of no return and past its limit, turns back.
    pub(super) fn wait(&self, step: u8, why: impl Into<String>) -> Decision {
        let why = self.with_idle_operator(step, why.into());
        let in_time = self.intent.past_return() && !self.objective_is_over(Duration::ZERO);
        if !self.late(step) || in_time && step == POINT_OF_NO_RETURN {
            Decision::Wait(step, why)
        } else if step > POINT_OF_NO_RETURN {
            Decision::Stuck(step, why)
        } else {
            let limit = match step {
                POINT_OF_NO_RETURN => "the objective is over".to_owned(),
                2 if self.intent.redone > 0 => "nothing is left of the objective".to_owned(),
                _ => format!("limit {} s", self.limit(step).unwrap_or_default().as_secs()),
            };
            let silent: String = self.silent_servers(&why).iter().map(|silent| format!("; {silent}")).collect();
            self.turn(step, format!("{why} ({limit}){silent}"))
        }
    }

    /// What could not be read when it was looked at last, unless the reason says so already: the step's time may have gone
    /// with it. A cause alone names no server, so that what is compared is what was looked at and its cause.
    fn silent_servers(&self, why: &str) -> Vec<String> {
        let mut silent = vec![("the witness".to_owned(), self.now.witness_unread.as_ref())];
        for region in [self.intent.from(), self.intent.to()] {
            let half = self.seen.half(region);
            silent.push((format!("cluster in {region}"), half.cluster.unanswered()));
            silent.push((format!("PostgreSQL in {region}"), half.database.unanswered()));
            if let Some(route) = &self.plan().route {
                let seen = self.seen.routes.get(region);
                silent.push((format!("route {} in {region}", route.object), seen.and_then(Seen::unanswered)));
            }
            silent.push((format!("the copy in {region}"), self.seen.copies.get(region).and_then(Seen::unanswered)));
        }
        silent.push(("zone".to_owned(), self.seen.zone.unanswered()));
        let unread = silent.into_iter().filter_map(|(what, cause)| Some((what, cause?)));
        let untold = unread.filter_map(|(what, cause)| {
            let silence = format!("{what} cannot be read: {cause}");
            let is_told = why.contains(&silence) || why.contains(&format!("{what}: {cause}"));
            (!is_told).then_some(silence)
        });
        untold.collect()
    }

    /// The reason, with the operator that does nothing about it: the annotation may have come after the dry run.
    pub(super) fn with_idle_operator(&self, step: u8, why: String) -> String {
        let region = match step {
            2 => self.intent.from(),
            5 | 6 => self.intent.to(),
            _ => return why,
        };
        match self.seen.half(region).cluster.known().and_then(ClusterView::operator_idle) {
            Some(cause) => format!("{why}; {cause}"),
            None => why,
        }
    }

    /// Whether the step's time is over. Step 2, where it is done anew, and step 6, before its request, have what is
    /// left of the objective.
    pub(super) fn late(&self, step: u8) -> bool {
        let age = self.memory.age(step, self.now.at);
        match step {
            2 if self.intent.redone > 0 => self.objective_is_over(self.after_cordon()),
            POINT_OF_NO_RETURN if !self.intent.past_return() => {
                self.objective_is_over(Duration::ZERO) && age > PROMOTION_PHASE_MIN
            }
            _ => self.limit(step).is_none_or(|limit| age > limit),
        }
    }

    /// How long the step may take. Step 4 waits for caches beside.
    fn limit(&self, step: u8) -> Option<Duration> {
        let limit = steps::step(step).limit(self.plan())?;
        Some(if step == 4 { limit + self.caches() } else { limit })
    }

    fn after_cordon(&self) -> Duration {
        let flips = self.intent.step(4).finished_at.is_none();
        AFTER_CORDON + self.drain_left() + if flips { AFTER_CORDON_TO_FLIP } else { Duration::ZERO }
    }

    /// What is left of the drain, which goes on while the cordon is done anew.
    fn drain_left(&self) -> Duration {
        let drains = self.plan().route.as_ref().filter(|_| self.intent.step(3).finished_at.is_none());
        let whole = drains.map_or(Duration::ZERO, |route| Duration::from_secs(route.drain_seconds.into()));
        whole.saturating_sub(self.memory.drained_for(self.now.at).unwrap_or_default())
    }

    /// Whether no more is left of the objective than what still follows takes.
    fn objective_is_over(&self, follows: Duration) -> bool {
        self.memory.known_for(self.now.at) + follows > Duration::from_secs(self.plan().rto_seconds.into())
    }

    /// The action, where its pause is over; else as `wait`.
    pub(super) fn act(&self, step: u8, action: Action, waiting: &str) -> Decision {
        let limit = self.limit(step);
        if step < 6 && self.memory.steps[usize::from(step)].refused > 0 {
            // A refusal is for good: trying again until the limit would only keep writes stopped.
            return self.turn(step, self.memory.cause(step).unwrap_or("refused").to_owned());
        }
        // Past its limit a step before the point of no return is not tried again.
        let late = !self.intent.past_return() && self.late(step);
        if !late && self.memory.may_try(step, limit, self.now.at) {
            return Decision::Act(step, action);
        }
        let waiting =
            if late && self.memory.is_untried(step) { "its time was over before it was tried" } else { waiting };
        self.wait(step, self.memory.cause(step).unwrap_or(waiting))
    }

    fn validate_lease(&self) -> Decision {
        let to = self.intent.to();
        let seen = self.seen.copies.get(to).and_then(|c| c.known()).and_then(|c| c.seen.as_ref());
        if seen.and_then(|s| s.intent.as_deref()) != Some(self.intent.id.as_str()) {
            if let Some(cause) = &self.now.witness_unread {
                return self.wait(1, format!("the witness cannot be read: {cause}"));
            }
            return self.wait(1, format!("the controller of {to} has not confirmed that it sees this switchover"));
        }
        match &self.now.preconditions {
            Preconditions::NotLooked => self.wait(1, "preconditions are being looked at"),
            Preconditions::Unmeasured(why) => self.wait(1, why.clone()),
            Preconditions::Fail(why) => self.turn(1, why.clone()),
            Preconditions::Hold => self.done(
                1,
                Effect {
                    note: Some(format!("{} holds generation {}", self.intent.from(), self.record.generation)),
                    lag_seconds: self.now.lag.map(whole_seconds),
                    ..Effect::default()
                },
            ),
        }
    }

    fn cordon(&self) -> Decision {
        if let Some(start) = self.start(2, Beginning::default()) {
            return start;
        }
        let cluster = match self.cluster_from() {
            Ok(cluster) => cluster,
            Err(why) => return self.wait(2, why),
        };
        let Some(other) = name_of_other(self.seen.half(self.intent.to()), cluster) else {
            return self.wait(2, NAME_UNKNOWN);
        };
        let asked = cluster.role == Role::Replica
            && cluster.primary_name.as_ref() == Some(&other)
            && cluster.promotion_token.is_none()
            && self.claimed(&cluster.claim);
        if !asked {
            let demote = ClusterChange::Demote { primary: other };
            return self.act(2, self.write_cluster(self.intent.from(), cluster, demote), "the demotion was not taken");
        }
        let refuses = self.database_from().is_some_and(|d| d.accepts == Accepts::No);
        let token = self.fresh_token(cluster).or_else(|why| self.token_before(cluster).ok_or(why));
        if let Some(action) = self.end_demotion().filter(|_| !refuses || token.is_err()) {
            return self.act(2, action, "its demotion stalled");
        }
        match token {
            Ok((token, redo)) if refuses => self.done(
                2,
                Effect {
                    token: Some(token),
                    note: Some(format!("last write before {redo}, token in hand")),
                    ..Effect::default()
                },
            ),
            Ok(_) => self.wait(2, "the token is there, but the half is not seen to refuse writes"),
            Err(why) if cluster.in_progress => self.wait(2, format!("the demotion is in progress: {why}")),
            Err(why) if runs_as_standby(cluster, self.database_from()) => {
                self.wait(2, format!("{why}, nothing in progress, in recovery: PostgreSQL was killed before it, or its token was lost (H31)"))
            }
            Err(why) => self.wait(2, why),
        }
    }

    /// The demotion token, where it is of the present timeline.
    fn fresh_token(&self, cluster: &ClusterView) -> Result<(String, crate::record::Lsn), String> {
        let text = cluster.demotion_token.as_ref().ok_or("no demotion token yet")?;
        let token = decode_token(text).map_err(|e| format!("the demotion token cannot be read: {e}"))?;
        let recorded = match &self.intent.former.lineage {
            Lineage::Of { timeline, .. } => Some(*timeline),
            Lineage::Unknown => None,
        };
        match recorded.max(cluster.timeline) {
            Some(timeline) if token.timeline < timeline => {
                Err(format!("the demotion token is of timeline {}, older than {timeline}", token.timeline))
            }
            _ => Ok((text.clone(), token.redo)),
        }
    }

    /// The token that was taken before step 2 was done anew: somebody told the half to be primary, and it was told back
    /// before its operator promoted anything. It makes no other token then.
    fn token_before(&self, cluster: &ClusterView) -> Option<(String, crate::record::Lsn)> {
        let token = Token::read(self.intent.token_before.as_deref()?)?;
        let stayed = self.has_stayed_standby(cluster, &token);
        stayed.then_some((token.text, token.says.redo))
    }

    /// Whether a half whose token is gone is as it was when it was taken.
    fn has_stayed_standby(&self, cluster: &ClusterView, taken: &Token) -> bool {
        let half = self.seen.half(self.intent.from());
        cluster.demotion_token.is_none() && has_stayed_standby(half, taken)
    }

    /// `status.seen.beat` of `to`'s controller.
    pub(super) fn beat(&self) -> Option<u64> {
        Some(self.seen.copies.get(self.intent.to())?.known()?.seen.as_ref()?.beat)
    }

    fn swap_lease(&self) -> Decision {
        if let Some(start) = self.start(5, Beginning::default()) {
            return start;
        }
        // This look began after step 4's effect was seen: others write the half and the routes too (2.9).
        match self.cordon_stands() {
            Ok(()) => {}
            // Each second of it may cost a write.
            Err(Gone::Taken(why)) => return self.cordon_anew(why),
            Err(Gone::Unseen(why)) => return self.wait(5, why),
            // What is left of the demotion has what is left of the objective, as step 2 would have had it.
            Err(Gone::Ending(why)) if self.objective_is_over(self.after_cordon()) => return self.turn(5, why),
            Err(Gone::Ending(why)) => return Decision::Wait(5, why),
        }
        if let Some(again) = self.weights_again(5) {
            return again;
        }
        let to = self.intent.to();
        let grown = self.beat().zip(self.intent.beat_before).is_some_and(|(beat, before)| beat > before);
        if !grown {
            // H10: a witness that cannot be reached is no silence of the other controller.
            return match &self.now.witness_unread {
                Some(cause) => self.wait(5, format!("the witness cannot be read: {cause}")),
                None => self.wait(
                    5,
                    format!(
                        "the controller of {to} was not seen to read the witness since step 4 began, so it is not handed \
                         the lease"
                    ),
                ),
            };
        }
        self.act(5, Action::Record(Change::Swap), "the lease was not swapped")
    }

    /// A cordon that somebody undid, while a later step waits (2.9): only what is plain to see counts. The operator may still be at the demotion that
    /// left the token, and a look beside is not waited for.
    pub(super) fn cordon_plainly_gone(&self) -> Option<Decision> {
        let cluster = self.cluster_from().ok()?;
        let writes = self.database_from().is_some_and(|database| database.accepts == Accepts::Yes);
        if cluster.role == Role::Primary {
            return Some(self.cordon_anew(format!("{} says that it is primary again", cluster.object)));
        }
        writes.then(|| self.cordon_anew(format!("{} takes writes again", cluster.object)))
    }

    /// Where the promotion was issued before, there is no way back, however late it is.
    fn cordon_anew(&self, why: String) -> Decision {
        if self.objective_is_over(self.after_cordon()) && !self.intent.past_return() {
            return self.turn(2, format!("the cordon was undone: {why}"));
        }
        Decision::Act(2, Action::Record(Change::Redo(why)))
    }

    /// Whether step 2's effect is still there.
    fn cordon_stands(&self) -> Result<(), Gone> {
        let cluster = self.cluster_from().map_err(Gone::Unseen)?;
        if cluster.role == Role::Primary {
            return Err(Gone::Taken(format!("{} says that it is primary again", cluster.object)));
        }
        if let Some(why) = self.token_is_gone(cluster) {
            return Err(Gone::Taken(why));
        }
        match self.database_from().map(|database| database.accepts) {
            Some(Accepts::Yes) => Err(Gone::Taken(format!("{} takes writes again", cluster.object))),
            // The operator says so for up to 3.3 s after it left the token.
            _ if cluster.in_progress => {
                Err(Gone::Ending(format!("the demotion of {} has to end first", cluster.object)))
            }
            Some(Accepts::No) => Ok(()),
            _ => Err(Gone::Unseen(format!("{} is not seen to refuse writes", cluster.object))),
        }
    }

    /// Why the token that was taken is not the word of the half any more; absent: it is.
    fn token_is_gone(&self, cluster: &ClusterView) -> Option<String> {
        let taken = self.intent.token.as_deref().and_then(Token::read);
        let object = &cluster.object;
        match &cluster.demotion_token {
            token if *token == self.intent.token => None,
            Some(_) => Some(format!("{object} left another token")),
            None if taken.is_some_and(|taken| self.has_stayed_standby(cluster, &taken)) => None,
            None => Some(format!("{object} lost its token: it was told to be primary since")),
        }
    }

    /// Weights that somebody set back since step 3 are put right, a few times; then they are left, and it is said.
    pub(super) fn weights_again(&self, step: u8) -> Option<Decision> {
        if self.memory.weights_left_to_others() {
            return None;
        }
        let may = self.memory.may_try(3, None, self.now.at);
        self.weights_set_back().filter(|_| may).map(|action| Decision::Act(step, action))
    }

    fn audit_emit(&self) -> Decision {
        if let Some(start) = self.start(7, Beginning::default()) {
            return start;
        }
        if let Some(decision) = self.old_half_again(7) {
            return decision;
        }
        let finished = self.intent.step(7).finished_at.is_some();
        if self.memory.event_passed && !finished {
            return self.noted(7, "acknowledged");
        }
        if finished || self.late(7) {
            return self.settle().unwrap_or(Decision::Finish(EndResult::Succeeded));
        }
        match &self.now.event {
            Some(event) => self.act(7, Action::Emit(Box::new(event.clone())), "the stream has not acknowledged"),
            None => self.wait(7, "the event is being made"),
        }
    }

    /// At the end halves, routes and records are seen once more as the steps left them, or put right. What cannot be
    /// now is for the holder to tend.
    fn settle(&self) -> Option<Decision> {
        self.weights_again(7).or_else(|| self.settle_dns())
    }
}

/// Why step 2's effect is not seen.
enum Gone {
    /// It may be there.
    Unseen(String),
    /// It is there, and the operator has not said yet that the demotion is over. No role can be changed before.
    Ending(String),
    /// It is not.
    Taken(String),
}
