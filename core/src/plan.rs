//! The plan of a switchover: everything that decides what is done, and nothing that was observed.
//!
//! Its fingerprint is what a person confirms. It is the front of a SHA-256 over canonical JSON (sorted
//! keys, a format version), so the same plan has the same value before and after it was executed.

use crate::name::{ObjectName, Region};
use crate::spec::{LeaseSpec, RecordSpec, RouteSpec, Spec};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::net::IpAddr;

/// Version of the plan's form; part of the fingerprint.
pub const PLAN_FORMAT: u32 = 1;

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
    /// Addresses of `to`, sorted.
    pub addresses: Vec<IpAddr>,
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
            let known: Vec<&str> = std::iter::once(&spec.primary).chain(&spec.standbys).map(Region::as_str).collect();
            return Err(InvalidPlan::UnknownRegion { to: to.clone(), known: known.join(", ") });
        }
        let pair = spec.pair.clone().ok_or(InvalidPlan::NoPair)?;
        let mut addresses = spec.addresses(to).to_vec();
        addresses.sort();
        addresses.dedup();
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
            addresses,
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
        format!("{}-{region}", self.application)
    }
}

/// The front of a SHA-256, 16 hex digits.
pub fn short_hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(8).map(|b| format!("{b:02x}")).collect()
}
