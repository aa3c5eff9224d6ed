//! Helpers of core's own tests: random numbers from a seed, a clock that is moved by hand, and an executor
//! that runs futures on it. Core may not name a runtime, in tests neither.

pub(crate) mod outside;
pub(crate) mod witness;

use crate::clock::{Clock, Monotonic};
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// A clock that stands still until it is moved.
#[derive(Default)]
pub(crate) struct HandClock(Mutex<Hands>);

#[derive(Default)]
struct Hands {
    now: Duration,
    /// How far the wall clock was set ahead.
    ahead: Duration,
    sleepers: BTreeMap<(Duration, u64), Waker>,
    slept_count: u64,
}

impl HandClock {
    /// Sets the wall clock so far ahead of what it would be.
    pub fn set_wall_ahead(&self, ahead: Duration) {
        self.0.lock().unwrap().ahead = ahead;
    }

    /// Moves to the next sleeper that is due at `until` or before, and wakes it; else to `until`.
    fn advance(&self, until: Duration) -> bool {
        let mut hands = self.0.lock().unwrap();
        let due = hands.sleepers.first_key_value().map(|(key, _)| *key).filter(|(at, _)| *at <= until);
        hands.now = hands.now.max(due.map_or(until, |(at, _)| at));
        let waker = due.and_then(|key| hands.sleepers.remove(&key));
        drop(hands);
        if let Some(waker) = &waker {
            waker.wake_by_ref();
        }
        waker.is_some()
    }
}

#[async_trait]
impl Clock for HandClock {
    fn now(&self) -> Monotonic {
        Monotonic(self.0.lock().unwrap().now)
    }

    fn wall(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_second(1_795_000_000).unwrap() + self.now().0 + self.0.lock().unwrap().ahead
    }

    async fn sleep(&self, duration: Duration) {
        let due = self.now().0 + duration;
        let mut asleep = false;
        poll_fn(|cx| {
            let mut hands = self.0.lock().unwrap();
            if hands.now >= due {
                return Poll::Ready(());
            }
            // Once: there is one waker, and a sleeper for each poll would breed more of them.
            if !std::mem::replace(&mut asleep, true) {
                hands.slept_count += 1;
                let key = (due, hands.slept_count);
                hands.sleepers.insert(key, cx.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Runs tasks on a [`HandClock`], on this thread.
pub(crate) struct Bench<'a> {
    pub clock: Arc<HandClock>,
    tasks: Vec<Pin<Box<dyn Future<Output = ()> + 'a>>>,
    woken: Arc<Woken>,
}

impl<'a> Bench<'a> {
    pub fn new(clock: &Arc<HandClock>) -> Self {
        Self { clock: clock.clone(), tasks: Vec::new(), woken: Arc::new(Woken(AtomicBool::new(true))) }
    }

    /// Adds a task.
    pub fn spawn(&mut self, task: impl Future<Output = ()> + 'a) {
        self.tasks.push(Box::pin(task));
        self.woken.0.store(true, Ordering::SeqCst);
    }

    fn poll(&mut self) {
        let waker = Waker::from(self.woken.clone());
        let mut context = Context::from_waker(&waker);
        while self.woken.0.swap(false, Ordering::SeqCst) {
            self.tasks.retain_mut(|task| task.as_mut().poll(&mut context).is_pending());
        }
    }

    /// Lets this much time pass.
    pub fn run(&mut self, duration: Duration) {
        let until = self.clock.now().0 + duration;
        self.poll();
        while self.clock.advance(until) {
            self.poll();
        }
    }

    /// Runs until `work` ends, for at most ten minutes.
    pub fn finish<T: 'a>(&mut self, work: impl Future<Output = T> + 'a) -> T {
        let value = std::rc::Rc::new(std::cell::Cell::new(None));
        let slot = value.clone();
        self.spawn(async move { slot.set(Some(work.await)) });
        for _ in 0..6_000 {
            self.poll();
            if let Some(value) = value.take() {
                return value;
            }
            let next = self.clock.now().0 + Duration::from_millis(100);
            self.clock.advance(next);
        }
        panic!("does not end in ten minutes");
    }
}

/// A small generator (SplitMix64), so that a failing case is found again by its seed.
pub(crate) struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// A demotion token as CloudNativePG writes it.
pub(crate) fn token(timeline: u32, redo: &str) -> String {
    let json = serde_json::json!({
        "latestCheckpointTimelineID": timeline.to_string(),
        "latestCheckpointREDOLocation": redo,
        "databaseSystemIdentifier": "7711780216894003665",
    });
    base64(json.to_string().as_bytes())
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * i)) as usize & 63];
            text.push(if i <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    text
}
