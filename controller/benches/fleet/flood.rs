//! A fleet whose first region's HTTP API is flooded: callers that ask and order as fast as they are answered. What counts is
//! that its renewals come as they do without them.

use crate::fleet::Fleet;
use crate::idle::{TTL, until};
use crate::options::Options;
use crate::renewals::{Kept, Renewals};
use crate::servers::Servers;
use crate::sides::Side;
use continuum_live::http_client::{HttpClient, plain_tcp};
use http::Method;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// As many ask for reports as order dry runs and moves.
const CALLERS: usize = 100;

/// What callers were answered, by status; 0: nothing.
type Answers = Arc<Mutex<BTreeMap<u16, Answered>>>;

/// How often, and what the first of them said.
#[derive(Default)]
struct Answered {
    count: usize,
    first: String,
}

/// See the module. What is printed of it.
pub async fn measure(servers: &Servers, options: &Options) -> String {
    println!("flood: {} Continuums are made", options.count);
    let fleet = Fleet::make(servers, "flood", options.count).await;
    let renewals = Renewals::watch(servers, &fleet, TTL);
    until(|| renewals.count().0 == options.count, "the Leases to be known").await;
    let processes = [0, 1].map(|index| Side::Product.start(servers, index, &fleet.lease_namespace, None));
    until(|| renewals.count().1 == options.count, "all to be renewed").await;
    tokio::time::sleep_until(processes[0].started + options.settle_for).await;

    renewals.forget();
    sleep(options.idle_for).await;
    let quiet = renewals.kept();
    let answers = Answers::default();
    let mut callers = JoinSet::new();
    for number in 0..CALLERS {
        let path = format!("/v1/continuums/{}/app-{:04}", fleet.namespace, number % options.count);
        callers.spawn(call(processes[0].api, number, path, answers.clone()));
    }
    renewals.forget();
    let began = Instant::now();
    sleep(options.idle_for).await;
    let (flooded, took) = (renewals.kept(), began.elapsed());
    drop(callers);
    drop(processes);
    drop(renewals);
    fleet.clear().await;
    table(quiet, flooded, &answers.lock().unwrap_or_else(PoisonError::into_inner), took)
}

/// One caller, for ever.
async fn call(port: u16, number: usize, path: String, answers: Answers) {
    let client =
        HttpClient { connect: plain_tcp(), host: "127.0.0.1".into(), port, user_agent: "a platform's API".into() };
    let headers = [("X-Catalyst-Owner-Tier", "true")];
    let order = br#"{"toRegion":"hel"}"#;
    let (method, path, body) = match number % 4 {
        0 => (Method::GET, format!("{path}/health"), Vec::new()),
        1 => (Method::GET, format!("{path}/status"), Vec::new()),
        2 => (Method::POST, format!("{path}/dry-run"), order.to_vec()),
        // None is begun: nobody publishes records here.
        _ => (Method::POST, format!("{path}/switchover"), order.to_vec()),
    };
    loop {
        let answer = client.send(method.clone(), &path, &headers, body.clone()).await;
        let (status, said) = match answer {
            Ok(answer) => (answer.status, String::from_utf8_lossy(&answer.body).into_owned()),
            Err(cause) => (0, format!("{cause:?}")),
        };
        let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
        let answered = answers.entry(status).or_default();
        answered.count += 1;
        if answered.count == 1 {
            answered.first = said;
        }
    }
}

fn table(quiet: Kept, flooded: Kept, answers: &BTreeMap<u16, Answered>, took: Duration) -> String {
    let mut text = String::from("| measure | quiet | flooded |\n|---|---:|---:|\n");
    let seconds = |kept: Kept| kept.longest.as_secs_f64();
    let wrote = writeln!(text, "| renewals missed | {} | {} |", quiet.missed, flooded.missed).and_then(|()| {
        writeln!(text, "| longest between two renewals, s | {:.1} | {:.1} |", seconds(quiet), seconds(flooded))
    });
    wrote.expect("a text takes all");
    let of_each = answers.iter().map(|(status, answered)| match status {
        0 => format!("{} without an answer", answered.count),
        _ => format!("{} with {status}", answered.count),
    });
    let of_each: Vec<String> = of_each.collect();
    let failed = answers.iter().filter(|(status, _)| **status == 0 || **status >= 500);
    let said: String =
        failed.map(|(status, answered)| format!("\nthe first with {status}: {}", answered.first)).collect();
    text + &format!("\n{CALLERS} callers in {:.0} s: {}{said}", took.as_secs_f64(), of_each.join(", "))
}
