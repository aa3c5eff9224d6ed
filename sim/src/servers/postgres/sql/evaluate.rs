//! What an expression gives.

use super::Fault;
use super::parse::{Expression, Select};
use super::tables::Asked;
use super::value::Value;
use crate::determinism::EPOCH;
use crate::servers::postgres::instance::Inner;
use continuum_core::record::Lsn;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::time::Duration;

/// One statement's: it reads, and what it would do is done after it.
pub(super) struct Evaluation<'a> {
    inner: &'a Inner,
    asked: Asked<'a>,
    /// The session that asks.
    session: u64,
    pub effects: Effects,
}

/// What a statement does.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// Transaction ids that it takes.
    pub transaction_ids: u64,
    /// A logical message is written.
    pub message: bool,
    /// Replay is paused, or goes on.
    pub replay_paused: Option<bool>,
    /// Sessions that are ended.
    pub terminated: Vec<u64>,
    /// Sessions whose statement is cancelled.
    pub cancelled: Vec<u64>,
    /// The answer comes so much later.
    pub sleep: Duration,
}

impl Effects {
    /// Whether there is anything that a dry run must not do.
    pub fn change_something(&self) -> bool {
        self.transaction_ids > 0
            || self.message
            || self.replay_paused.is_some()
            || !self.terminated.is_empty()
            || !self.cancelled.is_empty()
    }
}

/// A row of the table that is asked.
#[derive(Clone, Copy)]
struct Row<'a, 'b> {
    columns: &'static [&'static str],
    values: &'b [Value<'a>],
}

const NO_ROW: Row<'_, '_> = Row { columns: &[], values: &[] };

impl<'a> Evaluation<'a> {
    pub fn new(inner: &'a Inner, asked: Asked<'a>, session: u64) -> Self {
        Self { inner, asked, session, effects: Effects::default() }
    }

    /// The rows of a query.
    pub fn rows(&mut self, select: &'a Select) -> Result<Vec<Vec<Value<'a>>>, Fault> {
        if let Some(fault) = &select.fault {
            return Err(fault.clone());
        }
        let mut rows = Vec::new();
        let columns = select.from.map_or(&[][..], |table| table.columns);
        match select.from {
            None => rows.push(Vec::new()),
            Some(table) => {
                for values in table.rows(self.inner, self.asked) {
                    let row = Row { columns, values: &values };
                    let chosen = match &select.condition {
                        Some(condition) => self.value(condition, row)?.is_true(),
                        None => true,
                    };
                    if chosen {
                        rows.push(values);
                    }
                }
            }
        }
        let expressions = select.columns.iter().map(|(expression, _)| expression);
        if expressions.clone().any(is_aggregate) {
            let values = expressions.map(|expression| self.aggregate(expression, columns, &rows));
            return Ok(vec![values.collect::<Result<_, _>>()?]);
        }
        let of_row = |values: &Vec<Value<'a>>| {
            expressions.clone().map(|expression| self.value(expression, Row { columns, values })).collect()
        };
        rows.iter().map(of_row).collect()
    }

    fn aggregate(
        &mut self,
        expression: &'a Expression,
        columns: &'static [&'static str],
        rows: &[Vec<Value<'a>>],
    ) -> Result<Value<'a>, Fault> {
        let count = |number: usize| Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
        let (name, argument, more) = match expression {
            Expression::Count => return Ok(count(rows.len())),
            Expression::Call(name, arguments) if is_aggregate(expression) && !arguments.is_empty() => {
                (name, &arguments[0], &arguments[1..])
            }
            _ => return Err(Fault::new("42803", "a column must appear in an aggregate function")),
        };
        let values = rows.iter().map(|values| self.value(argument, Row { columns, values }));
        let values = values.collect::<Result<Vec<_>, _>>()?;
        let mut values = values.into_iter().filter(|value| *value != Value::Null);
        Ok(match name.as_str() {
            "count" => count(values.count()),
            "max" => values.reduce(|one, other| better(one, other, Ordering::Greater)).unwrap_or(Value::Null),
            "min" => values.reduce(|one, other| better(one, other, Ordering::Less)).unwrap_or(Value::Null),
            "bool_or" => {
                values.reduce(|one, other| Value::Bool(one.is_true() || other.is_true())).unwrap_or(Value::Null)
            }
            "bool_and" => {
                values.reduce(|one, other| Value::Bool(one.is_true() && other.is_true())).unwrap_or(Value::Null)
            }
            _ => {
                let Some(separator) = more.first() else { return Err(no_function(name)) };
                let separator = self.value(separator, NO_ROW)?.shown().unwrap_or_default();
                let texts: Vec<String> = values.by_ref().filter_map(|value| value.shown()).collect();
                if texts.is_empty() { Value::Null } else { Value::Text(texts.join(&separator).into()) }
            }
        })
    }

    fn value(&mut self, expression: &'a Expression, row: Row<'a, '_>) -> Result<Value<'a>, Fault> {
        Ok(match expression {
            Expression::Null => Value::Null,
            Expression::Bool(value) => Value::Bool(*value),
            Expression::Int(number) => Value::Int(*number),
            Expression::Real(number) => Value::Real(*number),
            Expression::Text(text) => Value::text(text),
            Expression::Field(name) => {
                let at = row.columns.iter().position(|column| column == name);
                match at.and_then(|at| row.values.get(at)) {
                    Some(Value::Bool(value)) => Value::text(if *value { "true" } else { "false" }),
                    Some(value) => value.shown().map_or(Value::Null, |text| Value::Text(text.into())),
                    None => Value::Null,
                }
            }
            Expression::Column(name) => {
                let at = row.columns.iter().position(|column| column == name);
                at.and_then(|at| row.values.get(at)).cloned().unwrap_or(Value::Null)
            }
            Expression::Operator(operator, left, right) => {
                let left = self.value(left, row)?;
                if (*operator == "and" && left == Value::Bool(false)) || (*operator == "or" && left.is_true()) {
                    return Ok(left);
                }
                Value::operate(operator, left, self.value(right, row)?)?
            }
            Expression::Not(inner) => match self.value(inner, row)? {
                Value::Bool(value) => Value::Bool(!value),
                _ => Value::Null,
            },
            Expression::IsNull(inner, negated) => Value::Bool((self.value(inner, row)? == Value::Null) != *negated),
            Expression::In(inner, among) => {
                let value = self.value(inner, row)?;
                let mut found = Value::Bool(false);
                for other in among {
                    let equal = Value::operate("=", value.clone(), self.value(other, row)?)?;
                    found = Value::operate("or", found, equal)?;
                }
                found
            }
            Expression::Cast(inner, kind) => self.value(inner, row)?.cast(kind)?,
            Expression::Case(branches, otherwise) => {
                for (condition, value) in branches {
                    if self.value(condition, row)?.is_true() {
                        return self.value(value, row);
                    }
                }
                match otherwise {
                    Some(value) => self.value(value, row)?,
                    None => Value::Null,
                }
            }
            Expression::Query(select) => {
                let mut rows = self.rows(select)?;
                if rows.len() > 1 {
                    let why = "more than one row returned by a subquery used as an expression";
                    return Err(Fault::new("21000", why));
                }
                rows.pop().and_then(|mut row| row.drain(..).next()).unwrap_or(Value::Null)
            }
            Expression::Count => return Err(Fault::new("42803", "aggregate functions are not allowed here")),
            Expression::Call(name, arguments) => {
                let arguments = arguments.iter().map(|argument| self.value(argument, row));
                let arguments = arguments.collect::<Result<Vec<_>, _>>()?;
                self.call(name, &arguments)?
            }
        })
    }

    fn call(&mut self, name: &str, arguments: &[Value<'a>]) -> Result<Value<'a>, Fault> {
        let (inner, recovery) = (self.inner, self.inner.in_recovery);
        let only_in_recovery =
            || if recovery { Ok(()) } else { Err(Fault::new("55000", "recovery is not in progress")) };
        let not_in_recovery = || if recovery { Err(Fault::new("55000", "recovery is in progress")) } else { Ok(()) };
        Ok(match (name, arguments) {
            ("pg_is_in_recovery", []) => Value::Bool(recovery),
            ("current_setting", [Value::Text(name)]) => match setting(inner, name) {
                Some(value) => Value::Text(value),
                None => {
                    let why = format!("unrecognized configuration parameter \"{name}\", or the model lacks it");
                    return Err(Fault::new("42704", why));
                }
            },
            // Of a promoted server it is where that was promoted, until its next start.
            ("pg_last_wal_replay_lsn", []) => match inner.promoted {
                _ if recovery => Value::Lsn(inner.replayed),
                promoted => promoted.map_or(Value::Null, |(_, lsn)| Value::Lsn(lsn)),
            },
            ("pg_current_wal_lsn" | "pg_current_wal_flush_lsn" | "pg_current_wal_insert_lsn", []) => {
                not_in_recovery()?;
                Value::Lsn(inner.disk.wal.end())
            }
            ("pg_walfile_name", [lsn @ (Value::Lsn(_) | Value::Text(_))]) => {
                not_in_recovery()?;
                let Value::Lsn(lsn) = lsn.clone().cast("pg_lsn")? else { return Err(no_function(name)) };
                Value::Text(wal_file(inner.disk.wal.timeline(), lsn).into())
            }
            ("pg_wal_lsn_diff", [left, right]) => {
                Value::operate("-", left.clone().cast("pg_lsn")?, right.clone().cast("pg_lsn")?)?
            }
            ("pg_is_wal_replay_paused", []) => {
                only_in_recovery()?;
                Value::Bool(inner.is_replay_paused())
            }
            ("pg_wal_replay_pause" | "pg_wal_replay_resume", []) => {
                self.only_superuser(name)?;
                only_in_recovery()?;
                self.effects.replay_paused = Some(name == "pg_wal_replay_pause");
                Value::text("")
            }
            ("pg_sleep", [Value::Int(_) | Value::Real(_)]) => {
                let seconds = match arguments[0] {
                    Value::Int(seconds) => seconds as f64,
                    Value::Real(seconds) => seconds,
                    _ => 0.0,
                };
                self.effects.sleep += Duration::try_from_secs_f64(seconds).unwrap_or_default();
                Value::text("")
            }
            ("pg_current_xact_id", []) => {
                self.effects.transaction_ids += 1;
                if recovery {
                    return Err(Fault::new("25006", "cannot execute pg_current_xact_id() during recovery"));
                }
                Value::Int((inner.next_id + self.effects.transaction_ids).cast_signed())
            }
            ("pg_logical_emit_message", [Value::Bool(true), Value::Text(_), Value::Text(_)]) => {
                self.effects.message = true;
                if recovery {
                    return Err(Fault::new("XX000", "cannot assign TransactionIds during recovery"));
                }
                Value::Lsn(inner.disk.wal.end())
            }
            ("pg_backend_pid", []) => Value::Int(self.session.cast_signed()),
            ("current_user", []) => Value::text(self.asked.user),
            ("pg_terminate_backend" | "pg_cancel_backend", [Value::Int(pid)]) => self.signal(name, *pid)?,
            ("now" | "clock_timestamp" | "statement_timestamp", []) => {
                Value::Time(i64::try_from((EPOCH + self.asked.now).as_micros()).unwrap_or(i64::MAX))
            }
            ("extract", [Value::Interval(us) | Value::Time(us)]) => Value::Real(*us as f64 / 1e6),
            ("substr", [Value::Text(text), Value::Int(from), Value::Int(count)]) => {
                let [from, count] = [from - 1, *count].map(|number| usize::try_from(number).unwrap_or_default());
                Value::Text(text.chars().skip(from).take(count).collect::<String>().into())
            }
            ("greatest" | "least", [_, ..]) => {
                let wanted = if name == "greatest" { Ordering::Greater } else { Ordering::Less };
                let given = arguments.iter().filter(|value| **value != Value::Null).cloned();
                given.reduce(|one, other| better(one, other, wanted)).unwrap_or(Value::Null)
            }
            ("coalesce", [_, ..]) => {
                arguments.iter().find(|value| **value != Value::Null).cloned().unwrap_or(Value::Null)
            }
            // What is made of NULL is NULL, where there is such a function.
            (
                "current_setting"
                | "extract"
                | "pg_cancel_backend"
                | "pg_sleep"
                | "pg_terminate_backend"
                | "pg_walfile_name"
                | "substr",
                _,
            ) if arguments.contains(&Value::Null) => Value::Null,
            _ => return Err(no_function(name)),
        })
    }

    fn only_superuser(&self, function: &str) -> Result<(), Fault> {
        if is_superuser(self.asked.user) {
            return Ok(());
        }
        Err(Fault::new("42501", format!("permission denied for function {function}")))
    }

    /// Ends a session, or cancels what it does. A plain role may do so to its own.
    fn signal(&mut self, function: &str, pid: i64) -> Result<Value<'a>, Fault> {
        let pid = pid.cast_unsigned();
        let Some(session) = self.inner.sessions.get(&pid) else { return Ok(Value::Bool(false)) };
        if !is_superuser(self.asked.user) && session.user != self.asked.user {
            return Err(Fault::new("42501", "must be a member of the role whose process is being signalled"));
        }
        let signalled =
            if function == "pg_terminate_backend" { &mut self.effects.terminated } else { &mut self.effects.cancelled };
        signalled.push(pid);
        Ok(Value::Bool(true))
    }
}

/// The role that CloudNativePG makes at the start.
pub(in crate::servers::postgres) fn is_superuser(role: &str) -> bool {
    role == "postgres"
}

fn better<'a>(one: Value<'a>, other: Value<'a>, wanted: Ordering) -> Value<'a> {
    if other.compare(&one) == Some(wanted) { other } else { one }
}

fn no_function(name: &str) -> Fault {
    Fault::new("42883", format!("function {name} does not exist for these arguments, or the model lacks it"))
}

/// A setting, as the process has it.
pub(super) fn setting<'a>(inner: &'a Inner, name: &str) -> Option<Cow<'a, str>> {
    let on = |value: bool| if value { "on" } else { "off" };
    Some(match name {
        "transaction_read_only" | "in_hot_standby" => on(inner.in_recovery).into(),
        "default_transaction_read_only" => on(false).into(),
        "archive_mode" => inner.archive_mode.as_str().into(),
        "server_version_num" => "150018".into(),
        "wal_level" => "logical".into(),
        "synchronous_commit" => on(true).into(),
        "synchronous_standby_names" => synchronous_standby_names(inner).into(),
        "max_connections" => inner.limits.max_connections.to_string().into(),
        "max_worker_processes" => inner.limits.max_worker_processes.to_string().into(),
        "max_wal_senders" => inner.limits.max_wal_senders.to_string().into(),
        "max_prepared_transactions" => inner.limits.max_prepared_transactions.to_string().into(),
        "max_locks_per_transaction" => inner.limits.max_locks_per_transaction.to_string().into(),
        _ => return None,
    })
}

/// As the operator writes it: any one of them; where durability is only preferred, without those that are away.
fn synchronous_standby_names(inner: &Inner) -> String {
    let synchronous = &inner.disk.configuration.synchronous;
    let there = inner.senders.values().any(|row| synchronous.standbys.contains(&row.application));
    match synchronous.standbys.as_slice() {
        names if !names.is_empty() && (synchronous.required || there) => format!("ANY 1 (\"{}\")", names.join("\",\"")),
        _ => String::new(),
    }
}

fn is_aggregate(expression: &Expression) -> bool {
    const AGGREGATES: [&str; 6] = ["count", "max", "min", "bool_or", "bool_and", "string_agg"];
    match expression {
        Expression::Count => true,
        Expression::Call(name, _) => AGGREGATES.contains(&name.as_str()),
        _ => false,
    }
}

/// Name of the WAL file that a position is in.
pub(super) fn wal_file(timeline: u32, lsn: Lsn) -> String {
    let segment = lsn.0 / (16 * 1024 * 1024);
    format!("{timeline:08X}{:08X}{:08X}", segment / 256, segment % 256)
}
