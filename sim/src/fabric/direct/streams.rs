//! Both ends of each stream, and what TCP does between them.

use super::HostId;
use super::network::{Event, Network};
use bytes::Bytes;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::task::Waker;
use std::time::Duration;

/// A lost wish for a stream is sent again after this long, then twice as long, and so on.
const CONNECT_AGAIN: Duration = Duration::from_secs(1);

/// It is given up after so many times, as on Linux.
const CONNECTS_MAX: u32 = 7;

/// A lost segment is sent again after this long, then twice as long, and so on.
const SEGMENT_AGAIN: Duration = Duration::from_millis(200);

/// And no later than after this long. Linux has the same two.
const SEGMENT_AGAIN_MAX: Duration = Duration::from_secs(120);

/// A segment that was lost this often ends the stream.
const SEGMENTS_MAX: u32 = 15;

/// Bytes that one end sends before the other has read any.
pub(super) const WINDOW: usize = 256 * 1024;

/// Of so many writes, one arrives in two pieces.
const SPLIT_ONE_IN: u32 = 8;

/// An end, among all that ever were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EndId {
    slot: usize,
    number: u64,
}

/// How far the making of a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    Asked,
    Open,
    Refused,
    TimedOut,
}

enum Segment {
    Data(Bytes),
    Fin,
}

impl Segment {
    fn len(&self) -> usize {
        match self {
            Segment::Data(bytes) => bytes.len(),
            Segment::Fin => 0,
        }
    }
}

/// One end of a stream.
pub(super) struct End {
    pub(super) host: HostId,
    /// Of the host, when it was made.
    pub(super) life: u32,
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    /// The host that it leads to.
    pub(super) there: HostId,
    peer: Option<EndId>,
    pub(super) opening: Opening,
    /// Software holds it.
    is_held: bool,
    pub(super) inbox: VecDeque<Bytes>,
    inbox_bytes: usize,
    /// Nothing comes any more.
    pub(super) has_ended: bool,
    pub(super) is_reset: bool,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
    /// Sent and not arrived. The first has the number `first`.
    sent: VecDeque<Segment>,
    first: u64,
    sent_bytes: usize,
    pub(super) has_shut: bool,
    /// Nothing overtakes.
    last_arrival: Duration,
    /// How often the first was lost.
    lost: u32,
    /// It is to be sent again, and all behind it wait until then.
    waits: bool,
}

impl End {
    fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }

    fn forget_sent(&mut self) {
        self.first += self.sent.len() as u64;
        self.sent.clear();
        self.sent_bytes = 0;
        self.lost = 0;
    }
}

/// All ends that are still of use.
#[derive(Default)]
pub(super) struct Ends {
    slots: Vec<Option<(u64, End)>>,
    free: Vec<usize>,
    next_number: u64,
}

impl Ends {
    fn add(&mut self, end: End) -> EndId {
        self.next_number += 1;
        let slot = self.free.pop().unwrap_or(self.slots.len());
        if slot == self.slots.len() {
            self.slots.push(None);
        }
        self.slots[slot] = Some((self.next_number, end));
        EndId { slot, number: self.next_number }
    }

    pub(super) fn get(&self, id: EndId) -> Option<&End> {
        self.slots.get(id.slot)?.as_ref().filter(|(number, _)| *number == id.number).map(|(_, end)| end)
    }

    pub(super) fn get_mut(&mut self, id: EndId) -> Option<&mut End> {
        self.slots.get_mut(id.slot)?.as_mut().filter(|(number, _)| *number == id.number).map(|(_, end)| end)
    }

    /// Room for what one end may send now.
    pub(super) fn room(&self, id: EndId) -> usize {
        let Some(end) = self.get(id) else { return WINDOW };
        let unread = end.peer.and_then(|peer| self.get(peer)).map_or(0, |peer| peer.inbox_bytes);
        WINDOW.saturating_sub(end.sent_bytes + unread)
    }

    /// All ends of a host are gone at once.
    pub(super) fn lose_power(&mut self, host: HostId) {
        for slot in 0..self.slots.len() {
            let Some((number, _)) = self.slots[slot].as_ref().filter(|(_, end)| end.host == host) else { continue };
            let id = EndId { slot, number: *number };
            self.empty(id);
            if let Some(end) = self.get_mut(id) {
                end.is_held = false;
            }
            self.bury(id);
        }
    }

    /// What came is read by nobody any more. Who waited for room finds out when it writes.
    fn empty(&mut self, id: EndId) {
        let Some(end) = self.get_mut(id) else { return };
        end.inbox.clear();
        end.inbox_bytes = 0;
        (end.reader, end.writer) = (None, None);
        let peer = end.peer;
        if let Some(writer) = peer.and_then(|peer| self.get_mut(peer)).and_then(|peer| peer.writer.take()) {
            writer.wake();
        }
    }

    /// An end that no software ever held is of no use any more.
    fn discard(&mut self, id: EndId) {
        if let Some(end) = self.get_mut(id) {
            end.is_held = false;
            end.forget_sent();
        }
        self.bury(id);
    }

    /// Forgets a stream that nobody holds and of which nothing is under way.
    fn bury(&mut self, id: EndId) {
        let is_done = |end: &End| !end.is_held && end.sent.is_empty();
        let Some(end) = self.get(id).filter(|end| is_done(end)) else { return };
        let peer = end.peer;
        if peer.and_then(|peer| self.get(peer)).is_some_and(|peer| !is_done(peer)) {
            return;
        }
        for gone in [Some(id), peer].into_iter().flatten() {
            if self.get(gone).is_some() {
                self.slots[gone.slot] = None;
                self.free.push(gone.slot);
            }
        }
    }
}

impl Network {
    /// Asks for a stream. The end is held from now on.
    pub(super) fn open(&mut self, host: HostId, remote: SocketAddr, there: HostId) -> EndId {
        let port = self.free_port(host);
        let local = self.address_of(host, port);
        let end = self.new_end(host, local, remote, there, Opening::Asked, None);
        self.send_syn(end, 0);
        end
    }

    fn new_end(
        &mut self,
        host: HostId,
        local: SocketAddr,
        remote: SocketAddr,
        there: HostId,
        opening: Opening,
        peer: Option<EndId>,
    ) -> EndId {
        let life = self.machine(host).life;
        self.ends.add(End {
            host,
            life,
            local,
            remote,
            there,
            peer,
            opening,
            is_held: true,
            inbox: VecDeque::new(),
            inbox_bytes: 0,
            has_ended: false,
            is_reset: false,
            reader: None,
            writer: None,
            sent: VecDeque::new(),
            first: 0,
            sent_bytes: 0,
            has_shut: false,
            last_arrival: Duration::ZERO,
            lost: 0,
            waits: false,
        })
    }

    /// For the so-manieth time. Until there is an answer it is sent again and again, and then given up.
    pub(super) fn send_syn(&mut self, client: EndId, time: u32) {
        let Some(end) = self.ends.get(client).filter(|end| end.is_held && end.opening == Opening::Asked) else {
            return self.ends.bury(client);
        };
        let (here, there) = (end.host, end.there);
        if time >= CONNECTS_MAX {
            return self.fail_opening(client, Opening::TimedOut);
        }
        self.note_sent(here, there);
        self.send(here, there, Duration::ZERO, Event::Syn(client));
        self.remind(here, CONNECT_AGAIN * 2u32.pow(time), Event::SynAgain(client, time + 1));
    }

    pub(super) fn syn_arrives(&mut self, client: EndId, at: HostId, is_lost: bool) {
        let Some(end) = self.ends.get(client).filter(|end| end.opening == Opening::Asked && !is_lost) else { return };
        let (here, local, remote, peer) = (end.host, end.local, end.remote, end.peer);
        // It came before, and the answer was lost.
        if let Some(server) = peer.filter(|peer| self.ends.get(*peer).is_some_and(|end| self.is_alive(end))) {
            return self.send_syn_ack(server);
        }
        match self.listens(at, remote.port()) {
            Some(true) => {
                let server = self.new_end(at, remote, local, here, Opening::Asked, Some(client));
                if let Some(end) = self.ends.get_mut(client) {
                    end.peer = Some(server);
                }
                if let Some(former) = peer {
                    self.ends.discard(former);
                }
                self.send_syn_ack(server);
            }
            Some(false) => {
                self.send(at, here, Duration::ZERO, Event::Reset(client));
            }
            // As if it were lost.
            None => {}
        }
    }

    fn fail_opening(&mut self, client: EndId, how: Opening) {
        let Some(end) = self.ends.get_mut(client) else { return };
        end.opening = how;
        end.wake();
        if let Some(server) = end.peer.take() {
            self.ends.discard(server);
        }
    }

    fn send_syn_ack(&mut self, server: EndId) {
        let Some(end) = self.ends.get(server) else { return };
        let (here, there) = (end.host, end.there);
        self.send(here, there, Duration::ZERO, Event::SynAck(server));
    }

    /// The stream is open. Only now the server's software may have it: its kernel keeps who never answers to itself.
    pub(super) fn syn_ack_arrives(&mut self, server: EndId, is_lost: bool) {
        let Some(end) = self.ends.get(server).filter(|end| end.opening == Opening::Asked && !is_lost) else { return };
        let (host, port, client, is_alive) = (end.host, end.local.port(), end.peer, self.is_alive(end));
        let waits = |end: &End| end.is_held && end.opening == Opening::Asked && self.is_alive(end);
        if !client.and_then(|client| self.ends.get(client)).is_some_and(waits) || !is_alive {
            return self.ends.discard(server);
        }
        for id in [Some(server), client].into_iter().flatten() {
            if let Some(end) = self.ends.get_mut(id) {
                end.opening = Opening::Open;
                end.wake();
            }
        }
        if !self.offer(host, port, server) {
            self.let_go(server);
        }
    }

    /// What reached a host for an end that is gone is answered so.
    fn answer_with_reset(&mut self, to: EndId) {
        let Some(end) = self.ends.get(to) else { return };
        let (here, there, peer) = (end.there, end.host, end.peer);
        // It overtakes nothing that the end had sent before.
        let earliest = peer.and_then(|peer| self.ends.get(peer)).map_or(Duration::ZERO, |end| end.last_arrival);
        self.send(here, there, earliest, Event::Reset(to));
    }

    pub(super) fn reset_arrives(&mut self, id: EndId) {
        let Some(end) = self.ends.get_mut(id) else { return };
        if end.opening == Opening::Asked {
            return self.fail_opening(id, Opening::Refused);
        }
        end.is_reset = true;
        end.forget_sent();
        end.wake();
        self.ends.bury(id);
    }

    /// Sends bytes of a stream; some writes arrive in two pieces.
    pub(super) fn write(&mut self, id: EndId, bytes: &[u8]) {
        if let Some((here, there)) = self.ends.get(id).map(|end| (end.host, end.there)) {
            self.note_sent(here, there);
        }
        if bytes.len() > 1 && self.one_in(SPLIT_ONE_IN) {
            let (first, second) = bytes.split_at(self.part_of(bytes.len()));
            self.push(id, Segment::Data(Bytes::copy_from_slice(first)));
            self.push(id, Segment::Data(Bytes::copy_from_slice(second)));
        } else {
            self.push(id, Segment::Data(Bytes::copy_from_slice(bytes)));
        }
    }

    /// Says that nothing comes any more.
    pub(super) fn shut(&mut self, id: EndId) {
        let Some(end) = self.ends.get_mut(id).filter(|end| !end.has_shut) else { return };
        end.has_shut = true;
        if end.opening == Opening::Open && !end.is_reset {
            self.push(id, Segment::Fin);
        }
    }

    fn push(&mut self, id: EndId, segment: Segment) {
        let Some(end) = self.ends.get_mut(id) else { return };
        let number = end.first + end.sent.len() as u64;
        end.sent_bytes += segment.len();
        end.sent.push_back(segment);
        if !end.waits {
            self.send_segment(id, number);
        }
    }

    fn send_segment(&mut self, id: EndId, number: u64) {
        let Some(end) = self.ends.get(id) else { return };
        let (here, there, earliest) = (end.host, end.there, end.last_arrival);
        let at = self.send(here, there, earliest, Event::Segment(id, number));
        if let Some(end) = self.ends.get_mut(id) {
            end.last_arrival = at;
        }
    }

    pub(super) fn segment_arrives(&mut self, sender: EndId, number: u64, is_lost: bool) {
        // Others were lost before it, or it arrived already.
        let Some(end) = self.ends.get(sender).filter(|end| end.first == number && !end.sent.is_empty()) else { return };
        let (here, peer, is_alive) = (end.host, end.peer, self.is_alive(end));
        let receiver = peer.and_then(|peer| self.ends.get(peer));
        if is_lost || receiver.is_some_and(|end| end.opening == Opening::Asked) {
            return self.lose(sender, here, is_alive);
        }
        let Some(peer) = peer.filter(|_| receiver.is_some_and(|end| end.is_held && self.is_alive(end))) else {
            // Should the reset be lost, the segment asks for another.
            self.answer_with_reset(sender);
            return self.lose(sender, here, is_alive);
        };
        let Some(end) = self.ends.get_mut(sender) else { return };
        let Some(segment) = end.sent.pop_front() else { return };
        end.first += 1;
        end.sent_bytes -= segment.len();
        end.lost = 0;
        if let Some(end) = self.ends.get_mut(peer) {
            match segment {
                Segment::Data(bytes) => {
                    end.inbox_bytes += bytes.len();
                    end.inbox.push_back(bytes);
                }
                Segment::Fin => end.has_ended = true,
            }
            if let Some(reader) = end.reader.take() {
                reader.wake();
            }
        }
        self.ends.bury(sender);
    }

    fn lose(&mut self, id: EndId, here: HostId, is_alive: bool) {
        let Some(end) = self.ends.get_mut(id).filter(|end| !end.waits) else { return };
        if !is_alive {
            end.forget_sent();
            return self.ends.bury(id);
        }
        if end.lost >= SEGMENTS_MAX {
            return self.reset_arrives(id);
        }
        let after = (SEGMENT_AGAIN * 2u32.pow(end.lost)).min(SEGMENT_AGAIN_MAX);
        (end.lost, end.waits) = (end.lost + 1, true);
        self.remind(here, after, Event::Again(id));
    }

    pub(super) fn send_again(&mut self, id: EndId) {
        let Some(end) = self.ends.get(id) else { return };
        if !self.is_alive(end) {
            if let Some(end) = self.ends.get_mut(id) {
                end.forget_sent();
            }
            return self.ends.bury(id);
        }
        let (here, there, first, count) = (end.host, end.there, end.first, end.sent.len() as u64);
        if let Some(end) = self.ends.get_mut(id) {
            end.waits = false;
        }
        if count == 0 {
            return;
        }
        self.note_sent(here, there);
        for number in first..first + count {
            self.send_segment(id, number);
        }
    }

    /// Software has read so many bytes.
    pub(super) fn has_read(&mut self, id: EndId, count: usize) {
        let Some(end) = self.ends.get_mut(id) else { return };
        end.inbox_bytes -= count;
        let peer = end.peer;
        if let Some(writer) = peer.and_then(|peer| self.ends.get_mut(peer)).and_then(|peer| peer.writer.take()) {
            writer.wake();
        }
    }

    /// Software lets go of its end. What was not read tells the other so with a reset.
    pub(super) fn let_go(&mut self, id: EndId) {
        let Some(end) = self.ends.get_mut(id).filter(|end| end.is_held) else { return };
        let (has_unread, peer) = (!end.inbox.is_empty(), end.peer);
        match peer.filter(|_| has_unread) {
            // Behind what was written before.
            Some(peer) => {
                end.has_shut = true;
                self.answer_with_reset(peer);
            }
            None => self.shut(id),
        }
        self.ends.empty(id);
        if let Some(end) = self.ends.get_mut(id) {
            end.is_held = false;
        }
        self.ends.bury(id);
    }
}
