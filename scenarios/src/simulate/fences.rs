//! Fences that are put on again. A demotion has one, which says nothing by itself; a second one is told, and its end.

use continuum_sim::servers::kube_api::{CLUSTERS, Change};
use continuum_sim::world::World;
use std::collections::BTreeMap;

const ANNOTATION: &str = "/metadata/annotations/cnpg.io~1fencedInstances";

/// What was seen of each half's fence.
#[derive(Default)]
pub(super) struct Fences {
    /// The version of the region's store up to which it was looked through.
    seen: BTreeMap<&'static str, u64>,
    /// How often the half was fenced since the move began.
    times: BTreeMap<&'static str, u32>,
}

impl Fences {
    /// A move begins: its demotion puts one on.
    pub fn begin(&mut self) {
        self.times.clear();
    }

    /// What is new since the last look.
    pub fn look(&mut self, world: &World) -> Vec<String> {
        let mut told = Vec::new();
        for region in world.halves.keys() {
            let (store, seen) = (world.store(region), self.seen.entry(region).or_default());
            let version = store.version();
            let since = std::mem::replace(seen, version);
            if version == since {
                continue;
            }
            for change in store.history_since(since).iter().filter(|change| *change.resource == CLUSTERS) {
                let times = self.times.entry(region).or_default();
                match turned(change) {
                    Some(true) => {
                        *times += 1;
                        if *times > 1 {
                            told.push(format!("{} is fenced again", change.name));
                        }
                    }
                    Some(false) if *times > 1 => told.push(format!("the fence of {} is lifted", change.name)),
                    _ => {}
                }
            }
        }
        told
    }
}

/// Whether the change put a fence on, or lifted it.
fn turned(change: &Change) -> Option<bool> {
    let fenced = |object: &serde_json::Value| object.pointer(ANNOTATION).is_some_and(|fence| fence != "[]");
    let before = change.before.as_ref().is_some_and(|before| fenced(before));
    let after = fenced(&change.object);
    (before != after).then_some(after)
}
