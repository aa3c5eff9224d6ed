//! Builds the controller of one Continuum from what the process has.

use crate::acting::Acting;
use crate::config::{Config, LatencyConfig, Witness};
use crate::gate::Gate;
use crate::https;
use crate::leader::Standing;
use crate::metrics::Counts;
use crate::postgres::connector::HalfConnector;
use crate::postgres::logins::SecretLogins;
use crate::records::{Records, Server, servers};
use crate::reload::Pool;
use crate::resource::Resource;
use crate::secrets::Secrets;
use crate::watching::Watching;
use continuum_core::clock::Clock;
use continuum_core::controller::{Controller, Options};
use continuum_core::name::{ObjectName, Region};
use continuum_core::spec::LeaseKind;
use continuum_live::assemble::{
    KubeClients, OtherActors, OtherObservers, Ports, Register, Transports, Twice, assemble,
};
use continuum_live::http_client::HttpClient;
use continuum_live::kube_api::Access;
use continuum_live::kube_transport::USER_AGENT_DRY_RUN;
use continuum_live::postgres::PostgresProbe;
use continuum_live::prometheus::PrometheusLatency;
use continuum_live::vantages::Vantages;
use continuum_nats::{AuditStream, KvBucket, KvWitness, Settings};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use kube::Client;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Ways to API servers.
#[derive(Clone, Default)]
struct Handed {
    kube: Twice<KubeClients>,
    /// To the own one, for what reads through kube's own types.
    own: Option<Twice<Client>>,
}

/// What all Continuums of a process share.
pub(crate) struct Host {
    region: Region,
    clients: Arc<Pool>,
    /// As they were handed out last. Each is a task with a queue, so all Continuums have the same.
    handed: Mutex<Handed>,
    watching: Watching,
    lease_namespace: String,
    /// Where the witness is no third place.
    witness_shares: Option<Region>,
    cluster_domain: String,
    health_delay: Duration,
    vantages: Option<Arc<Vantages<TokioRuntimeProvider>>>,
    audit: Option<Twice<Arc<AuditStream>>>,
    bucket: Option<Twice<Arc<KvBucket>>>,
    latency: Option<Arc<PrometheusLatency>>,
    /// For driving, and for dry runs: a trial of theirs does not take the turn of a change.
    records: Option<Twice<Server>>,
    clock: Arc<dyn Clock>,
    counts: Counts,
}

impl Host {
    pub fn new(
        config: &Config,
        clients: Arc<Pool>,
        watching: Watching,
        lease_namespace: String,
        audit: Option<Settings>,
        clock: Arc<dyn Clock>,
        counts: Counts,
    ) -> Result<Self, NetError> {
        let named: Vec<(String, SocketAddr)> =
            config.vantages.iter().map(|server| (server.ip().to_string(), *server)).collect();
        let vantages = match named.is_empty() {
            true => None,
            false => Some(Arc::new(Vantages::new(&named, &TokioRuntimeProvider::default())?)),
        };
        Ok(Self {
            region: config.region.clone(),
            clients,
            handed: Mutex::default(),
            watching,
            lease_namespace,
            witness_shares: config.witness.as_ref().and_then(Witness::region).cloned(),
            cluster_domain: config.cluster_domain.clone(),
            health_delay: config.health_delay,
            vantages,
            bucket: config
                .witness_bucket
                .as_deref()
                .zip(audit.clone())
                .map(|(name, servers)| on_servers(servers, |settings| KvBucket::new(settings, name))),
            audit: audit.map(|servers| on_servers(servers, AuditStream::new)),
            latency: config.latency.as_ref().map(|latency| Arc::new(latency_of(latency, clock.clone()))),
            records: config.records.as_ref().map(|records| servers(records, &config.vantages)),
            clock,
            counts,
        })
    }

    /// What the process counts.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// The controller of `name`, whose requests pass these gates.
    pub fn controller(
        &self,
        name: &ObjectName,
        resource: &Arc<Resource>,
        standing: &Standing,
        gates: &Twice<Gate>,
    ) -> Controller {
        let handed = self.handed();
        let mut kube = Twice {
            driving: gated(&handed.kube.driving, &gates.driving),
            dry_run: gated(&handed.kube.dry_run, &gates.dry_run),
        };
        let own = handed.own.expect("kubeconfigs hold the own region's");
        let in_a_bucket = kind_of(&resource.object()) == LeaseKind::NatsKv.name();
        if in_a_bucket {
            // What stands there of another kind is no register of this Continuum.
            (kube.driving.witness, kube.dry_run.witness) = (None, None);
        }
        let register = self.bucket.as_ref().filter(|_| in_a_bucket).map(|both| registers(both, name, gates));
        let driving = self.probe(own.driving, resource);
        let (probe, acting) = (Arc::new(driving.by_watches), Arc::new(driving.afresh));
        let dry_run = Arc::new(self.probe(own.dry_run, resource).afresh.for_dry_run());
        let records = Twice {
            driving: self.records.as_ref().map(|both| both.driving.beside()),
            dry_run: self.records.as_ref().map(|both| both.dry_run.beside()),
        };
        let gate = || gates.driving.clone();
        let transports = Transports {
            lease_namespace: self.lease_namespace.clone(),
            witness_shares: self.witness_shares.clone(),
            observers: Twice {
                driving: self.observers(probe, |both| &both.driving, &records.driving),
                dry_run: self.observers(dry_run, |both| &both.dry_run, &records.dry_run),
            },
            actors: OtherActors {
                database: Some(Arc::new(Acting { inner: acting, gate: gate() })),
                records: records.driving.map(|records| Arc::new(Acting { inner: records.act, gate: gate() }) as _),
                audit: self
                    .audit
                    .as_ref()
                    .map(|both| Arc::new(Acting { inner: both.driving.clone(), gate: gate() }) as _),
            },
            register,
            watches: self.watching.all(),
            clock: self.clock.clone(),
            kube,
        };
        let Ports { observers, actors } = assemble(name, &self.region, &transports);
        let controller = Controller::new(
            self.region.clone(),
            name.clone(),
            self.clock.clone(),
            observers.driving,
            observers.dry_run,
            actors,
            Options { health_delay: self.health_delay },
        );
        match standing {
            Standing::Leads(_) => controller,
            Standing::Waits => controller.waiting(),
        }
    }

    fn observers(
        &self,
        probe: Arc<PostgresProbe>,
        audit: fn(&Twice<Arc<AuditStream>>) -> &Arc<AuditStream>,
        records: &Option<Records>,
    ) -> OtherObservers {
        OtherObservers {
            database: Some(probe),
            records: records.clone().map(|records| records.observe),
            vantages: self.vantages.clone().map(|vantages| vantages as _),
            audit: self.audit.as_ref().map(|both| audit(both).clone() as _),
            latency: self.latency.clone().map(|latency| latency as _),
        }
    }

    /// Ways to every API server that is known now.
    fn handed(&self) -> Handed {
        let mut handed = self.handed.lock().unwrap_or_else(PoisonError::into_inner);
        if !handed.kube.driving.regions.keys().eq(&self.clients.regions()) {
            let kube = self.clients.all();
            let own = |clients: &KubeClients| clients.regions.get(&self.region).map(Access::in_turns);
            let both = own(&kube.driving).zip(own(&kube.dry_run));
            *handed = Handed { kube, own: both.map(|(driving, dry_run)| Twice { driving, dry_run }) };
        }
        handed.clone()
    }

    fn probe(&self, own: Client, resource: &Arc<Resource>) -> Probes {
        let secrets = Secrets::new(self.region.clone(), own.clone());
        let (region, domain) = (self.region.clone(), self.cluster_domain.clone());
        let connector = HalfConnector::new(region, own, domain, resource.clone(), self.clock.clone());
        let logins = Arc::new(SecretLogins::new(secrets, resource.clone(), self.clock.clone()));
        let afresh = PostgresProbe::with_logins(Arc::new(connector.afresh()), logins.clone());
        let by_watches = connector.beside(self.watching.own());
        Probes { by_watches: PostgresProbe::with_logins(Arc::new(by_watches), logins), afresh }
    }
}

/// One login's probes.
struct Probes {
    /// Which finds PostgreSQL by what watches told: for looks, which go on while nothing happens.
    by_watches: PostgresProbe,
    /// Which asks the API server each time: for what is acted on, and what a dry run tells.
    afresh: PostgresProbe,
}

/// Health checks alone ask for it.
fn latency_of(config: &LatencyConfig, clock: Arc<dyn Clock>) -> PrometheusLatency {
    let client = HttpClient {
        connect: https::connect(&config.scheme),
        host: config.host.clone(),
        port: config.port,
        user_agent: USER_AGENT_DRY_RUN.into(),
    };
    PrometheusLatency::new(client, config.query.clone(), clock)
}

/// What is on these servers, for driving and for dry runs, which the servers tell apart by their name.
fn on_servers<T>(settings: Settings, make: impl Fn(Settings) -> T) -> Twice<Arc<T>> {
    let mut dry_run = settings.clone();
    dry_run.name = USER_AGENT_DRY_RUN.into();
    Twice { driving: Arc::new(make(settings)), dry_run: Arc::new(make(dry_run)) }
}

fn registers(buckets: &Twice<Arc<KvBucket>>, name: &ObjectName, gates: &Twice<Gate>) -> Twice<Register> {
    let of = |bucket: &Arc<KvBucket>, gate: &Gate| {
        let witness = Arc::new(KvWitness::new(bucket.clone(), name));
        Register { observe: witness.clone(), act: Arc::new(Acting { inner: witness, gate: gate.clone() }) }
    };
    Twice { driving: of(&buckets.driving, &gates.driving), dry_run: of(&buckets.dry_run, &gates.dry_run) }
}

/// The kind of witness that a Continuum names. It does not change while that stands.
fn kind_of(continuum: &Value) -> &str {
    continuum["spec"]["leaseClient"]["kind"].as_str().unwrap_or_default()
}

fn gated(clients: &KubeClients, gate: &Gate) -> KubeClients {
    let gated = |access: &Access| access.behind(Arc::new(gate.clone()));
    KubeClients {
        regions: clients.regions.iter().map(|(region, access)| (region.clone(), gated(access))).collect(),
        witness: clients.witness.as_ref().map(gated),
    }
}
