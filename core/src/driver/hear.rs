//! What the driver hears of other tasks, and how it waits for news while there is nothing to do.

use super::{Driver, Mind};
use crate::clock::within;
use crate::name::ByRegion;
use crate::observe::{CopyView, Half};
use crate::spec::NamedHalves;
use futures_util::future::select;
use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// Between two glances at what is known while it is for others to do something, or something is amiss.
const GLANCE_PAUSE: Duration = Duration::from_millis(100);
/// The same while nothing is under way. What is new rings.
const IDLE_PAUSE: Duration = Duration::from_secs(1);

/// What the driver hears of those who read the resource and the halves.
#[derive(Default)]
pub(super) struct Heard {
    pub abort: Option<String>,
    pub copy: Option<Arc<CopyView>>,
    pub halves: KnownHalves,
    /// How often what was seen of the halves was another than before.
    pub halves_told: u64,
}

/// Both halves, as looked at last.
#[derive(Clone, Default)]
pub(crate) struct KnownHalves {
    /// Of which.
    pub of: Option<NamedHalves>,
    /// What was seen of them; one that was not looked at yet is absent.
    pub halves: Arc<ByRegion<Half>>,
    /// Each was looked at, and no Cluster of them is one that a watch told of.
    pub asked: bool,
}

impl KnownHalves {
    /// What is known of these; nothing where it is of others.
    pub(super) fn if_of(&self, named: Option<&NamedHalves>) -> Arc<ByRegion<Half>> {
        if self.of.as_ref() == named { self.halves.clone() } else { Arc::default() }
    }
}

impl Driver {
    /// A person wants the intent of this id aborted; any other id is ignored.
    pub fn set_abort(&self, id: Option<String>) {
        if std::mem::replace(&mut self.told().abort, id.clone()) != id {
            self.bell.ring();
        }
    }

    /// One's own copy, as read last.
    pub fn set_copy(&self, copy: CopyView) {
        let version = copy.resource_version.clone();
        let before = self.told().copy.replace(Arc::new(copy));
        if before.is_none_or(|before| before.resource_version != version) {
            self.bell.ring();
        }
    }

    /// Both halves: what a glance at the Clusters alone does not show.
    pub(crate) fn set_halves(&self, halves: KnownHalves) {
        let mut told = self.told();
        if !Arc::ptr_eq(&told.halves.halves, &halves.halves) && told.halves.halves != halves.halves {
            told.halves_told += 1;
        }
        told.halves = halves;
        drop(told);
        self.bell.ring();
    }

    /// Until there is something new, or it is time to look again.
    pub(super) async fn idle(&self, mind: &Mind) {
        let is_at_rest = self.keeper.record().is_some_and(|record| record.is_at_rest()) && !mind.upkeep.amiss;
        if !is_at_rest {
            within(&*self.clock, GLANCE_PAUSE, self.bell.heard()).await;
            return;
        }
        let copy = self.told().copy.clone();
        let pair = copy.as_ref().and_then(|copy| copy.spec.as_ref().ok()?.pair.as_ref());
        let watched = self.observers.cache.as_ref().zip(pair).zip(mind.rounds.told());
        let told = async {
            match watched {
                Some(((cache, pair), told)) => cache.clusters_told_more(pair, told).await,
                None => pending().await,
            }
        };
        let (heard, told) = (pin!(self.bell.heard()), pin!(told));
        within(&*self.clock, self.beats.within(self.clock.now(), IDLE_PAUSE), select(heard, told)).await;
    }
}
