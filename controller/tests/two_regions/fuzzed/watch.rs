//! What becomes of the process and its Continuum meanwhile.

use crate::pair::Pair;
use serde_json::Value;
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(250);
/// For a good request, whatever else is asked.
const GOOD_LIMIT: Duration = Duration::from_secs(10);
/// A third of the term: who renews each second, and does not for so long, is near to losing the lease.
const RENEWAL_LIMIT: Duration = Duration::from_secs(10);

/// What no request that is not let in may change.
pub async fn standing(pair: &Pair) -> Vec<Value> {
    let mut all = Vec::new();
    let record = pair.regions.record("shop").await;
    for field in ["sequence", "served", "intent", "pending", "abort", "last", "lineage"] {
        all.push(record[field].clone());
    }
    let lease = pair.regions.lease("shop").await.and_then(|lease| lease.spec).expect("the record's Lease");
    all.push(serde_json::json!([lease.lease_transitions, lease.holder_identity]));
    for index in 0..2 {
        let copy = pair.regions.continuums(index).await.get("shop").await.expect("it is there");
        all.push(copy.data["spec"].clone());
    }
    all
}

/// Connections to this port that the server has not closed.
pub fn callers(port: u16) -> usize {
    const OPEN: [&str; 2] = ["01", "08"]; // ESTABLISHED and CLOSE_WAIT
    let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux has it");
    let local = format!(":{port:04X}");
    let is_one = |line: &&str| {
        let mut fields = line.split_whitespace().skip(1);
        let (own, _, state) = (fields.next(), fields.next(), fields.next());
        own.is_some_and(|own| own.ends_with(&local)) && state.is_some_and(|state| OPEN.contains(&state))
    };
    table.lines().filter(is_one).count()
}

/// Open files, and resident memory in KiB.
pub fn held(id: u32) -> (usize, usize) {
    let files = std::fs::read_dir(format!("/proc/{id}/fd")).expect("it runs").count();
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("it runs");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it is told");
    (files, resident.trim().trim_end_matches(" kB").parse().expect("a number"))
}

/// What was seen while something else went on.
#[derive(Debug, Default)]
pub struct Seen {
    pub renewals: u64,
    /// The longest time between two.
    pub unrenewed: Duration,
    pub good: usize,
    pub slowest: Duration,
    pub wrong: Vec<String>,
    pub files_max: usize,
}

/// Looks until it is dropped: the record is renewed, and good requests are answered.
pub async fn over(pair: &Pair, seen: &mut Seen) -> Infallible {
    let process = &pair.processes[0];
    let (mut renewal, mut renewed) = (0, Instant::now());
    loop {
        let now = pair.regions.record("shop").await["renewal"].as_u64().unwrap_or_default();
        seen.unrenewed = seen.unrenewed.max(renewed.elapsed());
        if now > renewal {
            seen.renewals += u64::from(renewal > 0);
            (renewal, renewed) = (now, Instant::now());
        }
        if renewed.elapsed() > RENEWAL_LIMIT {
            seen.wrong.push(format!("not renewed for {:?}", renewed.elapsed()));
        }
        for (what, body) in [
            ("GET /healthz", ""),
            ("GET /v1/continuums/shop/shop/status", ""),
            ("POST /v1/continuums/shop/shop/dry-run", r#"{"toRegion":"hel"}"#),
        ] {
            let asked = Instant::now();
            let (status, answer) = tokio::task::block_in_place(|| process.call(what, body));
            seen.good += 1;
            seen.slowest = seen.slowest.max(asked.elapsed());
            if status != 200 || asked.elapsed() > GOOD_LIMIT {
                seen.wrong.push(format!("{what} after {:?}: {status} {answer}", asked.elapsed()));
            }
        }
        seen.files_max = seen.files_max.max(held(process.id()).0);
        sleep(PAUSE).await;
    }
}
