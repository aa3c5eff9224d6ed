//! The region's parts on the network: what each of them does where another is dead, hangs or is cut off, and what
//! becomes of the half's pod. Measured on the real ones; names in brackets are of the recordings.

use super::world::{Start, World};
use continuum_sim::fabric::Fabric;
use continuum_sim::servers::kube_api::PODS;
use serde_json::{Value, json};

const FSN: &str = "shop-fsn";
const HEL: &str = "shop-hel";
const CLUSTER: &str = "/apis/postgresql.cnpg.io/v1/namespaces/shop/clusters/shop-fsn";
const POD: &str = "/api/v1/namespaces/shop/pods/shop-fsn-1";

fn fence(fenced: bool) -> Value {
    let value = if fenced { json!("[\"*\"]") } else { Value::Null };
    json!({"metadata": {"annotations": {"cnpg.io/fencedInstances": value}}})
}

/// Fence, role and token in one.
fn one_patch() -> Value {
    let mut patch = fence(true);
    patch["spec"] = json!({"replica": {"primary": HEL, "promotionToken": null}});
    patch
}

fn accepts(world: &World, half: &str) -> bool {
    world.halves[half].instance.accepts_writes()
}

fn status(world: &World, half: &str) -> Value {
    world.object(half)["status"].clone()
}

fn in_progress(world: &World, half: &str) -> bool {
    status(world, half)["switchReplicaClusterStatus"]["inProgress"] == true
}

fn has_pod(world: &World) -> bool {
    world.halves[FSN].store.get(&PODS, "shop", "shop-fsn-1").is_some()
}

/// Until it is so; how long that took, s.
fn until(world: &mut World, what: &str, condition: impl Fn(&World) -> bool) -> f64 {
    let begin = world.fabric.now();
    while !condition(world) {
        let waited = (world.fabric.now() - begin).as_secs_f64();
        assert!(waited < 60.0, "{what}: not in 60 s; {:#}", world.object(FSN)["status"]);
        world.fabric.step().unwrap();
    }
    (world.fabric.now() - begin).as_secs_f64()
}

fn is_between(what: &str, took: f64, least: f64, most: f64) {
    assert!((least..=most).contains(&took), "{what}: {took:.2} s, not {least} to {most}");
}

#[test]
fn without_the_operator_no_cluster_is_written_but_its_status_and_pods_are() {
    let mut world = World::start(1, Start::born());
    world.fabric.crash("operator.fsn");
    for path in [CLUSTER.to_owned(), format!("{CLUSTER}?dryRun=All")] {
        let answer = world.ask("fsn", "PATCH", &path, &fence(true));
        assert_eq!(answer.status, 500);
        let why = "Internal error occurred: failed calling webhook \"mcluster.cnpg.io\": failed to call webhook: Post";
        assert!(answer.message.starts_with(why), "{}", answer.message);
        is_between("refusal", answer.took, 0.25, 0.6);
    }
    let phase = json!({"status": {"phase": "x"}});
    assert_eq!(world.ask("fsn", "PATCH", &format!("{CLUSTER}/status"), &phase).status, 200);
    assert_eq!(world.ask("fsn", "DELETE", &format!("{POD}?gracePeriodSeconds=2"), &Value::Null).status, 200);
    // In process it is no other.
    assert_eq!(world.patch(FSN, &fence(true)).0, 500);
}

#[test]
fn an_operator_that_stands_still_holds_every_write_up_until_a_limit() {
    let mut world = World::start(1, Start::born());
    world.fabric.pause("operator.fsn");
    let answer = world.ask("fsn", "PATCH", CLUSTER, &fence(true));
    assert_eq!(answer.status, 500);
    assert!(answer.message.ends_with("context deadline exceeded"), "{}", answer.message);
    is_between("refusal", answer.took, 10.0, 10.6);
    let answer = world.ask("fsn", "PATCH", &format!("{CLUSTER}?timeout=3s"), &fence(true));
    assert_eq!(answer.status, 504);
    is_between("time-out", answer.took, 3.0, 3.3);
    let answer = world.ask("fsn", "PATCH", &format!("{CLUSTER}/status"), &json!({"status": {"phase": "x"}}));
    assert_eq!(answer.status, 200);
    is_between("status", answer.took, 0.0, 0.2);
    // What was refused was not kept.
    assert_eq!(world.object(FSN)["metadata"].get("annotations"), None);
}

#[test]
fn a_restarted_operator_judges_at_once_and_acts_when_it_leads() {
    let mut world = World::start(1, Start::born());
    world.fabric.crash("operator.fsn");
    world.run(3.0);
    world.fabric.restart("operator.fsn");
    let asked = until(&mut world, "webhook", |world| world.patch(FSN, &json!({})).0 == 200);
    is_between("webhook", asked, 0.1, 0.3);
    world.patch(FSN, &json!({"spec": {"replica": {"primary": HEL, "promotionToken": null}}}));
    let began = until(&mut world, "demotion", |world| in_progress(world, FSN));
    is_between("demotion", began, 15.0, 17.0);
}

#[test]
fn an_operator_that_is_cut_off_demotes_nobody_until_the_way_is_open() {
    let mut world = World::start(1, Start::born());
    world.fabric.partition("operator.fsn", "api.fsn");
    world.patch(FSN, &json!({"spec": {"replica": {"primary": HEL, "promotionToken": null}}}));
    world.run(20.0);
    assert!(!in_progress(&world, FSN) && accepts(&world, FSN));
    world.fabric.repair("operator.fsn", "api.fsn");
    let began = until(&mut world, "demotion", |world| in_progress(world, FSN));
    is_between("demotion", began, 0.0, 13.0);
}

#[test]
fn without_the_api_server_postgresql_goes_on_and_a_container_that_ends_does_not_come_up() {
    let mut world = World::start(1, Start::born());
    world.fabric.partition("pg.fsn", "api.fsn");
    world.patch(FSN, &fence(true));
    world.run(10.0);
    assert!(accepts(&world, FSN));
    world.patch(FSN, &fence(false));
    world.halves[FSN].instance.kill();
    world.run(20.0);
    assert!(!accepts(&world, FSN));
    world.fabric.repair("pg.fsn", "api.fsn");
    let took = until(&mut world, "writes", |world| accepts(world, FSN));
    is_between("writes", took, 0.0, 13.0);
}

#[test]
fn a_deleted_pod_ends_within_its_grace_and_its_successor_starts_fenced() {
    let mut world = World::start(1, Start::born());
    // Deaf after an un-fencing: the annotation alone would be carried out 22 s later.
    world.patch(FSN, &fence(true));
    world.run(3.0);
    world.patch(FSN, &fence(false));
    world.run(2.0);
    assert_eq!(world.ask("fsn", "DELETE", &format!("{POD}?gracePeriodSeconds=2"), &Value::Null).status, 200);
    world.patch(FSN, &fence(true));
    let stopped = until(&mut world, "the end of writes", |world| !accepts(world, FSN));
    is_between("the end of writes", stopped, 0.0, 0.6);
    until(&mut world, "the end of the pod", |world| !has_pod(world));
    until(&mut world, "a new pod", has_pod);
    world.run(10.0);
    assert!(!accepts(&world, FSN));
    // Not deaf: the container was started, and no fence lifted.
    world.patch(FSN, &fence(false));
    until(&mut world, "writes", |world| accepts(world, FSN));
}

#[test]
fn without_the_operator_no_pod_is_made() {
    let mut world = World::start(1, Start::born());
    world.fabric.crash("operator.fsn");
    world.ask("fsn", "DELETE", &format!("{POD}?gracePeriodSeconds=5"), &Value::Null);
    is_between("the end of writes", until(&mut world, "end", |world| !accepts(world, FSN)), 0.0, 0.6);
    world.run(30.0);
    assert!(!has_pod(&world));
    world.fabric.restart("operator.fsn");
    let made = until(&mut world, "a new pod", has_pod);
    is_between("a new pod", made, 15.0, 19.0);
    until(&mut world, "writes", |world| accepts(world, FSN));
    until(&mut world, "health", |world| status(world, FSN)["phase"] == "Cluster in healthy state");
    assert_eq!(status(&world, FSN)["readyInstances"], 1);
}

#[test]
fn a_smart_shutdown_hears_no_deletion_and_is_killed_at_the_end_of_the_grace() {
    let mut world = World::start(1, Start::born().session());
    world.run(1.0);
    world.hold_session("shop-hel");
    let token = world.demote(FSN);
    world.promote(HEL, &token);
    world.until(HEL, |cluster| cluster["status"]["phase"] == "Primary instance is being restarted in-place");
    world.run(1.0);
    let pod = "/api/v1/namespaces/shop/pods/shop-hel-1?gracePeriodSeconds=2";
    assert_eq!(world.ask("hel", "DELETE", pod, &Value::Null).status, 200);
    let took = until(&mut world, "the end", |world| {
        let snapshot = world.halves[HEL].instance.snapshot();
        snapshot.state == continuum_sim::servers::postgres::State::Stopped
    });
    is_between("the end", took, 1.8, 2.5);
}

#[test]
fn fence_and_demotion_in_one_patch_give_a_token_and_the_operator_lifts_the_fence() {
    let mut world = World::start(1, Start::switched_twice());
    world.patch(FSN, &one_patch());
    let stopped = until(&mut world, "the end of writes", |world| !accepts(world, FSN));
    is_between("the end of writes", stopped, 0.0, 1.5);
    let token = until(&mut world, "token", |world| status(world, FSN)["demotionToken"].is_string());
    is_between("token", token, 0.3, 8.0);
    until(&mut world, "the end of it", |world| !in_progress(world, FSN));
    assert_eq!(world.object(FSN)["metadata"]["annotations"]["cnpg.io/fencedInstances"], Value::Null);
    world.run(5.0);
    assert!(!accepts(&world, FSN) && world.halves[FSN].instance.snapshot().in_recovery);
}

/// The deadlock of 16c: the pod is deleted when the transition is completed and before the token.
fn deadlocked() -> World {
    let mut world = World::start(1, Start::born());
    world.patch(FSN, &one_patch());
    until(&mut world, "transition", |world| {
        let conditions = status(world, FSN)["conditions"].clone();
        conditions.as_array().unwrap().iter().any(|condition| condition["reason"] == "TransitionCompleted")
    });
    let pod = world.halves[FSN].store.get(&PODS, "shop", "shop-fsn-1").unwrap();
    world.halves[FSN].store.delete(&PODS, "shop", "shop-fsn-1", "test").unwrap();
    world.run(60.0);
    assert_eq!(pod["status"]["phase"], "Running");
    assert!(in_progress(&world, FSN) && !has_pod(&world));
    assert_eq!(status(&world, FSN)["demotionToken"], Value::Null);
    assert_eq!(status(&world, FSN)["phase"], "Cluster in healthy state");
    world
}

/// The conditions without these, or with this in place of one.
fn conditions(world: &World, away: &[&str], put: Option<Value>) -> Value {
    let present = status(world, FSN)["conditions"].as_array().cloned().unwrap_or_default();
    let kept = present.into_iter().filter(|condition| !away.contains(&condition["type"].as_str().unwrap()));
    json!({"status": {"conditions": kept.chain(put).collect::<Vec<_>>()}})
}

#[test]
fn a_pod_deleted_between_transition_and_token_is_never_made_again() {
    let mut world = deadlocked();
    // Way out A [16f]: asked for again.
    let requested = json!({"type": "ReplicaClusterDesignatedPrimaryTransition", "status": "False", "reason": "x",
        "message": "", "lastTransitionTime": "2026-11-28T01:00:00Z"});
    let again = conditions(&world, &["ReplicaClusterDesignatedPrimaryTransition"], Some(requested));
    assert_eq!(world.ask("fsn", "PATCH", &format!("{CLUSTER}/status"), &again).status, 200);
    until(&mut world, "token", |world| status(world, FSN)["demotionToken"].is_string());
    until(&mut world, "the end of it", |world| !in_progress(world, FSN));
    assert!(!accepts(&world, FSN));
}

#[test]
fn the_other_way_out_gives_a_fenced_standby_without_a_token() {
    let mut world = deadlocked();
    // Way out B [16e].
    let three = ["ReplicaClusterDesignatedPrimaryTransition", "ReplicaClusterFencing", "ReplicaClusterSwitch"];
    let mut away = conditions(&world, &three, None);
    away["status"]["switchReplicaClusterStatus"] = json!({"inProgress": null});
    assert_eq!(world.ask("fsn", "PATCH", &format!("{CLUSTER}/status"), &away).status, 200);
    until(&mut world, "a new pod", has_pod);
    world.run(10.0);
    assert!(!in_progress(&world, FSN) && !accepts(&world, FSN));
    world.patch(FSN, &fence(false));
    until(&mut world, "a standby", |world| world.halves[FSN].instance.snapshot().in_recovery);
    assert_eq!(status(&world, FSN)["demotionToken"], Value::Null);
}

#[test]
fn a_fence_lifted_in_mid_demotion_is_for_ever_until_it_is_put_on_again() {
    let mut world = World::start(1, Start::born());
    // Its operator is slow enough that somebody comes between.
    world.patch(FSN, &one_patch());
    until(&mut world, "in progress", |world| in_progress(world, FSN));
    world.fabric.pause("operator.fsn");
    until(&mut world, "files", |world| world.halves[FSN].instance.snapshot().standby_signal);
    let store = &world.halves[FSN].store;
    store.merge_patch(&continuum_sim::servers::kube_api::CLUSTERS, "shop", FSN, "", &fence(false), "us").unwrap();
    until(&mut world, "a standby", |world| world.halves[FSN].instance.snapshot().in_recovery);
    world.fabric.resume("operator.fsn");
    world.run(40.0);
    assert!(in_progress(&world, FSN) && !accepts(&world, FSN));
    let (code, message) = world.patch(FSN, &json!({"spec": {"replica": {"primary": FSN}}}));
    assert_eq!(code, 422, "{message}");
    // The way out [16k2].
    world.patch(FSN, &fence(true));
    let token = until(&mut world, "token", |world| status(world, FSN)["demotionToken"].is_string());
    is_between("token", token, 0.3, 3.0);
    until(&mut world, "the end of it", |world| !in_progress(world, FSN));
}

/// The whole region loses power and comes back. The operator's host `late` s after the others.
fn lose_power(world: &mut World) {
    for host in ["api.fsn", "operator.fsn", "pg.fsn"] {
        world.fabric.crash(host);
    }
    world.run(5.0);
    assert!(!accepts(world, FSN));
}

#[test]
fn a_region_that_returns_takes_writes_by_itself_without_operator_or_controller() {
    let mut world = World::start(1, Start::born());
    lose_power(&mut world);
    for host in ["api.fsn", "pg.fsn"] {
        world.fabric.restart(host);
    }
    let took = until(&mut world, "writes", |world| accepts(world, FSN));
    is_between("writes", took, 2.0, 10.0);
}

#[test]
fn one_patch_before_the_first_look_demotes_a_returning_half_behind_its_fence() {
    let mut world = World::start(1, Start::born());
    lose_power(&mut world);
    for host in ["api.fsn", "operator.fsn", "pg.fsn"] {
        world.fabric.restart(host);
    }
    until(&mut world, "the webhook", |world| world.patch(FSN, &one_patch()).0 == 200);
    for _ in 0..150 {
        world.run(0.2);
        assert!(!accepts(&world, FSN));
    }
    assert!(!in_progress(&world, FSN));
    world.patch(FSN, &fence(false));
    until(&mut world, "a standby", |world| world.halves[FSN].instance.snapshot().in_recovery);
    assert_eq!(status(&world, FSN)["demotionToken"], Value::Null);
}

#[test]
fn a_half_fenced_at_its_return_and_told_to_be_a_replica_later_is_stuck() {
    let mut world = World::start(1, Start::born());
    world.patch(FSN, &fence(true));
    world.halves[FSN].instance.kill();
    lose_power(&mut world);
    for host in ["api.fsn", "operator.fsn", "pg.fsn"] {
        world.fabric.restart(host);
    }
    world.run(25.0);
    assert!(!accepts(&world, FSN));
    world.patch(FSN, &json!({"spec": {"replica": {"primary": HEL}}}));
    world.run(60.0);
    assert!(in_progress(&world, FSN));
    assert_eq!(status(&world, FSN)["demotionToken"], Value::Null);
}

#[test]
fn another_target_primary_stops_postgresql_until_a_live_operator_takes_it_back() {
    let mut world = World::start(1, Start::born());
    world.fabric.crash("operator.fsn");
    let pending = json!({"status": {"targetPrimary": "pending"}});
    world.ask("fsn", "PATCH", &format!("{CLUSTER}/status"), &pending);
    is_between("the end of writes", until(&mut world, "end", |world| !accepts(world, FSN)), 0.0, 0.6);
    world.run(30.0);
    assert!(!accepts(&world, FSN));
    world.fabric.restart("operator.fsn");
    let back = until(&mut world, "writes", |world| accepts(world, FSN));
    is_between("writes", back, 15.0, 20.0);
}

#[test]
fn an_operator_that_is_told_to_leave_a_cluster_alone_is_deaf() {
    let mut world = World::start(1, Start::born());
    let disabled = |value: Value| json!({"metadata": {"annotations": {"cnpg.io/reconciliationLoop": value}}});
    world.patch(FSN, &disabled(json!("disabled")));
    world.patch(FSN, &json!({"spec": {"replica": {"primary": HEL}}}));
    world.run(20.0);
    assert!(accepts(&world, FSN) && !in_progress(&world, FSN));
    // The instance manager is not.
    world.patch(FSN, &fence(true));
    is_between("the end of writes", until(&mut world, "end", |world| !accepts(world, FSN)), 0.0, 0.6);
    world.patch(FSN, &disabled(Value::Null));
    until(&mut world, "token", |world| status(world, FSN)["demotionToken"].is_string());
}

#[test]
fn a_hibernated_half_has_no_pod() {
    let mut world = World::start(1, Start::born());
    let hibernation = |value: &str| json!({"metadata": {"annotations": {"cnpg.io/hibernation": value}}});
    world.patch(FSN, &hibernation("on"));
    until(&mut world, "no pod", |world| !has_pod(world));
    world.run(10.0);
    assert!(!accepts(&world, FSN) && !has_pod(&world));
    world.patch(FSN, &hibernation("off"));
    until(&mut world, "writes", |world| accepts(world, FSN));
}

#[test]
fn a_changed_secret_becomes_the_roles_password() {
    let mut world = World::start(1, Start::born());
    world.halves[FSN].instance.set_password("app", "old");
    let secret = |password: &str| {
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "shop-fsn-app", "namespace": "shop"},
               "data": {"username": "YXBw", "password": password}})
    };
    let secrets = &continuum_sim::servers::kube_api::SECRETS;
    world.halves[FSN].store.create(secrets, secret("b2xk"), "setup").unwrap();
    world.run(3.0);
    assert_eq!(world.halves[FSN].instance.password_of("app").as_deref(), Some("old"));
    let new = json!({"data": {"password": "bmV3"}});
    world.halves[FSN].store.merge_patch(secrets, "shop", "shop-fsn-app", "", &new, "somebody").unwrap();
    let took =
        until(&mut world, "password", |world| world.halves[FSN].instance.password_of("app").as_deref() == Some("new"));
    is_between("password", took, 0.0, 2.0);
}

#[test]
fn a_half_that_cannot_archive_says_so_in_its_condition() {
    let mut world = World::start(1, Start::born());
    world.halves[FSN].operator.adjust(|knobs| knobs.archiving_fails = true);
    until(&mut world, "condition", |world| {
        let conditions = status(world, FSN)["conditions"].clone();
        conditions
            .as_array()
            .unwrap()
            .iter()
            .any(|c| c["reason"] == "ContinuousArchivingFailing" && c["status"] == "False")
    });
}

#[test]
fn where_archive_mode_stays_no_restart_follows_a_promotion() {
    let mut world = World::start(1, Start::born());
    for half in world.halves.values() {
        half.operator.adjust(|knobs| knobs.archive_mode_stays = true);
    }
    let token = world.demote(FSN);
    world.promote(HEL, &token);
    world.until(HEL, |cluster| cluster["status"]["lastPromotionToken"].is_string());
    for _ in 0..100 {
        world.run(0.1);
        assert!(accepts(&world, HEL));
    }
    assert_eq!(status(&world, HEL)["phase"], "Cluster in healthy state");
}

#[test]
fn a_setting_raised_on_the_primary_alone_stops_the_others_replay_and_ends_its_promotion() {
    let mut world = World::start(1, Start::born());
    let raise = json!({"spec": {"postgresql": {"parameters": {"max_connections": "300"}}}});
    world.patch(FSN, &raise);
    until(&mut world, "replay", |world| world.halves[HEL].instance.snapshot().replay_paused);
    world.run(8.0);
    assert!(accepts(&world, FSN) && world.halves[HEL].instance.snapshot().streaming);
    world.patch(HEL, &json!({"spec": {"replica": {"primary": HEL}}}));
    world.run(30.0);
    assert!(!accepts(&world, HEL));
    world.patch(HEL, &raise);
    until(&mut world, "writes", |world| accepts(world, HEL));
}
