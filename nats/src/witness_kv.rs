//! The witness `nats-kv`: a key of a KV bucket is the register, and the revision of its last message the version.
//!
//! The bucket is a stream `KV_<bucket>`, whose owner makes it: this reads and writes the key `<namespace>.<name>` of it and
//! nothing else. It is asked as a stream, and not by the library's KV: reads have to reach the leader (a bucket answers reads from
//! any replica, unless told otherwise), and a write that nobody knows the end of must not be tried again by itself.
//!
//! What is not known:
//!
//! - A leader that was cut off from the other replicas a moment ago still answers reads, for some seconds. A read before an act that
//!   cannot be taken back may so miss a record that was written a moment before. Who acts holds the lease all the same: no other
//!   region takes it within the term, which renewals alone lengthen, and those need most replicas.
//! - Revisions of a bucket that was deleted and made anew count from 1. Whoever does that has set the record back, as by a
//!   restored backup.

use crate::connection::{Connection, REQUEST_LIMIT, chain};
use crate::link::Link;
use crate::settings::Settings;
use async_nats::jetstream;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::message::{PublishMessage, StreamMessage};
use async_nats::jetstream::stream::{self, DiscardPolicy, RawMessageErrorKind, RetentionPolicy, StorageType};
use async_trait::async_trait;
use continuum_core::name::{ObjectName, Region};
use continuum_core::observe::{Seen, Shortcomings};
use continuum_core::ports::{ActOnWitness, Cas, ObserveWitness, Version};
use continuum_core::record::{RECORD_FORMAT, Record};
use continuum_core::spec::LeaseKind;
use serde_json::Value;
use std::error::Error;
use std::sync::Arc;
use tokio::time::timeout;

/// Of an entry that is none: its key was deleted.
const OPERATION: &str = "KV-Operation";
/// Of one that the server itself removed.
const MARKER: &str = "Nats-Marker-Reason";
/// A record with its journal, what ended last and owed events is well below this, bytes.
const VALUE_SIZE_MIN: i32 = 256 * 1024;
/// Most of three replicas remain where one is lost.
const REPLICAS_MIN: usize = 3;

/// Codes of answers to a compare-and-set, of nats-server 2.15's errors.json.
mod code {
    /// Another revision stands there.
    pub const WRONG_LAST_SEQUENCE: [u64; 2] = [10_071, 10_164];
    /// There is no such stream.
    pub const NO_STREAM: u64 = 10_059;
    /// The message is larger than the bucket's `max_value_size`, in which the expected revision counts too.
    pub const TOO_LARGE: u64 = 10_054;
    /// The store refused it: `max_bytes` is reached, in which the expected revision counts too.
    pub const STORE_FAILED: u64 = 10_077;
}

/// Whether the server takes this as a bucket's name.
pub fn is_bucket_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// A bucket as one process sees it.
pub struct KvBucket {
    link: Link,
    name: String,
}

impl KvBucket {
    /// Connects when it is first asked for something.
    pub fn new(settings: Settings, name: &str) -> Self {
        Self { link: Link::new(settings, "the witness"), name: name.to_owned() }
    }

    fn stream(&self) -> String {
        format!("KV_{}", self.name)
    }
}

/// The register of one Continuum.
pub struct KvWitness {
    bucket: Arc<KvBucket>,
    key: String,
}

impl KvWitness {
    /// The key of `continuum` in this bucket.
    pub fn new(bucket: Arc<KvBucket>, continuum: &ObjectName) -> Self {
        // A namespace has no dot.
        Self { bucket, key: format!("{}.{}", continuum.namespace, continuum.name) }
    }

    fn subject(&self) -> String {
        format!("$KV.{}.{}", self.bucket.name, self.key)
    }

    /// The last message of the key.
    async fn last(&self) -> Result<Option<StreamMessage>, String> {
        let connection = self.bucket.link.connection().await?;
        let under_way = self.bucket.link.under_way(&connection);
        let stream =
            connection.context.get_stream_no_info(self.bucket.stream()).await.map_err(|error| chain(&error))?;
        // Of the leader, whatever the bucket allows.
        let asked = timeout(REQUEST_LIMIT, stream.raw_message_builder().last_by_subject(self.subject()).send()).await;
        let (answered, found) = match asked {
            Ok(Ok(message)) => (true, Ok(Some(message))),
            Ok(Err(error)) => match error.kind() {
                RawMessageErrorKind::NoMessageFound => (true, Ok(None)),
                RawMessageErrorKind::JetStream(error) => (true, Err(self.answered(&error))),
                _ => (false, Err(self.bucket.link.failed(&connection, chain(&error)))),
            },
            Err(_) => (false, Err(format!("no answer in {} s", REQUEST_LIMIT.as_secs()))),
        };
        under_way.ended(answered);
        found.map_err(|cause| format!("key {} of bucket {}: {cause}", self.key, self.bucket.name))
    }

    /// What an error answered by the server says, and how to mend it.
    fn answered(&self, error: &jetstream::Error) -> String {
        match error.error_code().0 {
            code::NO_STREAM => {
                format!("there is no bucket {}; make it, with three replicas and no limits", self.bucket.name)
            }
            _ => chain(error),
        }
    }

    async fn write(&self, connection: &Connection, expected: u64, record: &Record) -> Result<u64, PublishError> {
        let body = serde_json::to_vec(record).expect("a record has string keys only");
        let message = PublishMessage::build().payload(body.into()).expected_last_subject_sequence(expected);
        // A client whose queue is full waits for room, without a limit of its own.
        let sent = async { connection.context.send_publish(self.subject(), message).await?.await };
        match timeout(REQUEST_LIMIT, sent).await {
            Ok(acknowledged) => Ok(acknowledged?.sequence),
            Err(_) => Err(PublishErrorKind::TimedOut.into()),
        }
    }

    /// `connection`: what it was told beside answers, in which no answer to a refused publish is.
    fn cas_of(&self, error: &PublishError, connection: &Connection) -> Cas {
        let bucket = &self.bucket.name;
        match error.kind() {
            PublishErrorKind::WrongLastSequence => return Cas::Conflict,
            PublishErrorKind::MaxPayloadExceeded => {
                return Cas::Refused(format!("{}: raise the servers' max_payload", chain(error)));
            }
            PublishErrorKind::TimedOut => {
                return match connection.take_refusal_of(&self.subject()) {
                    Some(refused) => Cas::Refused(format!("{refused}: let this user publish to {}", self.subject())),
                    None => Cas::Unknown(format!("no acknowledgement in {} s", REQUEST_LIMIT.as_secs())),
                };
            }
            // Nobody listens: there is no bucket, or its server is about to stop.
            PublishErrorKind::StreamNotFound => return Cas::Unknown(format!("no bucket {bucket} answers now")),
            _ => {}
        }
        let answer = error.source().and_then(|source| source.downcast_ref::<jetstream::Error>());
        let Some(answer) = answer else { return Cas::Unknown(chain(error)) };
        match answer.error_code().0 {
            code if code::WRONG_LAST_SEQUENCE.contains(&code) => Cas::Conflict,
            code::TOO_LARGE => {
                Cas::Refused(format!("the record is larger than bucket {bucket} takes: raise its max_value_size"))
            }
            // The code stands for whatever the store says; what it says of its limits is said before it stores anything.
            code::STORE_FAILED if answer.to_string().contains("maximum") => {
                Cas::Refused(format!("bucket {bucket} is full: {}; take its limits away", chain(answer)))
            }
            _ => Cas::Unknown(chain(error)),
        }
    }
}

#[async_trait]
impl ObserveWitness for KvWitness {
    fn kind(&self) -> LeaseKind {
        LeaseKind::NatsKv
    }

    async fn read(&self) -> Result<(Version, Option<Record>), String> {
        let Some(message) = self.last().await? else { return Ok((Version(None), None)) };
        let version = Version(Some(message.sequence.to_string()));
        let gone = |name: &str| message.headers.get(name).is_some();
        if gone(OPERATION) || gone(MARKER) {
            return Ok((version, None));
        }
        let record = record(&message.payload);
        record
            .map(|record| (version, Some(record)))
            .map_err(|cause| format!("key {} of bucket {} holds no record: {cause}", self.key, self.bucket.name))
    }

    fn shares(&self) -> Option<Region> {
        // In how many places its replicas stand the server does not say.
        None
    }

    async fn shortcomings(&self) -> Seen<Shortcomings> {
        let link = &self.bucket.link;
        let connection = match link.connection().await {
            Ok(connection) => connection,
            Err(why) => return Seen::Unknown(why),
        };
        let under_way = link.under_way(&connection);
        let asked = timeout(REQUEST_LIMIT, connection.context.get_stream(self.bucket.stream())).await;
        match asked {
            Ok(Ok(stream)) => {
                under_way.ended(true);
                Seen::Is(shortcomings(&self.bucket.name, &stream.cached_info().config))
            }
            Ok(Err(error)) => Seen::Unknown(link.failed(&connection, chain(&error))),
            Err(_) => Seen::Unknown(format!("no answer in {} s", REQUEST_LIMIT.as_secs())),
        }
    }
}

#[async_trait]
impl ActOnWitness for KvWitness {
    async fn compare_and_set(&self, expected: &Version, record: &Record) -> Cas {
        let revision = match &expected.0 {
            None => 0,
            Some(text) => match text.parse() {
                Ok(revision) => revision,
                Err(_) => return Cas::Refused(format!("{text} is no revision of a bucket")),
            },
        };
        let connection = match self.bucket.link.connection().await {
            Ok(connection) => connection,
            Err(why) => return Cas::Unknown(why),
        };
        // Whoever asked may give it up at any moment.
        let under_way = self.bucket.link.under_way(&connection);
        let outcome = match self.write(&connection, revision, record).await {
            Ok(sequence) => Cas::Done(Version(Some(sequence.to_string()))),
            Err(error) => self.cas_of(&error, &connection),
        };
        under_way.ended(!matches!(outcome, Cas::Unknown(_)));
        outcome
    }
}

fn record(payload: &[u8]) -> Result<Record, String> {
    let value: Value = serde_json::from_slice(payload).map_err(|error| error.to_string())?;
    let format = value.get("format").and_then(Value::as_u64).unwrap_or(1);
    if format > u64::from(RECORD_FORMAT) {
        return Err(format!("it has format {format}, and this controller knows {RECORD_FORMAT} at most: upgrade it"));
    }
    serde_json::from_value(value).map_err(|error| error.to_string())
}

/// By what a record may be lost, and by what it may come to be.
fn shortcomings(bucket: &str, config: &stream::Config) -> Shortcomings {
    let mut found = Shortcomings::default();
    let mut blocker = |text: &str| found.blockers.push(format!("bucket {bucket} {text}"));
    if !config.max_age.is_zero() {
        blocker("forgets what it holds: take its TTL (max_age) away");
    }
    if config.retention != RetentionPolicy::Limits || config.sealed {
        blocker("is no bucket that keeps and takes values: make it anew");
    }
    let limited = config.max_bytes >= 0 || config.max_messages >= 0;
    if limited && config.discard != DiscardPolicy::New {
        blocker("drops the oldest record where it is full: take max_bytes and max_msgs away");
    }
    if config.storage == StorageType::Memory {
        blocker("holds the record in memory alone: make it anew with file storage");
    }
    if config.max_message_size >= 0 && config.max_message_size < VALUE_SIZE_MIN {
        blocker(&format!(
            "takes {} bytes in a value: raise its max_value_size to {VALUE_SIZE_MIN}",
            config.max_message_size
        ));
    }
    let mut warning = |text: &str| found.warnings.push(format!("bucket {bucket} {text}"));
    if config.num_replicas < REPLICAS_MIN {
        warning(&format!("has {} of {REPLICAS_MIN} replicas: with a server the witness is lost", config.num_replicas));
    }
    if limited {
        warning("has max_bytes or max_msgs: once they are reached records are refused");
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_bucket_by_which_a_record_is_lost_is_told_with_its_cure() {
        let whole = stream::Config {
            num_replicas: 3,
            max_bytes: -1,
            max_messages: -1,
            max_message_size: -1,
            discard: DiscardPolicy::New,
            storage: StorageType::File,
            ..stream::Config::default()
        };
        assert_eq!(shortcomings("leases", &whole), Shortcomings::default());
        let forgets = stream::Config { max_age: Duration::from_secs(60), ..whole.clone() };
        let memory = stream::Config { storage: StorageType::Memory, ..whole.clone() };
        let small = stream::Config { max_message_size: 1024, ..whole.clone() };
        let queue = stream::Config { retention: RetentionPolicy::WorkQueue, ..whole.clone() };
        let drops = stream::Config { max_messages: 100, discard: DiscardPolicy::Old, ..whole.clone() };
        let cases = [
            (forgets, "TTL"),
            (memory, "file storage"),
            (small, "max_value_size"),
            (queue, "make it anew"),
            (drops, "drops the oldest"),
        ];
        for (config, cure) in cases {
            let found = shortcomings("leases", &config);
            assert!(found.blockers.len() == 1 && found.blockers[0].contains(cure), "{found:?}");
        }
        let alone = stream::Config { num_replicas: 1, ..whole.clone() };
        let full = stream::Config { max_bytes: 1 << 20, ..whole };
        for (config, word) in [(alone, "1 of 3 replicas"), (full, "max_bytes")] {
            let found = shortcomings("leases", &config);
            assert!(found.blockers.is_empty());
            assert!(found.warnings.len() == 1 && found.warnings[0].contains(word), "{found:?}");
        }
    }

    #[test]
    fn a_record_of_a_later_format_is_left_alone() {
        assert!(record(br#"{"format": 99}"#).is_err_and(|cause| cause.contains("upgrade")));
        assert!(record(b"no JSON").is_err());
    }

    #[test]
    fn a_bucket_is_named_as_the_server_takes_it() {
        for (name, taken) in
            [("leases", true), ("a-b_C9", true), ("", false), ("a.b", false), ("a b", false), ("ä", false)]
        {
            assert_eq!(is_bucket_name(name), taken, "{name}");
        }
    }
}
