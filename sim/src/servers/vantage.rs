//! A public resolver somewhere in the world, `vantage1` to `vantage3`: asks an authoritative server, of several each in
//! its turn, and
//! keeps what it said for its time to live. Its cache is memory and dies with the process.
//!
//! Deliberately absent: caching of failures and of names that do not exist, so that what the world sees of a
//! broken record is what the authoritative server says now.

use super::dns_client;
use super::dns_wire::{self, Answerer, data, reply};
use crate::fabric::{Net, Software};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::NS;
use hickory_proto::rr::{RData, Record, RecordType};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// Limit of a question to the authoritative server: less than what clients wait, so that they hear SERVFAIL.
const UPSTREAM_LIMIT: Duration = Duration::from_secs(2);

/// A vantage. Cheap to clone; all clones are the same one.
#[derive(Clone)]
pub struct Vantage {
    net: Net,
    upstreams: Vec<String>,
    overdue: Arc<Mutex<Duration>>,
}

/// What the authoritative server said.
#[derive(Clone)]
struct Heard {
    code: ResponseCode,
    addresses: Vec<IpAddr>,
    /// Names of a zone's servers.
    servers: Vec<NS>,
    /// Absent: there was neither.
    ttl_seconds: Option<u32>,
}

/// What it said last, by name and type, and when it was heard.
type Cache = Mutex<BTreeMap<(String, RecordType), (Duration, Heard)>>;

struct Running {
    vantage: Vantage,
    upstreams: Vec<IpAddr>,
    /// Ids of its questions.
    next_id: AtomicU16,
    /// How often each name and type was asked for.
    asked: Mutex<BTreeMap<(String, RecordType), usize>>,
    cache: Cache,
}

impl Vantage {
    /// A vantage that asks these hosts.
    pub fn new(net: Net, upstreams: &[&str]) -> Self {
        let upstreams = upstreams.iter().map(|host| (*host).to_owned()).collect();
        Self { net, upstreams, overdue: Arc::default() }
    }

    /// What runs on its host.
    pub fn software(&self) -> Software {
        let vantage = self.clone();
        Box::new(move || Box::pin(vantage.clone().run()))
    }

    /// Keeps answers this much longer than their time to live. Zero: as it should.
    pub fn keep_overdue(&self, longer: Duration) {
        *self.lock_overdue() = longer;
    }

    fn lock_overdue(&self) -> MutexGuard<'_, Duration> {
        self.overdue.lock().expect("nothing panics while it holds a duration")
    }

    async fn run(self) {
        let net = self.net.clone();
        let address = |host: &String| net.lookup(host).expect("an authoritative server is a host of this world");
        let upstreams = self.upstreams.iter().map(address).collect();
        let running = Arc::new(Running {
            vantage: self,
            upstreams,
            next_id: AtomicU16::new(1),
            asked: Mutex::default(),
            cache: Cache::default(),
        });
        let answerer: Answerer = Arc::new(move |question, _| {
            let running = running.clone();
            Box::pin(async move { running.answer(question).await })
        });
        dns_wire::serve(net, answerer).await.expect("the port of DNS is free on a host just started");
    }
}

impl Running {
    async fn answer(&self, question: Message) -> Message {
        let Some(query) = question.queries.first() else { return reply(&question, ResponseCode::FormErr) };
        let hostname = query.name().to_lowercase().to_ascii().trim_end_matches('.').to_owned();
        let key = (hostname, query.query_type());
        let known = match self.cached(&key) {
            Some(answer) => answer,
            None => match self.ask(&key).await {
                Some(answer) => answer,
                None => return reply(&question, ResponseCode::ServFail),
            },
        };
        let code = match known.code {
            code @ (ResponseCode::NoError | ResponseCode::NXDomain | ResponseCode::Refused) => code,
            _ => ResponseCode::ServFail,
        };
        let mut answer = reply(&question, code);
        answer.metadata.recursion_available = true;
        let ttl_seconds = known.ttl_seconds.unwrap_or_default();
        let record = |address| Record::from_rdata(query.name().clone(), ttl_seconds, data(address));
        answer.answers.extend(known.addresses.into_iter().map(record));
        let record = |server| Record::from_rdata(query.name().clone(), ttl_seconds, RData::NS(server));
        answer.answers.extend(known.servers.into_iter().map(record));
        answer
    }

    /// What it heard within the time to live, with what is left of that.
    fn cached(&self, key: &(String, RecordType)) -> Option<Heard> {
        let cache = self.cache.lock().expect("nothing panics while it holds the cache");
        let (heard, answer) = cache.get(key)?;
        let ttl_seconds = answer.ttl_seconds?;
        let age = self.vantage.net.now().saturating_sub(*heard);
        let kept = Duration::from_secs(ttl_seconds.into()) + *self.vantage.lock_overdue();
        let age_seconds = u32::try_from(age.as_secs()).unwrap_or(u32::MAX);
        (age < kept).then(|| Heard { ttl_seconds: Some(ttl_seconds.saturating_sub(age_seconds)), ..answer.clone() })
    }

    /// Whose turn it is.
    fn upstream(&self, key: &(String, RecordType)) -> IpAddr {
        let mut asked = self.asked.lock().expect("nothing panics while it holds the counts");
        let count = asked.entry(key.clone()).or_default();
        *count += 1;
        self.upstreams[(*count - 1) % self.upstreams.len()]
    }

    async fn ask(&self, key: &(String, RecordType)) -> Option<Heard> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let asking = dns_client::ask(&self.vantage.net, self.upstream(key), &key.0, key.1, id);
        let answer = tokio::time::timeout(UPSTREAM_LIMIT, asking).await.ok()?.ok()?;
        let code = answer.metadata.response_code;
        let mut heard = Heard { code, addresses: Vec::new(), servers: Vec::new(), ttl_seconds: None };
        for record in &answer.answers {
            match &record.data {
                RData::A(address) => heard.addresses.push(IpAddr::V4(address.0)),
                RData::AAAA(address) => heard.addresses.push(IpAddr::V6(address.0)),
                RData::NS(server) => heard.servers.push(server.clone()),
                _ => continue,
            }
            heard.ttl_seconds = Some(heard.ttl_seconds.map_or(record.ttl, |ttl| ttl.min(record.ttl)));
        }
        heard.addresses.sort();
        if heard.ttl_seconds.is_some() {
            let mut cache = self.cache.lock().expect("nothing panics while it holds the cache");
            cache.insert(key.clone(), (self.vantage.net.now(), heard.clone()));
        }
        Some(heard)
    }
}
