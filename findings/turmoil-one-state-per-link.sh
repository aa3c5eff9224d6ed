#!/usr/bin/env bash
# Faults of a simulated link that overlap.
#
# Installs: the crate turmoil 0.7.2 (with tokio 1.54.1). cargo and the network are needed.
#
# Guess: hold and partition are two faults. release ends the one, repair ends the other, and a link with both is cut
# until both have ended.
#
# Really: a link has one state, and the last call wins. release mends a partition; a hold begun within a partition
# replaces it. repair ends a hold, but for new messages only: what was held before stays held until release.
#
# Version and output seen (turmoil 0.7.2, twice, in November 2026):
#   turmoil 0.7.2, numbers that came back
#   partition: []
#   partition, release: [2]
#   partition, hold, release: [3]
#   hold: []
#   hold, repair: [5]
#   hold, repair, release: [4, 6]
#
# Matters: a test that lets a slow link and a cut overlap tests neither. Keep a table of the faults asked for and
# bring the link in line with it after each change.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/src"
cat >"$work/Cargo.toml" <<'TOML'
[package]
name = "finding-turmoil-one-state-per-link"
version = "0.0.0"
edition = "2024"

[dependencies]
turmoil = "=0.7.2"
tokio = { version = "=1.54.1", features = ["rt", "time"] }
TOML
cat >"$work/src/main.rs" <<'RUST'
use std::time::Duration;
use tokio::time::timeout;
use turmoil::net::UdpSocket;
use turmoil::{hold, partition, release, repair};

/// Sends a number to a server that sends it back; what came back within ten seconds, sorted.
async fn echoes(socket: &UdpSocket, number: u8) -> turmoil::Result<Vec<u8>> {
    socket.send_to(&[number], "server:53").await?;
    let (mut came, mut byte) = (vec![], [0]);
    while let Ok(read) = timeout(Duration::from_secs(10), socket.recv_from(&mut byte)).await {
        read?;
        came.push(byte[0]);
    }
    came.sort();
    Ok(came)
}

fn main() -> turmoil::Result {
    let mut sim = turmoil::Builder::new()
        .tick_duration(Duration::from_millis(20))
        .simulation_duration(Duration::from_secs(3600))
        .build();
    sim.host("server", || async {
        let socket = UdpSocket::bind("0.0.0.0:53").await?;
        let mut byte = [0];
        loop {
            let (_, from) = socket.recv_from(&mut byte).await?;
            socket.send_to(&byte, from).await?;
        }
    });
    sim.client("client", async {
        let socket = UdpSocket::bind("0.0.0.0:1053").await?;
        let (here, there) = ("client", "server");
        partition(here, there);
        println!("partition: {:?}", echoes(&socket, 1).await?);
        release(here, there);
        println!("partition, release: {:?}", echoes(&socket, 2).await?);
        partition(here, there);
        hold(here, there);
        release(here, there);
        println!("partition, hold, release: {:?}", echoes(&socket, 3).await?);
        hold(here, there);
        println!("hold: {:?}", echoes(&socket, 4).await?);
        repair(here, there);
        println!("hold, repair: {:?}", echoes(&socket, 5).await?);
        release(here, there);
        println!("hold, repair, release: {:?}", echoes(&socket, 6).await?);
        Ok(())
    });
    sim.run()
}
RUST
saw=$(cargo run --quiet --manifest-path "$work/Cargo.toml")
printf 'turmoil 0.7.2, numbers that came back\n%s\n' "$saw"
[ "$saw" = "partition: []
partition, release: [2]
partition, hold, release: [3]
hold: []
hold, repair: [5]
hold, repair, release: [4, 6]" ] || { echo "DIFFERS"; exit 1; }
