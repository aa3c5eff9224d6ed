//! A switchover by two controllers as processes, there and back, while two clients write: nothing that was acknowledged is
//! lost, no two servers take writes at once, and the stream tells of each move once.

use super::process::{Process, until};
use super::{Installed, REGIONS, Regions};
use continuum_tests::real_postgres::{PLAIN_ROLE, RealPostgres, SUPERUSER};
use continuum_tests::real_powerdns::RealPowerDns;
use continuum_tests::stand_in::StandIn;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_postgres::Client;

/// Where the role goes, from fsn on.
const MOVES: [&str; 2] = ["hel", "fsn"];
/// Of a statement, and of a log-in.
const LIMIT: Duration = Duration::from_secs(1);
/// A client's, between two writes.
const BEAT: Duration = Duration::from_millis(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_role_moves_there_and_back_under_writes() {
    let Some(regions) = Regions::start().await else { return };
    regions.put("shop", json!({ "secretRef": { "name": "probe" } })).await;
    let Some(installed) = Installed::start(&regions).await else { return };
    let Some(powerdns) = RealPowerDns::start() else { return };
    let mut operators = Vec::new();
    for (index, region) in REGIONS.into_iter().enumerate() {
        let name = format!("shop-{region}");
        let operator = StandIn::start(&regions.servers[index], &regions.postgres, index, "shop", &name);
        operators.push(operator.await.expect("a stand-in for the operator"));
    }
    let processes = [0, 1].map(|index| {
        let mut variables = installed.variables(index);
        variables.insert("POWERDNS_API_URL", format!("http://{}", powerdns.api));
        variables.insert("POWERDNS_API_KEY", powerdns.key.clone());
        // Of its own zone an authoritative server says what a resolver would.
        variables.insert("CONTINUUM_VANTAGES", powerdns.dns.to_string());
        // Later than the question below, so that it is answered by what is seen then.
        variables.insert("CONTINUUM_HEALTH_DELAY_SECONDS", "20".into());
        Process::start(variables)
    });
    let names = json!({ "spec": {
        "luaRecord": { "hostnames": ["shop.example.org"], "selector": "pickwhashed" },
        "dns": { "authorities": [powerdns.dns.to_string()] },
    } });
    for index in 0..2 {
        let continuums = regions.continuums(index).await;
        let change = Patch::Merge(&names);
        continuums.patch("shop", &PatchParams::default(), &change).await.expect("it takes them");
    }
    let healthy = async |index: usize| regions.status(index, "shop").await["phase"] == "Healthy";
    for index in 0..2 {
        until("the pair to be healthy", async || healthy(index).await).await;
    }
    let clients = Clients::start(&regions.postgres);

    for (from, to) in [REGIONS[0]].into_iter().chain(MOVES).zip(MOVES) {
        let asked = &processes[usize::from(from == REGIONS[1])];
        let before = clients.acknowledged();
        let (status, body) =
            asked.call("POST /v1/continuums/shop/shop/dry-run", &json!({ "toRegion": to }).to_string());
        let report: Value = serde_json::from_str(&body).expect("a report");
        assert!(status == 200 && report["blockers"].is_null(), "{report:#}");
        let order = json!({ "toRegion": to, "confirmedFingerprint": report["planFingerprint"] });
        let (status, body) = asked.call("POST /v1/continuums/shop/shop/switchover", &order.to_string());
        assert_eq!(status, 202, "{body}");
        for index in 0..2 {
            until("the switchover to end", async || {
                let last = &regions.status(index, "shop").await["lastSwitchover"];
                assert!(last["to"] != to || last["result"] == "Success", "{last:#}");
                last["to"] == to
            })
            .await;
            until("the pair to be healthy", async || healthy(index).await).await;
        }
        assert!(regions.holder("shop").await.is_some_and(|holder| holder.starts_with(to)));
        until("clients to write again", async || clients.acknowledged() > before).await;
        let (status, body) = processes[usize::from(to == REGIONS[1])].call("GET /v1/continuums/shop/shop/health", "");
        let health: Value = serde_json::from_str(&body).expect("a report");
        assert!(status == 200 && health["overallHealthy"] == true, "{health:#}");
    }

    let truth = clients.end().await;
    assert_eq!(truth.both_writable, Vec::<String>::new());
    let kept = kept(&regions.postgres, 0).await;
    let lost: Vec<&(String, i64)> = truth.acknowledged.iter().filter(|write| !kept.contains(*write)).collect();
    assert_eq!(lost, Vec::<&(String, i64)>::new(), "of {} acknowledged", truth.acknowledged.len());
    println!("{} acknowledged, none lost; longest without one {:?}", truth.acknowledged.len(), truth.gap);
    let told = regions.nats.types().await;
    assert_eq!(told.iter().filter(|kind| *kind == "continuum-switchover").count(), MOVES.len(), "{told:?}");
    for index in 0..2 {
        let told = regions.events(index, "shop").await;
        let count = |reason: &str| told.iter().filter(|(told, _)| told == reason).count();
        let steps: BTreeSet<&str> =
            told.iter().filter(|(reason, _)| reason == "SwitchoverStepDone").map(|(_, note)| note.as_str()).collect();
        assert_eq!((count("SwitchoverStarted"), count("SwitchoverSucceeded")), (MOVES.len(), MOVES.len()), "{told:?}");
        assert_eq!((count("SwitchoverStepDone"), steps.len()), (7 * MOVES.len(), 7), "{told:?}");
    }
    let ids = regions.nats.ids().await;
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "each is told once: {ids:?}");
}

/// What clients and a watcher saw.
#[derive(Default)]
struct Truth {
    acknowledged: Vec<(String, i64)>,
    /// Between two acknowledgements of anybody.
    gap: Duration,
    both_writable: Vec<String>,
}

/// Two that write to whichever server takes it, and one that looks whether both do.
struct Clients {
    truth: Arc<Mutex<Truth>>,
    over: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Clients {
    fn start(postgres: &Arc<RealPostgres>) -> Self {
        let truth = Arc::new(Mutex::new(Truth::default()));
        let over = Arc::new(AtomicBool::new(false));
        let last = Arc::new(Mutex::new(Instant::now()));
        let mut tasks = Vec::new();
        for name in ["one", "two"] {
            let (postgres, truth, over, last) = (postgres.clone(), truth.clone(), over.clone(), last.clone());
            tasks.push(tokio::spawn(async move {
                let (mut number, mut server, mut session) = (0_i64, 0, None);
                while !over.load(Ordering::Relaxed) {
                    number += 1;
                    if session.is_none() {
                        session = log_in(&postgres, server, PLAIN_ROLE).await;
                    }
                    let statement = format!("insert into w values ('{name}', {number})");
                    if taken(session.as_ref(), &statement).await {
                        let mut truth = truth.lock().expect("nothing panics while it holds it");
                        truth.acknowledged.push((name.to_owned(), number));
                        let mut last = last.lock().expect("nothing panics while it holds it");
                        truth.gap = truth.gap.max(last.elapsed());
                        *last = Instant::now();
                    } else {
                        (server, session) = (1 - server, None);
                    }
                    tokio::time::sleep(BEAT).await;
                }
            }));
        }
        let (postgres, seen, is_over) = (postgres.clone(), truth.clone(), over.clone());
        tasks.push(tokio::spawn(async move {
            while !is_over.load(Ordering::Relaxed) {
                // The first once more: it may have ceased before the second began.
                if writable(&postgres, 0).await && writable(&postgres, 1).await && writable(&postgres, 0).await {
                    let mut truth = seen.lock().expect("nothing panics while it holds it");
                    let after = truth.acknowledged.len();
                    truth.both_writable.push(format!("after {after} writes"));
                }
                tokio::time::sleep(BEAT).await;
            }
        }));
        Self { truth, over, tasks }
    }

    fn acknowledged(&self) -> usize {
        self.truth.lock().expect("nothing panics while it holds it").acknowledged.len()
    }

    async fn end(self) -> Truth {
        self.over.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("clients do not panic");
        }
        std::mem::take(&mut *self.truth.lock().expect("nothing panics while it holds it"))
    }
}

async fn log_in(postgres: &RealPostgres, server: usize, role: &str) -> Option<Client> {
    tokio::time::timeout(LIMIT, postgres.session(server, role)).await.ok()?.ok()
}

/// Whether a statement was acknowledged in time.
async fn taken(session: Option<&Client>, statement: &str) -> bool {
    let Some(session) = session else { return false };
    matches!(tokio::time::timeout(LIMIT, session.batch_execute(statement)).await, Ok(Ok(())))
}

/// Whether a new session may write.
async fn writable(postgres: &RealPostgres, server: usize) -> bool {
    let session = log_in(postgres, server, SUPERUSER).await;
    taken(session.as_ref(), "begin; create temp table probe (); rollback").await
}

async fn kept(postgres: &RealPostgres, server: usize) -> BTreeSet<(String, i64)> {
    let session = log_in(postgres, server, SUPERUSER).await.expect("it takes sessions");
    let rows = session.query("select client, number from w", &[]).await.expect("the table is there");
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}
