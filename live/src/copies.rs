//! The copies of a Continuum: one in each region, of which a controller writes only its own.

use crate::kube_api::{CONTINUUMS, KubeApi, Regions, no_server, text};
use crate::resource::{agreement_hash, parse_spec, seen_of};
use async_trait::async_trait;
use continuum_core::name::{ObjectName, Region};
use continuum_core::observe::{CopyView, Seen};
use continuum_core::ports::{ActOnCopy, ObserveCopies, Outcome};
use serde_json::{Value, json};

/// The copies of one Continuum, looked at.
pub struct KubeCopies {
    regions: Regions,
    continuum: ObjectName,
}

impl KubeCopies {
    /// The copies of `continuum` in these regions.
    pub fn new(regions: Regions, continuum: ObjectName) -> Self {
        Self { regions, continuum }
    }
}

#[async_trait]
impl ObserveCopies for KubeCopies {
    async fn copy(&self, region: &Region) -> Seen<CopyView> {
        let Some(api) = self.regions.get(region) else { return Seen::Unconfigured };
        match api.get(&CONTINUUMS, &self.continuum).await {
            Ok(object) => Seen::Is(copy_view(&object)),
            Err(error) => error.seen(),
        }
    }
}

/// One's own copy, written.
pub struct OwnCopy {
    region: Region,
    api: Option<KubeApi>,
    continuum: ObjectName,
}

impl OwnCopy {
    /// The copy of `continuum` in `region`, which is the controller's own.
    pub fn new(regions: &Regions, region: Region, continuum: ObjectName) -> Self {
        Self { api: regions.get(&region).cloned(), region, continuum }
    }

    async fn patch(&self, subresource: Option<&str>, patch: &Value) -> Outcome {
        let Some(api) = &self.api else { return no_server(&self.region) };
        match api.patch(&CONTINUUMS, &self.continuum, subresource, patch, None).await {
            Ok(_) => Outcome::Done(()),
            Err(error) => error.outcome(),
        }
    }
}

#[async_trait]
impl ActOnCopy for OwnCopy {
    async fn patch_spec(&self, resource_version: &str, patch: &Value) -> Outcome {
        self.patch(None, &json!({ "metadata": { "resourceVersion": resource_version }, "spec": patch })).await
    }

    async fn patch_status(&self, patch: &Value) -> Outcome {
        self.patch(Some("status"), &json!({ "status": patch })).await
    }
}

fn copy_view(object: &Value) -> CopyView {
    CopyView {
        resource_version: text(object, "/metadata/resourceVersion").to_owned(),
        uid: text(object, "/metadata/uid").to_owned(),
        generation: object.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or_default(),
        spec: parse_spec(object),
        agreement_hash: agreement_hash(object),
        seen: seen_of(object),
        status: object.get("status").cloned().unwrap_or_default(),
    }
}
