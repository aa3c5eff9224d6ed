//! What client and server of the JetStream model say to each other: JSON, each message with its length
//! before it. It is not NATS: async-nats opens its own sockets and cannot be carried over ours.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The longest message, bytes.
const MESSAGE_LENGTH_MAX: u32 = 8 * 1024 * 1024;

/// A request, with the name of the client as NATS has it in its `CONNECT`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Client name.
    pub client: String,
    /// What it wants.
    pub request: Request,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Store a message and acknowledge it.
    Publish(Publish),
    /// Which stream takes this subject, and how full it is.
    Info {
        /// Subject.
        subject: String,
    },
    /// The last message of a subject, of the leader.
    Last {
        /// Subject.
        subject: String,
    },
    /// A pull of messages, oldest first.
    Fetch {
        /// Subject.
        subject: String,
        /// Not before this sequence.
        sequence_min: u64,
        /// Stored within so many seconds before now, by the server's clock.
        window_seconds: u32,
        /// So many at most.
        count_max: usize,
    },
}

/// A message to be stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publish {
    /// Subject.
    pub subject: String,
    /// Headers.
    pub headers: BTreeMap<String, String>,
    /// Body.
    pub payload: String,
}

impl Publish {
    /// What makes a repeat a duplicate.
    pub fn message_id(&self) -> Option<&str> {
        self.headers.get("Nats-Msg-Id").map(String::as_str)
    }

    /// The sequence that the last message of its subject must have; 0: there must be none.
    pub fn expected_last(&self) -> Option<&str> {
        self.headers.get("Nats-Expected-Last-Subject-Sequence").map(String::as_str)
    }
}

/// A message in the stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Sequence, from 1.
    pub sequence: u64,
    /// When it was stored, wall time of the server.
    pub at: Timestamp,
    /// What was published.
    pub message: Publish,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// A message is in the stream.
    Acknowledged {
        /// Its sequence; of a duplicate, that of the first.
        sequence: u64,
        /// It was there before.
        duplicate: bool,
    },
    /// The stream that takes the subject.
    Info {
        /// Its name.
        stream: String,
        /// Messages in it.
        message_count: u64,
    },
    /// The last one; absent: there is none.
    Last(Option<Stored>),
    /// What was pulled.
    Messages(Vec<Stored>),
    /// Nothing was done.
    Error {
        /// Code, like those of HTTP.
        code: u16,
        /// Why.
        description: String,
    },
}

/// Writes one message.
pub async fn write(stream: &mut (impl AsyncWrite + Unpin), message: &impl Serialize) -> io::Result<()> {
    let bytes = serde_json::to_vec(message)?;
    let length = u32::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    stream.write_all(&[&length.to_be_bytes()[..], &bytes].concat()).await
}

/// Reads one message.
pub async fn read<T: DeserializeOwned>(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<T> {
    let length = stream.read_u32().await?;
    if length > MESSAGE_LENGTH_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; usize::try_from(length).map_err(|_| io::ErrorKind::InvalidData)?];
    stream.read_exact(&mut bytes).await?;
    Ok(serde_json::from_slice(&bytes)?)
}
