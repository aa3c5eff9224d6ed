//! One contract suite for the Kubernetes adapters: the same cases, through the adapters' own transport, on the
//! simulated API server and on a real one.
//!
//! Each case looks at what the adapter gives, and at the object as the server has it. What a record of the
//! witness may become is core's; here is only whether the register keeps what core relies on, and that core's
//! transitions come through it as they are meant.
//!
//! The real server has the definitions of Cluster, Backup and HTTPRoute as CloudNativePG and the Gateway API release
//! them; the simulated one has reductions, which say nothing that those do not.

mod bed;
mod chart;
mod copies;
mod definition;
mod halves;
mod policy;
mod reduced;
mod rights;
mod routes;
mod secrets;
mod watched;
mod witness;

use bed::{Bed, Case};
use continuum_tests::real_kube::{RealKube, Who};
use continuum_tests::simulated_kube::on_simulated_kube;

async fn on_the_real_server(name: &str, case: Case) {
    let Some(real) = RealKube::start().await.expect("a real kube-apiserver") else { return };
    let namespace = real.namespace(&name.replace('_', "-")).await.expect("a namespace");
    let client = real.client(Who::Admin).await.expect("a client");
    let powerless = real.client(Who::Nobody).await.expect("a client");
    case(Bed::new(namespace, client, powerless)).await;
}

fn on_the_simulated_server(case: Case) {
    on_simulated_kube(move |servers| {
        Box::pin(case(Bed::new("shop".into(), servers.client(Who::Admin), servers.client(Who::Nobody))))
    });
}

/// Makes of each case a test for each server.
macro_rules! contract {
    ($($module:ident :: $case:ident,)*) => {
        mod real {
            $(#[tokio::test]
            async fn $case() {
                crate::on_the_real_server(stringify!($case), |bed| Box::pin(crate::$module::$case(bed))).await;
            })*
        }

        mod simulated {
            $(#[test]
            fn $case() {
                crate::on_the_simulated_server(|bed| Box::pin(crate::$module::$case(bed)));
            })*
        }
    };
}

contract! {
    halves::a_half_is_found_by_the_label_of_its_pair,
    halves::a_half_that_is_not_there_is_missing,
    halves::two_clusters_with_the_label_are_nobodys_half,
    halves::a_write_to_another_version_is_not_applied,
    halves::a_claim_of_a_higher_generation_is_seen_and_not_overruled,
    halves::a_claim_kills_an_older_write_that_is_still_under_way,
    halves::a_demotion_names_the_other_half_and_takes_the_token_away_in_one_write,
    halves::a_promotion_names_itself_with_the_token_or_without,
    halves::a_fence_is_set_and_lifted_without_touching_the_rest,
    halves::a_write_with_a_server_side_limit_is_taken,
    halves::a_write_to_a_half_that_is_gone_is_refused,
    halves::a_write_that_is_tried_changes_nothing_and_is_judged_as_one_that_is_made,
    halves::a_backup_of_the_primary_is_seen_while_it_runs,
    routes::weights_are_set_and_everything_else_is_kept,
    routes::a_route_that_changed_meanwhile_is_not_written,
    routes::a_route_without_the_backend_is_left_alone,
    routes::a_route_that_is_not_there_is_missing,
    copies::a_copy_is_read_with_its_spec_and_status,
    copies::a_spec_is_patched_where_its_version_stands,
    copies::a_status_is_patched_field_by_field,
    copies::a_copy_that_is_held_outlasts_its_deletion,
    copies::a_copy_that_is_not_there_is_missing,
    copies::fields_of_a_newer_version_are_kept,
    secrets::secrets_are_alike_where_user_and_password_are,
    rights::who_may_do_everything_lacks_nothing,
    rights::the_half_that_was_seen_is_asked_about_by_its_name,
    rights::another_regions_controller_needs_no_right_to_write_this_copy,
    rights::who_may_do_nothing_lacks_every_right_that_is_needed,
    rights::what_may_not_be_read_is_unknown_and_not_missing,
    watched::what_is_there_is_told_as_it_is_read_and_each_change_of_it,
    watched::what_is_deleted_or_loses_its_label_is_missing,
    watched::two_clusters_with_the_label_are_told_as_they_are_read,
    watched::nothing_is_told_that_is_older_than_what_was_read_or_written,
    watched::what_may_not_be_watched_is_not_known_and_says_what_is_missing,
    watched::another_server_is_listed_anew,
    witness::nothing_is_read_where_nobody_wrote,
    witness::a_register_is_created_once,
    witness::a_write_to_another_version_is_a_conflict,
    witness::of_two_writers_one_wins,
    witness::a_register_that_was_deleted_does_not_come_back,
    witness::unknown_fields_are_kept,
    witness::registers_stand_apart,
    witness::a_lease_made_beforehand_is_taken_into_use,
    witness::a_lease_of_another_tool_is_left_alone,
    witness::a_free_record_is_acquired_and_a_held_one_is_not,
    witness::the_holder_alone_renews,
    witness::a_release_frees_it_once_and_by_the_holder_alone,
    witness::the_generation_grows_at_every_change_of_holder_alone,
}
