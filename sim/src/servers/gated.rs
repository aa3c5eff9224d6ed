//! A request on its way through the gate: before it is applied, and before it is answered. What was received
//! goes its way although its client hangs up meanwhile.

use crate::fabric::Net;
use crate::gate::{After, Asked, Before, SharedGate};
use std::future::pending;

/// What the gate let come of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed<T> {
    /// It was applied, and this is its answer.
    Applied(T),
    /// Answer this status code. It was not applied, unless the gate said so after it was.
    Instead(u16),
}

/// Takes `asked` through the gate and applies it where it may. `apply` gives the status code and the answer.
/// Does not return where the gate wants no answer.
pub async fn pass<T, F>(net: &Net, gate: &SharedGate, asked: Asked, apply: F) -> Passed<T>
where
    T: Send + 'static,
    F: FnOnce() -> (u16, T) + Send + 'static,
{
    let (answer, answered) = tokio::sync::oneshot::channel();
    let gate = gate.clone();
    // A task of its own: the caller is dropped with the client's connection, and the request must not be.
    net.spawn(Box::pin(async move {
        match gate.before(&asked) {
            Before::Apply => {}
            Before::Answer(status) => {
                // Nobody listens any more where the client has hung up.
                let _ = answer.send(Passed::Instead(status));
                return;
            }
            Before::Delay(delay) => tokio::time::sleep(delay).await,
            Before::Hang => return,
        }
        let (status, value) = apply();
        match gate.after(&asked, status) {
            After::Send => {}
            After::Lose => return,
            After::Delay(delay) => tokio::time::sleep(delay).await,
            After::Answer(status) => {
                let _ = answer.send(Passed::Instead(status));
                return;
            }
        }
        let _ = answer.send(Passed::Applied(value));
    }));
    match answered.await {
        Ok(passed) => passed,
        Err(_) => pending().await,
    }
}
