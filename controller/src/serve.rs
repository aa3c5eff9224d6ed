//! Listens on TCP, for the HTTP API and the health endpoints.

use crate::config::Listen;
use crate::directory::Directory;
use crate::pause;
use continuum_core::clock::Clock;
use continuum_live::byte_stream::ByteStream;
use continuum_live::http_api::{HttpApi, Limits, Token, serve};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// After an accept that failed: the process is out of files, most likely, and others give theirs back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// When serving ends.
pub(crate) type Stop = Shared<BoxFuture<'static, ()>>;

/// Why nobody listens.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {address} cannot be listened on; is another process there?")]
pub struct NotBound {
    name: &'static str,
    address: SocketAddr,
    #[source]
    source: io::Error,
}

/// Listens where the variable `name` says.
pub(crate) async fn bind(name: &'static str, listen: Listen) -> Result<TcpListener, NotBound> {
    let address = listen.address();
    let mut bound = TcpListener::bind(address).await;
    // All addresses, on a machine without IPv6.
    if listen.ip.is_none() && bound.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::AddrInUse) {
        bound = TcpListener::bind((Ipv4Addr::UNSPECIFIED, listen.port)).await;
    }
    let listener = bound.map_err(|source| NotBound { name, address, source })?;
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "{name}: listening");
    }
    Ok(listener)
}

/// The next caller.
pub(crate) async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(cause) => {
                tracing::warn!(%cause, "a caller could not be let in");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves the HTTP API until `stop`, and then what is under way. A panic in it ends the calls of that moment, and it begins
/// anew.
pub(crate) async fn api(
    listener: TcpListener,
    directory: Directory,
    token: Option<Token>,
    clock: Arc<dyn Clock>,
    stop: Stop,
) {
    let listener = Arc::new(listener);
    let mut panics = 0;
    loop {
        let api = HttpApi::new(Arc::new(directory.clone()), token.clone(), Limits::DEFAULT);
        let listener = listener.clone();
        let accepted = move || {
            let listener = listener.clone();
            async move { Box::new(accept(&listener).await) as Box<dyn ByteStream> }.boxed()
        };
        let Err(error) = tokio::spawn(serve(api, accepted, stop.clone().boxed())).await else { return };
        panics += 1;
        tracing::error!(%error, panics, "the HTTP API ended; it is begun anew");
        clock.sleep(pause::after(panics)).await;
    }
}
