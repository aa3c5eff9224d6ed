//! The suite on a real server, and what only a real one does.

use super::{Case, Server, event, switchover_to};
use async_nats::jetstream::stream;
use async_trait::async_trait;
use continuum_core::observe::Seen;
use continuum_core::ports::{ObserveAudit, Outcome, PublishAudit};
use continuum_nats::{AuditStream, Settings};
use continuum_tests::real_nats::{MUTE, RealNats, STREAM, USER};
use std::time::Duration;

#[async_trait(?Send)]
impl Server for RealNats {
    async fn ids(&self) -> Vec<String> {
        self.ids().await
    }

    async fn headers(&self, sequence: u64) -> Vec<(String, String)> {
        let stream = self.admin().await.get_stream(STREAM).await.expect("there is a stream");
        let message = stream.get_raw_message(sequence).await.expect("it is there");
        let mut headers: Vec<_> =
            message.headers.iter().map(|(name, values)| (name.to_string(), values[0].to_string())).collect();
        headers.sort();
        headers
    }

    async fn body(&self, sequence: u64) -> String {
        let stream = self.admin().await.get_stream(STREAM).await.expect("there is a stream");
        let message = stream.get_raw_message(sequence).await.expect("it is there");
        String::from_utf8(message.payload.to_vec()).expect("a body is a text")
    }

    async fn fill(&self, full: bool) {
        if full {
            self.admin().await.publish("catalyst.audit", "{}".into()).await.unwrap().await.unwrap();
        }
        let (max_messages, discard) =
            if full { (1, stream::DiscardPolicy::New) } else { (-1, stream::DiscardPolicy::Old) };
        self.make_stream(stream::Config { max_messages, discard, ..Default::default() }).await;
    }

    async fn delete_stream(&self) {
        self.admin().await.delete_stream(STREAM).await.expect("there is a stream");
    }

    async fn die_and_return(&self) {
        self.kill();
        self.restart().await;
    }

    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

pub fn on_tokio<F: Future<Output = ()>>(work: F) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work);
}

fn audit_stream(server: &RealNats, user: &str, password: &str) -> AuditStream {
    AuditStream::new(Settings::new(&server.url(user, password), "continuum").expect("a right URL"))
}

pub fn play(case: Case) {
    with_server(async |server, ports| case(&ports, server).await);
}

fn with_server(work: impl AsyncFnOnce(&RealNats, AuditStream)) {
    on_tokio(async {
        if let Some(server) = RealNats::start().await {
            let ports = audit_stream(&server, USER.0, USER.1);
            work(&server, ports).await;
        }
    });
}

#[test]
fn a_publish_without_an_answer_may_be_stored_and_its_repeat_is_the_same_event() {
    with_server(async |server, ports| {
        assert_eq!(ports.publish(&event("a", "hel")).await, Outcome::Done(1));
        server.pause(true);
        let outcome = ports.publish(&event("b", "hel")).await;
        assert!(matches!(outcome, Outcome::Unknown(_)), "{outcome:?}");
        server.pause(false);
        assert_eq!(ports.publish(&event("b", "hel")).await, Outcome::Done(2));
        assert_eq!(server.ids().await, ["a", "b"]);
    });
}

#[test]
fn a_publish_that_was_given_up_is_not_sent_once_a_dead_server_is_back() {
    with_server(async |server, ports| {
        assert_eq!(ports.publish(&event("a", "hel")).await, Outcome::Done(1));
        server.kill();
        let outcome = ports.publish(&event("b", "hel")).await;
        assert!(!matches!(outcome, Outcome::Done(_)), "{outcome:?}");
        let again = ports.publish(&event("b", "hel")).await;
        assert!(
            matches!(&again, Outcome::NotApplied(why) if why.starts_with("cannot connect to 127.0.0.1:")),
            "{again:?}"
        );
        server.restart().await;
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert_eq!(server.ids().await, ["a"], "nobody sends it but who asks for it again");
        assert_eq!(ports.publish(&event("b", "hel")).await, Outcome::Done(2), "the same ports go on");
    });
}

#[test]
fn a_publish_that_its_caller_gave_up_is_not_sent_once_a_dead_server_is_back() {
    with_server(async |server, ports| {
        assert_eq!(ports.publish(&event("a", "hel")).await, Outcome::Done(1));
        server.pause(true);
        let given_up = tokio::time::timeout(Duration::from_millis(300), ports.publish(&event("b", "hel"))).await;
        assert!(given_up.is_err(), "it stood still");
        server.kill();
        server.restart().await;
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert_eq!(server.ids().await, ["a"], "nobody sends it but who asks for it again");
        assert_eq!(ports.publish(&event("b", "hel")).await, Outcome::Done(2));
    });
}

#[test]
fn a_look_at_a_server_that_is_away_is_unknown_and_no_finding() {
    with_server(async |server, ports| {
        assert_eq!(ports.publish(&event("a", "hel")).await, Outcome::Done(1));
        server.pause(true);
        let (stream, found) = (ports.stream().await, ports.find(&switchover_to("hel")).await);
        assert!(matches!(stream, Seen::Unknown(_)), "{stream:?}");
        assert!(found.is_err(), "{found:?}");
        server.pause(false);
        assert_eq!(ports.find(&switchover_to("hel")).await.unwrap().unwrap().sequence, 1);
        server.kill();
        assert!(matches!(ports.stream().await, Seen::Unknown(_)));
        assert!(ports.find(&switchover_to("hel")).await.is_err());
    });
}

#[test]
fn wrong_credentials_and_missing_rights_are_told_and_no_secret_is() {
    with_server(async |server, _| {
        let wrong = audit_stream(server, USER.0, "secret");
        let Outcome::NotApplied(why) = wrong.publish(&event("a", "hel")).await else { panic!("it was let in") };
        assert!(why.contains("authorization violation") && !why.contains("secret"), "{why}");
        assert!(matches!(wrong.stream().await, Seen::Unknown(_)));

        let mute = audit_stream(server, MUTE, USER.1);
        let Outcome::Refused(why) = mute.publish(&event("a", "hel")).await else { panic!("it may not") };
        assert!(why.contains("Permissions Violation for Publish to \"catalyst.audit\""), "{why}");
        assert!(matches!(mute.stream().await, Seen::Is(_)), "the next request goes on");
    });
}

#[test]
fn a_search_leaves_no_consumer_behind_and_passes_over_what_is_no_event() {
    with_server(async |server, ports| {
        let admin = server.admin().await;
        admin.publish("catalyst.audit", "no event".into()).await.unwrap().await.unwrap();
        assert_eq!(ports.publish(&event("a", "hel")).await, Outcome::Done(2));
        assert_eq!(ports.find(&switchover_to("hel")).await.unwrap().unwrap().sequence, 2);
        let stream = admin.get_stream(STREAM).await.unwrap();
        assert_eq!(stream.cached_info().state.consumer_count, 0);
    });
}
