//! What a Cluster says, and what is written to one.

use super::*;
use crate::test_server::{region, status};
use continuum_core::next::Permit;
use continuum_core::observe::Claim;
use continuum_core::observe::Role;
use std::time::Duration;

/// A primary as the operator of 1.30 leaves it after a promotion.
fn primary() -> Value {
    json!({
        "metadata": {
            "namespace": "shop", "name": "shop-fsn", "resourceVersion": "875",
            "labels": { PAIR_LABEL: "shop", "openova.io/cnpg-role": "primary" },
            "annotations": { "dr.openova.io/generation": "3", "dr.openova.io/intent": "shop/shop/2.1" },
        },
        "spec": {
            "instances": 2, "switchoverDelay": 8, "imageName": "postgresql:15",
            "replica": { "primary": "shop-fsn", "self": "shop-fsn", "source": "shop-hel", "promotionToken": "tok" },
            "externalClusters": [{ "name": "shop-fsn" }, { "name": "shop-hel" }],
            "postgresql": {
                "parameters": { "max_connections": "100" },
                "synchronous": { "method": "any", "number": 1, "standbyNamesPre": ["shop-hel"] },
            },
        },
        "status": {
            "phase": "Cluster in healthy state", "readyInstances": 1, "instances": 1, "timelineID": 3,
            "systemID": "7711780216894003665", "lastPromotionToken": "tok", "switchReplicaClusterStatus": {},
            "conditions": [
                { "type": "Ready", "status": "True" },
                { "type": "ContinuousArchiving", "status": "False" },
                { "type": "LastBackupSucceeded", "status": "Unknown" },
            ],
        },
    })
}

fn with(pointer: &str, key: &str, value: Value) -> Value {
    let mut cluster = primary();
    cluster.pointer_mut(pointer).unwrap()[key] = value;
    cluster
}

fn hel() -> Region {
    Region::new("hel")
}

fn pair() -> ObjectName {
    ObjectName::new("shop", "shop")
}

fn write(change: ClusterChange) -> ClusterWrite {
    ClusterWrite {
        region: hel(),
        object: ObjectName::new("shop", "shop-fsn"),
        resource_version: "875".into(),
        claim: Claim { generation: 3, intent: "shop/shop/3.2".into() },
        change,
        server_limit: None,
    }
}

#[test]
fn a_cluster_is_seen_as_it_stands() {
    let view = cluster_view(&primary()).unwrap();
    assert_eq!(view.object, ObjectName::new("shop", "shop-fsn"));
    assert_eq!(view.claim, Some(Claim { generation: 3, intent: "shop/shop/2.1".into() }));
    assert_eq!((view.role, view.primary_name.as_deref()), (Role::Primary, Some("shop-fsn")));
    assert_eq!((view.self_name.as_str(), view.source.as_deref()), ("shop-fsn", Some("shop-hel")));
    assert_eq!(view.external_clusters, ["shop-fsn", "shop-hel"]);
    assert_eq!((view.instances, view.ready_instances, view.timeline), (2, Some(1), Some(3)));
    assert_eq!((view.ready, view.archiving, view.in_progress, view.fenced), (Some(true), Some(false), false, false));
    assert_eq!((view.switchover_delay_seconds, view.smart_shutdown_timeout_seconds), (8, 180));
    assert_eq!((view.promotion_token.as_deref(), view.last_promotion_token.as_deref()), (Some("tok"), Some("tok")));
    let synchronous = view.synchronous.unwrap();
    assert!(synchronous.required);
    assert_eq!((synchronous.number, synchronous.standby_names_pre), (1, vec!["shop-hel".to_owned()]));
}

#[test]
fn the_role_is_what_the_spec_asks_for() {
    let role = |replica: Value| {
        let view = cluster_view(&with("/spec", "replica", replica)).unwrap();
        (view.role, view.primary_name)
    };
    let named = |name: &str| Some(name.to_owned());
    assert_eq!(role(Value::Null), (Role::Primary, None));
    assert_eq!(role(json!({ "primary": "shop-hel", "source": "shop-hel" })), (Role::Replica, named("shop-hel")));
    // Without `self` a Cluster goes by its own name.
    assert_eq!(role(json!({ "primary": "shop-fsn" })), (Role::Primary, named("shop-fsn")));
    assert_eq!(role(json!({ "primary": "a", "self": "a" })), (Role::Primary, named("a")));
    assert_eq!(role(json!({ "primary": "shop-fsn", "self": "a" })), (Role::Replica, named("shop-fsn")));
    assert_eq!(role(json!({ "enabled": true, "source": "shop-hel" })), (Role::Replica, named("shop-hel")));
    assert_eq!(role(json!({ "enabled": false, "source": "shop-hel" })), (Role::Primary, named("shop-fsn")));
    // Neither names a primary, which the Cluster then is not.
    assert_eq!(role(json!({ "source": "shop-hel" })), (Role::Replica, named("shop-hel")));
    assert_eq!(role(json!({})), (Role::Replica, None));
    // `enabled` counts before `primary`.
    assert_eq!(role(json!({ "enabled": true, "primary": "shop-fsn" })), (Role::Replica, named("shop-fsn")));
    assert_eq!(role(json!({ "enabled": false, "primary": "shop-hel" })), (Role::Primary, named("shop-fsn")));
}

#[test]
fn who_wrote_the_role_last_is_the_owner_of_the_most_of_it_and_then_the_newest() {
    let entry = |manager: &str, time: &str, owned: Value| json!({ "manager": manager, "operation": "Update", "time": time, "fieldsV1": owned });
    let replica = |of: Value| json!({ "f:spec": { "f:replica": of } });
    let role = json!({ ".": {}, "f:primary": {} });
    let view = cluster_view(&with(
        "/metadata",
        "managedFields",
        json!([
            entry("helm", "2026-11-24T16:51:46Z", replica(role.clone())),
            entry("argocd-controller", "2026-11-24T16:53:00Z", replica(role)),
            entry("continuum", "2026-11-24T16:54:00Z", replica(json!({ "f:promotionToken": {} }))),
            entry("manager", "2026-11-24T16:55:00Z", json!({ "f:metadata": { "f:annotations": {} } })),
        ]),
    ));
    let writer = view.unwrap().role_writer.unwrap();
    assert_eq!((writer.manager.as_str(), writer.at), ("argocd-controller", "2026-11-24T16:53:00Z".parse().ok()));
    assert_eq!(cluster_view(&primary()).unwrap().role_writer, None);
}

#[test]
fn what_the_operator_leaves_alone_and_which_one_it_is_are_seen() {
    let annotated = |name: &str, value: &str| cluster_view(&with("/metadata/annotations", name, json!(value))).unwrap();
    assert!(annotated("cnpg.io/reconciliationLoop", "disabled").reconciliation_disabled);
    assert!(!annotated("cnpg.io/reconciliationLoop", "enabled").reconciliation_disabled);
    assert!(annotated("cnpg.io/hibernation", "on").hibernated);
    assert!(!annotated("cnpg.io/hibernation", "off").hibernated);
    let built = cluster_view(&with("/status", "cloudNativePGCommitHash", json!("4b5e244a7"))).unwrap();
    assert_eq!(built.operator_commit.as_deref(), Some("4b5e244a7"));
}

#[test]
fn a_half_whose_source_has_no_connection_ships_wal_only() {
    let ships = |entry: Value| {
        let clusters = json!([{ "name": "shop-fsn", "connectionParameters": {} }, entry]);
        cluster_view(&with("/spec", "externalClusters", clusters)).unwrap().ships_wal_only
    };
    assert!(ships(json!({ "name": "shop-hel", "barmanObjectStore": { "destinationPath": "s3://wal" } })));
    assert!(!ships(json!({ "name": "shop-hel", "connectionParameters": { "host": "hel" }, "plugin": {} })));
}

#[test]
fn role_secrets_go_by_the_operators_own_order() {
    let secrets = |key: &str, value: Value| {
        let secrets = cluster_view(&with("/spec", key, value)).unwrap().role_secrets;
        secrets.into_iter().map(|(role, secret)| format!("{role}: {secret}")).collect::<Vec<_>>()
    };
    let secret = |name: &str| json!({ "secret": { "name": name } });
    assert_eq!(secrets("bootstrap", Value::Null), ["app: shop-fsn-app"]);
    assert_eq!(secrets("bootstrap", json!({ "initdb": secret("i") })), ["app: i"]);
    assert_eq!(secrets("bootstrap", json!({ "initdb": secret("i"), "pg_basebackup": secret("b") })), ["app: b"]);
    assert_eq!(secrets("bootstrap", json!({ "pg_basebackup": secret("b"), "recovery": secret("r") })), ["app: r"]);
    assert_eq!(secrets("bootstrap", json!({ "initdb": { "database": "app" } })), ["app: shop-fsn-app"]);
    assert_eq!(secrets("superuserSecret", json!({ "name": "root" })), ["app: shop-fsn-app"]);
    assert_eq!(secrets("enableSuperuserAccess", json!(true)), ["app: shop-fsn-app", "superuser: shop-fsn-superuser"]);
}

#[tokio::test]
async fn rights_are_asked_for_the_half_by_its_name() {
    let allowed = || (201, json!({ "status": { "allowed": true } }));
    let look = [(200, json!({ "items": [primary()] }))];
    let (regions, log) = region(look.into_iter().chain((0..12).map(|_| allowed())));
    let adapter = KubePair::new(regions, hel());
    adapter.cluster(&hel(), &pair()).await;
    let plan = continuum_core::preflight::fixture::plan();
    assert_eq!(adapter.missing_rights(&hel(), &plan).await, Seen::Is(vec![]));
    let asked: Vec<Value> =
        log.lock().unwrap().iter().map(|sent| sent.body["spec"]["resourceAttributes"].clone()).collect();
    let names = |verb: &str| {
        let of = asked.iter().filter(|asked| asked["verb"] == verb && asked["resource"] == "clusters");
        of.map(|asked| asked["name"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!((names("patch"), names("list")), (vec!["shop-fsn".to_owned()], vec![String::new()]));
}

#[test]
fn tools_that_keep_the_object_are_known_by_their_marks() {
    let kept = |pointer: &str, key: &str, value: Value| cluster_view(&with(pointer, key, value)).unwrap().kept_by;
    let annotations = "/metadata/annotations";
    assert_eq!(
        kept(annotations, "argocd.argoproj.io/tracking-id", json!("shop:postgresql.cnpg.io/Cluster:shop/shop-fsn")),
        ["Argo CD (annotation argocd.argoproj.io/tracking-id)"]
    );
    assert_eq!(
        kept("/metadata/labels", "kustomize.toolkit.fluxcd.io/name", json!("shop")),
        ["Flux (label kustomize.toolkit.fluxcd.io/name)"]
    );
    // A label that anybody may set says nothing.
    assert_eq!(kept("/metadata/labels", "app.kubernetes.io/instance", json!("shop")), [""; 0]);
    let fields =
        json!([{ "manager": "helm-controller", "fieldsV1": { "f:spec": { "f:replica": { "f:primary": {} } } } }]);
    assert_eq!(kept("/metadata", "managedFields", fields), ["Flux (owns spec.replica as helm-controller)"]);
}

#[test]
fn a_switchover_delay_of_0_is_the_operators_default() {
    let delay = |value: Value| cluster_view(&with("/spec", "switchoverDelay", value)).unwrap().switchover_delay_seconds;
    assert_eq!((delay(json!(0)), delay(Value::Null), delay(json!(8))), (3_600, 3_600, 8));
    let timeout = cluster_view(&with("/spec", "smartShutdownTimeout", json!(0))).unwrap();
    assert_eq!(timeout.smart_shutdown_timeout_seconds, 0);
}

#[test]
fn a_field_of_another_type_is_named_and_nothing_is_concluded() {
    let cases = [
        ("/spec", "replica", json!("shop-hel"), "spec.replica of"),
        ("/spec", "instances", json!("2"), "spec.instances of"),
        ("/spec", "switchoverDelay", json!("8"), "spec.switchoverDelay of"),
        ("/spec", "externalClusters", json!([7]), "spec.externalClusters[0] of"),
        ("/spec/replica", "primary", json!(7), "spec.replica.primary of"),
        ("/spec/replica", "enabled", json!("true"), "spec.replica.enabled of"),
        ("/spec/postgresql/synchronous", "number", json!(-1), "spec.postgresql.synchronous.number of"),
        ("/status", "timelineID", json!("3"), "status.timelineID of"),
        ("/status", "conditions", json!([{ "type": "Ready", "status": true }]), "status of condition Ready of"),
        ("/metadata/annotations", "dr.openova.io/generation", json!("four"), "annotation dr.openova.io/generation of"),
        ("/metadata/annotations", FENCE_ANNOTATION, json!("*"), "annotation cnpg.io/fencedInstances of"),
    ];
    for (pointer, key, value, named) in cases {
        let cause = cluster_view(&with(pointer, key, value)).unwrap_err();
        assert!(cause.starts_with(named) && cause.contains("shop/shop-fsn"), "{cause}");
    }
}

#[test]
fn what_a_cluster_does_not_say_is_absent() {
    let view = cluster_view(&json!({ "metadata": { "namespace": "shop", "name": "shop-fsn" } })).unwrap();
    assert_eq!((view.claim, view.ready, view.archiving, view.timeline), (None, None, None, None));
    assert_eq!((view.ready_instances, view.system_id, view.synchronous), (None, None, None));
    assert_eq!((view.instances, view.switchover_delay_seconds), (1, 3_600));
    let unknown = with("/status", "conditions", json!([{ "type": "Ready", "status": "Unknown" }]));
    assert_eq!(cluster_view(&unknown).unwrap().ready, None);
}

#[test]
fn a_fence_of_the_operator_and_progress_are_seen() {
    let fenced = with("/metadata/annotations", FENCE_ANNOTATION, json!("[\"*\"]"));
    assert!(cluster_view(&fenced).unwrap().fenced);
    let nobody = with("/metadata/annotations", FENCE_ANNOTATION, json!("[]"));
    assert!(!cluster_view(&nobody).unwrap().fenced);
    let moving = with("/status", "switchReplicaClusterStatus", json!({ "inProgress": true }));
    assert!(cluster_view(&moving).unwrap().in_progress);
}

#[test]
fn a_demotion_names_the_other_half_and_removes_the_token_in_one_patch() {
    let patch = cluster_patch(&write(ClusterChange::Demote { primary: "shop-hel".into() }));
    let expected = json!({
        "metadata": {
            "resourceVersion": "875",
            "annotations": { "dr.openova.io/generation": "3", "dr.openova.io/intent": "shop/shop/3.2" },
        },
        "spec": { "replica": { "enabled": null, "primary": "shop-hel", "promotionToken": null } },
    });
    assert_eq!(patch, expected);
}

#[test]
fn a_promotion_carries_its_token_and_one_without_removes_an_older() {
    let promote = |token: Option<&str>| {
        let change = ClusterChange::Promote {
            primary: "shop-fsn".into(),
            token: token.map(str::to_owned),
            permit: Permit::forged(),
        };
        cluster_patch(&write(change))["spec"]["replica"]["promotionToken"].clone()
    };
    assert_eq!((promote(Some("tok")), promote(None)), (json!("tok"), Value::Null));
}

#[test]
fn fencing_and_claiming_touch_annotations_alone() {
    let fence = cluster_patch(&write(ClusterChange::Fence));
    assert_eq!(fence["metadata"]["annotations"][FENCE_ANNOTATION], json!("[\"*\"]"));
    let unfence = cluster_patch(&write(ClusterChange::Unfence { permit: Permit::forged() }));
    assert_eq!(unfence["metadata"]["annotations"].get(FENCE_ANNOTATION), Some(&Value::Null));
    let claim = cluster_patch(&write(ClusterChange::Claim));
    assert_eq!(claim["metadata"]["annotations"].get(FENCE_ANNOTATION), None);
    for patch in [fence, unfence, claim] {
        assert_eq!(patch.get("spec"), None);
    }
}

#[test]
fn role_secrets_are_compared_by_user_and_password_alone() {
    let secret = |password: &str, host: &str| {
        role_secret(&json!({ "data": { "username": "YXBw", "password": password, "host": host, "uri": host } }))
    };
    assert_eq!(secret("cA==", "shop-fsn-rw"), secret("cA==", "shop-hel-rw"));
    assert_ne!(secret("cA==", "shop-fsn-rw").hash, secret("cQ==", "shop-fsn-rw").hash);
    let login = RoleLogin { user: "app".into(), password: "p".into() };
    assert_eq!(secret("cA==", "").login, Some(login));
    assert_eq!(secret("cA=", "").login, None);
    assert!(!format!("{:?}", secret("c2VjcmV0", "")).contains("secret\""), "it is shown nowhere");
}

#[tokio::test]
async fn the_half_is_found_by_its_label_and_a_backup_of_it_is_seen() {
    let backups = json!({ "items": [
        { "spec": { "cluster": { "name": "other" } }, "status": { "phase": "running" } },
        { "spec": { "cluster": { "name": "shop-fsn" } }, "status": { "phase": "completed" } },
    ]});
    let (regions, log) = region([(200, json!({ "items": [primary()] })), (200, backups)]);
    let adapter = KubePair::new(regions, hel());
    let seen = adapter.cluster(&hel(), &pair()).await;
    assert_eq!(adapter.backup_runs(&hel(), seen.known().unwrap()).await, Seen::Is(false));
    let lines: Vec<String> = log.lock().unwrap().iter().map(|sent| sent.line.clone()).collect();
    assert!(lines[0].contains("/apis/postgresql.cnpg.io/v1/namespaces/shop/clusters?"), "{lines:?}");
    assert!(lines[0].contains("labelSelector=catalyst.openova.io%2Fcnpg-pair%3Dshop"), "{lines:?}");
}

#[tokio::test]
async fn no_backups_to_be_seen_is_not_no_backup() {
    for answer in [status(403, "Forbidden", "no"), (404, json!("404 page not found"))] {
        let (regions, _) = region([(200, json!({ "items": [primary()] })), answer]);
        let adapter = KubePair::new(regions, hel());
        let seen = adapter.cluster(&hel(), &pair()).await;
        assert_eq!(adapter.backup_runs(&hel(), seen.known().unwrap()).await.known(), None);
    }
}

#[tokio::test]
async fn no_half_is_missing_two_are_unknown_and_an_unreachable_one_is_unknown() {
    let look = async |answer: (u16, Value)| {
        let (regions, _) = region([answer]);
        KubePair::new(regions, hel()).cluster(&hel(), &pair()).await
    };
    assert_eq!(look((200, json!({ "items": [] }))).await, Seen::Missing);
    let Seen::Unknown(cause) = look((200, json!({ "items": [primary(), primary()] }))).await else { panic!() };
    assert!(cause.starts_with("2 Clusters carry the label catalyst.openova.io/cnpg-pair=shop"), "{cause}");
    let Seen::Unknown(cause) = look((200, json!({ "kind": "Status" }))).await else { panic!() };
    assert_eq!(cause, "GET clusters in hel: an answer without a list of items");
    let Seen::Unknown(cause) = look(status(500, "InternalError", "etcd is away")).await else { panic!() };
    assert_eq!(cause, "GET clusters in hel: 500 etcd is away");
    let Seen::Unknown(cause) = look(status(404, "NotFound", "the kind is not installed")).await else { panic!() };
    assert!(cause.contains("404"), "{cause}");
}

#[tokio::test]
async fn a_region_without_a_client_is_unconfigured_and_refuses_writes() {
    let pair_adapter = KubePair::new(Regions::default(), hel());
    assert_eq!(pair_adapter.cluster(&hel(), &pair()).await, Seen::Unconfigured);
    assert!(matches!(pair_adapter.write(&write(ClusterChange::Fence)).await, Outcome::Refused(_)));
}

#[tokio::test]
async fn a_write_over_a_higher_generation_is_not_sent() {
    let newer = with("/metadata/annotations", "dr.openova.io/generation", json!("4"));
    let (regions, log) = region([(200, json!({ "items": [newer] }))]);
    let adapter = KubePair::new(regions, hel());
    adapter.cluster(&hel(), &pair()).await;
    let Outcome::Refused(cause) = adapter.write(&write(ClusterChange::Fence)).await else { panic!() };
    assert!(cause.contains("generation 4, which is above 3"), "{cause}");
    assert_eq!(log.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_write_is_one_conditional_patch_with_the_servers_limit() {
    let (regions, log) = region([(200, primary())]);
    let write = ClusterWrite {
        server_limit: Some(Duration::from_secs(5)),
        ..write(ClusterChange::Promote {
            primary: "shop-fsn".into(),
            token: Some("tok".into()),
            permit: Permit::forged(),
        })
    };
    assert_eq!(KubePair::new(regions, hel()).write(&write).await, Outcome::Done(()));
    let log = log.lock().unwrap();
    assert!(log[0].line.starts_with("PATCH /apis/postgresql.cnpg.io/v1/namespaces/shop/clusters/shop-fsn?"));
    assert!(log[0].line.ends_with("timeout=5s"), "{}", log[0].line);
    assert_eq!(log[0].body, cluster_patch(&write));
}

#[tokio::test]
async fn a_secret_that_is_not_there_is_left_out_and_one_that_cannot_be_read_is_unknown() {
    let cluster = cluster_view(&with("/spec", "enableSuperuserAccess", json!(true))).unwrap();
    let app = (200, json!({ "data": { "username": "YXBw", "password": "cA==" } }));
    let missing = status(404, "NotFound", "secrets \"shop-fsn-superuser\" not found");
    let (regions, _) = region([app.clone(), missing]);
    let seen = KubePair::new(regions, hel()).secrets(&hel(), &cluster).await;
    assert_eq!(seen.known().unwrap().keys().collect::<Vec<_>>(), ["app"]);
    let (regions, _) = region([app, status(403, "Forbidden", "secrets is forbidden")]);
    let seen = KubePair::new(regions, hel()).secrets(&hel(), &cluster).await;
    assert_eq!(seen, Seen::Unknown("GET secrets in hel: 403 secrets is forbidden".into()));
}

#[tokio::test]
async fn a_write_is_tried_as_the_very_patch_that_is_thrown_away() {
    let (regions, log) = region([(200, primary())]);
    let write = write(ClusterChange::Promote {
        primary: "shop-fsn".into(),
        token: Some("tok".into()),
        permit: Permit::forged(),
    });
    assert_eq!(KubePair::new(regions, hel()).admits(&write).await, Seen::Is(Ok(())));
    let log = log.lock().unwrap();
    assert!(log[0].line.contains("dryRun=All"), "{}", log[0].line);
    assert_eq!(log[0].body, cluster_patch(&write));
}

#[tokio::test]
async fn what_is_not_admitted_is_told_and_what_nobody_said_is_unknown() {
    let dead = "Internal error occurred: failed calling webhook \"mcluster.cnpg.io\": connection refused";
    for answer in [
        status(500, "InternalError", dead),
        status(403, "Forbidden", "clusters \"shop-fsn\" is forbidden: ValidatingAdmissionPolicy denied request"),
        status(422, "Invalid", "spec.replica.primary: Invalid value"),
    ] {
        let message = answer.1["message"].as_str().unwrap().to_owned();
        let (regions, _) = region([answer]);
        let seen = KubePair::new(regions, hel()).admits(&write(ClusterChange::Claim)).await;
        let Seen::Is(Err(cause)) = seen else { panic!("{seen:?}") };
        assert!(cause.ends_with(&message), "{cause}");
    }
    for answer in [
        status(409, "Conflict", "the object has been modified"),
        status(429, "TooManyRequests", "again"),
        status(500, "InternalError", "etcd is away"),
        status(504, "Timeout", "no answer in time"),
    ] {
        let (regions, _) = region([answer]);
        let seen = KubePair::new(regions, hel()).admits(&write(ClusterChange::Claim)).await;
        assert!(matches!(seen, Seen::Unknown(_)), "{seen:?}");
    }
}

#[tokio::test]
async fn a_promotion_that_may_only_be_asked_about_is_never_sent() {
    let change = ClusterChange::Promote { primary: "shop-fsn".into(), token: None, permit: Permit::to_try() };
    let (regions, log) = region([]);
    let outcome = KubePair::new(regions, hel()).write(&write(change)).await;
    assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
    assert!(log.lock().unwrap().is_empty());
}
