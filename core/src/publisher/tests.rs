use super::*;
use crate::audit::{About, EventQuery, lease_acquired};
use crate::observe::{FoundEvent, Seen, StreamView};
use crate::preflight::fixture::{self, fsn};
use crate::testing::{Bench, HandClock};
use async_trait::async_trait;
use std::collections::VecDeque;

const LIMIT: Duration = Duration::from_secs(3);

/// What becomes of a publish.
#[derive(Clone, Copy)]
enum Fate {
    Acknowledged,
    /// Stored, and the answer is lost.
    Silent,
    /// Not stored, and there is no answer.
    Lost,
    Full,
}

/// A stream that drops a repeat for two minutes, as the real one does.
#[derive(Default)]
struct Stream {
    clock: Arc<HandClock>,
    stored: Mutex<Vec<(String, Monotonic)>>,
    fates: Mutex<VecDeque<Fate>>,
    searches: Mutex<Vec<EventQuery>>,
    unreadable: Mutex<bool>,
}

#[async_trait]
impl ObserveAudit for Stream {
    async fn stream(&self) -> Seen<StreamView> {
        Seen::NotLooked
    }

    async fn find(&self, query: &EventQuery) -> Result<Option<FoundEvent>, String> {
        self.searches.lock().unwrap().push(query.clone());
        if *self.unreadable.lock().unwrap() {
            return Err("no consumer may be made".into());
        }
        let there = self.stored.lock().unwrap().iter().any(|(id, _)| Some(id) == query.message_id.as_ref());
        Ok(there.then_some(FoundEvent { sequence: 1, at: self.clock.wall() }))
    }
}

#[async_trait]
impl PublishAudit for Stream {
    async fn publish(&self, event: &Event) -> Outcome<u64> {
        let fate = self.fates.lock().unwrap().pop_front().unwrap_or(Fate::Acknowledged);
        let store = || {
            let now = self.clock.now();
            let mut stored = self.stored.lock().unwrap();
            let known =
                |(id, at): &(String, Monotonic)| *id == event.message_id && now.since(*at) < Duration::from_secs(120);
            if !stored.iter().any(known) {
                stored.push((event.message_id.clone(), now));
            }
        };
        match fate {
            Fate::Acknowledged => store(),
            Fate::Silent => {
                store();
                std::future::pending::<()>().await;
            }
            Fate::Lost => std::future::pending::<()>().await,
            Fate::Full => return Outcome::NotApplied("full".into()),
        }
        Outcome::Done(1)
    }
}

struct Rig {
    bench: Bench<'static>,
    stream: Arc<Stream>,
    publisher: Arc<Publisher>,
}

impl Rig {
    fn new() -> Self {
        let clock = Arc::new(HandClock::default());
        let stream = Arc::new(Stream { clock: clock.clone(), ..Stream::default() });
        let publisher = Self::process(&clock, &stream);
        Self { bench: Bench::new(&clock), stream, publisher }
    }

    fn process(clock: &Arc<HandClock>, stream: &Arc<Stream>) -> Arc<Publisher> {
        Arc::new(Publisher::new(fixture::shop(), clock.clone(), Some(stream.clone()), Some(stream.clone())))
    }

    fn restart(&mut self) {
        self.publisher = Self::process(&self.bench.clock, &self.stream);
    }

    fn fate(&self, fate: Fate) {
        self.stream.fates.lock().unwrap().push_back(fate);
    }

    fn publish(&mut self, event: &Event, before: Before) -> Outcome {
        let (publisher, event) = (self.publisher.clone(), event.clone());
        self.bench.finish(async move { publisher.publish(&event, before, LIMIT).await })
    }

    fn searches(&self) -> usize {
        self.stream.searches.lock().unwrap().len()
    }

    fn stored(&self) -> usize {
        self.stream.stored.lock().unwrap().len()
    }
}

fn event() -> Event {
    let name = fixture::shop();
    let at = jiff::Timestamp::from_second(1_795_000_000).unwrap();
    lease_acquired(About { continuum: &name, application: "shop" }, &fsn(), 4, at)
}

#[test]
fn what_nobody_published_before_is_published_without_a_search() {
    let mut rig = Rig::new();
    assert_eq!(rig.publish(&event(), Before::Us), Outcome::Done(()));
    assert_eq!(rig.publish(&event(), Before::Us), Outcome::Done(()), "it is known to be there");
    rig.bench.run(Duration::from_secs(300));
    assert_eq!(rig.publish(&event(), Before::Us), Outcome::Done(()));
    assert_eq!((rig.stored(), rig.searches()), (1, 0));
}

#[test]
fn a_lost_answer_is_repeated_soon_and_searched_for_late() {
    let mut rig = Rig::new();
    rig.fate(Fate::Silent);
    assert!(matches!(rig.publish(&event(), Before::Us), Outcome::Unknown(_)));
    rig.fate(Fate::Silent);
    assert!(matches!(rig.publish(&event(), Before::Us), Outcome::Unknown(_)));
    assert_eq!(rig.searches(), 0, "the stream drops the repeat");
    rig.bench.run(Duration::from_secs(300));
    assert_eq!(rig.publish(&event(), Before::Us), Outcome::Done(()));
    assert_eq!((rig.stored(), rig.searches()), (1, 1));
}

#[test]
fn one_that_was_lost_is_published_after_the_search() {
    let mut rig = Rig::new();
    rig.fate(Fate::Lost);
    assert!(matches!(rig.publish(&event(), Before::Us), Outcome::Unknown(_)));
    rig.bench.run(Duration::from_secs(300));
    rig.fate(Fate::Lost);
    assert!(matches!(rig.publish(&event(), Before::Us), Outcome::Unknown(_)));
    assert_eq!(rig.publish(&event(), Before::Us), Outcome::Done(()));
    assert_eq!((rig.stored(), rig.searches()), (1, 1), "a search begins the minute anew");
}

#[test]
fn a_stream_that_stored_nothing_need_not_be_searched() {
    let mut rig = Rig::new();
    for _ in 0..3 {
        rig.fate(Fate::Full);
        assert!(matches!(rig.publish(&event(), Before::Us), Outcome::NotApplied(_)));
        rig.bench.run(Duration::from_secs(100));
    }
    assert_eq!(rig.publish(&event(), Before::Us), Outcome::Done(()));
    assert_eq!((rig.stored(), rig.searches()), (1, 0));
}

#[test]
fn what_another_process_may_have_published_is_searched_for_once_and_not_before_it_happened() {
    let mut rig = Rig::new();
    rig.publish(&event(), Before::Us);
    rig.bench.run(Duration::from_secs(1000));
    rig.restart();
    assert_eq!(rig.publish(&event(), Before::Others), Outcome::Done(()));
    assert_eq!((rig.stored(), rig.searches()), (1, 1));
    let window = rig.stream.searches.lock().unwrap()[0].window_seconds;
    assert!((1300..1310).contains(&window), "{window} s");
    rig.stream.stored.lock().unwrap().clear();
    rig.restart();
    rig.fate(Fate::Full);
    assert!(matches!(rig.publish(&event(), Before::Others), Outcome::NotApplied(_)));
    assert_eq!(rig.publish(&event(), Before::Others), Outcome::Done(()));
    assert_eq!((rig.stored(), rig.searches()), (1, 2));
}

#[test]
fn where_it_cannot_be_searched_nothing_is_published() {
    let mut rig = Rig::new();
    *rig.stream.unreadable.lock().unwrap() = true;
    assert!(matches!(rig.publish(&event(), Before::Others), Outcome::NotApplied(_)));
    assert_eq!(rig.stored(), 0);
}
