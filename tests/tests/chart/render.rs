//! What is rendered, as a user reads it, and what holds of every object.

use crate::{CI, Folder, ci, read};
use continuum_tests::chart::{Helm, of_kind};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Whose content is compared with its source elsewhere.
const LONG: [&str; 2] = ["CustomResourceDefinition", "ValidatingAdmissionPolicy"];

fn text(helm: &Helm, values: &str, arguments: &[&str]) -> String {
    let output = helm.run("template", values, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("helm writes UTF-8");
    let documents = text.split("---\n").filter(|document| {
        !LONG.iter().any(|kind| document.contains(&format!("\nkind: {kind}\n"))) && !document.trim().is_empty()
    });
    documents.map(|document| format!("---\n{}\n", document.trim())).collect()
}

#[test]
fn each_region_and_a_third_place_render_as_committed() {
    let Some(helm) = Helm::find() else { return };
    for name in CI {
        insta::assert_snapshot!(name, text(&helm, &ci(name), &[]));
    }
}

#[test]
fn the_values_of_the_documentation_render() {
    let Some(helm) = Helm::find() else { return };
    let text = read("docs/install.md");
    let (_, block) = text.split_once("```yaml\ncontinuum:\n").expect("values in the document");
    let block = format!("continuum:\n{block}");
    let (values, _) = block.split_once("```").expect("the block ends");
    let objects = helm.template(values, &[]).expect("good values");
    assert_eq!(of_kind(&objects, "Deployment", None).len(), 1);
}

#[test]
fn lint_finds_nothing() {
    let Some(helm) = Helm::find() else { return };
    for name in CI {
        let output = helm.run("lint", &ci(name), &["--strict"]);
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn a_chart_that_is_not_enabled_renders_nothing() {
    let Some(helm) = Helm::find() else { return };
    for values in ["{continuum: {enabled: false}}".to_owned(), ci("fsn")] {
        let objects = helm.template(&values, &["--set", "continuum.enabled=false"]).expect("good values");
        assert_eq!(objects, Vec::<Value>::new());
    }
}

/// The environment of the only container.
fn variable(objects: &[Value], name: &str) -> Option<Value> {
    let deployment = of_kind(objects, "Deployment", None)[0];
    let variables = deployment["spec"]["template"]["spec"]["containers"][0]["env"].as_array().expect("variables");
    variables.iter().find(|variable| variable["name"] == name).cloned()
}

fn ports(objects: &[Value]) -> Vec<(String, Value, Value)> {
    let ports = of_kind(objects, "Service", Some("continuum-controller"))[0]["spec"]["ports"].as_array();
    let port = |port: &Value| {
        (port["name"].as_str().expect("a name").to_owned(), port["port"].clone(), port["targetPort"].clone())
    };
    ports.expect("ports").iter().map(port).collect()
}

#[test]
fn the_service_has_three_ports_by_name_and_the_api_can_be_off() {
    let Some(helm) = Helm::find() else { return };
    let objects = helm.template(&ci("fsn"), &[]).expect("good values");
    let port = |name: &str, port: u16| (name.to_owned(), json!(port), json!(name));
    assert_eq!(ports(&objects), [port("metrics", 9090), port("health", 8081), port("api", 8082)]);
    for off in ["continuum.api.port=", "continuum.api.port=null"] {
        let objects = helm.template(&ci("fsn"), &["--set", off]).expect("good values");
        assert_eq!(ports(&objects), [port("metrics", 9090), port("health", 8081)]);
        // Set and empty: the process tells that from not set.
        assert_eq!(variable(&objects, "CONTINUUM_API_ADDR"), Some(json!({"name": "CONTINUUM_API_ADDR", "value": ""})));
    }
}

#[test]
fn a_zero_and_an_empty_list_reach_the_process() {
    let Some(helm) = Helm::find() else { return };
    let values = ["--set", "continuum.health.postSwitchoverDelaySeconds=0", "--set", "continuum.vantages=null"];
    let objects = helm.template(&ci("fsn"), &values).expect("good values");
    let delay = variable(&objects, "CONTINUUM_HEALTH_DELAY_SECONDS").expect("it is set");
    assert_eq!(delay["value"], "0");
    assert_eq!(variable(&objects, "CONTINUUM_VANTAGES").expect("it is set")["value"], "");
    let objects = helm.template(&ci("fsn"), &["--set", "continuum.witnessBucket=leases"]).expect("good values");
    assert_eq!(variable(&objects, "WITNESS_BUCKET").expect("it is set")["value"], "leases");
    // What is not set is left out: empty would be a mistake, or mean another thing.
    let objects = helm.template(&ci("fsn"), &["--set", "continuum.api.tokenSecretRef=null"]).expect("good values");
    for name in
        ["CONTINUUM_API_TOKEN", "WITNESS_SECRET", "WITNESS_BUCKET", "PDM_API_URL", "PDM_CA_FILE", "PDM_AUTH_TOKEN"]
    {
        assert_eq!(variable(&objects, name), None, "{name}");
    }
}

#[test]
fn authorities_reach_the_process_as_files() {
    let Some(helm) = Helm::find() else { return };
    let set = "continuum.powerdns.apiURL=https://dns,continuum.powerdns.caSecretRef.name=pdns,\
               continuum.powerdns.caSecretRef.key=ca.crt,continuum.latency.prometheusURL=https://p,\
               continuum.latency.caSecretRef.name=prometheus,continuum.latency.caSecretRef.key=tls.crt,\
               continuum.tracing.otlpEndpoint=https://c,continuum.tracing.caSecretRef.name=otlp,\
               continuum.tracing.caSecretRef.key=ca.crt";
    let objects = helm.template(&ci("fsn"), &["--set", set]).expect("good values");
    let pod = &of_kind(&objects, "Deployment", None)[0]["spec"]["template"]["spec"];
    for (name, folder, secret, key) in [
        ("POWERDNS_CA_FILE", "powerdns-ca", "pdns", "ca.crt"),
        ("PROMETHEUS_CA_FILE", "prometheus-ca", "prometheus", "tls.crt"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "otlp-ca", "otlp", "ca.crt"),
    ] {
        let path = format!("/etc/continuum/{folder}");
        assert_eq!(variable(&objects, name).expect("it is set")["value"], format!("{path}/{key}"));
        let mounts = pod["containers"][0]["volumeMounts"].as_array().expect("mounts");
        assert!(mounts.contains(&json!({ "name": folder, "mountPath": path, "readOnly": true })), "{mounts:?}");
        let volume =
            json!({ "name": folder, "secret": { "secretName": secret, "items": [{ "key": key, "path": key }] } });
        assert!(pod["volumes"].as_array().expect("volumes").contains(&volume), "{volume}");
    }
}

#[test]
fn images_come_from_the_registry_that_is_named_for_all() {
    let Some(helm) = Helm::find() else { return };
    for registry in ["registry.example.org", "registry.example.org/"] {
        let set = format!("global.imageRegistry={registry}");
        let objects = helm.template(&ci("fsn"), &["--set", &set]).expect("good values");
        let container = &of_kind(&objects, "Deployment", None)[0]["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["image"], "registry.example.org/continuum-controller:0.1.0");
    }
}

/// Every object of every file of values, and of namespaces by "*".
fn all(helm: &Helm) -> Vec<Value> {
    let everywhere = "rbac: {applications: [{namespace: '*', continuums: ['*'], clusters: ['*'], httpRoutes: ['*'], \
                      secrets: [probe], roleSecrets: [app]}]}";
    let folder = Folder::new("everywhere");
    let file = folder.0.join("values.yaml");
    std::fs::write(&file, everywhere).expect("a file can be written");
    let more = ["--values", file.to_str().expect("a plain name")];
    let mut objects: Vec<Value> =
        CI.iter().flat_map(|name| helm.template(&ci(name), &[]).expect("good values")).collect();
    objects.extend(helm.template(&ci("fsn"), &more).expect("good values"));
    objects
}

#[test]
fn every_object_bears_the_controllers_name_and_labels() {
    let Some(helm) = Helm::find() else { return };
    for object in all(&helm) {
        let (kind, name) = (&object["kind"], object["metadata"]["name"].as_str().expect("a name"));
        let own = name == "continuum-controller" || name.starts_with("continuum-controller-");
        assert!(own || name.ends_with(".dr.openova.io"), "{kind} {name}");
        let labels = &object["metadata"]["labels"];
        assert_eq!(labels["app.kubernetes.io/name"], "continuum-controller", "{kind} {name}");
        assert_eq!(labels["app.kubernetes.io/component"], "controller", "{kind} {name}");
        assert_eq!(labels["catalyst.openova.io/controller"], "continuum", "{kind} {name}");
    }
}

#[test]
fn roles_name_secrets_and_leave_out_what_the_controller_has_no_use_for() {
    let Some(helm) = Helm::find() else { return };
    let objects = all(&helm);
    let roles = objects.iter().filter(|object| object["kind"].as_str().is_some_and(|kind| kind.ends_with("Role")));
    let mut resources = BTreeSet::new();
    for rule in roles.flat_map(|role| role["rules"].as_array().expect("rules")) {
        let of: Vec<&str> = rule["resources"].as_array().expect("resources").iter().filter_map(Value::as_str).collect();
        if of.contains(&"secrets") {
            assert_eq!(rule["verbs"], json!(["get"]), "{rule}");
            assert!(rule["resourceNames"].as_array().is_some_and(|names| !names.is_empty()), "{rule}");
        }
        assert!(rule["verbs"].as_array().expect("verbs").iter().all(|verb| verb != "*"), "{rule}");
        resources.extend(of);
    }
    let expected =
        ["backups", "clusters", "continuums", "continuums/status", "events", "httproutes", "leases", "secrets"];
    assert_eq!(resources.into_iter().collect::<Vec<_>>(), expected);
}

/// What the values of a region leave out.
pub const ALL: [&str; 12] = [
    "--set",
    "continuum.metrics.enabled=true",
    "--set",
    "serviceMonitor.enabled=true",
    "--set",
    "continuum.leaderElection.enabled=true",
    "--set",
    "continuum.replicas=2",
    "--set",
    "continuum.powerdns.apiURL=,continuum.powerdns.apiKeySecretRef=null",
    "--set",
    "continuum.pdmURL=https://pdm,continuum.pdmCASecretRef.name=pdm,continuum.pdmCASecretRef.key=ca.crt",
];

#[test]
fn each_kind_of_nats_credentials_is_a_file_out_of_its_secret() {
    let Some(helm) = Helm::find() else { return };
    for (value, name, folder) in [
        ("natsCredsSecretRef", "NATS_CREDS_FILE", "nats-creds"),
        ("natsTokenSecretRef", "NATS_TOKEN_FILE", "nats-token"),
        ("natsNkeySecretRef", "NATS_NKEY_FILE", "nats-nkey"),
    ] {
        let set = format!("continuum.{value}.name=users,continuum.{value}.key=dr");
        let objects = helm.template(&ci("fsn"), &["--set", &set]).expect("good values");
        let path = format!("/etc/continuum/{folder}");
        assert_eq!(variable(&objects, name), Some(json!({"name": name, "value": format!("{path}/dr")})));
        let pod = &of_kind(&objects, "Deployment", None)[0]["spec"]["template"]["spec"];
        let named = |list: &Value| {
            list.as_array().expect("some").iter().find(|entry| entry["name"] == folder).cloned().expect("it is there")
        };
        let mount = named(&pod["containers"][0]["volumeMounts"]);
        assert_eq!(mount, json!({"name": folder, "mountPath": path, "readOnly": true}));
        let secret = json!({"secretName": "users", "items": [{"key": "dr", "path": "dr"}]});
        assert_eq!(named(&pod["volumes"])["secret"], secret);
    }
}

#[test]
fn what_the_values_of_a_region_leave_out_renders_too() {
    let Some(helm) = Helm::find() else { return };
    let objects = helm.template(&ci("fsn"), &ALL).expect("good values");
    let value = |name: &str| variable(&objects, name).expect("it is set")["value"].clone();
    assert_eq!(value("METRICS_ADDR"), ":9090");
    assert_eq!((value("LEADER_ELECT"), value("LEADER_ELECT_NS")), (json!("true"), json!("catalyst-controllers")));
    assert_eq!(
        (value("PDM_API_URL"), value("PDM_CA_FILE")),
        (json!("https://pdm"), json!("/etc/continuum/pdm-ca/ca.crt"))
    );
    assert_eq!(of_kind(&objects, "Deployment", None)[0]["spec"]["strategy"]["type"], "RollingUpdate");
    let election = of_kind(&objects, "Role", Some("continuum-controller-election"))[0];
    let lease = &election["rules"][0];
    assert_eq!(lease["resourceNames"], json!(["continuum-controller.openova.io"]));
    let monitor = of_kind(&objects, "ServiceMonitor", None)[0];
    assert_eq!(
        monitor["spec"]["endpoints"],
        json!([{"port": "metrics", "path": "/metrics", "honorLabels": true, "interval": "30s"}])
    );
}
