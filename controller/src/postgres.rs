//! How a half's PostgreSQL is reached, and who looks at it.
//!
//! ```text
//! Continuum, own Cluster --place--> host, port, whom to trust --connector--> TLS stream --> live's probe
//! ```
//!
//! One's own half is reached by its read-write Service, the other as the entry of `externalClusters` in one's own Cluster
//! says that names it. [`place`] decides that and knows no server; `clusters` has what the Clusters say; [`connector`] connects.

mod clusters;
pub mod connector;
pub mod logins;
pub mod place;
#[cfg(test)]
pub(crate) mod test_server;
pub mod tls;
