//! How a half's PostgreSQL is reached, and who looks at it.
//!
//! ```text
//! Continuum, own Cluster --place--> host, port, whom to trust --connector--> TLS stream --> live's probe
//! ```
//!
//! One's own half is reached by its read-write Service, the other as the entry of `externalClusters` in one's own Cluster
//! says that names it. [`place`] decides that and knows no server; [`connector`] asks and connects.

pub mod connector;
pub mod logins;
pub mod place;
pub mod tls;
