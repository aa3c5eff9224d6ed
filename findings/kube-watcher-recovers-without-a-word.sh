#!/usr/bin/env bash
# What a watcher tells when a watch that could not be started is started after all.
#
# Installs: the crates kube 5.0.0 and k8s-openapi 0.29.0 (with tokio 1.54.1, tower 0.5.3, http-body-util 0.1.5,
# futures-util 0.3.34). cargo and the network are needed; the build takes three minutes. Nothing is connected to: the server
# is a function.
#
# Guess: a watcher that told of an error tells of its end, with Init and a list that ends in InitDone, as it does at the
# beginning; so a store that distrusts itself from the error on knows when to trust itself again.
#
# Really: only an error that throws the watch away (410) is followed by a list. Where the start of a watch fails, for whatever
# reason, the same watch is tried again, and its success is no event: the next thing to be heard is the next change of an
# object, hours later where objects rest.
#
# Version and output seen (kube 5.0.0, twice, in November 2026):
#   kube 5.0.0, a list, a start of the watch that is answered 503, a start that succeeds, and an object 3 s later
#   Init
#   InitDone
#   error: failed to start watching object
#   watches begun: 2, and nothing told in 2 s
#   Apply(a)
#
# Matters: a cache must not serve what it had while its watch is broken, and must not stay silent for ever afterwards. Ours
# throws the watcher away at its first error, so that everything is listed anew (`live/src/watches.rs`).
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/src"
cat >"$work/Cargo.toml" <<'TOML'
[package]
name = "finding-kube-watcher-recovers-without-a-word"
version = "0.0.0"
edition = "2024"

[dependencies]
kube = { version = "=5.0.0", default-features = false, features = ["client", "runtime"] }
k8s-openapi = { version = "=0.29.0", features = ["latest"] }
tokio = { version = "=1.54.1", features = ["rt", "macros", "time"] }
tower = "=0.5.3"
http = "1"
http-body-util = "=0.1.5"
hyper = "1"
futures-util = "=0.3.34"
bytes = "1"
TOML
cat >"$work/src/main.rs" <<'RUST'
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Request, Response};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::client::Body;
use kube::runtime::watcher::{Config, watcher};
use kube::{Api, Client};
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const LIST: &str = r#"{"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[]}"#;
const REFUSED: &str = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","code":503,"reason":"ServiceUnavailable","message":"later"}"#;
const ADDED: &str = r#"{"type":"ADDED","object":{"kind":"ConfigMap","apiVersion":"v1","metadata":{"namespace":"n","name":"a","resourceVersion":"2"}}}"#;

fn answer(code: u16, text: &'static str) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
    Response::builder().status(code).body(Full::new(Bytes::from(text)).boxed_unsync()).expect("an answer")
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let begun = Arc::new(AtomicU32::new(0));
    let counted = begun.clone();
    let server = tower::service_fn(move |request: Request<Body>| {
        let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
        let number = if is_watch { counted.fetch_add(1, Ordering::SeqCst) + 1 } else { 0 };
        async move {
            Ok::<_, Infallible>(match number {
                0 => answer(200, LIST),
                1 => answer(503, REFUSED),
                _ => {
                    let late = stream::once(async {
                        tokio::time::sleep(Duration::from_secs(3)).await;
                        Ok::<_, Infallible>(Frame::data(Bytes::from(format!("{ADDED}\n"))))
                    });
                    let body = StreamBody::new(late.chain(stream::pending()));
                    Response::new(BodyExt::boxed_unsync(body))
                }
            })
        }
    });
    let client = Client::new(server, "n");
    let mut events = pin!(watcher(Api::<ConfigMap>::namespaced(client, "n"), Config::default()));
    for _ in 0..3 {
        match events.next().await.expect("it never ends") {
            Ok(event) => println!("{event}"),
            Err(error) => println!("error: {}", error.to_string().split(':').next().unwrap_or_default()),
        }
    }
    let quiet = tokio::time::timeout(Duration::from_secs(2), events.next()).await;
    let quiet = if quiet.is_err() { "nothing told" } else { "something told" };
    println!("watches begun: {}, and {quiet} in 2 s", begun.load(Ordering::SeqCst));
    println!("{}", events.next().await.expect("it never ends").expect("an event"));
}
RUST
cargo build --quiet --manifest-path "$work/Cargo.toml"
expected='Init
InitDone
error: failed to start watching object
watches begun: 2, and nothing told in 2 s
Apply(a)'

echo 'kube 5.0.0, a list, a start of the watch that is answered 503, a start that succeeds, and an object 3 s later'
found=$("${CARGO_TARGET_DIR:-$work/target}/debug/finding-kube-watcher-recovers-without-a-word")
echo "$found"
[ "$found" = "$expected" ] || { echo "DIFFERS"; exit 1; }
