//! Latency as a real Prometheus tells it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
use continuum_core::clock::Clock;
use continuum_core::ports::{Latencies, ObserveLatency};
use continuum_live::clock::SystemClock;
use continuum_live::http_client::{HttpClient, plain_tcp};
use continuum_live::prometheus::{DEFAULT_QUERY, PrometheusLatency};
use continuum_tests::real_prometheus::RealPrometheus;
use jiff::{SignedDuration, Timestamp};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

/// Between two samples, s.
const SCRAPE: i64 = 15;
/// Upper bounds of the buckets, s.
const BOUNDS: [&str; 5] = ["0.005", "0.01", "0.025", "0.05", "+Inf"];

/// Fifteen minutes of ten requests a second to `shop`, as Hubble counts them: between 5 and 10 ms until `slower`, between 25
/// and 50 ms from then on.
fn samples(now: Timestamp, slower: Timestamp) -> String {
    let mut text = String::new();
    let begin = now.as_second() - 900;
    // Of one series after the other, as the format wants them.
    for (index, bound) in BOUNDS.into_iter().enumerate() {
        let mut count = 0;
        for at in (begin..=now.as_second()).step_by(SCRAPE as usize) {
            let fits = if at <= slower.as_second() { index >= 1 } else { index >= 3 };
            count += if fits { 10 * SCRAPE } else { 0 };
            let series = format!("destination_workload=\"shop\",le=\"{bound}\"");
            writeln!(text, "hubble_http_request_duration_seconds_bucket{{{series}}} {count} {at}").unwrap();
        }
    }
    text + "# EOF\n"
}

#[tokio::test]
async fn medians_before_and_after_are_told_and_what_says_nothing_is_no_verdict() {
    let clock = Arc::new(SystemClock::new());
    let ago = |seconds| clock.wall() - SignedDuration::from_secs(seconds);
    let (began, ended) = (ago(240), ago(200));
    let Some(server) = RealPrometheus::start(&samples(clock.wall(), ended)).await else { return };
    let source = |query: &str| {
        let client =
            HttpClient { connect: plain_tcp(), host: "127.0.0.1".into(), port: server.port, user_agent: "test".into() };
        PrometheusLatency::new(client, query, clock.clone())
    };
    // It listens before it has read what it holds.
    let mut compared = source(DEFAULT_QUERY).compare("shop", began, ended).await;
    for _ in 0..100 {
        if matches!(compared, Ok(Latencies::Measured { .. })) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        compared = source(DEFAULT_QUERY).compare("shop", began, ended).await;
    }
    let Ok(Latencies::Measured { now_ms, before_ms }) = compared else { panic!("{compared:?}") };
    assert!((7.0..8.0).contains(&before_ms) && (37.0..38.0).contains(&now_ms), "{before_ms} ms, then {now_ms} ms");

    let none = |compared| match compared {
        Ok(Latencies::NoVerdict(why)) => why,
        other => panic!("{other:?}"),
    };
    let nobody = source(DEFAULT_QUERY).compare("books", began, ended).await;
    assert_eq!(none(nobody), "now: there were no requests");
    let wrong = source("histogram_quantile(0.5").compare("shop", began, ended).await.unwrap_err();
    assert!(wrong.starts_with("the query is wrong: "), "{wrong}");
    let many = source("hubble_http_request_duration_seconds_bucket").compare("shop", began, ended).await.unwrap_err();
    assert!(many.contains("the query gives 5 series"), "{many}");
    let nothing = source("0/0").compare("shop", began, ended).await;
    assert_eq!(none(nothing), "now: the median is NaN");
}
