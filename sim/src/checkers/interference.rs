//! Whether an interference that is told of was one: somebody else wrote that object before, and is who is named. What of
//! another's writes is an interference is for the product to say.

use crate::ground::Ground;
use crate::servers::kube_api::{CLUSTERS, Change, HTTP_ROUTES, Resource};
use continuum_core::name::Region;
use serde_json::Value;
use std::time::Duration;

/// Who writes beside people and other tools.
const KNOWN: [&str; 5] = ["controller.", "operator", "instance", "setup", "world"];

/// What is wrong with `told` (`Cluster in fsn: told to be primary, by argocd at 2026-01-01T00:00:19Z`), said at `until`.
pub(super) fn untrue(ground: &Ground, told: &str, until: Duration) -> Option<String> {
    let Some((object, what)) = told.split_once(": ") else { return Some("names no object".into()) };
    let Some((what, by)) = what.rsplit_once(", by ") else { return Some("names nobody".into()) };
    let of_kind = |resource: &'static Resource, region: &str| {
        let history = ground.regions.get(&Region::new(region)).into_iter().flat_map(|region| &region.history);
        let of_others = history.filter(move |change| *change.resource == *resource && is_other(&change.by));
        // A fence names no field that one writer has.
        let named = (what != "fenced").then_some(by);
        written(of_others.filter(|change| change.at <= until), named)
    };
    match object.split_once(" in ") {
        Some(("Cluster", region)) => of_kind(&CLUSTERS, region),
        Some(("HTTPRoute", region)) => of_kind(&HTTP_ROUTES, region),
        _ => {
            let zone = ground.dns.history.iter().map(|change| (change.at, &change.from));
            let record = ground.lease.iter().map(|write| (write.at, &write.by));
            let mut wrote = match object {
                "DNS records" => zone.collect::<Vec<_>>(),
                "record" => record.collect(),
                _ => return Some("names no object that is kept".into()),
            }
            .into_iter();
            let is_true = wrote.any(|(at, by)| at <= until && is_other(by));
            (!is_true).then(|| "nobody else had written it".into())
        }
    }
}

fn is_other(by: &str) -> bool {
    KNOWN.iter().all(|name| !by.contains(name))
}

/// `named`: a manager, and the time at which the API server says that it wrote.
fn written<'a>(mut of_others: impl Iterator<Item = &'a Change>, named: Option<&str>) -> Option<String> {
    let Some(named) = named else {
        return of_others.next().is_none().then(|| "nobody else had written it".into());
    };
    let (manager, time) = named.split_once(" at ").unwrap_or((named, ""));
    let mut wrote = false;
    for change in of_others {
        let entries = change.object["metadata"]["managedFields"].as_array().into_iter().flatten();
        let mut entries = entries.filter(|entry| entry["manager"] == manager);
        if change.by.split('@').next() == Some(manager) && entries.any(|entry| entry["time"] == time) {
            return None;
        }
        wrote = true;
    }
    Some(if wrote { "somebody else had written it".into() } else { "nobody else had written it".into() })
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

    fn wrong(wrote: &[(&str, f64)], told: &str) -> Option<String> {
        let mut ground = moved();
        for (by, at) in wrote {
            let mut change = claimed(*at, &CLUSTERS, "shop-fsn", 1, "fsn");
            change.by = (*by).into();
            let manager = by.split('@').next();
            let field = json!({ "manager": manager, "time": "2026-01-01T00:00:19Z" });
            change.object = Arc::new(json!({ "metadata": { "managedFields": [field] } }));
            ground.regions.get_mut(&region("fsn")).unwrap().history.push(change);
        }
        untrue(&ground, told, Duration::from_secs(30))
    }

    #[test]
    fn what_another_wrote_is_told_truly_and_what_nobody_or_a_third_one_wrote_is_not() {
        let nobody = Some("nobody else had written it".to_owned());
        let somebody = Some("somebody else had written it".to_owned());
        assert_eq!(wrong(&[("argocd@tools", 19.0)], TOLD), None);
        assert_eq!(wrong(&[("continuum@controller.fsn", 19.0), ("cnpg@operator.fsn", 19.0)], TOLD), nobody);
        assert_eq!(wrong(&[("argocd@tools", 31.0)], TOLD), nobody, "it was told before that was written");
        assert_eq!(wrong(&[("flux@tools", 19.0)], TOLD), somebody);
        let elsewhere = TOLD.replace("fsn", "hel");
        assert_eq!(wrong(&[("argocd@tools", 19.0)], &elsewhere), nobody);
        let unnamed = "Cluster in fsn: told to be primary, by somebody else";
        assert_eq!(wrong(&[("argocd@tools", 19.0)], unnamed), somebody, "the server tells who it was");
        assert_eq!(wrong(&[("argocd@tools", 19.0)], "Cluster in fsn: fenced, by somebody else"), None);
        for object in ["DNS records", "record"] {
            assert_eq!(wrong(&[], &format!("{object}: deleted, by somebody else")), nobody);
        }
        assert!(wrong(&[], "a moon: made of cheese, by somebody else").is_some());
    }

    #[test]
    fn a_condition_tells_of_each_of_its_interferences() {
        let status = |message: &str, reason: &str| json!({ "conditions": [{ "type": "Interference", "reason": reason, "message": message }] });
        let two = format!("put right: {TOLD}; record: deleted, by somebody else");
        assert_eq!(untruths(&moved(), &status(&two, "PutRight"), Duration::from_secs(30)).len(), 2);
        assert!(untruths(&moved(), &status("nobody else writes", "None"), Duration::from_secs(30)).is_empty());
    }
}
