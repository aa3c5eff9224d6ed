//! Where a region stands, and what there is that should be otherwise. What a controller does follows from where it
//! stands at every look, not only while it is busy with a step (PROTOCOL 7).

use crate::clock::Monotonic;
use crate::name::Region;
use crate::observe::{Claim, FieldWriter, Half, Observations, Role};
use crate::plan::Plan;
use crate::record::{Intent, Record};
use jiff::Timestamp;
use std::fmt;

/// How the API server names this product as the writer of a field.
const FIELD_MANAGER: &str = "continuum";

/// Where this region stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Standing<'a> {
    /// It holds the record, and an intent stands.
    Drives(&'a Intent),
    /// It holds the record, and none does.
    Tends,
    /// Another region holds it.
    GivesWay,
    /// Nobody holds it, or there is no record yet.
    Free,
}

/// Where `me` stands, as the record was read last.
pub fn standing<'a>(record: Option<&'a Record>, me: &Region) -> Standing<'a> {
    match record {
        Some(record) if record.held_by(me) => record.intent.as_ref().map_or(Standing::Tends, Standing::Drives),
        Some(Record { holder: Some(_), .. }) => Standing::GivesWay,
        _ => Standing::Free,
    }
}

/// Something that this product keeps.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Object {
    /// The half of a region.
    Half(Region),
    /// The route of a region.
    Route(Region),
    /// The application's DNS records.
    Records,
    /// The record itself.
    Record,
    /// One's own copy of the resource.
    Copy,
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Object::Half(region) => write!(f, "Cluster in {region}"),
            Object::Route(region) => write!(f, "HTTPRoute in {region}"),
            Object::Records => write!(f, "DNS records"),
            Object::Record => write!(f, "record"),
            Object::Copy => write!(f, "Continuum"),
        }
    }
}

/// What a decision without an intent is made from.
pub struct Place<'a> {
    /// The record.
    pub record: &'a Record,
    /// This region.
    pub me: &'a Region,
    /// The plan that would have led here: from the other region to the one that holds the record.
    pub plan: &'a Plan,
    /// The world.
    pub seen: &'a Observations,
    /// This process's monotonic time.
    pub at: Monotonic,
}

impl Place<'_> {
    /// The region that is not this one.
    pub fn other_region(&self) -> &Region {
        if self.plan.to == *self.me { &self.plan.from } else { &self.plan.to }
    }

    /// This region's half.
    pub fn own(&self) -> &Half {
        self.seen.half(self.me)
    }

    /// The other region's half.
    pub fn other(&self) -> &Half {
        self.seen.half(self.other_region())
    }
}

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
}

impl Interference {
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

/// What somebody else made of the halves that the record does not say. A half that never carried a claim is as it was
/// installed: nobody interfered with it.
pub fn interference(place: &Place<'_>) -> Vec<Interference> {
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
        let ours = writer.is_some_and(|writer| writer.manager.starts_with(FIELD_MANAGER));
        if ours || !cluster.claim.as_ref().is_some_and(|claim| is_known(record, claim)) {
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
    let of = |id: &str| claim.intent == id || claim.intent.strip_suffix("/undo") == Some(id);
    let moves = [record.intent.as_ref().map(|intent| &intent.id), record.last.as_ref().map(|last| &last.id)];
    claim.generation <= record.generation
        && (claim.intent.starts_with("held/")
            || claim.intent.starts_with("give-way/")
            || moves.into_iter().flatten().any(|id| of(id)))
}
