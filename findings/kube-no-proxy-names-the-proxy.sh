#!/usr/bin/env bash
# What NO_PROXY is compared with.
#
# Installs: the crates kube 5.0.0 and k8s-openapi 0.29.0 (with tokio 1.54.1). cargo and the network are needed; the
# build takes three minutes. Nothing is connected to.
#
# Guess: as everywhere, NO_PROXY lists hosts that are reached without the proxy. With the API server's host in it, the
# configuration made from a kubeconfig has no proxy; with the proxy's own host in it, it has one.
#
# Really: it is the other way round. What is compared with NO_PROXY is the address of the proxy. An API server that is
# listed there is reached through the proxy all the same, and a list that happens to match the proxy's host turns the proxy
# off for every server. A name without a port, which elsewhere stands for all ports, matches none of a proxy that has one.
# The same holds for a `proxy-url` that the kubeconfig itself gives.
#
# Version and output seen (kube 5.0.0, twice, in November 2026):
#   kube 5.0.0, HTTPS_PROXY=http://proxy.example.org:3128, server https://api.example.net:6443
#   NO_PROXY=other.example.com: Some("http://proxy.example.org:3128/")
#   NO_PROXY=api.example.net: Some("http://proxy.example.org:3128/")
#   NO_PROXY=proxy.example.org: Some("http://proxy.example.org:3128/")
#   NO_PROXY=proxy.example.org:3128: None
#
# Matters: a controller in a cluster whose nodes set a proxy for the way out, with NO_PROXY for what is inside, sends the
# requests of its own API server to that proxy. Continuum takes a proxy from `proxy-url` alone, and never from the
# environment.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/src"
cat >"$work/Cargo.toml" <<'TOML'
[package]
name = "finding-kube-no-proxy-names-the-proxy"
version = "0.0.0"
edition = "2024"

[dependencies]
kube = { version = "=5.0.0", default-features = false, features = ["client", "http-proxy"] }
k8s-openapi = { version = "=0.29.0", features = ["latest"] }
tokio = { version = "=1.54.1", features = ["rt", "macros"] }
TOML
cat >"$work/src/main.rs" <<'RUST'
use kube::config::{KubeConfigOptions, Kubeconfig};

const KUBECONFIG: &str = "
apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: here, user: me}}]
clusters: [{name: here, cluster: {server: 'https://api.example.net:6443'}}]
users: [{name: me, user: {token: none}}]
";

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let kubeconfig = Kubeconfig::from_yaml(KUBECONFIG).expect("a kubeconfig");
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    let proxy = config.expect("a configuration").proxy_url.map(|proxy| proxy.to_string());
    println!("{proxy:?}");
}
RUST
export HTTPS_PROXY=http://proxy.example.org:3128
HTTPS_PROXY='' cargo build --quiet --manifest-path "$work/Cargo.toml"
program=${CARGO_TARGET_DIR:-$work/target}/debug/finding-kube-no-proxy-names-the-proxy
through="Some(\"$HTTPS_PROXY/\")"

echo "kube 5.0.0, HTTPS_PROXY=$HTTPS_PROXY, server https://api.example.net:6443"
while read -r listed expected; do
  found=$(NO_PROXY=$listed "$program")
  echo "NO_PROXY=$listed: $found"
  [ "$found" = "$expected" ] || { echo "DIFFERS"; exit 1; }
done <<LISTS
other.example.com $through
api.example.net $through
proxy.example.org $through
proxy.example.org:3128 None
LISTS
