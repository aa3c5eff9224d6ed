//! A client that writes any bytes, since those of libraries refuse to send what is malformed.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep, timeout};

/// For whatever comes of a request that is written at once: beyond the limit of a head, which some never end.
const LIMIT: Duration = Duration::from_secs(20);
/// With which answers begin, but for one digit, a space and the status.
const VERSION: &str = "HTTP/1.";

/// What becomes of the client's side of the connection once everything is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// It is kept until the answer is there.
    Waits,
    /// It ends after so long: what was written may be a part of something that never comes.
    Ends(Duration),
}

/// What came back.
pub struct Heard {
    pub text: String,
    /// The server ended the connection, in whichever way.
    pub ended: bool,
    pub took: Duration,
}

impl fmt::Debug for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start: String = self.text.chars().take(400).collect();
        write!(f, "{start:?} of {} bytes, ended: {}, after {:?}", self.text.len(), self.ended, self.took)
    }
}

impl Heard {
    fn new(bytes: &[u8], ended: bool, began: Instant) -> Self {
        let text = String::from_utf8_lossy(bytes);
        // That the body may come is no answer yet.
        let text = text.strip_prefix("HTTP/1.1 100 Continue\r\n\r\n").unwrap_or(&text).to_owned();
        Self { text, ended, took: began.elapsed() }
    }

    /// Of the first answer; absent: nothing was answered.
    pub fn status(&self) -> Option<u16> {
        self.text.strip_prefix(VERSION)?.get(2..5)?.parse().ok()
    }

    /// Answers on this connection.
    pub fn answers(&self) -> usize {
        self.text.matches(VERSION).count()
    }
}

pub async fn connect(server: SocketAddr) -> TcpStream {
    TcpStream::connect(server).await.expect("the API listens")
}

/// Writes these bytes, and reads until the server hangs up.
pub async fn exchange(server: SocketAddr, bytes: &[u8], after: After) -> Heard {
    let began = Instant::now();
    let (mut reads, mut writes) = connect(server).await.into_split();
    let write = async {
        // Who is answered before it has said everything may be hung up on in the middle of it.
        let _ = writes.write_all(bytes).await;
        if let After::Ends(pause) = after {
            sleep(pause).await;
            let _ = writes.shutdown().await;
        }
        std::future::pending::<()>().await
    };
    let mut heard = Vec::new();
    let ended = {
        let (read, write) = (pin!(rest(&mut reads, &mut heard)), pin!(write));
        timeout(LIMIT, futures_util::future::select(read, write)).await.is_ok()
    };
    Heard::new(&heard, ended, began)
}

/// Writes these bytes one by one, with this pause between two, and reads until the server hangs up; no longer than `limit`.
pub async fn drip(server: SocketAddr, at_once: &[u8], bytes: &[u8], pause: Duration, limit: Duration) -> Heard {
    let began = Instant::now();
    let (mut reads, mut writes) = connect(server).await.into_split();
    let write = async {
        let _ = writes.write_all(at_once).await;
        for byte in bytes {
            if writes.write_all(&[*byte]).await.is_err() {
                break;
            }
            sleep(pause).await;
        }
        std::future::pending::<()>().await
    };
    let mut heard = Vec::new();
    let ended = {
        let (read, write) = (pin!(rest(&mut reads, &mut heard)), pin!(write));
        timeout(limit, futures_util::future::select(read, write)).await.is_ok()
    };
    Heard::new(&heard, ended, began)
}

/// Asks, and reads nothing for so long; then what there is, which the server has to have ended by then.
pub async fn leave_unread(server: SocketAddr, bytes: &[u8], unread_for: Duration) -> Heard {
    let began = Instant::now();
    let socket = TcpSocket::new_v4().expect("a socket");
    // Otherwise the kernel reads everything in the client's place.
    socket.set_recv_buffer_size(1).expect("the kernel rounds it up");
    let mut stream = socket.connect(server).await.expect("the API listens");
    stream.write_all(bytes).await.expect("it is read");
    sleep(unread_for).await;
    let mut heard = Vec::new();
    let ended = timeout(Duration::from_secs(5), rest(&mut stream, &mut heard)).await.is_ok();
    Heard::new(&heard, ended, began)
}

/// Everything until the end of the connection. One that is reset ended too.
async fn rest(reads: &mut (impl AsyncReadExt + Unpin), heard: &mut Vec<u8>) -> Option<io::Error> {
    reads.read_to_end(heard).await.err()
}
