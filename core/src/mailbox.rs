//! Passing things between the tasks of one Continuum without a runtime: a one-shot slot, and a bell that
//! one task waits for. Core may not name tokio, and both are a few lines over an atomic waker.

use futures_util::future::{Either, select};
use futures_util::task::AtomicWaker;
use std::future::Future;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

/// Rings until its one listener heard it. Ringing twice before that is ringing once.
#[derive(Default)]
pub struct Bell {
    rung: AtomicBool,
    listener: AtomicWaker,
}

impl Bell {
    /// Rings.
    pub fn ring(&self) {
        self.rung.store(true, Ordering::Release);
        self.listener.wake();
    }

    /// Waits for a ring, one from before this call included. One listener at a time.
    pub async fn heard(&self) {
        poll_fn(|cx| {
            self.listener.register(cx.waker());
            if self.rung.swap(false, Ordering::AcqRel) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

struct Shared<T> {
    value: Mutex<Option<T>>,
    gone: AtomicBool,
    reader: AtomicWaker,
}

/// The end that puts a value in.
pub struct Slot<T>(Arc<Shared<T>>);

/// The end that waits for it.
pub struct Waiting<T>(Arc<Shared<T>>);

/// A slot for one value.
pub fn slot<T>() -> (Slot<T>, Waiting<T>) {
    let shared = Arc::new(Shared { value: Mutex::new(None), gone: AtomicBool::new(false), reader: AtomicWaker::new() });
    (Slot(shared.clone()), Waiting(shared))
}

impl<T> Slot<T> {
    /// Puts the value in.
    pub fn put(self, value: T) {
        *self.0.value.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
    }
}

impl<T> Drop for Slot<T> {
    fn drop(&mut self) {
        self.0.gone.store(true, Ordering::Release);
        self.0.reader.wake();
    }
}

impl<T> Waiting<T> {
    /// The value; `None` where the other end was dropped without one.
    pub async fn value(self) -> Option<T> {
        poll_fn(|cx| {
            self.0.reader.register(cx.waker());
            if !self.0.gone.load(Ordering::Acquire) {
                return Poll::Pending;
            }
            Poll::Ready(self.0.value.lock().unwrap_or_else(PoisonError::into_inner).take())
        })
        .await
    }
}

/// A caller's wish that an operation stop. Read-only operations and waits honour it at once.
#[derive(Default)]
pub struct Cancel {
    wanted: AtomicBool,
    waiter: AtomicWaker,
}

impl Cancel {
    /// Cancels.
    pub fn cancel(&self) {
        self.wanted.store(true, Ordering::Release);
        self.waiter.wake();
    }

    /// The value of `work`; `None` where it was cancelled first.
    pub async fn unless<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let cancelled = poll_fn(|cx| {
            self.waiter.register(cx.waker());
            if self.wanted.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
        });
        match select(pin!(cancelled), pin!(work)).await {
            Either::Left(_) => None,
            Either::Right((value, _)) => Some(value),
        }
    }
}
