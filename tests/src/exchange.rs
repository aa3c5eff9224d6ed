//! Plain HTTP exchanges with an API server, real or simulated, over a client that the caller passes. It knows
//! nothing of Kubernetes but that a watch is a line for each event.

use bytes::{Buf, Bytes, BytesMut};
use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use serde_json::Value;
use std::time::Duration;

/// Whatever an exchange can fail with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How long an answer or an event may take.
const PATIENCE: Duration = Duration::from_secs(30);

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
    server: &Client,
    method: Method,
    path: &str,
    content_type: &str,
    body: impl Into<Vec<u8>>,
) -> Result<Answer, BoxError> {
    let body = Body::from(body.into());
    let request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, content_type).body(body)?;
    let whole = async {
        let response = server.send(request).await?;
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
    body: Body,
    buffer: BytesMut,
}

/// Opens a watch: the status code, and the events where it is 200. Else the answer's body as the only event.
pub async fn watch(server: &Client, path: &str) -> Result<(StatusCode, Watching), BoxError> {
    let request = Request::builder().uri(path).body(Body::empty())?;
    let response = tokio::time::timeout(PATIENCE, server.send(request)).await??;
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
                    let data: Bytes = frame.into_data().unwrap_or_default();
                    self.buffer.extend_from_slice(&data);
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
