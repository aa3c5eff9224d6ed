//! kill -9 of the controller that drives, once each of the seven steps has begun, and in mid-move of the servers that a move
//! needs: each region's API server (the first holds the witness too), that of the records, and that of the audit stream.
//! Before the lease passes and after it, the controller that drives is also told to end, as at a rollout. Two clients
//! write meanwhile. Another controller takes its place, as a Deployment makes one; a server is back after 3 s.
//! Whether the move arrives or is undone: one writer, nothing lost, no event missing or told twice.

use super::REGIONS;
use super::clients::Clients;
use super::pair::Pair;
use super::process::until;
use serde_json::Value;
use std::time::Duration;

/// To see a move at a step. The last one may be over in a tenth of a second.
const TRIES: u32 = 5;
/// How long a server is away.
const AWAY: Duration = Duration::from_secs(3);

/// What is killed.
#[derive(Clone, Copy, Debug)]
enum Victim {
    /// The controller of the region that holds the lease.
    Driver,
    /// The same, which is not killed but told to end.
    Told,
    /// The API server of this region of [`REGIONS`].
    ApiServer(usize),
    /// The server of the records.
    Records,
    /// The server of the audit stream.
    Audit,
}

/// What, and once which step has begun.
const STRIKES: [(usize, Victim); 15] = [
    (1, Victim::Driver),
    (2, Victim::Driver),
    (3, Victim::Driver),
    (4, Victim::Driver),
    (5, Victim::Driver),
    (6, Victim::Driver),
    (7, Victim::Driver),
    (3, Victim::Told),
    (6, Victim::Told),
    (2, Victim::ApiServer(0)),
    (2, Victim::ApiServer(1)),
    (6, Victim::ApiServer(0)),
    (6, Victim::ApiServer(1)),
    (4, Victim::Records),
    (7, Victim::Audit),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_killed_at_whichever_step_there_is_one_writer_and_nothing_is_lost() {
    let Some(mut pair) = Pair::start("killed.example.org").await else { return };
    let clients = Clients::start(&pair.regions.postgres);
    let (mut from, mut ordered, mut arrived, mut went) = (0, 0, 0, 0);
    for (step, victim) in STRIKES {
        let mut tries = 0;
        let at = loop {
            let report = pair.dry_run(from).await;
            pair.order(from, &report).await;
            ordered += 1;
            if let Some(at) = pair.until_step(step).await {
                break at;
            }
            // It ended between two looks: back, and once more.
            let to = pair.until_ended().await;
            arrived += usize::from(to != from);
            (from, tries) = (to, tries + 1);
            assert!(tries < TRIES, "step {step} was never seen");
        };
        let holder = pair.regions.holder("shop").await.expect("somebody holds it");
        let driver = usize::from(holder.starts_with(REGIONS[1]));
        let (mut killed, mut handed_on) = (true, None);
        match victim {
            Victim::Driver => pair.kill(driver),
            Victim::Told => handed_on = pair.replace(driver).await,
            Victim::ApiServer(region) => pair.regions.servers[region].die_for(AWAY).await,
            Victim::Records => killed = pair.records_away_for(AWAY).await,
            Victim::Audit => {
                pair.regions.nats.kill();
                tokio::time::sleep(AWAY).await;
                pair.regions.nats.restart().await;
            }
        }
        let to = pair.until_ended().await;
        pair.until_traced().await;
        let what = match (&handed_on, killed) {
            (Some(_), _) => "to end",
            (None, true) if matches!(victim, Victim::Told) => "to end, when the move had ended",
            (None, true) => "killed",
            (None, false) => "left alone",
        };
        println!("at step {at}: {victim:?} {what}, {} -> {}", REGIONS[from], REGIONS[to]);
        // Past the swap there is no way back but through a failure.
        assert!(to == 1 - from || at < 5, "step {at}");
        // What a busy machine takes back is no work of the driver's end.
        if let Some(intent) = handed_on.filter(|_| to != from) {
            went_on(&intent, &pair.regions.record("shop").await["last"]);
            went += 1;
        }
        arrived += usize::from(to != from);
        from = to;
        let by_its_end = clients.acknowledged();
        until("clients to write again", async || clients.acknowledged() > by_its_end).await;
    }
    let truth = clients.end().await;
    assert_eq!(truth.lost(&pair.regions.postgres, from).await, Vec::new(), "of {}", truth.acknowledged.len());
    println!("{} acknowledged, none lost; longest without one {:?}", truth.acknowledged.len(), truth.gap);
    until("every event to be told", async || pair.status(from).await["eventsOwed"] == 0).await;
    let told = pair.regions.nats.types().await;
    let count = |wanted: &str| told.iter().filter(|kind| *kind == wanted).count();
    assert_eq!(count("continuum-switchover"), arrived, "{told:?}");
    // Once for each move at most: a body says of which region it is, and not of which move.
    assert!(count("continuum-cnpg-promotable") <= ordered, "{ordered} moves: {told:?}");
    assert!(went > 0, "no move was handed on by a driver that was told to end");
    pair.told_each_once().await;
}

/// The move that this intent was of arrived, and no step that had begun then was begun anew.
fn went_on(intent: &Value, last: &Value) {
    assert_eq!((&last["id"], last["result"].as_str()), (&intent["id"], Some("succeeded")), "{last:#}");
    let steps = |of: &Value| of["steps"].as_array().cloned().expect("a move has steps");
    for (number, (before, after)) in (1..).zip(steps(intent).iter().zip(&steps(last))) {
        assert!(before["startedAt"].is_null() || before["startedAt"] == after["startedAt"], "step {number}: {last:#}");
    }
}
