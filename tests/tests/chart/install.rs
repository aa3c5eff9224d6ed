//! The chart on a real API server, by helm itself: fields that the server does not know, and what its admission thinks of
//! them, show here and nowhere else.

use crate::render::ALL;
use crate::{CI, Folder, ci};
use continuum_tests::chart::{Helm, NAMESPACE, of_kind};
use continuum_tests::exchange;
use continuum_tests::real_kube::{RealKube, Who};
use http::{Method, Request};
use kube::client::Body;
use serde_json::{Value, json};
use std::collections::BTreeSet;

struct Bed {
    helm: Helm,
    real: RealKube,
    admin: kube::Client,
    folder: Folder,
}

impl Bed {
    async fn start(name: &str) -> Option<Self> {
        let helm = Helm::find()?;
        let real = RealKube::another().await.expect("a real kube-apiserver")?;
        let admin = real.client(Who::Admin).await.expect("a client");
        let folder = Folder::new(name);
        std::fs::write(folder.0.join("kubeconfig"), real.kubeconfig(Who::Admin)).expect("a file can be written");
        let bed = Self { helm, real, admin, folder };
        let restricted = json!({ "pod-security.kubernetes.io/enforce": "restricted" });
        for (name, labels) in [(NAMESPACE, restricted), ("shop", json!({})), ("continuum-leases", json!({}))] {
            bed.ask(
                Method::POST,
                "/api/v1/namespaces",
                &json!({ "metadata": { "name": name, "labels": labels } }),
                201,
            )
            .await;
        }
        Some(bed)
    }

    async fn ask(&self, method: Method, path: &str, body: &Value, expected: u16) -> Value {
        let answer = exchange::ask(&self.admin, method, path, "application/json", body.to_string()).await;
        let answer = answer.expect("the server answers");
        assert_eq!(answer.status, expected, "{path}: {}", answer.body);
        answer.body
    }

    async fn get(&self, path: &str) -> Value {
        self.ask(Method::GET, path, &Value::Null, 200).await
    }

    fn helm(&self, helm: &Helm, command: &str, values: &str, arguments: &[&str]) {
        let kubeconfig = self.folder.0.join("kubeconfig");
        let mut all = vec!["--kubeconfig", kubeconfig.to_str().expect("a plain name")];
        all.extend(arguments);
        let output = helm.run(command, values, &all);
        assert!(output.status.success(), "helm {command}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/catalyst-controllers/deployments/continuum-controller";
const DEFINITION: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/continuums.dr.openova.io";
const FLOW_SCHEMA: &str = "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas/continuum-controller";

/// The definition is there already, as where somebody applied it by hand.
const INSTALL: [&str; 1] = ["--take-ownership"];

#[tokio::test]
async fn each_file_of_values_installs_changes_and_goes_and_the_definition_stays() {
    let Some(bed) = Bed::start("install").await else { return };
    for name in CI {
        bed.helm(&bed.helm, "install", &ci(name), &INSTALL);
        bed.helm(&bed.helm, "upgrade", &ci(name), &["--set", "continuum.health.postSwitchoverDelaySeconds=0"]);
        bed.helm(&bed.helm, "uninstall", "", &[]);
        bed.ask(Method::GET, DEPLOYMENT, &Value::Null, 404).await;
        assert_eq!(bed.get(DEFINITION).await["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
    }
}

#[tokio::test]
async fn its_pods_are_admitted_where_only_restricted_ones_are() {
    let Some(bed) = Bed::start("restricted").await else { return };
    let objects = bed.helm.template(&ci("fsn"), &[]).expect("good values");
    let template = &of_kind(&objects, "Deployment", None)[0]["spec"]["template"];
    let mut pod = json!({ "metadata": { "name": "pod" }, "spec": template["spec"] });
    let path = "/api/v1/namespaces/catalyst-controllers/pods?dryRun=All&fieldValidation=Strict";
    bed.ask(Method::POST, path, &pod, 201).await;
    // Of one that is not, the server says so: it does look.
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = json!(true);
    bed.ask(Method::POST, path, &pod, 403).await;
}

/// The namespace of the witness's Leases.
const WITNESS: &str = "continuum-leases";

/// Whose Leases of which namespace are to go by the schema, by the file of values.
const FLOWS: [(&str, &[(&str, &str)]); 3] = [
    (
        "fsn",
        &[
            ("continuum-controller", WITNESS),
            ("continuum-controller-other", WITNESS),
            ("continuum-controller", NAMESPACE),
        ],
    ),
    ("hel", &[("continuum-controller", NAMESPACE)]),
    ("third-place", &[("continuum-controller-witness", WITNESS)]),
];

/// Whose do, rule by rule.
fn flows(schema: &Value) -> Vec<(&str, &str)> {
    let list = |value| Value::as_array(value).expect("a list");
    let text = |value| Value::as_str(value).expect("a text");
    let mut flows = Vec::new();
    for rule in list(&schema["spec"]["rules"]) {
        for subject in list(&rule["subjects"]) {
            for namespace in list(&rule["resourceRules"]).iter().flat_map(|of| list(&of["namespaces"])) {
                flows.push((text(&subject["serviceAccount"]["name"]), text(namespace)));
            }
        }
    }
    flows
}

type Asked = (Method, String, Value);

/// What controllers ask of Leases.
fn of_leases(namespace: &str) -> [Asked; 3] {
    let name = if namespace == NAMESPACE { "continuum-controller.openova.io" } else { "shop.shop" };
    let leases = format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases");
    let lease = format!("{leases}/{name}");
    [
        (Method::POST, format!("{leases}?dryRun=All"), json!({ "metadata": { "name": name } })),
        (Method::GET, lease.clone(), Value::Null),
        (Method::PATCH, lease, json!({})),
    ]
}

/// By which schema and on which priority level the server took it, as their UIDs.
async fn taken_by(client: &kube::Client, (method, path, body): &Asked) -> [Value; 2] {
    let content = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
    let request = Request::builder().method(method).uri(path).header("content-type", content);
    let request = request.body(Body::from(body.to_string().into_bytes())).expect("a request");
    let answer = client.send(request).await.expect("the server answers");
    ["flowschema", "prioritylevel"].map(|of| {
        let uid = answer.headers().get(format!("x-kubernetes-pf-{of}-uid"));
        // One whose token is not known yet is taken by none.
        uid.map_or(Value::Null, |uid| uid.to_str().expect("text").into())
    })
}

#[tokio::test]
async fn leases_go_to_the_priority_level_of_elections_and_nothing_else_does() {
    let Some(bed) = Bed::start("flow").await else { return };
    let level = "/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations/leader-election";
    let level = bed.get(level).await;
    for (name, expected) in FLOWS {
        bed.helm(&bed.helm, "install", &ci(name), &INSTALL);
        let schema = bed.get(FLOW_SCHEMA).await;
        assert_eq!(flows(&schema), expected, "{name}");
        let elections = [&schema, &level].map(|object| object["metadata"]["uid"].clone());
        let accounts: BTreeSet<&str> = expected.iter().map(|(account, _)| *account).collect();
        for account in accounts {
            let client = bed.real.client_of(NAMESPACE, account).await.expect("a client");
            let (here, elsewhere): (Vec<&str>, Vec<&str>) = [WITNESS, NAMESPACE, "shop"]
                .into_iter()
                .partition(|namespace| expected.contains(&(account, namespace)));
            for asked in here.into_iter().flat_map(of_leases) {
                let mut tries = 0;
                // The server takes a schema in a moment after it was made.
                while taken_by(&client, &asked).await != elections {
                    tries += 1;
                    assert!(tries < 100, "{name}: the schema is not asked: {account} {asked:?}");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
            let continuum = "/apis/dr.openova.io/v1/namespaces/shop/continuums/shop".to_owned();
            let others = elsewhere.into_iter().flat_map(of_leases).chain([(Method::GET, continuum, Value::Null)]);
            for asked in others {
                let taken = taken_by(&client, &asked).await;
                let differs = |(of, elections): (&Value, &Value)| of.is_string() && of != elections;
                assert!(taken.iter().zip(&elections).all(differs), "{name}: {account} {asked:?}: {taken:?}");
            }
        }
        bed.helm(&bed.helm, "uninstall", "", &[]);
    }
}

#[tokio::test]
async fn an_election_can_be_turned_off_and_on_again() {
    let Some(bed) = Bed::start("election").await else { return };
    // The Prometheus operator's definitions are not on this server.
    let mut arguments = ALL.to_vec();
    arguments.extend(["--set", "serviceMonitor.enabled=false", INSTALL[0]]);
    bed.helm(&bed.helm, "install", &ci("fsn"), &arguments);
    assert_eq!(bed.get(DEPLOYMENT).await["spec"]["strategy"]["type"], "RollingUpdate");
    let off = ["--set", "continuum.leaderElection.enabled=false", "--set", "continuum.replicas=1"];
    bed.helm(&bed.helm, "upgrade", &ci("fsn"), &off);
    let strategy = &bed.get(DEPLOYMENT).await["spec"]["strategy"];
    assert_eq!(strategy, &json!({ "type": "Recreate" }));
    // On again: the pod that elects nobody has to go before one that elects comes.
    for expected in ["Recreate", "RollingUpdate"] {
        bed.helm(&bed.helm, "upgrade", &ci("fsn"), &[]);
        assert_eq!(bed.get(DEPLOYMENT).await["spec"]["strategy"]["type"], expected);
    }
}

/// Whether an account may, as the server says: verb, resource, namespace, name.
async fn may(bed: &Bed, account: &str, [verb, resource, namespace, name]: [&str; 4]) -> bool {
    let group = match resource {
        "continuums" => "dr.openova.io",
        "clusters" | "backups" => "postgresql.cnpg.io",
        "httproutes" => "gateway.networking.k8s.io",
        "leases" => "coordination.k8s.io",
        _ => "",
    };
    let attributes =
        json!({ "verb": verb, "group": group, "resource": resource, "namespace": namespace, "name": name });
    let user = format!("system:serviceaccount:{NAMESPACE}:{account}");
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": { "user": user, "groups": ["system:authenticated"], "resourceAttributes": attributes },
    });
    let answer = bed.ask(Method::POST, "/apis/authorization.k8s.io/v1/subjectaccessreviews", &review, 201).await;
    answer["status"]["allowed"] == true
}

#[tokio::test]
async fn no_account_may_do_more_than_it_must() {
    let Some(bed) = Bed::start("rights").await else { return };
    bed.helm(&bed.helm, "install", &ci("fsn"), &INSTALL);
    let (own, other) = ("continuum-controller", "continuum-controller-other");
    // The server takes roles in a moment after they were made.
    let mut tries = 0;
    for right in [
        ["list", "continuums", "", ""],
        ["patch", "clusters", "shop", "shop-fsn"],
        ["create", "leases", "continuum-leases", ""],
    ] {
        while !may(&bed, own, right).await {
            tries += 1;
            assert!(tries < 100, "{right:?}");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }
    let refused = [
        (own, ["patch", "clusters", "shop", "blog-fsn"]),
        (own, ["patch", "clusters", "blog", "shop-fsn"]),
        (own, ["delete", "clusters", "shop", "shop-fsn"]),
        (own, ["create", "continuums", "shop", ""]),
        (own, ["get", "secrets", "shop", "another"]),
        (own, ["list", "secrets", "shop", ""]),
        (own, ["get", "secrets", NAMESPACE, "continuum-api-token"]),
        (own, ["get", "leases", "continuum-leases", "blog.blog"]),
        (own, ["delete", "leases", "continuum-leases", "shop.shop"]),
        (own, ["get", "leases", NAMESPACE, "shop.shop"]),
        (own, ["list", "namespaces", "", ""]),
        (own, ["get", "configmaps", "shop", "shop"]),
        (own, ["list", "pods", "shop", ""]),
        (own, ["watch", "secrets", "shop", ""]),
        (other, ["watch", "secrets", "shop", ""]),
        (other, ["patch", "continuums", "shop", "shop"]),
        (other, ["get", "secrets", "shop", "shop-probe"]),
        (other, ["get", "secrets", NAMESPACE, "continuum-regions"]),
        (other, ["get", "clusters", "shop", "shop-fsn"]),
    ];
    for (account, right) in refused {
        assert!(!may(&bed, account, right).await, "{account} may {right:?}");
    }
}
