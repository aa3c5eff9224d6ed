#!/usr/bin/env bash
# What a Kubernetes client does with a write that the API server turns away.
#
# Installs: the crates kube 5.0.0 and k8s-openapi 0.29.0 (with tokio 1.54.1). cargo and the network are needed; the
# build takes three minutes.
#
# Guess: the client sends a request once. A 503 is the caller's to judge.
#
# Really: a client from Client::try_from repeats a PATCH on 503, with doubling pauses, until it is taken; the caller
# hears of none of it. By its source, every request on 429, 503 and 504, up to 15 times. Config::default_retry = false
# ends that.
#
# Version and output seen (kube 5.0.0, twice, in November 2026):
#   kube 5.0.0, a server that answers ten times 503, then 200
#   as it comes: applied, 11 requests "PATCH", 9.7s
#   default_retry = false: code 503, 1 request
#
# Matters: a patch decided upon now is applied seconds or minutes later, when the reason for it may be gone: a promotion
# that was given up, a lease that another took. Turn it off, or build the stack without it.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/src"
cat >"$work/Cargo.toml" <<'TOML'
[package]
name = "finding-kube-client-repeats-writes"
version = "0.0.0"
edition = "2024"

[dependencies]
kube = { version = "=5.0.0", default-features = false, features = ["client"] }
k8s-openapi = { version = "=0.29.0", features = ["latest"] }
tokio = { version = "=1.54.1", features = ["rt", "net", "time", "macros", "io-util"] }
serde_json = "1"
TOML
cat >"$work/src/main.rs" <<'RUST'
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, Config};
use serde_json::json;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// The server turns this many requests away before it takes one.
const REFUSALS: usize = 10;

/// Answers the requests of a connection; each is written down with its method.
async fn serve(stream: TcpStream, seen: Rc<RefCell<Vec<String>>>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut method, mut length, mut line) = (String::new(), 0, String::new());
    while stream.read_line(&mut line).await? > 0 {
        if method.is_empty() {
            method = line.split(' ').next().unwrap_or_default().to_owned();
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a number");
        }
        if line == "\r\n" {
            stream.read_exact(&mut vec![0; std::mem::take(&mut length)]).await?;
            seen.borrow_mut().push(std::mem::take(&mut method));
            let (status, body) = if seen.borrow().len() > REFUSALS {
                (200, json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mark"}}))
            } else {
                (503, json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": 503}))
            };
            let body = body.to_string();
            let length = body.len();
            let kind = "content-type: application/json";
            let head = format!("HTTP/1.1 {status} -\r\n{kind}\r\ncontent-length: {length}\r\n\r\n");
            stream.write_all((head + &body).as_bytes()).await?;
        }
        line.clear();
    }
    Ok(())
}

/// One patch by a client that is built with this setting, or with none: answer, requests seen by the server, seconds.
async fn patch(default_retry: Option<bool>) -> (String, Vec<String>, Duration) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let seen: Rc<RefCell<Vec<String>>> = Rc::default();
    let log = seen.clone();
    tokio::task::spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::task::spawn_local(serve(stream, log.clone()));
        }
    });
    let mut config = Config::new(format!("http://{address}").parse().expect("a URI"));
    if let Some(default_retry) = default_retry {
        config.default_retry = default_retry;
    }
    let maps: Api<ConfigMap> = Api::namespaced(Client::try_from(config).expect("a client"), "default");
    let began = Instant::now();
    let patch = Patch::Merge(json!({"data": {"mark": "1"}}));
    let answer = match maps.patch("mark", &PatchParams::default(), &patch).await {
        Ok(_) => "applied".to_owned(),
        Err(kube::Error::Api(status)) => format!("code {}", status.code),
        Err(error) => format!("{error:?}"),
    };
    let methods = seen.borrow().clone();
    (answer, methods, began.elapsed())
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let tasks = tokio::task::LocalSet::new();
    tasks
        .run_until(async {
            let (answer, methods, took) = patch(None).await;
            println!("as it comes: {answer}, {} requests {:?}, {took:.1?}", methods.len(), methods[0]);
            assert_eq!(answer, "applied", "the caller is told of the refusal");
            assert_eq!(methods, vec!["PATCH"; REFUSALS + 1], "other requests");
            assert!(took > Duration::from_secs(2), "without pauses");
            let (answer, methods, _) = patch(Some(false)).await;
            println!("default_retry = false: {answer}, {} request", methods.len());
            assert_eq!((answer.as_str(), methods.len()), ("code 503", 1));
        })
        .await;
}
RUST
echo "kube 5.0.0, a server that answers ten times 503, then 200"
cargo run --quiet --manifest-path "$work/Cargo.toml" || { echo "DIFFERS"; exit 1; }
