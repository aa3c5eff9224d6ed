//! What a controller says while nobody asks it anything: its events, once each, and its conditions.

use continuum_core::report::ExecuteResult;
use continuum_sim::faults::WorldFault;
use continuum_sim::servers::kube_api::{CLUSTERS, CONTINUUMS};
use continuum_sim::world::objects::{APPLICATION, NAMESPACE};
use continuum_sim::world::options::Lease;
use continuum_sim::world::{REGIONS, WorldOptions};
use continuum_tests::stage::{Stage, copy};
use serde_json::{Value, json};
use std::time::Duration;

fn options() -> WorldOptions {
    WorldOptions { lease: Lease::HeldBy("fsn".into()), client_count: 0, ..WorldOptions::default() }
}

/// Bodies of the events of a type.
fn events(stage: &Stage, kind: &str) -> Vec<Value> {
    let messages = stage.world.nats.messages();
    let of_kind = messages.iter().filter(|m| m.message.headers.get("audit-type").is_some_and(|k| k == kind));
    of_kind.map(|m| serde_json::from_str(&m.message.payload).expect("a body is JSON")).collect()
}

#[test]
fn a_resource_is_told_of_once_for_each_region_over_many_reconciles_and_a_restart() {
    Stage::play(options(), |stage| {
        stage.begin();
        stage.pass(Duration::from_secs(10));
        stage.world.hurt(&WorldFault::Crash("controller.fsn".into()));
        stage.pass(Duration::from_secs(1));
        stage.world.hurt(&WorldFault::Restart("controller.fsn".into()));
        stage.pass(Duration::from_secs(10));
        let created = events(stage, "continuum-cr-created");
        assert_eq!(created.len(), REGIONS.len(), "{created:?}");
        for event in &created {
            assert_eq!(event["reason"], "cr-observed");
            assert_eq!(event["message"], "primaryRegion=fsn, hotStandby=[hel]");
        }
    });
}

#[test]
fn after_the_streams_retention_a_restart_tells_nothing_again() {
    Stage::play(options(), |stage| {
        stage.begin();
        assert_eq!(stage.execute("fsn", "hel").unwrap().result, ExecuteResult::Succeeded);
        stage.pass(Duration::from_secs(60));
        stage.world.nats.expire();
        for host in REGIONS.map(|region| format!("controller.{region}")) {
            stage.world.hurt(&WorldFault::Crash(host.clone()));
            stage.pass(Duration::from_secs(1));
            stage.world.hurt(&WorldFault::Restart(host));
        }
        stage.pass(Duration::from_secs(30));
        let told = stage.world.nats.messages();
        assert!(told.is_empty(), "{:?}", told.iter().map(|m| m.message.message_id()).collect::<Vec<_>>());
    });
}

#[test]
fn a_large_shared_stream_keeps_no_switchover_from_anything() {
    Stage::play(options(), |stage| {
        stage.begin();
        // To read so many takes longer than a search in a step may.
        stage.world.nats.share(200_000);
        let there = stage.execute("fsn", "hel").unwrap();
        assert_eq!((there.result, there.events_owed), (ExecuteResult::Succeeded, 0));
        stage.pass(Duration::from_secs(5));
        let back = stage.execute("hel", "fsn").unwrap();
        assert_eq!((back.result, back.events_owed), (ExecuteResult::Succeeded, 0));
    });
}

#[test]
fn a_changed_configuration_is_told_of_once_with_both_fingerprints() {
    Stage::play(options(), |stage| {
        stage.begin();
        assert_eq!(events(stage, "continuum-config-changed"), Vec::<Value>::new(), "not at first observation");
        for region in REGIONS {
            let patch = json!({ "spec": { "rto": "90s" } });
            let patched = stage.world.store(region).merge_patch(&CONTINUUMS, NAMESPACE, APPLICATION, "", &patch, "a");
            patched.unwrap();
        }
        stage.until("the event", |world| {
            world.nats.messages().iter().any(|m| m.message.payload.contains("continuum-config-changed"))
        });
        stage.pass(Duration::from_secs(5));
        let changed = events(stage, "continuum-config-changed");
        assert_eq!(changed[0]["reason"], "config-drift");
        let message = changed[0]["message"].as_str().unwrap();
        let after = |key: &str| {
            let rest = message.split(key).nth(1).unwrap_or_else(|| panic!("{message} lacks {key}"));
            rest.chars().take_while(char::is_ascii_hexdigit).collect::<String>()
        };
        assert_eq!((after("prev=").len(), after("cur=").len()), (16, 16), "{message}");
        assert_ne!(after("prev="), after("cur="));
        // Drift that was told of is told of no more, in however many reconciles.
        stage.pass(Duration::from_secs(15));
        assert_eq!(events(stage, "continuum-config-changed"), changed);
    });
}

#[test]
fn an_order_that_was_refused_stays_in_the_status_with_its_cause_whatever_restarts() {
    Stage::play(options(), |stage| {
        stage.begin();
        stage.world.hurt(&WorldFault::Crash("pg.hel".into()));
        let asked = json!({ "spec": { "switchover": {
            "requested": true, "targetRegion": "hel", "requestedAt": "2026-11-20T10:00:00Z", "requestedBy": "jane",
        } } });
        let store = stage.world.store("fsn");
        store.merge_patch(&CONTINUUMS, NAMESPACE, APPLICATION, "", &asked, "a").unwrap();
        stage.until("the refusal", |world| copy(world, "fsn")["status"]["lastRefusal"].is_object());
        let refusal = copy(&stage.world, "fsn")["status"]["lastRefusal"].clone();
        assert_eq!((&refusal["to"], &refusal["requestedBy"]), (&json!("hel"), &json!("jane")));
        assert!(refusal["message"].as_str().unwrap().starts_with("step-"), "{refusal}");
        assert!(refusal["at"].is_string());
        stage.world.hurt(&WorldFault::Crash("controller.fsn".into()));
        stage.pass(Duration::from_secs(1));
        stage.world.hurt(&WorldFault::Restart("controller.fsn".into()));
        stage.pass(Duration::from_secs(20));
        assert_eq!(copy(&stage.world, "fsn")["status"]["lastRefusal"], refusal);
    });
}

#[test]
fn a_failback_whose_plan_is_not_the_confirmed_one_is_refused_also_where_it_is_asked_for_in_the_resource() {
    Stage::play(options(), |stage| {
        stage.begin();
        let asked = json!({ "spec": { "failback": {
            "requested": true, "requestedAt": "2026-11-20T10:00:00Z", "requestedBy": "jane",
            "confirmedFingerprint": "0123456789abcdef",
        } } });
        let store = stage.world.store("fsn");
        store.merge_patch(&CONTINUUMS, NAMESPACE, APPLICATION, "", &asked, "a").unwrap();
        stage.until("the refusal", |world| copy(world, "fsn")["status"]["lastRefusal"].is_object());
        let refusal = copy(&stage.world, "fsn")["status"]["lastRefusal"].clone();
        assert!(refusal["message"].as_str().unwrap().contains("0123456789abcdef was confirmed"), "{refusal}");
        stage.until("the request to be taken back", |world| {
            let failback = &copy(world, "fsn")["spec"]["failback"];
            failback["requested"] == false && failback["confirmedFingerprint"].is_null()
        });
    });
}

/// Condition `LastSwitchoverHealthy` of the new primary's copy, once it is there.
fn health_condition(stage: &mut Stage) -> Value {
    let condition = |copy: &Value| -> Option<Value> {
        let conditions = copy["status"]["conditions"].as_array()?;
        conditions.iter().find(|condition| condition["type"] == "LastSwitchoverHealthy").cloned()
    };
    stage.until("the health check", |world| condition(&copy(world, "hel")).is_some());
    condition(&copy(&stage.world, "hel")).expect("the controller wrote the condition")
}

#[test]
fn after_a_good_switchover_the_condition_is_true_with_a_summary() {
    Stage::play(options(), |stage| {
        stage.begin();
        assert_eq!(stage.execute("fsn", "hel").unwrap().result, ExecuteResult::Succeeded);
        let condition = health_condition(stage);
        assert_eq!((&condition["status"], &condition["reason"]), (&json!("True"), &json!("PostSwitchoverHealth")));
        assert_eq!(condition["message"], "healthy: 3 passed, 0 failed, 1 deferred (new primary=hel)");
    });
}

#[test]
fn after_a_switchover_whose_standby_died_the_condition_is_false_with_a_summary() {
    Stage::play(options(), |stage| {
        stage.begin();
        assert_eq!(stage.execute("fsn", "hel").unwrap().result, ExecuteResult::Succeeded);
        stage.world.hurt(&WorldFault::Crash("pg.fsn".into()));
        let condition = health_condition(stage);
        assert_eq!((&condition["status"], &condition["reason"]), (&json!("False"), &json!("PostSwitchoverHealth")));
        let message = condition["message"].as_str().unwrap();
        assert!(message.starts_with("UNHEALTHY: 2 passed, 1 failed, 1 deferred (new primary=hel)"), "{message}");
    });
}

/// When each half was first claimed under this generation, and by whom.
fn claimed(stage: &Stage, region: &str, generation: u64) -> Option<(Duration, String)> {
    let history = stage.world.store(region).history();
    let mut changes = history.iter().filter(|change| *change.resource == CLUSTERS);
    changes.find(|change| change.claim == Some(generation)).map(|change| (change.at, change.by.clone()))
}

#[test]
fn who_takes_a_free_record_claims_the_other_half_and_then_its_own() {
    Stage::play(WorldOptions { lease: Lease::Absent, client_count: 0, ..WorldOptions::default() }, |stage| {
        stage.begin();
        stage.pass(Duration::from_secs(20));
        let other = claimed(stage, "hel", 1).expect("the other half is claimed");
        let own = claimed(stage, "fsn", 1).expect("its own half is claimed");
        assert!(other.0 < own.0, "{other:?} {own:?}");
        assert!(other.1.contains("@controller.fsn") && own.1.contains("@controller.fsn"), "{other:?} {own:?}");
    });
}

#[test]
fn while_the_other_half_cannot_be_seen_its_own_is_left_alone() {
    Stage::play(WorldOptions { lease: Lease::Absent, client_count: 0, ..WorldOptions::default() }, |stage| {
        stage.world.hurt(&WorldFault::Partition("controller.fsn".into(), "pg.hel".into()));
        stage.pass(Duration::from_secs(40));
        assert!(claimed(stage, "hel", 1).is_some(), "the other half is claimed");
        assert_eq!(claimed(stage, "fsn", 1), None);
    });
}
