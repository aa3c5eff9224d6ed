//! A dry run and an execution agree: what the dry run has no blocker for executes, what it blocks is refused
//! for the same reason and before any change. And a dry run changes nothing at all.

use continuum_core::report::ExecuteResult;
use continuum_sim::faults::{AuditFault, WorldFault};
use continuum_sim::ground::{differences, whole_world};
use continuum_sim::servers::kube_api::{CLUSTERS, CONTINUUMS, Resource};
use continuum_sim::world::objects::{APPLICATION, NAMESPACE};
use continuum_sim::world::options::{Lease, Publisher, Route, Standby, Witness};
use continuum_sim::world::{REGIONS, WorldOptions, controller_host};
use continuum_tests::stage::{Stage, copy, other};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// A world: how it starts, and what is done to it once the controllers have looked at it.
struct Case {
    name: &'static str,
    options: fn(&mut WorldOptions),
    prepare: fn(&mut Stage),
}

const fn case(name: &'static str, options: fn(&mut WorldOptions)) -> Case {
    Case { name, options, prepare: |_| {} }
}

const fn prepared(name: &'static str, prepare: fn(&mut Stage)) -> Case {
    Case { name, options: |_| {}, prepare }
}

fn edit(stage: &Stage, region: &str, resource: &'static Resource, name: &str, patch: Value) {
    let patched = stage.world.store(region).merge_patch(resource, NAMESPACE, name, "", &patch, "person");
    patched.unwrap_or_else(|refusal| panic!("{refusal:?}"));
}

fn edit_copies(stage: &mut Stage, spec: Value) {
    for region in ["fsn", "hel"] {
        edit(stage, region, &CONTINUUMS, APPLICATION, json!({ "spec": spec }));
    }
    stage.pass(Duration::from_secs(2));
}

/// Worlds with a blocker, one or more for each kind that a world can show.
const BLOCKED: &[Case] = &[
    case("no witness", |o| o.witness = Witness::None),
    case("a third party's lease", |o| o.lease = Lease::ThirdParty("backup-tool".into())),
    case("no pair", |o| {
        o.pair = false;
        o.client_count = 0;
    }),
    case("a diverged half", |o| o.standby = Standby::Diverged),
    case("replay paused", |o| {
        o.standby = Standby::ReplayPaused;
        o.client_count = 0;
    }),
    case("role secrets differ", |o| o.secrets_agree = false),
    case("an unmatched route", |o| o.route = Route::Unmatched),
    case("no address of the standby", |o| o.addresses = false),
    case("no publisher", |o| o.publisher = Publisher::None),
    case("an unknown selector", |o| o.selector = "pickfirst".into()),
    case("no audit stream", |o| o.audit = false),
    case("a smart shutdown longer than the objective", |o| o.smart_shutdown_timeout_seconds = 180),
    case("a demotion longer than the guard", |o| o.switchover_delay_seconds = 3600),
    case("an objective too short for the demotion", |o| o.rto_seconds = 15),
    prepared("lag", |stage| {
        stage.world.hurt(&WorldFault::Lag(Duration::from_secs(20)));
        stage.pass(Duration::from_secs(12));
    }),
    prepared("the witness unreachable", |stage| {
        stage.world.hurt(&WorldFault::Partition("controller.fsn".into(), "api.witness".into()));
    }),
    prepared("the other API server unreachable", |stage| {
        stage.world.hurt(&WorldFault::Partition("controller.fsn".into(), "api.hel".into()));
    }),
    prepared("the other controller dead", |stage| {
        stage.world.hurt(&WorldFault::Crash("controller.hel".into()));
        stage.pass(Duration::from_secs(40));
    }),
    prepared("the standby's PostgreSQL dead", |stage| {
        stage.world.hurt(&WorldFault::Crash("pg.hel".into()));
        stage.pass(Duration::from_secs(2));
    }),
    prepared("the audit stream refuses", |stage| {
        stage.world.hurt(&WorldFault::Partition("controller.fsn".into(), "nats".into()));
        stage.world.hurt(&WorldFault::Audit(AuditFault::Refuse));
    }),
    prepared("the DNS server unreachable", |stage| {
        stage.world.hurt(&WorldFault::Partition("controller.fsn".into(), "dns".into()));
    }),
    Case {
        name: "the manager of zones unreachable",
        options: |o| o.publisher = Publisher::Pdm,
        prepare: |stage| stage.world.hurt(&WorldFault::Partition("controller.fsn".into(), "pdm".into())),
    },
    prepared("the copies differ", |stage| {
        edit(stage, "hel", &CONTINUUMS, APPLICATION, json!({ "spec": { "rto": "90s" } }));
        stage.pass(Duration::from_secs(2));
    }),
    prepared("a lease kind that is not built", |stage| {
        // It does not change while the resource stands.
        for region in ["fsn", "hel"] {
            let store = stage.world.store(region);
            let copy = store.get(&CONTINUUMS, NAMESPACE, APPLICATION).expect("there is a copy");
            let mut spec = copy["spec"].clone();
            spec["leaseClient"]["kind"] = json!("dns-quorum");
            store.delete(&CONTINUUMS, NAMESPACE, APPLICATION, "person").expect("it is there");
            let metadata = json!({ "namespace": NAMESPACE, "name": APPLICATION });
            let anew =
                json!({ "apiVersion": copy["apiVersion"], "kind": copy["kind"], "metadata": metadata, "spec": spec });
            store.create(&CONTINUUMS, anew, "person").expect("a good copy");
        }
        stage.pass(Duration::from_secs(2));
    }),
    prepared("a delayed replica", |stage| {
        edit(stage, "hel", &CLUSTERS, "shop-hel", json!({ "spec": { "replica": { "minApplyDelay": "1h" } } }));
    }),
    prepared("a fenced standby", |stage| {
        let fence = json!({ "metadata": { "annotations": { "cnpg.io/fencedInstances": "[\"*\"]" } } });
        edit(stage, "hel", &CLUSTERS, "shop-hel", fence);
        stage.pass(Duration::from_secs(2));
    }),
    prepared("no HTTPRoute where one is named", |stage| {
        edit_copies(stage, json!({ "httpRoute": { "name": "gone" } }));
    }),
];

/// Worlds that are well, each in its own way.
const CLEAR: &[Case] = &[
    case("as it is by default", |_| {}),
    case("a synchronous pair", |o| o.synchronous = true),
    case("no route", |o| o.route = Route::None),
    case("a free lease", |o| o.lease = Lease::Free),
    case("no lease yet", |o| o.lease = Lease::Absent),
    case("no vantages", |o| o.vantages = false),
    case("a witness in a region", |o| o.witness = Witness::Region(0)),
    case("the selector pickclosest", |o| o.selector = "pickclosest".into()),
    case("a smart shutdown with a warning", |o| o.smart_shutdown_timeout_seconds = 8),
    case("no clients", |o| o.client_count = 0),
];

fn options(case: &Case, seed: u64) -> WorldOptions {
    let mut options = WorldOptions { seed, lease: Lease::HeldBy("fsn".into()), ..WorldOptions::default() };
    (case.options)(&mut options);
    options
}

/// What a switchover changes: everything but status, audit events, and the keepers' renewals.
fn what_a_switchover_changes(stage: &Stage) -> BTreeMap<String, Value> {
    let mut parts = BTreeMap::new();
    for (region, half) in &stage.world.sources().halves {
        for change in latest(half.store.history()) {
            let mut object = (*change.object).clone();
            if let Some(fields) = object.as_object_mut() {
                fields.remove("status");
                fields.get_mut("metadata").and_then(Value::as_object_mut).map(|m| m.remove("resourceVersion"));
            }
            parts.insert(format!("{} {} in {region}", change.resource.kind, change.name), object);
        }
        parts.insert(format!("PostgreSQL in {region}"), json!(half.instance.accepts_writes()));
    }
    let record = stage.record();
    let kept = record.map(|r| json!([r.holder, r.generation, r.intent, r.sequence, r.pending, r.lineage]));
    parts.insert("record".into(), json!(kept));
    parts.insert("zone".into(), json!(format!("{:?}", stage.world.dns.record_sets())));
    parts
}

/// The last change of each object, leases of keepers left out.
fn latest(history: Vec<continuum_sim::servers::kube_api::Change>) -> Vec<continuum_sim::servers::kube_api::Change> {
    let mut last = BTreeMap::new();
    for change in history.into_iter().filter(|change| change.resource.kind != "Lease") {
        last.insert((change.resource.kind, change.namespace.clone(), change.name.clone()), change);
    }
    last.into_values().collect()
}

/// A text without what differs from moment to moment.
fn without_numbers(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_digit() && *c != '.').collect()
}

/// The step and the text of `step-5: lease held by ...`.
fn parts_of(blocker: &str) -> (u8, String) {
    let (step, text) = blocker.split_once(": ").expect("a blocker names its step");
    let number: u8 = step.trim_start_matches("step-").parse().expect("a blocker names its step");
    (number, text.to_owned())
}

#[test]
fn execute_refuses_what_a_dry_run_blocks_for_the_same_reason_and_before_any_change() {
    for (case, seed) in BLOCKED.iter().zip(100..) {
        let (name, prepare) = (case.name, case.prepare);
        Stage::play(options(case, seed), move |stage| {
            stage.begin();
            prepare(stage);
            let dry = stage.dry_run("fsn", "hel").unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(!dry.blockers.is_empty(), "{name}: no blocker, warnings {:?}", dry.warnings);
            let before = what_a_switchover_changes(stage);
            let report = stage.execute("fsn", "hel").unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(report.result, ExecuteResult::Refused, "{name}: {report:?}");
            let (step, text) = parts_of(&dry.blockers[0]);
            let error = report.error.unwrap_or_default();
            assert_eq!(report.failed_at_step, step, "{name}: {error}, but {:?}", dry.blockers);
            let (said, blocked) = (without_numbers(&error), without_numbers(&text));
            assert!(said.ends_with(&blocked), "{name}: refused with {error}, blocked by {text}");
            assert_eq!((&report.id[..], report.completed_steps), ("", Vec::new()), "{name}");
            stage.pass(Duration::from_secs(3));
            assert_eq!(before, what_a_switchover_changes(stage), "{name}");
        });
    }
}

#[test]
fn execute_succeeds_where_a_dry_run_has_no_blocker_and_nothing_fails() {
    for (case, seed) in CLEAR.iter().zip(200..) {
        let (name, prepare) = (case.name, case.prepare);
        Stage::play(options(case, seed), move |stage| {
            stage.begin();
            prepare(stage);
            stage.until("both controllers' beats", |world| {
                REGIONS.iter().all(|region| copy(world, region)["status"]["seen"].is_object())
            });
            stage.pass(Duration::from_secs(2));
            let dry = stage.dry_run("fsn", "hel").unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(dry.blockers, Vec::<String>::new(), "{name}");
            let report = stage.execute("fsn", "hel").unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(report.result, ExecuteResult::Succeeded, "{name}: {report:?}");
            assert_eq!(report.plan_fingerprint, dry.plan_fingerprint, "{name}");
        });
    }
}

#[test]
fn a_dry_run_changes_nothing_in_a_world_that_is_held_still() {
    for region in ["fsn", "hel"] {
        let options = WorldOptions { lease: Lease::HeldBy("fsn".into()), ..WorldOptions::default() };
        Stage::play(options, move |stage| {
            stage.begin();
            stage.hold_still(region);
            wait_for_a_quiet_second(stage);
            let before = whole_world(&stage.world.sources());
            let dry = stage.dry_run(region, "hel").unwrap();
            let after = whole_world(&stage.world.sources());
            assert_eq!(dry.steps.len(), 7);
            assert_eq!(differences(&before, &after), Vec::<String>::new(), "asked in {region}");
            assert_eq!(stage.world.board.dry_run_changes().len(), 0);
            // The comparison sees what it should: once the controllers' own life goes on, it shows.
            stage.world.fabric.resume(&controller_host(other(region)));
            stage.pass(Duration::from_secs(15));
            assert_ne!(differences(&before, &whole_world(&stage.world.sources())), Vec::<String>::new());
        });
    }
}

/// The controller that is asked lives, and writes its status and its renewals: right after that comes a while in
/// which it has nothing to write.
fn wait_for_a_quiet_second(stage: &mut Stage) {
    let versions = |stage: &Stage| -> Vec<u64> { stage.world.stores.values().map(|store| store.version()).collect() };
    let first = versions(stage);
    while versions(stage) == first {
        stage.pass(Duration::from_millis(10));
    }
    let mut last = versions(stage);
    loop {
        stage.pass(Duration::from_millis(1500));
        let now = versions(stage);
        if now == last {
            return;
        }
        last = now;
    }
}
