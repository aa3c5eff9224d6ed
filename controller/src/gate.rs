//! The gate that every request of a task group passes, but for reads of secrets and of where a database is. Once it is
//! closed no more are sent, and it says when the last that was under way has its answer: so a group ends between requests
//! and never within one.
//!
//! A request that comes to a closed gate waits for ever, and is dropped with the task that sent it. It gets no error: an
//! error would be something to conclude from. A gate within a term is closed whenever that does not hold: so a process that
//! stood still sends nothing when it wakes up, whoever notices first.

use crate::leader::Term;
use continuum_live::kube_api::Barrier;
use std::future::{Future, pending};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// See the module.
#[derive(Clone, Default)]
pub struct Gate(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    left: Notify,
    term: Option<Term>,
}

#[derive(Default)]
struct State {
    closed: bool,
    under_way: usize,
}

impl Gate {
    /// Lets requests through while `term` holds, where there is one.
    pub(crate) fn within(term: Option<Term>) -> Self {
        Self(Arc::new(Inner { term, ..Inner::default() }))
    }

    /// Lets nothing more through.
    pub fn close(&self) {
        self.state().closed = true;
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Until nothing is under way.
    pub async fn emptied(&self) {
        loop {
            let left = self.0.left.notified();
            if self.state().under_way == 0 {
                return;
            }
            left.await;
        }
    }

    /// What acts, once it may; for ever where it may not.
    pub async fn pass<T>(&self, act: impl Future<Output = T>) -> T {
        let Some(_under_way) = self.enter() else { return pending().await };
        act.await
    }

    fn enter(&self) -> Option<UnderWay> {
        let mut state = self.state();
        if state.closed || self.0.term.as_ref().is_some_and(|term| !term.holds()) {
            return None;
        }
        state.under_way += 1;
        Some(UnderWay(self.clone()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Barrier for Gate {
    fn pass(&self) -> Option<Box<dyn Send + Sync>> {
        Some(Box::new(self.enter()?))
    }
}

/// A request that was sent and has no answer yet.
struct UnderWay(Gate);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.state().under_way -= 1;
        self.0.0.left.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use continuum_live::kube_api::Access;
    use futures_util::FutureExt;
    use http::{Request, Response};
    use kube::Client;
    use kube::client::Body;
    use std::pin::pin;
    use tower::{BoxError, service_fn};

    /// A server that answers when it is told to.
    fn server(answer: Arc<Notify>) -> Client {
        let service = service_fn(move |_: Request<Body>| {
            let answer = answer.clone();
            async move {
                answer.notified().await;
                Ok::<_, BoxError>(Response::new(Body::from(b"{}".to_vec())))
            }
        });
        Client::new(service, "default")
    }

    fn request() -> Request<Vec<u8>> {
        Request::get("/version").body(Vec::new()).unwrap()
    }

    #[tokio::test]
    async fn a_request_under_way_ends_and_no_other_is_sent() {
        let (gate, answer) = (Gate::default(), Arc::new(Notify::new()));
        let client = Access::new(server(answer.clone())).behind(Arc::new(gate.clone())).in_turns();
        let first = tokio::spawn({
            let client = client.clone();
            async move { client.request::<serde_json::Value>(request()).await }
        });
        while gate.state().under_way == 0 {
            tokio::task::yield_now().await;
        }
        gate.close();
        let mut emptied = pin!(gate.emptied());
        assert!(emptied.as_mut().now_or_never().is_none(), "one is under way");
        let late = tokio::spawn(async move { client.request::<serde_json::Value>(request()).await });
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(gate.state().under_way, 1, "the late one was not sent");
        answer.notify_one();
        emptied.await;
        assert!(first.await.unwrap().is_ok(), "what was under way has its answer");
        assert!(!late.is_finished(), "it waits, and is told nothing");
    }

    #[tokio::test]
    async fn what_acts_otherwise_is_waited_for_as_well_and_begins_no_more() {
        let (gate, answer) = (Gate::default(), Arc::new(Notify::new()));
        let mut act = pin!(gate.pass(answer.notified()));
        assert!(act.as_mut().now_or_never().is_none());
        gate.close();
        let mut emptied = pin!(gate.emptied());
        assert!(emptied.as_mut().now_or_never().is_none(), "one is under way");
        assert!(gate.pass(async {}).now_or_never().is_none(), "the late one does not begin");
        answer.notify_one();
        act.await;
        emptied.await;
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_passes_a_gate_whose_term_is_over() {
        use continuum_core::clock::Clock;
        use continuum_live::clock::SystemClock;
        use std::time::Duration;

        let clock = Arc::new(SystemClock::new());
        let term = Term::new(clock.clone(), clock.now() + Duration::from_secs(10));
        let gate = Gate::within(Some(term));
        assert!(gate.enter().is_some());
        tokio::time::advance(Duration::from_secs(10)).await;
        assert!(gate.enter().is_none(), "nobody closed it");
        assert!(gate.emptied().now_or_never().is_some());
    }
}
