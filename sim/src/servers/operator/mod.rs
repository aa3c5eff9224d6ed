//! CloudNativePG of one region: operator, instance manager and kubelet, between the region's API server and its
//! PostgreSQL. Held to recorded traces of the real one (1.30.0) by `tests/operator_traces.rs`: the same observable
//! states in the same order, and times of the same size.
//!
//! ```text
//!  Cluster object <--- operator: demotion, token, restart, phases, conditions (reconcile, configuration)
//!   (Store)       <--- kubelet: readiness, and what the instances report (kubelet)
//!                 <--> instance manager: fence, standby files, promotion, restart (manager) ---> Instance
//! ```
//!
//! Each part looks at levels (object, instance, and what an instance manager remembers), so that it goes on after its
//! host was down. The parts run side by side, which gives the interleavings that the real one shows.
//!
//! Modelled: one instance a half (`instances` only counts), streaming only. Deliberately absent: failover inside a
//! region, backups, rolling updates, and the operator's own write conflicts.

mod admission;
mod configuration;
mod kubelet;
mod manager;
mod object;
mod reconcile;
mod token;
mod view;

pub use admission::admission;
pub use object::{ClusterOptions, cluster_object};
pub use token::Token;

use crate::here;
use crate::servers::kube_api::{CLUSTERS, Refusal, Store};
use crate::servers::postgres::{Instance, Snapshot, State};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use continuum_core::name::ObjectName;
use futures_util::future::{join4, select};
use jiff::Timestamp;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Notify;
use view::View;

/// Where an operator can be stuck.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stuck {
    /// A demotion begins and never ends: `inProgress` stays, no token comes.
    AtDemotion,
    /// A promotion begins and never comes true.
    AtPromotion,
}

/// Faults.
#[derive(Clone, Debug)]
pub struct Knobs {
    /// Everything that the operator and the instance manager do takes this many percent of its time.
    pub slow_percent: u32,
    /// A demotion takes this much longer.
    pub demotion_extra: Duration,
    /// A promotion takes this much longer.
    pub promotion_extra: Duration,
    /// Where it is stuck.
    pub stuck: BTreeSet<Stuck>,
    /// The next demotion ends without its token.
    pub drop_token: bool,
    /// How often a promoted half is Ready and healthy for a moment before its restart is ordered (seen in one
    /// recording of four).
    pub early_ready_percent: u32,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            slow_percent: 100,
            demotion_extra: Duration::ZERO,
            promotion_extra: Duration::ZERO,
            stuck: BTreeSet::new(),
            drop_token: false,
            early_ready_percent: 25,
        }
    }
}

/// A promotion that the instance manager has begun to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Promotion {
    token: Option<String>,
    next_look: Duration,
    /// When the Lease of the Cluster, which an instance takes before it is primary, is free.
    lease_free: Duration,
    /// The Lease was not free at first.
    waits_for_lease: bool,
    /// The token was found wrong.
    refused: bool,
}

/// A restart in place that the operator ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Restart {
    ordered: Duration,
    done: Option<Duration>,
}

/// What operator and instance manager remember beside object and files.
struct Memory {
    rng: ChaCha8Rng,
    knobs: Knobs,
    version: u64,
    /// The instance manager answers. It ends with a PostgreSQL that ends by itself, and its container starts again.
    manager_up: bool,
    /// The instance manager started PostgreSQL and did not stop it.
    expects_running: bool,
    promotion: Option<Promotion>,
    restart: Option<Restart>,
    restarted_at: Option<Duration>,
    demoted_at: Option<Duration>,
    /// `pg_controldata` said shut down: the token was made, or dropped.
    token_made: bool,
    next_demotion_look: Duration,
    report_due: Option<Duration>,
    /// The manager changed the half's role in its files before it started PostgreSQL.
    report_after_start: bool,
    pod_ready: bool,
}

struct Shared {
    object: ObjectName,
    store: Store,
    instance: Instance,
    memory: Mutex<Memory>,
    woken: Notify,
}

/// The operator of one region with one Cluster. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Operator(Arc<Shared>);

impl Operator {
    /// An operator for the Cluster `object` of `store`, which runs on `instance`.
    pub fn new(object: ObjectName, store: Store, instance: Instance, rng: ChaCha8Rng) -> Self {
        let memory = Memory {
            rng,
            knobs: Knobs::default(),
            version: 0,
            manager_up: true,
            expects_running: false,
            promotion: None,
            restart: None,
            restarted_at: None,
            demoted_at: None,
            token_made: false,
            next_demotion_look: Duration::ZERO,
            report_due: None,
            report_after_start: false,
            pod_ready: true,
        };
        Self(Arc::new(Shared { object, store, instance, memory: Mutex::new(memory), woken: Notify::new() }))
    }

    /// Puts a Cluster with its status into a store, and the webhook before it.
    pub fn install(store: &Store, cluster: &Value) -> Result<(), Refusal> {
        store.add_admission(&CLUSTERS, admission());
        let created = store.create(&CLUSTERS, cluster.clone(), "setup")?;
        let (namespace, name) = (text(&created["metadata"]["namespace"]), text(&created["metadata"]["name"]));
        let status = json!({"status": cluster["status"]});
        store.merge_patch(&CLUSTERS, &namespace, &name, "status", &status, "setup").map(|_| ())
    }

    /// Sets faults.
    pub fn set_knobs(&self, knobs: Knobs) {
        self.change(|memory| memory.knobs = knobs);
    }

    /// Changes some of them.
    pub fn adjust(&self, f: impl FnOnce(&mut Knobs)) {
        self.change(|memory| f(&mut memory.knobs));
    }

    /// The software of the region's operator host. Ends with it.
    pub async fn run(self) {
        let shared = &*self.0;
        join4(shared.reconcile(), shared.manage(), shared.watch_readiness(), shared.announce_configuration()).await;
    }

    fn change<T>(&self, f: impl FnOnce(&mut Memory) -> T) -> T {
        self.0.change(f)
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

impl Shared {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().expect("nothing panics while it holds an operator's memory")
    }

    fn change<T>(&self, f: impl FnOnce(&mut Memory) -> T) -> T {
        let value = {
            let mut memory = self.memory();
            memory.version += 1;
            f(&mut memory)
        };
        self.woken.notify_waiters();
        value
    }

    fn now(&self) -> Duration {
        here::now().unwrap_or_default()
    }

    /// The Cluster, where it exists.
    fn view(&self) -> Option<View> {
        let cluster = self.store.get(&CLUSTERS, &self.object.namespace, &self.object.name)?;
        Some(View::of(&cluster))
    }

    /// Whether an instance says that it is primary: from its files, so also while it is fenced.
    fn reports_primary(&self, instance: &Snapshot) -> bool {
        instance.alive && self.memory().manager_up && !instance.standby_signal
    }

    /// A duration of the model's own, slowed down where a fault says so.
    fn pick(&self, ms: RangeInclusive<u64>) -> Duration {
        let mut memory = self.memory();
        let picked = Duration::from_millis(memory.rng.random_range(ms));
        picked * memory.knobs.slow_percent / 100
    }

    /// Takes longer, where a fault says so.
    async fn dawdle(&self, extra: impl Fn(&Knobs) -> Duration) {
        let extra = extra(&self.memory().knobs);
        if !extra.is_zero() {
            tokio::time::sleep(extra).await;
        }
    }

    async fn pause(&self, ms: RangeInclusive<u64>) {
        tokio::time::sleep(self.pick(ms)).await;
    }

    fn chance(&self, percent: u32) -> bool {
        self.memory().rng.random_range(0..100) < percent
    }

    /// Where everything stands, to wait from.
    fn mark(&self) -> (u64, u64, u64) {
        (self.store.version(), self.instance.life(), self.memory().version)
    }

    /// Waits until something moved on from `mark`, at most until `due`.
    async fn moved_on(&self, mark: (u64, u64, u64), due: Option<Duration>) {
        let mut woken = pin!(self.woken.notified());
        woken.as_mut().enable();
        if self.memory().version > mark.2 {
            return;
        }
        let (object, process) = (pin!(self.store.changed_since(mark.0)), pin!(self.instance.changed_since(mark.1)));
        let time = async {
            match due {
                Some(due) => tokio::time::sleep(due.saturating_sub(self.now()).max(Duration::from_millis(1))).await,
                None => std::future::pending().await,
            }
        };
        select(select(select(object, process), woken), pin!(time)).await;
    }

    /// Patches metadata or spec. A refusal means that the Cluster is gone: nothing to do.
    fn patch(&self, subresource: &str, patch: &Value, by: &str) {
        let (namespace, name) = (&self.object.namespace, &self.object.name);
        if let Err(refusal) = self.store.merge_patch(&CLUSTERS, namespace, name, subresource, patch, by) {
            tracing::debug!(target: "continuum_sim::operator", %refusal, "patch refused");
        }
    }

    fn set_fence(&self, fenced: bool) {
        let value = if fenced { json!("[\"*\"]") } else { Value::Null };
        self.patch("", &json!({"metadata": {"annotations": {view::FENCE: value}}}), "operator");
    }

    /// Patches the status, and conditions in it: (type, status and reason and message, or `None` to remove it).
    fn set_status(&self, mut status: Value, conditions: &[(&str, Option<Condition>)], by: &str) {
        if !conditions.is_empty()
            && let Some(cluster) = self.store.get(&CLUSTERS, &self.object.namespace, &self.object.name)
        {
            let mut present = cluster["status"]["conditions"].as_array().cloned().unwrap_or_default();
            for (kind, value) in conditions {
                let at = present.iter().position(|condition| condition["type"] == *kind);
                let new = value.as_ref().map(|value| value.to_json(kind));
                match (at, new) {
                    (Some(at), Some(new)) => present[at] = new,
                    (Some(at), None) => drop(present.remove(at)),
                    (None, Some(new)) => present.push(new),
                    (None, None) => {}
                }
            }
            status["conditions"] = Value::Array(present);
        }
        self.patch("status", &json!({"status": status}), by);
    }

    /// Sets phase and reason, and Ready with them where it is given.
    fn set_phase(&self, phase: &str, reason: Option<&str>, ready: Option<bool>, by: &str) {
        let ready = ready.map(|ready| ("Ready", Some(Condition::ready(ready))));
        self.set_status(json!({"phase": phase, "phaseReason": reason}), ready.as_slice(), by);
    }

    /// What the instances report is read again this much later.
    fn report_in(&self, ms: RangeInclusive<u64>) {
        let due = self.now() + self.pick(ms);
        self.change(|memory| memory.report_due = Some(memory.report_due.map_or(due, |old| old.min(due))));
    }

    async fn instance_is(&self, state: State) {
        self.instance.watch(|instance| (instance.state == state || !instance.alive).then_some(())).await;
    }
}

/// A condition's content.
#[derive(Clone, Copy)]
struct Condition {
    status: bool,
    reason: &'static str,
    message: &'static str,
}

impl Condition {
    const fn new(status: bool, reason: &'static str, message: &'static str) -> Self {
        Self { status, reason, message }
    }

    fn ready(ready: bool) -> Self {
        if ready {
            Self::new(true, "ClusterIsReady", "Cluster is Ready")
        } else {
            Self::new(false, "ClusterIsNotReady", "Cluster Is Not Ready")
        }
    }

    fn to_json(self, kind: &str) -> Value {
        let since_epoch = crate::determinism::EPOCH + here::now().unwrap_or_default();
        let at = Timestamp::from_second(since_epoch.as_secs().cast_signed()).unwrap_or_default();
        json!({
            "type": kind,
            "status": if self.status { "True" } else { "False" },
            "reason": self.reason,
            "message": self.message,
            "lastTransitionTime": at.to_string(),
        })
    }
}

/// A role's secret, as the operator makes it.
fn secret(namespace: &str, name: &str, password: &str) -> Value {
    let encode = |text: &str| STANDARD.encode(text);
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "type": "kubernetes.io/basic-auth",
        "data": {"username": encode("app"), "password": encode(password)},
    })
}

fn secret_password(secret: &Value) -> Option<String> {
    String::from_utf8(STANDARD.decode(secret["data"]["password"].as_str()?).ok()?).ok()
}
