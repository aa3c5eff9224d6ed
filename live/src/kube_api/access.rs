//! How an API server is asked: through which client, by how many requests at once, and whether still.

use super::turns::Turns;
use continuum_core::ports::{self, Rank};
use http::{Method, Request};
use kube::Client;
use kube::client::Body;
use std::cmp::Reverse;
use std::future::pending;
use std::sync::Arc;
use tokio::time::Instant;
use tower::{BoxError, service_fn};

/// Reads, and writes, that are under way to one server at once; others wait for their turn. A request that is given up ends
/// its connection, so without a bound a server that answers late is asked over as many new connections as there are
/// Continuums, which keeps it late. No write waits for a read.
const AT_ONCE: usize = 16;

/// Statuses that are under way to one server at once. They are most of what is written, cost a server more than anything else,
/// and can wait: with as many of them as of others, a busy server renews half of what it could. A server that takes 50 ms for
/// one lets a thousand controllers say every ten seconds that they live.
const STATUSES_AT_ONCE: usize = 8;

/// Requests of keepers, of one kind, that are under way to a witness's server at once. They pass the turns above as well, which
/// they find free but for what is asked of the register beside them: a move's looks, and dry runs.
const KEEPERS_AT_ONCE: usize = AT_ONCE;

/// What a request waits behind: none of another kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    Reads,
    Writes,
    /// By when whoever writes it wrote the last one; absent: it has written none. With the last come first, a busy server would
    /// be told over and over of some, and of others never.
    Statuses(Option<Instant>),
}

/// What requests of one Continuum pass before they are sent.
pub trait Barrier: Send + Sync {
    /// What is held until the request has its answer; absent: it must not be sent any more.
    fn pass(&self) -> Option<Box<dyn Send + Sync>>;
}

/// The least rank is the next.
type KeeperTurns = Turns<Reverse<Rank>>;

/// See the module.
#[derive(Clone)]
pub struct Access {
    client: Client,
    reads: Arc<Turns<()>>,
    writes: Arc<Turns<()>>,
    statuses: Arc<Turns<Reverse<Option<Instant>>>>,
    keepers_read: Arc<KeeperTurns>,
    keepers_write: Arc<KeeperTurns>,
    barrier: Option<Arc<dyn Barrier>>,
}

impl Access {
    /// Through `client`. Clones wait for each other's turns.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            reads: Turns::new(AT_ONCE),
            writes: Turns::new(AT_ONCE),
            statuses: Turns::new(STATUSES_AT_ONCE),
            keepers_read: Turns::new(KEEPERS_AT_ONCE),
            keepers_write: Turns::new(KEEPERS_AT_ONCE),
            barrier: None,
        }
    }

    /// The same server in the same turns, as long as `barrier` lets it.
    #[must_use]
    pub fn behind(&self, barrier: Arc<dyn Barrier>) -> Self {
        Self { barrier: Some(barrier), ..self.clone() }
    }

    /// The client, for what waits for no turn.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// A client whose requests wait for their turns.
    pub fn in_turns(&self) -> Client {
        let namespace = self.client.default_namespace().to_owned();
        let access = self.clone();
        let service = service_fn(move |request: Request<Body>| {
            let access = access.clone();
            async move {
                let line = if *request.method() == Method::GET { Line::Reads } else { Line::Writes };
                let _turn = access.turn(line).await;
                Ok::<_, BoxError>(access.client.send(request).await?)
            }
        });
        Client::new(service, namespace)
    }

    /// The turn of a keeper of this rank, to read.
    pub(crate) async fn to_read(&self, rank: Rank) -> ports::Turn {
        self.keepers(&self.keepers_read, rank).await
    }

    /// The turn of a keeper of this rank, to write.
    pub(crate) async fn to_write(&self, rank: Rank) -> ports::Turn {
        self.keepers(&self.keepers_write, rank).await
    }

    async fn keepers(&self, turns: &Arc<KeeperTurns>, rank: Rank) -> ports::Turn {
        let turn = turns.take(Reverse(rank)).await;
        if self.barrier.as_ref().is_some_and(|barrier| barrier.pass().is_none()) {
            // Its request would wait for ever, and keep others from theirs.
            drop(turn);
            return pending().await;
        }
        Box::new(turn)
    }

    /// Until a request may be sent; for ever where it may not be any more: an error would be something to conclude from.
    pub(super) async fn turn(&self, line: Line) -> Turn {
        let turn: Box<dyn Send + Sync> = match line {
            Line::Reads => Box::new(self.reads.take(()).await),
            Line::Writes => Box::new(self.writes.take(()).await),
            Line::Statuses(last) => Box::new(self.statuses.take(Reverse(last)).await),
        };
        let passed = match &self.barrier {
            None => None,
            Some(barrier) => match barrier.pass() {
                Some(passed) => Some(passed),
                None => {
                    drop(turn);
                    return pending().await;
                }
            },
        };
        Turn { _passed: passed, _turn: turn }
    }
}

/// A request that is under way.
pub(super) struct Turn {
    _passed: Option<Box<dyn Send + Sync>>,
    _turn: Box<dyn Send + Sync>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use continuum_core::clock::Monotonic;
    use futures_util::FutureExt;
    use futures_util::future::join_all;
    use http::Response;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    /// A server that takes a second for each answer, and what it was asked: at once, at most, and altogether.
    fn slow(asked: Arc<[AtomicUsize; 3]>) -> Client {
        let service = service_fn(move |_: Request<Body>| {
            let asked = asked.clone();
            async move {
                let [now, most, all] = &*asked;
                most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                all.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_secs(1)).await;
                now.fetch_sub(1, Ordering::Relaxed);
                Ok::<_, BoxError>(Response::new(Body::from(b"{}".to_vec())))
            }
        });
        Client::new(service, "default")
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_than_a_few_are_under_way_and_what_was_given_up_is_never_sent() {
        let asked: Arc<[AtomicUsize; 3]> = Arc::default();
        let client = Access::new(slow(asked.clone())).in_turns();
        let requests = (0..10 * AT_ONCE).map(|_| {
            let request = Request::get("/version").body(Vec::new()).unwrap();
            tokio::time::timeout(Duration::from_millis(2500), client.request::<serde_json::Value>(request))
        });
        let answered = join_all(requests).await.into_iter().filter(Result::is_ok).count();
        let [_, most, all] = &*asked;
        assert_eq!((answered, most.load(Ordering::Relaxed)), (2 * AT_ONCE, AT_ONCE));
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(all.load(Ordering::Relaxed), 3 * AT_ONCE);
    }

    #[tokio::test(start_paused = true)]
    async fn no_write_waits_for_a_read() {
        let client = Access::new(slow(Arc::default())).in_turns();
        let send = |method: Method| {
            let request = Request::builder().method(method).uri("/version").body(Vec::new()).unwrap();
            client.request::<serde_json::Value>(request)
        };
        let reads = join_all((0..10 * AT_ONCE).map(|_| send(Method::GET)));
        let write = tokio::time::timeout(Duration::from_millis(1100), send(Method::PATCH));
        let (_, written) = futures_util::future::join(reads, write).await;
        assert!(written.is_ok());
    }

    #[tokio::test]
    async fn few_statuses_are_under_way_and_no_other_write_waits_for_one() {
        let access = Access::new(slow(Arc::default()));
        let mut statuses = Vec::new();
        while let Some(turn) = access.turn(Line::Statuses(None)).now_or_never() {
            statuses.push(turn);
        }
        assert_eq!(statuses.len(), STATUSES_AT_ONCE);
        let now = Instant::now();
        let mut lately = Box::pin(access.turn(Line::Statuses(Some(now))));
        let mut long_ago = Box::pin(access.turn(Line::Statuses(Some(now - Duration::from_secs(9)))));
        assert!(long_ago.as_mut().now_or_never().is_none() && lately.as_mut().now_or_never().is_none());
        statuses.pop();
        assert!(lately.as_mut().now_or_never().is_none() && long_ago.as_mut().now_or_never().is_some());
        let writes: Vec<_> = (0..AT_ONCE).filter_map(|_| access.turn(Line::Writes).now_or_never()).collect();
        assert_eq!(writes.len(), AT_ONCE);
    }

    #[tokio::test]
    async fn of_keepers_that_wait_the_one_that_has_been_due_for_the_longest_is_the_next() {
        let access = Access::new(slow(Arc::default()));
        let due = |seconds| Rank::Due(Monotonic(Duration::from_secs(seconds)));
        let mut under_way: Vec<_> =
            (0..KEEPERS_AT_ONCE).filter_map(|_| access.to_write(due(1)).now_or_never()).collect();
        let (mut early, mut late) = (Box::pin(access.to_write(due(2))), Box::pin(access.to_write(due(3))));
        let mut awaited = Box::pin(access.to_write(Rank::Awaited(Monotonic(Duration::from_secs(4)))));
        assert!(early.as_mut().now_or_never().is_none() && late.as_mut().now_or_never().is_none());
        assert!(awaited.as_mut().now_or_never().is_none());
        under_way.pop();
        assert!(early.as_mut().now_or_never().is_none() && late.as_mut().now_or_never().is_none());
        let of_a_move = awaited.as_mut().now_or_never();
        assert!(of_a_move.is_some(), "what a move needs is before all that is due");
        under_way.pop();
        assert!(late.as_mut().now_or_never().is_none());
        assert!(early.as_mut().now_or_never().is_some());
        assert!(access.to_read(due(9)).now_or_never().is_some(), "who reads waits for nobody who writes");
    }

    /// Lets nothing pass.
    struct Closed;

    impl Barrier for Closed {
        fn pass(&self) -> Option<Box<dyn Send + Sync>> {
            None
        }
    }

    #[tokio::test]
    async fn a_keeper_that_may_send_nothing_any_more_takes_nobodys_turn() {
        let access = Access::new(slow(Arc::default()));
        let closed = access.behind(Arc::new(Closed));
        let rank = Rank::Due(Monotonic::default());
        let mut ended: Vec<_> = (0..2 * KEEPERS_AT_ONCE).map(|_| Box::pin(closed.to_write(rank))).collect();
        assert!(ended.iter_mut().all(|one| one.as_mut().now_or_never().is_none()));
        assert!(access.to_write(rank).now_or_never().is_some());
    }
}
