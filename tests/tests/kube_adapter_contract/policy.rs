//! The policy against changes of a role that are nobody's claim, on the real server, which alone carries policies out.

use crate::bed::{Bed, fsn};
use crate::halves::cluster;
use continuum_core::observe::{Claim, Seen};
use continuum_core::ports::{ActOnPair, ClusterChange, ClusterWrite, ObservePair, Outcome};
use continuum_live::pair::KubePair;
use continuum_tests::exchange;
use continuum_tests::real_kube::{RealKube, Who};
use http::Method;
use serde_json::{Value, json};
use std::time::Duration;

const POLICY: &str = include_str!("../../../live/policies/role-changes.yaml");

/// Puts the policy up for the bed's namespace alone: other tests use the same server.
async fn put_up(bed: &Bed, client: &kube::Client) {
    for document in POLICY.split("\n---\n") {
        let mut object: Value = serde_saphyr::from_str(document).expect("the file is YAML");
        object["metadata"]["name"] = json!(bed.namespace);
        let plural = match object["kind"].as_str() {
            Some("ValidatingAdmissionPolicy") => "validatingadmissionpolicies",
            _ => {
                object["spec"]["policyName"] = json!(bed.namespace);
                object["spec"]["matchResources"] =
                    json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": bed.namespace}}});
                "validatingadmissionpolicybindings"
            }
        };
        let path = format!("/apis/admissionregistration.k8s.io/v1/{plural}");
        let answer = exchange::ask(client, Method::POST, &path, "application/json", object.to_string()).await;
        let answer = answer.expect("the server answers");
        assert_eq!(answer.status, 201, "{}", answer.body);
    }
}

struct Judge {
    client: kube::Client,
    path: String,
}

impl Judge {
    /// Status and message of a merge patch, tried or made.
    async fn patch(&self, patch: &Value, tried: bool) -> (u16, String) {
        let path = if tried { format!("{}?dryRun=All", self.path) } else { self.path.clone() };
        let answer =
            exchange::ask(&self.client, Method::PATCH, &path, "application/merge-patch+json", patch.to_string()).await;
        let answer = answer.expect("the server answers");
        (answer.status, answer.body["message"].as_str().unwrap_or_default().to_owned())
    }
}

fn replica(primary: &str) -> Value {
    json!({"replica": {"primary": primary}})
}

fn annotated(primary: &str, annotations: Value) -> Value {
    json!({"metadata": {"annotations": annotations}, "spec": replica(primary)})
}

#[tokio::test]
async fn a_role_is_changed_by_a_claim_or_by_a_person_with_a_reason() {
    let Some(real) = RealKube::start().await.expect("a real kube-apiserver") else { return };
    let namespace = real.namespace("policy").await.expect("a namespace");
    let client = real.client(Who::Admin).await.expect("a client");
    let bed = Bed::new(namespace, client.clone(), client.clone());
    let made = bed.create("clusters", cluster("shop-fsn", "shop")).await;
    put_up(&bed, &client).await;
    let path = format!("/apis/postgresql.cnpg.io/v1/namespaces/{}/clusters/shop-fsn", bed.namespace);
    let judge = Judge { client: client.clone(), path };

    // A policy counts a moment after it was created.
    let bare = json!({"spec": replica("shop-hel")});
    let mut refused = (200, String::new());
    for _ in 0..100 {
        refused = judge.patch(&bare, true).await;
        if refused.0 == 403 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(refused.0, 403, "{}", refused.1);
    assert!(refused.1.contains("spec.replica of shop-fsn belongs to the Continuum of its pair"), "{}", refused.1);
    assert!(refused.1.contains("dr.openova.io/role-override"), "{}", refused.1);
    // Taking the label away in the same write is no way round it.
    let unlabelled =
        json!({"metadata": {"labels": {"catalyst.openova.io/cnpg-pair": null}}, "spec": replica("shop-hel")});
    assert_eq!(judge.patch(&unlabelled, true).await.0, 403);
    // Whatever else changes is no matter of the policy's.
    assert_eq!(judge.patch(&json!({"spec": {"instances": 2}}), true).await.0, 200);

    // The controller's write, tried and made.
    let pair = bed.object("shop");
    let adapter = KubePair::new(bed.regions(), fsn());
    let Seen::Is(view) = adapter.cluster(&fsn(), &pair).await else { panic!("no half") };
    let write = |generation: u64, intent: &str, version: &str, primary: &str| ClusterWrite {
        region: fsn(),
        object: view.object.clone(),
        resource_version: version.to_owned(),
        claim: Claim { generation, intent: intent.into() },
        change: ClusterChange::Demote { primary: primary.into() },
        server_limit: None,
    };
    let now = made["metadata"]["resourceVersion"].as_str().expect("a version");
    assert_eq!(adapter.admits(&write(4, "dry-run", now, "shop-hel")).await, Seen::Is(Ok(())));
    assert_eq!(adapter.write(&write(4, "a", now, "shop-hel")).await, Outcome::Done(()));
    let Seen::Is(view) = adapter.cluster(&fsn(), &pair).await else { panic!("no half") };
    let now = view.resource_version.clone();
    // Back again under the same claim, as a tool does that knows nothing of it; and under an older one.
    for (generation, intent) in [(4, "a"), (3, "b")] {
        let claim = json!({"dr.openova.io/generation": generation.to_string(), "dr.openova.io/intent": intent});
        assert_eq!(judge.patch(&annotated("shop-fsn", claim), true).await.0, 403, "{generation} {intent}");
    }
    assert_eq!(judge.patch(&annotated("shop-fsn", json!({"dr.openova.io/generation": null})), true).await.0, 403);
    assert_eq!(judge.patch(&annotated("shop-fsn", json!({"dr.openova.io/generation": "four"})), true).await.0, 403);
    let Seen::Is(Err(cause)) = adapter.admits(&write(4, "a", &now, "shop-fsn")).await else { panic!("admitted") };
    assert!(cause.contains("belongs to the Continuum"), "{cause}");
    assert_eq!(adapter.admits(&write(4, "b", &now, "shop-fsn")).await, Seen::Is(Ok(())));

    // A person with a reason, each time with another one.
    let reason = |text: &str| json!({"dr.openova.io/role-override": text});
    assert_eq!(judge.patch(&annotated("shop-fsn", reason("hel is lost")), false).await.0, 200);
    assert_eq!(judge.patch(&annotated("shop-hel", reason("hel is lost")), true).await.0, 403);
    assert_eq!(judge.patch(&annotated("shop-hel", reason("hel is back")), true).await.0, 200);
}
