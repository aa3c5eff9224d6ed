//! The simulated servers. What must survive a crash is a server's disk, outside its software; what dies with
//! the process lives inside. Each is reached over the simulated network only, and faults come from the gate.

mod authority;
pub mod dns_client;
pub mod dns_wire;
pub mod gated;
pub mod gateway;
mod health_check;
pub mod jetstream;
pub mod kube_api;
pub mod lua;
pub mod operator;
pub mod pdm;
pub mod postgres;
pub mod powerdns;
pub mod vantage;
pub mod zone;
