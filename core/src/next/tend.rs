//! The holder, and no intent: one half takes writes, it is this region's, and the other follows it. Routes and
//! records lead here. First acquisition, claims and "no half writable" are its cases (PROTOCOL 7).

use super::left::{self, Otherwise};
use super::permit::{Missing, newer_claim, permit};
use super::settle::restart_is_through;
use super::source::{Source, data_source, has_replayed};
use super::stalled::{is_fence_lifted, is_left_fenced, mend};
use super::standing::{Object, Place};
use super::upkeep::Upkeep;
use super::{Action, Change, Decision, NAME_UNKNOWN, cluster_write, demotion, name_of_other};
use crate::name::{ByRegion, ObjectName, Region};
use crate::observe::{Accepts, Claim, ClusterView, Half, Role, Seen};
use crate::ports::ClusterChange;
use crate::record::{Lineage, Record};
use crate::spec::Spec;

/// Which of two halves is primary is for a person to say, where nobody ever claimed either.
const TWO_PRIMARIES: &str =
    "both halves say that they are primary: a person has to decide which one is, and demote the other";

/// See the module.
pub fn tend(place: &Place<'_>, upkeep: &Upkeep) -> Decision {
    let tending = Tending { place, upkeep };
    match tending.halves() {
        Some(keep @ Decision::Keep(..)) => keep,
        // A half that waits, or whose server refuses, keeps nothing else from being put right.
        rest => tending.traffic().or_else(|| tending.in_sync()).or(rest).unwrap_or(Decision::Rest(None)),
    }
}

struct Tending<'a> {
    place: &'a Place<'a>,
    upkeep: &'a Upkeep,
}

impl Tending<'_> {
    fn record(&self) -> &Record {
        self.place.record
    }

    fn claim(&self) -> Claim {
        Claim { generation: self.record().generation, intent: format!("held/{}", self.record().generation) }
    }

    fn claimed(&self, cluster: &ClusterView) -> bool {
        cluster.claim.as_ref().is_some_and(|claim| claim.generation == self.record().generation)
    }

    fn rest(&self, why: impl Into<String>) -> Option<Decision> {
        Some(Decision::Rest(Some(why.into())))
    }

    /// The write, where its pause is over.
    fn write(&self, region: &Region, cluster: &ClusterView, change: ClusterChange, waiting: &str) -> Option<Decision> {
        let object = Object::Half(region.clone());
        if !self.upkeep.may_try(&object, self.place.at) {
            return self.rest(self.upkeep.cause(&object).unwrap_or(waiting));
        }
        Some(Decision::Keep(object, Action::Cluster(cluster_write(region, cluster, self.claim(), change))))
    }

    fn change(&self, change: Change) -> Option<Decision> {
        let waits = !self.upkeep.may_try(&Object::Record, self.place.at);
        if waits {
            return self.rest(self.upkeep.cause(&Object::Record).unwrap_or("the record is being written"));
        }
        Some(Decision::Keep(Object::Record, Action::Record(change)))
    }

    /// What is to be done for the halves; absent: both are as they should be.
    fn halves(&self) -> Option<Decision> {
        let (own, other) = (self.place.own(), self.place.other());
        let cluster = match &own.cluster {
            Seen::Is(cluster) => cluster,
            unseen => return self.rest(format!("its own half is not seen: {}", unseen.why().unwrap_or_default())),
        };
        if let Some(newer) = newer_claim(cluster, self.record()) {
            return self.rest(newer);
        }
        let other_half = self.other_half(cluster);
        if let Some(Decision::Keep(..)) = other_half {
            return other_half;
        }
        let own_half = match cluster.role {
            Role::Replica => self.no_half_writable(cluster),
            Role::Primary if !self.claimed(cluster) => self.claim_own(cluster, other),
            Role::Primary if cluster.fenced => self.rest("its own half is fenced, and not by this product"),
            Role::Primary => self.confirm(cluster),
        };
        match own_half {
            Some(Decision::Keep(..)) => own_half,
            _ => other_half.or(own_half),
        }
    }

    /// The other half does not write and carries this generation's claim. One that is away keeps nothing else from
    /// being done that does not make this half writable.
    fn other_half(&self, own: &ClusterView) -> Option<Decision> {
        let (region, other) = (self.place.other_region(), self.place.other());
        let cluster = other.cluster.known()?;
        if let Some(newer) = newer_claim(cluster, self.record()) {
            return self.rest(newer);
        }
        if cluster.role == Role::Primary || other.takes_writes() {
            if !self.claimed(own) && cluster.claim.is_none() {
                return self.rest(TWO_PRIMARIES);
            }
            if cluster.role == Role::Replica && (cluster.in_progress || cluster.fenced) {
                let why = format!("{} still takes writes; its demotion is in progress", cluster.object);
                return self.mend_or_rest(other, why);
            }
            let demote = demotion(other, own.self_name.clone());
            return self.write(region, cluster, demote, "the other half is being demoted");
        }
        if !self.claimed(cluster) || is_fence_lifted(cluster) {
            return self.write(region, cluster, ClusterChange::Claim, "the other half is being claimed");
        }
        if cluster.in_progress {
            // Its role cannot be changed before, so the next switchover waits for it too.
            return self.mend_or_rest(other, format!("the demotion of {} is in progress", cluster.object));
        }
        // A fence that somebody wants is left on.
        is_left_fenced(other)
            .then(|| self.mend_or_rest(other, format!("the fence of {} outlived its demotion", cluster.object)))?
    }

    /// A demotion of the other half that cannot end by itself is brought there; any other is waited for.
    fn mend_or_rest(&self, other: &Half, why: String) -> Option<Decision> {
        match other.cluster.known().zip(mend(other, self.record())) {
            Some((cluster, change)) => self.write(self.place.other_region(), cluster, change, &why),
            None => self.rest(why),
        }
    }

    /// After a free record was taken: the other half was claimed and is seen to refuse writes, so this one is claimed as
    /// it runs. A half that an older generation made primary since is fenced first (2.6).
    fn claim_own(&self, cluster: &ClusterView, other: &Half) -> Option<Decision> {
        let leads = self.record().lineage.timeline_of(self.place.me).is_some();
        if !leads && cluster.claim.is_some() {
            let Some(primary) = name_of_other(other, cluster) else {
                return self.rest(NAME_UNKNOWN);
            };
            let demote = demotion(self.place.own(), primary);
            return self.write(self.place.me, cluster, demote, "its half is taken from an older generation");
        }
        match permit(self.place.own(), other, self.record()) {
            Ok(_) => self.write(self.place.me, cluster, ClusterChange::Claim, "its own half is being claimed"),
            // Until the other can be seen, its own is left alone.
            Err(Missing::Awaited(why) | Missing::OtherMayWrite(why)) => self.rest(why),
            Err(Missing::OtherUnclaimed) => self.rest("the other half is to be claimed first"),
        }
    }

    /// An interrupted demotion, or somebody told it so: the half is promoted with the token of the newer lineage, once
    /// the other is known not to write.
    fn no_half_writable(&self, cluster: &ClusterView) -> Option<Decision> {
        let (me, other) = (self.place.me, self.place.other_region());
        let permit = match permit(self.place.own(), self.place.other(), self.record()) {
            Ok(permit) => permit,
            Err(Missing::Awaited(why)) => {
                return match mend(self.place.own(), self.record()) {
                    Some(change) => self.write(me, cluster, change, &why),
                    None => self.rest(why),
                };
            }
            Err(Missing::OtherMayWrite(why)) => return self.rest(why),
            Err(Missing::OtherUnclaimed) => return self.rest("the other half is to be claimed first"),
        };
        let lineage = &self.record().lineage;
        let source = data_source(lineage, (me, self.place.own()), (other, self.place.other()), None);
        let token = match source {
            Ok(Source::Own(token)) => token,
            Ok(Source::Other(token)) => {
                if let Err(why) = has_replayed(self.place.own(), &token) {
                    return self.rest(why);
                }
                // Its timeline is confirmed anew once it takes writes.
                if *lineage != Lineage::Unknown {
                    return self.change(Change::Lineage(Lineage::Unknown));
                }
                Some(token.text)
            }
            Err(why) => return self.rest(why),
        };
        let promote = ClusterChange::Promote { primary: cluster.self_name.clone(), token, permit };
        self.write(me, cluster, promote, "its half is being promoted")
    }

    /// The lineage is in doubt from before a promotion until the half takes writes.
    fn confirm(&self, cluster: &ClusterView) -> Option<Decision> {
        if self.record().lineage != Lineage::Unknown {
            return None;
        }
        let database = self.place.own().database.known();
        if !self.place.own().takes_writes() || cluster.ready != Some(true) || !restart_is_through(self.place.own()) {
            return self.rest("its half is primary, and is not seen to take writes yet");
        }
        let timeline = database.and_then(|database| database.timeline).or(cluster.timeline)?;
        self.change(Change::Lineage(Lineage::Of { region: self.place.me.clone(), timeline }))
    }

    /// Routes and records lead where the last move left them, but for what others keep writing.
    fn traffic(&self) -> Option<Decision> {
        let otherwise = match &self.record().left {
            Some(last) => left::left_otherwise(last, self.place.plan, self.place.seen, &self.claim()),
            None => left::led_away(self.place, &self.claim()),
        };
        let Otherwise { object, action, .. } =
            otherwise.into_iter().find(|otherwise| self.upkeep.may_mend(&otherwise.object, self.place.at))?;
        Some(Decision::Keep(object, action))
    }

    /// Synchronous mode: whether the other half has every acknowledged write. What cannot be seen changes nothing.
    fn in_sync(&self) -> Option<Decision> {
        let (own, other) = (self.place.own().cluster.known()?, self.place.other().cluster.known()?);
        let name = &other.object.name;
        let database = self.place.own().database.known().filter(|_| self.place.own().takes_writes())?;
        let required = own.synchronous_to(name);
        let rows = database.replicas.as_ref()?;
        let follows =
            rows.iter().any(|row| row.application_name == *name && row.streaming && row.sync_state != "async");
        // While acknowledging alone is switched off, a standby that is away only stops the primary.
        let in_sync = required && (follows || self.record().in_sync);
        (in_sync != self.record().in_sync).then(|| self.change(Change::InSync(in_sync))).flatten()
    }
}

/// Whether this region takes a free record: its half is the acting primary, or neither is and the spec names it. Else
/// why not.
pub fn acquire(
    me: &Region,
    spec: &Spec,
    halves: &ByRegion<Half>,
    told_of: Option<&ObjectName>,
) -> Result<Change, &'static str> {
    let timeline = may_acquire(me, spec, halves)?;
    let claims = halves.values().filter_map(|half| half.cluster.known()?.claim.as_ref());
    let claimed = claims.map(|claim| claim.generation).max().unwrap_or_default();
    let about = told_of.map(|name| (name.clone(), spec.application.clone()));
    Ok(Change::Acquire { timeline, claimed, ttl_seconds: spec.lease.ttl_seconds, about })
}

/// The timeline its half stands on; absent: neither half is primary yet, and the spec names this region.
fn may_acquire(me: &Region, spec: &Spec, halves: &ByRegion<Half>) -> Result<Option<u32>, &'static str> {
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
            return Err(TWO_PRIMARIES);
        }
        return if takes_writes {
            Ok(timeline)
        } else {
            Err("its own half is primary, and is not seen to take writes")
        };
    }
    match own.cluster {
        Seen::Is(_) => {}
        Seen::Missing => return Err("there is no Cluster of its own half"),
        _ => return Err("its own half cannot be seen, and so not whether it is primary"),
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

#[cfg(test)]
mod tests;
