//! Two controllers as processes on two real API servers, with a real PostgreSQL pair that takes TLS alone, and a real
//! nats-server. The witness stands on the first API server, on a third one, or in a bucket of that nats-server.
//! The chart is installed on every API server, and the processes run as it tells: with its variables, and under its
//! accounts' roles.

mod bucket;
mod clients;
mod configured;
mod consent;
mod definitions;
mod deleted;
mod fuzzed;
mod installed;
mod killed;
mod pair;
mod process;
mod proxy;
mod reload;
mod replicas;
mod switchover;

use configured::files;
use continuum_tests::certificates::{Authority, Certified};
use continuum_tests::real_kube::{RealKube, Who};
use continuum_tests::real_nats::{RealNats, USER};
use continuum_tests::real_postgres::{MONITOR_ROLE, PASSWORD, PLAIN_ROLE, RealPostgres};
use installed::Installed;
use k8s_openapi::ByteString;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, PostParams};
use kube::core::GroupVersionKind;
use process::{Folder, Process, until};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{Mutex, MutexGuard};

const REGIONS: [&str; 2] = ["fsn", "hel"];
/// How long a move drains its route, s. Nobody is served by these routes.
const DRAIN_SECONDS: u32 = 1;

/// What holds the registers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    /// Leases on the first API server.
    Leases,
    /// Leases on an API server of their own, which is no region's.
    ThirdPlace,
    /// The bucket of this name on the nats-server.
    Bucket(&'static str),
}

/// Two regions with an API server each. Their processes may be told how to reach both by files.
struct Regions {
    servers: [RealKube; 2],
    /// Where the witness stands in a third place.
    third: Option<RealKube>,
    postgres: Arc<RealPostgres>,
    nats: RealNats,
    folder: Folder,
    kept: Kept,
    _alone: MutexGuard<'static, ()>,
}

/// Half a dozen servers and two controllers are as much as two cores bear: with more of them at once, requests are not
/// answered in the seconds that a controller waits, and what is tested is the machine.
static ALONE: Mutex<()> = Mutex::const_new(());

impl Regions {
    async fn start() -> Option<Self> {
        Self::new(false, Kept::Leases).await
    }

    async fn kept(kept: Kept) -> Option<Self> {
        Self::new(false, kept).await
    }

    /// The same; the first server writes down what it is asked to change, in the file `audit` of the folder.
    async fn audited() -> Option<Self> {
        Self::new(true, Kept::Leases).await
    }

    async fn new(audited: bool, kept: Kept) -> Option<Self> {
        let alone = ALONE.lock().await;
        let postgres = Arc::new(RealPostgres::start()?);
        let authority = Authority::new();
        let Certified { certificate, key } = authority.certify("localhost");
        for half in 0..2 {
            postgres.take_tls_alone(half, &certificate, &key);
        }
        let nats = RealNats::start().await?;
        if let Kept::Bucket(name) = kept {
            nats.make_bucket(name, Default::default()).await;
        }
        let folder = Folder::new();
        let first = match audited {
            true => RealKube::audited(folder.put("audit", "").as_ref()).await,
            false => RealKube::another().await,
        };
        let second = RealKube::another().await;
        let servers = [first, second].map(|server| server.expect("a real kube-apiserver"));
        let [Some(first), Some(second)] = servers else { return None };
        let servers = [first, second];
        let third = match kept {
            Kept::ThirdPlace => Some(RealKube::another().await.expect("a real kube-apiserver")?),
            Kept::Leases | Kept::Bucket(_) => None,
        };
        for (index, region) in REGIONS.into_iter().enumerate() {
            folder.put(&format!("own/{region}"), &servers[index].kubeconfig(Who::Admin));
            folder.put(
                &format!("of-{region}/{}.kubeconfig", REGIONS[1 - index]),
                &servers[1 - index].kubeconfig(Who::Admin),
            );
        }
        let regions = Self { servers, third, postgres, nats, folder, kept, _alone: alone };
        if regions.third.is_some() {
            make_namespaces(regions.witness().await, &["leases"]).await;
        }
        for index in 0..2 {
            make_namespaces(regions.client(index).await, &["shop", "leases"]).await;
            let secrets: Api<Secret> = Api::namespaced(regions.client(index).await, "shop");
            let authority = [("ca.crt", authority.certificate.as_str())];
            let login = [("username", MONITOR_ROLE), ("password", PASSWORD)];
            let app = [("username", PLAIN_ROLE), ("password", PASSWORD)];
            for (name, data) in [
                ("shop-fsn-ca", &authority[..]),
                ("shop-hel-ca", &authority),
                ("probe", &login),
                (["shop-fsn-app", "shop-hel-app"][index], &app),
            ] {
                secrets.create(&PostParams::default(), &secret(name, data)).await.expect("a new secret");
            }
        }
        Some(regions)
    }

    async fn client(&self, index: usize) -> kube::Client {
        self.servers[index].client(Who::Admin).await.expect("a client")
    }

    /// Of the API server that holds the Leases.
    async fn witness(&self) -> kube::Client {
        let server = self.third.as_ref().unwrap_or(&self.servers[0]);
        server.client(Who::Admin).await.expect("a client")
    }

    /// For a process that may do everything.
    fn variables(&self, index: usize) -> BTreeMap<&'static str, String> {
        let region = REGIONS[index];
        BTreeMap::from([
            ("CATALYST_REGION", region.to_owned()),
            ("OWN_KUBECONFIG", self.folder.path(&format!("own/{region}"))),
            ("REGION_KUBECONFIGS_DIR", self.folder.path(&format!("of-{region}"))),
            ("WITNESS_REGION", REGIONS[0].to_owned()),
            ("CATALYST_LEASE_NS", "leases".to_owned()),
            ("CONTINUUM_VANTAGES", String::new()),
            ("NATS_URL", self.nats.url(USER.0, USER.1)),
            ("LOG_LEVEL", "debug".to_owned()),
        ])
    }

    async fn continuums(&self, index: usize) -> Api<DynamicObject> {
        Api::namespaced_with(self.client(index).await, "shop", &kind("dr.openova.io", "Continuum", "continuums"))
    }

    async fn routes(&self, index: usize) -> Api<DynamicObject> {
        let routes = kind("gateway.networking.k8s.io", "HTTPRoute", "httproutes");
        Api::namespaced_with(self.client(index).await, "shop", &routes)
    }

    /// The same Continuum and route in both, and its half in each.
    async fn put(&self, name: &str, probe: Value) {
        for (index, region) in REGIONS.into_iter().enumerate() {
            let clusters = kind("postgresql.cnpg.io", "Cluster", "clusters");
            let clusters: Api<DynamicObject> = Api::namespaced_with(self.client(index).await, "shop", &clusters);
            create(&clusters, self.cluster(name, region)).await;
            create(&self.routes(index).await, route(name)).await;
            create(&self.continuums(index).await, self.continuum(name, &probe)).await;
        }
    }

    /// Each controller reaches its own half at the place that is named here, since nobody resolves a Service's name.
    fn continuum(&self, name: &str, probe: &Value) -> Value {
        let places: Vec<Value> = (REGIONS.into_iter().zip(["10.1.0.1", "10.2.0.1"]))
            .zip(self.postgres.ports)
            .map(|((region, address), port)| {
                json!({ "name": region, "lbIPs": [address], "postgres": { "host": "localhost", "port": port } })
            })
            .collect();
        let kind = match self.kept {
            Kept::Leases | Kept::ThirdPlace => "k8s-lease",
            Kept::Bucket(_) => "nats-kv",
        };
        json!({
            "apiVersion": "dr.openova.io/v1", "kind": "Continuum", "metadata": { "name": name },
            "spec": {
                "applicationRef": name, "primaryRegion": "fsn", "hotStandbyRegions": ["hel"],
                "leaseClient": { "kind": kind, "config": { "renewSeconds": 1 } }, "cnpgPair": { "name": name },
                "httpRoute": { "name": name, "drainSeconds": DRAIN_SECONDS },
                "probe": probe, "regions": places,
            },
        })
    }

    fn cluster(&self, name: &str, region: &str) -> Value {
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
            "metadata": { "name": format!("{name}-{region}"), "labels": { "catalyst.openova.io/cnpg-pair": name } },
            "spec": {
                "instances": 1,
                "switchoverDelay": 5,
                "smartShutdownTimeout": 1,
                "replica": { "primary": format!("{name}-fsn"), "source": format!("{name}-{other}") },
                "externalClusters": entries,
            },
        })
    }

    /// The weight that this region's route has for the backend of each.
    async fn weights(&self, index: usize, name: &str) -> [Option<u64>; 2] {
        let route = self.routes(index).await.get(name).await.expect("it is there");
        let backends = route.data["spec"]["rules"][0]["backendRefs"].as_array().cloned().unwrap_or_default();
        REGIONS.map(|region| {
            let found = backends.iter().find(|backend| backend["name"] == format!("{name}-{region}"));
            found.and_then(|backend| backend["weight"].as_u64())
        })
    }

    async fn status(&self, index: usize, name: &str) -> Value {
        let found = self.continuums(index).await.get(name).await.expect("it is there");
        found.data.get("status").cloned().unwrap_or_default()
    }

    /// What holds the copy; absent: it is gone.
    async fn finalizers(&self, index: usize) -> Option<Vec<String>> {
        let found = self.continuums(index).await.get_opt("shop").await.expect("copies can be read");
        found.map(|copy| copy.metadata.finalizers.unwrap_or_default())
    }

    /// Reason and note of each Event of the Continuum.
    async fn events(&self, index: usize, name: &str) -> Vec<(String, String)> {
        let api: Api<Event> = Api::namespaced(self.client(index).await, "shop");
        let events = api.list(&ListParams::default()).await.expect("Events can be listed").items;
        let of_it = events.into_iter().filter(|event| {
            event
                .regarding
                .as_ref()
                .is_some_and(|of| of.kind.as_deref() == Some("Continuum") && of.name.as_deref() == Some(name))
        });
        of_it.map(|event| (event.reason.unwrap_or_default(), event.note.unwrap_or_default())).collect()
    }

    async fn lease(&self, name: &str) -> Option<Lease> {
        let leases: Api<Lease> = Api::namespaced(self.witness().await, "leases");
        let found = leases.list(&ListParams::default()).await.expect("leases can be listed");
        found.items.into_iter().find(|lease| lease.metadata.name.as_deref().is_some_and(|n| n.contains(name)))
    }

    /// Who holds the only record of `name`.
    async fn holder(&self, name: &str) -> Option<String> {
        match self.kept {
            Kept::Leases | Kept::ThirdPlace => self.lease(name).await?.spec?.holder_identity,
            Kept::Bucket(_) => self.record(name).await["holder"].as_str().map(str::to_owned),
        }
    }

    /// The record of `name`, but for what stands in the Lease's own fields.
    async fn record(&self, name: &str) -> Value {
        if let Kept::Bucket(bucket) = self.kept {
            let value = self.nats.value(bucket, &format!("shop.{name}")).await;
            return value.map_or(Value::Null, |value| serde_json::from_slice(&value).expect("the record is JSON"));
        }
        let annotations = self.lease(name).await.and_then(|lease| lease.metadata.annotations).unwrap_or_default();
        let text = annotations.get("dr.openova.io/record").map_or("null", String::as_str);
        serde_json::from_str(text).expect("the record is JSON")
    }
}

fn kind(group: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, "v1", kind), plural)
}

async fn make_namespaces(client: kube::Client, names: &[&str]) {
    let namespaces: Api<Namespace> = Api::all(client);
    for name in names {
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some((*name).into());
        namespaces.create(&PostParams::default(), &namespace).await.expect("a new namespace");
    }
}

/// Leads to the first region.
fn route(name: &str) -> Value {
    let backends: Vec<Value> = (REGIONS.into_iter().zip([100, 0]))
        .map(|(region, weight)| json!({ "name": format!("{name}-{region}"), "port": 80, "weight": weight }))
        .collect();
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": { "name": name },
        "spec": { "hostnames": [format!("{name}.example.org")], "rules": [{ "backendRefs": backends }] },
    })
}

async fn create(api: &Api<DynamicObject>, object: Value) {
    let object = serde_json::from_value(object).expect("an object");
    api.create(&PostParams::default(), &object).await.expect("a new object");
}

fn secret(name: &str, data: &[(&str, &str)]) -> Secret {
    let data = data.iter().map(|(key, text)| ((*key).to_owned(), ByteString(text.as_bytes().to_vec())));
    let mut secret = Secret { data: Some(data.collect()), ..Secret::default() };
    secret.metadata.name = Some(name.into());
    secret
}

#[tokio::test]
async fn two_processes_keep_every_continuum_of_their_clusters_and_end_when_they_are_told() {
    let Some(regions) = Regions::start().await else { return };
    let Some(installed) = Installed::start(&regions).await else { return };
    regions.put("shop", json!({ "secretRef": { "name": "probe" } })).await;
    let mut processes = [0, 1].map(|index| Process::start(installed.variables(index)));
    for process in &processes {
        until("readiness", async || process.ready() == (200, "ok".into())).await;
    }

    // One record, held by the primary region; both copies tell so, each by its own controller.
    until("fsn to hold the record", async || {
        regions.holder("shop").await.is_some_and(|holder| holder.starts_with("fsn"))
    })
    .await;
    for index in 0..2 {
        until("the copy to tell", async || regions.status(index, "shop").await["leaseHolder"] == "fsn").await;
    }

    // Both answer, to those who bear the token, and have looked at both halves.
    for process in &processes {
        assert_eq!(process.call_as_a_stranger("GET /v1/continuums/shop/shop/status"), 401);
        let (status, body) = process.call("POST /v1/continuums/shop/shop/dry-run", r#"{"toRegion": "hel"}"#);
        assert_eq!(status, 200, "{body}");
        let report: Value = serde_json::from_str(&body).expect("a report");
        assert!(report["planFingerprint"].is_string(), "{body}");
        assert!(!body.contains("PostgreSQL of") && !body.contains("secretRef"), "{body}");
        assert!(!body.contains("no audit stream is configured"), "{body}");
        assert!(!body.contains("the controller may not"), "{body}");
    }
    let told = async |kind: &str| regions.nats.types().await.iter().filter(|told| *told == kind).count();
    until("both to tell of the resource, and one of its lease", async || {
        told("continuum-cr-created").await == 2 && told("continuum-lease-acquired").await == 1
    })
    .await;

    // What is refused is told where people look: in the status, and as an Event.
    let (status, body) = processes[0].call("POST /v1/continuums/shop/shop/switchover", r#"{"toRegion": "hel"}"#);
    assert_eq!(status, 409, "{body}");
    until("the refusal", async || {
        let refusal = &regions.status(0, "shop").await["lastRefusal"];
        refusal["to"] == "hel" && refusal["message"].as_str().is_some_and(|why| body.contains(why))
    })
    .await;
    let events_of =
        async |reason: &str| regions.events(0, "shop").await.iter().filter(|(told, _)| told == reason).count();
    until("the Event of the refusal", async || events_of("SwitchoverRefused").await == 1).await;
    let healthy = events_of("PhaseHealthy").await;

    // What comes later is begun as well, and what is deleted ends and leaves the others alone.
    regions.put("books", Value::Null).await;
    for (index, process) in processes.iter().enumerate() {
        until("the second to be served", async || {
            process.call("GET /v1/continuums/shop/books/status", "").0 == 200
                && regions.status(index, "books").await["phase"].is_string()
        })
        .await;
        // What cannot be looked at is named with its cure.
        let (_, body) = process.call("POST /v1/continuums/shop/books/dry-run", r#"{"toRegion": "hel"}"#);
        assert!(body.contains("spec.probe.secretRef is missing: name a secret"), "{body}");
    }
    for (index, process) in processes.iter().enumerate() {
        let continuums = regions.continuums(index).await;
        continuums.delete("books", &DeleteParams::default()).await.expect("it can be deleted");
        until("the second to be gone", async || process.call("GET /v1/continuums/shop/books/status", "").0 == 404)
            .await;
        assert_eq!(process.call("GET /v1/continuums/shop/shop/status", "").0, 200);
        until("its tasks to end", async || {
            process.log().lines().any(|line| line.contains(r#""message":"ended""#) && line.contains("shop/books"))
        })
        .await;
    }

    // A process that dies is followed by another, which holds what it held.
    processes[0].kill();
    processes[0] = Process::start(installed.variables(0));
    until("readiness", async || processes[0].ready().0 == 200).await;
    let renewal = async || regions.status(0, "shop").await["seen"]["renewal"].as_u64();
    let before = renewal().await.expect("it was told before");
    until("the record to be renewed", async || renewal().await.is_some_and(|renewal| renewal > before)).await;
    assert_eq!(regions.status(0, "shop").await["leaseHolder"], "fsn");
    assert_eq!(
        (events_of("SwitchoverRefused").await, events_of("PhaseHealthy").await),
        (1, healthy),
        "none is told again"
    );

    // Told to end, each does, and the record stays with the region.
    for process in &mut processes {
        process.signal("-TERM");
        assert_eq!(process.ended().await.code(), Some(0), "{}", process.log());
        let log = process.log();
        assert!(log.contains(r#""message":"stopped""#), "{log}");
        assert!(!log.contains(process::TOKEN), "the token is in the log");
        assert!(!log.contains(&regions.nats.url(USER.0, USER.1)), "a password is in the log");
        assert!(!log.contains("a request had no answer"), "{log}");
        assert!(!log.contains("forbidden"), "a role of the chart lacks something: {log}");
    }
    let mut ids = regions.nats.ids().await;
    ids.sort();
    let count = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), count, "each event is told once, whatever was killed: {ids:?}");
    assert!(
        regions.holder("shop").await.is_some_and(|holder| holder.starts_with("fsn")),
        "the term is not thrown away"
    );
}

#[tokio::test]
async fn a_controller_that_may_not_says_what_it_may_not() {
    let Some(server) = RealKube::start().await.expect("a real kube-apiserver") else { return };
    let folder = Folder::new();
    let mut variables = files(&folder);
    variables.insert("OWN_KUBECONFIG", folder.put("own", &server.kubeconfig(Who::Nobody)));
    let process = Process::start(variables.clone());
    until("the reason", async || process.ready().1.contains("give this controller's account the verbs list and watch"))
        .await;
    assert_eq!(process.ready().0, 503);
    drop(process);
    // A secret that it may not read: it cannot begin, and says so last.
    variables.insert("REGION_KUBECONFIGS_DIR", String::new());
    variables.insert("REGION_KUBECONFIGS_SECRET", "regions".into());
    let mut process = Process::start(variables);
    assert_eq!(process.ended().await.code(), Some(69));
    let log = process.log();
    let expected = "continuum-controller: REGION_KUBECONFIGS_SECRET names a secret that is of no use: secret \
                    catalyst-controllers/regions in fsn may not be read: give this controller's account the verb get on it";
    assert_eq!(log.lines().last(), Some(expected));
}
