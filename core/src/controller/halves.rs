//! What a controller sees of both halves beside what its driver needs.

use super::{ATTEND_PAUSE, Controller};
use crate::look::half_within;
use crate::name::{ObjectName, Region};
use crate::observe::replication;
use crate::ports::Source;
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::time::Duration;

/// Between two looks at both halves while nothing is under way. Two looks that fail tell that nobody may be writing
/// (H03): with their limits they are over within ten seconds.
const HALVES_PAUSE: Duration = Duration::from_secs(4);
/// For a look at a Cluster, and for one at a database.
const LOOK_LIMIT: Duration = Duration::from_secs(2);
/// So many times in a row they are looked at again soon where the standby was not seen to stream: it may only
/// have restarted.
const UNSEEN_SOON: u32 = 5;

impl Controller {
    /// Looks at both halves now and then, for position, lag and the status, and for what a glance at a Cluster does
    /// not show.
    pub(super) async fn look_at_halves(&self) {
        let mut looked_at = None;
        loop {
            let started = self.clock.now();
            let pair = self.followed().and_then(|(_, spec)| Some((spec.pair.clone()?, spec)));
            let Some((pair, spec)) = pair else {
                self.clock.sleep(ATTEND_PAUSE).await;
                continue;
            };
            let regions: Vec<&Region> = std::iter::once(&spec.primary).chain(spec.standbys.first()).collect();
            let named = (pair.clone(), regions.iter().map(|region| (*region).clone()).collect::<Vec<_>>());
            if looked_at.as_ref() != Some(&named) {
                self.forget_halves();
                looked_at = Some(named);
            }
            // One that is away holds back nothing that is known of the other.
            let source = self.source();
            join_all(regions.into_iter().map(|region| self.look_at_half(&pair, region, source))).await;
            let seen = replication(self.record().as_ref(), &self.shared().halves).1 == Some(true);
            let unseen = {
                let mut shared = self.shared();
                shared.halves_unseen = if seen { 0 } else { shared.halves_unseen.saturating_add(1) };
                shared.halves_ever_seen |= seen;
                shared.halves_unseen
            };
            let pause = if (1..=UNSEEN_SOON).contains(&unseen) { ATTEND_PAUSE } else { HALVES_PAUSE };
            self.clock.sleep(pause.saturating_sub(self.clock.now().since(started))).await;
        }
    }

    /// The spec names other halves: what was seen of those says nothing, and is in nobody's way.
    fn forget_halves(&self) {
        {
            let mut shared = self.shared();
            shared.halves.clear();
            shared.halves_at.clear();
        }
        if let Some(driver) = &self.driver {
            driver.set_halves(BTreeMap::new(), false);
        }
    }

    async fn look_at_half(&self, pair: &ObjectName, region: &Region, source: Source) {
        let half = half_within(&self.observers, &*self.clock, pair, region, LOOK_LIMIT, source).await;
        if let Some(keeper) = self.keeper.as_ref().filter(|_| *region == self.me) {
            let own = half.database.known().filter(|d| d.in_recovery == Some(false));
            keeper.set_position(own.and_then(|d| d.position()));
        }
        let (halves, asked) = {
            let mut shared = self.shared();
            shared.halves.insert(region.clone(), half);
            shared.halves_at.insert(region.clone(), (self.clock.now(), source));
            let asked = shared.halves_at.values().all(|(_, source)| *source == Source::Servers);
            (shared.halves.clone(), asked)
        };
        if let Some(driver) = &self.driver {
            driver.set_halves(halves, asked);
        }
    }
}
