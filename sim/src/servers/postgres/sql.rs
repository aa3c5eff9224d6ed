//! The statements that the model answers: a probe's, which stand in their own file, and the clients'.

use super::instance::Inner;
use super::journal::Event;
use super::wal::Content;
use super::{probe, process};
use continuum_core::record::Lsn;
use std::time::Duration;

/// Part of the answer to one query string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Column names and rows.
    Rows(Vec<String>, Vec<Vec<Option<String>>>),
    /// A command without rows is through.
    Done(&'static str),
    /// SQLSTATE and message. Nothing follows.
    Error(&'static str, String),
    /// The rest is told once the commit that ends here is acknowledged.
    Commit(Lsn),
    /// Nothing is told for so long.
    Sleep(Duration),
}

/// Whether a statement changes something when it succeeds: what a dry run must not send.
pub(super) fn is_changing(sql: &str) -> bool {
    probe::is_changing(sql) || sql.starts_with("insert")
}

/// Runs a query string.
pub(super) fn run(inner: &mut Inner, now: Duration, sql: &str) -> Vec<Part> {
    let sql = sql.trim().trim_end_matches(';');
    if let Some(parts) = probe::answer(inner, now, sql) {
        return parts;
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
        return vec![Part::Rows(vec!["count".into()], vec![vec![Some(count.to_string())]])];
    }
    match sql {
        "select count(*) from w" => {
            let replayed = inner.disk.wal.until(inner.replayed);
            let count = replayed.iter().filter(|record| matches!(record.content, Content::Row { .. })).count();
            vec![Part::Rows(vec!["count".into()], vec![vec![Some(count.to_string())]])]
        }
        "select 1" => vec![Part::Rows(vec!["?column?".into()], vec![vec![Some("1".into())]])],
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

pub(super) fn commit(inner: &mut Inner, content: Content) -> Lsn {
    let lsn = inner.disk.wal.append(content);
    inner.replayed = lsn;
    lsn
}

pub(super) fn read_only(what: &str) -> Part {
    Part::Error("25006", format!("cannot execute {what}"))
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
