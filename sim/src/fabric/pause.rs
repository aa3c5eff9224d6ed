//! Pausing a host: its futures are not polled meanwhile, and those that wanted to be are woken afterwards.
//! Time goes on, so its timers fire late.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

/// Lets a host's futures run, or holds them.
pub(super) struct Pause {
    /// The host.
    pub(super) host: Arc<str>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    paused: bool,
    next: u64,
    /// Of the futures that wanted to run meanwhile, in the order of their making.
    held: BTreeMap<u64, Waker>,
}

impl Pause {
    pub(super) fn new(host: &str) -> Arc<Self> {
        Arc::new(Pause { host: host.into(), state: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds this")
    }

    pub(super) fn pause(&self) {
        self.lock().paused = true;
    }

    pub(super) fn resume(&self) {
        let held = {
            let mut state = self.lock();
            state.paused = false;
            std::mem::take(&mut state.held)
        };
        held.into_values().for_each(Waker::wake);
    }

    /// Its host is gone, and so are the futures.
    pub(super) fn clear(&self) {
        let mut state = self.lock();
        state.paused = false;
        state.held.clear();
    }

    pub(super) fn hold<F: Future<Output = ()> + ?Sized>(self: &Arc<Self>, work: Pin<Box<F>>) -> Held<F> {
        let mut state = self.lock();
        state.next += 1;
        Held { pause: self.clone(), number: state.next, work }
    }
}

/// A future that runs unless its host is paused.
pub(super) struct Held<F: ?Sized> {
    pause: Arc<Pause>,
    number: u64,
    work: Pin<Box<F>>,
}

impl<F: Future<Output = ()> + ?Sized> Future for Held<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        {
            let mut state = self.pause.lock();
            if state.paused {
                state.held.insert(self.number, cx.waker().clone());
                return Poll::Pending;
            }
        }
        self.work.as_mut().poll(cx)
    }
}
