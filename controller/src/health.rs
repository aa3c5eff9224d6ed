//! `/healthz`, whether the process lives, and `/readyz`, whether it does its work. No credentials; nothing secret is told.

use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// For a request and its answer together.
const LIMIT: Duration = Duration::from_secs(10);
/// Connections at one time.
const CONNECTIONS_MAX: usize = 32;

/// Whether this process does its work.
#[derive(Clone)]
pub(crate) struct Readiness(Arc<Mutex<State>>);

enum State {
    Waits(String),
    Ready,
    Stopping,
}

impl Default for Readiness {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State::Waits("the Continuums were not listed yet".into()))))
    }
}

impl Readiness {
    /// Why it cannot begin.
    pub fn waits_for(&self, cause: String) {
        self.set(State::Waits(cause));
    }

    /// It knows what to serve.
    pub fn listed(&self) {
        self.set(State::Ready);
    }

    /// It ends, and nothing else comes after that.
    pub fn stopping(&self) {
        *self.state() = State::Stopping;
    }

    fn set(&self, state: State) {
        let mut now = self.state();
        if !matches!(*now, State::Stopping) {
            *now = state;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self) -> (StatusCode, String) {
        match &*self.state() {
            State::Ready => (StatusCode::OK, "ok".into()),
            State::Waits(cause) => (StatusCode::SERVICE_UNAVAILABLE, cause.clone()),
            State::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "it is stopping".into()),
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
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let stream = crate::serve::accept(&listener).await;
        let readiness = readiness.clone();
        tokio::spawn(async move {
            let _place = place;
            let service = service_fn(move |request: Request<Incoming>| {
                let (status, text) = answer(&readiness, request.method(), request.uri().path());
                let mut response = Response::new(Full::new(Bytes::from(text)));
                *response.status_mut() = status;
                async { Ok::<_, Infallible>(response) }
            });
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).keep_alive(false);
            // Who hangs up, or is slow, is gone; there is nobody to tell.
            let _ = timeout(LIMIT, http.serve_connection(TokioIo::new(stream), service)).await;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_lives_from_the_start_and_is_ready_between_its_first_list_and_its_end() {
        let readiness = Readiness::default();
        let of = |path: &str| answer(&readiness, &Method::GET, path).0.as_u16();
        assert_eq!((of("/healthz"), of("/readyz"), of("/")), (200, 503, 404));
        readiness.waits_for("fsn: no".into());
        assert_eq!(answer(&readiness, &Method::GET, "/readyz").1, "fsn: no");
        readiness.listed();
        assert_eq!((of("/healthz"), of("/readyz")), (200, 200));
        assert_eq!(answer(&readiness, &Method::POST, "/readyz").0.as_u16(), 405);
        readiness.stopping();
        readiness.listed();
        assert_eq!((of("/healthz"), of("/readyz")), (200, 503));
    }
}
