//! Time is paused: it goes on where everybody waits, so limits take none.

use super::super::tests::Served;
use super::super::{Limits, Token};
use super::*;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

/// Few places, so that they can be full.
const FEW: Limits = Limits { strangers_max: 2, admitted_max: 2, looking_max: 1, ..Limits::DEFAULT };
const HEALTHZ: &str = "GET /healthz HTTP/1.1\r\nhost: c\r\n\r\n";
const ROOM: usize = 1 << 20;

struct Server {
    connect: mpsc::UnboundedSender<Box<dyn ByteStream>>,
    stop: oneshot::Sender<()>,
    serves: JoinHandle<()>,
}

impl Server {
    fn start(limits: Limits) -> Self {
        let api = HttpApi::new(Arc::new(Served), Token::new("secret"), limits);
        let (connect, connected) = mpsc::unbounded_channel();
        let (stop, stopped) = oneshot::channel();
        let connected = Arc::new(Mutex::new(connected));
        let accept = move || {
            let connected = connected.clone();
            async move {
                match connected.lock().await.recv().await {
                    Some(stream) => stream,
                    None => std::future::pending().await,
                }
            }
            .boxed()
        };
        let serves = tokio::spawn(serve(api, accept, stopped.map(|_| ()).boxed()));
        Self { connect, stop, serves }
    }

    /// Connects, with so many bytes of room each way, and sends this.
    async fn send(&self, room: usize, text: &str) -> DuplexStream {
        let (mut mine, its) = duplex(room);
        let _ = self.connect.send(Box::new(its));
        mine.write_all(text.as_bytes()).await.unwrap();
        mine
    }

    async fn ask(&self, text: &str) -> String {
        rest(self.send(ROOM, text).await).await
    }
}

/// What is answered until the server hangs up.
async fn rest(mut stream: DuplexStream) -> String {
    let mut bytes = Vec::new();
    let all = timeout(Duration::from_secs(600), stream.read_to_end(&mut bytes)).await;
    all.expect("everything has a limit").unwrap();
    String::from_utf8(bytes).unwrap()
}

/// A request of one who may ask, and of a length that may be longer than what comes of it.
fn request(verb: &str, path: &str, length: usize, body: &str) -> String {
    format!(
        "{verb} /v1/continuums/shop/{path} HTTP/1.1\r\nhost: c\r\nx-catalyst-owner-tier: true\r\nauthorization: Bearer \
         secret\r\naccept: application/problem+json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// One that takes so long.
fn dry_run(seconds: u64) -> String {
    let body = format!(r#"{{"toRegion":"hel","reason":"takes {seconds}"}}"#);
    request("POST", "shop/dry-run", body.len(), &body)
}

fn assert_says(answer: &str, status: u16, why: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    assert!(answer.contains("content-type: application/problem+json"), "{answer}");
    assert!(answer.contains(&format!(r#""error":"{why}""#)), "{answer}");
}

async fn assert_silent(stream: &mut DuplexStream) {
    assert!(timeout(Duration::from_millis(1), stream.read_u8()).await.is_err(), "it was hung up on, or answered");
}

/// How long it takes, to the second.
async fn seconds<T>(what: impl Future<Output = T>) -> (u64, T) {
    let began = Instant::now();
    let got = timeout(Duration::from_secs(600), what).await.expect("everything has a limit");
    (began.elapsed().as_secs(), got)
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_the_answer_is_hung_up_on() {
    let server = Server::start(Limits::DEFAULT);
    for (waits, whole) in [(29, true), (31, false)] {
        let stream = server.send(256, &request("GET", "large/status", 0, "")).await;
        sleep(Duration::from_secs(waits)).await;
        let answer = rest(stream).await;
        assert_eq!(answer.ends_with('}'), whole, "{} bytes after {waits} s", answer.len());
    }
}

#[tokio::test(start_paused = true)]
async fn who_reads_a_byte_at_a_time_has_no_longer_for_all_of_it() {
    let server = Server::start(Limits::DEFAULT);
    let mut stream = server.send(256, &request("GET", "large/status", 0, "")).await;
    let reads = async {
        while stream.read_u8().await.is_ok() {
            sleep(Duration::from_secs(1)).await;
        }
    };
    let (took, ()) = seconds(reads).await;
    assert!((256..400).contains(&took), "what was written in 30 s is read, and no more: {took} s");
}

#[tokio::test(start_paused = true)]
async fn a_head_has_ten_seconds_however_it_comes() {
    let server = Server::start(Limits::DEFAULT);
    let mut stream = server.send(ROOM, "").await;
    let sends = async {
        for byte in dry_run(0).bytes() {
            if stream.write_all(&[byte]).await.is_err() {
                return;
            }
            sleep(Duration::from_secs(1)).await;
        }
    };
    assert!((10..=11).contains(&seconds(sends).await.0));
    let silent = server.send(ROOM, "").await;
    assert_eq!(seconds(rest(silent)).await, (10, String::new()));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_told_so() {
    let server = Server::start(Limits::DEFAULT);
    let (took, answer) = seconds(server.ask(&request("POST", "shop/dry-run", 30, "{"))).await;
    assert_eq!(took, 30);
    assert_says(&answer, 408, "the body did not come within 30 s");
}

#[tokio::test(start_paused = true)]
async fn what_takes_too_long_is_given_up() {
    let server = Server::start(Limits::DEFAULT);
    let (took, answer) = seconds(server.ask(&dry_run(100))).await;
    assert_eq!(took, 60);
    assert_says(&answer, 503, "not answered within 60 s");
    let (took, answer) = seconds(server.ask(&dry_run(59))).await;
    assert!(took == 59 && answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_carries_one_request() {
    let server = Server::start(Limits::DEFAULT);
    let twice = [dry_run(0), dry_run(0)].concat();
    for text in [HEALTHZ.repeat(2), twice] {
        let (took, answer) = seconds(server.ask(&text)).await;
        assert_eq!((took, answer.matches("HTTP/1.1 200 OK").count()), (0, 1), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stranger_gives_its_place_to_the_next_and_not_before_its_second() {
    let server = Server::start(FEW);
    let oldest = server.send(ROOM, "").await;
    let mut other = server.send(ROOM, "GET").await;
    let (took, answer) = seconds(server.ask(HEALTHZ)).await;
    assert!(took == 1 && answer.ends_with("ok"), "{took} s: {answer}");
    assert_eq!(seconds(rest(oldest)).await, (0, String::new()));
    assert_silent(&mut other).await;
    // Where nobody waits, it keeps it for as long as a head may take.
    assert_eq!(seconds(rest(other)).await, (8, String::new()));
}

#[tokio::test(start_paused = true)]
async fn no_number_of_strangers_takes_the_place_of_one_who_showed_a_credential() {
    let server = Server::start(FEW);
    let asked = server.send(ROOM, &dry_run(20)).await;
    let mut strangers = Vec::new();
    for _ in 0..10 {
        strangers.push(server.send(ROOM, "").await);
    }
    let (took, answer) = seconds(rest(asked)).await;
    assert!(took == 20 && answer.starts_with("HTTP/1.1 200 OK"), "{took} s: {answer}");
}

#[tokio::test(start_paused = true)]
async fn where_all_places_are_taken_who_may_ask_is_told_so_and_probes_are_answered() {
    let server = Server::start(Limits { looking_max: 9, ..FEW });
    let asked = [server.send(ROOM, &dry_run(20)).await, server.send(ROOM, &dry_run(20)).await];
    sleep(Duration::from_secs(1)).await;
    let (took, answer) = seconds(server.ask(&request("GET", "shop/status", 0, ""))).await;
    assert_eq!(took, 0);
    assert_says(&answer, 503, "too many calls at one time");
    assert!(answer.contains("retry-after: 2"), "{answer}");
    assert!(server.ask(HEALTHZ).await.ends_with("ok"));
    for stream in asked {
        assert!(rest(stream).await.starts_with("HTTP/1.1 200 OK"));
    }
    assert!(server.ask(&request("GET", "shop/status", 0, "")).await.starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test(start_paused = true)]
async fn dry_runs_beyond_a_few_are_to_be_asked_again() {
    let server = Server::start(FEW);
    let first = server.send(ROOM, &dry_run(20)).await;
    sleep(Duration::from_secs(1)).await;
    let answer = server.ask(&dry_run(0)).await;
    assert_says(&answer, 503, "too many dry runs at one time");
    assert!(answer.contains("retry-after: 2"), "{answer}");
    assert!(server.ask(&request("GET", "shop/status", 0, "")).await.starts_with("HTTP/1.1 200 OK"));
    // Who hangs up takes the question along.
    drop(first);
    sleep(Duration::from_millis(1)).await;
    assert!(server.ask(&dry_run(0)).await.starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test(start_paused = true)]
async fn a_request_in_flight_is_answered_before_it_ends() {
    let server = Server::start(Limits::DEFAULT);
    let asked = server.send(ROOM, &dry_run(20)).await;
    let silent = server.send(ROOM, "").await;
    sleep(Duration::from_secs(1)).await;
    server.stop.send(()).unwrap();
    assert_eq!(seconds(rest(silent)).await, (0, String::new()));
    let (took, answer) = seconds(rest(asked)).await;
    assert!(took == 19 && answer.starts_with("HTTP/1.1 200 OK"), "{took} s: {answer}");
    assert_eq!(seconds(server.serves).await.0, 0);
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_head_ends_after_its_head() {
    let server = Server::start(FEW);
    let answer = server.ask(&request("HEAD", "shop/status", 0, "")).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n"), "{answer}");
    assert!(!answer.contains("content-length"), "it was not made: {answer}");
    let answer = server.ask(&request("HEAD", "none/status", 0, "")).await;
    assert!(answer.starts_with("HTTP/1.1 404 ") && answer.ends_with("\r\n\r\n"), "{answer}");
    assert!(answer.contains("content-length: ") && !answer.contains("content-length: 0"), "{answer}");
}
