//! `spec.world`: how the world is when a run starts. Everything has a default; `{}` is a healthy pair with its
//! primary in `fsn` and its standby in `hel`.

use super::names::RegionName;
use super::one_key;
use super::pattern;
use super::scalars::{Seconds, TimeSpan, flag, mistake, whole};
use super::spot::Spot;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use std::ops::RangeInclusive;
use std::time::Duration;

/// The world of a scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct World {
    /// The region that is primary at the start; the other is its standby.
    pub primary: RegionName,
    /// How the standby follows.
    pub replication: Replication,
    /// What is wrong with the standby from the start.
    pub standby: StandbyWorld,
    /// The term of the lease, 5s to 10m.
    #[schemars(extend("pattern" = pattern::whole_seconds(5, 600)))]
    pub ttl: Spot<Seconds>,
    /// Between renewals, 1s to 1m.
    #[schemars(extend("pattern" = pattern::whole_seconds(1, 60)))]
    pub renew: Spot<Seconds>,
    /// Fencing begins this long before the term ends.
    pub guard: Spot<Seconds>,
    /// How much two clocks may drift apart, percent.
    #[serde(deserialize_with = "drift")]
    #[schemars(range(max = 50))]
    pub drift_percent: u32,
    /// How long step 3 waits with the weight at 0.
    pub drain: Seconds,
    /// Recovery-time objective.
    pub rto: Seconds,
    /// Recovery-point objective: the greatest replication lag with which a switchover may begin.
    pub rpo: Seconds,
    /// The HTTPRoute.
    pub route: RouteWorld,
    /// Whether the Clusters of the pair exist.
    #[serde(deserialize_with = "flag")]
    pub pair: bool,
    /// Whether the regions have the policy that refuses changes of a role which are nobody's claim.
    #[serde(deserialize_with = "flag")]
    pub role_policy: bool,
    /// Whether the Continuum knows addresses of the standby.
    #[serde(deserialize_with = "flag")]
    pub addresses: bool,
    /// The witness and what it holds.
    pub lease: LeaseWorld,
    /// The database operator of both regions.
    pub operator: OperatorWorld,
    /// The role secrets of both halves.
    pub secrets: SecretsWorld,
    /// Records, their publisher and the resolvers elsewhere.
    pub dns: DnsWorld,
    /// Whether there is an audit stream.
    #[serde(deserialize_with = "flag")]
    pub audit: bool,
    /// Whether the controllers have a database probe.
    #[serde(deserialize_with = "flag")]
    pub probe: bool,
    /// Whether a failover may start by itself.
    #[serde(deserialize_with = "flag")]
    pub auto_failover: bool,
    /// Whether a failback waits for a person.
    #[serde(deserialize_with = "flag")]
    pub approval_required: bool,
    /// How long a failback waits.
    pub failback_timeout: Seconds,
    /// How long after a switchover the controller checks health. 0s: at once.
    pub health_delay: Seconds,
    /// Clients.
    #[serde(deserialize_with = "workload")]
    #[schemars(extend("not" = held_session_without_clients()))]
    pub workload: WorkloadWorld,
    /// Resolution of simulated time.
    #[serde(deserialize_with = "tick")]
    #[schemars(extend("pattern" = pattern::duration(1, 1_000)))]
    pub tick: TimeSpan,
}

impl Default for World {
    fn default() -> Self {
        Self {
            primary: RegionName::of("fsn"),
            replication: Replication::Async,
            standby: StandbyWorld::Following,
            ttl: Seconds(30).into(),
            renew: Seconds(10).into(),
            guard: Seconds(10).into(),
            drift_percent: 1,
            drain: Seconds(10),
            rto: Seconds(60),
            rpo: Seconds(5),
            route: RouteWorld::Matched,
            pair: true,
            role_policy: false,
            addresses: true,
            lease: LeaseWorld::default(),
            operator: OperatorWorld::default(),
            secrets: SecretsWorld::default(),
            dns: DnsWorld::default(),
            audit: true,
            probe: true,
            auto_failover: false,
            approval_required: false,
            failback_timeout: Seconds(3_600),
            health_delay: Seconds(30),
            workload: WorkloadWorld::default(),
            tick: TimeSpan(std::time::Duration::from_millis(10)),
        }
    }
}

/// How the standby follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Replication {
    /// A commit does not wait for the standby.
    Async,
    /// A commit waits for the standby.
    Sync,
}

/// What is wrong with the standby from the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum StandbyWorld {
    /// Nothing.
    Following,
    /// It stands on a timeline of its own: Ready, and not streaming (H32).
    Diverged,
    /// It streams, and its replay is paused.
    ReplayPaused,
}

/// The HTTPRoute of the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum RouteWorld {
    /// Its backends are named as they must be.
    Matched,
    /// Its backends have other names (H18).
    Unmatched,
    /// There is none: step 3 has nothing to do.
    None,
}

/// The witness and what it holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LeaseWorld {
    /// Who holds the lease at the start. Left out: the primary region.
    #[serde(deserialize_with = "one_key::maybe")]
    pub initial: Option<InitialLease>,
    /// Whether nobody has renewed it for longer than its term.
    #[serde(deserialize_with = "flag")]
    pub expired: bool,
    /// Where the witness stands.
    pub witness: WitnessPlace,
}

impl Default for LeaseWorld {
    fn default() -> Self {
        Self { initial: None, expired: false, witness: WitnessPlace::Third }
    }
}

/// Who holds the lease at the start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum InitialLease {
    /// There is no lease object yet: a first installation.
    Absent,
    /// Nobody, though somebody did.
    Free,
    /// This region.
    HeldBy(RegionName),
    /// Somebody who is no region of this Continuum.
    ThirdParty(String),
}

/// Where the witness stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum WitnessPlace {
    /// In a third failure domain.
    Third,
    /// In region fsn (H16).
    Fsn,
    /// In region hel (H16).
    Hel,
    /// In a bucket of the audit stream's server: kind `nats-kv`.
    Nats,
    /// None is configured.
    None,
}

/// The database operator of both regions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct OperatorWorld {
    /// How much longer than usual a demotion takes.
    pub demotion: TimeSpan,
    /// How much longer than usual it takes between lifting a demotion's fence and calling it over.
    pub last_write: TimeSpan,
    /// How much longer than usual a promotion takes.
    pub promotion: TimeSpan,
    /// How long the restart after a promotion waits for old sessions (H30). CloudNativePG's own default is 180s.
    pub smart_shutdown_timeout: Seconds,
    /// How long a demotion's fast shutdown may take. CloudNativePG's own default is 1h.
    pub switchover_delay: Seconds,
    /// What the operator never finishes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stuck: Option<OperatorTask>,
    /// Where its times come from.
    pub times: OperatorTimes,
    /// True: it leaves `archive_mode` at `always`, so that no restart follows a promotion.
    #[serde(deserialize_with = "flag")]
    pub keeps_archive_mode: bool,
}

/// Where the operator's times come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OperatorTimes {
    /// Those of an idle machine.
    Usual,
    /// Drawn from the spread of all recordings, those of a busy machine among them.
    Recorded,
}

impl Default for OperatorWorld {
    fn default() -> Self {
        Self {
            demotion: TimeSpan::default(),
            last_write: TimeSpan::default(),
            promotion: TimeSpan::default(),
            smart_shutdown_timeout: Seconds(0),
            switchover_delay: Seconds(8),
            stuck: None,
            times: OperatorTimes::Usual,
            keeps_archive_mode: false,
        }
    }
}

/// What an operator does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OperatorTask {
    /// A primary half becomes a replica.
    Demotion,
    /// A replica half becomes primary.
    Promotion,
}

/// The role secrets of both halves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SecretsWorld {
    /// Whether they are alike (H33).
    #[serde(deserialize_with = "flag")]
    pub agree: bool,
    /// True: the database has another password than both of them say (H53).
    #[serde(deserialize_with = "flag")]
    pub rotated: bool,
}

impl Default for SecretsWorld {
    fn default() -> Self {
        Self { agree: true, rotated: false }
    }
}

/// Records, their publisher and the resolvers elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct DnsWorld {
    /// By what records are published.
    pub publisher: PublisherWord,
    /// Whether the server can run the LUA records it accepts (H19).
    pub lua: LuaWorld,
    /// Time to live of the records.
    pub ttl: Seconds,
    /// Selector of the LUA records.
    pub selector: SelectorWord,
    /// Authoritative servers of the zone. 2: `dns2` stands beside `dns`, on the same database, with caches of its own.
    #[serde(deserialize_with = "authorities")]
    #[schemars(range(min = 1, max = 2))]
    pub authorities: u32,
    /// Whether vantage resolvers are configured.
    #[serde(deserialize_with = "flag")]
    pub vantages: bool,
}

impl Default for DnsWorld {
    fn default() -> Self {
        Self {
            publisher: PublisherWord::PowerDns,
            lua: LuaWorld::Ok,
            ttl: Seconds(30),
            selector: SelectorWord::Ifurlup,
            authorities: 1,
            vantages: true,
        }
    }
}

/// A publisher of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PublisherWord {
    /// PowerDNS's own API.
    PowerDns,
    /// A pool domain manager on a host `pdm`: it only takes records, and shows none.
    Pdm,
    /// None is configured.
    None,
}

/// What becomes of a LUA record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum LuaWorld {
    /// It is accepted and run.
    Ok,
    /// It is accepted, and every query for it answers SERVFAIL.
    Broken,
}

/// Selector of a LUA record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SelectorWord {
    /// `ifurlup`.
    Ifurlup,
    /// `pickclosest`.
    Pickclosest,
    /// `pickwhashed`.
    Pickwhashed,
    /// `pickfirst`: no DNS server has it, so it blocks.
    Pickfirst,
}

/// Clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct WorkloadWorld {
    /// How many, in both regions together. 0: none.
    #[serde(deserialize_with = "clients")]
    #[schemars(range(max = 200))]
    pub clients: u32,
    /// How many writes a second they try, all together.
    #[serde(deserialize_with = "writes")]
    #[schemars(range(min = 1, max = 1000))]
    pub writes_per_second: u32,
    /// One client keeps its session to the standby open over its promotion (H30).
    #[serde(deserialize_with = "flag")]
    pub held_session: bool,
}

impl Default for WorkloadWorld {
    fn default() -> Self {
        Self { clients: 4, writes_per_second: 20, held_session: false }
    }
}

/// A number in a range. A world outside of it is no world: it would never end, or would not fit into memory.
fn number<'de, D: Deserializer<'de>>(deserializer: D, range: RangeInclusive<u32>) -> Result<u32, D::Error> {
    let number = whole(deserializer, u64::from(*range.start())..=u64::from(*range.end()))?;
    Ok(u32::try_from(number).expect("it is within bounds of 32 bits"))
}

fn drift<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    number(deserializer, 0..=50)
}

fn authorities<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    number(deserializer, 1..=2)
}

fn clients<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    number(deserializer, 0..=200)
}

fn writes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    number(deserializer, 1..=1000)
}

fn tick<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TimeSpan, D::Error> {
    let tick = TimeSpan::deserialize(deserializer)?;
    if (Duration::from_millis(1)..=Duration::from_secs(1)).contains(&tick.0) {
        return Ok(tick);
    }
    Err(mistake(format!("{tick} is out of range"), "expected 1ms to 1s".into()))
}

fn workload<'de, D: Deserializer<'de>>(deserializer: D) -> Result<WorkloadWorld, D::Error> {
    let workload = WorkloadWorld::deserialize(deserializer)?;
    if workload.held_session && workload.clients == 0 {
        let hint = "give it a client, or leave `heldSession` out";
        return Err(mistake("a held session without clients".into(), hint.into()));
    }
    Ok(workload)
}

fn held_session_without_clients() -> serde_json::Value {
    serde_json::json!({
        "required": ["clients", "heldSession"],
        "properties": { "clients": { "const": 0 }, "heldSession": { "const": true } },
    })
}
