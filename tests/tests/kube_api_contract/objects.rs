//! Creating, replacing and deleting; versions and generations.

use crate::session::{JSON, Session, cluster, version, version_number};
use http::Method;
use serde_json::{Value, json};

pub async fn a_created_object_has_uid_version_and_generation_one(s: &mut Session) {
    let created = s.create("clusters", &cluster("a")).await;
    assert_eq!(created.status, 201);
    assert_eq!(created.body["metadata"]["generation"], 1);
    assert!(created.body["metadata"]["uid"].is_string());
    let read = s.get("clusters/a").await;
    assert_eq!((read.status, &read.body), (200, &created.body));
    let other = s.cluster("b").await;
    assert!(version_number(&other) > version_number(&created.body));
    assert_ne!(other["metadata"]["uid"], created.body["metadata"]["uid"]);
}

pub async fn a_status_sent_with_a_create_is_dropped(s: &mut Session) {
    let mut body = cluster("a");
    body["status"] = json!({"phase": "Cluster in healthy state"});
    let created = s.create("clusters", &body).await;
    assert_eq!((created.status, &created.body["status"]), (201, &Value::Null));
}

pub async fn an_update_needs_the_current_version(s: &mut Session) {
    let first = s.cluster("a").await;
    let mut next = first.clone();
    next["spec"]["instances"] = json!(3);
    let second = s.put("clusters/a", &next).await;
    assert_eq!(second.status, 200);
    assert!(version_number(&second.body) > version_number(&first));
    let stale = s.put("clusters/a", &next).await;
    assert_eq!((stale.status, stale.body["reason"].as_str()), (409, Some("Conflict")));
    let mut without = second.body.clone();
    without["metadata"].as_object_mut().expect("metadata").remove("resourceVersion");
    without["spec"]["instances"] = json!(5);
    assert_eq!(s.put("clusters/a", &without).await.status, 422);
    let mut foreign = second.body.clone();
    foreign["metadata"]["uid"] = json!("00000000-0000-0000-0000-000000000000");
    assert_eq!(s.put("clusters/a", &foreign).await.status, 409);
    assert_eq!(s.put("clusters/gone", &with_name(&second.body, "gone")).await.status, 404);
    assert_eq!(s.put("clusters/other", &second.body).await.status, 400);
    assert_eq!(s.get("clusters/a").await.body, second.body);
}

pub async fn generation_grows_with_the_spec_alone(s: &mut Session) {
    let mut object = s.cluster("a").await;
    object["metadata"]["labels"] = json!({"x": "1"});
    object["metadata"]["annotations"] = json!({"y": "2"});
    let labelled = s.put("clusters/a", &object).await.body;
    assert_eq!(labelled["metadata"]["generation"], 1);
    assert_ne!(version(&labelled), version(&object));
    let mut object = labelled;
    object["spec"]["instances"] = json!(2);
    let scaled = s.put("clusters/a", &object).await.body;
    assert_eq!(scaled["metadata"]["generation"], 2);
    let reported = s.patch("clusters/a/status", &json!({"status": {"readyInstances": 2}})).await.body;
    assert_eq!(reported["metadata"]["generation"], 2);
    let mut object = reported;
    object["metadata"]["generation"] = json!(9);
    let forged = s.put("clusters/a", &object).await.body;
    assert_eq!(forged["metadata"]["generation"], 2);
    // Leases and secrets have no generation.
    s.create("leases", &lease("l", "fsn")).await;
    let renewed = s.patch("leases/l", &json!({"spec": {"holderIdentity": "hel"}})).await.body;
    assert_eq!(renewed["metadata"]["generation"], Value::Null);
}

pub async fn a_write_that_changes_nothing_keeps_the_version(s: &mut Session) {
    let object = s.cluster("a").await;
    let same = s.put("clusters/a", &object).await;
    assert_eq!((same.status, version(&same.body)), (200, version(&object)));
    for patch in [json!({}), json!({"spec": {"instances": 1}}), json!({"spec": {"absent": null}})] {
        let same = s.patch("clusters/a", &patch).await;
        assert_eq!((same.status, version(&same.body)), (200, version(&object)));
    }
    // A status in a write to the rest, and the rest in a write to the status, are no change.
    let same = s.patch("clusters/a", &json!({"status": {"phase": "x"}})).await;
    assert_eq!(version(&same.body), version(&object));
    let same = s.patch("clusters/a/status", &json!({"spec": {"instances": 7}})).await;
    assert_eq!(version(&same.body), version(&object));
}

pub async fn a_deleted_object_comes_back_as_another(s: &mut Session) {
    let first = s.cluster("a").await;
    s.patch("clusters/a", &json!({"spec": {"instances": 2}})).await;
    let deleted = s.delete("clusters/a").await;
    assert_eq!((deleted.status, deleted.body["status"].as_str()), (200, Some("Success")));
    assert_eq!(s.get("clusters/a").await.status, 404);
    assert_eq!(s.delete("clusters/a").await.status, 404);
    let second = s.cluster("a").await;
    assert_ne!(second["metadata"]["uid"], first["metadata"]["uid"]);
    assert_eq!(second["metadata"]["generation"], 1);
    assert!(version_number(&second) > version_number(&first));
    // A write prepared for the first one does not touch the second.
    let mut old = first;
    old["spec"]["instances"] = json!(4);
    assert_eq!(s.put("clusters/a", &old).await.status, 409);
}

pub async fn a_delete_may_be_conditional(s: &mut Session) {
    let object = s.cluster("a").await;
    s.patch("clusters/a", &json!({"spec": {"instances": 2}})).await;
    let options = json!({"apiVersion": "v1", "kind": "DeleteOptions",
                         "preconditions": {"resourceVersion": version(&object)}});
    let stale = s.send(Method::DELETE, "clusters/a", JSON, &options.to_string()).await;
    assert_eq!((stale.status, stale.body["reason"].as_str()), (409, Some("Conflict")));
    assert_eq!(s.get("clusters/a").await.status, 200);
    let options = json!({"apiVersion": "v1", "kind": "DeleteOptions",
                         "preconditions": {"uid": object["metadata"]["uid"]}});
    assert_eq!(s.send(Method::DELETE, "clusters/a", JSON, &options.to_string()).await.status, 200);
}

pub async fn a_lease_is_a_register_with_conditional_writes(s: &mut Session) {
    assert_eq!(s.get("leases/shop.shop").await.status, 404);
    let created = s.create("leases", &lease("shop.shop", "fsn")).await;
    assert_eq!(created.status, 201);
    let again = s.create("leases", &lease("shop.shop", "hel")).await;
    assert_eq!((again.status, again.body["reason"].as_str()), (409, Some("AlreadyExists")));
    let mut next = created.body.clone();
    next["spec"]["renewTime"] = json!("2026-01-01T00:00:10.500000Z");
    next["metadata"]["annotations"] = json!({"dr.openova.io/record": "{\"renewal\":1}"});
    let renewed = s.put("leases/shop.shop", &next).await;
    assert_eq!(renewed.status, 200);
    assert_eq!(renewed.body["spec"]["renewTime"], "2026-01-01T00:00:10.500000Z");
    assert_eq!(s.put("leases/shop.shop", &next).await.status, 409);
    let patch = json!({"metadata": {"resourceVersion": version(&created.body)}, "spec": {"holderIdentity": "hel"}});
    assert_eq!(s.patch("leases/shop.shop", &patch).await.status, 409);
    let patch = json!({"metadata": {"resourceVersion": version(&renewed.body)}, "spec": {"holderIdentity": null}});
    let freed = s.patch("leases/shop.shop", &patch).await;
    assert_eq!((freed.status, &freed.body["spec"]["holderIdentity"]), (200, &Value::Null));
    assert_eq!(s.get("leases/shop.shop").await.body, freed.body);
    // It has no status subresource.
    assert_eq!(s.patch("leases/shop.shop/status", &json!({"status": {}})).await.status, 404);
    // One that is gone comes back by an update, whatever version that names, unless it names the uid.
    assert_eq!(s.put("leases/gone", &with_name(&freed.body, "gone")).await.status, 201);
    s.delete("leases/shop.shop").await;
    assert_eq!(s.put("leases/shop.shop", &freed.body).await.status, 409);
    let patch = json!({"metadata": {"resourceVersion": version(&freed.body)}, "spec": {"holderIdentity": "hel"}});
    assert_eq!(s.patch("leases/shop.shop", &patch).await.status, 404);
}

pub async fn a_secret_is_kept_as_it_was_sent(s: &mut Session) {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "shop-fsn-app"},
                        "type": "kubernetes.io/basic-auth",
                        "data": {"username": "c2hvcA==", "password": "c2VjcmV0"}});
    let created = s.create("secrets", &secret).await;
    assert_eq!((created.status, &created.body["data"]), (201, &secret["data"]));
    assert_eq!(s.get("secrets/shop-fsn-app").await.body["data"], secret["data"]);
    let changed = s.patch("secrets/shop-fsn-app", &json!({"data": {"password": "bmV3"}})).await;
    assert_eq!((changed.status, &changed.body["data"]["username"]), (200, &secret["data"]["username"]));
}

pub async fn finalizers_hold_a_deleted_object(s: &mut Session) {
    let mut body = cluster("a");
    body["metadata"]["finalizers"] = json!(["dr.openova.io/hold"]);
    let created = s.create("clusters", &body).await.body;
    assert_eq!(s.delete("clusters/a").await.status, 200);
    let held = s.get("clusters/a").await;
    assert_eq!(held.status, 200);
    assert!(held.body["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(held.body["metadata"]["uid"], created["metadata"]["uid"]);
    assert_eq!(s.delete("clusters/a").await.status, 200);
    let more = json!({"metadata": {"finalizers": ["dr.openova.io/hold", "dr.openova.io/more"]}});
    assert_eq!(s.patch("clusters/a", &more).await.status, 422);
    assert_eq!(s.patch("clusters/a", &json!({"metadata": {"finalizers": null}})).await.status, 200);
    assert_eq!(s.get("clusters/a").await.status, 404);
}

fn lease(name: &str, holder: &str) -> Value {
    json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name},
           "spec": {"holderIdentity": holder, "leaseTransitions": 1, "leaseDurationSeconds": 30,
                    "renewTime": "2026-01-01T00:00:00.000000Z"}})
}

/// The object under another name, as new.
fn with_name(object: &Value, name: &str) -> Value {
    let mut other = object.clone();
    other["metadata"]["name"] = json!(name);
    other["metadata"].as_object_mut().expect("metadata").remove("uid");
    other
}
