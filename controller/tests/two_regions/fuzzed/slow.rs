//! Who takes its time: with a head, with a body, with reading, or with saying anything at all.

use super::kinds::{NOWHERE, ORDER, call, owner};
use super::wire::{Heard, connect, drip, exchange, leave_unread};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// As docs/http-api.md has them.
const HEAD_LIMIT: Duration = Duration::from_secs(10);
const BODY_LIMIT: Duration = Duration::from_secs(30);
const READING_LIMIT: Duration = Duration::from_secs(30);
/// What a slow machine adds.
const SLACK: Duration = Duration::from_secs(8);

/// Of each kind but the silent. Those who show a credential are fewer than have room, with everybody else who does.
const EACH: usize = 16;
/// Four times as many as have room.
const SILENT: usize = 256;

/// Everybody at one time. What each kind is, how many of it, and what of it was not as it should be.
pub async fn all(server: SocketAddr) -> Vec<(&'static str, usize, Vec<String>)> {
    let (heads, bodies) = (many(EACH, move || head(server)), many(EACH, move || body(server)));
    let (strangers, readers) = (many(EACH, move || body_of_a_stranger(server)), many(EACH, move || reader(server)));
    let (heads, bodies, strangers, readers, silent) = tokio::join!(heads, bodies, strangers, readers, silent(server));
    vec![
        ("heads byte by byte", EACH, heads),
        ("bodies byte by byte", EACH, bodies),
        ("the same without credentials", EACH, strangers),
        ("answers left unread", EACH, readers),
        ("silent connections", SILENT, silent),
    ]
}

async fn many<F>(count: usize, one: impl Fn() -> F) -> Vec<String>
where
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    let mut all = JoinSet::new();
    for _ in 0..count {
        all.spawn(one());
    }
    all.join_all().await.into_iter().filter_map(Result::err).collect()
}

fn wanted(heard: &Heard, is: bool) -> Result<(), String> {
    if is { Ok(()) } else { Err(format!("{heard:?}")) }
}

/// A stranger: it may lose its place to another before its time is over.
async fn head(server: SocketAddr) -> Result<(), String> {
    let head = format!("POST {} HTTP/1.1\r\n{}", call("switchover"), owner());
    let heard = drip(server, b"", head.as_bytes(), Duration::from_millis(300), HEAD_LIMIT + SLACK).await;
    wanted(&heard, heard.ended && heard.text.is_empty())
}

async fn body(server: SocketAddr) -> Result<(), String> {
    let body = " ".repeat(200) + NOWHERE;
    let head =
        format!("POST {} HTTP/1.1\r\nHost: c\r\n{}Content-Length: {}\r\n\r\n", call("switchover"), owner(), body.len());
    let heard = drip(server, head.as_bytes(), body.as_bytes(), Duration::from_millis(300), BODY_LIMIT + SLACK).await;
    wanted(&heard, heard.ended && heard.status() == Some(408) && heard.took >= BODY_LIMIT)
}

async fn body_of_a_stranger(server: SocketAddr) -> Result<(), String> {
    let head = format!("POST {} HTTP/1.1\r\nHost: c\r\nContent-Length: 200\r\n\r\n", call("switchover"));
    let heard = drip(server, head.as_bytes(), ORDER.as_bytes(), Duration::from_millis(300), SLACK).await;
    wanted(&heard, heard.ended && heard.status() == Some(401))
}

async fn reader(server: SocketAddr) -> Result<(), String> {
    let request = super::kinds::request("GET", "/openapi.json", &owner(), "");
    let heard = leave_unread(server, &request, READING_LIMIT + SLACK / 2).await;
    wanted(&heard, heard.ended && heard.status().is_none_or(|status| status == 200))
}

/// They are hung up on, each once its head is late or another needs its place, and nobody else waits for them for long.
async fn silent(server: SocketAddr) -> Vec<String> {
    let mut streams = Vec::new();
    for _ in 0..SILENT {
        streams.push(connect(server).await);
    }
    let began = Instant::now();
    let asked = exchange(server, b"GET /healthz HTTP/1.1\r\nHost: c\r\n\r\n", super::wire::After::Waits).await;
    let mut wrong: Vec<String> = Vec::new();
    if asked.status() != Some(200) || asked.took > HEAD_LIMIT {
        wrong.push(format!("healthz behind them: {asked:?}"));
    }
    let limit = HEAD_LIMIT + Duration::from_secs(SILENT as u64 / 64) + SLACK;
    for (number, mut stream) in streams.into_iter().enumerate() {
        let left = limit.saturating_sub(began.elapsed());
        let mut heard = Vec::new();
        let ended = timeout(left, tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut heard)).await;
        if ended.is_err() || !heard.is_empty() {
            wrong.push(format!("silent {number}: {}", String::from_utf8_lossy(&heard)));
        }
    }
    wrong
}
