//! Core's audit ports against the JetStream model. No outbox: what is owed is seen from the record.

use crate::fabric::Net;
use crate::nats_client::{NatsClient, NoReply};
use crate::servers::jetstream::protocol::{Publish, Reply, Request};
use crate::servers::jetstream::stream::STORE_FAILED;
use async_trait::async_trait;
use continuum_core::audit::{Event, EventBody, EventQuery, SUBJECT};
use continuum_core::observe::{FoundEvent, Seen, StreamView};
use continuum_core::ports::{ObserveAudit, Outcome, PublishAudit};

/// Messages in one pull.
const PULL_COUNT: usize = 256;

/// The audit stream as one process sees it.
#[derive(Clone)]
pub struct AuditClient {
    nats: NatsClient,
}

impl AuditClient {
    /// A client of this name, which is told to the server. To be used by the software of one host.
    pub fn new(net: Net, name: &str) -> Self {
        Self { nats: NatsClient::new(net, name) }
    }
}

fn told(code: u16, description: &str) -> String {
    format!("the audit stream answered {code}: {description}")
}

#[async_trait]
impl ObserveAudit for AuditClient {
    async fn stream(&self) -> Seen<StreamView> {
        match self.nats.call(Request::Info { subject: SUBJECT.into() }).await {
            Ok(Reply::Info { stream, message_count }) => Seen::Is(StreamView { name: stream, message_count }),
            Ok(Reply::Error { code: 404, .. }) => Seen::Missing,
            Ok(Reply::Error { code, description }) => Seen::Unknown(told(code, &description)),
            Ok(other) => Seen::Unknown(format!("an answer to another question: {other:?}")),
            Err(error) => Seen::Unknown(error.to_string()),
        }
    }

    async fn find(&self, query: &EventQuery) -> Result<Option<FoundEvent>, String> {
        let (mut newest, mut sequence_min) = (None, 1);
        loop {
            let request = Request::Fetch {
                subject: SUBJECT.into(),
                sequence_min,
                window_seconds: query.window_seconds,
                count_max: PULL_COUNT,
            };
            let messages = match self.nats.call(request).await {
                Ok(Reply::Messages(messages)) => messages,
                Ok(Reply::Error { code, description }) => return Err(told(code, &description)),
                Ok(other) => return Err(format!("an answer to another question: {other:?}")),
                Err(error) => return Err(error.to_string()),
            };
            let Some(last) = messages.last() else { return Ok(newest) };
            sequence_min = last.sequence + 1;
            for stored in &messages {
                // Others publish on this subject as well: what is no event of ours is passed over.
                let body = EventBody::parse(stored.message.payload.as_bytes());
                if body.is_ok_and(|body| query.fits(stored.message.message_id(), &body)) {
                    newest = Some(FoundEvent { sequence: stored.sequence, at: stored.at });
                }
            }
        }
    }
}

#[async_trait]
impl PublishAudit for AuditClient {
    async fn publish(&self, event: &Event) -> Outcome<u64> {
        let headers = event.headers().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let message = Publish {
            subject: SUBJECT.into(),
            headers: headers.into_iter().collect(),
            payload: serde_json::to_string(&event.body).expect("an event has string keys only"),
        };
        match self.nats.call(Request::Publish(message)).await {
            Ok(Reply::Acknowledged { sequence, .. }) => Outcome::Done(sequence),
            // The server says that it stored nothing: full, no stream, too busy.
            Ok(Reply::Error { code: code @ (409 | 429 | 503 | STORE_FAILED), description }) => {
                Outcome::NotApplied(told(code, &description))
            }
            Ok(Reply::Error { code: code @ (408 | 500..), description }) => Outcome::Unknown(told(code, &description)),
            Ok(Reply::Error { code, description }) => Outcome::Refused(told(code, &description)),
            Ok(other) => Outcome::Unknown(format!("an answer to another question: {other:?}")),
            Err(error @ NoReply::Connect(_)) => Outcome::NotApplied(error.to_string()),
            Err(error @ NoReply::Lost(_)) => Outcome::Unknown(error.to_string()),
        }
    }
}
