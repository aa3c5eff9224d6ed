//! After the faults everything came to rest: one half takes writes, its region holds the lease, and the other
//! half follows it on its timeline.

use super::Verdict;
use crate::ground::Ground;
use continuum_core::name::Region;

/// Checks.
pub fn check(ground: &Ground) -> Verdict {
    Verdict::of("converged", String::new(), missing(ground))
}

/// What is missing to rest. Empty: it has converged.
pub fn missing(ground: &Ground) -> Vec<String> {
    let accepting = ground.accepting();
    let primary = match accepting.as_slice() {
        [primary] => *primary,
        [] => return vec!["no half takes writes".into()],
        several => {
            let names: Vec<&str> = several.iter().map(|region| region.as_str()).collect();
            return vec![format!("the halves in {} take writes", names.join(" and "))];
        }
    };
    let mut missing = Vec::new();
    if let Some(record) = ground.record()
        && !record.held_by(primary)
    {
        let holder = record.holder.as_ref().map_or("nobody", Region::as_str);
        missing.push(format!("{primary} is primary and {holder} holds the lease"));
    }
    let timeline = ground.regions.get(primary).map(|region| region.instance.timeline);
    for (region, truth) in ground.regions.iter().filter(|(region, _)| *region != primary) {
        if !truth.instance.streaming {
            missing.push(format!("the half in {region} does not follow {primary}"));
        } else if Some(truth.instance.timeline) != timeline {
            missing.push(format!("the half in {region} follows on timeline {}", truth.instance.timeline));
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::fixture::{entry, lease_write, moved, region};
    use crate::servers::postgres::Event;

    #[test]
    fn two_replicas_are_no_rest() {
        let mut ground = moved();
        ground.journal.push(entry(80.0, "shop-hel", Event::RefusesWrites));
        assert_eq!(check(&ground).evidence, ["no half takes writes"]);
    }

    #[test]
    fn a_lease_elsewhere_and_a_half_that_does_not_follow_are_caught() {
        let mut ground = moved();
        ground.lease.push(lease_write(80.0, "fsn", 3));
        ground.regions.get_mut(&region("fsn")).unwrap().instance.streaming = false;
        let expected = ["hel is primary and fsn holds the lease", "the half in fsn does not follow hel"];
        assert_eq!(check(&ground).evidence, expected);
    }
}
