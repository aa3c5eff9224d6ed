//! The scenario files of this repository.

use continuum_scenarios::format::{self, Moment, Step};
use std::path::Path;

#[test]
fn every_scenario_file_is_free_of_mistakes_and_says_what_it_shows() {
    let files = format::find(&[Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()]).unwrap();
    assert!(files.len() >= 25);
    for path in files {
        let scenario = format::load(&path).unwrap_or_else(|mistakes| panic!("{}", mistakes[0]));
        assert_eq!(scenario.metadata.name.as_str(), path.file_stem().unwrap(), "a scenario is named as its file");
        assert!(!scenario.metadata.description.is_empty(), "{}", path.display());
    }
}

#[test]
fn the_shortest_scenario_is_a_healthy_pair() {
    let text = "{apiVersion: continuum.openova.io/v1alpha1, kind: Scenario, metadata: {name: a}, \
                spec: {world: {}, steps: [execute: {to: hel}]}}";
    let scenario = format::parse("a.yaml", text).unwrap();
    assert_eq!(scenario.spec.world, format::World::default());
    assert_eq!(scenario.spec.seed, 1);
    assert!(matches!(&scenario.spec.steps[0].value, Step::Execute(execute) if execute.wait));
}

#[test]
fn every_kind_of_moment_is_read() {
    let text = r#"
apiVersion: continuum.openova.io/v1alpha1
kind: Scenario
metadata: { name: moments }
spec:
  steps:
    - crash: { host: nats }
    - crash: { host: nats, at: 90s, for: 500ms }
    - crash: { host: nats, before: { step: 5 } }
    - crash: { host: nats, after: { step: 5 } }
    - crash: { host: nats, on: { write: "clusters/shop-fsn", nth: 3 } }
    - crash: { host: nats, when: { generation: 7 } }
    - crash: { host: nats, when: converged }
    - execute: { to: hel }
"#;
    let scenario = format::parse("moments.yaml", text).unwrap();
    let moments: Vec<Moment> = scenario.spec.steps.iter().map(|step| step.timing().moment()).collect();
    let seconds = std::time::Duration::from_secs;
    assert_eq!(
        moments,
        [
            Moment::Now,
            Moment::At(seconds(90)),
            Moment::Before(5),
            Moment::After(5),
            Moment::Write { object: format::ObjectRef::of("clusters/shop-fsn"), nth: 3 },
            Moment::When(format::Condition::Generation(7)),
            Moment::When(format::Condition::Converged),
            Moment::Now,
        ]
    );
    assert_eq!(scenario.spec.steps[1].timing().duration(), Some(seconds(1) / 2));
}

#[test]
fn the_schema_offers_names_defaults_and_steps() {
    let schema = format::schema();
    assert_eq!(schema["$defs"]["RegionName"]["enum"], serde_json::json!(["fsn", "hel"]));
    assert_eq!(schema["$defs"]["World"]["properties"]["ttl"]["default"], "30s");
    let steps = schema["$defs"]["Step"]["oneOf"].as_array().unwrap();
    assert!(steps.iter().any(|step| step["required"] == serde_json::json!(["loseReply"])));
}
