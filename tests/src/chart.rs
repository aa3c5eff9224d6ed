//! The chart of the controller, rendered and installed by the helm of `tools/helm`.

use crate::live;
use k8s_openapi::serde::de::DeserializeOwned;
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The namespace that releases of the tests stand in.
pub const NAMESPACE: &str = "catalyst-controllers";

/// helm, with the chart of this tree.
#[derive(Clone, Debug)]
pub struct Helm {
    program: PathBuf,
    chart: PathBuf,
}

impl Helm {
    /// The one of `tools/helm`. `None`, with a line on stderr, where it is not built. Panics where it is not although
    /// `CONTINUUM_LIVE=require`.
    pub fn find() -> Option<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let found = Command::new(root.join("tools/helm/helm")).arg("path").stderr(Stdio::null()).output();
        let found = found.expect("tools/helm/helm can be run");
        if !found.status.success() {
            live::skip("helm", "run `tools/helm/helm build`");
            return None;
        }
        let program = String::from_utf8(found.stdout).expect("a path of UTF-8");
        Some(Self { program: program.trim_end().into(), chart: root.join("charts/continuum") })
    }

    /// The same helm with a chart elsewhere.
    pub fn with_chart(&self, chart: PathBuf) -> Self {
        Self { chart, ..self.clone() }
    }

    /// Where the chart is.
    pub fn chart(&self) -> &Path {
        &self.chart
    }

    /// `helm <command> [continuum] <chart>` with these values as YAML, and more arguments.
    pub fn run(&self, command: &str, values: &str, arguments: &[&str]) -> Output {
        let mut helm = Command::new(&self.program);
        helm.arg(command);
        if command != "lint" {
            helm.arg("continuum");
        }
        if command != "uninstall" {
            helm.arg(&self.chart).args(["--values", "-"]);
        }
        // The last one counts.
        helm.args(["--namespace", NAMESPACE]).args(arguments);
        // Nothing of whoever runs the tests: neither a cluster nor plugins.
        helm.env_remove("KUBECONFIG").env("HELM_DRIVER", "secret");
        let mut child = helm
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", self.program.display()));
        let mut stdin = child.stdin.take().expect("stdin is piped");
        // Who refuses its arguments reads nothing.
        stdin.write_all(values.as_bytes()).ok();
        drop(stdin);
        child.wait_with_output().expect("it is ours")
    }

    /// The objects that these values give, in the order of their rendering.
    ///
    /// # Errors
    ///
    /// What helm says of values that give none.
    pub fn template(&self, values: &str, arguments: &[&str]) -> Result<Vec<Value>, String> {
        let output = self.run("template", values, arguments);
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let text = String::from_utf8(output.stdout).expect("helm writes UTF-8");
        let documents = text.split("\n---\n").map(|document| document.trim_start_matches("---\n"));
        let objects: Vec<Value> = documents.filter(|document| !document.trim().is_empty()).map(parse).collect();
        Ok(objects.into_iter().filter(|object| !object.is_null()).collect())
    }
}

fn parse<T: DeserializeOwned>(document: &str) -> T {
    serde_saphyr::from_str(document).unwrap_or_else(|error| panic!("{error}\n{document}"))
}

/// The objects of a kind, with this name where one is given.
pub fn of_kind<'a>(objects: &'a [Value], kind: &str, name: Option<&str>) -> Vec<&'a Value> {
    let is = |object: &&Value| object["kind"] == kind && name.is_none_or(|name| object["metadata"]["name"] == name);
    objects.iter().filter(is).collect()
}
