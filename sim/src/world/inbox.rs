//! Where the conductor of a run leaves what the software of a host is to do, and where the answer will be. It stands
//! outside of the host, so what was left outlives a crash of it; what it was at does not.

use futures_util::StreamExt;
use futures_util::future::{LocalBoxFuture, select};
use futures_util::stream::FuturesUnordered;
use std::pin::pin;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// What was asked and not answered yet.
pub struct Awaited<T>(Receiver<Result<T, String>>);

/// Where it stands.
pub enum Answered<T> {
    /// Not answered yet.
    NotYet,
    /// Answered.
    With(Result<T, String>),
    /// Who was asked died with it.
    Lost,
}

impl<T> Awaited<T> {
    /// Looks, without waiting.
    pub fn look(&self) -> Answered<T> {
        match self.0.try_recv() {
            Ok(answer) => Answered::With(answer),
            Err(TryRecvError::Empty) => Answered::NotYet,
            Err(TryRecvError::Disconnected) => Answered::Lost,
        }
    }
}

/// What is asked, with the place where its answer will be.
pub fn awaited<T, Q>(question: impl FnOnce(Sender<Result<T, String>>) -> Q) -> (Q, Awaited<T>) {
    let (answer, waiting) = channel();
    (question(answer), Awaited(waiting))
}

/// Of one host. Clones are the same.
pub struct Inbox<Q> {
    waiting: Arc<Mutex<Vec<Q>>>,
    bell: Arc<Notify>,
}

impl<Q> Clone for Inbox<Q> {
    fn clone(&self) -> Self {
        Self { waiting: self.waiting.clone(), bell: self.bell.clone() }
    }
}

impl<Q> Default for Inbox<Q> {
    fn default() -> Self {
        Self { waiting: Arc::default(), bell: Arc::default() }
    }
}

impl<Q> Inbox<Q> {
    /// Leaves something. A host that is down finds it when it starts.
    pub fn leave(&self, question: Q) {
        self.waiting.lock().expect("nothing panics while it holds the inbox").push(question);
        self.bell.notify_one();
    }

    fn take(&self) -> Vec<Q> {
        std::mem::take(&mut *self.waiting.lock().expect("nothing panics while it holds the inbox"))
    }

    /// Has everything done, side by side. Runs for ever.
    pub(super) async fn serve<'a>(&self, carry_out: impl Fn(Q) -> LocalBoxFuture<'a, ()>) {
        let mut at_work: FuturesUnordered<LocalBoxFuture<'a, ()>> = FuturesUnordered::new();
        loop {
            at_work.extend(self.take().into_iter().map(&carry_out));
            let heard = pin!(self.bell.notified());
            if at_work.is_empty() {
                heard.await;
            } else {
                select(heard, at_work.next()).await;
            }
        }
    }
}
