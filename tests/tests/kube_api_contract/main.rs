//! One contract suite for the model of the API server: the same requests go, one by one, to the simulated
//! API server and to a real one. Each case states its claims, and its whole exchange is compared with a
//! committed snapshot, which is what the *real* server answered. So the model is held to the real server
//! also where there is none, and the real one is held to what was recorded.
//!
//! Where the two disagree, the model is wrong. To record anew: run the `real::` tests, accept with
//! `INSTA_UPDATE=always`, then mend the model until the `simulated::` tests pass.
//!
//! Not compared: `managedFields`, texts of messages that change between releases, schemas and defaults, and
//! server-side apply. The model does not have them.

mod lists;
mod objects;
mod patches;
mod refusals;
mod session;
mod watches;

use continuum_sim::determinism::on_seeded_thread;
use continuum_sim::fabric::{Fabric, FabricOptions, TurmoilFabric};
use continuum_sim::gate::Open;
use continuum_sim::servers::kube_api::{self, LEASES, Store};
use continuum_tests::exchange::{Real, Simulated};
use continuum_tests::real_kube::{RealKube, Who};
use serde_json::json;
use session::{Case, Session};
use std::sync::{Arc, Mutex};

/// Puts a case to the real server.
async fn on_the_real_server(name: &str, case: Case) {
    let Some(real) = RealKube::start().await.expect("a real kube-apiserver") else { return };
    let namespace = real.namespace(&name.replace('_', "-")).await.expect("a namespace");
    let server = Real(real.client(Who::Admin).await.expect("a client"));
    let mut session = Session::new(&server, namespace);
    case(&mut session).await;
    insta::assert_snapshot!(name, session.transcript());
}

/// Puts a case to the model, over the simulated network.
fn on_the_simulated_server(name: &str, case: Case) {
    let transcript = on_seeded_thread(1, move || {
        let mut fabric = TurmoilFabric::new(FabricOptions::default());
        let (net, store) = (fabric.net(), store_with_a_past());
        fabric.host("api", {
            let net = net.clone();
            Box::new(move || Box::pin(kube_api::http::serve(net.clone(), "api".into(), store.clone(), Arc::new(Open))))
        });
        let finished = Arc::new(Mutex::new(None));
        fabric.host("tester", {
            let finished = finished.clone();
            Box::new(move || {
                let server = Simulated { net: net.clone(), host: "api".into(), port: kube_api::http::PORT };
                let finished = finished.clone();
                Box::pin(async move {
                    let mut session = Session::new(&server, "case".into());
                    case(&mut session).await;
                    *finished.lock().expect("nothing panics while it holds this") =
                        Some(session.transcript().to_owned());
                })
            })
        });
        loop {
            fabric.step().unwrap_or_else(|error| panic!("{error}"));
            if let Some(transcript) = finished.lock().expect("nothing panics while it holds this").take() {
                return transcript;
            }
        }
    });
    // The panic was printed already, with its place in the case.
    let Ok(transcript) = transcript else { panic!("the case failed on the simulated server") };
    insta::assert_snapshot!(name, transcript);
}

/// A real server has a past that it has forgotten before the first request.
fn store_with_a_past() -> Store {
    let store = Store::new("api");
    let lease = json!({"metadata": {"name": "past", "namespace": "past"}});
    store.create(&LEASES, lease, "past").expect("nothing is there yet");
    store.delete(&LEASES, "past", "past", "past").expect("it is there");
    store.compact();
    store
}

/// Makes of each case a test for each server.
macro_rules! contract {
    ($($module:ident :: $case:ident,)*) => {
        mod real {
            $(#[tokio::test]
            async fn $case() {
                crate::on_the_real_server(stringify!($case), |session| Box::pin(crate::$module::$case(session))).await;
            })*
        }

        mod simulated {
            $(#[test]
            fn $case() {
                crate::on_the_simulated_server(stringify!($case), |session| Box::pin(crate::$module::$case(session)));
            })*
        }
    };
}

contract! {
    objects::a_created_object_has_uid_version_and_generation_one,
    objects::a_status_sent_with_a_create_is_dropped,
    objects::an_update_needs_the_current_version,
    objects::generation_grows_with_the_spec_alone,
    objects::a_write_that_changes_nothing_keeps_the_version,
    objects::a_deleted_object_comes_back_as_another,
    objects::a_delete_may_be_conditional,
    objects::a_lease_is_a_register_with_conditional_writes,
    objects::a_secret_is_kept_as_it_was_sent,
    objects::finalizers_hold_a_deleted_object,
    patches::a_merge_patch_sets_replaces_and_removes,
    patches::a_patch_with_an_old_version_conflicts,
    patches::a_patch_may_not_move_an_object,
    patches::status_and_the_rest_are_written_apart,
    patches::only_one_of_two_conditional_writers_wins,
    patches::a_dry_run_changes_nothing,
    patches::a_write_past_its_time_limit_changes_nothing,
    lists::selectors_choose_by_label,
    lists::fields_choose_by_name,
    lists::a_list_is_sorted_and_has_a_version,
    lists::a_list_comes_in_pages,
    refusals::what_is_not_there_is_not_found,
    refusals::what_is_wrong_is_refused_with_its_reason,
    refusals::only_known_verbs_and_types_are_taken,
    refusals::one_may_ask_what_one_may_do,
    watches::a_watch_shows_every_change_in_order,
    watches::a_watch_from_a_version_replays_what_came_after,
    watches::a_watch_without_a_version_begins_with_what_is_there,
    watches::a_watch_shows_what_enters_and_leaves_its_selector,
    watches::a_watch_ends_after_its_time_with_a_bookmark,
    watches::a_watch_from_a_forgotten_version_is_told_410,
}
