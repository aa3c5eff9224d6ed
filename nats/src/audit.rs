//! core's audit ports. The stream is found by its subject, and never made or changed.

use crate::connection::{Connection, REQUEST_LIMIT, chain};
use crate::link::Link;
use crate::settings::Settings;
use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::context::{GetStreamByNameErrorKind, PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{self, ErrorCode, stream};
use async_trait::async_trait;
use continuum_core::audit::{Event, EventBody, EventQuery, SUBJECT};
use continuum_core::observe::{FoundEvent, Seen, StreamView};
use continuum_core::ports::{ObserveAudit, Outcome, PublishAudit};
use futures_util::StreamExt;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use std::error::Error;
use std::time::Duration;
use tokio::time::timeout;

/// Messages in one pull.
const PULL_COUNT: usize = 256;
/// A search that would read more says so: it is bounded, whoever else publishes on the subject.
const SEARCH_COUNT_MAX: u64 = 50_000;
/// For one pull.
const PULL_LIMIT: Duration = Duration::from_secs(5);
/// A consumer that nobody asks is removed by the server, where its removal was not heard.
const CONSUMER_LIVES: Duration = Duration::from_secs(10);

/// Codes of answers that say: nothing was stored, and may be later. Of nats-server 2.15's errors.json.
const NOT_STORED: [u64; 6] = [
    10_023, // insufficient resources
    10_047, // insufficient storage resources available
    10_028, // resource limits exceeded for account
    10_076, // JetStream not enabled
    10_039, // JetStream not enabled for account
    10_077, // the stream's store refused it: maximum messages, bytes or messages per subject exceeded
];

/// The audit stream as one process sees it.
pub struct AuditStream {
    link: Link,
}

impl AuditStream {
    /// Connects when it is first asked for something.
    pub fn new(settings: Settings) -> Self {
        Self { link: Link::new(settings, "the audit stream") }
    }

    async fn named(&self, connection: &Connection) -> Seen<String> {
        match connection.context.stream_by_subject(SUBJECT).await {
            Ok(name) => Seen::Is(name),
            Err(error) if error.kind() == GetStreamByNameErrorKind::NotFound => Seen::Missing,
            Err(error) => Seen::Unknown(self.link.failed(connection, chain(&error))),
        }
    }

    async fn newest(&self, connection: &Connection, query: &EventQuery) -> Result<Option<FoundEvent>, String> {
        let name = match self.named(connection).await {
            Seen::Is(name) => name,
            Seen::Missing => return Err(format!("no stream takes {SUBJECT}")),
            other => return Err(other.why().unwrap_or_default()),
        };
        let state: State = match connection.context.request(format!("STREAM.INFO.{name}"), &()).await {
            Ok(Answer::Is(state)) => state,
            Ok(Answer::Error { error }) => return Err(chain(&error)),
            Err(error) => return Err(self.link.failed(connection, chain(&error))),
        };
        let Some(start) = state.window(query.window_seconds)? else { return Ok(None) };
        let stream = match connection.context.get_stream_no_info(&name).await {
            Ok(stream) => stream,
            Err(error) => return Err(self.link.failed(connection, chain(&error))),
        };
        let consumer = match stream.create_consumer(search_from(start)).await {
            Ok(consumer) => consumer,
            Err(error) => return Err(self.link.failed(connection, chain(&error))),
        };
        let found = pull(&consumer, query).await;
        // Where this fails, the server removes it by itself.
        if let Err(error) = stream.delete_consumer(&consumer.cached_info().name).await {
            tracing::debug!(%error, "the consumer of a search was not removed");
        }
        if found.is_err() {
            self.link.drop_connection(connection);
        }
        found
    }
}

/// What `STREAM.INFO` answers, as far as it is asked for here.
#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Error { error: jetstream::Error },
    Is(State),
}

#[derive(Deserialize)]
struct State {
    /// The server's own time. Since nats-server 2.10.
    ts: Option<Timestamp>,
    state: Messages,
}

#[derive(Deserialize)]
struct Messages {
    messages: u64,
    last_ts: Timestamp,
}

impl State {
    /// From when on the last `seconds` are searched. `None`: nothing was stored since. A consumer that begins in the
    /// future would deliver whatever is published next, whenever that is.
    fn window(&self, seconds: u32) -> Result<Option<Timestamp>, String> {
        let now = self.ts.ok_or("the server does not tell its time: nats-server 2.10 or later is needed")?;
        let start = now.saturating_sub(SignedDuration::from_secs(seconds.into())).map_err(|error| chain(&error))?;
        Ok((self.state.messages > 0 && self.state.last_ts >= start).then_some(start))
    }
}

fn search_from(start: Timestamp) -> pull::Config {
    let start_time = async_nats::datetime::from_nanos(start.as_nanosecond()).expect("a time of this era");
    pull::Config {
        deliver_policy: DeliverPolicy::ByStartTime { start_time },
        ack_policy: AckPolicy::None,
        filter_subject: SUBJECT.to_owned(),
        inactive_threshold: CONSUMER_LIVES,
        memory_storage: true,
        num_replicas: 1,
        ..pull::Config::default()
    }
}

/// The newest event that fits, of all that the consumer delivers. A batch ends without an error where its server dies:
/// so many have to come as there were.
async fn pull(
    consumer: &jetstream::consumer::Consumer<pull::Config>,
    query: &EventQuery,
) -> Result<Option<FoundEvent>, String> {
    let mut left = consumer.cached_info().num_pending;
    if left > SEARCH_COUNT_MAX {
        return Err(format!(
            "{left} messages in {} s: a search reads {SEARCH_COUNT_MAX} at most",
            query.window_seconds
        ));
    }
    let mut newest = None;
    while left > 0 {
        let pulled = timeout(PULL_LIMIT, pull_once(consumer, query, &mut newest));
        let count = pulled.await.map_err(|_| format!("no answer in {} s", PULL_LIMIT.as_secs()))??;
        if count == 0 {
            return Err(format!("{left} messages were to come, and did not"));
        }
        left = left.saturating_sub(count);
    }
    Ok(newest)
}

async fn pull_once(
    consumer: &jetstream::consumer::Consumer<pull::Config>,
    query: &EventQuery,
    newest: &mut Option<FoundEvent>,
) -> Result<u64, String> {
    let batch = consumer.fetch().max_messages(PULL_COUNT).expires(REQUEST_LIMIT).messages();
    let mut batch = batch.await.map_err(|error| chain(&error))?;
    let mut count = 0;
    while let Some(message) = batch.next().await {
        let message = message.map_err(|error| chain(&*error))?;
        count += 1;
        // Others publish on this subject as well: what is no event of ours is passed over.
        let Ok(body) = EventBody::parse(&message.payload) else { continue };
        let id = message.headers.as_ref().and_then(|headers| headers.get(async_nats::header::NATS_MESSAGE_ID));
        if query.fits(id.map(AsRef::as_ref), &body) {
            let info = message.info().map_err(|error| chain(&*error))?;
            let nanoseconds = info.published.unix_timestamp_nanos();
            let at = Timestamp::from_nanosecond(nanoseconds).map_err(|error| chain(&error))?;
            *newest = Some(FoundEvent { sequence: info.stream_sequence, at });
        }
    }
    Ok(count)
}

#[async_trait]
impl ObserveAudit for AuditStream {
    async fn stream(&self) -> Seen<StreamView> {
        let connection = match self.link.connection().await {
            Ok(connection) => connection,
            Err(why) => return Seen::Unknown(why),
        };
        let name = match self.named(&connection).await {
            Seen::Is(name) => name,
            other => return other.map(|_| unreachable!("a name was seen")),
        };
        match connection.context.get_stream(&name).await {
            Ok(stream) => {
                let stream::Info { state, .. } = stream.cached_info();
                Seen::Is(StreamView { name, message_count: state.messages })
            }
            Err(error) => Seen::Unknown(self.link.failed(&connection, chain(&error))),
        }
    }

    async fn find(&self, query: &EventQuery) -> Result<Option<FoundEvent>, String> {
        let connection = self.link.connection().await?;
        self.newest(&connection, query).await
    }
}

#[async_trait]
impl PublishAudit for AuditStream {
    async fn publish(&self, event: &Event) -> Outcome<u64> {
        let connection = match self.link.connection().await {
            Ok(connection) => connection,
            Err(why) => return Outcome::NotApplied(why),
        };
        connection.take_refusals();
        // Whoever asked may give it up at any moment.
        let under_way = self.link.under_way(&connection);
        let outcome = match send(&connection, event).await {
            Ok(sequence) => Outcome::Done(sequence),
            Err(error) => outcome_of(&error, connection.take_refusals()),
        };
        under_way.ended(!matches!(outcome, Outcome::Unknown(_)));
        outcome
    }
}

async fn send(connection: &Connection, event: &Event) -> Result<u64, PublishError> {
    let mut headers = HeaderMap::new();
    for (name, value) in event.headers() {
        headers.insert(name, value);
    }
    let body = serde_json::to_vec(&event.body).expect("an event has string keys only");
    let message = PublishMessage::build().payload(body.into()).headers(headers);
    // A client whose queue is full waits for room, without a limit of its own.
    let sent = async { connection.context.send_publish(SUBJECT, message).await?.await };
    match timeout(REQUEST_LIMIT * 2, sent).await {
        Ok(acknowledged) => Ok(acknowledged?.sequence),
        Err(_) => Err(PublishErrorKind::TimedOut.into()),
    }
}

fn outcome_of(error: &PublishError, refusals: Vec<String>) -> Outcome<u64> {
    let text = chain(error);
    let refused = refusals.into_iter().find(|text| text.contains("Permissions Violation"));
    if let Some(refused) = refused {
        return Outcome::Refused(refused);
    }
    match error.kind() {
        // Nobody listens: there is no stream, or its server is about to stop.
        PublishErrorKind::StreamNotFound => Outcome::NotApplied(format!("no stream takes {SUBJECT} now")),
        PublishErrorKind::MaxAckPending => Outcome::NotApplied(text),
        PublishErrorKind::MaxPayloadExceeded => Outcome::Refused(text),
        PublishErrorKind::TimedOut => Outcome::Unknown(format!("no acknowledgement in {} s", REQUEST_LIMIT.as_secs())),
        _ => {
            let answer = error.source().and_then(|source| source.downcast_ref::<jetstream::Error>());
            match answer {
                Some(answer) if NOT_STORED.map(ErrorCode).contains(&answer.error_code()) => Outcome::NotApplied(text),
                _ => Outcome::Unknown(text),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(ts: Option<&str>, messages: u64, last_ts: &str) -> State {
        let time = |text: &str| text.parse::<Timestamp>().expect("a time");
        State { ts: ts.map(time), state: Messages { messages, last_ts: time(last_ts) } }
    }

    #[test]
    fn the_window_is_that_of_the_servers_clock_and_never_begins_after_the_last_message() {
        let at = |text: &str| Some(text.parse::<Timestamp>().expect("a time"));
        let now = Some("2026-01-01T12:00:00Z");
        assert_eq!(state(now, 1, "2026-01-01T11:59:30Z").window(60), Ok(at("2026-01-01T11:59:00Z")));
        assert_eq!(state(now, 1, "2026-01-01T11:58:59Z").window(60), Ok(None));
        assert!(state(None, 1, "2026-01-01T11:59:30Z").window(60).is_err(), "unknown is not now");
        assert_eq!(state(now, 0, "0001-01-01T00:00:00Z").window(60), Ok(None));
    }
}
