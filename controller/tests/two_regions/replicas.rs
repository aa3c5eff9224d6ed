//! Three processes of one region; its real API server tells by its audit log what each of them wrote. The other region's
//! server is there, and no controller: nothing is moved, and everything that a leader does by itself is done.

use super::{Process, Regions, until};
use continuum_tests::real_kube::{REPLICAS, Who};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

const SWITCHOVER: &str = "POST /v1/continuums/shop/shop/switchover";
const ORDER: &str = r#"{"toRegion": "hel"}"#;
const OTHER_ORDER: &str = r#"{"toRegion": "hel", "reason": "drill"}"#;
const ELECTION: &str = "continuum-controller.openova.io";
/// A lease's duration, two looks, and what a slow machine takes.
const TAKEN_LIMIT: Duration = Duration::from_secs(15 + 2 * 2 + 5);
/// What was given back is taken at the next look.
const GIVEN_LIMIT: Duration = Duration::from_secs(2 + 5);

struct Replicas {
    regions: Regions,
    processes: Vec<Process>,
}

/// A write that the server was asked for.
#[derive(Debug)]
struct Write {
    by: String,
    resource: String,
    name: String,
}

impl Replicas {
    async fn start() -> Option<Self> {
        let regions = Regions::audited().await?;
        regions.put("shop", json!({ "secretRef": { "name": "probe" } })).await;
        let replica = |index: usize| {
            let own = regions.servers[0].kubeconfig(Who::Replica(index));
            let mut variables = regions.variables(0);
            variables.insert("OWN_KUBECONFIG", regions.folder.put(&format!("replica-{index}"), &own));
            variables.insert("LEADER_ELECT_NS", "leases".into());
            Process::start(variables)
        };
        let processes = (0..3).map(replica).collect();
        Some(Self { regions, processes })
    }

    async fn holder(&self, name: &str) -> Option<String> {
        let leases: Api<Lease> = Api::namespaced(self.regions.client(0).await, "leases");
        leases.get_opt(name).await.expect("a lease can be read")?.spec?.holder_identity
    }

    /// The replica that leads, as the election's Lease says; waited for until it is none of `former`.
    async fn leader(&self, former: &[usize]) -> usize {
        let mut leader = None;
        until("a leader", async || {
            let Some(holder) = self.holder(ELECTION).await else { return false };
            let me = format!(r#""me":"{holder}""#);
            leader = (0..self.processes.len()).find(|index| self.processes[*index].log().contains(&me));
            leader.is_some_and(|leader| !former.contains(&leader))
        })
        .await;
        leader.expect("it was waited for")
    }

    /// Everything that the replicas asked to be changed, but what takes part in the election or is only tried.
    fn writes(&self) -> Vec<Write> {
        let text = std::fs::read_to_string(self.regions.folder.path("audit")).expect("the server's log");
        // The last line may not be whole yet.
        let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let of = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let writes = events.filter(|event| !of(&event["requestURI"]).contains("dryRun=All")).map(|event| Write {
            by: of(&event["user"]["username"]),
            resource: of(&event["objectRef"]["resource"]),
            name: of(&event["objectRef"]["name"]),
        });
        let is_work = |write: &Write| {
            REPLICAS.contains(&write.by.as_str())
                && write.name != ELECTION
                && write.resource != "selfsubjectaccessreviews"
        };
        // The election's creation names its object in the body alone.
        writes.filter(is_work).filter(|write| write.resource != "leases" || !write.name.is_empty()).collect()
    }

    fn written_by(&self, index: usize) -> usize {
        self.writes().iter().filter(|write| write.by == REPLICAS[index]).count()
    }

    fn each_answers(&self, but: &[usize]) {
        for (index, process) in self.processes.iter().enumerate().filter(|(index, _)| !but.contains(index)) {
            assert_eq!(process.ready(), (200, "ok".into()), "{index}");
            let (status, body) = process.call("GET /v1/continuums/shop/shop/status", "");
            assert_eq!(status, 200, "{index}: {body}");
            let (status, body) = process.call("POST /v1/continuums/shop/shop/dry-run", r#"{"toRegion": "hel"}"#);
            assert_eq!(status, 200, "{index}: {body}");
        }
    }

    /// Waits until this one drives: it goes on writing.
    async fn drives(&self, index: usize) {
        let before = self.written_by(index);
        until("it to drive", async || self.written_by(index) > before + 2).await;
    }
}

fn others(index: usize) -> impl Iterator<Item = usize> {
    (0..3).filter(move |other| *other != index)
}

#[tokio::test]
async fn one_of_three_replicas_drives_and_another_takes_over_whatever_becomes_of_it() {
    let Some(mut replicas) = Replicas::start().await else { return };
    for process in &replicas.processes {
        until("readiness", async || process.ready() == (200, "ok".into())).await;
    }
    let first = replicas.leader(&[]).await;
    until("the record to be held", async || replicas.holder("shop.shop").await.as_deref() == Some("fsn")).await;
    replicas.drives(first).await;
    replicas.each_answers(&[]);
    for waiting in others(first) {
        assert_eq!(replicas.written_by(waiting), 0, "{:?}", replicas.writes());
    }

    // The leader alone tells of the Continuum.
    for index in 0..3 {
        let page = replicas.processes[index].metrics();
        let status = format!("leader_election_master_status{{name=\"{ELECTION}\"}} {}.0", u8::from(index == first));
        assert!(page.contains(&status), "{index}: {page}");
        let told = page.contains(r#"continuum_generation{namespace="shop",name="shop"}"#);
        assert_eq!(told, index == first, "{index}: {page}");
    }

    // An order that comes to one that waits is left for the one that leads, which answers it.
    let waiting = others(first).next().expect("there are two");
    let (status, body) = replicas.processes[waiting].order(SWITCHOVER, "one", ORDER);
    assert_eq!(status, 202, "{body}");
    let answer: Value = serde_json::from_str(&body).expect("an answer");
    let request = answer["request"].as_str().expect("the order's identity").to_owned();
    until("the leader to serve it", async || {
        let log = replicas.processes[first].log();
        log.lines().any(|line| line.contains(r#""message":"request "#) && line.contains(&request))
    })
    .await;

    // Given again it is the same order, whichever replica it is given to, and another is none with its key.
    for process in &replicas.processes {
        assert_eq!(process.order(SWITCHOVER, "one", ORDER), (202, body.clone()));
        let (status, why) = process.order(SWITCHOVER, "one", OTHER_ORDER);
        assert_eq!(status, 422, "{why}");
    }

    // One that dies is followed by another.
    replicas.processes[first].kill();
    let died = Instant::now();
    let second = replicas.leader(&[first]).await;
    assert!(died.elapsed() < TAKEN_LIMIT, "after {:?}", died.elapsed());
    replicas.drives(second).await;
    replicas.each_answers(&[first]);
    assert_eq!(replicas.processes[second].order(SWITCHOVER, "one", ORDER), (202, body));
    assert_eq!(replicas.processes[second].order(SWITCHOVER, "one", OTHER_ORDER).0, 422);

    // One that stands still is followed by another, and writes nothing when it wakes up.
    replicas.processes[second].signal("-STOP");
    let stopped = Instant::now();
    let third = replicas.leader(&[first, second]).await;
    assert!(stopped.elapsed() < TAKEN_LIMIT, "after {:?}", stopped.elapsed());
    replicas.drives(third).await;
    let before = replicas.written_by(second);
    replicas.processes[second].signal("-CONT");
    until("it to notice", async || replicas.processes[second].log().contains("leads no more")).await;
    replicas.drives(third).await;
    assert_eq!(
        replicas.written_by(second),
        before,
        "{:?}",
        replicas.writes().iter().rev().take(20).collect::<Vec<_>>()
    );
    until("its API", async || replicas.processes[second].call("GET /v1/continuums/shop/shop/status", "").0 == 200)
        .await;
    replicas.each_answers(&[first]);
    assert_eq!(replicas.holder("shop.shop").await.as_deref(), Some("fsn"), "the region held it all the time");

    // One that is told to end gives the lead back, with nothing under way.
    replicas.processes[third].signal("-TERM");
    assert_eq!(replicas.processes[third].ended().await.code(), Some(0), "{}", replicas.processes[third].log());
    let ended = Instant::now();
    assert_eq!(replicas.leader(&[first, third]).await, second);
    assert!(ended.elapsed() < GIVEN_LIMIT, "after {:?}", ended.elapsed());
    replicas.drives(second).await;
}
