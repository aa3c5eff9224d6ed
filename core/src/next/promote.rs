//! Step 6. Before its request there is a way back, and the promotion is made sure of; issuing it is the point of no
//! return; after it everything is seen through, and looked at again as long as the intent stands.

use super::permit::{Missing, newer_claim, permit};
use super::settle::restart_is_through;
use super::source::{Source, Token, data_source, has_replayed};
use super::{Action, Case, Change, Decision};
use crate::observe::{ClusterView, Half, Role, Seen};
use crate::ports::ClusterChange;
use crate::record::Lineage;
use crate::token::decode_token;
use crate::transition::{Beginning, Effect};

impl Case<'_> {
    fn half_from(&self) -> &Half {
        self.seen.half(self.intent.from())
    }

    fn half_to(&self) -> &Half {
        self.seen.half(self.intent.to())
    }

    /// The lineage as it was before this intent put it in doubt.
    pub(super) fn lineage(&self) -> &Lineage {
        match &self.record.lineage {
            Lineage::Unknown => &self.intent.former.lineage,
            known => known,
        }
    }

    pub(super) fn uncordon(&self) -> Decision {
        let cluster = match self.cluster_to() {
            Ok(cluster) => cluster,
            Err(why) => return self.wait(6, why),
        };
        if let Some(fenced) = self.fenced_again(6) {
            return fenced;
        }
        if let Some(decision) = self.old_half_again(6) {
            return decision;
        }
        let issued = cluster.role == Role::Primary && self.claimed(&cluster.claim) && !cluster.fenced;
        if issued && self.intent.past_return() {
            return self.confirm_promotion(cluster);
        }
        if cluster.role == Role::Primary {
            return self.take_from_older_generation(cluster);
        }
        match self.promote(cluster) {
            Ok(decision) => decision,
            Err(why) => self.wait(6, why),
        }
    }

    /// Rule 2.9: the old half says primary, or takes writes, although its demotion was seen. It is fenced and demoted
    /// under this generation, and what it wrote meanwhile comes with its new token, where the promotion is not out yet.
    pub(super) fn old_half_again(&self, step: u8) -> Option<Decision> {
        let cluster = self.half_from().cluster.known()?;
        if cluster.role == Role::Replica && !self.half_from().takes_writes() {
            return None;
        }
        if newer_claim(cluster, self.record).is_some() {
            return None;
        }
        let waiting = format!("{} takes writes again; it is being demoted", cluster.object);
        let asked = cluster.role == Role::Replica && self.claimed(&cluster.claim);
        if asked || !self.memory.may_try(2, None, self.now.at) {
            return Some(self.wait(step, waiting));
        }
        Some(match self.demote_again(self.intent.from(), cluster) {
            Ok(demote) => Decision::Act(step, demote),
            Err(why) => self.wait(step, why),
        })
    }

    /// Toward the request, or why not yet.
    fn promote(&self, cluster: &ClusterView) -> Result<Decision, String> {
        let (from, to) = (self.intent.from(), self.intent.to());
        if self.intent.token.as_deref().and_then(Token::read).is_none() {
            return Ok(Decision::Stuck(6, "the intent holds no token that can be read".into()));
        }
        let permit = permit(self.half_to(), self.half_from(), self.record).map_err(|missing| match missing {
            Missing::Awaited(why) | Missing::OtherMayWrite(why) => why,
            Missing::OtherUnclaimed => "the other half is not claimed".into(),
        })?;
        let source = data_source(self.lineage(), (to, self.half_to()), (from, self.half_from()), Some(self.intent))?;
        let token = match source {
            Source::Own(token) => token,
            Source::Other(token) => {
                if self.intent.token.as_ref() != Some(&token.text) {
                    return Ok(Decision::Act(6, Action::Record(Change::Token(token.text))));
                }
                has_replayed(self.half_to(), &token)?;
                Some(token.text)
            }
        };
        let promote = ClusterChange::Promote { primary: cluster.self_name.clone(), token: token.clone(), permit };
        let write = self.write_cluster(to, cluster, promote);
        if !self.intent.past_return() {
            // What is refused now would be an outage after the point of no return.
            if let Action::Cluster(write) = &write
                && !self.memory.admitted(self.now.at)
            {
                if self.late(6) || !self.memory.may_try(6, None, self.now.at) {
                    return Err(self
                        .memory
                        .cause(6)
                        .unwrap_or("whether the promotion is admitted is asked")
                        .to_owned());
                }
                return Ok(Decision::Act(6, Action::Admit(write.clone())));
            }
            let what = Beginning { promoted_with: token, handed_over_at: self.now.held_since, ..Beginning::default() };
            return Ok(Decision::Act(6, Action::Record(Change::Start(what))));
        }
        if self.intent.promoted_with != token {
            return Ok(Decision::Act(6, Action::Record(Change::PromoteWith(token))));
        }
        let tries = &self.memory.steps[6];
        if tries.count > 0 && tries.refused == tries.count && tries.count == self.intent.step(6).attempts {
            let reason = tries.cause.clone().unwrap_or_default();
            return Ok(Decision::Act(6, Action::Record(Change::Turn { step: 6, reason, promotion_refused: true })));
        }
        Ok(self.act(6, write, "the promotion was not taken"))
    }

    /// H29: a half asked to be primary under an older generation, or by somebody else, is fenced and demoted first, then
    /// decided upon anew.
    fn take_from_older_generation(&self, cluster: &ClusterView) -> Decision {
        match self.demote_again(self.intent.to(), cluster) {
            Ok(_) if !self.memory.may_try(2, None, self.now.at) => {
                self.wait(6, self.memory.cause(2).unwrap_or("it is being fenced and demoted"))
            }
            Ok(demote) => Decision::Act(6, demote),
            Err(why) => self.wait(6, why),
        }
    }

    fn confirm_promotion(&self, cluster: &ClusterView) -> Decision {
        let token = self.intent.promoted_with.as_deref();
        if cluster.promotion_token.as_deref() != token {
            return self.wait(6, "its promotion token is not the one that was put there");
        }
        if cluster.last_promotion_token.as_deref() != token && token.is_some() {
            let phase = cluster.phase.as_deref().unwrap_or("no phase");
            return self.wait(6, format!("the promotion is not through: {phase}"));
        }
        let before = token.and_then(|token| decode_token(token).ok()).map(|token| token.timeline);
        let Some(timeline) = cluster.timeline.filter(|timeline| before.is_none_or(|before| *timeline > before)) else {
            return self.wait(6, "its timeline has not grown yet");
        };
        let restarted = restart_is_through(self.seen.half(self.intent.to()));
        if cluster.ready != Some(true) || !restarted {
            let phase = cluster.phase.as_deref().unwrap_or("no phase");
            return self.wait(6, format!("promoted; the restart after it is not through: {phase}"));
        }
        if !self.memory.write_passed {
            let action = Action::TryWrite { region: self.intent.to().clone(), commit: cluster.synchronous.is_some() };
            return self.act(6, action, "a new connection cannot write");
        }
        let lineage = Lineage::Of { region: self.intent.to().clone(), timeline };
        let mut note = format!("timeline {timeline}, ready, takes writes");
        if !matches!(self.half_from().cluster, Seen::Is(_)) {
            note.push_str(&format!("; the half in {} was not reached", self.intent.from()));
        }
        self.done(6, Effect { lineage: Some(lineage), note: Some(note), ..Effect::default() })
    }
}
