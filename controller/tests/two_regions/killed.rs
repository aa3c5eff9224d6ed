//! kill -9 of the controller that drives, once each of the seven steps has begun, and of the audit stream's server, while two clients
//! write. Another takes its place, as a Deployment makes one. Whether the move arrives or is undone: one writer, nothing
//! lost, no event missing or told twice.

use super::REGIONS;
use super::clients::Clients;
use super::pair::Pair;
use super::process::until;
use std::time::Duration;

/// To see a move at a step. The last one may be over in a tenth of a second.
const TRIES: u32 = 5;
/// How long the audit stream's server is away.
const AWAY: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_killed_at_whichever_step_there_is_one_writer_and_nothing_is_lost() {
    let Some(mut pair) = Pair::start("killed.example.org").await else { return };
    let clients = Clients::start(&pair.regions.postgres);
    let (mut from, mut arrived) = (0, 0);
    for step in 1..=8 {
        let mut tries = 0;
        let at = loop {
            let report = pair.dry_run(from).await;
            pair.order(from, &report).await;
            if let Some(at) = pair.until_step(step.min(7)).await {
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
        if step == 8 {
            pair.regions.nats.kill();
            tokio::time::sleep(AWAY).await;
            pair.regions.nats.restart().await;
        } else {
            pair.kill(driver);
        }
        let to = pair.until_ended().await;
        println!("at step {at}: {} killed, {} -> {}", REGIONS[driver], REGIONS[from], REGIONS[to]);
        // Past the swap there is no way back but through a failure.
        assert!(to == 1 - from || at < 5, "step {at}");
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
    assert_eq!(told.iter().filter(|kind| *kind == "continuum-switchover").count(), arrived, "{told:?}");
    pair.told_each_once().await;
}
