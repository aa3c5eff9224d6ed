//! What a person asks for: the resource's `spec`, in core's own words.
//!
//! `live` makes one from the Kubernetes resource and says the path of each wrong field
//! ([`Invalid`]); rules between fields are checked here, so that no adapter can forget one.

use crate::name::{ObjectName, Region};
use crate::record::RecordSet;
use crate::records;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

/// One Continuum's specification, valid.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// `applicationRef`.
    pub application: String,
    /// `primaryRegion`.
    pub primary: Region,
    /// `hotStandbyRegions`, one to four, in order.
    pub standbys: Vec<Region>,
    /// `leaseClient`.
    pub lease: LeaseSpec,
    /// `luaRecord`.
    pub records: RecordSpec,
    /// `dns`: the servers that answer for the records.
    pub dns: DnsSpec,
    /// `regions`: the addresses of each.
    pub regions: Vec<RegionSpec>,
    /// Recovery-time objective, s.
    pub rto_seconds: u32,
    /// Recovery-point objective, s.
    pub rpo_seconds: u32,
    /// Whether a failover may start by itself.
    pub auto_failover: bool,
    /// `cnpgPair`: label value and namespace. Absent: an invalid plan, named by the dry run.
    pub pair: Option<ObjectName>,
    /// `httpRoute`. Absent: nothing to drain.
    pub route: Option<RouteSpec>,
    /// `pdmZone`, or the first hostname after its first dot. Absent where there is no hostname.
    pub zone: Option<String>,
    /// `rejoin.policy`.
    pub rejoin: RejoinPolicy,
    /// `switchover`: the request that stands there, if any.
    pub switchover: Option<SwitchoverRequest>,
    /// `switchover.abort`: the id of the intent meant.
    pub abort: Option<String>,
    /// `failback`.
    pub failback: FailbackSpec,
}

/// Kind of witness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LeaseKind {
    /// A Kubernetes `Lease` in a third cluster.
    #[serde(rename = "k8s-lease")]
    K8sLease,
    /// A key of a NATS key-value bucket.
    #[serde(rename = "nats-kv")]
    NatsKv,
    /// Admitted, not built.
    #[serde(rename = "cloudflare-kv")]
    CloudflareKv,
    /// Admitted, not built.
    #[serde(rename = "dns-quorum")]
    DnsQuorum,
}

impl LeaseKind {
    /// As the resource names it.
    pub fn name(self) -> &'static str {
        match self {
            LeaseKind::K8sLease => "k8s-lease",
            LeaseKind::NatsKv => "nats-kv",
            LeaseKind::CloudflareKv => "cloudflare-kv",
            LeaseKind::DnsQuorum => "dns-quorum",
        }
    }

    /// Why there is no such witness; absent: it is built, and none or one of this kind is `kept`.
    pub fn unavailable(self, kept: Option<LeaseKind>) -> Option<String> {
        let name = self.name();
        match (self, kept) {
            (LeaseKind::CloudflareKv | LeaseKind::DnsQuorum, _) => {
                Some(format!("leaseClient.kind {name} is not built; use k8s-lease or nats-kv"))
            }
            (_, Some(kept)) if kept != self => {
                let kept = kept.name();
                Some(format!(
                    "leaseClient.kind was {kept} and is {name} now: what one register holds the other knows nothing of; \
                     put {kept} back, or delete the Continuum in both regions and its old register, and make both anew"
                ))
            }
            _ => None,
        }
    }
}

/// Kind and timings of the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaseSpec {
    /// Kind.
    pub kind: LeaseKind,
    /// The term, s.
    pub ttl_seconds: u32,
    /// Between renewals, s.
    pub renew_seconds: u32,
    /// Fencing begins this long before the term ends, s.
    pub guard_seconds: u32,
    /// How much two clocks may drift apart, percent.
    pub drift_percent: u32,
}

/// The records of the application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordSpec {
    /// Selector of the LUA record.
    pub selector: Selector,
    /// Its health check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheckSpec>,
    /// Time to live, s.
    pub ttl_seconds: u32,
    /// Hostnames, without trailing dots.
    pub hostnames: Vec<String>,
}

/// The authoritative servers of the zone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DnsSpec {
    /// Each of them. Empty: those that the zone names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authorities: Vec<SocketAddr>,
    /// For so long one of them may go on answering what was, s. Absent: see [`DnsSpec::cache_seconds_of`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_seconds: Option<u32>,
}

/// PowerDNS keeps what its database said for so long (`query-cache-ttl`, its default), s.
const QUERY_CACHE_SECONDS: u32 = 20;
/// It keeps that its database said nothing for so long (`negquery-cache-ttl`, its default), s.
const NEGATIVE_CACHE_SECONDS: u32 = 60;
/// It keeps an answer for so long (`cache-ttl`, its default), s. One that LUA made is not kept.
const PACKET_CACHE_SECONDS: u32 = 20;

impl DnsSpec {
    /// Whether it says nothing.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// For so long one of `count` servers may go on answering what was before a change, s. The API empties the caches
    /// of its own server; every other one answers from its caches, as measured on PowerDNS 4.7.3 (two servers, one
    /// database): 20 s where LUA records stand. Where others do, a packet made of a database answer that was 19 s old
    /// was given out 39 s after it: the two caches add up.
    /// That there is nothing of a name is kept for longer still.
    pub fn cache_seconds_of(&self, count: usize, hostnames: &[String], standing: &[RecordSet]) -> u32 {
        let is_new = |name: &String| standing.iter().all(|set| set.hostname != *name);
        let usual = match count {
            0 | 1 => 0,
            _ if hostnames.iter().any(is_new) => NEGATIVE_CACHE_SECONDS + PACKET_CACHE_SECONDS,
            _ if standing.iter().all(|set| set.kind == records::LUA) => QUERY_CACHE_SECONDS,
            _ => QUERY_CACHE_SECONDS + PACKET_CACHE_SECONDS,
        };
        self.cache_seconds.unwrap_or(usual)
    }
}

/// Selector of a LUA record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Selector {
    /// `ifurlup(url, {{...}})`.
    Ifurlup,
    /// `pickclosest({...})`.
    Pickclosest,
    /// `pickwhashed({{weight, address}})`.
    Pickwhashed,
    /// Admitted, and a blocker: PowerDNS has no such function (H19).
    Pickfirst,
}

/// Health check of `ifurlup`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthCheckSpec {
    /// URL.
    pub url: String,
    /// Between checks, s.
    pub interval_seconds: u32,
    /// Limit of one, s.
    pub timeout_seconds: u32,
}

/// Addresses of a region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionSpec {
    /// Region.
    pub name: Region,
    /// Load balancers.
    pub addresses: Vec<IpAddr>,
}

/// The route to drain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteSpec {
    /// The HTTPRoute, of this name in both regions.
    pub object: ObjectName,
    /// How long to wait with the weight at 0, s.
    pub drain_seconds: u32,
}

/// What may be destroyed so that a region can return.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RejoinPolicy {
    /// Re-clone only where nothing acknowledged would be destroyed.
    WhenLossless,
    /// Re-clone.
    Auto,
    /// A person does it.
    Manual,
}

/// `spec.switchover`, requested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SwitchoverRequest {
    /// Where to.
    pub target: Region,
    /// When it was asked: part of its identity.
    pub requested_at: Timestamp,
    /// Its identity, where whoever asked gave it one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Who asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The fingerprint that was confirmed; where the plan has another by then, the request is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<String>,
}

/// `spec.failback`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailbackSpec {
    /// When it was asked, where `requested` is true.
    pub requested_at: Option<Timestamp>,
    /// Its identity, where whoever asked gave it one of its own.
    pub key: Option<String>,
    /// Who asked.
    pub requested_by: Option<String>,
    /// The fingerprint that was confirmed; where the plan has another by then, the request is refused.
    pub confirmed: Option<String>,
    /// Whether a person must approve.
    pub approval_required: bool,
    /// Whether one did.
    pub approved: bool,
    /// When, where whoever wrote it said so.
    pub approved_at: Option<Timestamp>,
    /// Who.
    pub approved_by: Option<String>,
    /// Whether one refused.
    pub refused: bool,
    /// The id of the failback that the answer is about. Absent: whichever waits.
    pub answered: Option<String>,
    /// How long it may wait, s (default 3,600).
    pub timeout_seconds: u32,
}

/// A resource that cannot be followed, with the path of the field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct Invalid {
    /// Path, such as `spec.leaseClient.config.renewSeconds`.
    pub path: String,
    /// What is wrong and how to mend it.
    pub message: String,
}

/// The time of one request beyond which its outcome is unknown, s (PROTOCOL: witness and audit have 3).
pub const REQUEST_LIMIT_SECONDS: u32 = 5;

/// Two halves, whichever of them leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedHalves {
    /// The pair.
    pub pair: ObjectName,
    /// Where its halves stand.
    pub regions: BTreeSet<Region>,
}

impl Spec {
    /// Checks the rules between fields; the adapter has checked each field alone.
    pub fn check(&self) -> Result<(), Invalid> {
        let lease = &self.lease;
        let least = lease.renew_seconds.saturating_add(lease.guard_seconds).saturating_add(REQUEST_LIMIT_SECONDS);
        if least >= lease.ttl_seconds {
            return Err(Invalid {
                path: "spec.leaseClient.config.ttlSeconds".into(),
                message: format!(
                    "{} s is too short: renewSeconds {} + guardSeconds {} + {REQUEST_LIMIT_SECONDS} s for a request \
                     must be less than it",
                    lease.ttl_seconds, lease.renew_seconds, lease.guard_seconds
                ),
            });
        }
        let invalid = |path: String, message: &str| Err(Invalid { path, message: message.into() });
        if self.primary.as_str().is_empty() {
            return invalid("spec.primaryRegion".into(), "is empty; name the region that is primary");
        }
        for (i, standby) in self.standbys.iter().enumerate() {
            let path = format!("spec.hotStandbyRegions[{i}]");
            if standby.as_str().is_empty() {
                return invalid(path, "is empty; name a region");
            }
            if *standby == self.primary {
                return invalid(path, "is the primary region; a standby is another region");
            }
        }
        if self.standbys.is_empty() {
            return invalid("spec.hotStandbyRegions".into(), "is empty; name one to four regions");
        }
        Ok(())
    }

    /// All regions, the primary first.
    pub fn regions(&self) -> impl Iterator<Item = &Region> {
        std::iter::once(&self.primary).chain(&self.standbys)
    }

    /// The halves that it is about. Absent: it names no pair.
    pub fn halves(&self) -> Option<NamedHalves> {
        let regions = std::iter::once(&self.primary).chain(self.standbys.first());
        Some(NamedHalves { pair: self.pair.clone()?, regions: regions.cloned().collect() })
    }

    /// The same with `region` as its primary and the former one first among the standbys, as the spec will
    /// say once it is in line with the record. Unchanged where `region` is none of the standbys.
    pub fn led_by(&self, region: &Region) -> Self {
        let mut spec = self.clone();
        if self.standbys.contains(region) {
            spec.standbys.retain(|standby| standby != region);
            spec.standbys.insert(0, std::mem::replace(&mut spec.primary, region.clone()));
        }
        spec
    }

    /// Addresses of `region`; empty where none are known.
    pub fn addresses(&self, region: &Region) -> &[IpAddr] {
        self.regions.iter().find(|r| r.name == *region).map_or(&[], |r| &r.addresses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stood_before_says_how_long_caches_keep_it() {
        let set = |hostname: &str, kind: &str| RecordSet {
            hostname: hostname.into(),
            kind: kind.into(),
            ttl_seconds: 30,
            contents: Vec::new(),
        };
        let (names, dns) = (["a".to_owned(), "b".to_owned()], DnsSpec::default());
        let lua = [set("a", "LUA"), set("b", "LUA")];
        assert_eq!(dns.cache_seconds_of(1, &names, &lua), 0);
        assert_eq!(dns.cache_seconds_of(2, &names, &lua), 20);
        assert_eq!(dns.cache_seconds_of(2, &names, &[set("a", "LUA"), set("b", "A")]), 40);
        assert_eq!(dns.cache_seconds_of(2, &names, &lua[..1]), 80, "b had none");
        let told = DnsSpec { cache_seconds: Some(5), ..dns };
        assert_eq!((told.cache_seconds_of(1, &names, &lua), told.cache_seconds_of(2, &names, &[])), (5, 5));
    }
    use crate::preflight::fixture;

    fn refused(change: impl FnOnce(&mut Spec)) -> Invalid {
        let mut spec = fixture::spec();
        change(&mut spec);
        spec.check().unwrap_err()
    }

    #[test]
    fn a_term_must_outlast_a_renewal_the_guard_and_a_request() {
        let mut spec = fixture::spec();
        spec.lease.ttl_seconds = 26;
        assert_eq!(spec.check(), Ok(()));
        let invalid = refused(|spec| spec.lease.ttl_seconds = 25);
        assert_eq!(
            invalid.to_string(),
            "spec.leaseClient.config.ttlSeconds: 25 s is too short: renewSeconds 10 + guardSeconds 10 + 5 s for a \
             request must be less than it"
        );
        let huge = refused(|spec| spec.lease.guard_seconds = u32::MAX);
        assert_eq!(huge.path, "spec.leaseClient.config.ttlSeconds");
    }

    #[test]
    fn empty_and_doubled_regions_are_refused_with_their_path() {
        assert_eq!(refused(|spec| spec.primary = Region::new("")).path, "spec.primaryRegion");
        assert_eq!(refused(|spec| spec.standbys.clear()).path, "spec.hotStandbyRegions");
        assert_eq!(refused(|spec| spec.standbys.push(Region::new(""))).path, "spec.hotStandbyRegions[1]");
        assert_eq!(refused(|spec| spec.standbys.push(fixture::fsn())).path, "spec.hotStandbyRegions[1]");
    }

    #[test]
    fn the_former_primary_is_the_first_standby_of_the_new_one() {
        let mut spec = fixture::spec();
        spec.standbys = vec![Region::new("nbg"), fixture::hel()];
        let led = spec.led_by(&fixture::hel());
        assert_eq!((led.primary, led.standbys), (fixture::hel(), vec![fixture::fsn(), Region::new("nbg")]));
        assert_eq!(spec.led_by(&fixture::fsn()), spec);
        assert_eq!(spec.led_by(&Region::new("ash")), spec);
    }

    #[test]
    fn a_region_without_addresses_has_none() {
        let spec = fixture::spec();
        assert_eq!(spec.addresses(&fixture::hel()), [fixture::address(&fixture::hel())]);
        assert!(spec.addresses(&Region::new("nbg")).is_empty());
    }
}
