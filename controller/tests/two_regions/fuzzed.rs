//! Thousands of requests that nobody means, made by schemathesis from the committed description of the API, to a controller
//! that keeps a pair: well formed and not, with the token and without.

use super::clients::Clients;
use super::pair::Pair;
use super::process::{TOKEN, until};
use continuum_tests::live;
use std::process::Command;

/// By its name, and by whatever name the description allows.
const CONTINUUMS: [&str; 2] = [
    r#"[parameters]
"path.namespace" = "shop"
"path.name" = "shop"
"#,
    "",
];
const CHECKS: &str = "status_code_conformance,content_type_conformance,response_schema_conformance,ignored_auth";
/// Of each operation, in each of the two.
const EXAMPLES: &str = "150";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_asked_is_answered_as_it_is_described_and_the_pair_is_kept() {
    let Some(schemathesis) = live::built("schemathesis") else {
        live::skip("schemathesis", "run `tools/schemathesis build`");
        return;
    };
    let Some(pair) = Pair::start("fuzzed.example.org").await else { return };
    let clients = Clients::start(&pair.regions.postgres);
    let process = &pair.processes[0];
    for parameters in CONTINUUMS {
        let config = pair.regions.folder.put("schemathesis.toml", parameters);
        let mut command = Command::new(&schemathesis);
        // It keeps what it makes where it is started.
        command.current_dir(pair.regions.folder.path(""));
        command.args(["--config-file", &config, "run", &format!("{}/openapi.json", process.api())]);
        command.args([
            "--header",
            &format!("Authorization: Bearer {TOKEN}"),
            "--header",
            "X-Catalyst-Owner-Tier: true",
        ]);
        command.args(["--phases", "examples,coverage,fuzzing", "--mode", "all", "--max-examples", EXAMPLES]);
        command.args(["--checks", CHECKS, "--seed", "1", "--generation-database", "none", "--no-color"]);
        let output = tokio::task::spawn_blocking(move || command.output().expect("it can be run")).await.unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        println!("{told}");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    until("no move to be under way", async || pair.step().await.is_none()).await;
    pair.until_healthy().await;
    let truth = clients.end().await;
    let holder = pair.regions.holder("shop").await.expect("somebody holds it");
    let primary = usize::from(holder.starts_with(super::REGIONS[1]));
    assert_eq!(truth.lost(&pair.regions.postgres, primary).await, Vec::new(), "of {}", truth.acknowledged.len());
    assert!(!process.log().contains("panicked"), "{}", process.log());
}
