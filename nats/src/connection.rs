//! One connection, made anew after whatever may leave a request behind in it.

use crate::settings::{Credentials, Settings};
use async_nats::jetstream::{self, context::ContextBuilder};
use async_nats::{ConnectOptions, Event, ServerError, connection::State};
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// For each server that is tried.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// For each request. The server's own default is longer than a round trip by far.
pub(crate) const REQUEST_LIMIT: Duration = Duration::from_secs(2);

/// A connection. What the server refuses comes without saying which request it was about.
#[derive(Clone)]
pub(crate) struct Connection {
    pub context: jetstream::Context,
    client: async_nats::Client,
    refusals: Arc<Mutex<Vec<String>>>,
}

impl Connection {
    /// Connects to the first server that answers.
    pub async fn open(settings: &Settings) -> Result<Self, String> {
        let refusals = Arc::<Mutex<Vec<String>>>::default();
        let noted = refusals.clone();
        let options = ConnectOptions::new()
            .name(&settings.name)
            .connection_timeout(CONNECT_LIMIT)
            .request_timeout(Some(REQUEST_LIMIT))
            // A request that was given up is sent once more by a client that connects again, whenever that is. So it
            // tries each server once, and is then thrown away.
            .max_reconnects(settings.servers.len())
            .event_callback(move |event| {
                if let Event::ServerError(ServerError::Other(text)) = &event {
                    noted.lock().unwrap_or_else(PoisonError::into_inner).push(text.clone());
                }
                tracing::debug!(%event, "NATS");
                std::future::ready(())
            });
        let options = match &settings.credentials {
            // The library reads the user of a URL, and does not send it.
            Credentials::None => match settings.user() {
                Some((user, password)) => options.user_and_password(user, password),
                None => options,
            },
            Credentials::Token(token) => options.token(token.clone()),
            Credentials::File(text) => {
                options.credentials(text).map_err(|_| "the credentials are no text of a .creds file".to_owned())?
            }
            Credentials::Nkey(seed) => options.nkey(seed.clone()),
        };
        let options = match &settings.ca {
            Some(path) => options.add_root_certificates(path.clone()).require_tls(true),
            None => options,
        };
        let client = options
            .connect(&settings.servers)
            .await
            .map_err(|error| format!("cannot connect to {}: {}", settings.told(), chain(&error)))?;
        let context = ContextBuilder::new().timeout(REQUEST_LIMIT).ack_timeout(REQUEST_LIMIT).build(client.clone());
        Ok(Self { context, client, refusals })
    }

    /// Whether it was whole a moment ago.
    pub fn is_whole(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// What the server refused since the last time that this was asked.
    pub fn take_refusals(&self) -> Vec<String> {
        std::mem::take(&mut *self.refusals.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let told = error.to_string();
        // Some errors of the library repeat their causes.
        if !text.contains(&told) {
            text.push_str(": ");
            text.push_str(&told);
        }
        cause = error.source();
    }
    text
}
