//! Two DNS servers on one database, three vantages and the host that asks them, on the simulated network.

use crate::simulated::{Faults, to_the_end};
use continuum_core::observe::Seen;
use continuum_core::ports::ObserveRecords;
use continuum_live::authoritative::Authorities;
use continuum_live::powerdns::{PowerDns as Client, PowerDnsApi};
use continuum_live::vantages::Vantages;
use continuum_sim::determinism::{Seeds, on_seeded_thread};
use continuum_sim::dns_runtime::SimDns;
use continuum_sim::fabric::{Fabric, FabricOptions, Net, TurmoilFabric};
use continuum_sim::gate::SharedGate;
use continuum_sim::http_connect::http_connect;
use continuum_sim::servers::gateway::{self, Answer};
use continuum_sim::servers::powerdns::{API_PORT, PowerDns};
use continuum_sim::servers::{dns_wire, vantage::Vantage};
use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

/// The zone that its DNS server has.
pub const ZONE: &str = "example.org";

/// The key of its DNS server's API.
pub const KEY: &str = "a-key";

/// Where its gateways stand.
pub const GATEWAYS: [&str; 2] = ["10.1.0.1", "10.2.0.1"];

/// What each of them answers; one that is not named answers 503.
type Gateways = Arc<Mutex<BTreeMap<String, Answer>>>;

/// What the software of host `controller.fsn` has in hand.
#[derive(Clone)]
pub struct World {
    /// The network.
    pub net: Net,
    /// The DNS server.
    pub dns: PowerDns,
    /// The vantages, in order.
    pub vantages: Vec<Vantage>,
    gateways: Gateways,
}

impl World {
    /// live's client of the DNS server, with this key.
    pub fn client(&self, key: &str) -> Client<SimDns> {
        self.client_at(API_PORT, key)
    }

    /// The same, at this port.
    pub fn client_at(&self, port: u16, key: &str) -> Client<SimDns> {
        let api = self.api(port, key);
        Client::new(
            api,
            http_connect(self.net.clone()),
            Authorities::Listed(vec![self.address("dns")]),
            &SimDns::new(self.net.clone()),
        )
    }

    fn api(&self, port: u16, key: &str) -> PowerDnsApi {
        PowerDnsApi {
            connect: http_connect(self.net.clone()),
            host: "dns".into(),
            port,
            api_key: key.into(),
            user_agent: "continuum".into(),
        }
    }

    /// The same, for which the zone names the authoritative servers.
    pub fn client_of_zone(&self, resolvers: &[&str]) -> Client<SimDns> {
        let resolvers = resolvers.iter().map(|host| self.address(host)).collect();
        let api = self.api(API_PORT, KEY);
        let authorities = Authorities::OfZone { resolvers };
        Client::new(api, http_connect(self.net.clone()), authorities, &SimDns::new(self.net.clone()))
    }

    /// What the DNS server itself answers, as a client sees it.
    pub async fn answer(&self, client: &Client<SimDns>, hostname: &str) -> Seen<continuum_core::observe::Answer> {
        client.answer(self.address("dns"), hostname).await
    }

    /// live's client of the vantages.
    pub fn vantages(&self) -> Vantages<SimDns> {
        let all = ["vantage1", "vantage2", "vantage3"].map(|name| (name.to_owned(), self.address(name)));
        Vantages::new(&all, &SimDns::new(self.net.clone())).expect("needs nothing that fails")
    }

    /// Where a host answers DNS.
    pub fn address(&self, host: &str) -> SocketAddr {
        SocketAddr::new(self.net.lookup(host).expect("a host of this world"), dns_wire::PORT)
    }

    /// From now on, these gateways answer 200 and the others 503.
    pub fn set_up(&self, addresses: &[&str]) {
        let answer = Answer { status: 200, leads_to: None };
        let up = addresses.iter().map(|address| ((*address).to_owned(), answer.clone()));
        *self.gateways.lock().expect("nothing panics while it holds the answers") = up.collect();
    }

    /// From now on, this gateway redirects to that one.
    pub fn redirect(&self, from: &str, to: &str) {
        let answer = Answer { status: 302, leads_to: Some(to.to_owned()) };
        self.gateways.lock().expect("nothing panics while it holds the answers").insert(from.to_owned(), answer);
    }
}

/// Runs `work` as the software of `controller.fsn` in a world of its own, to its end.
pub fn simulate<F>(gate: SharedGate, faults: Faults, work: impl Fn(World) -> F + Copy + Send + 'static)
where
    F: Future<Output = ()> + 'static,
{
    on_seeded_thread(7, move || {
        let options = FabricOptions { seed: 7, ..FabricOptions::default() };
        let mut fabric = TurmoilFabric::new(options);
        let (net, seeds) = (fabric.net(), Seeds::new(7));
        let gateways = Gateways::default();
        let dns = PowerDns::new(net.clone(), gate, ZONE, KEY, seeds.generator("dns"));
        for address in GATEWAYS {
            let gateways = gateways.clone();
            let answer = move |_: &str| {
                let gateways = gateways.lock().expect("nothing panics while it holds the answers");
                gateways.get(address).cloned().unwrap_or(Answer { status: 503, leads_to: None })
            };
            fabric.host(address, gateway::software(net.clone(), Arc::new(answer)));
        }
        fabric.host("dns", dns.software());
        fabric.host("dns2", dns.second(seeds.generator("dns2")));
        let vantages: Vec<Vantage> = (1..=3).map(|_| Vantage::new(net.clone(), &["dns"])).collect();
        for (i, vantage) in vantages.iter().enumerate() {
            fabric.host(&format!("vantage{}", i + 1), vantage.software());
        }
        let world = World { net, dns, vantages, gateways };
        to_the_end(fabric, faults, move || work(world.clone()));
    })
    .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}
