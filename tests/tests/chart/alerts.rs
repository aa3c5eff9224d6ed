//! Every alert is about metrics that there are, fires when it should, and has its section in the runbook; every
//! condition's reason has its row.

use crate::{Folder, ci, read};
use continuum_tests::chart::{Helm, of_kind};
use continuum_tests::live;
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Command;

/// When each alert fires and when it does not.
const CASES: &str = "tests/tests/chart/alerts.yaml";
/// What a controller tells of `shop/shop`.
const PAGE: &str = "controller/src/metrics/snapshots/continuum_controller__metrics__tests__the_page_of_a_leader.snap";

/// The metrics of an expression: no functions, no labels, and nothing that stands in quotes.
pub fn metrics(expression: &str) -> BTreeSet<String> {
    let outside: String = expression.split('"').step_by(2).collect();
    let words = outside.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.matches('_').count() > 1 || word.starts_with("continuum_")).map(str::to_owned).collect()
}

#[test]
fn every_alert_is_about_metrics_that_there_are_and_leads_to_its_section() {
    let Some(helm) = Helm::find() else { return };
    let (metrics_table, runbook) = (read("docs/controller.md"), read("docs/runbook.md"));
    let url = "https://example.org/runbook.md";
    let set = ["--set", "prometheusRule.enabled=true", "--set", &format!("prometheusRule.runbookURL={url}")];
    let objects = helm.template(&ci("fsn"), &set).expect("good values");
    let alerts = of_kind(&objects, "PrometheusRule", None)[0]["spec"]["groups"][0]["rules"].clone();
    let alerts = alerts.as_array().expect("alerts");
    let mut names = Vec::new();
    for alert in alerts {
        let (name, expression) = (alert["alert"].as_str().expect("a name"), alert["expr"].as_str().expect("text"));
        let asked = metrics(expression);
        assert!(!asked.is_empty(), "{name}: {expression}");
        for metric in asked {
            assert!(metrics_table.contains(&format!("\n| `{metric}` |")), "{name}: there is no metric {metric}");
        }
        assert!(runbook.contains(&format!("\n### {name}\n")), "docs/runbook.md has no section {name}");
        assert_eq!(alert["annotations"]["runbook_url"], format!("{url}#{}", name.to_lowercase()));
        names.push(name);
    }
    for section in runbook.lines().filter_map(|line| line.strip_prefix("### ")) {
        assert!(names.contains(&section), "docs/runbook.md tells of an alert {section} that there is not");
    }
    // Without an election nobody leads, and all is well.
    let off = ["--set", "continuum.leaderElection.enabled=false,continuum.replicas=1,prometheusRule.enabled=true"];
    let objects = helm.template(&ci("fsn"), &off).expect("good values");
    let rules = of_kind(&objects, "PrometheusRule", None)[0].to_string();
    assert!(!rules.contains("leader_election") && rules.contains("ContinuumDegraded"));
}

/// The groups of rules of a region, as a file of rules has them.
fn groups(helm: &Helm) -> Value {
    let objects = helm.template(&ci("fsn"), &["--set", "prometheusRule.enabled=true"]).expect("good values");
    of_kind(&objects, "PrometheusRule", None)[0]["spec"].clone()
}

fn cases() -> Vec<Value> {
    let file: Value = serde_saphyr::from_str(&read(CASES)).expect("YAML");
    file["tests"].as_array().expect("cases").clone()
}

#[test]
fn each_alert_fires_when_it_should_and_only_then() {
    let Some(helm) = Helm::find() else { return };
    let Some(bin) = live::built("prometheus") else {
        live::skip("promtool", "run `tools/prometheus build`");
        return;
    };
    let folder = Folder::new("alerts");
    // JSON is YAML.
    for (name, text) in [("rules.yaml", groups(&helm).to_string()), ("alerts.yaml", read(CASES))] {
        std::fs::write(folder.0.join(name), text).expect("a file can be written");
    }
    let cases = folder.0.join("alerts.yaml");
    let tested = Command::new(bin.join("promtool")).args(["test", "rules"]).arg(cases).output().expect("it runs");
    let told = [tested.stdout, tested.stderr].concat();
    assert!(tested.status.success(), "{}", String::from_utf8_lossy(&told));
}

#[test]
fn each_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() {
    let Some(helm) = Helm::find() else { return };
    let rules = groups(&helm)["groups"][0]["rules"].clone();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let alerts: BTreeSet<String> = rules.as_array().expect("rules").iter().map(|alert| text(&alert["alert"])).collect();
    let (mut firing, mut silent) = (BTreeSet::new(), BTreeSet::new());
    for of_case in cases().iter().filter_map(|case| case["alert_rule_test"].as_array()).flatten() {
        let fires = of_case["exp_alerts"].as_array().is_some_and(|alerts| !alerts.is_empty());
        if fires { &mut firing } else { &mut silent }.insert(text(&of_case["alertname"]));
    }
    // An alert that is named wrongly never fires, and promtool would not mind.
    assert_eq!((&firing, &silent), (&alerts, &alerts));
}

/// A metric with its labels, but for those that Prometheus adds as it scrapes.
fn series(line: &str) -> (String, BTreeSet<String>) {
    let (name, rest) = line.split_once('{').unwrap_or((line, ""));
    let labels = rest.split('}').next().unwrap_or_default().split(',');
    let added = |label: &&str| label.starts_with("pod=") || *label == r#"namespace="catalyst-controllers""#;
    (name.to_owned(), labels.filter(|label| !added(label)).map(str::to_owned).collect())
}

#[test]
fn the_cases_are_of_series_that_a_controller_tells() {
    let page = read(PAGE);
    let told: BTreeSet<_> = page.lines().filter(|line| line.contains('{')).map(series).collect();
    let cases = cases();
    let given = cases.iter().filter_map(|case| case["input_series"].as_array()).flatten();
    let given: Vec<&str> = given.map(|one| one["series"].as_str().expect("a series")).collect();
    assert!(given.len() > 20, "{given:?}");
    for one in given.into_iter().filter(|one| !one.contains("job=")) {
        assert!(told.contains(&series(one)), "no controller tells {one}");
    }
}

#[test]
fn every_reason_of_a_condition_has_its_row_in_the_runbook() {
    let (source, runbook) = (read("core/src/status.rs"), read("docs/runbook.md"));
    let (_, decided) = source.split_once("\nfn phase(").expect("the function that decides the phase");
    // Reasons stand as the second of a tuple, after a status or a phase.
    let quoted: Vec<&str> = decided.split('"').skip(1).step_by(2).collect();
    let is_status = |word: &str| ["True", "False", "Unknown"].contains(&word);
    let reasons: BTreeSet<&str> = quoted
        .windows(2)
        .filter(|pair| is_status(pair[0]) && !is_status(pair[1]))
        .map(|pair| pair[1])
        .filter(|word| word.chars().all(|c| c.is_ascii_alphabetic()))
        .collect();
    assert!(reasons.len() > 10, "{reasons:?}");
    for reason in reasons {
        assert!(runbook.contains(&format!("| `{reason}` |")), "docs/runbook.md has no row for {reason}");
    }
}
