//! What the process says of its configuration before it reaches a server, and what it prints without one.

use super::process::{Folder, program};
use std::collections::BTreeMap;

/// What is good enough to begin with, with servers where nobody is.
pub fn files(folder: &Folder) -> BTreeMap<&'static str, String> {
    let kubeconfig = "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
                      clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\n\
                      users: [{name: u, user: {token: very-secret}}]\n\
                      contexts: [{name: c, context: {cluster: c, user: u}}]\n";
    folder.put("regions/hel.kubeconfig", kubeconfig);
    BTreeMap::from([
        ("CATALYST_REGION", "fsn".to_owned()),
        ("OWN_KUBECONFIG", folder.put("own", kubeconfig)),
        ("REGION_KUBECONFIGS_DIR", folder.path("regions")),
        ("WITNESS_KUBECONFIG", folder.put("witness", kubeconfig)),
    ])
}

/// Exit code, standard output, standard error.
fn outcome(variables: &BTreeMap<&str, String>, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = program(variables).args(arguments).output().expect("it was built");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_configuration_is_checked_without_a_server() {
    let folder = Folder::new();
    let good = files(&folder);
    let (code, out, err) = outcome(&good, &["--check-config"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.starts_with("The configuration is good."), "{out}");
    // Whoever tries it by hand stands in no pod.
    let mut in_no_pod = good.clone();
    in_no_pod.remove("OWN_KUBECONFIG");
    let (code, _, err) = outcome(&in_no_pod, &["--check-config"]);
    assert_eq!(code, Some(64));
    assert!(
        err.contains("OWN_KUBECONFIG is not set, and this process runs in no pod: name the kubeconfig file"),
        "{err}"
    );
    // An option goes before its variable.
    let (code, _, err) = outcome(&good, &["--check-config", "--region", "Not a region"]);
    assert_eq!(code, Some(64));
    assert!(err.contains("CATALYST_REGION=Not a region: it is no DNS label"), "{err}");
}

#[test]
fn every_file_that_is_wrong_is_told_at_once_and_nothing_of_what_it_holds() {
    let folder = Folder::new();
    let mut variables = files(&folder);
    variables.insert("OWN_KUBECONFIG", folder.path("nowhere"));
    variables.insert("WITNESS_KUBECONFIG", folder.put("bad", "users: [{name: u, user: {token: [very-secret]}}]"));
    folder.put("regions/sin.kubeconfig", "apiVersion: v1\nkind: Config\ncurrent-context: other\n");
    let by_a_file = "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
                     clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\n\
                     users: [{name: u, user: {tokenFile: /nowhere/token}}]\n\
                     contexts: [{name: c, context: {cluster: c, user: u}}]\n";
    folder.put("regions/waw.kubeconfig", by_a_file);
    for arguments in [&["--check-config"] as &[&str], &[]] {
        let (code, _, err) = outcome(&variables, arguments);
        assert_eq!(code, Some(64), "{err}");
        for said in [
            "OWN_KUBECONFIG=",
            "nowhere: it cannot be read; mend the path, or mount what it should hold: No such file or directory",
            "bad is no usable kubeconfig; try it with `kubectl --kubeconfig`: it is not the YAML of a kubeconfig",
            "sin.kubeconfig is no usable kubeconfig",
            "waw.kubeconfig is no usable kubeconfig; try it with `kubectl --kubeconfig`: the file of a token that it names",
        ] {
            assert!(err.contains(said), "{said}\n{err}");
        }
        assert!(!err.contains("very-secret"), "{err}");
    }
}

#[test]
fn without_a_region_it_refuses_to_start_and_says_everything_else_too() {
    let (code, out, err) = outcome(&BTreeMap::new(), &[]);
    assert_eq!((code, out.as_str()), (Some(64), ""));
    for name in ["CATALYST_REGION", "REGION_KUBECONFIGS_DIR", "WITNESS_KUBECONFIG"] {
        assert!(err.contains(&format!("\n  {name}")), "{name}\n{err}");
    }
    let (code, _, _) = outcome(&BTreeMap::new(), &["--no-such-option"]);
    assert_eq!(code, Some(64));
}

#[test]
fn the_definition_and_the_version_are_printed_without_a_configuration() {
    let (code, out, _) = outcome(&BTreeMap::new(), &["--print-crd"]);
    let committed = include_str!("../../../live/crds/continuums.dr.openova.io.yaml");
    let (_, committed) = committed.split_once('\n').expect("the first line says that it is generated");
    assert_eq!((code, out.as_str()), (Some(0), committed));
    let (code, out, _) = outcome(&BTreeMap::new(), &["--version"]);
    assert_eq!((code, out.trim()), (Some(0), concat!("continuum-controller ", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn an_address_that_is_taken_is_named_in_the_last_line() {
    let folder = Folder::new();
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let mut variables = files(&folder);
    variables.insert("HEALTH_ADDR", address.clone());
    let (code, _, err) = outcome(&variables, &[]);
    assert_eq!(code, Some(69), "{err}");
    let last = err.lines().last().unwrap_or_default();
    let said =
        format!("continuum-controller: HEALTH_ADDR: {address} cannot be listened on; is another process there?: ");
    assert!(last.starts_with(&said), "{err}");
}
