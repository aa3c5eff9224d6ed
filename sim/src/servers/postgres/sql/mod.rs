//! Queries: what is read (`parse`), what it gives (`evaluate`, `tables`) and what it does. The model recognises nobody's
//! texts: any query in the small part of SQL that it knows has its answer, and another one an error.
//!
//! As in PostgreSQL a query string without `begin` is one transaction, and what follows a mistake is not done.
//! Deliberately absent: isolation (a transaction reads what is committed, and not what it wrote itself), savepoints,
//! prepared statements.

mod evaluate;
mod parse;
mod tables;
mod value;

use super::instance::Inner;
use super::journal::Event;
use super::process;
use super::wal::Content;
use continuum_core::record::Lsn;
pub(super) use evaluate::is_superuser;
use evaluate::{Effects, Evaluation};
use parse::{Select, Statement};
use std::sync::Arc;
use std::time::Duration;
use tables::Asked;
use value::Value;

/// Said of a statement that was cancelled (57014).
pub(super) const CANCELLED: &str = "canceling statement due to user request";

/// Query strings are read once, and so many are remembered.
const REMEMBERED_MAX: usize = 64;

/// Part of the answer to one query string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Column names and rows.
    Rows(Vec<String>, Vec<Vec<Option<String>>>),
    /// A command without rows is through.
    Done(&'static str),
    /// SQLSTATE and message. Nothing follows.
    Error(&'static str, String),
    /// The rest is told once the commit that ends here is acknowledged. With the rows that it holds.
    Commit(Lsn, Vec<(String, u64)>),
    /// The rest is told so much later.
    Sleep(Duration),
}

/// What was made of a query string.
pub(super) struct Answer {
    pub parts: Vec<Part>,
    /// It did what a dry run must not do, or would have.
    pub is_changing: bool,
}

/// Who asks.
#[derive(Clone, Copy)]
pub(super) struct Asker<'a> {
    pub user: &'a str,
    pub session: u64,
}

/// What a session has open between two query strings.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    /// By `begin`.
    pub open: bool,
    /// A statement of it failed: only its end is taken.
    pub failed: bool,
    /// What it writes when it commits.
    wrote: Vec<Content>,
    /// Its commit waits for no standby.
    local: bool,
}

impl Transaction {
    /// A mistake in it takes back what it wrote; one that was begun has still to be ended.
    pub fn fail(&mut self) {
        *self = Self { open: self.open, failed: self.open, ..Self::default() };
    }
}

/// Why a query fails.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fault {
    code: &'static str,
    message: String,
}

impl Fault {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// A query string that was read.
#[derive(Clone)]
pub(super) struct Query(Arc<Result<Vec<Statement>, Fault>>);

impl Query {
    fn read(inner: &mut Inner, sql: &str) -> Self {
        if let Some(known) = inner.queries.get(sql) {
            return known.clone();
        }
        let query = Self(Arc::new(parse::parse(sql)));
        let writes = |statement: &Statement| matches!(statement, Statement::Insert(..));
        // One that writes a row is another each time.
        if !query.0.as_ref().as_ref().is_ok_and(|statements| statements.iter().any(writes)) {
            if inner.queries.len() >= REMEMBERED_MAX {
                inner.queries.clear();
            }
            inner.queries.insert(sql.to_owned(), query.clone());
        }
        query
    }
}

/// Runs a query string.
pub(super) fn run(
    inner: &mut Inner,
    now: Duration,
    asker: Asker<'_>,
    transaction: &mut Transaction,
    sql: &str,
) -> Answer {
    let query = Query::read(inner, sql);
    let mut run = Run { inner, now, asker, transaction, parts: Vec::new(), is_changing: false };
    let ended = match &*query.0 {
        Ok(statements) => statements.iter().try_for_each(|statement| run.statement(statement)),
        Err(fault) => Err(fault.clone()),
    };
    match ended {
        Ok(()) if !run.transaction.open => run.commit(),
        Ok(()) => {}
        Err(fault) => {
            run.parts.push(Part::Error(fault.code, fault.message));
            run.transaction.fail();
        }
    }
    Answer { parts: run.parts, is_changing: run.is_changing }
}

struct Run<'a> {
    inner: &'a mut Inner,
    now: Duration,
    asker: Asker<'a>,
    transaction: &'a mut Transaction,
    parts: Vec<Part>,
    is_changing: bool,
}

impl Run<'_> {
    fn statement(&mut self, statement: &Statement) -> Result<(), Fault> {
        if self.transaction.failed && !matches!(statement, Statement::Commit | Statement::Rollback) {
            let why = "current transaction is aborted, commands ignored until end of transaction block";
            return Err(Fault::new("25P02", why));
        }
        match statement {
            Statement::Begin => {
                self.transaction.open = true;
                self.parts.push(Part::Done("BEGIN"));
            }
            Statement::Commit if !self.transaction.failed => {
                self.commit();
                self.parts.push(Part::Done("COMMIT"));
            }
            Statement::Commit | Statement::Rollback => {
                *self.transaction = Transaction::default();
                self.parts.push(Part::Done("ROLLBACK"));
            }
            Statement::Insert(client, number) => {
                self.write("INSERT", Content::Row { client: client.clone(), number: *number })?;
                self.parts.push(Part::Done("INSERT 0 1"));
            }
            Statement::AlterRole(role, password) => {
                if !is_superuser(self.asker.user) && self.asker.user != role {
                    return Err(Fault::new("42501", "permission denied"));
                }
                self.write("ALTER ROLE", Content::Password { role: role.clone(), password: password.clone() })?;
                self.parts.push(Part::Done("ALTER ROLE"));
            }
            Statement::SetLocal(name, value) => {
                if name != "synchronous_commit" {
                    return Err(Fault::new("0A000", format!("the model cannot set {name}")));
                }
                self.transaction.local = matches!(value.as_str(), "local" | "off");
                self.parts.push(Part::Done("SET"));
            }
            Statement::Select(select) => self.select(select)?,
        }
        Ok(())
    }

    fn write(&mut self, command: &str, content: Content) -> Result<(), Fault> {
        self.is_changing = true;
        if self.inner.in_recovery {
            return Err(Fault::new("25006", format!("cannot execute {command} in a read-only transaction")));
        }
        self.transaction.wrote.push(content);
        Ok(())
    }

    fn select(&mut self, select: &Select) -> Result<(), Fault> {
        let asked = Asked { user: self.asker.user, now: self.now };
        let mut evaluation = Evaluation::new(self.inner, asked, self.asker.session);
        let rows = evaluation.rows(select).map(|rows| {
            let shown = |row: Vec<Value<'_>>| row.iter().map(Value::shown).collect::<Vec<_>>();
            rows.into_iter().map(shown).collect::<Vec<_>>()
        });
        let effects = evaluation.effects;
        self.is_changing |= effects.change_something();
        let rows = rows?;
        self.take_effect(effects)?;
        let names = select.columns.iter().map(|(_, name)| name.clone()).collect();
        self.parts.push(Part::Rows(names, rows));
        Ok(())
    }

    fn take_effect(&mut self, effects: Effects) -> Result<(), Fault> {
        self.inner.next_id += effects.transaction_ids;
        if effects.message {
            self.transaction.wrote.push(Content::Message);
        }
        if let Some(paused) = effects.replay_paused {
            self.inner.replay_paused = paused;
        }
        for id in &effects.terminated {
            if let Some(session) = self.inner.sessions.get_mut(id) {
                session.terminated = true;
            }
        }
        for id in &effects.cancelled {
            if let Some(session) = self.inner.sessions.get_mut(id) {
                session.cancel_count += 1;
            }
        }
        if effects.terminated.contains(&self.asker.session) || effects.cancelled.contains(&self.asker.session) {
            return Err(Fault::new("57014", CANCELLED));
        }
        if !effects.sleep.is_zero() {
            self.parts.push(Part::Sleep(effects.sleep));
        }
        Ok(())
    }

    fn commit(&mut self) {
        let Transaction { wrote, local, .. } = std::mem::take(self.transaction);
        let mut rows = Vec::new();
        let mut end = None;
        for content in wrote {
            let row = match &content {
                Content::Row { client, number } => Some((client.clone(), *number)),
                _ => None,
            };
            let lsn = self.inner.disk.wal.append(content);
            self.inner.replayed = lsn;
            end = Some(lsn);
            if let Some((client, number)) = row.clone() {
                let timeline = self.inner.disk.wal.timeline();
                process::write(self.inner, self.now, Event::Committed { client, number, lsn, timeline });
            }
            rows.extend(row);
        }
        match end {
            Some(lsn) if !local => self.parts.push(Part::Commit(lsn, rows)),
            _ => {
                for (client, number) in rows {
                    process::write(self.inner, self.now, Event::Acknowledged { client, number });
                }
            }
        }
    }
}
