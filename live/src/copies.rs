//! The copies of a Continuum: one in each region, of which a controller writes only its own.

use crate::kube_api::{CONTINUUMS, KubeApi, Regions, no_server, text};
use crate::resource::{agreement_hash, parse_spec, seen_of};
use async_trait::async_trait;
use continuum_core::name::{ByRegion, ObjectName, Region};
use continuum_core::observe::{CopyView, Seen, Stored};
use continuum_core::ports::{ActOnCopy, ObserveCopies, Outcome};
use continuum_core::spec::{Invalid, Spec};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// The copies of one Continuum, looked at.
pub struct KubeCopies {
    regions: Regions,
    continuum: ObjectName,
    specs: SpecsRead,
}

/// The specs that were read last, by region. Copies are looked at twice a second, and their specs hardly ever change.
#[derive(Default)]
pub(crate) struct SpecsRead(Mutex<ByRegion<ReadSpec>>);

/// What was made of a spec as it is written.
struct ReadSpec {
    /// The spec as text, which takes a tenth of the memory.
    written: String,
    spec: Result<Arc<Spec>, Invalid>,
    agreement_hash: String,
}

impl KubeCopies {
    /// The copies of `continuum` in these regions.
    pub fn new(regions: Regions, continuum: ObjectName) -> Self {
        Self { regions, continuum, specs: SpecsRead::default() }
    }
}

impl SpecsRead {
    /// The copy in `region`, as it is stored.
    pub fn view(&self, region: &Region, object: &Value) -> CopyView {
        let mut read = self.0.lock().expect("nothing panics while it holds what was read");
        // By what is written: an API server that was restored may show another spec under a generation seen before.
        let written = object.get("spec").map(Value::to_string).unwrap_or_default();
        let known = read.get(region).filter(|known| known.written == written);
        let known = known.map(|known| (known.spec.clone(), known.agreement_hash.clone()));
        let (spec, agreement_hash) = known.unwrap_or_else(|| {
            let (spec, agreement_hash) = (parse_spec(object).map(Arc::new), agreement_hash(object));
            let made = ReadSpec { written, spec: spec.clone(), agreement_hash: agreement_hash.clone() };
            read.insert(region.clone(), made);
            (spec, agreement_hash)
        });
        copy_view(object, spec, agreement_hash)
    }
}

#[async_trait]
impl ObserveCopies for KubeCopies {
    async fn copy(&self, region: &Region) -> Seen<CopyView> {
        let Some(api) = self.regions.get(region) else { return Seen::Unconfigured };
        match api.get(&CONTINUUMS, &self.continuum).await {
            Ok(object) => Seen::Is(self.specs.view(region, &object)),
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

    async fn set_finalizers(&self, resource_version: &str, finalizers: &[String]) -> Outcome {
        let metadata = json!({ "resourceVersion": resource_version, "finalizers": finalizers });
        self.patch(None, &json!({ "metadata": metadata })).await
    }

    async fn patch_status(&self, patch: &Value) -> Outcome {
        self.patch(Some("status"), &json!({ "status": patch })).await
    }
}

fn copy_view(object: &Value, spec: Result<Arc<Spec>, Invalid>, agreement_hash: String) -> CopyView {
    CopyView {
        resource_version: text(object, "/metadata/resourceVersion").to_owned(),
        uid: text(object, "/metadata/uid").to_owned(),
        generation: object.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or_default(),
        spec,
        agreement_hash,
        finalizers: finalizers_of(object),
        deleted: object.pointer("/metadata/deletionTimestamp").is_some_and(Value::is_string),
        seen: seen_of(object),
        status: object.get("status").map_or_else(Stored::default, Stored::from),
    }
}

fn finalizers_of(object: &Value) -> Vec<String> {
    let all = object.pointer("/metadata/finalizers").and_then(Value::as_array);
    all.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_server::{region, status};

    fn hel() -> Region {
        Region::new("hel")
    }

    fn shop() -> ObjectName {
        ObjectName::new("shop", "shop")
    }

    #[tokio::test]
    async fn a_copy_that_is_wrong_is_seen_with_what_is_wrong() {
        let object = json!({
            "metadata": { "namespace": "shop", "name": "shop", "resourceVersion": "9", "uid": "u", "generation": 2 },
            "spec": { "primaryRegion": "" },
        });
        let (regions, _) = region([(200, object)]);
        let seen = KubeCopies::new(regions, shop()).copy(&hel()).await;
        let copy = seen.known().unwrap();
        assert_eq!((copy.resource_version.as_str(), copy.uid.as_str(), copy.generation), ("9", "u", 2));
        assert_eq!(copy.spec.as_ref().unwrap_err().path, "spec.primaryRegion");
        assert_eq!((&copy.seen, &copy.status), (&None, &Stored::default()));
    }

    #[tokio::test]
    async fn a_spec_that_changed_is_read_anew_also_under_the_generation_of_the_one_before() {
        let object = |primary: &str| {
            let spec = json!({
                "applicationRef": "shop", "primaryRegion": primary, "hotStandbyRegions": ["nbg"],
                "leaseClient": { "kind": "k8s-lease" },
            });
            (200, json!({ "metadata": { "namespace": "shop", "uid": "u", "generation": 2 }, "spec": spec }))
        };
        let (regions, _) = region([object("fsn"), object("fsn"), object("hel")]);
        let copies = KubeCopies::new(regions, shop());
        let mut primaries = Vec::new();
        for _ in 0..3 {
            let copy = copies.copy(&hel()).await.known().cloned().unwrap();
            primaries.push(copy.spec.unwrap().primary.to_string());
        }
        assert_eq!(primaries, ["fsn", "fsn", "hel"]);
    }

    #[tokio::test]
    async fn a_copy_is_missing_where_the_server_says_so_and_unconfigured_without_a_server() {
        let (regions, _) = region([status(404, "NotFound", "continuums \"shop\" not found")]);
        let copies = KubeCopies::new(regions, shop());
        assert_eq!(copies.copy(&hel()).await, Seen::Missing);
        assert_eq!(copies.copy(&Region::new("nbg")).await, Seen::Unconfigured);
    }

    #[tokio::test]
    async fn the_spec_is_patched_where_its_version_stands_and_the_status_as_its_subresource() {
        let (regions, log) = region([(200, json!({})), (200, json!({}))]);
        let own = OwnCopy::new(&regions, hel(), shop());
        assert_eq!(own.patch_spec("9", &json!({ "primaryRegion": "hel" })).await, Outcome::Done(()));
        assert_eq!(own.patch_status(&json!({ "phase": "Healthy" })).await, Outcome::Done(()));
        let log = log.lock().unwrap();
        let path = "PATCH /apis/dr.openova.io/v1/namespaces/shop/continuums/shop";
        assert!(log[0].line.starts_with(&format!("{path}?")), "{}", log[0].line);
        assert_eq!(log[0].body, json!({ "metadata": { "resourceVersion": "9" }, "spec": { "primaryRegion": "hel" } }));
        assert!(log[1].line.starts_with(&format!("{path}/status?")), "{}", log[1].line);
        assert_eq!(log[1].body, json!({ "status": { "phase": "Healthy" } }));
    }
}
