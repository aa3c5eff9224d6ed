//! A Continuum that is deleted in both regions in mid-move: the move is driven to its end, and then it goes.

use super::REGIONS;
use super::clients::Clients;
use super::pair::Pair;
use super::process::until;
use kube::api::DeleteParams;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_continuum_that_is_deleted_in_mid_move_goes_once_the_move_has_ended() {
    let Some(pair) = Pair::start("deleted.example.org").await else { return };
    let clients = Clients::start(&pair.regions.postgres);
    assert_eq!(pair.regions.finalizers(0).await, Some(vec![]), "nothing holds one that is at rest");
    let report = pair.dry_run(0).await;
    pair.order(0, &report).await;
    let step = pair.until_step(3).await.expect("the move is seen under way");
    for index in 0..2 {
        until("the copy to be held", async || pair.regions.finalizers(index).await.is_some_and(|all| !all.is_empty()))
            .await;
        let continuums = pair.regions.continuums(index).await;
        continuums.delete("shop", &DeleteParams::default()).await.expect("it may be deleted");
    }
    println!("deleted at step {step}");
    for index in 0..2 {
        until("the copy to go", async || pair.regions.finalizers(index).await.is_none()).await;
    }
    let record = pair.regions.record("shop").await;
    assert!(record["intent"].is_null() && record["last"]["result"] == "succeeded", "{record:#}");
    let holder = pair.regions.holder("shop").await.expect("the lease is nobody's to give back");
    assert!(holder.starts_with(REGIONS[1]), "{holder}");
    let truth = clients.end().await;
    assert_eq!(truth.lost(&pair.regions.postgres, 1).await, Vec::new(), "of {}", truth.acknowledged.len());
    for process in &pair.processes {
        assert!(!process.log().contains("panicked"), "{}", process.log());
    }
}
