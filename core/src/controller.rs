//! One Continuum's controller in one region: the tasks that run side by side, and what they share.
//!
//! ```text
//!   keeper   owns the record: reads, renews, writes              driver   does the steps it holds
//!   herald   says in `status.seen` what was read (PROTOCOL 2.8)  scout    reads the other copies
//!   attend   own copy: acquisition, requests, approvals, owed events, spec and status
//!   checkup  health, `health_delay` after a switchover
//! ```
//!
//! Each is a loop over levels, never over events: it looks at what stands, so a missed change is seen at
//! the next look. A task that waits for a slow server holds up no other.

mod events;
mod facts;
mod holder;

use crate::clock::{Clock, Monotonic, within};
use crate::driver::Driver;
use crate::keeper::Keeper;
use crate::look::half_of;
use crate::mailbox::Cancel;
use crate::name::{ObjectName, Region};
use crate::observe::{CopyView, Half, Seen, SeenRecord};
use crate::ports::{Actors, Observers, Outcome};
use crate::record::{EndResult, Ended, Record};
use crate::report::HealthReport;
use crate::requests;
use crate::sequencer::{OperationError, Sequencer};
use crate::spec::Spec;
use crate::status::{self, Known};
use crate::term::REQUEST_LIMIT;
use crate::transition;
use futures_util::future::{join, join_all};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Between two looks at one's own copy.
const ATTEND_PAUSE: Duration = Duration::from_secs(1);
/// Between two looks at the other copies: an intent must be seen within step 1's 3 s.
const SCOUT_PAUSE: Duration = Duration::from_millis(700);
/// Between two looks whether the keeper read something new to say.
const HERALD_PAUSE: Duration = Duration::from_millis(100);
/// Between two looks at both halves while nothing is under way.
const HALVES_PAUSE: Duration = Duration::from_secs(5);
/// So many times in a row they are looked at again soon where the standby was not seen to stream: it may only
/// have restarted.
const UNSEEN_SOON: u32 = 5;
/// So many looks in a row have to fail before it is said that the standby cannot be seen.
const UNSEEN_TOLD: u32 = 3;
/// The whole health check's limit.
const HEALTH_LIMIT: Duration = Duration::from_secs(30);

/// Settings of a controller.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long after a switchover its health is checked; zero: at once.
    pub health_delay: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { health_delay: Duration::from_secs(30) }
    }
}

#[derive(Default)]
struct Shared {
    copies: BTreeMap<Region, Seen<CopyView>>,
    /// Both halves as last looked at, and when.
    halves: BTreeMap<Region, Half>,
    halves_at: Option<Monotonic>,
    /// How often in a row the standby was not seen to stream.
    halves_unseen: u32,
    /// It was, in this process.
    halves_ever_seen: bool,
    health: Option<(String, Result<HealthReport, String>)>,
    /// When this process first saw the pending failback of this id.
    pending_since: Option<(String, Monotonic)>,
    /// The generation under which this process last saw time left of its own term.
    had_lease: Option<u64>,
    /// When this process first saw the lag above the objective; absent: it is not.
    lag_breach: Option<jiff::Timestamp>,
    /// Message ids that this process saw acknowledged, so that it need not search for them again.
    published: Vec<String>,
    owed_count: usize,
    /// Why the free lease is not taken.
    held_back: Option<String>,
    /// The generation under which this process took a free record, until both halves carry its claim.
    to_claim: Option<u64>,
    /// `status.seen.beat` when this process began.
    beat_before: Option<u64>,
}

/// See the module.
pub struct Controller {
    me: Region,
    name: ObjectName,
    clock: Arc<dyn Clock>,
    keeper: Option<Arc<Keeper>>,
    driver: Option<Driver>,
    sequencer: Sequencer,
    observers: Observers,
    actors: Actors,
    options: Options,
    shared: Mutex<Shared>,
}

impl Controller {
    /// Assembles one from its ports. Without a witness nothing is kept or driven, and the status says so.
    pub fn new(
        me: Region,
        name: ObjectName,
        clock: Arc<dyn Clock>,
        observers: Observers,
        dry_observers: Observers,
        actors: Actors,
        options: Options,
    ) -> Self {
        let keeper = observers
            .witness
            .clone()
            .zip(actors.witness.clone())
            .map(|(observe, act)| Arc::new(Keeper::new(me.clone(), clock.clone(), observe, act)));
        let driver = keeper
            .clone()
            .map(|keeper| Driver::new(me.clone(), clock.clone(), keeper, observers.clone(), actors.clone()));
        let sequencer = Sequencer {
            me: me.clone(),
            name: name.clone(),
            clock: clock.clone(),
            keeper: keeper.clone(),
            observers: observers.clone(),
            dry_observers,
            actors: actors.clone(),
        };
        Self { me, name, clock, keeper, driver, sequencer, observers, actors, options, shared: Mutex::default() }
    }

    /// The four operations.
    pub fn sequencer(&self) -> &Sequencer {
        &self.sequencer
    }

    /// Health of the last switchover that the record tells of; where there was none, of the acting primary.
    pub async fn health(&self, cancel: &Cancel) -> Result<HealthReport, OperationError> {
        let record = self.record();
        let primary = record.as_ref().and_then(status::acting_primary).unwrap_or_else(|| self.me.clone());
        let last = record.and_then(|r| r.last).filter(|l| l.result == EndResult::Succeeded && l.to == primary);
        self.sequencer.health(last.as_ref(), &primary, cancel).await
    }

    /// Runs for ever.
    pub async fn run(&self) {
        let keep = async {
            if let Some(keeper) = &self.keeper {
                keeper.run().await;
            }
        };
        let drive = async {
            if let Some(driver) = &self.driver {
                driver.run().await;
            }
        };
        let tell = join(self.herald(), join(self.scout(), self.checkup()));
        join(join(keep, drive), join(tell, self.attend())).await;
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self) -> Option<Record> {
        self.keeper.as_ref()?.view()?.record
    }

    /// Says in `status.seen` what was read last, after each read.
    async fn herald(&self) {
        let Some(keeper) = &self.keeper else { return };
        let mut said: Option<SeenRecord> = None;
        loop {
            let base = self.beat_before();
            let seen = keeper.view().zip(base).and_then(|(view, base)| {
                let record = view.record?;
                let intent = record.intent.map(|i| i.id);
                Some(SeenRecord { renewal: record.renewal, intent, beat: base + view.beat })
            });
            if let Some(seen) = seen.filter(|seen| said.as_ref() != Some(seen)) {
                let patch = status::seen_patch(&seen);
                let outcome = within(&*self.clock, REQUEST_LIMIT, self.actors.copy.patch_status(&patch)).await;
                if matches!(outcome, Some(Outcome::Done(()))) {
                    said = Some(seen);
                    continue;
                }
            }
            self.clock.sleep(HERALD_PAUSE).await;
        }
    }

    /// The beat that stood in one's own copy when this process began: the beat goes on from there, so that
    /// a restart is not taken for a death. Absent: the copy was not read yet.
    fn beat_before(&self) -> Option<u64> {
        let mut shared = self.shared();
        if shared.beat_before.is_none() {
            let copy = shared.copies.get(&self.me)?.known()?;
            shared.beat_before = Some(copy.seen.as_ref().map_or(0, |seen| seen.beat));
        }
        shared.beat_before
    }

    /// Reads the copies of the other regions, and has the witness read at once where one of them names an
    /// intent that is not known here.
    async fn scout(&self) {
        let mut asked: Option<String> = None;
        loop {
            for region in self.regions().into_iter().filter(|r| *r != self.me) {
                let seen = within(&*self.clock, REQUEST_LIMIT, self.observers.copies.copy(&region))
                    .await
                    .unwrap_or_else(|| Seen::Unknown("no answer in 5 s".into()));
                let theirs = seen.known().and_then(|c| c.seen.as_ref()).and_then(|s| s.intent.clone());
                let ours = self.record().and_then(|r| r.intent).map(|i| i.id);
                if let Some(keeper) = &self.keeper
                    && theirs.is_some()
                    && theirs != ours
                    && theirs != asked
                {
                    // Once: it may be the last word of a controller that is dead.
                    asked = theirs;
                    keeper.read_soon();
                }
                self.shared().copies.insert(region, seen);
                self.tell_abort();
            }
            self.clock.sleep(SCOUT_PAUSE).await;
        }
    }

    fn regions(&self) -> Vec<Region> {
        match self.shared().copies.get(&self.me) {
            Some(Seen::Is(CopyView { spec: Ok(spec), .. })) => spec.regions().cloned().collect(),
            _ => Vec::new(),
        }
    }

    /// Its own copy, and everything that follows from it.
    async fn attend(&self) {
        loop {
            let seen = within(&*self.clock, REQUEST_LIMIT, self.observers.copies.copy(&self.me))
                .await
                .unwrap_or_else(|| Seen::Unknown("no answer in 5 s".into()));
            self.shared().copies.insert(self.me.clone(), seen.clone());
            if let Seen::Is(copy) = seen {
                match copy.spec.clone() {
                    Ok(spec) => self.follow_spec(&copy, &spec).await,
                    Err(invalid) => self.write_status(&copy, Some(invalid.to_string())).await,
                }
            }
            self.clock.sleep(ATTEND_PAUSE).await;
        }
    }

    async fn follow_spec(&self, copy: &CopyView, spec: &Spec) {
        if spec.lease.kind.unavailable().is_some() {
            // Whatever witness this controller was given is not the one that the resource asks for.
            return self.write_status(copy, None).await;
        }
        if let Some(keeper) = &self.keeper {
            keeper.set_lease(spec.lease);
        }
        // First: the looks below may take long, and a person waits.
        self.tell_abort();
        self.look_at_halves(spec).await;
        self.acquire_if_free(spec).await;
        if let Some(record) = self.record().filter(|r| r.held_by(&self.me)) {
            self.claim_halves(&record, spec).await;
            self.hold(&record, spec).await;
        }
        self.tell_events(copy, spec).await;
        self.mend_spec(copy, spec).await;
        self.write_status(copy, None).await;
    }

    /// Tells the driver what the copies say of its intent.
    fn tell_abort(&self) {
        let Some(driver) = &self.driver else { return };
        let intent = self.record().and_then(|r| r.intent).map(|i| i.id);
        let copies = &self.shared().copies;
        driver.set_abort(intent.filter(|id| requests::aborted(copies, id)));
    }

    /// Looks at both halves now and then, for position, lag and the status.
    async fn look_at_halves(&self, spec: &Spec) {
        let now = self.clock.now();
        let due = {
            let shared = self.shared();
            let soon = (1..=UNSEEN_SOON).contains(&shared.halves_unseen);
            let pause = if soon { ATTEND_PAUSE } else { HALVES_PAUSE };
            shared.halves_at.is_none_or(|at| now.since(at) >= pause)
        };
        let Some(pair) = spec.pair.as_ref().filter(|_| due) else { return };
        let regions: Vec<Region> = std::iter::once(&spec.primary).chain(spec.standbys.first()).cloned().collect();
        let looks = regions
            .iter()
            .map(|region| async move { (region.clone(), half_of(&self.observers, &*self.clock, pair, region).await) });
        let halves: BTreeMap<Region, Half> = join_all(looks).await.into_iter().collect();
        if let Some(keeper) = &self.keeper {
            let own = halves.get(&self.me).and_then(|h| h.database.known());
            keeper.set_position(own.filter(|d| d.in_recovery == Some(false)).and_then(|d| d.position()));
        }
        let seen = facts::replication(self.record().as_ref(), &halves).1 == Some(true);
        let mut shared = self.shared();
        shared.halves_unseen = if seen { 0 } else { shared.halves_unseen.saturating_add(1) };
        shared.halves_ever_seen |= seen;
        shared.halves = halves;
        shared.halves_at = Some(now);
    }

    /// First acquisition of a free record: by the region whose half is observed as the acting primary;
    /// by `spec.primaryRegion` where neither is yet.
    async fn acquire_if_free(&self, spec: &Spec) {
        let Some(keeper) = &self.keeper else { return };
        let read = keeper.view();
        if read.is_none_or(|view| view.record.is_some_and(|r| r.holder.is_some())) {
            self.shared().held_back = None;
            return;
        }
        let halves = self.shared().halves.clone();
        let timeline = match facts::may_acquire(&self.me, spec, &halves) {
            Ok(timeline) => timeline,
            Err(why) => {
                self.shared().held_back = Some(why.into());
                return;
            }
        };
        let claims = halves.values().filter_map(|half| half.cluster.known()?.claim.as_ref());
        let claimed = claims.map(|claim| claim.generation).max().unwrap_or_default();
        let (me, ttl) = (self.me.clone(), spec.lease.ttl_seconds);
        match keeper.update(move |record| transition::acquire_above(record, &me, ttl, timeline, claimed)).await {
            Ok(record) => {
                tracing::info!(generation = record.generation, "lease acquired");
                self.shared().to_claim = Some(record.generation);
            }
            Err(cause) => tracing::warn!(%cause, "lease not acquired"),
        }
    }

    /// Brings one's own spec in line with the record.
    async fn mend_spec(&self, copy: &CopyView, spec: &Spec) {
        let Some(patch) = self.record().and_then(|record| facts::mended(&record, spec)) else { return };
        let outcome =
            within(&*self.clock, REQUEST_LIMIT, self.actors.copy.patch_spec(&copy.resource_version, &patch)).await;
        tracing::info!(?outcome, "spec brought in line with the record");
    }

    async fn write_status(&self, copy: &CopyView, invalid: Option<String>) {
        let unbuilt = copy.spec.as_ref().ok().and_then(|spec| spec.lease.kind.unavailable());
        let record = self.record();
        let holds = record.as_ref().is_some_and(|r| r.held_by(&self.me));
        let known = {
            let shared = self.shared();
            let (lag_seconds, standby_streams) = facts::replication(record.as_ref(), &shared.halves);
            Known {
                witness_unreachable: match &self.keeper {
                    _ if unbuilt.is_some() => unbuilt,
                    Some(keeper) if !holds => keeper.unreachable(),
                    Some(keeper) => keeper
                        .unreachable()
                        .or_else(|| Some(format!("the witness refuses the renewal: {}", keeper.refused()?))),
                    None => Some("no witness is configured".into()),
                },
                term_left: self.keeper.as_ref().filter(|_| holds).map(|k| k.term().left),
                lag_seconds,
                observed_primary: facts::observed_primary(&shared.halves),
                standby_streams,
                // One look that failed makes nothing unhealthy.
                standby_unseen: facts::standby_unseen(record.as_ref(), &shared.halves)
                    .filter(|_| !shared.halves_ever_seen || shared.halves_unseen >= UNSEEN_TOLD),
                held_back: shared.held_back.clone(),
                progress: self.driver.as_ref().map(Driver::progress).unwrap_or_default(),
                health: shared.health.clone(),
                owed_count: shared.owed_count,
                invalid,
                record,
            }
        };
        let mut patch = status::patch(&known, &self.me, copy, self.clock.wall());
        // The end of the term moves with every look; it alone is no reason to write before it has come.
        let expires = patch["leaseExpiresAt"].take();
        let told = copy.status.get("leaseExpiresAt").cloned().unwrap_or(Value::Null);
        let over =
            told.as_str().is_some_and(|at| at.parse::<jiff::Timestamp>().is_ok_and(|at| at <= self.clock.wall()));
        patch["leaseExpiresAt"] = told.clone();
        if status::stands(&patch, &copy.status) && !over && expires.is_null() == told.is_null() {
            return;
        }
        patch["leaseExpiresAt"] = expires;
        self.patch_status(&patch).await;
    }

    async fn patch_status(&self, patch: &Value) {
        let outcome = within(&*self.clock, REQUEST_LIMIT, self.actors.copy.patch_status(patch)).await;
        if !matches!(outcome, Some(Outcome::Done(()))) {
            tracing::debug!(?outcome, "the status was not written");
        }
    }

    /// Health, `health_delay` after a switchover that this region drove to its end.
    async fn checkup(&self) {
        let mut waiting: Option<(String, Monotonic)> = None;
        let mut moved: Option<Ended> = None;
        loop {
            self.clock.sleep(ATTEND_PAUSE).await;
            let Some(record) = self.record().filter(|r| r.held_by(&self.me) && r.intent.is_none()) else { continue };
            match record.last {
                Some(last) if last.result == EndResult::Succeeded => moved = Some(last),
                // A failback that was declined meanwhile moved nothing.
                Some(last) if last.result == EndResult::Declined => {}
                _ => moved = None,
            }
            let Some(last) = moved.clone() else { continue };
            if self.checked(&last.id) {
                continue;
            }
            if status::health_is_stale(&last, self.clock.wall()) {
                continue;
            }
            let now = self.clock.now();
            let since = waiting.as_ref().filter(|(id, _)| *id == last.id).map_or(now, |(_, at)| *at);
            waiting = Some((last.id.clone(), since));
            if now.since(since) < self.options.health_delay {
                continue;
            }
            let cancel = Cancel::default();
            let work = self.sequencer.health(Some(&last), &last.to, &cancel);
            let result = match within(&*self.clock, HEALTH_LIMIT, work).await {
                Some(Ok(report)) => Ok(report),
                Some(Err(error)) => Err(error.cause()),
                None => Err(format!("did not end in {} s", HEALTH_LIMIT.as_secs())),
            };
            tracing::info!(id = %last.id, healthy = ?result.as_ref().map(|r| r.overall_healthy), "health checked");
            self.shared().health = Some((last.id, result));
        }
    }

    fn checked(&self, id: &str) -> bool {
        let shared = self.shared();
        if shared.health.as_ref().is_some_and(|(of, _)| of == id) {
            return true;
        }
        let copy = shared.copies.get(&self.me).and_then(|c| c.known());
        copy.is_some_and(|c| status::checked(&c.status) == Some(id))
    }
}
