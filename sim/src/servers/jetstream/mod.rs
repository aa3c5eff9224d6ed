//! The host `nats`: a model of NATS JetStream with the one stream that the platform keeps for audit events, and, where the
//! witness is there, with a bucket of one key.
//!
//! async-nats opens its own sockets and cannot run over a stream that is passed to it, so what stands behind
//! the ports in the simulator is [`crate::audit_client`] and [`crate::witness_client`], with a small protocol of its own. What is modelled
//! is what a publisher can meet: acknowledgements with a sequence, duplicates by message id, a full stream,
//! refusals, lost replies. What was stored survives a crash, as it does when the process is killed or the
//! stream is replicated; the loss of power under a single server is not modelled. Nor are consumers: a fetch
//! leaves nothing behind.

pub mod protocol;
pub mod stream;

use self::protocol::{Call, Publish, Reply, Request, Stored};
use self::stream::{Kept, Stream};
use super::gated::{self, Passed};
use crate::fabric::{BoxStream, Net, Software};
use crate::gate::{Asked, SharedGate};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// Name of the host.
pub const HOST: &str = "nats";

/// Its port.
pub const PORT: u16 = 4222;

/// Name of the stream.
pub const STREAM: &str = "AUDIT";

/// Name of the bucket's stream.
pub const BUCKET: &str = "KV_leases";

/// The server. Cheap to clone; all clones are the same server.
#[derive(Clone)]
pub struct JetStream {
    net: Net,
    gate: SharedGate,
    disk: Arc<Mutex<Disk>>,
}

/// What survives a crash, and what the world decides about the server.
struct Disk {
    /// Absent: nobody made it, or somebody deleted it.
    stream: Option<Stream>,
    /// Absent: nobody made it.
    bucket: Option<Stream>,
    refusing: Option<u16>,
}

impl JetStream {
    /// A server with the stream [`STREAM`], which takes the subject of audit events.
    pub fn new(net: Net, gate: SharedGate) -> Self {
        let stream = Some(Stream::new(STREAM, &[continuum_core::audit::SUBJECT]));
        Self { net, gate, disk: Arc::new(Mutex::new(Disk { stream, bucket: None, refusing: None })) }
    }

    /// Makes a bucket that takes this key, with a value in it.
    pub fn make_bucket(&self, key: &str, value: Option<String>) {
        let mut bucket = Stream::new(BUCKET, &[key]);
        bucket.replaces = true;
        if let Some(payload) = value {
            let message = Publish { subject: key.to_owned(), headers: BTreeMap::new(), payload };
            bucket.publish(message, "world", Duration::ZERO);
        }
        self.disk().bucket = Some(bucket);
    }

    /// Limits the bucket: it takes no value that is longer than what stands there; or none that is longer than this, bytes.
    pub fn limit_bucket(&self, full: bool, value_length_max: usize) {
        if let Some(bucket) = &mut self.disk().bucket {
            (bucket.full, bucket.payload_length_max) = (full, value_length_max);
        }
    }

    /// Ground truth: every value that the bucket's key was given, after so many others.
    pub fn values_after(&self, count: usize) -> Vec<Kept> {
        self.disk().bucket.iter().flat_map(|bucket| bucket.messages().skip(count).cloned()).collect()
    }

    /// Ground truth: how many there were.
    pub fn value_count(&self) -> usize {
        self.disk().bucket.as_ref().map_or(0, |bucket| bucket.messages().count())
    }

    /// What runs on its host.
    pub fn software(&self) -> Software {
        let server = self.clone();
        Box::new(move || Box::pin(server.clone().run()))
    }

    /// Ground truth: every message stored, in order.
    pub fn messages(&self) -> Vec<Stored> {
        self.messages_after(0)
    }

    /// Ground truth: the messages that were stored after so many others, in order.
    pub fn messages_after(&self, count: usize) -> Vec<Stored> {
        let stored = |stream: &Stream| stream.messages().skip(count).map(|kept| kept.stored.clone()).collect();
        self.disk().stream.as_ref().map(stored).unwrap_or_default()
    }

    /// From now on the stream takes no new message; `false`: there is room again.
    pub fn fill(&self, full: bool) {
        if let Some(stream) = &mut self.disk().stream {
            stream.full = full;
        }
    }

    /// Answers every request with this code and does nothing; `None`: no more.
    pub fn refuse(&self, code: Option<u16>) {
        self.disk().refusing = code;
    }

    /// The stream's retention takes everything that is in it.
    pub fn expire(&self) {
        if let Some(stream) = &mut self.disk().stream {
            stream.expire();
        }
    }

    /// Others who share the stream publish so many messages at once.
    pub fn share(&self, count: usize) {
        let now = self.net.now();
        if let Some(stream) = &mut self.disk().stream {
            for _ in 0..count {
                let subject = continuum_core::audit::SUBJECT.to_owned();
                let message = Publish { subject, headers: BTreeMap::new(), payload: "somebody else's".into() };
                stream.publish(message, "others", now);
            }
        }
    }

    /// Deletes the stream with all that is in it.
    pub fn delete_stream(&self) {
        self.disk().stream = None;
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().expect("nothing panics while it holds the disk")
    }

    async fn run(self) {
        let listener = self.net.listen(PORT).await.expect("the port is free on a host just started");
        while let Ok((stream, from)) = listener.accept().await {
            self.net.spawn(Box::pin(self.clone().converse(stream, from)));
        }
    }

    async fn converse(self, mut stream: BoxStream, from: SocketAddr) {
        let from = self.net.reverse_lookup(from.ip()).unwrap_or_else(|| from.ip().to_string());
        while let Ok(call) = protocol::read::<Call>(&mut stream).await {
            let asked = asked(&call, &from);
            let (server, by) = (self.clone(), from.clone());
            let apply = move || server.apply(call.request, &by);
            let reply = match gated::pass(&self.net, &self.gate, asked, apply).await {
                Passed::Applied(reply) => reply,
                Passed::Instead(code) => error(code, "the request was not carried out"),
            };
            if protocol::write(&mut stream, &reply).await.is_err() {
                return;
            }
        }
    }

    fn apply(&self, request: Request, from: &str) -> (u16, Reply) {
        let reply = self.reply(request, from);
        let status = match &reply {
            Reply::Error { code, .. } => *code,
            _ => 200,
        };
        (status, reply)
    }

    fn reply(&self, request: Request, from: &str) -> Reply {
        let disk = &mut *self.disk();
        if let Some(code) = disk.refusing {
            return error(code, "refused");
        }
        let subject = subject(&request);
        let mut streams = disk.stream.iter_mut().chain(&mut disk.bucket);
        let Some(stream) = streams.find(|stream| stream.takes(subject)) else {
            return match request {
                // Nobody answers a publish that no stream takes; the client library makes this of it.
                Request::Publish(_) => error(503, "no responders"),
                _ => error(404, "no stream takes the subject"),
            };
        };
        let now = self.net.now();
        match request {
            Request::Publish(message) => stream.publish(message, from, now),
            Request::Last { subject } => Reply::Last(stream.last(&subject).cloned()),
            Request::Info { .. } => stream.info(),
            Request::Fetch { subject, sequence_min, window_seconds, count_max } => {
                let window = Duration::from_secs(window_seconds.into());
                stream.fetch(&subject, sequence_min, window, count_max, now)
            }
        }
    }
}

fn subject(request: &Request) -> &str {
    match request {
        Request::Publish(message) => &message.subject,
        Request::Info { subject } | Request::Last { subject } | Request::Fetch { subject, .. } => subject,
    }
}

/// As faults name it: a key of the bucket as the Lease in whose place it stands.
fn named(subject: &str) -> String {
    subject.strip_prefix("$KV.leases.").map_or_else(|| subject.to_owned(), |key| format!("leases/{key}"))
}

fn asked(call: &Call, from: &str) -> Asked {
    let (verb, body) = match &call.request {
        Request::Publish(message) => ("publish", message.payload.clone()),
        Request::Info { .. } => ("info", String::new()),
        Request::Last { .. } => ("last", String::new()),
        Request::Fetch { .. } => ("fetch", String::new()),
    };
    Asked {
        server: HOST.into(),
        from: from.to_owned(),
        verb: verb.into(),
        what: named(subject(&call.request)),
        subresource: String::new(),
        changing: verb == "publish",
        trial: false,
        dry_run: call.client.contains("continuum-dry-run"),
        body,
    }
}

fn error(code: u16, description: &str) -> Reply {
    Reply::Error { code, description: description.to_owned() }
}
