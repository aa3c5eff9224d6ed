//! From a stored object to core's `Spec`. The first wrong field is named with its path; fields that are not
//! known here are none of our business.

use super::database::database_access;
use super::field::{Field, is_hostname, is_label, is_label_value, is_object_name, seconds};
use super::{defaults, ranges};
use crate::vantages::DNS_PORT;
use continuum_core::name::{ObjectName, Region};
use continuum_core::spec::{
    DnsSpec, FailbackSpec, HealthCheckSpec, Invalid, LeaseKind, LeaseSpec, RecordSpec, RegionSpec, RejoinPolicy,
    RouteSpec, Selector, Spec, SwitchoverRequest,
};
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};

/// The spec of a stored Continuum (the whole object, as its API server has it).
///
/// # Errors
///
/// The first wrong field, and how to mend it.
pub fn parse_spec(object: &Value) -> Result<Spec, Invalid> {
    let own_namespace = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
    let field = Field::root("spec", object.get("spec"));
    if !field.is_present() {
        return Err(field.invalid("is missing"));
    }
    let primary = region(&field.child("primaryRegion")?)?;
    let standbys = standbys(&field.child("hotStandbyRegions")?, &primary)?;
    let records = records(&field.child("luaRecord")?)?;
    let zone = match zone(&field.child("pdmZone")?)? {
        Some(zone) => Some(zone),
        None => records.hostnames.first().and_then(|name| name.split_once('.')).map(|(_, zone)| zone.to_owned()),
    };
    let switchover = field.child("switchover")?;
    let spec = Spec {
        application: field.child("applicationRef")?.required()?.to_owned(),
        lease: lease(&field.child("leaseClient")?)?,
        records,
        dns: dns(&field.child("dns")?)?,
        regions: regions(&field.child("regions")?)?,
        rto_seconds: objective(&field, "rtoSeconds", "rto", defaults::RTO)?,
        rpo_seconds: objective(&field, "rpoSeconds", "rpo", defaults::RPO)?,
        auto_failover: field.child("autoFailover")?.flag()?,
        pair: pair(&field.child("cnpgPair")?, own_namespace)?,
        route: route(&field.child("httpRoute")?, own_namespace)?,
        zone,
        rejoin: rejoin(&field.child("rejoin")?)?,
        switchover: request(&switchover, &primary, &standbys)?,
        abort: switchover.child("abort")?.optional()?,
        failback: failback(&field.child("failback")?)?,
        primary,
        standbys,
    };
    spec.check()?;
    // Not core's, and judged with the rest all the same: one place says what is wrong with a resource.
    database_access(object)?;
    Ok(spec)
}

pub(super) fn region(field: &Field) -> Result<Region, Invalid> {
    let name = field.required()?;
    if is_label(name) {
        Ok(Region::new(name))
    } else {
        Err(field.invalid(format!("`{name}` is no name of a region; write a DNS label, such as hel")))
    }
}

fn standbys(field: &Field, primary: &Region) -> Result<Vec<Region>, Invalid> {
    let mut standbys: Vec<Region> = Vec::new();
    for item in field.items()? {
        let standby = region(&item)?;
        if standby == *primary {
            return Err(item.invalid(format!("`{standby}` is the primary region; a standby is another region")));
        }
        if standbys.contains(&standby) {
            return Err(item.invalid(format!("`{standby}` is named twice")));
        }
        standbys.push(standby);
    }
    match standbys.len() {
        1..=4 => Ok(standbys),
        0 => Err(field.invalid("is empty; name one to four regions")),
        n => Err(field.invalid(format!("has {n} regions; name one to four"))),
    }
}

fn lease(field: &Field) -> Result<LeaseSpec, Invalid> {
    let kinds = [
        ("k8s-lease", LeaseKind::K8sLease),
        ("nats-kv", LeaseKind::NatsKv),
        ("cloudflare-kv", LeaseKind::CloudflareKv),
        ("dns-quorum", LeaseKind::DnsQuorum),
    ];
    let kind = field.child("kind")?;
    let config = field.child("config")?;
    Ok(LeaseSpec {
        kind: kind.word(&kinds)?.ok_or_else(|| kind.invalid("is missing"))?,
        ttl_seconds: config.child("ttlSeconds")?.number(&ranges::TTL_SECONDS)?.unwrap_or(defaults::TTL_SECONDS),
        renew_seconds: config.child("renewSeconds")?.number(&ranges::RENEW_SECONDS)?.unwrap_or(defaults::RENEW_SECONDS),
        guard_seconds: config.child("guardSeconds")?.number(&ranges::GUARD_SECONDS)?.unwrap_or(defaults::GUARD_SECONDS),
        drift_percent: config.child("driftPercent")?.number(&ranges::DRIFT_PERCENT)?.unwrap_or(defaults::DRIFT_PERCENT),
    })
}

fn records(field: &Field) -> Result<RecordSpec, Invalid> {
    let selectors = [
        ("ifurlup", Selector::Ifurlup),
        ("pickclosest", Selector::Pickclosest),
        ("pickwhashed", Selector::Pickwhashed),
        ("pickfirst", Selector::Pickfirst),
    ];
    let mut hostnames = Vec::new();
    for item in field.child("hostnames")?.items()? {
        let hostname = item.required()?.trim_end_matches('.');
        if !is_hostname(hostname) {
            return Err(item.invalid(format!("`{hostname}` is no hostname")));
        }
        if hostnames.iter().any(|known| known == hostname) {
            return Err(item.invalid(format!("`{hostname}` is named twice")));
        }
        hostnames.push(hostname.to_owned());
    }
    Ok(RecordSpec {
        selector: field.child("selector")?.word(&selectors)?.unwrap_or(Selector::Ifurlup),
        health_check: health_check(&field.child("healthCheck")?)?,
        ttl_seconds: field.child("ttl")?.number(&ranges::RECORD_TTL_SECONDS)?.unwrap_or(defaults::RECORD_TTL_SECONDS),
        hostnames,
    })
}

fn dns(field: &Field) -> Result<DnsSpec, Invalid> {
    let mut authorities = Vec::new();
    for item in field.child("authorities")?.items()? {
        let text = item.required()?;
        let server = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, DNS_PORT)).or_else(|_| text.parse());
        let Some(server) = server.ok().filter(|server: &SocketAddr| server.port() > 0) else {
            return Err(item.invalid(format!(
                "`{text}` is no address of a server; write an IP address, and a port where it is not {DNS_PORT}, such as \
                 10.0.0.53 or [fd00::53]:5300"
            )));
        };
        if authorities.contains(&server) {
            return Err(item.invalid(format!("`{text}` is named twice")));
        }
        authorities.push(server);
    }
    Ok(DnsSpec { authorities, cache_seconds: field.child("cacheSeconds")?.number(&ranges::CACHE_SECONDS)? })
}

fn zone(field: &Field) -> Result<Option<String>, Invalid> {
    match field.optional()? {
        None => Ok(None),
        Some(zone) if is_hostname(zone.trim_end_matches('.')) => Ok(Some(zone.trim_end_matches('.').to_owned())),
        Some(zone) => Err(field.invalid(format!("`{zone}` is no DNS zone"))),
    }
}

fn health_check(field: &Field) -> Result<Option<HealthCheckSpec>, Invalid> {
    if !field.is_present() {
        return Ok(None);
    }
    let url = field.child("url")?;
    let text = url.required()?;
    if !text.starts_with("http://") && !text.starts_with("https://") {
        return Err(url.invalid(format!("`{text}` is no URL of http or https")));
    }
    // It is written into a LUA record between quotes, inside a quoted content (H19).
    if text.chars().any(|c| matches!(c, '\'' | '"' | '\\') || c.is_whitespace() || c.is_control()) {
        return Err(url.invalid("holds a quote, a backslash or a space; write them percent-encoded"));
    }
    Ok(Some(HealthCheckSpec {
        url: text.to_owned(),
        interval_seconds: field
            .child("intervalSeconds")?
            .number(&ranges::INTERVAL_SECONDS)?
            .unwrap_or(defaults::INTERVAL_SECONDS),
        timeout_seconds: field
            .child("timeoutSeconds")?
            .number(&ranges::TIMEOUT_SECONDS)?
            .unwrap_or(defaults::TIMEOUT_SECONDS),
    }))
}

fn regions(field: &Field) -> Result<Vec<RegionSpec>, Invalid> {
    let mut regions: Vec<RegionSpec> = Vec::new();
    for item in field.items()? {
        let name_field = item.child("name")?;
        let name = region(&name_field)?;
        if regions.iter().any(|known| known.name == name) {
            return Err(name_field.invalid(format!("`{name}` is named twice")));
        }
        let mut addresses = Vec::new();
        for address in item.child("lbIPs")?.items()? {
            let text = address.required()?;
            addresses.push(text.parse().map_err(|_| address.invalid(format!("`{text}` is no IP address")))?);
        }
        regions.push(RegionSpec { name, addresses });
    }
    Ok(regions)
}

/// An objective: in seconds where that is there, else as a duration.
fn objective(spec: &Field, number: &str, duration: &str, default: &str) -> Result<u32, Invalid> {
    let written = spec.child(duration)?.seconds()?;
    let number = spec.child(number)?.number(&ranges::OBJECTIVE_SECONDS)?;
    Ok(number.or(written).unwrap_or_else(|| default_seconds(default)))
}

fn default_seconds(text: &str) -> u32 {
    seconds(text).expect("the defaults have the form of a duration")
}

/// `namespace` of a reference; the Continuum's own where it is absent.
pub(super) fn namespace(field: &Field, own: &str) -> Result<String, Invalid> {
    let field = field.child("namespace")?;
    match field.optional()? {
        None => Ok(own.to_owned()),
        Some(namespace) if is_label(&namespace) => Ok(namespace),
        Some(namespace) => Err(field.invalid(format!("`{namespace}` is no name of a namespace"))),
    }
}

/// The pair's name is put into a label selector, so nothing but a label's value will do.
fn pair(field: &Field, own_namespace: &str) -> Result<Option<ObjectName>, Invalid> {
    if !field.is_present() {
        return Ok(None);
    }
    let name_field = field.child("name")?;
    let name = name_field.required()?;
    if !is_label_value(name) {
        return Err(name_field.invalid(format!("`{name}` is no value of a label")));
    }
    Ok(Some(ObjectName::new(namespace(field, own_namespace)?, name)))
}

fn route(field: &Field, own_namespace: &str) -> Result<Option<RouteSpec>, Invalid> {
    if !field.is_present() {
        return Ok(None);
    }
    let name_field = field.child("name")?;
    let name = name_field.required()?;
    if !is_object_name(name) {
        return Err(name_field.invalid(format!("`{name}` is no name of an HTTPRoute")));
    }
    let drain = field.child("drainSeconds")?.number(&ranges::DRAIN_SECONDS)?;
    Ok(Some(RouteSpec {
        object: ObjectName::new(namespace(field, own_namespace)?, name),
        drain_seconds: drain.unwrap_or(defaults::DRAIN_SECONDS),
    }))
}

fn rejoin(field: &Field) -> Result<RejoinPolicy, Invalid> {
    let policies =
        [("WhenLossless", RejoinPolicy::WhenLossless), ("Auto", RejoinPolicy::Auto), ("Manual", RejoinPolicy::Manual)];
    Ok(field.child("policy")?.word(&policies)?.unwrap_or(RejoinPolicy::WhenLossless))
}

/// The request that stands there. What a request that is over left behind is not judged.
///
/// A target that is the primary region already is no contradiction: the request may be older than the
/// controller's own change of `primaryRegion`, and the operation itself says that nothing is to be done.
fn request(field: &Field, primary: &Region, standbys: &[Region]) -> Result<Option<SwitchoverRequest>, Invalid> {
    let mechanism = field.child("mechanism")?;
    if let Some(other) = mechanism.optional()?.filter(|name| name != "cnpg-pair") {
        return Err(mechanism.invalid(format!("`{other}` is not built; leave it out, or write cnpg-pair")));
    }
    if !field.child("requested")?.flag()? {
        return Ok(None);
    }
    let target_field = field.child("targetRegion")?;
    let target = region(&target_field)?;
    if target != *primary && !standbys.contains(&target) {
        let known: Vec<&str> = std::iter::once(primary).chain(standbys).map(Region::as_str).collect();
        return Err(
            target_field.invalid(format!("`{target}` is no region of this Continuum, which has: {}", known.join(", ")))
        );
    }
    Ok(Some(SwitchoverRequest {
        target,
        requested_at: requested_at(field)?,
        key: key(field)?,
        requested_by: field.child("requestedBy")?.optional()?,
        reason: field.child("reason")?.optional()?,
        confirmed: field.child("confirmedFingerprint")?.optional()?,
    }))
}

/// When a request was asked. Without it a copy restored from a backup would start it anew (H12).
fn requested_at(field: &Field) -> Result<jiff::Timestamp, Invalid> {
    let field = field.child("requestedAt")?;
    field
        .time()?
        .ok_or_else(|| field.invalid("is missing; a request needs the time it was made, as part of its identity"))
}

/// The key of a request. It stands behind the time of its request: who asks anew without one leaves the old key there.
fn key(field: &Field) -> Result<Option<String>, Invalid> {
    let (text, asked) = (field.child("idempotencyKey")?.optional()?, field.child("requestedAt")?.optional()?);
    let of_this = |text: String| {
        text.split_once(' ').filter(|(at, _)| asked.as_deref() == Some(at)).map(|(_, key)| key.to_owned())
    };
    Ok(text.and_then(of_this))
}

fn failback(field: &Field) -> Result<FailbackSpec, Invalid> {
    let requested = field.child("requested")?.flag()?;
    let timeout = field.child("timeout")?.seconds()?;
    Ok(FailbackSpec {
        requested_at: if requested { Some(requested_at(field)?) } else { None },
        key: key(field)?,
        requested_by: field.child("requestedBy")?.optional()?,
        confirmed: field.child("confirmedFingerprint")?.optional()?,
        approval_required: field.child("approvalRequired")?.flag()?,
        approved: field.child("approved")?.flag()?,
        approved_at: field.child("approvedAt")?.time()?,
        approved_by: field.child("approvedBy")?.optional()?,
        refused: field.child("refused")?.flag()?,
        answered: field.child("answered")?.optional()?,
        timeout_seconds: timeout.unwrap_or_else(|| default_seconds(defaults::FAILBACK_TIMEOUT)),
    })
}
