//! The objects that stand in the API servers and the zone when a run starts.

use super::options::{Lease, REGIONS, Route, Witness, WorldOptions, address};
use crate::fabric::Net;
use crate::servers::powerdns::{HOST, SECOND_HOST};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use continuum_core::name::Region;
use continuum_core::record::{Lineage, Record, RecordSet};
use continuum_live::postgres::Login;
use serde_json::{Value, json};

/// Namespace of everything of the application.
pub const NAMESPACE: &str = "shop";
/// The application, the Continuum, the pair, the route.
pub const APPLICATION: &str = "shop";
/// Namespace of the Leases at the witness.
pub const LEASE_NAMESPACE: &str = "continuum";
/// Name of the Lease.
pub const LEASE: &str = "shop.shop";
/// The same key of a bucket.
pub const WITNESS_KEY: &str = "$KV.leases.shop.shop";
/// Zone.
pub const ZONE: &str = "example.org";
/// Hostname.
pub const HOSTNAME: &str = "shop.example.org";
/// Key of the DNS server's API.
pub const DNS_KEY: &str = "simulated";
/// What callers of PDM bear.
pub const PDM_TOKEN: &str = "simulated-too";
/// Stream of audit events.
pub const STREAM: &str = "AUDIT";

/// Role that the controllers' probe logs in as.
pub const PROBE_ROLE: &str = "continuum";
/// Its password, in both regions.
pub const PROBE_PASSWORD: &str = "probe";

/// Name of the Cluster in a region.
pub fn cluster(region: &str) -> String {
    format!("{APPLICATION}-{region}")
}

/// The Continuum, alike in both regions.
pub fn continuum(options: &WorldOptions) -> Value {
    let standby = options.standby_region();
    let regions: Vec<Value> = REGIONS
        .iter()
        .filter(|r| options.addresses || **r != standby)
        .map(|r| json!({ "name": r, "lbIPs": [address(r)] }))
        .collect();
    let kind = if options.witness == Witness::Bucket { "nats-kv" } else { "k8s-lease" };
    let mut spec = json!({
        "applicationRef": APPLICATION,
        "primaryRegion": options.primary,
        "hotStandbyRegions": [standby],
        "leaseClient": { "kind": kind, "config": {
            "ttlSeconds": options.ttl_seconds,
            "renewSeconds": options.renew_seconds,
            "guardSeconds": options.guard_seconds,
            "driftPercent": options.drift_percent,
        } },
        "luaRecord": {
            "selector": options.selector,
            "healthCheck": { "url": format!("http://{HOSTNAME}/healthz"), "intervalSeconds": 5, "timeoutSeconds": 2 },
            "ttl": options.record_ttl_seconds,
            "hostnames": [HOSTNAME],
        },
        "regions": regions,
        "rto": format!("{}s", options.rto_seconds),
        "rpo": format!("{}s", options.rpo_seconds),
        "autoFailover": options.auto_failover,
        "cnpgPair": { "name": APPLICATION, "namespace": NAMESPACE },
        "pdmZone": ZONE,
        "failback": {
            "approvalRequired": options.approval_required,
            "timeout": format!("{}s", options.failback_timeout_seconds),
        },
    });
    if options.route != Route::None {
        spec["httpRoute"] =
            json!({ "name": APPLICATION, "namespace": NAMESPACE, "drainSeconds": options.drain_seconds });
    }
    json!({
        "apiVersion": "dr.openova.io/v1",
        "kind": "Continuum",
        "metadata": { "namespace": NAMESPACE, "name": APPLICATION },
        "spec": spec,
    })
}

/// The HTTPRoute, alike in both regions.
pub fn route(options: &WorldOptions) -> Value {
    let name = |region: &str| match options.route {
        Route::Unmatched => format!("web-{region}"),
        _ => format!("{APPLICATION}-{region}"),
    };
    let backends: Vec<Value> = REGIONS
        .iter()
        .map(|r| json!({ "name": name(r), "port": 80, "weight": if *r == options.primary { 100 } else { 0 } }))
        .collect();
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": { "namespace": NAMESPACE, "name": APPLICATION },
        "spec": {
            "parentRefs": [{ "name": "gateway" }],
            "hostnames": [HOSTNAME],
            "rules": [{ "matches": [{ "path": { "type": "PathPrefix", "value": "/" } }], "backendRefs": backends }],
        },
    })
}

/// The password that a region's secret has; hel's differs where the secrets do (H33).
fn secret_password(options: &WorldOptions, region: &str) -> &'static str {
    if options.secrets_agree || region == REGIONS[0] { "secret-1" } else { "secret-2" }
}

/// The password that the application's role has when the world begins, and that its clients give.
pub fn password(options: &WorldOptions) -> &'static str {
    if options.password_rotated { "secret-3" } else { secret_password(options, &options.primary) }
}

/// What the controllers' probe logs in with.
pub fn probe_login() -> Login {
    Login { user: PROBE_ROLE.into(), password: Some(PROBE_PASSWORD.into()), database: "app".into() }
}

/// The role secret of a region's half.
pub fn secret(options: &WorldOptions, region: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "namespace": NAMESPACE, "name": format!("{}-app", cluster(region)) },
        "data": { "username": "YXBw", "password": STANDARD.encode(secret_password(options, region)) },
    })
}

/// The record that the witness holds, where it holds one.
pub fn record(options: &WorldOptions) -> Option<Record> {
    let mut record = Record::free(options.ttl_seconds);
    record.generation = 1;
    record.lineage = Lineage::Of { region: Region::new(&options.primary), timeline: 1 };
    record.holder = match &options.lease {
        Lease::Absent => return None,
        Lease::Free => None,
        Lease::HeldBy(holder) | Lease::ThirdParty(holder) => Some(Region::new(holder)),
    };
    Some(record)
}

/// The records that are published: the primary region's addresses.
pub fn record_set(options: &WorldOptions) -> RecordSet {
    let content =
        format!("A \"ifurlup('http://{HOSTNAME}/healthz', {{{{'{}'}}}}, {{timeout=2}})\"", address(&options.primary));
    RecordSet {
        hostname: HOSTNAME.into(),
        kind: "LUA".into(),
        ttl_seconds: options.record_ttl_seconds,
        contents: vec![content],
    }
}

/// The records that name the zone's servers, of a world that has two.
pub fn name_servers(net: &Net) -> Vec<RecordSet> {
    let servers = [("ns1", HOST), ("ns2", SECOND_HOST)].map(|(label, host)| (format!("{label}.{ZONE}"), host));
    let set = |hostname: &str, kind: &str, contents| RecordSet {
        hostname: hostname.into(),
        kind: kind.into(),
        ttl_seconds: 3_600,
        contents,
    };
    let names = set(ZONE, "NS", servers.iter().map(|(name, _)| format!("{name}.")).collect());
    let address = |host: &str| net.lookup(host).expect("a host of this world").to_string();
    let addresses = servers.iter().map(|(name, host)| set(name, "A", vec![address(host)]));
    std::iter::once(names).chain(addresses).collect()
}

/// The claim on a half that the lease's holder put there, where one of the two regions has held it for a while.
pub fn claim(options: &WorldOptions, cluster: &mut Value) {
    let held = matches!(&options.lease, Lease::HeldBy(holder) if REGIONS.contains(&holder.as_str()));
    if let Some(record) = record(options).filter(|_| held) {
        cluster["metadata"]["annotations"]["dr.openova.io/generation"] = record.generation.to_string().into();
        cluster["metadata"]["annotations"]["dr.openova.io/intent"] = format!("held/{}", record.generation).into();
    }
}
