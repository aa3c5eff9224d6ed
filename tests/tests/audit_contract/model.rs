//! The suite on the simulated stream, and what its faults do.

use super::{Case, Server, event};
use async_trait::async_trait;
use continuum_core::ports::{Outcome, PublishAudit};
use continuum_sim::audit_client::AuditClient;
use continuum_sim::fabric::{Fabric, Net};
use continuum_sim::gate::{After, Asked, Before, Gate, Open, SharedGate};
use continuum_sim::servers::jetstream::JetStream;
use continuum_sim::servers::jetstream::stream::DUPLICATE_WINDOW;
use continuum_tests::simulated::Faults;
use continuum_tests::simulated_nats;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Runs `work` with a client of the model, to its end.
fn simulate<F>(
    gate: SharedGate,
    faults: Faults,
    work: impl Fn(AuditClient, JetStream, Net) -> F + Copy + Send + 'static,
) where
    F: Future<Output = ()> + 'static,
{
    simulated_nats::simulate(gate, faults, move |server, net| {
        work(AuditClient::new(net.clone(), "continuum"), server, net)
    });
}

fn open() -> SharedGate {
    Arc::new(Open)
}

#[async_trait(?Send)]
impl Server for (JetStream, Net) {
    async fn ids(&self) -> Vec<String> {
        self.0.messages().iter().map(|stored| stored.message.message_id().unwrap_or_default().to_owned()).collect()
    }

    async fn headers(&self, sequence: u64) -> Vec<(String, String)> {
        let messages = self.0.messages();
        let stored = messages.iter().find(|stored| stored.sequence == sequence).expect("it is there");
        stored.message.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    async fn body(&self, sequence: u64) -> String {
        let messages = self.0.messages();
        let stored = messages.iter().find(|stored| stored.sequence == sequence).expect("it is there");
        stored.message.payload.clone()
    }

    async fn fill(&self, full: bool) {
        self.0.fill(full);
    }

    async fn delete_stream(&self) {
        self.0.delete_stream();
    }

    async fn die_and_return(&self) {
        // Until both of `DEATH` are over.
        tokio::time::sleep(Duration::from_secs(63).saturating_sub(self.1.now())).await;
    }

    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

/// The server dies long after every case that does not wait for it has ended.
fn death() -> Faults {
    vec![
        (Duration::from_secs(61), |fabric| fabric.crash("nats")),
        (Duration::from_secs(62), |fabric| fabric.restart("nats")),
    ]
}

pub fn play(case: Case) {
    simulate(open(), death(), move |client, server, net| async move { case(&client, &(server, net)).await });
}

#[test]
fn after_the_duplicate_window_it_is_a_new_message() {
    simulate(open(), vec![], |client, server, _| async move {
        assert_eq!(client.publish(&event("a", "hel")).await, Outcome::Done(1));
        tokio::time::sleep(DUPLICATE_WINDOW).await;
        assert_eq!(client.publish(&event("a", "hel")).await, Outcome::Done(2));
        assert_eq!(server.messages().len(), 2);
    });
}

#[test]
fn a_refusal_is_final() {
    simulate(open(), vec![], |client, server, _| async move {
        server.refuse(Some(403));
        assert!(matches!(client.publish(&event("a", "hel")).await, Outcome::Refused(_)));
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
