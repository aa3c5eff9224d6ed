//! An HTTPRoute as it is read: its rules with their weights, and what the gateways say about it.

use crate::gitops::kept_by;
use crate::kube_api::{BadField, Fields, claim_of};
use continuum_core::observe::{FieldWriter, RouteParent, RouteRule, RouteView};
use continuum_core::plan::short_hash;
use serde_json::Value;
use std::collections::BTreeMap;

/// The weight of a backend that names none (Gateway API).
const WEIGHT_DEFAULT: u32 = 1;

/// How many paths of a rule are named to people.
const PATHS_NAMED_MAX: usize = 3;

pub(crate) fn route_view(object: &Value) -> Result<RouteView, String> {
    let fields = Fields::of(object);
    Ok(RouteView {
        object: fields.object().clone(),
        resource_version: fields.string("metadata.resourceVersion")?.unwrap_or_default(),
        claim: claim_of(object)?,
        rules: rules(&fields)?,
        parents: parents(&fields)?,
        weights_writer: weights_writer(&fields)?,
        kept_by: kept_by(&fields, "rules")?,
    })
}

fn rules(route: &Fields) -> Result<Vec<RouteRule>, BadField> {
    let mut rules = Vec::new();
    let mut known: BTreeMap<String, u32> = BTreeMap::new();
    for (index, rule) in route.items("spec.rules")?.iter().enumerate() {
        let key = match rule.text("name")? {
            Some(name) => name.to_owned(),
            None => short_hash(rule.value()["matches"].to_string().as_bytes()),
        };
        let count = known.entry(key.clone()).or_default();
        *count += 1;
        let backends = rule.items("backendRefs")?;
        let mut mirrors = mirrors(rule)?;
        for backend in &backends {
            mirrors.extend(self::mirrors(backend)?);
        }
        rules.push(RouteRule {
            // Of two that match the same only the first is ever used; both are kept apart all the same.
            key: if *count == 1 { key } else { format!("{key}#{count}") },
            about: format!("rule {} ({})", index + 1, paths(rule)?),
            backends: backends.iter().map(backend).collect::<Result<_, _>>()?,
            mirrors,
            session_persistence: rule.has_object("sessionPersistence")?,
        });
    }
    Ok(rules)
}

fn backend(backend: &Fields) -> Result<(String, u32), BadField> {
    let name = backend.string("name")?.unwrap_or_default();
    Ok((name, backend.count("weight")?.unwrap_or(WEIGHT_DEFAULT)))
}

/// Names of the backends that the filters of a rule or of a backend mirror requests to.
fn mirrors(of: &Fields) -> Result<Vec<String>, BadField> {
    let filters = of.items("filters")?;
    let names = filters.iter().map(|filter| filter.string("requestMirror.backendRef.name"));
    Ok(names.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// What a rule matches, for people.
fn paths(rule: &Fields) -> Result<String, BadField> {
    let matches = rule.items("matches")?;
    let mut paths = matches.iter().map(|one| one.text("path.value")).collect::<Result<Vec<_>, _>>()?;
    if paths.is_empty() {
        paths.push(None);
    }
    let more = if paths.len() > PATHS_NAMED_MAX { ", ..." } else { "" };
    let named: Vec<&str> = paths.into_iter().take(PATHS_NAMED_MAX).map(|path| path.unwrap_or("/")).collect();
    Ok(format!("{}{more}", named.join(", ")))
}

fn parents(route: &Fields) -> Result<Vec<RouteParent>, BadField> {
    let generation = route.count("metadata.generation")?;
    let parent = |parent: &Fields| {
        let mut view = RouteParent {
            name: parent.string("parentRef.name")?.unwrap_or_default(),
            accepted: None,
            resolved: None,
            detail: String::new(),
        };
        for condition in parent.items("conditions")? {
            if condition.count("observedGeneration")?.is_some_and(|of| Some(of) < generation) {
                // It is about the route as it was.
                continue;
            }
            let holds = match condition.text("status")? {
                Some("True") => Some(true),
                Some("False") => Some(false),
                _ => None,
            };
            match condition.text("type")? {
                Some("Accepted") => view.accepted = holds,
                Some("ResolvedRefs") => view.resolved = holds,
                _ => continue,
            }
            if holds == Some(false) && view.detail.is_empty() {
                let [reason, message] = ["reason", "message"].map(|field| condition.text(field));
                view.detail = format!("{}: {}", reason?.unwrap_or("no reason"), message?.unwrap_or("no message"));
            }
        }
        Ok(view)
    };
    route.items("status.parents")?.iter().map(parent).collect()
}

/// The last writer of the rules. They are one field to the API server: whoever writes a weight writes them all.
fn weights_writer(route: &Fields) -> Result<Option<FieldWriter>, BadField> {
    let mut last: Option<FieldWriter> = None;
    for entry in route.items("metadata.managedFields")? {
        if entry.value().pointer("/fieldsV1/f:spec/f:rules").is_none() {
            continue;
        }
        let manager = entry.string("manager")?.unwrap_or_default();
        let at = entry.text("time")?.and_then(|time| time.parse().ok());
        if last.as_ref().is_none_or(|last| at >= last.at) {
            last = Some(FieldWriter { manager, at });
        }
    }
    Ok(last)
}
