//! What an authoritative server answers from the sets of a name: LUA is run, and what it asks for is checked over HTTP.

use super::dns_wire::{self, reply};
use super::health_check;
use super::lua::{self, Circumstances};
use crate::fabric::Net;
use continuum_core::record::RecordSet;
use futures_util::future::join_all;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{NS, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Between two health checks of an address (`lua-health-checks-interval`).
pub const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Time to live of an answer that there is nothing, s.
const NEGATIVE_TTL_SECONDS: u32 = 5;

/// Results of the last checks, by URL and address. Absent: nobody asked. `None`: not checked yet.
pub(super) type Checks = Arc<Mutex<BTreeMap<(String, IpAddr), Option<bool>>>>;

/// What a server knows of the name that it is asked for.
pub(super) struct Served<'a> {
    /// The zone that it belongs to.
    pub zone: &'a str,
    /// Its sets.
    pub sets: &'a [RecordSet],
    /// LUA cannot be run.
    pub lua_is_broken: bool,
}

/// Checks every address that was asked for, again and again.
pub(super) async fn check(net: Net, checks: Checks) {
    loop {
        tokio::time::sleep(CHECK_INTERVAL).await;
        let held = || checks.lock().expect("nothing panics while it holds the checks");
        let due: Vec<(String, IpAddr)> = held().keys().cloned().collect();
        let found = join_all(due.iter().map(|(url, address)| health_check::is_up(&net, url, *address))).await;
        for (which, up) in due.into_iter().zip(found) {
            held().insert(which, Some(up));
        }
    }
}

/// The name that is asked for, without its trailing dot.
pub(super) fn hostname(question: &Message) -> Option<String> {
    let query = question.queries.first()?;
    Some(query.name().to_lowercase().to_ascii().trim_end_matches('.').to_owned())
}

/// The answer to a question about a name of the zone.
pub(super) fn answer(
    question: &Message,
    from: IpAddr,
    served: &Served<'_>,
    checks: &Checks,
    random: &mut ChaCha8Rng,
) -> Message {
    let Some(query) = question.queries.first() else { return reply(question, ResponseCode::FormErr) };
    let mut answer = reply(question, ResponseCode::NoError);
    answer.metadata.authoritative = true;
    let mut circumstances = Circumstances {
        asker: from,
        up: &mut |url, address| {
            let mut checks = checks.lock().expect("nothing panics while it holds the checks");
            checks.entry((url.to_owned(), address)).or_default().unwrap_or(false)
        },
        random: &mut |count| usize::try_from(random.next_u32()).expect("usize has 32 bits at least") % count,
    };
    for set in served.sets {
        if served.lua_is_broken && set.kind == "LUA" {
            return reply(question, ResponseCode::ServFail);
        }
        if set.kind == "NS" && query.query_type() == RecordType::NS {
            let named = set.contents.iter().filter_map(|name| Name::from_ascii(name).ok());
            let record = |name| Record::from_rdata(query.name().clone(), set.ttl_seconds, RData::NS(NS(name)));
            answer.answers.extend(named.map(record));
            continue;
        }
        match addresses(set, query.query_type(), &mut circumstances) {
            Ok(addresses) => {
                let record = |data| Record::from_rdata(query.name().clone(), set.ttl_seconds, data);
                answer.answers.extend(addresses.into_iter().map(dns_wire::data).map(record));
            }
            Err(lua::Broken(_)) => return reply(question, ResponseCode::ServFail),
        }
    }
    if answer.answers.is_empty() {
        let known = !served.sets.is_empty();
        answer.metadata.response_code = if known { ResponseCode::NoError } else { ResponseCode::NXDomain };
        answer.authorities.push(start_of_authority(served.zone));
    }
    answer
}

/// The addresses of one set that answer a question for this type.
fn addresses(
    set: &RecordSet,
    wanted: RecordType,
    circumstances: &mut Circumstances<'_>,
) -> Result<Vec<IpAddr>, lua::Broken> {
    let fits = |address: &IpAddr| match wanted {
        RecordType::A => address.is_ipv4(),
        RecordType::AAAA => address.is_ipv6(),
        _ => false,
    };
    if set.kind != "LUA" {
        return Ok(set.contents.iter().filter_map(|c| c.parse().ok()).filter(fits).collect());
    }
    let mut found = Vec::new();
    for content in &set.contents {
        let (kind, program) = lua::split(content).map_err(|error| lua::Broken(error.to_string()))?;
        if kind != wanted.to_string() {
            continue;
        }
        let address = lua::run(program, circumstances)?;
        if !fits(&address) {
            return Err(lua::Broken(format!("{address} is no content of {kind}")));
        }
        found.push(address);
    }
    Ok(found)
}

/// Says for how long the answer that there is nothing may be kept.
fn start_of_authority(zone: &str) -> Record {
    let name = Name::from_ascii(format!("{zone}.")).expect("a zone's name is a DNS name");
    let ttl = NEGATIVE_TTL_SECONDS;
    Record::from_rdata(name.clone(), ttl, RData::SOA(SOA::new(name, Name::root(), 1, 10800, 3600, 604_800, ttl)))
}
