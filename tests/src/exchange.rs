//! Plain HTTP exchanges with an API server, real or simulated, behind one trait, so that one suite can put
//! the same requests to both. It knows nothing of Kubernetes but that a watch is a line for each event.

use async_trait::async_trait;
use bytes::{Buf, Bytes, BytesMut};
use continuum_sim::fabric::Net;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::time::Duration;

/// Whatever an exchange can fail with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A body that may still be arriving.
pub type ArrivingBody = UnsyncBoxBody<Bytes, BoxError>;

/// How long an answer or an event may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Carries a request to an API server.
#[async_trait]
pub trait Requester: Send + Sync {
    /// Sends, and gives the answer as soon as its head is there.
    async fn exchange(&self, request: Request<Bytes>) -> Result<Response<ArrivingBody>, BoxError>;
}

/// A real server, reached as kube reaches it (TLS, token).
pub struct Real(pub kube::Client);

#[async_trait]
impl Requester for Real {
    async fn exchange(&self, request: Request<Bytes>) -> Result<Response<ArrivingBody>, BoxError> {
        let request = request.map(|body| kube::client::Body::from(body.to_vec()));
        let response = self.0.send(request).await?;
        Ok(response.map(|body| body.map_err(Into::into).boxed_unsync()))
    }
}

/// A simulated server, reached over the fabric; a connection for each request.
pub struct Simulated {
    /// The network, as the host that asks sees it.
    pub net: Net,
    /// The server's host.
    pub host: String,
    /// Its port.
    pub port: u16,
}

#[async_trait]
impl Requester for Simulated {
    async fn exchange(&self, mut request: Request<Bytes>) -> Result<Response<ArrivingBody>, BoxError> {
        let stream = self.net.connect(&self.host, self.port).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        self.net.spawn(Box::pin(async move {
            // The answer's body reports what matters of a broken connection.
            connection.await.ok();
        }));
        request.headers_mut().insert(header::HOST, self.host.parse()?);
        let response = sender.send_request(request.map(Full::new)).await?;
        Ok(response.map(|body| body.map_err(Into::into).boxed_unsync()))
    }
}

/// A whole answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// The body; a string where it is not JSON.
    pub body: Value,
}

/// Sends, and reads the whole answer.
pub async fn ask(
    server: &dyn Requester,
    method: Method,
    path: &str,
    content_type: &str,
    body: impl Into<Bytes>,
) -> Result<Answer, BoxError> {
    let request =
        Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, content_type).body(body.into())?;
    let whole = async {
        let response = server.exchange(request).await?;
        let status = response.status();
        Ok::<_, BoxError>((status, response.into_body().collect().await?.to_bytes()))
    };
    let (status, bytes) = tokio::time::timeout(PATIENCE, whole).await??;
    Ok(Answer { status: status.as_u16(), body: json_or_text(&bytes) })
}

fn json_or_text(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(bytes).into_owned()))
}

/// A watch under way.
pub struct Watching {
    body: ArrivingBody,
    buffer: BytesMut,
}

/// Opens a watch: the status code, and the events where it is 200. Else the answer's body as the only event.
pub async fn watch(server: &dyn Requester, path: &str) -> Result<(StatusCode, Watching), BoxError> {
    let request = Request::builder().uri(path).body(Bytes::new())?;
    let response = tokio::time::timeout(PATIENCE, server.exchange(request)).await??;
    Ok((response.status(), Watching { body: response.into_body(), buffer: BytesMut::new() }))
}

impl Watching {
    /// The next event; `None` where the server ended the watch.
    pub async fn next(&mut self) -> Result<Option<Value>, BoxError> {
        tokio::time::timeout(PATIENCE, self.next_line()).await?
    }

    async fn next_line(&mut self) -> Result<Option<Value>, BoxError> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(end);
                self.buffer.advance(1);
                return Ok(Some(json_or_text(&line)));
            }
            match self.body.frame().await.transpose()? {
                Some(frame) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                None if self.buffer.is_empty() => return Ok(None),
                None => {
                    let rest = self.buffer.split();
                    return Ok(Some(json_or_text(&rest)));
                }
            }
        }
    }
}
