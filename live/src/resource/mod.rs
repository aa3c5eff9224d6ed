//! The custom resource `Continuum` (`dr.openova.io/v1`): its types, the definition they generate, and the
//! way from a stored object to core's [`Spec`](continuum_core::spec::Spec).
//!
//! ```text
//!   types ──► crd ──► crds/continuums.dr.openova.io.yaml
//!
//!   stored object (JSON) ──► parse ──► core::spec::Spec, or Invalid {path, message}
//! ```
//!
//! Reading goes through JSON and never through the types: one wrong field must give its own path, and a
//! field of a newer version must not stop an older controller. The types serve the schema and those who
//! write resources. This module talks to no server.

mod agreement;
mod crd;
mod database;
mod field;
mod parse;
mod status;
#[cfg(test)]
mod tests;
mod types;

pub use agreement::agreement_hash;
pub use crd::{CRD_NAME, crd};
pub use database::{DatabaseAccess, database_access};
pub use parse::parse_spec;
pub use status::{
    ContinuumStatus, LastLuaRecord, LastSwitchover, PublishedRecord, SeenStatus, StatusCondition, seen_of,
};
pub use types::{
    Continuum, ContinuumSpec, Dns, Failback, HealthCheck, LeaseClient, LeaseConfig, LeaseKind, LuaRecord, PairRef,
    PostgresPlace, Probe, RegionEntry, Rejoin, RejoinPolicy, RouteRef, SecretRef, Selector, Switchover,
};

/// Group of the resource.
pub const GROUP: &str = "dr.openova.io";
/// Its version.
pub const VERSION: &str = "v1";

/// What holds where the resource says nothing. The schema and the parser both read these.
pub mod defaults {
    /// `leaseClient.config.ttlSeconds`.
    pub const TTL_SECONDS: u32 = 30;
    /// `leaseClient.config.renewSeconds`.
    pub const RENEW_SECONDS: u32 = 10;
    /// `leaseClient.config.guardSeconds`.
    pub const GUARD_SECONDS: u32 = 10;
    /// `leaseClient.config.driftPercent`.
    pub const DRIFT_PERCENT: u32 = 1;
    /// `luaRecord.ttl`.
    pub const RECORD_TTL_SECONDS: u32 = 30;
    /// `luaRecord.healthCheck.intervalSeconds`.
    pub const INTERVAL_SECONDS: u32 = 5;
    /// `luaRecord.healthCheck.timeoutSeconds`.
    pub const TIMEOUT_SECONDS: u32 = 2;
    /// `httpRoute.drainSeconds`.
    pub const DRAIN_SECONDS: u32 = 10;
    /// `rto`.
    pub const RTO: &str = "60s";
    /// `rpo`.
    pub const RPO: &str = "30s";
    /// `failback.timeout`.
    pub const FAILBACK_TIMEOUT: &str = "1h";
}

/// Ranges of numbers, both ends included. The schema and the parser both read these.
pub mod ranges {
    use std::ops::RangeInclusive;

    /// `leaseClient.config.ttlSeconds`.
    pub const TTL_SECONDS: RangeInclusive<u32> = 5..=600;
    /// `leaseClient.config.renewSeconds`.
    pub const RENEW_SECONDS: RangeInclusive<u32> = 1..=60;
    /// `leaseClient.config.guardSeconds`.
    pub const GUARD_SECONDS: RangeInclusive<u32> = 1..=300;
    /// `leaseClient.config.driftPercent`.
    pub const DRIFT_PERCENT: RangeInclusive<u32> = 0..=50;
    /// `luaRecord.ttl`.
    pub const RECORD_TTL_SECONDS: RangeInclusive<u32> = 1..=86_400;
    /// `luaRecord.healthCheck.intervalSeconds`.
    pub const INTERVAL_SECONDS: RangeInclusive<u32> = 1..=60;
    /// `luaRecord.healthCheck.timeoutSeconds`.
    pub const TIMEOUT_SECONDS: RangeInclusive<u32> = 1..=30;
    /// `dns.cacheSeconds`.
    pub const CACHE_SECONDS: RangeInclusive<u32> = 0..=3_600;
    /// `httpRoute.drainSeconds`.
    pub const DRAIN_SECONDS: RangeInclusive<u32> = 0..=3_600;
    /// `regions[].postgres.port`.
    pub const PORT: RangeInclusive<u32> = 1..=65_535;
    /// `rtoSeconds`, `rpoSeconds`: a day.
    pub const OBJECTIVE_SECONDS: RangeInclusive<u32> = 0..=86_400;
}
