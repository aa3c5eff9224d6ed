//! A switchover by two controllers as processes, there and back, while two clients write: nothing that was acknowledged is
//! lost, no two servers take writes at once, and the stream tells of each move once. `tools/demo` shows this test.

use super::REGIONS;
use super::clients::Clients;
use super::pair::Pair;
use super::process::until;
use continuum_core::steps;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

/// From where the role goes, to the other region.
const MOVES: [usize; 2] = [0, 1];
/// Between two looks at a move.
const LOOK: Duration = Duration::from_millis(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_role_moves_there_and_back_under_writes() {
    let story = Story(Instant::now());
    story.tell(
        "servers",
        "two kube-apiservers, a PostgreSQL pair, PowerDNS and nats-server are started, the chart installed",
    );
    let Some(pair) = Pair::start("shop.example.org").await else { return };
    story.tell("controllers", "one for each region, under the accounts of the chart; the pair is healthy");
    let clients = Clients::start(&pair.regions.postgres);
    story.tell("clients", "two write, each to whichever server takes it");

    for from in MOVES {
        let to = REGIONS[1 - from];
        story.curl(&pair, from, "POST", "dry-run", &json!({ "toRegion": to }));
        let report = pair.dry_run(from).await;
        story.answer(&report, &["estimatedDurationSeconds", "estimatedWriteDisruptionSeconds", "planFingerprint"]);
        let order = json!({ "toRegion": to, "confirmedFingerprint": report["planFingerprint"] });
        story.curl(&pair, from, "POST", "switchover", &order);
        pair.order(from, &report).await;
        story.follow(&pair).await;
        assert_eq!(pair.until_ended().await, 1 - from);
        let last = pair.status(1 - from).await["lastSwitchover"].clone();
        assert!(last["to"] == to && last["result"] == "Success", "{last:#}");
        pair.until_traced().await;
        story.answer(&last, &["from", "to", "result", "rtoObserved", "rpoObserved"]);
        let by_its_end = clients.acknowledged();
        until("clients to write again", async || clients.acknowledged() > by_its_end).await;
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
    let told = pair.regions.nats.types().await;
    story.tell("events", &told.join(", "));
    assert_eq!(told.iter().filter(|kind| *kind == "continuum-switchover").count(), MOVES.len(), "{told:?}");
    for index in 0..2 {
        let told = pair.regions.events(index, "shop").await;
        let count = |reason: &str| told.iter().filter(|(told, _)| told == reason).count();
        let steps: BTreeSet<&str> =
            told.iter().filter(|(reason, _)| reason == "SwitchoverStepDone").map(|(_, note)| note.as_str()).collect();
        assert_eq!((count("SwitchoverStarted"), count("SwitchoverSucceeded")), (MOVES.len(), MOVES.len()), "{told:?}");
        assert_eq!((count("SwitchoverStepDone"), steps.len()), (7 * MOVES.len(), 7), "{told:?}");
    }
    pair.told_each_once().await;
}

/// What a person who watches is told.
struct Story(Instant);

impl Story {
    fn tell(&self, what: &str, text: &str) {
        println!("{:>8.1} s  {what:<12} {text}", self.0.elapsed().as_secs_f64());
    }

    /// The call that follows, as one would make it by hand.
    fn curl(&self, pair: &Pair, index: usize, verb: &str, what: &str, body: &Value) {
        let data = if body.is_null() { String::new() } else { format!(" -d '{body}'") };
        let headers = "-H 'X-Catalyst-Owner-Tier: true' -H \"Authorization: Bearer $TOKEN\"";
        let url = format!("{}/v1/continuums/shop/shop/{what}", pair.processes[index].api());
        self.tell("call", &format!("curl -X {verb} {headers}{data} {url}"));
    }

    fn answer(&self, answer: &Value, fields: &[&str]) {
        let said: Vec<String> = fields.iter().map(|field| format!("{field}: {}", answer[field])).collect();
        self.tell("answer", &said.join(", "));
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
