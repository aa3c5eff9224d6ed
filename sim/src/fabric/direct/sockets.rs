//! Streams, listeners and datagram sockets as software holds them. Each belongs to a life of its host: what is dropped
//! after a power cut tells nobody.

use super::network::Event;
use super::streams::{End, EndId, Opening};
use super::{BoxStream, Datagrams, HostId, Listener, Shared};
use async_trait::async_trait;
use bytes::{Buf, Bytes};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

fn keep(place: &mut Option<Waker>, cx: &Context<'_>) {
    if !place.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
        *place = Some(cx.waker().clone());
    }
}

/// A stream.
pub(super) struct Wire {
    shared: Arc<Shared>,
    end: EndId,
}

impl Wire {
    pub(super) fn new(shared: Arc<Shared>, end: EndId) -> Self {
        Wire { shared, end }
    }

    pub(super) fn poll_opening(&self, cx: &Context<'_>) -> Opening {
        self.with(Opening::Refused, |end| {
            keep(&mut end.reader, cx);
            end.opening
        })
    }

    fn with<T>(&self, gone: T, f: impl FnOnce(&mut End) -> T) -> T {
        self.shared.network().ends.get_mut(self.end).map_or(gone, f)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.shared.network().let_go(self.end);
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut network = self.shared.network();
        let reset = || Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        let Some(end) = network.ends.get_mut(self.end) else { return reset() };
        let before = buffer.remaining();
        while buffer.remaining() > 0
            && let Some(first) = end.inbox.front_mut()
        {
            let count = first.len().min(buffer.remaining());
            buffer.put_slice(&first[..count]);
            first.advance(count);
            if first.is_empty() {
                end.inbox.pop_front();
            }
        }
        let count = before - buffer.remaining();
        if count > 0 {
            network.has_read(self.end, count);
            return Poll::Ready(Ok(()));
        }
        if before == 0 || end.has_ended {
            return Poll::Ready(Ok(()));
        }
        if end.is_reset {
            return reset();
        }
        keep(&mut end.reader, cx);
        Poll::Pending
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut network = self.shared.network();
        let room = network.ends.room(self.end);
        let Some(end) = network.ends.get_mut(self.end).filter(|end| !end.is_reset && !end.has_shut) else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if room == 0 {
            keep(&mut end.writer, cx);
            return Poll::Pending;
        }
        let count = bytes.len().min(room);
        network.write(self.end, &bytes[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.network().shut(self.end);
        Poll::Ready(Ok(()))
    }
}

/// Accepts streams.
pub(super) struct DirectListener {
    pub(super) shared: Arc<Shared>,
    pub(super) host: HostId,
    pub(super) life: u32,
    pub(super) port: u16,
}

#[async_trait]
impl Listener for DirectListener {
    async fn accept(&self) -> io::Result<(BoxStream, SocketAddr)> {
        poll_fn(|cx| {
            let mut network = self.shared.network();
            let Some(backlog) = network.machine_mut(self.host).listeners.get_mut(&self.port) else {
                return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
            };
            let Some(end) = backlog.waiting.pop_front() else {
                keep(&mut backlog.waker, cx);
                return Poll::Pending;
            };
            match network.ends.get(end).map(|end| end.remote) {
                Some(from) => {
                    let wire = Wire::new(self.shared.clone(), end);
                    Poll::Ready(Ok((Box::new(wire) as BoxStream, from)))
                }
                // Only of a former life.
                None => Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
            }
        })
        .await
    }
}

impl Drop for DirectListener {
    fn drop(&mut self) {
        let mut network = self.shared.network();
        let machine = network.machine_mut(self.host);
        if machine.is_up && machine.life == self.life {
            let backlog = machine.listeners.remove(&self.port).unwrap_or_default();
            backlog.waiting.into_iter().for_each(|end| network.let_go(end));
        }
    }
}

/// A datagram socket.
pub(super) struct DirectDatagrams {
    pub(super) shared: Arc<Shared>,
    pub(super) host: HostId,
    pub(super) life: u32,
    pub(super) port: u16,
}

impl Datagrams for DirectDatagrams {
    fn poll_recv_from(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<(usize, SocketAddr)>> {
        let mut network = self.shared.network();
        let Some(socket) = network.machine_mut(self.host).sockets.get_mut(&self.port) else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        let Some((bytes, from)) = socket.inbox.pop_front() else {
            keep(&mut socket.waker, cx);
            return Poll::Pending;
        };
        // What does not fit is lost, as with a real socket.
        let count = bytes.len().min(buffer.len());
        buffer[..count].copy_from_slice(&bytes[..count]);
        Poll::Ready(Ok((count, from)))
    }

    fn send_to(&self, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
        let mut network = self.shared.network();
        let source = network.address_of(self.host, self.port);
        // To nobody: sent, and never heard of again.
        if let Some(there) = network.at(to.ip()) {
            network.note_sent(self.host, there);
            let datagram = Event::Datagram(Bytes::copy_from_slice(bytes), source, to);
            network.send(self.host, there, Duration::ZERO, datagram);
        }
        Ok(bytes.len())
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.shared.network().address_of(self.host, self.port))
    }
}

impl Drop for DirectDatagrams {
    fn drop(&mut self) {
        let mut network = self.shared.network();
        let machine = network.machine_mut(self.host);
        if machine.is_up && machine.life == self.life {
            machine.sockets.remove(&self.port);
        }
    }
}
