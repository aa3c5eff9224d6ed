//! Turns of requests to one server: so many at once, and of those that wait the one that came last is the next.
//!
//! Whoever asks waits for so long and no longer. Where more is asked than a server can answer, the first to come would get its
//! turn when its time is all but over, and be given up in the middle of its request, as would everybody after it: a server
//! would be busy with nothing but requests that nobody waits for any more. Who came last has all of its time. The others ask
//! again soon after they were given up.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot::{Receiver, Sender, channel};

/// See the module.
pub(super) struct Turns(Mutex<Queue>);

struct Queue {
    free: usize,
    waiting: Vec<Sender<()>>,
    /// With so many, those that are gone are thrown out.
    cleared_at: usize,
}

/// The least of [`Queue::cleared_at`].
const CLEARED_AT_LEAST: usize = 64;

impl Turns {
    /// So many at once.
    pub fn new(at_once: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Queue { free: at_once, waiting: Vec::new(), cleared_at: CLEARED_AT_LEAST })))
    }

    /// Until it is one's turn, which lasts until what is given is dropped.
    pub async fn take(self: &Arc<Self>) -> Turn {
        let next = {
            let mut queue = self.queue();
            if queue.free > 0 {
                queue.free -= 1;
                return Turn(self.clone());
            }
            let (call, next) = channel();
            queue.push(call);
            next
        };
        let mut waiting = Waiting { turns: self, next, has_turn: false };
        // It is never dropped without a word: the queue lives as long as whoever waits in it.
        let _ = (&mut waiting.next).await;
        waiting.has_turn = true;
        Turn(self.clone())
    }

    fn end(&self) {
        let mut queue = self.queue();
        while let Some(call) = queue.waiting.pop() {
            if call.send(()).is_ok() {
                return;
            }
        }
        queue.free += 1;
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn push(&mut self, call: Sender<()>) {
        if self.waiting.len() >= self.cleared_at {
            self.waiting.retain(|call| !call.is_closed());
            self.cleared_at = CLEARED_AT_LEAST.max(2 * self.waiting.len());
        }
        self.waiting.push(call);
    }
}

/// One's turn.
pub(super) struct Turn(Arc<Turns>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Whoever waits. Given up at the moment of its turn, it hands that on.
struct Waiting<'a> {
    turns: &'a Turns,
    next: Receiver<()>,
    has_turn: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.next.close();
        if !self.has_turn && self.next.try_recv().is_ok() {
            self.turns.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::pin::pin;

    #[test]
    fn who_came_last_is_the_next_and_who_was_given_up_is_passed_over() {
        let turns = Turns::new(1);
        let first = turns.take().now_or_never().unwrap();
        let (mut second, mut third) = (pin!(turns.take()), pin!(turns.take()));
        assert!(second.as_mut().now_or_never().is_none() && third.as_mut().now_or_never().is_none());
        {
            let mut fourth = pin!(turns.take());
            assert!(fourth.as_mut().now_or_never().is_none());
        }
        drop(first);
        assert!(second.as_mut().now_or_never().is_none());
        drop(third.now_or_never().expect("the last of those that wait"));
        drop(second.now_or_never().expect("then the one before"));
        assert!(turns.take().now_or_never().is_some());
    }

    #[test]
    fn a_turn_that_came_too_late_is_handed_on() {
        let turns = Turns::new(1);
        let first = turns.take().now_or_never().unwrap();
        let mut second = pin!(turns.take());
        assert!(second.as_mut().now_or_never().is_none());
        {
            let mut third = Box::pin(turns.take());
            assert!(third.as_mut().now_or_never().is_none());
            // Its turn has come, and it is dropped before it looks.
            drop(first);
        }
        assert!(second.now_or_never().is_some());
        assert!(turns.take().now_or_never().is_some());
    }

    #[test]
    fn whoever_was_given_up_leaves_nothing_behind() {
        let turns = Turns::new(1);
        let _first = turns.take().now_or_never().unwrap();
        for _ in 0..10_000 {
            assert!(turns.take().now_or_never().is_none());
        }
        assert!(turns.queue().waiting.len() <= CLEARED_AT_LEAST);
    }
}
