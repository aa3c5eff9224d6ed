//! PostgreSQL of one half: write-ahead log, timelines, recovery, shutdown modes, streaming replication and
//! enough of the wire protocol for the production probe and for clients that insert rows.
//!
//! ```text
//! operator --orders--> Instance (disk + process) <--5432-- clients, probe
//!                          |  ^
//!                          v  | 5433, between the regions' `pg.<region>` hosts
//!                      the other half's Instance
//! ```
//!
//! [`Instance`] is a handle; what it holds on disk outlives a crash of its host, whose software is [`Instance::run`].
//! Nothing here knows of Clusters or of who ought to be primary: the operator's model gives orders and writes
//! configuration files, as the real one does.
//!
//! Simplified: one table `w` of (client, number); a commit is one WAL record; a half's WAL is one chain whose every
//! record carries a hash of all before it, so that divergence is a comparison at one position.

mod connector;
mod instance;
mod journal;
mod process;
mod replication;
mod session;
mod sql;
mod types;
mod wal;

pub use connector::NetConnector;
pub use instance::Instance;
pub use journal::{Entry, Event, Journal};
pub use types::{
    Configuration, Control, Limits, Order, Settings, Shutdown, Snapshot, State, Synchronous, WAL_SENDER_TIMEOUT,
};
pub use wal::{Content, Wal, WalRecord};
