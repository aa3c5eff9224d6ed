//! A stand-in for CloudNativePG's operator and its instance manager, over one half of a real PostgreSQL pair: carries out
//! what the half's Cluster asks for, in the order that the real ones have, and says in its status what they say.
//!
//! One thing at a time, each from what the object, the data folder and the server show. Deliberately absent: pods,
//! backups, more than one instance, and every failure of the real one's own.

use crate::real_kube::{RealKube, RealKubeError, Who};
use crate::real_postgres::{RealPostgres, SUPERUSER};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use continuum_core::clock::Clock;
use continuum_core::record::Lsn;
use continuum_core::token::decode_token;
use continuum_live::clock::SystemClock;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio_postgres::SimpleQueryMessage;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);
/// As the operator names these.
const HEALTHY: &str = "Cluster in healthy state";
const PROMOTING: &str = "Promoting to primary cluster";
const FENCE: &str = "cnpg.io/fencedInstances";

/// One half's. It ends when it is dropped.
#[derive(Debug)]
pub struct StandIn {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl StandIn {
    /// Keeps `name` in `namespace` of this API server, whose PostgreSQL is the pair's first (0) or second (1).
    ///
    /// # Errors
    ///
    /// There is no client for the server.
    pub async fn start(
        kube: &RealKube,
        postgres: &Arc<RealPostgres>,
        server: usize,
        namespace: &str,
        name: &str,
    ) -> Result<Self, RealKubeError> {
        let config = kube.config(Who::Admin).await?;
        let over = Arc::new(AtomicBool::new(false));
        let (is_over, postgres, namespace, name) =
            (over.clone(), postgres.clone(), namespace.to_owned(), name.to_owned());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let client = kube::Client::try_from(config).expect("the configuration was good before");
                let kind = GroupVersionKind::gvk("postgresql.cnpg.io", "v1", "Cluster");
                let kind = ApiResource::from_gvk_with_plural(&kind, "clusters");
                let clusters = Api::namespaced_with(client, &namespace, &kind);
                let half = Half { clusters, postgres, server, name };
                while !is_over.load(Ordering::Relaxed) {
                    // What fails is tried again, as everything is looked at again.
                    if let Err(error) = half.step().await {
                        eprintln!("stand-in for {}: {error}", half.name);
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            });
        });
        Ok(Self { over, thread: Some(thread) })
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

struct Half {
    clusters: Api<DynamicObject>,
    postgres: Arc<RealPostgres>,
    server: usize,
    name: String,
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

impl Half {
    /// Does what comes next, if anything does.
    async fn step(&self) -> Result<(), Failed> {
        let Some(cluster) = self.clusters.get_opt(&self.name).await? else { return Ok(()) };
        let replica = &cluster.data["spec"]["replica"];
        let is_primary = replica["primary"] == self.name.as_str();
        let status = &cluster.data["status"];
        let fence = cluster.metadata.annotations.as_ref().and_then(|all| all.get(FENCE));
        let fenced = fence.is_some_and(|list| list != "[]");
        let runs = self.postgres.runs(self.server);
        if !is_primary && !self.postgres.follows(self.server) {
            return self.demote(status, fenced, runs).await;
        }
        if !is_primary && status["switchReplicaClusterStatus"]["inProgress"] == true {
            return self.end_demotion(fenced).await;
        }
        match (fenced, runs) {
            (true, true) => self.postgres.control(self.server, &["-m", "fast", "stop"]),
            (true, false) => {}
            (false, false) => self.postgres.control(self.server, &["start"]),
            (false, true) if is_primary && self.postgres.follows(self.server) => {
                return self.promote(replica["promotionToken"].as_str(), status).await;
            }
            (false, true) => return self.report(status, replica["promotionToken"].as_str(), is_primary).await,
        }
        Ok(())
    }

    /// Until the token is told: the operator fences, the instance manager shuts down, and what it left is read.
    async fn demote(&self, status: &Value, fenced: bool, runs: bool) -> Result<(), Failed> {
        if !fenced {
            return self.fence(true).await;
        }
        if status["switchReplicaClusterStatus"]["inProgress"] != true {
            return self.say(json!({ "switchReplicaClusterStatus": { "inProgress": true } })).await;
        }
        if runs {
            self.postgres.control(self.server, &["-m", "fast", "stop"]);
        }
        self.say(json!({ "demotionToken": self.token() })).await?;
        self.postgres.set(self.server, "archive_mode=always");
        self.postgres.follow(self.server, &self.name);
        Ok(())
    }

    /// The fence off, PostgreSQL up, and the transition over: in this order.
    async fn end_demotion(&self, fenced: bool) -> Result<(), Failed> {
        if fenced {
            self.fence(false).await?;
        }
        if !self.postgres.runs(self.server) {
            self.postgres.control(self.server, &["start"]);
        }
        self.say(json!({ "switchReplicaClusterStatus": { "inProgress": null } })).await
    }

    /// With a token, only once what it names was replayed. The restart after it takes `archive_mode` back.
    async fn promote(&self, token: Option<&str>, status: &Value) -> Result<(), Failed> {
        if status["phase"] != PROMOTING {
            return self.say(json!({ "phase": PROMOTING, "conditions": conditions(false) })).await;
        }
        if let Some(token) = token {
            let wanted = decode_token(token)?.redo;
            let replayed: Lsn = self.ask("select pg_last_wal_replay_lsn()::text").await?.parse()?;
            if replayed < wanted {
                return Ok(());
            }
        }
        self.postgres.control(self.server, &["promote"]);
        // What `pg_controldata` says of the timeline is that of the last checkpoint.
        self.ask("checkpoint").await?;
        let timeline = timeline(&self.postgres.control_data(self.server));
        self.say(json!({ "lastPromotionToken": token, "timelineID": timeline })).await?;
        self.postgres.set(self.server, "archive_mode=on");
        self.postgres.control(self.server, &["-m", "fast", "restart"]);
        Ok(())
    }

    /// What is told of a half at rest.
    async fn report(&self, status: &Value, token: Option<&str>, is_primary: bool) -> Result<(), Failed> {
        let data = self.postgres.control_data(self.server);
        let mut wanted = json!({
            "phase": HEALTHY,
            "instances": 1,
            "readyInstances": 1,
            "currentPrimary": format!("{}-1", self.name),
            "targetPrimary": format!("{}-1", self.name),
            "systemID": data["Database system identifier"],
        });
        // A standby's control file follows its primary's checkpoints.
        if is_primary || status["timelineID"].is_null() {
            wanted["timelineID"] = timeline(&data).into();
        }
        if token.is_none() && !status["lastPromotionToken"].is_null() {
            wanted["lastPromotionToken"] = Value::Null;
        }
        if is_primary && !status["demotionToken"].is_null() {
            wanted["demotionToken"] = Value::Null;
        }
        let fields = wanted.as_object().expect("it is a map");
        let ready = status["conditions"].as_array().and_then(|all| all.iter().find(|one| one["type"] == "Ready"));
        let is_ready = ready.is_some_and(|ready| ready["status"] == "True");
        if is_ready && fields.iter().all(|(name, value)| status[name.as_str()] == *value) {
            return Ok(());
        }
        wanted["conditions"] = conditions(true);
        self.say(wanted).await
    }

    fn token(&self) -> String {
        let data = self.postgres.control_data(self.server);
        assert_eq!(data["Database cluster state"], "shut down");
        let token = json!({
            "latestCheckpointTimelineID": data["Latest checkpoint's TimeLineID"],
            "redoWalFile": data["Latest checkpoint's REDO WAL file"],
            "databaseSystemIdentifier": data["Database system identifier"],
            "latestCheckpointREDOLocation": data["Latest checkpoint's REDO location"],
            "timeOfLatestCheckpoint": data["Time of latest checkpoint"],
            "operatorVersion": "1.30.0",
        });
        STANDARD.encode(token.to_string())
    }

    /// The first column of the first row, or nothing.
    async fn ask(&self, statement: &str) -> Result<String, Failed> {
        let session = self.postgres.session(self.server, SUPERUSER).await?;
        let messages = session.simple_query(statement).await?;
        Ok(messages
            .iter()
            .find_map(|message| match message {
                SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                _ => None,
            })
            .unwrap_or_default())
    }

    async fn fence(&self, on: bool) -> Result<(), Failed> {
        let list = on.then_some(r#"["*"]"#);
        let change = json!({ "metadata": { "annotations": { FENCE: list } } });
        self.clusters.patch(&self.name, &PatchParams::default(), &Patch::Merge(change)).await?;
        Ok(())
    }

    async fn say(&self, status: Value) -> Result<(), Failed> {
        let change = Patch::Merge(json!({ "status": status }));
        self.clusters.patch_status(&self.name, &PatchParams::default(), &change).await?;
        Ok(())
    }
}

/// Of what `pg_controldata` says.
fn timeline(data: &BTreeMap<String, String>) -> u64 {
    data["Latest checkpoint's TimeLineID"].parse().expect("pg_controldata prints a number")
}

fn conditions(ready: bool) -> Value {
    let at = SystemClock::new().wall().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let one = |kind: &str, holds: bool, reason: &str| {
        let status = if holds { "True" } else { "False" };
        json!({ "type": kind, "status": status, "reason": reason, "message": "", "lastTransitionTime": at })
    };
    json!([one("Ready", ready, "ClusterIsReady"), one("ContinuousArchiving", true, "ContinuousArchivingSuccess")])
}
