//! What happened in a run that an event may tell of, from the servers: the record as it stood at the witness, the
//! moments of the switchovers, the resource.
//!
//! Not decided here: a lag, and how many returns to health there may be (beside this file); a request whose plan was
//! invalid, since no server knows it.

use crate::ground::{Ground, LeaseWrite};
use crate::servers::kube_api::CONTINUUMS;
use continuum_core::record::{Direction, Intent, Kind};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A move that took so much less than its objective may still have been told as too long.
const LATE_SLACK: Duration = Duration::from_secs(2);

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Happened {
    /// The type of its event.
    pub kind: &'static str,
    /// With what the event's id ends.
    pub fact: String,
    /// From where.
    pub from: Option<String>,
    /// Where to.
    pub to: Option<String>,
    /// It must have been told of, and not only may.
    pub must: bool,
}

/// All that happened.
pub(super) fn all(ground: &Ground) -> Vec<Happened> {
    let mut happened = Vec::new();
    of_moves(ground, &mut happened);
    of_failbacks(ground, &mut happened);
    of_terms(ground, &mut happened);
    for (region, truth) in &ground.regions {
        let first = truth.history.iter().find(|change| *change.resource == CONTINUUMS);
        let Some(object) = first.map(|change| &change.object) else { continue };
        let fact = format!("{region}:{}", object["metadata"]["uid"].as_str().unwrap_or_default());
        let primary = object["spec"]["primaryRegion"].as_str().map(str::to_owned);
        happened.push(Happened { kind: "continuum-cr-created", fact, from: None, to: primary, must: false });
    }
    happened
}

/// The intents, each as the record had it last.
fn intents(ground: &Ground) -> BTreeMap<&str, &Intent> {
    let intents = ground.lease.iter().filter_map(|write| write.record.intent.as_deref());
    intents.map(|intent| (intent.id.as_str(), intent)).collect()
}

/// The steps of each intent that the record ever showed as failed; 0: an abort.
fn failed_steps(ground: &Ground) -> BTreeMap<&str, BTreeSet<u8>> {
    let mut failed: BTreeMap<&str, BTreeSet<u8>> = BTreeMap::new();
    for intent in ground.lease.iter().filter_map(|write| write.record.intent.as_ref()) {
        if let Direction::Undo { step, .. } = &intent.direction {
            failed.entry(&intent.id).or_default().insert(*step);
        }
    }
    failed
}

fn of_moves(ground: &Ground, happened: &mut Vec<Happened>) {
    let intents = intents(ground);
    let failed = failed_steps(ground);
    for move_ in ground.moments.moves() {
        let may_come = move_.ended.is_none() && ground.may_be_left.intent;
        let (from, to) = (Some(move_.from.to_string()), Some(move_.to.to_string()));
        let one = |kind, must| Happened { kind, fact: move_.intent.clone(), from: from.clone(), to: to.clone(), must };
        let intent = intents.get(move_.intent.as_str());
        let promotable = intent.is_some_and(|intent| intent.step(1).finished_at.is_some()) && move_.ended.is_some();
        happened.push(Happened { to: None, ..one("continuum-cnpg-promotable", promotable) });
        if move_.effect(6).is_some() {
            happened.push(one("continuum-switchover", !may_come));
            // How long it took is measured by the controllers, each part by its own clock.
            let lasted = move_.started(1).map(|began| move_.ended.unwrap_or(ground.end).saturating_sub(began));
            let objective = intent.map(|intent| Duration::from_secs(intent.plan.rto_seconds.into()));
            if lasted.zip(objective).is_some_and(|(lasted, objective)| lasted + LATE_SLACK > objective) {
                happened.push(Happened { fact: format!("{}:rto", move_.intent), ..one("continuum-error", false) });
            }
            if intent.is_some_and(|intent| intent.kind == Kind::Failback) {
                happened.push(one("continuum-failback-completed", !may_come));
            }
        }
        // Also where it went forward again afterwards: that the step failed was so.
        for step in failed.get(move_.intent.as_str()).into_iter().flatten() {
            let fact = format!("{}:{step}", move_.intent);
            happened.push(Happened { fact, ..one("continuum-error", move_.ended.is_some()) });
        }
    }
}

fn of_failbacks(ground: &Ground, happened: &mut Vec<Happened>) {
    let mut waited: BTreeMap<&str, Happened> = BTreeMap::new();
    for write in &ground.lease {
        let Some(pending) = &write.record.pending else { continue };
        let began = ground.moments.moves().iter().any(|move_| move_.intent == pending.id);
        waited.entry(&pending.id).or_insert_with(|| Happened {
            kind: "continuum-failback-pending",
            fact: pending.id.clone(),
            from: holder(write),
            to: Some(pending.to.to_string()),
            must: began,
        });
    }
    happened.extend(waited.into_values());
}

/// What follows from who held the lease.
fn of_terms(ground: &Ground, happened: &mut Vec<Happened>) {
    let moved = ground.moments.moves().iter().any(|move_| move_.effect(6).is_some());
    let mut known: BTreeSet<(u64, u64)> = BTreeSet::new();
    let mut lapsed: BTreeSet<(u64, u64)> = BTreeSet::new();
    let mut before: Option<&LeaseWrite> = None;
    let ends = ground.lease.iter().skip(1).map(|write| write.at).chain([ground.end]);
    for (write, end) in ground.lease.iter().zip(ends) {
        let former = before.replace(write);
        let Some(region) = holder(write) else { continue };
        let number = write.record.generation;
        let mut push = |kind, fact: String, from: Option<String>, to: Option<String>, must| {
            happened.push(Happened { kind, fact, from, to, must });
        };
        // A holder that renews for less than half its term may have lost it; the term that it counts is shorter
        // than the one that stands there.
        if end.saturating_sub(write.at) >= Duration::from_secs(u64::from(write.record.ttl_seconds) / 2) {
            // The holder knows its own renewal by the answer, and the last one may have been lost.
            let renewal = write.record.renewal;
            for renewal in [renewal, renewal.saturating_sub(1)].into_iter().filter(|r| lapsed.insert((number, *r))) {
                push("continuum-lease-lost", format!("{number}.{renewal}"), Some(region.clone()), None, false);
            }
        }
        if former.map(|former| former.record.generation) != Some(number) {
            // Also where it was held for a moment. Where the role moved there is a stream; what stood there when the
            // run began was told of before.
            let must = moved && write.by.contains("@controller.");
            push("continuum-lease-acquired", number.to_string(), None, Some(region.clone()), must);
            // A region that hands its lease on, or gives it back, collides with nobody.
            let lost = former.and_then(holder).filter(|former| *former != region);
            if let Some(former) = lost.filter(|former| !write.by.ends_with(&format!("@controller.{former}"))) {
                push("continuum-lease-collision", format!("{former}:{number}"), Some(former), None, false);
            }
        }
        let place = (number, write.record.renewal);
        if write.record.intent.is_none() && known.insert(place) {
            let fact = format!("{number}.{}", place.1);
            push("continuum-reconcile-success", fact, None, Some(region), false);
        }
    }
}

fn holder(write: &LeaseWrite) -> Option<String> {
    write.record.holder.as_ref().map(ToString::to_string)
}
