//! The witness `k8s-lease`: a register with compare-and-set, and core's transitions through it.

use crate::bed::{Bed, fsn, hel};
use continuum_core::name::Region;
use continuum_core::ports::{ActOnWitness, Cas, ObserveWitness, Version};
use continuum_core::record::{Lineage, Record};
use continuum_core::transition::{self, Edit};
use continuum_live::clock::SystemClock;
use continuum_live::kube_api::KubeApi;
use continuum_live::witness_lease::LeaseWitness;
use serde_json::json;
use std::sync::Arc;

const TTL: u32 = 30;

/// The witness of the Continuum `name` behind any API server.
pub fn witness_over(bed: &Bed, api: KubeApi, name: &str) -> LeaseWitness {
    LeaseWitness::new(api, &bed.namespace, &bed.object(name), None, Arc::new(SystemClock::new()))
}

fn witness(bed: &Bed) -> LeaseWitness {
    witness_over(bed, bed.witness_api(), "shop")
}

/// The path of its Lease.
fn lease(bed: &Bed) -> String {
    format!("leases/{}.shop", bed.namespace)
}

fn held_by(region: &Region, generation: u64) -> Record {
    let mut record = Record::free(TTL);
    record.holder = Some(region.clone());
    record.generation = generation;
    record
}

async fn read(witness: &LeaseWitness) -> (Version, Record) {
    let (version, record) = witness.read().await.expect("the server answers");
    (version, record.expect("there is a record"))
}

async fn write(witness: &LeaseWitness, expected: &Version, record: &Record) -> Version {
    match witness.compare_and_set(expected, record).await {
        Cas::Done(version) => version,
        other => panic!("{other:?}"),
    }
}

/// Puts a transition to the register, as the keeper does.
async fn apply(witness: &LeaseWitness, edit: impl Fn(&Record) -> Edit) -> Edit {
    let (version, record) = witness.read().await.expect("the server answers");
    let edit = edit(&record.unwrap_or_else(|| Record::free(TTL)));
    if let Edit::Write(next) = &edit {
        write(witness, &version, next).await;
    }
    edit
}

async fn acquire(witness: &LeaseWitness, me: &Region) -> Edit {
    apply(witness, |record| transition::acquire(record, me, TTL, Some(1), None)).await
}

pub async fn nothing_is_read_where_nobody_wrote(bed: Bed) {
    assert_eq!(witness(&bed).read().await, Ok((Version(None), None)));
}

pub async fn a_register_is_created_once(bed: Bed) {
    let witness = witness(&bed);
    let version = write(&witness, &Version(None), &held_by(&fsn(), 1)).await;
    assert_eq!(read(&witness).await, (version.clone(), held_by(&fsn(), 1)));
    assert_eq!(witness.compare_and_set(&Version(None), &held_by(&hel(), 1)).await, Cas::Conflict);
    assert_eq!(read(&witness).await, (version, held_by(&fsn(), 1)));
    let lease = bed.read(&lease(&bed)).await;
    assert_eq!(lease["spec"]["holderIdentity"], "fsn");
    assert_eq!((&lease["spec"]["leaseTransitions"], &lease["spec"]["leaseDurationSeconds"]), (&json!(1), &json!(TTL)));
}

pub async fn a_write_to_another_version_is_a_conflict(bed: Bed) {
    let witness = witness(&bed);
    let first = write(&witness, &Version(None), &held_by(&fsn(), 1)).await;
    let second = write(&witness, &first, &held_by(&hel(), 2)).await;
    assert_ne!(first, second);
    assert_eq!(witness.compare_and_set(&first, &held_by(&fsn(), 3)).await, Cas::Conflict);
    assert_eq!(read(&witness).await, (second, held_by(&hel(), 2)));
}

pub async fn of_two_writers_one_wins(bed: Bed) {
    let (one, other) = (witness(&bed), witness(&bed));
    let mut version = Version(None);
    for generation in 1..=5 {
        let (mine, theirs) = (held_by(&fsn(), generation), held_by(&hel(), generation));
        let outcomes =
            futures_util::future::join(one.compare_and_set(&version, &mine), other.compare_and_set(&version, &theirs));
        let (winner, won) = match outcomes.await {
            (Cas::Done(version), Cas::Conflict) => (mine, version),
            (Cas::Conflict, Cas::Done(version)) => (theirs, version),
            outcomes => panic!("{outcomes:?}"),
        };
        assert_eq!(read(&one).await, (won.clone(), winner));
        version = won;
    }
}

pub async fn a_register_that_was_deleted_does_not_come_back(bed: Bed) {
    let witness = witness(&bed);
    let version = write(&witness, &Version(None), &held_by(&fsn(), 4)).await;
    bed.delete(&lease(&bed)).await;
    assert_eq!(witness.compare_and_set(&version, &held_by(&fsn(), 4)).await, Cas::Conflict);
    assert!(!bed.is_there(&lease(&bed)).await);
    assert_eq!(witness.read().await, Ok((Version(None), None)));
    // One that was made anew is another, whatever it says.
    write(&witness, &Version(None), &held_by(&fsn(), 4)).await;
    assert_eq!(witness.compare_and_set(&version, &held_by(&fsn(), 5)).await, Cas::Conflict);
}

pub async fn unknown_fields_are_kept(bed: Bed) {
    let witness = witness(&bed);
    let mut record = held_by(&fsn(), 1);
    record.extra.insert("ofTomorrow".into(), json!({"kept": [1, 2]}));
    write(&witness, &Version(None), &record).await;
    bed.patch(&lease(&bed), json!({"metadata": {"labels": {"of": "others"}, "annotations": {"of": "others"}}})).await;
    apply(&witness, |record| transition::renew(record, &fsn(), TTL, None)).await;
    let (_, renewed) = read(&witness).await;
    assert_eq!((renewed.renewal, &renewed.extra), (1, &record.extra));
    let lease = bed.read(&lease(&bed)).await;
    assert_eq!(
        (&lease["metadata"]["labels"]["of"], &lease["metadata"]["annotations"]["of"]),
        (&json!("others"), &json!("others"))
    );
}

pub async fn registers_stand_apart(bed: Bed) {
    let (shop, blog) = (witness(&bed), witness_over(&bed, bed.witness_api(), "blog"));
    write(&shop, &Version(None), &held_by(&fsn(), 1)).await;
    assert_eq!(blog.read().await, Ok((Version(None), None)));
    write(&blog, &Version(None), &held_by(&hel(), 7)).await;
    assert_eq!(read(&shop).await.1, held_by(&fsn(), 1));
    assert_eq!(read(&blog).await.1, held_by(&hel(), 7));
}

pub async fn a_lease_made_beforehand_is_taken_into_use(bed: Bed) {
    let empty = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                       "metadata": {"name": format!("{}.shop", bed.namespace)}, "spec": {}});
    bed.create("leases", empty).await;
    let witness = witness(&bed);
    let (version, record) = witness.read().await.expect("the server answers");
    assert_eq!(record, None);
    write(&witness, &version, &held_by(&fsn(), 1)).await;
    assert_eq!(read(&witness).await.1, held_by(&fsn(), 1));
}

pub async fn a_lease_of_another_tool_is_left_alone(bed: Bed) {
    let foreign = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                         "metadata": {"name": format!("{}.shop", bed.namespace)},
                         "spec": {"holderIdentity": "pod-7", "leaseDurationSeconds": 15}});
    bed.create("leases", foreign).await;
    assert!(witness(&bed).read().await.is_err());
}

pub async fn a_free_record_is_acquired_and_a_held_one_is_not(bed: Bed) {
    let witness = witness(&bed);
    assert!(matches!(acquire(&witness, &fsn()).await, Edit::Write(_)));
    let (version, record) = read(&witness).await;
    assert_eq!((record.holder.clone(), record.generation), (Some(fsn()), 1));
    assert_eq!(record.lineage, Lineage::Of { region: fsn(), timeline: 1 });
    assert_eq!(acquire(&witness, &fsn()).await, Edit::Already);
    assert!(matches!(acquire(&witness, &hel()).await, Edit::Stale(_)));
    assert_eq!(read(&witness).await, (version, record));
}

pub async fn the_holder_alone_renews(bed: Bed) {
    let witness = witness(&bed);
    acquire(&witness, &fsn()).await;
    let (first, before) = read(&witness).await;
    let renew = async |me: Region| apply(&witness, |record| transition::renew(record, &me, TTL, None)).await;
    assert!(matches!(renew(fsn()).await, Edit::Write(_)));
    let (second, after) = read(&witness).await;
    assert_ne!(first, second);
    assert_eq!((after.renewal, after.generation), (before.renewal + 1, before.generation));
    assert!(bed.read(&lease(&bed)).await["spec"]["renewTime"].is_string());
    assert!(matches!(renew(hel()).await, Edit::Stale(_)));
    assert_eq!(read(&witness).await, (second, after));
}

pub async fn a_release_frees_it_once_and_by_the_holder_alone(bed: Bed) {
    let witness = witness(&bed);
    acquire(&witness, &fsn()).await;
    let release = async |me: Region| apply(&witness, |record| transition::release(record, &me)).await;
    assert_eq!(release(hel()).await, Edit::Already);
    assert_eq!(read(&witness).await.1.holder, Some(fsn()));
    assert!(matches!(release(fsn()).await, Edit::Write(_)));
    let (version, freed) = read(&witness).await;
    assert_eq!(freed.holder, None);
    assert_eq!(bed.read(&lease(&bed)).await["spec"].get("holderIdentity"), None);
    assert_eq!(release(fsn()).await, Edit::Already);
    assert_eq!(read(&witness).await, (version, freed));
}

pub async fn the_generation_grows_at_every_change_of_holder_alone(bed: Bed) {
    let witness = witness(&bed);
    let mut generations = Vec::new();
    for me in [fsn(), hel(), fsn()] {
        acquire(&witness, &me).await;
        generations.push(read(&witness).await.1.generation);
        apply(&witness, |record| transition::renew(record, &me, TTL, None)).await;
        assert_eq!(Some(&read(&witness).await.1.generation), generations.last());
        apply(&witness, |record| transition::release(record, &me)).await;
        generations.push(read(&witness).await.1.generation);
    }
    assert_eq!(generations, [1, 2, 3, 4, 5, 6]);
}
