//! What this controller may do, asked of an API server by SelfSubjectAccessReview: a question that changes
//! nothing, so a dry run may ask it.

use crate::kube_api::{
    ACCESS_REVIEWS, BACKUPS, CLUSTERS, CONTINUUMS, Kind, KubeApi, KubeError, LEASES, ROUTES, SECRETS,
};
use continuum_core::name::{ObjectName, Region};
use continuum_core::observe::Seen;
use continuum_core::plan::Plan;
use futures_util::future::join_all;
use serde_json::{Value, json};

/// A right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Right {
    verb: &'static str,
    kind: Kind,
    subresource: &'static str,
    namespace: String,
    /// Empty: on every object of the kind.
    name: String,
}

impl Right {
    fn new(verb: &'static str, kind: Kind, subresource: &'static str, object: &ObjectName) -> Self {
        Self { verb, kind, subresource, namespace: object.namespace.clone(), name: object.name.clone() }
    }

    /// `patch continuums/status`; of secrets, of which there are several, with the name: `get secrets (shop-fsn-app)`.
    fn text(&self) -> String {
        let Self { verb, kind: Kind { plural, .. }, subresource, name, .. } = self;
        match *subresource {
            "" if self.kind == SECRETS => format!("{verb} {plural} ({name})"),
            "" => format!("{verb} {plural}"),
            subresource => format!("{verb} {plural}/{subresource}"),
        }
    }
}

/// Rights that the steps of a plan need in one of its regions, on `half` where its name is known, with the secrets of
/// the roles that clients log in as there. `own`: of this controller. Only one's own copy of the Continuum is
/// written, and only one's own Cluster read by its name, for where PostgreSQL is. Whether a backup runs is asked of
/// the old half. A list is of all, and cannot be given for one name. What only looks need that are under way all the
/// time is not asked about: they say themselves what they lack.
pub(crate) fn in_region(
    plan: &Plan,
    region: &Region,
    own: bool,
    half: &ObjectName,
    role_secrets: &[String],
) -> Vec<Right> {
    let all = ObjectName::new(&plan.pair.namespace, "");
    let mut rights = vec![
        Right::new("list", CLUSTERS, "", &all),
        Right::new("patch", CLUSTERS, "", half),
        Right::new("get", CONTINUUMS, "", &plan.continuum),
    ];
    if *region == plan.from {
        rights.push(Right::new("list", BACKUPS, "", &all));
    }
    if let Some(route) = &plan.route {
        rights.push(Right::new("get", ROUTES, "", &route.object));
        rights.push(Right::new("patch", ROUTES, "", &route.object));
    }
    if own {
        rights.push(Right::new("get", CLUSTERS, "", half));
        rights.push(Right::new("patch", CONTINUUMS, "", &plan.continuum));
        rights.push(Right::new("patch", CONTINUUMS, "status", &plan.continuum));
    }
    let secret = |name: &String| Right::new("get", SECRETS, "", &ObjectName::new(&half.namespace, name));
    rights.extend(role_secrets.iter().map(secret));
    rights
}

/// Rights that a witness needs in its cluster. `create` cannot be given for one name, and is not needed where the
/// Lease was made beforehand.
pub(crate) fn on_lease(lease: &ObjectName, there: bool) -> Vec<Right> {
    let create = Right::new("create", LEASES, "", &ObjectName::new(&lease.namespace, ""));
    let create = (!there).then_some(create);
    let rights = [Some(Right::new("get", LEASES, "", lease)), create, Some(Right::new("patch", LEASES, "", lease))];
    rights.into_iter().flatten().collect()
}

/// Those of `rights` that this controller lacks.
pub(crate) async fn missing(api: &KubeApi, rights: &[Right]) -> Seen<Vec<String>> {
    let mut missing = Vec::new();
    for (right, answer) in rights.iter().zip(join_all(rights.iter().map(|right| allowed(api, right))).await) {
        match answer {
            Ok(true) => {}
            Ok(false) => missing.push(right.text()),
            Err(error) => return Seen::Unknown(error.text()),
        }
    }
    Seen::Is(missing)
}

async fn allowed(api: &KubeApi, right: &Right) -> Result<bool, KubeError> {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": { "resourceAttributes": {
            "verb": right.verb,
            "group": right.kind.group,
            "version": right.kind.version,
            "resource": right.kind.plural,
            "subresource": right.subresource,
            "namespace": right.namespace,
            "name": right.name,
        }},
    });
    let answer = api.create(&ACCESS_REVIEWS, "", &review).await?;
    Ok(answer.pointer("/status/allowed").and_then(Value::as_bool).unwrap_or(false))
}
