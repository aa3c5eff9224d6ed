//! The objects of a fleet: the same for both sides, each in its own namespaces.

use crate::REGIONS;
use crate::servers::{Servers, clusters, continuums, leases, routes};
use continuum_core::clock::Clock;
use continuum_live::clock::SystemClock;
use futures_util::{StreamExt, stream};
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, PostParams};
use serde_json::{Value, json};
use std::time::Duration;

/// Requests at once while it is made.
const AT_ONCE: usize = 16;

/// See the module.
pub struct Fleet<'a> {
    servers: &'a Servers,
    /// Of the Continuums and what belongs to them.
    pub namespace: String,
    /// Of the Leases, on the first server.
    pub lease_namespace: String,
}

impl<'a> Fleet<'a> {
    /// So many, each with its halves, its route, and a Lease that the first region holds already: what is measured is a
    /// controller that goes on.
    pub async fn make(servers: &'a Servers, of: &str, count: usize) -> Fleet<'a> {
        let fleet = Self { servers, namespace: format!("fleet-{of}"), lease_namespace: format!("fleet-{of}-leases") };
        for index in 0..2 {
            servers.namespace(index, &fleet.namespace).await;
        }
        servers.namespace(0, &fleet.lease_namespace).await;
        let names = (0..count).map(|number| format!("app-{number:04}"));
        stream::iter(names).for_each_concurrent(AT_ONCE, |name| fleet.put(name)).await;
        fleet
    }

    async fn put(&self, name: String) {
        for (index, region) in REGIONS.into_iter().enumerate() {
            let at = |kind: &ApiResource| self.servers.objects(index, &self.namespace, kind);
            create(&at(&clusters()), cluster(&name, region)).await;
            create(&at(&routes()), route(&name)).await;
            create(&at(&continuums()), continuum(&name)).await;
        }
        let leases = self.servers.objects(0, &self.lease_namespace, &leases());
        create(&leases, lease(&format!("{}.{name}", self.namespace))).await;
    }

    /// All of it goes, for the other side to find nothing of it.
    pub async fn clear(self) {
        for index in 0..2 {
            for kind in [clusters(), routes(), continuums()] {
                clear(&self.servers.objects(index, &self.namespace, &kind)).await;
            }
        }
        clear(&self.servers.objects(0, &self.lease_namespace, &leases())).await;
    }
}

async fn clear(objects: &Api<DynamicObject>) {
    loop {
        // A busy server may be longer about it than a request lasts, and goes on.
        let _ = objects.delete_collection(&DeleteParams::default(), &ListParams::default()).await;
        if objects.list(&ListParams::default().limit(1)).await.is_ok_and(|left| left.items.is_empty()) {
            return;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

pub async fn create(objects: &Api<DynamicObject>, object: Value) {
    let object: DynamicObject = serde_json::from_value(object).expect("an object");
    // One that had no answer may be there all the same.
    while let Err(error) = objects.create(&PostParams::default(), &object).await {
        if matches!(&error, kube::Error::Api(status) if status.code == 409) {
            return;
        }
        eprintln!("{}: {error}", object.metadata.name.as_deref().unwrap_or_default());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// The timings of the lease are those that the resource has by itself: a term of 30 s, renewed every 10 s.
pub fn continuum(name: &str) -> Value {
    let places = REGIONS.into_iter().zip(["10.1.0.1", "10.2.0.1"]);
    let places: Vec<Value> = places.map(|(region, address)| json!({ "name": region, "lbIPs": [address] })).collect();
    json!({
        "apiVersion": "dr.openova.io/v1", "kind": "Continuum", "metadata": { "name": name },
        "spec": {
            "applicationRef": name, "primaryRegion": REGIONS[0], "hotStandbyRegions": [REGIONS[1]],
            "leaseClient": { "kind": "k8s-lease", "config": { "ttlSeconds": 30, "renewSeconds": 10 } },
            "cnpgPair": { "name": name },
            "httpRoute": { "name": name, "drainSeconds": 0 },
            "luaRecord": { "hostnames": [format!("{name}.example.org")], "selector": "pickwhashed" },
            "regions": places,
        },
    })
}

/// A half, with the claim that a controller has written long ago.
pub fn cluster(name: &str, region: &str) -> Value {
    let other = REGIONS[usize::from(region == REGIONS[0])];
    let entries = REGIONS.map(|region| {
        json!({
            "name": format!("{name}-{region}"),
            "connectionParameters": { "sslmode": "verify-full" },
            "sslRootCert": { "name": format!("{name}-{region}-ca"), "key": "ca.crt" },
        })
    });
    json!({
        "apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster",
        "metadata": {
            "name": format!("{name}-{region}"),
            "labels": { "catalyst.openova.io/cnpg-pair": name },
            "annotations": { "dr.openova.io/generation": "1", "dr.openova.io/intent": "held/1" },
        },
        "spec": {
            "instances": 1,
            "switchoverDelay": 5,
            "smartShutdownTimeout": 1,
            "replica": { "primary": format!("{name}-{}", REGIONS[0]), "source": format!("{name}-{other}") },
            "externalClusters": entries,
        },
    })
}

/// Leads to the first region.
pub fn route(name: &str) -> Value {
    let backends: Vec<Value> = REGIONS
        .into_iter()
        .zip([100, 0])
        .map(|(region, weight)| json!({ "name": format!("{name}-{region}"), "port": 80, "weight": weight }))
        .collect();
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": { "name": name },
        "spec": { "hostnames": [format!("{name}.example.org")], "rules": [{ "backendRefs": backends }] },
    })
}

/// Held by the first region. The twin reads of the record what it knows.
pub fn lease(name: &str) -> Value {
    let record = json!({
        "format": 1, "namedBy": REGIONS[0], "renewal": 1, "lineage": { "of": { "region": REGIONS[0], "timeline": 1 } },
        "inSync": false, "sequence": 0,
    });
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": { "name": name, "annotations": { "dr.openova.io/record": record.to_string() } },
        "spec": {
            "holderIdentity": REGIONS[0], "leaseTransitions": 1, "leaseDurationSeconds": 30,
            "renewTime": format!("{:.6}", SystemClock::new().wall()),
        },
    })
}
