//! What a dry run asks about is what the chart's roles give: a right that a role has and nobody asks about would be
//! missed in mid-move, and one that is asked about and given by no role would block every move. Whether the roles are
//! enough for the requests themselves is shown in `kube_adapter_contract`.

use crate::ci;
use continuum_core::name::{ObjectName, Region};
use continuum_core::observe::Seen;
use continuum_core::plan::Plan;
use continuum_core::ports::{ObservePair, ObserveWitness};
use continuum_live::clock::SystemClock;
use continuum_live::kube_api::{Access, KubeApi, regions};
use continuum_live::pair::{KubePair, PAIR_LABEL};
use continuum_live::resource::parse_spec;
use continuum_live::witness_lease::LeaseWitness;
use continuum_tests::chart::Helm;
use continuum_tests::exchange;
use continuum_tests::real_kube::Who;
use continuum_tests::simulated_kube::{SimulatedKube, on_simulated_kube};
use http::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Roles of the process, whatever it keeps: what they give has nothing to do with a move.
const OF_THE_PROCESS: [(&str, &str); 2] = [
    ("continuum-controller-kubeconfigs", "the process says which kubeconfig it cannot read, and reads it again"),
    ("continuum-controller-election", "a process that knows no leader is not ready, and says why"),
];

/// Rights that no dry run asks about.
const NOT_ASKED: [(&str, &str); 9] = [
    ("list continuums", "goes with the next"),
    ("watch continuums", "what may not be watched is told by the log and by continuum_watched"),
    ("list httproutes", "goes with the next"),
    ("watch httproutes", "what is not watched is asked for"),
    ("watch clusters", "what is not watched is asked for"),
    ("create events", "for people: nothing is decided by them, and what is refused is logged"),
    ("get secrets (shop-probe)", "each look at a database needs it, and a dry run tells why it could not look"),
    ("get secrets (shop-fsn-ca)", "the same"),
    ("get secrets (shop-hel-ca)", "the same"),
];

/// The controller in its own region, and the one that comes from another; the account of each in the region fsn.
const ACCOUNTS: [(&str, &str); 2] = [("fsn", "continuum-controller"), ("hel", "continuum-controller-other")];

/// What each role gives to this account, as a dry run names it, with the name of the role.
fn given(objects: &[Value], account: &str) -> BTreeSet<(String, String)> {
    let texts = |list: &Value| -> Vec<String> {
        let texts = list.as_array().into_iter().flatten().map(|text| text.as_str().expect("a text").to_owned());
        texts.collect()
    };
    let is_of = |object: &&Value, kind: &str| object["kind"] == kind || object["kind"] == format!("Cluster{kind}");
    let bound = |binding: &&Value| {
        binding["subjects"].as_array().is_some_and(|of| of.iter().any(|subject| subject["name"] == account))
    };
    let mut given = BTreeSet::new();
    for binding in objects.iter().filter(|object| is_of(object, "RoleBinding")).filter(bound) {
        let is_meant = |role: &&Value| {
            role["kind"] == binding["roleRef"]["kind"]
                && role["metadata"]["name"] == binding["roleRef"]["name"]
                && role["metadata"]["namespace"] == binding["metadata"]["namespace"]
        };
        let role = objects.iter().find(is_meant).expect("the role of a binding");
        let name = role["metadata"]["name"].as_str().expect("a name");
        for rule in role["rules"].as_array().expect("rules") {
            for (resource, verb) in texts(&rule["resources"])
                .into_iter()
                .flat_map(|resource| texts(&rule["verbs"]).into_iter().map(move |verb| (resource.clone(), verb)))
            {
                let names = if resource == "secrets" { texts(&rule["resourceNames"]) } else { Vec::new() };
                if names.is_empty() {
                    given.insert((name.to_owned(), format!("{verb} {resource}")));
                }
                given.extend(names.iter().map(|of| (name.to_owned(), format!("{verb} {resource} ({of})"))));
            }
        }
    }
    given
}

/// Everything that a dry run of the controller of `own` asks about in fsn and at a witness there, whichever way the
/// move goes.
fn asked(own: &'static str) -> BTreeSet<String> {
    on_simulated_kube(move |servers| Box::pin(asked_of(servers, own)))
}

async fn asked_of(servers: SimulatedKube, own: &str) -> BTreeSet<String> {
    let (fsn, client) = (Region::new("fsn"), servers.client(Who::Admin));
    let cluster = json!({
        "apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster",
        "metadata": { "name": "shop-fsn", "labels": { PAIR_LABEL: "shop" } }, "spec": { "instances": 1 },
    });
    let path = "/apis/postgresql.cnpg.io/v1/namespaces/shop/clusters";
    let made = exchange::ask(&client, Method::POST, path, "application/json", cluster.to_string()).await;
    assert_eq!(made.expect("the server answers").status, 201);

    let api = KubeApi::new(Access::new(client), "fsn");
    let name = ObjectName::new("shop", "shop");
    let pair = KubePair::new(regions([(fsn.clone(), api.clone())]), Region::new(own));
    assert!(matches!(pair.cluster(&fsn, &name).await, Seen::Is(_)), "its secrets have names once it was seen");
    servers.deny_all();
    let mut asked = BTreeSet::new();
    for (from, to) in [("fsn", "hel"), ("hel", "fsn")] {
        let continuum = json!({
            "metadata": { "namespace": "shop", "name": "shop" },
            "spec": {
                "applicationRef": "shop", "primaryRegion": from, "hotStandbyRegions": [to],
                "leaseClient": { "kind": "k8s-lease" },
                "luaRecord": { "hostnames": ["shop.example.org"] },
                "regions": [{ "name": "fsn", "lbIPs": ["10.1.0.1"] }, { "name": "hel", "lbIPs": ["10.2.0.1"] }],
                "cnpgPair": { "name": "shop" }, "httpRoute": { "name": "shop" },
            },
        });
        let spec = parse_spec(&continuum).expect("a good spec");
        let plan = Plan::new(&name, &spec, &Region::new(to), None, None).expect("a good plan");
        asked.extend(lacking(pair.missing_rights(&fsn, &plan).await));
    }
    let witness = LeaseWitness::new(api, "continuum-leases", &name, None, Arc::new(SystemClock::new()));
    asked.extend(lacking(witness.missing_rights().await));
    asked
}

/// Where nothing is allowed, what is asked about is lacking.
fn lacking(rights: Seen<Vec<String>>) -> Vec<String> {
    match rights {
        Seen::Is(rights) => rights,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_dry_run_asks_about_what_the_roles_give_and_about_nothing_else() {
    let Some(helm) = Helm::find() else { return };
    let objects = helm.template(&ci("fsn"), &[]).expect("good values");
    let (mut roles, mut unasked) = (BTreeSet::new(), BTreeSet::new());
    for (own, account) in ACCOUNTS {
        let (asked, given) = (asked(own), given(&objects, account));
        roles.extend(given.iter().map(|(role, _)| role.clone()));
        let of_the_process = |role: &str| OF_THE_PROCESS.iter().any(|(name, _)| *name == role);
        let of_moves: BTreeSet<String> =
            given.into_iter().filter(|(role, _)| !of_the_process(role)).map(|(_, right)| right).collect();
        let not_given: Vec<&String> = asked.difference(&of_moves).collect();
        assert_eq!(not_given, Vec::<&String>::new(), "{account}: a dry run asks about these, and no role gives them");
        for right in of_moves.difference(&asked) {
            let is_listed = NOT_ASKED.iter().any(|(known, _)| known == right);
            assert!(is_listed, "{account} may {right}: have a dry run ask about it, or say here why not");
            unasked.insert(right.clone());
        }
    }
    for (right, why) in NOT_ASKED {
        assert!(unasked.contains(right), "{right} is asked about, or given by no role ({why})");
    }
    for (role, why) in OF_THE_PROCESS {
        assert!(roles.contains(role), "there is no role {role} ({why})");
    }
}
