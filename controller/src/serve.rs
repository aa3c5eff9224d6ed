//! Listens on TCP, for the HTTP API, the health endpoints and the metrics.

use crate::config::Listen;
use crate::directory::Directory;
use crate::pause;
use continuum_core::clock::Clock;
use continuum_live::byte_stream::ByteStream;
use continuum_live::http_api::{HttpApi, Limits, Token, serve};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// For a request to a page and its answer together.
const PAGE_LIMIT: Duration = Duration::from_secs(10);
/// Connections to pages at one time.
const PAGE_CONNECTIONS_MAX: usize = 32;
/// After an accept that failed: the process is out of files, most likely, and others give theirs back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// When serving ends.
pub(crate) type Stop = Shared<BoxFuture<'static, ()>>;

/// Why nobody listens.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {address} cannot be listened on; is another process there?")]
pub struct NotBound {
    name: &'static str,
    address: SocketAddr,
    #[source]
    source: io::Error,
}

/// Listens where the variable `name` says.
pub(crate) async fn bind(name: &'static str, listen: Listen) -> Result<TcpListener, NotBound> {
    let address = listen.address();
    let mut bound = TcpListener::bind(address).await;
    // All addresses, on a machine without IPv6.
    if listen.ip.is_none() && bound.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::AddrInUse) {
        bound = TcpListener::bind((Ipv4Addr::UNSPECIFIED, listen.port)).await;
    }
    let listener = bound.map_err(|source| NotBound { name, address, source })?;
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "{name}: listening");
    }
    Ok(listener)
}

/// The next caller.
pub(crate) async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(cause) => {
                tracing::warn!(%cause, "a caller could not be let in");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves pages that are made at once, for ever: status, type and text by verb and path.
pub(crate) async fn pages<P>(listener: TcpListener, page: P)
where
    P: Fn(&Method, &str) -> (StatusCode, &'static str, String) + Clone + Send + 'static,
{
    let places = Arc::new(Semaphore::new(PAGE_CONNECTIONS_MAX));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let stream = accept(&listener).await;
        let page = page.clone();
        tokio::spawn(async move {
            let _place = place;
            let service = service_fn(move |request: Request<Incoming>| {
                let (status, kind, text) = page(request.method(), request.uri().path());
                let mut response = Response::new(Full::new(Bytes::from(text)));
                *response.status_mut() = status;
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
                // hyper leaves the body of an answer to HEAD out, and tells its length.
                if status == StatusCode::METHOD_NOT_ALLOWED {
                    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET,HEAD"));
                }
                async { Ok::<_, Infallible>(response) }
            });
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).keep_alive(false);
            // Who hangs up, or is slow, is gone; there is nobody to tell.
            let _ = timeout(PAGE_LIMIT, http.serve_connection(TokioIo::new(stream), service)).await;
        });
    }
}

/// Serves the HTTP API until `stop`, and then what is under way. A panic in it ends the calls of that moment, and it begins
/// anew.
pub(crate) async fn api(
    listener: TcpListener,
    directory: Directory,
    token: Option<Token>,
    clock: Arc<dyn Clock>,
    stop: Stop,
) {
    let listener = Arc::new(listener);
    let mut panics = 0;
    loop {
        let api = HttpApi::new(Arc::new(directory.clone()), token.clone(), Limits::DEFAULT);
        let listener = listener.clone();
        let accepted = move || {
            let listener = listener.clone();
            async move { Box::new(accept(&listener).await) as Box<dyn ByteStream> }.boxed()
        };
        let Err(error) = tokio::spawn(serve(api, accepted, stop.clone().boxed())).await else { return };
        panics += 1;
        tracing::error!(%error, panics, "the HTTP API ended; it is begun anew");
        clock.sleep(pause::after(panics)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_page_has_no_body_for_head_and_a_wrong_verb_is_told_the_right_ones() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(pages(listener, |method, _| match *method {
            Method::GET | Method::HEAD => (StatusCode::OK, "text/plain", "a page".into()),
            _ => (StatusCode::METHOD_NOT_ALLOWED, "text/plain", "no".into()),
        }));
        let ask = async |verb: &str| {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(format!("{verb} / HTTP/1.1\r\nhost: c\r\n\r\n").as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let (get, head, post) = (ask("GET").await, ask("HEAD").await, ask("POST").await);
        assert!(get.ends_with("\r\n\r\na page") && get.contains("content-length: 6"), "{get}");
        assert!(head.ends_with("\r\n\r\n") && head.contains("content-length: 6"), "{head}");
        assert!(post.starts_with("HTTP/1.1 405 ") && post.contains("allow: GET,HEAD"), "{post}");
    }
}
