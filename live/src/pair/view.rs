//! A Cluster as CloudNativePG's operator reads it (`api/v1/cluster_funcs.go`, 1.30): its defaults, and the order
//! in which its fields count.

use super::writer::role_writer;
use super::{FENCE_ANNOTATION, short_hash};
use crate::gitops::kept_by;
use crate::kube_api::{BadField, Fields, claim_of};
use continuum_core::observe::{ClusterView, Role, SynchronousView};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What the operator takes where `switchoverDelay` is absent or 0, s (`GetMaxSwitchoverDelay`).
const SWITCHOVER_DELAY_SECONDS: u32 = 3_600;
/// What the API server puts in where `smartShutdownTimeout` is absent, s.
const SMART_SHUTDOWN_TIMEOUT_SECONDS: u32 = 180;

/// A Cluster as its API server has it.
///
/// # Errors
///
/// A field is not of the type that CloudNativePG gives it: nothing is concluded from such an object.
pub(crate) fn cluster_view(cluster: &Value) -> Result<ClusterView, String> {
    let fields = Fields::of(cluster);
    let self_name = fields.string("spec.replica.self")?.unwrap_or_else(|| fields.object().name.clone());
    let source = fields.string("spec.replica.source")?;
    let (role, primary_name) = role(&fields, &self_name, source.as_deref())?;
    let timeout = fields.count("spec.smartShutdownTimeout")?;
    let is = |name: &str, value: &str| Ok::<_, BadField>(fields.annotation(name)? == Some(value));
    Ok(ClusterView {
        object: fields.object().clone(),
        resource_version: fields.string("metadata.resourceVersion")?.unwrap_or_default(),
        claim: claim_of(cluster)?,
        role,
        role_writer: role_writer(&fields)?,
        ships_wal_only: ships_wal_only(&fields, source.as_deref())?,
        primary_name,
        self_name,
        source,
        promotion_token: fields.string("spec.replica.promotionToken")?,
        min_apply_delay: fields.text("spec.replica.minApplyDelay")?.is_some(),
        external_clusters: fields.texts("spec.externalClusters", Some("name"))?,
        instances: fields.count("spec.instances")?.unwrap_or(1),
        ready_instances: fields.count("status.readyInstances")?,
        fenced: fenced(&fields)?,
        reconciliation_disabled: is("cnpg.io/reconciliationLoop", "disabled")?,
        hibernated: is("cnpg.io/hibernation", "on")?,
        operator_commit: fields.string("status.cloudNativePGCommitHash")?,
        kept_by: kept_by(&fields, "replica")?,
        legacy_primary_annotation: fields.annotation("cnpg.io/cluster.primary")?.is_some(),
        ready: condition(&fields, "Ready")?,
        phase: fields.string("status.phase")?,
        in_progress: fields.flag("status.switchReplicaClusterStatus.inProgress")?.unwrap_or(false),
        archiving: condition(&fields, "ContinuousArchiving")?,
        timeline: fields.count("status.timelineID")?.filter(|timeline| *timeline > 0),
        system_id: fields.string("status.systemID")?,
        demotion_token: fields.string("status.demotionToken")?,
        last_promotion_token: fields.string("status.lastPromotionToken")?,
        switchover_delay_seconds: fields
            .count("spec.switchoverDelay")?
            .filter(|delay| *delay > 0)
            .unwrap_or(SWITCHOVER_DELAY_SECONDS),
        smart_shutdown_timeout_seconds: timeout.unwrap_or(SMART_SHUTDOWN_TIMEOUT_SECONDS),
        synchronous: synchronous(&fields)?,
        role_secrets: role_secrets(&fields)?,
        configuration_hash: configuration_hash(&cluster["spec"]),
    })
}

/// The operator's `IsReplica`: no stanza is a primary; `enabled` goes before `primary`; and a stanza with neither
/// is a replica, since its own name differs from the empty one.
fn role(fields: &Fields, self_name: &str, source: Option<&str>) -> Result<(Role, Option<String>), BadField> {
    if !fields.has_object("spec.replica")? {
        return Ok((Role::Primary, None));
    }
    let primary = fields.string("spec.replica.primary")?;
    Ok(match fields.flag("spec.replica.enabled")? {
        Some(false) => (Role::Primary, Some(self_name.to_owned())),
        None if primary.as_deref() == Some(self_name) => (Role::Primary, primary),
        Some(true) | None => (Role::Replica, primary.or_else(|| source.map(str::to_owned))),
    })
}

/// Whether the half could follow by archived WAL alone: its source is known, and gives no connection.
fn ships_wal_only(fields: &Fields, source: Option<&str>) -> Result<bool, BadField> {
    let entry = fields.list("spec.externalClusters")?.iter().find(|entry| entry["name"].as_str() == source);
    Ok(source.is_some() && entry.is_some_and(|entry| !entry["connectionParameters"].is_object()))
}

/// `cnpg.io/fencedInstances` is a JSON list of names; an empty one fences nobody.
fn fenced(fields: &Fields) -> Result<bool, BadField> {
    let Some(text) = fields.annotation(FENCE_ANNOTATION)? else { return Ok(false) };
    match serde_json::from_str::<Vec<String>>(text) {
        Ok(names) => Ok(!names.is_empty()),
        Err(_) => Err(fields.bad(&format!("annotation {FENCE_ANNOTATION}"), &json!(text), "a JSON list of names")),
    }
}

fn synchronous(fields: &Fields) -> Result<Option<SynchronousView>, BadField> {
    if !fields.has_object("spec.postgresql.synchronous")? {
        return Ok(None);
    }
    let durability = fields.text("spec.postgresql.synchronous.dataDurability")?;
    Ok(Some(SynchronousView {
        number: fields.count("spec.postgresql.synchronous.number")?.unwrap_or(0),
        required: durability.is_none_or(|durability| durability == "required"),
        standby_names_pre: fields.texts("spec.postgresql.synchronous.standbyNamesPre", None)?,
    }))
}

/// Secrets of the roles that the operator sets passwords of, in its own order (`GetApplicationSecretName`,
/// `GetSuperuserSecretName`). The superuser has one only where it may log in, which is off by default.
fn role_secrets(fields: &Fields) -> Result<BTreeMap<String, String>, BadField> {
    let named = |suffix: &str| format!("{}-{suffix}", fields.object().name);
    let mut app = None;
    for way in ["recovery", "pg_basebackup", "initdb"] {
        if app.is_none() {
            app = fields.string(&format!("spec.bootstrap.{way}.secret.name"))?;
        }
    }
    let mut secrets = BTreeMap::from([("app".to_owned(), app.unwrap_or_else(|| named("app")))]);
    if fields.flag("spec.enableSuperuserAccess")? == Some(true) {
        let superuser = fields.string("spec.superuserSecret.name")?;
        secrets.insert("superuser".into(), superuser.unwrap_or_else(|| named("superuser")));
    }
    Ok(secrets)
}

/// What should be alike on both halves: PostgreSQL's parameters and its image.
fn configuration_hash(spec: &Value) -> String {
    let settings = json!([&spec["postgresql"]["parameters"], &spec["imageName"], &spec["imageCatalogRef"]]);
    short_hash(settings.to_string().as_bytes())
}

/// A condition of the status; `None` where there is none, or where it is `Unknown`.
fn condition(fields: &Fields, kind: &str) -> Result<Option<bool>, BadField> {
    let conditions = fields.list("status.conditions")?;
    let Some(condition) = conditions.iter().find(|condition| condition["type"] == kind) else { return Ok(None) };
    match condition["status"].as_str() {
        Some("True") => Ok(Some(true)),
        Some("False") => Ok(Some(false)),
        Some("Unknown") => Ok(None),
        _ => Err(fields.bad(&format!("status of condition {kind}"), &condition["status"], "True, False or Unknown")),
    }
}
