//! Kubeconfigs that change while a process runs.

use super::{Folder, Process, create, files, kind, until};
use continuum_tests::real_kube::{RealKube, Who};
use kube::Api;
use kube::api::DynamicObject;
use serde_json::json;

const KEPT: &str = "what was read before is used until this is mended";

/// The same with another line in the place of its token's.
fn with(kubeconfig: &str, instead: &str) -> String {
    let line = |line: &str| match line.split_once("token:") {
        Some((before, _)) => format!("{before}{instead}\n"),
        None => format!("{line}\n"),
    };
    kubeconfig.lines().map(line).collect()
}

/// A kubeconfig whose token nobody takes.
fn with_a_wrong_token(kubeconfig: &str) -> String {
    with(kubeconfig, "token: very-wrong")
}

#[tokio::test]
async fn a_kubeconfig_that_changes_is_used_and_one_that_is_broken_is_not() {
    let Some(server) = RealKube::start().await.expect("a real kube-apiserver") else { return };
    let namespace = server.namespace("reload").await.expect("a namespace");
    let continuums = kind("dr.openova.io", "Continuum", "continuums");
    let client = server.client(Who::Admin).await.expect("a client");
    let continuums: Api<DynamicObject> = Api::namespaced_with(client, &namespace, &continuums);
    let spec = json!({
        "applicationRef": "shop", "primaryRegion": "fsn", "hotStandbyRegions": ["hel"],
        "leaseClient": { "kind": "k8s-lease" }, "cnpgPair": { "name": "shop" },
    });
    let object = json!({
        "apiVersion": "dr.openova.io/v1", "kind": "Continuum", "metadata": { "name": "shop" }, "spec": spec,
    });
    create(&continuums, object).await;

    let (folder, good) = (Folder::new(), server.kubeconfig(Who::Admin));
    let mut variables = files(&folder);
    variables.remove("WITNESS_KUBECONFIG");
    variables.insert("WITNESS_REGION", "fsn".into());
    variables.insert("CONTINUUM_VANTAGES", String::new());
    variables.insert("LEADER_ELECT", "false".into());
    // Of others: no request goes there.
    variables.insert("HTTPS_PROXY", "http://127.0.0.1:1".into());
    folder.put("own", &with_a_wrong_token(&good));
    let process = Process::start(variables);
    until("it to be refused", async || process.ready().1.contains("its credentials are not taken; renew them")).await;

    // Its own: noticed since it was refused.
    folder.put("own", &good);
    until("readiness", async || process.ready() == (200, "ok".into())).await;

    // Another region's, which leads nowhere so far.
    let call = format!("POST /v1/continuums/{namespace}/shop/dry-run");
    let dry_run = || process.call(&call, r#"{"toRegion": "hel"}"#);
    until("an answer", async || dry_run().0 == 200).await;
    assert!(dry_run().1.contains("no connection"), "{}", dry_run().1);
    folder.put("regions/hel.kubeconfig", "users: [{name: u, user: {token: [very-wrong]}}]");
    until("the broken one to be told", async || process.log().contains(KEPT)).await;
    folder.put("regions/hel.kubeconfig", &good);
    until("the good one to be used", async || {
        let (status, body) = dry_run();
        status == 200 && !body.contains("no connection")
    })
    .await;
    until("its end to be told", async || process.log().contains("every kubeconfig is good again")).await;

    // One whose token nobody takes.
    folder.put("regions/hel.kubeconfig", &with_a_wrong_token(&good));
    until("it not to be used", async || process.log().contains("the new kubeconfig of hel is not answered")).await;
    assert!(!dry_run().1.contains("401"), "{}", dry_run().1);
    folder.put("regions/hel.kubeconfig", &good);
    until("its end to be told", async || process.log().matches("every kubeconfig is good again").count() == 2).await;

    // One without credentials: what everybody may read, such a server answers all the same.
    folder.put("regions/hel.kubeconfig", &with(&good, "username: nobody"));
    until("it not to be used", async || process.log().contains("the kubeconfig has no credentials")).await;
    folder.put("regions/hel.kubeconfig", &good);
    until("its end to be told", async || process.log().matches("every kubeconfig is good again").count() == 3).await;

    // One that was not there before.
    let begun = || process.log().lines().filter(|line| line.contains(r#""message":"begun""#)).count();
    let before = begun();
    folder.put("regions/sin.kubeconfig", &good);
    until("the region to be reached", async || process.log().contains(r#""place":"sin""#) && begun() > before).await;

    let log = process.log();
    assert_eq!(log.matches(KEPT).count(), 3, "each told once: {log}");
    assert!(log.contains("hel.kubeconfig is no usable kubeconfig; try it with `kubectl --kubeconfig`"), "{log}");
    assert!(!log.contains("very-wrong"), "{log}");
}
