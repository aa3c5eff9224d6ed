//! Controllers that are broken on purpose, at least one for each checker: what proves that a checker sees. Each is a
//! wrapper of ports, put in between a controller and the adapters that it would have used.

mod naive;
mod others;
mod pair;
mod rules;

pub use naive::Naive;
pub use rules::Rule;

use crate::fabric::Net;
use continuum_core::name::ObjectName;
use continuum_core::observe::Claim;
use continuum_live::assemble::Ports;
use std::sync::Arc;

/// The regions of the simulated world.
const REGIONS: [&str; 2] = ["fsn", "hel"];

/// Label and namespace of the pair.
fn pair_name() -> ObjectName {
    ObjectName::new("shop", "shop")
}

/// A way to be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Promotes hel before it tells fsn to stop, and does not take the promotion back when it is seen.
    PromotesFirst,
    /// Promotes without the token, and believes that it was used.
    DropsToken,
    /// Hands the lease over without a new generation.
    KeepsGeneration,
    /// Its dry run tries whether a write passes.
    WritesInDryRun,
    /// Its dry run tries whether it may write a route, as an execution does.
    ActsInDryRun,
    /// Its dry run claims a half for a generation that is not.
    ClaimsAheadInDryRun,
    /// Its dry run claims a half though another region holds the lease.
    ClaimsWithoutTheLeaseInDryRun,
    /// Publishes everything twice, under another id.
    PublishesTwice,
    /// Tells of a lag above the objective that is not there.
    InventsLag,
    /// Does not undo the weights of the routes, and believes that it did.
    ForgetsWeights,
    /// Its status goes on naming the region that was primary first.
    StatusStandsStill,
    /// Fences the old half after the promotion, for good.
    LeavesFence,
    /// Sets every weight of a route to 0, and believes that it set those it meant.
    LeadsNowhere,
    /// Does not know who told a half its role, and says somebody else did.
    ForgetsWriters,
}

impl Mutant {
    /// All there are.
    pub const ALL: [Mutant; 14] = [
        Mutant::PromotesFirst,
        Mutant::DropsToken,
        Mutant::KeepsGeneration,
        Mutant::WritesInDryRun,
        Mutant::ActsInDryRun,
        Mutant::ClaimsAheadInDryRun,
        Mutant::ClaimsWithoutTheLeaseInDryRun,
        Mutant::PublishesTwice,
        Mutant::InventsLag,
        Mutant::ForgetsWeights,
        Mutant::StatusStandsStill,
        Mutant::LeavesFence,
        Mutant::LeadsNowhere,
        Mutant::ForgetsWriters,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Mutant::PromotesFirst => "promotes-first",
            Mutant::DropsToken => "drops-token",
            Mutant::KeepsGeneration => "keeps-generation",
            Mutant::WritesInDryRun => "writes-in-dry-run",
            Mutant::ActsInDryRun => "acts-in-dry-run",
            Mutant::ClaimsAheadInDryRun => "claims-ahead-in-dry-run",
            Mutant::ClaimsWithoutTheLeaseInDryRun => "claims-without-the-lease-in-dry-run",
            Mutant::PublishesTwice => "publishes-twice",
            Mutant::InventsLag => "invents-lag",
            Mutant::ForgetsWeights => "forgets-weights",
            Mutant::StatusStandsStill => "status-stands-still",
            Mutant::LeavesFence => "leaves-fence",
            Mutant::LeadsNowhere => "leads-nowhere",
            Mutant::ForgetsWriters => "forgets-writers",
        }
    }

    /// The checker that must catch it.
    pub fn caught_by(self) -> &'static str {
        match self {
            Mutant::PromotesFirst => "one-writer",
            Mutant::DropsToken => "no-lost-write",
            Mutant::KeepsGeneration => "generations",
            Mutant::WritesInDryRun
            | Mutant::ActsInDryRun
            | Mutant::ClaimsAheadInDryRun
            | Mutant::ClaimsWithoutTheLeaseInDryRun => "dry-run-pure",
            Mutant::PublishesTwice | Mutant::InventsLag => "audit",
            Mutant::ForgetsWeights => "nothing-left",
            Mutant::StatusStandsStill | Mutant::ForgetsWriters => "status-true",
            Mutant::LeavesFence => "converged",
            Mutant::LeadsNowhere => "writes-resume",
        }
    }

    /// In what run it must be caught: a planned switchover, and what else.
    pub fn needs(self) -> &'static str {
        match self {
            Mutant::DropsToken => "replication cut from before step 2 on",
            Mutant::ClaimsWithoutTheLeaseInDryRun => "a dry run in the region that does not hold the lease",
            Mutant::WritesInDryRun | Mutant::ActsInDryRun | Mutant::ClaimsAheadInDryRun => "a dry run",
            Mutant::ForgetsWeights => "a failure of step 4",
            Mutant::ForgetsWriters => "a tool that tells the old half to be primary again",
            _ => "nothing",
        }
    }

    /// Puts it in the ports of a controller whose host's network is `net`.
    pub fn alter(self, net: &Net, mut ports: Ports) -> Ports {
        let observers = &mut ports.observers.driving;
        let actors = &mut ports.actors;
        match self {
            Mutant::PromotesFirst => {
                actors.pair = Arc::new(pair::PromotesFirst::new(actors.pair.clone(), observers.pair.clone()));
            }
            Mutant::DropsToken => {
                let mutant = Arc::new(pair::DropsToken::new(actors.pair.clone(), observers.pair.clone()));
                actors.pair = mutant.clone();
                observers.pair = mutant;
                // Nor does it wait for the WAL, which is what the token would be for.
                let database = observers.database.take();
                observers.database = database.map(|database| Arc::new(pair::SeesAllReplayed::new(database)) as _);
            }
            Mutant::LeavesFence => {
                actors.pair = Arc::new(pair::LeavesFence::new(actors.pair.clone(), observers.pair.clone()));
            }
            Mutant::KeepsGeneration => {
                if let (Some(act), Some(observe)) = (&actors.witness, &observers.witness) {
                    actors.witness = Some(Arc::new(others::KeepsGeneration::new(act.clone(), observe.clone())));
                }
            }
            Mutant::WritesInDryRun => {
                let probe = others::WritesInDryRun::new(net.clone());
                ports.observers.dry_run.database = Some(Arc::new(probe));
            }
            Mutant::ActsInDryRun => {
                let dry_run = &mut ports.observers.dry_run;
                dry_run.route = Arc::new(others::ActsInDryRun::new(actors.route.clone(), dry_run.route.clone()));
            }
            Mutant::ClaimsAheadInDryRun | Mutant::ClaimsWithoutTheLeaseInDryRun => {
                let dry_run = &mut ports.observers.dry_run;
                let ahead = |of: u64| Claim { generation: of + 1, intent: format!("held/{}", of + 1) };
                let not_held = |of: u64| Claim { generation: of, intent: "give-way/hel".into() };
                let claim = if self == Mutant::ClaimsAheadInDryRun { ahead } else { not_held };
                dry_run.pair = Arc::new(pair::ClaimsInDryRun::new(actors.pair.clone(), dry_run.pair.clone(), claim));
            }
            Mutant::PublishesTwice => {
                if let Some(audit) = &actors.audit {
                    actors.audit = Some(Arc::new(others::PublishesTwice::new(audit.clone())));
                }
            }
            Mutant::InventsLag => {
                if let Some(audit) = &actors.audit {
                    actors.audit = Some(Arc::new(others::InventsLag::new(audit.clone())));
                }
            }
            Mutant::ForgetsWeights => {
                let mutant = Arc::new(others::ForgetsWeights::new(actors.route.clone(), observers.route.clone()));
                actors.route = mutant.clone();
                observers.route = mutant;
            }
            Mutant::LeadsNowhere => {
                let mutant = Arc::new(others::LeadsNowhere::new(actors.route.clone(), observers.route.clone()));
                actors.route = mutant.clone();
                observers.route = mutant;
            }
            Mutant::ForgetsWriters => {
                observers.pair = Arc::new(pair::ForgetsWriters::new(observers.pair.clone()));
                // Watches would tell.
                observers.cache = None;
            }
            Mutant::StatusStandsStill => {
                actors.copy = Arc::new(others::StatusStandsStill::new(actors.copy.clone()));
            }
        }
        ports
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers;
    use std::collections::BTreeSet;

    #[test]
    fn every_checker_has_a_mutant_that_it_must_catch() {
        let caught: BTreeSet<&str> = Mutant::ALL.iter().map(|mutant| mutant.caught_by()).collect();
        let checkers: BTreeSet<&str> = checkers::NAMES.into_iter().collect();
        assert_eq!(caught, checkers);
    }
}
