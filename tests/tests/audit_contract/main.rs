//! What the audit ports promise: one suite, against the simulated stream and against a real nats-server.
#![expect(clippy::unwrap_used, reason = "the cases of a suite are tests, though each is called by two")]

mod credentials;
mod model;
mod real;
mod types;

use self::types::each_of_the_twelve_types_is_published_and_read_back_as_it_was;
use async_trait::async_trait;
use continuum_core::audit::{Event, EventBody, EventQuery, EventType};
use continuum_core::name::{ObjectName, Region};
use continuum_core::observe::{Seen, StreamView};
use continuum_core::ports::{ObserveAudit, Outcome, PublishAudit};
use futures_util::future::LocalBoxFuture;
use std::time::Duration;

/// The ports under test.
trait Ports: ObserveAudit + PublishAudit {}

impl<T: ObserveAudit + PublishAudit> Ports for T {}

/// What is done to the server from outside, and seen in it.
#[async_trait(?Send)]
trait Server {
    /// Ids of all messages, in order.
    async fn ids(&self) -> Vec<String>;
    /// Header names and values of the message of this sequence, by name.
    async fn headers(&self, sequence: u64) -> Vec<(String, String)>;
    /// The body of the message of this sequence.
    async fn body(&self, sequence: u64) -> String;
    /// No room is left, or there is room again.
    async fn fill(&self, full: bool);
    /// The stream is gone.
    async fn delete_stream(&self);
    /// The server is killed without a warning, and comes back.
    async fn die_and_return(&self);
    /// Time passes.
    async fn pass(&self, time: Duration);
}

type Case = for<'a> fn(&'a dyn Ports, &'a dyn Server) -> LocalBoxFuture<'a, ()>;

/// A test of each case on each server.
macro_rules! suite {
    ($($case:ident)*) => {
        mod simulated {
            $(#[test] fn $case() { super::model::play(|ports, server| super::$case(ports, server).boxed_local()); })*
            use futures_util::FutureExt;
        }
        mod on_a_real_server {
            $(#[test] fn $case() { super::real::play(|ports, server| super::$case(ports, server).boxed_local()); })*
            use futures_util::FutureExt;
        }
    };
}

suite! {
    an_acknowledged_event_is_in_the_stream_with_its_headers
    each_of_the_twelve_types_is_published_and_read_back_as_it_was
    a_repeat_is_acknowledged_and_not_stored_again
    the_newest_event_that_fits_is_found_among_others_within_the_window
    an_event_beyond_one_pull_is_found
    nothing_is_found_in_an_empty_stream
    a_full_stream_stores_nothing_and_takes_the_event_once_there_is_room
    a_missing_stream_is_missing_and_takes_nothing
    events_and_their_ids_survive_the_death_of_the_server
}

fn event(id: &str, to: &str) -> Event {
    let body = EventBody {
        kind: EventType::Switchover,
        continuum_name: "shop/shop".into(),
        application_name: "shop".into(),
        from_primary: Some(Region::new("fsn")),
        to_primary: Some(Region::new(to)),
        lag_seconds: None,
        step: "7/7".into(),
        reason: "operator-requested".into(),
        message: String::new(),
        initiated_by: "controller".into(),
        timestamp: "2026-01-01T00:00:00Z".parse().expect("a valid time"),
    };
    Event { message_id: id.into(), body }
}

fn switchover_to(to: &str) -> EventQuery {
    EventQuery {
        continuum: ObjectName::new("shop", "shop"),
        kind: EventType::Switchover,
        from: Some(Region::new("fsn")),
        to: Some(Region::new(to)),
        message_id: None,
        window_seconds: 300,
    }
}

async fn an_acknowledged_event_is_in_the_stream_with_its_headers(ports: &dyn Ports, server: &dyn Server) {
    assert_eq!(ports.publish(&event("a", "hel")).await, Outcome::Done(1));
    let headers = [
        ("Nats-Msg-Id", "a"),
        ("application-name", "shop"),
        ("audit-type", "continuum-switchover"),
        ("continuum-name", "shop/shop"),
    ];
    assert_eq!(server.headers(1).await, headers.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(ports.stream().await, Seen::Is(StreamView { name: "AUDIT".into(), message_count: 1 }));
}

async fn a_repeat_is_acknowledged_and_not_stored_again(ports: &dyn Ports, server: &dyn Server) {
    for _ in 0..3 {
        assert_eq!(ports.publish(&event("a", "hel")).await, Outcome::Done(1));
    }
    assert_eq!(server.ids().await, ["a"]);
}

async fn the_newest_event_that_fits_is_found_among_others_within_the_window(ports: &dyn Ports, server: &dyn Server) {
    for (id, to) in [("a", "hel"), ("b", "nbg"), ("c", "hel"), ("d", "nbg")] {
        ports.publish(&event(id, to)).await;
    }
    let found = ports.find(&switchover_to("hel")).await.unwrap().unwrap();
    assert_eq!(found.sequence, 3);
    let first = EventQuery { message_id: Some("a".into()), ..switchover_to("hel") };
    assert_eq!(ports.find(&first).await.unwrap().unwrap().sequence, 1);
    let ours = EventQuery { continuum: ObjectName::new("shop", "other"), ..switchover_to("hel") };
    assert_eq!(ports.find(&ours).await, Ok(None));
    server.pass(Duration::from_secs(3)).await;
    assert_eq!(ports.find(&EventQuery { window_seconds: 2, ..switchover_to("hel") }).await, Ok(None));
    ports.publish(&event("e", "nbg")).await;
    assert_eq!(ports.find(&EventQuery { window_seconds: 2, ..switchover_to("hel") }).await, Ok(None));
}

async fn an_event_beyond_one_pull_is_found(ports: &dyn Ports, _: &dyn Server) {
    for i in 0..300 {
        ports.publish(&event(&format!("{i}"), "hel")).await;
    }
    assert_eq!(ports.find(&switchover_to("hel")).await.unwrap().unwrap().sequence, 300);
}

async fn nothing_is_found_in_an_empty_stream(ports: &dyn Ports, _: &dyn Server) {
    assert_eq!(ports.find(&switchover_to("hel")).await, Ok(None));
}

async fn a_full_stream_stores_nothing_and_takes_the_event_once_there_is_room(ports: &dyn Ports, server: &dyn Server) {
    server.fill(true).await;
    let outcome = ports.publish(&event("a", "hel")).await;
    assert!(matches!(outcome, Outcome::NotApplied(_)), "{outcome:?}");
    assert!(!server.ids().await.contains(&"a".to_owned()));
    server.fill(false).await;
    assert!(matches!(ports.publish(&event("a", "hel")).await, Outcome::Done(_)));
    assert!(server.ids().await.contains(&"a".to_owned()));
}

async fn a_missing_stream_is_missing_and_takes_nothing(ports: &dyn Ports, server: &dyn Server) {
    server.delete_stream().await;
    assert_eq!(ports.stream().await, Seen::Missing);
    let outcome = ports.publish(&event("a", "hel")).await;
    assert!(matches!(outcome, Outcome::NotApplied(_)), "{outcome:?}");
    assert!(ports.find(&switchover_to("hel")).await.is_err(), "that nothing was found would say that nothing was told");
}

async fn events_and_their_ids_survive_the_death_of_the_server(ports: &dyn Ports, server: &dyn Server) {
    assert_eq!(ports.publish(&event("a", "hel")).await, Outcome::Done(1));
    server.die_and_return().await;
    assert_eq!(ports.publish(&event("a", "hel")).await, Outcome::Done(1));
    assert_eq!(server.ids().await, ["a"]);
    assert_eq!(ports.find(&switchover_to("hel")).await.unwrap().unwrap().sequence, 1);
}
