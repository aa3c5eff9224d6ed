//! The metrics page: a pure function from what is measured to the text of OpenMetrics, in a fixed order. A sample whose
//! value is not known is absent.
//!
//! Names that controller-runtime and client-go use stand here only where they mean the same.

use continuum_core::measures::{LastMove, Measures};
use continuum_core::name::ObjectName;
use continuum_core::status::PHASES;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Of the page.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels = Vec<(&'static str, String)>;

/// What the process counts.
#[derive(Clone, Default)]
pub(crate) struct Counts(Arc<Inner>);

/// What became of an Event of Kubernetes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Written {
    /// It stands in the API server.
    Done,
    /// That is not known, or it does not.
    Failed,
    /// It was the oldest of too many that waited.
    Dropped,
}

const WRITTEN: [(Written, &str); 3] =
    [(Written::Done, "written"), (Written::Failed, "failed"), (Written::Dropped, "dropped")];

/// What became of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sent {
    /// The collector took it.
    Taken,
    /// The collector does not want it.
    Refused,
    /// The collector was away for long, or too many waited.
    Dropped,
}

const SENT: [(Sent, &str); 3] = [(Sent::Taken, "sent"), (Sent::Refused, "refused"), (Sent::Dropped, "dropped")];

#[derive(Default)]
struct Inner {
    panics: AtomicU64,
    /// Empty: none are sent.
    spans: Mutex<BTreeMap<Sent, u64>>,
    events: Mutex<BTreeMap<Written, u64>>,
    /// By status code (or `<error>`), host and verb.
    requests: Mutex<BTreeMap<(String, String, String), u64>>,
}

impl Counts {
    /// Tasks of a Continuum panicked, and were begun anew.
    pub fn panicked(&self) {
        self.0.panics.fetch_add(1, Ordering::Relaxed);
    }

    /// A request to an API server, with the code of its answer; absent: there was none.
    pub fn requested(&self, code: Option<u16>, host: &str, method: &str) {
        let code = code.map_or_else(|| "<error>".to_owned(), |code| code.to_string());
        *self.requests().entry((code, host.to_owned(), method.to_owned())).or_default() += 1;
    }

    /// How many requests were counted so.
    #[cfg(test)]
    pub fn told(&self, code: &str, host: &str, method: &str) -> u64 {
        let of = (code.to_owned(), host.to_owned(), method.to_owned());
        self.requests().get(&of).copied().unwrap_or_default()
    }

    /// An Event of Kubernetes was written, or was not.
    pub fn event(&self, became: Written) {
        *self.0.events.lock().unwrap_or_else(PoisonError::into_inner).entry(became).or_default() += 1;
    }

    /// How many became what.
    pub fn events(&self) -> BTreeMap<Written, u64> {
        let counted = self.0.events.lock().unwrap_or_else(PoisonError::into_inner);
        WRITTEN.iter().map(|(became, _)| (*became, counted.get(became).copied().unwrap_or_default())).collect()
    }

    /// Spans are sent, so they are counted.
    pub fn spans_are_sent(&self) {
        SENT.iter().for_each(|(became, _)| self.spans(*became, 0));
    }

    /// So many spans were sent, or were not.
    pub fn spans(&self, became: Sent, count: u64) {
        *self.0.spans.lock().unwrap_or_else(PoisonError::into_inner).entry(became).or_default() += count;
    }

    /// How many became what, by its word.
    pub fn spans_by_word(&self) -> Vec<(&'static str, u64)> {
        let counted = self.0.spans.lock().unwrap_or_else(PoisonError::into_inner);
        SENT.iter().filter_map(|(became, word)| Some((*word, *counted.get(became)?))).collect()
    }

    fn requests(&self) -> MutexGuard<'_, BTreeMap<(String, String, String), u64>> {
        self.0.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A metric and its samples.
struct Metric {
    name: &'static str,
    help: &'static str,
    counts: bool,
    samples: Vec<(Labels, f64)>,
}

struct Page(Vec<Metric>);

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Page({})", self.0.len())
    }
}

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        for metric in self.0.iter().filter(|metric| !metric.samples.is_empty()) {
            let kind = if metric.counts { MetricType::Counter } else { MetricType::Gauge };
            let mut described = encoder.encode_descriptor(metric.name, metric.help, None, kind)?;
            for (labels, value) in &metric.samples {
                if labels.is_empty() {
                    sample(&mut described, metric.counts, *value)?;
                } else {
                    sample(&mut described.encode_family(labels)?, metric.counts, *value)?;
                }
            }
        }
        Ok(())
    }
}

fn sample(encoder: &mut MetricEncoder<'_>, counts: bool, value: f64) -> fmt::Result {
    match counts {
        true => encoder.encode_counter::<Labels, f64, u64>(&value, None),
        false => encoder.encode_gauge(&value),
    }
}

/// What is asked of one Continuum: its samples, each with the labels that it has beside its name.
type OfEach = fn(&Measures) -> Vec<(Labels, f64)>;

fn one(value: Option<f64>) -> Vec<(Labels, f64)> {
    value.map(|value| (Vec::new(), value)).into_iter().collect()
}

fn of_last(measures: &Measures, value: fn(&LastMove) -> Option<f64>) -> Vec<(Labels, f64)> {
    one(measures.last.as_ref().and_then(value))
}

/// All that is told of each Continuum.
const OF_EACH: [(&str, &str, OfEach); 14] = [
    ("continuum_phase", "1 for the phase that the status says, 0 for the others", |m| {
        let Some(now) = m.phase else { return Vec::new() };
        PHASES.map(|phase| (vec![("phase", phase.to_owned())], f64::from(u8::from(phase == now)))).into()
    }),
    ("continuum_generation", "Generation of the record", |m| one(m.generation.map(|g| g as f64))),
    ("continuum_term_left_seconds", "What is left of this region's term", |m| {
        one(m.term_left.map(|left| left.as_secs_f64()))
    }),
    ("continuum_term_guard_seconds", "The end of that in which nothing is begun that makes a half writable", |m| {
        one(m.term_guard.map(|guard| guard.as_secs_f64()))
    }),
    ("continuum_replication_lag_seconds", "Replication lag of the standby", |m| one(m.lag_seconds.map(|s| s as f64))),
    ("continuum_last_switchover_success", "Whether the last move succeeded", |m| {
        of_last(m, |last| Some(f64::from(u8::from(last.succeeded))))
    }),
    ("continuum_last_switchover_timestamp_seconds", "When the last move ended", |m| {
        of_last(m, |last| Some(last.at.as_millisecond() as f64 / 1000.0))
    }),
    ("continuum_last_switchover_rto_seconds", "How long the last move took, where it succeeded", |m| {
        of_last(m, |last| last.took.map(|took| took.as_secs_f64()))
    }),
    ("continuum_last_switchover_rpo_seconds", "Writes that the last move lost, where it succeeded", |m| {
        of_last(m, |last| last.loss_seconds.map(|seconds| seconds as f64))
    }),
    ("continuum_last_switchover_write_gap_seconds", "How long nobody took writes in the last move", |m| {
        of_last(m, |last| last.write_gap.map(|gap| gap.as_secs_f64()))
    }),
    ("continuum_last_switchover_step_seconds", "How long each step of the last move took that was done", |m| {
        let steps = m.last.iter().flat_map(|last| &last.steps);
        steps.map(|(step, took)| (vec![("step", (*step).to_owned())], took.as_secs_f64())).collect()
    }),
    ("continuum_events_owed", "Events that the audit stream has not taken yet", |m| {
        one(m.events_owed.map(|count| count as f64))
    }),
    ("continuum_events_owed_since_timestamp_seconds", "When the oldest of them happened", |m| {
        one(m.events_owed_since.map(|since| since.as_millisecond() as f64 / 1000.0))
    }),
    ("continuum_interference", "What somebody else wrote that stands, or was put right within ten minutes", |m| {
        one(m.interference.map(|count| count as f64))
    }),
];

/// Of each region and kind, whether it is known by a watch.
pub(crate) type Watched = Vec<(String, &'static str, bool)>;

/// The page. `leads`: whether this replica drives.
pub(crate) fn page(
    counts: &Counts,
    leads: bool,
    watched: &Watched,
    continuums: &[(ObjectName, Option<Measures>, Blockers)],
) -> String {
    let metric = |name, help, counts, samples| Metric { name, help, counts, samples };
    let controller = || vec![("controller", "continuum".to_owned())];
    let requests =
        counts.requests().clone().into_iter().map(|((code, host, method), count)| {
            (vec![("code", code), ("host", host), ("method", method)], count as f64)
        });
    let requests = requests.collect();
    let counted = counts.events();
    let events = WRITTEN.iter().map(|(became, word)| (vec![("outcome", (*word).to_owned())], counted[became] as f64));
    let spans = counts.spans_by_word().into_iter();
    let spans = spans.map(|(word, count)| (vec![("outcome", word.to_owned())], count as f64));
    let mut metrics = vec![
        metric(
            "continuum_build_info",
            "The version",
            false,
            vec![(vec![("version", env!("CARGO_PKG_VERSION").to_owned())], 1.0)],
        ),
        metric(
            "continuum_served",
            "Continuums that this process answers for",
            false,
            one(Some(continuums.len() as f64)),
        ),
        metric(
            "leader_election_master_status",
            "1 where this replica leads",
            false,
            vec![(vec![("name", crate::leader::LEASE.to_owned())], f64::from(u8::from(leads)))],
        ),
        metric(
            "controller_runtime_reconcile_panics",
            "Panics of a Continuum's tasks, which were begun anew",
            true,
            vec![(controller(), counts.0.panics.load(Ordering::Relaxed) as f64)],
        ),
        metric("rest_client_requests", "Requests to API servers", true, requests),
        metric(
            "continuum_watched",
            "1 while all objects of the kind are known by a watch; 0: its server is asked instead",
            false,
            watched
                .iter()
                .map(|(region, kind, known)| {
                    (vec![("region", region.clone()), ("kind", (*kind).to_owned())], f64::from(u8::from(*known)))
                })
                .collect(),
        ),
        metric("continuum_kubernetes_events", "What became of Events of Kubernetes", true, events.collect()),
        metric("continuum_spans", "What became of spans of switchovers", true, spans.collect()),
    ];
    let named = |name: &ObjectName, labels: Labels| {
        [("namespace", name.namespace.clone()), ("name", name.name.clone())].into_iter().chain(labels).collect()
    };
    for (name, help, of_each) in OF_EACH {
        let known = continuums.iter().filter_map(|(name, measures, _)| Some((name, measures.as_ref()?)));
        let samples = known.flat_map(|(name, measures)| {
            of_each(measures).into_iter().map(move |(labels, value)| (named(name, labels), value))
        });
        metrics.push(metric(name, help, false, samples.collect()));
    }
    let blockers = continuums.iter().flat_map(|(name, _, blockers)| {
        let of_one = blockers.iter().map(|(to, count)| (vec![("to", to.clone())], *count as f64));
        of_one.map(move |(labels, value)| (named(name, labels), value))
    });
    let help = "Blockers that the last dry run found which this replica was asked for";
    metrics.push(metric("continuum_dry_run_blockers", help, false, blockers.collect()));
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Page(metrics)));
    let mut text = String::new();
    encode(&mut text, &registry).expect("a string takes everything");
    text
}

/// How many blockers the last dry run to each region found.
pub(crate) type Blockers = BTreeMap<String, usize>;

#[cfg(test)]
mod tests;
