//! The JetStream model on a network of its own, for suites that a real nats-server runs as well.

use crate::simulated::{Faults, to_the_end};
use continuum_sim::determinism::on_seeded_thread;
use continuum_sim::fabric::{Fabric, FabricOptions, Net, TurmoilFabric};
use continuum_sim::gate::SharedGate;
use continuum_sim::servers::jetstream::JetStream;
use std::future::Future;

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
        to_the_end(fabric, faults, move || work(server.clone(), net.clone()));
    })
    .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}
