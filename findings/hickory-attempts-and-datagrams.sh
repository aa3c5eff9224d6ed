#!/usr/bin/env bash
# How often a resolver asks a server that says nothing.
#
# Installs: the crate hickory-resolver 0.26.3 (with tokio 1.54.1). cargo and the network are needed.
#
# Guess: attempts = 1 sends one datagram and gives up after one timeout.
#
# Really: attempts counts repetitions, and within each timeout the question is sent three times, 0.3 s and 0.7 s after
# the first. With a timeout of 3 s, attempts = 1 sends six datagrams and gives up after 6 s; the default of 2 sends
# nine and gives up after 9 s.
#
# Version and output seen (hickory-resolver 0.26.3, twice, in November 2026):
#   hickory-resolver 0.26.3, timeout 3 s, one server that is silent
#   attempts = 0: 3 datagrams, given up after 3 s
#   attempts = 1: 6 datagrams, given up after 6 s
#   attempts by default: 9 datagrams, given up after 9 s
#
# Matters: a dead server costs three times the limit that was set, in a check that runs every few seconds and in every
# estimate made from it. And a lost datagram is covered without any attempts: attempts = 0 still sends three.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/src"
cat >"$work/Cargo.toml" <<'TOML'
[package]
name = "finding-hickory-attempts-and-datagrams"
version = "0.0.0"
edition = "2024"

[dependencies]
hickory-resolver = { version = "=0.26.3", default-features = false, features = ["tokio"] }
tokio = { version = "=1.54.1", features = ["rt", "net", "time", "macros"] }
TOML
cat >"$work/src/main.rs" <<'RUST'
use hickory_resolver::Resolver;
use hickory_resolver::config::{ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;

/// Asks a server that never answers: datagrams that it got, and whole seconds until the resolver gave up.
async fn ask(attempts: Option<usize>) -> (usize, u64) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let address = socket.local_addr().expect("an address");
    let count: Rc<Cell<usize>> = Rc::default();
    let seen = count.clone();
    let silence = tokio::task::spawn_local(async move {
        let mut datagram = [0; 512];
        while socket.recv_from(&mut datagram).await.is_ok() {
            seen.set(seen.get() + 1);
        }
    });
    let mut udp = ConnectionConfig::udp();
    udp.port = address.port();
    let server = NameServerConfig::new(address.ip(), true, vec![udp]);
    let mut options = ResolverOpts::default();
    options.timeout = Duration::from_secs(3);
    options.ip_strategy = LookupIpStrategy::Ipv4Only;
    if let Some(attempts) = attempts {
        options.attempts = attempts;
    }
    let config = ResolverConfig::from_parts(None, vec![], vec![server]);
    let builder = Resolver::builder_with_config(config, TokioRuntimeProvider::default());
    let resolver = builder.with_options(options).build().expect("a resolver");
    let began = Instant::now();
    assert!(resolver.lookup_ip("example.org.").await.is_err(), "nobody answers");
    silence.abort();
    (count.get(), began.elapsed().as_secs())
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let tasks = tokio::task::LocalSet::new();
    tasks
        .run_until(async {
            for (attempts, expected) in [(Some(0), (3, 3)), (Some(1), (6, 6)), (None, (9, 9))] {
                let name = attempts.map_or("by default".to_owned(), |attempts| format!("= {attempts}"));
                let (datagrams, seconds) = ask(attempts).await;
                println!("attempts {name}: {datagrams} datagrams, given up after {seconds} s");
                assert_eq!((datagrams, seconds), expected);
            }
        })
        .await;
}
RUST
echo "hickory-resolver 0.26.3, timeout 3 s, one server that is silent"
cargo run --quiet --manifest-path "$work/Cargo.toml" || { echo "DIFFERS"; exit 1; }
