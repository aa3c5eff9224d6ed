//! What a controller concludes from what it knows of its Continuum: pure functions.

use crate::name::{ByRegion, Region};
use crate::observe::{Accepts, CopyView, Half, Seen};
use crate::preflight;
use crate::record::Record;
use crate::status::Writers;

/// Why a region is none of its own: its copy is another's as well.
pub(super) fn one_object(me: &Region, copies: &ByRegion<Seen<CopyView>>) -> Option<String> {
    let own = copies.get(me)?.known()?;
    let others = copies.iter().filter(|(region, _)| *region != me);
    others
        .filter_map(|(region, copy)| Some((region, copy.known()?)))
        .find_map(|other| preflight::one_object((me, own), other))
}

/// The region whose half takes writes, where it is one alone.
pub(super) fn observed_primary(halves: &ByRegion<Half>) -> Option<Region> {
    let mut primaries = halves.iter().filter(|(_, half)| half.takes_writes()).map(|(region, _)| region);
    let first = primaries.next()?;
    primaries.next().is_none().then(|| first.clone())
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
pub(super) fn standby_unseen(record: Option<&Record>, halves: &ByRegion<Half>) -> Option<String> {
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
