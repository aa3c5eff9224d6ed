//! The keeper of the term: the one task that owns a Continuum's record. It reads, renews, and writes what
//! others hand it as pure functions; nobody else writes to the witness.
//!
//! Renewals go first, and wait for nothing but their turn at a witness that others ask as well (H09). After a conflict it
//! reads and applies again; after an unknown outcome it reads before it writes (H25). It decides nothing about a switchover.

mod changes;
mod turns;

use crate::clock::{Beats, Clock, Monotonic, within};
use crate::ledger::Lapse;
use crate::mailbox::Bell;
use crate::name::Region;
use crate::ports::{ActOnWitness, Cas, ObserveWitness, Version};
use crate::record::{Position, Record};
use crate::spec::LeaseSpec;
use crate::term::{Term, WITNESS_LIMIT};
use crate::transition::{self, Edit};
use changes::Job;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use turns::{For, Wait};

/// How often the record is read while an intent stands or a failback waits, so that the other
/// region takes over the driving at once after the swap, while nobody can write, and its status tells what is so.
const READ_BUSY: Duration = Duration::from_millis(250);

/// How often it is read while events are owed to a stream that may be away for hours.
const READ_OWING: Duration = Duration::from_secs(1);

/// Between two tries to reach a witness that did not answer or kept changing.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// Why a change was not written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotWritten {
    /// It cannot be any more.
    #[error("{0}")]
    Stale(String),
    /// The witness refused it.
    #[error("the witness refused the write: {0}")]
    Refused(String),
    /// The witness could not be reached, or what became of the write is not known.
    #[error("the witness could not be reached: {0}")]
    Unreachable(String),
}

/// The record as last read.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// The record. Absent: the register does not exist yet.
    pub record: Option<Arc<Record>>,
    /// When this process first saw its present version.
    pub first_seen: Monotonic,
    /// When it was read last.
    pub read_at: Monotonic,
    /// Grows at every read while an intent stands.
    pub beat: u64,
    /// How many reads succeeded: a waiter sees that there was another.
    pub read_count: u64,
}

/// The last renewal known to have succeeded.
#[derive(Clone, Copy)]
struct Renewed {
    sent: Monotonic,
    generation: u64,
    /// The term that the record promised the others, whatever the spec says since, s.
    ttl_seconds: u32,
    /// It was noticed that this term ran out.
    lapsed: bool,
}

/// What the keeper does next.
enum Due {
    Renewal,
    Read,
    Change,
    Nothing(Duration),
}

#[derive(Default)]
struct State {
    lease: Option<LeaseSpec>,
    view: Option<View>,
    version: Version,
    /// The last write's outcome is not known, or another version was met: read before writing.
    must_read: bool,
    /// Why the last read failed.
    unreachable: Option<String>,
    /// Why the last renewal was refused for good; absent: it was not, or a write went through since.
    refused: Option<String>,
    /// When the last read failed, where it did.
    read_failed_at: Option<Monotonic>,
    renewed: Option<Renewed>,
    /// The last term of this process that ran out before it was renewed, and when that was noticed.
    lapse: Option<(Lapse, Monotonic)>,
    tried_at: Option<Monotonic>,
    /// When the last read was sent.
    asked_at: Option<Monotonic>,
    /// One's turn at the witness, where it is waited for.
    waits: Option<Wait>,
    /// How many renewals failed since the last that did not.
    failed_in_a_row: u32,
    position: Option<Position>,
    /// Wall time and monotonic time at the last look at which no intent stood, or the first of all.
    journal_began: Option<(jiff::Timestamp, Monotonic)>,
    jobs: VecDeque<Job>,
    read_wanted: bool,
}

/// See the module.
pub struct Keeper {
    me: Region,
    clock: Arc<dyn Clock>,
    beats: Option<Beats>,
    observe: Arc<dyn ObserveWitness>,
    act: Arc<dyn ActOnWitness>,
    state: Mutex<State>,
    bell: Bell,
    /// Rung whenever the view is new.
    listeners: Mutex<Vec<Arc<Bell>>>,
}

impl State {
    /// The record as last read.
    fn record(&self) -> Option<&Record> {
        self.view.as_ref()?.record.as_deref()
    }

    /// Whether an intent stands.
    fn moves(&self) -> bool {
        self.record().is_some_and(|record| record.intent.is_some())
    }

    /// The last renewal known to have succeeded of the generation that stands.
    fn renewed(&self) -> Option<Renewed> {
        let generation = self.record()?.generation;
        self.renewed.filter(|renewed| renewed.generation == generation)
    }
}

impl Keeper {
    /// A keeper that has read nothing yet.
    pub fn new(
        me: Region,
        clock: Arc<dyn Clock>,
        observe: Arc<dyn ObserveWitness>,
        act: Arc<dyn ActOnWitness>,
    ) -> Self {
        Self {
            me,
            clock,
            beats: None,
            observe,
            act,
            state: Mutex::default(),
            bell: Bell::default(),
            listeners: Mutex::default(),
        }
    }

    /// The same, which renews and reads in step with these, and so not at the same moments as others.
    #[must_use]
    pub fn in_step(self, beats: Beats) -> Self {
        Self { beats: Some(beats), ..self }
    }

    /// When what was done at `at` and is done in every `period` is due again: never later than that.
    fn again(&self, at: Monotonic, period: Duration) -> Monotonic {
        at + self.beats.map_or(period, |beats| beats.once_in(period, at))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kind and timings to keep. Until they are known nothing is renewed.
    pub fn set_lease(&self, lease: LeaseSpec) {
        let mut state = self.state();
        if state.lease != Some(lease) {
            state.lease = Some(lease);
            drop(state);
            self.bell.ring();
        }
    }

    /// The newest position of one's own half, for the next renewal. Never waited for.
    pub fn set_position(&self, position: Option<Position>) {
        self.state().position = position;
    }

    /// What was read last; `None` before the first read.
    pub fn view(&self) -> Option<View> {
        self.state().view.clone()
    }

    /// The record of that view.
    pub fn record(&self) -> Option<Arc<Record>> {
        self.view()?.record
    }

    /// Wall time for the journal: while an intent stands, as it was before that and so much later as the monotonic clock
    /// says. A wall clock that is set in mid-move makes no move longer, and none shorter, as long as the same process lives.
    pub fn journal_time(&self) -> jiff::Timestamp {
        let mut state = self.state();
        let busy = state.moves();
        let (wall, at) = self.journal_began(&mut state, busy);
        wall.saturating_add(self.clock.now().since(at)).unwrap_or(wall)
    }

    /// What the journal's time is counted from: now, but for an intent that stands. It is set anew at every look between two
    /// moves, since a machine that slept would be late for ever by its monotonic clock.
    fn journal_began(&self, state: &mut State, busy: bool) -> (jiff::Timestamp, Monotonic) {
        let now = (self.clock.wall(), self.clock.now());
        let began = state.journal_began.filter(|_| busy).unwrap_or(now);
        state.journal_began = Some(began);
        began
    }

    /// Why the last read failed; `None` where it succeeded. A turn that does not come is no answer either.
    pub fn unreachable(&self) -> Option<String> {
        let state = self.state();
        state.unreachable.clone().or_else(|| self.waits_in_vain(&state))
    }

    /// Why the last renewal was refused for good, where it was: the record is read, and the term runs out.
    pub fn refused(&self) -> Option<String> {
        self.state().refused.clone()
    }

    /// What is left of one's own term.
    pub fn term(&self) -> Term {
        self.term_of(&self.state())
    }

    fn term_of(&self, state: &State) -> Term {
        let now = self.clock.now();
        match (state.lease, state.renewed()) {
            (Some(lease), Some(Renewed { sent, ttl_seconds, .. })) => {
                Term::of(&LeaseSpec { ttl_seconds, ..lease }, Some(sent), now)
            }
            (Some(lease), None) => Term::of(&lease, None, now),
            (None, _) => Term { left: Duration::ZERO, guard: Duration::ZERO },
        }
    }

    /// The last term that ran out before it was renewed, as far as this process knows, and when it noticed.
    pub fn lapse(&self) -> Option<(Lapse, Monotonic)> {
        let mut state = self.state();
        self.note_lapse(&mut state);
        state.lapse
    }

    /// Takes note of a term that ran out: also where it is renewed at this very moment.
    fn note_lapse(&self, state: &mut State) {
        let now = self.clock.now();
        let record = state.view.as_ref().and_then(|view| view.record.as_ref()).filter(|r| r.held_by(&self.me));
        let Some((record, renewed)) = record.zip(state.renewed.as_mut()) else { return };
        let over = now.since(renewed.sent) >= Duration::from_secs(renewed.ttl_seconds.into());
        if over && renewed.generation == record.generation && !renewed.lapsed {
            renewed.lapsed = true;
            let lapse = Lapse { generation: record.generation, renewal: record.renewal };
            state.lapse = Some((lapse, now));
        }
    }

    /// Asks for a read as soon as possible.
    pub fn read_soon(&self) {
        self.state().read_wanted = true;
        self.bell.ring();
    }

    /// Keeps the term. Runs for ever.
    pub async fn run(&self) {
        loop {
            self.give_up_old_jobs();
            match self.due() {
                Due::Renewal => Box::pin(self.renew()).await,
                Due::Read => self.read().await,
                Due::Change => Box::pin(self.work()).await,
                // Either the bell or the next due time: both only lead back to the top.
                Due::Nothing(pause) => self.rest(pause).await,
            }
        }
    }

    /// Renewals go first: reads that fail keep them from nothing, unless what stands there must be read.
    fn due(&self) -> Due {
        let state = self.state();
        let now = self.clock.now();
        let renewal = self.until_renewal(&state, now).filter(|_| !state.must_read);
        if renewal == Some(Duration::ZERO) {
            return Due::Renewal;
        }
        let read = self.until_read(&state, now);
        if read.is_zero() {
            return Due::Read;
        }
        let may_write = !state.must_read && state.view.is_some() && state.lease.is_some();
        if may_write && !state.jobs.is_empty() {
            return Due::Change;
        }
        Due::Nothing(renewal.map_or(read, |renewal| renewal.min(read)))
    }

    fn read_every(state: &State) -> Duration {
        let record = state.record();
        let owes = |record: &Record| !record.owed.is_empty();
        match record {
            Some(record) if record.intent.is_some() || record.pending.is_some() => READ_BUSY,
            Some(record) if owes(record) => READ_OWING,
            _ => state.lease.map_or(READ_BUSY, |lease| Duration::from_secs(lease.renew_seconds.into())),
        }
    }

    fn until_read(&self, state: &State, now: Monotonic) -> Duration {
        // What is written counts as read; that the last read failed is told until one succeeds, so there has to be one.
        let wanted = state.must_read || state.read_wanted || state.read_failed_at.is_some();
        let last = state.view.as_ref().filter(|_| !wanted).map(|v| v.read_at);
        let due = last.map_or(Monotonic::default(), |at| self.again(at, Self::read_every(state)));
        // A read that failed is tried again soon, not at once.
        let due = state.read_failed_at.map_or(due, |failed| due.max(failed + RETRY_PAUSE));
        due.since(now)
    }

    /// Reads as a keeper does, and writes nothing: for a replica that waits. What is handed in is not written, and its
    /// caller hears so in the end.
    pub async fn watch(&self) {
        loop {
            self.give_up_old_jobs();
            let pause = self.until_read(&self.state(), self.clock.now());
            match pause.is_zero() {
                true => self.read().await,
                false => self.rest(pause).await,
            }
        }
    }

    async fn rest(&self, pause: Duration) {
        // What was waited for is not wanted any more.
        self.state().waits = None;
        within(&*self.clock, pause, self.bell.heard()).await;
    }

    /// Time until the next renewal; `None` where this region does not hold the record.
    fn until_renewal(&self, state: &State, now: Monotonic) -> Option<Duration> {
        let lease = state.lease?;
        state.record().filter(|record| record.held_by(&self.me))?;
        let every = Duration::from_secs(lease.renew_seconds.into());
        let due = state.renewed().map_or(Monotonic::default(), |renewed| self.again(renewed.sent, every));
        // A renewal that failed is tried again soon, not at once.
        let due = state.tried_at.map_or(due, |tried| due.max(tried + RETRY_PAUSE));
        Some(due.since(now))
    }

    async fn read(&self) {
        let rank = self.state().read_rank(self.clock.now());
        let Some(_turn) = self.in_turn(For::Other, self.observe.turn(rank)).await else { return };
        {
            let mut state = self.state();
            state.read_wanted = false;
            state.asked_at = Some(self.clock.now());
        }
        let answer = within(&*self.clock, WITNESS_LIMIT, self.observe.read()).await;
        let now = self.clock.now();
        let mut state = self.state();
        match answer {
            Some(Ok((version, record))) => {
                state.must_read = false;
                state.read_failed_at = None;
                state.unreachable = None;
                self.saw(&mut state, version, record, now, true);
            }
            failed => {
                let cause = match failed {
                    Some(Err(cause)) => cause,
                    _ => format!("no answer in {} s", WITNESS_LIMIT.as_secs()),
                };
                if state.unreachable.as_ref() != Some(&cause) {
                    tracing::warn!(%cause, "witness cannot be read");
                }
                state.unreachable = Some(cause);
                state.read_failed_at = Some(now);
            }
        }
    }

    fn saw(&self, state: &mut State, version: Version, record: Option<Record>, now: Monotonic, was_read: bool) {
        let old = state.view.take();
        let same = state.version == version && old.is_some();
        let busy = record.as_ref().is_some_and(|r| r.intent.is_some());
        state.view = Some(View {
            first_seen: old.as_ref().filter(|_| same).map_or(now, |v| v.first_seen),
            read_at: now,
            beat: old.as_ref().map_or(0, |v| v.beat) + u64::from(was_read && busy),
            read_count: old.as_ref().map_or(0, |v| v.read_count) + 1,
            record: record.map(Arc::new),
        });
        state.version = version;
        self.journal_began(state, busy);
        self.listeners().iter().for_each(|bell| bell.ring());
    }

    /// Has this rung whenever the record was read or written.
    pub fn tell(&self, bell: Arc<Bell>) {
        self.listeners().push(bell);
    }

    fn listeners(&self) -> MutexGuard<'_, Vec<Arc<Bell>>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn renew(&self) {
        let rank = self.state().renewal_rank(self.clock.now());
        let Some(_turn) = self.in_turn(For::Renewal, self.act.turn(rank)).await else {
            // Its turn may come sooner, and somebody waits for it.
            if self.state().read_wanted {
                Box::pin(self.read()).await;
            }
            return;
        };
        let (lease, record, position) = {
            let mut state = self.state();
            state.tried_at = Some(self.clock.now());
            let record = state.view.as_ref().and_then(|v| v.record.clone());
            match (state.lease, record) {
                (Some(lease), Some(record)) => (lease, record, state.position),
                _ => return,
            }
        };
        if let Edit::Write(next) = transition::renew(&record, &self.me, lease.ttl_seconds, position) {
            let outcome = self.write(*next).await;
            if let Err(cause) = outcome {
                self.state().failed_in_a_row += 1;
                tracing::warn!(generation = record.generation, %cause, "renewal failed");
                if let NotWritten::Refused(cause) = cause {
                    self.state().refused = Some(cause);
                }
            }
        }
    }

    /// Writes a record over the version at hand. On success it counts as a renewal of the term where this
    /// region holds what was written and wrote as its holder.
    async fn write(&self, next: Record) -> Result<(), NotWritten> {
        let version = self.state().version.clone();
        let sent = self.clock.now();
        let answer = within(&*self.clock, WITNESS_LIMIT, self.act.compare_and_set(&version, &next)).await;
        let now = self.clock.now();
        let mut state = self.state();
        match answer.unwrap_or_else(|| Cas::Unknown(format!("no answer in {} s", WITNESS_LIMIT.as_secs()))) {
            Cas::Done(version) => {
                self.note_lapse(&mut state);
                state.refused = None;
                let before = state.record().map_or(0, |record| record.renewal);
                if next.held_by(&self.me) && next.renewal > before {
                    let Record { generation, ttl_seconds, .. } = next;
                    state.renewed = Some(Renewed { sent, generation, ttl_seconds, lapsed: false });
                    state.failed_in_a_row = 0;
                }
                self.saw(&mut state, version, Some(next), now, false);
                Ok(())
            }
            Cas::Conflict => {
                state.must_read = true;
                Err(NotWritten::Unreachable("another wrote at the same time".into()))
            }
            Cas::Refused(cause) => Err(NotWritten::Refused(cause)),
            Cas::Unknown(cause) => {
                state.must_read = true;
                Err(NotWritten::Unreachable(cause))
            }
        }
    }
}

#[cfg(test)]
mod tests;
