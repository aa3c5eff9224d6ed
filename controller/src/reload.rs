//! Clients whose kubeconfigs may change while the process runs. Everything else holds a client that hands each request to the
//! one that was made last.
//!
//! Files and secrets are read again on an interval, and soon after a server did not take the credentials; nothing is watched.
//! What is wrong keeps what was there before, and is told once.

use crate::clients::{NoClients, Place, Reached, files, secrets};
use crate::config::{Config, Mistakes, Witness};
use crate::metrics::Counts;
use crate::watching::Watching;
use continuum_core::clock::{Clock, within};
use continuum_core::name::Region;
use continuum_live::assemble::{KubeClients, Twice};
use continuum_live::kube_api::Access;
use continuum_live::kube_transport::{Limits, USER_AGENT, USER_AGENT_DRY_RUN};
use http::header::CONTENT_TYPE;
use http::{Method, Request, StatusCode};
use kube::Client;
use kube::client::Body;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tower::{BoxError, service_fn};

/// Between two looks at files and secrets.
const EVERY: Duration = Duration::from_secs(10);
/// No more often than this, whatever servers refuse.
const AT_MOST_EVERY: Duration = Duration::from_secs(5);

/// For the question whether another kubeconfig is answered.
const ASKED_FOR: Duration = Duration::from_secs(3);

/// As whom a server takes a request without credentials.
const ANONYMOUS: &str = "system:anonymous";
const UNKNOWN_USER: &str =
    "the server takes it for nobody it knows (system:anonymous): the kubeconfig has no credentials";

/// Why a kubeconfig that changed is not used.
#[derive(Debug, thiserror::Error)]
enum NotTaken {
    #[error(transparent)]
    NoClients(#[from] NoClients),
    #[error(
        "the new kubeconfig of {place} is not answered, and the one before is; mend its address or credentials: {cause}"
    )]
    Unanswered { place: Place, cause: String },
}

/// The clients of one API server.
struct Clients {
    reached: Reached,
    driving: Client,
    dry_run: Client,
    /// For the witness: what renews waits for no connection that others wait for.
    keeping: Client,
    watching: Client,
}

impl Clients {
    fn new(place: &Place, reached: Reached) -> Result<Self, NoClients> {
        Ok(Self {
            driving: reached.client(place, USER_AGENT, Limits::REQUESTS)?,
            dry_run: reached.client(place, USER_AGENT_DRY_RUN, Limits::REQUESTS)?,
            keeping: reached.client(place, USER_AGENT, Limits::REQUESTS)?,
            watching: reached.client(place, USER_AGENT, Limits::WATCHES)?,
            reached,
        })
    }
}

/// The clients of all API servers, as they are now.
pub(crate) struct Pool {
    own: Region,
    /// The region that holds the witness, where one does.
    witness: Option<Region>,
    clients: Mutex<BTreeMap<Place, Clients>>,
    /// A server did not take the credentials.
    refused: Notify,
    counts: Counts,
    clock: Arc<dyn Clock>,
}

impl Pool {
    /// Must be made within a tokio runtime.
    pub fn new(
        config: &Config,
        places: BTreeMap<Place, Reached>,
        counts: Counts,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, NoClients> {
        let mut clients = BTreeMap::new();
        for (place, reached) in places {
            let of_place = Clients::new(&place, reached)?;
            clients.insert(place, of_place);
        }
        Ok(Arc::new(Self {
            own: config.region.clone(),
            witness: config.witness.as_ref().and_then(Witness::region).cloned(),
            clients: Mutex::new(clients),
            refused: Notify::new(),
            counts,
            clock,
        }))
    }

    /// The other regions.
    pub fn others(&self) -> Vec<Region> {
        self.regions().into_iter().filter(|region| *region != self.own).collect()
    }

    /// Ways to every API server that is known now. Each call makes new ones, which wait for no turn of those before.
    pub fn all(self: &Arc<Self>) -> Twice<KubeClients> {
        Twice {
            driving: self.of(|clients| &clients.driving, |clients| &clients.keeping),
            dry_run: self.of(|clients| &clients.dry_run, |clients| &clients.dry_run),
        }
    }

    /// A client of the own cluster.
    pub fn own(self: &Arc<Self>) -> Client {
        self.handing(&Place::Region(self.own.clone()), |clients| &clients.driving)
    }

    /// A client for watches of the cluster of a region that is known.
    pub fn watching(self: &Arc<Self>, region: &Region) -> Client {
        self.handing(&Place::Region(region.clone()), |clients| &clients.watching)
    }

    /// Every region that is known now.
    pub fn regions(&self) -> Vec<Region> {
        let clients = self.clients();
        let regions = clients.keys().filter_map(|place| match place {
            Place::Region(region) => Some(region.clone()),
            Place::Witness => None,
        });
        regions.collect()
    }

    fn of(self: &Arc<Self>, of_regions: fn(&Clients) -> &Client, of_witness: fn(&Clients) -> &Client) -> KubeClients {
        let places: Vec<Place> = self.clients().keys().cloned().collect();
        let witness = self.witness.clone().map_or(Place::Witness, Place::Region);
        let mut all = KubeClients::default();
        for place in places {
            if place == witness {
                all.witness = Some(Access::new(self.handing(&place, of_witness)));
            }
            if let Place::Region(region) = &place {
                all.regions.insert(region.clone(), Access::new(self.handing(&place, of_regions)));
            }
        }
        all
    }

    /// Hands each request to the client that was made last.
    fn handing(self: &Arc<Self>, place: &Place, which: fn(&Clients) -> &Client) -> Client {
        let namespace = which(&self.clients()[place]).default_namespace().to_owned();
        let (pool, place) = (self.clone(), place.clone());
        let handing = service_fn(move |request: Request<Body>| {
            let (client, host) = {
                let clients = pool.clients();
                let clients = &clients[&place];
                (which(clients).clone(), clients.reached.host())
            };
            let mut asked = Asked::new(pool.clone(), host, &request);
            async move {
                let response = client.send(request).await?;
                asked.answered(response.status());
                Ok::<_, BoxError>(response)
            }
        });
        Client::new(handing, namespace)
    }

    /// Takes this over where it is another than before, and is answered. Whether it is taken.
    async fn take(&self, place: &Place, reached: Reached) -> Result<bool, NotTaken> {
        if self.clients().get(place).is_some_and(|clients| clients.reached == reached) {
            return Ok(false);
        }
        self.take_over(place, Clients::new(place, reached)?).await?;
        Ok(true)
    }

    async fn take_over(&self, place: &Place, clients: Clients) -> Result<(), NotTaken> {
        let before = self.clients().get(place).map(|clients| clients.dry_run.clone());
        if let Some(before) = before
            && let Err(cause) = self.answers(&clients.dry_run).await
            // Where neither is answered, the one that stands there is what a person means.
            && self.answers(&before).await.is_ok()
        {
            return Err(NotTaken::Unanswered { place: place.clone(), cause });
        }
        self.clients().insert(place.clone(), clients);
        Ok(())
    }

    /// Whether the server takes the credentials. It is asked who asks: what everybody may read, it answers to the
    /// anonymous too, whose kubeconfig has no credentials.
    async fn answers(&self, client: &Client) -> Result<(), String> {
        let review = br#"{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}"#;
        let request = Request::post("/apis/authentication.k8s.io/v1/selfsubjectreviews")
            .header(CONTENT_TYPE, "application/json")
            .body(review.to_vec())
            .map_err(|error| error.to_string())?;
        match within(&*self.clock, ASKED_FOR, client.request::<Value>(request)).await {
            None => Err(format!("no answer in {} s", ASKED_FOR.as_secs())),
            Some(Ok(review)) if review["status"]["userInfo"]["username"] == ANONYMOUS => Err(UNKNOWN_USER.into()),
            Some(Ok(_)) => Ok(()),
            Some(Err(kube::Error::Api(status))) => match status.code {
                403 if status.message.contains(ANONYMOUS) => Err(UNKNOWN_USER.into()),
                // It knows who asks; and a server before Kubernetes 1.28 has looked at the credentials before the path.
                403 | 404 => Ok(()),
                _ => Err(crate::chain(&kube::Error::Api(status))),
            },
            Some(Err(error)) => Err(crate::chain(&error)),
        }
    }

    fn clients(&self) -> MutexGuard<'_, BTreeMap<Place, Clients>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is under way. Whatever becomes of it, it is counted: who is not waited for any longer is dropped.
struct Asked {
    pool: Arc<Pool>,
    host: String,
    method: Method,
    /// Of the answer; absent: there was none.
    code: Option<StatusCode>,
}

impl Asked {
    fn new(pool: Arc<Pool>, host: String, request: &Request<Body>) -> Self {
        Self { pool, host, method: request.method().clone(), code: None }
    }

    fn answered(&mut self, code: StatusCode) {
        self.code = Some(code);
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let code = self.code;
        self.pool.counts.requested(code.map(|code| code.as_u16()), &self.host, self.method.as_str());
        if code == Some(StatusCode::UNAUTHORIZED) {
            self.pool.refused.notify_one();
        }
    }
}

/// Reads files and secrets again, for ever. `grown` is called where there is a region that was not there before.
pub(crate) async fn keep(config: &Config, pool: &Arc<Pool>, watching: &Watching, mut grown: impl FnMut()) {
    let clock = &*pool.clock;
    let mut told = BTreeSet::new();
    loop {
        clock.sleep(AT_MOST_EVERY).await;
        within(clock, EVERY.saturating_sub(AT_MOST_EVERY), pool.refused.notified()).await;
        let read = read(config, pool).await;
        let mut wrong: BTreeSet<String> = read.wrong;
        for (place, reached) in read.places {
            let is_new = !pool.clients().contains_key(&place);
            match pool.take(&place, reached).await {
                Ok(true) => {
                    tracing::info!(%place, "its kubeconfig is another one now, and is used");
                    if let Place::Region(region) = &place {
                        watching.replaced(region);
                    }
                    if is_new {
                        grown();
                    }
                }
                Ok(false) => {}
                Err(error) => drop(wrong.insert(crate::chain(&error))),
            }
        }
        for cause in wrong.difference(&told) {
            tracing::warn!(%cause, "what was read before is used until this is mended");
        }
        if wrong.is_empty() && !told.is_empty() {
            tracing::info!("every kubeconfig is good again");
        }
        told = wrong;
    }
}

struct Read {
    places: BTreeMap<Place, Reached>,
    wrong: BTreeSet<String>,
}

async fn read(config: &Config, pool: &Arc<Pool>) -> Read {
    let (mut mistakes, mut no_clients) = (Mistakes::default(), Vec::new());
    let mut places = files(config, &mut mistakes).await;
    places.extend(secrets(config, &pool.own(), &mut no_clients).await);
    let mut wrong: BTreeSet<String> = mistakes.0.iter().map(|mistake| crate::chain(mistake)).collect();
    wrong.extend(no_clients.iter().map(|error| crate::chain(error)));
    if wrong.is_empty() {
        let known: Vec<Place> = pool.clients().keys().cloned().collect();
        let gone = known.into_iter().filter(|place| !places.contains_key(place));
        wrong.extend(gone.map(|place| {
            format!("the kubeconfig of {place} is gone: put it back, or start the process anew where that is meant")
        }));
    }
    Read { places, wrong }
}

#[cfg(test)]
mod tests;
