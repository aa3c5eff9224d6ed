//! One connection, made anew after whatever may leave a request behind in it.

use crate::settings::Settings;
use async_nats::jetstream::{self, context::ContextBuilder};
use async_nats::rustls::{self, CertificateError};
use async_nats::{ConnectError, ConnectErrorKind, ConnectOptions, Event, ServerError, connection::State};
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
        let text = |path: &Path| std::fs::read_to_string(path).map_err(|error| unread(path, &error));
        let read = |path: &PathBuf| std::fs::read(path).map_err(|error| unread(path, &error));
        Ok(Self {
            credentials: settings.credentials.file().map(text).transpose()?,
            authorities: settings.ca.as_ref().map(read).transpose()?,
        })
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
        let options = match settings.credentials.file() {
            // The library reads the user of a URL, and does not send it.
            None => match settings.user() {
                Some((user, password)) => options.user_and_password(user, password),
                None => options,
            },
            Some(path) => settings
                .credentials
                .told(options, material.credentials.as_deref().unwrap_or_default())
                .map_err(|error| format!("{}: {error}", path.display()))?,
        };
        let options = match &settings.ca {
            Some(path) => options.add_root_certificates(path.clone()).require_tls(true),
            None => options,
        };
        let client = options.connect(&settings.servers).await.map_err(|error| unconnected(&error, settings))?;
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

/// That there is no connection, and how to mend it where the settings may be what is wrong.
fn unconnected(error: &ConnectError, settings: &Settings) -> String {
    let told = format!("cannot connect to {}: {}", settings.told(), chain(error));
    match cure(error, settings) {
        Some(cure) => format!("{told}; {cure}"),
        None => told,
    }
}

fn cure(error: &ConnectError, settings: &Settings) -> Option<String> {
    if matches!(error.kind(), ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication) {
        return Some(match settings.credentials.file() {
            Some(path) => format!("mend what {} holds, or whom the servers let in", path.display()),
            None => "mend user and password in the URL, or name a file of credentials".to_owned(),
        });
    }
    is_of_unknown_authority(error).then(|| match &settings.ca {
        Some(path) => format!("put the authority of the server's certificate into {}", path.display()),
        None => "name a file with the authority of the server's certificate".to_owned(),
    })
}

/// Whether the server's certificate is of an authority that is not trusted. One with the name of a trusted one, and
/// another key, is told by its signature.
fn is_of_unknown_authority(error: &ConnectError) -> bool {
    use CertificateError::{BadSignature, UnknownIssuer};
    let source = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    let told = source.and_then(|source| source.get_ref()?.downcast_ref::<rustls::Error>());
    matches!(told, Some(rustls::Error::InvalidCertificate(UnknownIssuer | BadSignature)))
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
