//! What is said between an instance and those who handle it: settings, files, orders, reports.

use continuum_core::record::Lsn;

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

/// The configuration files, which the instance manager writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// Takes effect at the next start: `always` on a replica half, `on` on the primary one.
    pub archive_mode: String,
    /// Takes effect at once. Empty: asynchronous.
    pub synchronous: Synchronous,
    /// `standby.signal` is there: the next start is one as a standby.
    pub standby: bool,
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
    /// `archive_mode` of the file differs from that of the process.
    pub pending_restart: bool,
    /// Client sessions.
    pub session_count: usize,
    /// Its WAL receiver streams.
    pub streaming: bool,
}
