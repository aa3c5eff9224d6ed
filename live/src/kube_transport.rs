//! Clients of Kubernetes API servers. One carries requests over any connector, which is how the simulator
//! runs the adapters; the other is for production, with TLS and credentials.
//!
//! Every client has a time limit for connecting and for each answer, since a lost segment may otherwise stall
//! a request for ever. Deliberately absent: retries. A request that was sent again behind an adapter's back
//! could be applied long after its caller looked and decided anew.

use http::{HeaderValue, Request, Uri, header};
use hyper::rt::Executor;
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::Connection;
use hyper_util::rt::TokioTimer;
use kube::client::{Body, ClientBuilder, ConfigExt};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;
use tower::{BoxError, Service, ServiceBuilder};

/// What a request that drives or keeps is marked with, as `User-Agent`.
pub const USER_AGENT: &str = "continuum";
/// What a request of a dry run or a health check is marked with, so that a server can tell that such a request
/// changes nothing.
pub const USER_AGENT_DRY_RUN: &str = "continuum-dry-run";

/// Time limits of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// To open a connection.
    pub connect: Duration,
    /// Between bytes of an answer.
    pub read: Duration,
}

impl Limits {
    /// For single requests. The caller limits each more tightly; this frees what it left behind.
    pub const REQUESTS: Limits = Limits { connect: Duration::from_secs(5), read: Duration::from_secs(10) };
    /// For watches, on which a server may say nothing until their time is over ([`crate::watches`]).
    pub const WATCHES: Limits = Limits { connect: Duration::from_secs(5), read: Duration::from_secs(30) };
}

/// A client of the API server at `base` (such as `http://api.hel:80`) over `connector`, without TLS and without
/// credentials. What carries its connections runs on `executor`. Must be made within a tokio runtime.
pub fn plain_client<C, E>(
    base: Uri,
    user_agent: &'static str,
    limits: Limits,
    connector: C,
    executor: E,
) -> kube::Client
where
    E: Executor<Pin<Box<dyn Future<Output = ()> + Send>>> + Clone + Send + Sync + 'static,
    C: Service<Uri> + Clone + Send + Sync + 'static,
    C::Response: Connection + hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
    C::Future: Send + 'static,
    C::Error: Into<BoxError> + Send + Sync + 'static,
{
    let config = kube::Config::new(base);
    let mut connector = TimeoutConnector::new(connector);
    connector.set_connect_timeout(Some(limits.connect));
    connector.set_read_timeout(Some(limits.read));
    connector.set_write_timeout(Some(limits.read));
    connector.set_reset_reader_on_write(true);
    let http = HttpClient::builder(executor)
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .build::<_, Body>(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .map_request(move |mut request: Request<Body>| {
            request.headers_mut().insert(header::USER_AGENT, HeaderValue::from_static(user_agent));
            request
        })
        .map_err(BoxError::from)
        .service(http);
    ClientBuilder::new(service, config.default_namespace).build()
}

/// A client for production: TLS and credentials as `config` says. Must be made within a tokio runtime.
///
/// # Errors
///
/// Certificates or credentials that cannot be used.
pub fn tls_client(
    mut config: kube::Config,
    user_agent: &'static str,
    limits: Limits,
) -> Result<kube::Client, kube::Error> {
    config.connect_timeout = Some(limits.connect);
    config.read_timeout = Some(limits.read);
    config.write_timeout = Some(limits.read);
    config.reset_reader_on_write = true;
    config.default_retry = false;
    config.headers.push((header::USER_AGENT, HeaderValue::from_static(user_agent)));
    Ok(ClientBuilder::try_from(config)?.build())
}
