//! The application's records on a PowerDNS server: read and written by its HTTP API, verified by asking the
//! authoritative server, because the API says 204 to Lua that cannot run (H19).
//!
//! Host names stand without a trailing dot in core and with one on the wire.

use crate::authoritative::{self, Authoritative, Authorities};
use crate::health_url;
use crate::http_client::{Connect, HttpAnswer, HttpClient, HttpError, told};
use async_trait::async_trait;
use continuum_core::name::Region;
use continuum_core::observe::{Answer, Seen, Shown, ZoneView};
use continuum_core::ports::{ObserveRecords, Outcome, PublishRecords};
use continuum_core::record::RecordSet;
use futures_util::future::{join, join_all};
use futures_util::lock::Mutex;
use hickory_resolver::ConnectionProvider;
use http::Method;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The server's part of the API: there is one.
const SERVER_PATH: &str = "/api/v1/servers/localhost";

/// How many records of one name the search may find.
const FOUND_MAX: u32 = 1000;

/// What PowerDNS says of a set that has a record twice, in lower case.
const DOUBLED: &str = "duplicate record";

/// Where the API is, and what it is told.
#[derive(Clone)]
pub struct PowerDnsApi {
    /// Opens streams to it: with TLS, where it speaks that.
    pub connect: Connect,
    /// Host of the API.
    pub host: String,
    /// Port of the API.
    pub port: u16,
    /// `X-API-Key`.
    pub api_key: String,
    /// `User-Agent`.
    pub user_agent: String,
}

/// A PowerDNS server. One value observes and publishes for a controller: the servers that it asked are those that a
/// change has to reach.
pub struct PowerDns<P: ConnectionProvider> {
    api_key: String,
    client: HttpClient,
    /// To health URLs.
    plain: Connect,
    authoritative: Authoritative<P>,
    /// Held by the one change that is under way: of two at once, also of other zones, a server may fail both or keep
    /// what each of them wrote.
    turn: Arc<Mutex<()>>,
}

impl<P: ConnectionProvider> PowerDns<P> {
    /// The server with this API. Health URLs are asked over streams of `plain`, DNS servers over the sockets of `provider`.
    pub fn new(api: PowerDnsApi, plain: Connect, authorities: Authorities, provider: &P) -> Self {
        let PowerDnsApi { connect, host, port, api_key, user_agent } = api;
        let client = HttpClient { connect, host, port, user_agent };
        let authoritative = Authoritative::new(authorities, provider.clone());
        Self { api_key, client, plain, authoritative, turn: Arc::default() }
    }

    /// The same server for another controller: changes of both take turns.
    pub fn beside(&self) -> Self {
        Self {
            api_key: self.api_key.clone(),
            client: self.client.clone(),
            plain: self.plain.clone(),
            authoritative: self.authoritative.beside(),
            turn: self.turn.clone(),
        }
    }

    async fn send(&self, method: Method, path: &str, body: Vec<u8>) -> Result<HttpAnswer, HttpError> {
        let headers = [("X-API-Key", self.api_key.as_str()), ("Content-Type", "application/json")];
        let headers = if body.is_empty() { &headers[..1] } else { &headers };
        self.client.send(method, path, headers, body).await
    }

    async fn patch(&self, zone: &str, body: Vec<u8>) -> Result<HttpAnswer, HttpError> {
        let _turn = self.turn.lock().await;
        self.send(Method::PATCH, &path(zone), body).await
    }

    /// Reads what a path of the API gives; the error is one line for people.
    async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, Unread> {
        let answer = self.send(Method::GET, path, Vec::new()).await.map_err(|error| Unread::Failed(told(&error)))?;
        match answer.status {
            200 => serde_json::from_slice(&answer.body)
                .map_err(|error| Unread::Failed(format!("the DNS server's answer is not what its API gives: {error}"))),
            404 => Err(Unread::NotFound(words(&answer))),
            status @ (401 | 403) => Err(Unread::Refused(key_refused(status))),
            _ => Err(Unread::Failed(words(&answer))),
        }
    }

    /// The sets of one name, without the records that are disabled.
    async fn sets_of(&self, zone: &str, hostname: &str) -> Result<Vec<RecordSet>, Unread> {
        let named: Zone = self.read(&format!("{}?rrset_name={}", path(zone), wire(hostname))).await?;
        let sets = named.rrsets.into_iter().map(Rrset::answered);
        // An older server gives the whole zone.
        Ok(sets.filter(|set| set.hostname == hostname && !set.contents.is_empty()).collect())
    }

    /// The records of these names that are disabled. The filtered zone of a server before 5.0 hides them, so the
    /// search is asked.
    async fn disabled(&self, zone: &str, sets: &[RecordSet]) -> Result<Vec<FoundRecord>, Unread> {
        let names: BTreeSet<&str> = sets.iter().map(|set| set.hostname.as_str()).collect();
        let mut disabled = Vec::new();
        for name in names {
            let search = format!("{SERVER_PATH}/search-data?q={name}&object_type=record&max={FOUND_MAX}");
            let found: Vec<FoundRecord> = self.read(&search).await?;
            let here = |record: &FoundRecord| record.zone == wire(zone) && record.name == wire(name);
            disabled.extend(found.into_iter().filter(|record| record.disabled && here(record)));
        }
        Ok(disabled)
    }

    /// The addresses of a server of the zone: those in the zone itself, or else what the first resolver says that
    /// knows one.
    async fn addresses_of(&self, zone: &str, name: &str, resolvers: &[SocketAddr]) -> Result<Vec<IpAddr>, String> {
        let mut why = "it has none in the zone".to_owned();
        if name == zone || name.ends_with(&format!(".{zone}")) {
            match self.sets_of(zone, name).await {
                Ok(sets) => {
                    let plain = sets.iter().filter(|set| set.kind == "A" || set.kind == "AAAA");
                    let addresses: Vec<IpAddr> = plain.flat_map(|set| &set.contents).flat_map(|c| c.parse()).collect();
                    if !addresses.is_empty() {
                        return Ok(addresses);
                    }
                }
                Err(unread) => why = unread.cause(),
            }
        }
        self.authoritative.addresses(name, resolvers, why).await
    }

    /// A zone that was not made through this API is unknown to the server's DNS side for up to 300 s (its zone
    /// cache), while the API says 204. Flushing that name heals it at once.
    async fn heal_refusal(&self, zone: &str) {
        let flush = format!("{SERVER_PATH}/cache/flush?domain={}", wire(zone));
        let flushed = self.send(Method::PUT, &flush, Vec::new()).await;
        let outcome = flushed.map_or_else(|error| told(&error), |answer| answer.status.to_string());
        tracing::warn!(
            zone,
            outcome,
            "the DNS server took the records and answers REFUSED: it has not noticed the zone; its cache was flushed"
        );
    }
}

/// Why nothing was read.
enum Unread {
    /// 404, in the server's words.
    NotFound(String),
    /// The key is not taken.
    Refused(String),
    /// Anything else.
    Failed(String),
}

impl Unread {
    fn cause(self) -> String {
        match self {
            Unread::NotFound(cause) | Unread::Refused(cause) | Unread::Failed(cause) => cause,
        }
    }
}

/// A record that the search found.
#[derive(Deserialize)]
struct FoundRecord {
    name: String,
    zone: String,
    #[serde(rename = "type")]
    kind: String,
    content: String,
    #[serde(default)]
    disabled: bool,
}

/// The server, as the API shows it: that it answers is all that matters.
#[derive(Deserialize)]
struct Server {
    #[serde(rename = "daemon_type")]
    _daemon_type: String,
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
    /// The set as it is to be. Records of it that are disabled stay, and stay disabled.
    fn change(set: &RecordSet, disabled: &[FoundRecord]) -> Self {
        let name = wire(&set.hostname);
        let answered = set.contents.iter().map(|content| Content { content: content.clone(), disabled: false });
        let beside = |record: &&FoundRecord| {
            record.name == name && record.kind == set.kind && !set.contents.contains(&record.content)
        };
        let kept = disabled.iter().filter(beside);
        let kept = kept.map(|record| Content { content: record.content.clone(), disabled: true });
        let records: Vec<Content> = answered.chain(kept).collect();
        let gone = records.is_empty();
        Self {
            kind: set.kind.clone(),
            ttl: (!gone).then_some(set.ttl_seconds),
            changetype: Some(if gone { "DELETE" } else { "REPLACE" }),
            records,
            name,
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
    format!("{SERVER_PATH}/zones/{}", wire(zone))
}

fn key_refused(status: u16) -> String {
    format!("the DNS server refused the API key (X-API-Key) with {status}; check the secret that holds it")
}

/// What the server says that is wrong: `{"error": "..."}`, from 5.1 on with `errors` beside it where there are
/// several; else the body as it stands.
fn faults(answer: &HttpAnswer) -> Vec<String> {
    #[derive(Deserialize)]
    struct Problem {
        error: String,
        #[serde(default)]
        errors: Vec<String>,
    }
    match serde_json::from_slice::<Problem>(&answer.body) {
        Ok(Problem { error, errors }) if errors.is_empty() => vec![error],
        Ok(Problem { errors, .. }) => errors,
        Err(_) => vec![String::from_utf8_lossy(&answer.body).trim().to_owned()],
    }
}

/// The server's own words.
fn words(answer: &HttpAnswer) -> String {
    told_as(answer.status, faults(answer))
}

fn told_as(status: u16, mut faults: Vec<String>) -> String {
    faults.dedup();
    format!("the DNS server answered {status}: {}", faults.join("; "))
}

#[async_trait]
impl<P: ConnectionProvider> ObserveRecords for PowerDns<P> {
    async fn zone(&self, zone: &str, hostnames: &[String]) -> Seen<ZoneView> {
        // Without a name the zone itself is asked for.
        let names = if hostnames.is_empty() { vec![zone] } else { hostnames.iter().map(String::as_str).collect() };
        let mut records = Vec::new();
        for sets in join_all(names.iter().map(|name| self.sets_of(zone, name))).await {
            match sets {
                Ok(sets) => records.extend(sets),
                Err(Unread::Failed(cause) | Unread::Refused(cause)) => return Seen::Unknown(cause),
                // A path that is not there says 404 as well: only where the API is there, the zone is not.
                Err(Unread::NotFound(words)) => {
                    return match self.read::<Server>(SERVER_PATH).await {
                        Ok(Server { .. }) => Seen::Missing,
                        Err(Unread::Failed(cause) | Unread::Refused(cause)) => Seen::Unknown(cause),
                        Err(Unread::NotFound(_)) => Seen::Unknown(format!("no PowerDNS API is there: {words}")),
                    };
                }
            }
        }
        records.retain(|set| hostnames.contains(&set.hostname));
        Seen::Is(ZoneView { records, shown: Shown::ByApi })
    }

    /// Tries the set with each record twice, which every version refuses after all that it asks of a change and
    /// before it touches its data, so that no serial grows. What it says tells whether that was all. Where a set of the
    /// type stands there it is that one: a server that takes it all the same has changed nothing.
    async fn takes(&self, zone: &str, set: &RecordSet) -> Seen<Result<(), String>> {
        let standing = self.sets_of(zone, &set.hostname).await.unwrap_or_default();
        let set = standing.iter().find(|stands| stands.kind == set.kind).unwrap_or(set);
        let mut twice = Rrset::change(set, &[]);
        twice.records.extend(Rrset::change(set, &[]).records);
        let body = serde_json::to_vec(&Patch { rrsets: vec![twice] }).expect("record sets have string keys only");
        let answer = match self.patch(zone, body).await {
            Ok(answer) => answer,
            Err(error) => return Seen::Unknown(told(&error)),
        };
        let doubled = |fault: &String| fault.to_ascii_lowercase().contains(DOUBLED);
        match answer.status {
            422 => {
                let other: Vec<String> = faults(&answer).into_iter().filter(|fault| !doubled(fault)).collect();
                Seen::Is(if other.is_empty() { Ok(()) } else { Err(told_as(answer.status, other)) })
            }
            status @ (401 | 403) => Seen::Is(Err(key_refused(status))),
            408 | 409 | 429 | 500.. => Seen::Unknown(words(&answer)),
            200..=299 => Seen::Unknown("the DNS server took a set with a record twice, which PowerDNS refuses".into()),
            _ => Seen::Is(Err(words(&answer))),
        }
    }

    async fn authorities(&self, zone: &str) -> Seen<Vec<SocketAddr>> {
        let resolvers = match &self.authoritative.which {
            Authorities::Listed(servers) => return Seen::Is(servers.clone()),
            Authorities::OfZone { resolvers } => resolvers,
        };
        let sets = match self.sets_of(zone, zone).await {
            Ok(sets) => sets,
            Err(unread) => return Seen::Unknown(unread.cause()),
        };
        let names: Vec<String> = sets.into_iter().filter(|set| set.kind == "NS").flat_map(|set| set.contents).collect();
        if names.is_empty() {
            return Seen::Unknown(format!("zone {zone} has no NS records"));
        }
        let found = join_all(names.iter().map(|name| self.addresses_of(zone, name.trim_end_matches('.'), resolvers)));
        authoritative::sockets(names.iter().zip(found.await))
    }

    async fn answer(&self, server: SocketAddr, hostname: &str) -> Seen<Answer> {
        self.authoritative.answer(server, hostname).await
    }

    async fn health(&self, url: &str, address: IpAddr) -> Seen<u16> {
        health_url::ask(&self.plain, &self.client.user_agent, url, address).await
    }
}

#[async_trait]
impl<P: ConnectionProvider> PublishRecords for PowerDns<P> {
    async fn publish(&self, zone: &str, _leads_to: &Region, sets: &[RecordSet]) -> Outcome {
        if sets.is_empty() {
            return Outcome::Done(());
        }
        let (disabled, is_refused) = join(self.disabled(zone, sets), self.authoritative.is_refused(sets)).await;
        let disabled = match disabled {
            Ok(disabled) => disabled,
            // No search, or no zone: the PATCH tells.
            Err(Unread::NotFound(_)) => Vec::new(),
            Err(Unread::Refused(cause)) => return Outcome::Refused(cause),
            // Nothing was written.
            Err(Unread::Failed(cause)) => return Outcome::NotApplied(cause),
        };
        let patch = Patch { rrsets: sets.iter().map(|set| Rrset::change(set, &disabled)).collect() };
        let body = serde_json::to_vec(&patch).expect("record sets have string keys only");
        let answer = match self.patch(zone, body).await {
            Ok(answer) => answer,
            Err(error) if error.may_have_acted() => return Outcome::Unknown(told(&error)),
            Err(error) => return Outcome::NotApplied(told(&error)),
        };
        match answer.status {
            200..=299 => {
                if is_refused {
                    self.heal_refusal(zone).await;
                }
                Outcome::Done(())
            }
            status @ (401 | 403) => Outcome::Refused(key_refused(status)),
            409 | 429 => Outcome::NotApplied(words(&answer)),
            408 | 500.. => Outcome::Unknown(words(&answer)),
            _ => Outcome::Refused(words(&answer)),
        }
    }
}

#[cfg(test)]
mod tests;
