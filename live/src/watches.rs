//! What one API server has of Clusters, routes and Continuums, as watches tell: one watch for each kind, whatever the number
//! of Continuums. It is what idle controllers look at.
//!
//! A kind is known while its watch is whole: from the first error on it is not, until everything was listed anew: nothing in
//! a watch that goes on after an error says what went meanwhile. A watch lasts 20 s, so that one that a network has silently
//! dropped is noticed soon after that; a server may say nothing for a minute otherwise.

mod cache;
mod kept;

pub use cache::{KubeCache, Watches};

use crate::causes;
use crate::kube_api::{CLUSTERS, CONTINUUMS, Kind, ROUTES};
use crate::pair::{PAIR_LABEL, cluster_view};
use crate::resource::{CRD_NAME, GROUP};
use crate::route::route_view;
use continuum_core::clock::{Clock, within};
use continuum_core::name::{ObjectName, Region};
use continuum_core::observe::{ClusterView, RouteView, Seen};
use futures_util::StreamExt;
use futures_util::future::{Either, join3, select};
use kept::Kept;
use kube::api::{ApiResource, DynamicObject};
use kube::client::Body;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use serde_json::Value;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tower::{BoxError, service_fn};

/// How long the server lets a watch last, s. Then it is begun again where it ended.
const LASTS_SECONDS: u32 = 20;
/// So long an answer may take to begin: of a list, a page of it, or a watch.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// So long the next thing that a list has may take to arrive.
const LIST_LIMIT: Duration = Duration::from_secs(15);
/// A watch that was whole for so long was well: the next failure is the first.
const WELL_AFTER: Duration = Duration::from_secs(LASTS_SECONDS as u64);
/// Between two tries, at first and at last.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// The most that is told of failures in a row, one by one.
const TOLD_MAX: u32 = 5;

/// A Cluster, and the pair that its label names.
type LabelledCluster = (String, Result<ClusterView, String>);

/// The watches of one API server.
pub struct ServerWatches {
    region: Region,
    clusters: Kept<LabelledCluster>,
    routes: Kept<Result<RouteView, String>>,
    continuums: Kept<Arc<Value>>,
    /// Counts what was told, of all kinds.
    told: AtomicU64,
}

/// A Continuum that is another than before; without an object: it is gone.
pub type Changed = (ObjectName, Option<Arc<Value>>);

impl ServerWatches {
    /// Of the API server of `region`. With `tells`, what changes of its Continuums is kept for [`Self::changes`].
    pub fn new(region: Region, tells: bool) -> Self {
        Self {
            region,
            clusters: Kept::new(|object| (pair_of(&object), cluster_view(&object)), false),
            routes: Kept::new(|object| route_view(&object), false),
            continuums: Kept::new(Arc::new, tells),
            told: AtomicU64::new(0),
        }
    }

    /// Of which region's API server.
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// Watches through `client`, for ever.
    pub async fn run(&self, client: Client, clock: &dyn Clock) {
        let client = answering_in_time(client);
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

    /// How much was told so far: what [`Self::doubt`] wants to know of the moment when a request was sent.
    pub(crate) fn told_so_far(&self) -> u64 {
        self.told.load(Ordering::Relaxed)
    }

    /// A request to the server got no answer, and nothing was told since it was sent: the connections of the watches may be
    /// as dead. A machine that lost its power says nothing to those who only listen, and its tools write again seconds
    /// later.
    pub(crate) fn doubt(&self, told_then: u64) {
        if self.told_so_far() == told_then {
            let cause = "a request to its server got no answer";
            self.clusters.doubt(cause);
            self.routes.doubt(cause);
            self.continuums.doubt(cause);
        }
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
        let of_pair = |(label, _): &LabelledCluster| *label == pair.name;
        let found = self.clusters.of_namespace(&pair.namespace, of_pair)?;
        let found = found.into_iter().map(|(name, (_, view))| (name.name, view)).collect();
        Some(crate::pair::one_half(found, &pair.name))
    }

    fn route(&self, route: &ObjectName) -> Option<Seen<RouteView>> {
        let view = self.routes.get(route)?;
        Some(view.map_or(Seen::Missing, |view| view.map_or_else(Seen::Unknown, Seen::Is)))
    }

    fn continuum(&self, continuum: &ObjectName) -> Option<Option<Arc<Value>>> {
        self.continuums.get(continuum)
    }

    async fn follow<V: Clone>(
        &self,
        client: &Client,
        kind: &Kind,
        label: Option<&str>,
        kept: &Kept<V>,
        clock: &dyn Clock,
    ) {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource(kind));
        let mut config = watcher::Config::default().timeout(LASTS_SECONDS);
        config.label_selector = label.map(str::to_owned);
        let mut failures: u32 = 0;
        loop {
            let watched = pin!(self.watched(&api, &config, kind, kept, clock));
            let Broke { cause, was_well } = match select(watched, pin!(kept.is_to_begin_anew())).await {
                Either::Left((broke, _)) => broke,
                Either::Right(_) => {
                    let cause = kept.unknown();
                    tracing::info!(region = %self.region, kind = kind.plural, cause, "everything is listed anew");
                    continue;
                }
            };
            failures = if was_well { 1 } else { failures.saturating_add(1) };
            if failures <= TOLD_MAX || failures.is_multiple_of(TOLD_MAX) {
                let region = &self.region;
                tracing::warn!(%region, kind = kind.plural, cause, failures, "not watched; its server is asked instead");
            }
            kept.broke(cause);
            // Another server is asked at once.
            let _ = select(pin!(clock.sleep(pause_after(failures))), pin!(kept.is_to_begin_anew())).await;
        }
    }

    /// Watches until something goes wrong. What goes wrong within the watcher it would mend itself without a word, and what
    /// changed meanwhile would be missed: so it is thrown away.
    async fn watched<V: Clone>(
        &self,
        api: &Api<DynamicObject>,
        config: &watcher::Config,
        kind: &Kind,
        kept: &Kept<V>,
        clock: &dyn Clock,
    ) -> Broke {
        let mut events = pin!(watcher(api.clone(), config.clone()));
        let mut whole_since = None;
        let cause = loop {
            let event = match whole_since {
                Some(_) => events.next().await,
                None => match within(clock, LIST_LIMIT, events.next()).await {
                    Some(event) => event,
                    None => break format!("nothing more of a list came in {} s", LIST_LIMIT.as_secs()),
                },
            };
            match event {
                Some(Ok(event)) => {
                    if matches!(event, Event::InitDone) {
                        whole_since = Some(clock.now());
                        tracing::info!(region = %self.region, kind = kind.plural, "watched");
                    }
                    kept.take(event);
                    self.told.fetch_add(1, Ordering::Relaxed);
                }
                Some(Err(error)) => break told(kind, &error),
                None => break "the watch ended".to_owned(),
            }
        };
        let was_well = whole_since.is_some_and(|since| clock.now().since(since) >= WELL_AFTER);
        Broke { cause, was_well }
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

/// Why a watch ended.
struct Broke {
    cause: String,
    /// It was whole for a while.
    was_well: bool,
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
        Some(404) if group == GROUP => {
            format!(": is {CRD_NAME} installed? `continuum-controller --print-crd` gives it")
        }
        Some(404) => format!(": is {plural}.{group} installed?"),
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

fn pair_of(cluster: &Value) -> String {
    let label = &cluster["metadata"]["labels"][PAIR_LABEL];
    label.as_str().unwrap_or_default().to_owned()
}

/// A client whose every answer begins in time, or is an error.
fn answering_in_time(client: Client) -> Client {
    let namespace = client.default_namespace().to_owned();
    let service = service_fn(move |request: http::Request<Body>| {
        let client = client.clone();
        async move {
            match tokio::time::timeout(ANSWER_LIMIT, client.send(request)).await {
                Ok(answer) => Ok::<_, BoxError>(answer?),
                Err(_) => Err(format!("no answer in {} s", ANSWER_LIMIT.as_secs()).into()),
            }
        }
    });
    Client::new(service, namespace)
}
