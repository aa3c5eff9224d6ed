//! The platform's API, which people use: it calls the HTTP API of the controllers for them. A host of its own, with a
//! client that knows nothing of the server: HTTP/1.1 over the simulated network, a connection for each request.

use super::controllers::controller_host;
use super::inbox::Inbox;
use crate::fabric::{BoxStream, Net, Software};
use bytes::Bytes;
use futures_util::future::{Either, select};
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use std::error::Error;
use std::pin::pin;
use std::sync::mpsc::Sender;

/// Its host.
pub const PLATFORM_HOST: &str = "platform";
/// The port of the controllers' HTTP API.
pub const API_PORT: u16 = 8082;
/// What the controllers want to be borne.
pub const API_TOKEN: &str = "simulated-api-token";

/// One request to a controller.
#[derive(Clone, Debug)]
pub struct Call {
    /// The controller's region.
    pub region: String,
    /// Verb.
    pub method: String,
    /// Path.
    pub path: String,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: String,
}

impl Call {
    /// With the headers that let it in.
    pub fn of_owner(region: &str, method: &str, path: String, body: String) -> Self {
        let headers = [("X-Catalyst-Owner-Tier", "true".to_owned()), ("Authorization", format!("Bearer {API_TOKEN}"))];
        Self {
            region: region.to_owned(),
            method: method.to_owned(),
            path,
            headers: headers.map(|(name, value)| (name.to_owned(), value)).into(),
            body,
        }
    }
}

/// What a controller answered.
#[derive(Clone, Debug)]
pub struct CallAnswer {
    /// Status code.
    pub status: u16,
    /// Body.
    pub body: String,
}

/// What was left for the platform to ask.
pub type Platform = Inbox<(Call, Sender<Result<CallAnswer, String>>)>;

/// Its software.
pub(super) fn software(platform: Platform, net: Net) -> Software {
    Box::new(move || {
        let (platform, net) = (platform.clone(), net.clone());
        Box::pin(async move {
            let ask = |(call, answer): (Call, Sender<_>)| {
                let net = net.clone();
                Box::pin(async move {
                    // Who asked may be gone.
                    let _ = answer.send(ask(&net, call).await);
                }) as _
            };
            platform.serve(ask).await;
        })
    })
}

async fn ask(net: &Net, call: Call) -> Result<CallAnswer, String> {
    let host = controller_host(&call.region);
    let stream = net.connect(&host, API_PORT).await.map_err(|error| format!("{host} cannot be reached: {error}"))?;
    exchange(stream, call).await.map_err(|error| format!("the connection to {host} was lost: {error}"))
}

async fn exchange(stream: BoxStream, call: Call) -> Result<CallAnswer, Box<dyn Error>> {
    let mut request = Request::builder().method(Method::from_bytes(call.method.as_bytes())?).uri(&call.path);
    request = request.header("Host", controller_host(&call.region));
    for (name, value) in &call.headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(Bytes::from(call.body)))?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    let answer = async move {
        let answer = sender.send_request(request).await?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await?.to_bytes();
        Ok(CallAnswer { status, body: String::from_utf8_lossy(&body).into_owned() })
    };
    match select(pin!(answer), pin!(connection)).await {
        Either::Left((answer, _)) => answer,
        // The server closed: what it sent before is still in the channel.
        Either::Right((_, answer)) => answer.await,
    }
}
