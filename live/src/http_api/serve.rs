//! Serves the API on streams that the caller accepts: of the operating system, or of the simulated network.
//!
//! A connection carries one request. So each of its parts has a limit, and with them the connection: head, body, answer
//! and reading the answer. Its callers are few, and to connect anew costs them less than idle connections cost others.

use super::HttpApi;
use super::limits::Limits;
use super::places::{Place, Places};
use crate::byte_stream::ByteStream;
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use futures_util::future::{BoxFuture, Either, FutureExt, Shared, select};
use futures_util::select_biased;
use futures_util::stream::{FuturesUnordered, StreamExt};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::pin::pin;
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::time::sleep;
use tower::ServiceExt;

/// Serves until `stop`: `accept` gives the next stream. Requests that came whole by then are answered; who is connected and
/// has sent nothing is not.
pub async fn serve<A>(api: HttpApi, mut accept: A, stop: BoxFuture<'static, ()>)
where
    A: FnMut() -> BoxFuture<'static, Box<dyn ByteStream>>,
{
    let limits = api.limits;
    let router = api.router();
    let mut places = Places::new(limits);
    let mut served = FuturesUnordered::new();
    let mut stop = stop.shared();
    let mut next = accept().fuse();
    let mut waits = None;
    loop {
        if waits.is_some() {
            let place = select_biased! {
                () = stop => break,
                () = served.select_next_some() => continue,
                place = pin!(places.next().fuse()) => place,
            };
            let stream = waits.take().expect("it was looked whether one waits");
            served.push(connection(router.clone(), limits, stream, place, stop.clone()));
        } else {
            select_biased! {
                () = stop => break,
                () = served.select_next_some() => {}
                stream = next => {
                    waits = Some(stream);
                    next = accept().fuse();
                }
            }
        }
    }
    while served.next().await.is_some() {}
}

async fn connection(
    router: Router,
    limits: Limits,
    stream: Box<dyn ByteStream>,
    place: Arc<Place>,
    stop: Shared<BoxFuture<'static, ()>>,
) {
    let answered = Arc::new(Notify::new());
    let service = {
        let (place, answered) = (place.clone(), answered.clone());
        service_fn(move |request: Request<Incoming>| {
            let (router, answered) = (router.clone(), answered.clone());
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(place.clone());
            async move {
                let response = router.oneshot(request).await;
                answered.notify_one();
                response
            }
        })
    };
    let unread = async {
        answered.notified().await;
        sleep(limits.write).await;
    };
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head).keep_alive(false);
    let mut served = pin!(http.serve_connection(TokioIo::new(stream), service));
    let (unread, claimed) = (pin!(unread), pin!(place.claimed()));
    let mut given_up = select(unread, claimed);
    // Who hangs up, or is hung up on, is gone; there is nobody to tell.
    if let Either::Right(_) = select(stop, select(served.as_mut(), &mut given_up)).await {
        return;
    }
    served.as_mut().graceful_shutdown();
    select(served, given_up).await;
}

#[cfg(test)]
mod tests;
