//! Mutants behind the other ports.

use crate::fabric::Net;
use crate::servers::postgres::NetConnector;
use crate::world::objects;
use async_trait::async_trait;
use continuum_core::audit::{self, About, Event, EventType};
use continuum_core::name::{ObjectName, Region};
use continuum_core::observe::{Claim, DatabaseView, RouteView, Seen};
use continuum_core::ports::{
    ActOnCopy, ActOnDatabase, ActOnRoute, ActOnWitness, Cas, ObserveDatabase, ObserveRoute, ObserveWitness, Outcome,
    PublishAudit, RouteWrite, Version,
};
use continuum_core::record::Record;
use continuum_core::roles::RoleLogin;
use continuum_live::postgres::PostgresProbe;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// See [`super::Mutant::KeepsGeneration`].
pub(super) struct KeepsGeneration {
    act: Arc<dyn ActOnWitness>,
    observe: Arc<dyn ObserveWitness>,
}

impl KeepsGeneration {
    pub(super) fn new(act: Arc<dyn ActOnWitness>, observe: Arc<dyn ObserveWitness>) -> Self {
        Self { act, observe }
    }
}

#[async_trait]
impl ActOnWitness for KeepsGeneration {
    async fn compare_and_set(&self, expected: &Version, record: &Record) -> Cas {
        let mut record = record.clone();
        if let Ok((_, Some(present))) = self.observe.read().await
            && present.holder.is_some()
            && present.holder != record.holder
        {
            record.generation = present.generation;
        }
        self.act.compare_and_set(expected, &record).await
    }
}

/// See [`super::Mutant::WritesInDryRun`].
pub(super) struct WritesInDryRun {
    probe: PostgresProbe,
}

impl WritesInDryRun {
    pub(super) fn new(net: Net) -> Self {
        Self { probe: PostgresProbe::new(Arc::new(NetConnector::new(net)), objects::probe_login()).for_dry_run() }
    }
}

#[async_trait]
impl ObserveDatabase for WritesInDryRun {
    async fn look(&self, region: &Region, cluster: &ObjectName) -> Seen<DatabaseView> {
        // Whether it passes tells this mutant nothing that a look does not.
        let _ = self.probe.try_write(region, cluster, true).await;
        self.probe.look(region, cluster).await
    }

    async fn lets_in(&self, region: &Region, cluster: &ObjectName, login: &RoleLogin) -> Seen<Result<(), String>> {
        self.probe.lets_in(region, cluster, login).await
    }
}

/// See [`super::Mutant::ActsInDryRun`].
pub(super) struct ActsInDryRun {
    act: Arc<dyn ActOnRoute>,
    observe: Arc<dyn ObserveRoute>,
}

impl ActsInDryRun {
    pub(super) fn new(act: Arc<dyn ActOnRoute>, observe: Arc<dyn ObserveRoute>) -> Self {
        Self { act, observe }
    }
}

#[async_trait]
impl ObserveRoute for ActsInDryRun {
    async fn route(&self, region: &Region, route: &ObjectName) -> Seen<RouteView> {
        let seen = self.observe.route(region, route).await;
        if let Seen::Is(view) = &seen {
            let write = RouteWrite {
                region: region.clone(),
                object: view.object.clone(),
                resource_version: view.resource_version.clone(),
                claim: Claim { generation: 1, intent: "may-i".into() },
                weights: view.rules.iter().map(|rule| rule.backends.iter().cloned().collect()).collect(),
            };
            // Whether it passes tells this mutant nothing that a look does not.
            let _ = self.act.set_weights(&write).await;
        }
        seen
    }

    async fn admits(&self, write: &RouteWrite) -> Seen<Result<(), String>> {
        self.observe.admits(write).await
    }
}

/// See [`super::Mutant::PublishesTwice`].
pub(super) struct PublishesTwice {
    audit: Arc<dyn PublishAudit>,
}

impl PublishesTwice {
    pub(super) fn new(audit: Arc<dyn PublishAudit>) -> Self {
        Self { audit }
    }
}

#[async_trait]
impl PublishAudit for PublishesTwice {
    async fn publish(&self, event: &Event) -> Outcome<u64> {
        let again = Event { message_id: format!("again:{}", event.message_id), ..event.clone() };
        let _ = self.audit.publish(&again).await;
        self.audit.publish(event).await
    }
}

/// See [`super::Mutant::InventsLag`].
pub(super) struct InventsLag {
    audit: Arc<dyn PublishAudit>,
}

impl InventsLag {
    pub(super) fn new(audit: Arc<dyn PublishAudit>) -> Self {
        Self { audit }
    }
}

#[async_trait]
impl PublishAudit for InventsLag {
    /// Each return to health of a region has a lag beside it, at the same place.
    async fn publish(&self, event: &Event) -> Outcome<u64> {
        if let (EventType::ReconcileSuccess, Some(primary)) = (event.body.kind, &event.body.to_primary) {
            let name = ObjectName::new(objects::NAMESPACE, objects::APPLICATION);
            let about = About { continuum: &name, application: &event.body.application_name };
            let fact = event.message_id.rsplit(':').next().unwrap_or_default();
            let lag = audit::lag_breach(about, primary, (61, 60), fact, event.body.timestamp);
            let _ = self.audit.publish(&lag).await;
        }
        self.audit.publish(event).await
    }
}

/// See [`super::Mutant::ForgetsWeights`].
pub(super) struct ForgetsWeights {
    act: Arc<dyn ActOnRoute>,
    observe: Arc<dyn ObserveRoute>,
    /// What was not written, by region.
    forgotten: Mutex<BTreeMap<Region, RouteWrite>>,
}

impl ForgetsWeights {
    pub(super) fn new(act: Arc<dyn ActOnRoute>, observe: Arc<dyn ObserveRoute>) -> Self {
        Self { act, observe, forgotten: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Region, RouteWrite>> {
        self.forgotten.lock().expect("nothing panics while it holds the weights")
    }
}

#[async_trait]
impl ActOnRoute for ForgetsWeights {
    async fn set_weights(&self, write: &RouteWrite) -> Outcome {
        if write.claim.purpose().ends_with("/undo") {
            self.lock().insert(write.region.clone(), write.clone());
            return Outcome::Done(());
        }
        self.lock().remove(&write.region);
        self.act.set_weights(write).await
    }
}

#[async_trait]
impl ObserveRoute for ForgetsWeights {
    async fn route(&self, region: &Region, route: &ObjectName) -> Seen<RouteView> {
        let forgotten = self.lock().get(region).cloned();
        self.observe.route(region, route).await.map(|mut view| {
            if let Some(write) = forgotten {
                for (rule, weights) in view.rules.iter_mut().zip(&write.weights) {
                    for (name, weight) in &mut rule.backends {
                        *weight = weights.get(name).copied().unwrap_or(*weight);
                    }
                }
                view.claim = Some(write.claim);
            }
            view
        })
    }

    async fn admits(&self, write: &RouteWrite) -> Seen<Result<(), String>> {
        self.observe.admits(write).await
    }
}

/// See [`super::Mutant::LeadsNowhere`].
pub(super) struct LeadsNowhere {
    act: Arc<dyn ActOnRoute>,
    observe: Arc<dyn ObserveRoute>,
    /// What it was told to write, by region.
    meant: Mutex<BTreeMap<Region, RouteWrite>>,
}

impl LeadsNowhere {
    pub(super) fn new(act: Arc<dyn ActOnRoute>, observe: Arc<dyn ObserveRoute>) -> Self {
        Self { act, observe, meant: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Region, RouteWrite>> {
        self.meant.lock().expect("nothing panics while it holds the weights")
    }
}

#[async_trait]
impl ActOnRoute for LeadsNowhere {
    async fn set_weights(&self, write: &RouteWrite) -> Outcome {
        self.lock().insert(write.region.clone(), write.clone());
        let nowhere = |rule: &BTreeMap<String, u32>| rule.keys().map(|name| (name.clone(), 0)).collect();
        let weights = write.weights.iter().map(nowhere).collect();
        self.act.set_weights(&RouteWrite { weights, ..write.clone() }).await
    }
}

#[async_trait]
impl ObserveRoute for LeadsNowhere {
    async fn route(&self, region: &Region, route: &ObjectName) -> Seen<RouteView> {
        let meant = self.lock().get(region).cloned();
        self.observe.route(region, route).await.map(|mut view| {
            for (rule, weights) in view.rules.iter_mut().zip(meant.iter().flat_map(|write| &write.weights)) {
                for (name, weight) in &mut rule.backends {
                    *weight = weights.get(name).copied().unwrap_or(*weight);
                }
            }
            view
        })
    }

    async fn admits(&self, write: &RouteWrite) -> Seen<Result<(), String>> {
        self.observe.admits(write).await
    }
}

/// See [`super::Mutant::StatusStandsStill`].
pub(super) struct StatusStandsStill {
    copy: Arc<dyn ActOnCopy>,
    first: Mutex<Option<Value>>,
}

impl StatusStandsStill {
    pub(super) fn new(copy: Arc<dyn ActOnCopy>) -> Self {
        Self { copy, first: Mutex::default() }
    }
}

#[async_trait]
impl ActOnCopy for StatusStandsStill {
    async fn patch_spec(&self, resource_version: &str, patch: &Value) -> Outcome {
        self.copy.patch_spec(resource_version, patch).await
    }

    async fn set_finalizers(&self, resource_version: &str, finalizers: &[String]) -> Outcome {
        self.copy.set_finalizers(resource_version, finalizers).await
    }

    async fn patch_status(&self, patch: &Value) -> Outcome {
        let mut patch = patch.clone();
        if let Some(primary) = patch.get_mut("primaryRegion").filter(|primary| primary.is_string()) {
            let mut first = self.first.lock().expect("nothing panics while it holds the region");
            *primary = first.get_or_insert_with(|| primary.clone()).clone();
        }
        self.copy.patch_status(&patch).await
    }
}
