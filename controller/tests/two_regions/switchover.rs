//! A switchover by two controllers as processes, there and back three times, while two clients write, with the witness
//! in a third place: nothing that was acknowledged is lost, no two servers take writes at once, both routes follow, and
//! the stream tells of each move once. The first way back is a failback, which is refused once before a person approves
//! it, and the second way there is aborted once. `tools/demo` shows this test.

use super::clients::Clients;
use super::consent::{self, Told};
use super::pair::{Pair, all_to};
use super::process::until;
use super::{Kept, REGIONS, Regions};
use continuum_core::audit::{EventBody, EventType};
use continuum_core::steps;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, ListParams};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// From where the role goes, to the other region.
const MOVES: [usize; 6] = [0, 1, 0, 1, 0, 1];
/// Which of them is asked for as a failback, and which is aborted at its first try.
const FAILBACK: usize = 1;
const ABORTED: usize = 2;
/// Between two looks at a move.
const LOOK: Duration = Duration::from_millis(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_role_moves_there_and_back_three_times_under_writes() {
    let story = Story(Instant::now());
    story.tell(
        "servers",
        "three kube-apiservers, a PostgreSQL pair, PowerDNS and nats-server are started, the chart installed",
    );
    let Some(regions) = Regions::kept(Kept::ThirdPlace).await else { return };
    let Some(pair) = Pair::of(regions, "shop.example.org").await else { return };
    story.tell("controllers", "one for each region, under the accounts of the chart; the pair is healthy");
    let clients = Clients::start(&pair.regions.postgres);
    story.tell("clients", "two write, each to whichever server takes it");

    consent::require(&pair).await;
    let mut done_in_vain = 0;
    for (number, from) in MOVES.into_iter().enumerate() {
        let to = REGIONS[1 - from];
        if number == ABORTED {
            done_in_vain = consent::aborted(&pair, &story, from).await;
            write_again(&clients).await;
        }
        let mut failback = None;
        if number == FAILBACK {
            consent::refused(&pair, &story, from).await;
            failback = Some(consent::approved(&pair, &story, from).await);
        } else {
            story.order(&pair, from).await;
        }
        story.follow(&pair).await;
        assert_eq!(pair.until_ended().await, 1 - from);
        let last = pair.status(1 - from).await["lastSwitchover"].clone();
        assert!(last["to"] == to && last["result"] == "Success", "{last:#}");
        let weights = [pair.weights(0).await, pair.weights(1).await];
        assert_eq!(weights, [all_to(1 - from); 2], "both routes lead to {to} alone");
        story.tell("routes", &format!("in both regions all weight is on shop-{to}"));
        pair.until_traced().await;
        story.answer(&last, &["from", "to", "result", "rtoObserved", "rpoObserved"]);
        if let Some(id) = failback {
            consent::is_carried_out(&pair, &id, from).await;
        }
        write_again(&clients).await;
        story.curl(&pair, 1 - from, "GET", "health", &Value::Null);
        let mut health = Value::Null;
        // A standby that lost its primary in the restart after the promotion asks it again only after 5 s
        // (`wal_retrieve_retry_interval`).
        until("the move to be healthy", async || {
            let (status, body) = pair.ask(1 - from, "GET /v1/continuums/shop/shop/health", &Value::Null);
            health = body;
            status == 200 && health["overallHealthy"] == true
        })
        .await;
        story.answer(&health, &["overallHealthy"]);
    }

    let truth = clients.end().await;
    assert_eq!(truth.lost(&pair.regions.postgres, 0).await, Vec::new(), "of {}", truth.acknowledged.len());
    let (count, gap) = (truth.acknowledged.len(), truth.gap.as_secs_f64());
    story.tell("writes", &format!("{count} acknowledged, none lost; the longest time without one was {gap:.1} s"));
    every_event_is_told(&pair, &story).await;
    for index in 0..2 {
        let leases: Api<Lease> = Api::namespaced(pair.regions.client(index).await, "leases");
        let found = leases.list(&ListParams::default()).await.expect("leases can be listed").items;
        assert!(found.is_empty(), "the witness is the third place alone: {found:?}");
    }
    for index in 0..2 {
        let told = pair.regions.events(index, "shop").await;
        let count = |reason: &str| told.iter().filter(|(told, _)| told == reason).count();
        let steps: BTreeSet<&str> =
            told.iter().filter(|(reason, _)| reason == "SwitchoverStepDone").map(|(_, note)| note.as_str()).collect();
        let ended = [count("SwitchoverSucceeded"), count("SwitchoverUndone")];
        assert_eq!((count("SwitchoverStarted"), ended), (MOVES.len() + 1, [MOVES.len(), 1]), "{told:?}");
        // Of the move that was aborted, a region tells of the steps that it saw before it saw that.
        let done = 7 * MOVES.len()..=7 * MOVES.len() + done_in_vain;
        assert!(done.contains(&count("SwitchoverStepDone")) && steps.len() == 7, "{done:?}: {told:?}");
    }
}

async fn write_again(clients: &Clients) {
    let before = clients.acknowledged();
    until("clients to write again", async || clients.acknowledged() > before).await;
}

/// The stream has the events of all moves, each once, and no others but those that nobody can foretell.
async fn every_event_is_told(pair: &Pair, story: &Story) {
    for index in 0..2 {
        until("every event to be told", async || pair.status(index).await["eventsOwed"] == 0).await;
    }
    let all = pair.told().await;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    all.iter().for_each(|body| *counts.entry(body.kind.as_str()).or_default() += 1);
    let counts: Vec<String> = counts.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    story.tell("events", &counts.join(", "));

    let mut wanted: Vec<Told> = vec![(EventType::CrCreated, None, Some(REGIONS[0]), String::new()); 2];
    let acquired = |generation: usize, holder: &'static str| {
        let message = format!("acquired lease for region \"{holder}\" (gen {generation})");
        (EventType::LeaseAcquired, None, Some(holder), message)
    };
    wanted.push(acquired(1, REGIONS[0]));
    for (number, index) in (1..).zip(MOVES) {
        let (from, to) = (REGIONS[index], REGIONS[1 - index]);
        wanted.push((EventType::Promotable, Some(from), None, String::new()));
        wanted.push(acquired(number + 1, to));
        wanted.push((EventType::Switchover, Some(from), Some(to), String::new()));
    }
    wanted.extend(consent::events_of_failbacks(MOVES[FAILBACK]));
    wanted.extend(consent::events_of_the_aborted(MOVES[ABORTED]));
    let told = all.iter().filter(|body| !depends_on_timing(body)).map(|body| {
        let [from, to] = [&body.from_primary, &body.to_primary].map(|region| region.as_ref().map(|one| one.as_str()));
        // Of these type and regions say it all.
        let plain = [EventType::CrCreated, EventType::Promotable, EventType::Switchover].contains(&body.kind);
        (body.kind, from, to, if plain { String::new() } else { body.message.clone() })
    });
    let mut told: Vec<_> = told.collect();
    told.sort();
    wanted.sort();
    assert_eq!(told, wanted, "{all:#?}");
    pair.told_each_once().await;
}

/// Whether an event, or how often it comes, follows from what a look on this machine happens to see.
fn depends_on_timing(body: &EventBody) -> bool {
    match body.kind {
        // At each return to health: a standby that is late in connecting again makes one more.
        EventType::ReconcileSuccess => true,
        // A slow machine misses the objective; and an order is refused, and given again, where one look saw too little.
        EventType::Error => body.reason == "rto-missed" || body.reason == "step-failed" && body.from_primary.is_none(),
        _ => false,
    }
}

/// What a person who watches is told.
pub struct Story(Instant);

impl Story {
    pub fn tell(&self, what: &str, text: &str) {
        println!("{:>8.1} s  {what:<12} {text}", self.0.elapsed().as_secs_f64());
    }

    /// The call that follows, as one would make it by hand.
    pub fn curl(&self, pair: &Pair, index: usize, verb: &str, what: &str, body: &Value) {
        let data = if body.is_null() { String::new() } else { format!(" -d '{body}'") };
        let headers = "-H 'X-Catalyst-Owner-Tier: true' -H \"Authorization: Bearer $TOKEN\"";
        let url = format!("{}/v1/continuums/shop/shop/{what}", pair.processes[index].api());
        self.tell("call", &format!("curl -X {verb} {headers}{data} {url}"));
    }

    pub fn answer(&self, answer: &Value, fields: &[&str]) {
        let said: Vec<String> = fields.iter().map(|field| format!("{field}: {}", answer[field])).collect();
        self.tell("answer", &said.join(", "));
    }

    /// Orders the move away from this region, as a dry run shows it. The answer.
    pub async fn order(&self, pair: &Pair, from: usize) -> Value {
        let to = REGIONS[1 - from];
        self.curl(pair, from, "POST", "dry-run", &json!({ "toRegion": to }));
        let report = pair.dry_run(from).await;
        let warnings = report["warnings"].to_string();
        assert!(!warnings.contains("the witness stands in"), "{warnings}");
        self.answer(&report, &["estimatedDurationSeconds", "estimatedWriteDisruptionSeconds", "planFingerprint"]);
        let order = json!({ "toRegion": to, "confirmedFingerprint": report["planFingerprint"] });
        self.curl(pair, from, "POST", "switchover", &order);
        pair.order(from, &report).await
    }

    /// Tells each step that was begun, as the record shows it.
    async fn follow(&self, pair: &Pair) {
        let mut told = 0;
        loop {
            let begun = pair.step().await;
            for number in told + 1..=begun.unwrap_or_default() {
                self.tell("step", &format!("{number}/7 {}", steps::name(number as u8)));
            }
            told = told.max(begun.unwrap_or_default());
            if told > 0 && begun.is_none() {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}
