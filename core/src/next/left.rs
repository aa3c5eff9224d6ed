//! Routes and records as a move left them, and what somebody else made of them since. They are levels too: looked at
//! before the swap, at the end, and as long as no other move begins.

use super::standing::{Object, Place};
use super::{Action, Case, is_newer, route_write};
use crate::name::Region;
use crate::observe::{Claim, Observations, RouteView, Seen};
use crate::plan::Plan;
use crate::record::{EndResult, FormerWeights, Intent, Left, RecordSet};
use crate::records::{address_parts, addresses_of, change_of, holds, record_sets};
use crate::weights::{self, Weights};

/// Whether the weights that a move leaves are those of its end, or those before it.
#[derive(Clone, Copy)]
enum End {
    Drained,
    Restored,
}

/// Something that clients are led by and that is not as it should be.
pub(super) struct Otherwise {
    /// Which.
    pub object: Object,
    /// What it is.
    pub what: String,
    /// What puts it right.
    pub action: Action,
}

/// The route of this region, where it is not as it should be. One that cannot be seen, or that a newer generation wrote,
/// is left alone.
fn route_otherwise(
    seen: &Observations,
    region: &Region,
    plan: &Plan,
    wanted: impl Fn(&RouteView, &str, &str) -> Weights,
    claim: &Claim,
) -> Option<Otherwise> {
    let view = seen.routes.get(region)?.known()?;
    let (from, to) = (plan.backend(&plan.from), plan.backend(&plan.to));
    let weights = wanted(view, &from, &to);
    if weights::stand(view, &weights) || is_newer(view, claim.generation) {
        return None;
    }
    let weight = |name: &String| Some(format!("{name} {}", view.weight(name)?));
    let stand: Vec<String> = [&from, &to].into_iter().filter_map(weight).collect();
    let write = route_write(region, view, claim.clone(), weights);
    let what = format!("weights set to {}", stand.join(", "));
    Some(Otherwise { object: Object::Route(region.clone()), what, action: Action::Route(write) })
}

/// The records, where these do not stand there.
fn records_otherwise(seen: &Observations, leads_to: &Region, wanted: &[RecordSet]) -> Option<Otherwise> {
    let zone = seen.zone.known()?;
    if wanted.is_empty() || holds(zone, wanted) {
        return None;
    }
    let addresses = addresses_of(&address_parts(&zone.records));
    let addresses = addresses.map(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
    let what = match addresses {
        Some(addresses) if addresses.is_empty() && zone.by_api() => "deleted".to_owned(),
        Some(addresses) if addresses.is_empty() => "changed: they lead to no address".to_owned(),
        Some(addresses) => format!("changed: they lead to {addresses}"),
        None => "changed: where they lead is not understood".to_owned(),
    };
    let action = Action::Publish { leads_to: leads_to.clone(), sets: change_of(Some(zone), wanted) };
    Some(Otherwise { object: Object::Records, what, action })
}

fn of_end(former: &FormerWeights, end: End) -> impl Fn(&RouteView, &str, &str) -> Weights {
    move |view, from, to| match end {
        End::Drained => weights::drained(view, former, from, to),
        End::Restored => weights::restored(view, former, from, to),
    }
}

impl Case<'_> {
    /// A route whose weights are not as step 3 left them any more.
    pub(super) fn weights_set_back(&self) -> Option<Action> {
        routes_brought_otherwise(self.intent, self.seen, &self.claim()).map(|otherwise| otherwise.action).next()
    }
}

fn routes_brought_otherwise(intent: &Intent, seen: &Observations, claim: &Claim) -> impl Iterator<Item = Otherwise> {
    let regions = intent.former.weights.iter();
    regions.filter_map(move |(region, former)| {
        route_otherwise(seen, region, &intent.plan, of_end(former, End::Drained), claim)
    })
}

/// What is not as the move under way brought it. What it undoes is looked at by its undo.
pub(super) fn brought_otherwise(intent: &Intent, seen: &Observations, claim: &Claim) -> Vec<Otherwise> {
    let done = |step: u8| intent.forward() && intent.step(step).finished_at.is_some();
    // A route with this move's claim has had its weights: while requests are drained, too, another's are somebody's.
    let written = |otherwise: &Otherwise| match &otherwise.object {
        Object::Route(region) => {
            let view = seen.routes.get(region).and_then(Seen::known);
            view.and_then(|view| view.claim.as_ref()).is_some_and(|claim| claim.purpose() == intent.id)
        }
        _ => false,
    };
    let routes = routes_brought_otherwise(intent, seen, claim)
        .filter(|otherwise| done(3) || intent.forward() && written(otherwise));
    let records = record_sets(&intent.plan).ok().filter(|_| done(4));
    routes.chain(records.and_then(|wanted| records_otherwise(seen, intent.to(), &wanted))).collect()
}

/// What is otherwise than the last move left it, and what puts it right. `here`: the plan that leads to this
/// region as the resource has it now; where that says something else of routes or records than the move's own plan,
/// a person changed what is wanted, and they are left alone.
pub(super) fn left_otherwise(left: &Left, here: &Plan, seen: &Observations, claim: &Claim) -> Vec<Otherwise> {
    let plan = &left.plan;
    let mut found = Vec::new();
    let succeeded = left.result == EndResult::Succeeded;
    let end = if succeeded { End::Drained } else { End::Restored };
    let leads = if succeeded { &plan.to } else { &plan.from };
    if *leads != here.to {
        return found;
    }
    if plan.route.as_ref().map(|route| &route.object) == here.route.as_ref().map(|route| &route.object) {
        let regions = left.former.weights.iter();
        found.extend(
            regions.filter_map(|(region, former)| route_otherwise(seen, region, plan, of_end(former, end), claim)),
        );
    }
    let same_records = (&plan.zone, &plan.records) == (&here.zone, &here.records);
    let wanted = match left.result {
        EndResult::Succeeded if plan.addresses == here.addresses => record_sets(plan).ok(),
        EndResult::Succeeded => None,
        // What an undo published where nothing shows records is made from the plan: for it, and for names that it found
        // leading elsewhere, the resource decides.
        _ if !left.former.led_home(plan) => None,
        _ if !left.former.led_to.is_empty() && plan.former_addresses != here.addresses => None,
        _ => left.former.records.clone(),
    };
    let wanted = wanted.filter(|_| same_records);
    found.extend(wanted.and_then(|wanted| records_otherwise(seen, leads, &wanted)));
    found
}

/// What a move brought away from here that the record knows nothing of, since it was deleted under way: routes that
/// carry a claim and send nothing here, and records that are exactly what a move away would have published. What stood
/// there before is not known, so they are led here.
pub(super) fn led_away(place: &Place<'_>, claim: &Claim) -> Vec<Otherwise> {
    let (here, seen) = (place.plan, place.seen);
    let Some(away) = place.away.filter(|_| place.record.left.is_none()) else { return Vec::new() };
    let moved =
        |region: &&Region| seen.routes.get(*region).and_then(Seen::known).is_some_and(|view| view.claim.is_some());
    let regions = [&here.from, &here.to].into_iter().filter(moved);
    let led_back = |view: &RouteView, from: &str, to: &str| weights::led_back(view, to, from);
    let routes = regions.filter_map(|region| route_otherwise(seen, region, here, led_back, claim));
    let published = record_sets(away).ok().filter(|sets| !sets.is_empty() && place.record.generation > 1);
    let published = published.zip(seen.zone.known()).is_some_and(|(sets, zone)| zone.is_whole() && holds(zone, &sets));
    let wanted = record_sets(here).ok().filter(|_| published);
    routes.chain(wanted.and_then(|wanted| records_otherwise(seen, &here.to, &wanted))).collect()
}
