//! The operator's validating webhook: the rules on `spec.replica`, with the real one's paths and messages.
//!
//! Deliberately absent: every other rule, and the defaulting webhook.

use super::view::{self, Role};
use crate::servers::kube_api::{Admission, Refusal};
use serde_json::Value;
use std::sync::Arc;

/// What the webhook says of Clusters. Register it in the store of a region.
pub fn admission() -> Admission {
    Arc::new(|old, new| {
        let mut errors = replica_mode(new);
        errors.extend(promotion_token(new));
        if let Some(old) = old {
            errors.extend(role_change(old, new));
        }
        let detail = match errors.as_slice() {
            [] => return Ok(()),
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let name = new["metadata"]["name"].as_str().unwrap_or_default();
        let message = format!(
            "admission webhook \"vcluster.cnpg.io\" denied the request: Cluster.cluster.cnpg.io {name:?} is invalid: {detail}"
        );
        Err(Refusal::new(422, "Invalid", message))
    })
}

fn invalid(path: &str, value: &Value, why: &str) -> String {
    format!("spec.replicaCluster.{path}: Invalid value: {value}: {why}")
}

fn replica_mode(cluster: &Value) -> Vec<String> {
    let replica = &cluster["spec"]["replica"];
    if replica.is_null() {
        return Vec::new();
    }
    let mut errors = Vec::new();
    if !replica["enabled"].is_null() && is_set(&replica["primary"]) {
        errors.push(invalid("enabled", replica, "replica mode enabled is not compatible with the primary field"));
    }
    if view::role(cluster) == Role::Replica && cluster["spec"]["bootstrap"].is_null() {
        errors.push(format!(
            "spec.bootstrap: Invalid value: {replica}: bootstrap configuration is required for replica mode"
        ));
    }
    let known = view::external_clusters(cluster);
    for (field, path, required) in
        [("source", "primaryServerName", true), ("self", "self", false), ("primary", "primary", false)]
    {
        let value = &replica[field];
        let name = value.as_str().unwrap_or_default();
        if (required || is_set(value)) && !known.iter().any(|cluster| cluster == name) {
            errors.push(invalid(path, &Value::from(name), &format!("External cluster {name} not found")));
        }
    }
    errors
}

fn promotion_token(cluster: &Value) -> Vec<String> {
    let replica = &cluster["spec"]["replica"];
    let token = &replica["promotionToken"];
    if !is_set(token) {
        return Vec::new();
    }
    if !replica["minApplyDelay"].is_null() {
        return vec![invalid("minApplyDelay", token, "minApplyDelay cannot be applied with a promotion token")];
    }
    if view::role(cluster) == Role::Replica {
        return vec![invalid("token", token, "promotionToken is only allowed for primary clusters")];
    }
    match super::Token::decode(token.as_str().unwrap_or_default()) {
        Some(_) => Vec::new(),
        None => vec![invalid("token", token, "Invalid promotionToken format: it cannot be decoded")],
    }
}

fn role_change(old: &Value, new: &Value) -> Vec<String> {
    let under_way = old["status"]["switchReplicaClusterStatus"]["inProgress"] == true;
    if under_way && view::role(old) != view::role(new) {
        let why = "cannot modify the field while there is an ongoing operation to enable the replica cluster";
        return vec![format!("spec.replica.enabled: Forbidden: {why}")];
    }
    Vec::new()
}

fn is_set(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::operator::{ClusterOptions, cluster_object};
    use serde_json::json;

    fn judge(change: Value) -> Result<(), String> {
        let old = cluster_object("shop-fsn", "shop-hel", "shop-fsn", 1, &ClusterOptions::default());
        let mut new = old.clone();
        for (key, value) in change.as_object().expect("an object") {
            new["spec"]["replica"][key] = value.clone();
        }
        admission()(Some(&old), &new).map_err(|refusal| {
            assert_eq!(refusal.code, 422);
            refusal.message
        })
    }

    #[test]
    fn a_role_may_change_while_nothing_is_under_way() {
        assert_eq!(judge(json!({"primary": "shop-hel"})), Ok(()));
    }

    #[test]
    fn a_role_change_under_way_refuses_another_in_the_real_words() {
        let mut old = cluster_object("shop-fsn", "shop-hel", "shop-hel", 1, &ClusterOptions::default());
        old["status"]["switchReplicaClusterStatus"] = json!({"inProgress": true});
        let mut new = old.clone();
        new["spec"]["replica"]["primary"] = json!("shop-fsn");
        let refusal = admission()(Some(&old), &new).expect_err("refused");
        assert_eq!(
            refusal.message,
            "admission webhook \"vcluster.cnpg.io\" denied the request: Cluster.cluster.cnpg.io \"shop-fsn\" is invalid: \
             spec.replica.enabled: Forbidden: cannot modify the field while there is an ongoing operation to enable the \
             replica cluster"
        );
    }

    #[test]
    fn a_token_is_refused_on_a_replica_and_beside_a_delay() {
        let on_replica = judge(json!({"primary": "shop-hel", "promotionToken": "x"})).expect_err("refused");
        assert!(on_replica.ends_with("promotionToken is only allowed for primary clusters"), "{on_replica}");
        let delayed = judge(json!({"promotionToken": "x", "minApplyDelay": "1s"})).expect_err("refused");
        assert!(delayed.ends_with("minApplyDelay cannot be applied with a promotion token"), "{delayed}");
    }

    #[test]
    fn enabled_and_primary_exclude_each_other() {
        let both = judge(json!({"enabled": true})).expect_err("refused");
        assert!(both.contains("replica mode enabled is not compatible with the primary field"), "{both}");
    }

    #[test]
    fn names_must_be_external_clusters() {
        for field in ["primary", "self", "source"] {
            let unknown = judge(json!({field: "nobody"})).expect_err("refused");
            assert!(unknown.contains("External cluster nobody not found"), "{unknown}");
        }
    }
}
