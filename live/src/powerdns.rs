//! The application's records on a PowerDNS server: read and written by its HTTP API, verified by asking the
//! authoritative server, because the API says 204 to Lua that cannot run (H19).
//!
//! Host names stand without a trailing dot in core and with one on the wire.

use crate::dns;
use crate::http_client::{Connect, HttpAnswer, HttpClient, told};
use async_trait::async_trait;
use continuum_core::observe::{Answer, Seen, ZoneView};
use continuum_core::ports::{ObserveRecords, Outcome, PublishRecords};
use continuum_core::record::RecordSet;
use hickory_resolver::net::NetError;
use hickory_resolver::{ConnectionProvider, Resolver};
use http::Method;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// Where the API is, and what it is told.
#[derive(Clone)]
pub struct PowerDnsApi {
    /// Host of the API.
    pub host: String,
    /// Port of the API.
    pub port: u16,
    /// `X-API-Key`.
    pub api_key: String,
    /// `User-Agent`.
    pub user_agent: String,
}

/// A PowerDNS server.
pub struct PowerDns<P: ConnectionProvider> {
    api_key: String,
    client: HttpClient,
    authority: Resolver<P>,
}

impl<P: ConnectionProvider> PowerDns<P> {
    /// The server with this API, over streams of `connect`, that answers queries at `authority`, over the
    /// sockets of `provider`.
    pub fn new(api: PowerDnsApi, connect: Connect, authority: SocketAddr, provider: P) -> Result<Self, NetError> {
        let PowerDnsApi { host, port, api_key, user_agent } = api;
        let client = HttpClient { connect, host, port, user_agent };
        Ok(Self { api_key, client, authority: dns::resolver(authority, provider)? })
    }
}

/// A zone as the API shows it, without what is not needed.
#[derive(Deserialize)]
struct Zone {
    rrsets: Vec<Rrset>,
}

#[derive(Serialize, Deserialize)]
struct Rrset {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ttl: Option<u32>,
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    changetype: Option<&'static str>,
    #[serde(default)]
    records: Vec<Content>,
}

#[derive(Serialize, Deserialize)]
struct Content {
    content: String,
    #[serde(default)]
    disabled: bool,
}

#[derive(Serialize)]
struct Patch {
    rrsets: Vec<Rrset>,
}

impl Rrset {
    fn change(set: &RecordSet) -> Self {
        let gone = set.contents.is_empty();
        let content = |content: &String| Content { content: content.clone(), disabled: false };
        Self {
            name: wire(&set.hostname),
            kind: set.kind.clone(),
            ttl: (!gone).then_some(set.ttl_seconds),
            changetype: Some(if gone { "DELETE" } else { "REPLACE" }),
            records: set.contents.iter().map(content).collect(),
        }
    }

    /// What is answered: disabled records are not.
    fn answered(self) -> RecordSet {
        RecordSet {
            hostname: self.name.trim_end_matches('.').to_owned(),
            kind: self.kind,
            ttl_seconds: self.ttl.unwrap_or_default(),
            contents: self.records.into_iter().filter(|r| !r.disabled).map(|r| r.content).collect(),
        }
    }
}

/// A name as it stands on the wire: with a trailing dot.
fn wire(name: &str) -> String {
    format!("{}.", name.trim_end_matches('.'))
}

fn path(zone: &str) -> String {
    format!("/api/v1/servers/localhost/zones/{}", wire(zone))
}

fn key_refused(status: u16) -> String {
    format!("the DNS server refused the API key (X-API-Key) with {status}; check the secret that holds it")
}

/// The server's own words: `{"error": "..."}`, else the body as it stands.
fn words(answer: &HttpAnswer) -> String {
    #[derive(Deserialize)]
    struct Error {
        error: String,
    }
    let text = match serde_json::from_slice::<Error>(&answer.body) {
        Ok(Error { error }) => error,
        Err(_) => String::from_utf8_lossy(&answer.body).trim().to_owned(),
    };
    format!("the DNS server answered {}: {text}", answer.status)
}

#[async_trait]
impl<P: ConnectionProvider> ObserveRecords for PowerDns<P> {
    async fn zone(&self, zone: &str, hostnames: &[String]) -> Seen<ZoneView> {
        let headers = [("X-API-Key", self.api_key.as_str())];
        let answer = match self.client.send(Method::GET, &path(zone), &headers, Vec::new()).await {
            Ok(answer) => answer,
            Err(error) => return Seen::Unknown(told(&error)),
        };
        match answer.status {
            200 => {}
            404 => return Seen::Missing,
            status @ (401 | 403) => return Seen::Unknown(key_refused(status)),
            _ => return Seen::Unknown(words(&answer)),
        }
        match serde_json::from_slice::<Zone>(&answer.body) {
            Ok(read) => {
                let sets = read.rrsets.into_iter().map(Rrset::answered);
                let records =
                    sets.filter(|set| hostnames.contains(&set.hostname) && !set.contents.is_empty()).collect();
                Seen::Is(ZoneView { records })
            }
            Err(error) => Seen::Unknown(format!("the DNS server's answer is not a zone: {error}")),
        }
    }

    async fn answer(&self, hostname: &str) -> Seen<Answer> {
        match dns::ask_both(&self.authority, hostname).await {
            Ok(answer) => Seen::Is(answer),
            Err(error) => Seen::Unknown(format!("no answer from the authoritative server: {error}")),
        }
    }
}

#[async_trait]
impl<P: ConnectionProvider> PublishRecords for PowerDns<P> {
    async fn publish(&self, zone: &str, sets: &[RecordSet]) -> Outcome {
        if sets.is_empty() {
            return Outcome::Done(());
        }
        let patch = Patch { rrsets: sets.iter().map(Rrset::change).collect() };
        let body = serde_json::to_vec(&patch).expect("record sets have string keys only");
        let headers = [("X-API-Key", self.api_key.as_str()), ("Content-Type", "application/json")];
        let answer = match self.client.send(Method::PATCH, &path(zone), &headers, body).await {
            Ok(answer) => answer,
            Err(error) if error.may_have_acted() => return Outcome::Unknown(told(&error)),
            Err(error) => return Outcome::NotApplied(told(&error)),
        };
        match answer.status {
            200..=299 => Outcome::Done(()),
            status @ (401 | 403) => Outcome::Refused(key_refused(status)),
            409 | 429 => Outcome::NotApplied(words(&answer)),
            408 | 500.. => Outcome::Unknown(words(&answer)),
            _ => Outcome::Refused(words(&answer)),
        }
    }
}
