//! The HTTPRoute that is drained, of the same name in both regions. Only the few fields that matter are
//! read; whatever else stands in its rules is written back as it was read.

use crate::kube_api::{ROUTES, Regions, claim_of, claiming, name_of, no_server, text};
use async_trait::async_trait;
use continuum_core::name::{ObjectName, Region};
use continuum_core::observe::{RouteView, Seen};
use continuum_core::ports::{ActOnRoute, ObserveRoute, Outcome, RouteWrite};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The weight of a backend that names none (Gateway API).
const WEIGHT_DEFAULT: u32 = 1;

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
}

#[async_trait]
impl ActOnRoute for KubeRoute {
    async fn set_weights(&self, write: &RouteWrite) -> Outcome {
        let Some(api) = self.regions.get(&write.region) else { return no_server(&write.region) };
        // A merge patch replaces a list whole, so the rules are needed as they stand in the version that the
        // caller looked at.
        let object = match api.get(&ROUTES, &write.object).await {
            Ok(object) => object,
            Err(error) if error.is_missing() => return Outcome::Refused(error.text()),
            // Nothing was written yet, whatever happened to the read.
            Err(error) => return Outcome::NotApplied(error.text()),
        };
        if text(&object, "/metadata/resourceVersion") != write.resource_version {
            return Outcome::NotApplied(format!("HTTPRoute {} has changed since it was looked at", write.object));
        }
        let rules = match with_weights(&object, &write.weights) {
            Ok(rules) => rules,
            Err(cause) => return Outcome::Refused(cause),
        };
        let patch = json!({ "metadata": claiming(&write.resource_version, &write.claim), "spec": { "rules": rules } });
        match api.patch(&ROUTES, &write.object, None, &patch, None).await {
            Ok(_) => Outcome::Done(()),
            Err(error) => error.outcome(),
        }
    }
}

fn route_view(object: &Value) -> Result<RouteView, String> {
    let rules = object.pointer("/spec/rules").and_then(Value::as_array).into_iter().flatten();
    let backends = rules
        .flat_map(|rule| rule["backendRefs"].as_array().into_iter().flatten())
        .map(|backend| (text(backend, "/name").to_owned(), weight(backend)))
        .collect();
    Ok(RouteView {
        object: name_of(object),
        resource_version: text(object, "/metadata/resourceVersion").to_owned(),
        claim: claim_of(object)?,
        backends,
    })
}

fn weight(backend: &Value) -> u32 {
    backend["weight"].as_u64().and_then(|weight| u32::try_from(weight).ok()).unwrap_or(WEIGHT_DEFAULT)
}

/// The rules with these weights. An error where a backend is not there: a route of which only a part would be
/// changed is left alone (H18).
fn with_weights(object: &Value, weights: &BTreeMap<String, u32>) -> Result<Value, String> {
    let mut rules = object.pointer("/spec/rules").cloned().unwrap_or_default();
    for (name, weight) in weights {
        let mut found = false;
        for rule in rules.as_array_mut().into_iter().flatten() {
            let backends = rule.get_mut("backendRefs").and_then(Value::as_array_mut);
            for backend in backends.into_iter().flatten().filter(|backend| backend["name"] == name.as_str()) {
                backend["weight"] = json!(weight);
                found = true;
            }
        }
        if !found {
            return Err(format!("HTTPRoute {} has no backend {name}", name_of(object)));
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

    #[test]
    fn backends_of_all_rules_are_seen_and_a_missing_weight_is_one() {
        let view = route_view(&route()).unwrap();
        let expected = [("shop-fsn", 100), ("shop-hel", 0), ("shop-fsn", 1), ("static", 1)];
        assert_eq!(view.backends, expected.map(|(name, weight)| (name.to_owned(), weight)));
        assert_eq!(view.weight("shop-fsn"), Some(100));
        assert_eq!(view.claim, None);
    }

    #[test]
    fn new_weights_leave_everything_else_in_the_rules_as_it_was() {
        let weights = BTreeMap::from([("shop-fsn".to_owned(), 0), ("shop-hel".to_owned(), 100)]);
        let rules = with_weights(&route(), &weights).unwrap();
        let mut expected = route()["spec"]["rules"].clone();
        expected[0]["backendRefs"][0]["weight"] = json!(0);
        expected[0]["backendRefs"][1]["weight"] = json!(100);
        expected[1]["backendRefs"][0]["weight"] = json!(0);
        assert_eq!(rules, expected);
    }

    #[test]
    fn a_backend_that_is_not_there_leaves_the_route_alone() {
        let weights = BTreeMap::from([("shop-fsn".to_owned(), 0), ("shop-nbg".to_owned(), 100)]);
        assert_eq!(with_weights(&route(), &weights), Err("HTTPRoute shop/shop has no backend shop-nbg".into()));
    }

    fn write(resource_version: &str) -> RouteWrite {
        RouteWrite {
            region: Region::new("hel"),
            object: ObjectName::new("shop", "shop"),
            resource_version: resource_version.into(),
            claim: Claim { generation: 2, intent: "shop/shop/2.1".into() },
            weights: BTreeMap::from([("shop-fsn".to_owned(), 0), ("shop-hel".to_owned(), 100)]),
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
    async fn a_route_that_changed_since_is_not_written() {
        let (regions, log) = region([(200, route())]);
        assert!(matches!(KubeRoute::new(regions).set_weights(&write("6")).await, Outcome::NotApplied(_)));
        assert_eq!(log.lock().unwrap().len(), 1);
    }
}
