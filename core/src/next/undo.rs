//! Back: what was done or tried is undone in reverse. Past an undo's limit the next earlier one starts,
//! and this one is tried again with growing pauses until its effect is seen; only the lease's holds the
//! others back.

use super::permit::{Missing, Permit, permit};
use super::settle::restart_is_through;
use super::source::{Source, data_source, has_replayed};
use super::{Action, Case, Change, Decision};
use crate::observe::{Accepts, ClusterView, Role};
use crate::ports::ClusterChange;
use crate::record::{EndResult, Intent, Lineage};
use crate::steps;

/// Steps whose undo was not seen yet, in the order of undoing. Step 1 is undone by the end itself.
pub(crate) fn due(intent: &Intent) -> Vec<u8> {
    let tried = |n: &u8| intent.step(*n).started_at.is_some() && intent.step(*n).undone_at.is_none();
    [6, 5, 4, 3, 2].into_iter().filter(tried).collect()
}

impl Case<'_> {
    pub(super) fn undo(&self) -> Decision {
        match self.undo_by_step() {
            Decision::Wait(step, why) => Decision::Wait(step, self.with_idle_operator(step, why)),
            Decision::Stuck(step, why) => Decision::Stuck(step, self.with_idle_operator(step, why)),
            other => other,
        }
    }

    fn undo_by_step(&self) -> Decision {
        if self.now.me == self.intent.to() {
            return self.undo_swap();
        }
        let mut waiting: Option<Decision> = None;
        for step in due(self.intent) {
            let decision = match step {
                5 | 6 => return self.seen_undone(step),
                4 => self.undo_dns(),
                3 => self.undo_drain(),
                _ => self.undo_cordon(),
            };
            if !matches!(decision, Decision::Wait(..) | Decision::Stuck(..)) {
                return decision;
            }
            let limit = steps::step(step).undo_limit();
            let late = limit.is_none_or(|limit| self.memory.age(step, self.now.at) > limit);
            if !late {
                return decision;
            }
            waiting.get_or_insert(match decision {
                Decision::Wait(step, why) => Decision::Stuck(step, format!("undo of step {step}: {why}")),
                other => other,
            });
        }
        waiting.or_else(|| self.settle_former_dns()).unwrap_or(Decision::Finish(EndResult::Undone))
    }

    /// The holder is `to`: it gives the lease back, and nothing else, unless its promotion is out. A half that somebody
    /// else made primary is demoted first.
    fn undo_swap(&self) -> Decision {
        let cluster = self.cluster_to();
        if let Ok(cluster) = &cluster
            && cluster.role == Role::Primary
        {
            let ours = cluster.claim.as_ref().is_some_and(|claim| claim.purpose() == self.intent.id);
            if ours && self.intent.past_return() {
                return Decision::Undo(5, Action::Record(Change::TurnForward));
            }
            return match self.demote_again(self.intent.to(), cluster) {
                Ok(demote) if self.memory.may_try(2, None, self.now.at) => Decision::Undo(5, demote),
                Ok(_) => Decision::Wait(5, format!("{} is being demoted", cluster.object)),
                Err(why) => Decision::Wait(5, why.into()),
            };
        }
        // Where step 6 never started nobody was allowed to promote this half, so it need not be seen (2.11).
        match cluster {
            Err(why) if self.intent.past_return() => Decision::Stuck(5, why),
            _ if self.memory.may_try(5, steps::step(5).undo_limit(), self.now.at) => {
                Decision::Undo(5, Action::Record(Change::SwapBack))
            }
            _ => Decision::Wait(5, "the lease is being given back".into()),
        }
    }

    pub(super) fn seen_undone(&self, step: u8) -> Decision {
        Decision::Undo(step, Action::Record(Change::Undone(None)))
    }

    pub(super) fn try_undo(&self, step: u8, action: Action, waiting: &str) -> Decision {
        if self.memory.may_try(step, steps::step(step).undo_limit(), self.now.at) {
            return Decision::Undo(step, action);
        }
        Decision::Wait(step, self.memory.cause(step).unwrap_or(waiting).to_owned())
    }

    fn undo_cordon(&self) -> Decision {
        let cluster = match self.cluster_from() {
            Ok(cluster) => cluster,
            Err(why) => return Decision::Wait(2, why),
        };
        match cluster.role {
            Role::Primary => self.confirm_own(cluster),
            Role::Replica => self.take_back(cluster),
        }
    }

    /// The spec says primary again, or still.
    fn confirm_own(&self, cluster: &ClusterView) -> Decision {
        if !self.claimed(&cluster.claim) {
            // Kills a demotion that is still in flight.
            let claim = self.write_cluster(self.intent.from(), cluster, ClusterChange::Claim);
            return self.try_undo(2, claim, "the claim was not taken");
        }
        if cluster.in_progress {
            return Decision::Wait(2, "the operator changes its role".into());
        }
        if cluster.fenced {
            return match self.leave() {
                Ok(permit) => {
                    let unfence = self.write_cluster(self.intent.from(), cluster, ClusterChange::Unfence { permit });
                    self.try_undo(2, unfence, "the fence was not lifted")
                }
                Err(instead) => *instead,
            };
        }
        let Some(database) = self.database_from() else {
            return Decision::Wait(2, "its PostgreSQL is not seen".into());
        };
        if database.accepts != Accepts::Yes {
            return Decision::Wait(2, format!("it does not take writes yet: {}", database.detail));
        }
        let restarted = restart_is_through(self.seen.half(self.intent.from()));
        let timeline = match (database.timeline, cluster.timeline) {
            (Some(timeline), _) | (None, Some(timeline)) => timeline,
            (None, None) => return Decision::Wait(2, "its timeline is not known".into()),
        };
        // A promotion back with a token starts a timeline. Where the lineage was never in doubt nothing was
        // demoted, and the token is that of an earlier switchover.
        let promoted = self.record.lineage == Lineage::Unknown && cluster.promotion_token.is_some();
        let grown = match &self.intent.former.lineage {
            Lineage::Of { timeline: before, .. } => !promoted || timeline > *before,
            Lineage::Unknown => true,
        };
        // Where it was not promoted, no restart was ordered.
        let in_doubt = self.record.lineage == Lineage::Unknown;
        if !grown || in_doubt && (cluster.ready != Some(true) || !restarted) {
            return Decision::Wait(2, "it takes writes; the restart after its promotion is not through".into());
        }
        let lineage = Lineage::Of { region: self.intent.from().clone(), timeline };
        Decision::Undo(2, Action::Record(Change::Undone(Some(lineage))))
    }

    /// The spec says replica: promote it back once its demotion has ended.
    fn take_back(&self, cluster: &ClusterView) -> Decision {
        let permit = match self.leave() {
            Ok(permit) => permit,
            Err(instead) => return *instead,
        };
        let (from, to) = (self.intent.from(), self.intent.to());
        let halves = (self.seen.half(from), self.seen.half(to));
        let token = match data_source(self.lineage(), (from, halves.0), (to, halves.1), Some(self.intent)) {
            Ok(Source::Own(token)) => token,
            Ok(Source::Other(token)) => {
                if let Err(why) = has_replayed(halves.0, &token) {
                    return Decision::Wait(2, why);
                }
                Some(token.text)
            }
            Err(why) => return Decision::Wait(2, why),
        };
        if self.record.lineage != Lineage::Unknown {
            return Decision::Undo(2, Action::Record(Change::DoubtLineage));
        }
        let promote = ClusterChange::Promote { primary: cluster.self_name.clone(), token, permit };
        self.try_undo(2, self.write_cluster(from, cluster, promote), "the promotion back was not taken")
    }

    /// Leave to make the old half writable again, or what is to be done first.
    fn leave(&self) -> Result<Permit, Box<Decision>> {
        let (from, to) = (self.seen.half(self.intent.from()), self.seen.half(self.intent.to()));
        let instead = match permit(from, to, self.record) {
            Ok(permit) => return Ok(permit),
            Err(Missing::Awaited(why)) => match self.end_demotion() {
                Some(action) => self.try_undo(2, action, &why),
                None => Decision::Wait(2, why),
            },
            Err(Missing::OtherUnclaimed) => match self.cluster_to() {
                Ok(other) => {
                    let claim = self.write_cluster(self.intent.to(), other, ClusterChange::Claim);
                    self.try_undo(2, claim, "the claim on the other half was not taken")
                }
                Err(why) => Decision::Wait(2, why),
            },
            Err(Missing::OtherMayWrite(why)) => self.other_may_write(&why),
        };
        Err(Box::new(instead))
    }

    /// The new half says primary, or takes writes: its promotion was issued, and the only way is forward again; or
    /// somebody else made it so, and it is demoted.
    fn other_may_write(&self, why: &str) -> Decision {
        let cluster = match self.cluster_to() {
            Ok(cluster) => cluster,
            Err(why) => return Decision::Wait(2, why),
        };
        if self.intent.past_return() && cluster.role == Role::Primary {
            return Decision::Undo(2, Action::Record(Change::TurnForward));
        }
        match self.demote_again(self.intent.to(), cluster) {
            Ok(demote) => self.try_undo(2, demote, why),
            Err(why) => Decision::Wait(2, why.into()),
        }
    }
}
