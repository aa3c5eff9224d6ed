//! Client sessions: PostgreSQL's wire protocol, simple queries only, a password in clear text from
//! everyone (the operator's `pg_hba.conf` trusts nobody over the network).
//!
//! What a client meets while the server comes or goes is the point of this file: nobody listens (refused by the
//! network), 57P03 while it starts or shuts down, 57P01 when its session is terminated, silence when the host is cut
//! off or the server was killed (its kernel closes the stream).

use super::instance::{CLIENT_PORT, ClientSession, Inner, Instance};
use super::journal::Event;
use super::process;
use super::sql::{self, Asker, Part, Transaction};
use super::types::State;
use crate::fabric::{BoxStream, Net};
use bytes::{BufMut, BytesMut};
use futures_util::future::{Either, select};
use pgwire::messages::data::{DataRow, FieldDescription, RowDescription};
use pgwire::messages::response::{CommandComplete, ErrorResponse, NoticeResponse, ReadyForQuery, TransactionStatus};
use pgwire::messages::startup::{Authentication, BackendKeyData, ParameterStatus, SecretKey};
use pgwire::messages::{
    DecodeContext, PgWireBackendMessage as Backend, PgWireFrontendMessage as Frontend, ProtocolVersion,
    SslNegotiationMetaMessage,
};
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A session from which nothing was heard for this long is closed. PostgreSQL would keep it; but here a lost
/// goodbye is never sent again, and would hold a smart shutdown up for no client at all.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// `superuser_reserved_connections`.
const RESERVED: u32 = 3;

/// Serves `port` whenever a postmaster is there. Used for clients and for replication.
pub(super) async fn serve_port<F>(
    instance: &Instance,
    net: &Net,
    port: u16,
    serve: impl Fn(Instance, Net, BoxStream, u64) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        let incarnation = instance.until(|inner| (inner.state != State::Stopped).then_some(inner.incarnation)).await;
        let Ok(listener) = net.listen(port).await else {
            // The port of the last incarnation is still taken.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        loop {
            let ended = instance.until(|inner| (inner.incarnation != incarnation).then_some(()));
            match select(pin!(ended), pin!(listener.accept())).await {
                Either::Left(((), _)) => break,
                Either::Right((Ok((stream, _)), _)) => {
                    net.spawn(Box::pin(serve(instance.clone(), net.clone(), stream, incarnation)));
                }
                Either::Right((Err(_), _)) => break,
            }
        }
    }
}

pub(super) async fn listen(instance: &Instance, net: &Net) {
    serve_port(instance, net, CLIENT_PORT, |instance, net, stream, incarnation| async move {
        let mut session = Session {
            instance,
            net,
            stream,
            incarnation,
            id: None,
            user: String::new(),
            transaction: Transaction::default(),
            dry_run: false,
            buffer: BytesMut::new(),
            context: DecodeContext::default(),
        };
        if let Err(error) = session.serve().await {
            tracing::trace!(target: "continuum_sim::postgres", %error, "session ended");
        }
    })
    .await;
}

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("the stream failed")]
    Stream(#[from] io::Error),
    #[error("the client said what is no message")]
    Protocol(#[from] pgwire::error::PgWireError),
    #[error("closed by its client")]
    Closed,
    #[error("the server is gone")]
    Gone,
    #[error("terminated: {0}")]
    Terminated(&'static str),
}

struct Session {
    instance: Instance,
    net: Net,
    stream: BoxStream,
    incarnation: u64,
    id: Option<u64>,
    user: String,
    transaction: Transaction,
    dry_run: bool,
    buffer: BytesMut,
    context: DecodeContext,
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.instance.change(|inner| inner.sessions.remove(&id));
        }
    }
}

impl Session {
    async fn serve(&mut self) -> Result<(), Ended> {
        let parameters = loop {
            match self.receive().await? {
                Frontend::SslNegotiation(SslNegotiationMetaMessage::None) => {
                    self.context.awaiting_frontend_ssl = false;
                }
                Frontend::SslNegotiation(_) => self.stream.write_all(b"N").await?,
                Frontend::CancelRequest(request) => {
                    let id = u64::try_from(request.pid).unwrap_or_default();
                    self.instance.change(|inner| {
                        if let Some(session) = inner.sessions.get_mut(&id) {
                            session.cancel_count += 1;
                        }
                    });
                    return Err(Ended::Closed);
                }
                Frontend::Startup(startup) => break startup.parameters,
                _ => return Err(Ended::Closed),
            }
        };
        self.context.awaiting_frontend_startup = false;
        self.context.protocol_version = ProtocolVersion::PROTOCOL3_0;
        self.log_in(parameters).await?;
        loop {
            match self.receive().await? {
                Frontend::Query(query) => self.query(&query.query).await?,
                Frontend::Terminate(_) => return Err(Ended::Closed),
                _ => return self.fatal("0A000", "the model speaks simple queries only").await,
            }
        }
    }

    async fn log_in(&mut self, parameters: BTreeMap<String, String>) -> Result<(), Ended> {
        let user = parameters.get("user").cloned().unwrap_or_default();
        if self.instance.lock().incarnation != self.incarnation {
            return Err(Ended::Gone);
        }
        let (refusal, password) = {
            let inner = self.instance.lock();
            let refusal = match inner.state {
                State::Starting => Some(("57P03", "the database system is starting up")),
                State::Stopping(_) => Some(("57P03", "the database system is shutting down")),
                _ if inner.sessions.len() >= inner.limits.max_connections as usize => {
                    Some(("53300", "sorry, too many clients already"))
                }
                State::Running | State::Stopped => None,
            };
            (refusal, inner.password(&user))
        };
        if let Some((code, why)) = refusal {
            return self.fatal(code, why).await;
        }
        let mut out = BytesMut::new();
        Backend::Authentication(Authentication::CleartextPassword).encode(&mut out)?;
        self.stream.write_all(&out).await?;
        let given = match self.receive().await? {
            Frontend::PasswordMessageFamily(message) => message.into_password()?.password,
            _ => return Err(Ended::Closed),
        };
        // A role that has none, or is none, is asked like any other, and no answer is right.
        if password.is_none_or(|password| given != password) {
            let message = format!("password authentication failed for user \"{user}\"");
            return self.fatal("28P01", &message).await;
        }
        let application = parameters.get("application_name").cloned().unwrap_or_default();
        self.dry_run = application.contains("continuum-dry-run");
        self.user.clone_from(&user);
        let incarnation = self.incarnation;
        let entered = self.instance.change(|inner| {
            // It may have begun to stop while the password was waited for.
            if inner.incarnation != incarnation || inner.state != State::Running {
                return Err(("57P01", "terminating connection due to administrator command"));
            }
            let free = (inner.limits.max_connections as usize).saturating_sub(inner.sessions.len());
            if free == 0 {
                return Err(("53300", "sorry, too many clients already"));
            }
            if free <= RESERVED as usize && !sql::is_superuser(&user) {
                return Err((
                    "53300",
                    "remaining connection slots are reserved for non-replication superuser connections",
                ));
            }
            let id = inner.fresh_id();
            inner.sessions.insert(id, ClientSession { user, application, terminated: false, cancel_count: 0 });
            Ok(id)
        });
        let id = match entered {
            Ok(id) => id,
            Err((code, why)) => return self.fatal(code, why).await,
        };
        self.id = Some(id);
        let mut out = BytesMut::new();
        Backend::Authentication(Authentication::Ok).encode(&mut out)?;
        let version = ParameterStatus::new("server_version".into(), "15.18".into());
        Backend::ParameterStatus(version).encode(&mut out)?;
        Backend::BackendKeyData(BackendKeyData::new(i32::try_from(id).unwrap_or_default(), SecretKey::I32(2)))
            .encode(&mut out)?;
        Backend::ReadyForQuery(ReadyForQuery::new(TransactionStatus::Idle)).encode(&mut out)?;
        Ok(self.stream.write_all(&out).await?)
    }

    async fn query(&mut self, text: &str) -> Result<(), Ended> {
        let (now, dry_run) = (self.net.now(), self.dry_run);
        let asker = Asker { user: &self.user, session: self.id.unwrap_or_default() };
        let (answer, cancels) = self.instance.change(|inner| {
            let answer = sql::run(inner, now, asker, &mut self.transaction, text);
            inner.dry_run_write_count += u64::from(dry_run && answer.is_changing);
            (answer, cancel_count(inner, self.id))
        });
        let ended = end_of(&self.instance.lock(), self.incarnation, self.id);
        if let Some(Ended::Terminated(_)) = ended {
            return self.terminated().await;
        }
        let mut out = BytesMut::new();
        for part in answer.parts {
            match part {
                Part::Commit(lsn, rows) => {
                    // A wait that is cancelled is acknowledged all the same, with a warning.
                    if self.wait(cancels, |inner| inner.is_acknowledged(lsn)).await? == Waited::Cancelled {
                        let why = "canceling wait for synchronous replication due to user request";
                        notice(why).encode(&mut out)?;
                    }
                    let inner = self.instance.lock();
                    for (client, number) in rows {
                        process::write(&inner, self.net.now(), Event::Acknowledged { client, number });
                    }
                }
                Part::Sleep(pause) => {
                    let waited = tokio::time::timeout(pause, self.wait(cancels, |_| false)).await;
                    if waited.is_ok_and(|waited| waited.is_ok()) {
                        error("ERROR", "57014", sql::CANCELLED).encode(&mut out)?;
                        self.transaction.fail();
                        break;
                    }
                }
                Part::Done(tag) => Backend::CommandComplete(CommandComplete::new(tag.into())).encode(&mut out)?,
                Part::Rows(columns, rows) => encode_rows(&columns, &rows, &mut out)?,
                Part::Error(code, message) => error("ERROR", code, &message).encode(&mut out)?,
            }
        }
        let status = match self.transaction {
            Transaction { open: false, .. } => TransactionStatus::Idle,
            Transaction { failed: true, .. } => TransactionStatus::Error,
            Transaction { .. } => TransactionStatus::Transaction,
        };
        Backend::ReadyForQuery(ReadyForQuery::new(status)).encode(&mut out)?;
        Ok(self.stream.write_all(&out).await?)
    }

    /// Waits until something is so, or the statement is cancelled; also where its client is gone: nothing else ends it.
    /// A session that is terminated meanwhile never says so, though a commit is durable here.
    async fn wait(&mut self, cancels: u64, is_so: impl Fn(&Inner) -> bool) -> Result<Waited, Ended> {
        let (incarnation, id) = (self.incarnation, self.id);
        let waited = self.instance.until(|inner| match end_of(inner, incarnation, id) {
            Some(ended) => Some(Err(ended)),
            None if is_so(inner) => Some(Ok(Waited::Through)),
            None => (cancel_count(inner, id) > cancels).then_some(Ok(Waited::Cancelled)),
        });
        match waited.await {
            Err(Ended::Terminated(_)) => self.terminated().await.and(Err(Ended::Gone)),
            other => other,
        }
    }

    async fn terminated(&mut self) -> Result<(), Ended> {
        self.fatal("57P01", "terminating connection due to administrator command").await
    }

    /// The next message, unless the server ends or terminates this session first.
    async fn receive(&mut self) -> Result<Frontend, Ended> {
        loop {
            if let Some(message) = Frontend::decode(&mut self.buffer, &self.context)? {
                return Ok(message);
            }
            let (incarnation, id) = (self.incarnation, self.id);
            let ended = self.instance.until(|inner| end_of(inner, incarnation, id));
            let ended = async {
                match select(pin!(ended), pin!(tokio::time::sleep(SILENCE_MAX))).await {
                    Either::Left((ended, _)) => ended,
                    Either::Right(((), _)) => Ended::Closed,
                }
            };
            let read = match select(pin!(ended), pin!(self.stream.read_buf(&mut self.buffer))).await {
                Either::Left((Ended::Terminated(_), _)) => None,
                Either::Left((ended, _)) => return Err(ended),
                Either::Right((read, _)) => Some(read?),
            };
            match read {
                None => return self.terminated().await.and(Err(Ended::Gone)),
                Some(0) => return Err(Ended::Closed),
                Some(_) => {}
            }
        }
    }

    async fn fatal(&mut self, code: &'static str, message: &str) -> Result<(), Ended> {
        let mut out = BytesMut::new();
        error("FATAL", code, message).encode(&mut out)?;
        self.stream.write_all(&out).await?;
        self.stream.shutdown().await?;
        Err(Ended::Terminated(code))
    }
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waited {
    Through,
    Cancelled,
}

/// Why a session ends, if it does. One that has not logged in yet is terminated by nobody.
fn end_of(inner: &Inner, incarnation: u64, id: Option<u64>) -> Option<Ended> {
    if inner.incarnation != incarnation {
        return Some(Ended::Gone);
    }
    let terminated = id.and_then(|id| inner.sessions.get(&id)).is_some_and(|session| session.terminated);
    terminated.then_some(Ended::Terminated("57P01"))
}

fn cancel_count(inner: &Inner, id: Option<u64>) -> u64 {
    id.and_then(|id| inner.sessions.get(&id)).map_or(0, |session| session.cancel_count)
}

fn notice(message: &str) -> Backend {
    let fields = [(b'S', "WARNING"), (b'V', "WARNING"), (b'C', "01000"), (b'M', message)];
    Backend::NoticeResponse(NoticeResponse::new(fields.map(|(key, value)| (key, value.to_owned())).to_vec()))
}

fn error(severity: &str, code: &str, message: &str) -> Backend {
    let fields = [(b'S', severity), (b'V', severity), (b'C', code), (b'M', message)];
    Backend::ErrorResponse(ErrorResponse::new(fields.map(|(key, value)| (key, value.to_owned())).to_vec()))
}

fn encode_rows(columns: &[String], rows: &[Vec<Option<String>>], out: &mut BytesMut) -> Result<(), Ended> {
    const TEXT: u32 = 25;
    let fields = columns.iter().map(|name| FieldDescription::new(name.clone(), 0, 0, TEXT, -1, -1, 0));
    Backend::RowDescription(RowDescription::new(fields.collect())).encode(out)?;
    for row in rows {
        let mut data = BytesMut::new();
        for value in row {
            match value {
                None => data.put_i32(-1),
                Some(text) => {
                    data.put_i32(i32::try_from(text.len()).expect("a value of the model is short"));
                    data.put_slice(text.as_bytes());
                }
            }
        }
        let count = i16::try_from(row.len()).expect("a row of the model is short");
        Backend::DataRow(DataRow::new(data, count)).encode(out)?;
    }
    Backend::CommandComplete(CommandComplete::new(format!("SELECT {}", rows.len()))).encode(out)?;
    Ok(())
}
