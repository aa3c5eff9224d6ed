//! Watches.

use crate::session::{Session, cluster, version, version_number};
use serde_json::{Value, json};

/// Type and name of an event.
fn event(event: Option<Value>) -> (String, String) {
    let event = event.expect("the watch goes on");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&event["type"]), text(&event["object"]["metadata"]["name"]))
}

fn is(kind: &str, name: &str) -> (String, String) {
    (kind.to_owned(), name.to_owned())
}

pub async fn a_watch_shows_every_change_in_order(s: &mut Session) {
    s.cluster("before").await;
    let from = s.version_of("clusters").await;
    let mut watch = s.watch(&format!("clusters?watch=true&resourceVersion={from}")).await;
    assert_eq!(watch.status, 200);
    s.cluster("a").await;
    assert_eq!(event(s.event(&mut watch).await), is("ADDED", "a"));
    s.patch("clusters/a", &json!({"spec": {"instances": 2}})).await;
    s.patch("clusters/a/status", &json!({"status": {"phase": "p"}})).await;
    s.patch("clusters/a", &json!({"spec": {"instances": 2}})).await; // changes nothing: no event
    s.cluster("b").await;
    s.delete("clusters/a").await;
    assert_eq!(event(s.event(&mut watch).await), is("MODIFIED", "a"));
    let reported = s.event(&mut watch).await.expect("an event");
    assert_eq!(reported["object"]["status"], json!({"phase": "p"}));
    assert_eq!(event(s.event(&mut watch).await), is("ADDED", "b"));
    let deleted = s.event(&mut watch).await.expect("an event");
    assert_eq!(deleted["type"], "DELETED");
    // A deletion has a version of its own.
    assert!(version_number(&deleted["object"]) > version_number(&reported["object"]));
}

pub async fn a_watch_from_a_version_replays_what_came_after(s: &mut Session) {
    let first = s.cluster("a").await;
    s.patch("clusters/a", &json!({"spec": {"instances": 2}})).await;
    s.delete("clusters/a").await;
    s.cluster("a").await;
    let mut watch = s.watch(&format!("clusters?watch=1&resourceVersion={}", version(&first))).await;
    assert_eq!(event(s.event(&mut watch).await), is("MODIFIED", "a"));
    assert_eq!(event(s.event(&mut watch).await), is("DELETED", "a"));
    assert_eq!(event(s.event(&mut watch).await), is("ADDED", "a"));
}

pub async fn a_watch_without_a_version_begins_with_what_is_there(s: &mut Session) {
    s.cluster("a").await;
    s.cluster("b").await;
    for query in ["watch=true", "watch=true&resourceVersion=0"] {
        let mut watch = s.watch(&format!("clusters?{query}")).await;
        assert_eq!(event(s.event(&mut watch).await), is("ADDED", "a"));
        assert_eq!(event(s.event(&mut watch).await), is("ADDED", "b"));
    }
}

pub async fn a_watch_shows_what_enters_and_leaves_its_selector(s: &mut Session) {
    let from = s.version_of("clusters").await;
    let query = format!("watch=true&resourceVersion={from}");
    let mut by_label = s.watch(&format!("clusters?{query}&labelSelector=pair%3Dshop")).await;
    let mut by_name = s.watch(&format!("clusters?{query}&fieldSelector=metadata.name%3Db")).await;
    s.cluster("a").await;
    s.patch("clusters/a", &json!({"metadata": {"labels": {"pair": "shop"}}})).await;
    s.patch("clusters/a", &json!({"spec": {"instances": 2}})).await;
    s.patch("clusters/a", &json!({"metadata": {"labels": {"pair": "blog"}}})).await;
    let mut labelled = cluster("b");
    labelled["metadata"]["labels"] = json!({"pair": "shop"});
    s.create("clusters", &labelled).await;
    assert_eq!(event(s.event(&mut by_label).await), is("ADDED", "a"));
    assert_eq!(event(s.event(&mut by_label).await), is("MODIFIED", "a"));
    assert_eq!(event(s.event(&mut by_label).await), is("DELETED", "a"));
    assert_eq!(event(s.event(&mut by_label).await), is("ADDED", "b"));
    assert_eq!(event(s.event(&mut by_name).await), is("ADDED", "b"));
}

pub async fn a_watch_ends_after_its_time_with_a_bookmark(s: &mut Session) {
    s.cluster("a").await;
    let from = s.version_of("clusters").await;
    let query = format!("watch=true&resourceVersion={from}&timeoutSeconds=4");
    let mut watch = s.watch(&format!("clusters?{query}&allowWatchBookmarks=true")).await;
    let bookmarks = s.events_until_the_end(&mut watch).await;
    assert!(!bookmarks.is_empty());
    for bookmark in bookmarks {
        assert_eq!((&bookmark["type"], &bookmark["object"]["kind"]), (&json!("BOOKMARK"), &json!("Cluster")));
        assert!(version_number(&bookmark["object"]) >= from.parse().expect("a number"));
    }
    let mut watch = s.watch(&format!("clusters?{query}")).await;
    assert_eq!(s.event(&mut watch).await, None, "no bookmark unless asked for");
}

pub async fn a_watch_from_a_forgotten_version_is_told_410(s: &mut Session) {
    s.cluster("a").await;
    let mut watch = s.watch("clusters?watch=true&resourceVersion=1").await;
    assert_eq!(watch.status, 200);
    let told = s.event(&mut watch).await.expect("an event");
    assert_eq!(told["type"], "ERROR");
    assert_eq!((told["object"]["code"].as_u64(), told["object"]["reason"].as_str()), (Some(410), Some("Expired")));
    assert_eq!(s.event(&mut watch).await, None);
}

pub async fn built_in_resources_are_watched_alike(s: &mut Session) {
    let from = s.version_of("leases").await;
    let mut watch = s.watch(&format!("leases?watch=true&resourceVersion={from}")).await;
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "a"},
                       "spec": {"holderIdentity": "fsn"}});
    s.create("leases", &lease).await;
    s.patch("leases/a", &json!({"spec": {"holderIdentity": "hel"}})).await;
    assert_eq!(event(s.event(&mut watch).await), is("ADDED", "a"));
    assert_eq!(event(s.event(&mut watch).await), is("MODIFIED", "a"));
}
