//! The policy against changes of a role that are nobody's claim, as the API server of a region carries it out where the
//! chart has put it up: `live/policies/role-changes.yaml`, whose expressions a real server alone evaluates.

use crate::servers::kube_api::{Admission, Refusal};
use serde_json::Value;
use std::sync::Arc;

const PAIR: &str = "catalyst.openova.io/cnpg-pair";
const GENERATION: &str = "dr.openova.io/generation";
const INTENT: &str = "dr.openova.io/intent";
const OVERRIDE: &str = "dr.openova.io/role-override";
const POLICY: &str = "role-changes.dr.openova.io";

/// What it says of Clusters. Register it in the store of a region.
pub(super) fn policy() -> Admission {
    Arc::new(|old, new| {
        let Some(old) = old.filter(|old| old["metadata"]["labels"][PAIR].is_string()) else { return Ok(()) };
        if old["spec"]["replica"] == new["spec"]["replica"] || is_claimed(old, new) || is_overridden(old, new) {
            return Ok(());
        }
        let name = new["metadata"]["name"].as_str().unwrap_or_default();
        let message = format!(
            "clusters.postgresql.cnpg.io {name:?} is forbidden: ValidatingAdmissionPolicy '{POLICY}' with binding '{POLICY}' \
             denied request: spec.replica of {name} belongs to the Continuum of its pair: order a switchover, exclude \
             spec.replica from the tool that writes it, or, by hand, set a new reason in annotation {OVERRIDE}"
        );
        Err(Refusal::new(403, "Forbidden", message))
    })
}

/// There, not older than the one that stood, and another one.
fn is_claimed(old: &Value, new: &Value) -> bool {
    let Some(generation) = number(new) else { return false };
    let is_older = number(old).is_some_and(|before| generation < before);
    let is_another = [GENERATION, INTENT].into_iter().any(|name| annotation(new, name) != annotation(old, name));
    !is_older && is_another
}

fn is_overridden(old: &Value, new: &Value) -> bool {
    let reason = annotation(new, OVERRIDE);
    !reason.is_empty() && reason != annotation(old, OVERRIDE)
}

fn number(object: &Value) -> Option<u64> {
    let text = annotation(object, GENERATION);
    let is_number = (1..=18).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

fn annotation<'a>(object: &'a Value, name: &str) -> &'a str {
    object["metadata"]["annotations"][name].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn half(primary: &str, annotations: Value) -> Value {
        json!({
            "metadata": {"name": "shop-fsn", "labels": {PAIR: "shop"}, "annotations": annotations},
            "spec": {"replica": {"primary": primary}},
        })
    }

    /// The cases that `tests/tests/kube_adapter_contract/policy.rs` puts to a real server.
    #[test]
    fn a_role_is_changed_by_a_claim_or_by_a_person_with_a_reason() {
        let claim = |generation: &str, intent: &str| json!({GENERATION: generation, INTENT: intent});
        let stood = half("shop-hel", claim("4", "a"));
        let taken = |new: &Value| policy()(Some(&stood), new).is_ok();
        for (generation, intent) in [("4", "a"), ("3", "b"), ("", "b"), ("four", "b")] {
            assert!(!taken(&half("shop-fsn", claim(generation, intent))), "{generation} {intent}");
        }
        for (generation, intent) in [("4", "b"), ("5", "a")] {
            assert!(taken(&half("shop-fsn", claim(generation, intent))), "{generation} {intent}");
        }
        let mut overridden = half("shop-fsn", claim("4", "a"));
        overridden["metadata"]["annotations"][OVERRIDE] = json!("hel is lost");
        assert!(taken(&overridden));
        let again = policy()(Some(&overridden), &{
            let mut back = overridden.clone();
            back["spec"]["replica"]["primary"] = json!("shop-hel");
            back
        });
        let refusal = again.expect_err("the same reason is none");
        assert_eq!(refusal.code, 403);
        assert!(refusal.message.contains("spec.replica of shop-fsn belongs to the Continuum of its pair"), "{refusal}");
        // Whatever else changes is no matter of the policy's, and who takes the label away goes no way round it.
        let mut other = stood.clone();
        other["spec"]["instances"] = json!(2);
        assert!(taken(&other));
        let mut unlabelled = half("shop-fsn", claim("4", "a"));
        unlabelled["metadata"]["labels"] = json!({});
        assert!(!taken(&unlabelled));
        assert!(policy()(None, &half("shop-fsn", Value::Null)).is_ok(), "a new one has no role to change");
    }
}
