//! Software beside simulated servers, for suites that real ones run as well.

use continuum_sim::fabric::{Fabric, TurmoilFabric};
use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

/// What happens to the network, and when.
pub type Faults = Vec<(Duration, fn(&mut TurmoilFabric))>;

/// Runs `work` as the software of `controller.fsn`, to its end.
pub fn to_the_end<F>(mut fabric: TurmoilFabric, faults: Faults, work: impl Fn() -> F + Clone + 'static)
where
    F: Future<Output = ()> + 'static,
{
    let done = Rc::new(Cell::new(false));
    let ended = done.clone();
    fabric.host(
        "controller.fsn",
        Box::new(move || {
            let (work, ended) = (work.clone(), ended.clone());
            Box::pin(async move {
                // The servers take their ports in their first tick.
                tokio::time::sleep(Duration::from_millis(10)).await;
                work().await;
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
}
