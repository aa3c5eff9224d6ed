//! One contract suite for the model of the API server: the same requests go, one by one, to the simulated
//! API server and to a real one. Each case states its claims, and its whole exchange is compared with a
//! committed snapshot, which is what the *real* server answered. So the model is held to the real server
//! also where there is none, and the real one is held to what was recorded.
//!
//! Where the two disagree, the model is wrong. To record anew: run the `real::` tests, accept with
//! `INSTA_UPDATE=always`, then mend the model until the `simulated::` tests pass. Both have the model's definitions of
//! others' resources: compared is what a server makes of a definition. Adapters meet the whole ones in their own suite.
//!
//! Not compared in transcripts: `managedFields` (one case looks into them), texts of messages that change between
//! releases, server-side apply (the model does not have them), and `sendInitialEvents` (it wants a
//! newer etcd than Debian's).

mod lists;
mod objects;
mod patches;
mod refusals;
mod session;
mod watches;

use continuum_tests::real_kube::{RealKube, Who};
use continuum_tests::simulated_kube::on_simulated_kube;
use session::{Case, Session};

/// Puts a case to the real server.
async fn on_the_real_server(name: &str, case: Case) {
    let Some(real) = RealKube::start_reduced().await.expect("a real kube-apiserver") else { return };
    let namespace = real.namespace(&name.replace('_', "-")).await.expect("a namespace");
    let server = real.client(Who::Admin).await.expect("a client");
    insta::assert_snapshot!(name, transcript(Session::new(server, namespace), case).await);
}

/// Puts a case to the model.
fn on_the_simulated_server(name: &str, case: Case) {
    let transcript = on_simulated_kube(move |servers| {
        Box::pin(transcript(Session::new(servers.client(Who::Admin), "case".into()), case))
    });
    insta::assert_snapshot!(name, transcript);
}

async fn transcript(mut session: Session, case: Case) -> String {
    case(&mut session).await;
    session.transcript().to_owned()
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
    patches::who_changed_a_field_is_kept,
    patches::a_write_past_its_time_limit_changes_nothing,
    lists::selectors_choose_by_label,
    lists::fields_choose_by_name,
    lists::a_list_is_sorted_and_has_a_version,
    lists::a_list_comes_in_pages,
    lists::a_list_over_all_namespaces_finds_them_all,
    lists::built_in_resources_are_listed_alike,
    refusals::what_is_not_there_is_not_found,
    refusals::what_is_wrong_is_refused_with_its_reason,
    refusals::what_a_definition_forbids_is_refused_in_its_words,
    refusals::what_the_rules_of_a_definition_forbid_is_refused_in_their_words,
    refusals::what_a_definition_does_not_know_is_dropped_without_a_word,
    refusals::only_known_verbs_and_types_are_taken,
    refusals::one_may_ask_what_one_may_do,
    watches::a_watch_shows_every_change_in_order,
    watches::a_watch_from_a_version_replays_what_came_after,
    watches::a_watch_without_a_version_begins_with_what_is_there,
    watches::a_watch_shows_what_enters_and_leaves_its_selector,
    watches::built_in_resources_are_watched_alike,
    watches::a_watch_ends_after_its_time_with_a_bookmark,
    watches::a_watch_from_a_forgotten_version_is_told_410,
}
