//! Forward: each step's action until its effect is seen.

use super::{Action, Case, Change, Decision, current_step, restart_is_through, runs_as_standby};
use crate::observe::{Accepts, ClusterView, Role};
use crate::ports::ClusterChange;
use crate::record::{EndResult, Lineage};
use crate::steps;
use crate::token::decode_token;
use crate::transition::{Beginning, Effect};

impl Case<'_> {
    pub(super) fn forward(&self) -> Decision {
        let step = current_step(self.intent);
        if self.now.abort == Some(self.intent.id.as_str()) && !self.intent.past_return() {
            return self.turn(0, "aborted by a person".into());
        }
        if step >= 6 && self.now.me != self.intent.to() {
            // The lease is swapped before; a record that says otherwise is not acted on.
            return Decision::Stuck(
                step,
                format!("{} drives this step, and {} holds the record", self.intent.to(), self.now.me),
            );
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
        let begun = self.intent.step(step).started_at.is_some();
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
        let why = why.into();
        let limit = steps::step(step).limit(self.plan());
        let late = limit.is_none_or(|limit| self.memory.age(step, self.now.at) > limit);
        if !late {
            Decision::Wait(step, why)
        } else if step >= 6 {
            Decision::Stuck(step, why)
        } else {
            let limit = limit.unwrap_or_default();
            self.turn(step, format!("{why} (limit {} s)", limit.as_secs()))
        }
    }

    /// The action, where its pause is over; else as `wait`.
    pub(super) fn act(&self, step: u8, action: Action, waiting: &str) -> Decision {
        let limit = steps::step(step).limit(self.plan());
        if step < 6 && self.memory.steps[usize::from(step)].refused > 0 {
            // A refusal is for good: trying again until the limit would only keep writes stopped.
            return self.turn(step, self.memory.cause(step).unwrap_or("refused").to_owned());
        }
        // Past its limit a step before the point of no return is not tried again.
        let may_turn = step < 6 && !self.intent.past_return();
        let late = may_turn && limit.is_none_or(|limit| self.memory.age(step, self.now.at) > limit);
        if !late && self.memory.may_try(step, limit, self.now.at) {
            return Decision::Act(step, action);
        }
        self.wait(step, self.memory.cause(step).unwrap_or(waiting))
    }

    fn validate_lease(&self) -> Decision {
        let to = self.intent.to();
        let seen = self.seen.copies.get(to).and_then(|c| c.known()).and_then(|c| c.seen.as_ref());
        if seen.and_then(|s| s.intent.as_deref()) != Some(self.intent.id.as_str()) {
            return self.wait(1, format!("the controller of {to} has not confirmed that it sees this switchover"));
        }
        match &self.now.blocker {
            None => self.wait(1, "preconditions are being looked at"),
            Some(Some(blocker)) => self.turn(1, blocker.clone()),
            Some(None) => self.noted(1, format!("{} holds generation {}", self.intent.from(), self.record.generation)),
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
        let Some(other) =
            self.seen.half(self.intent.to()).cluster.known().map(|c| c.self_name.clone()).or(cluster.source.clone())
        else {
            return self.wait(2, "the name of the other half is not known");
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
        match self.fresh_token(cluster) {
            Ok((token, redo)) if refuses => self.done(
                2,
                Effect {
                    token: Some(token),
                    note: Some(format!("last write before {redo}, token in hand")),
                    lineage: None,
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

    /// `status.seen.beat` of `to`'s controller.
    pub(super) fn beat(&self) -> Option<u64> {
        Some(self.seen.copies.get(self.intent.to())?.known()?.seen.as_ref()?.beat)
    }

    fn swap_lease(&self) -> Decision {
        if let Some(start) = self.start(5, Beginning::default()) {
            return start;
        }
        let to = self.intent.to();
        let grown = self.beat().zip(self.intent.beat_before).is_some_and(|(beat, before)| beat > before);
        if !grown {
            return self
                .wait(5, format!("the controller of {to} gives no sign of life, so it is not handed the lease"));
        }
        self.act(5, Action::Record(Change::Swap), "the lease was not swapped")
    }

    fn uncordon(&self) -> Decision {
        let cluster = match self.cluster_to() {
            Ok(cluster) => cluster,
            Err(why) => return self.wait(6, why),
        };
        let token = self.intent.token.as_deref().and_then(|t| Some((t, decode_token(t).ok()?)));
        let Some((text, token)) = token else {
            return Decision::Stuck(6, "the intent holds no token that can be read".into());
        };
        let issued = cluster.role == Role::Primary
            && self.claimed(&cluster.claim)
            && cluster.promotion_token.as_deref() == Some(text);
        if issued && self.intent.past_return() {
            return self.confirm_promotion(cluster, text, token.timeline);
        }
        if cluster.role == Role::Primary {
            return self.take_from_older_generation(cluster);
        }
        if cluster.fenced {
            // H26: the operator lifts it at the end of the demotion behind it; nobody else may.
            return self.wait(6, "its demotion behind the fence is not through");
        }
        if !runs_as_standby(cluster, self.database_to()) {
            return self.wait(6, "its PostgreSQL is not seen as a standby");
        }
        let replayed = self.database_to().and_then(|d| d.lsn).is_some_and(|lsn| lsn >= token.redo);
        let late = steps::step(6).limit(self.plan()).is_none_or(|limit| self.memory.age(6, self.now.at) > limit);
        // H34: asked for before the replay got there, the operator looks again only after 10 s.
        if !replayed && !late && !self.intent.past_return() {
            return self.wait(6, format!("replaying to the token at {}", token.redo));
        }
        if let Some(start) = self.start(6, Beginning::default()) {
            return start;
        }
        let tries = &self.memory.steps[6];
        if tries.count > 0 && tries.refused == tries.count && tries.count == self.intent.step(6).attempts {
            let reason = tries.cause.clone().unwrap_or_default();
            return Decision::Act(6, Action::Record(Change::Turn { step: 6, reason, promotion_refused: true }));
        }
        let promote = ClusterChange::Promote { primary: cluster.self_name.clone(), token: Some(text.to_owned()) };
        self.act(6, self.write_cluster(self.intent.to(), cluster, promote), "the promotion was not taken")
    }

    /// H29: a half asked to be primary under an older generation is fenced first, then decided upon anew.
    fn take_from_older_generation(&self, cluster: &ClusterView) -> Decision {
        let to = self.intent.to();
        if !cluster.fenced {
            return self.act(6, self.write_cluster(to, cluster, ClusterChange::Fence), "the fence was not taken");
        }
        match self
            .seen
            .half(self.intent.from())
            .cluster
            .known()
            .map(|from| from.self_name.clone())
            .or(cluster.source.clone())
        {
            Some(primary) => {
                let demote = ClusterChange::Demote { primary };
                self.act(6, self.write_cluster(to, cluster, demote), "the demotion behind the fence was not taken")
            }
            None => self.wait(6, "the name of the other half is not known"),
        }
    }

    fn confirm_promotion(&self, cluster: &ClusterView, token: &str, token_timeline: u32) -> Decision {
        if cluster.last_promotion_token.as_deref() != Some(token) {
            let phase = cluster.phase.as_deref().unwrap_or("no phase");
            return self.wait(6, format!("the promotion is not through: {phase}"));
        }
        let Some(timeline) = cluster.timeline.filter(|t| *t > token_timeline) else {
            return self.wait(6, "its timeline has not grown yet");
        };
        let restarted = restart_is_through(self.database_to());
        if cluster.ready != Some(true) || !restarted {
            let phase = cluster.phase.as_deref().unwrap_or("no phase");
            return self.wait(6, format!("promoted; the restart after it is not through: {phase}"));
        }
        if !self.memory.write_passed {
            let action = Action::TryWrite { region: self.intent.to().clone(), commit: cluster.synchronous.is_some() };
            return self.act(6, action, "a new connection cannot write");
        }
        let lineage = Lineage::Of { region: self.intent.to().clone(), timeline };
        let note = Some(format!("timeline {timeline}, ready, takes writes"));
        self.done(6, Effect { token: None, lineage: Some(lineage), note })
    }

    fn audit_emit(&self) -> Decision {
        if let Some(start) = self.start(7, Beginning::default()) {
            return start;
        }
        let finished = self.intent.step(7).finished_at.is_some();
        if self.memory.event_passed && !finished {
            return self.noted(7, "acknowledged");
        }
        let late = steps::step(7).limit(self.plan()).is_none_or(|limit| self.memory.age(7, self.now.at) > limit);
        if finished || late {
            return self.settle_dns().unwrap_or(Decision::Finish(EndResult::Succeeded));
        }
        match &self.now.event {
            Some(event) => self.act(7, Action::Emit(Box::new(event.clone())), "the stream has not acknowledged"),
            None => self.wait(7, "the event is being made"),
        }
    }
}
