//! What no recording shows whole: rules read in the operator's source or measured beside the recordings, and faults.

use super::world::{Start, World};
use continuum_sim::fabric::Fabric;
use continuum_sim::servers::kube_api::SECRETS;
use continuum_sim::servers::operator::{Knobs, Stuck, Token};
use continuum_sim::servers::postgres::State;
use serde_json::{Value, json};
use std::time::Duration;

const FSN: &str = "shop-fsn";
const HEL: &str = "shop-hel";

fn demotion() -> Value {
    json!({"spec": {"replica": {"primary": HEL, "promotionToken": null}}})
}

fn fence(fenced: bool) -> Value {
    let value = if fenced { json!("[\"*\"]") } else { Value::Null };
    json!({"metadata": {"annotations": {"cnpg.io/fencedInstances": value}}})
}

fn in_progress(world: &World, half: &str) -> bool {
    world.object(half)["status"]["switchReplicaClusterStatus"]["inProgress"] == true
}

fn accepts(world: &World, half: &str) -> bool {
    world.halves[half].instance.accepts_writes()
}

fn set_knobs(world: &World, half: &str, knobs: Knobs) {
    world.halves[half].operator.set_knobs(knobs);
}

#[test]
fn a_fence_stops_writes_within_half_a_second_and_lifting_it_brings_them_back() {
    let mut world = World::start(1, Start::born());
    world.patch(FSN, &fence(true));
    world.run(0.5);
    assert!(!accepts(&world, FSN));
    world.run(5.0);
    assert_eq!(world.object(FSN)["status"]["readyInstances"], Value::Null);
    world.patch(FSN, &fence(false));
    world.run(3.0);
    assert!(accepts(&world, FSN));
    assert_eq!(world.object(FSN)["status"]["readyInstances"], 1);
}

/// How long after the end of a demotion its half takes writes again, where it is told so `later`, s.
fn undone(later: f64, with_token: bool) -> f64 {
    let mut world = World::start(1, Start::born());
    let token = world.demote(FSN);
    let ended = world.fabric.now();
    world.run(later);
    let token = if with_token { json!(token) } else { Value::Null };
    world.patch(FSN, &json!({"spec": {"replica": {"primary": FSN, "promotionToken": token}}}));
    while !accepts(&world, FSN) {
        world.run(0.1);
    }
    (world.fabric.now() - ended).as_secs_f64()
}

#[test]
fn an_undo_comes_true_when_the_instance_manager_hears_again() {
    for (later, with_token) in [(1.0, true), (1.0, false), (8.0, true), (8.0, false)] {
        let took = undone(later, with_token);
        assert!((24.5..27.0).contains(&took), "{later} {with_token}: {took}");
    }
    let took = undone(40.0, true);
    assert!((40.5..42.0).contains(&took), "{took}");
}

#[test]
fn a_fence_soon_after_an_unfencing_is_carried_out_when_the_instance_manager_hears_again() {
    let mut world = World::start(1, Start::born());
    world.patch(FSN, &fence(true));
    world.run(3.0);
    world.patch(FSN, &fence(false));
    world.run(2.0);
    assert!(accepts(&world, FSN));
    world.patch(FSN, &fence(true));
    world.run(21.0);
    assert!(accepts(&world, FSN));
    world.run(3.0);
    assert!(!accepts(&world, FSN));
}

#[test]
fn a_shutdown_past_switchover_delay_ends_unclean_and_the_demotion_stays() {
    let mut world = World::start(1, Start::born());
    world.halves[FSN].instance.set_shutdown_extra(Duration::from_secs(60));
    world.patch(FSN, &demotion());
    world.run(40.0);
    let status = &world.object(FSN)["status"];
    assert!(in_progress(&world, FSN));
    assert_eq!(status["demotionToken"], Value::Null);
    assert_eq!(world.halves[FSN].instance.snapshot().state, State::Stopped);
    let (code, message) = world.patch(FSN, &json!({"spec": {"replica": {"primary": FSN}}}));
    assert_eq!(code, 422, "{message}");
}

#[test]
fn a_wrong_token_parks_the_half_until_the_right_one_comes() {
    let mut world = World::start(1, Start::born());
    let right = world.demote(FSN);
    let wrong = Token { database_system_identifier: "1".into(), ..Token::decode(&right).unwrap() }.encode();
    world.promote(HEL, &wrong);
    world.run(3.0);
    let phase = world.object(HEL)["status"]["phase"].clone();
    assert_eq!(phase, "Cluster is in an unrecoverable state, needs manual intervention");
    assert!(!accepts(&world, HEL));
    world.promote(HEL, &right);
    world.run(1.5);
    assert!(accepts(&world, HEL));
    world.settle(HEL);
    assert_eq!(world.object(HEL)["status"]["lastPromotionToken"], right);
}

#[test]
fn a_killed_primary_comes_back_as_one() {
    let mut world = World::start(1, Start::born());
    world.halves[FSN].instance.kill();
    world.run(1.0);
    assert!(!accepts(&world, FSN));
    world.run(4.0);
    assert!(accepts(&world, FSN));
}

#[test]
fn a_primary_killed_in_a_demotion_never_ends_it() {
    let mut world = World::start(1, Start::born());
    world.patch(FSN, &demotion());
    world.until(FSN, |cluster| cluster["status"]["switchReplicaClusterStatus"]["inProgress"] == true);
    world.halves[FSN].instance.kill();
    world.run(30.0);
    assert!(in_progress(&world, FSN));
    assert_eq!(world.object(FSN)["status"]["demotionToken"], Value::Null);
}

#[test]
fn a_region_that_lost_power_starts_again_as_what_it_was() {
    let mut world = World::start(1, Start::born());
    for host in ["pg.fsn", "operator.fsn"] {
        world.fabric.crash(host);
    }
    world.run(5.0);
    for host in ["pg.fsn", "operator.fsn"] {
        world.fabric.restart(host);
    }
    world.run(8.0);
    assert!(accepts(&world, FSN));
}

#[test]
fn an_operator_that_was_down_goes_on_with_a_demotion_once_it_leads() {
    let mut world = World::start(1, Start::born());
    world.patch(FSN, &demotion());
    world.until(FSN, |cluster| cluster["status"]["switchReplicaClusterStatus"]["inProgress"] == true);
    world.fabric.crash("operator.fsn");
    world.run(5.0);
    assert!(in_progress(&world, FSN));
    world.fabric.restart("operator.fsn");
    world.run(15.0);
    assert!(in_progress(&world, FSN));
    world.run(4.0);
    assert!(!in_progress(&world, FSN));
    assert!(world.object(FSN)["status"]["demotionToken"].is_string());
}

#[test]
fn the_first_promotion_makes_a_secret_and_locks_the_old_password_out() {
    let mut world = World::start(1, Start::born());
    world.halves[FSN].instance.set_password("app", "old");
    let token = world.demote(FSN);
    world.promote(HEL, &token);
    world.settle(HEL);
    let secret = world.halves[HEL].store.get(&SECRETS, "shop", "shop-hel-app").unwrap();
    assert_eq!(world.halves[HEL].instance.password_of("app"), Some(decoded(&secret["data"]["password"])));
    assert_ne!(world.halves[HEL].instance.password_of("app").as_deref(), Some("old"));
}

#[test]
fn a_secret_of_the_same_content_made_beforehand_keeps_the_password() {
    let mut world = World::start(1, Start::born());
    world.halves[FSN].instance.set_password("app", "old");
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "shop-hel-app", "namespace": "shop"},
        "data": {"username": "YXBw", "password": "b2xk"},
    });
    world.halves[HEL].store.create(&SECRETS, secret, "setup").unwrap();
    let token = world.demote(FSN);
    world.promote(HEL, &token);
    world.settle(HEL);
    assert_eq!(world.halves[HEL].instance.password_of("app").as_deref(), Some("old"));
}

fn decoded(value: &Value) -> String {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::STANDARD.decode(value.as_str().unwrap()).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_stuck_demotion_stays_in_progress_and_a_stuck_promotion_never_writes() {
    let mut world = World::start(1, Start::born());
    set_knobs(&world, HEL, Knobs { stuck: [Stuck::AtPromotion].into(), ..Knobs::default() });
    let token = world.demote(FSN);
    world.promote(HEL, &token);
    world.run(30.0);
    assert!(!accepts(&world, HEL));
    assert_eq!(world.object(HEL)["status"]["phase"], "Promoting to primary cluster");
    set_knobs(&world, HEL, Knobs::default());
    world.settle(HEL);
    set_knobs(&world, HEL, Knobs { stuck: [Stuck::AtDemotion].into(), ..Knobs::default() });
    world.patch(HEL, &json!({"spec": {"replica": {"primary": FSN, "promotionToken": null}}}));
    world.run(30.0);
    assert!(in_progress(&world, HEL));
}

#[test]
fn a_dropped_token_leaves_a_replica_that_looks_demoted() {
    let mut world = World::start(1, Start::born());
    set_knobs(&world, FSN, Knobs { drop_token: true, ..Knobs::default() });
    world.patch(FSN, &demotion());
    world.run(6.0);
    assert!(!in_progress(&world, FSN));
    assert_eq!(world.object(FSN)["status"]["demotionToken"], Value::Null);
    assert!(world.halves[FSN].instance.snapshot().in_recovery);
}

#[test]
fn a_slow_operator_takes_longer() {
    let mut world = World::start(1, Start::born());
    set_knobs(&world, FSN, Knobs { slow_percent: 500, ..Knobs::default() });
    let asked = world.fabric.now();
    world.demote(FSN);
    assert!(world.fabric.now() - asked > Duration::from_secs(3));
}

#[test]
fn a_half_that_was_demoted_follows_the_new_primary() {
    let mut world = World::start(1, Start::born());
    let token = world.demote(FSN);
    world.promote(HEL, &token);
    world.settle(HEL);
    world.run(10.0);
    let (fsn, hel) = (world.halves[FSN].instance.snapshot(), world.halves[HEL].instance.snapshot());
    assert!(fsn.streaming);
    assert_eq!((fsn.timeline, fsn.end), (hel.timeline, hel.end));
}
