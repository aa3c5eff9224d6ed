//! What is said between an instance and those who handle it: settings, files, orders, reports.

use continuum_core::record::Lsn;
use std::time::Duration;

/// How a half's PostgreSQL is set up, for good.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its Cluster: the `application_name` of its WAL receiver, and its name in the journal.
    pub cluster: String,
    /// Host of the other half, `pg.hel`, which it follows when it is a standby.
    pub upstream: String,
    /// `pg_control_system().system_identifier`. Equal on both halves.
    pub system_id: String,
}

/// `synchronous_standby_names` with what the operator makes of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Synchronous {
    /// Application names, one of which has to acknowledge.
    pub standbys: Vec<String>,
    /// Without one of them nothing is acknowledged. Else a commit that finds none of them does not wait.
    pub required: bool,
}

/// Settings of which a standby needs at least what its primary has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Limits {
    /// `max_connections`.
    pub max_connections: u32,
    /// `max_worker_processes`.
    pub max_worker_processes: u32,
    /// `max_wal_senders`.
    pub max_wal_senders: u32,
    /// `max_prepared_transactions`.
    pub max_prepared_transactions: u32,
    /// `max_locks_per_transaction`.
    pub max_locks_per_transaction: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 100,
            max_worker_processes: 32,
            max_wal_senders: 10,
            max_prepared_transactions: 0,
            max_locks_per_transaction: 64,
        }
    }
}

impl Limits {
    /// Whether a server with these can replay what one with `others` wrote.
    pub fn cover(&self, others: &Limits) -> bool {
        self.max_connections >= others.max_connections
            && self.max_worker_processes >= others.max_worker_processes
            && self.max_wal_senders >= others.max_wal_senders
            && self.max_prepared_transactions >= others.max_prepared_transactions
            && self.max_locks_per_transaction >= others.max_locks_per_transaction
    }
}

/// `wal_sender_timeout`, as CloudNativePG sets it. PostgreSQL's own is 60 s.
pub const WAL_SENDER_TIMEOUT: Duration = Duration::from_secs(5);

/// The configuration files, which the instance manager writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// Takes effect at the next start: `always` on a replica half, `on` on the primary one.
    pub archive_mode: String,
    /// Takes effect at once. Empty: asynchronous.
    pub synchronous: Synchronous,
    /// `standby.signal` is there: the next start is one as a standby.
    pub standby: bool,
    /// Take effect at the next start.
    pub limits: Limits,
    /// A WAL receiver that was silent for this long is given up, and not before.
    pub wal_sender_timeout: Duration,
}

impl Default for Configuration {
    /// A primary's, asynchronous.
    fn default() -> Self {
        Self {
            archive_mode: "on".into(),
            synchronous: Synchronous::default(),
            standby: false,
            limits: Limits::default(),
            wal_sender_timeout: WAL_SENDER_TIMEOUT,
        }
    }
}

/// `pg_controldata`: database cluster state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Shut down with a checkpoint.
    ShutDown,
    /// The same, of a standby.
    ShutDownInRecovery,
    /// Runs as a primary, or was killed as one.
    InProduction,
    /// Runs as a standby, or was killed as one.
    InRecovery,
}

/// Shutdown modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// New sessions are refused, old ones go on to their end.
    Smart,
    /// Sessions are terminated, then a checkpoint is written.
    Fast,
    /// Nothing is written: the next start recovers.
    Immediate,
}

/// What the postmaster is told. Carried out by the host's software, so by none while that is down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Start.
    Start,
    /// Shut down.
    Stop(Shutdown),
    /// End recovery.
    Promote,
}

/// State of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nobody listens.
    Stopped,
    /// Connections are refused with 57P03 "starting up".
    Starting,
    /// Running.
    Running,
    /// Connections are refused with 57P03 "shutting down".
    Stopping(Shutdown),
}

/// What an instance manager knows of its PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The host's software runs.
    pub alive: bool,
    /// Process.
    pub state: State,
    /// In recovery; meaningful while it runs.
    pub in_recovery: bool,
    /// `pg_controldata`: state.
    pub control: Control,
    /// `pg_controldata`: timeline and REDO location of the last shutdown checkpoint that was written or replayed.
    /// Absent: there was none since the beginning.
    pub checkpoint: Option<(u32, Lsn)>,
    /// `standby.signal` is there.
    pub standby_signal: bool,
    /// Timeline at the end of replayed WAL.
    pub timeline: u32,
    /// End of replayed WAL.
    pub replayed: Lsn,
    /// End of WAL.
    pub end: Lsn,
    /// What takes a restart differs between the files and the process.
    pub pending_restart: bool,
    /// Client sessions.
    pub session_count: usize,
    /// Its WAL receiver streams.
    pub streaming: bool,
    /// Its replay stands still: it was paused, or its settings are lower than its primary's.
    pub replay_paused: bool,
}
