//! Where a region stands. What a controller does follows from that at every look, not only while it is busy with a step
//! (PROTOCOL 7).

use crate::clock::Monotonic;
use crate::name::Region;
use crate::observe::{Half, Observations, Seen, ZoneView};
use crate::plan::Plan;
use crate::record::{Intent, Record};
use std::fmt;

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
        Some(record) if record.held_by(me) => record.intent.as_deref().map_or(Standing::Tends, Standing::Drives),
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
    /// The plan that would lead away from there: what a move that the record knows nothing of would have published.
    /// Absent: the record knows of its last move.
    pub away: Option<&'a Plan>,
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

    /// Whether this look shows what has become of the object. What was not looked at is as it was.
    pub fn shows(&self, object: &Object) -> bool {
        match object {
            Object::Half(region) => self.seen.half(region).cluster.known().is_some(),
            Object::Route(region) => self.seen.routes.get(region).is_some_and(|route| route.known().is_some()),
            // What a lost record knew is told by what moves wrote.
            Object::Records | Object::Record => {
                self.seen.zone.known().is_some_and(ZoneView::is_whole) || self.seen.zone == Seen::Unconfigured
            }
            Object::Copy => true,
        }
    }
}
