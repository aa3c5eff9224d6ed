//! The world outside, as the fixture has it; what is written to it is noted.

use super::HandClock;
use super::witness::Witness;
use crate::controller::{Controller, Options};
use crate::name::{ObjectName, Region};
use crate::observe::{Claim, ClusterView, CopyView, RouteView, Seen};
use crate::plan::Plan;
use crate::ports::{
    ActOnCopy, ActOnPair, ActOnRoute, Actors, ClusterWrite, Latencies, ObserveCopies, ObserveLatency, ObservePair,
    ObserveRoute, Observers, Outcome, RouteWrite,
};
use crate::preflight::fixture::{self, fsn};
use crate::roles::RoleSecret;
use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// See the module.
#[derive(Default)]
pub(crate) struct Outside {
    /// Writes, and the attempts of step 2 that the record showed then.
    pub writes: Mutex<Vec<(ClusterWrite, u32)>>,
    pub hangs: Mutex<bool>,
    /// Claims that were written, which stand then.
    pub claims: Mutex<BTreeMap<Region, Claim>>,
    pub witness: Mutex<Option<Arc<Witness>>>,
    /// Looks at a Cluster that begin now are not answered.
    pub looks_hang: Mutex<bool>,
    /// What a read of a copy gives; absent: as the fixture has it.
    pub copy_read: Mutex<Option<Seen<CopyView>>>,
    /// The same of the other region's alone.
    pub other_copy_read: Mutex<Option<Seen<CopyView>>>,
    /// Whether there is a source of latency, which finds it unchanged.
    pub has_latency: bool,
    /// What was written to one's own copy: of its spec, and of its status.
    pub copy: Mutex<Vec<Value>>,
}

impl Outside {
    /// fsn's controller of the fixture's pair, in this world.
    pub fn controller(
        self: &Arc<Self>,
        witness: &Arc<Witness>,
        clock: &Arc<HandClock>,
        options: Options,
    ) -> Controller {
        let observers = self.observers(witness);
        let (dry, actors) = (observers.clone(), self.actors(witness));
        Controller::new(fsn(), fixture::shop(), clock.clone(), observers, dry, actors, options)
    }

    /// Looks through this, and at `witness`.
    pub fn observers(self: &Arc<Self>, witness: &Arc<Witness>) -> Observers {
        Observers {
            witness: Some(witness.clone()),
            pair: self.clone(),
            database: None,
            route: self.clone(),
            records: None,
            vantages: None,
            audit: None,
            latency: self.has_latency.then(|| self.clone() as _),
            copies: self.clone(),
            cache: None,
        }
    }

    /// Writes to this, and to `witness`.
    pub fn actors(self: &Arc<Self>, witness: &Arc<Witness>) -> Actors {
        Actors {
            witness: Some(witness.clone()),
            pair: self.clone(),
            database: None,
            route: self.clone(),
            records: None,
            audit: None,
            copy: self.clone(),
        }
    }
}

#[async_trait]
impl ObserveLatency for Outside {
    async fn compare(&self, _: &str, _: Timestamp, _: Timestamp) -> Result<Latencies, String> {
        Ok(Latencies::Measured { now_ms: 5.0, before_ms: 5.0 })
    }
}

#[async_trait]
impl ObservePair for Outside {
    async fn cluster(&self, region: &Region, _: &ObjectName) -> Seen<ClusterView> {
        let hangs = *self.looks_hang.lock().unwrap();
        if hangs {
            std::future::pending::<()>().await;
        }
        let claim = self.claims.lock().unwrap().get(region).cloned();
        Seen::Is(ClusterView { claim, ..fixture::cluster(region) })
    }

    async fn secrets(&self, _: &Region, _: &ClusterView) -> Seen<BTreeMap<String, RoleSecret>> {
        Seen::NotLooked
    }
    async fn backup_runs(&self, _: &Region, _: &ClusterView) -> Seen<bool> {
        Seen::NotLooked
    }

    async fn missing_rights(&self, _: &Region, _: &Plan) -> Seen<Vec<String>> {
        Seen::NotLooked
    }

    async fn admits(&self, _: &ClusterWrite) -> Seen<Result<(), String>> {
        Seen::Is(Ok(()))
    }
}

#[async_trait]
impl ActOnPair for Outside {
    async fn write(&self, write: &ClusterWrite) -> Outcome {
        let record = self.witness.lock().unwrap().as_ref().unwrap().record();
        let attempts = record.intent.map_or(0, |intent| intent.step(2).attempts);
        self.writes.lock().unwrap().push((write.clone(), attempts));
        if *self.hangs.lock().unwrap() {
            std::future::pending::<()>().await;
        }
        self.claims.lock().unwrap().insert(write.region.clone(), write.claim.clone());
        Outcome::Done(())
    }
}

#[async_trait]
impl ObserveRoute for Outside {
    async fn route(&self, _: &Region, _: &ObjectName) -> Seen<RouteView> {
        Seen::Is(fixture::route())
    }

    async fn admits(&self, _: &RouteWrite) -> Seen<Result<(), String>> {
        Seen::Is(Ok(()))
    }
}

#[async_trait]
impl ActOnRoute for Outside {
    async fn set_weights(&self, _: &RouteWrite) -> Outcome {
        Outcome::Done(())
    }
}

#[async_trait]
impl ObserveCopies for Outside {
    async fn copy(&self, region: &Region) -> Seen<CopyView> {
        let other = self.other_copy_read.lock().unwrap().clone().filter(|_| *region != fsn());
        if let Some(other) = other {
            return other;
        }
        match self.copy_read.lock().unwrap().clone().unwrap_or_else(|| Seen::Is(fixture::copy())) {
            Seen::Is(copy) if *region != fsn() => Seen::Is(CopyView { uid: fixture::uid(region), ..copy }),
            seen => seen,
        }
    }
}

#[async_trait]
impl ActOnCopy for Outside {
    async fn patch_spec(&self, _: &str, patch: &Value) -> Outcome {
        self.copy.lock().unwrap().push(patch.clone());
        Outcome::Done(())
    }

    async fn set_finalizers(&self, _: &str, finalizers: &[String]) -> Outcome {
        self.copy.lock().unwrap().push(json!({ "finalizers": finalizers }));
        Outcome::Done(())
    }

    async fn patch_status(&self, patch: &Value) -> Outcome {
        self.copy.lock().unwrap().push(patch.clone());
        Outcome::Done(())
    }
}
