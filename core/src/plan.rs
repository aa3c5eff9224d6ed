//! The plan of a switchover: everything that decides what is done, and nothing that was observed.
//!
//! Its fingerprint is what a person confirms. It is the front of a SHA-256 over canonical JSON (sorted
//! keys, a format version), so the same plan has the same value before and after it was executed.

use crate::name::{ObjectName, Region};
use crate::spec::{DnsSpec, LeaseSpec, NamedHalves, RecordSpec, RouteSpec, Spec};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Version of the plan's form; part of the fingerprint.
pub const PLAN_FORMAT: u32 = 2;

/// The reason where none is given.
pub const REASON_DEFAULT: &str = "operator-requested";
/// The reason of a failback.
pub const REASON_FAILBACK: &str = "failback";
/// The initiator where none is given.
pub const INITIATOR_DEFAULT: &str = "controller";

/// A plan. Valid by construction: see [`Plan::new`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Version of this form.
    pub format: u32,
    /// The Continuum.
    pub continuum: ObjectName,
    /// `spec.applicationRef`: backends are named `<application>-<region>`.
    pub application: String,
    /// From where.
    pub from: Region,
    /// To where.
    pub to: Region,
    /// The pair: label value and namespace of both Clusters.
    pub pair: ObjectName,
    /// The route to drain. Absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<RouteSpec>,
    /// DNS zone. Absent: none known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Records and their options.
    pub records: RecordSpec,
    /// The servers that answer for them.
    #[serde(default, skip_serializing_if = "DnsSpec::is_default")]
    pub dns: DnsSpec,
    /// Addresses of `to`, sorted.
    pub addresses: Vec<IpAddr>,
    /// Addresses of `from`, sorted: what an undo leads clients to, where nothing shows the records that stood before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_addresses: Vec<IpAddr>,
    /// Lease kind and timings.
    pub lease: LeaseSpec,
    /// Recovery-time objective, s.
    pub rto_seconds: u32,
    /// Recovery-point objective, s.
    pub rpo_seconds: u32,
    /// Why.
    pub reason: String,
    /// Who.
    pub initiated_by: String,
}

/// A plan that cannot be: nothing is looked at and nothing is done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPlan {
    /// No `cnpgPair`.
    #[error("invalid plan: spec.cnpgPair is missing; name the pair whose primary role is to move")]
    NoPair,
    /// A name or region is empty.
    #[error("invalid plan: {0} is empty")]
    Empty(&'static str),
    /// `from` = `to`.
    #[error("invalid plan: {0} is both where the role is and where it should go")]
    SameRegion(Region),
    /// `to` is not a region of this Continuum.
    #[error("invalid plan: `{to}` is not a region of this Continuum, which has: {known}")]
    UnknownRegion {
        /// Asked for.
        to: Region,
        /// What there is.
        known: String,
    },
}

impl Plan {
    /// The halves that it is about.
    pub fn halves(&self) -> NamedHalves {
        NamedHalves { pair: self.pair.clone(), regions: [self.from.clone(), self.to.clone()].into() }
    }

    /// The plan to move the role to `to`. `from` is `spec.primaryRegion`, or, where that is `to`, the first
    /// of `hotStandbyRegions`.
    pub fn new(
        continuum: &ObjectName,
        spec: &Spec,
        to: &Region,
        reason: Option<&str>,
        initiated_by: Option<&str>,
    ) -> Result<Self, InvalidPlan> {
        if continuum.namespace.is_empty() || continuum.name.is_empty() {
            return Err(InvalidPlan::Empty("the Continuum's name"));
        }
        if to.as_str().is_empty() {
            return Err(InvalidPlan::Empty("toRegion"));
        }
        let from = if spec.primary == *to { spec.standbys.first().unwrap_or(&spec.primary) } else { &spec.primary };
        if from.as_str().is_empty() {
            return Err(InvalidPlan::Empty("primaryRegion"));
        }
        if from == to {
            return Err(InvalidPlan::SameRegion(to.clone()));
        }
        if spec.primary != *to && !spec.standbys.contains(to) {
            let known: Vec<&str> = spec.regions().map(Region::as_str).collect();
            return Err(InvalidPlan::UnknownRegion { to: to.clone(), known: known.join(", ") });
        }
        let pair = spec.pair.clone().ok_or(InvalidPlan::NoPair)?;
        let addresses = |region: &Region| Vec::from_iter(BTreeSet::from_iter(spec.addresses(region).to_vec()));
        Ok(Self {
            format: PLAN_FORMAT,
            continuum: continuum.clone(),
            application: spec.application.clone(),
            from: from.clone(),
            to: to.clone(),
            pair,
            route: spec.route.clone(),
            zone: spec.zone.clone(),
            records: spec.records.clone(),
            dns: spec.dns.clone(),
            addresses: addresses(to),
            former_addresses: addresses(from),
            lease: spec.lease,
            rto_seconds: spec.rto_seconds,
            rpo_seconds: spec.rpo_seconds,
            reason: reason.unwrap_or(REASON_DEFAULT).to_owned(),
            initiated_by: initiated_by.unwrap_or(INITIATOR_DEFAULT).to_owned(),
        })
    }

    /// The front of a SHA-256 over the canonical JSON, 16 hex digits.
    pub fn fingerprint(&self) -> String {
        // serde_json's map is a BTreeMap here (no `preserve_order`), so going through Value sorts the keys.
        let canonical = serde_json::to_value(self).expect("a plan has string keys only").to_string();
        short_hash(canonical.as_bytes())
    }

    /// How long step 3 waits, s; 0 where there is no route.
    pub fn drain_seconds(&self) -> u32 {
        self.route.as_ref().map_or(0, |r| r.drain_seconds)
    }

    /// Name of the route's backend in `region`.
    pub fn backend(&self, region: &Region) -> String {
        backend(&self.application, region)
    }
}

/// Name of an application's backend in a route, for `region`.
pub fn backend(application: &str, region: &Region) -> String {
    format!("{application}-{region}")
}

/// The front of a SHA-256, 16 hex digits.
pub fn short_hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(8).map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preflight::fixture::{self, fsn, hel};
    use crate::spec::{LeaseKind, Selector};

    type Change = (&'static str, fn(&mut Plan));

    /// One change of each input.
    const INPUTS: &[Change] = &[
        ("format", |p| p.format += 1),
        ("namespace", |p| p.continuum.namespace.push('x')),
        ("name", |p| p.continuum.name.push('x')),
        ("application", |p| p.application.push('x')),
        ("from", |p| p.from = Region::new("nbg")),
        ("to", |p| p.to = Region::new("nbg")),
        ("pair", |p| p.pair.name.push('x')),
        ("pair's namespace", |p| p.pair.namespace.push('x')),
        ("no route", |p| p.route = None),
        ("route", |p| p.route.as_mut().unwrap().object.name.push('x')),
        ("route's namespace", |p| p.route.as_mut().unwrap().object.namespace.push('x')),
        ("drain", |p| p.route.as_mut().unwrap().drain_seconds += 1),
        ("no zone", |p| p.zone = None),
        ("zone", |p| p.zone = Some("example.com".into())),
        ("selector", |p| p.records.selector = Selector::Pickclosest),
        ("no health check", |p| p.records.health_check = None),
        ("health check's URL", |p| p.records.health_check.as_mut().unwrap().url.push('x')),
        ("health check's interval", |p| p.records.health_check.as_mut().unwrap().interval_seconds += 1),
        ("health check's limit", |p| p.records.health_check.as_mut().unwrap().timeout_seconds += 1),
        ("record TTL", |p| p.records.ttl_seconds += 1),
        ("hostnames", |p| p.records.hostnames.push("www.example.org".into())),
        ("authorities", |p| p.dns.authorities.push(fixture::server(2))),
        ("caches", |p| p.dns.cache_seconds = Some(30)),
        ("addresses", |p| p.addresses.push("10.2.0.2".parse().unwrap())),
        ("former addresses", |p| p.former_addresses.push("10.1.0.2".parse().unwrap())),
        ("lease kind", |p| p.lease.kind = LeaseKind::NatsKv),
        ("lease TTL", |p| p.lease.ttl_seconds += 1),
        ("renewal", |p| p.lease.renew_seconds += 1),
        ("guard", |p| p.lease.guard_seconds += 1),
        ("drift", |p| p.lease.drift_percent += 1),
        ("RTO", |p| p.rto_seconds += 1),
        ("RPO", |p| p.rpo_seconds += 1),
        ("reason", |p| p.reason.push('x')),
        ("initiator", |p| p.initiated_by.push('x')),
    ];

    #[test]
    fn every_input_changes_the_fingerprint() {
        // A field that is added stands in the value, and makes this fail until it stands in the list too. (Those that
        // the fixture does not have are not counted.)
        let leaves = leaves(&serde_json::to_value(fixture::plan()).unwrap());
        let others = ["no route", "no zone", "no health check", "authorities", "caches"];
        assert_eq!(leaves, INPUTS.iter().filter(|(name, _)| !others.contains(name)).count());
        let mut fingerprints = std::collections::BTreeSet::from([fixture::plan().fingerprint()]);
        for (name, change) in INPUTS {
            let mut plan = fixture::plan();
            change(&mut plan);
            assert!(fingerprints.insert(plan.fingerprint()), "{name}");
        }
    }

    fn leaves(value: &serde_json::Value) -> usize {
        match value {
            serde_json::Value::Object(fields) => fields.values().map(leaves).sum(),
            serde_json::Value::Array(items) => items.iter().map(leaves).sum(),
            _ => 1,
        }
    }

    #[test]
    fn the_fingerprint_of_a_known_plan_never_changes() {
        // It is what a person confirmed, perhaps with another version: a new value needs a new PLAN_FORMAT.
        assert_eq!(fixture::plan().fingerprint(), "0cc93b2cf85f9f62");
    }

    #[test]
    fn a_plan_read_back_from_the_record_has_the_same_fingerprint() {
        let plan = fixture::plan();
        let json = serde_json::to_string_pretty(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&json).unwrap().fingerprint(), plan.fingerprint());
    }

    #[test]
    fn the_order_of_addresses_is_no_input() {
        let with = |addresses: [&str; 3]| {
            let mut spec = fixture::spec();
            spec.regions[1].addresses = addresses.iter().map(|a| a.parse().unwrap()).collect();
            Plan::new(&fixture::shop(), &spec, &hel(), None, None).unwrap()
        };
        let plan = with(["10.2.0.2", "10.2.0.1", "10.2.0.1"]);
        assert_eq!(plan.addresses.len(), 2);
        assert_eq!(plan.fingerprint(), with(["10.2.0.1", "10.2.0.2", "10.2.0.2"]).fingerprint());
    }

    #[test]
    fn from_is_the_primary_or_where_that_is_the_target_the_first_standby() {
        let forward = fixture::plan();
        assert_eq!((&forward.from, &forward.to), (&fsn(), &hel()));
        let back = Plan::new(&fixture::shop(), &fixture::spec(), &fsn(), None, None).unwrap();
        assert_eq!((&back.from, &back.to), (&hel(), &fsn()));
    }

    #[test]
    fn reason_and_initiator_have_the_contracts_defaults() {
        let plan = fixture::plan();
        assert_eq!((plan.reason.as_str(), plan.initiated_by.as_str()), ("operator-requested", "controller"));
        assert_eq!(plan.backend(&hel()), "shop-hel");
    }
}
