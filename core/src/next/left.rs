//! Routes and records as a move left them, and what somebody else made of them since. They are levels too: looked at
//! before the swap, at the end, and as long as no other move begins.

use super::standing::Object;
use super::{Action, Case};
use crate::name::Region;
use crate::observe::{Claim, Observations};
use crate::plan::Plan;
use crate::ports::RouteWrite;
use crate::record::{EndResult, FormerWeights, Left, RecordSet};
use crate::records::{address_parts, record_sets, replacing};
use crate::weights;

/// Whether the weights that a move leaves are those of its end, or those before it.
#[derive(Clone, Copy)]
enum End {
    Drained,
    Restored,
}

/// The write that puts the route of this region right; absent: it is, it cannot be seen, or a newer generation wrote it.
fn put_right(
    seen: &Observations,
    region: &Region,
    plan: &Plan,
    (former, end): (&FormerWeights, End),
    claim: &Claim,
) -> Option<RouteWrite> {
    let view = seen.routes.get(region)?.known()?;
    let (from, to) = (plan.backend(&plan.from), plan.backend(&plan.to));
    let wanted = match end {
        End::Drained => weights::drained(view, former, &from, &to),
        End::Restored => weights::restored(view, former, &from, &to),
    };
    let newer = view.claim.as_ref().is_some_and(|stands| stands.generation > claim.generation);
    (!weights::stand(view, &wanted) && !newer).then(|| RouteWrite {
        region: region.clone(),
        object: view.object.clone(),
        resource_version: view.resource_version.clone(),
        claim: claim.clone(),
        weights: wanted,
    })
}

impl Case<'_> {
    /// A route whose weights are not as step 3 left them any more.
    pub(super) fn weights_set_back(&self) -> Option<RouteWrite> {
        let claim = self.claim();
        let mut regions = self.intent.former.weights.iter();
        regions.find_map(|(region, former)| put_right(self.seen, region, self.plan(), (former, End::Drained), &claim))
    }
}

/// What is otherwise than the last move left it, and the write that puts it right. `here`: the plan that leads to this
/// region as the resource has it now; where that says something else of routes or records than the move's own plan,
/// a person changed what is wanted, and they are left alone.
pub(super) fn left_otherwise(left: &Left, here: &Plan, seen: &Observations, claim: &Claim) -> Vec<(Object, Action)> {
    let plan = &left.plan;
    let mut found = Vec::new();
    let succeeded = left.result == EndResult::Succeeded;
    let end = if succeeded { End::Drained } else { End::Restored };
    let leads = if succeeded { &plan.to } else { &plan.from };
    if *leads != here.to {
        return found;
    }
    if plan.route.as_ref().map(|route| &route.object) == here.route.as_ref().map(|route| &route.object) {
        for (region, former) in &left.former.weights {
            if let Some(write) = put_right(seen, region, plan, (former, end), claim) {
                found.push((Object::Route(region.clone()), Action::Route(write)));
            }
        }
    }
    let same_records = (&plan.zone, &plan.records) == (&here.zone, &here.records);
    let wanted = match left.result {
        EndResult::Succeeded if plan.addresses == here.addresses => record_sets(plan).ok(),
        EndResult::Succeeded => None,
        _ => left.former.records.clone(),
    };
    if let Some(wanted) = wanted.filter(|wanted| same_records && !wanted.is_empty())
        && let Some(zone) = seen.zone.known()
        && !holds(&zone.records, &wanted)
    {
        found.push((Object::Records, Action::Publish(replacing(&wanted, &zone.records))));
    }
    found
}

/// Whether these are the sets that decide addresses. Another beside them would be answered too.
pub(super) fn holds(standing: &[RecordSet], wanted: &[RecordSet]) -> bool {
    let (standing, wanted) = (address_parts(standing), address_parts(wanted));
    standing.len() == wanted.len() && wanted.iter().all(|want| standing.contains(want))
}
