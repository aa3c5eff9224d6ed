//! The host `dns2`: a second PowerDNS on the database of the first, which answers and has no API that anybody uses.
//!
//! What it read from the database it keeps for 20 s (`query-cache-ttl`), that there is nothing for 60 s
//! (`negquery-cache-ttl`), and an answer without LUA for another 20 s (`cache-ttl`), by its question: so a plain record
//! may be answered for 40 s after it was changed, as on the real one. A write through the API of the first empties none
//! of them; a restart does.

use super::super::authority::{self, Checks, Served};
use super::super::dns_wire::{self, Answerer, reply};
use super::{PowerDns, Shared};
use crate::fabric::{Net, Software};
use continuum_core::record::RecordSet;
use hickory_proto::op::{Message, ResponseCode};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::future::ready;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// Name of the host.
pub const HOST: &str = "dns2";

const QUERY_CACHE: Duration = Duration::from_secs(20);
const NEGATIVE_QUERY_CACHE: Duration = Duration::from_secs(60);
const PACKET_CACHE: Duration = Duration::from_secs(20);

/// See the module.
#[derive(Default)]
pub(super) struct Caches {
    /// What the database said of a name, and when.
    sets: BTreeMap<String, (Duration, Vec<RecordSet>)>,
    /// An answer by its question without the id, the sets that it was made of, and when.
    packets: BTreeMap<Vec<u8>, (Duration, Vec<RecordSet>, Message)>,
}

impl PowerDns {
    /// What runs on the host of the second server.
    pub fn second(&self, random: ChaCha8Rng) -> Software {
        let shared = self.shared.clone();
        let random = Arc::new(Mutex::new(random));
        Box::new(move || Box::pin(run(shared.clone(), random.clone())))
    }
}

/// What the second server may still answer for a name from its caches.
pub(super) fn cached_sets(shared: &Shared, hostname: &str) -> Vec<RecordSet> {
    let (now, caches) = (shared.net.now(), lock(shared));
    let kept = caches.sets.get(hostname).filter(|(at, sets)| is_kept(now, *at, sets)).map(|(_, sets)| sets.clone());
    let packets = caches.packets.values().filter(|(at, ..)| now < *at + PACKET_CACHE);
    let packets = packets.flat_map(|(_, sets, _)| sets).filter(|set| set.hostname == hostname).cloned();
    kept.into_iter().flatten().chain(packets).collect()
}

fn lock(shared: &Shared) -> MutexGuard<'_, Caches> {
    shared.caches.lock().expect("nothing panics while it holds the caches")
}

fn is_kept(now: Duration, at: Duration, sets: &[RecordSet]) -> bool {
    now < at + if sets.is_empty() { NEGATIVE_QUERY_CACHE } else { QUERY_CACHE }
}

async fn run(shared: Arc<Shared>, random: Arc<Mutex<ChaCha8Rng>>) {
    *lock(&shared) = Caches::default();
    let (net, checks): (Net, _) = (shared.net.clone(), Checks::default());
    net.spawn(Box::pin(authority::check(net.clone(), checks.clone())));
    let answerer: Answerer = Arc::new(move |question, from| {
        let random = &mut *random.lock().expect("nothing panics while it holds the generator");
        Box::pin(ready(answer(&shared, &question, from, &checks, random)))
    });
    dns_wire::serve(net, answerer).await.expect("the port of DNS is free on a host just started");
}

fn answer(shared: &Shared, question: &Message, from: IpAddr, checks: &Checks, random: &mut ChaCha8Rng) -> Message {
    let Some(hostname) = authority::hostname(question) else { return reply(question, ResponseCode::FormErr) };
    let (now, disk, mut caches) = (shared.net.now(), shared.disk(), lock(shared));
    if !disk.zone.contains(&hostname) {
        return reply(question, ResponseCode::Refused);
    }
    let mut without_id = question.clone();
    without_id.metadata.id = 0;
    let key = without_id.to_vec().expect("a question that was read can be written");
    if let Some((_, _, packet)) = caches.packets.get(&key).filter(|(at, ..)| now < *at + PACKET_CACHE) {
        let mut answer = packet.clone();
        answer.metadata.id = question.metadata.id;
        return answer;
    }
    let kept = caches.sets.get(&hostname).filter(|(at, sets)| is_kept(now, *at, sets)).map(|(_, sets)| sets.clone());
    let sets = kept.unwrap_or_else(|| {
        let sets: Vec<RecordSet> = disk.zone.sets_of(&hostname).cloned().collect();
        caches.sets.insert(hostname, (now, sets.clone()));
        sets
    });
    let served = Served { zone: &disk.zone.name, sets: &sets, lua_is_broken: disk.broken };
    let answer = authority::answer(question, from, &served, checks, random);
    if sets.iter().all(|set| set.kind != "LUA") {
        caches.packets.insert(key, (now, sets, answer.clone()));
    }
    answer
}
