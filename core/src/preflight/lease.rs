//! Steps 1 and 5: the witness, the lease in it, and whether this switchover may be the one.

use super::{Case, Findings, Id};
use crate::name::Region;
use crate::observe::Seen;
use crate::record::{Direction, Former, INTENT_LENGTH_MAX, Intent, Kind, Record};
use crate::records::former_sets;
use crate::spec::LeaseSpec;
use crate::term;
use jiff::Timestamp;

/// What the journal of a switchover adds to its intent at most, bytes: token, times, notes of seven steps.
const JOURNAL_LENGTH_MAX: usize = 8 * 1024;

pub(super) fn look(case: &Case, out: &mut Findings) {
    out.note(1, "a passing dry run does not promise success: what holds now may not hold then");
    if let Some(region) = &case.seen().witness_shares {
        out.add(Id::WitnessApart, format!("the witness stands in {region}'s cluster and is lost with it"));
    }
    let length = intent_length(case);
    if length > INTENT_LENGTH_MAX {
        out.add(
            Id::IntentLength,
            format!(
                "the plan needs {length} bytes in the record, which takes {INTENT_LENGTH_MAX}; name fewer hostnames"
            ),
        );
    }
    if let Some(why) = case.plan.lease.kind.unavailable(case.seen().witness_kind) {
        out.add(Id::WitnessKind, format!("WitnessUnavailable: {why}"));
        return out.unmet(5, "no lease to swap: see step 1");
    }
    register(case, out);
    match &case.facts.witness {
        Seen::Is(Some(record)) => holder(case, record, out),
        Seen::Is(None) | Seen::Missing => {
            out.add(Id::LeaseFree, "the lease was never held; it is taken cold");
            newest_claim(case, 0, out);
        }
        look => {
            let text = match look {
                Seen::Unconfigured => "no witness is configured".to_owned(),
                look => format!("the witness could not be read: {}", look.why().unwrap_or_default()),
            };
            out.add(Id::Witness, text);
            out.unmet(5, "the lease could not be read: see step 1");
        }
    }
}

/// What was not looked at is told where the record could be read: elsewhere that is what is told.
fn register(case: &Case, out: &mut Findings) {
    match &case.seen().witness_shortcomings {
        Seen::Is(found) => {
            found.blockers.iter().for_each(|text| out.add(Id::WitnessKeeps, text.as_str()));
            found.warnings.iter().for_each(|text| out.add(Id::WitnessLasts, text.as_str()));
        }
        look if matches!(case.facts.witness, Seen::Is(_)) => {
            let why = look.why().unwrap_or_default();
            out.add(Id::WitnessKeeps, format!("how the witness keeps the record could not be looked at: {why}"));
        }
        _ => {}
    }
}

fn holder(case: &Case, record: &Record, out: &mut Findings) {
    let generation = record.generation;
    match &record.holder {
        None => out.add(Id::LeaseFree, format!("the lease is free (generation {generation}); it is taken cold")),
        Some(holder) => {
            let held = format!("lease held by \"{holder}\", generation {generation}");
            if *holder == case.plan.to {
                out.add(Id::LeaseRedundant, format!("{held}: the switchover is redundant"));
            } else if *holder == case.plan.from {
                from_holds(case, record, held, out);
            } else {
                out.add(Id::LeaseThirdParty, held.as_str());
                out.add(Id::LeaseThirdPartySwap, held);
            }
        }
    }
    newest_claim(case, generation, out);
    under_way(case, record, out);
    let owed = record.last.as_ref().map(|last| (last, record.owed_of(&last.id).count()));
    if let Some((last, owed)) = owed.filter(|(_, owed)| *owed > 0) {
        out.add(
            Id::EventsOwed,
            format!("{} of {} still owed to the audit stream", count(owed, "event is", "events are"), last.id),
        );
    }
}

fn from_holds(case: &Case, record: &Record, held: String, out: &mut Findings) {
    // The record's own term counts; how far clocks drift is this controller's to say.
    let wait = term::over_after(&LeaseSpec { ttl_seconds: record.ttl_seconds, ..case.plan.lease });
    match case.facts.stale_for {
        Some(stale) if stale >= wait => out.add(
            Id::LeaseRenewed,
            format!(
                "{held}, is not renewed since {} s: a switchover needs its holder; where its region is lost, see \
                 docs/runbook.md#a-region-is-lost",
                stale.as_secs()
            ),
        ),
        Some(_) => out.note(1, held),
        None => out.note(1, format!("{held}; since when it stands unrenewed is not known")),
    }
}

/// A claim that is newer than the record: the witness was set back, or another one is asked.
fn newest_claim(case: &Case, generation: u64, out: &mut Findings) {
    let halves = case.halves().map(|(region, half)| {
        half.cluster
            .known()
            .and_then(|c| c.claim.as_ref().map(|claim| (region, c.object.name.as_str(), claim.generation)))
    });
    let routes = case.seen().routes.iter().filter_map(|(region, route)| {
        let route = route.known()?;
        Some((region, route.object.name.as_str(), route.claim.as_ref()?.generation))
    });
    let newer = |(_, _, claim): &(&Region, &str, u64)| *claim > generation;
    for (region, object, claim) in halves.into_iter().flatten().chain(routes).filter(newer) {
        out.add(
            Id::Generation,
            format!("{object} in {region} carries a claim of generation {claim}, the record is at {generation}"),
        );
    }
}

fn under_way(case: &Case, record: &Record, out: &mut Findings) {
    let own = |id: &str| case.facts.in_execution_of == Some(id);
    if let Some(intent) = record.intent.as_ref().filter(|intent| !own(&intent.id)) {
        let direction = if intent.forward() { "" } else { ", which is being undone" };
        out.add(Id::UnderWay, format!("switchover {} to {} is under way{direction}", intent.id, intent.to()));
    }
    if let Some(pending) = record.pending.as_ref().filter(|pending| !own(&pending.id)) {
        out.add(Id::UnderWay, format!("failback {} to {} waits for approval", pending.id, pending.to));
    }
}

/// The length that this plan's intent may come to, bytes.
fn intent_length(case: &Case) -> usize {
    let plan = case.plan;
    let records = case.seen().zone.known().map(|zone| match zone.by_api() {
        true => zone.records.clone(),
        false => former_sets(plan).unwrap_or_default(),
    });
    let former = Former { records, ..Former::default() };
    let intent = Intent {
        id: format!("{}/{}.{}", plan.continuum, u64::MAX, u64::MAX),
        kind: Kind::Planned,
        plan: plan.clone(),
        fingerprint: plan.fingerprint(),
        request: None,
        approved_by: None,
        started_at: Timestamp::UNIX_EPOCH,
        began_generation: u64::MAX,
        direction: Direction::Forward,
        token: None,
        token_before: None,
        eligible: None,
        former,
        beat_before: None,
        redone: 0,
        promoted_with: None,
        handed_over_at: None,
        steps: Default::default(),
        extra: Default::default(),
    };
    serde_json::to_vec(&intent).map_or(usize::MAX, |json| json.len() + JOURNAL_LENGTH_MAX)
}

fn count(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}
