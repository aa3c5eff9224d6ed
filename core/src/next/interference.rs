//! What there is that should be otherwise, and that somebody else made so: another tool, or a person (PROTOCOL 2.9).

use super::left::{self, Otherwise};
use super::standing::{Object, Place};
use crate::name::Region;
use crate::observe::{Claim, FieldWriter, Role};
use crate::record::{Intent, Record};
use jiff::Timestamp;
use std::fmt;

/// How the API server names this product as the writer of a field.
const FIELD_MANAGER: &str = "continuum";

/// An object that is not as the record says, and that somebody else made so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interference {
    /// Which.
    pub object: Object,
    /// What it is, where it should be otherwise.
    pub what: String,
    /// Who wrote that field last, as the API server knows it. Absent: it does not tell.
    pub manager: Option<String>,
    /// When, by that server.
    pub since: Option<Timestamp>,
}

impl Interference {
    fn new(object: Object, what: impl Into<String>, writer: Option<&FieldWriter>) -> Self {
        Self {
            object,
            what: what.into(),
            manager: writer.map(|writer| writer.manager.clone()),
            since: writer.and_then(|writer| writer.at),
        }
    }

    /// What makes it this time and no other, as long as the API server tells when the field was written.
    pub fn fact(&self) -> String {
        let object = self.object.to_string().replace(' ', "-");
        let since = self.since.map_or_else(|| "unknown".to_owned(), |since| since.to_string());
        format!("{object}:{since}:{}", self.what.replace(' ', "-"))
    }
}

impl fmt::Display for Interference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.object, self.what)?;
        match &self.manager {
            Some(manager) => write!(f, ", by {manager}")?,
            None => write!(f, ", by somebody else")?,
        }
        self.since.map_or(Ok(()), |since| write!(f, " at {since}"))
    }
}

/// What somebody else made of halves, routes and records that the record does not say.
pub fn interference(place: &Place<'_>) -> Vec<Interference> {
    let mut found = of_halves(place);
    if place.record.held_by(place.me) {
        found.extend(of_traffic(place));
    }
    found
}

fn is_ours(writer: Option<&FieldWriter>) -> bool {
    writer.is_some_and(|writer| writer.manager.starts_with(FIELD_MANAGER))
}

/// Routes and records that are not as the last move left them, or the one under way brought them.
fn of_traffic(place: &Place<'_>) -> Vec<Interference> {
    let record = place.record;
    let claim = Claim { generation: record.generation, intent: String::new() };
    let otherwise = match (&record.intent, &record.left) {
        (Some(intent), _) => left::brought_otherwise(intent, place.seen, &claim),
        (None, Some(left)) => left::left_otherwise(left, place.plan, place.seen, &claim),
        (None, None) => {
            let led_away = left::led_away(place, &claim);
            let object = led_away.first().map(|otherwise| &otherwise.object);
            let what = |object: &Object| format!("deleted while a move was under way, which led the {object} away");
            return object.map(|object| Interference::new(Object::Record, what(object), None)).into_iter().collect();
        }
    };
    let writer = |object: &Object| match object {
        Object::Route(region) => place.seen.routes.get(region)?.known()?.weights_writer.as_ref(),
        _ => None,
    };
    let others = otherwise.into_iter().filter(|otherwise| !is_ours(writer(&otherwise.object)));
    others.map(|Otherwise { object, what, .. }| Interference::new(object.clone(), what, writer(&object))).collect()
}

/// A half that never carried a claim is as it was installed: nobody interfered with it.
fn of_halves(place: &Place<'_>) -> Vec<Interference> {
    let record = place.record;
    let Some(holder) = &record.holder else { return Vec::new() };
    let settled = record.intent.is_none();
    let moved = |intent: &Intent, region: &Region| {
        // While the role moves, A may be primary until step 2 is done, and B from step 6 on.
        let leaves = intent.from() == region && (intent.step(2).finished_at.is_none() || !intent.forward());
        let arrives = intent.to() == region && intent.past_return();
        leaves || arrives
    };
    let mut found = Vec::new();
    for region in [place.me, place.other_region()] {
        let half = place.seen.half(region);
        let Some(cluster) = half.cluster.known() else { continue };
        let writer = cluster.role_writer.as_ref();
        if is_ours(writer) || !cluster.claim.as_ref().is_some_and(|claim| is_known(record, claim)) {
            continue;
        }
        let object = Object::Half(region.clone());
        let writes = half.takes_writes();
        let may_be_primary = match &record.intent {
            Some(intent) => moved(intent, region),
            None => region == holder,
        };
        if !may_be_primary && cluster.role == Role::Primary {
            found.push(Interference::new(object, "told to be primary", writer));
        } else if !may_be_primary && writes && !cluster.in_progress {
            found.push(Interference::new(object, "takes writes", writer));
        } else if settled
            && region == holder
            && cluster.role == Role::Replica
            && record.lineage.timeline_of(region).is_some()
        {
            found.push(Interference::new(object, "told to be a replica", writer));
        } else if settled && region == holder && cluster.role == Role::Primary && cluster.fenced {
            found.push(Interference::new(object, "fenced", None));
        }
    }
    found
}

/// Whether a claim is of what this record tells of. A record that was read before the last move began knows nothing of
/// what that wrote.
fn is_known(record: &Record, claim: &Claim) -> bool {
    let of = |id: &str| claim.purpose() == id || claim.purpose().strip_suffix("/undo") == Some(id);
    let moves = [record.intent.as_ref().map(|intent| &intent.id), record.last.as_ref().map(|last| &last.id)];
    claim.generation <= record.generation
        && (claim.intent.starts_with("held/")
            || claim.intent.starts_with("give-way/")
            || moves.into_iter().flatten().any(|id| of(id)))
}
