//! The host `dns`: PowerDNS with its HTTP API and its authoritative server; and `dns2`, a second server on its database.
//!
//! ```text
//!   controller ──HTTP 8081──► gate ──► key ──► zone (a disk: survives a crash)
//!                                                │ what is served (a lie keeps the old)
//!   vantages, controller ──DNS 53──► LUA run ◄───┘
//!                                      ▲ up?
//!                               asked over HTTP every 5 s (memory: dies with the process)
//! ```
//!
//! As on the real server, an address is checked from the first question about it on, and counts as down
//! until its first check has ended. Deliberately absent: zone transfers, DNSSEC, CNAME chasing, comments.

mod second;

pub use second::HOST as SECOND_HOST;

use super::authority::{self, Checks, Served};
use super::dns_wire::{self, reply};
use super::gated::{self, Passed};
use super::lua;
use super::zone::{Rejected, Zone};
use crate::fabric::{BoxStream, Net, Software};
use crate::gate::{Asked, SharedGate};
use bytes::Bytes;
use continuum_core::record::RecordSet;
use hickory_proto::op::{Message, ResponseCode};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// Name of the host.
pub const HOST: &str = "dns";

/// Port of its HTTP API.
pub const API_PORT: u16 = 8081;

pub use super::authority::CHECK_INTERVAL;

/// The server's part of the API.
const SERVER_PATH: &str = "/api/v1/servers/localhost";

/// How long a zone that was not made through the API is unknown to the DNS side (the zone cache).
const ZONE_CACHE: Duration = Duration::from_secs(300);

/// A change of a zone, as it was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneChange {
    /// When, simulated time.
    pub at: Duration,
    /// Host that asked for it.
    pub from: String,
    /// The sets as they are since; one with no contents is gone.
    pub sets: Vec<RecordSet>,
}

/// The server. Cheap to clone; all clones are the same server.
#[derive(Clone)]
pub struct PowerDns {
    shared: Arc<Shared>,
}

struct Shared {
    net: Net,
    gate: SharedGate,
    api_key: String,
    disk: Mutex<Disk>,
    /// Of the second server on the same database. Memory: they die with it.
    caches: Mutex<second::Caches>,
}

/// What survives a crash, and what the world decides about the server.
struct Disk {
    zone: Zone,
    /// What is answered instead of the zone, while the server lies.
    lie: Option<Zone>,
    refusing: Option<u16>,
    /// It cannot run LUA records.
    broken: bool,
    /// Until then the DNS side does not know the zone, which the API shows and changes.
    unnoticed_until: Option<Duration>,
    history: Vec<ZoneChange>,
    random: ChaCha8Rng,
}

impl PowerDns {
    /// A server of one empty zone, whose API wants this key.
    pub fn new(net: Net, gate: SharedGate, zone: &str, api_key: &str, random: ChaCha8Rng) -> Self {
        let disk = Disk {
            zone: Zone::new(zone),
            lie: None,
            refusing: None,
            broken: false,
            unnoticed_until: None,
            history: Vec::new(),
            random,
        };
        let shared =
            Shared { net, gate, api_key: api_key.to_owned(), disk: Mutex::new(disk), caches: Mutex::default() };
        Self { shared: Arc::new(shared) }
    }

    /// What runs on its host.
    pub fn software(&self) -> Software {
        let shared = self.shared.clone();
        Box::new(move || {
            let shared = shared.clone();
            Box::pin(async move { shared.run().await })
        })
    }

    /// Puts a set before the run begins, or changes one behind everybody's back.
    pub fn put(&self, set: RecordSet) {
        self.shared.disk().zone.put(set);
    }

    /// Another writer of records changes the zone, with the body of a PATCH. The error is the server's answer.
    pub fn edit(&self, at: Duration, from: &str, body: &str) -> Result<(), String> {
        let disk = &mut *self.shared.disk();
        let sets = disk.zone.patch(body).map_err(|rejected| format!("{}: {rejected}", rejected.status))?;
        disk.history.push(ZoneChange { at, from: from.to_owned(), sets });
        Ok(())
    }

    /// What a manager of zones writes through its API. The error is what the API says.
    pub fn written_by_pdm(&self, at: Duration, from: &str, zone: &str, body: &str) -> Result<(), String> {
        let disk = self.shared.disk();
        match (disk.refusing, disk.zone.name == zone) {
            (Some(status), _) => return Err(format!("{status}: refused")),
            (None, false) => return Err("404: Not Found".into()),
            (None, true) => drop(disk),
        }
        self.edit(at, from, body)
    }

    /// Ground truth: the sets of its zone.
    pub fn record_sets(&self) -> Vec<RecordSet> {
        self.shared.disk().zone.sets().cloned().collect()
    }

    /// Ground truth: every change that its API applied, in order.
    pub fn history(&self) -> Vec<ZoneChange> {
        self.shared.disk().history.clone()
    }

    /// Ground truth: every address that it, or the second server, may answer for a name, whatever health checks say.
    /// `None`: SERVFAIL is answered.
    pub fn possible_answers(&self, hostname: &str) -> Option<BTreeSet<IpAddr>> {
        let cached = second::cached_sets(&self.shared, hostname);
        let disk = self.shared.disk();
        let zone = disk.lie.as_ref().unwrap_or(&disk.zone);
        let mut possible = BTreeSet::new();
        for set in zone.sets_of(hostname).chain(&cached) {
            for content in &set.contents {
                if set.kind == "LUA" {
                    if disk.broken {
                        return None;
                    }
                    if !content.starts_with("A ") && !content.starts_with("AAAA ") {
                        continue;
                    }
                    possible.extend(lua::possible(content).ok()?);
                } else {
                    possible.extend(content.parse::<IpAddr>());
                }
            }
        }
        Some(possible)
    }

    /// It goes on accepting LUA records, and answers SERVFAIL for them (H19); `false`: no more.
    pub fn break_lua(&self, broken: bool) {
        self.shared.disk().broken = broken;
    }

    /// Its API shows LUA records and changes none (H51); `false`: it changes them again.
    pub fn make_lua_read_only(&self, read_only: bool) {
        self.shared.disk().zone.make_lua_read_only(read_only);
    }

    /// Puts a record that stands and is not answered.
    pub fn disable(&self, hostname: &str, kind: &str, content: &str) {
        self.shared.disk().zone.disable(hostname, kind, content);
    }

    /// Ground truth: name, type and content of the records that stand and are not answered.
    pub fn disabled_records(&self) -> Vec<(String, String, String)> {
        let disk = self.shared.disk();
        let all = disk.zone.disabled();
        all.map(|(name, kind, content)| (name.to_owned(), kind.to_owned(), content.to_owned())).collect()
    }

    /// The zone is as if made by another server on the same database: answered REFUSED for `ZONE_CACHE`, or until
    /// the cache is flushed.
    pub fn leave_unnoticed(&self) {
        self.shared.disk().unnoticed_until = Some(self.shared.net.now() + ZONE_CACHE);
    }

    /// Answers every API request with this status code and applies none; `None`: no more.
    pub fn refuse(&self, status: Option<u16>) {
        self.shared.disk().refusing = status;
    }

    /// From now on it says 204 and goes on answering what the zone was; `false`: it answers the zone again.
    pub fn lie(&self, lying: bool) {
        let disk = &mut *self.shared.disk();
        disk.lie = lying.then(|| disk.zone.clone());
    }
}

impl Shared {
    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().expect("nothing panics while it holds the disk")
    }

    async fn run(self: Arc<Self>) {
        let checks = Checks::default();
        let api = self.net.listen(API_PORT).await.expect("the port of the API is free on a host just started");
        self.net.spawn(Box::pin(authority::check(self.net.clone(), checks.clone())));
        let server = self.clone();
        self.net.spawn(Box::pin(async move {
            while let Ok((stream, from)) = api.accept().await {
                server.net.spawn(Box::pin(server.clone().serve_api(stream, from)));
            }
        }));
        let server = self.clone();
        let answerer = Arc::new(move |question: Message, from: IpAddr| {
            let answer = server.answer(&question, from, &checks);
            Box::pin(std::future::ready(answer)) as futures_util::future::BoxFuture<'static, Message>
        });
        dns_wire::serve(self.net.clone(), answerer).await.expect("the port of DNS is free on a host just started");
    }

    async fn serve_api(self: Arc<Self>, stream: BoxStream, from: SocketAddr) {
        let from = self.net.reverse_lookup(from.ip()).unwrap_or_else(|| from.ip().to_string());
        let service = service_fn(|request| {
            let (server, from) = (self.clone(), from.clone());
            async move { Ok::<_, Infallible>(server.api(request, from).await) }
        });
        // A client that hangs up is no error of the server's.
        let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    }

    async fn api(self: Arc<Self>, request: Request<Incoming>, from: String) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let Ok(body) = body.collect().await else { return problem(400, "the body was cut off") };
        let Some(path) = parts.uri.path().strip_prefix(SERVER_PATH) else { return not_found() };
        let body = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        let refused = parts.method == Method::PATCH && self.disk().zone.refuses(&body);
        let named = |name: &str| parts.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        let asked = Asked {
            server: HOST.into(),
            from: from.clone(),
            verb: parts.method.as_str().to_ascii_lowercase(),
            what: path.trim_matches(['/', '.']).to_owned(),
            subresource: String::new(),
            changing: parts.method != Method::GET && !refused,
            trial: refused,
            dry_run: named(header::USER_AGENT.as_str()).contains("continuum-dry-run"),
            body: body.clone(),
        };
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let call = Call { from, method: parts.method, path: path.to_owned(), query, key: named("x-api-key") };
        let server = self.clone();
        match gated::pass(&self.net, &self.gate, asked, move || server.apply(&call, &body)).await {
            Passed::Applied(response) => response,
            Passed::Instead(status) => problem(status, "the request was not carried out"),
        }
    }

    fn apply(&self, call: &Call, body: &str) -> (u16, Response<Full<Bytes>>) {
        let response = self.respond(call, body);
        (response.status().as_u16(), response)
    }

    fn respond(&self, call: &Call, body: &str) -> Response<Full<Bytes>> {
        let disk = &mut *self.disk();
        if let Some(status) = disk.refusing {
            return problem(status, "refused");
        }
        if call.key != self.api_key {
            return problem(401, "Unauthorized");
        }
        let zone = call.path.strip_prefix("/zones/").map(|zone| zone.trim_end_matches('.'));
        match (&call.method, call.path.as_str(), zone) {
            (&Method::GET, "", _) => respond(
                200,
                json!({ "id": "localhost", "daemon_type": "authoritative", "version": "4.7.3" }).to_string(),
            ),
            (&Method::GET, "/search-data", _) => {
                let name = call.parameter("q").unwrap_or_default().trim_end_matches('.').to_owned();
                respond(200, disk.zone.search(&name).to_string())
            }
            (&Method::PUT, "/cache/flush", _) => {
                disk.unnoticed_until = None;
                respond(200, json!({ "count": 0, "result": "Flushed cache." }).to_string())
            }
            (_, _, Some(zone)) if zone != disk.zone.name => not_found(),
            (&Method::GET, _, Some(_)) => {
                let name = call.parameter("rrset_name").map(|name| name.trim_end_matches('.'));
                respond(200, disk.zone.to_json(name).to_string())
            }
            (&Method::PATCH, _, Some(_)) => match disk.zone.patch(body) {
                Ok(sets) => {
                    disk.history.push(ZoneChange { at: self.net.now(), from: call.from.clone(), sets });
                    respond(204, String::new())
                }
                Err(rejected) if rejected.faults.is_empty() => problem(rejected.status, &rejected.message),
                Err(Rejected { status, message, faults }) => {
                    respond(status, json!({ "error": message, "errors": faults }).to_string())
                }
            },
            (_, _, Some(_)) => problem(405, "Method Not Allowed"),
            _ => not_found(),
        }
    }

    fn answer(&self, question: &Message, from: IpAddr, checks: &Checks) -> Message {
        let disk = &mut *self.disk();
        let Some(hostname) = authority::hostname(question) else { return reply(question, ResponseCode::FormErr) };
        let zone = disk.lie.as_ref().unwrap_or(&disk.zone);
        let unnoticed = disk.unnoticed_until.is_some_and(|until| self.net.now() < until);
        if unnoticed || !zone.contains(&hostname) {
            return reply(question, ResponseCode::Refused);
        }
        let sets: Vec<RecordSet> = zone.sets_of(&hostname).cloned().collect();
        let served = Served { zone: &zone.name, sets: &sets, lua_is_broken: disk.broken };
        authority::answer(question, from, &served, checks, &mut disk.random)
    }
}

struct Call {
    from: String,
    method: Method,
    /// After [`SERVER_PATH`].
    path: String,
    query: String,
    key: String,
}

impl Call {
    fn parameter(&self, name: &str) -> Option<&str> {
        let pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }
}

fn respond(status: u16, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = StatusCode::from_u16(status).expect("a valid status code");
    response
}

/// As the server says it, of a zone and of a path alike.
fn not_found() -> Response<Full<Bytes>> {
    respond(404, "Not Found".into())
}

fn problem(status: u16, message: &str) -> Response<Full<Bytes>> {
    respond(status, json!({ "error": message }).to_string())
}
