//! Resolvers elsewhere in the world, asked what they answer for the application's names.

use crate::dns;
use async_trait::async_trait;
use continuum_core::ports::ObserveVantages;
use hickory_resolver::net::NetError;
use hickory_resolver::{ConnectionProvider, Resolver};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// The vantages where none are configured.
pub const VANTAGES_DEFAULT: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(8, 8, 8, 8)),
    IpAddr::V4(Ipv4Addr::new(1, 1, 1, 1)),
    IpAddr::V4(Ipv4Addr::new(9, 9, 9, 9)),
];

/// Port of DNS.
pub const DNS_PORT: u16 = 53;

/// Limit of one lookup, all transports together: the repetition over TCP takes a fresh limit of its own.
pub const LOOKUP_LIMIT: Duration = Duration::from_secs(3);

/// Vantage resolvers, each asked alone.
pub struct Vantages<P: ConnectionProvider> {
    resolvers: Vec<(String, Resolver<P>)>,
}

impl<P: ConnectionProvider> Vantages<P> {
    /// Vantages by name and address, asked over the sockets of `provider`.
    pub fn new(vantages: &[(String, SocketAddr)], provider: &P) -> Result<Self, NetError> {
        let one = |(name, server): &(String, SocketAddr)| Ok((name.clone(), dns::resolver(*server, provider.clone())?));
        Ok(Self { resolvers: vantages.iter().map(one).collect::<Result<_, NetError>>()? })
    }

    /// [`VANTAGES_DEFAULT`], named by their addresses.
    pub fn by_default(provider: &P) -> Result<Self, NetError> {
        Self::new(&VANTAGES_DEFAULT.map(|ip| (ip.to_string(), SocketAddr::new(ip, DNS_PORT))), provider)
    }
}

#[async_trait]
impl<P: ConnectionProvider> ObserveVantages for Vantages<P> {
    fn vantages(&self) -> Vec<String> {
        self.resolvers.iter().map(|(name, _)| name.clone()).collect()
    }

    async fn lookup(&self, vantage: &str, hostname: &str) -> Result<Vec<IpAddr>, String> {
        let Some((_, resolver)) = self.resolvers.iter().find(|(name, _)| name == vantage) else {
            return Err(format!("no vantage is named `{vantage}`"));
        };
        match tokio::time::timeout(LOOKUP_LIMIT, dns::ask_both(resolver, hostname)).await {
            Ok(Ok(answer)) if answer.code == "NOERROR" => Ok(answer.addresses),
            Ok(Ok(answer)) => Err(answer.code),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {} s", LOOKUP_LIMIT.as_secs())),
        }
    }
}
