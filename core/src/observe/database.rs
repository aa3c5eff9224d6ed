//! What is observed of a half's PostgreSQL.

use crate::record::{Lsn, Position};
use jiff::SignedDuration;
use std::time::Duration;

/// Whether writes are accepted, as observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepts {
    /// Not in recovery and not read-only.
    Yes,
    /// In recovery, read-only, or the connection was refused.
    No,
    /// A time-out, or another error. Never "refused".
    Unknown,
}

/// PostgreSQL of one half, as a client sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct DatabaseView {
    /// Whether it accepts writes.
    pub accepts: Accepts,
    /// Why it does not, or why that is unknown: `in recovery`, `connection refused`, `57P03 ...`.
    pub detail: String,
    /// `pg_is_in_recovery()`. Absent: no connection.
    pub in_recovery: Option<bool>,
    /// Current timeline. Absent: not known.
    pub timeline: Option<u32>,
    /// `pg_current_wal_lsn()` on a primary, `pg_last_wal_replay_lsn()` on a standby.
    pub lsn: Option<Lsn>,
    /// `pg_is_wal_replay_paused()`, on a standby.
    pub replay_paused: Option<bool>,
    /// `archive_mode`: `always` on a designated primary, `on` once the restart after a promotion is through.
    pub archive_mode: Option<String>,
    /// `archive_mode` waits for a restart (`pg_settings.pending_restart`), as it does after a promotion. Others that wait do
    /// so for reasons of their own.
    pub pending_restart: Option<bool>,
    /// Settings that a standby may not have lower than its primary. Absent: not known.
    pub hot_standby: Option<HotStandby>,
    /// Names of its logical replication slots, sorted. Absent: not known.
    pub logical_slots: Option<Vec<String>>,
    /// `pg_control_system().system_identifier`.
    pub system_id: Option<String>,
    /// Rows of `pg_stat_replication`. Absent: the role may not see them (needs `pg_monitor`).
    pub replicas: Option<Vec<ReplicaRow>>,
}

/// What a standby may not have lower than its primary: it would stream, pause its replay, and end for good when it
/// is promoted (H49).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HotStandby {
    /// `max_connections`.
    pub connections: u32,
    /// `max_worker_processes`.
    pub worker_processes: u32,
    /// `max_wal_senders`.
    pub wal_senders: u32,
    /// `max_prepared_transactions`.
    pub prepared_transactions: u32,
    /// `max_locks_per_transaction`.
    pub locks_per_transaction: u32,
}

impl HotStandby {
    /// The settings by PostgreSQL's names.
    pub fn named(&self) -> [(&'static str, u32); 5] {
        [
            ("max_connections", self.connections),
            ("max_worker_processes", self.worker_processes),
            ("max_wal_senders", self.wal_senders),
            ("max_prepared_transactions", self.prepared_transactions),
            ("max_locks_per_transaction", self.locks_per_transaction),
        ]
    }
}

/// A standby that answers is heard at least this often while it has something to replay
/// (`wal_receiver_status_interval`): what it said before is no measure of its lag.
pub const REPLY_AGE_MAX: Duration = Duration::from_secs(10);

/// The clocks of two hosts that are kept right differ by no more.
pub const CLOCKS_APART_MAX: Duration = Duration::from_secs(1);

/// A row of `pg_stat_replication`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaRow {
    /// `application_name`: the name of the other half's Cluster.
    pub application_name: String,
    /// `state` is `streaming`.
    pub streaming: bool,
    /// `replay_lsn`.
    pub replay: Option<Lsn>,
    /// `replay_lag`; NULL on an idle pair. Of a standby that fell silent it is that of its last good moment.
    pub replay_lag: Option<Duration>,
    /// How long ago the standby said something, by its own `reply_time`: below 0 where its clock is ahead. Absent: it
    /// never did.
    pub reply_age: Option<SignedDuration>,
    /// `sync_state`: `async`, `sync`, `quorum`, `potential`.
    pub sync_state: String,
}

impl ReplicaRow {
    /// By how much its clock is ahead at least, where that is more than two clocks may differ.
    pub fn clock_ahead(&self) -> Option<Duration> {
        let ahead = self.reply_age.filter(SignedDuration::is_negative)?.unsigned_abs();
        (ahead > CLOCKS_APART_MAX).then_some(ahead)
    }

    /// For how long it has been silent, as far as the clocks tell.
    pub fn silent_for(&self) -> Option<Duration> {
        self.reply_age.map(|age| age.max(SignedDuration::ZERO).unsigned_abs())
    }
}

impl DatabaseView {
    /// Rows of the half whose Cluster has this name, the one that was heard last first. Of a connection that died
    /// the row stays for a minute beside that of the new one. Absent: the role may not see them.
    pub fn rows_of(&self, cluster: &str) -> Option<Vec<&ReplicaRow>> {
        let mut rows: Vec<&ReplicaRow> =
            self.replicas.as_ref()?.iter().filter(|row| row.application_name == cluster && row.streaming).collect();
        rows.sort_by_key(|row| row.reply_age.unwrap_or(SignedDuration::MAX));
        Some(rows)
    }

    /// Replication lag toward the half whose Cluster has this name. Absent: unmeasured. No row is unmeasured;
    /// replayed to the current position is 0; behind with a NULL lag is unmeasured, and so is behind without a word
    /// for [`REPLY_AGE_MAX`]. Who is behind is so by at least the time since he said something: where his clock is so
    /// far ahead that this is not known, he may be silent, and his lag is unmeasured.
    pub fn lag_to(&self, cluster: &str) -> Option<Duration> {
        self.lag_of(self.rows_of(cluster)?.first()?)
    }

    /// The same by the row that is furthest behind: a synchronous commit may wait for that one.
    pub fn worst_lag_to(&self, cluster: &str) -> Option<Duration> {
        let rows = self.rows_of(cluster)?;
        let lags: Option<Vec<Duration>> = rows.iter().map(|row| self.lag_of(row)).collect();
        lags?.into_iter().max()
    }

    fn lag_of(&self, row: &ReplicaRow) -> Option<Duration> {
        if row.replay.is_some_and(|replay| self.lsn.is_some_and(|current| replay >= current)) {
            return Some(Duration::ZERO);
        }
        if row.clock_ahead().is_some() {
            return None;
        }
        let age = row.silent_for().filter(|age| *age <= REPLY_AGE_MAX)?;
        Some(row.replay_lag?.max(age))
    }

    /// Timeline and position, where both are known.
    pub fn position(&self) -> Option<Position> {
        Some(Position { timeline: self.timeline?, lsn: self.lsn? })
    }
}
