//! What the product's own `tracing` events become in a simulation: lines with simulated time and host.
//!
//! ONE subscriber for the process, installed before any event and never replaced, hands each event to the
//! run of its thread. (A subscriber for each thread would not do: whether a callsite is of interest is
//! cached for the whole process, and events would vanish.) Only targets that begin with `continuum_` are
//! taken, spans are ignored, and nothing that differs between runs, builds or source layouts is recorded.

use crate::here;
use std::cell::RefCell;
use std::fmt;
use std::sync::Once;
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber, span};

/// What takes part: the product's crates.
const TARGETS: &str = "continuum_";

/// The finest level that is recorded.
const LEVEL: Level = Level::DEBUG;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceLine {
    /// Simulated time since the start of the run.
    pub at: Duration,
    /// The host it happened on; empty for what conducts the run.
    pub host: String,
    /// Its level.
    pub level: Level,
    /// The module it comes from.
    pub target: String,
    /// Its message.
    pub message: String,
    /// Its fields, in the order in which the code names them.
    pub fields: Vec<(String, String)>,
}

impl fmt::Display for TraceLine {
    /// `  12.345 controller.fsn   INFO step done step=4 took="1.2 s"`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = if self.host.is_empty() { "-" } else { &self.host };
        write!(f, "{:8.3} {host:<15} {:<5} {}", self.at.as_secs_f64(), self.level.as_str(), self.message)?;
        for (name, value) in &self.fields {
            let plain = !value.is_empty() && !value.contains(|c: char| c.is_whitespace() || c == '"');
            if plain { write!(f, " {name}={value}")? } else { write!(f, " {name}={value:?}")? }
        }
        Ok(())
    }
}

thread_local! {
    static SINK: RefCell<Option<Vec<TraceLine>>> = const { RefCell::new(None) };
}

/// Installs the subscriber of the process. Again: does nothing.
///
/// # Panics
///
/// Where the program has installed another one.
pub fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Router).expect("no other subscriber is installed"));
}

/// Begins to record the events of this thread. What was recorded before is gone.
pub fn capture() {
    install();
    SINK.with_borrow_mut(|sink| *sink = Some(Vec::new()));
}

/// Ends recording, and gives the lines in the order of their times. (Within a tick the hosts run one after
/// the other, so they happen in another order.)
pub fn take() -> Vec<TraceLine> {
    let mut lines = SINK.with_borrow_mut(Option::take).unwrap_or_default();
    lines.sort_by_key(|line| line.at);
    lines
}

struct Router;

impl Router {
    fn takes(metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && metadata.target().starts_with(TARGETS) && *metadata.level() <= LEVEL
    }
}

impl Subscriber for Router {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if Self::takes(metadata) { Interest::always() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::from_level(LEVEL))
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        Self::takes(metadata)
    }

    fn event(&self, event: &Event<'_>) {
        // A thread that ends may still log, when its thread-locals are gone.
        let _ = SINK.try_with(|sink| {
            let Ok(mut sink) = sink.try_borrow_mut() else { return };
            let Some(lines) = sink.as_mut() else { return };
            let mut line = TraceLine {
                at: here::now().unwrap_or_default(),
                host: here::host().map(|host| host.to_string()).unwrap_or_default(),
                level: *event.metadata().level(),
                target: event.metadata().target().to_string(),
                message: String::new(),
                fields: Vec::new(),
            };
            event.record(&mut line);
            lines.push(line);
        });
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

impl Visit for TraceLine {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message = value.to_string(),
            name => self.fields.push((name.to_string(), value.to_string())),
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.record_str(field, &value.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_becomes_a_line_of_its_own_thread_only() {
        capture();
        std::thread::spawn(|| tracing::info!("elsewhere")).join().unwrap();
        tracing::warn!(step = 4, took = %"1.2 s", "step failed");
        tracing::info!(target: "hyper", "not ours");
        let lines = take();
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].to_string(), "   0.000 -               WARN  step failed step=4 took=\"1.2 s\"");
        assert!(take().is_empty());
    }
}
