//! The audit stream on NATS JetStream: core's audit ports over async-nats. A package of its own, since async-nats opens its
//! own sockets: the simulator cannot carry it, and what does not talk to NATS need not build it.

mod audit;
mod connection;
mod settings;

pub use audit::AuditStream;
pub use settings::{Credentials, Settings, SettingsError};
