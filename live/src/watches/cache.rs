//! What watches told, for one Continuum.

use super::ServerWatches;
use super::kept::Told;
use crate::copies::SpecsRead;
use crate::kube_api::{CLUSTERS, CONTINUUMS, Kind, ROUTES, Regions};
use async_trait::async_trait;
use continuum_core::name::{ByRegion, ObjectName, Region};
use continuum_core::observe::{ClusterView, CopyView, RouteView, Seen, Stored};
use continuum_core::ports::Cache;
use futures_util::future::select_all;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The watches of each region's API server.
pub type Watches = BTreeMap<Region, Arc<ServerWatches>>;

/// What each region's watch tells of one thing.
type OfEachRegion = Arc<[Arc<Told>]>;

/// See the module.
pub struct KubeCache {
    watches: Watches,
    /// Through which the same is read afresh.
    regions: Regions,
    continuum: ObjectName,
    specs: SpecsRead,
    /// The copies as they were told last, and what was read of them.
    copies: Mutex<ByRegion<(Stored, CopyView)>>,
    /// What is told of the copies.
    copies_told: BTreeMap<Region, Arc<Told>>,
    /// The pair that was asked about last, and what each region's watch tells of it.
    clusters_told: Mutex<Option<(ObjectName, OfEachRegion)>>,
}

impl KubeCache {
    /// Of `continuum`. Nothing is told that is older than what was read through `regions`.
    pub fn new(watches: Watches, regions: Regions, continuum: ObjectName) -> Self {
        let copies_told =
            watches.iter().map(|(region, watches)| (region.clone(), watches.told_of_continuum(&continuum)));
        Self {
            copies_told: copies_told.collect(),
            watches,
            regions,
            continuum,
            specs: SpecsRead::default(),
            copies: Mutex::default(),
            clusters_told: Mutex::default(),
        }
    }

    /// Looked at often, and told anew now and then.
    fn view(&self, region: &Region, object: Stored) -> CopyView {
        let mut copies = self.copies.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, view)) = copies.get(region).filter(|(told, _)| told.is(&object)) {
            return view.clone();
        }
        let view = self.specs.view(region, &object.read());
        copies.insert(region.clone(), (object, view.clone()));
        view
    }

    /// What the watch of each region tells of the pair; absent: not all of them know.
    fn told(&self, pair: &ObjectName) -> Option<OfEachRegion> {
        let mut told = self.clusters_told.lock().unwrap_or_else(PoisonError::into_inner);
        let known = told.as_ref().filter(|(of, _)| of == pair).map(|(_, told)| told.clone());
        let of_pair = known.unwrap_or_else(|| {
            let of_pair: OfEachRegion = self.watches.values().map(|watches| watches.told_of_pair(pair)).collect();
            *told = Some((pair.clone(), of_pair.clone()));
            of_pair
        });
        self.watches.values().all(|watches| watches.knows_clusters()).then_some(of_pair)
    }

    fn told_of_copy(&self, region: &Region) -> Option<&Told> {
        let is_known = self.watches.get(region)?.knows_continuums();
        self.copies_told.get(region).filter(|_| is_known).map(|told| &**told)
    }

    /// Whether this version is none that was overtaken by what this controller has read or written.
    fn is_recent(&self, region: &Region, kind: &Kind, object: &ObjectName, version: &str) -> bool {
        self.regions.get(region).is_some_and(|api| !api.has_read_newer(kind, object, version))
    }
}

#[async_trait]
impl Cache for KubeCache {
    fn cluster(&self, region: &Region, pair: &ObjectName) -> Option<Seen<ClusterView>> {
        let seen = self.watches.get(region)?.cluster(pair)?;
        let recent = |view: &ClusterView| self.is_recent(region, &CLUSTERS, &view.object, &view.resource_version);
        seen.known().is_none_or(recent).then_some(seen)
    }

    fn route(&self, region: &Region, route: &ObjectName) -> Option<Seen<RouteView>> {
        let seen = self.watches.get(region)?.route(route)?;
        let recent = |view: &RouteView| self.is_recent(region, &ROUTES, &view.object, &view.resource_version);
        seen.known().is_none_or(recent).then_some(seen)
    }

    fn copy(&self, region: &Region) -> Option<Seen<CopyView>> {
        let Some(object) = self.watches.get(region)?.continuum(&self.continuum)? else { return Some(Seen::Missing) };
        let view = self.view(region, object);
        self.is_recent(region, &CONTINUUMS, &self.continuum, &view.resource_version).then_some(Seen::Is(view))
    }

    fn clusters_told(&self, pair: &ObjectName) -> Option<u64> {
        Some(self.told(pair)?.iter().map(|told| told.count()).sum())
    }

    fn copy_told(&self, region: &Region) -> Option<u64> {
        Some(self.told_of_copy(region)?.count())
    }

    async fn copy_told_more(&self, region: &Region, than: u64) {
        let Some(told) = self.told_of_copy(region) else { return };
        let more = told.more();
        if told.count() == than {
            more.await;
        }
    }

    async fn clusters_told_more(&self, pair: &ObjectName, than: u64) {
        let Some(told) = self.told(pair) else { return };
        // Begun before it is counted: none is missed in between.
        let more: Vec<_> = told.iter().map(|told| Box::pin(told.more())).collect();
        if told.iter().map(|told| told.count()).sum::<u64>() == than && !more.is_empty() {
            select_all(more).await;
        }
    }
}
