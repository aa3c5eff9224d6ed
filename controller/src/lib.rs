//! The controller as a process: one for each region, which serves every Continuum of its cluster.
//!
//! ```text
//!  environment, flags --config--> Config --clients--> kubeconfigs, clients
//!                                                          |
//!   watch of Continuums --roster--> start, update, end --> groups: one task group for each Continuum
//!                                                          |           (core's Controller over live's adapters)
//!   HTTP API, /healthz, /readyz  <-------- directory ------+
//! ```
//!
//! Of several replicas one leads ([`election`](self)); the groups of the others answer, and drive nothing.
//!
//! A task group shares nothing with another but clients: one that panics is started anew by itself. Everything ends between
//! requests and never within one ([`gate`]).
//!
//! Deliberately absent: anything that decides about a Continuum. That is core's.

mod acting;
pub mod cli;
pub mod clients;
pub mod config;
mod directory;
mod election;
pub mod gate;
mod group;
mod groups;
mod health;
mod host;
pub mod https;
mod kept;
mod kube_events;
mod leader;
pub mod logs;
mod metrics;
mod pause;
pub mod postgres;
mod records;
mod reload;
pub mod resource;
mod roster;
pub mod run;
pub mod secrets;
mod serve;
mod spans;
pub mod tls;
mod watching;

use continuum_live::kube_transport::USER_AGENT;

pub use continuum_live::causes::chain;
