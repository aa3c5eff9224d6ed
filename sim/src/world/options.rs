//! How a world is when its run starts. `WorldOptions::default()` is a healthy pair: fsn primary, hel standby.

use crate::fabric::FabricKind;
use crate::servers::powerdns::{HOST, SECOND_HOST};
use std::time::Duration;

/// The two regions that have databases.
pub const REGIONS: [&str; 2] = ["fsn", "hel"];

/// See the module. Durations of the resource are whole seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct WorldOptions {
    /// The seed of everything random.
    pub seed: u64,
    /// The network that carries it.
    pub fabric: FabricKind,
    /// Resolution of simulated time.
    pub tick: Duration,
    /// The run fails past this simulated time.
    pub duration_max: Duration,
    /// The region that is primary at the start.
    pub primary: String,
    /// A commit waits for the standby.
    pub synchronous: bool,
    /// What is wrong with the standby.
    pub standby: Standby,
    /// `leaseClient.config`, s.
    pub ttl_seconds: u32,
    /// `renewSeconds`.
    pub renew_seconds: u32,
    /// `guardSeconds`.
    pub guard_seconds: u32,
    /// `driftPercent`.
    pub drift_percent: u32,
    /// `httpRoute.drainSeconds`.
    pub drain_seconds: u32,
    /// `rto`, s.
    pub rto_seconds: u32,
    /// `rpo`, s.
    pub rpo_seconds: u32,
    /// The route.
    pub route: Route,
    /// Whether the Clusters of the pair exist.
    pub pair: bool,
    /// Whether the API servers refuse changes of a role that are nobody's claim.
    pub role_policy: bool,
    /// Whether the Continuum knows addresses of the standby.
    pub addresses: bool,
    /// What the witness holds.
    pub lease: Lease,
    /// Where the witness stands.
    pub witness: Witness,
    /// `spec.smartShutdownTimeout`, s.
    pub smart_shutdown_timeout_seconds: u32,
    /// `spec.switchoverDelay`, s.
    pub switchover_delay_seconds: u32,
    /// How much longer a demotion takes.
    pub demotion_extra: Duration,
    /// How much longer than usual an operator takes between lifting a demotion's fence and calling it over.
    pub last_write_extra: Duration,
    /// How much longer a promotion takes.
    pub promotion_extra: Duration,
    /// The operators' times are drawn from the spread of all recordings.
    pub operator_times_recorded: bool,
    /// The operators leave `archive_mode` at `always`: no restart follows a promotion.
    pub archive_mode_stays: bool,
    /// Whether the role secrets of both halves are alike.
    pub secrets_agree: bool,
    /// The database has another password than both secrets say (H53): a rotation that no secret followed.
    pub password_rotated: bool,
    /// The DNS publisher that is configured.
    pub publisher: Publisher,
    /// The DNS server accepts LUA records and cannot run them (H19).
    pub broken_lua: bool,
    /// `luaRecord.ttl`, s.
    pub record_ttl_seconds: u32,
    /// `luaRecord.selector`.
    pub selector: String,
    /// A second DNS server stands beside the first, on the same database, with caches of its own.
    pub second_authority: bool,
    /// Whether vantages are configured.
    pub vantages: bool,
    /// Whether a platform asks the controllers over their HTTP API.
    pub platform: bool,
    /// Whether an audit stream is configured.
    pub audit: bool,
    /// Whether a database probe is configured.
    pub probe: bool,
    /// `autoFailover`.
    pub auto_failover: bool,
    /// `failback.approvalRequired`.
    pub approval_required: bool,
    /// `failback.timeout`, s.
    pub failback_timeout_seconds: u32,
    /// How long after a switchover health is checked.
    pub health_delay: Duration,
    /// Clients in all.
    pub client_count: u32,
    /// Writes a second, in all.
    pub writes_per_second: u32,
    /// One more client holds a session to the standby (H30).
    pub held_session: bool,
}

/// What is wrong with the standby.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standby {
    /// Nothing.
    Following,
    /// It stands on a timeline of its own (H32).
    Diverged,
    /// Its replay is paused.
    ReplayPaused,
}

/// The route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Its backends are named as they must be.
    Matched,
    /// They have other names (H18).
    Unmatched,
    /// There is none.
    None,
}

/// By what records are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publisher {
    /// PowerDNS's own API.
    PowerDns,
    /// A pool domain manager before it, which only takes records.
    Pdm,
    /// None is configured.
    None,
}

/// What the witness holds at the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lease {
    /// No Lease object: first installation.
    Absent,
    /// A Lease that nobody holds, though somebody did.
    Free,
    /// Held by this region.
    HeldBy(String),
    /// Held by somebody else.
    ThirdParty(String),
}

/// Where the witness stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Witness {
    /// In a third place.
    Third,
    /// In a region's own cluster (H16): index into [`REGIONS`].
    Region(usize),
    /// In a bucket of the audit stream's server.
    Bucket,
    /// None is configured.
    None,
}

impl Default for WorldOptions {
    fn default() -> Self {
        Self {
            seed: 1,
            fabric: FabricKind::default(),
            tick: Duration::from_millis(10),
            duration_max: Duration::from_secs(1800),
            primary: "fsn".into(),
            synchronous: false,
            standby: Standby::Following,
            ttl_seconds: 30,
            renew_seconds: 10,
            guard_seconds: 10,
            drift_percent: 1,
            drain_seconds: 10,
            rto_seconds: 60,
            rpo_seconds: 5,
            route: Route::Matched,
            pair: true,
            role_policy: false,
            addresses: true,
            lease: Lease::Absent,
            witness: Witness::Third,
            smart_shutdown_timeout_seconds: 0,
            switchover_delay_seconds: 8,
            demotion_extra: Duration::ZERO,
            last_write_extra: Duration::ZERO,
            promotion_extra: Duration::ZERO,
            operator_times_recorded: false,
            archive_mode_stays: false,
            secrets_agree: true,
            password_rotated: false,
            publisher: Publisher::PowerDns,
            broken_lua: false,
            record_ttl_seconds: 30,
            selector: "ifurlup".into(),
            second_authority: false,
            vantages: true,
            platform: false,
            audit: true,
            probe: true,
            auto_failover: false,
            approval_required: false,
            failback_timeout_seconds: 3600,
            health_delay: Duration::from_secs(30),
            client_count: 4,
            writes_per_second: 20,
            held_session: false,
        }
    }
}

impl WorldOptions {
    /// Hosts of the authoritative DNS servers.
    pub fn authorities(&self) -> &'static [&'static str] {
        if self.second_authority { &[HOST, SECOND_HOST] } else { &[HOST] }
    }

    /// The region that is not primary at the start.
    pub fn standby_region(&self) -> &'static str {
        if self.primary == REGIONS[0] { REGIONS[1] } else { REGIONS[0] }
    }
}

/// The load balancer's address of a region.
pub fn address(region: &str) -> &'static str {
    if region == REGIONS[0] { "10.1.0.1" } else { "10.2.0.1" }
}

/// Host of the API server that the witness stands in; `None` where that is none.
pub fn witness_store(witness: Witness) -> Option<&'static str> {
    witness_host(witness).filter(|host| host.starts_with("api."))
}

/// Host that the witness stands on; `None` where there is none.
pub fn witness_host(witness: Witness) -> Option<&'static str> {
    match witness {
        Witness::Third => Some("api.witness"),
        Witness::Region(0) => Some("api.fsn"),
        Witness::Region(_) => Some("api.hel"),
        Witness::Bucket => Some(crate::servers::jetstream::HOST),
        Witness::None => None,
    }
}
