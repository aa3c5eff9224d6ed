#!/usr/bin/env bash
# Which segments of a path a capture takes.
#
# Installs: the crate axum 0.8.9, with tokio 1.54.1 and tower 0.5.3. cargo and the network are needed.
#
# Guess: `{name}` takes one segment that is not empty, wherever it stands: `/things//state` is no path of
# `/things/{name}/state`, and is answered 404.
#
# Really: that holds of a capture at the end of a route, and of no other. In the middle it takes an empty segment, and the
# handler is called with an empty name.
#
# Version and output seen (axum 0.8.9 with matchit 0.8.4, twice, in November 2026):
#   axum 0.8.9
#   GET /things/: 404
#   GET /things//state: 200, name ""
#   GET /spaces//things/a/state: 200, space "", name "a"
#   GET /spaces/a/things//state: 200, space "a", name ""
#
# Matters: an empty namespace is no namespace to a Kubernetes client, but all of them: a handler that builds a path from
# what it was given asks for something else than its caller did. Whether a name is empty has to be looked at before.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/src"
cat >"$work/Cargo.toml" <<'TOML'
[package]
name = "finding-axum-empty-segment"
version = "0.0.0"
edition = "2024"

[dependencies]
axum = { version = "=0.8.9", default-features = false }
tokio = { version = "=1.54.1", features = ["rt", "macros"] }
tower = { version = "=0.5.3", features = ["util"] }
TOML
cat >"$work/src/main.rs" <<'RUST'
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Path;
use axum::http::Request;
use axum::routing::get;
use tower::ServiceExt;

async fn thing(Path(name): Path<String>) -> String {
    format!(", name {name:?}")
}

async fn thing_of(Path((space, name)): Path<(String, String)>) -> String {
    format!(", space {space:?}, name {name:?}")
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let router = Router::new()
        .route("/things/{name}", get(thing))
        .route("/things/{name}/state", get(thing))
        .route("/spaces/{space}/things/{name}/state", get(thing_of));
    for (path, expected) in [
        ("/things/", "404"),
        ("/things//state", r#"200, name """#),
        ("/spaces//things/a/state", r#"200, space "", name "a""#),
        ("/spaces/a/things//state", r#"200, space "a", name """#),
    ] {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let answer = router.clone().oneshot(request).await.expect("a router always answers");
        let status = answer.status().as_u16();
        let body = to_bytes(answer.into_body(), 1024).await.expect("a short body");
        let seen = format!("{status}{}", String::from_utf8_lossy(&body));
        println!("GET {path}: {seen}");
        assert_eq!(seen, expected);
    }
}
RUST
echo "axum 0.8.9"
cargo run --quiet --manifest-path "$work/Cargo.toml" || { echo "DIFFERS"; exit 1; }
