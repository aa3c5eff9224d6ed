//! One client: where its writes go, and when.

use super::memory::{Missing, Road};
use super::resolve::Resolver;
use super::session::{Login, Session};
use super::{Outcome, Shared};
use crate::servers::gateway;
use crate::servers::kube_api::HTTP_ROUTES;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A held session says something this often: the server closes a silent one after 30 s.
const HELD_SESSION_PAUSE: Duration = Duration::from_secs(10);

/// Least time from one write of a client to its next, as a share of the mean.
const PAUSE_MIN: f64 = 0.5;
/// Greatest.
pub(super) const PAUSE_MAX: f64 = 1.5;

/// One write in so many goes over a session of its own: what a pool does not see is seen by who comes anew.
const NEW_SESSION_EVERY: u64 = 8;

/// Before the held session is tried to be opened again.
const OPEN_AGAIN: Duration = Duration::from_millis(500);

pub(super) struct Client {
    shared: Arc<Shared>,
    name: String,
    random: ChaCha8Rng,
    resolver: Resolver,
    /// Open sessions, by region.
    sessions: BTreeMap<String, Session>,
}

impl Client {
    pub(super) fn new(shared: Arc<Shared>, name: String, number: u32) -> Self {
        let options = &shared.options;
        let vantage = options.vantages.get((number - 1) as usize % options.vantages.len().max(1));
        let vantage = vantage.map_or("", String::as_str);
        let resolver = Resolver::new(shared.net.clone(), vantage, &options.hostname);
        let random = shared.seeds.generator(&name);
        Self { shared, name, random, resolver, sessions: BTreeMap::new() }
    }

    pub(super) async fn run(mut self) {
        let options = &self.shared.options;
        if options.writes_per_second == 0 {
            return;
        }
        let interval = Duration::from_secs(options.client_count.into()) / options.writes_per_second;
        let net = self.shared.net.clone();
        let mut number = self.shared.memory.next_number(&self.name);
        // The first writes of the clients are spread over one interval.
        let mut next = net.now() + interval.mul_f64(self.random.random_range(0.0..1.0));
        loop {
            tokio::time::sleep(next.saturating_sub(net.now())).await;
            if !self.shared.may_write().await {
                return;
            }
            let now = net.now();
            next = now + interval.mul_f64(self.random.random_range(PAUSE_MIN..PAUSE_MAX));
            let road = if number.is_multiple_of(NEW_SESSION_EVERY) { Road::NewSession } else { Road::Pooled };
            let place = self.shared.memory.begin(&self.name, number, road, now);
            let outcome = self.write(number, place, road).await;
            self.shared.memory.end(place, outcome, net.now());
            number += 1;
        }
    }

    async fn write(&mut self, number: u64, place: usize, road: Road) -> Outcome {
        let half = match self.half().await {
            Ok(half) => half,
            Err(cause) => return Outcome::NotSent(cause),
        };
        self.shared.memory.aim(place, &half);
        let pooled = match road {
            Road::Pooled => self.sessions.remove(&half).filter(|session| !session.is_closed()),
            Road::NewSession | Road::Straight => None,
        };
        let is_new = pooled.is_none();
        let session = match pooled {
            Some(session) => session,
            None => match Session::open(&self.shared.net, &half, &login(&self.shared, &self.name)).await {
                Ok(session) => session,
                Err(cause) => return Outcome::NotSent(cause),
            },
        };
        let before = self.shared.memory.last_acknowledged(&self.name);
        let outcome = session.insert(&self.name, number).await;
        if outcome == Outcome::Acknowledged {
            // One that writes over a session of its own beside an open one has seen this half before.
            let is_first = is_new && !self.sessions.contains_key(&half);
            if let Some(before) = before.filter(|_| is_first) {
                read_back(&self.shared, &session, &self.name, before, &half).await;
            }
            self.sessions.entry(half).or_insert(session);
        }
        outcome
    }

    /// The region whose half the next write goes to.
    async fn half(&mut self) -> Result<String, String> {
        let addresses = self.resolver.addresses(self.random.random_range(1..u16::MAX)).await?;
        let address = addresses[self.random.random_range(0..addresses.len())];
        let shared = self.shared.clone();
        let regions = &shared.options.regions;
        let Some((here, _)) = regions.iter().find(|(_, at)| *at == address) else {
            return Err(format!("no gateway at {address}"));
        };
        let (namespace, name) = &shared.options.route;
        let route = shared.stores.get(here).and_then(|store| store.get(&HTTP_ROUTES, namespace, name));
        // Without a route the gateway serves what stands beside it.
        let Some(route) = route else { return Ok(here.clone()) };
        let backend = gateway::lead(&route, &mut self.random)?;
        let region = regions.iter().find(|(region, _)| backend.ends_with(&format!("-{region}")));
        region.map(|(region, _)| region.clone()).ok_or_else(|| format!("no backend {backend}"))
    }
}

fn login<'a>(shared: &'a Shared, name: &'a str) -> Login<'a> {
    Login { user: &shared.options.user, password: &shared.options.password, name }
}

/// Looks whether a row is still there that was acknowledged before, in a half that has just acknowledged another.
async fn read_back(shared: &Shared, session: &Session, client: &str, number: u64, half: &str) {
    if session.has_row(client, number).await == Some(false) {
        let (client, half, at) = (client.to_owned(), half.to_owned(), shared.net.now());
        shared.memory.miss(Missing { client, number, half, at });
    }
}

/// Writes one row straight to the half of `region`, over a session of its own, and reads it back.
pub(super) async fn write_straight(shared: Arc<Shared>, region: String, name: String, number: u64, place: usize) {
    shared.memory.aim(place, &region);
    let outcome = match Session::open(&shared.net, &region, &login(&shared, &name)).await {
        Err(cause) => Outcome::NotSent(cause),
        Ok(session) => {
            let outcome = session.insert(&name, number).await;
            if outcome == Outcome::Acknowledged {
                read_back(&shared, &session, &name, number, &region).await;
            }
            outcome
        }
    };
    shared.memory.end(place, outcome, shared.net.now());
}

/// Opens a session to the half of `region` and keeps it until it is closed there, or the clients are stopped.
pub(super) async fn hold_session(shared: Arc<Shared>, region: String) {
    let name = format!("clients.{region}-held");
    let session = loop {
        match Session::open(&shared.net, &region, &login(&shared, &name)).await {
            Ok(session) => break session,
            Err(_) => tokio::time::sleep(OPEN_AGAIN).await,
        }
    };
    while *shared.mode() != super::Mode::Stop && session.live().await {
        tokio::time::sleep(HELD_SESSION_PAUSE).await;
    }
}
