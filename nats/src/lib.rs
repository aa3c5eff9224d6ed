//! NATS JetStream: core's audit ports over a stream, and its witness ports over a key of a KV bucket, by async-nats. A package
//! of its own, since async-nats opens its own sockets: the simulator cannot carry it, and what does not talk to NATS need not
//! build it.

mod audit;
mod connection;
mod link;
mod settings;
mod witness_kv;

pub use audit::AuditStream;
pub use settings::{Credentials, Settings, SettingsError, WrongCredentials};
pub use witness_kv::{KvBucket, KvWitness, is_bucket_name};
