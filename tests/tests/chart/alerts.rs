//! Every alert is about metrics that there are, and has its section in the runbook; every condition's reason has its row.

use crate::{ci, read};
use continuum_tests::chart::{Helm, of_kind};
use std::collections::BTreeSet;

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
