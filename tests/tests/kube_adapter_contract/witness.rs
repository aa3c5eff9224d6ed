//! The witness `k8s-lease`: what every witness promises, and how a Lease shows it.

use crate::bed::{Bed, fsn, hel};
use continuum_core::ports::{ObserveWitness, Version};
use continuum_core::transition;
use continuum_live::clock::SystemClock;
use continuum_live::kube_api::KubeApi;
use continuum_live::witness_lease::LeaseWitness;
use continuum_tests::register::{self, TTL, held_by, read, write};
use serde_json::{Value, json};
use std::sync::Arc;

/// The witness of the Continuum `name` behind any API server.
pub fn witness_over(bed: &Bed, api: KubeApi, name: &str) -> LeaseWitness {
    LeaseWitness::new(api, &bed.namespace, &bed.object(name), None, Arc::new(SystemClock::new()))
}

fn witness(bed: &Bed) -> LeaseWitness {
    witness_over(bed, bed.witness_api(), "shop")
}

/// The path of its Lease.
fn path(bed: &Bed) -> String {
    format!("leases/{}.shop", bed.namespace)
}

async fn lease(bed: &Bed) -> Value {
    bed.read(&path(bed)).await
}

pub async fn nothing_is_read_where_nobody_wrote(bed: Bed) {
    register::nothing_is_read_where_nobody_wrote(&witness(&bed)).await;
}

pub async fn a_register_is_created_once(bed: Bed) {
    register::a_register_is_created_once(&witness(&bed)).await;
    let spec = &lease(&bed).await["spec"];
    assert_eq!(spec["holderIdentity"], "fsn");
    assert_eq!((&spec["leaseTransitions"], &spec["leaseDurationSeconds"]), (&json!(1), &json!(TTL)));
}

pub async fn a_write_to_another_version_is_a_conflict(bed: Bed) {
    register::a_write_to_another_version_is_a_conflict(&witness(&bed)).await;
}

pub async fn of_two_writers_one_wins(bed: Bed) {
    register::of_two_writers_one_wins(&witness(&bed), &witness(&bed)).await;
}

pub async fn a_register_that_was_deleted_does_not_come_back(bed: Bed) {
    register::a_register_that_was_deleted_does_not_come_back(&witness(&bed), async || {
        bed.delete(&path(&bed)).await;
        assert!(!bed.is_there(&path(&bed)).await);
        assert_eq!(witness(&bed).read().await, Ok((Version(None), None)));
    })
    .await;
}

pub async fn unknown_fields_are_kept(bed: Bed) {
    register::unknown_fields_are_kept(&witness(&bed)).await;
    let of_others = json!({"metadata": {"labels": {"of": "others"}, "annotations": {"of": "others"}}});
    bed.patch(&path(&bed), of_others).await;
    register::apply(&witness(&bed), |record| transition::renew(record, &fsn(), TTL, None)).await;
    let metadata = &lease(&bed).await["metadata"];
    assert_eq!((&metadata["labels"]["of"], &metadata["annotations"]["of"]), (&json!("others"), &json!("others")));
}

pub async fn registers_stand_apart(bed: Bed) {
    let blog = witness_over(&bed, bed.witness_api(), "blog");
    register::registers_stand_apart(&witness(&bed), &blog).await;
}

pub async fn a_lease_made_beforehand_is_taken_into_use(bed: Bed) {
    let empty = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                       "metadata": {"name": format!("{}.shop", bed.namespace)}, "spec": {}});
    bed.create("leases", empty).await;
    let witness = witness(&bed);
    let (version, record) = witness.read().await.expect("the server answers");
    assert_eq!(record, None);
    write(&witness, &version, &held_by(&hel(), 1)).await;
    assert_eq!(read(&witness).await.1, held_by(&hel(), 1));
}

pub async fn a_lease_of_another_tool_is_left_alone(bed: Bed) {
    let foreign = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                         "metadata": {"name": format!("{}.shop", bed.namespace)},
                         "spec": {"holderIdentity": "pod-7", "leaseDurationSeconds": 15}});
    bed.create("leases", foreign).await;
    assert!(witness(&bed).read().await.is_err());
}

pub async fn a_free_record_is_acquired_and_a_held_one_is_not(bed: Bed) {
    register::a_free_record_is_acquired_and_a_held_one_is_not(&witness(&bed)).await;
}

pub async fn the_holder_alone_renews(bed: Bed) {
    register::the_holder_alone_renews(&witness(&bed)).await;
    assert!(lease(&bed).await["spec"]["renewTime"].is_string());
}

pub async fn a_release_frees_it_once_and_by_the_holder_alone(bed: Bed) {
    register::a_release_frees_it_once_and_by_the_holder_alone(&witness(&bed)).await;
    assert_eq!(lease(&bed).await["spec"].get("holderIdentity"), None);
}

pub async fn the_generation_grows_at_every_change_of_holder_alone(bed: Bed) {
    register::the_generation_grows_at_every_change_of_holder_alone(&witness(&bed)).await;
}
