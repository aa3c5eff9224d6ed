//! The network between the hosts: ways, segments under way, sockets. Pure state: time comes in as an argument, what
//! becomes ready is woken.
//!
//! A stream behaves as TCP does where it can hurt: bytes arrive in pieces, in order; a lost segment is sent again,
//! later each time, so that a request may arrive long after its caller gave up; an end that is gone answers with a reset;
//! a host that is down answers nothing. Whether a segment is lost is judged when it is sent and when it arrives.
//!
//! Kinder than TCP in two things: acknowledgements are not sent, so what streams one way does not notice that the way back
//! is cut; and ports of streams come round after 16,384 connects whether or not they are free.

use super::HostId;
use super::streams::{End, EndId, Ends};
use bytes::Bytes;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

/// First port that is given to who asks for none.
const EPHEMERAL: u16 = 49_152;

/// Datagrams that a socket holds.
const DATAGRAMS_MAX: usize = 4_096;

/// Unaccepted streams that a listener holds; what comes then is as lost.
const BACKLOG: usize = 4_096;

/// The way from one host to another.
#[derive(Clone, Debug, Default)]
pub(super) struct Way {
    /// Nothing passes.
    pub(super) cut: bool,
    /// How often all that was under way was lost.
    pub(super) losses: u32,
    /// Other than the run's own.
    pub(super) latency: Option<Duration>,
}

/// A machine on the network.
pub(super) struct Machine {
    pub(super) name: Arc<str>,
    pub(super) address: IpAddr,
    pub(super) is_up: bool,
    pub(super) is_paused: bool,
    /// Grows at each start: sockets of a former life are gone.
    pub(super) life: u32,
    next_port: u16,
    pub(super) listeners: BTreeMap<u16, Backlog>,
    pub(super) sockets: BTreeMap<u16, Socket>,
}

/// Streams that wait to be accepted.
#[derive(Default)]
pub(super) struct Backlog {
    pub(super) waiting: VecDeque<EndId>,
    pub(super) waker: Option<Waker>,
}

/// A datagram socket.
#[derive(Default)]
pub(super) struct Socket {
    pub(super) inbox: VecDeque<(Bytes, SocketAddr)>,
    pub(super) waker: Option<Waker>,
}

/// What arrives.
#[derive(Debug)]
pub(super) enum Event {
    /// A segment of a stream, by the end that sent it and its number.
    Segment(EndId, u64),
    /// An end tries what was lost again.
    Again(EndId),
    /// The wish for a stream, from the end that waits for it.
    Syn(EndId),
    /// It is sent again, for the so-manieth time.
    SynAgain(EndId, u32),
    /// The answer to it, from the new end.
    SynAck(EndId),
    /// Nobody listens, or the other end is gone.
    Reset(EndId),
    /// A datagram, to an address.
    Datagram(Bytes, SocketAddr, SocketAddr),
}

/// Something under way. In the order of arriving, then of sending.
struct UnderWay {
    at: Duration,
    number: u64,
    from: HostId,
    to: HostId,
    losses: u32,
    event: Event,
}

impl UnderWay {
    fn order(&self) -> Reverse<(Duration, u64)> {
        Reverse((self.at, self.number))
    }
}

impl PartialEq for UnderWay {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl Eq for UnderWay {}

impl PartialOrd for UnderWay {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for UnderWay {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order())
    }
}

/// See the module.
pub(super) struct Network {
    pub(super) now: Duration,
    pub(super) machines: Vec<Machine>,
    by_address: BTreeMap<IpAddr, HostId>,
    by_name: BTreeMap<String, HostId>,
    /// Those that are not as all are.
    ways: BTreeMap<(HostId, HostId), Way>,
    /// The next to arrive first.
    under_way: BinaryHeap<UnderWay>,
    next_number: u64,
    pub(super) ends: Ends,
    troubled: BTreeSet<(HostId, HostId)>,
    latency: (Duration, Duration),
    rng: ChaCha8Rng,
}

impl Network {
    pub(super) fn new(latency: (Duration, Duration), rng: ChaCha8Rng) -> Self {
        Network {
            now: Duration::ZERO,
            machines: Vec::new(),
            by_address: BTreeMap::new(),
            by_name: BTreeMap::new(),
            ways: BTreeMap::new(),
            under_way: BinaryHeap::new(),
            next_number: 0,
            ends: Ends::default(),
            troubled: BTreeSet::new(),
            latency,
            rng,
        }
    }

    /// A new machine, which is down. A name that is an address is its address.
    pub(super) fn add(&mut self, name: &str) -> HostId {
        let host = HostId(self.machines.len());
        let number = host.0 as u32 + 1;
        let address = name.parse().unwrap_or_else(|_| Ipv4Addr::from(0xC0A8_0000 + number).into());
        let former = self.by_name.insert(name.to_owned(), host);
        assert!(former.is_none(), "there is a host {name} already");
        self.by_address.insert(address, host);
        self.machines.push(Machine {
            name: name.into(),
            address,
            is_up: false,
            is_paused: false,
            life: 0,
            next_port: EPHEMERAL,
            listeners: BTreeMap::new(),
            sockets: BTreeMap::new(),
        });
        host
    }

    pub(super) fn named(&self, name: &str) -> Option<HostId> {
        self.by_name.get(name).copied()
    }

    pub(super) fn at(&self, address: IpAddr) -> Option<HostId> {
        self.by_address.get(&address).copied()
    }

    pub(super) fn machine(&self, host: HostId) -> &Machine {
        &self.machines[host.0]
    }

    pub(super) fn machine_mut(&mut self, host: HostId) -> &mut Machine {
        &mut self.machines[host.0]
    }

    pub(super) fn address_of(&self, host: HostId, port: u16) -> SocketAddr {
        SocketAddr::new(self.machine(host).address, port)
    }

    /// A port of the host that nothing uses.
    pub(super) fn free_port(&mut self, host: HostId) -> u16 {
        let machine = self.machine_mut(host);
        loop {
            let port = machine.next_port;
            machine.next_port = port.checked_add(1).unwrap_or(EPHEMERAL);
            if !machine.listeners.contains_key(&port) && !machine.sockets.contains_key(&port) {
                return port;
            }
        }
    }

    /// A power cut: every socket is gone, and nobody hears of it.
    pub(super) fn crash(&mut self, host: HostId) {
        let machine = self.machine_mut(host);
        machine.is_up = false;
        machine.is_paused = false;
        machine.listeners.clear();
        machine.sockets.clear();
        self.ends.lose_power(host);
    }

    pub(super) fn start(&mut self, host: HostId) {
        let machine = self.machine_mut(host);
        machine.is_up = true;
        machine.life += 1;
    }

    pub(super) fn alter_way(&mut self, from: HostId, to: HostId, alter: impl FnOnce(&mut Way)) {
        alter(self.ways.entry((from, to)).or_default());
    }

    fn way(&self, from: HostId, to: HostId) -> Way {
        self.ways.get(&(from, to)).cloned().unwrap_or_default()
    }

    /// Ways on which something was sent that does not pass as it should, by name.
    pub(super) fn take_troubled(&mut self) -> Vec<(String, String)> {
        let name = |host: HostId| self.machine(host).name.to_string();
        let troubled = self.troubled.iter().map(|(from, to)| (name(*from), name(*to))).collect();
        self.troubled.clear();
        troubled
    }

    /// Software of a host sends something.
    pub(super) fn note_sent(&mut self, from: HostId, to: HostId) {
        let machine = self.machine(to);
        let is_away = !machine.is_up || machine.is_paused;
        if is_away || self.ways.get(&(from, to)).is_some_and(|way| way.cut || way.latency.is_some()) {
            self.troubled.insert((from, to));
        }
    }

    /// A chance of one in so many.
    pub(super) fn one_in(&mut self, n: u32) -> bool {
        self.rng.random_range(0..n) == 0
    }

    /// Of `length`, at least one and not all.
    pub(super) fn part_of(&mut self, length: usize) -> usize {
        self.rng.random_range(1..length)
    }

    /// Most take little more than the least. In whole milliseconds, as tokio's timers are.
    fn draw_latency(&mut self, from: HostId, to: HostId) -> Duration {
        if from == to {
            return Duration::ZERO;
        }
        if let Some(latency) = self.ways.get(&(from, to)).and_then(|way| way.latency) {
            return latency;
        }
        let (least, most) = self.latency;
        let share: f64 = self.rng.random();
        let spread = (most.saturating_sub(least)).as_millis() as f64 * share * share * share * share;
        least + Duration::from_millis(spread as u64)
    }

    /// Sends something. It arrives not before `earliest`; gives when.
    pub(super) fn send(&mut self, from: HostId, to: HostId, earliest: Duration, event: Event) -> Duration {
        let at = (self.now + self.draw_latency(from, to)).max(earliest);
        self.put(at, from, to, event);
        at
    }

    /// Something that a host does later, by itself.
    pub(super) fn remind(&mut self, host: HostId, after: Duration, event: Event) {
        self.put(self.now + after, host, host, event);
    }

    fn put(&mut self, at: Duration, from: HostId, to: HostId, event: Event) {
        let way = self.way(from, to);
        // What is sent into a cut is lost, however soon it is mended.
        let losses = if way.cut { way.losses.wrapping_sub(1) } else { way.losses };
        self.next_number += 1;
        self.under_way.push(UnderWay { at, number: self.next_number, from, to, losses, event });
    }

    /// When the next thing arrives.
    pub(super) fn next(&self) -> Option<Duration> {
        self.under_way.peek().map(|next| next.at)
    }

    /// Lets arrive what is due. Whether anything was.
    pub(super) fn deliver(&mut self, now: Duration) -> bool {
        self.now = now;
        let mut any = false;
        while self.next().is_some_and(|at| at <= now)
            && let Some(UnderWay { from, to, losses, event, .. }) = self.under_way.pop()
        {
            any = true;
            let way = self.way(from, to);
            let is_lost = way.cut || way.losses != losses || !self.machine(to).is_up;
            self.arrive(to, event, is_lost);
        }
        any
    }

    fn arrive(&mut self, to: HostId, event: Event, is_lost: bool) {
        match event {
            Event::Segment(sender, number) => self.segment_arrives(sender, number, is_lost),
            Event::Again(end) => self.send_again(end),
            Event::Syn(client) => self.syn_arrives(client, to, is_lost),
            Event::SynAgain(client, time) => self.send_syn(client, time),
            Event::SynAck(server) => self.syn_ack_arrives(server, is_lost),
            Event::Reset(end) if !is_lost => self.reset_arrives(end),
            Event::Datagram(bytes, source, target) if !is_lost => self.datagram_arrives(bytes, source, target, to),
            Event::Reset(_) | Event::Datagram(..) => {}
        }
    }

    fn datagram_arrives(&mut self, bytes: Bytes, source: SocketAddr, target: SocketAddr, to: HostId) {
        let Some(socket) = self.machine_mut(to).sockets.get_mut(&target.port()) else { return };
        if socket.inbox.len() < DATAGRAMS_MAX {
            socket.inbox.push_back((bytes, source));
            if let Some(waker) = socket.waker.take() {
                waker.wake();
            }
        }
    }

    /// A new stream stands before a listener. Whether there is one.
    pub(super) fn offer(&mut self, host: HostId, port: u16, end: EndId) -> bool {
        let Some(backlog) = self.machine_mut(host).listeners.get_mut(&port) else { return false };
        backlog.waiting.push_back(end);
        if let Some(waker) = backlog.waker.take() {
            waker.wake();
        }
        true
    }

    /// Whether a wish for a stream to this port is heard: `None` where the listener is full.
    pub(super) fn listens(&self, host: HostId, port: u16) -> Option<bool> {
        match self.machine(host).listeners.get(&port) {
            None => Some(false),
            Some(backlog) if backlog.waiting.len() < BACKLOG => Some(true),
            Some(_) => None,
        }
    }

    /// The sockets of a host's present life only.
    pub(super) fn is_alive(&self, end: &End) -> bool {
        let machine = self.machine(end.host);
        machine.is_up && machine.life == end.life
    }
}
