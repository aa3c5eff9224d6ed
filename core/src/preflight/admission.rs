//! Steps 2 and 6: whether the API servers would take the changes of role, as they said when they were tried.
//! A dead webhook, a policy or an invalid change is found here, before writes are stopped.

use super::{Case, Findings, Id};
use crate::name::Region;
use crate::observe::{Role, Seen};

pub(super) fn look(case: &Case, out: &mut Findings) {
    let (from, to) = (&case.plan.from, &case.plan.to);
    tried(case, from, ("demotion", Role::Primary), Id::DemotionAdmitted, out);
    tried(case, to, ("promotion", Role::Replica), Id::PromotionAdmitted, out);
}

fn tried(case: &Case, region: &Region, (change, of): (&str, Role), id: Id, out: &mut Findings) {
    // What keeps a change from being tried is named already: a half that is not there, has the other role, or is
    // about to change it. And what is redundant is not asked for.
    let Some(cluster) = case.seen().half(region).cluster.known() else { return };
    if case.redundant() || cluster.role != of || cluster.in_progress || lacks_right(case, region) {
        return;
    }
    let name = &cluster.object.name;
    match case.seen().admitted.get(region) {
        Some(Seen::Is(Ok(()))) => {}
        Some(Seen::Is(Err(cause))) => {
            out.add(id, format!("the {change} of {name} would be refused (tried with dryRun=All): {cause}"));
        }
        look => {
            let cause = look.and_then(Seen::why).unwrap_or_else(|| "not looked at".into());
            out.add(id, format!("whether the {change} of {name} would be taken is not known: {cause}"));
        }
    }
}

/// The right that is missing is named as such.
fn lacks_right(case: &Case, region: &Region) -> bool {
    let missing = case.seen().rights.get(region.as_str()).and_then(Seen::known);
    missing.is_some_and(|missing| missing.iter().any(|right| right == "patch clusters"))
}
