//! A client's session with PostgreSQL.

use super::memory::NO_ANSWER;
use super::{LIMIT, Outcome};
use crate::fabric::Net;
use std::time::Duration;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Error, NoTls, SimpleQueryMessage};

/// Port of PostgreSQL.
const PORT: u16 = 5432;

/// Who logs in.
pub(super) struct Login<'a> {
    pub(super) user: &'a str,
    pub(super) password: &'a str,
    pub(super) name: &'a str,
}

/// An open session.
pub(super) struct Session(Client);

impl Session {
    /// Opens one to the half of a region, or says why not.
    pub(super) async fn open(net: &Net, region: &str, login: &Login<'_>) -> Result<Self, String> {
        within(LIMIT, async {
            let stream = net.connect(&format!("pg.{region}"), PORT).await.map_err(|error| error.kind().to_string())?;
            let mut config = tokio_postgres::Config::new();
            config.user(login.user).dbname("app").application_name(login.name).ssl_mode(SslMode::Disable);
            config.password(login.password);
            let (client, connection) = config.connect_raw(stream, NoTls).await.map_err(|error| told(&error))?;
            net.spawn(Box::pin(async move {
                // What breaks a session is told to whoever uses it.
                let _ = connection.await;
            }));
            Ok(Self(client))
        })
        .await
        .unwrap_or_else(|| Err(NO_ANSWER.into()))
    }

    /// Writes a row.
    pub(super) async fn insert(&self, client: &str, number: u64) -> Outcome {
        let sql = format!("insert into w values ('{client}', {number})");
        match within(LIMIT, self.0.simple_query(&sql)).await {
            Some(Ok(_)) => Outcome::Acknowledged,
            Some(Err(error)) => match error.as_db_error() {
                // A session that is terminated while its commit waits for a standby is committed here.
                Some(answer) if !answer.code().code().starts_with("57P") => {
                    Outcome::Refused(answer.code().code().to_owned())
                }
                _ => Outcome::Unknown(told(&error)),
            },
            None => Outcome::Unknown(NO_ANSWER.into()),
        }
    }

    /// Whether a row is there. `None`: that was not learned.
    pub(super) async fn has_row(&self, client: &str, number: u64) -> Option<bool> {
        let sql = format!("select count(*) from w where client = '{client}' and number = {number}");
        let answer = within(LIMIT, self.0.simple_query(&sql)).await?.ok()?;
        let mut rows = answer.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        rows.next().map(|count| count != "0")
    }

    /// Says something that changes nothing, so that the server sees a client there. `false`: it is gone.
    pub(super) async fn live(&self) -> bool {
        matches!(within(LIMIT, self.0.simple_query("select 1")).await, Some(Ok(_)))
    }

    pub(super) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

/// The SQLSTATE where there is one.
fn told(error: &Error) -> String {
    error.code().map_or_else(|| error.to_string(), |code| code.code().to_owned())
}

async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(limit, work).await.ok()
}
