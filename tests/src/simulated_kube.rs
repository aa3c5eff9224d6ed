//! The model of the API server on a simulated network, for suites that put the same cases to it and to a real
//! one. Two servers: of one everything may be asked, of the other nothing but what one may do.

use crate::real_kube::Who;
use continuum_live::kube_transport::{Limits, USER_AGENT, plain_client};
use continuum_sim::determinism::on_seeded_thread;
use continuum_sim::fabric::{Fabric, FabricOptions, Net, TurmoilFabric};
use continuum_sim::gate::Open;
use continuum_sim::kube_client::{HostExecutor, KubeConnector};
use continuum_sim::servers::kube_api::{Right, Store, http};
use kube::Client;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

/// The servers, as the host that asks sees them.
#[derive(Clone)]
pub struct SimulatedKube {
    net: Net,
    /// What the server has of which everything may be asked.
    store: Store,
}

impl SimulatedKube {
    /// A client, over the adapters' own transport.
    pub fn client(&self, who: Who) -> Client {
        let base = format!("http://{}:{}", host(who), http::PORT);
        let base = base.parse().expect("a host and a port make an URI");
        plain_client(
            base,
            USER_AGENT,
            Limits::WATCHES,
            KubeConnector::new(self.net.clone()),
            HostExecutor::new(self.net.clone()),
        )
    }

    /// From now on nothing may be asked of the first server either, but what one may do.
    pub fn deny_all(&self) {
        self.store.deny(everything());
    }
}

fn everything() -> Right {
    let all = || "*".to_owned();
    Right { verb: all(), group: all(), resource: all(), subresource: all() }
}

/// Runs `case` on a host of its own, and gives what it gives.
///
/// # Panics
///
/// Where the case does.
pub fn on_simulated_kube<T: Send + 'static>(
    case: impl Fn(SimulatedKube) -> Pin<Box<dyn Future<Output = T>>> + Clone + Send + 'static,
) -> T {
    let result = on_seeded_thread(1, move || {
        let mut fabric = TurmoilFabric::new(FabricOptions::default());
        let store = serve(&mut fabric, Who::Admin);
        serve(&mut fabric, Who::Nobody);
        let servers = SimulatedKube { net: fabric.net(), store };
        let result = Arc::new(Mutex::new(None));
        let (place, case) = (result.clone(), case.clone());
        fabric.host(
            "tester",
            Box::new(move || {
                let (place, case) = (place.clone(), case(servers.clone()));
                Box::pin(async move {
                    let result = case.await;
                    *place.lock().expect("nobody panics while holding it") = Some(result);
                })
            }),
        );
        loop {
            fabric.step().unwrap_or_else(|error| panic!("{error}"));
            if let Some(result) = result.lock().expect("nobody panics while holding it").take() {
                return result;
            }
        }
    });
    // What went wrong was printed where it did.
    result.unwrap_or_else(|_| panic!("the case failed on the simulated server"))
}

fn serve(fabric: &mut TurmoilFabric, who: Who) -> Store {
    let (net, name) = (fabric.net(), host(who));
    let store = Store::new(name);
    if who == Who::Nobody {
        store.deny(everything());
    }
    let kept = store.clone();
    let software = move || {
        let served = http::serve(net.clone(), name.to_owned(), kept.clone(), Arc::new(Open));
        Box::pin(served) as continuum_sim::fabric::HostFuture
    };
    fabric.host(name, Box::new(software));
    store
}

fn host(who: Who) -> &'static str {
    match who {
        // It tells nobody apart.
        Who::Admin | Who::Replica(_) => "api",
        Who::Nobody => "api.powerless",
    }
}
