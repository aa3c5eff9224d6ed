//! Takes part in the election: reads and writes the Lease as [`crate::election`] says, and tells who leads.
//!
//! The Lease keeps two processes of a region from working against each other; it fences nothing. What was sent may be
//! applied late, and a process that stands still may wake up between two instructions. For that there are the record and
//! its claims.

use crate::election::{Claim, DURATION, Election, Lease, Next};
use crate::health::{Part, Readiness};
use continuum_core::clock::{Clock, Monotonic, within};
use futures_util::future::{Either, select};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease as Object;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// The Lease.
pub(crate) const LEASE: &str = "continuum-controller.openova.io";
/// For one request; two of them fit into what a leader has left after a renewal is due.
const REQUEST_LIMIT: Duration = Duration::from_secs(3);
/// The most that is told of failures at once.
const TOLD_MAX: u32 = 5;

/// Later one of so many is told: about one a minute.
const TOLD_EVERY: u32 = 60;

/// A time of leading without a gap. Whoever acts asks it before each request.
#[derive(Clone)]
pub(crate) struct Term(Arc<Inner>);

struct Inner {
    clock: Arc<dyn Clock>,
    until: Mutex<Monotonic>,
    over: AtomicBool,
}

impl Term {
    pub fn new(clock: Arc<dyn Clock>, until: Monotonic) -> Self {
        Self(Arc::new(Inner { clock, until: Mutex::new(until), over: AtomicBool::new(false) }))
    }

    /// Whether one may act now.
    pub fn holds(&self) -> bool {
        let until = *self.0.until.lock().unwrap_or_else(PoisonError::into_inner);
        !self.0.over.load(Ordering::Acquire) && self.0.clock.now() < until
    }

    fn extend(&self, until: Monotonic) {
        *self.0.until.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    /// For ever: another time of leading is another term.
    fn end(&self) {
        self.0.over.store(true, Ordering::Release);
    }
}

/// What this process is among the replicas of its region.
#[derive(Clone)]
pub(crate) enum Standing {
    /// It drives; for as long as the term holds, where there is one. Without an election there is none.
    Leads(Option<Term>),
    /// It answers, and drives nothing.
    Waits,
}

/// The standing as it is now, for whoever begins and ends task groups.
#[derive(Clone)]
pub(crate) struct Leadership(Arc<Shared>);

struct Shared {
    standing: Mutex<Standing>,
    changed: Notify,
}

impl Leadership {
    pub fn new(standing: Standing) -> Self {
        Self(Arc::new(Shared { standing: Mutex::new(standing), changed: Notify::new() }))
    }

    pub fn now(&self) -> Standing {
        self.standing().clone()
    }

    /// Until it is another than when this was heard last. One listener.
    pub async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// Has everything begun anew as it stands: there is more to reach than before.
    pub fn again(&self) {
        self.0.changed.notify_one();
    }

    fn set(&self, standing: Standing) {
        *self.standing() = standing;
        self.0.changed.notify_one();
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.0.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A name that no other process has, which tells people which pod it is.
///
/// # Errors
///
/// The kernel tells none.
pub(crate) fn identity() -> io::Result<String> {
    Ok(format!("{}_{}", pod()?, read("/proc/sys/kernel/random/uuid")?))
}

/// The pod, as its host is named.
///
/// # Errors
///
/// The kernel tells none.
pub(crate) fn pod() -> io::Result<String> {
    read("/proc/sys/kernel/hostname")
}

fn read(path: &str) -> io::Result<String> {
    std::fs::read_to_string(path).map(|text| text.trim().to_owned())
}

/// Why the Lease could not be read or written.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("another wrote it")]
    Overtaken,
    #[error("no answer in {} s", REQUEST_LIMIT.as_secs())]
    Late,
    #[error("the API server refuses it: give this controller's account the verbs get, create and patch on it")]
    Forbidden,
    #[error("its namespace is missing: make it, or name another in LEADER_ELECT_NS")]
    NoNamespace,
    #[error("it has no resourceVersion")]
    NoVersion,
    #[error(transparent)]
    Kube(Box<kube::Error>),
}

/// Takes part in the election of a region.
pub(crate) struct Candidate {
    api: Api<Object>,
    /// For messages.
    place: String,
    me: String,
    clock: Arc<dyn Clock>,
    leadership: Leadership,
    readiness: Readiness,
    election: Election,
    term: Option<Term>,
    failures: u32,
}

impl Candidate {
    pub fn new(
        client: kube::Client,
        namespace: &str,
        me: String,
        clock: Arc<dyn Clock>,
        leadership: Leadership,
        readiness: Readiness,
    ) -> Self {
        let api = Api::namespaced(client, namespace);
        let place = format!("{namespace}/{LEASE}");
        let election = Election::new(me.clone());
        Self { api, place, me, clock, leadership, readiness, election, term: None, failures: 0 }
    }

    /// Takes part until `stop`, and gives the Lease back then: nothing drives any more by that time.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        loop {
            self.tell();
            match self.election.next(self.clock.now()) {
                Next::Wait(pause) => {
                    // A term that ends meanwhile is told of.
                    let left = self.term.as_ref().and(self.election.leads_until());
                    let left = left.map(|until| until.since(self.clock.now()));
                    let pause = self.clock.sleep(left.map_or(pause, |left| pause.min(left)));
                    if let Either::Left(_) = select(stop.as_mut(), pause).await {
                        break;
                    }
                }
                // To their ends: what became of a write that was dropped nobody knows, nor which version to give back.
                Next::Read => self.read().await,
                Next::Write(claim) => self.write(&claim).await,
            }
        }
        if let Some(term) = self.term.take() {
            term.end();
        }
        self.release().await;
    }

    async fn read(&mut self) {
        let answer = within(&*self.clock, REQUEST_LIMIT, self.api.get_opt(LEASE)).await;
        let now = self.clock.now();
        let lease = match answer {
            None => Err(Failed::Late),
            Some(Err(error)) => Err(failed(error)),
            Some(Ok(object)) => object.as_ref().map(lease).transpose(),
        };
        match lease {
            Ok(lease) => {
                self.election.read(lease, now);
                self.well();
            }
            Err(why) => self.unwell(&why),
        }
    }

    async fn write(&mut self, claim: &Claim) {
        let body = claim_body(claim, Some(&self.me), self.clock.wall());
        let sent = self.clock.now();
        match self.send(claim, &body).await {
            Ok(lease) => {
                self.election.wrote(lease, sent, self.clock.now());
                self.well();
            }
            Err(why) => self.unwell(&why),
        }
    }

    async fn send(&self, claim: &Claim, body: &Value) -> Result<Lease, Failed> {
        let write = async {
            match &claim.over {
                Some(_) => self.api.patch(LEASE, &PatchParams::default(), &Patch::Merge(body)).await,
                None => {
                    let object = serde_json::from_value(body.clone()).map_err(kube::Error::SerdeError)?;
                    self.api.create(&PostParams::default(), &object).await
                }
            }
        };
        let object = within(&*self.clock, REQUEST_LIMIT, write).await.ok_or(Failed::Late)?.map_err(failed)?;
        lease(&object)
    }

    async fn release(&mut self) {
        let Some(claim) = self.election.release() else { return };
        let body = claim_body(&claim, None, self.clock.wall());
        match self.send(&claim, &body).await {
            Ok(_) => tracing::info!(lease = self.place, "gave the lead back"),
            Err(why) => tracing::warn!(cause = crate::chain(&why), lease = self.place, "the lead was not given back"),
        }
    }

    /// Tells whether this process leads now.
    fn tell(&mut self) {
        let now = self.clock.now();
        match (self.election.leads_until().filter(|until| *until > now), &self.term) {
            (Some(until), Some(term)) if term.holds() => term.extend(until),
            // What came to a term that was over waits for ever: another begins.
            (Some(until), former) => {
                match former {
                    Some(former) => former.end(),
                    None => tracing::info!(
                        lease = self.place,
                        me = self.me,
                        "leads: the Continuums of this cluster are driven here"
                    ),
                }
                let term = Term::new(self.clock.clone(), until);
                self.term = Some(term.clone());
                self.leadership.set(Standing::Leads(Some(term)));
            }
            (None, Some(term)) => {
                let holder = self.election.holder().unwrap_or("nobody");
                tracing::warn!(lease = self.place, holder, "leads no more: nothing is driven here");
                term.end();
                self.term = None;
                self.leadership.set(Standing::Waits);
            }
            (None, None) => {}
        }
        if self.election.holder().is_some() {
            self.readiness.known(Part::Leader);
        }
    }

    fn well(&mut self) {
        if self.failures > TOLD_MAX {
            tracing::info!(lease = self.place, "the election goes on");
        }
        self.failures = 0;
    }

    fn unwell(&mut self, why: &Failed) {
        self.election.failed(self.clock.now());
        // Several that want it at once are no trouble.
        if matches!(why, Failed::Overtaken) {
            return;
        }
        self.failures += 1;
        let cause = crate::chain(why);
        if self.failures <= TOLD_MAX || self.failures.is_multiple_of(TOLD_EVERY) {
            tracing::warn!(%cause, failures = self.failures, lease = self.place, "the election's Lease is not to be had");
        }
        self.readiness.waits_for(Part::Leader, format!("the election's Lease {}: {cause}", self.place));
    }
}

fn failed(error: kube::Error) -> Failed {
    match &error {
        kube::Error::Api(status) if status.code == 409 => Failed::Overtaken,
        kube::Error::Api(status) if status.code == 403 => Failed::Forbidden,
        // Of a patch: deleted since it was read. Of a creation: there is nowhere to create it.
        kube::Error::Api(status) if status.code == 404 && is_of_namespace(status) => Failed::NoNamespace,
        kube::Error::Api(status) if status.code == 404 => Failed::Overtaken,
        _ => Failed::Kube(Box::new(error)),
    }
}

fn is_of_namespace(status: &kube::core::Status) -> bool {
    status.details.as_ref().is_some_and(|details| details.kind == "namespaces")
}

fn lease(object: &Object) -> Result<Lease, Failed> {
    let spec = object.spec.clone().unwrap_or_default();
    let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    Ok(Lease {
        version: object.metadata.resource_version.clone().ok_or(Failed::NoVersion)?,
        holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
        duration: seconds.map_or(DURATION, Duration::from_secs),
        transitions: spec.lease_transitions.and_then(|count| u32::try_from(count).ok()).unwrap_or_default(),
    })
}

/// The Lease with this holder: to create it, and as a merge patch over the version that the claim names. A `PUT` would
/// create one that was deleted meanwhile, whatever version it named.
fn claim_body(claim: &Claim, holder: Option<&str>, now: Timestamp) -> Value {
    let now = format!("{now:.6}");
    let mut body = json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": { "name": LEASE },
        "spec": {
            "holderIdentity": holder,
            "leaseDurationSeconds": DURATION.as_secs(),
            "leaseTransitions": claim.transitions,
            // For people.
            "renewTime": now,
        },
    });
    if let Some(version) = &claim.over {
        body["metadata"]["resourceVersion"] = json!(version);
    }
    if claim.takes {
        body["spec"]["acquireTime"] = json!(now);
    }
    body
}
