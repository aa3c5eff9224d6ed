//! The simulated world: servers on a simulated network, with faults, in which the production code runs.

pub mod audit_client;
pub mod checkers;
pub mod determinism;
pub mod dns_runtime;
pub mod fabric;
pub mod faults;
pub mod gate;
pub mod ground;
pub mod here;
pub mod host_clock;
pub mod http_connect;
pub mod kube_client;
pub mod lease;
pub mod moments;
pub mod mutants;
mod nats_client;
pub mod register;
pub mod servers;
pub mod trace;
pub mod witness_client;
pub mod workload;
pub mod world;
