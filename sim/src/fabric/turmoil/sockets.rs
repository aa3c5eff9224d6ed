//! turmoil's sockets, as the fabric's interface has them.

use super::super::{BoxStream, Datagrams, Listener, async_trait};
use super::Hosts;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream, which notes what is sent on it.
pub(super) struct Wire {
    pub(super) stream: turmoil::net::TcpStream,
    pub(super) hosts: Arc<Hosts>,
    pub(super) here: Arc<str>,
    pub(super) there: Arc<str>,
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.hosts.sent(&self.here, &self.there);
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

pub(super) struct TurmoilListener(pub(super) turmoil::net::TcpListener, pub(super) Arc<Hosts>);

#[async_trait]
impl Listener for TurmoilListener {
    async fn accept(&self) -> io::Result<(BoxStream, SocketAddr)> {
        let (stream, from) = self.0.accept().await?;
        let here = self.1.current().expect("only a host's software accepts").host.clone();
        let there = self.1.name_of(from.ip()).unwrap_or_default().into();
        Ok((Box::new(Wire { stream, hosts: self.1.clone(), here, there }), from))
    }
}

pub(super) struct TurmoilDatagrams(pub(super) turmoil::net::UdpSocket, pub(super) Arc<Hosts>);

impl Datagrams for TurmoilDatagrams {
    fn poll_recv_from(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<(usize, SocketAddr)>> {
        loop {
            // A new future each time will do: the socket's queue keeps the waker.
            ready!(pin!(self.0.readable()).poll(cx))?;
            match self.0.try_recv_from(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                received => return Poll::Ready(received),
            }
        }
    }

    fn send_to(&self, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
        if let (Some(here), Some(there)) = (self.1.current(), self.1.name_of(to.ip())) {
            self.1.sent(&here.host, &there);
        }
        self.0.try_send_to(bytes, to)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}
