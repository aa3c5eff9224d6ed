//! Opens the streams of kube's HTTP stack on the simulated network.

use crate::fabric::{BoxStream, Net};
use http::Uri;
use hyper::rt::{Executor, Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tower::Service;

/// Where an `http` URI without a port leads.
const PORT: u16 = 80;

/// Connects to hosts by name. To be used by the software of one host.
#[derive(Clone)]
pub struct KubeConnector {
    net: Net,
}

impl KubeConnector {
    /// On this network.
    pub fn new(net: Net) -> Self {
        KubeConnector { net }
    }
}

impl Service<Uri> for KubeConnector {
    type Response = KubeConnection;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<KubeConnection>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let net = self.net.clone();
        Box::pin(async move {
            let host = uri.host().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no host in the URI"))?;
            let stream = net.connect(host, uri.port_u16().unwrap_or(PORT)).await?;
            Ok(KubeConnection(TokioIo::new(stream)))
        })
    }
}

/// Runs what carries a client's connections on the host that made the client.
#[derive(Clone)]
pub struct HostExecutor {
    net: Net,
}

impl HostExecutor {
    /// On this network.
    pub fn new(net: Net) -> Self {
        HostExecutor { net }
    }
}

impl Executor<Pin<Box<dyn Future<Output = ()> + Send>>> for HostExecutor {
    fn execute(&self, work: Pin<Box<dyn Future<Output = ()> + Send>>) {
        self.net.spawn(work);
    }
}

/// A stream to an API server.
pub struct KubeConnection(TokioIo<BoxStream>);

impl Connection for KubeConnection {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for KubeConnection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl Write for KubeConnection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
