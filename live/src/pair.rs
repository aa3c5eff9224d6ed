//! The pair: in each region one CloudNativePG Cluster with the pair's label, looked at and written through
//! that region's API server.
//!
//! Field names and what they mean are CloudNativePG's (`api/v1`, 1.30). Deliberately absent: every rule of
//! when a half may be written.

mod view;
mod writer;

use crate::kube_api::{BACKUPS, CLUSTERS, KubeApi, Regions, SECRETS, claiming, no_server, text};
use crate::rights;
use async_trait::async_trait;
use continuum_core::name::{ByRegion, ObjectName, Region};
use continuum_core::observe::{ClusterView, Seen};
use continuum_core::plan::{Plan, short_hash};
use continuum_core::ports::{ActOnPair, ClusterChange, ClusterWrite, ObservePair, Outcome};
use continuum_core::roles::{RoleLogin, RoleSecret};
use k8s_openapi::ByteString;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Mutex;
pub(crate) use view::cluster_view;

/// Label of both Clusters of a pair.
pub const PAIR_LABEL: &str = "catalyst.openova.io/cnpg-pair";
/// Annotation that fences instances.
const FENCE_ANNOTATION: &str = "cnpg.io/fencedInstances";

/// Both halves, through the API servers of their regions.
pub struct KubePair {
    regions: Regions,
    /// The region of this controller: its own copy of the Continuum is the one it must be able to write.
    own: Region,
    /// Each region's half as it was last seen: which object it is, its version, and the claim that stood there.
    last: Mutex<ByRegion<SeenHalf>>,
}

#[derive(Clone)]
struct SeenHalf {
    object: ObjectName,
    resource_version: String,
    generation: u64,
    /// Names of the secrets of its roles.
    role_secrets: Vec<String>,
}

impl KubePair {
    /// The halves in these regions, for the controller of region `own`.
    pub fn new(regions: Regions, own: Region) -> Self {
        Self { regions, own, last: Mutex::default() }
    }

    async fn look(&self, api: &KubeApi, pair: &ObjectName) -> Seen<ClusterView> {
        let selector = format!("{PAIR_LABEL}={}", pair.name);
        let found = match api.list(&CLUSTERS, &pair.namespace, Some(&selector)).await {
            Ok(found) => found,
            // A list has no object that could be missing.
            Err(error) => return Seen::Unknown(error.text()),
        };
        one_half(
            found.iter().map(|cluster| (text(cluster, "/metadata/name").to_owned(), cluster_view(cluster))).collect(),
            &pair.name,
        )
    }

    /// Says so where a claim of a higher generation stood in the very version that is to be written. Callers
    /// never ask for such a write; this holds them to it.
    fn overruled(&self, write: &ClusterWrite) -> Option<String> {
        let last = self.last.lock().expect("no holder of this lock can panic");
        let seen = last.get(&write.region).filter(|seen| seen.resource_version == write.resource_version)?;
        let (stands, ours) = (seen.generation, write.claim.generation);
        let object = &write.object;
        (stands > ours).then(|| format!("{object} carries a claim of generation {stands}, which is above {ours}"))
    }
}

/// The half among the Clusters that carry the label of its pair, each with its name.
pub(crate) fn one_half(mut found: Vec<(String, Result<ClusterView, String>)>, pair: &str) -> Seen<ClusterView> {
    if found.len() > 1 {
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        let (count, names) = (found.len(), names.join(", "));
        return Seen::Unknown(format!(
            "{count} Clusters carry the label {PAIR_LABEL}={pair}, where one half should: {names}"
        ));
    }
    found.pop().map_or(Seen::Missing, |(_, view)| view.map_or_else(Seen::Unknown, Seen::Is))
}

#[async_trait]
impl ObservePair for KubePair {
    async fn cluster(&self, region: &Region, pair: &ObjectName) -> Seen<ClusterView> {
        let Some(api) = self.regions.get(region) else { return Seen::Unconfigured };
        let seen = self.look(api, pair).await;
        if let Some(view) = seen.known() {
            let half = SeenHalf {
                object: view.object.clone(),
                resource_version: view.resource_version.clone(),
                generation: view.claim.as_ref().map_or(0, |claim| claim.generation),
                role_secrets: view.role_secrets.values().cloned().collect(),
            };
            self.last.lock().expect("no holder of this lock can panic").insert(region.clone(), half);
        }
        seen
    }

    async fn backup_runs(&self, region: &Region, cluster: &ClusterView) -> Seen<bool> {
        let Some(api) = self.regions.get(region) else { return Seen::Unconfigured };
        let name = &cluster.object;
        let runs = |backup: &Value| {
            text(backup, "/spec/cluster/name") == name.name
                && matches!(text(backup, "/status/phase"), "started" | "running" | "finalizing")
        };
        match api.list(&BACKUPS, &name.namespace, None).await {
            Ok(backups) => Seen::Is(backups.iter().any(runs)),
            Err(error) if error.is_missing() => Seen::Missing,
            Err(error) => Seen::Unknown(error.text()),
        }
    }

    async fn secrets(&self, region: &Region, cluster: &ClusterView) -> Seen<BTreeMap<String, RoleSecret>> {
        let Some(api) = self.regions.get(region) else { return Seen::Unconfigured };
        let mut secrets = BTreeMap::new();
        for (role, secret) in &cluster.role_secrets {
            match api.get(&SECRETS, &ObjectName::new(&cluster.object.namespace, secret)).await {
                Ok(object) => {
                    secrets.insert(role.clone(), role_secret(&object));
                }
                Err(error) if error.is_missing() => {}
                Err(error) => return Seen::Unknown(error.text()),
            }
        }
        Seen::Is(secrets)
    }

    async fn missing_rights(&self, region: &Region, plan: &Plan) -> Seen<Vec<String>> {
        let Some(api) = self.regions.get(region) else { return Seen::Unconfigured };
        // Who may write this one half alone may not write every Cluster of the namespace.
        let last = self.last.lock().expect("no holder of this lock can panic").get(region).cloned();
        let (half, role_secrets) = match last {
            Some(half) => (half.object, half.role_secrets),
            None => (ObjectName::new(&plan.pair.namespace, ""), Vec::new()),
        };
        rights::missing(api, &rights::in_region(plan, region, *region == self.own, &half, &role_secrets)).await
    }

    async fn admits(&self, write: &ClusterWrite) -> Seen<Result<(), String>> {
        let Some(api) = self.regions.get(&write.region) else { return Seen::Unconfigured };
        if let Some(cause) = self.overruled(write) {
            return Seen::Is(Err(cause));
        }
        match api.try_patch(&CLUSTERS, &write.object, &cluster_patch(write)).await {
            Ok(_) => Seen::Is(Ok(())),
            Err(error) => error.admission(),
        }
    }
}

#[async_trait]
impl ActOnPair for KubePair {
    async fn write(&self, write: &ClusterWrite) -> Outcome {
        if write.change.is_to_try() {
            return Outcome::Refused("this write was to be asked about, and not to be made".into());
        }
        let Some(api) = self.regions.get(&write.region) else { return no_server(&write.region) };
        if let Some(cause) = self.overruled(write) {
            return Outcome::Refused(cause);
        }
        match api.patch(&CLUSTERS, &write.object, None, &cluster_patch(write), write.server_limit).await {
            Ok(_) => Outcome::Done(()),
            Err(error) => error.outcome(),
        }
    }
}

/// The merge patch of a write. `enabled` goes with every change of the role: it and `primary` exclude each
/// other.
fn cluster_patch(write: &ClusterWrite) -> Value {
    let mut metadata = claiming(&write.resource_version, &write.claim);
    let role = |primary: &str, token: Option<&str>| json!({ "replica": { "enabled": null, "primary": primary, "promotionToken": token } });
    match &write.change {
        ClusterChange::Fence | ClusterChange::FenceAndDemote { .. } => {
            metadata["annotations"][FENCE_ANNOTATION] = json!("[\"*\"]");
        }
        ClusterChange::Unfence { .. } => metadata["annotations"][FENCE_ANNOTATION] = Value::Null,
        ClusterChange::Claim | ClusterChange::Demote { .. } | ClusterChange::Promote { .. } => {}
    }
    let spec = match &write.change {
        ClusterChange::Demote { primary } | ClusterChange::FenceAndDemote { primary } => Some(role(primary, None)),
        ClusterChange::Promote { primary, token, .. } => Some(role(primary, token.as_deref())),
        ClusterChange::Claim | ClusterChange::Fence | ClusterChange::Unfence { .. } => None,
    };
    match spec {
        Some(spec) => json!({ "metadata": metadata, "spec": spec }),
        None => json!({ "metadata": metadata }),
    }
}

/// What makes a role secret is user and password. The rest of it (host, URIs) names the Cluster and so always differs
/// between the halves.
fn role_secret(secret: &Value) -> RoleSecret {
    let (user, password) = (&secret["data"]["username"], &secret["data"]["password"]);
    let decoded = |part: &Value| String::from_utf8(ByteString::deserialize(part).ok()?.0).ok();
    RoleSecret {
        hash: short_hash(json!([user, password]).to_string().as_bytes()),
        login: decoded(user).zip(decoded(password)).map(|(user, password)| RoleLogin { user, password }),
    }
}

#[cfg(test)]
mod tests;
