//! One Continuum's controller in one region: the tasks that run side by side, and what they share.
//!
//! ```text
//!   keeper   owns the record: reads, renews, writes      driver    does what follows from where it stands
//!   attend   reads its own copy                          scout     reads the other copies
//!   halves   looks at both halves                        herald    says in `status.seen` what was read (2.8), and the lag
//!   serve    requests, approvals                         relay     hands an abort on in the record (2.12)
//!   publish  events                                      status    what people read
//!   checkup  health, `health_delay` after a switchover, and again until it is well
//! ```
//!
//! Each is a loop over levels, never over events: it looks at what stands, so a missed change is seen at
//! the next look. A task that waits for a slow server holds up no other.

mod checkup;
mod events;
mod facts;
mod halves;
mod herald;
mod holder;
mod statuses;

use crate::clock::{Beats, Clock, Monotonic, within};
use crate::driver::Driver;
use crate::keeper::Keeper;
use crate::look::limited;
use crate::mailbox::Bell;
use crate::name::{ByRegion, ObjectName, Region};
use crate::observe::{CopyView, Half, Seen};
use crate::ports::{Actors, Observers, Outcome, Source};
use crate::publisher::Publisher;
use crate::record::Record;
use crate::report::HealthReport;
use crate::requests;
use crate::sequencer::{RefusedOrder, Sequencer};
use crate::spec::{NamedHalves, Spec};
use crate::term::REQUEST_LIMIT;
use crate::transition;
use checkup::KeptReport;
use events::Noted;
use futures_util::future::{join, join_all, select};
use serde_json::Value;
use std::collections::BTreeMap;
use std::future::pending;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Between two looks at one's own copy, and at any copy that is watched; what a watch tells is looked at at once.
const ATTEND_PAUSE: Duration = Duration::from_secs(1);
/// Between two looks at a copy of which a watch told nothing.
const STILL_PAUSE: Duration = Duration::from_secs(5);
/// Between two looks at the other copies where they are not: an intent must be seen within step 1's 3 s.
const SCOUT_PAUSE: Duration = Duration::from_millis(500);
/// The same while an intent stands: the swap waits, with nobody writing, until the next holder was seen to be alive.
const SCOUT_BUSY: Duration = Duration::from_millis(300);
/// A first look at both halves takes no longer.
const FIRST_LOOK_LIMIT: Duration = Duration::from_secs(7);
/// Between two looks whether an abort is to be handed on.
const RELAY_PAUSE: Duration = Duration::from_millis(500);
/// So many looks in a row have to fail before it is said that the pair cannot be seen.
const UNSEEN_TOLD: u32 = 2;

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
    /// Grows with every change of what the status is made of.
    changes: u64,
    copies: ByRegion<Seen<CopyView>>,
    /// Whose halves were looked at, and since when they are those.
    halves_of: Option<(NamedHalves, Monotonic)>,
    /// Both halves as last looked at.
    halves: Arc<ByRegion<Half>>,
    /// When each of them was, and where its Cluster was looked up.
    halves_at: BTreeMap<Region, (Monotonic, Source)>,
    /// The holder of the record, and since when this process knows of it.
    holder: Option<(Region, Monotonic)>,
    /// How often in a row the standby was not seen to stream.
    halves_unseen: u32,
    /// It was, in this process.
    halves_ever_seen: bool,
    health: Option<(String, Result<HealthReport, String>)>,
    report: Option<KeptReport>,
    /// When this process first saw the pending failback of this id.
    pending_since: Option<(String, Monotonic)>,
    /// What one's own copy is to say of events; absent: that was not read yet.
    noted: Option<Noted>,
    /// The order that was refused last.
    refused: Option<RefusedOrder>,
    /// Why the status was refused last; it may have been written since.
    status_refused: Option<String>,
    /// The phase that was decided last.
    phase: Option<String>,
    /// `status.seen.beat` when this process began.
    beat_before: Option<u64>,
}

impl Shared {
    fn saw_copy(&mut self, region: &Region, seen: Seen<CopyView>) {
        if self.copies.get(region) != Some(&seen) {
            self.changes += 1;
            self.copies.insert(region.clone(), seen);
        }
    }

    fn refused(&mut self, order: Option<RefusedOrder>) {
        if order.is_some() {
            self.changes += 1;
            self.refused = order;
        }
    }
}

/// See the module.
pub struct Controller {
    me: Region,
    name: ObjectName,
    clock: Arc<dyn Clock>,
    beats: Beats,
    keeper: Option<Arc<Keeper>>,
    driver: Option<Driver>,
    sequencer: Sequencer,
    observers: Observers,
    actors: Actors,
    publisher: Arc<Publisher>,
    options: Options,
    shared: Mutex<Shared>,
    /// Rung for the task that pays: what is owed beside the record was written down.
    to_pay: Bell,
    /// Rung for the task that notes: some of that was paid.
    to_note: Bell,
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
            .map(|(observe, act)| Keeper::new(me.clone(), clock.clone(), observe, act).in_step(Beats::of(&name)))
            .map(Arc::new);
        let (observe, act) = (observers.audit.clone(), actors.audit.clone());
        let publisher = Arc::new(Publisher::new(name.clone(), clock.clone(), observe, act));
        let driver = keeper.clone().map(|keeper| {
            let publisher = publisher.clone();
            Driver::new(me.clone(), name.clone(), clock.clone(), keeper, observers.clone(), actors.clone(), publisher)
        });
        let sequencer = Sequencer {
            me: me.clone(),
            name: name.clone(),
            clock: clock.clone(),
            keeper: keeper.clone(),
            observers: observers.clone(),
            dry_observers,
            actors: actors.clone(),
            waits: false,
            refused: Mutex::default(),
            found: Mutex::default(),
        };
        Self {
            me,
            beats: Beats::of(&name),
            name,
            clock,
            keeper,
            driver,
            sequencer,
            observers,
            actors,
            publisher,
            options,
            shared: Mutex::default(),
            to_pay: Bell::default(),
            to_note: Bell::default(),
        }
    }

    /// The same, of a replica that waits for another of its region: it reads, answers what it is asked, and leaves orders in
    /// the resource for the one that leads.
    #[must_use]
    pub fn waiting(mut self) -> Self {
        self.sequencer.waits = true;
        self
    }

    /// The four operations.
    pub fn sequencer(&self) -> &Sequencer {
        &self.sequencer
    }

    /// Runs for ever.
    pub async fn run(&self) {
        if self.sequencer.waits {
            return self.watch().await;
        }
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
        let read = join(self.attend(), join(self.scout(), self.look_at_halves()));
        let events = join(self.note_events(), self.publish());
        let tell = join(join(self.herald(), self.relay_abort()), join(events, self.write_statuses()));
        join(join(keep, drive), join(join(read, tell), join(self.serve(), self.checkup()))).await;
    }

    /// What answers need: the record and one's own copy, read and never written.
    async fn watch(&self) {
        let read = async {
            if let Some(keeper) = &self.keeper {
                keeper.watch().await;
            }
        };
        join(read, self.attend()).await;
    }

    /// Rests for about so long, and no longer.
    async fn rest(&self, pause: Duration) {
        self.clock.sleep(self.until_beat(pause)).await;
    }

    fn until_beat(&self, pause: Duration) -> Duration {
        self.beats.within(self.clock.now(), pause)
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self) -> Option<Arc<Record>> {
        self.keeper.as_ref()?.record()
    }

    /// Reads the copies of the other regions, each by itself: one that is silent is in the way of no other.
    async fn scout(&self) {
        loop {
            let others: Vec<Region> = self.regions().into_iter().filter(|r| *r != self.me).collect();
            if others.is_empty() {
                self.rest(ATTEND_PAUSE).await;
                continue;
            }
            // Until the regions are others, which is looked at as often as a copy is read.
            join_all(others.iter().map(|region| self.scout_region(region, &others))).await;
        }
    }

    /// Reads the copy of one region, and has the witness read at once where it names an intent that is not known here.
    async fn scout_region(&self, region: &Region, others: &[Region]) {
        let mut asked: Option<String> = None;
        let news = self.news();
        while self.regions().iter().filter(|r| **r != self.me).eq(others) {
            let told = self.copy_told(region);
            let seen = self.read_copy(region, self.source()).await;
            let theirs = seen.known().and_then(|c| c.seen.as_ref()).and_then(|s| s.intent.clone());
            let ours = self.record().and_then(|r| Some(r.intent.as_ref()?.id.clone()));
            if let Some(keeper) = &self.keeper
                && theirs.is_some()
                && theirs != ours
                && theirs != asked
            {
                // Once: it may be the last word of a controller that is dead.
                asked = theirs;
                keeper.read_soon();
            }
            self.shared().saw_copy(region, seen);
            self.tell_abort();
            let busy = self.record().is_some_and(|r| r.intent.is_some());
            match told {
                _ if busy => self.clock.sleep(SCOUT_BUSY).await,
                Some(told) => self.until_copy(region, told, &news).await,
                None => self.clock.sleep(SCOUT_PAUSE).await,
            }
        }
    }

    /// How much a watch told of the copy in `region`; absent: servers are asked.
    fn copy_told(&self, region: &Region) -> Option<u64> {
        let watches = self.source() == Source::Watches;
        self.observers.cache.as_ref().filter(|_| watches)?.copy_told(region)
    }

    /// Rung whenever the record was read or written: what is under way then is not looked for in watches.
    fn news(&self) -> Arc<Bell> {
        let news = Arc::new(Bell::default());
        if let Some(keeper) = &self.keeper {
            keeper.tell(news.clone());
        }
        news
    }

    /// Until a watch tells more of the copy in `region`, or the record is new, or it is time to look again.
    async fn until_copy(&self, region: &Region, told: u64, news: &Bell) {
        let more = async {
            match &self.observers.cache {
                Some(cache) => cache.copy_told_more(region, told).await,
                None => pending().await,
            }
        };
        let (more, news) = (pin!(more), pin!(news.heard()));
        within(&*self.clock, self.until_beat(STILL_PAUSE), select(more, news)).await;
    }

    async fn read_copy(&self, region: &Region, source: Source) -> Seen<CopyView> {
        limited(&*self.clock, REQUEST_LIMIT, self.observers.copy(source, region)).await
    }

    /// Every copy, as its server has it now.
    async fn read_copies(&self) -> ByRegion<Seen<CopyView>> {
        let regions = self.regions();
        let read = regions.into_iter().map(|region| async move {
            let seen = self.read_copy(&region, Source::Servers).await;
            (region, seen)
        });
        join_all(read).await.into_iter().collect()
    }

    /// Where to look: while something is under way or waited for, servers are asked, and so they are where nobody holds the
    /// record, which is then taken by what was seen. Before it was read nothing is done by anything.
    fn source(&self) -> Source {
        match self.keeper.as_ref().and_then(|keeper| keeper.view()) {
            Some(view) if !view.record.as_ref().is_some_and(|record| record.is_at_rest()) => Source::Servers,
            _ => Source::Watches,
        }
    }

    fn regions(&self) -> Vec<Region> {
        match self.shared().copies.get(&self.me) {
            Some(Seen::Is(CopyView { spec: Ok(spec), .. })) => spec.regions().cloned().collect(),
            _ => Vec::new(),
        }
    }

    /// Reads its own copy, and hands on what others need of it.
    async fn attend(&self) {
        let news = self.news();
        loop {
            let told = self.copy_told(&self.me);
            let seen = self.read_copy(&self.me, self.source()).await;
            let known = seen.known().and_then(|copy| Some((copy.clone(), copy.spec.clone().ok()?)));
            self.shared().saw_copy(&self.me, seen);
            if let Some((copy, spec)) = known {
                // Whatever witness this controller was given is not the one that the resource asks for.
                if let Some(keeper) = self.keeper.as_ref().filter(|_| self.unavailable(&spec).is_none()) {
                    keeper.set_lease(spec.lease);
                }
                if let Some(driver) = &self.driver {
                    driver.set_copy(copy);
                }
            }
            self.tell_abort();
            match told {
                Some(told) => self.until_copy(&self.me, told, &news).await,
                None => self.rest(ATTEND_PAUSE).await,
            }
        }
    }

    /// Its own copy with its spec, as read last, where they can be followed.
    fn followed(&self) -> Option<(CopyView, Arc<Spec>)> {
        let shared = self.shared();
        let copy = shared.copies.get(&self.me)?.known()?;
        let spec = copy.spec.clone().ok().filter(|spec| self.unavailable(spec).is_none())?;
        Some((copy.clone(), spec))
    }

    /// Whether there is such a copy.
    fn follows(&self) -> bool {
        let shared = self.shared();
        let copy = shared.copies.get(&self.me).and_then(Seen::known);
        copy.and_then(|copy| copy.spec.as_ref().ok()).is_some_and(|spec| self.unavailable(spec).is_none())
    }

    /// Why there is no such witness as the spec names.
    fn unavailable(&self, spec: &Spec) -> Option<String> {
        spec.lease.kind.unavailable(self.observers.witness_kind())
    }

    /// The intent that a copy says is to be aborted.
    fn aborted(&self) -> Option<String> {
        let intent = self.record()?.intent.as_ref()?.id.clone();
        Some(intent).filter(|id| requests::aborted(&self.shared().copies, id))
    }

    /// Tells the driver what the copies say of its intent.
    fn tell_abort(&self) {
        if let Some(driver) = &self.driver {
            driver.set_abort(self.aborted());
        }
    }

    /// Writes an abort into the record, for a driver that cannot read the copy in which it stands (PROTOCOL 2.12).
    async fn relay_abort(&self) {
        let Some(keeper) = &self.keeper else { return };
        loop {
            match self.record().is_some_and(|record| record.intent.is_some()) {
                true => self.clock.sleep(RELAY_PAUSE).await,
                false => self.rest(ATTEND_PAUSE).await,
            }
            let Some(id) = self.aborted() else { continue };
            let record = self.record();
            let stands = record.as_ref().is_some_and(|record| record.abort.as_ref() == Some(&id));
            let late = record.is_some_and(|record| record.intent.as_ref().is_some_and(|intent| intent.past_return()));
            if stands || late {
                continue;
            }
            if let Err(cause) = keeper.update(move |record| transition::ask_abort(record, &id)).await {
                tracing::warn!(%cause, "an abort was not written into the record");
            }
        }
    }

    /// Serves requests and answers, wherever they stand.
    async fn serve(&self) {
        loop {
            if self.follows()
                && let Some(record) = self.record().filter(|r| r.held_by(&self.me))
            {
                // Rare, and large: it is not to be in every task's memory.
                Box::pin(self.hold(&record)).await;
            }
            self.rest(ATTEND_PAUSE).await;
        }
    }

    /// Writes to the status. What became of it; a refusal is logged once for each cause.
    async fn patch_status(&self, patch: &Value) -> Outcome {
        let outcome = within(&*self.clock, REQUEST_LIMIT, self.actors.copy.patch_status(patch)).await;
        let outcome = outcome.unwrap_or_else(|| Outcome::Unknown("no answer in time".into()));
        match &outcome {
            Outcome::Done(()) => {}
            // Nothing else tells of it: whoever reads the status sees an old one.
            Outcome::Refused(cause) => {
                let before = self.shared().status_refused.replace(cause.clone());
                if before.as_ref() != Some(cause) {
                    tracing::warn!(%cause, "a part of the status was refused, and what stands there is old");
                }
            }
            outcome => tracing::debug!(?outcome, "the status was not written"),
        }
        outcome
    }
}

#[cfg(test)]
mod tests;
