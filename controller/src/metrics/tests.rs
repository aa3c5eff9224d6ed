use super::*;
use jiff::Timestamp;
use std::time::Duration;

fn shop() -> (ObjectName, Option<Measures>, Blockers) {
    let last = LastMove {
        succeeded: true,
        at: Timestamp::from_millisecond(1_795_000_022_500).unwrap(),
        took: Some(Duration::from_millis(21_500)),
        write_gap: Some(Duration::from_millis(1_500)),
        loss_seconds: Some(0),
        steps: vec![("validate-lease", Duration::from_secs(2)), ("cordon-old-primary", Duration::from_millis(4_250))],
    };
    let measures = Measures {
        phase: Some("Healthy"),
        generation: Some(4),
        term_left: Some(Duration::from_secs(20)),
        term_guard: Some(Duration::from_secs(10)),
        lag_seconds: Some(0),
        last: Some(last),
        events_owed: Some(1),
        events_owed_since: Some(Timestamp::from_second(1_795_000_000).unwrap()),
        interference: Some(0),
    };
    (ObjectName::new("shop", "shop"), Some(measures), Blockers::from([("hel".to_owned(), 2)]))
}

fn watched() -> Watched {
    vec![("fsn".into(), "clusters", true), ("hel".into(), "clusters", false)]
}

#[test]
fn the_page_of_a_leader() {
    let counts = Counts::default();
    counts.panicked();
    counts.requested(Some(200), "api.fsn:6443", "GET");
    counts.requested(Some(200), "api.fsn:6443", "GET");
    counts.requested(None, "api.hel:6443", "PATCH");
    counts.spans_are_sent();
    counts.spans(Sent::Taken, 8);
    // One of which nothing is known yet, and one that another replica tells of.
    let unknown = (ObjectName::new("shop", "new"), Some(Measures::default()), Blockers::new());
    let elsewhere = (ObjectName::new("shop", "elsewhere"), None, Blockers::new());
    insta::assert_snapshot!(page(&counts, true, &watched(), &[shop(), unknown, elsewhere]));
}

#[test]
fn what_is_not_known_has_no_sample() {
    let unknown = (ObjectName::new("shop", "new"), Some(Measures::default()), Blockers::new());
    let text = page(&Counts::default(), false, &watched(), &[unknown]);
    assert!(!text.contains(r#"name="new""#), "{text}");
    assert!(!text.contains("continuum_spans"), "none are sent: {text}");
    assert!(text.contains("leader_election_master_status{name=\"continuum-controller.openova.io\"} 0"), "{text}");
}

#[test]
fn every_metric_is_in_the_documentation_and_no_other() {
    let text = include_str!("../../../docs/controller.md");
    let documented: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .filter(|name| is_metric(name))
        .collect();
    let counts = Counts::default();
    counts.requested(None, "api", "GET");
    counts.spans_are_sent();
    let page = page(&counts, true, &watched(), &[shop()]);
    let told: Vec<String> = page
        .lines()
        .filter_map(|line| {
            let (name, kind) = line.strip_prefix("# TYPE ")?.split_once(' ')?;
            Some(if kind == "counter" { format!("{name}_total") } else { name.to_owned() })
        })
        .collect();
    assert_eq!(documented, told);
}

fn is_metric(name: &str) -> bool {
    ["continuum_", "leader_election_", "controller_runtime_", "rest_client_"]
        .iter()
        .any(|start| name.starts_with(start))
}
