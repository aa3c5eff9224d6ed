//! A stand-in for CloudNativePG: the simulator's own operator, instance manager and kubelet over one half of a real
//! PostgreSQL pair and a real API server.
//!
//! ```text
//! kube-apiserver <--TLS, credentials-- way --- the simulator's rules --- database --files, signals--> a real server
//! ```
//!
//! What they do, in which order, and what they say in the Cluster's status is the simulator's business, which is held to
//! recordings of the real ones. Here are the two ends of it alone.
//!
//! Their pauses are a tenth of what they are in the simulator, and what they take is a fifth, so that a test takes less:
//! how long a move takes here says nothing of a real one. Deliberately absent: the operator's webhook, since nobody asks
//! it.

mod database;
mod postmaster;
mod way;

use crate::real_kube::{RealKube, RealKubeError, Who};
use crate::real_postgres::RealPostgres;
use continuum_core::name::ObjectName;
use continuum_sim::fabric::Net;
use continuum_sim::servers::operator::{Database, Operator, first_status};
use database::RealDatabase;
use futures_util::future::{join, select};
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::json;
use std::pin::pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::Notify;
use way::Way;

/// Of what operator and instance manager take in the simulator.
const SLOW_PERCENT: u32 = 20;
/// Of the pauses that are built into them.
const PAUSE_PERCENT: u32 = 10;
/// Between two looks for a Cluster that is not there yet, or at an API server that does not answer.
const PAUSE: Duration = Duration::from_millis(200);

/// One half's. It ends when it is dropped.
#[derive(Debug)]
pub struct StandIn {
    over: Arc<Notify>,
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
        let over = Arc::new(Notify::new());
        let (is_over, postgres, object) = (over.clone(), postgres.clone(), ObjectName::new(namespace, name));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let client = kube::Client::try_from(config).expect("the configuration was good before");
                select(pin!(keep(client, postgres, server, object)), pin!(is_over.notified())).await;
            });
        });
        Ok(Self { over, thread: Some(thread) })
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.over.notify_one();
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Runs for ever.
async fn keep(client: kube::Client, postgres: Arc<RealPostgres>, server: usize, object: ObjectName) {
    let database: Arc<dyn Database> = Arc::new(RealDatabase::new(postgres, server, &object.name));
    put_first_status(&client, &object, &*database).await;
    // Of which its pauses are drawn; nothing here is the same twice.
    let rng = ChaCha8Rng::seed_from_u64(server as u64);
    let operator = Operator::new(object, "", database, rng);
    operator.adjust(|knobs| (knobs.slow_percent, knobs.pause_percent) = (SLOW_PERCENT, PAUSE_PERCENT));
    let net: Net = Arc::new(Way::new(client));
    let (node, operator) = (operator.node_software(net.clone())(), operator.software(net)());
    join(node, operator).await;
}

/// The rules begin with a half that has been at rest for long.
async fn put_first_status(client: &kube::Client, object: &ObjectName, database: &dyn Database) {
    let kind = GroupVersionKind::gvk("postgresql.cnpg.io", "v1", "Cluster");
    let kind = ApiResource::from_gvk_with_plural(&kind, "clusters");
    let clusters: Api<DynamicObject> = Api::namespaced_with(client.clone(), &object.namespace, &kind);
    loop {
        let found = clusters.get_opt(&object.name).await;
        match found {
            Ok(Some(cluster)) if cluster.data["status"]["phase"].is_string() => return,
            Ok(Some(cluster)) => {
                let status = database.status();
                let instances = cluster.data["spec"]["instances"].as_u64().unwrap_or(1).try_into().unwrap_or(1);
                let is_primary = !status.standby_signal;
                let first = first_status(&object.name, is_primary, instances, &database.system_id(), status.timeline);
                let change = Patch::Merge(json!({ "status": first }));
                if let Err(error) = clusters.patch_status(&object.name, &PatchParams::default(), &change).await {
                    eprintln!("stand-in for {object}: {error}");
                }
            }
            Ok(None) => {}
            Err(error) => eprintln!("stand-in for {object}: {error}"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}
