//! Lists and selectors.

use crate::session::{JSON, Session, cluster, version_number};
use http::Method;
use serde_json::{Value, json};

/// Names of the items, in order.
fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().unwrap_or_else(|| panic!("no items in {list}"));
    items.iter().map(|item| item["metadata"]["name"].as_str().expect("a name")).collect()
}

async fn labelled(s: &mut Session, name: &str, labels: Value) {
    let mut body = cluster(name);
    body["metadata"]["labels"] = labels;
    assert_eq!(s.create("clusters", &body).await.status, 201);
}

pub async fn selectors_choose_by_label(s: &mut Session) {
    labelled(s, "fsn", json!({"catalyst.openova.io/cnpg-pair": "shop", "role": "primary"})).await;
    labelled(s, "hel", json!({"catalyst.openova.io/cnpg-pair": "shop", "role": "replica"})).await;
    labelled(s, "other", json!({"catalyst.openova.io/cnpg-pair": "blog", "role": "primary"})).await;
    labelled(s, "bare", json!({})).await;
    for (selector, expected) in [
        ("catalyst.openova.io%2Fcnpg-pair%3Dshop", vec!["fsn", "hel"]),
        ("catalyst.openova.io/cnpg-pair=shop", vec!["fsn", "hel"]),
        ("catalyst.openova.io%2Fcnpg-pair%3D%3Dshop%2Crole%3Dprimary", vec!["fsn"]),
        ("role!%3Dprimary", vec!["bare", "hel"]),
        ("role+in+%28primary%2C+replica%29", vec!["fsn", "hel", "other"]),
        ("role%20notin%20%28primary%29", vec!["bare", "hel"]),
        ("role", vec!["fsn", "hel", "other"]),
        ("%21role", vec!["bare"]),
        ("role%3Dnobody", vec![]),
        ("", vec!["bare", "fsn", "hel", "other"]),
    ] {
        let list = s.get(&format!("clusters?labelSelector={selector}")).await;
        assert_eq!((list.status, names(&list.body)), (200, expected), "{selector}");
    }
    assert_eq!(s.get("clusters?labelSelector=role+in+primary").await.status, 400);
}

pub async fn fields_choose_by_name(s: &mut Session) {
    s.cluster("a").await;
    s.cluster("b").await;
    let list = s.get("clusters?fieldSelector=metadata.name%3Db").await;
    assert_eq!(names(&list.body), ["b"]);
    let list = s.get("clusters?fieldSelector=metadata.name!%3Db").await;
    assert_eq!(names(&list.body), ["a"]);
    assert_eq!(s.get("clusters?fieldSelector=spec.instances%3D1").await.status, 400);
}

pub async fn a_list_is_sorted_and_has_a_version(s: &mut Session) {
    let empty = s.get("clusters").await;
    assert_eq!((empty.status, &empty.body["items"]), (200, &json!([])));
    assert_eq!(empty.body["kind"], "ClusterList");
    s.cluster("b").await;
    let last = s.cluster("a").await;
    let list = s.get("clusters").await;
    assert_eq!(names(&list.body), ["a", "b"]);
    assert_eq!(list.body["items"][0], last);
    assert!(version_number(&list.body) >= version_number(&last));
    assert!(version_number(&empty.body) < version_number(&last));
    let list = s.get("clusters?resourceVersion=0").await;
    assert_eq!(list.status, 200);
    let limited = s.get("clusters?limit=500").await;
    assert_eq!(names(&limited.body), ["a", "b"]);
    assert_eq!(s.get("clusters?resourceVersion=soon").await.status, 400);
}

pub async fn a_list_comes_in_pages(s: &mut Session) {
    for name in ["a", "b", "c"] {
        s.cluster(name).await;
    }
    let first = s.get("clusters?limit=2").await.body;
    assert_eq!((names(&first), &first["metadata"]["remainingItemCount"]), (vec!["a", "b"], &json!(1)));
    s.cluster("d").await;
    let next = first["metadata"]["continue"].as_str().expect("there is more").to_owned();
    let second = s.get(&format!("clusters?limit=2&continue={next}")).await.body;
    // Pages show one moment.
    assert_eq!(names(&second), ["c"]);
    assert_eq!(second["metadata"]["continue"].as_str().unwrap_or_default(), "");
    assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
}

pub async fn a_list_over_all_namespaces_finds_them_all(s: &mut Session) {
    labelled(s, "a", json!({"pair": s.namespace})).await;
    let path = format!("/apis/postgresql.cnpg.io/v1/clusters?labelSelector=pair%3D{}", s.namespace);
    let list = s.send_to(Method::GET, &path, JSON, "").await;
    assert_eq!((list.status, names(&list.body)), (200, vec!["a"]));
}

pub async fn built_in_resources_are_listed_alike(s: &mut Session) {
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "a"},
                       "spec": {"holderIdentity": "fsn"}});
    s.create("leases", &lease).await;
    let list = s.get("leases").await.body;
    assert_eq!((list["kind"].as_str(), names(&list)), (Some("LeaseList"), vec!["a"]));
    assert_eq!(s.get("secrets").await.body["kind"], "SecretList");
}
