//! PostgreSQL of one half, as operator and instance manager handle it. The simulated one is one; a real server can stand in
//! its place.

use crate::fabric::{HostFuture, Net};
use crate::servers::postgres::{Configuration, Control, Order, State};
use async_trait::async_trait;
use continuum_core::record::Lsn;
use std::pin::pin;
use tokio::sync::Notify;

/// What an instance manager knows of its PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Its node is up.
    pub alive: bool,
    /// Process.
    pub state: State,
    /// In recovery; meaningful while it runs.
    pub in_recovery: bool,
    /// `pg_controldata`: state.
    pub control: Control,
    /// `pg_controldata`: timeline and REDO location of the latest checkpoint. Absent: it tells of none.
    pub checkpoint: Option<(u32, Lsn)>,
    /// `standby.signal` is there.
    pub standby_signal: bool,
    /// Timeline at the end of replayed WAL.
    pub timeline: u32,
    /// What takes a restart differs between the files and the process.
    pub pending_restart: bool,
}

/// See the module. What is ordered is not waited for: it shows in a later status.
#[async_trait]
pub trait Database: Send + Sync {
    /// Keeps it going while its node is up. Runs for ever.
    fn run(&self, net: Net) -> HostFuture;
    /// How it is now.
    fn status(&self) -> Status;
    /// A number that grows when the process or its configuration changes.
    fn life(&self) -> u64;
    /// Told of every change.
    fn changed(&self) -> &Notify;
    /// Gives the postmaster an order.
    fn order(&self, order: Order);
    /// `kill -9` of every process.
    fn kill(&self);
    /// Writes configuration files.
    fn configure(&self, configuration: Configuration);
    /// The configuration files.
    fn configuration(&self) -> Configuration;
    /// `pg_control_system().system_identifier`.
    fn system_id(&self) -> String;
    /// Has it write a checkpoint, and reads its control file then: timeline and REDO location of the latest one. Absent: it
    /// did not do that.
    async fn checkpoint(&self) -> Option<(u32, Lsn)>;
    /// Gives a role this password, where it has another. Whether it has this one now.
    async fn set_password(&self, role: &str, password: &str) -> bool;
}

impl dyn Database {
    /// Waits until `f` gives a value, looking at every change.
    pub(super) async fn watch<T>(&self, mut f: impl FnMut(&Status) -> Option<T>) -> T {
        loop {
            let mut changed = pin!(self.changed().notified());
            changed.as_mut().enable();
            if let Some(value) = f(&self.status()) {
                return value;
            }
            changed.await;
        }
    }

    /// Waits until the process or its configuration has changed after `life`.
    pub(super) async fn changed_since(&self, life: u64) {
        loop {
            let mut changed = pin!(self.changed().notified());
            changed.as_mut().enable();
            if self.life() > life {
                return;
            }
            changed.await;
        }
    }
}

impl Status {
    /// Whether a new session would find a server that takes writes.
    pub(super) fn accepts_writes(&self) -> bool {
        self.state == State::Running && !self.in_recovery
    }
}
