//! One region's copy of the Continuum.

use crate::bed::{Bed, fsn, hel, version};
use continuum_core::next::FINALIZER;
use continuum_core::observe::{CopyView, Seen, SeenRecord};
use continuum_core::ports::{ActOnCopy, ObserveCopies, Outcome};
use continuum_live::copies::{KubeCopies, OwnCopy};
use serde_json::{Value, json};

/// A whole Continuum: with every default, since only a real server fills them in.
pub fn continuum() -> Value {
    json!({
        "apiVersion": "dr.openova.io/v1", "kind": "Continuum", "metadata": {"name": "shop"},
        "spec": {
            "applicationRef": "shop", "primaryRegion": "fsn", "hotStandbyRegions": ["hel"],
            "rto": "60s", "rpo": "30s", "autoFailover": false,
            "leaseClient": {"kind": "k8s-lease"},
            "luaRecord": {"hostnames": ["shop.example.org"], "selector": "ifurlup", "ttl": 30},
            "regions": [{"name": "fsn", "lbIPs": ["10.1.0.1"]}, {"name": "hel", "lbIPs": ["10.2.0.1"]}],
            "cnpgPair": {"name": "shop"}, "httpRoute": {"name": "shop"}
        }
    })
}

async fn look(bed: &Bed) -> CopyView {
    match KubeCopies::new(bed.regions(), bed.object("shop")).copy(&fsn()).await {
        Seen::Is(view) => view,
        other => panic!("{other:?}"),
    }
}

fn own(bed: &Bed) -> OwnCopy {
    OwnCopy::new(&bed.regions(), fsn(), bed.object("shop"))
}

pub async fn a_copy_is_read_with_its_spec_and_status(bed: Bed) {
    let object = bed.create("continuums", continuum()).await;
    let seen = look(&bed).await;
    assert_eq!((seen.resource_version.as_str(), seen.generation), (version(&object), 1));
    assert_eq!(Some(seen.uid.as_str()), object["metadata"]["uid"].as_str());
    assert_eq!((seen.seen, seen.status), (None, Value::Null.into()));
    let spec = seen.spec.expect("a valid spec");
    assert_eq!((spec.primary.clone(), spec.standbys.clone()), (fsn(), vec![hel()]));
    assert_eq!(spec.pair, Some(bed.object("shop")));
}

pub async fn a_spec_is_patched_where_its_version_stands(bed: Bed) {
    bed.create("continuums", continuum()).await;
    let (seen, copy) = (look(&bed).await, own(&bed));
    let patch = json!({"primaryRegion": "hel", "hotStandbyRegions": ["fsn"]});
    assert_eq!(copy.patch_spec(&seen.resource_version, &patch).await, Outcome::Done(()));
    let after = look(&bed).await;
    assert_eq!((after.generation, after.spec.map(|spec| spec.primary.clone())), (2, Ok(hel())));
    assert_eq!(after.agreement_hash, seen.agreement_hash, "copies may differ in this");
    let stale = copy.patch_spec(&seen.resource_version, &json!({"rto": "90s"})).await;
    assert!(matches!(stale, Outcome::NotApplied(_)), "{stale:?}");
    assert_eq!(look(&bed).await.resource_version, after.resource_version);
}

pub async fn a_status_is_patched_field_by_field(bed: Bed) {
    bed.create("continuums", continuum()).await;
    let (copy, before) = (own(&bed), look(&bed).await);
    let first = json!({"phase": "Healthy", "leaseHolder": "fsn", "replicationLagSeconds": 2});
    assert_eq!(copy.patch_status(&first).await, Outcome::Done(()));
    let second = json!({"replicationLagSeconds": null, "seen": {"renewal": 7, "intent": "shop/shop/3.1", "beat": 2}});
    assert_eq!(copy.patch_status(&second).await, Outcome::Done(()));
    let after = look(&bed).await;
    let status = after.status.read();
    assert_eq!((&status["phase"], status.get("replicationLagSeconds")), (&json!("Healthy"), None));
    let seen = SeenRecord { renewal: 7, intent: Some("shop/shop/3.1".into()), beat: 2 };
    assert_eq!((after.seen, after.generation, &after.spec), (Some(seen), 1, &before.spec));
    assert_ne!(after.resource_version, before.resource_version);
}

pub async fn a_copy_that_is_held_outlasts_its_deletion(bed: Bed) {
    bed.create("continuums", continuum()).await;
    let (seen, copy) = (look(&bed).await, own(&bed));
    assert_eq!((&seen.finalizers, seen.deleted), (&Vec::new(), false));
    let (theirs, ours) = ("example.org/other".to_owned(), FINALIZER.to_owned());
    let both = [theirs.clone(), ours.clone()];
    assert_eq!(copy.set_finalizers(&seen.resource_version, &both).await, Outcome::Done(()));
    let stale = copy.set_finalizers(&seen.resource_version, &[]).await;
    assert!(matches!(stale, Outcome::NotApplied(_)), "{stale:?}");
    bed.delete("continuums/shop").await;
    let held = look(&bed).await;
    assert_eq!((held.finalizers.as_slice(), held.deleted, held.generation), (&both[..], true, 2));
    assert_eq!(copy.patch_status(&json!({"phase": "SwitchingOver"})).await, Outcome::Done(()));
    let more = [theirs.clone(), ours, "example.org/third".to_owned()];
    let outcome = copy.set_finalizers(&look(&bed).await.resource_version, &more).await;
    assert!(matches!(outcome, Outcome::Refused(_)), "none can be added any more: {outcome:?}");
    assert_eq!(copy.set_finalizers(&look(&bed).await.resource_version, &[theirs]).await, Outcome::Done(()));
    assert!(look(&bed).await.deleted, "others hold it still");
    assert_eq!(copy.set_finalizers(&look(&bed).await.resource_version, &[]).await, Outcome::Done(()));
    assert_eq!(KubeCopies::new(bed.regions(), bed.object("shop")).copy(&fsn()).await, Seen::Missing);
}

pub async fn a_copy_that_is_not_there_is_missing(bed: Bed) {
    assert_eq!(KubeCopies::new(bed.regions(), bed.object("shop")).copy(&fsn()).await, Seen::Missing);
    let outcome = own(&bed).patch_status(&json!({"phase": "Healthy"})).await;
    assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
}

pub async fn fields_of_a_newer_version_are_kept(bed: Bed) {
    let mut body = continuum();
    body["spec"]["ofTomorrow"] = json!({"kept": true});
    body["spec"]["switchover"] = json!({"requested": false, "ofTomorrow": [1]});
    let object = bed.create("continuums", body).await;
    assert_eq!(object["spec"]["ofTomorrow"], json!({"kept": true}));
    assert_eq!(own(&bed).patch_status(&json!({"ofTomorrow": 1, "phase": "Healthy"})).await, Outcome::Done(()));
    let version = look(&bed).await.resource_version;
    assert_eq!(own(&bed).patch_spec(&version, &json!({"rto": "90s"})).await, Outcome::Done(()));
    let object = bed.read("continuums/shop").await;
    assert_eq!(object["spec"]["ofTomorrow"], json!({"kept": true}));
    assert_eq!(object["spec"]["switchover"]["ofTomorrow"], json!([1]));
    assert_eq!(object["status"]["ofTomorrow"], 1);
}
