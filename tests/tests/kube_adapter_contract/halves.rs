//! The halves of a pair, looked at and written.

use crate::bed::{Bed, claimed, fsn, settled, version, with};
use continuum_core::next::Permit;
use continuum_core::observe::{Claim, ClusterView, Role, Seen};
use continuum_core::ports::{ActOnPair, ClusterChange, ClusterWrite, ObservePair, Outcome};
use continuum_live::pair::{KubePair, PAIR_LABEL};
use serde_json::{Value, json};
use std::time::Duration;

fn pair(bed: &Bed) -> KubePair {
    KubePair::new(bed.regions(), fsn())
}

/// A half as the operator of 1.30 keeps it, with fields that nobody here knows.
pub fn cluster(name: &str, pair: &str) -> Value {
    json!({
        "apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster",
        "metadata": {"name": name, "labels": {PAIR_LABEL: pair, "openova.io/cnpg-role": "primary"},
                     "annotations": {"of-others": "kept"}},
        "spec": {
            "instances": 2, "imageName": "postgresql:15", "switchoverDelay": 8, "storage": {"size": "1Gi"},
            "affinity": {"nodeSelector": {"kept": "yes"}, "tolerations": [{"key": "kept"}, {"key": "too"}]},
            "replica": {"primary": name, "self": name, "source": "shop-hel", "promotionToken": "old"},
            "externalClusters": [{"name": name}, {"name": "shop-hel"}],
            "postgresql": {"parameters": {"max_connections": "100"},
                           "synchronous": {"method": "any", "number": 1, "dataDurability": "required",
                                           "standbyNamesPre": ["shop-hel"]}}
        }
    })
}

async fn look(bed: &Bed, adapter: &KubePair) -> ClusterView {
    match adapter.cluster(&fsn(), &bed.object("shop")).await {
        Seen::Is(view) => view,
        other => panic!("{other:?}"),
    }
}

fn write(bed: &Bed, version: &str, generation: u64, change: ClusterChange) -> ClusterWrite {
    ClusterWrite {
        region: fsn(),
        object: bed.object("shop-fsn"),
        resource_version: version.to_owned(),
        claim: Claim { generation, intent: format!("shop/shop/{generation}.1") },
        change,
        server_limit: None,
    }
}

/// Makes the half, writes `change` with generation 3, and gives the object before and after.
async fn changed(bed: &Bed, change: ClusterChange) -> (Value, Value) {
    let before = bed.create("clusters", cluster("shop-fsn", "shop")).await;
    let outcome = pair(bed).write(&write(bed, version(&before), 3, change)).await;
    assert_eq!(outcome, Outcome::Done(()));
    (before, bed.read("clusters/shop-fsn").await)
}

pub async fn a_half_is_found_by_the_label_of_its_pair(bed: Bed) {
    bed.create("clusters", cluster("shop-fsn", "shop")).await;
    bed.create("clusters", cluster("blog-fsn", "blog")).await;
    let status = json!({
        "phase": "Cluster in healthy state", "instances": 2, "readyInstances": 2, "timelineID": 3,
        "systemID": "7711780216894003665", "demotionToken": "token", "lastPromotionToken": "old",
        "switchReplicaClusterStatus": {"inProgress": true},
        "conditions": [{"type": "Ready", "status": "True", "reason": "ClusterIsReady", "message": "",
                        "lastTransitionTime": "2026-01-01T00:00:00Z"}]
    });
    let object = bed.patch("clusters/shop-fsn/status", json!({"status": status})).await;
    let view = look(&bed, &pair(&bed)).await;
    assert_eq!(view.object, bed.object("shop-fsn"));
    assert_eq!(view.resource_version, version(&object));
    assert_eq!((view.role, view.claim, view.fenced), (Role::Primary, None, false));
    assert_eq!((view.self_name.as_str(), view.source.as_deref()), ("shop-fsn", Some("shop-hel")));
    assert_eq!((view.instances, view.ready_instances, view.timeline), (2, Some(2), Some(3)));
    assert_eq!((view.ready, view.archiving, view.in_progress), (Some(true), None, true));
    assert_eq!(view.demotion_token.as_deref(), Some("token"));
    assert_eq!((view.promotion_token.as_deref(), view.last_promotion_token.as_deref()), (Some("old"), Some("old")));
    assert_eq!(view.switchover_delay_seconds, 8);
    assert_eq!(view.synchronous.expect("it is synchronous").standby_names_pre, ["shop-hel"]);
}

pub async fn a_half_that_is_not_there_is_missing(bed: Bed) {
    bed.create("clusters", cluster("blog-fsn", "blog")).await;
    assert_eq!(pair(&bed).cluster(&fsn(), &bed.object("shop")).await, Seen::Missing);
}

pub async fn two_clusters_with_the_label_are_nobodys_half(bed: Bed) {
    bed.create("clusters", cluster("shop-fsn", "shop")).await;
    bed.create("clusters", cluster("shop-old", "shop")).await;
    let seen = pair(&bed).cluster(&fsn(), &bed.object("shop")).await;
    let Seen::Unknown(cause) = seen else { panic!("{seen:?}") };
    assert!(cause.contains("shop-fsn") && cause.contains("shop-old"), "{cause}");
}

pub async fn a_write_to_another_version_is_not_applied(bed: Bed) {
    bed.create("clusters", cluster("shop-fsn", "shop")).await;
    let adapter = pair(&bed);
    let seen = look(&bed, &adapter).await;
    let touched = bed.patch("clusters/shop-fsn/status", json!({"status": {"phase": "another"}})).await;
    for change in [ClusterChange::Claim, ClusterChange::Fence, ClusterChange::Demote { primary: "shop-hel".into() }] {
        let outcome = adapter.write(&write(&bed, &seen.resource_version, 3, change)).await;
        assert!(matches!(outcome, Outcome::NotApplied(_)), "{outcome:?}");
    }
    assert_eq!(bed.read("clusters/shop-fsn").await, touched);
}

pub async fn a_claim_of_a_higher_generation_is_seen_and_not_overruled(bed: Bed) {
    bed.create("clusters", cluster("shop-fsn", "shop")).await;
    let adapter = pair(&bed);
    let seen = look(&bed, &adapter).await;
    let outcome = adapter.write(&write(&bed, &seen.resource_version, 5, ClusterChange::Claim)).await;
    assert_eq!(outcome, Outcome::Done(()));
    let seen = look(&bed, &adapter).await;
    assert_eq!(seen.claim, Some(Claim { generation: 5, intent: "shop/shop/5.1".into() }));
    let older = adapter
        .write(&write(&bed, &seen.resource_version, 4, ClusterChange::Unfence { permit: Permit::forged() }))
        .await;
    assert!(matches!(older, Outcome::Refused(_)), "{older:?}");
    assert_eq!(look(&bed, &adapter).await, seen);
}

pub async fn a_claim_kills_an_older_write_that_is_still_under_way(bed: Bed) {
    bed.create("clusters", cluster("shop-fsn", "shop")).await;
    let (former, new) = (pair(&bed), pair(&bed));
    let under_way = write(
        &bed,
        &look(&bed, &former).await.resource_version,
        3,
        ClusterChange::Promote { primary: "shop-fsn".into(), token: None, permit: Permit::forged() },
    );
    let seen = look(&bed, &new).await;
    assert_eq!(new.write(&write(&bed, &seen.resource_version, 4, ClusterChange::Claim)).await, Outcome::Done(()));
    let outcome = former.write(&under_way).await;
    assert!(matches!(outcome, Outcome::NotApplied(_)), "{outcome:?}");
    assert_eq!(look(&bed, &new).await.claim.expect("it is claimed").generation, 4);
}

pub async fn a_demotion_names_the_other_half_and_takes_the_token_away_in_one_write(bed: Bed) {
    let (before, after) = changed(&bed, ClusterChange::Demote { primary: "shop-hel".into() }).await;
    let expected = with(&claimed(&before, 3, "shop/shop/3.1"), "/spec/replica/primary", json!("shop-hel"));
    assert_eq!(settled(&after), settled(&with(&expected, "/spec/replica/promotionToken", Value::Null)));
    assert_eq!(after["metadata"]["generation"], 2);
    let view = look(&bed, &pair(&bed)).await;
    assert_eq!(view.role, Role::Replica);
    assert_eq!(view.role_writer.map(|writer| writer.manager).as_deref(), Some("continuum"), "who wrote it is known");
}

pub async fn a_promotion_names_itself_with_the_token_or_without(bed: Bed) {
    let (before, demoted) = changed(&bed, ClusterChange::Demote { primary: "shop-hel".into() }).await;
    let promote = |token: Option<&str>| ClusterChange::Promote {
        primary: "shop-fsn".into(),
        token: token.map(str::to_owned),
        permit: Permit::forged(),
    };
    let adapter = pair(&bed);
    let outcome = adapter.write(&write(&bed, version(&demoted), 4, promote(Some("token")))).await;
    assert_eq!(outcome, Outcome::Done(()));
    let promoted = bed.read("clusters/shop-fsn").await;
    let expected = claimed(&before, 4, "shop/shop/4.1");
    assert_eq!(settled(&promoted), settled(&with(&expected, "/spec/replica/promotionToken", json!("token"))));
    let outcome = adapter.write(&write(&bed, version(&promoted), 4, promote(None))).await;
    assert_eq!(outcome, Outcome::Done(()));
    let without = bed.read("clusters/shop-fsn").await;
    assert_eq!(settled(&without), settled(&with(&expected, "/spec/replica/promotionToken", Value::Null)));
}

pub async fn a_fence_is_set_and_lifted_without_touching_the_rest(bed: Bed) {
    let (before, fenced) = changed(&bed, ClusterChange::Fence).await;
    let claim = claimed(&before, 3, "shop/shop/3.1");
    let expected = with(&claim, "/metadata/annotations/cnpg.io~1fencedInstances", json!("[\"*\"]"));
    assert_eq!(settled(&fenced), settled(&expected));
    assert_eq!(fenced["metadata"]["generation"], 1, "a fence changes no spec");
    let adapter = pair(&bed);
    assert!(look(&bed, &adapter).await.fenced);
    let outcome =
        adapter.write(&write(&bed, version(&fenced), 3, ClusterChange::Unfence { permit: Permit::forged() })).await;
    assert_eq!(outcome, Outcome::Done(()));
    assert_eq!(settled(&bed.read("clusters/shop-fsn").await), settled(&claim));
    assert!(!look(&bed, &adapter).await.fenced);
}

pub async fn a_write_with_a_server_side_limit_is_taken(bed: Bed) {
    let mut version = version(&bed.create("clusters", cluster("shop-fsn", "shop")).await).to_owned();
    let adapter = pair(&bed);
    for limit in [Duration::from_secs(5), Duration::from_millis(4_500)] {
        let promote = ClusterChange::Promote {
            primary: "shop-fsn".into(),
            token: Some(format!("{limit:?}")),
            permit: Permit::forged(),
        };
        let write = ClusterWrite { server_limit: Some(limit), ..write(&bed, &version, 3, promote) };
        assert_eq!(adapter.write(&write).await, Outcome::Done(()));
        version = look(&bed, &adapter).await.resource_version;
    }
}

pub async fn a_write_to_a_half_that_is_gone_is_refused(bed: Bed) {
    let object = bed.create("clusters", cluster("shop-fsn", "shop")).await;
    bed.delete("clusters/shop-fsn").await;
    let outcome = pair(&bed).write(&write(&bed, version(&object), 3, ClusterChange::Claim)).await;
    assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
    assert!(!bed.is_there("clusters/shop-fsn").await);
}

pub async fn a_backup_of_the_primary_is_seen_while_it_runs(bed: Bed) {
    bed.create("clusters", cluster("shop-fsn", "shop")).await;
    let adapter = pair(&bed);
    let half = look(&bed, &adapter).await;
    let runs = async || adapter.backup_runs(&fsn(), &half).await;
    assert_eq!(runs().await, Seen::Is(false));
    for of in ["blog-fsn", "shop-fsn"] {
        let body = json!({"apiVersion": "postgresql.cnpg.io/v1", "kind": "Backup",
                          "metadata": {"name": of}, "spec": {"cluster": {"name": of}}});
        bed.create("backups", body).await;
    }
    bed.patch("backups/blog-fsn/status", json!({"status": {"phase": "running"}})).await;
    assert_eq!(runs().await, Seen::Is(false), "that is another Cluster's");
    bed.patch("backups/shop-fsn/status", json!({"status": {"phase": "running"}})).await;
    assert_eq!(runs().await, Seen::Is(true));
    bed.patch("backups/shop-fsn/status", json!({"status": {"phase": "completed"}})).await;
    assert_eq!(runs().await, Seen::Is(false));
}

pub async fn a_write_that_is_tried_changes_nothing_and_is_judged_as_one_that_is_made(bed: Bed) {
    let before = bed.create("clusters", cluster("shop-fsn", "shop")).await;
    let demote = || ClusterChange::Demote { primary: "shop-hel".into() };
    let admitted = pair(&bed).admits(&write(&bed, version(&before), 3, demote())).await;
    assert_eq!(admitted, Seen::Is(Ok(())));
    assert_eq!(bed.read("clusters/shop-fsn").await, before);
    // A version that no longer stands says nothing about the next one.
    bed.patch("clusters/shop-fsn", json!({"spec": {"instances": 1}})).await;
    assert!(matches!(pair(&bed).admits(&write(&bed, version(&before), 3, demote())).await, Seen::Unknown(_)));
    let powerless = KubePair::new(bed.powerless_regions(), fsn());
    let refused = powerless.admits(&write(&bed, version(&before), 3, demote())).await;
    assert!(matches!(&refused, Seen::Is(Err(cause)) if cause.contains("403")), "{refused:?}");
}
