//! Step 1: the API servers, the two copies of the Continuum, and the new region's controller.

use super::{Case, Findings, Id};
use crate::name::Region;
use crate::observe::CopyView;

/// How far behind the record `status.seen.renewal` of a living controller may be (PROTOCOL 2.8). By as many it may be ahead of
/// it: the two are not read at one moment.
const RENEWALS_BEHIND_MAX: u64 = 2;

pub(super) fn look(case: &Case, out: &mut Findings) {
    let regions = [&case.plan.from, &case.plan.to];
    for region in regions {
        if let Some(cause) = case.api_down(region) {
            out.add(Id::ApiServers, format!("the API server of {region} is not reached: {cause}"));
        }
    }
    let [from, to] = regions.map(|region| copy(case, region, out));
    if let (Some(from), Some(to)) = (from, to)
        && from.agreement_hash != to.agreement_hash
    {
        out.add(
            Id::CopiesAgree,
            format!(
                "the copies of {} in {} and {} differ; bring both to the same spec",
                case.plan.continuum, case.plan.from, case.plan.to
            ),
        );
    }
    if let (Some(from), Some(to)) = (from, to)
        && let Some(why) = one_object((&case.plan.from, from), (&case.plan.to, to))
    {
        out.add(Id::Copies, why);
    }
    // Where the lease is at `to` already there is nobody to hand it to.
    if let Some(to) = to.filter(|_| !case.redundant()) {
        controller_alive(case, to, out);
    }
    auto_failover(case, from.or(to), out);
}

/// Why two regions are none: what is read in both is the same object.
pub(crate) fn one_object(one: (&Region, &CopyView), other: (&Region, &CopyView)) -> Option<String> {
    let ((one, copy), (other, same)) = (one, other);
    (copy.uid == same.uid && !copy.uid.is_empty()).then(|| {
        format!(
            "{one} and {other} lead to the same API server: what is read in both is one object, uid {}; give each region a \
             kubeconfig of its own cluster, or make the copy in {other} anew where that cluster is a restored backup of {one}'s",
            copy.uid
        )
    })
}

fn copy<'a>(case: &Case<'a>, region: &Region, out: &mut Findings) -> Option<&'a CopyView> {
    match case.read(out, region, case.seen().copies.get(region), 1) {
        Ok(copy) => {
            if copy.deleted {
                let text = format!(
                    "the copy of {} in {region} is deleted, and goes once nothing is under way",
                    case.plan.continuum
                );
                out.add(Id::Copies, text);
            }
            if let Err(invalid) = &copy.spec {
                out.add(Id::Copies, format!("the copy of {} in {region} is invalid: {invalid}", case.plan.continuum));
            }
            Some(copy)
        }
        Err(cause) => {
            if let Some(cause) = cause {
                out.add(Id::Copies, format!("no copy of {} read in {region}: {cause}", case.plan.continuum));
            }
            None
        }
    }
}

fn controller_alive(case: &Case, copy: &CopyView, out: &mut Findings) {
    let Some(record) = case.record() else { return };
    let to = &case.plan.to;
    match &copy.seen {
        None => out.add(
            Id::ControllerAlive,
            format!(
                "the controller of {to} never wrote what it read from the witness: it does not run, or \
                 does not reach it"
            ),
        ),
        Some(seen) if seen.renewal.saturating_add(RENEWALS_BEHIND_MAX) < record.renewal => out.add(
            Id::ControllerAlive,
            format!(
                "the controller of {to} last read renewal {} from the witness, which is at {}: it does not run, or \
                 does not reach it",
                seen.renewal, record.renewal
            ),
        ),
        Some(seen) if record.renewal.saturating_add(RENEWALS_BEHIND_MAX) < seen.renewal => out.add(
            Id::ControllerAlive,
            format!(
                "the controller of {to} last read renewal {} from its witness, and this one is at {}: it looks into \
                 another, so bring both to one; or this one was set back",
                seen.renewal, record.renewal
            ),
        ),
        Some(_) => {}
    }
}

/// PROTOCOL 5, outside the assumption: two writers are possible, and a report says so.
fn auto_failover(case: &Case, copy: Option<&CopyView>, out: &mut Findings) {
    let automatic = copy.and_then(|copy| copy.spec.as_ref().ok()).is_some_and(|spec| spec.auto_failover);
    let (Some(source), Some(target)) = (case.source(), case.target()) else { return };
    if automatic && !(source.synchronous_to(&target.object.name) && target.synchronous_to(&source.object.name)) {
        out.add(
            Id::AutoFailover,
            "autoFailover of an asynchronous pair: where all controllers of a region are dead and its API server is \
             cut off while its PostgreSQL lives, a failover leaves two writers",
        );
    }
}
