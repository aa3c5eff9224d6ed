//! What a probe may ask, answered expression by expression, as PostgreSQL 15 answers it. The texts are this model's
//! own: a question that is put otherwise than here is one that it does not know.

use super::instance::{Inner, SenderRow};
use super::sql::{Part, commit, read_only};
use super::wal::Content;
use continuum_core::record::Lsn;
use std::time::Duration;

const TRY: &str = "begin; select pg_current_xact_id(), current_setting('transaction_read_only') as read_only; rollback";
const COMMIT_HERE: &str = "begin; set local synchronous_commit = local; \
                           select pg_logical_emit_message(true, 'continuum', 'probe'); commit";
const CONFIRMED: &str =
    "select count(*) as confirmed from pg_stat_replication where sync_state in ('sync', 'quorum') and flush_lsn >= '";

/// The timeline: of a standby what it follows or restarted from, of a primary that of its current segment.
const TIMELINE: &str = "case when pg_is_in_recovery() \
                        then greatest((select received_tli from pg_stat_wal_receiver), \
                        (select timeline_id from pg_control_checkpoint())) \
                        else ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int end";
const LSN: &str = "case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end";
const SLOTS: &str = "(select string_agg(slot_name, ',' order by slot_name) from pg_replication_slots \
                     where slot_type = 'logical' and not temporary)";

/// Whether a statement changes something when it succeeds: what a dry run must not send.
pub(super) fn is_changing(sql: &str) -> bool {
    sql.starts_with("begin")
}

/// The answer; `None` where it is no such question.
pub(super) fn answer(inner: &mut Inner, now: Duration, sql: &str) -> Option<Vec<Part>> {
    match sql {
        TRY => return Some(try_write(inner)),
        COMMIT_HERE => return Some(commit_here(inner)),
        _ => {}
    }
    if let Some(seconds) = sql.strip_prefix("select pg_sleep(").and_then(|rest| rest.strip_suffix(')')) {
        let pause = Duration::from_secs_f64(seconds.parse().ok()?);
        return Some(vec![Part::Sleep(pause), Part::Rows(vec!["pg_sleep".into()], vec![vec![Some(String::new())]])]);
    }
    if let Some(lsn) = sql.strip_prefix(CONFIRMED).and_then(|rest| rest.strip_suffix('\'')) {
        let count = confirmed(inner, lsn.parse().ok()?).to_string();
        return Some(vec![Part::Rows(vec!["confirmed".into()], vec![vec![Some(count)]])]);
    }
    let (items, from) = select(sql)?;
    let rows: Option<Vec<Vec<Option<String>>>> = match from {
        None => {
            items.iter().map(|(expression, _)| of_server(inner, expression)).collect::<Option<_>>().map(|row| vec![row])
        }
        Some("pg_stat_replication") => {
            let of_row = |row| items.iter().map(|(expression, _)| of_sender(inner, now, row, expression)).collect();
            inner.senders.values().map(of_row).collect()
        }
        Some(_) => None,
    };
    let names = items.into_iter().map(|(_, name)| name.to_owned()).collect();
    Some(vec![Part::Rows(names, rows?)])
}

fn try_write(inner: &mut Inner) -> Vec<Part> {
    let mut parts = vec![Part::Done("BEGIN")];
    if inner.in_recovery {
        parts.push(read_only("pg_current_xact_id() during recovery"));
    } else {
        let row = vec![Some(inner.fresh_id().to_string()), Some("off".into())];
        parts.push(Part::Rows(vec!["pg_current_xact_id".into(), "read_only".into()], vec![row]));
        parts.push(Part::Done("ROLLBACK"));
    }
    parts
}

/// Durable here, and acknowledged without a word from any standby.
fn commit_here(inner: &mut Inner) -> Vec<Part> {
    let mut parts = vec![Part::Done("BEGIN"), Part::Done("SET")];
    if inner.in_recovery {
        parts.push(Part::Error("XX000", "cannot assign TransactionIds during recovery".into()));
        return parts;
    }
    let lsn = commit(inner, Content::Message);
    parts.push(Part::Rows(vec!["pg_logical_emit_message".into()], vec![vec![Some(lsn.to_string())]]));
    parts.push(Part::Done("COMMIT"));
    parts
}

fn is_synchronous(inner: &Inner, row: &SenderRow) -> bool {
    inner.disk.configuration.synchronous.standbys.contains(&row.application)
}

fn confirmed(inner: &Inner, lsn: Lsn) -> usize {
    let seen = inner.senders.values().filter(|_| !inner.statistics_hidden);
    seen.filter(|row| is_synchronous(inner, row) && row.flushed >= lsn).count()
}

/// As the operator writes it: any one of them; where durability is only preferred, without those that are away.
fn synchronous_standby_names(inner: &Inner) -> String {
    let synchronous = &inner.disk.configuration.synchronous;
    let there = inner.senders.values().any(|row| is_synchronous(inner, row));
    if synchronous.standbys.is_empty() || !(synchronous.required || there) {
        return String::new();
    }
    let names: Vec<String> = synchronous.standbys.iter().map(|name| format!("\"{name}\"")).collect();
    format!("ANY 1 ({})", names.join(","))
}

/// An expression over the server itself; `None`: the model does not know it.
fn of_server(inner: &Inner, expression: &str) -> Option<Option<String>> {
    let truth = |value: bool| Some(if value { "t" } else { "f" }.to_owned());
    let recovery = inner.in_recovery;
    if let Some(name) = expression.strip_prefix("current_setting('").and_then(|rest| rest.strip_suffix("')")) {
        return Some(Some(match name {
            "transaction_read_only" => if recovery { "on" } else { "off" }.into(),
            "archive_mode" => inner.archive_mode.clone(),
            "synchronous_standby_names" => synchronous_standby_names(inner),
            // What CloudNativePG sets, and else PostgreSQL's own. Both halves have the same here.
            "max_connections" => "100".into(),
            "max_worker_processes" => "32".into(),
            "max_wal_senders" => "10".into(),
            "max_prepared_transactions" => "0".into(),
            "max_locks_per_transaction" => "64".into(),
            _ => return None,
        }));
    }
    Some(match expression {
        "pg_is_in_recovery()" => truth(recovery),
        "(select pending_restart from pg_settings where name = 'archive_mode')" => {
            truth(inner.archive_mode != inner.disk.configuration.archive_mode)
        }
        "(select system_identifier from pg_control_system())" => Some(inner.settings.system_id.clone()),
        "pg_current_wal_flush_lsn()" => Some(inner.disk.wal.end().to_string()),
        "case when pg_is_in_recovery() then pg_is_wal_replay_paused() end" => {
            if recovery {
                truth(inner.replay_paused)
            } else {
                None
            }
        }
        // The model has no logical slots.
        SLOTS => None,
        LSN => Some(if recovery { inner.replayed } else { inner.disk.wal.end() }.to_string()),
        TIMELINE => Some(if recovery { inner.replayed_timeline() } else { inner.disk.wal.timeline() }.to_string()),
        _ => return None,
    })
}

/// An expression over a row of `pg_stat_replication`; `None`: the model does not know it.
fn of_sender(inner: &Inner, now: Duration, row: &SenderRow, expression: &str) -> Option<Option<String>> {
    let seconds = |time: Duration| format!("{:.6}", time.as_secs_f64());
    let value = match expression {
        "application_name" => return Some(Some(row.application.clone())),
        "state" => Some("streaming".to_owned()),
        "replay_lsn" => Some(row.replayed.to_string()),
        "extract(epoch from replay_lag)" => row.replay_lag.map(seconds),
        "extract(epoch from clock_timestamp() - reply_time)" => row.heard.map(|at| seconds(now.saturating_sub(at))),
        "sync_state" => Some(if is_synchronous(inner, row) { "quorum" } else { "async" }.to_owned()),
        _ => return None,
    };
    // Everything but the name is hidden from who may not see it.
    Some(value.filter(|_| !inner.statistics_hidden))
}

/// The items of a select list, each with its name, and the table behind `from`.
type Select<'a> = (Vec<(&'a str, &'a str)>, Option<&'a str>);

/// What is asked for.
fn select(sql: &str) -> Option<Select<'_>> {
    let rest = sql.strip_prefix("select ")?;
    let (list, from) = match split(rest, " from ").as_slice() {
        [list] => (*list, None),
        [list, table] => (*list, Some(*table)),
        _ => return None,
    };
    let named = |item| match split(item, " as ").as_slice() {
        [expression, name] => (*expression, *name),
        _ => (item, item),
    };
    Some((split(list, ", ").into_iter().map(named).collect(), from))
}

/// The parts between separators that stand in no brackets.
fn split<'a>(text: &'a str, separator: &str) -> Vec<&'a str> {
    let (mut parts, mut depth, mut begin, mut at) = (Vec::new(), 0_usize, 0, 0);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if depth == 0 && rest.starts_with(separator) {
            parts.push(&text[begin..at]);
            at += separator.len();
            begin = at;
            continue;
        }
        match rest.as_bytes()[0] {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    parts.push(&text[begin..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_select_list_is_taken_apart_outside_of_brackets() {
        assert_eq!(
            select("select a, (select max(x, y) from s) as b, f(1, 2) as c from t"),
            Some((vec![("a", "a"), ("(select max(x, y) from s)", "b"), ("f(1, 2)", "c")], Some("t")))
        );
        assert_eq!(select("select 1"), Some((vec![("1", "1")], None)));
        assert_eq!(select("insert into w"), None);
    }
}
