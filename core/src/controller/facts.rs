//! What a controller concludes from what it knows of its Continuum: pure functions.

use crate::name::{ObjectName, Region};
use crate::observe::{Accepts, Half, Seen};
use crate::plan::{Plan, short_hash};
use crate::record::Record;
use crate::spec::Spec;
use crate::status::Writers;
use std::collections::BTreeMap;
use std::time::Duration;

/// The region whose half takes writes, where it is one alone.
pub(super) fn observed_primary(halves: &BTreeMap<Region, Half>) -> Option<Region> {
    let mut primaries = halves.iter().filter(|(_, half)| half.takes_writes()).map(|(region, _)| region);
    let first = primaries.next()?;
    primaries.next().is_none().then(|| first.clone())
}

/// Lag and streaming from the holder's half to the other.
pub(super) fn replication(
    record: Option<&Record>,
    halves: &BTreeMap<Region, Half>,
) -> (Option<Duration>, Option<bool>) {
    let Some(holder) = record.and_then(|r| r.holder.as_ref()) else { return (None, None) };
    let Some(database) = halves.get(holder).and_then(|h| h.database.known()) else { return (None, None) };
    let other = halves.iter().find(|(region, _)| *region != holder).and_then(|(_, h)| h.cluster.known());
    let Some(other) = other else { return (None, None) };
    let lag = database.lag_to(&other.object.name);
    let streams = database
        .replicas
        .as_ref()
        .map(|rows| rows.iter().any(|row| row.application_name == other.object.name && row.streaming));
    (lag, streams)
}

/// Who takes writes, as far as it was observed.
pub(super) fn writers<'a>(record: Option<&Record>, halves: impl Iterator<Item = (&'a Region, &'a Half)>) -> Writers {
    let Some(holder) = record.and_then(|r| r.holder.as_ref()) else { return Writers::default() };
    let mut writers = Writers::default();
    for (region, half) in halves {
        let Some(database) = half.database.known() else { continue };
        let writes = match database.accepts {
            Accepts::Yes => Some(true),
            Accepts::No => Some(false),
            Accepts::Unknown => None,
        };
        if region == holder {
            writers.holder = writes;
            writers.why_not = database.detail.clone();
        } else if writes == Some(true) {
            writers.other = Some(region.clone());
        }
    }
    writers
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
