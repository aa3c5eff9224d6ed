//! The controllers' hosts: the production controller, assembled from production adapters over the simulated
//! network with its HTTP API, and a desk where the conductor of a run leaves orders for the four operations.
//!
//! Everything of a controller runs in its host's one future, so that a pause stops it whole and a crash
//! loses it whole.

use super::inbox::Inbox;
use super::objects::{APPLICATION, DNS_KEY, LEASE_NAMESPACE, NAMESPACE, PDM_TOKEN, WITNESS_KEY, probe_login};
use super::options::{Publisher, REGIONS, Witness, WorldOptions, witness_store};
use super::platform::{API_PORT, API_TOKEN};
use crate::audit_client::AuditClient;
use crate::dns_runtime::SimDns;
use crate::fabric::{BoxStream, Listener, Net, Software};
use crate::host_clock::{HostClock, Skews};
use crate::http_connect::http_connect;
use crate::kube_client::{HostExecutor, KubeConnector};
use crate::servers::pdm;
use crate::servers::postgres::NetConnector;
use crate::witness_client::WitnessClient;
use continuum_core::controller::{Controller, Options};
use continuum_core::mailbox::Cancel;
use continuum_core::name::{ObjectName, Region};
use continuum_core::ports::{ObserveRecords, PublishRecords};
use continuum_core::report::{DryRunReport, ExecuteReport, HealthReport};
use continuum_core::sequencer::ExecuteOrder;
use continuum_live::assemble::{
    KubeClients, OtherActors, OtherObservers, Ports, Register, Transports, Twice, assemble,
};
use continuum_live::authoritative::Authorities;
use continuum_live::http_api::{Directory, HttpApi, Limits as ApiLimits, Operations, Token, serve};
use continuum_live::kube_api::Access;
use continuum_live::kube_transport::{Limits, USER_AGENT, USER_AGENT_DRY_RUN, plain_client};
use continuum_live::pdm::{Pdm, PdmApi};
use continuum_live::postgres::PostgresProbe;
use continuum_live::powerdns::{PowerDns, PowerDnsApi};
use continuum_live::vantages::Vantages;
use continuum_live::watches::{ServerWatches, Watches};
use futures_util::future::{BoxFuture, join, join_all, join3};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::Sender;

/// Host of a region's controller.
pub fn controller_host(region: &str) -> String {
    format!("controller.{region}")
}

/// An operation that a controller is asked for.
pub enum Order {
    /// DryRun.
    DryRun {
        /// Where to.
        to: Region,
        /// Why.
        reason: Option<String>,
        /// For the answer.
        answer: Sender<Result<DryRunReport, String>>,
    },
    /// Execute.
    Execute {
        /// Where to.
        to: Region,
        /// Who, why and what was confirmed.
        order: ExecuteOrder,
        /// For the answer.
        answer: Sender<Result<ExecuteReport, String>>,
    },
    /// RequestFailback.
    Failback {
        /// Who and why.
        order: ExecuteOrder,
        /// For the answer.
        answer: Sender<Result<ExecuteReport, String>>,
    },
    /// PostSwitchoverHealth, of the last switchover that the record tells of.
    Health {
        /// For the answer.
        answer: Sender<Result<HealthReport, String>>,
    },
}

/// Where orders for one region's controller are left.
pub type Desk = Inbox<Order>;

async fn carry_out(controller: &Controller, order: Order) {
    let sequencer = controller.sequencer();
    let never = Cancel::default();
    // Who asked may be gone: then nobody reads the answer.
    match order {
        Order::DryRun { to, reason, answer } => {
            let report = sequencer.dry_run(&to, reason.as_deref(), &never).await;
            let _ = answer.send(report.map_err(|error| error.chain()));
        }
        Order::Execute { to, order, answer } => {
            let _ = answer.send(sequencer.execute(&to, &order).await.map_err(|error| error.chain()));
        }
        Order::Failback { order, answer } => {
            let _ = answer.send(sequencer.request_failback(&order, &never).await.map_err(|error| error.chain()));
        }
        Order::Health { answer } => {
            let _ = answer.send(controller.health(&never).await.map_err(|error| error.chain()));
        }
    }
}

/// Changes the ports of a region's controller before it is assembled, given its host's network: how a mutant
/// is put in.
pub type Alter = Arc<dyn Fn(&str, &Net, Ports) -> Ports>;

/// The software of a region's controller.
pub fn software(
    region: &'static str,
    options: &WorldOptions,
    net: Net,
    desk: Desk,
    skews: Skews,
    alter: Option<Alter>,
) -> Software {
    let options = options.clone();
    Box::new(move || {
        let (options, net, desk, alter) = (options.clone(), net.clone(), desk.clone(), alter.clone());
        let skews = skews.clone();
        Box::pin(async move {
            let clock = Arc::new(HostClock::new(net.clone(), skews));
            let name = ObjectName::new(NAMESPACE, APPLICATION);
            let me = Region::new(region);
            let (watches, watching) = watches(&options, &net, clock.clone());
            let transports = Transports { watches, ..transports(&options, &net, clock.clone()) };
            let mut ports = assemble(&name, &me, &transports);
            if let Some(alter) = &alter {
                ports = alter(region, &net, ports);
            }
            let settings = Options { health_delay: options.health_delay };
            let Ports { observers, actors } = ports;
            let controller =
                Controller::new(me, name.clone(), clock, observers.driving, observers.dry_run, actors, settings);
            let controller = Arc::new(controller);
            let carry_out = |order| Box::pin(carry_out(&controller, order)) as _;
            let served = Served { name, controller: controller.clone() };
            join(watching, join3(controller.run(), desk.serve(carry_out), serve_api(net, served))).await;
        })
    })
}

/// The one Continuum of a world.
struct Served {
    name: ObjectName,
    controller: Arc<Controller>,
}

impl Directory for Served {
    fn find(&self, continuum: &ObjectName) -> Option<Arc<dyn Operations>> {
        (*continuum == self.name).then(|| self.controller.clone() as _)
    }
}

/// The HTTP API, for whoever connects to the host.
async fn serve_api(net: Net, served: Served) {
    let api = HttpApi::new(Arc::new(served), Token::new(API_TOKEN), ApiLimits::DEFAULT);
    let listener = net.listen(API_PORT).await.expect("nothing else listens on a controller's host");
    let listener: Arc<dyn Listener> = listener.into();
    let accept = || {
        let listener = listener.clone();
        Box::pin(async move {
            loop {
                if let Ok((stream, _)) = listener.accept().await {
                    return stream;
                }
            }
        }) as BoxFuture<'static, BoxStream>
    };
    // A host that ends takes everything along.
    serve(api, accept, Box::pin(std::future::pending())).await;
}

fn transports(options: &WorldOptions, net: &Net, clock: Arc<HostClock>) -> Transports {
    // One and the same: whom it asked is who must know the zone that it publishes to.
    let driving = records(options, net, USER_AGENT);
    let dry_run = records(options, net, USER_AGENT_DRY_RUN);
    Transports {
        kube: Twice {
            driving: clients(options, net, USER_AGENT, Limits::REQUESTS),
            dry_run: clients(options, net, USER_AGENT_DRY_RUN, Limits::REQUESTS),
        },
        lease_namespace: LEASE_NAMESPACE.into(),
        witness_shares: match options.witness {
            Witness::Region(index) => Some(Region::new(REGIONS[index])),
            _ => None,
        },
        register: (options.witness == Witness::Bucket)
            .then(|| Twice { driving: key(net, USER_AGENT), dry_run: key(net, USER_AGENT_DRY_RUN) }),
        observers: Twice {
            driving: observers(options, net, USER_AGENT, driving.clone()),
            dry_run: observers(options, net, USER_AGENT_DRY_RUN, dry_run),
        },
        actors: OtherActors {
            database: options.probe.then(|| Arc::new(probe(net, USER_AGENT)) as _),
            records: driving.map(|records| records.act),
            audit: options.audit.then(|| Arc::new(AuditClient::new(net.clone(), USER_AGENT)) as _),
        },
        watches: Watches::new(),
        clock,
    }
}

/// Watches of each region's API server, and what keeps them.
fn watches(options: &WorldOptions, net: &Net, clock: Arc<HostClock>) -> (Watches, BoxFuture<'static, ()>) {
    let clients = clients(options, net, USER_AGENT, Limits::WATCHES).regions;
    let of = |region: &Region| (region.clone(), Arc::new(ServerWatches::new(region.clone(), false)));
    let watches: Watches = clients.keys().map(of).collect();
    let kept = watches.values().cloned().zip(clients.into_values());
    let kept: Vec<_> = kept
        .map(|(watches, access)| {
            let clock = clock.clone();
            async move { watches.run(access.client().clone(), &*clock).await }
        })
        .collect();
    let watching = async move { drop(join_all(kept).await) };
    (watches, Box::pin(watching))
}

fn key(net: &Net, user_agent: &str) -> Register {
    let key = Arc::new(WitnessClient::new(net.clone(), user_agent, WITNESS_KEY));
    Register { observe: key.clone(), act: key }
}

fn clients(options: &WorldOptions, net: &Net, user_agent: &'static str, limits: Limits) -> KubeClients {
    let client = |host: &str| {
        let base = format!("http://{host}:80").parse().expect("host names of the world are valid in URIs");
        let (connector, executor) = (KubeConnector::new(net.clone()), HostExecutor::new(net.clone()));
        Access::new(plain_client(base, user_agent, limits, connector, executor))
    };
    KubeClients {
        regions: REGIONS.iter().map(|region| (Region::new(*region), client(&format!("api.{region}")))).collect(),
        witness: witness_store(options.witness).map(client),
    }
}

fn observers(options: &WorldOptions, net: &Net, user_agent: &'static str, records: Option<Records>) -> OtherObservers {
    OtherObservers {
        database: options.probe.then(|| Arc::new(probe(net, user_agent)) as _),
        records: records.map(|records| records.observe),
        vantages: options.vantages.then(|| Arc::new(vantages(net)) as _),
        audit: options.audit.then(|| Arc::new(AuditClient::new(net.clone(), user_agent)) as _),
        latency: None,
    }
}

fn probe(net: &Net, user_agent: &str) -> PostgresProbe {
    let probe = PostgresProbe::new(Arc::new(NetConnector::new(net.clone())), probe_login());
    if user_agent == USER_AGENT_DRY_RUN { probe.for_dry_run() } else { probe }
}

/// A publisher as both of its ports.
#[derive(Clone)]
struct Records {
    observe: Arc<dyn ObserveRecords>,
    act: Arc<dyn PublishRecords>,
}

impl Records {
    fn of<T: ObserveRecords + PublishRecords + 'static>(publisher: T) -> Self {
        let publisher = Arc::new(publisher);
        Self { observe: publisher.clone(), act: publisher }
    }
}

fn records(options: &WorldOptions, net: &Net, user_agent: &str) -> Option<Records> {
    let authorities = match options.second_authority {
        true => Authorities::OfZone { resolvers: super::VANTAGES.map(|host| socket(net, host)).to_vec() },
        false => Authorities::Listed(vec![socket(net, "dns")]),
    };
    let (connect, sockets) = (http_connect(net.clone()), SimDns::new(net.clone()));
    match options.publisher {
        Publisher::None => None,
        Publisher::PowerDns => {
            let api = PowerDnsApi {
                connect: connect.clone(),
                host: "dns".into(),
                port: 8081,
                api_key: DNS_KEY.into(),
                user_agent: user_agent.into(),
            };
            Some(Records::of(PowerDns::new(api, connect, authorities, &sockets)))
        }
        Publisher::Pdm => {
            let api = PdmApi {
                connect: connect.clone(),
                host: pdm::HOST.into(),
                port: pdm::PORT,
                token: Some(PDM_TOKEN.into()),
                user_agent: user_agent.into(),
            };
            Some(Records::of(Pdm::new(api, connect, authorities, &sockets)))
        }
    }
}

fn vantages(net: &Net) -> Vantages<SimDns> {
    let named: Vec<(String, SocketAddr)> =
        super::VANTAGES.iter().map(|host| ((*host).to_owned(), socket(net, host))).collect();
    Vantages::new(&named, &SimDns::new(net.clone())).expect("the resolver's options are constant and valid")
}

fn socket(net: &Net, host: &str) -> SocketAddr {
    SocketAddr::new(net.lookup(host).expect("hosts of the world are added before the controllers run"), 53)
}
