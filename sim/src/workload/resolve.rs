//! A client's resolver: one question over UDP, and what it was told for as long as it may be kept.

use super::LIMIT;
use crate::fabric::Net;
use crate::servers::dns_wire;
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The longest answer that is read, bytes.
const ANSWER_LENGTH_MAX: usize = 4096;

/// A resolver with a cache of one name.
pub(super) struct Resolver {
    net: Net,
    vantage: String,
    hostname: String,
    known: Option<(Duration, Vec<IpAddr>)>,
}

impl Resolver {
    pub(super) fn new(net: Net, vantage: &str, hostname: &str) -> Self {
        Self { net, vantage: vantage.to_owned(), hostname: hostname.to_owned(), known: None }
    }

    /// The addresses now, one at least, or why there are none. `id` is that of a question that is asked.
    pub(super) async fn addresses(&mut self, id: u16) -> Result<Vec<IpAddr>, String> {
        if let Some((until, addresses)) = &self.known
            && self.net.now() < *until
        {
            return Ok(addresses.clone());
        }
        self.known = None;
        let asked = self.net.now();
        let answer = match tokio::time::timeout(LIMIT, self.ask(id)).await {
            Ok(answer) => answer?,
            Err(_) => return Err("DNS: no answer".into()),
        };
        if answer.metadata.response_code != ResponseCode::NoError {
            return Err(format!("DNS: {}", answer.metadata.response_code));
        }
        let mut addresses = Vec::new();
        let mut ttl_seconds = u32::MAX;
        for record in &answer.answers {
            if let RData::A(address) = &record.data {
                addresses.push(IpAddr::V4(address.0));
                ttl_seconds = ttl_seconds.min(record.ttl);
            }
        }
        if addresses.is_empty() {
            return Err("DNS: no address".into());
        }
        self.known = Some((asked + Duration::from_secs(ttl_seconds.into()), addresses.clone()));
        Ok(addresses)
    }

    async fn ask(&self, id: u16) -> Result<Message, String> {
        let told = |error: std::io::Error| format!("DNS: {error}");
        let name = Name::from_ascii(format!("{}.", self.hostname)).map_err(|error| format!("DNS: {error}"))?;
        let mut question = Message::new(id, MessageType::Query, OpCode::Query);
        question.metadata.recursion_desired = true;
        question.add_query(Query::query(name, RecordType::A));
        let bytes = question.to_vec().map_err(|error| format!("DNS: {error}"))?;
        let server = self.net.lookup(&self.vantage).ok_or_else(|| format!("DNS: there is no host {}", self.vantage))?;
        let socket = self.net.bind(0).await.map_err(told)?;
        socket.send_to(&bytes, SocketAddr::new(server, dns_wire::PORT)).map_err(told)?;
        let mut buffer = [0; ANSWER_LENGTH_MAX];
        loop {
            let (length, from) = poll_fn(|cx| socket.poll_recv_from(cx, &mut buffer)).await.map_err(told)?;
            match Message::from_vec(&buffer[..length]) {
                Ok(answer) if answer.metadata.id == id && from.ip() == server => return Ok(answer),
                // Not the answer to this question.
                _ => continue,
            }
        }
    }
}
