//! Whether an interference that is told of was one: somebody else wrote that object before, and, where the server tells who
//! wrote the field, is who is named. Which of another's writes is an interference, and for how long, is for the product to
//! say.

use crate::ground::Ground;
use crate::servers::kube_api::{CLUSTERS, Change, HTTP_ROUTES, Resource};
use continuum_core::name::Region;
use serde_json::Value;
use std::time::Duration;

/// What the product says of a writer that the server does not name.
const SOMEBODY: &str = "somebody else";

/// What is wrong with `told` (`Cluster in fsn: told to be primary, by argocd at 2026-01-01T00:00:19Z`), said at `until`.
pub(super) fn untrue(ground: &Ground, told: &str, until: Duration) -> Option<String> {
    let Some((object, what)) = told.split_once(": ") else { return Some("names no object".into()) };
    let Some((what, by)) = what.rsplit_once(", by ") else { return Some("names nobody".into()) };
    let of_kind = |resource: &'static Resource, region: &str, field: &str| {
        let Some(truth) = ground.regions.get(&Region::new(region)) else { return Some("names no region".to_owned()) };
        let is_kept = |name: &str| *resource != CLUSTERS || name == truth.cluster_name.name;
        let of_others = truth.history.iter().filter(|change| {
            *change.resource == *resource && is_kept(&change.name) && change.at <= until && is_other(&change.by)
        });
        // A fence is of no field that one writer has.
        let field = (what != "fenced").then_some(field);
        written(of_others, by, field)
    };
    match object.split_once(" in ") {
        Some(("Cluster", region)) => of_kind(&CLUSTERS, region, "/fieldsV1/f:spec/f:replica"),
        Some(("HTTPRoute", region)) => of_kind(&HTTP_ROUTES, region, "/fieldsV1/f:spec/f:rules"),
        _ => {
            let zone = ground.dns.history.iter().map(|change| (change.at, &change.from));
            let record = ground.lease.iter().map(|write| (write.at, &write.by));
            let mut wrote = match object {
                "DNS records" => zone.collect::<Vec<_>>(),
                "record" => record.collect(),
                _ => return Some("names no object that is kept".into()),
            }
            .into_iter();
            match wrote.any(|(at, by)| at <= until && is_other(by)) {
                _ if by != SOMEBODY => Some("no server tells who writes it".into()),
                true => None,
                false => Some("nobody else had written it".into()),
            }
        }
    }
}

/// Whether neither a controller, nor an operator, nor the world itself is called so: `<field manager>@<host>`, a host, or a
/// name.
fn is_other(by: &str) -> bool {
    let host = by.rsplit('@').next().unwrap_or_default();
    !["controller.", "operator."].iter().any(|kind| host.starts_with(kind)) && !["setup", "world"].contains(&host)
}

/// `by`: a manager, and the time at which the API server says that it wrote; `field`: what it is to have written.
fn written<'a>(of_others: impl Iterator<Item = &'a Change>, by: &str, field: Option<&str>) -> Option<String> {
    let (manager, time) = by.split_once(" at ").unwrap_or((by, ""));
    let mut wrote = false;
    for change in of_others {
        wrote = true;
        let entries = change.object["metadata"]["managedFields"].as_array().into_iter().flatten();
        let mut of_field = entries.filter(|entry| field.is_some_and(|field| entry.pointer(field).is_some()));
        let is_true = match by {
            // A field that is removed has no writer.
            SOMEBODY => of_field.next().is_none(),
            _ => {
                let is_named = |entry: &Value| entry["manager"] == manager && entry["time"] == time;
                change.by.split('@').next() == Some(manager) && of_field.any(is_named)
            }
        };
        if is_true {
            return None;
        }
    }
    Some(if wrote { "it was another".into() } else { "nobody else had written it".into() })
}

/// What the condition of a status tells of, and what is wrong with it.
pub(super) fn untruths(ground: &Ground, status: &Value, at: Duration) -> Vec<String> {
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let messages = conditions.filter(|condition| condition["type"] == "Interference" && condition["reason"] != "None");
    let messages = messages.filter_map(|condition| condition["message"].as_str());
    let told = messages.flat_map(|message| message.strip_prefix("put right: ").unwrap_or(message).split("; "));
    told.filter_map(|told| Some(format!("`{told}`, and {}", untrue(ground, told, at)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::fixture::{claimed, moved, region};
    use serde_json::json;
    use std::sync::Arc;

    const TOLD: &str = "Cluster in fsn: told to be primary, by argocd at 2026-01-01T00:00:19Z";
    const UNNAMED: &str = "Cluster in fsn: told to be primary, by somebody else";

    /// Each wrote the role of the half, or a field beside it.
    fn wrong_of(wrote: &[(&str, f64, &str)], told: &str) -> Option<String> {
        let mut ground = moved();
        for (by, at, field) in wrote {
            let mut change = claimed(*at, &CLUSTERS, "shop-fsn", 1, "fsn");
            change.by = (*by).into();
            let fields = json!({ "f:spec": { *field: {} } });
            let entry = json!({ "manager": by.split('@').next(), "time": "2026-01-01T00:00:19Z", "fieldsV1": fields });
            change.object = Arc::new(json!({ "metadata": { "managedFields": [entry] } }));
            ground.regions.get_mut(&region("fsn")).unwrap().history.push(change);
        }
        untrue(&ground, told, Duration::from_secs(30))
    }

    fn wrong(by: &str, at: f64, told: &str) -> Option<String> {
        wrong_of(&[(by, at, "f:replica")], told)
    }

    #[test]
    fn what_another_wrote_is_told_truly_and_what_nobody_or_a_third_one_wrote_is_not() {
        let nobody = Some("nobody else had written it".to_owned());
        let another = Some("it was another".to_owned());
        assert_eq!(wrong("argocd@tools", 19.0, TOLD), None);
        assert_eq!(wrong("argocd", 19.0, TOLD), None);
        for known in ["continuum@controller.fsn", "cloudnative-pg/v1.30.0@operator.fsn", "setup", "world"] {
            assert_eq!(wrong(known, 19.0, TOLD), nobody, "{known}");
        }
        assert_eq!(wrong("argocd@tools", 31.0, TOLD), nobody, "it was told before that was written");
        assert_eq!(wrong("flux@tools", 19.0, TOLD), another);
        assert_eq!(wrong("external-dns-operator", 19.0, TOLD), another, "a tool may be called an operator");
        assert_eq!(wrong("argocd@tools", 19.0, &TOLD.replace("19Z", "20Z")), another);
        assert_eq!(wrong("argocd@tools", 19.0, &TOLD.replace("fsn", "hel")), nobody);
        assert_eq!(wrong_of(&[("argocd@tools", 19.0, "f:instances")], TOLD), another, "it wrote another field");
    }

    #[test]
    fn nobody_is_named_only_where_the_server_names_nobody() {
        assert!(wrong("argocd@tools", 19.0, UNNAMED).is_some(), "the server tells who it was");
        assert_eq!(
            wrong_of(&[("argocd@tools", 19.0, "f:instances")], UNNAMED),
            None,
            "the role is a field that is gone"
        );
        assert_eq!(wrong("argocd@tools", 19.0, "Cluster in fsn: fenced, by somebody else"), None);
        for object in ["DNS records", "record"] {
            assert!(wrong("argocd@tools", 19.0, &format!("{object}: deleted, by somebody else")).is_some());
            assert!(wrong("argocd@tools", 19.0, &format!("{object}: deleted, by argocd")).is_some());
        }
        assert!(wrong("argocd@tools", 19.0, "a moon: made of cheese, by somebody else").is_some());
    }

    #[test]
    fn a_condition_tells_of_each_of_its_interferences() {
        let status = |message: &str, reason: &str| json!({ "conditions": [{ "type": "Interference", "reason": reason, "message": message }] });
        let two = format!("put right: {TOLD}; record: deleted, by somebody else");
        assert_eq!(untruths(&moved(), &status(&two, "PutRight"), Duration::from_secs(30)).len(), 2);
        assert!(untruths(&moved(), &status("nobody else writes", "None"), Duration::from_secs(30)).is_empty());
    }
}
