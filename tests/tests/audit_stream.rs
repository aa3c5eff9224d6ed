//! What the audit ports promise, against the simulated JetStream.

use continuum_core::audit::{Event, EventBody, EventQuery, EventType};
use continuum_core::name::{ObjectName, Region};
use continuum_core::observe::{Seen, StreamView};
use continuum_core::ports::{ObserveAudit, Outcome, PublishAudit};
use continuum_sim::audit_client::AuditClient;
use continuum_sim::determinism::on_seeded_thread;
use continuum_sim::fabric::{Fabric, FabricOptions, Net, TurmoilFabric};
use continuum_sim::gate::{After, Asked, Before, Gate, Open, SharedGate};
use continuum_sim::servers::jetstream::JetStream;
use continuum_sim::servers::jetstream::stream::DUPLICATE_WINDOW;
use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What happens to the network, and when.
type Faults = Vec<(Duration, fn(&mut TurmoilFabric))>;

/// Runs `work` as the software of `controller.fsn` beside `nats`, to its end.
fn simulate<F>(
    gate: SharedGate,
    faults: Faults,
    work: impl Fn(AuditClient, JetStream, Net) -> F + Copy + Send + 'static,
) where
    F: Future<Output = ()> + 'static,
{
    on_seeded_thread(7, move || {
        let mut fabric = TurmoilFabric::new(FabricOptions::default());
        let net = fabric.net();
        let server = JetStream::new(net.clone(), gate);
        fabric.host("nats", server.software());
        let done = Rc::new(Cell::new(false));
        let ended = done.clone();
        fabric.host(
            "controller.fsn",
            Box::new(move || {
                let (server, net, ended) = (server.clone(), net.clone(), ended.clone());
                Box::pin(async move {
                    // The server takes its port in its first tick.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    work(AuditClient::new(net.clone(), "continuum"), server, net).await;
                    ended.set(true);
                })
            }),
        );
        let mut faults = faults.into_iter().peekable();
        while !done.get() {
            if let Some((_, fault)) = faults.next_if(|(at, _)| *at <= fabric.now()) {
                fault(&mut fabric);
            }
            if let Err(error) = fabric.step() {
                panic!("{error}");
            }
        }
    })
    .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

fn open() -> SharedGate {
    Arc::new(Open)
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

#[test]
fn an_acknowledged_event_is_in_the_stream_with_its_headers() {
    simulate(open(), vec![], |client, server, _| async move {
        assert_eq!(client.publish(&event("a", "hel")).await, Outcome::Done(1));
        let stored = server.messages();
        let headers: Vec<(&str, &str)> =
            stored[0].message.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(
            headers,
            [
                ("Nats-Msg-Id", "a"),
                ("application-name", "shop"),
                ("audit-type", "continuum-switchover"),
                ("continuum-name", "shop/shop"),
            ]
        );
        assert_eq!(EventBody::parse(stored[0].message.payload.as_bytes()).unwrap(), event("a", "hel").body);
        let stream = StreamView { name: "AUDIT".into(), message_count: 1 };
        assert_eq!(client.stream().await, Seen::Is(stream));
    });
}

#[test]
fn a_repeat_within_the_duplicate_window_is_acknowledged_and_not_stored_again() {
    simulate(open(), vec![], |client, server, _| async move {
        for _ in 0..3 {
            assert_eq!(client.publish(&event("a", "hel")).await, Outcome::Done(1));
        }
        assert_eq!(server.messages().len(), 1);
        tokio::time::sleep(DUPLICATE_WINDOW).await;
        assert_eq!(client.publish(&event("a", "hel")).await, Outcome::Done(2), "after it, it is a new message");
    });
}

#[test]
fn the_newest_event_that_fits_is_found_among_others_within_the_window() {
    simulate(open(), vec![], |client, _, net| async move {
        for (id, to) in [("a", "hel"), ("b", "nbg"), ("c", "hel"), ("d", "nbg")] {
            client.publish(&event(id, to)).await;
        }
        let found = client.find(&switchover_to("hel")).await.unwrap().unwrap();
        assert_eq!(found.sequence, 3);
        let first = EventQuery { message_id: Some("a".into()), ..switchover_to("hel") };
        assert_eq!(client.find(&first).await.unwrap().unwrap().sequence, 1);
        let ours = EventQuery { continuum: ObjectName::new("shop", "other"), ..switchover_to("hel") };
        assert_eq!(client.find(&ours).await, Ok(None));
        assert!(net.now() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_secs(61)).await;
        assert_eq!(client.find(&EventQuery { window_seconds: 60, ..switchover_to("hel") }).await, Ok(None));
    });
}

#[test]
fn an_event_beyond_one_pull_is_found() {
    simulate(open(), vec![], |client, _, _| async move {
        for i in 0..300 {
            client.publish(&event(&format!("{i}"), "hel")).await;
        }
        assert_eq!(client.find(&switchover_to("hel")).await.unwrap().unwrap().sequence, 300);
    });
}

#[test]
fn a_full_stream_stores_nothing_and_takes_the_event_once_there_is_room() {
    simulate(open(), vec![], |client, server, _| async move {
        server.fill(true);
        assert!(matches!(client.publish(&event("a", "hel")).await, Outcome::NotApplied(_)));
        assert!(server.messages().is_empty());
        server.fill(false);
        assert_eq!(client.publish(&event("a", "hel")).await, Outcome::Done(1));
    });
}

#[test]
fn a_refusal_is_final_and_a_missing_stream_is_missing() {
    simulate(open(), vec![], |client, server, _| async move {
        server.refuse(Some(403));
        assert!(matches!(client.publish(&event("a", "hel")).await, Outcome::Refused(_)));
        server.refuse(None);
        server.delete_stream();
        assert_eq!(client.stream().await, Seen::Missing);
        assert!(matches!(client.publish(&event("a", "hel")).await, Outcome::NotApplied(_)));
    });
}

#[test]
fn events_and_the_duplicate_window_survive_a_crash() {
    let faults: Faults = vec![
        (Duration::from_secs(1), |fabric| fabric.crash("nats")),
        (Duration::from_secs(2), |fabric| fabric.restart("nats")),
    ];
    simulate(open(), faults, |client, server, _| async move {
        assert_eq!(client.publish(&event("a", "hel")).await, Outcome::Done(1));
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(client.publish(&event("a", "hel")).await, Outcome::Done(1));
        assert_eq!(server.messages().len(), 1);
    });
}

/// Delays the first publish and remembers what was asked.
#[derive(Default)]
struct DelayFirst {
    asked: Mutex<Vec<Asked>>,
}

impl Gate for DelayFirst {
    fn before(&self, asked: &Asked) -> Before {
        let mut all = self.asked.lock().expect("nothing panics while it holds the list");
        all.push(asked.clone());
        if all.len() == 1 { Before::Delay(Duration::from_secs(10)) } else { Before::Apply }
    }

    fn after(&self, _: &Asked, _: u16) -> After {
        After::Send
    }
}

#[test]
fn a_publish_that_timed_out_may_be_stored_later_and_its_repeat_is_a_duplicate() {
    let gate = Arc::new(DelayFirst::default());
    simulate(gate.clone(), vec![], |client, server, _| async move {
        let first = event("a", "hel");
        let attempt = tokio::time::timeout(Duration::from_secs(3), client.publish(&first));
        assert!(attempt.await.is_err());
        assert!(server.messages().is_empty());
        assert_eq!(client.publish(&first).await, Outcome::Done(1));
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(server.messages().len(), 1, "the late one came second, and is the duplicate");
    });
    let asked = &gate.asked.lock().unwrap()[0];
    assert_eq!(
        (asked.server.as_str(), asked.from.as_str(), asked.verb.as_str(), asked.what.as_str()),
        ("nats", "controller.fsn", "publish", "catalyst.audit")
    );
    assert!(asked.changing && !asked.dry_run && asked.body.contains("continuum-switchover"));
}

#[test]
fn a_server_that_dies_before_it_acknowledges_leaves_the_caller_without_an_answer() {
    let faults: Faults = vec![(Duration::from_secs(1), |fabric| fabric.crash("nats"))];
    simulate(Arc::new(DelayFirst::default()), faults, |client, _, _| async move {
        let first = event("a", "hel");
        assert!(tokio::time::timeout(Duration::from_secs(3), client.publish(&first)).await.is_err());
    });
}
