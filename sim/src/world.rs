//! The world: hosts, servers and controllers on one fabric, from a seed and options.
//!
//! ```text
//!   api.fsn  operator.fsn  pg.fsn  clients.fsn  controller.fsn  ┐
//!   api.hel  operator.hel  pg.hel  clients.hel  controller.hel  ├─ one fabric, one gate, one seed
//!   api.witness   dns (dns2)   vantage1..3   nats   (platform)         │
//!   10.1.0.1   10.2.0.1 (the regions' gateways)                 ┘
//! ```
//!
//! It conducts nothing: who runs it steps the fabric and decides what happens when.

pub mod controllers;
mod hurt;
mod inbox;
pub mod objects;
pub mod options;
pub mod platform;
mod role_policy;

pub use controllers::{Alter, Desk, Order, controller_host};
pub use inbox::{Answered, Awaited, Inbox, awaited};
pub use options::{REGIONS, WorldOptions};
pub use platform::{Call, CallAnswer, PLATFORM_HOST, Platform};

use crate::determinism::Seeds;
use crate::fabric::{Fabric, FabricError, FabricOptions, Net, Software};
use crate::faults::FaultBoard;
use crate::gate::SharedGate;
use crate::host_clock::Skews;
use crate::moments::{Half, Sources, Watch};
use crate::register::Register;
use crate::servers::gateway;
use crate::servers::jetstream::JetStream;
use crate::servers::kube_api::{self, CLUSTERS, CONTINUUMS, HTTP_ROUTES, LEASES, SECRETS, Store};
use crate::servers::operator::{ClusterOptions, Operator, cluster_object, limits_of};
use crate::servers::pdm;
use crate::servers::postgres::{Instance, Journal, Settings};
use crate::servers::powerdns::{PowerDns, SECOND_HOST};
use crate::servers::vantage::Vantage;
use crate::workload::{Workload, WorkloadOptions};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use continuum_core::name::ObjectName;
use continuum_core::name::Region;
use objects::{DNS_KEY, PDM_TOKEN, ZONE, cluster};
use options::{Lease, Publisher, Standby, Witness, witness_store};
use rand::RngExt;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Hosts of the vantages.
pub const VANTAGES: [&str; 3] = ["vantage1", "vantage2", "vantage3"];

/// System identifier of the pair's databases.
const SYSTEM_ID: &str = "7711780216894003665";

/// The database of one region.
#[derive(Clone)]
pub struct HalfModel {
    /// PostgreSQL.
    pub instance: Instance,
    /// Its operator.
    pub operator: Operator,
}

/// See the module.
pub struct World {
    /// How it was at the start.
    pub options: WorldOptions,
    /// The network and its hosts.
    pub fabric: Box<dyn Fabric>,
    /// API servers' contents, by host.
    pub stores: BTreeMap<&'static str, Store>,
    /// Databases, by region.
    pub halves: BTreeMap<&'static str, HalfModel>,
    /// What the databases did, as they wrote it down themselves.
    pub journal: Journal,
    /// DNS.
    pub dns: PowerDns,
    /// Resolvers elsewhere.
    pub vantages: BTreeMap<&'static str, Vantage>,
    /// The audit stream.
    pub nats: JetStream,
    /// Where orders for the controllers are left, by region.
    pub desks: BTreeMap<&'static str, Desk>,
    /// What the platform's API is to ask of the controllers.
    pub platform: Platform,
    /// The clients.
    pub workload: Workload,
    /// Faults: the gate of every server.
    pub board: Arc<FaultBoard>,
    /// Sees the moments of a switchover.
    pub watch: Watch,
    /// How wrong the controllers' clocks are, by host.
    skews: BTreeMap<String, Skews>,
    /// What faults have brought about.
    hurt: hurt::Hurt,
}

impl World {
    /// A world in which nothing has run yet. `alter` changes the controllers' ports: how a mutant is put in.
    pub fn new(options: WorldOptions, alter: Option<Alter>) -> Self {
        let board = FaultBoard::new();
        let gate: SharedGate = board.clone();
        let seeds = Seeds::new(options.seed);
        let fabric_options = FabricOptions {
            seed: seeds.generator("fabric").random(),
            tick: options.tick,
            duration_max: options.duration_max,
            ..FabricOptions::default()
        };
        let mut fabric = options.fabric.build(fabric_options);
        let net = fabric.net();
        let stores = stores(&options);
        for (host, store) in &stores {
            let (net, store, gate) = (net.clone(), store.clone(), gate.clone());
            fabric.host(host, api_software(net, host, store, gate));
        }
        let journal = Journal::default();
        let halves = databases(&options, &net, &mut *fabric, &stores, &journal, &seeds);
        for region in REGIONS {
            let store = store_of(&stores, region).clone();
            let software = gateway::of_route(net.clone(), store, objects::NAMESPACE, objects::APPLICATION);
            fabric.host(options::address(region), software);
        }
        let dns = PowerDns::new(net.clone(), gate.clone(), ZONE, DNS_KEY, seeds.generator("dns"));
        dns.put(objects::record_set(&options));
        dns.break_lua(options.broken_lua);
        fabric.host("dns", dns.software());
        if options.publisher == Publisher::Pdm {
            fabric.host(pdm::HOST, pdm::software(net.clone(), gate.clone(), PDM_TOKEN, dns.clone()));
        }
        if options.second_authority {
            fabric.host(SECOND_HOST, dns.second(seeds.generator(SECOND_HOST)));
            objects::name_servers(&net).into_iter().for_each(|set| dns.put(set));
        }
        let authorities = options.authorities();
        let vantages: BTreeMap<_, _> =
            VANTAGES.iter().map(|host| (*host, Vantage::new(net.clone(), authorities))).collect();
        for (host, vantage) in &vantages {
            fabric.host(host, vantage.software());
        }
        let nats = JetStream::new(net.clone(), gate);
        if options.witness == Witness::Bucket {
            let record = objects::record(&options).map(|record| serde_json::to_string(&record));
            nats.make_bucket(objects::WITNESS_KEY, record.map(|text| text.expect("a record has string keys only")));
        }
        fabric.host("nats", nats.software());
        let (mut desks, mut skews) = (BTreeMap::new(), BTreeMap::new());
        for region in REGIONS {
            let desk = Desk::default();
            let host_skews = Skews::default();
            let (clocks, alter) = (host_skews.clone(), alter.clone());
            let software = controllers::software(region, &options, net.clone(), desk.clone(), clocks, alter);
            fabric.host(&controller_host(region), software);
            desks.insert(region, desk);
            skews.insert(controller_host(region), host_skews);
        }
        let workload = workload(&options, &net, &stores, seeds);
        for (host, software) in workload.hosts() {
            fabric.host(&host, software);
        }
        let platform = Platform::default();
        if options.platform {
            fabric.host(PLATFORM_HOST, platform::software(platform.clone(), net.clone()));
        }
        let watch = Watch::new(sources(&options, &stores, &halves, &journal, &dns, &nats));
        Self {
            options,
            fabric,
            stores,
            halves,
            journal,
            dns,
            vantages,
            nats,
            desks,
            platform,
            workload,
            board,
            watch,
            skews,
            hurt: hurt::Hurt::default(),
        }
    }

    /// The servers that hold the ground truth.
    pub fn sources(&self) -> Sources {
        sources(&self.options, &self.stores, &self.halves, &self.journal, &self.dns, &self.nats)
    }

    /// Simulated time since the start.
    pub fn now(&self) -> Duration {
        self.fabric.now()
    }

    /// One tick, and what is due after it: moments are noted, faults begin and end.
    pub fn step(&mut self) -> Result<(), FabricError> {
        self.fabric.step()?;
        let now = self.now();
        self.watch.look(now);
        self.note_what_is_felt();
        self.follow_faults();
        Ok(())
    }

    /// A fault that nobody feels has not fired.
    fn note_what_is_felt(&mut self) {
        for (from, to) in self.fabric.troubled() {
            self.board.note_trouble(&from, &to);
        }
        let is_behind = |half: &HalfModel| {
            let snapshot = half.instance.snapshot();
            snapshot.in_recovery && snapshot.replayed < snapshot.end
        };
        if self.board.waits_for_replay() && self.halves.values().any(is_behind) {
            self.board.note_replay_behind();
        }
    }

    /// Writes another password into the secret of the application's role in a region, as a person or a tool does.
    ///
    /// # Errors
    /// What the API server says, and where the secret is not there.
    pub fn change_secret(&self, region: &str, password: &str) -> Result<(), String> {
        let (store, name) = (self.store(region), format!("{}-app", cluster(region)));
        if store.get(&SECRETS, objects::NAMESPACE, &name).is_none() {
            return Err(format!("there is no secret {name}"));
        }
        let patch = json!({ "data": { "password": BASE64_STANDARD.encode(password) } });
        let patched = store.merge_patch(&SECRETS, objects::NAMESPACE, &name, "", &patch, "person");
        patched.map(|_| ()).map_err(|refusal| refusal.to_string())
    }

    /// The register that the witness is; `None` where there is no witness.
    pub fn register(&self) -> Option<Register> {
        register(&self.options, &self.stores, &self.nats)
    }

    /// The store of a region's API server.
    pub fn store(&self, region: &str) -> &Store {
        store_of(&self.stores, region)
    }
}

fn api_software(net: Net, host: &str, store: Store, gate: SharedGate) -> Software {
    let host = host.to_owned();
    Box::new(move || Box::pin(kube_api::http::serve(net.clone(), host.clone(), store.clone(), gate.clone())))
}

fn sources(
    options: &WorldOptions,
    stores: &BTreeMap<&'static str, Store>,
    halves: &BTreeMap<&'static str, HalfModel>,
    journal: &Journal,
    dns: &PowerDns,
    nats: &JetStream,
) -> Sources {
    let half = |region: &str, model: &HalfModel| Half {
        store: store_of(stores, region).clone(),
        instance: model.instance.clone(),
        cluster: ObjectName::new(objects::NAMESPACE, cluster(region)),
        keeps_archive_mode: options.archive_mode_stays,
    };
    Sources {
        halves: halves.iter().map(|(region, model)| (Region::new(*region), half(region, model))).collect(),
        witness: register(options, stores, nats),
        journal: journal.clone(),
        dns: dns.clone(),
        nats: nats.clone(),
    }
}

fn register(options: &WorldOptions, stores: &BTreeMap<&'static str, Store>, nats: &JetStream) -> Option<Register> {
    let lease = ObjectName::new(objects::LEASE_NAMESPACE, objects::LEASE);
    match witness_store(options.witness) {
        Some(host) => Some(Register::Lease(stores[host].clone(), lease)),
        None => (options.witness == Witness::Bucket).then(|| Register::Key(nats.clone())),
    }
}

fn workload(options: &WorldOptions, net: &Net, stores: &BTreeMap<&'static str, Store>, seeds: Seeds) -> Workload {
    let address = |region: &str| options::address(region).parse().expect("addresses of the world are valid");
    let workload = WorkloadOptions {
        client_count: options.client_count,
        writes_per_second: options.writes_per_second,
        held_session: options.held_session.then(|| options.standby_region().to_owned()),
        hostname: objects::HOSTNAME.into(),
        route: (objects::NAMESPACE.into(), objects::APPLICATION.into()),
        regions: REGIONS.iter().map(|region| ((*region).to_owned(), address(region))).collect(),
        vantages: VANTAGES.iter().map(|host| (*host).to_owned()).collect(),
        user: "app".into(),
        password: objects::password(options).into(),
    };
    let stores = REGIONS.iter().map(|region| ((*region).to_owned(), store_of(stores, region).clone())).collect();
    Workload::new(net.clone(), workload, stores, seeds)
}

/// The API servers' contents at the start.
fn stores(options: &WorldOptions) -> BTreeMap<&'static str, Store> {
    let stores: BTreeMap<_, _> =
        ["api.fsn", "api.hel", "api.witness"].into_iter().map(|host| (host, Store::new(host))).collect();
    let put = |host: &str, resource, object| {
        stores[host].create(resource, object, "world").expect("objects of the world are valid and new");
    };
    for (region, host) in REGIONS.iter().zip(["api.fsn", "api.hel"]) {
        put(host, &CONTINUUMS, objects::continuum(options));
        if options.route != options::Route::None {
            put(host, &HTTP_ROUTES, objects::route(options));
        }
        if options.pair {
            put(host, &SECRETS, objects::secret(options, region));
        }
    }
    let lease = match (&options.lease, objects::record(options)) {
        (Lease::Absent, _) | (_, None) => None,
        (_, Some(record)) => Some(crate::lease::lease(objects::LEASE_NAMESPACE, objects::LEASE, &record)),
    };
    if let (Some(lease), Some(host)) = (lease, witness_store(options.witness)) {
        put(host, &LEASES, lease);
    }
    stores
}

/// The databases of both regions.
fn databases(
    options: &WorldOptions,
    net: &Net,
    fabric: &mut dyn Fabric,
    stores: &BTreeMap<&'static str, Store>,
    journal: &Journal,
    seeds: &Seeds,
) -> BTreeMap<&'static str, HalfModel> {
    let settings = |region: &str| Settings {
        cluster: cluster(region),
        upstream: format!("pg.{}", other(region)),
        system_id: SYSTEM_ID.into(),
    };
    let shape = ClusterOptions {
        namespace: objects::NAMESPACE.into(),
        pair: objects::APPLICATION.into(),
        system_id: SYSTEM_ID.into(),
        synchronous: options.synchronous,
        switchover_delay_seconds: options.switchover_delay_seconds,
        smart_shutdown_timeout_seconds: options.smart_shutdown_timeout_seconds,
        ..ClusterOptions::default()
    };
    let generator = |region: &str| seeds.generator(&format!("pg.{region}"));
    let (primary, standby) = (options.primary.as_str(), options.standby_region());
    let first = Instance::new(settings(primary), journal.clone(), generator(primary));
    first.set_password("app", objects::password(options));
    first.set_password(objects::PROBE_ROLE, objects::PROBE_PASSWORD);
    let second = Instance::standby_of(&first, settings(standby), journal.clone(), generator(standby));
    if options.standby == Standby::Diverged {
        second.diverge();
    }
    second.set_replay_paused(options.standby == Standby::ReplayPaused);
    let mut halves = BTreeMap::new();
    for region in REGIONS {
        let instance = if region == primary { first.clone() } else { second.clone() };
        let store = store_of(stores, region).clone();
        let mut object = cluster_object(&cluster(region), &cluster(other(region)), &cluster(primary), 1, &shape);
        objects::claim(options, &mut object);
        let name = ObjectName::new(objects::NAMESPACE, cluster(region));
        let rng = seeds.generator(&format!("operator.{region}"));
        instance.set_first_limits(limits_of(&object));
        let operator = Operator::new(name, &format!("api.{region}"), Arc::new(instance.clone()), rng);
        let host = format!("operator.{region}");
        if options.pair {
            operator.install(&store, &object, &host).expect("the world's Clusters are valid and new");
        }
        if options.role_policy {
            store.add_admission(&CLUSTERS, role_policy::policy());
        }
        operator.adjust(|knobs| {
            knobs.demotion_extra = options.demotion_extra;
            knobs.last_write_extra = options.last_write_extra;
            knobs.promotion_extra = options.promotion_extra;
            knobs.times_recorded = options.operator_times_recorded;
            knobs.archive_mode_stays = options.archive_mode_stays;
        });
        fabric.host(&format!("pg.{region}"), operator.node_software(net.clone()));
        fabric.host(&host, operator.software(net.clone()));
        halves.insert(region, HalfModel { instance, operator });
    }
    halves
}

/// The other region.
pub fn other(region: &str) -> &'static str {
    if region == REGIONS[0] { REGIONS[1] } else { REGIONS[0] }
}

fn store_of<'a>(stores: &'a BTreeMap<&'static str, Store>, region: &str) -> &'a Store {
    &stores[if region == REGIONS[0] { "api.fsn" } else { "api.hel" }]
}
