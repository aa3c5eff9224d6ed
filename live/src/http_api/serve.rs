//! Serves the API on streams that the caller accepts: of the operating system, or of the simulated network.

use super::answer::Problem;
use crate::byte_stream::ByteStream;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::future::{BoxFuture, Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;
use tokio::time::timeout;
use tower::ServiceExt;

/// What one server gives its callers.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For the head of a request.
    pub head: Duration,
    /// For its body and the answer together, from the moment that was read.
    pub answer: Duration,
    /// Connections at one time. Further ones wait to be accepted.
    pub connections_max: usize,
}

impl Limits {
    /// CONTRACT 7.
    pub const DEFAULT: Limits =
        Limits { head: Duration::from_secs(10), answer: Duration::from_secs(60), connections_max: 64 };
}

/// Serves for ever: `accept` gives the next stream.
pub async fn serve<A>(router: Router, limits: Limits, mut accept: A)
where
    A: FnMut() -> BoxFuture<'static, Box<dyn ByteStream>>,
{
    let mut served = FuturesUnordered::new();
    let mut next = accept();
    loop {
        if served.len() >= limits.connections_max {
            served.next().await;
            continue;
        }
        // An empty set has ended at once.
        let ended = pin!(async { if served.is_empty() { std::future::pending().await } else { served.next().await } });
        match select(&mut next, ended).await {
            Either::Left((stream, _)) => {
                served.push(connection(router.clone(), limits, stream));
                next = accept();
            }
            Either::Right(_) => {}
        }
    }
}

async fn connection(router: Router, limits: Limits, stream: Box<dyn ByteStream>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let router = router.clone();
        async move {
            let answered = timeout(limits.answer, router.oneshot(request.map(Body::new))).await;
            Ok::<Response, Infallible>(match answered {
                Ok(Ok(response)) => response,
                Err(_) => {
                    let limit = limits.answer.as_secs();
                    Problem::new(StatusCode::SERVICE_UNAVAILABLE, format!("not answered within {limit} s"))
                        .into_response()
                }
            })
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head);
    // Who hangs up is gone; there is nobody to tell.
    let _ = http.serve_connection(TokioIo::new(stream), service).await;
}
