//! The log, on standard error: one line for each event.

use crate::config::{LogFormat, Logs};
use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// What is logged: our own as asked for, and of libraries what is wrong alone. Below that they tell of requests with all
/// that is in them.
fn wanted(level: Level) -> Targets {
    let libraries = LevelFilter::from(level).min(LevelFilter::WARN);
    Targets::new().with_default(libraries).with_target("continuum", level).with_target(UNNAMED, LevelFilter::OFF)
}

/// It logs each request that had no connection, at level error and without its server: five a second where one is down. Our own
/// lines name the server, once for each cause.
const UNNAMED: &str = "kube_client::client::builder";

/// Logs from here on; a panic is a line of it as well. To be called once.
pub fn begin(logs: Logs) {
    let written = fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let layer = match logs.format {
        LogFormat::Json => written.json().flatten_event(true).with_span_list(false).boxed(),
        LogFormat::Text => written.boxed(),
    };
    tracing_subscriber::registry().with(layer.with_filter(wanted(logs.level))).init();
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let cause = panic.payload_as_str().unwrap_or("without words");
        tracing::error!(place, cause, "a panic");
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_never_tell_what_they_send() {
        for level in [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE] {
            let wanted = wanted(level);
            assert!(wanted.would_enable("continuum_core::driver", &level));
            assert!(!wanted.would_enable("kube_client::client", &Level::DEBUG));
            assert!(!wanted.would_enable("hyper_util::client", &Level::TRACE));
            assert!(!wanted.would_enable("kube_client::client::builder", &Level::ERROR));
            assert!(wanted.would_enable("kube_client::client::auth", &Level::ERROR));
        }
    }
}
