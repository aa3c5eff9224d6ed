//! What the audit stream tells of the pair, and that it tells nothing twice.

use super::Pair;
use crate::REGIONS;
use continuum_core::audit::{EventBody, EventType};
use continuum_tests::real_nats::STREAM;
use serde_json::json;
use std::collections::BTreeSet;

impl Pair {
    /// The bodies of all events, in the stream's order.
    pub async fn told(&self) -> Vec<EventBody> {
        self.messages().await.into_iter().map(|(_, body)| body).collect()
    }

    /// No event is in the stream twice: neither its id, which the stream itself takes once within its window, nor what
    /// it tells under another id.
    pub async fn told_each_once(&self) {
        let messages = self.messages().await;
        let ids: BTreeSet<&str> = messages.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(ids.len(), messages.len(), "{messages:#?}");
        let mut facts = BTreeSet::new();
        for (id, body) in messages.iter().filter(|(_, body)| body.kind != EventType::CrCreated) {
            assert!(facts.insert(fact(body)), "{id} tells what another told before: {messages:#?}");
        }
        // Which region first saw its copy stands in no body.
        let created = messages.iter().filter(|(_, body)| body.kind == EventType::CrCreated).count();
        assert_eq!(created, REGIONS.len(), "once for each region: {messages:#?}");
    }

    /// Id and body of each message.
    async fn messages(&self) -> Vec<(String, EventBody)> {
        let stream = self.regions.nats.admin().await.get_stream(STREAM).await.expect("there is a stream");
        let state = &stream.cached_info().state;
        let mut messages = Vec::new();
        for sequence in state.first_sequence..=state.last_sequence {
            let message = stream.get_raw_message(sequence).await.expect("nothing is deleted");
            let id = message.headers.get("Nats-Msg-Id").map(ToString::to_string).unwrap_or_default();
            let body = EventBody::parse(&message.payload).expect("nobody else publishes there");
            assert_eq!(body.continuum_name, "shop/shop", "there is no other: {body:?}");
            messages.push((id, body));
        }
        messages
    }
}

/// What an event tells, by its body alone.
fn fact(body: &EventBody) -> (EventType, String) {
    let told = match body.kind {
        // A generation begins once, and is taken once by somebody else, whenever that is seen.
        EventType::LeaseAcquired | EventType::LeaseCollision => body.message.clone(),
        // A fact is put down with its time before it is told, so that whoever tells it again gives it the same time.
        _ => json!(body).to_string(),
    };
    (body.kind, told)
}
