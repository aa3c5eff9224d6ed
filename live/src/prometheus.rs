//! Latency of an application's requests, from Prometheus' query API.
//!
//! What a number is worth is judged here, as the server's own documentation and its answers have it: an empty answer, `NaN`,
//! an infinity, a warning, or a moment that is not the one that was asked for is no verdict and no failure.

use crate::http_client::{HttpAnswer, HttpClient};
use async_trait::async_trait;
use continuum_core::clock::Clock;
use continuum_core::health::LATENCY_AFTER;
use continuum_core::ports::{Latencies, ObserveLatency};
use futures_util::future::join;
use http::Method;
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

/// Where Prometheus listens unless it is told another place.
pub const PROMETHEUS_PORT: u16 = 9090;

/// The median of the requests to the application's workloads, s, as Cilium's Hubble counts them. `$application` stands for
/// `spec.applicationRef`, `$window` for the time that is looked at.
pub const DEFAULT_QUERY: &str = "histogram_quantile(0.5, sum by (le) \
    (rate(hubble_http_request_duration_seconds_bucket{destination_workload=~\"$application.*\"}[$window])))";

/// The longest time that is looked at.
const WINDOW: Duration = Duration::from_secs(300);
/// How much the moment of an answer may differ from the one that was asked for, s.
const MOMENT_DIFFERS_MAX: f64 = 1.0;
/// So much of a server's text is told.
const TEXT_MAX: usize = 200;

/// See the module.
pub struct PrometheusLatency {
    client: HttpClient,
    query: String,
    clock: Arc<dyn Clock>,
}

/// A number, or why there is none.
#[derive(Debug, PartialEq)]
enum Number {
    Is(f64),
    None(String),
}

impl PrometheusLatency {
    /// Asks this server. `query`: PromQL for a median in seconds with `$application` and `$window` in it.
    pub fn new(client: HttpClient, query: impl Into<String>, clock: Arc<dyn Clock>) -> Self {
        Self { client, query: query.into(), clock }
    }

    async fn ask(&self, application: &str, at: Timestamp, window: Duration) -> Result<Number, String> {
        let window = format!("{}s", window.as_secs());
        // It stands between quotes.
        let application = application.replace('\\', "\\\\").replace('"', "\\\"");
        let query = self.query.replace("$application", &application).replace("$window", &window);
        let query = utf8_percent_encode(&query, NON_ALPHANUMERIC);
        let path = format!("/api/v1/query?query={query}&time={}", at.as_second());
        let answer = self.client.send(Method::GET, &path, &[], Vec::new()).await;
        let answer = answer.map_err(|error| crate::causes::chain(&error))?;
        number(&answer, at.as_second() as f64)
    }
}

#[async_trait]
impl ObserveLatency for PrometheusLatency {
    async fn compare(&self, application: &str, began: Timestamp, ended: Timestamp) -> Result<Latencies, String> {
        let now = self.clock.wall();
        let since = Duration::try_from(now.duration_since(ended)).unwrap_or_default();
        let window = since.clamp(LATENCY_AFTER, WINDOW);
        let (now, before) = join(self.ask(application, now, window), self.ask(application, began, WINDOW)).await;
        Ok(match (now?, before?) {
            (Number::Is(now), Number::Is(before)) => {
                Latencies::Measured { now_ms: now * 1_000.0, before_ms: before * 1_000.0 }
            }
            (Number::None(why), _) => Latencies::NoVerdict(format!("now: {why}")),
            (_, Number::None(why)) => Latencies::NoVerdict(format!("before the switchover: {why}")),
        })
    }
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    data: Option<Data>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    warnings: Vec<String>,
    #[serde(default)]
    infos: Vec<String>,
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data {
    Vector(Vec<Sample>),
    Scalar((f64, String)),
    Matrix(serde::de::IgnoredAny),
    String(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
struct Sample {
    /// Absent where the series is one of native histograms.
    #[serde(default)]
    value: Option<(f64, String)>,
}

/// What an answer says of the moment that was asked for, Unix time.
fn number(answer: &HttpAnswer, asked: f64) -> Result<Number, String> {
    let text = || String::from_utf8_lossy(&answer.body).trim().chars().take(TEXT_MAX).collect::<String>();
    let parsed: Option<Answer> = serde_json::from_slice(&answer.body).ok();
    let told = || parsed.as_ref().and_then(|parsed| parsed.error.clone()).unwrap_or_else(text);
    match answer.status {
        200 => {}
        400 | 422 => return Err(format!("the query is wrong: {}", told())),
        503 | 504 => return Ok(Number::None(format!("Prometheus answered {}: {}", answer.status, told()))),
        status => return Err(format!("Prometheus answered {status}: {}", told())),
    }
    let Some(Answer { data: Some(data), warnings, infos, .. }) = parsed else {
        return Err(format!("this is no answer of Prometheus: {}", text()));
    };
    if let Some(warning) = warnings.into_iter().chain(infos).next() {
        return Ok(Number::None(warning));
    }
    let (moment, value) = match data {
        Data::Scalar(value) => value,
        Data::Vector(mut samples) => match (samples.pop(), samples.len()) {
            (None, _) => return Ok(Number::None("there were no requests".into())),
            (Some(Sample { value: Some(value) }), 0) => value,
            (Some(_), 0) => return Err("the query gives a histogram; write it so that it gives a number".into()),
            (Some(_), more) => {
                return Err(format!("the query gives {} series; write it so that it gives one", more + 1));
            }
        },
        Data::Matrix(_) | Data::String(_) => return Err("the query gives no number".into()),
    };
    if (moment - asked).abs() > MOMENT_DIFFERS_MAX {
        return Ok(Number::None(format!("Prometheus answered for another moment, {moment}")));
    }
    Ok(match value.parse::<f64>() {
        Ok(number) if number.is_finite() => Number::Is(number),
        // No request, or all of them slower than the last bound of the histogram.
        _ => Number::None(format!("the median is {value}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, body: &str) -> Result<Number, String> {
        number(&HttpAnswer { status, body: body.to_owned().into() }, 1_767_225_600.0)
    }

    fn vector(result: &str) -> Result<Number, String> {
        answered(200, &format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{result}]}}}}"#))
    }

    fn none(answer: Result<Number, String>) -> String {
        match answer {
            Ok(Number::None(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_number_is_taken() {
        assert_eq!(vector(r#"{"metric":{},"value":[1767225600,"0.0125"]}"#), Ok(Number::Is(0.0125)));
        let scalar = r#"{"status":"success","data":{"resultType":"scalar","result":[1767225600.2,"2"]}}"#;
        assert_eq!(answered(200, scalar), Ok(Number::Is(2.0)));
    }

    #[test]
    fn what_says_nothing_is_no_verdict_and_no_failure() {
        assert_eq!(none(vector("")), "there were no requests");
        for value in ["NaN", "+Inf"] {
            let sample = format!(r#"{{"metric":{{}},"value":[1767225600,"{value}"]}}"#);
            assert_eq!(none(vector(&sample)), format!("the median is {value}"));
        }
        assert!(none(vector(r#"{"metric":{},"value":[1767229200,"1"]}"#)).contains("another moment"));
        assert!(none(answered(503, "starting")).contains("503: starting"));
        let warned =
            r#"{"status":"success","data":{"resultType":"scalar","result":[1767225600,"2"]},"infos":["mixed"]}"#;
        assert_eq!(none(answered(200, warned)), "mixed");
    }

    #[test]
    fn a_query_that_cannot_be_right_is_a_failure_that_says_why() {
        let bad = r#"{"status":"error","errorType":"bad_data","error":"1:5: parse error"}"#;
        assert_eq!(answered(400, bad), Err("the query is wrong: 1:5: parse error".into()));
        let two = r#"{"metric":{"a":"1"},"value":[1767225600,"1"]},{"metric":{"a":"2"},"value":[1767225600,"1"]}"#;
        assert!(vector(two).unwrap_err().contains("2 series"));
        assert!(answered(200, "<html>").unwrap_err().contains("<html>"));
        assert!(answered(401, "no").unwrap_err().contains("401: no"));
        let matrix = r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#;
        assert_eq!(answered(200, matrix), Err("the query gives no number".into()));
    }
}
