//! The dashboard shows every metric that there is and no other, and Prometheus takes every expression of it and of the
//! alerts.

use crate::alerts::metrics;
use crate::{Folder, ci, read};
use continuum_tests::chart::{Helm, of_kind};
use continuum_tests::live;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::Command;

const SET: [&str; 4] = ["--set", "dashboard.enabled=true", "--set", "prometheusRule.enabled=true"];

fn objects(helm: &Helm) -> Vec<Value> {
    helm.template(&ci("fsn"), &SET).expect("good values")
}

fn panels(objects: &[Value]) -> Vec<Value> {
    let map = of_kind(objects, "ConfigMap", None)[0];
    assert_eq!(map["metadata"]["labels"]["grafana_dashboard"], "1");
    let text = map["data"]["continuum.json"].as_str().expect("text");
    let dashboard: Value = serde_json::from_str(text).expect("JSON");
    dashboard["panels"].as_array().expect("panels").clone()
}

/// With a time where Grafana puts one.
fn expressions(panels: &[Value]) -> Vec<String> {
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    targets.map(|target| target["expr"].as_str().expect("text").replace("$__rate_interval", "5m")).collect()
}

#[test]
fn every_metric_is_shown_and_none_that_is_not_there() {
    let Some(helm) = Helm::find() else { return };
    let document = read("docs/controller.md");
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let known: BTreeSet<String> = rows.map(|(name, _)| name.to_owned()).filter(|name| name.contains('_')).collect();
    let told: BTreeSet<String> = known.into_iter().filter(|name| *name == name.to_lowercase()).collect();
    let shown: BTreeSet<String> = expressions(&panels(&objects(&helm))).iter().flat_map(|one| metrics(one)).collect();
    assert_eq!(shown, told);
}

#[test]
fn no_panel_lies_on_another() {
    let Some(helm) = Helm::find() else { return };
    let mut taken = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in panels(&objects(&helm)) {
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().expect("a number"));
        assert!(x + w <= 24 && ids.insert(panel["id"].to_string()), "{panel:#}");
        for at in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(taken.insert(at), "{panel:#}");
        }
    }
}

#[test]
fn prometheus_takes_every_expression_of_it_and_of_the_alerts() {
    let Some(helm) = Helm::find() else { return };
    let Some(bin) = live::built("prometheus") else {
        live::skip("promtool", "run `tools/prometheus build`");
        return;
    };
    let objects = objects(&helm);
    let alerts = of_kind(&objects, "PrometheusRule", None)[0]["spec"]["groups"].clone();
    let recorded = expressions(&panels(&objects)).into_iter().enumerate();
    let recorded = recorded.map(|(index, one)| json!({ "record": format!("panel:{index}"), "expr": one }));
    let mut groups = alerts.as_array().expect("groups").clone();
    groups.push(json!({ "name": "dashboard", "rules": recorded.collect::<Vec<_>>() }));
    let folder = Folder::new("promtool");
    let file = folder.0.join("rules.yaml");
    // JSON is YAML.
    std::fs::write(&file, json!({ "groups": groups }).to_string()).expect("a file can be written");
    let checked = Command::new(bin.join("promtool")).args(["check", "rules"]).arg(&file).output().expect("it runs");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}
