//! Whether a fault was felt by anybody. One that never delayed, changed or failed anything has not fired: a run that
//! survives it has survived nothing.

use super::{AuditFault, Blow, DnsFault, WorldFault, hosts_of};
use crate::gate::Asked;

/// Hosts of which nothing is heard unless somebody asks them.
const ASKED_ONLY: [&str; 5] = ["api.", "dns", "pdm", "nats", "vantage"];

const CONTROLLER: &str = "controller.";

impl WorldFault {
    /// Whether it is felt by nature: what it does happens, whoever asks. Others have to be seen to hurt.
    pub(super) fn is_felt_at_once(&self) -> bool {
        match self {
            // It ends the watches of controllers.
            WorldFault::Crash(host) if host.starts_with("api.") && host != "api.witness" => true,
            WorldFault::Crash(host) | WorldFault::Pause(host) => !ASKED_ONLY.iter().any(|part| host.starts_with(part)),
            WorldFault::Partition(..)
            | WorldFault::PartitionOneWay(..)
            | WorldFault::Latency(..)
            | WorldFault::Lag(_)
            | WorldFault::ReplayPaused
            | WorldFault::Audit(_)
            | WorldFault::Dns(_)
            | WorldFault::Region(_, Blow::Partition) => false,
            WorldFault::Region(_, Blow::Crash)
            | WorldFault::Skew(..)
            | WorldFault::Heal(_)
            | WorldFault::Restart(_)
            | WorldFault::Resume(_)
            | WorldFault::OperatorStuck(..)
            | WorldFault::OperatorSlow(..)
            | WorldFault::KillPostgres(_)
            | WorldFault::DropToken(_) => true,
        }
    }

    /// Whether it is felt by who sends something on this way, on which nothing passes as it should.
    pub(super) fn is_felt_between(&self, from: &str, to: &str) -> bool {
        let either = |a: &str, b: &str| (from == a && to == b) || (from == b && to == a);
        let by_controllers =
            |host: &str| (from == host && to.starts_with(CONTROLLER)) || (to == host && from.starts_with(CONTROLLER));
        match self {
            WorldFault::Partition(a, b) | WorldFault::Latency(a, b, _) => either(a, b),
            WorldFault::PartitionOneWay(a, b) => from == a && to == b,
            WorldFault::Crash(host) | WorldFault::Pause(host) => to == host,
            WorldFault::Audit(AuditFault::Hang) => by_controllers("nats"),
            WorldFault::Dns(DnsFault::Hang) => by_controllers("dns"),
            WorldFault::Region(region, Blow::Partition) => {
                let hosts = hosts_of(region);
                let within = |host: &str| hosts.iter().any(|other| other == host);
                within(from) != within(to)
            }
            _ => false,
        }
    }

    /// Whether it is felt by who asks this of a server.
    pub(super) fn is_felt_by(&self, asked: &Asked) -> bool {
        match self {
            WorldFault::Audit(AuditFault::Refuse) => asked.server == "nats",
            WorldFault::Dns(DnsFault::Refuse | DnsFault::Lie | DnsFault::Broken | DnsFault::ReadOnlyLua) => {
                (asked.server == "dns" || asked.server == "pdm") && (asked.changing || asked.trial)
            }
            _ => false,
        }
    }

    /// Whether it is felt where a standby has received what it has not replayed.
    pub(super) fn is_felt_in_replay(&self) -> bool {
        matches!(self, WorldFault::Lag(_) | WorldFault::ReplayPaused)
    }
}
