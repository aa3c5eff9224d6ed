//! The JetStream model on a network of its own, for suites that a real nats-server runs as well.

use continuum_sim::determinism::on_seeded_thread;
use continuum_sim::fabric::{Fabric, FabricOptions, Net, TurmoilFabric};
use continuum_sim::gate::SharedGate;
use continuum_sim::servers::jetstream::JetStream;
use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

/// What happens to the network, and when.
pub type Faults = Vec<(Duration, fn(&mut TurmoilFabric))>;

/// Runs `work` as the software of `controller.fsn` beside `nats`, to its end.
pub fn simulate<F>(gate: SharedGate, faults: Faults, work: impl Fn(JetStream, Net) -> F + Copy + Send + 'static)
where
    F: Future<Output = ()> + 'static,
{
    on_seeded_thread(7, move || {
        let mut fabric = TurmoilFabric::new(FabricOptions::default());
        let net = fabric.net();
        let server = JetStream::new(net.clone(), gate);
        fabric.host("nats", server.software());
        let done = Rc::new(Cell::new(false));
        let ended = done.clone();
        fabric.host(
            "controller.fsn",
            Box::new(move || {
                let (server, net, ended) = (server.clone(), net.clone(), ended.clone());
                Box::pin(async move {
                    // The server takes its port in its first tick.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    work(server, net).await;
                    ended.set(true);
                })
            }),
        );
        let mut faults = faults.into_iter().peekable();
        while !done.get() {
            if let Some((_, fault)) = faults.next_if(|(at, _)| *at <= fabric.now()) {
                fault(&mut fabric);
            }
            if let Err(error) = fabric.step() {
                panic!("{error}");
            }
        }
    })
    .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}
