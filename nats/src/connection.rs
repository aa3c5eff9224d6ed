//! One connection, made anew after whatever may leave a request behind in it.

use crate::settings::{Credentials, Settings};
use async_nats::jetstream::{self, context::ContextBuilder};
use async_nats::{ConnectOptions, Event, ServerError, connection::State};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// For each server that is tried.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// For each request. The server's own default is longer than a round trip by far.
pub(crate) const REQUEST_LIMIT: Duration = Duration::from_secs(2);

/// What the files of the settings hold. It has no `Debug`, which would show secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Material {
    /// Of the credentials.
    credentials: Option<String>,
    /// Of the authorities. The library reads them itself; they stand here to be compared.
    authorities: Option<Vec<u8>>,
}

impl Material {
    /// As the files are now.
    pub fn read(settings: &Settings) -> Result<Self, String> {
        let unread = |path: &Path, error: &std::io::Error| format!("{} cannot be read: {error}", path.display());
        let credentials = match &settings.credentials {
            Credentials::File(path) => Some(std::fs::read_to_string(path).map_err(|error| unread(path, &error))?),
            _ => None,
        };
        let read = |path: &PathBuf| std::fs::read(path).map_err(|error| unread(path, &error));
        Ok(Self { credentials, authorities: settings.ca.as_ref().map(read).transpose()? })
    }
}

/// A connection. What the server refuses comes without saying which request it was about.
#[derive(Clone)]
pub(crate) struct Connection {
    pub context: jetstream::Context,
    client: async_nats::Client,
    refusals: Arc<Mutex<Vec<String>>>,
}

impl Connection {
    /// Connects to the first server that answers.
    pub async fn open(settings: &Settings, material: &Material) -> Result<Self, String> {
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
            Credentials::File(path) => options
                .credentials(material.credentials.as_deref().unwrap_or_default())
                .map_err(|_| format!("{} is no .creds file", path.display()))?,
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

    /// Whether the other is the same.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.refusals, &other.refusals)
    }

    /// Whether it was whole a moment ago.
    pub fn is_whole(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// That the server refused this client to publish to a subject, where it did.
    pub fn take_refusal_of(&self, subject: &str) -> Option<String> {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        let quoted = format!("\"{subject}\"");
        let of_it = |text: &String| text.contains("Permissions Violation") && text.contains(&quoted);
        let index = refusals.iter().position(of_it)?;
        Some(refusals.remove(index))
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
