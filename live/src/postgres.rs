//! The database probe: what a client of a half sees, over tokio-postgres and the simple query protocol.
//!
//! ```text
//! PostgresProbe --Connector--> byte stream to the half's read-write service --SQL--> PostgreSQL
//! ```
//!
//! [`ObserveDatabase`] reads; a look changes nothing on the server, not even a transaction id.
//! [`ActOnDatabase`] tries to write, always over a new connection (H30: an old session may go on writing
//! while new ones are refused). Neither keeps a connection: the restart after a promotion waits for every session, up to
//! the half's `smartShutdownTimeout`, and a probe's own would be one. Neither has a time limit of its own: the caller
//! drops the future, and a look that was dropped is unknown, never "refused".
//!
//! Reaching the server (address, TLS) is the [`Connector`]'s. Which half ought to accept writes is core's.
//!
//! Every statement was run on PostgreSQL 15.18, on a primary and on a streaming standby, as a plain role
//! and as a member of `pg_monitor`; what they answer stands at each.

use crate::byte_stream::ByteStream;
use crate::causes::chain;
use async_trait::async_trait;
use continuum_core::name::{ObjectName, Region};
use continuum_core::observe::{Accepts, DatabaseView, HotStandby, ReplicaRow, Seen};
use continuum_core::ports::{ActOnDatabase, ObserveDatabase, Outcome};
use continuum_core::record::Lsn;
use continuum_core::roles::RoleLogin;
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use jiff::SignedDuration;
use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage, SimpleQueryRow};

/// What a half says of itself. One row on a primary as on a standby, for any role that may log in.
///
/// - `timeline`: `pg_control_checkpoint()` lags behind by a checkpoint after a promotion, so a primary is asked for the
///   name of its current WAL file. A standby may not be asked for that (`pg_walfile_name` fails in recovery). There the
///   timeline that its WAL receiver follows is taken, or, where there is none or the role may not see it (it needs
///   `pg_monitor`), that of its last restartpoint.
/// - `archive_mode` is the value that the server started with, not the one in the file that waits for a restart; that
///   one waits shows in `pending_restart`.
/// - slots are seen by any role; names of slots have no commas. A standby's logical slot is one to go on with only where
///   it is kept in step with the primary's: a half that was primary before keeps its own, with `synced` false, until
///   somebody drops it. The column came with 17; a row without it counts.
const LOOK_SQL: &str = "select pg_is_in_recovery() as in_recovery, \
current_setting('transaction_read_only') as read_only, \
current_setting('archive_mode') as archive_mode, \
(select pending_restart from pg_settings where name = 'archive_mode') as pending_restart, \
current_setting('max_connections') as max_connections, \
current_setting('max_worker_processes') as max_worker_processes, \
current_setting('max_wal_senders') as max_wal_senders, \
current_setting('max_prepared_transactions') as max_prepared_transactions, \
current_setting('max_locks_per_transaction') as max_locks_per_transaction, \
(select string_agg(slot_name, ',' order by slot_name) from pg_replication_slots \
where slot_type = 'logical' and not temporary and (not pg_is_in_recovery() \
or coalesce(to_jsonb(pg_replication_slots) ->> 'synced', 'true') = 'true')) as logical_slots, \
(select system_identifier from pg_control_system()) as system_id, \
case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end as lsn, \
case when pg_is_in_recovery() then pg_is_wal_replay_paused() end as replay_paused, \
case when pg_is_in_recovery() \
then greatest((select received_tli from pg_stat_wal_receiver), (select timeline_id from pg_control_checkpoint())) \
else ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int end as timeline";

/// Who follows. A role without `pg_monitor` gets the row with `state` and everything after it NULL.
/// `replay_lag` is NULL on an idle pair; on a standby whose replay is paused it keeps its last value until
/// the standby's next message, and on one that fell silent for a minute. `reply_time` is the standby's clock: of one
/// whose clock is late the age is too great, and blocks; of one whose clock is ahead it is too small by as much, and
/// below 0 while that is more than the time since.
const REPLICAS_SQL: &str = "select application_name, state, replay_lsn, \
extract(epoch from replay_lag) as replay_lag, \
extract(epoch from clock_timestamp() - reply_time) as reply_age, sync_state from pg_stat_replication";

/// Assigns a transaction id and gives it back. On a standby: 25006. Does not wait for a synchronous standby.
/// A read-only default does not stop it (nor [`COMMIT_SQL`]), so that is asked for as well.
const TRY_SQL: &str =
    "begin; select pg_current_xact_id(), current_setting('transaction_read_only') as read_only; rollback";

/// Commits one WAL message, which no table holds, without waiting for a synchronous standby: a session that waits for
/// one that is away is ended by nothing, and one that is cancelled counts as acknowledged (H50). On a standby it
/// fails with XX000, so [`TRY_SQL`] goes first.
const COMMIT_SQL: &str = "begin; set local synchronous_commit = local; \
select pg_logical_emit_message(true, 'continuum', 'probe'); commit";

/// Where the log ends that a synchronous standby has to confirm, and how many have to.
const COMMITTED_SQL: &str =
    "select pg_current_wal_flush_lsn() as lsn, current_setting('synchronous_standby_names') as names";

/// Between two looks for the confirmation. The server waits: the probe has no clock.
const PAUSE_SQL: &str = "select pg_sleep(0.1)";
/// Looks for the confirmation.
const CONFIRMED_LOOKS_MAX: usize = 20;

/// How many synchronous standbys have this position on disk: what a client's commit waits for.
fn confirmed_sql(lsn: Lsn) -> String {
    format!(
        "select count(*) as confirmed from pg_stat_replication \
         where sync_state in ('sync', 'quorum') and flush_lsn >= '{lsn}'"
    )
}

/// Opens streams to the halves.
#[async_trait]
pub trait Connector: Send + Sync {
    /// A new stream to the primary instance of `cluster` in `region`.
    async fn connect(&self, region: &Region, cluster: &ObjectName) -> io::Result<Box<dyn ByteStream>>;
}

/// The role that the probe logs in as.
#[derive(Clone)]
pub struct Login {
    /// Role. A member of `pg_monitor`, or lag is unmeasured.
    pub user: String,
    /// Its password. Absent: the server asks for none.
    pub password: Option<String>,
    /// Database.
    pub database: String,
}

/// Says who the probe logs in as.
#[async_trait]
pub trait Logins: Send + Sync {
    /// The login as it is now.
    async fn login(&self) -> Result<Login, Box<dyn Error + Send + Sync>>;
    /// A server did not take it: what was kept of it is to be read anew.
    fn refused(&self) {}
}

/// One that never changes.
#[async_trait]
impl Logins for Login {
    async fn login(&self) -> Result<Login, Box<dyn Error + Send + Sync>> {
        Ok(self.clone())
    }
}

/// The probe.
#[derive(Clone)]
pub struct PostgresProbe {
    connector: Arc<dyn Connector>,
    logins: Arc<dyn Logins>,
    application_name: &'static str,
}

impl PostgresProbe {
    /// A probe for a controller.
    pub fn new(connector: Arc<dyn Connector>, login: Login) -> Self {
        Self::with_logins(connector, Arc::new(login))
    }

    /// A probe whose login may change while it runs.
    pub fn with_logins(connector: Arc<dyn Connector>, logins: Arc<dyn Logins>) -> Self {
        Self { connector, logins, application_name: "continuum" }
    }

    /// The same, as a dry run names itself to the server.
    pub fn for_dry_run(self) -> Self {
        Self { application_name: "continuum-dry-run", ..self }
    }

    /// Runs `work` over a new connection of the probe's role, which is closed after it.
    async fn with_session<T, W>(
        &self,
        region: &Region,
        cluster: &ObjectName,
        work: impl FnOnce(Client) -> W,
    ) -> Result<T, Failure>
    where
        W: Future<Output = Result<T, tokio_postgres::Error>>,
    {
        let login = self.login().await?;
        let result = self.with_session_of(&login, region, cluster, work).await;
        if result.as_ref().is_err_and(Failure::is_of_the_login) {
            self.logins.refused();
        }
        result
    }

    async fn login(&self) -> Result<Login, Failure> {
        self.logins.login().await.map_err(|error| Failure::unknown(chain(&*error)))
    }

    async fn with_session_of<T, W>(
        &self,
        login: &Login,
        region: &Region,
        cluster: &ObjectName,
        work: impl FnOnce(Client) -> W,
    ) -> Result<T, Failure>
    where
        W: Future<Output = Result<T, tokio_postgres::Error>>,
    {
        let stream = self.connector.connect(region, cluster).await.map_err(Failure::from_connect)?;
        let mut config = tokio_postgres::Config::new();
        config.user(&login.user).dbname(&login.database).application_name(self.application_name);
        config.ssl_mode(SslMode::Disable);
        if let Some(password) = &login.password {
            config.password(password);
        }
        let (client, mut connection) = config.connect_raw(stream, NoTls).await.map_err(Failure::from_sql)?;
        // `work` owns the client, so it is gone when `work` is through, and the connection says goodbye: one
        // poll of it writes that, and nobody waits for more.
        let result = match select(pin!(work(client)), &mut connection).await {
            Either::Left((result, _)) => result.map_err(Failure::from_sql),
            Either::Right((Err(error), _)) => Err(Failure::from_sql(error)),
            Either::Right((Ok(()), _)) => Err(Failure::unknown("the server closed the connection".into())),
        };
        let _ = (&mut connection).now_or_never();
        result
    }
}

/// SQLSTATE invalid_password. Others of its class say that nobody may come in so, whatever the password.
const PASSWORD_REFUSED: &str = "28P01";
/// SQLSTATE invalid_catalog_name.
const DATABASE_MISSING: &str = "3D000";

/// Why there is no answer.
struct Failure {
    kind: FailureKind,
    /// SQLSTATE, where the server gave one.
    code: Option<String>,
    text: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum FailureKind {
    /// The server takes no connection, or no write: it says so itself.
    Refuses,
    /// The server does not let this role in.
    Denied,
    /// Anything else.
    Unknown,
}

impl Failure {
    fn from_connect(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => {
                Failure { kind: FailureKind::Refuses, code: None, text: "connection refused".into() }
            }
            _ => Failure::unknown(chain(&error)),
        }
    }

    fn from_sql(error: tokio_postgres::Error) -> Self {
        let Some(answer) = error.as_db_error() else { return Failure::unknown(error.to_string()) };
        let code = answer.code().code();
        let kind = match code {
            // read_only_sql_transaction, cannot_connect_now: starting up, shutting down, not yet consistent.
            "25006" | "57P03" => FailureKind::Refuses,
            code if code.starts_with("28") => FailureKind::Denied,
            _ => FailureKind::Unknown,
        };
        Failure { kind, code: Some(code.to_owned()), text: format!("{code} {}", answer.message()) }
    }

    /// The password, the role or the database is not the right one, or not any more.
    fn is_of_the_login(&self) -> bool {
        self.kind == FailureKind::Denied || self.code.as_deref() == Some(DATABASE_MISSING)
    }

    fn unknown(text: String) -> Self {
        Failure { kind: FailureKind::Unknown, code: None, text }
    }
}

#[async_trait]
impl ObserveDatabase for PostgresProbe {
    async fn look(&self, region: &Region, cluster: &ObjectName) -> Seen<DatabaseView> {
        let answer = self.with_session(region, cluster, |client| async move {
            let state = client.simple_query(LOOK_SQL).await?;
            Ok((state, client.simple_query(REPLICAS_SQL).await?))
        });
        match answer.await {
            Ok((state, replicas)) => match view(rows(&state), rows(&replicas)) {
                Some(view) => Seen::Is(view),
                None => Seen::Unknown("the server's answer lacks a column".into()),
            },
            Err(failure) if failure.kind == FailureKind::Refuses => Seen::Is(refusing(failure.text)),
            Err(failure) => Seen::Unknown(failure.text),
        }
    }

    async fn lets_in(&self, region: &Region, cluster: &ObjectName, role: &RoleLogin) -> Seen<Result<(), String>> {
        let (user, password) = (role.user.clone(), Some(role.password.clone()));
        let database = match self.login().await {
            Ok(own) => own.database,
            Err(failure) => return Seen::Unknown(failure.text),
        };
        let login = Login { user, password, database };
        let failure = match self.with_session_of(&login, region, cluster, |_| async { Ok(()) }).await {
            Ok(()) => return Seen::Is(Ok(())),
            Err(failure) => failure,
        };
        match failure.code.as_deref() {
            Some(PASSWORD_REFUSED) => Seen::Is(Err(PASSWORD_REFUSED.into())),
            // The database is missing, or closed to the role: that is asked once the password was taken.
            Some(DATABASE_MISSING | "42501") => Seen::Is(Ok(())),
            Some(code) => Seen::Unknown(format!("the server refuses the session with {code}")),
            None => Seen::Unknown(failure.text),
        }
    }
}

#[async_trait]
impl ActOnDatabase for PostgresProbe {
    async fn try_write(&self, region: &Region, cluster: &ObjectName, commit: bool) -> Outcome {
        let tried = self.with_session(region, cluster, |client| async move {
            let tried = client.simple_query(TRY_SQL).await?;
            let read_only = rows(&tried).next().and_then(|row| row.get("read_only")) != Some("off");
            if read_only {
                return Ok(Some("transactions are read-only by default".to_owned()));
            }
            if commit { committed(&client).await } else { Ok(None) }
        });
        match tried.await {
            Ok(None) => Outcome::Done(()),
            Ok(Some(cause)) => Outcome::NotApplied(cause),
            Err(failure) => match failure.kind {
                FailureKind::Refuses => Outcome::NotApplied(failure.text),
                FailureKind::Denied => Outcome::Refused(failure.text),
                FailureKind::Unknown => Outcome::Unknown(failure.text),
            },
        }
    }
}

/// Commits, and looks for the confirmation that a client's commit would wait for. Why there is none, or nothing.
async fn committed(client: &Client) -> Result<Option<String>, tokio_postgres::Error> {
    client.simple_query(COMMIT_SQL).await?;
    let answer = client.simple_query(COMMITTED_SQL).await?;
    let end = rows(&answer).next();
    let text = |column: &str| end.and_then(|row| row.try_get(column).ok().flatten());
    let needed = text("names").map_or(0, confirmations);
    if needed == 0 {
        return Ok(None);
    }
    let Some(lsn) = text("lsn").and_then(|lsn| lsn.parse().ok()) else {
        return Ok(Some("the server did not say where its log ends".into()));
    };
    let mut confirmed = 0;
    for look in 0..CONFIRMED_LOOKS_MAX {
        if look > 0 {
            client.simple_query(PAUSE_SQL).await?;
        }
        let answer = client.simple_query(&confirmed_sql(lsn)).await?;
        let count = rows(&answer).next().and_then(|row| row.try_get("confirmed").ok().flatten()?.parse().ok());
        confirmed = count.unwrap_or(0);
        if confirmed >= needed {
            return Ok(None);
        }
    }
    Ok(Some(format!("a commit would wait: {confirmed} of {needed} synchronous standbys confirm it")))
}

/// How many standbys a value of `synchronous_standby_names` waits for: `ANY 2 (a, b, c)`, `FIRST 1 (a)`, `2 (a, b)`,
/// `a, b` (one), nothing (none).
fn confirmations(names: &str) -> u64 {
    let names = names.trim();
    if names.is_empty() {
        return 0;
    }
    let front = names.split('(').next().unwrap_or_default();
    front.split_whitespace().find_map(|word| word.parse().ok()).unwrap_or(1)
}

fn rows(messages: &[SimpleQueryMessage]) -> impl Iterator<Item = &SimpleQueryRow> {
    messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    })
}

/// What a server that takes no connection shows.
fn refusing(detail: String) -> DatabaseView {
    DatabaseView {
        accepts: Accepts::No,
        detail,
        in_recovery: None,
        timeline: None,
        lsn: None,
        replay_paused: None,
        archive_mode: None,
        pending_restart: None,
        hot_standby: None,
        logical_slots: None,
        system_id: None,
        replicas: None,
    }
}

/// `None` where the answer is not of the form that was asked for.
fn view<'a>(
    mut state: impl Iterator<Item = &'a SimpleQueryRow>,
    replicas: impl Iterator<Item = &'a SimpleQueryRow>,
) -> Option<DatabaseView> {
    let state = state.next()?;
    let in_recovery = state.try_get("in_recovery").ok()?? == "t";
    let read_only = state.try_get("read_only").ok()?? == "on";
    let (accepts, detail) = match (in_recovery, read_only) {
        (true, _) => (Accepts::No, "in recovery"),
        (false, true) => (Accepts::No, "read-only"),
        (false, false) => (Accepts::Yes, ""),
    };
    Some(DatabaseView {
        accepts,
        detail: detail.into(),
        in_recovery: Some(in_recovery),
        timeline: state.try_get("timeline").ok()?.and_then(|text| text.parse().ok()),
        lsn: state.try_get("lsn").ok()?.and_then(|text| text.parse().ok()),
        replay_paused: state.try_get("replay_paused").ok()?.map(|text| text == "t"),
        archive_mode: state.try_get("archive_mode").ok()?.map(str::to_owned),
        pending_restart: state.try_get("pending_restart").ok()?.map(|text| text == "t"),
        hot_standby: hot_standby(state),
        // NULL: there is none.
        logical_slots: Some(
            state
                .try_get("logical_slots")
                .ok()?
                .map_or_else(Vec::new, |names| names.split(',').map(str::to_owned).collect()),
        ),
        system_id: state.try_get("system_id").ok()?.map(str::to_owned),
        // One hidden row hides them all: what can be seen is then not what there is.
        replicas: replicas.map(replica).collect(),
    })
}

fn hot_standby(state: &SimpleQueryRow) -> Option<HotStandby> {
    let setting = |name: &str| state.try_get(name).ok().flatten()?.parse().ok();
    Some(HotStandby {
        connections: setting("max_connections")?,
        worker_processes: setting("max_worker_processes")?,
        wal_senders: setting("max_wal_senders")?,
        prepared_transactions: setting("max_prepared_transactions")?,
        locks_per_transaction: setting("max_locks_per_transaction")?,
    })
}

/// `None` where the role may not see it.
fn replica(row: &SimpleQueryRow) -> Option<ReplicaRow> {
    let text = |column: &str| row.try_get(column).ok().flatten();
    let time = |column: &str| SignedDuration::try_from_secs_f64(text(column)?.parse().ok()?).ok();
    Some(ReplicaRow {
        application_name: text("application_name")?.to_owned(),
        streaming: text("state")? == "streaming",
        replay: text("replay_lsn").and_then(|lsn| lsn.parse::<Lsn>().ok()),
        replay_lag: time("replay_lag").and_then(|lag| lag.try_into().ok()),
        reply_age: time("reply_age"),
        sync_state: text("sync_state").unwrap_or_default().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::confirmations;

    #[test]
    fn as_many_standbys_are_waited_for_as_the_setting_says() {
        let cases =
            [("", 0), ("ANY 2 (a, b, c)", 2), ("FIRST 1 (\"shop-hel\")", 1), ("3 (a, b, c)", 3), ("a, b", 1), ("*", 1)];
        for (names, count) in cases {
            assert_eq!(confirmations(names), count, "{names}");
        }
    }
}
