//! The route of a region, as it was seen.

use super::{Claim, FieldWriter};
use crate::name::ObjectName;

/// An HTTPRoute of one region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteView {
    /// Namespace and name.
    pub object: ObjectName,
    /// For conditional writes.
    pub resource_version: String,
    /// Who wrote it last for us.
    pub claim: Option<Claim>,
    /// `spec.rules`, in order.
    pub rules: Vec<RouteRule>,
    /// What the gateways say about it (`status.parents`). Empty: none has said anything.
    pub parents: Vec<RouteParent>,
    /// Who wrote the rules last, by `managedFields`. Absent: not told.
    pub weights_writer: Option<FieldWriter>,
    /// GitOps tools and the like that put the object as they have it, with the sign of it.
    pub kept_by: Vec<String>,
}

/// A rule of an HTTPRoute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteRule {
    /// What it is known by from one look to the next: its name, or what it matches. Unique in its route.
    pub key: String,
    /// For people: `rule 2 (/admin)`.
    pub about: String,
    /// Name and weight of each backend, in order (weight defaults to 1).
    pub backends: Vec<(String, u32)>,
    /// Backends that get a copy of each request.
    pub mirrors: Vec<String>,
    /// Requests of one session go to one backend, whatever the weights say.
    pub session_persistence: bool,
}

/// What one gateway says about a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteParent {
    /// The gateway.
    pub name: String,
    /// Condition Accepted. Absent: not told of the route as it stands.
    pub accepted: Option<bool>,
    /// Condition ResolvedRefs. Absent: not told of the route as it stands.
    pub resolved: Option<bool>,
    /// Reason and message of what is false; empty where nothing is.
    pub detail: String,
}

impl RouteView {
    /// The weight of the backend of this name: the greatest of all rules. Absent: no rule has it.
    pub fn weight(&self, backend: &str) -> Option<u32> {
        self.rules.iter().filter_map(|rule| rule.weight(backend)).max()
    }
}

impl RouteRule {
    /// The weight of the backend of this name: the greatest where it stands there twice. Absent: it does not.
    pub fn weight(&self, backend: &str) -> Option<u32> {
        self.backends.iter().filter(|(name, _)| name == backend).map(|(_, weight)| *weight).max()
    }

    /// Whether the backend stands there twice with different weights, which an undo could not bring back.
    pub fn is_uneven(&self, backend: &str) -> bool {
        let mut weights = self.backends.iter().filter(|(name, _)| name == backend).map(|(_, weight)| weight);
        let first = weights.next();
        weights.any(|weight| Some(weight) != first)
    }

    /// Whether it has backends and all of their weights are 0: every request is answered 500.
    pub fn serves_nobody(&self) -> bool {
        !self.backends.is_empty() && self.backends.iter().all(|(_, weight)| *weight == 0)
    }
}
