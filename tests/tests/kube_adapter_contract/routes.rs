//! The route, looked at and written.

use crate::bed::{Bed, claimed, fsn, settled, version, with};
use continuum_core::observe::{Claim, RouteView, Seen};
use continuum_core::ports::{ActOnRoute, ObserveRoute, Outcome, RouteWrite};
use continuum_live::route::KubeRoute;
use serde_json::{Value, json};

/// Two rules with fields that nobody here knows.
pub fn route() -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": "shop", "labels": {"of-others": "kept"}},
        "spec": {"hostnames": ["shop.example.org"], "parentRefs": [{"name": "public"}], "rules": [
            {"matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "timeouts": {"request": "10s"},
             "backendRefs": [
                {"name": "shop-fsn", "port": 80, "weight": 100},
                {"name": "shop-hel", "port": 80, "weight": 0, "filters": [
                    {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "shadow", "port": 80}}}]}]},
            {"backendRefs": [{"name": "shop-fsn", "port": 81, "weight": 100},
                             {"name": "static", "port": 80, "weight": 7}]}]}
    })
}

async fn look(bed: &Bed) -> RouteView {
    match KubeRoute::new(bed.regions()).route(&fsn(), &bed.object("shop")).await {
        Seen::Is(view) => view,
        other => panic!("{other:?}"),
    }
}

async fn set(bed: &Bed, version: &str, weights: &[&[(&str, u32)]]) -> Outcome {
    let rule = |rule: &&[(&str, u32)]| rule.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect();
    let write = RouteWrite {
        region: fsn(),
        object: bed.object("shop"),
        resource_version: version.to_owned(),
        claim: Claim { generation: 3, intent: "shop/shop/3.1".into() },
        weights: weights.iter().map(rule).collect(),
    };
    KubeRoute::new(bed.regions()).set_weights(&write).await
}

pub async fn weights_are_set_and_everything_else_is_kept(bed: Bed) {
    let before = bed.create("httproutes", route()).await;
    let seen = look(&bed).await;
    assert_eq!(seen.rules.iter().map(|rule| rule.backends.len()).collect::<Vec<_>>(), [2, 2]);
    assert_eq!((seen.weight("shop-fsn"), seen.weight("shop-hel"), seen.weight("blog")), (Some(100), Some(0), None));
    let weights: [&[_]; 2] = [&[("shop-fsn", 0), ("shop-hel", 100)], &[("shop-fsn", 0)]];
    assert_eq!(set(&bed, &seen.resource_version, &weights).await, Outcome::Done(()));
    let mut expected = claimed(&before, 3, "shop/shop/3.1");
    for (backend, weight) in [("0/backendRefs/0", 0), ("0/backendRefs/1", 100), ("1/backendRefs/0", 0)] {
        expected = with(&expected, &format!("/spec/rules/{backend}/weight"), json!(weight));
    }
    let after = bed.read("httproutes/shop").await;
    assert_eq!(settled(&after), settled(&expected));
    let seen = look(&bed).await;
    assert_eq!(seen.claim, Some(Claim { generation: 3, intent: "shop/shop/3.1".into() }));
    assert_eq!(
        (seen.weight("shop-fsn"), seen.weight("shop-hel"), seen.weight("static")),
        (Some(0), Some(100), Some(7))
    );
}

pub async fn a_route_that_changed_meanwhile_is_not_written(bed: Bed) {
    let before = bed.create("httproutes", route()).await;
    let touched = bed.patch("httproutes/shop", json!({"metadata": {"labels": {"x": "y"}}})).await;
    let outcome = set(&bed, version(&before), &[&[("shop-fsn", 0)], &[]]).await;
    assert!(matches!(outcome, Outcome::NotApplied(_)), "{outcome:?}");
    assert_eq!(bed.read("httproutes/shop").await, touched);
}

pub async fn a_route_without_the_backend_is_left_alone(bed: Bed) {
    let before = bed.create("httproutes", route()).await;
    let outcome = set(&bed, version(&before), &[&[("shop-fsn", 0)], &[("shop-nbg", 100)]]).await;
    assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
    assert_eq!(bed.read("httproutes/shop").await, before);
}

pub async fn a_route_that_is_not_there_is_missing(bed: Bed) {
    assert_eq!(KubeRoute::new(bed.regions()).route(&fsn(), &bed.object("shop")).await, Seen::Missing);
    let outcome = set(&bed, "7", &[&[("shop-fsn", 0)]]).await;
    assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
}
