//! A collector of OTLP over HTTP that keeps what it is sent.

use continuum_core::steps::STEPS;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What a process under test is to tell it.
const HEADER: (&str, &str) = ("authorization", "Bearer a-word-of-the-test");

/// See the module.
pub struct Collector {
    port: u16,
    spans: Arc<Mutex<Vec<Told>>>,
}

/// A span, and the region whose process told it.
#[derive(Clone, Debug, PartialEq)]
struct Told {
    region: String,
    span: Value,
}

impl Collector {
    pub fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a loopback port can be taken");
        let port = listener.local_addr().expect("a listener has an address").port();
        let spans: Arc<Mutex<Vec<Told>>> = Arc::default();
        let kept = spans.clone();
        // It ends with the test's process.
        std::thread::spawn(move || listener.incoming().flatten().for_each(|stream| take(&stream, &kept)));
        Self { port, spans }
    }

    pub fn variables(&self) -> [(&'static str, String); 2] {
        let headers = format!("{}={}", HEADER.0, HEADER.1.replace(' ', "%20"));
        [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://127.0.0.1:{}", self.port)),
            ("OTEL_EXPORTER_OTLP_HEADERS", headers),
        ]
    }

    /// Whether it has the trace of this move, as the record has it: a span for the move, and below it one for each step that was
    /// tried, each told by the region that did it, with the record's times.
    ///
    /// # Errors
    ///
    /// What is missing.
    ///
    /// # Panics
    ///
    /// What is there is wrong.
    pub fn whole(&self, last: &Value) -> Result<(), String> {
        let spans = self.of(last["id"].as_str().expect("an id"));
        let named = |name: &str| {
            let mut of_name = spans.values().filter(|told| told.span["name"] == name);
            let first = of_name.next().ok_or_else(|| format!("no span {name} of {}", last["id"]));
            assert!(of_name.next().is_none(), "two spans {name}");
            first
        };
        let whole = named("switchover")?;
        let holder = if last["result"] == "succeeded" { "to" } else { "from" };
        assert_eq!(Value::from(whole.region.as_str()), last[holder]);
        assert_eq!(whole.attribute("continuum.result"), last["result"].as_str());
        let mut tried = 0;
        for (step, journal) in STEPS.iter().zip(last["steps"].as_array().expect("steps")) {
            if journal["startedAt"].is_null() {
                continue;
            }
            tried += 1;
            let told = named(step.name)?;
            assert_eq!(told.span["parentSpanId"], whole.span["spanId"], "{told:?}");
            assert_eq!(
                Value::from(told.region.as_str()),
                last[if step.number < 6 { "from" } else { "to" }],
                "{told:?}"
            );
            assert_eq!(told.span["startTimeUnixNano"], nanoseconds(&journal["startedAt"]), "{told:?}");
            if !journal["finishedAt"].is_null() {
                assert_eq!(told.span["endTimeUnixNano"], nanoseconds(&journal["finishedAt"]), "{told:?}");
            }
        }
        assert_eq!(spans.len(), tried + 1, "{spans:?}");
        Ok(())
    }

    /// The spans of this move by their ids. They are of one trace, and one that was told twice was told the same.
    fn of(&self, id: &str) -> BTreeMap<String, Told> {
        let mut spans: BTreeMap<String, Told> = BTreeMap::new();
        for told in self.spans.lock().expect("nobody panics with it").iter() {
            if told.attribute("continuum.switchover.id") != Some(id) {
                continue;
            }
            let (trace, id) = (&told.span["traceId"], told.span["spanId"].as_str().expect("an id"));
            assert!(spans.values().all(|other| other.span["traceId"] == *trace), "{told:?}");
            let before = spans.insert(id.to_owned(), told.clone());
            assert!(before.is_none_or(|before| before == *told), "{told:?}");
        }
        spans
    }
}

impl Told {
    fn attribute(&self, name: &str) -> Option<&str> {
        attribute(self.span["attributes"].as_array()?, name)
    }
}

fn nanoseconds(at: &Value) -> String {
    let at: jiff::Timestamp = at.as_str().and_then(|text| text.parse().ok()).expect("a time");
    at.as_nanosecond().to_string()
}

fn take(stream: &TcpStream, spans: &Mutex<Vec<Told>>) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or_default() == 0 {
            return;
        }
    }
    let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
    let mut body = vec![0; header("content-length").and_then(|length| length.parse().ok()).unwrap_or_default()];
    // A process that was killed sends halves.
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    let known = head.starts_with("POST /v1/traces ") && header(HEADER.0) == Some(HEADER.1);
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    if known {
        let all = |value: &Value| value.as_array().cloned().unwrap_or_default();
        for resource in all(&request["resourceSpans"]) {
            let attributes = all(&resource["resource"]["attributes"]);
            let region = attribute(&attributes, "continuum.region").expect("a region").to_owned();
            for scope in all(&resource["scopeSpans"]) {
                let told = all(&scope["spans"]).into_iter().map(|span| Told { region: region.clone(), span });
                spans.lock().expect("nobody panics with it").extend(told);
            }
        }
    }
    let status = if known { "200 OK" } else { "401 Unauthorized" };
    let mut stream = stream;
    let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}");
}

/// The text of an attribute.
fn attribute<'a>(attributes: &'a [Value], name: &str) -> Option<&'a str> {
    attributes.iter().find(|one| one["key"] == name)?["value"]["stringValue"].as_str()
}
