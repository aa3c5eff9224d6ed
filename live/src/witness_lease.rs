//! The witness `k8s-lease`: one Kubernetes `Lease` in a third cluster is the register.
//!
//! | field of the Lease | field of the record |
//! |---|---|
//! | `spec.holderIdentity` | `holder`; absent or empty: free |
//! | `spec.leaseTransitions` | `generation` |
//! | `spec.leaseDurationSeconds` | `ttl` |
//! | `spec.renewTime` | none: wall time of the writer, for people, never read |
//! | annotation `dr.openova.io/record` | everything else, as JSON |
//!
//! `metadata.resourceVersion` is the version. Reads ask for no version, so the API server answers from a quorum
//! of its store. Writes are conditional merge patches and not replacements: an API server answers a `PUT` of a
//! Lease that was deleted by creating it anew, whatever version it names, which is no compare-and-set; and a
//! patch leaves alone what others wrote on the object.
//!
//! Deliberately absent: what a record may become; that is core's.

use crate::kube_api::{Fields, KubeApi, LEASES, text};
use crate::rights;
use async_trait::async_trait;
use continuum_core::clock::Clock;
use continuum_core::name::{ObjectName, Region};
use continuum_core::observe::Seen;
use continuum_core::ports::{ActOnWitness, Cas, ObserveWitness, Rank, Turn, Version};
use continuum_core::record::{RECORD_FORMAT, Record};
use continuum_core::spec::LeaseKind;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Annotation with the record.
pub const RECORD_ANNOTATION: &str = "dr.openova.io/record";

/// The Lease of one Continuum.
pub struct LeaseWitness {
    api: KubeApi,
    lease: ObjectName,
    shares: Option<Region>,
    clock: Arc<dyn Clock>,
}

impl LeaseWitness {
    /// The Lease `<namespace>.<name>` of `continuum` in `lease_namespace` behind `api`. `shares`: the region in
    /// whose cluster that is, where it is not a third place (H16).
    pub fn new(
        api: KubeApi,
        lease_namespace: &str,
        continuum: &ObjectName,
        shares: Option<Region>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let lease = ObjectName::new(lease_namespace, format!("{}.{}", continuum.namespace, continuum.name));
        Self { api, lease, shares, clock }
    }
}

#[async_trait]
impl ObserveWitness for LeaseWitness {
    fn kind(&self) -> LeaseKind {
        LeaseKind::K8sLease
    }

    async fn turn(&self, rank: Rank) -> Turn {
        self.api.access().to_read(rank).await
    }

    async fn read(&self) -> Result<(Version, Option<Record>), String> {
        let object = match self.api.get(&LEASES, &self.lease).await {
            Ok(object) => object,
            Err(error) if error.is_missing() => return Ok((Version(None), None)),
            Err(error) => return Err(error.text()),
        };
        let version = version(&object).ok_or_else(|| format!("Lease {} has no resourceVersion", self.lease))?;
        let record = record(&object).map_err(|cause| format!("Lease {}: {cause}", self.lease))?;
        Ok((version, record))
    }

    fn shares(&self) -> Option<Region> {
        self.shares.clone()
    }

    async fn missing_rights(&self) -> Seen<Vec<String>> {
        let there = match self.api.get(&LEASES, &self.lease).await {
            Ok(_) => true,
            // What may not be read may be missing.
            Err(error) if error.is_missing() || error.code() == Some(403) => false,
            Err(error) => return Seen::Unknown(error.text()),
        };
        rights::missing(&self.api, &rights::on_lease(&self.lease, there)).await
    }
}

#[async_trait]
impl ActOnWitness for LeaseWitness {
    async fn turn(&self, rank: Rank) -> Turn {
        self.api.access().to_write(rank).await
    }

    async fn compare_and_set(&self, expected: &Version, record: &Record) -> Cas {
        let body = match lease(&self.lease, expected, record, self.clock.wall()) {
            Ok(body) => body,
            Err(cause) => return Cas::Refused(cause),
        };
        let answer = match expected.0 {
            None => self.api.create(&LEASES, &self.lease.namespace, &body).await,
            Some(_) => self.api.patch(&LEASES, &self.lease, None, &body, None).await,
        };
        match answer {
            Ok(object) => match version(&object) {
                Some(version) => Cas::Done(version),
                None => Cas::Unknown(format!("Lease {} was answered without a resourceVersion", self.lease)),
            },
            // Deleted since it was read: the version that was expected does not stand there.
            Err(error) if expected.0.is_some() && error.is_missing() => Cas::Conflict,
            Err(error) => error.cas(),
        }
    }
}

fn version(object: &Value) -> Option<Version> {
    let version = text(object, "/metadata/resourceVersion");
    (!version.is_empty()).then(|| Version(Some(version.to_owned())))
}

/// The record in a Lease. `None`: the Lease stands there empty, made beforehand so that nobody needs the right
/// to create one; nobody ever held it.
fn record(object: &Value) -> Result<Option<Record>, String> {
    let lease = Fields::of(object);
    let holder = lease.text("spec.holderIdentity")?;
    let transitions = lease.count("spec.leaseTransitions")?.unwrap_or(0);
    let mut fields = match lease.annotation(RECORD_ANNOTATION)? {
        Some(json) => serde_json::from_str::<Map<String, Value>>(json)
            .map_err(|error| format!("annotation {RECORD_ANNOTATION} cannot be read: {error}"))?,
        None if holder.is_none() && transitions == 0 => return Ok(None),
        None => return Err(format!("it is in use, and has no annotation {RECORD_ANNOTATION}: another tool holds it")),
    };
    let format = fields.get("format").and_then(Value::as_u64).unwrap_or(1);
    if format > u64::from(RECORD_FORMAT) {
        return Err(format!(
            "its record has format {format}, and this controller knows {RECORD_FORMAT} at most: upgrade it"
        ));
    }
    fields.remove("holder");
    if let Some(holder) = holder {
        fields.insert("holder".into(), json!(holder));
    }
    fields.insert("generation".into(), json!(transitions));
    fields.insert("ttlSeconds".into(), json!(lease.count("spec.leaseDurationSeconds")?));
    serde_json::from_value(Value::Object(fields)).map(Some).map_err(|error| format!("it holds no record: {error}"))
}

/// The Lease that holds `record`, whole: to create it, and as a merge patch where `expected` stands.
fn lease(name: &ObjectName, expected: &Version, record: &Record, now: jiff::Timestamp) -> Result<Value, String> {
    // `leaseTransitions` has 32 bits with a sign.
    let transitions = i32::try_from(record.generation)
        .map_err(|_| format!("generation {} does not fit into a Lease", record.generation))?;
    let Ok(Value::Object(mut fields)) = serde_json::to_value(record) else {
        unreachable!("a record is an object with string keys");
    };
    for kept_in_spec in ["holder", "generation", "ttlSeconds"] {
        fields.remove(kept_in_spec);
    }
    let mut metadata = json!({
        "namespace": name.namespace,
        "name": name.name,
        "annotations": { RECORD_ANNOTATION: Value::Object(fields).to_string() },
    });
    if let Some(version) = &expected.0 {
        metadata["resourceVersion"] = json!(version);
    }
    let spec = json!({
        "holderIdentity": record.holder,
        "leaseTransitions": transitions,
        "leaseDurationSeconds": record.ttl_seconds,
        "renewTime": format!("{now:.6}"),
    });
    Ok(json!({ "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec }))
}

#[cfg(test)]
mod tests;
