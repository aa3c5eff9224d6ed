//! An API server that lacks a definition: nobody applied that of the Continuum, or CloudNativePG is not installed. The
//! process lives on, says which one is missing and how to mend it, and serves once it is there, without being begun anew.

use super::process::{Folder, Process, program, until, until_ok};
use super::{ALONE, create, files, kind, make_namespaces};
use continuum_live::resource::{self, CRD_NAME};
use continuum_tests::definitions::Definitions;
use continuum_tests::real_kube::{RealKube, Who, install};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::ResourceExt;
use kube::api::{Api, DynamicObject};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const CLUSTERS: &str = "clusters.postgresql.cnpg.io";
const ROUTES: &str = "httproutes.gateway.networking.k8s.io";

/// A server without any definition, and a folder for who is to use it.
struct Bare {
    server: RealKube,
    client: kube::Client,
    folder: Folder,
}

impl Bare {
    async fn start() -> Option<Self> {
        let server = RealKube::bare().await.expect("a real kube-apiserver")?;
        let client = server.client(Who::Admin).await.expect("a client");
        make_namespaces(client.clone(), &["shop"]).await;
        Some(Self { server, client, folder: Folder::new() })
    }

    async fn install(&self, definition: &CustomResourceDefinition) {
        install(&self.client, definition).await.expect("the server takes it");
    }

    async fn put_a_continuum(&self) {
        let object = json!({
            "apiVersion": "dr.openova.io/v1", "kind": "Continuum", "metadata": { "name": "shop" },
            "spec": {
                "applicationRef": "shop", "primaryRegion": "fsn", "hotStandbyRegions": ["hel"],
                "leaseClient": { "kind": "k8s-lease" }, "cnpgPair": { "name": "shop" },
            },
        });
        create(&self.continuums(), object).await;
    }

    fn continuums(&self) -> Api<DynamicObject> {
        let continuums = kind("dr.openova.io", "Continuum", "continuums");
        Api::namespaced_with(self.client.clone(), "shop", &continuums)
    }

    /// The only process of the region `fsn`, which holds the witness too. Where `hel` should be nobody is.
    fn process(&self) -> Process {
        let mut variables = files(&self.folder);
        variables.remove("WITNESS_KUBECONFIG");
        variables.insert("OWN_KUBECONFIG", self.folder.put("own", &self.server.kubeconfig(Who::Admin)));
        variables.insert("WITNESS_REGION", "fsn".into());
        variables.insert("CONTINUUM_VANTAGES", String::new());
        variables.insert("LEADER_ELECT", "false".into());
        Process::start(variables)
    }
}

/// What `continuum-controller --print-crd` gives: the cure that is told.
fn printed() -> CustomResourceDefinition {
    let output = program(&BTreeMap::new()).arg("--print-crd").output().expect("it was built");
    assert!(output.status.success());
    serde_saphyr::from_str(&String::from_utf8_lossy(&output.stdout)).expect("it is a definition")
}

/// How often the log says that this kind is not watched on the region's own server, with this cure.
fn said_of(process: &Process, plural: &str, cure: &str) -> usize {
    let kind = format!(r#""kind":"{plural}""#);
    let all = ["not watched; its server is asked instead", r#""region":"fsn""#, &kind, cure];
    process.log().lines().filter(|line| all.iter().all(|part| line.contains(part))).count()
}

fn watched(process: &Process, plural: &str) -> bool {
    let known = |sample: &str| format!("continuum_watched{{region=\"fsn\",kind=\"{plural}\"}} {sample}\n");
    let metrics = process.metrics();
    assert!(metrics.contains(&known("0.0")) || metrics.contains(&known("1.0")), "{metrics}");
    metrics.contains(&known("1.0"))
}

#[tokio::test]
async fn without_the_definition_of_its_resource_a_process_lives_says_so_and_serves_once_it_is_applied() {
    let _alone = ALONE.lock().await;
    let Some(bare) = Bare::start().await else { return };
    let process = bare.process();
    let cure = format!("is {CRD_NAME} installed? `continuum-controller --print-crd` gives it");
    let of_others = [("clusters", CLUSTERS), ("httproutes", ROUTES)];
    until_ok("the reason", async || match process.ready() {
        (503, why) if why.starts_with("fsn: ") && why.ends_with(&cure) => Ok(()),
        other => Err(format!("{other:?}\n{}", process.log())),
    })
    .await;
    until("each definition that is missing to be named", async || {
        let named = |(plural, name)| said_of(&process, plural, &format!("is {name} installed?")) > 0;
        said_of(&process, "continuums", &cure) > 0 && of_others.into_iter().all(named)
    })
    .await;
    assert!(process.lives() && !watched(&process, "continuums"));
    // Whether there is such a Continuum is not known.
    let (status, body) = process.call("GET /v1/continuums/shop/shop/status", "");
    assert_eq!(status, 503, "{body}");

    bare.install(&printed()).await;
    until("readiness", async || process.ready() == (200, "ok".into())).await;
    assert!(process.lives() && watched(&process, "continuums"));
    assert_eq!(process.call("GET /v1/continuums/shop/shop/status", "").0, 404);
    bare.put_a_continuum().await;
    until("it to be served", async || process.call("GET /v1/continuums/shop/shop/status", "").0 == 200).await;
    assert_eq!(said_of(&process, "continuums", &cure), 1, "once for one cause: {}", process.log());
}

#[tokio::test]
async fn without_cloudnativepg_a_process_serves_says_so_and_watches_clusters_once_it_is_installed() {
    let _alone = ALONE.lock().await;
    let Some(bare) = Bare::start().await else { return };
    let definitions = Definitions::Whole.load().expect("definitions");
    let (of_operator, others): (Vec<_>, Vec<_>) =
        definitions.into_iter().partition(|definition| definition.spec.group == "postgresql.cnpg.io");
    assert!(of_operator.iter().any(|definition| definition.name_any() == CLUSTERS), "{of_operator:?}");
    for definition in others.iter().chain([&resource::crd()]) {
        bare.install(definition).await;
    }
    bare.put_a_continuum().await;
    let process = bare.process();
    until("readiness", async || process.ready() == (200, "ok".into())).await;
    let cure = format!("is {CLUSTERS} installed?");
    until("the missing definition to be named", async || said_of(&process, "clusters", &cure) > 0).await;
    until("what there is to be watched", async || watched(&process, "continuums") && watched(&process, "httproutes"))
        .await;
    assert!(process.lives() && !watched(&process, "clusters"));

    // What is not served is not taken for what is not there: a dry run tells the two apart.
    let dry_run = async |said: &str| {
        until_ok("a dry run to tell", async || {
            let (status, body) = process.call("POST /v1/continuums/shop/shop/dry-run", r#"{"toRegion": "hel"}"#);
            if status == 200 && body.contains(said) { Ok(()) } else { Err(format!("{status} {body}")) }
        })
        .await;
    };
    dry_run("the Cluster of pair shop/shop in fsn could not be read: GET clusters in fsn: 404").await;
    let phase = async || {
        let copy = bare.continuums().get("shop").await.expect("it is there");
        copy.data.get("status").map_or(Value::Null, |status| status["phase"].clone())
    };
    until("the status to tell", async || phase().await == "Pending").await;

    for definition in &of_operator {
        bare.install(definition).await;
    }
    dry_run("no Cluster of pair shop/shop in fsn").await;
    until("Clusters to be watched", async || watched(&process, "clusters")).await;
    assert_eq!(process.ready(), (200, "ok".into()));
    assert_eq!(said_of(&process, "clusters", &cure), 1, "once for one cause: {}", process.log());
}
