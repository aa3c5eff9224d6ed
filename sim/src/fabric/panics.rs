//! Panics of simulated software. Tokio keeps the panic of a spawned task to itself, so they are heard of
//! through the process's hook. The former hook goes on to report them.

use crate::here;
use std::cell::{Cell, RefCell};
use std::panic::PanicHookInfo;
use std::sync::Once;

thread_local! {
    static STEPPING: Cell<bool> = const { Cell::new(false) };
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Makes the process hear of panics. Again: does nothing.
pub(super) fn report_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let former = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if STEPPING.get() {
                PANICS.with_borrow_mut(|panics| panics.push(describe(info)));
            }
            former(info);
        }));
    });
}

fn describe(info: &PanicHookInfo<'_>) -> String {
    let host = here::host().map_or_else(|| "the network".to_string(), |host| format!("software of {host}"));
    let message = info.payload_as_str().unwrap_or("no message");
    let place = info.location().map(|at| format!(" at {}:{}", at.file(), at.line())).unwrap_or_default();
    format!("{host} panicked{place}: {message}")
}

/// Runs `work`, and gives the panics that happened meanwhile on this thread, also those that were caught.
pub(super) fn listening_to_panics<T>(work: impl FnOnce() -> T) -> (T, Vec<String>) {
    STEPPING.set(true);
    let result = work();
    STEPPING.set(false);
    (result, PANICS.take())
}
