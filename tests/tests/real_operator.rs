//! The stand-in for the operator on real servers: what people do by hand to move a pair's role works with it as with the
//! real one, and what it says on the way is what the recordings of the real one show.

use continuum_core::token::decode_token;
use continuum_tests::real_kube::{RealKube, Who};
use continuum_tests::real_postgres::{RealPostgres, SUPERUSER};
use continuum_tests::stand_in::StandIn;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};

const HALVES: [&str; 2] = ["shop-fsn", "shop-hel"];
/// For whatever is waited for.
const LIMIT: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_role_moves_there_and_back_by_hand_under_writes() {
    let Some(kube) = RealKube::start().await.expect("a real kube-apiserver") else { return };
    let Some(postgres) = RealPostgres::start().map(Arc::new) else { return };
    let namespace = kube.namespace("operator").await.expect("a namespace");
    let client = kube.client(Who::Admin).await.expect("a client");
    let kind = GroupVersionKind::gvk("postgresql.cnpg.io", "v1", "Cluster");
    let kind = ApiResource::from_gvk_with_plural(&kind, "clusters");
    let pair = Pair { clusters: Api::namespaced_with(client, &namespace, &kind), postgres: postgres.clone() };
    let mut operators = Vec::new();
    for (server, name) in HALVES.into_iter().enumerate() {
        pair.create(name, HALVES[1 - server]).await;
        operators.push(StandIn::start(kube, &postgres, server, &namespace, name).await.expect("a stand-in"));
    }
    for name in HALVES {
        pair.until(name, "it is ready", is_healthy).await;
    }
    let writer = Writer::start(&postgres);
    for from in [0, 1] {
        pair.move_role(from).await;
    }
    let acknowledged = writer.end().await;
    assert!(acknowledged.len() > 20, "{}", acknowledged.len());
    // The standby comes to what its primary has.
    for server in [0, 1] {
        pair.until_holds(server, &acknowledged).await;
    }
}

struct Pair {
    clusters: Api<DynamicObject>,
    postgres: Arc<RealPostgres>,
}

impl Pair {
    async fn create(&self, name: &str, other: &str) {
        let cluster = json!({
            "apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster", "metadata": { "name": name },
            "spec": {
                "instances": 1, "switchoverDelay": 5, "smartShutdownTimeout": 1, "storage": { "size": "1Gi" },
                "replica": { "primary": HALVES[0], "source": other },
                "externalClusters": HALVES.map(|name| json!({ "name": name })),
            },
        });
        let cluster = serde_json::from_value(cluster).expect("an object");
        self.clusters.create(&PostParams::default(), &cluster).await.expect("a new Cluster");
    }

    /// As a person does it, with nothing but the two Clusters.
    async fn move_role(&self, from: usize) {
        let [old, new] = [HALVES[from], HALVES[1 - from]];
        let seen = self.record(old).await;
        self.tell(old, json!({ "spec": { "replica": { "primary": new } } })).await;
        let status = self.until(old, "the demotion is over and left its token", |status| {
            status["demotionToken"].is_string() && status["switchReplicaClusterStatus"]["inProgress"].is_null()
        });
        let token = status.await["demotionToken"].as_str().expect("it is a text").to_owned();
        let says = decode_token(&token).expect("a token");
        // The end of the former primary's log: nothing was written after it.
        self.refuses_writes(from).await;
        let fenced = seen.end().await;
        let order = [
            ("fenced", true, false, false),
            ("in progress", true, true, false),
            ("its token is there", true, true, true),
            ("the fence is off", false, true, true),
            ("over", false, false, true),
        ];
        let mut steps = fenced.iter();
        for (what, fence, in_progress, token) in order {
            assert!(steps.any(|seen| *seen == (fence, in_progress, token)), "{old}: {what} is missing: {fenced:?}");
        }

        let replica = json!({ "primary": new, "promotionToken": token });
        let phases = self.phases(new).await;
        self.tell(new, json!({ "spec": { "replica": replica } })).await;
        let status = self.until(new, "it is promoted", |status| {
            status["lastPromotionToken"] == token.as_str() && is_healthy(status)
        });
        let status = status.await;
        assert_eq!(status["timelineID"], says.timeline + 1, "{status:#}");
        let phases = phases.end().await;
        let mut told = phases.iter();
        for phase in
            ["Promoting to primary cluster", "Applying configuration", "Primary instance is being restarted in-place"]
        {
            assert!(told.any(|told| told == phase), "{new}: {phase} is missing: {phases:?}");
        }
        self.until_writes(1 - from).await;
        self.refuses_writes(from).await;
        // The next move is by a token of its own.
        self.tell(new, json!({ "spec": { "replica": { "promotionToken": null } } })).await;
        self.until(new, "it forgets the token", |status| status["lastPromotionToken"].is_null()).await;
        self.until(old, "it is at rest", is_healthy).await;
    }

    async fn tell(&self, name: &str, change: Value) {
        self.clusters.patch(name, &PatchParams::default(), &Patch::Merge(change)).await.expect("it takes it");
    }

    /// The status that holds, once one does.
    async fn until(&self, name: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let waited = async {
            loop {
                last = self.clusters.get(name).await.expect("it is there").data["status"].clone();
                if holds(&last) {
                    return;
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        let in_time = tokio::time::timeout(LIMIT, waited).await.is_ok();
        assert!(in_time, "{name}: not in {LIMIT:?}: {what}: {last:#}\n{}", self.logs());
        last
    }

    /// Each state that a demotion is seen in: fenced, in progress, with its token.
    async fn record(&self, name: &str) -> Recorded<(bool, bool, bool)> {
        self.watch(name, |cluster| {
            let status = &cluster.data["status"];
            let fence = cluster.metadata.annotations.as_ref().and_then(|all| all.get("cnpg.io/fencedInstances"));
            let in_progress = status["switchReplicaClusterStatus"]["inProgress"] == true;
            (fence.is_some(), in_progress, status["demotionToken"].is_string())
        })
        .await
    }

    async fn phases(&self, name: &str) -> Recorded<String> {
        self.watch(name, |cluster| cluster.data["status"]["phase"].as_str().unwrap_or_default().to_owned()).await
    }

    async fn watch<T: PartialEq + Send + 'static>(
        &self,
        name: &str,
        of: impl Fn(&DynamicObject) -> T + Send + 'static,
    ) -> Recorded<T> {
        use futures_util::StreamExt;
        let from = self.clusters.get(name).await.expect("it is there").metadata.resource_version.unwrap_or_default();
        let params = WatchParams::default().fields(&format!("metadata.name={name}"));
        let events = self.clusters.watch(&params, &from).await.expect("it can be watched");
        let over = Arc::new(AtomicBool::new(false));
        let is_over = over.clone();
        let task = tokio::spawn(async move {
            let mut events = Box::pin(events);
            let mut seen: Vec<T> = Vec::new();
            loop {
                match tokio::time::timeout(LOOK, events.next()).await {
                    Ok(Some(Ok(WatchEvent::Modified(cluster) | WatchEvent::Added(cluster)))) => {
                        let now = of(&cluster);
                        if seen.last() != Some(&now) {
                            seen.push(now);
                        }
                    }
                    Ok(other) => panic!("the watch ended: {other:?}"),
                    // Everything that came was taken.
                    Err(_) if is_over.load(Ordering::Relaxed) => return seen,
                    Err(_) => {}
                }
            }
        });
        Recorded { over, task }
    }

    /// It runs, and says itself that it is read-only.
    async fn refuses_writes(&self, server: usize) {
        let refused = async {
            loop {
                match write(&self.postgres, server, "probe", 0).await {
                    Ok(()) => panic!("{} takes writes\n{}", HALVES[server], self.logs()),
                    Err(Some(SqlState::READ_ONLY_SQL_TRANSACTION)) => return,
                    // It is just starting.
                    Err(_) => tokio::time::sleep(LOOK).await,
                }
            }
        };
        let in_time = tokio::time::timeout(LIMIT, refused).await.is_ok();
        assert!(in_time, "{} is not seen to refuse writes\n{}", HALVES[server], self.logs());
    }

    async fn until_writes(&self, server: usize) {
        let written = async {
            while write(&self.postgres, server, "after", server as i64).await.is_err() {
                tokio::time::sleep(LOOK).await;
            }
        };
        assert!(
            tokio::time::timeout(LIMIT, written).await.is_ok(),
            "{} takes no writes\n{}",
            HALVES[server],
            self.logs()
        );
    }

    async fn until_holds(&self, server: usize, acknowledged: &BTreeSet<i64>) {
        let mut missing: Vec<i64> = Vec::new();
        let held = async {
            loop {
                if let Ok(session) = self.postgres.session(server, SUPERUSER).await
                    && let Ok(rows) = session.query("select number from w where client = 'writer'", &[]).await
                {
                    let held: BTreeSet<i64> = rows.iter().map(|row| row.get(0)).collect();
                    missing = acknowledged.difference(&held).copied().collect();
                    if missing.is_empty() {
                        return;
                    }
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        let in_time = tokio::time::timeout(LIMIT, held).await.is_ok();
        assert!(in_time, "{} lacks {missing:?} of {}\n{}", HALVES[server], acknowledged.len(), self.logs());
    }

    fn logs(&self) -> String {
        format!("---- first\n{}---- second\n{}", self.postgres.log(0), self.postgres.log(1))
    }
}

fn is_healthy(status: &Value) -> bool {
    let ready = status["conditions"].as_array().and_then(|all| all.iter().find(|one| one["type"] == "Ready"));
    status["phase"] == "Cluster in healthy state" && ready.is_some_and(|ready| ready["status"] == "True")
}

/// What was seen of a Cluster, each once in a row.
struct Recorded<T> {
    over: Arc<AtomicBool>,
    task: JoinHandle<Vec<T>>,
}

impl<T> Recorded<T> {
    async fn end(self) -> Vec<T> {
        self.over.store(true, Ordering::Relaxed);
        self.task.await.expect("the watch goes on")
    }
}

/// Why not: absent where the server did not say.
async fn write(postgres: &RealPostgres, server: usize, client: &str, number: i64) -> Result<(), Option<SqlState>> {
    let session = postgres.session(server, SUPERUSER).await.map_err(|_| None)?;
    insert(&session, client, number).await.map_err(|error| error.code().cloned())
}

async fn insert(session: &Client, client: &str, number: i64) -> Result<(), Error> {
    session.batch_execute(&format!("insert into w values ('{client}', {number})")).await
}

/// Writes to whichever server takes it, in a session that it keeps.
struct Writer {
    over: Arc<AtomicBool>,
    task: JoinHandle<BTreeSet<i64>>,
}

impl Writer {
    fn start(postgres: &Arc<RealPostgres>) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (postgres, is_over) = (postgres.clone(), over.clone());
        let task = tokio::spawn(async move {
            let (mut server, mut session) = (0, None);
            let mut acknowledged = BTreeSet::new();
            for number in 0.. {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                if session.is_none() {
                    session = postgres.session(server, SUPERUSER).await.ok();
                }
                match &session {
                    Some(client) if insert(client, "writer", number).await.is_ok() => drop(acknowledged.insert(number)),
                    _ => (server, session) = (1 - server, None),
                }
                tokio::time::sleep(LOOK).await;
            }
            acknowledged
        });
        Self { over, task }
    }

    async fn end(self) -> BTreeSet<i64> {
        self.over.store(true, Ordering::Relaxed);
        self.task.await.expect("the writer goes on")
    }
}
