//! What docs/install.md says of things outside the chart fits to its values and to the Continuum of docs/resource.md.

use crate::read;
use continuum_core::audit::SUBJECT;
use continuum_tests::exchange;
use continuum_tests::real_kube::{RealKube, Who};
use http::Method;
use serde_json::{Value, json};

/// The fenced YAML of a document.
fn yaml(path: &str) -> Vec<Value> {
    let text = read(path);
    let blocks = text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default());
    blocks
        .map(|block| serde_saphyr::from_str(block).unwrap_or_else(|error| panic!("{path}: {error}\n{block}")))
        .collect()
}

fn only<'a>(blocks: &'a [Value], kind: &str) -> &'a Value {
    blocks.iter().find(|block| block["kind"] == kind).unwrap_or_else(|| panic!("there is no {kind}"))
}

#[test]
fn the_pair_the_route_and_the_secrets_of_the_example_are_those_that_its_values_and_its_continuum_name() {
    let (install, resource) = (yaml("docs/install.md"), yaml("docs/resource.md"));
    let (cluster, route) = (only(&install, "Cluster"), only(&install, "HTTPRoute"));
    let continuum = only(&resource, "Continuum");
    let values = install.iter().find(|block| block["rbac"].is_object()).expect("values");
    let entry = &values["rbac"]["applications"][0];
    let spec = &continuum["spec"];

    assert_eq!(cluster["metadata"]["labels"]["catalyst.openova.io/cnpg-pair"], spec["cnpgPair"]["name"]);
    assert_eq!(entry["clusters"], json!([cluster["metadata"]["name"]]));
    let halves: Vec<&Value> =
        cluster["spec"]["externalClusters"].as_array().expect("both").iter().map(|entry| &entry["name"]).collect();
    assert_eq!(halves, [&cluster["spec"]["replica"]["primary"], &cluster["spec"]["replica"]["source"]]);
    let authorities = cluster["spec"]["externalClusters"].as_array().expect("both").iter();
    let mut secrets = vec![spec["probe"]["secretRef"]["name"].clone()];
    secrets.extend(authorities.map(|entry| entry["sslRootCert"]["name"].clone()));
    assert_eq!(entry["secrets"], json!(secrets));
    assert_eq!(cluster["spec"]["managed"]["roles"][0]["passwordSecret"]["name"], spec["probe"]["secretRef"]["name"]);
    assert_eq!(cluster["spec"]["managed"]["roles"][0]["inRoles"], json!(["pg_monitor"]));
    assert_eq!(cluster["metadata"]["name"], format!("shop-{}", spec["primaryRegion"].as_str().expect("a region")));

    assert_eq!(route["metadata"]["name"], spec["httpRoute"]["name"]);
    assert_eq!(entry["httpRoutes"], json!([route["metadata"]["name"]]));
    let backends = route["spec"]["rules"][0]["backendRefs"].as_array().expect("two");
    let named: Vec<Value> = backends.iter().map(|backend| backend["name"].clone()).collect();
    let regions = [&spec["primaryRegion"], &spec["hotStandbyRegions"][0]];
    let services = regions.map(|region| json!(format!("shop-{}", region.as_str().expect("a region"))));
    assert_eq!(named, services);

    assert!(read("docs/install.md").contains(&format!("--subjects {SUBJECT} ")));
}

/// To the letter: a field that the definitions do not know is refused.
#[tokio::test]
async fn the_pair_and_the_route_of_the_example_are_what_their_definitions_allow() {
    let Some(real) = RealKube::start().await.expect("a real kube-apiserver") else { return };
    let namespace = real.namespace("example").await.expect("a namespace");
    let client = real.client(Who::Admin).await.expect("a client");
    let install = yaml("docs/install.md");
    for (kind, group, plural) in
        [("Cluster", "postgresql.cnpg.io", "clusters"), ("HTTPRoute", "gateway.networking.k8s.io", "httproutes")]
    {
        let mut object = only(&install, kind).clone();
        object["metadata"]["namespace"] = json!(namespace);
        let path = format!("/apis/{group}/v1/namespaces/{namespace}/{plural}?fieldValidation=Strict");
        let answer = exchange::ask(&client, Method::POST, &path, "application/json", object.to_string()).await;
        let answer = answer.expect("the server answers");
        assert_eq!(answer.status, 201, "{kind}: {}", answer.body);
    }
}

#[test]
fn every_secret_that_the_values_name_is_made_by_the_commands() {
    let text = read("docs/install.md");
    let made = |name: &str, key: &str| {
        let line = text.lines().find(|line| line.contains(&format!("$secret {name} ")));
        line.is_some_and(|line| line.contains(&format!("={key}=")))
    };
    for values in yaml("docs/install.md").iter().filter(|block| block["rbac"].is_object()) {
        let continuum = &values["continuum"];
        let references = [
            &continuum["api"]["tokenSecretRef"],
            &continuum["natsURLSecretRef"],
            &continuum["natsCASecretRef"],
            &continuum["powerdns"]["apiKeySecretRef"],
        ];
        for reference in references {
            let (name, key) = (reference["name"].as_str().expect("a name"), reference["key"].as_str().expect("a key"));
            assert!(made(name, key), "no command makes key {key} of secret {name}");
        }
    }
    // The files of values that are installed name no other secret.
    for name in ["fsn", "hel"] {
        let values: Value = serde_saphyr::from_str(&crate::ci(name)).expect("YAML");
        for field in ["natsURLSecretRef", "natsCASecretRef"] {
            let reference = &values["continuum"][field];
            let (secret, key) =
                (reference["name"].as_str().expect("a name"), reference["key"].as_str().expect("a key"));
            assert!(made(secret, key), "{name}: no command makes key {key} of secret {secret}");
        }
    }
}
