//! The weights of a route, rule by rule: what draining makes of them, what its undo brings back, and why a route
//! cannot be drained. Pure; the two backends are named `from`, whose share goes, and `to`, whose share grows.

use crate::observe::{RouteRule, RouteView};
use crate::record::{FormerRule, FormerWeights};
use std::collections::BTreeMap;

/// New weights of each rule of a route, in order, by backend. An empty map leaves its rule alone.
pub type Weights = Vec<BTreeMap<String, u32>>;

/// The weight that a rule gets which would serve nobody.
const WEIGHT_LEAST: u32 = 1;

/// Why the rule cannot be drained; absent: it can, or it has nothing to drain.
pub fn fault(rule: &RouteRule, from: &str, to: &str) -> Option<String> {
    if rule.weight(from).is_some() && rule.weight(to).is_none() {
        return Some(format!(
            "{}: {from} stands without {to}, so drained it would serve nobody; add {to} to the rule",
            rule.about
        ));
    }
    let uneven = [from, to].into_iter().find(|backend| rule.is_uneven(backend))?;
    let about = &rule.about;
    Some(format!("{about}: {uneven} stands there twice with different weights, which could not be brought back"))
}

/// Whether some rule has both backends: where none has, nothing must be drained (H18).
pub fn leads_to_both(view: &RouteView, from: &str, to: &str) -> bool {
    view.rules.iter().any(|rule| rule.weight(from).is_some() && rule.weight(to).is_some())
}

/// The weights as they stand, for the undo.
pub fn former(view: &RouteView, from: &str, to: &str) -> FormerWeights {
    let of = |rule: &RouteRule| {
        let weights = FormerRule { from: rule.weight(from), to: rule.weight(to) };
        (weights.from.is_some() || weights.to.is_some()).then(|| (rule.key.clone(), weights))
    };
    FormerWeights {
        from: view.weight(from).unwrap_or_default(),
        to: view.weight(to).unwrap_or_default(),
        rules: view.rules.iter().filter_map(of).collect(),
    }
}

/// Nothing goes to `from`, and `to` gets the greater of the two former weights. A rule in which both were 0 stays so
/// where others are served by it; where it would serve nobody it gets a weight.
pub fn drained(view: &RouteView, former: &FormerWeights, from: &str, to: &str) -> Weights {
    let wanted = |rule: &RouteRule| {
        if rule.weight(from).is_none() || rule.weight(to).is_none() {
            return BTreeMap::new();
        }
        let before = former_of(rule, former, from, to).unwrap_or_else(|| stands(rule, from, to));
        let greater = before.from.max(before.to).unwrap_or_default();
        let others = rule.backends.iter().any(|(name, weight)| name != from && name != to && *weight > 0);
        let raised = if greater == 0 && !others { WEIGHT_LEAST } else { greater };
        [(from.to_owned(), 0), (to.to_owned(), raised)].into()
    };
    view.rules.iter().map(wanted).collect()
}

/// The former weights of what was drained: rules with both backends. One that came meanwhile is somebody else's, and left
/// as it is, unless it sends nothing to `from`, which is primary again.
pub fn restored(view: &RouteView, former: &FormerWeights, from: &str, to: &str) -> Weights {
    let wanted = |rule: &RouteRule| {
        let (here, there) = (rule.weight(from), rule.weight(to));
        let before = match former_of(rule, former, from, to) {
            Some(before) if before.from.is_some() && before.to.is_some() => before,
            None => match given_away(rule, from, to) {
                Some(there) => FormerRule { from: Some(there), to: Some(0) },
                None => return BTreeMap::new(),
            },
            Some(_) => return BTreeMap::new(),
        };
        let of = |name: &str, stands: Option<u32>, before: Option<u32>| Some((name.to_owned(), stands.and(before)?));
        [of(from, here, before.from), of(to, there, before.to)].into_iter().flatten().collect()
    };
    view.rules.iter().map(wanted).collect()
}

/// Rules that send nothing to `here` get what they give `away`. For a route of which nobody knows what it was before.
pub fn led_back(view: &RouteView, here: &str, away: &str) -> Weights {
    let wanted = |rule: &RouteRule| match given_away(rule, here, away) {
        Some(there) => [(here.to_owned(), there), (away.to_owned(), 0)].into(),
        None => BTreeMap::new(),
    };
    view.rules.iter().map(wanted).collect()
}

/// What a rule gives `away` that sends nothing to `here`.
fn given_away(rule: &RouteRule, here: &str, away: &str) -> Option<u32> {
    rule.weight(away).filter(|there| *there > 0 && rule.weight(here) == Some(0))
}

/// Whether the route has these weights.
pub fn stand(view: &RouteView, wanted: &Weights) -> bool {
    view.rules.iter().zip(wanted).all(|(rule, wanted)| {
        rule.backends.iter().all(|(name, weight)| wanted.get(name).is_none_or(|wanted| wanted == weight))
    })
}

fn stands(rule: &RouteRule, from: &str, to: &str) -> FormerRule {
    FormerRule { from: rule.weight(from), to: rule.weight(to) }
}

/// What the rule had; `None`: it was not there.
fn former_of(rule: &RouteRule, former: &FormerWeights, from: &str, to: &str) -> Option<FormerRule> {
    if former.rules.is_empty() {
        // A record of an older version. What it has of all rules together is no weight of a rule with one of them.
        return (rule.weight(from).is_some() && rule.weight(to).is_some())
            .then_some(FormerRule { from: Some(former.from), to: Some(former.to) });
    }
    former.rules.get(&rule.key).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preflight::fixture::{route, rule};

    const FROM: &str = "shop-fsn";
    const TO: &str = "shop-hel";

    fn view(rules: &[(&str, &[(&str, u32)])]) -> RouteView {
        let rules = rules.iter().map(|(key, backends)| RouteRule { key: (*key).into(), ..rule(backends) });
        RouteView { rules: rules.collect(), ..route() }
    }

    /// The weights of both backends, rule by rule; the view as it is after they were written.
    fn written(view: &RouteView, wanted: &Weights) -> RouteView {
        let mut view = view.clone();
        for (rule, wanted) in view.rules.iter_mut().zip(wanted) {
            for (name, weight) in &mut rule.backends {
                *weight = wanted.get(name).copied().unwrap_or(*weight);
            }
        }
        view
    }

    #[test]
    fn each_rule_is_drained_by_its_own_weights_and_comes_back_to_them() {
        let before = view(&[
            ("a", &[(FROM, 100), (TO, 0)]),
            ("b", &[(FROM, 3), (TO, 7), ("static", 5)]),
            ("c", &[("static", 1)]),
            ("d", &[(TO, 9)]),
        ]);
        let former = former(&before, FROM, TO);
        let drained = written(&before, &drained(&before, &former, FROM, TO));
        let weights: Vec<_> = drained.rules.iter().map(|rule| (rule.weight(FROM), rule.weight(TO))).collect();
        assert_eq!(weights, [(Some(0), Some(100)), (Some(0), Some(7)), (None, None), (None, Some(9))]);
        assert_eq!(drained.rules[1].weight("static"), Some(5));
        assert_eq!(written(&drained, &restored(&drained, &former, FROM, TO)), before);
    }

    /// H38.
    #[test]
    fn a_rule_that_would_serve_nobody_gets_a_weight_and_one_that_serves_others_does_not() {
        let before = view(&[("a", &[(FROM, 0), (TO, 0)]), ("b", &[(FROM, 0), (TO, 0), ("static", 1)])]);
        let wanted = drained(&before, &former(&before, FROM, TO), FROM, TO);
        assert_eq!((wanted[0][TO], wanted[1][TO]), (1, 0));
    }

    #[test]
    fn a_record_of_an_older_version_has_one_pair_of_weights_for_all_rules() {
        let former: FormerWeights = serde_json::from_str(r#"{"from":100,"to":0}"#).unwrap();
        let drained = view(&[("a", &[(FROM, 0), (TO, 100)]), ("b", &[(FROM, 0), (TO, 100)])]);
        let back = written(&drained, &restored(&drained, &former, FROM, TO));
        assert_eq!(back, view(&[("a", &[(FROM, 100), (TO, 0)]), ("b", &[(FROM, 100), (TO, 0)])]));
    }

    #[test]
    fn rules_may_move_come_and_lose_a_backend_between_draining_and_its_undo() {
        let before = view(&[("a", &[(FROM, 100), (TO, 0)]), ("b", &[(FROM, 50), (TO, 0)])]);
        let former = former(&before, FROM, TO);
        let meanwhile = view(&[("new", &[(FROM, 0), (TO, 20)]), ("b", &[(FROM, 0), (TO, 50)]), ("a", &[(FROM, 0)])]);
        let back = written(&meanwhile, &restored(&meanwhile, &former, FROM, TO));
        let expected = view(&[("new", &[(FROM, 20), (TO, 0)]), ("b", &[(FROM, 50), (TO, 0)]), ("a", &[(FROM, 100)])]);
        assert_eq!(back, expected);
        assert!(stand(&expected, &restored(&expected, &former, FROM, TO)), "and then nothing is left to write");
    }

    /// H18, H38.
    #[test]
    fn a_rule_with_the_old_backend_alone_or_twice_cannot_be_drained() {
        assert!(fault(&rule(&[(FROM, 100)]), FROM, TO).unwrap().contains("without shop-hel"));
        assert!(fault(&rule(&[(FROM, 1), (FROM, 2), (TO, 0)]), FROM, TO).unwrap().contains("twice"));
        for fine in [&[(FROM, 1), (FROM, 1), (TO, 0)][..], &[(TO, 1)], &[("static", 1)], &[]] {
            assert_eq!(fault(&rule(fine), FROM, TO), None, "{fine:?}");
        }
    }

    #[test]
    fn what_others_added_meanwhile_is_left_to_them() {
        let former = former(&view(&[("a", &[(FROM, 100), (TO, 0)]), ("b", &[(TO, 9)])]), FROM, TO);
        let now = view(&[
            ("a", &[(FROM, 0), (TO, 100)]),
            ("b", &[(TO, 5)]),
            ("new", &[(TO, 100)]),
            ("shared", &[(FROM, 50), (TO, 50)]),
        ]);
        let restored = written(&now, &restored(&now, &former, FROM, TO));
        let weights: Vec<_> = restored.rules.iter().map(|rule| (rule.weight(FROM), rule.weight(TO))).collect();
        assert_eq!(weights, [(Some(100), Some(0)), (None, Some(5)), (None, Some(100)), (Some(50), Some(50))]);
    }
}
