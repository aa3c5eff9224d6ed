//! The variables: the one list from which flags, help and documentation are made.

use std::collections::BTreeMap;

/// A variable, which is also a flag where it holds no secret.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// Name in the environment.
    pub name: &'static str,
    /// The flag without its dashes; absent: the value may be a secret, and the arguments of a process are for all to see.
    pub flag: Option<&'static str>,
    /// What holds where it is not set.
    pub default: Option<&'static str>,
    /// What it means, in a line.
    pub help: &'static str,
}

const fn variable(
    name: &'static str,
    flag: &'static str,
    default: Option<&'static str>,
    help: &'static str,
) -> Variable {
    Variable { name, flag: Some(flag), default, help }
}

const fn secret(name: &'static str, help: &'static str) -> Variable {
    Variable { name, flag: None, default: None, help }
}

/// All of them, in the order of the documentation.
pub const VARIABLES: [Variable; 39] = [
    variable("CATALYST_REGION", "region", None, "the region that this process stands in; required"),
    variable(
        "OWN_KUBECONFIG",
        "own-kubeconfig",
        None,
        "kubeconfig file of the region's own cluster; not set: as a pod",
    ),
    variable(
        "REGION_KUBECONFIGS_DIR",
        "region-kubeconfigs-dir",
        None,
        "folder with a file <region>.kubeconfig for each other region",
    ),
    variable(
        "REGION_KUBECONFIGS_SECRET",
        "region-kubeconfigs-secret",
        None,
        "secret in WITNESS_SECRET_NS with a key <region>.kubeconfig for each other region",
    ),
    variable("WITNESS_KUBECONFIG", "witness-kubeconfig", None, "kubeconfig file of the witness's cluster"),
    variable(
        "WITNESS_SECRET",
        "witness-secret",
        None,
        "secret in WITNESS_SECRET_NS whose key kubeconfig reaches the witness's cluster",
    ),
    variable(
        "WITNESS_REGION",
        "witness-region",
        None,
        "the region whose cluster holds the witness, where there is no third place",
    ),
    variable(
        "WITNESS_BUCKET",
        "witness-bucket",
        None,
        "KV bucket on the servers of NATS_URL that is the witness of Continuums of kind nats-kv",
    ),
    variable("WITNESS_SECRET_NS", "witness-secret-ns", Some("catalyst-controllers"), "namespace of both secrets"),
    variable(
        "CATALYST_LEASE_NS",
        "lease-ns",
        None,
        "namespace of the Leases in the witness's cluster; not set: that of this process",
    ),
    variable("CONTINUUM_API_ADDR", "api-addr", Some(":8082"), "where the HTTP API listens; empty: nowhere"),
    secret("CONTINUUM_API_TOKEN", "what callers of the API must bear; not set: the owner tier alone is asked for"),
    variable(
        "CONTINUUM_HEALTH_DELAY_SECONDS",
        "health-delay-seconds",
        Some("30"),
        "how long after a switchover its health is checked, s",
    ),
    variable("HEALTH_ADDR", "health-addr", Some(":8081"), "where /healthz and /readyz listen; empty: nowhere"),
    variable("METRICS_ADDR", "metrics-addr", Some(":8080"), "where /metrics listens; empty: nowhere"),
    variable(
        "LEADER_ELECT",
        "leader-elect",
        Some("true"),
        "whether one of several replicas drives and the others answer; false: there is but one",
    ),
    variable(
        "LEADER_ELECT_NS",
        "leader-elect-ns",
        None,
        "namespace of the election's Lease; not set: that of this process",
    ),
    variable(
        "CLUSTER_DOMAIN",
        "cluster-domain",
        Some("cluster.local"),
        "domain of the Services of the region's own cluster",
    ),
    variable(
        "CONTINUUM_VANTAGES",
        "vantages",
        Some("8.8.8.8,1.1.1.1,9.9.9.9"),
        "resolvers that are asked what clients are told, addresses with commas between; empty: none",
    ),
    variable("LOG_LEVEL", "log-level", Some("info"), "error, warn, info, debug or trace"),
    variable("LOG_FORMAT", "log-format", Some("json"), "json or text"),
    secret(
        "NATS_URL",
        "servers of the audit stream and of WITNESS_BUCKET, URLs with commas between; not set: no switchover is begun",
    ),
    variable(
        "NATS_CREDS_FILE",
        "nats-creds-file",
        None,
        "a .creds file for the audit stream; not set, nor one of the next two: as NATS_URL says",
    ),
    variable(
        "NATS_TOKEN_FILE",
        "nats-token-file",
        None,
        "a file with a token for the audit stream, in place of NATS_CREDS_FILE",
    ),
    variable(
        "NATS_NKEY_FILE",
        "nats-nkey-file",
        None,
        "a file with the seed of a user's key (SU...) for the audit stream, in place of NATS_CREDS_FILE",
    ),
    variable("NATS_CA_FILE", "nats-ca-file", None, "authorities of the audit stream's servers, PEM; set: TLS alone"),
    variable(
        "POWERDNS_API_URL",
        "powerdns-api-url",
        None,
        "the PowerDNS server that records are published on, http://host:port or https://; not set: no switchover is begun",
    ),
    variable(
        "POWERDNS_CA_FILE",
        "powerdns-ca-file",
        None,
        "authorities of that server where it speaks TLS, PEM; not set: those that this machine trusts",
    ),
    secret("POWERDNS_API_KEY", "what its API is told as X-API-Key"),
    variable(
        "PROMETHEUS_URL",
        "prometheus-url",
        None,
        "the Prometheus that latency is read from after a switchover, http://host:port or https://; not set: that check is deferred",
    ),
    variable(
        "PROMETHEUS_CA_FILE",
        "prometheus-ca-file",
        None,
        "authorities of that server where it speaks TLS, PEM; not set: those that this machine trusts",
    ),
    variable(
        "PROMETHEUS_LATENCY_QUERY",
        "prometheus-latency-query",
        None,
        "PromQL for a median in seconds, with $application and $window in it; not set: what Cilium's Hubble counts",
    ),
    variable(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "otlp-endpoint",
        None,
        "the collector that spans of switchovers are sent to, http://host:port or https://; not set: none are made",
    ),
    variable(
        "OTEL_EXPORTER_OTLP_CERTIFICATE",
        "otlp-certificate",
        None,
        "authorities of that server where it speaks TLS, PEM; not set: those that this machine trusts",
    ),
    secret("OTEL_EXPORTER_OTLP_HEADERS", "headers that it is told, name=value with commas between"),
    variable(
        "OTEL_SERVICE_NAME",
        "otel-service-name",
        Some("continuum-controller"),
        "what this process is called there",
    ),
    variable(
        "PDM_API_URL",
        "pdm-api-url",
        None,
        "the manager of zones (PDM) through which records are published, in place of POWERDNS_API_URL, http://host:port or https://",
    ),
    variable(
        "PDM_CA_FILE",
        "pdm-ca-file",
        None,
        "authorities of that server where it speaks TLS, PEM; not set: those that this machine trusts",
    ),
    secret("PDM_AUTH_TOKEN", "what it is told as X-Catalyst-Token; not set: it asks for none"),
];

/// The values that are set, by name. A set value may be empty.
#[derive(Clone, Default)]
pub struct Values(BTreeMap<&'static str, String>);

impl Values {
    /// Of these variables.
    pub fn new(values: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        Self(values.into_iter().collect())
    }

    /// What is set, even where it is empty.
    pub fn set(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// What is set and not empty.
    pub fn filled(&self, name: &str) -> Option<&str> {
        self.set(name).filter(|value| !value.is_empty())
    }

    /// What is set, else the default; empty only where it was set so.
    pub fn value(&self, name: &str) -> &str {
        let default = || VARIABLES.iter().find(|variable| variable.name == name)?.default;
        self.set(name).or_else(default).unwrap_or_default()
    }
}
