//! What may stand behind `from`.

use super::evaluate::{is_superuser, setting, wal_file};
use super::value::Value;
use crate::determinism::EPOCH;
use crate::servers::postgres::instance::Inner;
use crate::servers::postgres::wal::Content;
use continuum_core::record::Lsn;
use std::collections::BTreeSet;
use std::time::Duration;

/// Rows, each with its columns in the table's order.
pub(super) type Rows<'a> = Box<dyn Iterator<Item = Vec<Value<'a>>> + 'a>;

/// Who asks, and when.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub user: &'a str,
    pub now: Duration,
}

/// A table, a view, or a function that gives rows.
pub(super) struct Table {
    name: &'static str,
    pub columns: &'static [&'static str],
    rows: for<'a> fn(&'a Inner, Asked<'a>) -> Rows<'a>,
}

impl Table {
    pub fn rows<'a>(&self, inner: &'a Inner, asked: Asked<'a>) -> Rows<'a> {
        (self.rows)(inner, asked)
    }
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Table {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

pub(super) fn find(name: &str) -> Option<&'static Table> {
    TABLES.iter().find(|table| table.name == name)
}

static TABLES: [Table; 9] = [
    Table { name: "w", columns: &["client", "number"], rows: written },
    Table {
        name: "pg_stat_replication",
        columns: &[
            "pid",
            "usename",
            "application_name",
            "state",
            "sent_lsn",
            "write_lsn",
            "flush_lsn",
            "replay_lsn",
            "replay_lag",
            "sync_priority",
            "sync_state",
            "reply_time",
        ],
        rows: replication,
    },
    Table {
        name: "pg_stat_wal_receiver",
        columns: &["pid", "status", "flushed_lsn", "received_tli", "latest_end_lsn"],
        rows: receiver,
    },
    Table { name: "pg_control_system", columns: &["system_identifier"], rows: control_system },
    Table { name: "pg_control_checkpoint", columns: &["redo_lsn", "redo_wal_file", "timeline_id"], rows: checkpoint },
    Table { name: "pg_ls_waldir", columns: &["name"], rows: wal_files },
    Table {
        name: "pg_stat_activity",
        columns: &["pid", "usename", "application_name", "backend_type"],
        rows: activity,
    },
    Table { name: "pg_settings", columns: &["name", "setting", "pending_restart"], rows: settings },
    // The model has none.
    Table {
        name: "pg_replication_slots",
        columns: &["slot_name", "slot_type", "temporary", "active"],
        rows: |_, _| Box::new(std::iter::empty()),
    },
];

/// A running server writes its next checkpoint this long after a promotion at the latest: until then the control file
/// says the old timeline.
const CHECKPOINT: Duration = Duration::from_secs(30);

fn written<'a>(inner: &'a Inner, _: Asked<'a>) -> Rows<'a> {
    Box::new(inner.disk.wal.until(inner.replayed).iter().filter_map(|record| match &record.content {
        Content::Row { client, number } => Some(vec![Value::text(client), Value::Int(number.cast_signed())]),
        _ => None,
    }))
}

/// The oldest connection first. A receiver that fell silent stays as it was last heard of, until its sender gives up.
fn replication<'a>(inner: &'a Inner, asked: Asked<'a>) -> Rows<'a> {
    let names = &inner.disk.configuration.synchronous.standbys;
    // A role that is no member of `pg_monitor` sees that there is a row.
    let hidden = inner.statistics_hidden && !is_superuser(asked.user);
    Box::new(inner.senders.iter().map(move |(id, sender)| {
        let synchronous = names.contains(&sender.application);
        let interval = |lag: Duration| Value::Interval(micros(lag));
        let details = [
            Value::text("streaming"),
            Value::Lsn(sender.sent),
            Value::Lsn(sender.flushed),
            Value::Lsn(sender.flushed),
            Value::Lsn(sender.replayed),
            sender.replay_lag.map_or(Value::Null, interval),
            Value::Int(synchronous.into()),
            Value::text(if synchronous { "quorum" } else { "async" }),
            sender.heard.map_or(Value::Null, |at| Value::Time(micros(EPOCH + at))),
        ];
        let seen = [pid(*id), Value::text("streaming_replica"), Value::text(&sender.application)];
        seen.into_iter().chain(details.map(|value| if hidden { Value::Null } else { value })).collect()
    }))
}

fn receiver<'a>(inner: &'a Inner, asked: Asked<'a>) -> Rows<'a> {
    let hidden = inner.statistics_hidden && !is_superuser(asked.user);
    let row = (inner.in_recovery && inner.receiving).then(|| {
        let end = Value::Lsn(inner.disk.wal.end());
        let details = [Value::text("streaming"), end.clone(), Value::Int(inner.disk.wal.timeline().into()), end];
        let details = details.map(|value| if hidden { Value::Null } else { value });
        std::iter::once(Value::Int(1)).chain(details).collect()
    });
    Box::new(row.into_iter())
}

fn control_system<'a>(inner: &'a Inner, _: Asked<'a>) -> Rows<'a> {
    let id = &inner.settings.system_id;
    Box::new(std::iter::once(vec![id.parse().map_or_else(|_| Value::text(id), Value::Int)]))
}

fn checkpoint<'a>(inner: &'a Inner, asked: Asked<'a>) -> Rows<'a> {
    let shut_down = inner.checkpoint();
    let fresh = !inner.in_recovery && inner.promoted.is_none_or(|(at, _)| asked.now.saturating_sub(at) > CHECKPOINT);
    let timeline = match shut_down {
        _ if fresh => inner.disk.wal.timeline(),
        Some((timeline, _)) => timeline,
        None => 1,
    };
    let redo = shut_down.map_or(Lsn::default(), |(_, redo)| redo);
    let row = vec![Value::Lsn(redo), Value::Text(wal_file(timeline, redo).into()), Value::Int(timeline.into())];
    Box::new(std::iter::once(row))
}

fn wal_files<'a>(inner: &'a Inner, _: Asked<'a>) -> Rows<'a> {
    let records = inner.disk.wal.until(inner.replayed).iter();
    let names: BTreeSet<String> = records.map(|record| wal_file(record.timeline, record.lsn)).collect();
    Box::new(names.into_iter().map(|name| vec![Value::Text(name.into())]))
}

fn activity<'a>(inner: &'a Inner, asked: Asked<'a>) -> Rows<'a> {
    Box::new(inner.sessions.iter().map(move |(id, session)| {
        let hidden = inner.statistics_hidden && !is_superuser(asked.user) && asked.user != session.user;
        let kind = if hidden { Value::Null } else { Value::text("client backend") };
        vec![pid(*id), Value::text(&session.user), Value::text(&session.application), kind]
    }))
}

/// The settings that the model has. One whose file says otherwise waits for a restart.
fn settings<'a>(inner: &'a Inner, _: Asked<'a>) -> Rows<'a> {
    const NAMES: [&str; 7] = [
        "archive_mode",
        "max_connections",
        "max_locks_per_transaction",
        "max_prepared_transactions",
        "max_wal_senders",
        "max_worker_processes",
        "synchronous_standby_names",
    ];
    Box::new(NAMES.into_iter().map(|name| {
        let file = &inner.disk.configuration;
        let waits = match name {
            "archive_mode" => inner.archive_mode != file.archive_mode,
            "max_connections" => inner.limits.max_connections != file.limits.max_connections,
            "max_locks_per_transaction" => {
                inner.limits.max_locks_per_transaction != file.limits.max_locks_per_transaction
            }
            "max_prepared_transactions" => {
                inner.limits.max_prepared_transactions != file.limits.max_prepared_transactions
            }
            "max_wal_senders" => inner.limits.max_wal_senders != file.limits.max_wal_senders,
            "max_worker_processes" => inner.limits.max_worker_processes != file.limits.max_worker_processes,
            _ => false,
        };
        vec![Value::text(name), setting(inner, name).map_or(Value::Null, Value::Text), Value::Bool(waits)]
    }))
}

fn pid(id: u64) -> Value<'static> {
    Value::Int(id.cast_signed())
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}
