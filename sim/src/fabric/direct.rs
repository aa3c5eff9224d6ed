//! The fabric of our own: all hosts on one tokio runtime with paused time, which goes straight from one thing that
//! happens to the next. What it does as a network stands in `network` and `streams`, how it runs software in `executor`.
//!
//! A task that a library spawns with tokio itself has no host here: it is not held by a pause, and ends when the
//! software that speaks to it does. The one there is (kube's buffer before a client) only passes requests on;
//! whatever opens connections takes its executor as a parameter.

mod executor;
mod network;
mod sockets;
mod streams;

use super::panics::{listening_to_panics, report_panics};
use super::{BoxStream, Datagrams, Fabric, FabricError, FabricOptions, Listener, Net, Network as Seen, Software};
use crate::here;
use async_trait::async_trait;
use executor::{Executor, Ready};
use network::Network;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use sockets::{DirectDatagrams, DirectListener, Wire};
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use streams::Opening;
use tokio::time::{Instant, Sleep};

/// A host, by the order of their adding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct HostId(usize);

/// What the conductor's side and the software's side share.
struct Shared {
    /// Simulated time, nanoseconds.
    now: AtomicU64,
    ready: Arc<Ready>,
    network: Mutex<Network>,
}

impl Shared {
    fn network(&self) -> MutexGuard<'_, Network> {
        // Whatever panicked in there has ended the run; what is dropped after it must not end the process.
        self.network.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        Duration::from_nanos(self.now.load(Ordering::Relaxed))
    }

    fn here(&self) -> HostId {
        self.ready.current().expect("only a host's software uses the network")
    }
}

/// The fabric. One for each thread.
pub struct DirectFabric {
    runtime: Rc<tokio::runtime::Runtime>,
    executor: Executor,
    shared: Arc<Shared>,
    software: Vec<Software>,
    /// Wakes the run when the next thing arrives, or at the end of a step.
    alarm: Option<(Duration, Pin<Box<Sleep>>)>,
    begin: Instant,
    options: FabricOptions,
    failed: Option<String>,
    _here: here::Entered,
}

impl DirectFabric {
    /// An empty network. Panics where this thread has a fabric already.
    pub fn new(options: FabricOptions) -> Self {
        report_panics();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime without I/O asks the system for nothing");
        let begin = runtime.block_on(async { Instant::now() });
        let latency = (options.latency_min, options.latency_max);
        let network = Network::new(latency, ChaCha8Rng::seed_from_u64(options.seed));
        let ready = Ready::new();
        let shared = Arc::new(Shared { now: AtomicU64::new(0), ready: ready.clone(), network: Mutex::new(network) });
        let here = here::enter(Box::new(Here(shared.clone())));
        DirectFabric {
            runtime: Rc::new(runtime),
            executor: Executor::new(ready),
            shared,
            software: Vec::new(),
            alarm: None,
            begin,
            options,
            failed: None,
            _here: here,
        }
    }

    fn named(&self, name: &str) -> HostId {
        self.shared.network().named(name).unwrap_or_else(|| panic!("there is no host {name}"))
    }

    fn start(&mut self, host: HostId) {
        self.shared.network().start(host);
        let entered = self.runtime.enter();
        let work = self.shared.ready.within(host, || self.software[host.0]());
        drop(entered);
        self.executor.add(host, work);
    }

    fn stop(&mut self, host: HostId) {
        self.shared.network().crash(host);
        let _entered = self.runtime.enter();
        self.executor.crash(host);
    }

    fn set_cut(&mut self, from: &str, to: &str, cut: bool) {
        let (from, to) = (self.named(from), self.named(to));
        assert_ne!(from, to, "a host has no link to itself");
        self.shared.network().alter_way(from, to, |way| {
            way.cut = cut;
            way.losses += u32::from(cut);
        });
    }

    fn fail(&mut self, message: String) -> FabricError {
        self.failed = Some(message.clone());
        FabricError { at: self.now(), message }
    }

    /// One poll of the run: everything that is ready, then what arrives, then the next moment.
    fn poll(&mut self, until: Duration, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let now = Instant::now() - self.begin;
            if self.shared.now() != now {
                self.shared.now.store(now.as_nanos() as u64, Ordering::Relaxed);
                self.executor.time_moved();
            }
            self.executor.run(cx.waker());
            let next = {
                let mut network = self.shared.network();
                if network.deliver(now) {
                    continue;
                }
                network.next().map_or(until, |next| next.min(until))
            };
            if now >= until {
                return Poll::Ready(());
            }
            let (at, alarm) =
                self.alarm.get_or_insert_with(|| (next, Box::pin(tokio::time::sleep_until(self.begin + next))));
            if *at != next {
                *at = next;
                alarm.as_mut().reset(self.begin + next);
            }
            if alarm.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.alarm = None;
        }
    }
}

impl Drop for DirectFabric {
    fn drop(&mut self) {
        // As software of its host, which may still ask where it is.
        for host in (0..self.software.len()).rev() {
            self.stop(HostId(host));
        }
    }
}

impl Fabric for DirectFabric {
    fn net(&self) -> Net {
        Arc::new(DirectNet(self.shared.clone()))
    }

    fn host(&mut self, name: &str, software: Software) {
        let host = self.shared.network().add(name);
        self.software.push(software);
        self.start(host);
    }

    fn crash(&mut self, host: &str) {
        self.stop(self.named(host));
    }

    fn restart(&mut self, host: &str) {
        let host = self.named(host);
        self.stop(host);
        self.start(host);
    }

    fn pause(&mut self, host: &str) {
        let host = self.named(host);
        self.shared.network().machine_mut(host).is_paused = true;
        self.executor.pause(host);
    }

    fn resume(&mut self, host: &str) {
        let host = self.named(host);
        self.shared.network().machine_mut(host).is_paused = false;
        self.executor.resume(host);
    }

    fn partition_one_way(&mut self, from: &str, to: &str) {
        self.set_cut(from, to, true);
    }

    fn repair_one_way(&mut self, from: &str, to: &str) {
        self.set_cut(from, to, false);
    }

    fn latency(&mut self, a: &str, b: &str, latency: Option<Duration>) {
        let (a, b) = (self.named(a), self.named(b));
        for (from, to) in [(a, b), (b, a)] {
            self.shared.network().alter_way(from, to, |way| way.latency = latency);
        }
    }

    fn troubled(&mut self) -> Vec<(String, String)> {
        self.shared.network().take_troubled()
    }

    fn step(&mut self) -> Result<(), FabricError> {
        if let Some(message) = self.failed.clone() {
            return Err(self.fail(message));
        }
        if self.now() >= self.options.duration_max {
            return Err(self.fail(format!("ran for {:?}, all of its time", self.options.duration_max)));
        }
        let until = self.now() + self.options.tick;
        let runtime = self.runtime.clone();
        let run = || catch_unwind(AssertUnwindSafe(|| runtime.block_on(poll_fn(|cx| self.poll(until, cx)))));
        let (stepped, panics) = listening_to_panics(run);
        if let Some(first) = panics.into_iter().next() {
            return Err(self.fail(first));
        }
        stepped.map_err(|_| self.fail("the network panicked".into()))
    }

    fn now(&self) -> Duration {
        self.shared.now()
    }

    fn tick(&self) -> Duration {
        self.options.tick
    }
}

struct Here(Arc<Shared>);

impl here::Place for Here {
    fn now(&self) -> Duration {
        self.0.now()
    }

    fn host(&self) -> Option<Arc<str>> {
        let host = self.0.ready.current()?;
        Some(self.0.network.try_lock().ok()?.machine(host).name.clone())
    }
}

/// The network as software sees it.
struct DirectNet(Arc<Shared>);

#[async_trait]
impl Seen for DirectNet {
    async fn connect_addr(&self, to: SocketAddr) -> io::Result<BoxStream> {
        let wire = {
            let here = self.0.here();
            let mut network = self.0.network();
            let there = network.at(to.ip()).ok_or(io::ErrorKind::HostUnreachable)?;
            Wire::new(self.0.clone(), network.open(here, to, there))
        };
        poll_fn(|cx| match wire.poll_opening(cx) {
            Opening::Asked => Poll::Pending,
            Opening::Open => Poll::Ready(Ok(())),
            Opening::Refused => Poll::Ready(Err(io::ErrorKind::ConnectionRefused.into())),
            Opening::TimedOut => Poll::Ready(Err(io::Error::from(io::ErrorKind::TimedOut))),
        })
        .await?;
        Ok(Box::new(wire))
    }

    async fn listen(&self, port: u16) -> io::Result<Box<dyn Listener>> {
        let here = self.0.here();
        let mut network = self.0.network();
        let machine = network.machine_mut(here);
        if machine.listeners.contains_key(&port) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        machine.listeners.insert(port, network::Backlog::default());
        let life = machine.life;
        Ok(Box::new(DirectListener { shared: self.0.clone(), host: here, life, port }))
    }

    async fn bind(&self, port: u16) -> io::Result<Arc<dyn Datagrams>> {
        let here = self.0.here();
        let mut network = self.0.network();
        let port = if port == 0 { network.free_port(here) } else { port };
        let machine = network.machine_mut(here);
        if machine.sockets.contains_key(&port) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        machine.sockets.insert(port, network::Socket::default());
        let life = machine.life;
        Ok(Arc::new(DirectDatagrams { shared: self.0.clone(), host: here, life, port }))
    }

    fn lookup(&self, host: &str) -> Option<IpAddr> {
        let network = self.0.network();
        network.named(host).map(|host| network.machine(host).address)
    }

    fn reverse_lookup(&self, address: IpAddr) -> Option<String> {
        let network = self.0.network();
        network.at(address).map(|host| network.machine(host).name.to_string())
    }

    fn now(&self) -> Duration {
        self.0.now()
    }

    fn spawn(&self, work: Pin<Box<dyn Future<Output = ()> + Send>>) {
        self.0.ready.spawn(self.0.here(), work);
    }
}
