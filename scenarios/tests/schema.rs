//! The JSON schema of a scenario says what `continuum lint` says, wherever a schema can: an editor that is content
//! with a file that is refused, or the other way round, is worse than none.

use continuum_scenarios::format;
use serde_json::Value;
use std::path::Path;

/// The schema, compiled once.
struct Schema {
    schemas: boon::Schemas,
    index: boon::SchemaIndex,
}

impl Schema {
    fn new() -> Self {
        let mut compiler = boon::Compiler::new();
        compiler.add_resource("scenario.json", format::schema()).expect("the schema is JSON");
        let mut schemas = boon::Schemas::new();
        let index = compiler.compile("scenario.json", &mut schemas).expect("the schema is a schema");
        Self { schemas, index }
    }

    /// What it says of a text, read as every reader of YAML 1.2 reads it.
    fn check(&self, text: &str) -> Result<(), String> {
        let options = serde_saphyr::options! { strict_booleans: true };
        let value: Value = serde_saphyr::from_str_with_options(text, options).expect("a text of this test is YAML");
        self.schemas.validate(&value, self.index).map_err(|error| error.to_string())
    }
}

fn scenario(spec: &str) -> String {
    format!(
        "apiVersion: continuum.openova.io/v1alpha1\nkind: Scenario\nmetadata: {{ name: odd }}\nspec: {{ {spec} }}\n"
    )
}

/// With the steps of a plain switchover.
fn world(world: &str) -> String {
    scenario(&format!("world: {{ {world} }}, steps: [execute: {{ to: hel }}]"))
}

fn steps(steps: &str) -> String {
    scenario(&format!("steps: [{steps}]"))
}

fn expect(expect: &str) -> String {
    scenario(&format!("steps: [execute: {{ to: hel }}], expect: {{ {expect} }}"))
}

/// Files that both refuse.
fn refused() -> Vec<String> {
    let mut files = Vec::new();
    let worlds = [
        "ttl: 4s",
        "ttl: 4999ms",
        "ttl: 601s",
        "ttl: 11m",
        "ttl: 1h",
        "ttl: 30",
        "ttl: 0030",
        "ttl: 30 s",
        "ttl: 5500ms",
        "ttl: null",
        "renew: 0s",
        "renew: 61s",
        "renew: 2m",
        "guard: 1500ms",
        "guard: -1s",
        "guard: 99999999h",
        "tick: 2s",
        "tick: 0ms",
        "tick: 1001ms",
        "tick: 1m",
        "driftPercent: 51",
        "driftPercent: -1",
        "driftPercent: 1.5",
        "driftPercent: '1'",
        "workload: { clients: 201 }",
        "workload: { clients: '4' }",
        "workload: { clients: -1 }",
        "workload: { clients: many }",
        "workload: { writesPerSecond: 0 }",
        "workload: { writesPerSecond: 1001 }",
        "workload: { clients: 0, heldSession: true }",
        "workload: []",
        "pair: yes",
        "pair: 'true'",
        "pair: 1",
        "pair: null",
        "audit: on",
        "autoFailover: No",
        "primary: hell",
        "primary: 1",
        "replication: Sync",
        "standby: diverged2",
        "route: no",
        "lease: { initial: heldBy }",
        "lease: { initial: { heldBy: hell } }",
        "lease: { initial: { thirdParty: 5 } }",
        "lease: { initial: { thirdParty: true } }",
        "lease: { initial: { heldBy: hel, free: true } }",
        "lease: { witness: moon }",
        "operator: { stuck: never }",
        "operator: { demotion: 8 }",
        "dns: { ttl: 30 }",
        "dns: { lua: yes }",
        "replicaton: sync",
        "drain: 10sec",
        "rto: 1001h",
        "healthDelay: 1.5s",
    ];
    files.extend(worlds.map(world));
    let lists = [
        "",
        "heal",
        "health",
        "explode: {}",
        "dryrun: { to: hel }",
        "execute: {}",
        "execute: { to: hel, drian: 3s }",
        "execute: { to: hel, wait: yes }",
        "execute: { to: hel, wait: 'false' }",
        "execute: { to: hel, reason: 5 }",
        "execute: { to: hel, by: true }",
        "execute: { to: hel, fingerprint: abc }",
        "execute: { to: hel, fingerprint: 1234567890123456 }",
        "{ execute: { to: hel }, heal: {} }",
        "assert: {}",
        "assert: { generation: '2' }",
        "assert: { generation: -1 }",
        "assert: { generation: 36893488147419103232 }",
        "assert: { eventsOwed: 0.5 }",
        "assert: { switchoverUnderWay: no }",
        "assert: { writable: hel }",
        "assert: { events: { continuum-switchover: '1' } }",
        "assert: { events: { switchover: 1 } }",
        "wait: { for: converged }",
        "wait: { for: primary, atMost: 5s }",
        "wait: { for: { lagBelow: 0s }, atMost: 5s }",
        "wait: { for: { generation: '2' }, atMost: 5s }",
        "wait: { for: { converged: {} , idle: {} }, atMost: 5s }",
        "wait: { for: { primary: hel, holder: hel }, atMost: 5s }",
        "wait: { for: converged, atMost: 5 }",
        "write: { to: hel, expect: perhaps }",
        "partition: { between: [dns, dns] }",
        "partition: { between: [dns, nats, pg.fsn] }",
        "partition: { between: [dns] }",
        "partition: { between: [dns, nats], for: 0s }",
        "partition: { between: [dns, nats], for: 0ms }",
        "partition: { between: [dns, nats], oneWay: 1 }",
        "delay: { between: [dns, nats], by: 0s }",
        "heal: { between: [dns, nats], host: dns }",
        "crash: { host: nats, at: 3s, when: converged }",
        "crash: { host: nats, at: soon }",
        "crash: { host: nats, when: { elapsed: 5 } }",
        "crash: { host: nats, on: { write: clusters/shop-fsn, nth: 0 } }",
        "crash: { host: nats, on: { write: clusters/shop-fsn, nth: '1' } }",
        "crash: { host: nats, before: { step: 8 } }, execute: { to: hel }",
        "crash: { host: nats, before: { step: '5' } }, execute: { to: hel }",
        "lag: { by: 0s }",
        "answer: { from: dns, status: 200 }",
        "answer: { from: dns, status: '503' }",
        "hang: { from: pg.fsn }",
        "hang: { from: dns, times: 1000001 }",
        "operator: { region: fsn }",
        "operator: { region: fsn, slow: {} }",
        "operator: { region: fsn, slow: { demotion: 0s } }",
        "operator: { region: fsn, stuck: demotion, slow: { promotion: 5s } }",
        "audit: { does: lie }",
        "dns: {}",
        "edit: { resource: continuums/shop }",
        "edit: { resource: pods/shop, patch: {} }",
        "edit: { resource: continuums/shop, patch: [] }",
    ];
    files.extend(lists.map(steps));
    let ends = [
        "writeGap: {}",
        "writeGap: { atMost: 30 }",
        "acknowledgedWritesLost: '0'",
        "acknowledgedWritesLost: -1",
        "checks: { one-writer: bad }",
        "checks: { one-wirter: ok }",
        "phase: healthy",
        "result: Succeeded",
        "holder: nobody",
        "generation: 1.5",
    ];
    files.extend(ends.map(expect));
    let specs = [
        "seed: '1', steps: [heal: {}]",
        "seed: 36893488147419103232, steps: [heal: {}]",
        "seed: -1, steps: [heal: {}]",
        "seed: 1.5, steps: [heal: {}]",
        "seed: true, steps: [heal: {}]",
        "seed: null, steps: [heal: {}]",
        "limit: 0s, steps: [heal: {}]",
        "limit: 10, steps: [heal: {}]",
        "limit: 1001h, steps: [heal: {}]",
        "seed: 1",
        "steps: heal",
        "steps: {}",
        "steps: null",
        "world: [], steps: [heal: {}]",
    ];
    files.extend(specs.map(scenario));
    let named = |name: &str| scenario("steps: [heal: {}]").replace("name: odd", name);
    files.extend(["name: My Scenario", "name: 5", "name: true", "name: ''", "name: -a", "name: a, size: 3"].map(named));
    files.extend(["description: no name", "name: a, description: 5"].map(named));
    files.push(scenario("steps: [heal: {}]").replace("v1alpha1", "v1"));
    files.push(scenario("steps: [heal: {}]").replace("kind: Scenario", "kind: Continuum"));
    files
}

/// Files that both take, odd as they look.
fn taken() -> Vec<String> {
    let mut files = Vec::new();
    let worlds = [
        "",
        "ttl: 1m",
        "ttl: 060s",
        "ttl: 30000ms",
        "ttl: '40s'",
        "ttl: 10m, renew: 1m",
        "guard: 0ms",
        "tick: 1s",
        "tick: 001ms",
        "driftPercent: 0x10",
        "driftPercent: 50",
        "workload: { clients: 200, writesPerSecond: 1000 }",
        "pair: TRUE",
        "lease: { initial: null }",
        "lease: { initial: { thirdParty: '5' } }",
        "lease: { initial: free }",
        "operator: { stuck: null }",
        "rto: 1000h",
        "workload: { clients: 0 }",
    ];
    files.extend(worlds.map(world));
    let lists = [
        "heal: {}",
        "health: {}",
        "execute: { to: hel, reason: yes }",
        "execute: { to: hel, reason: '5' }",
        "execute: { to: hel, fingerprint: '1234567890123456' }",
        "assert: { writable: [] }",
        "assert: { generation: 18446744073709551615 }",
        "partition: { between: [dns, nats], for: 1ms }",
        "crash: { host: nats, on: { write: clusters/shop-fsn } }",
        "crash: { host: nats, for: null }",
        "operator: { region: fsn, slow: { promotion: 1ms } }",
        "wait: { for: { lagBelow: 1ms }, atMost: 0s }",
        "edit: { resource: continuums/shop, patch: { a: [1, yes, null] } }",
    ];
    files.extend(lists.map(steps));
    files.extend(["writeGap: { atLeast: 1s, atMost: 1s }", "checks: {}", "result: null"].map(expect));
    files.push(scenario("seed: 18446744073709551615, steps: [heal: {}]"));
    files
}

/// Files that only lint refuses, and why no schema can: it compares places of a file that do not contain each other,
/// or numbers within texts.
fn beyond_a_schema() -> Vec<(String, &'static str)> {
    vec![
        (world("ttl: 20s, renew: 10s, guard: 8s"), "is too short"),
        (steps("restart: { host: nats }"), "was not crashed"),
        (steps("resume: { host: nats }"), "was not paused"),
        (steps("approve: {}"), "nothing asks for a failback"),
        (steps("crash: { host: nats, after: { step: 5 } }"), "no switchover comes to step 5"),
        (steps("crash: { host: nats, at: 1h }"), "a time past the end"),
        (steps("execute: { to: hel, fingerprint: dryRun }"), "no fingerprint"),
        (steps("answer: { from: dns, status: 503, write: clusters/shop-fsn }"), "is not in `dns`"),
        (scenario("world: { audit: false }, steps: [audit: { does: hang }]"), "nothing is asked of `nats`"),
        (expect("writeGap: { atLeast: 5s, atMost: 4s }"), "at least 5s and at most 4s"),
        (scenario("steps: [heal: {}], expect: { result: succeeded }"), "a switchover that nobody asks for"),
        (
            scenario("world: { workload: { clients: 0 } }, steps: [heal: {}], expect: { writeGap: { atMost: 1s } }"),
            "a gap in writes that nobody makes",
        ),
    ]
}

#[test]
fn the_schema_refuses_what_lint_refuses() {
    let schema = Schema::new();
    let files = refused();
    assert!(files.len() > 120);
    for text in files {
        assert!(format::parse("odd.yaml", &text).is_err(), "lint takes\n{text}");
        assert!(schema.check(&text).is_err(), "the schema takes\n{text}");
    }
}

#[test]
fn the_schema_takes_what_lint_takes() {
    let schema = Schema::new();
    for text in taken() {
        if let Err(mistakes) = format::parse("odd.yaml", &text) {
            panic!("{}", mistakes[0]);
        }
        schema.check(&text).unwrap_or_else(|error| panic!("{text}\n{error}"));
    }
}

#[test]
fn what_only_lint_refuses_compares_what_no_schema_can() {
    let schema = Schema::new();
    for (text, message) in beyond_a_schema() {
        let mistakes = format::parse("odd.yaml", &text).expect_err(&text);
        assert!(mistakes[0].message.contains(message), "{}", mistakes[0]);
        schema.check(&text).unwrap_or_else(|error| panic!("the schema sees it too: move it\n{text}\n{error}"));
    }
}

#[test]
fn the_schema_takes_every_scenario_of_the_repository() {
    let schema = Schema::new();
    for path in format::find(&[Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()]).expect("the folder is there") {
        let text = std::fs::read_to_string(&path).expect("a file of the repository");
        schema.check(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}
