//! What both copies said while the run went on. A controller looks every one to five seconds, so what it says may be a
//! little old; what stays wrong for longer than a bound is a lie.

use super::super::{Evidence, at};
use crate::ground::Ground;
use crate::moments::Sample;
use crate::servers::kube_api::{CONTINUUMS, ChangeEvent};
use crate::servers::postgres::Event;
use continuum_core::name::Region;
use continuum_core::record::Record;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a controller looks at itself may be so old.
const LIE_AFTER: Duration = Duration::from_secs(10);

/// A lag that differs by less is as good as right.
const LAG_TOLERANCE: Duration = Duration::from_secs(10);

/// What a copy says that is not so, by kind, in words.
type Lies = BTreeMap<&'static str, String>;

/// Something that changes what is said, or what is so.
enum Turn<'a> {
    Says(&'a Region, Option<&'a Value>),
    Accepts(&'a str),
    Refuses(&'a str),
    Holds(&'a Record),
    Follows(&'a Sample),
    Blind(&'a Region, bool),
}

/// Where everything stands at one time.
struct Scene<'a> {
    ground: &'a Ground,
    says: BTreeMap<&'a Region, &'a Value>,
    accepting: BTreeSet<&'a str>,
    record: Option<&'a Record>,
    follows: BTreeMap<&'a Region, &'a Sample>,
    /// Blind controllers, and by how many faults.
    blind: BTreeMap<&'a Region, usize>,
}

/// Every lie that lasted.
pub(super) fn lies(ground: &Ground) -> Vec<Evidence> {
    let mut turns = turns(ground);
    turns.sort_by_key(|(at, _)| *at);
    let mut scene = Scene {
        ground,
        says: BTreeMap::new(),
        accepting: BTreeSet::new(),
        record: None,
        follows: BTreeMap::new(),
        blind: BTreeMap::new(),
    };
    let mut open: BTreeMap<(&Region, &'static str), (Duration, String)> = BTreeMap::new();
    let mut found = Vec::new();
    let mut turns = turns.into_iter().peekable();
    while let Some((now, turn)) = turns.next() {
        scene.take(turn);
        if turns.peek().is_some_and(|(next, _)| *next == now) {
            continue;
        }
        for region in ground.regions.keys() {
            let lies = if scene.blind.get(region).is_some_and(|count| *count > 0) {
                Lies::new()
            } else {
                scene.lies(region, now)
            };
            let ended: Vec<_> =
                open.keys().filter(|(of, kind)| *of == region && !lies.contains_key(kind)).copied().collect();
            for key in ended {
                found.extend(open.remove(&key).and_then(|lie| told(ground, key, lie, now)));
            }
            for (kind, text) in lies {
                open.entry((region, kind)).or_insert((now, text));
            }
        }
    }
    found.extend(open.into_iter().filter_map(|(key, lie)| told(ground, key, lie, ground.end)));
    found.sort_by_key(|evidence| evidence.at);
    found
}

fn turns(ground: &Ground) -> Vec<(Duration, Turn<'_>)> {
    let mut turns = Vec::new();
    for (region, truth) in &ground.regions {
        for change in truth.history.iter().filter(|change| *change.resource == CONTINUUMS) {
            let status = Some(&change.object["status"]).filter(|status| status.is_object());
            let status = status.filter(|_| change.event != ChangeEvent::Deleted);
            turns.push((change.at, Turn::Says(region, status)));
        }
    }
    turns.extend(ground.journal.iter().filter_map(|entry| match entry.event {
        Event::AcceptsWrites { .. } => Some((entry.at, Turn::Accepts(&entry.instance))),
        Event::RefusesWrites => Some((entry.at, Turn::Refuses(&entry.instance))),
        _ => None,
    }));
    turns.extend(ground.lease.iter().map(|write| (write.at, Turn::Holds(&write.record))));
    turns.extend(ground.run.samples.iter().map(|sample| (sample.at, Turn::Follows(sample))));
    for (region, span) in &ground.run.blind {
        turns.extend([(span.from, Turn::Blind(region, true)), (span.to, Turn::Blind(region, false))]);
    }
    turns
}

/// A lie that lasted longer than its kind may.
fn told(ground: &Ground, key: (&Region, &str), lie: (Duration, String), until: Duration) -> Option<Evidence> {
    let ((region, kind), (since, text)) = (key, lie);
    let bound = match kind {
        // The controller that does not hold the record reads it only now and then.
        "lease" | "progress" | "held" => {
            Duration::from_secs(ground.record().map_or(30, |record| record.ttl_seconds).into())
        }
        // At rest it is told after the next read of the record.
        "lag" => LIE_AFTER + Duration::from_secs(ground.record().map_or(30, |record| record.ttl_seconds).into()) / 3,
        _ => LIE_AFTER,
    };
    let text = format!("the status in {region} said {text}, {} to {}", at(since), at(until));
    (until.saturating_sub(since) > bound).then_some(Evidence { at: Some(since), text })
}

impl<'a> Scene<'a> {
    fn take(&mut self, turn: Turn<'a>) {
        match turn {
            Turn::Says(region, Some(status)) => {
                self.says.insert(region, status);
            }
            Turn::Says(region, None) => {
                self.says.remove(region);
            }
            Turn::Accepts(instance) => {
                self.accepting.insert(instance);
            }
            Turn::Refuses(instance) => {
                self.accepting.remove(instance);
            }
            Turn::Holds(record) => self.record = Some(record),
            Turn::Follows(sample) => {
                self.follows.insert(&sample.region, sample);
            }
            Turn::Blind(region, true) => *self.blind.entry(region).or_default() += 1,
            Turn::Blind(region, false) => *self.blind.entry(region).or_default() -= 1,
        }
    }

    fn accepting(&self) -> Vec<&'a Region> {
        let regions = self.ground.regions.iter();
        let accepting = regions.filter(|(_, truth)| self.accepting.contains(truth.cluster_name.name.as_str()));
        accepting.map(|(region, _)| region).collect()
    }

    fn lies(&self, region: &Region, now: Duration) -> Lies {
        let Some(status) = self.says.get(region) else { return Lies::new() };
        let mut lies = Lies::new();
        let phase = status["phase"].as_str().unwrap_or_default();
        let accepting = self.accepting();
        let says_well = matches!(phase, "Healthy" | "FailedOver") || condition(status, "Ready") == Some("True");
        match accepting.as_slice() {
            [] if says_well => {
                lies.insert("writer", format!("{phase}, and nobody took writes"));
            }
            [primary] if matches!(phase, "Healthy" | "FailedOver" | "Degraded") => {
                let named = status["primaryRegion"].as_str();
                if named != Some(primary.as_str()) {
                    let named = named.unwrap_or("nothing");
                    lies.insert("primary", format!("primaryRegion {named}, and {primary} took writes"));
                }
            }
            [_, _, ..] if says_well => {
                lies.insert("writer", format!("{phase}, and several halves took writes"));
            }
            _ => {}
        }
        self.of_record(status, &mut lies);
        self.of_standby(status, &accepting, now, &mut lies);
        let ready = match phase {
            "Healthy" | "FailedOver" => "True",
            "Pending" | "SwitchingOver" => "Unknown",
            _ => "False",
        };
        if let Some(said) = condition(status, "Ready").filter(|said| *said != ready && !phase.is_empty()) {
            lies.insert("ready", format!("Ready {said} in phase {phase}"));
        }
        lies
    }

    fn of_record(&self, status: &Value, lies: &mut Lies) {
        let Some(record) = self.record else { return };
        let (said, holder) = (status["leaseHolder"].as_str(), record.holder.as_ref().map(Region::as_str));
        if said != holder {
            lies.insert(
                "lease",
                format!("leaseHolder {}, it was {}", said.unwrap_or("nothing"), holder.unwrap_or("none")),
            );
        }
        let wrong = if holder.is_some() { "False" } else { "True" };
        if condition(status, "LeaseHeld") == Some(wrong) {
            lies.insert("held", format!("LeaseHeld {wrong}, and {} held it", holder.unwrap_or("nobody")));
        }
        let under_way = record.intent.is_some();
        if status["switchoverInProgress"].as_bool().unwrap_or(false) != under_way {
            lies.insert("progress", format!("switchoverInProgress {}, it was {under_way}", !under_way));
        }
    }

    fn of_standby(&self, status: &Value, accepting: &[&Region], now: Duration, lies: &mut Lies) {
        let [primary] = accepting else { return };
        let Some(sample) = self.follows.iter().find(|(region, _)| *region != primary).map(|(_, sample)| sample) else {
            return;
        };
        let available = condition(status, "StandbyAvailable");
        if available == Some("True") && !sample.streaming {
            lies.insert("standby", "StandbyAvailable True, and the standby did not stream".into());
        }
        let Some(lag) = status["replicationLagSeconds"].as_u64().map(Duration::from_secs) else { return };
        let truth = self.ground.lag(primary, sample.replayed, now);
        if lag + LAG_TOLERANCE < truth || truth + LAG_TOLERANCE < lag {
            let seconds = |lag: Duration| lag.as_secs();
            lies.insert("lag", format!("replicationLagSeconds {}, it was {}", seconds(lag), seconds(truth)));
        }
    }
}

fn condition<'a>(status: &'a Value, kind: &str) -> Option<&'a str> {
    let mut conditions = status["conditions"].as_array().into_iter().flatten();
    conditions.find(|condition| condition["type"] == kind)?["status"].as_str()
}
