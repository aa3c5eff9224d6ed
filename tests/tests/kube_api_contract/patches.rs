//! Merge patches, the status subresource, limits on time.

use crate::session::{Session, cluster, version};
use serde_json::{Value, json};

pub async fn a_merge_patch_sets_replaces_and_removes(s: &mut Session) {
    let mut body = cluster("a");
    body["metadata"]["annotations"] = json!({"one": "1", "two": "2"});
    body["spec"]["replica"]["promotionToken"] = json!("token");
    s.create("clusters", &body).await;
    // Maps are merged, null removes, a list is replaced whole.
    let patch = json!({"metadata": {"annotations": {"two": null, "three": "3"}},
                       "spec": {"replica": {"primary": "b", "promotionToken": null},
                                "externalClusters": [{"name": "c"}]}});
    let patched = s.patch("clusters/a", &patch).await;
    assert_eq!(patched.status, 200);
    assert_eq!(patched.body["metadata"]["annotations"], json!({"one": "1", "three": "3"}));
    assert_eq!(patched.body["spec"]["replica"], json!({"primary": "b", "self": "a", "source": "b"}));
    assert_eq!(patched.body["spec"]["externalClusters"], json!([{"name": "c"}]));
    // A scalar over a map, a map over nothing, nulls inside a new map.
    let patch = json!({"spec": {"extra": {"deep": {"kept": 1, "dropped": null}}}});
    let patched = s.patch("clusters/a", &patch).await;
    assert_eq!(patched.body["spec"]["extra"], json!({"deep": {"kept": 1}}));
    let patched = s.patch("clusters/a", &json!({"spec": {"extra": 7}})).await;
    assert_eq!(patched.body["spec"]["extra"], 7);
    let patched = s.patch("clusters/a", &json!({"spec": {"extra": {"again": true}}})).await;
    assert_eq!(patched.body["spec"]["extra"], json!({"again": true}));
    // The last annotation away, the map goes too.
    let patched = s.patch("clusters/a", &json!({"metadata": {"annotations": {"one": null, "three": null}}})).await;
    assert_eq!(patched.body["metadata"].get("annotations"), None);
    let patched = s.patch("clusters/a", &json!({"metadata": {"labels": {"x": "y"}}})).await;
    assert_eq!(patched.body["metadata"]["labels"], json!({"x": "y"}));
    let patched = s.patch("clusters/a", &json!({"metadata": {"labels": null}})).await;
    assert_eq!(patched.body["metadata"].get("labels"), None);
}

pub async fn a_patch_with_an_old_version_conflicts(s: &mut Session) {
    let first = s.cluster("a").await;
    let with = |version: &str, instances: u32| json!({"metadata": {"resourceVersion": version}, "spec": {"instances": instances}});
    let second = s.patch("clusters/a", &with(&version(&first), 2)).await;
    assert_eq!(second.status, 200);
    let stale = s.patch("clusters/a", &with(&version(&first), 3)).await;
    assert_eq!((stale.status, stale.body["reason"].as_str()), (409, Some("Conflict")));
    // Also where nothing would change.
    assert_eq!(s.patch("clusters/a", &with(&version(&first), 2)).await.status, 409);
    let stale = json!({"metadata": {"resourceVersion": version(&first)}, "status": {"phase": "x"}});
    assert_eq!(s.patch("clusters/a/status", &stale).await.status, 409);
    assert_eq!(s.get("clusters/a").await.body, second.body);
    // A status write makes a version too.
    s.patch("clusters/a/status", &json!({"status": {"phase": "x"}})).await;
    assert_eq!(s.patch("clusters/a", &with(&version(&second.body), 3)).await.status, 409);
    let foreign = json!({"metadata": {"uid": "00000000-0000-0000-0000-000000000000"}, "spec": {"instances": 3}});
    assert_eq!(s.patch("clusters/a", &foreign).await.status, 422);
}

pub async fn a_patch_may_not_move_an_object(s: &mut Session) {
    let object = s.cluster("a").await;
    assert_eq!(s.patch("clusters/a", &json!({"metadata": {"name": "b"}})).await.status, 400);
    assert_eq!(s.patch("clusters/a", &json!({"metadata": {"namespace": "elsewhere"}})).await.status, 400);
    assert_eq!(s.get("clusters/a").await.body, object);
}

pub async fn status_and_the_rest_are_written_apart(s: &mut Session) {
    let object = s.cluster("a").await;
    let patch = json!({"spec": {"instances": 9}, "metadata": {"labels": {"x": "y"}},
                       "status": {"phase": "p", "readyInstances": 1}});
    let reported = s.patch("clusters/a/status", &patch).await;
    assert_eq!(reported.status, 200);
    assert_eq!(reported.body["spec"], object["spec"]);
    assert_eq!(reported.body["metadata"].get("labels"), None);
    assert_eq!(reported.body["status"], json!({"phase": "p", "readyInstances": 1}));
    let patch = json!({"spec": {"instances": 2}, "status": {"phase": "q"}});
    let scaled = s.patch("clusters/a", &patch).await;
    assert_eq!(scaled.body["spec"]["instances"], 2);
    assert_eq!(scaled.body["status"], reported.body["status"]);
    let mut put = scaled.body.clone();
    put["status"] = json!({"phase": "r"});
    put["spec"]["instances"] = json!(4);
    let put = s.put("clusters/a/status", &put).await;
    assert_eq!((put.status, &put.body["status"]), (200, &json!({"phase": "r"})));
    assert_eq!(put.body["spec"]["instances"], 2);
    assert_eq!(s.get("clusters/a/status").await.body, put.body);
    let cleared = s.patch("clusters/a/status", &json!({"status": {"phase": null}})).await;
    assert_eq!(cleared.body["status"], json!({}));
    let removed = s.patch("clusters/a/status", &json!({"status": null})).await;
    assert_eq!(removed.body.get("status"), None);
    assert_eq!(s.patch("clusters/gone/status", &json!({"status": {}})).await.status, 404);
}

pub async fn only_one_of_two_conditional_writers_wins(s: &mut Session) {
    let object = s.cluster("a").await;
    let write = |who: &str| json!({"metadata": {"resourceVersion": version(&object), "annotations": {"dr.openova.io/intent": who}}});
    assert_eq!(s.patch("clusters/a", &write("first")).await.status, 200);
    assert_eq!(s.patch("clusters/a", &write("second")).await.status, 409);
    let read = s.get("clusters/a").await.body;
    assert_eq!(read["metadata"]["annotations"]["dr.openova.io/intent"], "first");
    assert_eq!(read["metadata"]["generation"], 1);
}

/// Who gave a field its present value is kept, with the time. `managedFields` are in no transcript.
pub async fn who_changed_a_field_is_kept(s: &mut Session) {
    let fields = |body: &Value, manager: &str| {
        let entries = body["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
        let entry = entries.into_iter().find(|entry| entry["manager"] == manager).unwrap_or_default();
        if !entry.is_null() {
            assert_eq!((&entry["operation"], &entry["fieldsType"]), (&json!("Update"), &json!("FieldsV1")));
            assert!(entry["time"].is_string(), "{entry}");
        }
        entry["fieldsV1"].clone()
    };
    let mut body = cluster("a");
    body["metadata"]["annotations"] = json!({"kept": "1"});
    s.create("clusters?fieldManager=kubectl", &body).await;
    let by_a_tool = json!({"spec": {"replica": {"primary": "b"}}});
    let body = s.patch("clusters/a?fieldManager=argocd-controller", &by_a_tool).await.body;
    assert_eq!(fields(&body, "argocd-controller"), json!({"f:spec": {"f:replica": {"f:primary": {}}}}));
    assert_eq!(fields(&body, "kubectl")["f:spec"]["f:replica"].get("f:primary"), None);
    assert!(fields(&body, "kubectl")["f:spec"]["f:replica"].get("f:self").is_some());
    let annotation = json!({"metadata": {"annotations": {"x": "1"}}});
    let body = s.patch("clusters/a?fieldManager=a-person", &annotation).await.body;
    assert_eq!(fields(&body, "a-person"), json!({"f:metadata": {"f:annotations": {"f:x": {}}}}));
    // What gives a field the value that it has, owns nothing new.
    let body = s.patch("clusters/a?fieldManager=another", &annotation).await.body;
    assert_eq!(fields(&body, "another"), Value::Null);
    // Taken back, it is the first one's no more; a list is one field.
    let back = json!({"spec": {"replica": {"primary": "a"}, "externalClusters": [{"name": "a"}]}});
    let body = s.patch("clusters/a?fieldManager=a-person", &back).await.body;
    assert_eq!(fields(&body, "argocd-controller"), Value::Null);
    assert_eq!(
        fields(&body, "a-person"),
        json!({
            "f:metadata": {"f:annotations": {"f:x": {}}},
            "f:spec": {"f:externalClusters": {}, "f:replica": {"f:primary": {}}},
        })
    );
    // What is gone is nobody's.
    let body =
        s.patch("clusters/a?fieldManager=kubectl", &json!({"metadata": {"annotations": {"x": null}}})).await.body;
    assert_eq!(fields(&body, "a-person").get("f:metadata"), None);
    let route = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "r"},
        "spec": {"rules": [{"backendRefs": [{"name": "a", "port": 80, "weight": 1}]}]},
    });
    s.create("httproutes?fieldManager=kubectl", &route).await;
    let weights = json!({"spec": {"rules": [{"backendRefs": [{"name": "a", "port": 80, "weight": 0}]}]}});
    let body = s.patch("httproutes/r?fieldManager=argocd-controller", &weights).await.body;
    assert_eq!(fields(&body, "argocd-controller"), json!({"f:spec": {"f:rules": {}}}));
}

pub async fn a_write_past_its_time_limit_changes_nothing(s: &mut Session) {
    let object = s.cluster("a").await;
    let late = s.patch("clusters/a?timeout=1ns", &json!({"spec": {"instances": 2}})).await;
    assert_eq!((late.status, late.body["reason"].as_str()), (504, Some("Timeout")));
    assert_eq!(s.get("clusters/a").await.body, object);
    let wrong = s.patch("clusters/a?timeout=soon", &json!({"spec": {"instances": 2}})).await;
    assert_eq!(wrong.status, 400);
    let timely = s.patch("clusters/a?timeout=5s", &json!({"spec": {"instances": 2}})).await;
    assert_eq!((timely.status, &timely.body["spec"]["instances"]), (200, &json!(2)));
    let timely = s.patch("clusters/a?timeout=4500ms", &json!({"spec": {"instances": 3}})).await;
    assert_eq!((timely.status, &timely.body["spec"]["instances"]), (200, &json!(3)));
}

pub async fn a_dry_run_changes_nothing(s: &mut Session) {
    let object = s.cluster("a").await;
    let tried = s.patch("clusters/a?dryRun=All", &json!({"spec": {"instances": 2}})).await;
    assert_eq!((tried.status, &tried.body["spec"]["instances"]), (200, &json!(2)));
    assert_eq!(s.create("clusters?dryRun=All", &cluster("b")).await.status, 201);
    assert_eq!(s.get("clusters/a").await.body, object);
    assert_eq!(s.get("clusters/b").await.status, 404);
    assert_eq!(s.delete("clusters/a?dryRun=All").await.status, 200);
    assert_eq!(s.get("clusters/a").await.status, 200);
}
