//! The host `pdm`: a pool domain manager, which takes records and has them written to the zone of the host `dns`.
//!
//! ```text
//!   controller ──POST /v1/lua/commit──► gate ──► token ──► PATCH of the LUA set of each name ──► zone of `dns`
//! ```
//!
//! It says 200 once PowerDNS took the change, and 502 with PowerDNS's words where it did not. It shows nothing and checks
//! nothing of the Lua: a set of another type beside the `LUA` set stays where it is, and is answered as well.

use super::gated::{self, Passed};
use super::powerdns::PowerDns;
use crate::fabric::{BoxStream, Net, Software};
use crate::gate::{Asked, SharedGate};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

/// Name of the host.
pub const HOST: &str = "pdm";

/// Port of its HTTP API.
pub const PORT: u16 = 8080;

const COMMIT: &str = "/v1/lua/commit";

#[derive(Deserialize)]
struct Commit {
    zone: String,
    records: Vec<LuaRecord>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LuaRecord {
    hostname: String,
    lua_body: String,
    ttl: u32,
    primary_region: String,
}

impl LuaRecord {
    fn change(&self) -> Value {
        json!({
            "name": format!("{}.", self.hostname), "type": "LUA", "ttl": self.ttl, "changetype": "REPLACE",
            "records": [{ "content": format!("A \"{}\"", self.lua_body), "disabled": false }],
        })
    }
}

struct Pdm {
    net: Net,
    gate: SharedGate,
    token: String,
    dns: PowerDns,
}

/// What runs on its host. `token`: what callers must bear.
pub fn software(net: Net, gate: SharedGate, token: &str, dns: PowerDns) -> Software {
    let pdm = Arc::new(Pdm { net, gate, token: token.to_owned(), dns });
    Box::new(move || {
        let pdm = pdm.clone();
        Box::pin(async move {
            let listener = pdm.net.listen(PORT).await.expect("the port is free on a host just started");
            while let Ok((stream, from)) = listener.accept().await {
                pdm.net.spawn(Box::pin(pdm.clone().serve(stream, from)));
            }
        })
    })
}

impl Pdm {
    async fn serve(self: Arc<Self>, stream: BoxStream, from: SocketAddr) {
        let from = self.net.reverse_lookup(from.ip()).unwrap_or_else(|| from.ip().to_string());
        let service = service_fn(|request| {
            let (server, from) = (self.clone(), from.clone());
            async move { Ok::<_, Infallible>(server.answer(request, from).await) }
        });
        // A client that hangs up is no error of the server's.
        let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>, from: String) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let Ok(body) = body.collect().await else { return respond(400, "the body was cut off") };
        let body = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        let named = |name: &str| parts.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        let zone = serde_json::from_str(&body).map(|commit: Commit| commit.zone).unwrap_or_default();
        let asked = Asked {
            server: HOST.into(),
            from: from.clone(),
            verb: parts.method.as_str().to_ascii_lowercase(),
            what: format!("zones/{zone}"),
            subresource: String::new(),
            changing: true,
            trial: false,
            dry_run: named(header::USER_AGENT.as_str()).contains("continuum-dry-run"),
            body: body.clone(),
        };
        let (token, path, method) = (named("x-catalyst-token"), parts.uri.path().to_owned(), parts.method);
        let server = self.clone();
        let apply = move || {
            let (status, text) = server.commit(&from, &method, &path, &token, &body);
            (status, respond(status, &text))
        };
        match gated::pass(&self.net, &self.gate, asked, apply).await {
            Passed::Applied(response) => response,
            Passed::Instead(status) => respond(status, "the request was not carried out"),
        }
    }

    /// Status code and text of the answer.
    fn commit(&self, from: &str, method: &Method, path: &str, token: &str, body: &str) -> (u16, String) {
        if path != COMMIT {
            return (404, "404 page not found".into());
        }
        if method != Method::POST {
            return (405, "method not allowed".into());
        }
        if token != self.token {
            return (401, "unauthorized".into());
        }
        let commit: Commit = match serde_json::from_str(body) {
            Ok(commit) => commit,
            Err(error) => return (400, format!("invalid body: {error}")),
        };
        if commit.records.is_empty() || commit.records.iter().any(|record| record.primary_region.is_empty()) {
            return (400, "no records, or one without its primaryRegion".into());
        }
        let changes: Vec<Value> = commit.records.iter().map(LuaRecord::change).collect();
        match self.dns.written_by_pdm(self.net.now(), from, &commit.zone, &json!({ "rrsets": changes }).to_string()) {
            Ok(()) => (200, json!({ "ok": true }).to_string()),
            Err(why) => (502, format!("powerdns: {why}")),
        }
    }
}

fn respond(status: u16, body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_owned())));
    *response.status_mut() = StatusCode::from_u16(status).expect("a valid status code");
    response
}
