//! CloudNativePG of one region, between the region's API server and its PostgreSQL. Held to recorded traces of the
//! real one (1.30.0) by `tests/operator_traces.rs`: the same observable states in the same order, and times of the
//! same size.
//!
//! ```text
//!  api.<region>  <--network-- operator.<region>: demotion, token, restart, pods, phases, conditions (reconcile, pods,
//!   (Cluster,    --asks---->    configuration, report) and the webhook that every write to a Cluster passes (webhook)
//!    Pod, Secret) <--network-- pg.<region>: kubelet (kubelet), instance manager (manager, promotion) ---> Instance
//! ```
//!
//! Each host has its own caches and connections. An operator that is dead or cut off leaves the instance manager at
//! work; a region without its API server leaves PostgreSQL at work, and a container that ends cannot come up.
//! Each part looks at levels (object, instance, and what an instance manager remembers), so that it goes on after its
//! host was down. The parts run side by side, which gives the interleavings that the real one shows.
//!
//! The database is an interface ([`Database`]), and so is the network: the same rules run over real servers.
//!
//! Simplified: what an instance reports of itself, which the real operator asks its pod for, it is told in process.
//! Modelled: one instance a half (`instances` only counts), streaming only. Deliberately absent: failover inside a
//! region, backups, rolling updates, the Lease of a Cluster.

mod admission;
mod api;
mod configuration;
mod database;
mod hand;
mod kubelet;
mod manager;
mod object;
mod pods;
mod promotion;
mod reconcile;
mod report;
mod simulated;
mod token;
mod view;
mod webhook;

pub use admission::admission;
pub use database::{Database, Status};
pub use object::{ClusterOptions, cluster_object, first_status};
pub use token::Token;
pub use view::limits_of;

use crate::fabric::{Net, Software};
use crate::servers::kube_api::{CLUSTERS, PODS, Refusal, SECRETS, Store};
use api::Api;
use continuum_core::name::ObjectName;
use futures_util::future::{join, join4, join5};
use hand::Hand;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Notify;

/// An operator that starts anew waits this long for the leader election's Lease, which its dead predecessor holds, ms.
const ELECTION_MS: RangeInclusive<u64> = 15_200..=16_300;
/// Its webhook answers this long after its start.
const WEBHOOK_START: Duration = Duration::from_millis(150);

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
    /// The pauses that are built into them, and the periods of their looks, last this many percent.
    pub pause_percent: u32,
    /// A demotion takes this much longer.
    pub demotion_extra: Duration,
    /// Between lifting a demotion's fence and calling it over this much more time passes.
    pub last_write_extra: Duration,
    /// A promotion takes this much longer.
    pub promotion_extra: Duration,
    /// Where it is stuck.
    pub stuck: BTreeSet<Stuck>,
    /// The next demotion ends without its token.
    pub drop_token: bool,
    /// How often a promoted half is Ready and healthy for a moment before its restart is ordered (seen in one
    /// recording of four).
    pub early_ready_percent: u32,
    /// The half cannot archive its WAL while it is primary.
    pub archiving_fails: bool,
    /// As an open change of the operator has it: `archive_mode` stays `always`, and no promotion wants a restart.
    pub archive_mode_stays: bool,
    /// Times are drawn from the spread of all recordings, those of a busy machine among them, and not from the usual
    /// ones of an idle one.
    pub times_recorded: bool,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            slow_percent: 100,
            pause_percent: 100,
            demotion_extra: Duration::ZERO,
            last_write_extra: Duration::ZERO,
            promotion_extra: Duration::ZERO,
            stuck: BTreeSet::new(),
            drop_token: false,
            early_ready_percent: 25,
            archiving_fails: false,
            archive_mode_stays: false,
            times_recorded: false,
        }
    }
}

/// A promotion that the instance manager has begun to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Promotion {
    token: Option<String>,
    next_look: Duration,
    /// The token was found wrong.
    refused: bool,
}

/// What operator and instance manager remember beside objects and files.
struct Memory {
    rng: ChaCha8Rng,
    knobs: Knobs,
    version: u64,
    /// An operator of this region ran before: the next one waits for its Lease.
    elected_before: bool,
    /// The pods of this region ran before: the next container has to be started.
    node_ran_before: bool,
    /// The instance manager answers. It ends with a PostgreSQL that ends by itself, and its container starts again.
    manager_up: bool,
    /// The instance manager started PostgreSQL and did not stop it.
    expects_running: bool,
    promotion: Option<Promotion>,
    restarted_at: Option<Duration>,
    /// The operator looks at `pg_controldata` again then.
    next_demotion_look: Duration,
    report_due: Option<Duration>,
    /// What the archiver last came to.
    archived: Option<bool>,
    /// The password that was set for the application's role, with the version of the secret it came from.
    secret_version: Option<String>,
}

/// What the hosts of one region share.
struct Common {
    object: ObjectName,
    /// Host of the region's API server.
    api_host: String,
    instance: Arc<dyn Database>,
    memory: Mutex<Memory>,
    woken: Notify,
    /// The operator's webhook answers.
    webhook_up: Arc<AtomicBool>,
}

/// CloudNativePG of one region with one Cluster. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Operator(Arc<Common>);

impl Operator {
    /// An operator for the Cluster `object` of the API server on `api_host`, which runs on `instance`.
    pub fn new(object: ObjectName, api_host: &str, instance: Arc<dyn Database>, rng: ChaCha8Rng) -> Self {
        let memory = Memory {
            rng,
            knobs: Knobs::default(),
            version: 0,
            elected_before: false,
            node_ran_before: false,
            manager_up: false,
            expects_running: false,
            promotion: None,
            restarted_at: None,
            next_demotion_look: Duration::ZERO,
            report_due: None,
            archived: None,
            secret_version: None,
        };
        let (memory, woken, webhook_up) = (Mutex::new(memory), Notify::new(), Arc::default());
        Self(Arc::new(Common { object, api_host: api_host.to_owned(), instance, memory, woken, webhook_up }))
    }

    /// Puts a Cluster with its status and its pod into a store, and the webhook of the operator on `operator_host`
    /// before it.
    pub fn install(&self, store: &Store, cluster: &Value, operator_host: &str) -> Result<(), Refusal> {
        let created = store.create(&CLUSTERS, cluster.clone(), "setup")?;
        let (namespace, name) = (text(&created["metadata"]["namespace"]), text(&created["metadata"]["name"]));
        let status = json!({"status": cluster["status"]});
        store.merge_patch(&CLUSTERS, &namespace, &name, "status", &status, "setup")?;
        let pod = pods::pod_object(&created);
        store.create(&PODS, pod.clone(), "setup")?;
        let (pod_name, status) = (text(&pod["metadata"]["name"]), json!({"status": pods::running(true)}));
        store.merge_patch(&PODS, &namespace, &pod_name, "status", &status, "setup")?;
        store.add_webhook(&CLUSTERS, webhook::webhook(operator_host, self.0.webhook_up.clone()));
        // Whoever writes in process does not come by the network's way.
        let (up, judge) = (self.0.webhook_up.clone(), admission());
        store.add_admission(
            &CLUSTERS,
            Arc::new(move |old, new| {
                if !up.load(Ordering::Relaxed) {
                    return Err(webhook::refused());
                }
                judge(old, new)
            }),
        );
        self.0.webhook_up.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Sets faults.
    pub fn set_knobs(&self, knobs: Knobs) {
        self.0.change(|memory| memory.knobs = knobs);
    }

    /// Changes some of them.
    pub fn adjust(&self, f: impl FnOnce(&mut Knobs)) {
        self.0.change(|memory| f(&mut memory.knobs));
    }

    fn hand(&self, net: &Net, agent: &'static str) -> Hand {
        let api = Api::new(net.clone(), &self.0.api_host, agent, &self.0.object.namespace);
        Hand::new(self.0.clone(), api)
    }

    /// The software of the region's operator host.
    pub fn software(&self, net: Net) -> Software {
        let operator = self.clone();
        Box::new(move || Box::pin(operator.clone().run(net.clone())))
    }

    /// The software of the node that the half's pod runs on: its PostgreSQL, its instance manager, the kubelet.
    pub fn node_software(&self, net: Net) -> Software {
        let operator = self.clone();
        Box::new(move || {
            let (operator, net) = (operator.clone(), net.clone());
            let instance = operator.0.instance.run(net.clone());
            Box::pin(async move {
                join(instance, operator.run_node(net)).await;
            })
        })
    }

    async fn run(self, net: Net) {
        let up = webhook::Up::new(self.0.webhook_up.clone());
        let hand = self.hand(&net, "cloudnative-pg/v1.30.0");
        let restarted = std::mem::replace(&mut self.0.memory().elected_before, true);
        let webhook = async {
            if restarted {
                tokio::time::sleep(WEBHOOK_START).await;
            }
            webhook::serve(&net, &up).await;
        };
        let controllers = async {
            if restarted {
                hand.pause(ELECTION_MS).await;
            }
            join5(
                hand.reconcile(),
                hand.care_for_pods(),
                hand.announce_configuration(),
                hand.write_reports(),
                hand.watch_secret(),
            )
            .await;
        };
        let caches = join(hand.api.follow(&CLUSTERS), join(hand.api.follow(&PODS), hand.api.follow(&SECRETS)));
        join(webhook, join(caches, controllers)).await;
    }

    async fn run_node(self, net: Net) {
        let hand = self.hand(&net, "instance-manager/v1.30.0");
        self.0.change(|memory| memory.manager_up = false);
        join4(hand.api.follow(&CLUSTERS), hand.api.follow(&PODS), hand.keep_pod(), hand.watch_readiness()).await;
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

impl Common {
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

    fn change_if(&self, f: impl FnOnce(&mut Memory) -> bool) {
        let changed = f(&mut self.memory());
        if changed {
            self.change(|_| ());
        }
    }

    fn pod_name(&self) -> String {
        format!("{}-1", self.object.name)
    }

    /// Whether an instance says that it is primary: from its files, so also while it is fenced.
    fn reports_primary(&self, instance: &Status) -> bool {
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

    /// Where times are drawn from all recordings: up to this much longer than usual, and mostly little.
    async fn as_recorded(&self, most_ms: u64) {
        let longer = {
            let mut memory = self.memory();
            if !memory.knobs.times_recorded {
                return;
            }
            let part: f64 = memory.rng.random();
            Duration::from_millis(most_ms).mul_f64(part * part)
        };
        tokio::time::sleep(longer).await;
    }

    async fn pause(&self, ms: RangeInclusive<u64>) {
        tokio::time::sleep(self.pick(ms)).await;
    }

    /// A pause that is built in.
    fn built_in(&self, pause: Duration) -> Duration {
        pause * self.memory().knobs.pause_percent / 100
    }

    fn chance(&self, percent: u32) -> bool {
        self.memory().rng.random_range(0..100) < percent
    }
}
