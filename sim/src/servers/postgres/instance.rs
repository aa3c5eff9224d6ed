//! The handle: what the operator orders, what the host runs, what a checker reads.

use super::journal::{Event, Journal};
use super::sql::Query;
use super::types::{Configuration, Control, Limits, Order, Settings, Snapshot, State};
use super::wal::{Content, Wal};
use super::{process, replication, session};
use crate::fabric::Net;
use crate::here;
use continuum_core::record::Lsn;
use futures_util::future::{join4, select};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Notify;

/// Port of clients.
pub(super) const CLIENT_PORT: u16 = 5432;
/// Port of the other half's WAL receiver.
pub(super) const REPLICATION_PORT: u16 = 5433;

/// A connected WAL receiver, as `pg_stat_replication` shows it.
#[derive(Clone, Debug)]
pub(super) struct SenderRow {
    pub application: String,
    pub sent: Lsn,
    pub flushed: Lsn,
    pub replayed: Lsn,
    pub replay_lag: Option<Duration>,
    /// When the receiver said something last, by its own clock. Absent: it never did.
    pub heard: Option<Duration>,
}

/// A client's session, as `pg_stat_activity` shows it.
#[derive(Clone, Debug)]
pub(super) struct ClientSession {
    pub user: String,
    pub application: String,
    /// It is to end.
    pub terminated: bool,
    /// How often its statement was to be cancelled.
    pub cancel_count: u64,
}

/// What outlives a crash.
pub(super) struct Disk {
    pub wal: Wal,
    pub control: Control,
    pub configuration: Configuration,
    /// The primary's limits before the log says any.
    pub first_limits: Limits,
}

/// The process's part.
pub(super) struct Inner {
    pub settings: Settings,
    pub journal: Journal,
    pub rng: ChaCha8Rng,
    pub disk: Disk,
    pub alive: bool,
    pub orders: VecDeque<Order>,
    pub state: State,
    /// When the present state ends by itself.
    pub due: Option<Duration>,
    /// Grows at every end of a postmaster: what belonged to an older one is gone.
    pub incarnation: u64,
    pub in_recovery: bool,
    pub archive_mode: String,
    /// What the process runs with.
    pub limits: Limits,
    /// Replay met a primary's limits that are above its own, and goes no further.
    pub falls_short: bool,
    /// When this process left recovery, and where.
    pub promoted: Option<(Duration, Lsn)>,
    pub replayed: Lsn,
    /// Positions that were received and when they may be replayed.
    pub to_replay: VecDeque<(Lsn, Duration)>,
    pub sessions: BTreeMap<u64, ClientSession>,
    pub senders: BTreeMap<u64, SenderRow>,
    pub receiving: bool,
    pub next_id: u64,
    /// Grows when the process or its configuration changes; not with every record.
    pub life: u64,
    pub accepting: bool,
    /// Query strings that were read before.
    pub queries: BTreeMap<String, Query>,
    pub dry_run_write_count: u64,
    // Knobs.
    pub replay_delay: Duration,
    pub clock_ahead: Duration,
    pub replay_paused: bool,
    pub shutdown_extra: Duration,
    pub statistics_hidden: bool,
}

/// PostgreSQL of one half. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Instance {
    pub(super) inner: Arc<Mutex<Inner>>,
    pub(super) changed: Arc<Notify>,
}

impl Instance {
    /// The primary half of a new pair, not started.
    pub fn new(settings: Settings, journal: Journal, rng: ChaCha8Rng) -> Self {
        let wal = Wal::new(&settings.system_id);
        let configuration = Configuration::default();
        let first_limits = Limits::default();
        let disk = Disk { wal, control: Control::ShutDown, configuration, first_limits };
        let replayed = disk.wal.end();
        let inner = Inner {
            settings,
            journal,
            rng,
            disk,
            alive: false,
            orders: VecDeque::new(),
            state: State::Stopped,
            due: None,
            incarnation: 0,
            in_recovery: false,
            archive_mode: "on".into(),
            limits: Limits::default(),
            falls_short: false,
            promoted: None,
            replayed,
            to_replay: VecDeque::new(),
            sessions: BTreeMap::new(),
            senders: BTreeMap::new(),
            receiving: false,
            next_id: 0,
            life: 0,
            accepting: false,
            queries: BTreeMap::new(),
            dry_run_write_count: 0,
            replay_delay: Duration::ZERO,
            clock_ahead: Duration::ZERO,
            replay_paused: false,
            shutdown_extra: Duration::ZERO,
            statistics_hidden: false,
        };
        Self { inner: Arc::new(Mutex::new(inner)), changed: Arc::new(Notify::new()) }
    }

    /// The other half of a pair: a base backup of `primary`, a standby, not started.
    pub fn standby_of(primary: &Instance, settings: Settings, journal: Journal, rng: ChaCha8Rng) -> Self {
        let standby = Self::new(settings, journal, rng);
        let wal = primary.lock().disk.wal.clone();
        {
            let mut inner = standby.lock();
            inner.replayed = wal.end();
            inner.disk.wal = wal;
            inner.disk.control = Control::ShutDownInRecovery;
            inner.disk.configuration.standby = true;
            inner.disk.configuration.archive_mode = "always".into();
        }
        standby
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics while it holds an instance")
    }

    /// Changes something and tells everybody who waits.
    pub(super) fn change<T>(&self, f: impl FnOnce(&mut Inner) -> T) -> T {
        let value = f(&mut self.lock());
        self.changed.notify_waiters();
        value
    }

    /// Waits until `f` gives something.
    pub(super) async fn until<T>(&self, mut f: impl FnMut(&mut Inner) -> Option<T>) -> T {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(value) = f(&mut self.lock()) {
                return value;
            }
            changed.await;
        }
    }

    /// The software of the half's host. Ends with the host.
    pub async fn run(self, net: Net) {
        let _host = HostUp::new(&self);
        join4(
            self.keep_time(&net),
            session::listen(&self, &net),
            replication::listen(&self, &net),
            replication::receive(&self, &net),
        )
        .await;
    }

    /// Moves the process on as orders come and as time passes.
    async fn keep_time(&self, net: &Net) {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            let now = net.now();
            let (moved, due) = process::advance(&mut self.lock(), now);
            if moved {
                self.changed.notify_waiters();
                continue;
            }
            match due {
                Some(due) => {
                    select(changed, pin!(tokio::time::sleep(due.saturating_sub(now)))).await;
                }
                None => changed.await,
            }
        }
    }

    /// Gives the postmaster an order. Nobody takes it where the host is down.
    pub fn order(&self, order: Order) {
        self.change(|inner| {
            if inner.alive {
                inner.orders.push_back(order);
            }
        });
    }

    /// Writes configuration files.
    pub fn configure(&self, configuration: Configuration) {
        self.change(|inner| {
            inner.disk.configuration = configuration;
            inner.life += 1;
        });
    }

    /// The limits of the pair's primary since before the log begins.
    pub fn set_first_limits(&self, limits: Limits) {
        self.lock().disk.first_limits = limits;
    }

    /// The configuration files.
    pub fn configuration(&self) -> Configuration {
        self.lock().disk.configuration.clone()
    }

    /// What its instance manager knows.
    pub fn snapshot(&self) -> Snapshot {
        let inner = self.lock();
        Snapshot {
            alive: inner.alive,
            state: inner.state,
            in_recovery: inner.in_recovery,
            control: inner.disk.control,
            checkpoint: inner.checkpoint(),
            standby_signal: inner.disk.configuration.standby,
            timeline: inner.replayed_timeline(),
            replayed: inner.replayed,
            end: inner.disk.wal.end(),
            pending_restart: inner.state != State::Stopped
                && (inner.archive_mode != inner.disk.configuration.archive_mode
                    || inner.limits != inner.disk.configuration.limits),
            session_count: inner.sessions.len(),
            streaming: inner.receiving,
            replay_paused: inner.is_replay_paused(),
        }
    }

    /// A number that grows when the process or its configuration changes.
    pub fn life(&self) -> u64 {
        self.lock().life
    }

    /// Told of every change.
    pub fn changed(&self) -> &Notify {
        &self.changed
    }

    /// `kill -9` of every process. Its host goes on.
    pub fn kill(&self) {
        let now = here::now().unwrap_or_default();
        self.change(|inner| process::kill(inner, now));
    }

    /// Whether a new session would find a server that takes writes.
    pub fn accepts_writes(&self) -> bool {
        let inner = self.lock();
        inner.state == State::Running && !inner.in_recovery
    }

    /// The rows in its history now, whether replayed or not: (client, number).
    pub fn rows(&self) -> BTreeSet<(String, u64)> {
        let inner = self.lock();
        let rows = inner.disk.wal.after(Lsn(0)).iter().filter_map(|record| match &record.content {
            Content::Row { client, number } => Some((client.clone(), *number)),
            _ => None,
        });
        rows.collect()
    }

    /// `pg_control_system().system_identifier`.
    pub fn system_id(&self) -> String {
        self.lock().settings.system_id.clone()
    }

    /// The password that a role has to give. Absent: none lets it in.
    pub fn password_of(&self, role: &str) -> Option<String> {
        self.lock().password(role)
    }

    /// Sets a role's password. It is WAL: the other half follows. Only a primary can.
    pub fn set_password(&self, role: &str, password: &str) {
        self.change(|inner| {
            assert!(!inner.in_recovery, "a standby takes no new password");
            let lsn = inner.disk.wal.append(Content::Password { role: role.to_owned(), password: password.to_owned() });
            inner.replayed = lsn;
        });
    }

    /// Replaces its disk by a base backup of `other`'s, as a standby. It must be stopped.
    pub fn reclone(&self, other: &Instance) {
        let wal = {
            let other = other.lock();
            other.disk.wal.clone()
        };
        let now = here::now().unwrap_or_default();
        self.change(|inner| {
            assert_eq!(inner.state, State::Stopped, "the disk of a running server is not replaced");
            inner.replayed = wal.end();
            inner.disk.wal = wal;
            inner.disk.control = Control::ShutDownInRecovery;
            inner.disk.configuration.standby = true;
            inner.disk.configuration.archive_mode = "always".into();
            inner.journal.write(now, &inner.settings.cluster.clone(), Event::Recloned);
        });
    }

    /// Gives it a write-ahead log of its own from here on, as a half has that was primary by itself for a while
    /// (H32). Only while it is stopped.
    pub fn diverge(&self) {
        self.change(|inner| {
            assert_eq!(inner.state, State::Stopped, "the disk of a running server is not changed");
            inner.disk.wal.fork("diverged");
            inner.disk.wal.append_shutdown_checkpoint();
            inner.replayed = inner.disk.wal.end();
        });
    }

    /// Changing statements that carried a dry run's application name.
    pub fn dry_run_write_count(&self) -> u64 {
        self.lock().dry_run_write_count
    }

    /// Fault: replay stays this far behind receipt.
    pub fn set_replay_delay(&self, delay: Duration) {
        self.change(|inner| inner.replay_delay = delay);
    }

    /// Fault: the clock of its host is ahead, which its primary sees in what it replies.
    pub fn set_clock_ahead(&self, ahead: Duration) {
        self.change(|inner| inner.clock_ahead = ahead);
    }

    /// Fault: `pg_wal_replay_pause()`.
    pub fn set_replay_paused(&self, paused: bool) {
        self.change(|inner| inner.replay_paused = paused);
    }

    /// Fault: a fast shutdown takes this much longer.
    pub fn set_shutdown_extra(&self, extra: Duration) {
        self.change(|inner| inner.shutdown_extra = extra);
    }

    /// The clients' role is no member of `pg_monitor`.
    pub fn set_statistics_hidden(&self, hidden: bool) {
        self.change(|inner| inner.statistics_hidden = hidden);
    }
}

impl Inner {
    /// A number that was not used before.
    pub fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Timeline at the end of replayed WAL.
    pub fn replayed_timeline(&self) -> u32 {
        self.disk.wal.until(self.replayed).last().map_or(1, |record| record.timeline)
    }

    /// Timeline and REDO location of the newest shutdown checkpoint that was replayed.
    pub fn checkpoint(&self) -> Option<(u32, Lsn)> {
        self.disk.wal.newest(self.replayed, |record| match record.content {
            Content::Checkpoint { redo } => Some((record.timeline, redo)),
            _ => None,
        })
    }

    /// By whom ever.
    pub fn is_replay_paused(&self) -> bool {
        self.replay_paused || self.falls_short
    }

    /// The primary's limits at the end of the log.
    pub fn needed_limits(&self) -> Limits {
        let said = self.disk.wal.newest(self.disk.wal.end(), |record| match record.content {
            Content::Parameters(limits) => Some(limits),
            _ => None,
        });
        said.unwrap_or(self.disk.first_limits)
    }

    /// The password that a role has to give. Absent: none lets it in. An empty one takes it away.
    pub fn password(&self, role: &str) -> Option<String> {
        let said = self.disk.wal.newest(self.replayed, |record| match &record.content {
            Content::Password { role: of, password } if of == role => Some(password.clone()),
            _ => None,
        });
        said.filter(|password| !password.is_empty())
    }

    /// Whether a commit that ends here may be acknowledged.
    pub fn is_acknowledged(&self, lsn: Lsn) -> bool {
        let synchronous = &self.disk.configuration.synchronous;
        let mut waited_for = self.senders.values().filter(|row| synchronous.standbys.contains(&row.application));
        if synchronous.standbys.is_empty() {
            return true;
        }
        if !synchronous.required && waited_for.clone().next().is_none() {
            return true;
        }
        waited_for.any(|row| row.flushed >= lsn)
    }
}

/// The host's software runs as long as this lives.
struct HostUp(Instance);

impl HostUp {
    fn new(instance: &Instance) -> Self {
        instance.change(|inner| {
            inner.alive = true;
            inner.life += 1;
        });
        Self(instance.clone())
    }
}

impl Drop for HostUp {
    fn drop(&mut self) {
        let now = here::now().unwrap_or_default();
        self.0.change(|inner| {
            inner.alive = false;
            inner.life += 1;
            inner.orders.clear();
            process::kill(inner, now);
        });
    }
}
