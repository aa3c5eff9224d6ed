//! Spans of journals, and a collector that is well, away, slow or unwilling.

use super::follow::Told;
use super::otlp::{PATH, Source, Taken, body, taken};
use super::*;
use crate::config::{Headers, SpansConfig};
use crate::https::Scheme;
use crate::metrics::Counts;
use continuum_core::clock::Clock;
use continuum_live::byte_stream::ByteStream;
use continuum_live::clock::SystemClock;
use continuum_live::http_client::{HttpAnswer, HttpClient};
use jiff::SignedDuration;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

const DONE: &str = "2026-11-30T12:00:22.5Z";

fn shop() -> ObjectName {
    ObjectName::new("shop", "shop")
}

/// The journal of a step that was done in this second.
fn done(second: u8) -> Value {
    json!({
        "startedAt": format!("2026-11-30T12:00:{second:02}.25Z"),
        "finishedAt": format!("2026-11-30T12:00:{:02}Z", second + 1),
        "attempts": 1,
    })
}

fn ended(changed: Value) -> Ended {
    let mut of = json!({
        "id": "shop/shop/4.2", "kind": "planned", "from": "fsn", "to": "hel", "reason": "a test", "initiatedBy": "somebody",
        "fingerprint": "ed0590e109b54384", "startedAt": "2026-11-30T12:00:00.25Z", "finishedAt": DONE,
        "result": "succeeded", "failedAtStep": 0, "tookMs": 21_500, "writeGapMs": 13_000,
        "steps": [done(0), done(2), done(4), done(6), done(8), done(10), done(20)],
    });
    for (name, value) in changed.as_object().expect("an object") {
        of[name] = value.clone();
    }
    serde_json::from_value(of).expect("a journal")
}

/// It failed at step 4, and everything was undone.
fn undone() -> Ended {
    let back = |mut step: Value, at: &str| {
        step["undoneAt"] = json!(at);
        step
    };
    let mut failed = done(6);
    failed["finishedAt"] = Value::Null;
    failed["failure"] = json!("the server answered 422");
    failed["attempts"] = json!(3);
    let nothing = json!({ "attempts": 0 });
    ended(json!({
        "result": "undone", "failedAtStep": 4, "failure": "the server answered 422",
        "steps": [
            back(done(0), DONE), back(done(2), "2026-11-30T12:00:20Z"), back(done(4), "2026-11-30T12:00:15Z"),
            back(failed, "2026-11-30T12:00:12Z"), nothing, nothing, nothing,
        ],
    }))
}

fn told_by(region: &str, ended: &Ended) -> Vec<Span> {
    spans(&shop(), ended, &Region::new(region))
}

fn fact<'a>(span: &'a Span, name: &str) -> &'a Fact {
    &span.facts.iter().find(|(fact, _)| *fact == name).unwrap_or_else(|| panic!("{name} of {span:?}")).1
}

fn names(spans: &[Span]) -> Vec<&str> {
    spans.iter().map(|span| span.name).collect()
}

#[test]
fn two_regions_tell_one_trace_and_no_span_twice() {
    let ended = ended(json!({}));
    let (old, new) = (told_by("fsn", &ended), told_by("hel", &ended));
    assert_eq!(names(&old), ["validate-lease", "cordon-old-primary", "drain-http", "flip-dns", "swap-lease"]);
    assert_eq!(names(&new), ["uncordon-new-primary", "audit-emit", "switchover"]);
    assert!(told_by("sin", &ended).is_empty());
    let all: Vec<&Span> = old.iter().chain(&new).collect();
    assert_eq!(all.iter().map(|span| &span.id).collect::<BTreeSet<_>>().len(), 8);
    let whole = new.last().unwrap();
    for span in &all {
        assert_eq!(span.trace, whole.trace);
        assert!(span.trace.len() == 32 && span.id.len() == 16, "{span:?}");
        assert_eq!(span.parent.as_ref(), Some(&whole.id).filter(|_| span.name != WHOLE), "{span:?}");
        assert_eq!(*fact(span, "continuum.switchover.id"), "shop/shop/4.2".into());
    }
    assert_eq!((whole.began, whole.ended), (ended.started_at, ended.finished_at));
    assert_eq!(whole.result, SpanResult::Well);
    for (name, value) in [
        ("continuum.name", Fact::from("shop")),
        ("continuum.from", "fsn".into()),
        ("continuum.to", "hel".into()),
        ("continuum.kind", "planned".into()),
        ("continuum.result", "succeeded".into()),
        ("continuum.generation", Fact::Number(4)),
        ("continuum.took_ms", Fact::Number(21_500)),
    ] {
        assert_eq!(*fact(whole, name), value, "{name}");
    }
    let flip = &old[3];
    assert_eq!((flip.began, flip.ended), (ended.steps[3].started_at.unwrap(), ended.steps[3].finished_at.unwrap()));
    assert_eq!((flip.result.clone(), fact(flip, "continuum.step.number")), (SpanResult::Well, &Fact::Number(4)));
    assert_eq!(*fact(flip, "continuum.step.undone"), Fact::Is(false));
}

#[test]
fn what_was_undone_says_so_and_is_told_by_the_region_that_kept_the_role() {
    let ended = undone();
    assert!(told_by("hel", &ended).is_empty());
    let spans = told_by("fsn", &ended);
    assert_eq!(names(&spans), ["validate-lease", "cordon-old-primary", "drain-http", "flip-dns", "switchover"]);
    let why = "step-4 (flip-dns): the server answered 422";
    assert_eq!(spans[4].result, SpanResult::Wrong(why.into()));
    assert_eq!(*fact(&spans[4], "continuum.failed_at_step"), Fact::Number(4));
    for span in &spans[..4] {
        assert_eq!(*fact(span, "continuum.step.undone"), Fact::Is(true), "{span:?}");
    }
    let (drain, flip) = (&spans[2], &spans[3]);
    assert_eq!((drain.result.clone(), fact(drain, "continuum.step.result")), (SpanResult::Well, &"done".into()));
    assert_eq!(drain.ended, ended.steps[2].finished_at.unwrap());
    assert_eq!(*fact(drain, "continuum.step.undone_at"), "2026-11-30T12:00:15Z".into());
    assert_eq!(flip.result, SpanResult::Wrong("the server answered 422".into()));
    assert_eq!(*fact(flip, "continuum.step.attempts"), Fact::Number(3));
    assert_eq!(flip.ended, ended.steps[3].undone_at.unwrap());
}

#[test]
fn a_step_that_an_abort_stopped_is_neither_well_nor_wrong() {
    let mut ended = undone();
    (ended.failed_at_step, ended.failure, ended.steps[3].failure) = (0, Some("aborted".into()), None);
    let spans = told_by("fsn", &ended);
    assert_eq!(
        (spans[3].result.clone(), fact(&spans[3], "continuum.step.result")),
        (SpanResult::Open, &"unfinished".into())
    );
    assert_eq!(spans[4].result, SpanResult::Wrong("aborted".into()));
}

#[test]
fn a_failback_that_was_declined_has_none() {
    let ended = ended(json!({ "result": "declined" }));
    assert!(told_by("fsn", &ended).is_empty() && told_by("hel", &ended).is_empty());
}

#[test]
fn no_span_ends_before_it_began_whatever_clocks_say() {
    let ended = ended(json!({ "finishedAt": "2026-11-30T11:00:00Z" }));
    assert!(told_by("hel", &ended).iter().all(|span| span.ended >= span.began));
}

#[test]
fn a_switchover_of_the_same_id_elsewhere_is_another_trace() {
    let traces = [json!({}), json!({ "startedAt": "2026-11-30T12:00:00.251Z" }), json!({ "fingerprint": "another" })];
    assert_eq!(traces.map(|changed| trace(&ended(changed))).into_iter().collect::<BTreeSet<_>>().len(), 3);
}

#[test]
fn each_end_is_told_once_and_by_a_process_that_begins_only_where_it_is_young() {
    let (mut told, first) = (Told::default(), ended(json!({})));
    let at = |minutes: i64| first.finished_at + SignedDuration::from_mins(minutes);
    assert!(told.is_news(&shop(), &first, at(0)));
    assert!(!told.is_news(&shop(), &first, at(0)));
    let second = ended(json!({ "id": "shop/shop/5.3" }));
    // The witness was not to be read for an hour.
    assert!(told.is_news(&shop(), &second, at(60)));
    let mut anew = Told::default();
    assert!(!anew.is_news(&shop(), &first, at(11)));
    let mut soon = Told::default();
    assert!(soon.is_news(&shop(), &first, at(9)));
}

#[test]
fn the_body_is_otlp_in_json() {
    let source = Source { service: "dr".into(), region: Region::new("fsn") };
    let body: Value = serde_json::from_slice(&body(&source, &told_by("fsn", &undone())[3..])).unwrap();
    insta::assert_json_snapshot!(body);
}

#[test]
fn an_answer_says_whether_to_send_again() {
    let of = |status: u16, body: &str| taken(&HttpAnswer { status, body: body.to_owned().into() });
    for body in ["{}", "", "no JSON", r#"{"partialSuccess":{}}"#] {
        assert_eq!(of(200, body), Taken::Yes { refused: 0 }, "{body}");
    }
    for body in [r#"{"partialSuccess":{"rejectedSpans":"2"}}"#, r#"{"partialSuccess":{"rejectedSpans":2}}"#] {
        assert_eq!(of(200, body), Taken::Yes { refused: 2 }, "{body}");
    }
    for status in [429, 502, 503, 504] {
        assert_eq!(of(status, ""), Taken::Later(status));
    }
    for status in [301, 400, 401, 404, 413, 500] {
        assert_eq!(of(status, ""), Taken::Never(status));
    }
}

/// What a collector does with a connection.
#[derive(Clone, Copy, Debug)]
enum Does {
    /// Takes none.
    Away,
    /// Never answers.
    Silence,
    Answers(u16, &'static str),
}

/// A collector that does these in turn, and the last for ever.
#[derive(Clone)]
struct Collector {
    does: Arc<Mutex<Vec<Does>>>,
    requests: Arc<Mutex<Vec<String>>>,
    counts: Counts,
}

impl Collector {
    fn new(does: &[Does]) -> Self {
        let mut does = does.to_vec();
        does.reverse();
        Self { does: Arc::new(Mutex::new(does)), requests: Arc::default(), counts: Counts::default() }
    }

    /// An exporter to it, whose task runs.
    fn exporter(&self) -> Exporter {
        let this = self.clone();
        let client = HttpClient {
            connect: Arc::new(move |_: &str, _: u16| {
                let this = this.clone();
                Box::pin(async move { this.connect() })
            }),
            host: "collector".into(),
            port: 4318,
            user_agent: "test".into(),
        };
        let config = SpansConfig {
            scheme: Scheme::Http,
            host: "collector".into(),
            port: 4318,
            path: "/otlp".into(),
            headers: Headers(vec![("authorization".into(), "Bearer hunter2".into())]),
            service: "dr".into(),
        };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let exporter = Exporter::over(client, &config, Region::new("fsn"), self.counts.clone(), clock);
        let sends = exporter.clone();
        tokio::spawn(async move { sends.send().await });
        exporter
    }

    fn connect(&self) -> io::Result<Box<dyn ByteStream>> {
        let mut does = self.does.lock().unwrap();
        let now = if does.len() > 1 { does.pop() } else { does.last().copied() };
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let now = now.expect("it does something");
        if matches!(now, Does::Away) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let requests = self.requests.clone();
        tokio::spawn(async move { serve(theirs, now, &requests).await });
        Ok(Box::new(ours))
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    fn outcomes(&self) -> Vec<(&'static str, u64)> {
        self.counts.spans_by_word()
    }

    /// Waits until as many spans came to an end.
    async fn until(&self, spans: u64) {
        let counted = || self.outcomes().iter().map(|(_, count)| count).sum::<u64>();
        let all = async {
            while counted() < spans {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let limit = Duration::from_secs(3600);
        tokio::time::timeout(limit, all).await.unwrap_or_else(|_| panic!("{:?} of {spans}", self.outcomes()));
    }
}

async fn serve(mut stream: DuplexStream, does: Does, requests: &Mutex<Vec<String>>) {
    let (mut text, mut buffer) = (String::new(), [0; 8192]);
    while !whole_request(&text) {
        let count = stream.read(&mut buffer).await.expect("it can be read");
        assert!(count > 0, "a request in halves: {text}");
        text.push_str(std::str::from_utf8(&buffer[..count]).expect("UTF-8"));
    }
    requests.lock().unwrap().push(text);
    let Does::Answers(status, body) = does else { return std::future::pending().await };
    let length = body.len();
    let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(answer.as_bytes()).await.expect("it can be written");
}

fn whole_request(text: &str) -> bool {
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.is_some_and(|length| length.parse() == Ok(body.len()))
}

#[tokio::test(start_paused = true)]
async fn spans_are_posted_to_the_endpoint_with_its_headers() {
    let collector = Collector::new(&[Does::Answers(200, "{}")]);
    collector.exporter().offer(told_by("fsn", &ended(json!({}))));
    collector.until(5).await;
    assert_eq!(collector.outcomes(), [("sent", 5), ("refused", 0), ("dropped", 0)]);
    let request = &collector.requests()[0];
    assert!(request.starts_with(&format!("POST /otlp{PATH} HTTP/1.1\r\n")), "{request}");
    for header in ["authorization: Bearer hunter2", "content-type: application/json", "host: collector:4318"] {
        assert!(request.contains(&format!("{header}\r\n")), "{request}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_collector_that_was_away_slow_or_busy_did_not_take_is_sent_again() {
    let does = [Does::Away, Does::Silence, Does::Answers(503, ""), Does::Answers(200, "")];
    let collector = Collector::new(&does);
    collector.exporter().offer(told_by("fsn", &ended(json!({}))));
    collector.until(5).await;
    assert_eq!(collector.outcomes(), [("sent", 5), ("refused", 0), ("dropped", 0)]);
    let requests = collector.requests();
    assert!(requests.len() == 3 && requests.iter().all(|request| request == &requests[0]), "{requests:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_not_sent_again_and_the_next_goes_on() {
    let collector = Collector::new(&[
        Does::Answers(400, "hunter2"),
        Does::Answers(200, r#"{"partialSuccess":{"rejectedSpans":"2"}}"#),
    ]);
    let exporter = collector.exporter();
    exporter.offer(told_by("fsn", &ended(json!({}))));
    exporter.offer(told_by("fsn", &undone()));
    collector.until(10).await;
    assert_eq!(collector.outcomes(), [("sent", 3), ("refused", 7), ("dropped", 0)]);
    assert_eq!(collector.requests().len(), 2);
}

/// Offering is no future, so it waits for nobody; and what waits has a bound.
#[tokio::test(start_paused = true)]
async fn a_collector_that_never_answers_costs_its_spans_and_nothing_else() {
    let collector = Collector::new(&[Does::Silence]);
    let exporter = collector.exporter();
    exporter.offer(told_by("fsn", &ended(json!({}))));
    // The first is being sent.
    tokio::time::sleep(Duration::from_secs(1)).await;
    for _ in 0..66 {
        exporter.offer(told_by("fsn", &undone()));
    }
    assert_eq!(collector.outcomes(), [("sent", 0), ("refused", 0), ("dropped", 2 * 5)]);
    tokio::time::sleep(Duration::from_secs(400)).await;
    assert_eq!(collector.outcomes()[2], ("dropped", 3 * 5), "the first is given up after minutes");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_where_there_is_nothing_to_tell() {
    let collector = Collector::new(&[Does::Answers(200, "")]);
    collector.exporter().offer(Vec::new());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(collector.requests().is_empty());
}
