//! A region's gateway: leads a request to a backend by the weights of the rule that it falls under.
//!
//! Deliberately absent: which rule a path matches. An application has requests for each of its rules, so one is
//! drawn; where there is one rule, nothing is.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

/// The backend, or what the client is answered instead.
pub(super) fn lead(route: &Value, random: &mut ChaCha8Rng) -> Result<String, String> {
    let rules = route["spec"]["rules"].as_array().map(Vec::as_slice).unwrap_or_default();
    let rule = match rules {
        [] => return Err("404".into()),
        [rule] => rule,
        rules => &rules[random.random_range(0..rules.len())],
    };
    let backends = rule["backendRefs"].as_array().map(Vec::as_slice).unwrap_or_default();
    let weight = |backend: &Value| backend["weight"].as_u64().unwrap_or(1);
    let total: u64 = backends.iter().map(weight).sum();
    if total == 0 {
        // Gateway API: a rule whose backends have weight 0 in all is answered so.
        return Err("500".into());
    }
    let mut drawn = random.random_range(0..total);
    for backend in backends {
        if drawn < weight(backend) {
            return Ok(backend["name"].as_str().unwrap_or_default().to_owned());
        }
        drawn -= weight(backend);
    }
    unreachable!("a number below the sum of the weights falls into one of them")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::rand_core::SeedableRng;
    use serde_json::json;
    use std::collections::BTreeSet;

    fn answers(rules: Value) -> BTreeSet<Result<String, String>> {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let route = json!({ "spec": { "rules": rules } });
        (0..200).map(|_| lead(&route, &mut random)).collect()
    }

    #[test]
    fn a_rule_is_served_by_its_own_weights_and_one_without_any_answers_500() {
        let fsn = json!({ "backendRefs": [{ "name": "shop-fsn" }, { "name": "shop-hel", "weight": 0 }] });
        let none = json!({ "backendRefs": [{ "name": "shop-fsn", "weight": 0 }] });
        assert_eq!(answers(json!([fsn])), [Ok("shop-fsn".to_owned())].into());
        assert_eq!(answers(json!([none])), [Err("500".to_owned())].into());
        assert_eq!(answers(json!([fsn, none])), [Ok("shop-fsn".to_owned()), Err("500".to_owned())].into());
        assert_eq!(answers(json!([])), [Err("404".to_owned())].into());
    }
}
