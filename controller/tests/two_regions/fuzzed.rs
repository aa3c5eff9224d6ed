//! More than ten thousand requests that nobody means, to a controller that keeps a pair. Most are made here, of bytes, and none
//! of them is let in; schemathesis makes some thousands more from the committed description of the API: well formed and not,
//! with the token and without.

mod heads;
mod kinds;
mod orders;
mod slow;
mod watch;
mod wire;

use super::clients::Clients;
use super::pair::Pair;
use super::process::{TOKEN, until, until_ok};
use continuum_tests::live;
use futures_util::future::Either;
use kinds::{KINDS, Sent};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::{Arc, Mutex};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Of everything that is made here.
const SEED: u64 = 1;
/// At one time. Fewer than dry runs may be, so that one that is meant finds room.
const CALLERS: usize = 7;
/// Made before anything is measured: what the process keeps for its callers, it has by then.
const WARM_UP: usize = 500;
/// So much of what was answered wrongly is told, bytes.
const SHOWN: usize = 400;
/// More open files than before, where nobody asks any more: clients keep connections to servers for a minute and a half.
const FILES_MORE_MAX: usize = 24;
/// More memory than before, KiB.
const MEMORY_MORE_MAX: usize = 48 * 1024;

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
const EXAMPLES: &str = "60";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_asked_is_answered_as_it_is_described_and_the_pair_is_kept() {
    let Some(schemathesis) = live::built("schemathesis") else {
        live::skip("schemathesis", "run `tools/schemathesis build`");
        return;
    };
    let Some(pair) = Pair::start("fuzzed.example.org").await else { return };
    let clients = Clients::start(&pair.regions.postgres);
    let process = &pair.processes[0];
    nothing_is_let_in(&pair).await;
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
    let log = process.log();
    assert!(!log.contains("panicked") && !log.contains("the HTTP API ended"), "{log}");
    let told = pair.regions.nats.types().await;
    assert!(!told.iter().any(|kind| kind == "continuum-lease-lost"), "{told:?}");
}

/// Everything that is made here, while the record is renewed and good requests are answered.
async fn nothing_is_let_in(pair: &Pair) {
    let process = &pair.processes[0];
    let server = process.api_address();
    let mut first = kinds::all(SEED);
    let rest = first.split_off(WARM_UP);
    let heard = Arc::new(Mutex::new(Heard::default()));
    send(server, first, &heard).await;
    let (standing, before) = (watch::standing(pair).await, watch::held(process.id()));

    let mut seen = watch::Seen::default();
    let began = Instant::now();
    let slow = {
        let all = std::pin::pin!(futures_util::future::join(send(server, rest, &heard), slow::all(server)));
        let watch = std::pin::pin!(watch::over(pair, &mut seen));
        match futures_util::future::select(all, watch).await {
            Either::Left((((), slow), _)) => slow,
            Either::Right((never, _)) => match never {},
        }
    };
    let took = began.elapsed();
    let heard = std::mem::take(&mut *heard.lock().expect("nobody panics while it holds it"));
    println!("seed {SEED}, in {took:.1?}:");
    for (kind, answers) in KINDS.iter().zip(0..).map(|(kind, number)| (kind, &heard.answers[&number])) {
        println!("{:>6} {:<28} {answers:?}", kind.count, kind.name);
    }
    for (name, count, wrong) in &slow {
        println!("{count:>6} {name:<28} {} not as documented", wrong.len());
    }
    println!("{seen:?}");
    assert!(heard.wrong.is_empty(), "{}, such as {:#?}", heard.wrong.len(), &heard.wrong[..heard.wrong.len().min(5)]);
    assert_eq!(slow.iter().flat_map(|(_, _, wrong)| wrong).collect::<Vec<_>>(), Vec::<&String>::new());
    assert_eq!(seen.wrong, Vec::<String>::new());
    assert_eq!(watch::standing(pair).await, standing, "nothing began, and nothing was left in a resource");
    let (mut callers, mut after) = (usize::MAX, before);
    until_ok("what callers held to be given back", async || {
        (callers, after) = (watch::callers(server.port()), watch::held(process.id()));
        let is = callers == 0 && after.0 <= before.0 + FILES_MORE_MAX && after.1 <= before.1 + MEMORY_MORE_MAX;
        if is { Ok(()) } else { Err(format!("{before:?} before, {after:?} after, and {callers} callers")) }
    })
    .await;
    println!("open files and KiB: {before:?} before, {after:?} after");
}

/// What came of what was sent.
#[derive(Default)]
struct Heard {
    /// How often which status was answered to each kind; 0: none was.
    answers: BTreeMap<usize, BTreeMap<u16, usize>>,
    /// What was not to be answered so, with what it was answered to.
    wrong: Vec<String>,
}

async fn send(server: SocketAddr, all: Vec<(usize, Sent)>, heard: &Arc<Mutex<Heard>>) {
    let all = Arc::new(Mutex::new(all.into_iter()));
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (all, heard) = (all.clone(), heard.clone());
        callers.spawn(async move {
            loop {
                let Some((number, sent)) = all.lock().expect("nobody panics while it holds it").next() else { return };
                let answer = wire::exchange(server, &sent.bytes, sent.after).await;
                heard.lock().expect("nobody panics while it holds it").note(number, &sent, &answer);
            }
        });
    }
    callers.join_all().await;
}

impl Heard {
    fn note(&mut self, number: usize, sent: &Sent, heard: &wire::Heard) {
        let (kind, status) = (&KINDS[number], heard.status());
        *self.answers.entry(number).or_default().entry(status.unwrap_or_default()).or_default() += 1;
        let is_right = match status {
            None => kind.unanswered && heard.text.is_empty(),
            Some(status) => kind.answers.contains(&status) && heard.answers() == 1,
        };
        if !is_right || !heard.ended {
            let start = String::from_utf8_lossy(&sent.bytes[..sent.bytes.len().min(SHOWN)]).into_owned();
            self.wrong.push(format!("{}: {start:?} ({} bytes): {heard:?}", kind.name, sent.bytes.len()));
        }
    }
}
