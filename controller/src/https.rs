//! The way to a server of HTTP: plain, or with TLS.

use crate::tls::{TrustError, authorities, client_config, is_distrust};
use continuum_live::byte_stream::ByteStream;
use continuum_live::http_client::{Connect, plain_tcp};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// For so long the machine's authorities are kept.
const KEPT_FOR: Duration = Duration::from_secs(300);

/// Whether TLS is spoken to a server, and whom its certificate has to be of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// None is.
    Http,
    /// By an authority of this file, in PEM; absent: by one that this machine trusts.
    Https(Option<PathBuf>),
}

impl Scheme {
    /// The file of authorities.
    pub(crate) fn authorities(&self) -> Option<&Path> {
        match self {
            Self::Https(Some(path)) => Some(path),
            _ => None,
        }
    }
}

/// Why there is no encrypted stream, on top of an [`io::Error`] of connecting.
#[derive(Debug, thiserror::Error)]
enum HttpsError {
    #[error("{} cannot be read", .0.display())]
    Unread(PathBuf, #[source] io::Error),
    #[error("{}", .0.display())]
    File(PathBuf, #[source] TrustError),
    #[error("no authority that this machine trusts was found; name a file of them{}{}", if .0.is_empty() { "" } else { ": " }, .0)]
    Nobody(String),
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error("`{0}` is neither a DNS name nor an address, so no certificate is for it")]
    Name(String),
    #[error("the server's certificate is not accepted: compare it with the authorities and the host's name")]
    Certificate(#[source] io::Error),
    #[error("the TLS handshake failed: is it a server of https?")]
    Handshake(#[source] io::Error),
}

/// Opens streams to servers of this scheme. A file of authorities is read for each, so that others are used as soon as they
/// are there; those of the machine, which are many, after a while.
pub fn connect(scheme: &Scheme) -> Connect {
    let Scheme::Https(ca) = scheme else { return plain_tcp() };
    let (ca, of_machine, tcp) = (ca.clone(), Arc::<Mutex<Option<Kept>>>::default(), plain_tcp());
    Arc::new(move |host: &str, port: u16| {
        let (host, ca, of_machine, stream) = (host.to_owned(), ca.clone(), of_machine.clone(), tcp(host, port));
        Box::pin(async move {
            let config = match &ca {
                Some(path) => of_file(path).await,
                None => of_this_machine(&of_machine).await,
            };
            let connector = TlsConnector::from(config.map_err(io::Error::other)?);
            let name = ServerName::try_from(host.clone()).map_err(|_| io::Error::other(HttpsError::Name(host)))?;
            let encrypted = connector.connect(name, stream.await?).await.map_err(|error| {
                let of = if is_distrust(&error) { HttpsError::Certificate } else { HttpsError::Handshake };
                io::Error::other(of(error))
            })?;
            Ok(Box::new(encrypted) as Box<dyn ByteStream>)
        })
    })
}

async fn of_file(path: &Path) -> Result<Arc<ClientConfig>, HttpsError> {
    let pem = tokio::fs::read(path).await.map_err(|error| HttpsError::Unread(path.to_owned(), error))?;
    let roots = authorities(&pem).map_err(|error| HttpsError::File(path.to_owned(), error))?;
    Ok(client_config(roots)?)
}

/// What was made of the machine's authorities, and when.
type Kept = (Instant, Arc<ClientConfig>);

async fn of_this_machine(kept: &Mutex<Option<Kept>>) -> Result<Arc<ClientConfig>, HttpsError> {
    let mut kept = kept.lock().await;
    if let Some((_, config)) = kept.as_ref().filter(|(at, _)| at.elapsed() < KEPT_FOR) {
        return Ok(config.clone());
    }
    // It reads a folder of files, and understands each.
    let read = tokio::task::spawn_blocking(|| {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        // One that cannot be used is no reason to trust none of the others.
        roots.add_parsable_certificates(found.certs);
        let why = found.errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        if roots.is_empty() { Err(HttpsError::Nobody(why)) } else { Ok(client_config(roots)?) }
    });
    let config = read.await.unwrap_or_else(|error| Err(HttpsError::Nobody(error.to_string())))?;
    *kept = Some((Instant::now(), config.clone()));
    Ok(config)
}
