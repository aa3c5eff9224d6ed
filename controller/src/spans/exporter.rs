//! Sends spans to a collector. Nothing waits for it: what is to be sent stands in a queue that loses the oldest where it is
//! full, one task sends it, each request has a limit, and what a collector that was away did not take is sent again. That is
//! no harm: the same span twice is one.

use super::Span;
use super::otlp::{CONTENT_TYPE, PATH, Source, Taken, body, taken};
use crate::config::SpansConfig;
use crate::https;
use crate::metrics::{Counts, Sent};
use crate::pause;
use continuum_core::clock::{Clock, within};
use continuum_core::name::Region;
use continuum_live::http_client::HttpClient;
use continuum_live::kube_transport::USER_AGENT;
use http::Method;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// So many switchovers wait at most.
const WAITING_MAX: usize = 64;
/// For one request, as the protocol's exporters have it.
const LIMIT: Duration = Duration::from_secs(10);
/// So often the same is sent, within about five minutes.
const TRIES_MAX: u32 = 10;

/// See the module.
#[derive(Clone)]
pub(crate) struct Exporter(Arc<Inner>);

struct Inner {
    client: HttpClient,
    path: String,
    /// Secret.
    headers: Vec<(String, String)>,
    source: Source,
    waiting: Mutex<VecDeque<Vec<Span>>>,
    more: Notify,
    counts: Counts,
    clock: Arc<dyn Clock>,
}

/// Why a request brought nothing.
enum Failed {
    /// Another may.
    Once(String),
    ForGood(String),
}

impl Exporter {
    /// Tells the spans of this region.
    pub fn new(config: &SpansConfig, region: Region, counts: Counts, clock: Arc<dyn Clock>) -> Self {
        let client = HttpClient {
            connect: https::connect(&config.scheme),
            host: config.host.clone(),
            port: config.port,
            user_agent: USER_AGENT.into(),
        };
        Self::over(client, config, region, counts, clock)
    }

    pub(super) fn over(
        client: HttpClient,
        config: &SpansConfig,
        region: Region,
        counts: Counts,
        clock: Arc<dyn Clock>,
    ) -> Self {
        counts.spans_are_sent();
        Self(Arc::new(Inner {
            client,
            path: format!("{}{PATH}", config.path),
            headers: config.headers.0.clone(),
            source: Source { service: config.service.clone(), region },
            waiting: Mutex::default(),
            more: Notify::new(),
            counts,
            clock,
        }))
    }

    /// Has the spans of a switchover sent. Never waits.
    pub fn offer(&self, spans: Vec<Span>) {
        if spans.is_empty() {
            return;
        }
        let mut waiting = self.waiting();
        waiting.push_back(spans);
        while waiting.len() > WAITING_MAX {
            let lost = waiting.pop_front().unwrap_or_default();
            self.0.counts.spans(Sent::Dropped, lost.len() as u64);
        }
        drop(waiting);
        self.0.more.notify_one();
    }

    /// Sends what waits, for ever.
    pub async fn send(&self) {
        let mut failing = false;
        loop {
            let next = self.waiting().pop_front();
            match next {
                Some(spans) => self.deliver(&spans, &mut failing).await,
                None => self.0.more.notified().await,
            }
        }
    }

    /// `failing`: the last request brought nothing, and that was said.
    async fn deliver(&self, spans: &[Span], failing: &mut bool) {
        let (count, body) = (spans.len() as u64, body(&self.0.source, spans));
        for failures in 1..=TRIES_MAX {
            match self.request(&body).await {
                Ok(refused) => {
                    let refused = refused.min(count);
                    self.0.counts.spans(Sent::Refused, refused);
                    self.0.counts.spans(Sent::Taken, count - refused);
                    if refused > 0 {
                        tracing::warn!(
                            refused,
                            of = count,
                            "the collector of OTEL_EXPORTER_OTLP_ENDPOINT refused spans"
                        );
                    } else if *failing {
                        tracing::info!("the collector of OTEL_EXPORTER_OTLP_ENDPOINT takes spans again");
                    }
                    *failing = false;
                    return;
                }
                Err(Failed::ForGood(cause)) => {
                    self.0.counts.spans(Sent::Refused, count);
                    self.say(failing, &cause);
                    return;
                }
                Err(Failed::Once(cause)) => self.say(failing, &cause),
            }
            if failures < TRIES_MAX {
                self.0.clock.sleep(pause::after(failures)).await;
            }
        }
        self.0.counts.spans(Sent::Dropped, count);
    }

    /// Once, until they are taken again: a collector that is away is its owner's trouble, and no switchover's.
    fn say(&self, failing: &mut bool, cause: &str) {
        if *failing {
            tracing::debug!(cause, "spans were not taken");
        } else {
            tracing::warn!(
                cause,
                "the collector of OTEL_EXPORTER_OTLP_ENDPOINT did not take spans; what it does not take for minutes, or refuses, \
                 is dropped"
            );
        }
        *failing = true;
    }

    /// How many spans were refused.
    async fn request(&self, body: &[u8]) -> Result<u64, Failed> {
        let of_config = self.0.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let headers: Vec<(&str, &str)> = of_config.chain([("content-type", CONTENT_TYPE)]).collect();
        let send = self.0.client.send(Method::POST, &self.0.path, &headers, body.to_vec());
        let answer = match within(&*self.0.clock, LIMIT, send).await {
            None => return Err(Failed::Once(format!("no answer in {} s", LIMIT.as_secs()))),
            Some(Err(error)) => return Err(Failed::Once(crate::chain(&error))),
            Some(Ok(answer)) => answer,
        };
        let cause = |status: u16| match status {
            401 | 403 => format!("it answered {status}: look at OTEL_EXPORTER_OTLP_HEADERS"),
            404 | 405 | 415 => {
                format!("it answered {status}: is it OTLP over HTTP, on its port (mostly 4318), that takes JSON?")
            }
            _ => format!("it answered {status}"),
        };
        match taken(&answer) {
            Taken::Yes { refused } => Ok(refused),
            Taken::Later(status) => Err(Failed::Once(cause(status))),
            Taken::Never(status) => Err(Failed::ForGood(cause(status))),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Vec<Span>>> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
