//! What a controller concludes from what it knows of its Continuum: pure functions.

use crate::name::{ObjectName, Region};
use crate::observe::{Accepts, Half, Role, Seen};
use crate::plan::{Plan, short_hash};
use crate::record::{Lineage, Record};
use crate::requests;
use crate::spec::Spec;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// The patch that brings a copy's spec in line with the record, where it is not: after a switchover the
/// acting primary, with the former one first among the standbys; what was served or answered, reset. A
/// person who changes `primaryRegion` by hand starts nothing.
pub(super) fn mended(record: &Record, spec: &Spec) -> Option<Value> {
    if record.intent.is_some() {
        return None;
    }
    let mut patch = serde_json::Map::new();
    if let Lineage::Of { region, .. } = &record.lineage
        && spec.standbys.contains(region)
    {
        let led = spec.led_by(region);
        patch.insert("primaryRegion".into(), json!(led.primary));
        patch.insert("hotStandbyRegions".into(), json!(led.standbys));
    }
    if spec.switchover.as_ref().is_some_and(|s| record.served.contains(&requests::of_switchover(s))) {
        patch.insert("switchover".into(), json!({ "requested": false, "confirmedFingerprint": null }));
    }
    // An answer that is left standing would be the answer to the next failback too, in whichever copy.
    let failback = &spec.failback;
    let served = failback.requested_at.is_some() && requests::failback_served(record, spec);
    let answered = failback.requested_at.is_none() && (failback.approved || failback.refused);
    if record.pending.is_none() && (served || answered) {
        patch.insert(
            "failback".into(),
            json!({
                "requested": false, "approved": false, "approvedAt": null, "approvedBy": null, "refused": false,
            }),
        );
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

/// Whether this region may take a free record, and the timeline its half stands on (absent: neither half is
/// primary yet, and the spec names this region); else why not.
pub(super) fn may_acquire(
    me: &Region,
    spec: &Spec,
    halves: &BTreeMap<Region, Half>,
) -> Result<Option<u32>, &'static str> {
    let says_primary = |half: &Half| half.cluster.known().is_some_and(|c| c.role == Role::Primary);
    let own = halves.get(me).ok_or("the halves were not looked at yet")?;
    if says_primary(own) {
        // Where both say primary, a person has to decide which one is.
        let both = halves.iter().any(|(region, half)| region != me && says_primary(half));
        let takes_writes = match &own.database {
            Seen::Is(database) => database.accepts == Accepts::Yes,
            Seen::Unconfigured => true,
            _ => false,
        };
        let timeline = own.database.known().and_then(|d| d.timeline);
        let timeline = timeline.or(own.cluster.known().and_then(|c| c.timeline));
        if both {
            return Err(
                "both halves say that they are primary: a person has to decide which one is, and demote the other",
            );
        }
        return if takes_writes {
            Ok(timeline)
        } else {
            Err("its own half is primary, and is not seen to take writes")
        };
    }
    let known_replica = |half: &Half| half.cluster.known().is_some_and(|c| c.role == Role::Replica);
    if !halves.values().all(known_replica) || halves.len() < 2 {
        return Err("its own half is not primary, and the other region takes the lease where its half is");
    }
    if spec.primary == *me {
        Ok(None)
    } else {
        Err("neither half is primary, and spec.primaryRegion is another region")
    }
}

/// The region whose half takes writes, where it is one alone.
pub(super) fn observed_primary(halves: &BTreeMap<Region, Half>) -> Option<Region> {
    let writes = |half: &Half| half.database.known().is_some_and(|d| d.accepts == Accepts::Yes);
    let mut primaries = halves.iter().filter(|(_, half)| writes(half)).map(|(region, _)| region);
    let first = primaries.next()?;
    primaries.next().is_none().then(|| first.clone())
}

/// Lag and streaming from the holder's half to the other.
pub(super) fn replication(record: Option<&Record>, halves: &BTreeMap<Region, Half>) -> (Option<u64>, Option<bool>) {
    let Some(holder) = record.and_then(|r| r.holder.as_ref()) else { return (None, None) };
    let Some(database) = halves.get(holder).and_then(|h| h.database.known()) else { return (None, None) };
    let other = halves.iter().find(|(region, _)| *region != holder).and_then(|(_, h)| h.cluster.known());
    let Some(other) = other else { return (None, None) };
    let lag = database.lag_to(&other.object.name).map(|lag| lag.as_secs());
    let streams = database
        .replicas
        .as_ref()
        .map(|rows| rows.iter().any(|row| row.application_name == other.object.name && row.streaming));
    (lag, streams)
}

/// Why it is not known whether the standby streams, where both halves were looked at.
pub(super) fn standby_unseen(record: Option<&Record>, halves: &BTreeMap<Region, Half>) -> Option<String> {
    let holder = record.and_then(|r| r.holder.as_ref())?;
    let own = halves.get(holder)?;
    let (region, other) = halves.iter().find(|(region, _)| *region != holder)?;
    if own.database == Seen::Unconfigured {
        return None;
    }
    for (region, half) in [(holder, own), (region, other)] {
        if let Some(why) = half.cluster.why() {
            return Some(format!("Cluster of {region}: {why}"));
        }
    }
    if let Some(why) = own.database.why() {
        return Some(format!("PostgreSQL of {holder}: {why}"));
    }
    let database = own.database.known()?;
    database.replicas.is_none().then(|| format!("PostgreSQL of {holder} does not say who streams from it"))
}

/// What became of this region's lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LeaseNews {
    /// Its term ran out before it could be renewed.
    Lost {
        /// Of this generation.
        generation: u64,
    },
    /// Another region has it since.
    Collision {
        /// Which.
        holder: Region,
        /// Under this generation.
        generation: u64,
    },
}

/// Compares the record with the lease that this process had: `had` is the last generation under which it saw
/// time left, `left` what is left now. A process that just started had none, and lost none. A lease that this
/// region's own switchover handed on is not lost either.
pub(super) fn lease_news(me: &Region, had: Option<u64>, left: Duration, record: &Record) -> Option<LeaseNews> {
    let had = had?;
    if record.held_by(me) {
        return (record.generation == had && left.is_zero()).then_some(LeaseNews::Lost { generation: had });
    }
    let holder = record.holder.clone().filter(|_| record.generation > had)?;
    // On the way, or back where the move is undone.
    let handed_on = |from: &Region, to: &Region| (from, to) == (me, &holder) || (from, to) == (&holder, me);
    let by_intent = record.intent.as_ref().is_some_and(|i| handed_on(i.from(), i.to()));
    let by_last = record.last.as_ref().is_some_and(|l| handed_on(&l.from, &l.to));
    (!by_intent && !by_last).then_some(LeaseNews::Collision { holder, generation: record.generation })
}

/// Fingerprint of what decides a plan to whichever region, and whether anything starts one by itself. The same
/// wherever the role stands.
pub(super) fn configuration(name: &ObjectName, spec: &Spec) -> Option<String> {
    let mut regions: Vec<&Region> = spec.regions().collect();
    regions.sort();
    let mut neutral = spec.clone();
    neutral.primary = regions[0].clone();
    neutral.standbys = regions[1..].iter().map(|r| (*r).clone()).collect();
    let plans: Option<Vec<String>> =
        regions.iter().map(|to| Some(Plan::new(name, &neutral, to, None, None).ok()?.fingerprint())).collect();
    Some(short_hash(format!("{}\n{}", plans?.join("\n"), spec.auto_failover).as_bytes()))
}

#[cfg(test)]
mod tests;
