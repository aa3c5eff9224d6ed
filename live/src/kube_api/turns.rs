//! Turns of requests to one server: so many at once. Of those that wait the one with the greatest rank is the next, and of equals
//! the one that came last.
//!
//! Whoever asks waits for so long and no longer. Where more is asked than a server can answer, the first to come would get its
//! turn when its time is all but over, and be given up in the middle of its request, as would everybody after it: a server
//! would be busy with nothing but requests that nobody waits for any more. Who came last has all of its time. The others ask
//! again soon after they were given up.
//!
//! Where a rank says who is the next, keepers wait as long as it takes: their time begins with their turn. That of a status runs
//! while it waits, and now and then one is given up in mid-request; in the next round it is asked again.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot::{Receiver, Sender, channel};

/// See the module. `Turns<()>`: all are equal.
pub(super) struct Turns<Rank: Ord>(Mutex<Queue<Rank>>);

struct Queue<Rank> {
    free: usize,
    waiting: BinaryHeap<Call<Rank>>,
    /// How many came.
    came: u64,
    /// With so many, those that are gone are thrown out.
    cleared_at: usize,
}

/// One that waits.
struct Call<Rank> {
    rank: Rank,
    number: u64,
    call: Sender<()>,
}

/// The least of [`Queue::cleared_at`].
const CLEARED_AT_LEAST: usize = 64;

impl<Rank: Ord> Turns<Rank> {
    /// So many at once.
    pub fn new(at_once: usize) -> Arc<Self> {
        let queue = Queue { free: at_once, waiting: BinaryHeap::new(), came: 0, cleared_at: CLEARED_AT_LEAST };
        Arc::new(Self(Mutex::new(queue)))
    }

    /// Until it is one's turn, which lasts until what is given is dropped.
    pub async fn take(self: &Arc<Self>, rank: Rank) -> Turn<Rank> {
        let next = {
            let mut queue = self.queue();
            if queue.free > 0 {
                queue.free -= 1;
                return Turn(self.clone());
            }
            let (call, next) = channel();
            queue.push(rank, call);
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
        while let Some(next) = queue.waiting.pop() {
            if next.call.send(()).is_ok() {
                return;
            }
        }
        queue.free += 1;
    }

    fn queue(&self) -> MutexGuard<'_, Queue<Rank>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<Rank: Ord> Queue<Rank> {
    fn push(&mut self, rank: Rank, call: Sender<()>) {
        if self.waiting.len() >= self.cleared_at {
            self.waiting.retain(|waiting| !waiting.call.is_closed());
            self.cleared_at = CLEARED_AT_LEAST.max(2 * self.waiting.len());
        }
        self.came += 1;
        self.waiting.push(Call { rank, number: self.came, call });
    }
}

impl<Rank: Ord> Ord for Call<Rank> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank.cmp(&other.rank).then(self.number.cmp(&other.number))
    }
}

impl<Rank: Ord> PartialOrd for Call<Rank> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<Rank: Ord> PartialEq for Call<Rank> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<Rank: Ord> Eq for Call<Rank> {}

/// One's turn.
pub(super) struct Turn<Rank: Ord>(Arc<Turns<Rank>>);

impl<Rank: Ord> Drop for Turn<Rank> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Whoever waits. Given up at the moment of its turn, it hands that on.
struct Waiting<'a, Rank: Ord> {
    turns: &'a Turns<Rank>,
    next: Receiver<()>,
    has_turn: bool,
}

impl<Rank: Ord> Drop for Waiting<'_, Rank> {
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
        let first = turns.take(()).now_or_never().unwrap();
        let (mut second, mut third) = (pin!(turns.take(())), pin!(turns.take(())));
        assert!(second.as_mut().now_or_never().is_none() && third.as_mut().now_or_never().is_none());
        {
            let mut fourth = pin!(turns.take(()));
            assert!(fourth.as_mut().now_or_never().is_none());
        }
        drop(first);
        assert!(second.as_mut().now_or_never().is_none());
        drop(third.now_or_never().expect("the last of those that wait"));
        drop(second.now_or_never().expect("then the one before"));
        assert!(turns.take(()).now_or_never().is_some());
    }

    #[test]
    fn a_greater_rank_is_served_before_whoever_came_later() {
        let turns = Turns::new(1);
        let first = turns.take(0).now_or_never().unwrap();
        let (mut low, mut high, mut last) = (pin!(turns.take(1)), pin!(turns.take(3)), pin!(turns.take(2)));
        assert!(low.as_mut().now_or_never().is_none());
        assert!(high.as_mut().now_or_never().is_none());
        assert!(last.as_mut().now_or_never().is_none());
        drop(first);
        drop(high.now_or_never().expect("the highest rank"));
        drop(last.now_or_never().expect("the next"));
        assert!(low.now_or_never().is_some());
    }

    #[test]
    fn a_turn_that_came_too_late_is_handed_on() {
        let turns = Turns::new(1);
        let first = turns.take(()).now_or_never().unwrap();
        let mut second = pin!(turns.take(()));
        assert!(second.as_mut().now_or_never().is_none());
        {
            let mut third = Box::pin(turns.take(()));
            assert!(third.as_mut().now_or_never().is_none());
            // Its turn has come, and it is dropped before it looks.
            drop(first);
        }
        assert!(second.now_or_never().is_some());
        assert!(turns.take(()).now_or_never().is_some());
    }

    #[test]
    fn whoever_was_given_up_leaves_nothing_behind() {
        let turns = Turns::new(1);
        let _first = turns.take(()).now_or_never().unwrap();
        for _ in 0..10_000 {
            assert!(turns.take(()).now_or_never().is_none());
        }
        assert!(turns.queue().waiting.len() <= CLEARED_AT_LEAST);
    }
}
