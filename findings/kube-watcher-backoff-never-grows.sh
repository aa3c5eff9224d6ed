#!/usr/bin/env bash
# The back-off of a watcher whose list is refused.
#
# Installs: the crates kube 5.0.0 and k8s-openapi 0.29.0 (with tokio 1.54.1). cargo and the network are needed; the
# build takes three minutes.
#
# Guess: with default_backoff the pauses double, from a second to a minute: five or six lists in half a minute.
#
# Really: the watcher says Init before each list, Init is not an error, and whatever is not an error resets the
# back-off. The pauses stay at 0.8 to 1.6 s for ever: over twenty lists in half a minute.
#
# Version and output seen (kube 5.0.0, twice, in November 2026):
#   kube 5.0.0, a server that answers every list with 403
#   26 lists in 30 s, longest pause 1.5 s, events ["Init", "error", "Init", "error"]
#
# Matters: a controller whose rights or whose resource definition are missing asks once a second for as long as it
# lives, for each kind that it watches. A back-off has to be reset by InitDone or by an object, not by Init.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/src"
cat >"$work/Cargo.toml" <<'TOML'
[package]
name = "finding-kube-watcher-backoff-never-grows"
version = "0.0.0"
edition = "2024"

[dependencies]
kube = { version = "=5.0.0", default-features = false, features = ["client", "runtime"] }
k8s-openapi = { version = "=0.29.0", features = ["latest"] }
tokio = { version = "=1.54.1", features = ["rt", "net", "time", "macros", "io-util"] }
futures-util = { version = "0.3", default-features = false }
TOML
cat >"$work/src/main.rs" <<'RUST'
use futures_util::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Config};
use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const BODY: &str = r#"{"apiVersion":"v1","kind":"Status","status":"Failure","reason":"Forbidden","code":403}"#;

/// Refuses the requests of a connection, and writes down when they came.
async fn refuse(stream: TcpStream, seen: Rc<RefCell<Vec<Instant>>>) -> std::io::Result<()> {
    let (mut stream, mut line) = (BufReader::new(stream), String::new());
    while stream.read_line(&mut line).await? > 0 {
        if line == "\r\n" {
            seen.borrow_mut().push(Instant::now());
            let head = format!("HTTP/1.1 403 Forbidden\r\ncontent-length: {}\r\n\r\n", BODY.len());
            stream.write_all((head + BODY).as_bytes()).await?;
        }
        line.clear();
    }
    Ok(())
}

async fn watch() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let seen: Rc<RefCell<Vec<Instant>>> = Rc::default();
    let log = seen.clone();
    tokio::task::spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::task::spawn_local(refuse(stream, log.clone()));
        }
    });
    let config = Config::new(format!("http://{address}").parse().expect("a URI"));
    let maps: Api<ConfigMap> = Api::all(Client::try_from(config).expect("a client"));
    let mut events = pin!(watcher(maps, watcher::Config::default()).default_backoff());
    let mut said = Vec::new();
    let _ = timeout(Duration::from_secs(30), async {
        while let Some(event) = events.next().await {
            said.push(match event {
                Ok(watcher::Event::Init) => "Init",
                Ok(_) => "other",
                Err(_) => "error",
            });
        }
    })
    .await;
    let seen = seen.borrow();
    let pauses: Vec<f64> = seen.windows(2).map(|two| (two[1] - two[0]).as_secs_f64()).collect();
    let longest = pauses.iter().copied().fold(0.0, f64::max);
    println!("{} lists in 30 s, longest pause {longest:.1} s, events {:?}", seen.len(), &said[..4]);
    assert!(seen.len() >= 15, "fewer lists: the back-off grows");
    assert!(longest < 3.0, "longer pauses: the back-off grows");
    assert!(said.chunks_exact(2).all(|two| two == ["Init", "error"]), "other events");
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    tokio::task::LocalSet::new().run_until(watch()).await;
}
RUST
echo "kube 5.0.0, a server that answers every list with 403"
cargo run --quiet --manifest-path "$work/Cargo.toml" || { echo "DIFFERS"; exit 1; }
