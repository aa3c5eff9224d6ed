//! The application's records through a pool domain manager (PDM), which writes zones for others: `POST /v1/lua/commit`.
//!
//! It only takes records. It shows none, so what stands in the zone is known by what its servers answer, and there is no
//! way to try whether it would take a set. It puts the address type before each body, which is `A`: it has no other.

use crate::authoritative::{self, Authoritative, Authorities};
use crate::health_url;
use crate::http_client::{Connect, HttpAnswer, HttpClient, told};
use async_trait::async_trait;
use continuum_core::name::Region;
use continuum_core::observe::{Answer, Seen, ZoneView};
use continuum_core::ports::{ObserveRecords, Outcome, PublishRecords};
use continuum_core::record::RecordSet;
use continuum_core::records::LUA;
use futures_util::future::join_all;
use futures_util::lock::Mutex;
use hickory_resolver::ConnectionProvider;
use http::Method;
use serde::Serialize;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Where records are sent.
const COMMIT_PATH: &str = "/v1/lua/commit";

/// Carries the credential.
const TOKEN_HEADER: &str = "X-Catalyst-Token";

/// So much of an answer's body is told to people, characters.
const TOLD_LENGTH_MAX: usize = 200;

/// Where the API is, and what it is told.
#[derive(Clone)]
pub struct PdmApi {
    /// Opens streams to it: with TLS, where it speaks that.
    pub connect: Connect,
    /// Host of the API.
    pub host: String,
    /// Port of the API.
    pub port: u16,
    /// `X-Catalyst-Token`; absent: the API asks for none.
    pub token: Option<String>,
    /// `User-Agent`.
    pub user_agent: String,
}

/// A PDM. One value observes and publishes for a controller.
pub struct Pdm<P: ConnectionProvider> {
    token: Option<String>,
    client: HttpClient,
    /// To health URLs.
    plain: Connect,
    authoritative: Authoritative<P>,
    /// Held by the one change that is under way: PowerDNS behind it may fail both of two at once.
    turn: Arc<Mutex<()>>,
}

impl<P: ConnectionProvider> Pdm<P> {
    /// The PDM with this API. Health URLs are asked over streams of `plain`, DNS servers over the sockets of `provider`.
    pub fn new(api: PdmApi, plain: Connect, authorities: Authorities, provider: &P) -> Self {
        let PdmApi { connect, host, port, token, user_agent } = api;
        let client = HttpClient { connect, host, port, user_agent };
        let authoritative = Authoritative::new(authorities, provider.clone());
        Self { token, client, plain, authoritative, turn: Arc::default() }
    }

    /// The same PDM for another controller.
    pub fn beside(&self) -> Self {
        Self {
            token: self.token.clone(),
            client: self.client.clone(),
            plain: self.plain.clone(),
            authoritative: self.authoritative.beside(),
            turn: self.turn.clone(),
        }
    }

    /// What it says, without what it was told: a proxy before it may repeat that.
    fn words(&self, answer: &HttpAnswer) -> String {
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        let body = match &self.token {
            Some(token) => body.replace(token.as_str(), "(not shown)"),
            None => body,
        };
        let body: String = body.trim().chars().take(TOLD_LENGTH_MAX).collect();
        format!("PDM answered {}: {body}", answer.status)
    }
}

#[derive(Serialize)]
struct Commit<'a> {
    zone: &'a str,
    records: Vec<LuaRecord<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LuaRecord<'a> {
    hostname: &'a str,
    lua_body: &'a str,
    ttl: u32,
    primary_region: &'a str,
}

/// The sets as they are sent, by host name; or which of them cannot be.
fn records<'a>(sets: &'a [RecordSet], leads_to: &'a Region) -> Result<Vec<LuaRecord<'a>>, String> {
    let mut records = Vec::new();
    for set in sets {
        let body = match set.contents.as_slice() {
            [content] if set.kind == LUA => body_of(content),
            _ => None,
        };
        let Some(lua_body) = body else {
            return Err(format!(
                "PDM takes one LUA record of IPv4 addresses for each name; {} would have {} {}; publish it by \
                 POWERDNS_API_URL, or give its region IPv4 addresses alone",
                set.hostname,
                set.kind,
                set.contents.join(", ")
            ));
        };
        let (hostname, ttl, primary_region) = (set.hostname.as_str(), set.ttl_seconds, leads_to.as_str());
        records.push(LuaRecord { hostname, lua_body, ttl, primary_region });
    }
    records.sort_by_key(|record| record.hostname);
    Ok(records)
}

/// The expression within `A "..."`.
fn body_of(content: &str) -> Option<&str> {
    content.strip_prefix("A \"")?.strip_suffix('"')
}

#[async_trait]
impl<P: ConnectionProvider> ObserveRecords for Pdm<P> {
    fn shows_zone(&self) -> bool {
        false
    }

    async fn zone(&self, _zone: &str, _hostnames: &[String]) -> Seen<ZoneView> {
        Seen::Unknown("PDM shows no records".into())
    }

    /// There is no way to try it; that it can be reached is all that can be known.
    async fn takes(&self, _zone: &str, set: &RecordSet) -> Seen<Result<(), String>> {
        if let Err(why) = records(std::slice::from_ref(set), &Region::new("")) {
            return Seen::Is(Err(why));
        }
        match self.client.reach().await {
            Ok(()) => Seen::NotLooked,
            Err(error) => Seen::Unknown(told(&error)),
        }
    }

    async fn authorities(&self, zone: &str) -> Seen<Vec<SocketAddr>> {
        let resolvers = match &self.authoritative.which {
            Authorities::Listed(servers) => return Seen::Is(servers.clone()),
            Authorities::OfZone { resolvers } => resolvers,
        };
        let names = match self.authoritative.names(zone, resolvers).await {
            Ok(names) => names,
            Err(why) => return Seen::Unknown(format!("no NS records of zone {zone} are known: {why}")),
        };
        let why = || "there is no resolver to ask".to_owned();
        let found = join_all(names.iter().map(|name| self.authoritative.addresses(name, resolvers, why()))).await;
        authoritative::sockets(names.iter().zip(found))
    }

    async fn answer(&self, server: SocketAddr, hostname: &str) -> Seen<Answer> {
        self.authoritative.answer(server, hostname).await
    }

    async fn health(&self, url: &str, address: IpAddr) -> Seen<u16> {
        health_url::ask(&self.plain, &self.client.user_agent, url, address).await
    }
}

#[async_trait]
impl<P: ConnectionProvider> PublishRecords for Pdm<P> {
    async fn publish(&self, zone: &str, leads_to: &Region, sets: &[RecordSet]) -> Outcome {
        let records = match records(sets, leads_to) {
            Ok(records) if records.is_empty() => return Outcome::Done(()),
            Ok(records) => records,
            Err(why) => return Outcome::Refused(why),
        };
        let body = serde_json::to_vec(&Commit { zone, records }).expect("records have string keys only");
        let token = self.token.as_deref().map(|token| (TOKEN_HEADER, token));
        let headers: Vec<(&str, &str)> = [("Content-Type", "application/json")].into_iter().chain(token).collect();
        let _turn = self.turn.lock().await;
        let answer = match self.client.send(Method::POST, COMMIT_PATH, &headers, body).await {
            Ok(answer) => answer,
            Err(error) if error.may_have_acted() => return Outcome::Unknown(told(&error)),
            Err(error) => return Outcome::NotApplied(told(&error)),
        };
        let words = || self.words(&answer);
        match answer.status {
            200..=299 => Outcome::Done(()),
            status @ (401 | 403) => Outcome::Refused(format!(
                "PDM refused the credential (X-Catalyst-Token) with {status}; check PDM_AUTH_TOKEN"
            )),
            409 | 429 => Outcome::NotApplied(words()),
            408 | 500.. => Outcome::Unknown(words()),
            _ => Outcome::Refused(words()),
        }
    }
}

#[cfg(test)]
mod tests;
