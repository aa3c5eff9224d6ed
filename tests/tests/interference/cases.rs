//! The table: every object that a controller ever writes x every moment x (set back | deleted), as scenarios made from one
//! pattern.

use std::fmt;

/// What somebody else does to the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// It is as before the move again, as a tool that keeps it as Git has it would have it.
    SetBack,
    /// It is gone.
    Deleted,
}

/// When.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// While nothing is under way, before the move.
    Idle,
    /// When the step started.
    Before(u8),
    /// When its effect is there.
    After(u8),
    /// While the move is taken back after step 4 failed.
    Undo,
    /// Once the move is over.
    End,
}

/// An object that the controllers write.
#[derive(Debug, PartialEq, Eq)]
pub struct Object {
    /// As its cases are named.
    pub name: &'static str,
    /// As a scenario names it.
    resource: &'static str,
    /// Where there is one in each region: whose.
    region: Option<&'static str>,
    /// The patch that sets it back.
    back: &'static str,
    /// No client gets what only it held.
    pub holds_data: bool,
}

/// All of them.
pub const OBJECTS: [Object; 8] = [
    Object {
        name: "old-half",
        resource: "clusters/shop-fsn",
        region: None,
        back: "{ spec: { replica: { primary: shop-fsn } } }",
        holds_data: true,
    },
    Object {
        name: "new-half",
        resource: "clusters/shop-hel",
        region: None,
        back: "{ spec: { replica: { primary: shop-fsn, promotionToken: null } } }",
        holds_data: true,
    },
    route("old-route", "fsn"),
    route("new-route", "hel"),
    Object {
        name: "records",
        resource: "zones/example.org",
        region: None,
        back: "{ rrsets: [ { name: shop.example.org., type: LUA, ttl: 30, changetype: REPLACE, records: [ { content: \
               \"A \\\"ifurlup('http://shop.example.org/healthz', {{'10.1.0.1'}}, {timeout=2})\\\"\" } ] } ] }",
        holds_data: false,
    },
    Object {
        name: "record",
        resource: "leases/shop.shop",
        region: None,
        back: "{ spec: { holderIdentity: fsn, leaseTransitions: 1 } }",
        holds_data: false,
    },
    copy("old-copy", "fsn"),
    copy("new-copy", "hel"),
];

const fn route(name: &'static str, region: &'static str) -> Object {
    let back = "{ spec: { rules: [ { backendRefs: [ { name: shop-fsn, port: 80, weight: 100 }, \
                { name: shop-hel, port: 80, weight: 0 } ] } ] } }";
    Object { name, resource: "httproutes/shop", region: Some(region), back, holds_data: false }
}

const fn copy(name: &'static str, region: &'static str) -> Object {
    let back = "{ spec: { primaryRegion: fsn, hotStandbyRegions: [hel] } }";
    Object { name, resource: "continuums/shop", region: Some(region), back, holds_data: false }
}

/// One case of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// To what.
    pub object: &'static Object,
    /// When.
    pub moment: Moment,
    /// What is done.
    pub deed: Deed,
}

/// All cases.
pub fn all() -> Vec<Case> {
    let steps = (1..=7).flat_map(|step| [Moment::Before(step), Moment::After(step)]);
    let moments: Vec<Moment> = [Moment::Idle].into_iter().chain(steps).chain([Moment::Undo, Moment::End]).collect();
    let mut cases = Vec::new();
    for object in &OBJECTS {
        for deed in [Deed::SetBack, Deed::Deleted] {
            // A zone is not deleted by an edit of its records.
            if deed == Deed::Deleted && object.resource.starts_with("zones/") {
                continue;
            }
            // What is deleted between two steps is gone for the second as it was for the first.
            let counts = |moment: &&Moment| deed == Deed::SetBack || !matches!(moment, Moment::Before(2..));
            cases.extend(moments.iter().filter(counts).map(|&moment| Case { object, moment, deed }));
        }
    }
    cases
}

impl fmt::Display for Case {
    /// `new-half-set-back-after-step-4`, which a scenario may be named.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let deed = if self.deed == Deed::SetBack { "set-back" } else { "deleted" };
        write!(f, "{}-{deed}-", self.object.name)?;
        match self.moment {
            Moment::Idle => f.write_str("at-rest"),
            Moment::Before(step) => write!(f, "before-step-{step}"),
            Moment::After(step) => write!(f, "after-step-{step}"),
            Moment::Undo => f.write_str("in-the-undo"),
            Moment::End => f.write_str("at-the-end"),
        }
    }
}

impl Case {
    /// The deed, as a step of a scenario.
    fn line(self) -> String {
        let Object { resource, region, back, .. } = self.object;
        let region = region.map_or(String::new(), |region| format!(", region: {region}"));
        let when = match self.moment {
            Moment::Idle | Moment::End => String::new(),
            Moment::Before(step) => format!(", before: {{ step: {step} }}"),
            Moment::After(step) => format!(", after: {{ step: {step} }}"),
            // Step 4 fails at its limit, and the old half is asked to be primary again.
            Moment::Undo => ", on: { write: clusters/shop-fsn, nth: 2 }".into(),
        };
        match self.deed {
            Deed::SetBack => format!("edit: {{ resource: {resource}{region}, patch: {back}{when} }}"),
            Deed::Deleted => format!("delete: {{ resource: {resource}{region}{when} }}"),
        }
    }

    /// The scenario's text.
    pub fn text(self) -> String {
        let deed = format!("    - {}\n", self.line());
        let pause = "    - wait: { for: { elapsed: 20s }, atMost: 30s }\n";
        let (before, after) = match self.moment {
            Moment::Idle => (format!("{deed}{pause}"), String::new()),
            Moment::Undo => (
                format!(
                    "    - answer: {{ from: dns, status: 503, times: 1000, for: 20s, before: {{ step: 4 }} }}\n{deed}"
                ),
                String::new(),
            ),
            Moment::End => (String::new(), deed),
            Moment::Before(_) | Moment::After(_) => (deed, String::new()),
        };
        format!(
            "apiVersion: continuum.openova.io/v1alpha1
kind: Scenario
metadata: {{ name: {self} }}
spec:
  limit: 8m
  world: {{ drain: 2s, tick: 20ms, workload: {{ clients: 2, writesPerSecond: 4 }} }}
  steps:
{before}    - execute: {{ to: hel }}
{after}    - wait: {{ for: {{ elapsed: 30s }}, atMost: 40s }}
    - assert: {{ phase: Pending }}
"
        )
    }
}
