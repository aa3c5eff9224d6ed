//! The types of `spec`. Documentation here is what `kubectl explain` shows.

use super::{defaults, ranges};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A form that a region's name has: a DNS label.
const LABEL: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
/// A form that a label's value has.
const LABEL_VALUE: &str = "^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$";
/// A form that an object's name has.
const OBJECT_NAME: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
/// A form that a duration has.
const DURATION: &str = "^[0-9]+(s|m|h)$";

/// Puts one application's pair of CloudNativePG Clusters under disaster-recovery control.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "dr.openova.io",
    version = "v1",
    kind = "Continuum",
    plural = "continuums",
    shortname = "dr",
    namespaced,
    status = "super::ContinuumStatus",
    derive = "PartialEq",
    doc = "Puts one application's pair of CloudNativePG Clusters, in two regions, under disaster-recovery control.",
    printcolumn = r#"{"name":"Application", "type":"string", "jsonPath":".spec.applicationRef"}"#,
    printcolumn = r#"{"name":"Primary", "type":"string", "jsonPath":".status.primaryRegion"}"#,
    printcolumn = r#"{"name":"Lease", "type":"string", "jsonPath":".status.leaseHolder"}"#,
    printcolumn = r#"{"name":"Lag", "type":"integer", "jsonPath":".status.replicationLagSeconds", "priority":1}"#,
    printcolumn = r#"{"name":"RTO", "type":"string", "jsonPath":".spec.rto", "priority":1}"#,
    printcolumn = r#"{"name":"RPO", "type":"string", "jsonPath":".spec.rpo", "priority":1}"#,
    printcolumn = r#"{"name":"Phase", "type":"string", "jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"Age", "type":"date", "jsonPath":".metadata.creationTimestamp"}"#
)]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
#[x_kube(validation = Rule::new("!(self.primaryRegion in self.hotStandbyRegions)")
    .message("the primary region must not stand in hotStandbyRegions: a standby is another region")
    .field_path(".hotStandbyRegions"))]
#[x_kube(validation = Rule::new("!has(self.switchover) || !has(self.switchover.targetRegion) || !self.switchover.requested \
    || self.switchover.targetRegion == self.primaryRegion || self.switchover.targetRegion in self.hotStandbyRegions")
    .message("targetRegion must be one of the Continuum's regions")
    .field_path(".switchover.targetRegion"))]
#[serde(rename_all = "camelCase")]
pub struct ContinuumSpec {
    /// The application. Backends of its route are named `<applicationRef>-<region>`.
    #[schemars(length(min = 1, max = 253))]
    pub application_ref: String,
    /// The region that is primary. After a switchover the controller sets it; changing it by hand starts nothing.
    #[schemars(length(min = 1, max = 63), pattern(LABEL))]
    pub primary_region: String,
    /// The regions that can become primary, in order of preference.
    #[schemars(length(min = 1, max = 4), inner(length(min = 1, max = 63), pattern(LABEL)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub hot_standby_regions: Vec<String>,
    /// The witness: the third place, which holds the lease that says which region may be primary.
    pub lease_client: LeaseClient,
    /// The application's DNS records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lua_record: Option<LuaRecord>,
    /// The servers that answer for the records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<Dns>,
    /// Where each region is reached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub regions: Vec<RegionEntry>,
    /// Recovery-time objective: how long a switchover may take.
    #[serde(default = "rto")]
    #[schemars(pattern(DURATION))]
    pub rto: String,
    /// Recovery-point objective: how much replication lag is accepted.
    #[serde(default = "rpo")]
    #[schemars(pattern(DURATION))]
    pub rpo: String,
    /// Recovery-time objective in seconds; goes before `rto`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = *ranges::OBJECTIVE_SECONDS.start(), max = *ranges::OBJECTIVE_SECONDS.end()))]
    pub rto_seconds: Option<u32>,
    /// Recovery-point objective in seconds; goes before `rpo`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = *ranges::OBJECTIVE_SECONDS.start(), max = *ranges::OBJECTIVE_SECONDS.end()))]
    pub rpo_seconds: Option<u32>,
    /// Whether a failover may start by itself.
    #[serde(default)]
    pub auto_failover: bool,
    /// The pair of Clusters, found by the label `catalyst.openova.io/cnpg-pair`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cnpg_pair: Option<PairRef>,
    /// The HTTPRoute to drain, of the same name in both regions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_route: Option<RouteRef>,
    /// The DNS zone. Where absent: the first hostname after its first dot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub pdm_zone: Option<String>,
    /// How a region may return.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejoin: Option<Rejoin>,
    /// The role with which the databases are looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probe>,
    /// A request for a switchover.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub switchover: Option<Switchover>,
    /// A request for a failback, and its approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failback: Option<Failback>,
}

fn rto() -> String {
    defaults::RTO.into()
}

fn rpo() -> String {
    defaults::RPO.into()
}

/// Kind and timings of the lease.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("self.kind == oldSelf.kind")
    .message("what one witness holds another knows nothing of: delete the Continuum in both regions and its old register, and make both anew")
    .field_path(".kind"))]
pub struct LeaseClient {
    /// Kind of witness. It does not change.
    pub kind: LeaseKind,
    /// Timings.
    #[serde(default)]
    pub config: LeaseConfig,
}

/// Kind of witness. `cloudflare-kv` and `dns-quorum` are admitted, and not built yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)] // the words are the documentation; a doc on a variant would break the enum's schema
pub enum LeaseKind {
    #[serde(rename = "k8s-lease")]
    K8sLease,
    NatsKv,
    CloudflareKv,
    DnsQuorum,
}

/// Timings of the lease.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("self.renewSeconds + self.guardSeconds + 5 < self.ttlSeconds")
    .message("renewSeconds + guardSeconds + 5 s for a request must be less than ttlSeconds")
    .field_path(".ttlSeconds"))]
#[serde(rename_all = "camelCase")]
pub struct LeaseConfig {
    /// The term, s.
    #[serde(default = "lease_ttl")]
    #[schemars(range(min = *ranges::TTL_SECONDS.start(), max = *ranges::TTL_SECONDS.end()))]
    pub ttl_seconds: u32,
    /// Between renewals, s.
    #[serde(default = "renew")]
    #[schemars(range(min = *ranges::RENEW_SECONDS.start(), max = *ranges::RENEW_SECONDS.end()))]
    pub renew_seconds: u32,
    /// Time before the end of the term in which nothing is made writable any more, s.
    #[serde(default = "guard")]
    #[schemars(range(min = *ranges::GUARD_SECONDS.start(), max = *ranges::GUARD_SECONDS.end()))]
    pub guard_seconds: u32,
    /// How much two clocks may drift apart, percent.
    #[serde(default = "drift")]
    #[schemars(range(min = *ranges::DRIFT_PERCENT.start(), max = *ranges::DRIFT_PERCENT.end()))]
    pub drift_percent: u32,
}

impl Default for LeaseConfig {
    fn default() -> Self {
        Self { ttl_seconds: lease_ttl(), renew_seconds: renew(), guard_seconds: guard(), drift_percent: drift() }
    }
}

fn lease_ttl() -> u32 {
    defaults::TTL_SECONDS
}

fn renew() -> u32 {
    defaults::RENEW_SECONDS
}

fn guard() -> u32 {
    defaults::GUARD_SECONDS
}

fn drift() -> u32 {
    defaults::DRIFT_PERCENT
}

/// The application's DNS records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LuaRecord {
    /// Selector of the LUA record.
    #[serde(default)]
    pub selector: Selector,
    /// Health check of `ifurlup`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
    /// Time to live, s.
    #[serde(default = "record_ttl")]
    #[schemars(range(min = *ranges::RECORD_TTL_SECONDS.start(), max = *ranges::RECORD_TTL_SECONDS.end()))]
    pub ttl: u32,
    /// The names that clients use.
    #[serde(default)]
    #[schemars(length(max = 64), inner(length(min = 1, max = 254)))]
    pub hostnames: Vec<String>,
}

fn record_ttl() -> u32 {
    defaults::RECORD_TTL_SECONDS
}

/// Selector of a LUA record. PowerDNS has no `pickfirst`: it is admitted, and blocks a switchover.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Selector {
    #[default]
    Ifurlup,
    Pickclosest,
    Pickwhashed,
    Pickfirst,
}

/// Health check of `ifurlup`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HealthCheck {
    /// URL, `http` or `https`.
    #[schemars(length(min = 1, max = 2048))]
    pub url: String,
    /// Between checks, s.
    #[serde(default = "interval")]
    #[schemars(range(min = *ranges::INTERVAL_SECONDS.start(), max = *ranges::INTERVAL_SECONDS.end()))]
    pub interval_seconds: u32,
    /// Limit of one, s.
    #[serde(default = "timeout")]
    #[schemars(range(min = *ranges::TIMEOUT_SECONDS.start(), max = *ranges::TIMEOUT_SECONDS.end()))]
    pub timeout_seconds: u32,
}

fn interval() -> u32 {
    defaults::INTERVAL_SECONDS
}

fn timeout() -> u32 {
    defaults::TIMEOUT_SECONDS
}

/// The servers that answer for the records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dns {
    /// The authoritative servers of the zone, each an address with or without a port (53): `10.0.0.53`,
    /// `10.0.0.53:5300`, `[fd00::53]:53`. Step 4 of a switchover waits for all of them. Where absent:
    /// those that the zone's NS records name, unless the controller was given others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 64)))]
    pub authorities: Vec<String>,
    /// For so long one of them may go on answering the old records from its caches, s. Where absent: 0 for one server;
    /// for several what PowerDNS has by default, 20, or 40 where the old records are no LUA records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = *ranges::CACHE_SECONDS.start(), max = *ranges::CACHE_SECONDS.end()))]
    pub cache_seconds: Option<u32>,
}

/// Where a region is reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RegionEntry {
    /// Region.
    #[schemars(length(min = 1, max = 63), pattern(LABEL))]
    pub name: String,
    /// Addresses of its load balancers.
    #[serde(default, rename = "lbIPs")]
    #[schemars(length(max = 16))]
    pub lb_ips: Vec<String>,
    /// Where its PostgreSQL is reached, where that is not as the Clusters say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgres: Option<PostgresPlace>,
}

/// Where a region's PostgreSQL is reached. Where absent: one's own half by its read-write Service, the other by the entry
/// of `externalClusters` that names it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PostgresPlace {
    /// Name or address of the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub host: Option<String>,
    /// Its port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = *ranges::PORT.start(), max = *ranges::PORT.end()))]
    pub port: Option<u32>,
}

/// The pair of Clusters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PairRef {
    /// Value of the label `catalyst.openova.io/cnpg-pair` on both.
    #[schemars(length(min = 1, max = 63), pattern(LABEL_VALUE))]
    pub name: String,
    /// Their namespace. Where absent: the Continuum's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), pattern(LABEL))]
    pub namespace: Option<String>,
}

/// The HTTPRoute to drain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteRef {
    /// Its name.
    #[schemars(length(min = 1, max = 253), pattern(OBJECT_NAME))]
    pub name: String,
    /// Its namespace. Where absent: the Continuum's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), pattern(LABEL))]
    pub namespace: Option<String>,
    /// How long a switchover waits with the weight at 0, s.
    #[serde(default = "drain")]
    #[schemars(range(min = *ranges::DRAIN_SECONDS.start(), max = *ranges::DRAIN_SECONDS.end()))]
    pub drain_seconds: u32,
}

fn drain() -> u32 {
    defaults::DRAIN_SECONDS
}

/// How a region may return.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rejoin {
    /// What may be destroyed for it.
    #[serde(default)]
    pub policy: RejoinPolicy,
}

/// `WhenLossless`: re-clone only where nothing acknowledged would be destroyed. `Auto`: re-clone. `Manual`: a
/// person does it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum RejoinPolicy {
    #[default]
    WhenLossless,
    Auto,
    Manual,
}

/// The role with which the databases are looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    /// Secret with `username` and `password` of a role that has `pg_monitor`, and with `dbname` where the database is not
    /// `postgres`.
    pub secret_ref: SecretRef,
}

/// A secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SecretRef {
    /// Its name.
    #[schemars(length(min = 1, max = 253), pattern(OBJECT_NAME))]
    pub name: String,
    /// Its namespace. Where absent: the Continuum's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), pattern(LABEL))]
    pub namespace: Option<String>,
}

/// A request for a switchover. The controller sets `requested` back to false once it is served.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
#[x_kube(validation = Rule::new("!self.requested || has(self.targetRegion)")
    .message("a requested switchover needs a targetRegion")
    .field_path(".targetRegion"))]
#[serde(rename_all = "camelCase")]
pub struct Switchover {
    /// Whether it is asked for.
    #[serde(default)]
    pub requested: bool,
    /// Where to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub target_region: Option<String>,
    /// When it was asked. Required of a request: it is part of its identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub requested_at: Option<String>,
    /// `requestedAt`, a space, and the key of the order over the HTTP API that left the request. It is the request's
    /// identity; with another `requestedAt` it counts for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 300))]
    pub idempotency_key: Option<String>,
    /// Who asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The fingerprint that was confirmed. Where the plan has another by then, the request is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_fingerprint: Option<String>,
    /// The id of the switchover to abort. Any other value is ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort: Option<String>,
    /// `cnpg-pair`, and nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mechanism: Option<String>,
}

/// A request for a failback, and its approval.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
#[serde(rename_all = "camelCase")]
pub struct Failback {
    /// Whether it is asked for.
    #[serde(default)]
    pub requested: bool,
    /// When it was asked. Required of a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub requested_at: Option<String>,
    /// `requestedAt`, a space, and the key of the order over the HTTP API that left the request. It is the request's
    /// identity; with another `requestedAt` it counts for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 300))]
    pub idempotency_key: Option<String>,
    /// Who asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The fingerprint that was confirmed. Where the plan has another by then, the request is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_fingerprint: Option<String>,
    /// Whether a person must approve.
    #[serde(default)]
    pub approval_required: bool,
    /// Whether one did.
    #[serde(default)]
    pub approved: bool,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub approved_at: Option<String>,
    /// Who.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
    /// Whether one refused.
    #[serde(default)]
    pub refused: bool,
    /// The id of the failback that the answer is about. Left out: whichever waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered: Option<String>,
    /// How long it may wait.
    #[serde(default = "failback_timeout")]
    #[schemars(pattern(DURATION))]
    pub timeout: String,
}

fn failback_timeout() -> String {
    defaults::FAILBACK_TIMEOUT.into()
}
