//! Joins ports to implementations: the one place that knows which adapter stands behind which port. A
//! controller's `main` and a simulated host call it alike; they differ in the transports they pass.

use crate::copies::{KubeCopies, OwnCopy};
use crate::kube_api::{Access, KubeApi, Regions, regions};
use crate::pair::KubePair;
use crate::route::KubeRoute;
use crate::watches::{KubeCache, Watches};
use crate::witness_lease::LeaseWitness;
use continuum_core::clock::Clock;
use continuum_core::name::{ObjectName, Region};
use continuum_core::ports::{
    ActOnDatabase, ActOnWitness, Actors, Cache, ObserveAudit, ObserveDatabase, ObserveLatency, ObserveRecords,
    ObserveVantages, ObserveWitness, Observers, PublishAudit, PublishRecords,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One thing for driving, and one of the same for dry runs and health checks, which marks its requests so that
/// a server can tell that they change nothing.
#[derive(Clone, Debug, Default)]
pub struct Twice<T> {
    /// Marked [`USER_AGENT`](crate::kube_transport::USER_AGENT).
    pub driving: T,
    /// Marked [`USER_AGENT_DRY_RUN`](crate::kube_transport::USER_AGENT_DRY_RUN).
    pub dry_run: T,
}

/// How the API servers are asked.
#[derive(Clone, Default)]
pub struct KubeClients {
    /// That of each region.
    pub regions: BTreeMap<Region, Access>,
    /// The witness's cluster, also where that is a region's: what renews waits for nothing else. Absent: no witness is
    /// configured.
    pub witness: Option<Access>,
}

/// Looks that go elsewhere than Kubernetes. Absent: not configured.
#[derive(Clone, Default)]
pub struct OtherObservers {
    /// Database probe.
    pub database: Option<Arc<dyn ObserveDatabase>>,
    /// Records.
    pub records: Option<Arc<dyn ObserveRecords>>,
    /// Vantages.
    pub vantages: Option<Arc<dyn ObserveVantages>>,
    /// Audit stream.
    pub audit: Option<Arc<dyn ObserveAudit>>,
    /// Latency.
    pub latency: Option<Arc<dyn ObserveLatency>>,
}

/// Actions that go elsewhere than Kubernetes. Absent: not configured.
#[derive(Clone, Default)]
pub struct OtherActors {
    /// Database probe.
    pub database: Option<Arc<dyn ActOnDatabase>>,
    /// Records.
    pub records: Option<Arc<dyn PublishRecords>>,
    /// Audit stream.
    pub audit: Option<Arc<dyn PublishAudit>>,
}

/// A witness that is no Lease.
#[derive(Clone)]
pub struct Register {
    /// Looks.
    pub observe: Arc<dyn ObserveWitness>,
    /// Acts.
    pub act: Arc<dyn ActOnWitness>,
}

/// Everything that a controller reaches the world through.
#[derive(Clone)]
pub struct Transports {
    /// API servers.
    pub kube: Twice<KubeClients>,
    /// Namespace of the Leases in the witness's cluster.
    pub lease_namespace: String,
    /// The region in whose cluster the witness stands, where it is not a third place (H16).
    pub witness_shares: Option<Region>,
    /// The witness, where that is no Lease: in place of the one in the witness's cluster.
    pub register: Option<Twice<Register>>,
    /// Other looks.
    pub observers: Twice<OtherObservers>,
    /// Other actions.
    pub actors: OtherActors,
    /// What API servers are watched. Empty: none, and idle controllers ask.
    pub watches: Watches,
    /// For timestamps.
    pub clock: Arc<dyn Clock>,
}

/// The ports of one Continuum.
pub struct Ports {
    /// Looks: for the driver and the keeper, and for dry runs and health checks.
    pub observers: Twice<Observers>,
    /// Actions.
    pub actors: Actors,
}

/// The ports of `continuum` for the controller of region `own`.
pub fn assemble(continuum: &ObjectName, own: &Region, transports: &Transports) -> Ports {
    let register =
        |which: fn(&Twice<Register>) -> &Register| transports.register.as_ref().map(|both| which(both).clone());
    let (kube, watches) = (&transports.kube, &transports.watches);
    let driving = Adapters::new(continuum, own, transports, &kube.driving, register(|both| &both.driving), watches);
    let dry_run =
        Adapters::new(continuum, own, transports, &kube.dry_run, register(|both| &both.dry_run), &Watches::new());
    let others = &transports.actors;
    Ports {
        actors: Actors {
            witness: driving.witness.as_ref().map(|witness| witness.act.clone()),
            pair: driving.pair.clone(),
            database: others.database.clone(),
            route: driving.route.clone(),
            records: others.records.clone(),
            audit: others.audit.clone(),
            copy: Arc::new(OwnCopy::new(&driving.regions, own.clone(), continuum.clone())),
        },
        observers: Twice {
            driving: Observers {
                cache: driving.cache(continuum, &transports.watches),
                ..driving.observers(continuum, &transports.observers.driving)
            },
            dry_run: dry_run.observers(continuum, &transports.observers.dry_run),
        },
    }
}

/// The adapters over one set of clients. Who looks and who acts share them.
struct Adapters {
    regions: Regions,
    witness: Option<Register>,
    pair: Arc<KubePair>,
    route: Arc<KubeRoute>,
}

impl Adapters {
    fn new(
        continuum: &ObjectName,
        own: &Region,
        transports: &Transports,
        clients: &KubeClients,
        register: Option<Register>,
        watches: &Watches,
    ) -> Self {
        let regions = regions(clients.regions.iter().map(|(region, client)| {
            let api = KubeApi::new(client.clone(), region.as_str()).beside(watches.get(region).cloned());
            (region.clone(), api)
        }));
        let lease = clients.witness.as_ref().map(|client| {
            let lease = Arc::new(LeaseWitness::new(
                KubeApi::new(client.clone(), "witness"),
                &transports.lease_namespace,
                continuum,
                transports.witness_shares.clone(),
                transports.clock.clone(),
            ));
            Register { observe: lease.clone(), act: lease }
        });
        Self {
            witness: register.or(lease),
            pair: Arc::new(KubePair::new(regions.clone(), own.clone())),
            route: Arc::new(KubeRoute::new(regions.clone())),
            regions,
        }
    }

    fn cache(&self, continuum: &ObjectName, watches: &Watches) -> Option<Arc<dyn Cache>> {
        let cache = || KubeCache::new(watches.clone(), self.regions.clone(), continuum.clone());
        (!watches.is_empty()).then(|| Arc::new(cache()) as _)
    }

    fn observers(&self, continuum: &ObjectName, others: &OtherObservers) -> Observers {
        Observers {
            witness: self.witness.as_ref().map(|witness| witness.observe.clone()),
            pair: self.pair.clone(),
            database: others.database.clone(),
            route: self.route.clone(),
            records: others.records.clone(),
            vantages: others.vantages.clone(),
            audit: others.audit.clone(),
            latency: others.latency.clone(),
            copies: Arc::new(KubeCopies::new(self.regions.clone(), continuum.clone())),
            cache: None,
        }
    }
}
