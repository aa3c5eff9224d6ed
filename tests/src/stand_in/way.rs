//! The simulated network's place taken by the way to a real API server: whatever host is asked for, it is that one. A
//! request gets TLS and credentials on its way.

use async_trait::async_trait;
use bytes::Bytes;
use continuum_core::clock::Clock;
use continuum_live::clock::SystemClock;
use continuum_sim::determinism::EPOCH;
use continuum_sim::fabric::{BoxStream, Datagrams, Listener, Network};
use http::header::HOST;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::client::Body;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Of what is on its way.
const BUFFER_BYTES: usize = 64 * 1024;

/// See the module.
pub(super) struct Way {
    client: kube::Client,
    begun: Instant,
    /// When it began, by the simulator's reckoning.
    begun_at: Duration,
}

impl Way {
    pub fn new(client: kube::Client) -> Self {
        let since_1970 = Duration::try_from(SystemClock::new().wall().as_duration()).expect("it is later than 1970");
        Self { client, begun: Instant::now(), begun_at: since_1970.saturating_sub(EPOCH) }
    }
}

#[async_trait]
impl Network for Way {
    async fn connect(&self, _host: &str, _port: u16) -> io::Result<BoxStream> {
        let (near, far) = tokio::io::duplex(BUFFER_BYTES);
        let client = self.client.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| forward(client.clone(), request));
            // A request without an answer ends the connection, as a server that is away does.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(far), service).await;
        });
        Ok(Box::new(near))
    }

    async fn connect_addr(&self, _to: SocketAddr) -> io::Result<BoxStream> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn listen(&self, _port: u16) -> io::Result<Box<dyn Listener>> {
        Ok(Box::new(Unasked))
    }

    async fn bind(&self, _port: u16) -> io::Result<Arc<dyn Datagrams>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn lookup(&self, _host: &str) -> Option<IpAddr> {
        None
    }

    fn reverse_lookup(&self, _address: IpAddr) -> Option<String> {
        None
    }

    fn now(&self) -> Duration {
        self.begun_at + self.begun.elapsed()
    }

    fn spawn(&self, work: Pin<Box<dyn Future<Output = ()> + Send>>) {
        tokio::spawn(work);
    }
}

async fn forward(client: kube::Client, request: Request<Incoming>) -> Result<Response<Body>, kube::Error> {
    let (mut parts, body) = request.into_parts();
    // It names the simulated host.
    parts.headers.remove(HOST);
    let bytes: Bytes = body.collect().await.map_err(|error| kube::Error::Service(error.into()))?.to_bytes();
    client.send(Request::from_parts(parts, bytes.to_vec().into())).await
}

/// Nobody asks the operator's webhook.
struct Unasked;

#[async_trait]
impl Listener for Unasked {
    async fn accept(&self) -> io::Result<(BoxStream, SocketAddr)> {
        std::future::pending().await
    }
}
