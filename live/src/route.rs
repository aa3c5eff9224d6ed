//! The HTTPRoute that is drained, of the same name in both regions. Only the few fields that matter are
//! read; whatever else stands in its rules is written back as it was read.

mod view;

use crate::kube_api::{KubeApi, KubeError, ROUTES, Regions, claiming, name_of, no_server, text};
use async_trait::async_trait;
use continuum_core::name::{ObjectName, Region};
use continuum_core::observe::{RouteView, Seen};
use continuum_core::ports::{ActOnRoute, ObserveRoute, Outcome, RouteWrite};
use continuum_core::weights::Weights;
use serde_json::{Value, json};
pub(crate) use view::route_view;

/// The route in each region.
pub struct KubeRoute {
    regions: Regions,
}

impl KubeRoute {
    /// Routes behind these API servers.
    pub fn new(regions: Regions) -> Self {
        Self { regions }
    }
}

#[async_trait]
impl ObserveRoute for KubeRoute {
    async fn route(&self, region: &Region, route: &ObjectName) -> Seen<RouteView> {
        let Some(api) = self.regions.get(region) else { return Seen::Unconfigured };
        match api.get(&ROUTES, route).await {
            Ok(object) => match route_view(&object) {
                Ok(view) => Seen::Is(view),
                Err(cause) => Seen::Unknown(cause),
            },
            Err(error) => error.seen(),
        }
    }

    async fn admits(&self, write: &RouteWrite) -> Seen<Result<(), String>> {
        let Some(api) = self.regions.get(&write.region) else { return Seen::Unconfigured };
        let patch = match patch_of(api, write).await {
            Ok(patch) => patch,
            Err(NoPatch::Unread(error)) => return error.seen(),
            Err(NoPatch::Changed(cause)) => return Seen::Unknown(cause),
            Err(NoPatch::Unfit(cause)) => return Seen::Is(Err(cause)),
        };
        match api.try_patch(&ROUTES, &write.object, &patch).await {
            Ok(_) => Seen::Is(Ok(())),
            Err(error) => error.admission(),
        }
    }
}

/// Why there is no patch.
enum NoPatch {
    /// The route could not be read: nothing was written, whatever happened to the read.
    Unread(KubeError),
    /// Another version stands there.
    Changed(String),
    /// The route has not what the weights are for.
    Unfit(String),
}

/// The patch that makes this write. A merge patch replaces a list whole, so the rules are needed as they stand in
/// the version that the caller looked at.
async fn patch_of(api: &KubeApi, write: &RouteWrite) -> Result<Value, NoPatch> {
    let object = api.get(&ROUTES, &write.object).await.map_err(NoPatch::Unread)?;
    if text(&object, "/metadata/resourceVersion") != write.resource_version {
        return Err(NoPatch::Changed(format!("HTTPRoute {} has changed since it was looked at", write.object)));
    }
    let rules = with_weights(&object, &write.weights).map_err(NoPatch::Unfit)?;
    Ok(json!({ "metadata": claiming(&write.resource_version, &write.claim), "spec": { "rules": rules } }))
}

#[async_trait]
impl ActOnRoute for KubeRoute {
    async fn set_weights(&self, write: &RouteWrite) -> Outcome {
        let Some(api) = self.regions.get(&write.region) else { return no_server(&write.region) };
        let patch = match patch_of(api, write).await {
            Ok(patch) => patch,
            Err(NoPatch::Unread(error)) if error.is_missing() => return Outcome::Refused(error.text()),
            Err(NoPatch::Unread(error)) => return Outcome::NotApplied(error.text()),
            Err(NoPatch::Changed(cause)) => return Outcome::NotApplied(cause),
            Err(NoPatch::Unfit(cause)) => return Outcome::Refused(cause),
        };
        match api.patch(&ROUTES, &write.object, None, &patch, None).await {
            Ok(_) => Outcome::Done(()),
            Err(error) => error.outcome(),
        }
    }
}

/// The rules with these weights. An error where a backend is not there: a route of which only a part would be
/// changed is left alone (H18).
fn with_weights(object: &Value, weights: &Weights) -> Result<Value, String> {
    let name = name_of(object);
    let mut rules = object.pointer("/spec/rules").cloned().unwrap_or_default();
    let count = rules.as_array().map_or(0, Vec::len);
    if count != weights.len() {
        return Err(format!("HTTPRoute {name} has {count} rules, not {}", weights.len()));
    }
    for (index, weights) in weights.iter().enumerate() {
        for (backend, weight) in weights {
            let refs = rules[index].get_mut("backendRefs").and_then(Value::as_array_mut).into_iter().flatten();
            let mut found = false;
            for backend in refs.filter(|candidate| candidate["name"] == backend.as_str()) {
                backend["weight"] = json!(weight);
                found = true;
            }
            if !found {
                return Err(format!("HTTPRoute {name} has no backend {backend} in rule {}", index + 1));
            }
        }
    }
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_server::region;
    use continuum_core::observe::Claim;

    fn route() -> Value {
        json!({
            "metadata": { "namespace": "shop", "name": "shop", "resourceVersion": "7" },
            "spec": { "hostnames": ["shop.example.org"], "rules": [
                { "matches": [{ "path": { "value": "/" } }], "timeouts": { "request": "10s" }, "backendRefs": [
                    { "name": "shop-fsn", "port": 80, "weight": 100 },
                    { "name": "shop-hel", "port": 80, "weight": 0, "filters": [] },
                ]},
                { "backendRefs": [{ "name": "shop-fsn", "port": 81 }, { "name": "static", "port": 80 }] },
            ]},
        })
    }

    fn weights(rules: &[&[(&str, u32)]]) -> Weights {
        rules.iter().map(|rule| rule.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect()).collect()
    }

    #[test]
    fn each_rule_is_seen_by_itself_and_a_missing_weight_is_one() {
        let view = route_view(&route()).unwrap();
        let backends: Vec<_> = view.rules.iter().map(|rule| rule.backends.clone()).collect();
        let expected = [[("shop-fsn", 100), ("shop-hel", 0)], [("shop-fsn", 1), ("static", 1)]];
        assert_eq!(backends, expected.map(|rule| rule.map(|(name, weight)| (name.to_owned(), weight))));
        assert_eq!(view.rules[0].about, "rule 1 (/)");
        assert_ne!(view.rules[0].key, view.rules[1].key);
        assert_eq!((view.weight("shop-fsn"), view.claim), (Some(100), None));
    }

    #[test]
    fn a_rule_is_known_by_its_name_or_its_matches_wherever_it_stands() {
        let mut object = route();
        object["spec"]["rules"][1]["name"] = json!("admin");
        let keys =
            |object: &Value| route_view(object).unwrap().rules.into_iter().map(|rule| rule.key).collect::<Vec<_>>();
        let before = keys(&object);
        object["spec"]["rules"][0]["timeouts"] = json!({ "request": "1s" });
        object["spec"]["rules"].as_array_mut().unwrap().reverse();
        assert_eq!(keys(&object), [before[1].clone(), before[0].clone()]);
        object["spec"]["rules"][0]["name"] = Value::Null;
        object["spec"]["rules"][0]["matches"] = object["spec"]["rules"][1]["matches"].clone();
        assert_ne!(keys(&object)[0], keys(&object)[1], "two alike are kept apart");
    }

    #[test]
    fn mirrors_and_session_persistence_are_seen() {
        let mut object = route();
        let mirror =
            |name: &str| json!([{ "type": "RequestMirror", "requestMirror": { "backendRef": { "name": name } } }]);
        object["spec"]["rules"][0]["filters"] = mirror("shadow");
        object["spec"]["rules"][0]["backendRefs"][1]["filters"] = mirror("deep");
        object["spec"]["rules"][1]["sessionPersistence"] = json!({ "sessionName": "s" });
        let view = route_view(&object).unwrap();
        assert_eq!(view.rules[0].mirrors, ["shadow", "deep"]);
        assert_eq!((view.rules[0].session_persistence, view.rules[1].session_persistence), (false, true));
    }

    #[test]
    fn a_field_of_another_type_is_named_and_no_default() {
        for (pointer, value, named) in [
            ("/spec/rules", json!({}), "spec.rules of"),
            ("/spec/rules/1", json!("x"), "spec.rules[1] of"),
            ("/spec/rules/0/backendRefs", json!(3), "spec.rules[0].backendRefs of"),
            ("/spec/rules/0/backendRefs/1/weight", json!("100"), "spec.rules[0].backendRefs[1].weight of"),
            ("/spec/rules/0/backendRefs/1/weight", json!(-1), "spec.rules[0].backendRefs[1].weight of"),
            ("/spec/rules/0/backendRefs/1/name", json!(7), "spec.rules[0].backendRefs[1].name of"),
            ("/spec/rules/0/matches", json!("/"), "spec.rules[0].matches of"),
        ] {
            let mut object = route();
            *object.pointer_mut(pointer).unwrap() = value;
            let error = route_view(&object).unwrap_err();
            assert!(error.starts_with(named), "{error}");
        }
    }

    #[test]
    fn what_gateways_say_counts_for_the_route_as_it_stands() {
        let mut object = route();
        object["metadata"]["generation"] = json!(4);
        let condition = |kind: &str, status: &str, of: u32| json!({ "type": kind, "status": status, "observedGeneration": of, "reason": "Why", "message": "because" });
        object["status"] = json!({ "parents": [
            { "parentRef": { "name": "public" }, "conditions": [condition("Accepted", "False", 4), condition("ResolvedRefs", "True", 4)] },
            { "parentRef": { "name": "inside" }, "conditions": [condition("Accepted", "False", 3), condition("ResolvedRefs", "Unknown", 4)] },
        ] });
        let parents = route_view(&object).unwrap().parents;
        assert_eq!((parents[0].accepted, parents[0].resolved), (Some(false), Some(true)));
        assert_eq!(parents[0].detail, "Why: because");
        assert_eq!((parents[1].accepted, parents[1].resolved, parents[1].name.as_str()), (None, None, "inside"));
    }

    #[test]
    fn who_wrote_the_rules_last_is_known_by_managed_fields() {
        let mut object = route();
        let entry = |manager: &str, time: &str, field: &str| {
            let mut owned = json!({ "f:spec": {} });
            owned["f:spec"][field] = json!({});
            json!({ "manager": manager, "operation": "Update", "time": time, "fieldsV1": owned })
        };
        object["metadata"]["managedFields"] = json!([
            entry("argocd-controller", "2026-11-28T10:00:05Z", "f:rules"),
            entry("continuum", "2026-11-28T10:00:00Z", "f:rules"),
            entry("kubectl", "2026-11-28T10:00:09Z", "f:hostnames"),
        ]);
        let writer = route_view(&object).unwrap().weights_writer.unwrap();
        assert_eq!(writer.manager, "argocd-controller");
        assert_eq!(writer.at, Some("2026-11-28T10:00:05Z".parse().unwrap()));
        assert_eq!(route_view(&route()).unwrap().weights_writer, None);
    }

    #[test]
    fn new_weights_leave_everything_else_in_the_rules_as_it_was() {
        let rules =
            with_weights(&route(), &weights(&[&[("shop-fsn", 0), ("shop-hel", 100)], &[("shop-fsn", 7)]])).unwrap();
        let mut expected = route()["spec"]["rules"].clone();
        expected[0]["backendRefs"][0]["weight"] = json!(0);
        expected[0]["backendRefs"][1]["weight"] = json!(100);
        expected[1]["backendRefs"][0]["weight"] = json!(7);
        assert_eq!(rules, expected);
    }

    #[test]
    fn a_backend_or_a_rule_that_is_not_there_leaves_the_route_alone() {
        let wanted = weights(&[&[("shop-fsn", 0)], &[("shop-nbg", 100)]]);
        let refused = Err("HTTPRoute shop/shop has no backend shop-nbg in rule 2".into());
        assert_eq!(with_weights(&route(), &wanted), refused);
        assert_eq!(with_weights(&route(), &weights(&[&[]])), Err("HTTPRoute shop/shop has 2 rules, not 1".into()));
    }

    fn write(resource_version: &str) -> RouteWrite {
        RouteWrite {
            region: Region::new("hel"),
            object: ObjectName::new("shop", "shop"),
            resource_version: resource_version.into(),
            claim: Claim { generation: 2, intent: "shop/shop/2.1".into() },
            weights: weights(&[&[("shop-fsn", 0), ("shop-hel", 100)], &[]]),
        }
    }

    #[tokio::test]
    async fn weights_are_one_patch_with_a_claim_on_the_version_that_was_looked_at() {
        let (regions, log) = region([(200, route()), (200, json!({}))]);
        assert_eq!(KubeRoute::new(regions).set_weights(&write("7")).await, Outcome::Done(()));
        let log = log.lock().unwrap();
        assert!(log[1].line.starts_with("PATCH /apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes/shop?"));
        assert_eq!(log[1].body["metadata"]["resourceVersion"], "7");
        assert_eq!(log[1].body["metadata"]["annotations"]["dr.openova.io/generation"], "2");
        assert_eq!(log[1].body["spec"]["rules"].as_array().unwrap().len(), 2);
    }

    #[tokio::test]
    async fn the_same_patch_is_tried_with_a_dry_run() {
        let refusal = crate::test_server::status(422, "Invalid", "denied by policy");
        let (regions, log) = region([(200, route()), (200, json!({})), (200, route()), refusal, (200, route())]);
        let route = KubeRoute::new(regions);
        assert_eq!(route.admits(&write("7")).await, Seen::Is(Ok(())));
        let refused = route.admits(&write("7")).await;
        assert!(matches!(&refused, Seen::Is(Err(cause)) if cause.contains("denied by policy")), "{refused:?}");
        assert!(matches!(route.admits(&write("6")).await, Seen::Unknown(_)));
        let log = log.lock().unwrap();
        assert!(log[1].line.contains("dryRun=All"), "{}", log[1].line);
        assert_eq!(log[1].body["spec"]["rules"].as_array().unwrap().len(), 2);
    }

    #[tokio::test]
    async fn a_route_that_changed_since_is_not_written() {
        let (regions, log) = region([(200, route())]);
        assert!(matches!(KubeRoute::new(regions).set_weights(&write("6")).await, Outcome::NotApplied(_)));
        assert_eq!(log.lock().unwrap().len(), 1);
    }
}
