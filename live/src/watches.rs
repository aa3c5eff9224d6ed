//! What one API server has of Clusters, routes and Continuums, as watches tell: one watch for each kind, whatever the number
//! of Continuums. It is what idle controllers look at.
//!
//! A kind is known while its watch is whole: from the first error on it is not, until everything was listed anew: nothing in
//! a watch that goes on after an error says what went meanwhile. A watch lasts 20 s, so that one that a network has silently
//! dropped is noticed soon after that; a server may say nothing for a minute otherwise.

mod cache;
mod kept;
mod reach;
#[cfg(test)]
mod tests;

pub use cache::{KubeCache, Watches};
pub use reach::reach;

use crate::causes;
use crate::kube_api::{CLUSTERS, CONTINUUMS, Kind, ROUTES, Watched};
use crate::pair::{PAIR_LABEL, cluster_view};
use crate::route::route_view;
use continuum_core::clock::{Clock, within};
use continuum_core::name::{ObjectName, Region};
use continuum_core::observe::{ClusterView, RouteView, Seen, Stored};
use futures_util::StreamExt;
use futures_util::future::{Either, join3, select};
use kept::{Kept, Told};
use kube::api::ApiResource;
use kube::client::Body;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use serde_json::Value;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tower::{BoxError, service_fn};

/// How long the server lets a watch last, s. Then it is begun again where it ended.
const LASTS_SECONDS: u32 = 20;
/// So long an answer may take to begin: of a list, a page of it, or a watch.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// So long the next thing that a list has may take to arrive, and so long what was told before counts while all is listed
/// anew.
const LIST_LIMIT: Duration = Duration::from_secs(20);
/// One that was begun so long ago was well: the next failure is the first.
const WELL_AFTER: Duration = Duration::from_secs(LASTS_SECONDS as u64);
/// Everything is listed anew after this, whatever was told. A server that was restored from a backup tells nothing to a watch
/// that goes on from a version which that server has not reached.
const LISTED_EVERY: Duration = Duration::from_secs(300);
/// So many objects are asked for at once: Clusters and routes are large, and the way may be long.
const PAGE: u32 = 100;
/// Between the beginnings of two watches: one that a proxy ends at once is no reason to ask it without a pause.
const APART: Duration = Duration::from_secs(1);
/// Between two tries, at first and at last.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// The longest after a doubt.
const DOUBT_PAUSE_MAX: Duration = Duration::from_secs(5);
/// A server that answered so long ago a request which was sent later than the one without an answer is alive: it is slow, or a
/// hook of one kind hangs. Were it doubted for that, everybody would ask it at once, which makes it no faster.
const ALIVE_FOR: Duration = Duration::from_secs(1);

/// A Cluster with the label of a pair.
#[derive(Clone, PartialEq)]
struct LabelledCluster {
    /// The pair that it names.
    pair: String,
    view: Result<ClusterView, String>,
    /// Of one's own region: see [`reach()`].
    reach: Option<Stored>,
}

impl LabelledCluster {
    fn new(cluster: &Value) -> Self {
        Self { pair: pair_of(cluster), view: cluster_view(cluster), reach: None }
    }

    fn of_ones_own(cluster: &Value) -> Self {
        Self { reach: Some(reach(cluster)), ..Self::new(cluster) }
    }
}

/// The watches of one API server.
pub struct ServerWatches {
    region: Region,
    clusters: Kept<LabelledCluster>,
    routes: Kept<Result<RouteView, String>>,
    continuums: Kept<Stored>,
    /// Of the requests that were answered, when the one that was sent last was sent, and when it was answered.
    answered: Mutex<Option<(Instant, Instant)>>,
}

/// A Continuum that is another than before; without an object: it is gone.
pub type Changed = (ObjectName, Option<Stored>);

impl ServerWatches {
    /// Of the API server of `region`. With `own`, that of one's own region: what changes of its Continuums is kept
    /// for [`Self::changes`], and how PostgreSQL of its Clusters is reached for [`Self::reach_of`] and
    /// [`Self::reach_of_half`].
    pub fn new(region: Region, own: bool) -> Self {
        let labelled: fn(Value) -> LabelledCluster = match own {
            true => |object| LabelledCluster::of_ones_own(&object),
            false => |object| LabelledCluster::new(&object),
        };
        Self {
            region,
            clusters: Kept::new(labelled, Some(|cluster| &cluster.pair), false),
            routes: Kept::new(|object| route_view(&object), None, false),
            continuums: Kept::new(without_writers, None, own),
            answered: Mutex::default(),
        }
    }

    /// Of which region's API server.
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// Watches through `client`, for ever.
    pub async fn run(&self, client: Client, clock: &dyn Clock) {
        let _ended = Ended(self);
        join3(
            self.follow(&client, &CLUSTERS, Some(PAIR_LABEL), &self.clusters, clock),
            self.follow(&client, &ROUTES, None, &self.routes, clock),
            self.follow(&client, &CONTINUUMS, None, &self.continuums, clock),
        )
        .await;
    }

    /// The client leads to another server from now on: nothing of what was told is of that one.
    pub fn begin_anew(&self) {
        let cause = || "its server is another now".to_owned();
        self.clusters.begin_anew(cause());
        self.routes.begin_anew(cause());
        self.continuums.begin_anew(cause());
    }

    /// How much was told so far of each kind: what [`Self::doubt`] wants to know of the moment when a request was sent.
    pub(crate) fn told_so_far(&self) -> [u64; 3] {
        [self.clusters.told(), self.routes.told(), self.continuums.told()]
    }

    fn told_of_continuum(&self, continuum: &ObjectName) -> Arc<Told> {
        self.continuums.told_of(continuum)
    }

    fn knows_continuums(&self) -> bool {
        self.continuums.is_known()
    }

    fn told_of_pair(&self, pair: &ObjectName) -> Arc<Told> {
        self.clusters.told_of(pair)
    }

    fn knows_clusters(&self) -> bool {
        self.clusters.is_known()
    }

    /// The request that was sent at this moment was answered.
    pub(crate) fn answered(&self, sent: Instant) {
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        if answered.is_none_or(|(last, _)| last <= sent) {
            *answered = Some((sent, Instant::now()));
        }
    }

    /// The request that was sent at this moment got no answer: a watch that told nothing since may be as dead. A machine that
    /// lost its power says nothing to those who only listen, and its tools write again seconds later.
    pub(crate) fn doubt(&self, told_then: [u64; 3], sent: Instant) {
        let answered = *self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        if answered.is_some_and(|(later, at)| later > sent && at.elapsed() <= ALIVE_FOR) {
            return;
        }
        let [clusters, routes, continuums] = told_then;
        self.clusters.doubt(clusters);
        self.routes.doubt(routes);
        self.continuums.doubt(continuums);
    }

    /// Each kind, by its plural, and why it is not known.
    pub fn unknown(&self) -> [(&'static str, Option<String>); 3] {
        [
            (CLUSTERS.plural, self.clusters.unknown()),
            (ROUTES.plural, self.routes.unknown()),
            (CONTINUUMS.plural, self.continuums.unknown()),
        ]
    }

    /// The Continuums that changed since this was asked last.
    ///
    /// # Errors
    ///
    /// Why it is not known what there is.
    pub fn changes(&self) -> Result<Vec<Changed>, String> {
        self.continuums.changes()
    }

    /// Until the Continuums may have changed, or are known or unknown as they were not before.
    pub async fn news(&self) {
        self.continuums.news().await;
    }

    fn cluster(&self, pair: &ObjectName) -> Option<Seen<ClusterView>> {
        let found = self.clusters.of_group(pair)?;
        let found = found.into_iter().map(|(name, cluster)| (name.name, cluster.view)).collect();
        Some(crate::pair::one_half(found, &pair.name))
    }

    /// What this Cluster says of how PostgreSQL is reached ([`reach()`]). Absent: its server is to be asked, since it
    /// is not known, or there is no such Cluster with the label of a pair.
    pub fn reach_of(&self, cluster: &ObjectName) -> Option<Stored> {
        self.clusters.get(cluster)??.reach
    }

    /// The same of the only Cluster with the label of this pair. Absent, too, where there is none or more than one:
    /// of what is wrong the server is to say.
    pub fn reach_of_half(&self, pair: &ObjectName) -> Option<Stored> {
        let mut found = self.clusters.of_group(pair)?.into_iter();
        let (_, only) = found.next()?;
        if found.next().is_some() {
            return None;
        }
        only.reach
    }

    fn route(&self, route: &ObjectName) -> Option<Seen<RouteView>> {
        let view = self.routes.get(route)?;
        Some(view.map_or(Seen::Missing, |view| view.map_or_else(Seen::Unknown, Seen::Is)))
    }

    fn continuum(&self, continuum: &ObjectName) -> Option<Option<Stored>> {
        self.continuums.get(continuum)
    }

    async fn follow<V: Clone + PartialEq>(
        &self,
        client: &Client,
        kind: &Kind,
        label: Option<&str>,
        kept: &Kept<V>,
        clock: &dyn Clock,
    ) {
        let api: Api<Watched> = Api::all_with(answering_in_time(client.clone()), &resource(kind));
        let mut config = watcher::Config::default().timeout(LASTS_SECONDS).page_size(PAGE);
        config.label_selector = label.map(str::to_owned);
        let mut failures: u32 = 0;
        let mut told_last = None;
        loop {
            let began = clock.now();
            let watched = pin!(self.watched(&api, &config, kind, kept, clock));
            let (doubted, anew) = (pin!(kept.is_doubted()), pin!(kept.is_to_begin_anew()));
            let (cause, pause_max) = match select(watched, select(doubted, anew)).await {
                Either::Left((None, _)) => {
                    failures = 0;
                    continue;
                }
                Either::Left((Some(cause), _)) => (cause, PAUSE.1),
                // Whether the server can be watched is what is tried next. Doubts may come one after the other, as while a hook
                // of one kind hangs: then neither lists of everything do, nor is the server asked by everybody for long.
                Either::Right((Either::Left(_), _)) => {
                    ("a request to its server got no answer".to_owned(), DOUBT_PAUSE_MAX)
                }
                Either::Right((Either::Right(_), _)) => {
                    kept.broke("its server is another now".to_owned());
                    continue;
                }
            };
            let was_well = clock.now().since(began) >= WELL_AFTER;
            failures = if was_well { 1 } else { failures.saturating_add(1) };
            // Once: where a platform gives no right to watch, it stays so.
            if was_well || told_last.as_ref() != Some(&cause) {
                self.say_unwatched(kind, &cause);
                told_last = Some(cause.clone());
            }
            kept.broke(cause);
            // Another server is asked at once.
            let _ =
                select(pin!(clock.sleep(pause_after(failures).min(pause_max))), pin!(kept.is_to_begin_anew())).await;
        }
    }

    fn say_unwatched(&self, kind: &Kind, cause: &str) {
        tracing::warn!(region = %self.region, kind = kind.plural, cause, "not watched; its server is asked instead");
    }

    /// Watches until something goes wrong, and why; nothing where it is time to list everything anew, until which what was
    /// told stands. What goes wrong within the watcher it would mend itself without a word, and what changed meanwhile would
    /// be missed: so it is thrown away.
    async fn watched<V: Clone + PartialEq>(
        &self,
        api: &Api<Watched>,
        config: &watcher::Config,
        kind: &Kind,
        kept: &Kept<V>,
        clock: &dyn Clock,
    ) -> Option<String> {
        let mut events = pin!(watcher(api.clone(), config.clone()));
        let began = clock.now();
        let mut whole_since = None;
        loop {
            let now = clock.now();
            let counts = whole_since.is_none() && kept.unknown().is_none();
            if counts && now.since(began) >= LIST_LIMIT {
                let cause = format!("a list of everything takes longer than {} s", LIST_LIMIT.as_secs());
                self.say_unwatched(kind, &cause);
                kept.broke(cause);
                continue;
            }
            let limit = match whole_since {
                Some(since) => LISTED_EVERY.saturating_sub(now.since(since)),
                None if counts => LIST_LIMIT.saturating_sub(now.since(began)),
                None => LIST_LIMIT,
            };
            let event = match within(clock, limit, events.next()).await {
                Some(event) => event,
                None if whole_since.is_some() => return None,
                None if counts => continue,
                None => return Some(format!("nothing more of a list came in {} s", LIST_LIMIT.as_secs())),
            };
            match event {
                Some(Ok(event)) => {
                    if matches!(event, Event::InitDone) {
                        whole_since = Some(clock.now());
                        if kept.unknown().is_some() {
                            tracing::info!(region = %self.region, kind = kind.plural, "watched");
                        }
                    }
                    kept.take(event);
                }
                Some(Err(error)) => return Some(told(kind, &error)),
                None => return Some("the watch ended".to_owned()),
            }
        }
    }
}

/// Nobody keeps up what was told, once this is dropped.
struct Ended<'a>(&'a ServerWatches);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        let cause = || "nobody watches it".to_owned();
        self.0.clusters.broke(cause());
        self.0.routes.broke(cause());
        self.0.continuums.broke(cause());
    }
}

/// What was refused or ended, and how to mend it.
fn told(kind: &Kind, error: &watcher::Error) -> String {
    let code = match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => Some(status.code),
        watcher::Error::WatchError(status) => Some(status.code),
        _ => None,
    };
    let (plural, group) = (kind.plural, kind.group);
    let cure = match code {
        Some(404) => format!(": {}", kind.is_it_installed()),
        Some(403) => format!(": give this controller's account the verbs list and watch on {plural}.{group}"),
        Some(401) => ": its credentials are not taken; renew them".to_owned(),
        _ => String::new(),
    };
    format!("{}{cure}", causes::chain(error))
}

fn pause_after(failures: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
    PAUSE.0.saturating_mul(doubled).min(PAUSE.1)
}

fn resource(kind: &Kind) -> ApiResource {
    ApiResource {
        group: kind.group.into(),
        version: kind.version.into(),
        api_version: format!("{}/{}", kind.group, kind.version),
        // It is in no request.
        kind: String::new(),
        plural: kind.plural.into(),
    }
}

/// A Continuum without who wrote which field of it, which nobody asks about and is larger than all the rest. Of Clusters and
/// routes it is asked, when they are read.
fn without_writers(mut continuum: Value) -> Stored {
    if let Some(metadata) = continuum["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    continuum.into()
}

fn pair_of(cluster: &Value) -> String {
    let label = &cluster["metadata"]["labels"][PAIR_LABEL];
    label.as_str().unwrap_or_default().to_owned()
}

/// A client whose every answer begins in time, or is an error, and which begins no two watches close together.
fn answering_in_time(client: Client) -> Client {
    let namespace = client.default_namespace().to_owned();
    let last: Arc<Mutex<Option<Instant>>> = Arc::default();
    let service = service_fn(move |request: http::Request<Body>| {
        let (client, last) = (client.clone(), last.clone());
        async move {
            if request.uri().query().is_some_and(|query| query.contains("watch=true")) {
                let before = last.lock().unwrap_or_else(PoisonError::into_inner).replace(Instant::now());
                if let Some(before) = before {
                    tokio::time::sleep_until(before + APART).await;
                }
            }
            match tokio::time::timeout(ANSWER_LIMIT, client.send(request)).await {
                Ok(answer) => Ok::<_, BoxError>(answer?),
                Err(_) => Err(format!("no answer in {} s", ANSWER_LIMIT.as_secs()).into()),
            }
        }
    });
    Client::new(service, namespace)
}
