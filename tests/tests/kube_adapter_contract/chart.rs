//! The same cases on the real server, with adapters that may do what the chart's roles give and nothing else: what a
//! role lacks fails here. The cases themselves are made and judged by somebody who may do everything.

use crate::bed::{Bed, Case};
use continuum_tests::chart::Helm;
use continuum_tests::exchange;
use continuum_tests::real_kube::{RealKube, Who};
use futures_util::FutureExt;
use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

/// An account of the chart.
#[derive(Clone, Copy, Debug)]
enum Account {
    /// The controller, in its own cluster, which holds the witness too.
    Own,
    /// Another region's controller that comes here, to the witness too.
    Other,
    /// A controller that comes to a third place.
    Witness,
}

impl Account {
    fn name(self) -> &'static str {
        match self {
            Self::Own => "continuum-controller",
            Self::Other => "continuum-controller-other",
            Self::Witness => "continuum-controller-witness",
        }
    }

    /// Values in which every rule has the names that the cases use.
    fn values(self, namespace: &str) -> Value {
        json!({
            "continuum": {
                "controller": { "enabled": !matches!(self, Self::Witness) },
                "image": { "tag": "test" },
                "region": "fsn", "witnessRegion": "fsn", "regionKubeconfigsSecret": "regions",
                "leaseNamespace": namespace,
            },
            "rbac": { "applications": [{
                "namespace": namespace,
                "continuums": ["shop"], "clusters": ["shop-fsn"], "httpRoutes": ["shop"],
                "roleSecrets": ["shop-fsn-app", "shop-hel-app", "blog-fsn-app", "nobody-app"],
            }] },
            "otherCluster": { "enabled": !matches!(self, Self::Witness) },
            "witnessCluster": {
                "enabled": true, "leases": [format!("{namespace}.shop"), format!("{namespace}.blog")],
            },
        })
    }
}

/// The rules of the roles in the case's namespace that are bound to the account.
fn rules_of(objects: &mut [Value], account: Account) -> Vec<&mut Value> {
    let bound = |binding: &Value| {
        let subjects = binding["subjects"].as_array().expect("a binding has subjects");
        subjects.iter().any(|subject| subject["name"] == account.name())
    };
    let is_binding = |object: &&Value| ["RoleBinding", "ClusterRoleBinding"].iter().any(|kind| object["kind"] == *kind);
    let bindings = objects.iter().filter(is_binding).filter(|object| bound(object));
    let roles: Vec<(Value, Value)> =
        bindings.map(|binding| (binding["roleRef"]["kind"].clone(), binding["roleRef"]["name"].clone())).collect();
    let given = |role: &&mut Value| roles.contains(&(role["kind"].clone(), role["metadata"]["name"].clone()));
    let rules = objects.iter_mut().filter(given).map(|role| role["rules"].as_array_mut().expect("a role has rules"));
    rules.flatten().collect()
}

/// Every verb with its resource.
fn verbs_of(rules: &[&mut Value]) -> BTreeSet<(String, String)> {
    let words = |list: &Value| -> Vec<String> {
        let words = list.as_array().expect("a list").iter().map(|word| word.as_str().expect("a word").to_owned());
        words.collect()
    };
    let mut verbs = BTreeSet::new();
    for rule in rules {
        for resource in words(&rule["resources"]) {
            verbs.extend(words(&rule["verbs"]).into_iter().map(|verb| (resource.clone(), verb)));
        }
    }
    verbs
}

/// Takes one verb away on one resource, and leaves it on others of the same rule.
fn take_away(objects: &mut [Value], resource: &str, verb: &str) {
    for role in objects.iter_mut().filter(|object| object["kind"] == "Role" || object["kind"] == "ClusterRole") {
        let mut kept = Vec::new();
        for rule in role["rules"].as_array().expect("a role has rules") {
            for of in rule["resources"].as_array().expect("a rule has resources") {
                let mut rule = rule.clone();
                rule["resources"] = json!([of]);
                if of == resource {
                    rule["verbs"].as_array_mut().expect("a rule has verbs").retain(|of| of != verb);
                }
                if rule["verbs"] != json!([]) {
                    kept.push(rule);
                }
            }
        }
        role["rules"] = kept.into();
    }
}

async fn post(client: &kube::Client, path: &str, body: &Value) -> Value {
    let answer = exchange::ask(client, Method::POST, path, "application/json", body.to_string()).await;
    let answer = answer.expect("the server answers");
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.body
}

/// Puts up the accounts and roles of the chart, in the case's namespace. Roles of the whole cluster get names of their own.
async fn put_up(admin: &kube::Client, namespace: &str, objects: &[Value]) {
    const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
    let own = |name: &Value| json!(format!("{}-{namespace}", name.as_str().expect("it has a name")));
    for object in objects {
        let mut object = object.clone();
        let plural = match object["kind"].as_str() {
            Some("ClusterRole") => "clusterroles",
            Some("ClusterRoleBinding") => {
                object["roleRef"]["name"] = own(&object["roleRef"]["name"]);
                "clusterrolebindings"
            }
            _ => continue,
        };
        object["metadata"]["name"] = own(&object["metadata"]["name"]);
        post(admin, &format!("{RBAC}/{plural}"), &object).await;
    }
    for object in objects {
        let (group, plural) = match object["kind"].as_str() {
            Some("ServiceAccount") => ("/api/v1", "serviceaccounts"),
            Some("Role") => (RBAC, "roles"),
            Some("RoleBinding") => (RBAC, "rolebindings"),
            _ => continue,
        };
        let namespace = object["metadata"]["namespace"].as_str().expect("it stands in a namespace");
        post(admin, &format!("{group}/namespaces/{namespace}/{plural}"), object).await;
    }
}

/// Waits until the server has taken in that the account has these: it learns of roles by a watch of its own.
async fn take_in(client: &kube::Client, namespace: &str, verbs: &BTreeSet<(String, String)>) {
    let question = json!({ "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview",
                           "spec": { "namespace": namespace } });
    let all = async {
        loop {
            let mut answer = post(client, "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", &question).await;
            let rules = answer["status"]["resourceRules"].as_array_mut().expect("a list of rules");
            if verbs.is_subset(&verbs_of(&rules.iter_mut().collect::<Vec<_>>())) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), all).await.expect("roles are taken in");
}

/// The servers, or `None` where something is not built.
async fn found() -> Option<(Helm, &'static RealKube)> {
    let helm = Helm::find()?;
    Some((helm, RealKube::start().await.expect("a real kube-apiserver")?))
}

/// Runs a case under the roles of an account; `without` a verb on a resource, where one is named.
async fn run(helm: &Helm, real: &RealKube, account: Account, case: Case, without: Option<(&str, &str)>) {
    let namespace = real.namespace("under-the-chart").await.expect("a namespace");
    let admin = real.client(Who::Admin).await.expect("a client");
    let mut objects = rendered(helm, account, &namespace);
    if let Some((resource, verb)) = without {
        take_away(&mut objects, resource, verb);
    }
    put_up(&admin, &namespace, &objects).await;
    let client = real.client_of(&namespace, account.name()).await.expect("a client");
    take_in(&client, &namespace, &verbs_of(&rules_of(&mut objects, account))).await;
    let powerless = real.client(Who::Nobody).await.expect("a client");
    case(Bed::new(namespace, admin, powerless).with_adapters_of(client)).await;
}

fn rendered(helm: &Helm, account: Account, namespace: &str) -> Vec<Value> {
    let values = account.values(namespace).to_string();
    helm.template(&values, &["--namespace", namespace]).expect("good values")
}

macro_rules! under {
    ($account:ident, $name:ident: $($module:ident :: $case:ident,)*) => {
        mod $name {
            $(#[tokio::test]
            async fn $case() {
                let Some((helm, real)) = super::found().await else { return };
                let case: crate::bed::Case = |bed| Box::pin(crate::$module::$case(bed));
                super::run(&helm, real, super::Account::$account, case, None).await;
            })*
        }
    };
}

under! { Own, the_own_cluster:
    halves::a_half_is_found_by_the_label_of_its_pair,
    halves::a_promotion_names_itself_with_the_token_or_without,
    halves::a_fence_is_set_and_lifted_without_touching_the_rest,
    halves::a_write_that_is_tried_changes_nothing_and_is_judged_as_one_that_is_made,
    halves::a_backup_of_the_primary_is_seen_while_it_runs,
    routes::weights_are_set_and_everything_else_is_kept,
    copies::a_copy_is_read_with_its_spec_and_status,
    copies::a_spec_is_patched_where_its_version_stands,
    copies::a_status_is_patched_field_by_field,
    copies::a_copy_that_is_held_outlasts_its_deletion,
    watched::what_is_there_is_told_as_it_is_read_and_each_change_of_it,
    secrets::secrets_are_alike_where_user_and_password_are,
    rights::the_half_that_was_seen_is_asked_about_by_its_name,
    witness::a_register_is_created_once,
    witness::of_two_writers_one_wins,
    witness::registers_stand_apart,
}

under! { Other, another_cluster:
    halves::a_half_is_found_by_the_label_of_its_pair,
    halves::a_promotion_names_itself_with_the_token_or_without,
    halves::a_fence_is_set_and_lifted_without_touching_the_rest,
    halves::a_write_that_is_tried_changes_nothing_and_is_judged_as_one_that_is_made,
    halves::a_backup_of_the_primary_is_seen_while_it_runs,
    routes::weights_are_set_and_everything_else_is_kept,
    copies::a_copy_is_read_with_its_spec_and_status,
    watched::what_is_there_is_told_as_it_is_read_and_each_change_of_it,
    secrets::secrets_are_alike_where_user_and_password_are,
    rights::another_regions_controller_needs_no_right_to_write_this_copy,
    witness::a_register_is_created_once,
    witness::of_two_writers_one_wins,
    witness::registers_stand_apart,
}

under! { Witness, a_third_place:
    witness::a_register_is_created_once,
    witness::of_two_writers_one_wins,
    witness::registers_stand_apart,
    witness::a_lease_made_beforehand_is_taken_into_use,
    witness::a_release_frees_it_once_and_by_the_holder_alone,
}

/// A case that needs the verb. `None`: no adapter does, but the controller itself, whose own test runs under the chart's
/// roles too (`controller/tests/two_regions`).
fn case_that_needs(resource: &str, verb: &str) -> Option<Case> {
    match (resource, verb) {
        (_, "watch") | ("continuums" | "httproutes", "list") => {
            Some(|bed| Box::pin(crate::watched::what_is_there_is_told_as_it_is_read_and_each_change_of_it(bed)))
        }
        ("continuums", "get") => Some(|bed| Box::pin(crate::copies::a_copy_is_read_with_its_spec_and_status(bed))),
        ("continuums", "patch") => Some(|bed| Box::pin(crate::copies::a_spec_is_patched_where_its_version_stands(bed))),
        ("continuums/status", "patch") => Some(|bed| Box::pin(crate::copies::a_status_is_patched_field_by_field(bed))),
        ("clusters", "list") => Some(|bed| Box::pin(crate::halves::a_half_is_found_by_the_label_of_its_pair(bed))),
        ("clusters", "patch") => {
            Some(|bed| Box::pin(crate::halves::a_fence_is_set_and_lifted_without_touching_the_rest(bed)))
        }
        ("backups", "list") => Some(|bed| Box::pin(crate::halves::a_backup_of_the_primary_is_seen_while_it_runs(bed))),
        ("httproutes", _) => Some(|bed| Box::pin(crate::routes::weights_are_set_and_everything_else_is_kept(bed))),
        ("secrets", "get") => Some(|bed| Box::pin(crate::secrets::secrets_are_alike_where_user_and_password_are(bed))),
        ("leases", _) => Some(|bed| Box::pin(crate::witness::of_two_writers_one_wins(bed))),
        ("clusters", "get") | ("events", "create") => None,
        _ => panic!("the roles give {verb} on {resource}, and nothing needs it"),
    }
}

#[tokio::test]
async fn every_verb_of_the_roles_is_needed() {
    let Some((helm, real)) = found().await else { return };
    for account in [Account::Own, Account::Other, Account::Witness] {
        let mut objects = rendered(&helm, account, "shop");
        let verbs = verbs_of(&rules_of(&mut objects, account));
        assert!(verbs.len() >= 3, "{account:?}: {verbs:?}");
        // Side by side: what is not told is waited for a while.
        let helm = &helm;
        let tried = verbs.iter().map(|(resource, verb)| async move {
            let Some(case) = case_that_needs(resource, verb) else { return };
            let without = Some((resource.as_str(), verb.as_str()));
            let outcome = AssertUnwindSafe(run(helm, real, account, case, without)).catch_unwind().await;
            assert!(outcome.is_err(), "{account:?} does without {verb} on {resource}");
        });
        join_all(tried).await;
    }
}
