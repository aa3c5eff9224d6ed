//! The fabric on turmoil: every host has a tokio runtime with paused time, and all of them are moved on by
//! one tick in turn. It alone knows what turmoil does differently from a network:
//!
//! - it undoes every fault of a link in `repair`, so the partitions asked for are kept in a table here;
//! - it closes the streams of a crashed host in an order that differs from run to run, so a crash is:
//!   cut the host off, stop it, connect it again. What it had sent and was still under way is lost too;
//! - it has no pause, so the futures of a host pass a [`Pause`]. Tasks that a library spawns with tokio itself
//!   are not held: a stopped process with a living kernel;
//! - a lost segment is never sent again: a stream that met a partition may stall for ever. Clients need
//!   time-outs here, as they do elsewhere;
//! - it answers a connect that was lost with "refused" at once, and lets the answer to one that arrived pass
//!   a partition of the way back. Here the one is sent again, as TCP does, and the other waits.

mod sockets;

use super::panics::{listening_to_panics, report_panics};
use super::pause::Pause;
use super::{BoxStream, Datagrams, Fabric, FabricError, FabricOptions, Listener, Net, Network, Software, async_trait};
use crate::determinism::EPOCH;
use crate::here;
use sockets::{TurmoilDatagrams, TurmoilListener, Wire};
use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, pending};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, UNIX_EPOCH};

/// Segments and datagrams that a socket holds. Generous: turmoil panics where a listener is full, and a
/// paused server accepts nothing.
const SOCKET_CAPACITY: usize = 4096;

/// A lost connect is sent again after this long, then twice as long, and so on.
const CONNECT_AGAIN: Duration = Duration::from_secs(1);

/// It is given up after so many times.
const CONNECTS_MAX: u32 = 7;

/// The fabric. One for each thread.
pub struct TurmoilFabric {
    // Dropped first: the software it drops may still ask where it is.
    sim: turmoil::Sim<'static>,
    options: FabricOptions,
    hosts: Arc<Hosts>,
    crashed: BTreeSet<String>,
    failed: Option<String>,
    _here: here::Entered,
}

impl TurmoilFabric {
    /// An empty network. Panics where this thread has a fabric already.
    pub fn new(options: FabricOptions) -> Self {
        report_panics();
        let sim = turmoil::Builder::new()
            .rng_seed(options.seed)
            .tick_duration(options.tick)
            .simulation_duration(options.duration_max)
            .epoch(UNIX_EPOCH + EPOCH)
            .min_message_latency(options.latency_min)
            .max_message_latency(options.latency_max)
            .tcp_capacity(SOCKET_CAPACITY)
            .udp_capacity(SOCKET_CAPACITY)
            .build();
        let hosts = Arc::new(Hosts::default());
        let here = here::enter(Box::new(Here(hosts.clone())));
        TurmoilFabric { sim, options, hosts, crashed: BTreeSet::new(), failed: None, _here: here }
    }

    fn others(&self, host: &str) -> Vec<String> {
        self.hosts.lock().addresses.keys().filter(|name| *name != host).cloned().collect()
    }

    fn check(&self, host: &str) {
        assert!(self.hosts.lock().addresses.contains_key(host), "there is no host {host}");
    }

    /// Brings the link from one to the other in line with the table of partitions.
    fn apply(&self, from: &str, to: &str) {
        if self.hosts.link(from, to, |link| link.cut) {
            self.sim.partition_oneway(from, to);
        } else {
            self.sim.repair_oneway(from, to);
        }
    }

    fn set_cut(&self, from: &str, to: &str, cut: bool) {
        self.hosts.link(from, to, |link| {
            link.cut = cut;
            link.losses += u64::from(cut);
        });
        self.hosts.note_state();
        self.apply(from, to);
    }

    fn fail(&mut self, message: String) -> FabricError {
        self.failed = Some(message.clone());
        FabricError { at: self.now(), message }
    }
}

impl Fabric for TurmoilFabric {
    fn net(&self) -> Net {
        Arc::new(TurmoilNet { hosts: self.hosts.clone() })
    }

    fn host(&mut self, name: &str, software: Software) {
        let address = self.sim.lookup(name);
        let pause = Pause::new(name);
        let former = {
            let mut hosts = self.hosts.lock();
            hosts.pauses.insert(name.to_string(), pause.clone());
            hosts.addresses.insert(name.to_string(), address)
        };
        assert!(former.is_none(), "there is a host {name} already");
        let hosts = self.hosts.clone();
        self.sim.host(name, move || {
            hosts.started(&pause);
            let work = pause.hold(software());
            async move {
                work.await;
                // A machine whose program ended still runs its other tasks, and its kernel.
                pending().await
            }
        });
    }

    fn crash(&mut self, host: &str) {
        self.check(host);
        let others = self.others(host);
        others.iter().for_each(|other| self.sim.partition(host, other.as_str()));
        self.sim.crash(host);
        for other in &others {
            for (from, to) in [(host, other.as_str()), (other.as_str(), host)] {
                self.hosts.link(from, to, |link| link.losses += 1);
                self.apply(from, to);
            }
        }
        self.hosts.stopped(host);
        self.crashed.insert(host.to_string());
        self.hosts.set_away(host, true);
    }

    fn restart(&mut self, host: &str) {
        if !self.crashed.contains(host) {
            self.crash(host);
        }
        self.crashed.remove(host);
        self.hosts.set_away(host, false);
        self.sim.bounce(host);
    }

    fn pause(&mut self, host: &str) {
        self.check(host);
        self.hosts.pause(host).pause();
        self.hosts.set_away(host, true);
    }

    fn resume(&mut self, host: &str) {
        self.check(host);
        self.hosts.pause(host).resume();
        self.hosts.set_away(host, self.crashed.contains(host));
    }

    fn partition_one_way(&mut self, from: &str, to: &str) {
        self.check(from);
        self.check(to);
        assert_ne!(from, to, "a host has no link to itself");
        self.set_cut(from, to, true);
    }

    fn repair_one_way(&mut self, from: &str, to: &str) {
        self.check(from);
        self.check(to);
        self.set_cut(from, to, false);
    }

    fn latency(&mut self, a: &str, b: &str, latency: Option<Duration>) {
        self.check(a);
        self.check(b);
        for (from, to) in [(a, b), (b, a)] {
            self.hosts.link(from, to, |link| link.slow = latency.is_some());
        }
        self.hosts.note_state();
        match latency {
            Some(latency) => self.sim.set_link_latency(a, b, latency),
            None => {
                self.sim.set_link_latency(a, b, self.options.latency_min);
                self.sim.set_link_max_message_latency(a, b, self.options.latency_max);
            }
        }
    }

    fn troubled(&mut self) -> Vec<(String, String)> {
        if !self.hosts.is_troubled.load(Ordering::Relaxed) {
            return Vec::new();
        }
        std::mem::take(&mut self.hosts.lock().troubled).into_iter().collect()
    }

    fn step(&mut self) -> Result<(), FabricError> {
        if let Some(message) = self.failed.clone() {
            return Err(self.fail(message));
        }
        if self.now() >= self.options.duration_max {
            return Err(self.fail(format!("ran for {:?}, all of its time", self.options.duration_max)));
        }
        let sim = &mut self.sim;
        let (stepped, panics) = listening_to_panics(|| catch_unwind(AssertUnwindSafe(|| sim.step())));
        self.hosts.lock().elapsed = self.sim.elapsed();
        if let Some(first) = panics.into_iter().next() {
            return Err(self.fail(first));
        }
        match stepped {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(self.fail(error.to_string())),
            Err(_) => Err(self.fail("the network panicked".into())),
        }
    }

    fn now(&self) -> Duration {
        self.sim.elapsed()
    }

    fn tick(&self) -> Duration {
        self.options.tick
    }
}

/// What the conductor's side and the software's side share.
#[derive(Default)]
struct Hosts {
    state: Mutex<HostsState>,
    /// Some way or host is not as it should be: only then it is noted what is sent.
    is_troubled: AtomicBool,
}

#[derive(Default)]
struct HostsState {
    addresses: BTreeMap<String, IpAddr>,
    pauses: BTreeMap<String, Arc<Pause>>,
    /// The runtime of each host that runs: how a task finds out where it is, whoever spawned it.
    runtimes: Vec<(tokio::runtime::Id, Arc<Pause>)>,
    /// By (from, to): what was done to the way from one to the other.
    links: BTreeMap<(String, String), Link>,
    /// Hosts that are down or paused.
    away: BTreeSet<String>,
    /// Ways on which something was sent that does not pass as it should.
    troubled: BTreeSet<(String, String)>,
    /// At the end of the last step.
    elapsed: Duration,
}

#[derive(Default)]
struct Link {
    /// Nothing passes.
    cut: bool,
    /// What passes takes longer.
    slow: bool,
    /// How often all that was under way was lost.
    losses: u64,
}

impl Hosts {
    fn lock(&self) -> MutexGuard<'_, HostsState> {
        self.state.lock().expect("nothing panics while it holds the table of hosts")
    }

    fn name_of(&self, address: IpAddr) -> Option<String> {
        self.lock().addresses.iter().find(|(_, at)| **at == address).map(|(name, _)| name.clone())
    }

    fn pause(&self, host: &str) -> Arc<Pause> {
        self.lock().pauses.get(host).expect("checked to be a host").clone()
    }

    fn started(&self, pause: &Arc<Pause>) {
        let runtime = tokio::runtime::Handle::current().id();
        self.lock().runtimes.push((runtime, pause.clone()));
    }

    fn stopped(&self, host: &str) {
        let pause = self.pause(host);
        pause.clear();
        self.lock().runtimes.retain(|(_, other)| !Arc::ptr_eq(other, &pause));
    }

    fn current(&self) -> Option<Arc<Pause>> {
        let runtime = tokio::runtime::Handle::try_current().ok()?.id();
        let hosts = self.state.try_lock().ok()?;
        hosts.runtimes.iter().find(|(id, _)| *id == runtime).map(|(_, pause)| pause.clone())
    }

    fn set_away(&self, host: &str, away: bool) {
        let state = &mut *self.lock();
        if away {
            state.away.insert(host.to_string());
        } else {
            state.away.remove(host);
        }
        self.note(state);
    }

    fn note_state(&self) {
        self.note(&self.lock());
    }

    fn note(&self, state: &HostsState) {
        let troubled = !state.away.is_empty() || state.links.values().any(|link| link.cut || link.slow);
        // What was sent in the tick that ended a trouble is still to be told.
        self.is_troubled.store(troubled || !state.troubled.is_empty(), Ordering::Relaxed);
    }

    /// Something is sent.
    fn sent(&self, from: &str, to: &str) {
        if !self.is_troubled.load(Ordering::Relaxed) {
            return;
        }
        let state = &mut *self.lock();
        let way = (from.to_string(), to.to_string());
        if state.away.contains(to) || state.links.get(&way).is_some_and(|link| link.cut || link.slow) {
            state.troubled.insert(way);
        }
    }

    fn link<T>(&self, from: &str, to: &str, f: impl FnOnce(&mut Link) -> T) -> T {
        f(self.lock().links.entry((from.to_string(), to.to_string())).or_default())
    }

    fn now(&self) -> Duration {
        // Within a step the running host is ahead of the last step's end.
        turmoil::sim_elapsed().or_else(|| Some(self.state.try_lock().ok()?.elapsed)).unwrap_or_default()
    }
}

struct Here(Arc<Hosts>);

impl here::Place for Here {
    fn now(&self) -> Duration {
        self.0.now()
    }

    fn host(&self) -> Option<Arc<str>> {
        self.0.current().map(|pause| pause.host.clone())
    }
}

/// The network as software sees it.
struct TurmoilNet {
    hosts: Arc<Hosts>,
}

#[async_trait]
impl Network for TurmoilNet {
    async fn connect_addr(&self, to: SocketAddr) -> io::Result<BoxStream> {
        let here = self.hosts.current().expect("only a host's software connects").host.to_string();
        let there = self.reverse_lookup(to.ip()).unwrap_or_default();
        let mut again = CONNECT_AGAIN;
        for _ in 0..CONNECTS_MAX {
            self.hosts.sent(&here, &there);
            let losses = self.hosts.link(&here, &there, |link| link.losses);
            match turmoil::net::TcpStream::connect(to).await {
                Ok(stream) => {
                    while self.hosts.link(&there, &here, |link| link.cut) {
                        tokio::time::sleep(CONNECT_AGAIN).await;
                    }
                    let (here, there) = (here.as_str().into(), there.as_str().into());
                    return Ok(Box::new(Wire { stream, hosts: self.hosts.clone(), here, there }));
                }
                Err(_) if self.hosts.link(&here, &there, |link| link.cut || link.losses > losses) => {
                    tokio::time::sleep(again).await;
                    again *= 2;
                }
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }

    async fn listen(&self, port: u16) -> io::Result<Box<dyn Listener>> {
        let listener = turmoil::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await?;
        Ok(Box::new(TurmoilListener(listener, self.hosts.clone())))
    }

    async fn bind(&self, port: u16) -> io::Result<Arc<dyn Datagrams>> {
        let socket = turmoil::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).await?;
        Ok(Arc::new(TurmoilDatagrams(socket, self.hosts.clone())))
    }

    fn lookup(&self, host: &str) -> Option<IpAddr> {
        // Not turmoil's own, which makes an address for a name that it does not know.
        self.hosts.lock().addresses.get(host).copied()
    }

    fn reverse_lookup(&self, address: IpAddr) -> Option<String> {
        self.hosts.name_of(address)
    }

    fn now(&self) -> Duration {
        self.hosts.now()
    }

    fn spawn(&self, work: Pin<Box<dyn Future<Output = ()> + Send>>) {
        let pause = self.hosts.current().expect("only a host's software spawns");
        tokio::spawn(pause.hold(work));
    }
}
