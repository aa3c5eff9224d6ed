//! Not the holder: this region's half must not write, whoever told it to (PROTOCOL 7, `yield`). Any controller may
//! make its own half less writable (2.2), so the record that was read last is enough to act on.

use super::permit::newer_claim;
use super::stalled::stalled_for_good;
use super::standing::{Object, Place};
use super::upkeep::Upkeep;
use super::{Action, Change, Decision, NAME_UNKNOWN, cluster_write, demotion, name_of_other};
use crate::observe::{Claim, ClusterView, Role, Seen};
use crate::ports::ClusterChange;
use crate::record::{Intent, Record};
use crate::term::over_after;
use std::time::Duration;

/// See the module. `stood_still`: for how long this process has seen the record in its present version.
pub fn give_way(place: &Place<'_>, upkeep: &Upkeep, stood_still: Duration) -> Decision {
    let own = own_half(place, upkeep);
    // Its own half comes first: fencing it needs no witness, and taking the record back does.
    let waits = matches!(own, Decision::Rest(_)) && upkeep.may_try(&Object::Record, place.at);
    let intent = place.record.intent.as_ref().filter(|_| waits);
    intent.and_then(|intent| take_back(place, intent, stood_still)).unwrap_or(own)
}

fn own_half(place: &Place<'_>, upkeep: &Upkeep) -> Decision {
    let cluster = match &place.own().cluster {
        Seen::Is(cluster) => cluster,
        unseen => return Decision::Rest(unseen.why().map(|why| format!("its own half is not seen: {why}"))),
    };
    if cluster.role == Role::Replica && !place.own().takes_writes() || is_promoted(place.record, cluster, place) {
        return Decision::Rest(None);
    }
    if never_moved(place.record, cluster) {
        return Decision::Rest(Some(format!(
            "{} says that it is primary, and {} holds the lease: a person has to decide which half is, and demote the \
             other",
            cluster.object,
            place.record.holder.as_ref().map_or("nobody", |holder| holder.as_str())
        )));
    }
    demote(place, upkeep, cluster)
}

/// Fence and demotion in one patch. A half that was told so already is carried out by its operator.
fn demote(place: &Place<'_>, upkeep: &Upkeep, cluster: &ClusterView) -> Decision {
    let object = Object::Half(place.me.clone());
    let claim = Claim { generation: place.record.generation, intent: format!("give-way/{}", place.me) };
    if let Some(newer) = newer_claim(cluster, place.record) {
        return Decision::Rest(Some(newer));
    }
    let change = if cluster.role == Role::Replica && (cluster.in_progress || cluster.fenced) {
        if !stalled_for_good(place.own()) {
            return Decision::Rest(Some("its half still takes writes; its demotion is in progress".into()));
        }
        ClusterChange::Fence
    } else {
        match name_of_other(place.other(), cluster) {
            Some(primary) => demotion(place.own(), primary),
            None => return Decision::Rest(Some(NAME_UNKNOWN.into())),
        }
    };
    if !upkeep.may_try(&object, place.at) {
        return Decision::Rest(Some(upkeep.cause(&object).unwrap_or("its half is being demoted").to_owned()));
    }
    let write = cluster_write(place.me, cluster, claim, change);
    Decision::Keep(object, Action::Cluster(write))
}

/// Whether an intent that stands had this half promoted: the lease is on its way back to it, or came from it.
fn is_promoted(record: &Record, cluster: &ClusterView, place: &Place<'_>) -> bool {
    record.intent.as_ref().is_some_and(|intent| {
        let ours = |claim: &Claim| {
            let purpose = claim.purpose();
            purpose.strip_suffix("/undo").unwrap_or(purpose) == intent.id
        };
        intent.to() == place.me && intent.past_return() && cluster.claim.as_ref().is_some_and(ours)
    })
}

/// Installed on two primaries: no half was ever written, and stopping a database is not the installation's business.
fn never_moved(record: &Record, cluster: &ClusterView) -> bool {
    record.sequence == 0 && cluster.claim.is_none()
}

/// Rule 2.11: the new region fell silent after the swap and before its promotion, so the old one turns back.
fn take_back(place: &Place<'_>, intent: &Intent, stood_still: Duration) -> Option<Decision> {
    let waits = intent.from() == place.me && !intent.past_return() && place.record.held_by(intent.to());
    let over = stood_still >= over_after(&intent.plan.lease);
    (waits && over).then(|| {
        let reason = format!("the controller of {} fell silent before the promotion", intent.to());
        let seen = Box::new(place.record.clone());
        Decision::Keep(Object::Record, Action::Record(Change::TakeBack { seen, reason }))
    })
}
