//! When a controller could not see, or could not say what it saw, because of a fault on its own way: what its status says
//! then is old, and no lie. Generous on purpose: a fault of what it looks at is none of these.

use crate::faults::{Does, Fault, Kind, WorldFault, hosts_of};
use crate::workload::Span;
use continuum_core::name::Region;
use std::time::Duration;

/// A controller that sees again has looked and told of it within this time.
const AFTERWARDS: Duration = Duration::from_secs(10);

/// The spans, from what struck and when it ended. `witness`: the host that the witness stands on.
pub fn blind(
    spans: &[(Fault, Duration, Option<Duration>)],
    regions: &[Region],
    witness: Option<&str>,
    end: Duration,
) -> Vec<(Region, Span)> {
    let mut blind = Vec::new();
    for (fault, from, to) in spans {
        let span = Span { from: *from, to: to.map_or(end, |to| to + AFTERWARDS) };
        for region in regions {
            let own = [format!("controller.{region}"), format!("api.{region}")];
            let on_its_way = |host: &str| own.iter().any(|own| own == host) || witness == Some(host);
            if hinders(&fault.kind, region, on_its_way) {
                blind.push((region.clone(), span));
            }
        }
    }
    blind
}

fn hinders(kind: &Kind, region: &Region, on_its_way: impl Fn(&str) -> bool) -> bool {
    match kind {
        // One request is tried again.
        Kind::Request(fault) => {
            let lasts = fault.times.is_none_or(|times| times > 2);
            lasts
                && on_its_way(&fault.server)
                && !matches!(fault.does, Does::DelayReply(by) | Does::DelayRequest(by) if by < AFTERWARDS)
        }
        Kind::World(WorldFault::Partition(a, b) | WorldFault::PartitionOneWay(a, b) | WorldFault::Latency(a, b, _)) => {
            on_its_way(a) || on_its_way(b)
        }
        Kind::World(WorldFault::Crash(host) | WorldFault::Pause(host)) => on_its_way(host),
        Kind::World(WorldFault::Region(of, _)) => {
            of == region.as_str() || hosts_of(of).iter().any(|host| on_its_way(host))
        }
        Kind::World(_) | Kind::Deed => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::{Blow, Trigger};

    fn of(fault: WorldFault) -> Vec<String> {
        let fault = Fault { trigger: Trigger::At(Duration::ZERO), kind: Kind::World(fault), lasts: None };
        let regions = [Region::new("fsn"), Region::new("hel")];
        let end = Duration::from_secs(60);
        let found = blind(&[(fault, Duration::ZERO, None)], &regions, Some("api.witness"), end);
        found.into_iter().map(|(region, _)| region.to_string()).collect()
    }

    #[test]
    fn a_controller_is_blind_by_faults_of_its_own_way_and_by_no_others() {
        assert_eq!(of(WorldFault::Crash("controller.fsn".into())), ["fsn"]);
        assert_eq!(of(WorldFault::Partition("controller.hel".into(), "pg.fsn".into())), ["hel"]);
        assert_eq!(of(WorldFault::Pause("api.witness".into())), ["fsn", "hel"]);
        assert_eq!(of(WorldFault::Region("hel".into(), Blow::Partition)), ["hel"]);
        let of_what_it_looks_at = [WorldFault::Crash("pg.fsn".into()), WorldFault::KillPostgres("hel".into())];
        assert!(of_what_it_looks_at.into_iter().all(|fault| of(fault).is_empty()));
    }
}
