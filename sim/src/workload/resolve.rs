//! A client's resolver: one question over UDP, and what it was told for as long as it may be kept.

use super::LIMIT;
use crate::fabric::Net;
use crate::servers::dns_client;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{RData, RecordType};
use std::net::IpAddr;
use std::time::Duration;

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
        let server = self.net.lookup(&self.vantage).ok_or_else(|| format!("DNS: there is no host {}", self.vantage))?;
        let asked = dns_client::ask(&self.net, server, &self.hostname, RecordType::A, id).await;
        asked.map_err(|error| format!("DNS: {error}"))
    }
}
