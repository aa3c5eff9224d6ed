//! The simulated network as hickory-resolver's runtime: its questions go over the fabric's datagrams and
//! streams, its tasks run on the asking host, its timers are simulated time.
//!
//! It never sends a question twice: hickory's timer for that follows the machine's clock. A lost datagram is
//! a question without an answer, and the asker asks again.

use crate::fabric::{BoxStream, Datagrams, Net};
use hickory_resolver::config::{ConnectionConfig, ProtocolConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::iocompat::AsyncIoTokioAsStd;
use hickory_resolver::net::runtime::{DnsUdpSocket, RuntimeProvider, Spawn, TokioTime};
use hickory_resolver::net::udp::UdpClientStream;
use hickory_resolver::net::xfer::DnsExchange;
use hickory_resolver::{ConnectionProvider, PoolContext};
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Limit of opening a stream where the resolver names none.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);

/// Sends of one question. hickory counts sends here, not repetitions.
const SENDS: u8 = 1;

/// Sockets, tasks and time of the simulated host that asks.
#[derive(Clone)]
pub struct SimRuntime {
    net: Net,
}

/// Opens hickory's connections over the simulated network.
#[derive(Clone)]
pub struct SimDns {
    runtime: SimRuntime,
}

impl SimDns {
    /// Over `net`. To be used by the software of one host.
    pub fn new(net: Net) -> Self {
        Self { runtime: SimRuntime { net } }
    }
}

impl ConnectionProvider for SimDns {
    type Conn = DnsExchange<SimRuntime>;
    type FutureConn = Pin<Box<dyn Future<Output = Result<Self::Conn, NetError>> + Send>>;
    type RuntimeProvider = SimRuntime;

    fn new_connection(
        &self,
        ip: IpAddr,
        config: &ConnectionConfig,
        pool: &PoolContext,
    ) -> Result<Self::FutureConn, NetError> {
        if !matches!(config.protocol, ProtocolConfig::Udp) {
            return self.runtime.new_connection(ip, config, pool);
        }
        let exchange = UdpClientStream::builder(SocketAddr::new(ip, config.port), self.runtime.clone())
            .with_timeout(Some(pool.options.timeout))
            .with_os_port_selection(pool.options.os_port_selection)
            .with_max_retries(SENDS);
        Ok(Box::pin(async move { Ok(exchange.exchange()) }))
    }

    fn runtime_provider(&self) -> &Self::RuntimeProvider {
        &self.runtime
    }
}

impl Spawn for SimRuntime {
    fn spawn_bg(&mut self, future: impl Future<Output = ()> + Send + 'static) {
        self.net.spawn(Box::pin(future));
    }
}

impl RuntimeProvider for SimRuntime {
    type Handle = SimRuntime;
    type Timer = TokioTime;
    type Udp = SimUdp;
    type Tcp = AsyncIoTokioAsStd<BoxStream>;

    fn create_handle(&self) -> Self::Handle {
        self.clone()
    }

    fn connect_tcp(
        &self,
        server: SocketAddr,
        _bind: Option<SocketAddr>,
        limit: Option<Duration>,
    ) -> Pin<Box<dyn Future<Output = io::Result<Self::Tcp>> + Send>> {
        let net = self.net.clone();
        Box::pin(async move {
            let opened = tokio::time::timeout(limit.unwrap_or(CONNECT_LIMIT), net.connect_addr(server)).await;
            opened.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map(AsyncIoTokioAsStd)
        })
    }

    fn bind_udp(
        &self,
        local: SocketAddr,
        _server: SocketAddr,
    ) -> Pin<Box<dyn Future<Output = io::Result<Self::Udp>> + Send>> {
        let net = self.net.clone();
        Box::pin(async move { Ok(SimUdp(net.bind(local.port()).await?)) })
    }
}

/// A datagram socket of the fabric.
pub struct SimUdp(Arc<dyn Datagrams>);

impl DnsUdpSocket for SimUdp {
    type Time = TokioTime;

    fn poll_recv_from(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<(usize, SocketAddr)>> {
        self.0.poll_recv_from(cx, buffer)
    }

    fn poll_send_to(&self, _: &mut Context<'_>, bytes: &[u8], to: SocketAddr) -> Poll<io::Result<usize>> {
        Poll::Ready(self.0.send_to(bytes, to))
    }
}
