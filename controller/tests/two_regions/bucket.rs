//! The witness in a NATS bucket: the role moves there and back under writes, and in the move back the server of witness and audit
//! stream is killed, which the term outlasts.

use super::clients::Clients;
use super::pair::Pair;
use super::process::until;
use super::{Kept, REGIONS, Regions};
use std::time::Duration;

/// How long the server is away: less than a term.
const AWAY: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_role_moves_there_and_back_with_the_witness_in_a_bucket_whose_server_is_killed() {
    let Some(regions) = Regions::kept(Kept::Bucket("leases")).await else { return };
    let Some(pair) = Pair::of(regions, "bucket.example.org").await else { return };
    assert!(pair.regions.lease("shop").await.is_none(), "nobody keeps another register");
    let clients = Clients::start(&pair.regions.postgres);
    for from in [0, 1] {
        let report = pair.dry_run(from).await;
        let warnings = report["warnings"].to_string();
        assert!(warnings.contains("bucket leases has 1 of 3 replicas"), "{warnings}");
        pair.order(from, &report).await;
        if from == 1 {
            pair.until_step(2).await.expect("a demotion takes longer than a look");
            pair.regions.nats.kill();
            tokio::time::sleep(AWAY).await;
            pair.regions.nats.restart().await;
        }
        assert_eq!(pair.until_ended().await, 1 - from);
        let last = pair.status(1 - from).await["lastSwitchover"].clone();
        assert!(last["to"] == REGIONS[1 - from] && last["result"] == "Success", "{last:#}");
        let by_its_end = clients.acknowledged();
        until("clients to write again", async || clients.acknowledged() > by_its_end).await;
    }
    let truth = clients.end().await;
    assert_eq!(truth.lost(&pair.regions.postgres, 0).await, Vec::new(), "of {}", truth.acknowledged.len());
    until("every event to be told", async || pair.status(0).await["eventsOwed"] == 0).await;
    let told = pair.regions.nats.types().await;
    assert_eq!(told.iter().filter(|kind| *kind == "continuum-switchover").count(), 2, "{told:?}");
    pair.told_each_once().await;
}
