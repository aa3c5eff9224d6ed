//! The statements that the model answers: the production probe's, word for word, and the clients'.

use super::instance::Inner;
use super::journal::Event;
use super::process;
use super::wal::Content;
use continuum_core::record::Lsn;
use continuum_live::postgres::{COMMIT_SQL, LOOK_SQL, REPLICAS_SQL, TRY_SQL};
use std::time::Duration;

/// Part of the answer to one query string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Column names and rows.
    Rows(Vec<&'static str>, Vec<Vec<Option<String>>>),
    /// A command without rows is through.
    Done(&'static str),
    /// SQLSTATE and message. Nothing follows.
    Error(&'static str, String),
    /// The rest is told once the commit that ends here is acknowledged.
    Commit(Lsn),
}

/// Whether a statement changes something when it succeeds: what a dry run must not send.
pub(super) fn is_changing(sql: &str) -> bool {
    sql == TRY_SQL || sql == COMMIT_SQL || sql.starts_with("insert")
}

/// Runs a query string.
pub(super) fn run(inner: &mut Inner, now: Duration, sql: &str) -> Vec<Part> {
    let sql = sql.trim().trim_end_matches(';');
    if sql == LOOK_SQL {
        return vec![look(inner)];
    }
    if sql == REPLICAS_SQL {
        return vec![replicas(inner)];
    }
    if sql == TRY_SQL {
        let mut parts = vec![Part::Done("BEGIN")];
        if inner.in_recovery {
            parts.push(read_only("pg_current_xact_id() during recovery"));
        } else {
            let id = inner.fresh_id().to_string();
            let row = vec![Some(id), Some("off".into())];
            parts.push(Part::Rows(vec!["pg_current_xact_id", "read_only"], vec![row]));
            parts.push(Part::Done("ROLLBACK"));
        }
        return parts;
    }
    if sql == COMMIT_SQL {
        if inner.in_recovery {
            return vec![Part::Error("XX000", "cannot assign TransactionIds during recovery".into())];
        }
        let lsn = commit(inner, Content::Message);
        let row = vec![Some(lsn.to_string())];
        return vec![Part::Commit(lsn), Part::Rows(vec!["pg_logical_emit_message"], vec![row])];
    }
    if let Some((client, number)) = parse_insert(sql) {
        if inner.in_recovery {
            return vec![read_only("INSERT in a read-only transaction")];
        }
        let lsn = commit(inner, Content::Row { client: client.clone(), number });
        let timeline = inner.disk.wal.timeline();
        process::write(inner, now, Event::Committed { client, number, lsn, timeline });
        return vec![Part::Commit(lsn), Part::Done("INSERT 0 1")];
    }
    if let Some((client, number)) = parse_row(sql) {
        let row = Content::Row { client, number };
        let count = inner.disk.wal.until(inner.replayed).iter().filter(|record| record.content == row).count();
        return vec![Part::Rows(vec!["count"], vec![vec![Some(count.to_string())]])];
    }
    match sql {
        "select count(*) from w" => {
            let replayed = inner.disk.wal.until(inner.replayed);
            let count = replayed.iter().filter(|record| matches!(record.content, Content::Row { .. })).count();
            vec![Part::Rows(vec!["count"], vec![vec![Some(count.to_string())]])]
        }
        "select 1" => vec![Part::Rows(vec!["?column?"], vec![vec![Some("1".into())]])],
        other => vec![Part::Error("42601", format!("the model does not know `{other}`"))],
    }
}

/// `insert into w values ('<client>', <number>)`.
pub(super) fn parse_insert(sql: &str) -> Option<(String, u64)> {
    let values = sql.strip_prefix("insert into w values (")?.strip_suffix(')')?;
    let (client, number) = values.split_once(',')?;
    let client = client.trim().strip_prefix('\'')?.strip_suffix('\'')?;
    Some((client.to_owned(), number.trim().parse().ok()?))
}

/// `select count(*) from w where client = '<client>' and number = <number>`.
fn parse_row(sql: &str) -> Option<(String, u64)> {
    let values = sql.strip_prefix("select count(*) from w where client = '")?;
    let (client, number) = values.split_once("' and number = ")?;
    Some((client.to_owned(), number.parse().ok()?))
}

fn commit(inner: &mut Inner, content: Content) -> Lsn {
    let lsn = inner.disk.wal.append(content);
    inner.replayed = lsn;
    lsn
}

fn read_only(what: &str) -> Part {
    Part::Error("25006", format!("cannot execute {what}"))
}

fn look(inner: &Inner) -> Part {
    let recovery = inner.in_recovery;
    let truth = |value: bool| Some(if value { "t" } else { "f" }.to_owned());
    let row = vec![
        truth(recovery),
        Some(if recovery { "on" } else { "off" }.to_owned()),
        Some(inner.archive_mode.clone()),
        Some(inner.settings.system_id.clone()),
        Some(if recovery { inner.replayed } else { inner.disk.wal.end() }.to_string()),
        if recovery { truth(inner.replay_paused) } else { None },
        Some(if recovery { inner.replayed_timeline() } else { inner.disk.wal.timeline() }.to_string()),
    ];
    let columns = vec!["in_recovery", "read_only", "archive_mode", "system_id", "lsn", "replay_paused", "timeline"];
    Part::Rows(columns, vec![row])
}

fn replicas(inner: &Inner) -> Part {
    let columns = vec!["application_name", "state", "replay_lsn", "replay_lag", "sync_state"];
    let names = &inner.disk.configuration.synchronous.standbys;
    let rows = inner.senders.values().map(|row| {
        if inner.statistics_hidden {
            return vec![Some(row.application.clone()), None, None, None, None];
        }
        vec![
            Some(row.application.clone()),
            Some("streaming".to_owned()),
            Some(row.replayed.to_string()),
            row.replay_lag.map(|lag| format!("{:.6}", lag.as_secs_f64())),
            Some(if names.contains(&row.application) { "quorum" } else { "async" }.to_owned()),
        ]
    });
    Part::Rows(columns, rows.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_insert_names_its_client_and_number() {
        assert_eq!(parse_insert("insert into w values ('clients.fsn-1', 7)"), Some(("clients.fsn-1".into(), 7)));
        assert_eq!(parse_insert("insert into v values ('a', 7)"), None);
    }
}
