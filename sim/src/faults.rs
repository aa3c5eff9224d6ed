//! Faults as data: what goes wrong, and when. A schedule of them can be saved, replayed and shrunk.
//!
//! ```text
//!   schedule --arm--> FaultBoard --due--> world: partitions, crashes, a stuck operator ...
//!                         '------gate---> servers: this request is delayed, refused, its reply lost ...
//! ```
//!
//! The board decides and keeps count; it hurts nothing itself. Moments are those of ground truth.

mod board;
mod felt;
mod steps;

pub use board::{FaultBoard, FaultId, Question, Struck};

use std::fmt;
use std::time::Duration;

/// A fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// When.
    pub trigger: Trigger,
    /// What.
    pub kind: Kind,
    /// It ends this long after it began. Absent: when it is healed, or has struck often enough.
    pub lasts: Option<Duration>,
}

/// When a fault begins. What has happened before it was armed does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// At this time since the start of the run; at once where that is past.
    At(Duration),
    /// When the stored record shows that this step started. A request fault hits the step's first changing
    /// request before it is applied; of step 1, whose start is itself a write, that one.
    Before(u8),
    /// When the world shows this step's effect. A request fault hits the step's first changing request after it
    /// was applied.
    After(u8),
    /// When the n-th changing request for this object arrives, `clusters/shop-fsn`, counted from 1. What the region's
    /// own operator and instance manager write does not count.
    OnWrite {
        /// The object.
        what: String,
        /// Which.
        nth: u32,
    },
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Single requests to one server.
    Request(RequestFault),
    /// A part of the world.
    World(WorldFault),
    /// Nothing goes wrong: somebody does something then. What, whoever conducts the run knows.
    Deed,
}

/// A fault of single requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestFault {
    /// Host of the server: `api.fsn`, `dns`, `nats`.
    pub server: String,
    /// Only requests of this host. Absent: of all, but where `what` or `times` is given not those of the region's own
    /// operator and instance manager.
    pub from: Option<String>,
    /// Only requests for this object, `clusters/shop-fsn`.
    pub what: Option<String>,
    /// Only requests that change something.
    pub changing: bool,
    /// So many requests. Absent: one where a step or a write is named, else all.
    pub times: Option<u32>,
    /// What becomes of them.
    pub does: Does,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Does {
    /// It is applied, and nobody is told.
    LoseReply,
    /// It is applied this much later, whatever its client does meanwhile.
    DelayRequest(Duration),
    /// It is applied, and its client is told this much later.
    DelayReply(Duration),
    /// It is answered with this status code.
    Answer(u16),
    /// It is not answered.
    Hang,
}

/// A fault of a part of the world, carried out by whoever conducts the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorldFault {
    /// Two hosts do not reach each other.
    Partition(String, String),
    /// The first host does not reach the second.
    PartitionOneWay(String, String),
    /// The way between two hosts takes this long.
    Latency(String, String, Duration),
    /// Ends faults.
    Heal(Scope),
    /// A host loses its power.
    Crash(String),
    /// A crashed host starts.
    Restart(String),
    /// A host's software stands still.
    Pause(String),
    /// A paused host goes on.
    Resume(String),
    /// The operator of this region never finishes this.
    OperatorStuck(String, Task),
    /// The operator of this region takes this much longer.
    OperatorSlow(String, Task, Duration),
    /// The standby's replay stays this far behind.
    Lag(Duration),
    /// The standby's replay stands still.
    ReplayPaused,
    /// A host's clocks are wrong.
    Skew(String, Skew),
    /// Something befalls every host of a region.
    Region(String, Blow),
    /// PostgreSQL of this region is killed without a shutdown (H31).
    KillPostgres(String),
    /// The demotion token of this region's half vanishes.
    DropToken(String),
    /// The audit stream misbehaves.
    Audit(AuditFault),
    /// The DNS server misbehaves.
    Dns(DnsFault),
}

/// How a host's clocks are wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skew {
    /// Its wall clock is so far from the right time, ms; below 0: behind.
    pub offset_ms: i64,
    /// Its clocks go so much faster than they should, in percent; below 0: slower.
    pub faster_percent: i32,
}

/// What befalls a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blow {
    /// Every host loses its power.
    Crash,
    /// No host of it reaches a host elsewhere, nor the other way round.
    Partition,
}

/// What an operator does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Task {
    /// A primary half becomes a replica.
    Demotion,
    /// A replica half becomes primary.
    Promotion,
}

/// How the audit stream misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditFault {
    /// It refuses what is published.
    Refuse,
    /// It neither stores nor acknowledges.
    Hang,
}

/// How the DNS server misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DnsFault {
    /// Its API refuses every change.
    Refuse,
    /// Its API never answers.
    Hang,
    /// Its API says that a change was made, and the old is answered.
    Lie,
    /// It accepts LUA records, and answers SERVFAIL for them (H19).
    Broken,
    /// Its API shows LUA records and changes none (H51).
    ReadOnlyLua,
}

/// Which faults are ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All.
    All,
    /// Those of this host.
    Host(String),
    /// Those between these two hosts.
    Between(String, String),
    /// What befell this region as a whole.
    Region(String),
}

impl Scope {
    /// Whether it covers what is about these hosts.
    pub(crate) fn covers(&self, hosts: &[&str]) -> bool {
        match self {
            Scope::All => true,
            Scope::Host(host) => hosts.contains(&host.as_str()),
            Scope::Between(a, b) => hosts.contains(&a.as_str()) && hosts.contains(&b.as_str()),
            Scope::Region(_) => false,
        }
    }
}

/// The hosts that stand in a region.
pub(crate) fn hosts_of(region: &str) -> Vec<String> {
    ["api", "controller", "operator", "pg", "clients"].map(|part| format!("{part}.{region}")).to_vec()
}

impl WorldFault {
    /// Whether healing in this scope ends it.
    fn is_in(&self, scope: &Scope) -> bool {
        match (self, scope) {
            // All of it, or none of it.
            (WorldFault::Region(region, _), Scope::Region(of)) => region == of,
            (WorldFault::Region(..), scope) => *scope == Scope::All,
            _ => {
                let hosts = self.hosts();
                scope.covers(&hosts.iter().map(String::as_str).collect::<Vec<_>>())
            }
        }
    }

    /// Whether it goes on until it is ended. Others happen once.
    pub fn goes_on(&self) -> bool {
        !matches!(
            self,
            WorldFault::Heal(_)
                | WorldFault::Restart(_)
                | WorldFault::Resume(_)
                | WorldFault::KillPostgres(_)
                | WorldFault::DropToken(_)
        )
    }

    /// The hosts it is about.
    fn hosts(&self) -> Vec<String> {
        match self {
            WorldFault::Partition(a, b) | WorldFault::PartitionOneWay(a, b) | WorldFault::Latency(a, b, _) => {
                vec![a.clone(), b.clone()]
            }
            WorldFault::Crash(host)
            | WorldFault::Restart(host)
            | WorldFault::Pause(host)
            | WorldFault::Resume(host) => vec![host.clone()],
            WorldFault::OperatorStuck(region, _) | WorldFault::OperatorSlow(region, ..) => {
                vec![format!("operator.{region}")]
            }
            WorldFault::KillPostgres(region) => vec![format!("pg.{region}")],
            WorldFault::DropToken(region) => vec![format!("api.{region}")],
            WorldFault::Audit(_) => vec!["nats".into()],
            WorldFault::Dns(_) => vec!["dns".into()],
            WorldFault::Skew(host, _) => vec![host.clone()],
            WorldFault::Heal(_) | WorldFault::Region(..) | WorldFault::Lag(_) | WorldFault::ReplayPaused => Vec::new(),
        }
    }

    /// Its kind, in one to three words.
    pub fn label(&self) -> &'static str {
        match self {
            WorldFault::Partition(..) => "partition",
            WorldFault::PartitionOneWay(..) => "one-way partition",
            WorldFault::Latency(..) => "delay",
            WorldFault::Heal(_) => "heal",
            WorldFault::Crash(_) => "crash",
            WorldFault::Restart(_) => "restart",
            WorldFault::Pause(_) => "pause",
            WorldFault::Resume(_) => "resume",
            WorldFault::OperatorStuck(..) => "operator stuck",
            WorldFault::OperatorSlow(..) => "operator slow",
            WorldFault::Lag(_) => "lag",
            WorldFault::ReplayPaused => "replay paused",
            WorldFault::Skew(..) => "skew",
            WorldFault::Region(_, Blow::Crash) => "region crash",
            WorldFault::Region(_, Blow::Partition) => "region cut off",
            WorldFault::KillPostgres(_) => "kill postgres",
            WorldFault::DropToken(_) => "drop token",
            WorldFault::Audit(_) => "audit",
            WorldFault::Dns(_) => "dns",
        }
    }

    /// What it is about.
    pub fn detail(&self) -> String {
        match self {
            WorldFault::Partition(a, b) => format!("{a} <-> {b}"),
            WorldFault::PartitionOneWay(a, b) => format!("{a} -> {b}"),
            WorldFault::Latency(a, b, by) => format!("{a} <-> {b}, {}", seconds(*by)),
            WorldFault::Heal(Scope::All) => "everything".into(),
            WorldFault::Heal(Scope::Host(host)) => host.clone(),
            WorldFault::Heal(Scope::Region(region)) => region.clone(),
            WorldFault::Heal(Scope::Between(a, b)) => format!("{a} <-> {b}"),
            WorldFault::Crash(host)
            | WorldFault::Restart(host)
            | WorldFault::Pause(host)
            | WorldFault::Resume(host) => host.clone(),
            WorldFault::OperatorStuck(region, task) => format!("{task} in {region}"),
            WorldFault::OperatorSlow(region, task, by) => format!("{task} in {region}, {} more", seconds(*by)),
            WorldFault::Lag(by) => seconds(*by),
            WorldFault::ReplayPaused => "on the standby".into(),
            WorldFault::Skew(host, skew) => format!("{host}, {skew}"),
            WorldFault::Region(region, _) => region.clone(),
            WorldFault::KillPostgres(region) | WorldFault::DropToken(region) => region.clone(),
            WorldFault::Audit(AuditFault::Refuse) | WorldFault::Dns(DnsFault::Refuse) => "refuses".into(),
            WorldFault::Audit(AuditFault::Hang) | WorldFault::Dns(DnsFault::Hang) => "hangs".into(),
            WorldFault::Dns(DnsFault::Lie) => "lies".into(),
            WorldFault::Dns(DnsFault::Broken) => "cannot run LUA records".into(),
            WorldFault::Dns(DnsFault::ReadOnlyLua) => "takes no LUA records".into(),
        }
    }
}

impl RequestFault {
    /// Its kind, in one to three words.
    pub fn label(&self) -> String {
        match self.does {
            Does::LoseReply => "lose reply".into(),
            Does::DelayRequest(by) => format!("delay request {}", seconds(by)),
            Does::DelayReply(by) => format!("delay reply {}", seconds(by)),
            Does::Answer(status) => format!("answer {status}"),
            Does::Hang => "hang".into(),
        }
    }

    /// Which requests it is about: `api.hel -> controller.hel`.
    pub fn detail(&self) -> String {
        let mut detail = self.server.clone();
        if let Some(from) = &self.from {
            detail = format!("{detail} -> {from}");
        }
        if let Some(what) = &self.what {
            detail = format!("{detail}, {what}");
        }
        detail
    }
}

impl fmt::Display for Skew {
    /// `5.0 s ahead, 2 % faster`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if self.offset_ms != 0 {
            let way = if self.offset_ms > 0 { "ahead" } else { "behind" };
            parts.push(format!("{} {way}", seconds(Duration::from_millis(self.offset_ms.unsigned_abs()))));
        }
        if self.faster_percent != 0 {
            let way = if self.faster_percent > 0 { "faster" } else { "slower" };
            parts.push(format!("{} % {way}", self.faster_percent.unsigned_abs()));
        }
        f.write_str(&parts.join(", "))
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Task::Demotion => "demotion",
            Task::Promotion => "promotion",
        })
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trigger::At(at) => write!(f, "at {}", seconds(*at)),
            Trigger::Before(step) => write!(f, "before step {step}"),
            Trigger::After(step) => write!(f, "after step {step}"),
            Trigger::OnWrite { what, nth } => write!(f, "on write {nth} of {what}"),
        }
    }
}

impl fmt::Display for Fault {
    /// `lose reply api.hel before step 6`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Request(fault) => write!(f, "{} {}", fault.label(), fault.detail())?,
            Kind::World(fault) => write!(f, "{} {}", fault.label(), fault.detail())?,
            Kind::Deed => write!(f, "a deed")?,
        }
        write!(f, " {}", self.trigger)?;
        match self.lasts {
            Some(lasts) => write!(f, " for {}", seconds(lasts)),
            None => Ok(()),
        }
    }
}

/// `12.4 s`.
fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
