//! One stream's data: messages in order, and the message ids it has seen within the duplicate window.

use super::protocol::{Publish, Reply, Stored};
use crate::determinism::EPOCH;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// A message id is known for this long from its first message on; repeats do not prolong it.
pub const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

/// Code of the refusal of a message that expects another last one.
pub const WRONG_LAST_SEQUENCE: u16 = 10_071;

/// Code of the refusal of a message that is larger than the stream takes.
pub const TOO_LARGE: u16 = 10_054;

/// Code of the refusal of a message for which there is no room.
pub const STORE_FAILED: u16 = 10_077;

/// A message, and what only an observer knows of it.
#[derive(Clone, Debug)]
pub struct Kept {
    /// When it was stored.
    pub at: Duration,
    /// Host of whoever published it.
    pub from: String,
    /// As a client sees it.
    pub stored: Stored,
}

/// A stream.
#[derive(Clone, Debug)]
pub struct Stream {
    name: String,
    subjects: Vec<String>,
    messages: Vec<Kept>,
    /// So many came before them.
    expired: u64,
    /// Sequence and time of the first message of each id.
    ids: BTreeMap<String, (u64, Duration)>,
    /// Takes no new message, but where that replaces one that is as long.
    pub full: bool,
    /// The last message of a subject replaces those before it, as in a bucket.
    pub replaces: bool,
    /// Takes no message with more bytes than this in its payload.
    pub payload_length_max: usize,
}

impl Stream {
    /// An empty stream that takes these subjects, as they stand: no wildcards.
    pub fn new(name: &str, subjects: &[&str]) -> Self {
        let subjects = subjects.iter().map(|subject| (*subject).to_owned()).collect();
        Self {
            name: name.to_owned(),
            subjects,
            messages: Vec::new(),
            expired: 0,
            ids: BTreeMap::new(),
            full: false,
            replaces: false,
            payload_length_max: usize::MAX,
        }
    }

    /// Whether it takes messages of this subject.
    pub fn takes(&self, subject: &str) -> bool {
        self.subjects.iter().any(|taken| taken == subject)
    }

    /// Its messages, in order.
    pub fn messages(&self) -> impl Iterator<Item = &Kept> {
        self.messages.iter()
    }

    /// The last message of a subject: what a bucket says of a key.
    pub fn last(&self, subject: &str) -> Option<&Stored> {
        self.messages.iter().map(|kept| &kept.stored).rfind(|stored| stored.message.subject == subject)
    }

    /// Name and size.
    pub fn info(&self) -> Reply {
        Reply::Info { stream: self.name.clone(), message_count: self.count() }
    }

    /// Stores a message, unless its id is known: a duplicate is acknowledged also where the stream is full. One that expects
    /// another last message of its subject than there is is not stored.
    pub fn publish(&mut self, message: Publish, from: &str, now: Duration) -> Reply {
        self.ids.retain(|_, (_, first)| now < *first + DUPLICATE_WINDOW);
        if let Some((sequence, _)) = message.message_id().and_then(|id| self.ids.get(id)) {
            return Reply::Acknowledged { sequence: *sequence, duplicate: true };
        }
        if message.payload.len() > self.payload_length_max {
            return Reply::Error { code: TOO_LARGE, description: "message size exceeds maximum allowed".into() };
        }
        let last = self.last(&message.subject).map_or(0, |stored| stored.sequence);
        if message.expected_last().is_some_and(|expected| expected != last.to_string()) {
            return Reply::Error { code: WRONG_LAST_SEQUENCE, description: format!("wrong last sequence: {last}") };
        }
        let room = self.last(&message.subject).filter(|_| self.replaces).map(|stored| stored.message.payload.len());
        if self.full && room.is_none_or(|room| room < message.payload.len()) {
            return Reply::Error { code: STORE_FAILED, description: "maximum messages exceeded".into() };
        }
        let sequence = self.count() + 1;
        if let Some(id) = message.message_id() {
            self.ids.insert(id.to_owned(), (sequence, now));
        }
        let stored = Stored { sequence, at: wall(now), message };
        self.messages.push(Kept { at: now, from: from.to_owned(), stored });
        Reply::Acknowledged { sequence, duplicate: false }
    }

    /// Messages of a subject from a sequence on that are younger than the window, oldest first.
    pub fn fetch(&self, subject: &str, sequence_min: u64, window: Duration, count_max: usize, now: Duration) -> Reply {
        let wanted = self.messages.iter().filter(|kept| {
            let stored = &kept.stored;
            stored.message.subject == subject && stored.sequence >= sequence_min && kept.at + window >= now
        });
        Reply::Messages(wanted.take(count_max).map(|kept| kept.stored.clone()).collect())
    }

    /// Forgets every message and id so far, as retention does in the end. Sequences go on.
    pub fn expire(&mut self) {
        self.expired = self.count();
        self.messages.clear();
        self.ids.clear();
    }

    fn count(&self) -> u64 {
        self.expired + u64::try_from(self.messages.len()).expect("fits")
    }
}

/// Wall time of the server, whose clock is right.
fn wall(now: Duration) -> Timestamp {
    let since = jiff::SignedDuration::try_from(EPOCH + now).expect("a run ends within this millennium");
    Timestamp::from_duration(since).expect("a run ends within this millennium")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: &str) -> Publish {
        Publish {
            subject: "catalyst.audit".into(),
            headers: BTreeMap::from([("Nats-Msg-Id".into(), id.into())]),
            payload: String::new(),
        }
    }

    fn acknowledged(sequence: u64, duplicate: bool) -> Reply {
        Reply::Acknowledged { sequence, duplicate }
    }

    #[test]
    fn the_duplicate_window_is_two_minutes_and_repeats_do_not_prolong_it() {
        let mut stream = Stream::new("AUDIT", &["catalyst.audit"]);
        let at = Duration::from_secs;
        assert_eq!(stream.publish(message("a"), "a", at(0)), acknowledged(1, false));
        assert_eq!(stream.publish(message("a"), "a", at(100)), acknowledged(1, true));
        assert_eq!(stream.publish(message("a"), "a", at(119)), acknowledged(1, true));
        assert_eq!(stream.publish(message("a"), "a", at(120)), acknowledged(2, false));
    }

    #[test]
    fn a_full_stream_still_acknowledges_a_duplicate() {
        let mut stream = Stream::new("AUDIT", &["catalyst.audit"]);
        stream.publish(message("a"), "a", Duration::ZERO);
        stream.full = true;
        assert_eq!(stream.publish(message("a"), "a", Duration::ZERO), acknowledged(1, true));
        assert!(matches!(stream.publish(message("b"), "a", Duration::ZERO), Reply::Error { code: STORE_FAILED, .. }));
        assert_eq!(stream.messages().count(), 1);
    }
}
