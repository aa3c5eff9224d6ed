//! `/healthz`, whether the process lives, and `/readyz`, whether it does its work. No credentials; nothing secret is told.

use http::{Method, StatusCode};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpListener;

/// What this process needs before it is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// Which Continuums there are.
    List,
    /// Which replica leads.
    Leader,
}

/// Whether this process does its work.
#[derive(Clone)]
pub(crate) struct Readiness(Arc<Mutex<State>>);

struct State {
    /// What it waits for, and why.
    waits: BTreeMap<Part, String>,
    /// What it once knew. It goes on with what it has where that cannot be had any more.
    known: BTreeSet<Part>,
    stopping: bool,
}

impl Readiness {
    /// Of a process that takes part in an election, or is alone.
    pub fn new(election: bool) -> Self {
        let mut waits = BTreeMap::from([(Part::List, "the Continuums were not listed yet".into())]);
        if election {
            waits.insert(Part::Leader, "no replica is known to lead yet".into());
        }
        Self(Arc::new(Mutex::new(State { waits, known: BTreeSet::new(), stopping: false })))
    }

    /// Why something that it needs is not to be had.
    pub fn waits_for(&self, part: Part, cause: String) {
        let mut state = self.state();
        if !state.known.contains(&part) {
            state.waits.insert(part, cause);
        }
    }

    /// It has this.
    pub fn known(&self, part: Part) {
        let mut state = self.state();
        state.waits.remove(&part);
        state.known.insert(part);
    }

    /// It ends.
    pub fn stopping(&self) {
        self.state().stopping = true;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self) -> (StatusCode, String) {
        let state = self.state();
        let waits = || state.waits.values().cloned().collect::<Vec<_>>().join("; ");
        match (state.stopping, state.waits.is_empty()) {
            (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "it is stopping".into()),
            (false, true) => (StatusCode::OK, "ok".into()),
            (false, false) => (StatusCode::SERVICE_UNAVAILABLE, waits()),
        }
    }
}

fn answer(readiness: &Readiness, method: &Method, path: &str) -> (StatusCode, String) {
    match path {
        "/healthz" | "/readyz" if *method != Method::GET && *method != Method::HEAD => {
            (StatusCode::METHOD_NOT_ALLOWED, "this path has not that verb".into())
        }
        "/healthz" => (StatusCode::OK, "ok".into()),
        "/readyz" => readiness.answer(),
        _ => (StatusCode::NOT_FOUND, "no such path".into()),
    }
}

/// Serves for ever.
pub(crate) async fn serve(listener: TcpListener, readiness: Readiness) {
    crate::serve::pages(listener, move |method, path| {
        let (status, text) = answer(&readiness, method, path);
        (status, "text/plain; charset=utf-8", text)
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_lives_from_the_start_and_is_ready_between_its_first_list_and_its_end() {
        let readiness = Readiness::new(false);
        let of = |path: &str| answer(&readiness, &Method::GET, path).0.as_u16();
        assert_eq!((of("/healthz"), of("/readyz"), of("/")), (200, 503, 404));
        readiness.waits_for(Part::List, "fsn: no".into());
        assert_eq!(answer(&readiness, &Method::GET, "/readyz").1, "fsn: no");
        readiness.known(Part::List);
        assert_eq!((of("/healthz"), of("/readyz")), (200, 200));
        assert_eq!(answer(&readiness, &Method::POST, "/readyz").0.as_u16(), 405);
        readiness.stopping();
        readiness.known(Part::List);
        assert_eq!((of("/healthz"), of("/readyz")), (200, 503));
    }

    #[test]
    fn a_replica_is_ready_once_it_knows_who_leads_and_stays_so_where_that_cannot_be_read_any_more() {
        let readiness = Readiness::new(true);
        readiness.known(Part::List);
        readiness.waits_for(Part::Leader, "no rights".into());
        assert_eq!(answer(&readiness, &Method::GET, "/readyz"), (StatusCode::SERVICE_UNAVAILABLE, "no rights".into()));
        readiness.known(Part::Leader);
        readiness.waits_for(Part::Leader, "no answer".into());
        assert_eq!(answer(&readiness, &Method::GET, "/readyz").0, StatusCode::OK);
    }
}
