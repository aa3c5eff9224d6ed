//! What a person says of a move over HTTP: a failback waits and is refused, or approved, by its id, and a move under way is
//! aborted before its point of no return. Each region's controller takes the answer, whichever of them drives.

use super::pair::Pair;
use super::process::until;
use super::switchover::Story;
use super::{REGIONS, kind};
use continuum_core::audit::{EventBody, EventType};
use continuum_tests::real_postgres::SUPERUSER;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

/// Who asks, and who approves.
const ASKS: &str = "jane";
const APPROVES: &str = "joe";
/// What no failback is called.
const NO_ID: &str = "shop/shop/0.0";
/// A failback is seen to wait for so many renewals. Its holder looks for an answer about as often as it renews.
const RENEWALS: u64 = 3;

const FAILBACK: &str = "failback";
const APPROVE: &str = "failback/approve";
const REFUSE: &str = "failback/refuse";
const ABORT: &str = "abort";

/// What an event tells: its type, from where, to where, and its message where that can be foretold.
pub type Told = (EventType, Option<&'static str>, Option<&'static str>, String);

/// A failback needs a person from now on, as both copies say.
pub async fn require(pair: &Pair) {
    let change = Patch::Merge(json!({ "spec": { "failback": { "approvalRequired": true } } }));
    for index in 0..2 {
        let continuums = pair.regions.continuums(index).await;
        continuums.patch("shop", &PatchParams::default(), &change).await.expect("it takes that");
    }
}

/// A failback away from this region waits, and is refused: nothing moves.
pub async fn refused(pair: &Pair, story: &Story, from: usize) {
    let id = asked(pair, story, from).await;
    let answer = json!({ "id": id });
    story.curl(pair, from, "POST", REFUSE, &answer);
    says(pair, from, REFUSE, &answer, (202, answer.clone())).await;
    let last = async || pair.regions.record("shop").await["last"].clone();
    until("the failback to end", async || last().await["id"] == id.as_str()).await;
    let last = last().await;
    assert_eq!([&last["result"], &last["failure"]], ["declined", "refused by a person"], "{last:#}");
    role_is_with(pair, from).await;
    answers_are_taken_back(pair).await;
    let over = json!({ "error": format!("no failback waits, so {id} does not") });
    says(pair, from, REFUSE, &answer, (409, over)).await;
    pair.until_told().await;
    story.tell("refused", &format!("{} keeps the role", REGIONS[from]));
}

/// A failback away from this region waits, and is approved in the other one: then it goes. Its id.
pub async fn approved(pair: &Pair, story: &Story, from: usize) -> String {
    let id = asked(pair, story, from).await;
    pair.until_told().await;
    let told = last_of(pair, EventType::FailbackPending).await;
    assert_eq!([&*told.reason, &*told.initiated_by], ["approval-pending", ASKS]);
    // Its event is told: a person is all that it waits for.
    let renewal = async || pair.regions.record("shop").await["renewal"].as_u64().expect("it is renewed");
    let before = renewal().await;
    until("the record to be renewed", async || renewal().await >= before + RENEWALS).await;
    let record = pair.regions.record("shop").await;
    assert_eq!(record["pending"]["id"], id.as_str(), "{record:#}");
    role_is_with(pair, from).await;

    let of_another = json!({ "id": NO_ID, "approvedBy": APPROVES });
    let other_waits = json!({ "error": format!("failback {id} waits, and not {NO_ID}") });
    says(pair, 1 - from, APPROVE, &of_another, (409, other_waits)).await;
    let answer = json!({ "id": id, "approvedBy": APPROVES });
    story.curl(pair, 1 - from, "POST", APPROVE, &answer);
    says(pair, 1 - from, APPROVE, &answer, (202, json!({ "id": id }))).await;
    id
}

/// The failback of this id has gone, as record, status and stream tell.
pub async fn is_carried_out(pair: &Pair, id: &str, from: usize) {
    let last = pair.regions.record("shop").await["last"].clone();
    let of_it = [&last["id"], &last["kind"], &last["initiatedBy"], &last["approvedBy"]];
    assert_eq!(of_it, [id, FAILBACK, ASKS, APPROVES], "{last:#}");
    let status = pair.status(1 - from).await["lastSwitchover"].clone();
    assert_eq!([&status["reason"], &status["initiatedBy"]], [FAILBACK, ASKS], "{status:#}");
    pair.until_told().await;
    for kind in [EventType::Switchover, EventType::FailbackCompleted] {
        let told = last_of(pair, kind).await;
        let reason = if kind == EventType::Switchover { FAILBACK } else { "approval-granted" };
        assert_eq!([&*told.reason, &*told.initiated_by], [reason, ASKS]);
    }
    answers_are_taken_back(pair).await;
    let over = json!({ "error": format!("no failback waits, so {id} does not") });
    says(pair, from, APPROVE, &json!({ "id": id }), (409, over)).await;
}

/// A move away from this region is aborted in the other one, once the old primary was told to be a replica: everything is
/// undone, and the role stays. How many of its steps were done before.
pub async fn aborted(pair: &Pair, story: &Story, from: usize) -> usize {
    let begun = story.order(pair, from).await;
    let id = begun["id"].as_str().expect("it begins where it was ordered").to_owned();
    // The rest of the demotion and the drain are still to come then: the promotion is seconds away.
    let clusters = kind("postgresql.cnpg.io", "Cluster", "clusters");
    let clusters: Api<DynamicObject> = Api::namespaced_with(pair.regions.client(from).await, "shop", &clusters);
    let (own, other) = (format!("shop-{}", REGIONS[from]), format!("shop-{}", REGIONS[1 - from]));
    until("the old primary to be told to follow", async || {
        let cluster = clusters.get(&own).await.expect("it is there");
        cluster.data["spec"]["replica"]["primary"] == other.as_str()
    })
    .await;
    let wish = json!({ "id": id });
    story.curl(pair, 1 - from, "POST", ABORT, &wish);
    says(pair, 1 - from, ABORT, &wish, (202, wish.clone())).await;

    assert_eq!(pair.until_ended().await, from, "it is undone");
    role_is_with(pair, from).await;
    let last = pair.regions.record("shop").await["last"].clone();
    let of_it = [&last["id"], &last["result"], &last["failure"]];
    assert_eq!(of_it, [&*id, "undone", "aborted by a person"], "{last:#}");
    assert_eq!(last["failedAtStep"], 0, "{last:#}");
    let steps = last["steps"].as_array().expect("a move has steps");
    let where_there_is = |time: &str| -> Vec<usize> {
        (1..).zip(steps).filter(|(_, step)| !step[time].is_null()).map(|(number, _)| number).collect()
    };
    let begun = where_there_is("startedAt");
    assert!(begun.contains(&2) && !begun.contains(&5), "aborted with no writer and before the swap: {last:#}");
    assert_eq!(where_there_is("undoneAt"), begun, "{last:#}");
    for index in 0..2 {
        until("the status to tell", async || {
            let status = pair.status(index).await["lastSwitchover"].clone();
            [&status["from"], &status["to"], &status["result"]] == [REGIONS[from], REGIONS[1 - from], "Failed"]
        })
        .await;
    }
    let over = json!({ "error": format!("no switchover is under way, so {id} is not") });
    says(pair, from, ABORT, &wish, (409, over)).await;
    pair.until_traced().await;
    pair.until_told().await;
    story.tell("aborted", &format!("everything is undone; {} keeps the role", REGIONS[from]));
    where_there_is("finishedAt").len()
}

/// What the stream tells of a failback from this region that was refused, and of one that was approved, beside what it
/// tells of every move.
pub fn events_of_failbacks(from: usize) -> Vec<Told> {
    let (from, to) = (REGIONS[from], REGIONS[1 - from]);
    let told = |kind, message: &str| (kind, Some(from), Some(to), format!("failback {from} → {to} {message}"));
    vec![
        told(EventType::FailbackPending, "waits for approval"),
        told(EventType::FailbackPending, "waits for approval"),
        told(EventType::FailbackCompleted, &format!("completed, approved by {APPROVES}")),
    ]
}

/// All that the stream tells of a move from this region that was aborted.
pub fn events_of_the_aborted(from: usize) -> Vec<Told> {
    let (from, to) = (REGIONS[from], REGIONS[1 - from]);
    vec![
        (EventType::Promotable, Some(from), None, String::new()),
        (EventType::Error, Some(from), Some(to), "aborted by a person".into()),
    ]
}

/// A failback away from this region was asked for there, as a dry run showed it. The id under which it waits.
async fn asked(pair: &Pair, story: &Story, from: usize) -> String {
    pair.dry_run(from).await;
    let shown = json!({ "toRegion": REGIONS[1 - from], "reason": FAILBACK });
    story.curl(pair, from, "POST", "dry-run", &shown);
    let (status, report) = said(pair, from, "dry-run", &shown);
    assert_eq!(status, 200, "{report:#}");
    let order = json!({ "requestedBy": ASKS, "confirmedFingerprint": report["planFingerprint"] });
    story.curl(pair, from, "POST", FAILBACK, &order);
    let answer = pair.give(from, FAILBACK, &order).await;
    story.answer(&answer, &["id"]);
    let id = answer["id"].as_str().expect("it waits where it was asked for").to_owned();
    let record = pair.regions.record("shop").await;
    assert_eq!([&record["pending"]["id"], &record["pending"]["to"]], [&*id, REGIONS[1 - from]], "{record:#}");
    id
}

/// Asks until that is answered: on a busy machine a copy or the record may be read again first.
async fn says(pair: &Pair, index: usize, what: &str, body: &Value, answer: (u16, Value)) {
    until(&format!("{what} to be answered {answer:?}"), async || said(pair, index, what, body) == answer).await;
}

fn said(pair: &Pair, index: usize, what: &str, body: &Value) -> (u16, Value) {
    pair.ask(index, &format!("POST /v1/continuums/shop/shop/{what}"), body)
}

async fn last_of(pair: &Pair, kind: EventType) -> EventBody {
    let told = pair.told().await;
    told.into_iter().rfind(|body| body.kind == kind).expect("it was told")
}

/// The record says so, the clients' servers do, and nothing is under way.
async fn role_is_with(pair: &Pair, index: usize) {
    let holder = pair.regions.holder("shop").await.expect("somebody holds it");
    assert!(holder.starts_with(REGIONS[index]), "{holder}");
    assert_eq!(pair.step().await, None);
    let mut writes = Vec::new();
    for server in 0..2 {
        let session = pair.regions.postgres.session(server, SUPERUSER).await.expect("it takes sessions");
        let row = session.query_one("select not pg_is_in_recovery()", &[]).await.expect("it says that");
        writes.push(row.get::<_, bool>(0));
    }
    assert_eq!(writes, [0, 1].map(|server| server == index), "who takes writes");
}

/// No copy holds an answer that the next failback would find.
async fn answers_are_taken_back(pair: &Pair) {
    for index in 0..2 {
        until("the answer to be taken back", async || {
            let copy = pair.regions.continuums(index).await.get("shop").await.expect("it is there");
            let failback = &copy.data["spec"]["failback"];
            assert_eq!(failback["approvalRequired"], true, "that is not the controller's to change");
            ["approved", "refused"].iter().all(|answer| failback[answer] != true) && failback["answered"].is_null()
        })
        .await;
    }
}
