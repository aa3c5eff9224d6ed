//! The definition of the Continuum on the real server: its schema, its defaults and its rules. The model has
//! no schemas, so only the real server is asked.

use crate::bed::Bed;
use crate::copies::continuum;
use continuum_tests::exchange;
use continuum_tests::real_kube::{RealKube, Who};
use http::Method;
use serde_json::{Value, json};

/// A bed on the real server, and its client; `None` where there is no real server.
async fn real(name: &str) -> Option<(Bed, kube::Client)> {
    let real = RealKube::start().await.expect("a real kube-apiserver")?;
    let namespace = real.namespace(name).await.expect("a namespace");
    let client = real.client(Who::Admin).await.expect("a client");
    Some((Bed::new(namespace, client.clone(), client.clone()), client))
}

#[tokio::test]
async fn a_resource_that_says_little_gets_its_defaults() {
    let Some((bed, _)) = real("defaults").await else { return };
    let mut little = continuum();
    let spec = little["spec"].as_object_mut().expect("a spec");
    for field in ["rto", "rpo", "autoFailover"] {
        spec.remove(field);
    }
    little["spec"]["leaseClient"]["config"] = json!({});
    let object = bed.create("continuums", little).await;
    let spec = &object["spec"];
    assert_eq!((&spec["rto"], &spec["rpo"], &spec["autoFailover"]), (&json!("60s"), &json!("30s"), &json!(false)));
    let config = &spec["leaseClient"]["config"];
    assert_eq!((&config["ttlSeconds"], &config["renewSeconds"]), (&json!(30), &json!(10)));
}

#[tokio::test]
async fn the_kind_of_a_witness_that_holds_something_does_not_change() {
    let Some((bed, client)) = real("kinds").await else { return };
    bed.create("continuums", continuum()).await;
    let path = format!("/apis/dr.openova.io/v1/namespaces/{}/continuums/shop", bed.namespace);
    let changed = async |kind: &str| {
        let patch = json!({ "spec": { "leaseClient": { "kind": kind } } }).to_string();
        let answer = exchange::ask(&client, Method::PATCH, &path, "application/merge-patch+json", patch).await;
        let answer = answer.expect("the server answers");
        (answer.status, answer.body["message"].as_str().unwrap_or_default().to_owned())
    };
    let (status, message) = changed("nats-kv").await;
    assert_eq!(status, 422, "{message}");
    assert!(message.contains("leaseClient.kind") && message.contains("make both anew"), "{message}");
    assert_eq!(changed("k8s-lease").await.0, 200);
}

#[tokio::test]
async fn a_resource_that_contradicts_itself_is_refused_with_the_fields_path() {
    let Some((bed, client)) = real("contradictions").await else { return };
    let cases: [(&str, Value, &str); 8] = [
        ("/leaseClient/config", json!({"ttlSeconds": 20, "renewSeconds": 10, "guardSeconds": 10}), "ttlSeconds"),
        ("/leaseClient/config", json!({"ttlSeconds": 4}), "ttlSeconds"),
        ("/hotStandbyRegions", json!(["hel", "fsn"]), "hotStandbyRegions"),
        ("/hotStandbyRegions", json!([]), "hotStandbyRegions"),
        ("/primaryRegion", json!(""), "primaryRegion"),
        ("/rto", json!("a minute"), "rto"),
        ("/switchover", json!({"requested": true, "requestedAt": "2026-01-01T00:00:00Z"}), "targetRegion"),
        ("/switchover", json!({"requested": true, "targetRegion": "nbg"}), "targetRegion"),
    ];
    let path = format!("/apis/dr.openova.io/v1/namespaces/{}/continuums", bed.namespace);
    for (pointer, value, field) in cases {
        let body = crate::bed::with(&continuum(), &format!("/spec{pointer}"), value.clone());
        let answer = exchange::ask(&client, Method::POST, &path, "application/json", body.to_string())
            .await
            .expect("the server answers");
        assert_eq!(answer.status, 422, "{pointer} {value}: {}", answer.body);
        let message = answer.body["message"].as_str().unwrap_or_default();
        assert!(message.contains(field), "{pointer} {value}: {message}");
    }
}
