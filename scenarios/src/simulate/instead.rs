//! What was so in place of a condition that did not come to hold, in a few words.

use super::facts;
use crate::format::Condition;
use continuum_sim::world::{REGIONS, World};
use std::collections::BTreeMap;

/// See the module.
pub(super) fn of(world: &World, condition: &Condition) -> String {
    let record = world.watch.record();
    match condition {
        Condition::Converged => unsettled(world),
        Condition::Idle | Condition::SwitchoverUnderWay | Condition::FailbackPending => match record {
            None => "there is no record".into(),
            Some(record) => match (&record.intent, &record.pending) {
                (Some(intent), _) => format!("a switchover to {} is under way", intent.to()),
                (None, Some(pending)) => format!("a failback to {} waits", pending.to),
                (None, None) => "nothing is under way, and no failback waits".into(),
            },
        },
        Condition::Primary(_) => format!("writable: [{}]", facts::writable(world).join(", ")),
        Condition::Holder(_) => format!("holder: {}", facts::holder(world)),
        Condition::Generation(_) => {
            record.map_or("there is no record".into(), |record| format!("generation: {}", record.generation))
        }
        Condition::Event(_) => events(world),
        Condition::LagBelow(_) | Condition::LagAbove(_) => match facts::lag(world) {
            Some(lag) => format!("a lag of {:.1} s", lag.as_secs_f64()),
            None => "no lag, since no half is the only one that takes writes".into(),
        },
        Condition::LastSwitchoverHealthy(_) => match facts::last_switchover_healthy(world) {
            Some(healthy) => format!("lastSwitchoverHealthy: {healthy}"),
            None => "not checked yet, or the check could not run".into(),
        },
        Condition::Elapsed(_) => format!("at {:.1} s", world.now().as_secs_f64()),
    }
}

/// What is missing to rest.
fn unsettled(world: &World) -> String {
    let missing = missing(world);
    if missing.is_empty() { "at rest".into() } else { missing.join("; ") }
}

/// What is missing to begin.
pub(super) fn unready(world: &World) -> String {
    let mut missing = missing(world);
    for region in REGIONS {
        let phase = facts::told_phase(world, region);
        let told = match phase.as_deref() {
            Some("Healthy") => continue,
            Some(phase) => format!("the copy in {region} says {phase}"),
            None => format!("the copy in {region} says nothing yet"),
        };
        if !missing.iter().any(|said| said.starts_with(&told)) {
            missing.push(told);
        }
    }
    missing.join("; ")
}

fn missing(world: &World) -> Vec<String> {
    let (unsettled, owed) = facts::missing(world);
    unsettled.into_iter().chain(owed).collect()
}

fn events(world: &World) -> String {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for stored in world.nats.messages() {
        let kind = stored.message.headers.get("audit-type").cloned();
        *counts.entry(kind.unwrap_or_else(|| "untyped".into())).or_default() += 1;
    }
    let events: Vec<String> = counts.into_iter().map(|(kind, count)| format!("{kind}: {count}")).collect();
    format!("events: {{{}}}", events.join(", "))
}
