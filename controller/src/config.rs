//! The process's configuration: from the values of its variables to what it does, or to everything that is wrong with
//! them at once. Pure: files and servers are for [`crate::clients`].
//!
//! What belongs to one Continuum stands in its resource and never here.

mod mistake;
mod read;
#[cfg(test)]
mod tests;
mod variables;

pub(crate) use read::is_label;

pub use mistake::{Mistake, Mistakes};
pub use variables::{VARIABLES, Values, Variable};

use crate::https::Scheme;
use continuum_core::name::{ObjectName, Region};
use continuum_live::http_api::Token;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Everything that a process is told at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// The region that it stands in.
    pub region: Region,
    /// Where `/healthz` and `/readyz` are served; absent: nowhere.
    pub health: Option<Listen>,
    /// Where `/metrics` is served; absent: nowhere.
    pub metrics: Option<Listen>,
    /// Where the HTTP API is served; absent: nowhere.
    pub api: Option<Listen>,
    /// What callers of the API must bear; absent: the owner tier alone.
    pub api_token: Option<Token>,
    /// How long after a switchover its health is checked.
    pub health_delay: Duration,
    /// One of several replicas works, and the others wait.
    pub election: Option<ElectionConfig>,
    /// The API server of its own region.
    pub own: OwnCluster,
    /// The API servers of other regions.
    pub others: OtherClusters,
    /// The cluster of witnesses of kind k8s-lease; absent: there are none.
    pub witness: Option<Witness>,
    /// The KV bucket of witnesses of kind nats-kv, on the servers of the audit stream; absent: there are none.
    pub witness_bucket: Option<String>,
    /// Namespace of the Leases in the witness's cluster; absent: the one that this process stands in.
    pub lease_namespace: Option<String>,
    /// The domain of Services, such as `cluster.local`.
    pub cluster_domain: String,
    /// The audit stream; absent: none, and no switchover is begun.
    pub audit: Option<continuum_nats::Settings>,
    /// Where records are published; absent: nowhere, and no switchover is begun.
    pub records: Option<RecordsConfig>,
    /// Where latency is read; absent: nowhere, and its check is deferred.
    pub latency: Option<LatencyConfig>,
    /// Where spans of switchovers are sent; absent: nowhere, and none are made.
    pub spans: Option<SpansConfig>,
    /// Resolvers that are asked what clients are told.
    pub vantages: Vec<SocketAddr>,
    /// What is logged.
    pub logs: Logs,
}

/// How the server of the records is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordsConfig {
    /// Whether it speaks TLS.
    pub scheme: Scheme,
    /// Host of its API: a name or an address.
    pub host: String,
    /// Port of its API.
    pub port: u16,
    /// What it is, and what its API is told.
    pub publisher: Publisher,
}

/// By what records are published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Publisher {
    /// PowerDNS, with its `X-API-Key`.
    PowerDns(Key),
    /// A manager of zones (PDM), with its `X-Catalyst-Token`; absent: it asks for none.
    Pdm(Option<Key>),
}

/// How latency is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LatencyConfig {
    /// Whether Prometheus speaks TLS.
    pub scheme: Scheme,
    /// Host of Prometheus: a name or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What it is asked, with `$application` and `$window` in it.
    pub query: String,
}

/// How a collector of spans is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpansConfig {
    /// Whether it speaks TLS.
    pub scheme: Scheme,
    /// Its host: a name or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The path before that of the protocol, without a slash at its end; mostly empty.
    pub path: String,
    /// What it is told beside the spans.
    pub headers: Headers,
    /// What this process is called there.
    pub service: String,
}

/// Headers by name, which are not shown: credentials are among them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(String, String)>);

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(not shown)")
    }
}

/// A key that is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(pub String);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(not shown)")
    }
}

/// How one of several replicas is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElectionConfig {
    /// Namespace of the election's Lease; absent: the one that this process stands in.
    pub namespace: Option<String>,
}

impl ElectionConfig {
    /// Namespace of the election's Lease, of a process that stands in namespace `own`.
    pub fn lease_in<'a>(&'a self, own: &'a str) -> &'a str {
        self.namespace.as_deref().unwrap_or(own)
    }
}

/// Where to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// On which address; absent: on all.
    pub ip: Option<IpAddr>,
    /// TCP port; 0: a free one.
    pub port: u16,
}

impl Listen {
    /// As an address: all are `[::]`, which takes IPv4 in as well.
    pub fn address(self) -> SocketAddr {
        SocketAddr::new(self.ip.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED)), self.port)
    }
}

/// How the API server of one's own region is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnCluster {
    /// As every pod reaches it.
    InCluster,
    /// By a kubeconfig file.
    File(PathBuf),
}

/// Where kubeconfigs of other regions are: `<region>.kubeconfig` each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OtherClusters {
    /// Files of a folder.
    Folder(PathBuf),
    /// Keys of a secret in one's own cluster.
    Secret(ObjectName),
}

/// Where the witness is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Witness {
    /// At a third place, by a kubeconfig file.
    File(PathBuf),
    /// At a third place, by the key `kubeconfig` of a secret in one's own cluster.
    Secret(ObjectName),
    /// In the cluster of a region, with which it falls (H16).
    Region(Region),
}

impl Witness {
    /// The region whose cluster holds it; absent: it stands at a third place.
    pub fn region(&self) -> Option<&Region> {
        match self {
            Self::Region(region) => Some(region),
            Self::File(_) | Self::Secret(_) => None,
        }
    }
}

/// What is logged, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Logs {
    /// The least severe that is.
    pub level: tracing::Level,
    /// In which form.
    pub format: LogFormat,
}

/// A form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

impl Config {
    /// From the values of the variables.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, each with its name, its value where that is no secret, and how to mend it.
    pub fn read(values: &Values) -> Result<Self, Mistakes> {
        read::read(values)
    }

    /// Namespace of the Leases in the witness's cluster, of a process that stands in namespace `own`.
    pub fn leases_in<'a>(&'a self, own: &'a str) -> &'a str {
        self.lease_namespace.as_deref().unwrap_or(own)
    }
}
