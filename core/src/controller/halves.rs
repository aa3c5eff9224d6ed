//! What a controller sees of both halves beside what its driver needs.

use super::{ATTEND_PAUSE, Controller, FIRST_LOOK_LIMIT, Shared};
use crate::clock::Monotonic;
use crate::driver::KnownHalves;
use crate::look::half_within;
use crate::name::{ByRegion, Region};
use crate::observe::{Half, replication};
use crate::ports::Source;
use crate::spec::{Invalid, NamedHalves, Spec};
use futures_util::future::join_all;
use std::sync::Arc;
use std::time::Duration;

/// Between two looks at both halves while nothing is under way. Two looks that fail tell that nobody may be writing
/// (H03): with their limits they are over within ten seconds.
const HALVES_PAUSE: Duration = Duration::from_secs(4);
/// For a look at a Cluster, and for one at a database.
const LOOK_LIMIT: Duration = Duration::from_secs(2);
/// So many times in a row they are looked at again soon where the standby was not seen to stream: it may only
/// have restarted.
const UNSEEN_SOON: u32 = 5;

impl Shared {
    /// What was seen of the halves that this spec names: of others nothing says anything of them. Where it cannot be followed,
    /// of those that the last one named.
    pub(super) fn halves_named(&self, spec: &Result<Arc<Spec>, Invalid>) -> &ByRegion<Half> {
        static NONE: ByRegion<Half> = ByRegion::new();
        match spec {
            Ok(spec) if !self.are_of(spec) => &NONE,
            _ => &self.halves,
        }
    }

    /// Whether a first look at the halves that this spec names is under way, or about to be.
    pub(super) fn awaits_halves(&self, spec: &Spec, now: Monotonic) -> bool {
        let since = self.halves_of.as_ref().map(|(_, since)| *since).filter(|_| self.are_of(spec));
        let seen_in_time = |since| self.halves.len() >= 2 || now.since(since) >= FIRST_LOOK_LIMIT;
        spec.pair.is_some() && !since.is_some_and(seen_in_time)
    }

    fn are_of(&self, spec: &Spec) -> bool {
        self.halves_of.as_ref().map(|(of, _)| of) == spec.halves().as_ref()
    }
}

impl Controller {
    /// Looks at both halves now and then, for position, lag and the status, and for what a glance at a Cluster does
    /// not show.
    pub(super) async fn look_at_halves(&self) {
        let mut named = None;
        loop {
            let started = self.clock.now();
            // Those of the last spec that could be followed: they are driven as that says for as long as there is no other.
            if let Some((_, spec)) = self.followed() {
                named = spec.halves();
                self.keep_halves_of(named.as_ref());
            }
            let Some(named) = &named else {
                self.rest(ATTEND_PAUSE).await;
                continue;
            };
            if self.keeper.as_ref().is_some_and(|keeper| keeper.view().is_none() && keeper.unreachable().is_none()) {
                // It is being read, and says where to look.
                self.rest(ATTEND_PAUSE).await;
                continue;
            }
            // One that is away holds back nothing that is known of the other.
            let source = self.source();
            join_all(named.regions.iter().map(|region| self.look_at_half(named, region, source))).await;
            let seen = replication(self.record().as_deref(), &self.shared().halves).1 == Some(true);
            let unseen = {
                let mut shared = self.shared();
                let unseen = if seen { 0 } else { shared.halves_unseen.saturating_add(1) };
                // What was seen of them may be the same, and is said of them after the second time.
                shared.changes += u64::from(unseen != shared.halves_unseen);
                shared.halves_unseen = unseen;
                shared.halves_ever_seen |= seen;
                shared.halves_unseen
            };
            let pause = if (1..=UNSEEN_SOON).contains(&unseen) { ATTEND_PAUSE } else { HALVES_PAUSE };
            self.rest(pause.saturating_sub(self.clock.now().since(started))).await;
        }
    }

    /// What was seen of halves that the spec names no more says nothing, and is in nobody's way.
    pub(super) fn keep_halves_of(&self, named: Option<&NamedHalves>) {
        let mut shared = self.shared();
        let before = shared.halves_of.as_ref().map(|(before, _)| before);
        if before == named {
            return;
        }
        let same_pair = before.map(|before| &before.pair) == named.map(|named| &named.pair);
        let stays = |region: &Region| same_pair && named.is_some_and(|named| named.regions.contains(region));
        shared.changes += 1;
        Arc::make_mut(&mut shared.halves).retain(|region, _| stays(region));
        shared.halves_at.retain(|region, _| stays(region));
        shared.halves_of = named.cloned().map(|named| (named, self.clock.now()));
        drop(shared);
        self.tell_halves();
    }

    async fn look_at_half(&self, named: &NamedHalves, region: &Region, source: Source) {
        let half = half_within(&self.observers, &*self.clock, &named.pair, region, LOOK_LIMIT, source).await;
        if let Some(keeper) = self.keeper.as_ref().filter(|_| *region == self.me) {
            let own = half.database.known().filter(|d| d.in_recovery == Some(false));
            keeper.set_position(own.and_then(|d| d.position()));
        }
        {
            let mut shared = self.shared();
            if shared.halves.get(region) != Some(&half) {
                shared.changes += 1;
                Arc::make_mut(&mut shared.halves).insert(region.clone(), half);
            }
            shared.halves_at.insert(region.clone(), (self.clock.now(), source));
        }
        self.tell_halves();
    }

    fn tell_halves(&self) {
        let Some(driver) = &self.driver else { return };
        let shared = self.shared();
        let of = shared.halves_of.as_ref().map(|(named, _)| named.clone());
        let asked = of
            .iter()
            .flat_map(|named| &named.regions)
            .all(|region| shared.halves_at.get(region).is_some_and(|(_, source)| *source == Source::Servers));
        driver.set_halves(KnownHalves { of, halves: shared.halves.clone(), asked });
    }
}
