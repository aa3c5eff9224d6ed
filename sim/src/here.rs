//! Where the running code is: the host whose software this thread polls, and the simulated time. A fabric
//! fills it in; the trace, the clock safety net and the servers read it. It deliberately knows no fabric.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

/// Answers for one fabric.
pub trait Place {
    /// Simulated time since the start of the run.
    fn now(&self) -> Duration;
    /// The host whose software runs; `None` for what conducts the run.
    fn host(&self) -> Option<Arc<str>>;
}

thread_local! {
    static PLACE: RefCell<Option<Box<dyn Place>>> = const { RefCell::new(None) };
}

/// Keeps a [`Place`] entered; leaves it when dropped.
#[derive(Debug)]
pub struct Entered(());

/// Makes `place` answer on this thread.
pub fn enter(place: Box<dyn Place>) -> Entered {
    PLACE.with(|here| {
        let former = here.borrow_mut().replace(place);
        assert!(former.is_none(), "one fabric for each thread");
    });
    Entered(())
}

impl Drop for Entered {
    fn drop(&mut self) {
        PLACE.with(|here| here.borrow_mut().take());
    }
}

fn ask<T>(question: impl FnOnce(&dyn Place) -> T) -> Option<T> {
    // Also reached from within the C library and at the end of a thread, hence no panic in here.
    PLACE.try_with(|here| here.try_borrow().ok()?.as_deref().map(question)).ok().flatten()
}

/// Simulated time since the start of the run; `None` outside of a simulation.
pub fn now() -> Option<Duration> {
    ask(|place| place.now())
}

/// The host whose software runs.
pub fn host() -> Option<Arc<str>> {
    ask(|place| place.host()).flatten()
}
