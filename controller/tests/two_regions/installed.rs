//! The chart installed in both regions, and in the third place where the witness stands there. What the processes are
//! told by it: the variables of its Deployment, and accounts that may do what its roles give and nothing else.

use crate::process::Folder;
use crate::{Kept, REGIONS, Regions, secret};
use continuum_controller::config::VARIABLES;
use continuum_tests::chart::{Helm, NAMESPACE, of_kind};
use continuum_tests::real_kube::{RealKube, Who};
use continuum_tests::real_nats::USER;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, PostParams};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What files and no variables of the chart say: it reads kubeconfigs from secrets, and its own account is the pod's.
const BY_HAND: [&str; 3] = ["OWN_KUBECONFIG", "REGION_KUBECONFIGS_DIR", "WITNESS_KUBECONFIG"];

/// Of every Continuum of this test.
const LEASES: [&str; 2] = ["shop.shop", "shop.books"];
/// The secret with the kubeconfig of the third place.
const WITNESS_SECRET: &str = "continuum-witness";

pub struct Installed {
    variables: [BTreeMap<&'static str, String>; 2],
    _folder: Folder,
}

/// What a person writes for a region: the objects of this test by their names.
fn values(index: usize, kept: Kept) -> String {
    let region = REGIONS[index];
    let mut values = json!({
        "continuum": {
            "image": { "tag": "test" },
            "region": region, "witnessRegion": REGIONS[0], "leaseNamespace": "leases",
            "regionKubeconfigsSecret": "continuum-regions",
            "natsURLSecretRef": { "name": "continuum-nats", "key": "url" },
            "vantages": [],
            "logs": { "level": "debug" },
        },
        "rbac": { "applications": [{
            "namespace": "shop",
            "continuums": ["shop", "books"],
            "clusters": [format!("shop-{region}"), format!("books-{region}")],
            "httpRoutes": ["shop", "books"],
            "secrets": ["probe", "shop-fsn-ca", "shop-hel-ca"],
            "roleSecrets": [format!("shop-{region}-app")],
        }] },
        "otherCluster": { "enabled": true },
        "witnessCluster": { "enabled": index == 0, "leases": LEASES },
    });
    let elsewhere = match kept {
        Kept::Leases => None,
        Kept::ThirdPlace => Some(("witnessSecret", WITNESS_SECRET)),
        Kept::Bucket(name) => Some(("witnessBucket", name)),
    };
    if let Some((value, name)) = elsewhere {
        values["continuum"]["witnessRegion"] = json!("");
        values["continuum"][value] = json!(name);
        values["witnessCluster"]["enabled"] = json!(false);
    }
    values.to_string()
}

/// The same for a third place, which holds the witness and no controller.
fn values_of_the_third_place() -> String {
    let values = json!({
        "continuum": { "controller": { "enabled": false }, "leaseNamespace": "leases" },
        "witnessCluster": { "enabled": true, "leases": LEASES },
        "crds": { "enabled": false },
        "admissionPolicy": { "enabled": false },
    });
    values.to_string()
}

impl Installed {
    /// As `docs/install.md` tells it.
    pub async fn start(regions: &Regions) -> Option<Self> {
        let helm = Helm::find()?;
        let folder = Folder::new();
        let install = |server: &RealKube, name: &str, values: &str| {
            let admin = folder.put(&format!("admin-{name}"), &server.kubeconfig(Who::Admin));
            // The server has the definition already.
            let arguments = ["--create-namespace", "--take-ownership", "--kubeconfig", &admin];
            let output = helm.run("install", values, &arguments);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        };
        let mut witness = None;
        if let Some(third) = &regions.third {
            install(third, "witness", &values_of_the_third_place());
            witness = Some(kubeconfig(third, "continuum-controller-witness").await);
        }
        for (index, region) in REGIONS.into_iter().enumerate() {
            install(&regions.servers[index], region, &values(index, regions.kept));
        }
        let mut variables = [BTreeMap::new(), BTreeMap::new()];
        for (index, variables) in variables.iter_mut().enumerate() {
            let secrets: Api<Secret> = Api::namespaced(regions.client(index).await, NAMESPACE);
            let other = kubeconfig(&regions.servers[1 - index], "continuum-controller-other").await;
            let key = format!("{}.kubeconfig", REGIONS[1 - index]);
            let url = regions.nats.url(USER.0, USER.1);
            let given = [("continuum-regions", key.as_str(), &other), ("continuum-nats", "url", &url)];
            let witness = witness.iter().map(|witness| (WITNESS_SECRET, "kubeconfig", witness));
            for (name, key, text) in given.into_iter().chain(witness) {
                secrets.create(&PostParams::default(), &secret(name, &[(key, text)])).await.expect("a new secret");
            }
            let objects = helm.template(&values(index, regions.kept), &[]).expect("good values");
            *variables = of_the_deployment(&objects, &secrets).await;
            let own = kubeconfig(&regions.servers[index], "continuum-controller").await;
            variables.insert("OWN_KUBECONFIG", folder.put(&format!("own-{index}"), &own));
        }
        Some(Self { variables, _folder: folder })
    }

    pub fn variables(&self, index: usize) -> BTreeMap<&'static str, String> {
        self.variables[index].clone()
    }
}

async fn kubeconfig(server: &RealKube, account: &str) -> String {
    server.kubeconfig_of(NAMESPACE, account).await.expect("a token")
}

/// What a kubelet would give the container.
async fn of_the_deployment(objects: &[Value], secrets: &Api<Secret>) -> BTreeMap<&'static str, String> {
    let container = &of_kind(objects, "Deployment", None)[0]["spec"]["template"]["spec"]["containers"][0];
    let mut variables = BTreeMap::new();
    for variable in container["env"].as_array().expect("variables") {
        let name = VARIABLES.iter().map(|known| known.name).find(|known| variable["name"] == *known);
        let name = name.unwrap_or_else(|| panic!("the process knows no variable {}", variable["name"]));
        let value = match variable["value"].as_str() {
            Some(value) => value.to_owned(),
            None => {
                let reference = &variable["valueFrom"]["secretKeyRef"];
                let secret = secrets.get(reference["name"].as_str().expect("a name")).await.expect("it was made");
                let bytes = &secret.data.expect("content")[reference["key"].as_str().expect("a key")];
                String::from_utf8(bytes.0.clone()).expect("UTF-8")
            }
        };
        variables.insert(name, value);
    }
    variables
}

#[test]
fn the_chart_can_set_every_variable_and_no_other() {
    let template = include_str!("../../../charts/continuum/templates/_env.tpl");
    let set = template.lines().filter_map(|line| line.strip_prefix("- name: ")).filter(|name| !name.contains('{'));
    let set: Vec<&str> = set.collect();
    for variable in VARIABLES {
        assert_ne!(set.contains(&variable.name), BY_HAND.contains(&variable.name), "{}", variable.name);
    }
    for name in set {
        assert!(VARIABLES.iter().any(|variable| variable.name == name), "the process knows no variable {name}");
    }
}

/// A variable that a person adds beside the chart's own would be two of one name, of which the last counts.
#[test]
fn the_chart_refuses_every_variable_of_the_process_that_is_set_beside_its_values() {
    let Some(helm) = Helm::find() else { return };
    for variable in VARIABLES {
        let set = format!("continuum.env.{}=x", variable.name);
        let refusal = helm.template(&values(0, Kept::Leases), &["--set", &set]).expect_err(&set);
        assert!(refusal.contains(&format!("continuum.env.{}: ", variable.name)), "{set}\n{refusal}");
    }
    let template = include_str!("../../../charts/continuum/templates/mistakes.yaml");
    let (_, list) = template.split_once("range $name := list ").expect("its list");
    let (list, _) = list.split_once(" }}").expect("its end");
    for name in list.split(' ').map(|name| name.trim_matches('"')) {
        assert!(VARIABLES.iter().any(|variable| variable.name == name), "the process knows no variable {name}");
    }
}
