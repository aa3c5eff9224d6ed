//! Back: what was done or tried is undone in reverse. Past an undo's limit the next earlier one starts,
//! and this one is tried again with growing pauses until its effect is seen; only the lease's holds the
//! others back.

use super::{Action, Case, Change, Decision, restart_is_through, runs_as_standby};
use crate::observe::{Accepts, ClusterView, DatabaseView, Role};
use crate::ports::ClusterChange;
use crate::record::{EndResult, Intent, Lineage};
use crate::steps;
use crate::token::decode_token;

/// Steps whose undo was not seen yet, in the order of undoing. Step 1 is undone by the end itself.
pub(crate) fn due(intent: &Intent) -> Vec<u8> {
    let tried = |n: &u8| intent.step(*n).started_at.is_some() && intent.step(*n).undone_at.is_none();
    [6, 5, 4, 3, 2].into_iter().filter(tried).collect()
}

impl Case<'_> {
    pub(super) fn undo(&self) -> Decision {
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

    /// The holder is `to`: it gives the lease back, and nothing else, unless its promotion is out.
    fn undo_swap(&self) -> Decision {
        match self.cluster_to() {
            Ok(cluster) if cluster.role == Role::Primary => Decision::Undo(5, Action::Record(Change::TurnForward)),
            Ok(_) if self.memory.may_try(5, steps::step(5).undo_limit(), self.now.at) => {
                Decision::Undo(5, Action::Record(Change::SwapBack))
            }
            Ok(_) => Decision::Wait(5, "the lease is being given back".into()),
            Err(why) => Decision::Stuck(5, why),
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
            if let Err(waiting) = self.other_is_safe() {
                return *waiting;
            }
            let unfence = self.write_cluster(self.intent.from(), cluster, ClusterChange::Unfence);
            return self.try_undo(2, unfence, "the fence was not lifted");
        }
        let Some(database) = self.database_from() else {
            return Decision::Wait(2, "its PostgreSQL is not seen".into());
        };
        if database.accepts != Accepts::Yes {
            return Decision::Wait(2, format!("it does not take writes yet: {}", database.detail));
        }
        let restarted = restart_is_through(Some(database));
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
        if cluster.ready != Some(true) || !restarted || !grown {
            return Decision::Wait(2, "it takes writes; the restart after its promotion is not through".into());
        }
        let lineage = Lineage::Of { region: self.intent.from().clone(), timeline };
        Decision::Undo(2, Action::Record(Change::Undone(Some(lineage))))
    }

    /// The spec says replica: promote it back once its demotion has ended.
    fn take_back(&self, cluster: &ClusterView) -> Decision {
        if cluster.in_progress {
            // The operator's webhook refuses the role until then.
            return Decision::Wait(2, "the demotion has to end first".into());
        }
        if let Err(waiting) = self.other_is_safe() {
            return *waiting;
        }
        let database = self.database_from();
        let token = match &cluster.demotion_token {
            Some(token) if decode_token(token).is_ok() => Some(token.clone()),
            // H31: killed before the demotion, so there is no token and never will be.
            None if runs_as_standby(cluster, database) => None,
            // The operator has not begun: it may be told otherwise at once.
            None if !self.swapped() && !cluster.fenced && database.is_some_and(still_primary) => None,
            _ => return Decision::Wait(2, "the demotion has neither ended nor left a token".into()),
        };
        if self.record.lineage != Lineage::Unknown {
            return Decision::Undo(2, Action::Record(Change::DoubtLineage));
        }
        let promote = ClusterChange::Promote { primary: cluster.self_name.clone(), token };
        self.try_undo(2, self.write_cluster(self.intent.from(), cluster, promote), "the promotion back was not taken")
    }

    /// Whether the lease was away since the intent began.
    fn swapped(&self) -> bool {
        self.record.generation != self.intent.began_generation
    }

    /// Before a half is made writable the other is known not to be: before the swap nobody was ever
    /// allowed to promote it (2.4d); after it, it is claimed first and then seen as a replica that refuses
    /// writes (2.4a).
    fn other_is_safe(&self) -> Result<(), Box<Decision>> {
        if !self.swapped() {
            return Ok(());
        }
        let other = match self.cluster_to() {
            Ok(other) => other,
            Err(why) => return Err(Box::new(Decision::Wait(2, why))),
        };
        if other.role == Role::Primary {
            return Err(Box::new(Decision::Undo(2, Action::Record(Change::TurnForward))));
        }
        if !self.claimed(&other.claim) {
            let claim = self.write_cluster(self.intent.to(), other, ClusterChange::Claim);
            return Err(Box::new(self.try_undo(2, claim, "the claim on the other half was not taken")));
        }
        match self.database_to() {
            Some(database) if database.accepts == Accepts::No => Ok(()),
            _ => Err(Box::new(Decision::Wait(2, format!("{} is not seen to refuse writes", self.intent.to())))),
        }
    }
}

/// Whether PostgreSQL runs as a primary, whatever the spec asks.
fn still_primary(database: &DatabaseView) -> bool {
    database.in_recovery == Some(false)
}
