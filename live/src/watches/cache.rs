//! What watches told, for one Continuum.

use super::ServerWatches;
use crate::copies::SpecsRead;
use crate::kube_api::{CLUSTERS, CONTINUUMS, Kind, ROUTES, Regions};
use continuum_core::name::{ObjectName, Region};
use continuum_core::observe::{ClusterView, CopyView, RouteView, Seen};
use continuum_core::ports::Cache;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The watches of each region's API server.
pub type Watches = BTreeMap<Region, Arc<ServerWatches>>;

/// See the module.
pub struct KubeCache {
    watches: Watches,
    /// Through which the same is read afresh.
    regions: Regions,
    continuum: ObjectName,
    specs: SpecsRead,
}

impl KubeCache {
    /// Of `continuum`. Nothing is told that is older than what was read through `regions`.
    pub fn new(watches: Watches, regions: Regions, continuum: ObjectName) -> Self {
        Self { watches, regions, continuum, specs: SpecsRead::default() }
    }

    /// Whether this version is none that was overtaken by what this controller has read or written.
    fn is_recent(&self, region: &Region, kind: &Kind, object: &ObjectName, version: &str) -> bool {
        self.regions.get(region).is_some_and(|api| !api.has_read_newer(kind, object, version))
    }
}

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
        let view = self.specs.view(region, &object);
        self.is_recent(region, &CONTINUUMS, &self.continuum, &view.resource_version).then_some(Seen::Is(view))
    }

    fn clusters_told(&self, region: &Region, pair: &ObjectName) -> u64 {
        self.watches.get(region).map_or(0, |watches| watches.clusters_told(&pair.namespace))
    }
}
