//! Mutants that write to the pair.

use super::{REGIONS, pair_name};
use async_trait::async_trait;
use continuum_core::name::{ObjectName, Region};
use continuum_core::next::Permit;
use continuum_core::observe::{Claim, ClusterView, DatabaseView, Role, Seen};
use continuum_core::plan::Plan;
use continuum_core::ports::{ActOnPair, ClusterChange, ClusterWrite, ObserveDatabase, ObservePair, Outcome};
use continuum_core::record::Lsn;
use continuum_core::roles::{LoginResult, RoleLogin, RoleSecret};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// The pair as it is, to look at and to write.
struct Pair {
    act: Arc<dyn ActOnPair>,
    observe: Arc<dyn ObservePair>,
}

impl Pair {
    /// Writes to the half that `write` is not about, under the same claim. `change` is made of what is seen there.
    async fn write_other(&self, write: &ClusterWrite, change: impl FnOnce(&ClusterView) -> ClusterChange) {
        let other = if write.region.as_str() == REGIONS[0] { REGIONS[1] } else { REGIONS[0] };
        let region = Region::new(other);
        let Seen::Is(cluster) = self.observe.cluster(&region, &pair_name()).await else { return };
        let change = change(&cluster);
        let other = ClusterWrite {
            region,
            object: cluster.object,
            resource_version: cluster.resource_version,
            claim: write.claim.clone(),
            change,
            server_limit: None,
        };
        // A mutant may fail; the run shows whether it did harm.
        let _ = self.act.write(&other).await;
    }
}

/// See [`super::Mutant::PromotesFirst`].
pub(super) struct PromotesFirst {
    pair: Pair,
}

impl PromotesFirst {
    pub(super) fn new(act: Arc<dyn ActOnPair>, observe: Arc<dyn ObservePair>) -> Self {
        Self { pair: Pair { act, observe } }
    }

    /// Whether the new half was promoted. A promotion begins a timeline.
    async fn is_promoted(&self) -> bool {
        let [old, new] = REGIONS.map(Region::new);
        let old = self.pair.observe.cluster(&old, &pair_name()).await;
        let new = self.pair.observe.cluster(&new, &pair_name()).await;
        let timeline = |seen: Seen<ClusterView>| seen.known().and_then(|cluster| cluster.timeline);
        timeline(old).zip(timeline(new)).is_some_and(|(old, new)| old < new)
    }
}

#[async_trait]
impl ActOnPair for PromotesFirst {
    async fn write(&self, write: &ClusterWrite) -> Outcome {
        let ClusterChange::Demote { .. } = write.change else { return self.pair.act.write(write).await };
        if write.region.as_str() != REGIONS[0] {
            // Else the new region's controller, which sees at once that its half was told to be primary, takes that back.
            return Outcome::Done(());
        }
        if !self.is_promoted().await {
            let promote = |cluster: &ClusterView| ClusterChange::Promote {
                primary: cluster.self_name.clone(),
                token: None,
                permit: Permit::forged(),
            };
            self.pair.write_other(write, promote).await;
            return Outcome::NotApplied("the other half comes first".into());
        }
        self.pair.act.write(write).await
    }
}

/// Claims each half that it looks at: what, of the generation that stands there.
pub(super) struct ClaimsInDryRun {
    pair: Pair,
    claim: fn(u64) -> Claim,
}

impl ClaimsInDryRun {
    pub(super) fn new(act: Arc<dyn ActOnPair>, observe: Arc<dyn ObservePair>, claim: fn(u64) -> Claim) -> Self {
        Self { pair: Pair { act, observe }, claim }
    }
}

#[async_trait]
impl ObservePair for ClaimsInDryRun {
    async fn cluster(&self, region: &Region, pair: &ObjectName) -> Seen<ClusterView> {
        let seen = self.pair.observe.cluster(region, pair).await;
        if let Seen::Is(view) = &seen {
            let write = ClusterWrite {
                region: region.clone(),
                object: view.object.clone(),
                resource_version: view.resource_version.clone(),
                claim: (self.claim)(view.claim.as_ref().map_or(0, |claim| claim.generation)),
                change: ClusterChange::Claim,
                server_limit: None,
            };
            // Whether it passes tells this mutant nothing that a look does not.
            let _ = self.pair.act.write(&write).await;
        }
        seen
    }

    async fn secrets(&self, region: &Region, cluster: &ClusterView) -> Seen<BTreeMap<String, RoleSecret>> {
        self.pair.observe.secrets(region, cluster).await
    }

    async fn backup_runs(&self, region: &Region, cluster: &ClusterView) -> Seen<bool> {
        self.pair.observe.backup_runs(region, cluster).await
    }

    async fn missing_rights(&self, region: &Region, plan: &Plan) -> Seen<Vec<String>> {
        self.pair.observe.missing_rights(region, plan).await
    }

    async fn admits(&self, write: &ClusterWrite) -> Seen<Result<(), String>> {
        self.pair.observe.admits(write).await
    }
}

/// See [`super::Mutant::LeavesFence`].
pub(super) struct LeavesFence {
    pair: Pair,
}

impl LeavesFence {
    pub(super) fn new(act: Arc<dyn ActOnPair>, observe: Arc<dyn ObservePair>) -> Self {
        Self { pair: Pair { act, observe } }
    }
}

#[async_trait]
impl ActOnPair for LeavesFence {
    async fn write(&self, write: &ClusterWrite) -> Outcome {
        let outcome = self.pair.act.write(write).await;
        if matches!(write.change, ClusterChange::Promote { .. }) {
            self.pair.write_other(write, |_| ClusterChange::Fence).await;
        }
        outcome
    }
}

/// See [`super::Mutant::DropsToken`].
pub(super) struct DropsToken {
    pair: Pair,
    /// What each half was not given.
    dropped: Mutex<BTreeMap<Region, String>>,
}

impl DropsToken {
    pub(super) fn new(act: Arc<dyn ActOnPair>, observe: Arc<dyn ObservePair>) -> Self {
        Self { pair: Pair { act, observe }, dropped: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Region, String>> {
        self.dropped.lock().expect("nothing panics while it holds the tokens")
    }
}

#[async_trait]
impl ActOnPair for DropsToken {
    async fn write(&self, write: &ClusterWrite) -> Outcome {
        let ClusterChange::Promote { primary, token: Some(token), permit } = &write.change else {
            return self.pair.act.write(write).await;
        };
        self.lock().insert(write.region.clone(), token.clone());
        let change = ClusterChange::Promote { primary: primary.clone(), token: None, permit: *permit };
        self.pair.act.write(&ClusterWrite { change, ..write.clone() }).await
    }
}

#[async_trait]
impl ObservePair for DropsToken {
    async fn cluster(&self, region: &Region, pair: &ObjectName) -> Seen<ClusterView> {
        let dropped = self.lock().get(region).cloned();
        self.pair.observe.cluster(region, pair).await.map(|mut view| {
            if let Some(token) = dropped.filter(|_| view.role == Role::Primary) {
                view.promotion_token = Some(token.clone());
                view.last_promotion_token = Some(token);
            }
            view
        })
    }

    async fn secrets(&self, region: &Region, cluster: &ClusterView) -> Seen<BTreeMap<String, RoleSecret>> {
        self.pair.observe.secrets(region, cluster).await
    }

    async fn backup_runs(&self, region: &Region, cluster: &ClusterView) -> Seen<bool> {
        self.pair.observe.backup_runs(region, cluster).await
    }

    async fn missing_rights(&self, region: &Region, plan: &Plan) -> Seen<Vec<String>> {
        self.pair.observe.missing_rights(region, plan).await
    }

    async fn admits(&self, write: &ClusterWrite) -> Seen<Result<(), String>> {
        self.pair.observe.admits(write).await
    }
}

/// See [`super::Mutant::ForgetsWriters`].
pub(super) struct ForgetsWriters {
    observe: Arc<dyn ObservePair>,
}

impl ForgetsWriters {
    pub(super) fn new(observe: Arc<dyn ObservePair>) -> Self {
        Self { observe }
    }
}

#[async_trait]
impl ObservePair for ForgetsWriters {
    async fn cluster(&self, region: &Region, pair: &ObjectName) -> Seen<ClusterView> {
        self.observe.cluster(region, pair).await.map(|view| ClusterView { role_writer: None, ..view })
    }

    async fn secrets(&self, region: &Region, cluster: &ClusterView) -> Seen<BTreeMap<String, RoleSecret>> {
        self.observe.secrets(region, cluster).await
    }

    async fn backup_runs(&self, region: &Region, cluster: &ClusterView) -> Seen<bool> {
        self.observe.backup_runs(region, cluster).await
    }

    async fn missing_rights(&self, region: &Region, plan: &Plan) -> Seen<Vec<String>> {
        self.observe.missing_rights(region, plan).await
    }

    async fn admits(&self, write: &ClusterWrite) -> Seen<Result<(), String>> {
        self.observe.admits(write).await
    }
}

/// Every standby seems to have replayed everything.
pub(super) struct SeesAllReplayed {
    observe: Arc<dyn ObserveDatabase>,
}

impl SeesAllReplayed {
    pub(super) fn new(observe: Arc<dyn ObserveDatabase>) -> Self {
        Self { observe }
    }
}

#[async_trait]
impl ObserveDatabase for SeesAllReplayed {
    async fn look(&self, region: &Region, cluster: &ObjectName) -> Seen<DatabaseView> {
        self.observe.look(region, cluster).await.map(|mut view| {
            view.lsn = view.lsn.map(|_| Lsn(u64::MAX));
            view
        })
    }

    async fn lets_in(&self, region: &Region, cluster: &ObjectName, login: &RoleLogin) -> LoginResult {
        self.observe.lets_in(region, cluster, login).await
    }
}
