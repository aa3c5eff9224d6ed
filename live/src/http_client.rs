//! A small HTTP/1.1 client over whatever stream the caller opens: TLS or plain in production, the simulated
//! network in the simulator. For servers asked rarely, so each request has a connection of its own and
//! nothing is left behind when the caller gives up waiting.
//!
//! Deliberately absent: redirects, retries, connection pools, time limits (those are the caller's).

use crate::byte_stream::ByteStream;
use bytes::Bytes;
use futures_util::future::{BoxFuture, Either, select};
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use std::error::Error;
use std::io;
use std::pin::pin;
use std::sync::Arc;

/// The longest answer that is read, bytes.
pub const ANSWER_LENGTH_MAX: usize = 16 * 1024 * 1024;

/// Opens a stream to a host and port.
pub type Connect = Arc<dyn Fn(&str, u16) -> BoxFuture<'static, io::Result<Box<dyn ByteStream>>> + Send + Sync>;

/// Opens plain TCP streams of the operating system.
pub fn plain_tcp() -> Connect {
    Arc::new(|host: &str, port: u16| {
        let host = host.to_owned();
        Box::pin(async move {
            let stream = tokio::net::TcpStream::connect((host, port)).await?;
            Ok(Box::new(stream) as Box<dyn ByteStream>)
        })
    })
}

/// Requests to one server.
#[derive(Clone)]
pub struct HttpClient {
    /// Opens its streams.
    pub connect: Connect,
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What it is told as `User-Agent`.
    pub user_agent: String,
}

/// An answer, read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAnswer {
    /// Status code.
    pub status: u16,
    /// Body.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// No connection: the server never saw the request.
    #[error("cannot connect to {host}:{port}")]
    Connect {
        /// Host.
        host: String,
        /// Port.
        port: u16,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The request cannot be written down: it was not sent.
    #[error("not a valid request")]
    Invalid(#[source] http::Error),
    /// The connection failed after that. The server may have acted on the request.
    #[error("the connection to {host}:{port} was lost")]
    Lost {
        /// Host.
        host: String,
        /// Port.
        port: u16,
        /// Cause.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl HttpError {
    /// Whether the server may have acted on the request.
    pub fn may_have_acted(&self) -> bool {
        matches!(self, HttpError::Lost { .. })
    }
}

impl HttpClient {
    /// Whether the server can be reached. Nothing is asked.
    pub async fn reach(&self) -> Result<(), HttpError> {
        self.open().await.map(drop)
    }

    async fn open(&self) -> Result<Box<dyn ByteStream>, HttpError> {
        let opened = (self.connect)(&self.host, self.port).await;
        opened.map_err(|source| HttpError::Connect { host: self.host.clone(), port: self.port, source })
    }

    /// Sends one request and reads the answer. Dropped, it closes the connection; the server may still act.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<HttpAnswer, HttpError> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, format!("{}:{}", self.host, self.port))
            .header(header::USER_AGENT, &self.user_agent);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body))).map_err(HttpError::Invalid)?;
        let stream = self.open().await?;
        exchange(stream, request).await.map_err(|source| HttpError::Lost {
            host: self.host.clone(),
            port: self.port,
            source,
        })
    }
}

/// Request and answer on a fresh stream. The connection is driven here and not by a task of its own, so that
/// it ends with this future.
async fn exchange(
    stream: Box<dyn ByteStream>,
    request: Request<Full<Bytes>>,
) -> Result<HttpAnswer, Box<dyn Error + Send + Sync>> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let answer = async move {
        let answer = sender.send_request(request).await?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), ANSWER_LENGTH_MAX).collect().await?.to_bytes();
        Ok(HttpAnswer { status, body })
    };
    match select(pin!(answer), pin!(connection)).await {
        Either::Left((answer, _)) => answer,
        // The server closed: what it sent before is still in the channel.
        Either::Right((_, answer)) => answer.await,
    }
}

/// An error with its causes, in one line.
pub fn told(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let inner = error.to_string();
        // Some libraries repeat the cause in their own message.
        if !text.ends_with(&inner) {
            text = format!("{text}: {inner}");
        }
        cause = error.source();
    }
    text
}
