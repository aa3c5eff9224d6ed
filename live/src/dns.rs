//! One question to one DNS server, for those who must know what that server itself answers: no cache, no
//! hosts file, no second server, no search domains.

use continuum_core::observe::Answer;
use futures_util::future::join;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
    ServerOrderingStrategy,
};
use hickory_resolver::net::{DnsError, NetError, NoRecords};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{ConnectionProvider, Resolver};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Limit of one question over one transport.
pub const QUESTION_LIMIT: Duration = Duration::from_secs(3);

/// A resolver that asks `server` alone, by UDP, and by TCP where the answer did not fit.
pub fn resolver<P: ConnectionProvider>(server: SocketAddr, provider: P) -> Result<Resolver<P>, NetError> {
    let (mut udp, mut tcp) = (ConnectionConfig::udp(), ConnectionConfig::tcp());
    udp.port = server.port();
    tcp.port = server.port();
    let server = NameServerConfig::new(server.ip(), true, vec![udp, tcp]);
    let mut builder = Resolver::builder_with_config(ResolverConfig::from_parts(None, vec![], vec![server]), provider);
    *builder.options_mut() = options();
    builder.build()
}

fn options() -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.timeout = QUESTION_LIMIT;
    // `attempts` counts repetitions: the default of 2 makes a dead server cost three times the limit.
    options.attempts = 0;
    // A cache here would hide what the server answers; hickory's also follows the machine's clock, not ours.
    options.cache_size = 0;
    options.num_concurrent_reqs = 1;
    options.use_hosts_file = ResolveHosts::Never;
    options.ip_strategy = LookupIpStrategy::Ipv4Only;
    options.server_ordering_strategy = ServerOrderingStrategy::UserProvidedOrder;
    // The system picks the port; hickory's own choice would be a random number that no seed decides.
    options.os_port_selection = true;
    options
}

/// What the server answers about one record type. An error: no answer.
pub async fn ask<P: ConnectionProvider>(
    resolver: &Resolver<P>,
    hostname: &str,
    kind: RecordType,
) -> Result<Answer, NetError> {
    // The trailing dot keeps search domains away.
    let name = Name::from_ascii(format!("{}.", hostname.trim_end_matches('.')))?;
    match resolver.lookup(name, kind).await {
        Ok(lookup) => {
            let found = |data: &RData| match data {
                RData::A(a) => Some(IpAddr::from(a.0)),
                RData::AAAA(aaaa) => Some(IpAddr::from(aaaa.0)),
                _ => None,
            };
            let mut addresses: Vec<IpAddr> = lookup.answers().iter().filter_map(|r| found(&r.data)).collect();
            addresses.sort();
            let ttl_seconds = lookup.answers().iter().find(|r| found(&r.data).is_some()).map(|r| r.ttl);
            Ok(Answer { code: code(ResponseCode::NoError), addresses, ttl_seconds })
        }
        Err(NetError::Dns(
            DnsError::NoRecordsFound(NoRecords { response_code, .. }) | DnsError::ResponseCode(response_code),
        )) => Ok(Answer { code: code(response_code), addresses: vec![], ttl_seconds: None }),
        Err(error) => Err(error),
    }
}

/// The names in the NS records that it answers for a zone; empty: it has none.
pub async fn name_servers<P: ConnectionProvider>(resolver: &Resolver<P>, zone: &str) -> Result<Vec<String>, NetError> {
    let name = Name::from_ascii(format!("{}.", zone.trim_end_matches('.')))?;
    let named = |data: &RData| match data {
        RData::NS(ns) => Some(ns.0.to_ascii().trim_end_matches('.').to_owned()),
        _ => None,
    };
    match resolver.lookup(name, RecordType::NS).await {
        Ok(lookup) => Ok(lookup.answers().iter().filter_map(|record| named(&record.data)).collect()),
        Err(NetError::Dns(DnsError::NoRecordsFound(_))) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// What the server answers for a name in both address families. Where one of them fails, so does the whole:
/// a client may ask for either.
pub async fn ask_both<P: ConnectionProvider>(resolver: &Resolver<P>, hostname: &str) -> Result<Answer, NetError> {
    let (v4, v6) = join(ask(resolver, hostname, RecordType::A), ask(resolver, hostname, RecordType::AAAA)).await;
    let (v4, v6) = (v4?, v6?);
    let fine = code(ResponseCode::NoError);
    Ok(Answer {
        code: if v4.code == fine { v6.code } else { v4.code },
        addresses: v4.addresses.into_iter().chain(v6.addresses).collect(),
        ttl_seconds: v4.ttl_seconds.or(v6.ttl_seconds),
    })
}

/// The response code by the name that DNS tools print.
fn code(code: ResponseCode) -> String {
    match code {
        ResponseCode::NoError => "NOERROR".into(),
        ResponseCode::FormErr => "FORMERR".into(),
        ResponseCode::ServFail => "SERVFAIL".into(),
        ResponseCode::NXDomain => "NXDOMAIN".into(),
        ResponseCode::NotImp => "NOTIMP".into(),
        ResponseCode::Refused => "REFUSED".into(),
        ResponseCode::NotAuth => "NOTAUTH".into(),
        other => format!("RCODE{}", u16::from(other)),
    }
}
