//! The simulated network and its hosts, behind an interface: what runs on a host sees a [`Net`], and who
//! conducts a run sees a [`Fabric`]. Two implementations: [`TurmoilFabric`], the reference, on a network that others
//! wrote, and [`DirectFabric`], ours, which skips idle time and is several times faster. Nothing outside `turmoil.rs`
//! names that crate.
//!
//! Time is simulated time since the start of the run. Every future here runs on the one thread of the run.

mod direct;
mod panics;
mod pause;
mod turmoil;

pub use self::direct::DirectFabric;
pub use self::turmoil::TurmoilFabric;

use async_trait::async_trait;
use continuum_live::byte_stream::ByteStream;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// A byte stream between two hosts, whatever carries it.
pub type BoxStream = Box<dyn ByteStream>;

/// The future of a host's software.
pub type HostFuture = Pin<Box<dyn Future<Output = ()>>>;

/// Makes a host's software anew, at the start and after each restart. What must survive a crash (a disk)
/// lives outside and is captured.
pub type Software = Box<dyn Fn() -> HostFuture>;

/// Accepts streams.
#[async_trait]
pub trait Listener: Send + Sync {
    /// The next stream, and who opened it.
    async fn accept(&self) -> io::Result<(BoxStream, SocketAddr)>;
}

/// A datagram socket.
pub trait Datagrams: Send + Sync {
    /// Receives.
    fn poll_recv_from(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<(usize, SocketAddr)>>;
    /// Sends; never waits.
    fn send_to(&self, bytes: &[u8], to: SocketAddr) -> io::Result<usize>;
    /// Its own address.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// The network as the software of a host sees it. The host is the one whose software is running.
#[async_trait]
pub trait Network: Send + Sync {
    /// Opens a stream to a host by name.
    async fn connect(&self, host: &str, port: u16) -> io::Result<BoxStream> {
        let address = self
            .lookup(host)
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("there is no host {host}")))?;
        self.connect_addr(SocketAddr::new(address, port)).await
    }
    /// Opens a stream to an address.
    async fn connect_addr(&self, to: SocketAddr) -> io::Result<BoxStream>;
    /// Listens on all addresses of this host.
    async fn listen(&self, port: u16) -> io::Result<Box<dyn Listener>>;
    /// Binds a datagram socket; port 0 picks one.
    async fn bind(&self, port: u16) -> io::Result<Arc<dyn Datagrams>>;
    /// Address of a host.
    fn lookup(&self, host: &str) -> Option<IpAddr>;
    /// Name of the host at an address.
    fn reverse_lookup(&self, address: IpAddr) -> Option<String>;
    /// Simulated time since the start of the run.
    fn now(&self) -> Duration;
    /// Runs a future on this host, until the host crashes.
    fn spawn(&self, work: Pin<Box<dyn Future<Output = ()> + Send>>);
}

/// The network, cheap to clone.
pub type Net = Arc<dyn Network>;

/// Which fabric a run is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FabricKind {
    /// The reference.
    #[default]
    Turmoil,
    /// The fast one.
    Direct,
}

impl FabricKind {
    /// An empty network of this kind. Panics where this thread has a fabric already.
    pub fn build(self, options: FabricOptions) -> Box<dyn Fabric> {
        match self {
            FabricKind::Turmoil => Box::new(TurmoilFabric::new(options)),
            FabricKind::Direct => Box::new(DirectFabric::new(options)),
        }
    }
}

/// What a run's network is like.
#[derive(Clone, Debug)]
pub struct FabricOptions {
    /// Of latencies.
    pub seed: u64,
    /// How far each step moves. Whole milliseconds.
    pub tick: Duration,
    /// Past this, [`Fabric::step`] fails.
    pub duration_max: Duration,
    /// Least latency of a message.
    pub latency_min: Duration,
    /// Greatest latency of a message. Most take little more than the least.
    pub latency_max: Duration,
}

impl Default for FabricOptions {
    fn default() -> Self {
        FabricOptions {
            seed: 1,
            tick: Duration::from_millis(5),
            duration_max: Duration::from_secs(600),
            latency_min: Duration::from_millis(1),
            latency_max: Duration::from_millis(20),
        }
    }
}

/// How a link can be hurt. Between two hosts, by name.
pub trait Fabric {
    /// The network for software.
    fn net(&self) -> Net;
    /// Adds a host and starts its software.
    fn host(&mut self, name: &str, software: Software);
    /// Stops a host as a power cut does: no stream of it is closed, its memory is gone.
    fn crash(&mut self, host: &str);
    /// Starts a crashed host's software anew.
    fn restart(&mut self, host: &str);
    /// Stops running a host's own future; its kernel goes on (streams stay open, spawned connection tasks
    /// are held with it). Timers fire late when it resumes.
    fn pause(&mut self, host: &str);
    /// Resumes a paused host.
    fn resume(&mut self, host: &str);
    /// Drops everything between the two.
    fn partition(&mut self, a: &str, b: &str) {
        self.partition_one_way(a, b);
        self.partition_one_way(b, a);
    }
    /// Drops everything from one to the other.
    fn partition_one_way(&mut self, from: &str, to: &str);
    /// Ends the partition of the way from one to the other, and not of the way back.
    fn repair_one_way(&mut self, from: &str, to: &str);
    /// Ends both kinds of partition between the two. Other faults of the link stay.
    fn repair(&mut self, a: &str, b: &str) {
        self.repair_one_way(a, b);
        self.repair_one_way(b, a);
    }
    /// Sets the latency between the two; `None`: the run's own.
    fn latency(&mut self, a: &str, b: &str, latency: Option<Duration>);
    /// The ways on which something was sent since this was asked last, though nothing passes them as it should: cut, slow,
    /// or to a host that is down or paused. From and to.
    fn troubled(&mut self) -> Vec<(String, String)>;
    /// Runs one tick. Simulated time is then `now()`.
    fn step(&mut self) -> Result<(), FabricError>;
    /// Simulated time since the start.
    fn now(&self) -> Duration;
    /// Length of a tick.
    fn tick(&self) -> Duration;
}

/// The simulation itself failed: software of a host panicked, or the run is out of its time.
#[derive(Debug, thiserror::Error)]
#[error("the simulation stopped at {at:?}: {message}")]
pub struct FabricError {
    /// When.
    pub at: Duration,
    /// Why.
    pub message: String,
}
