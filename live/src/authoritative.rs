//! The servers that answer for a zone, asked directly: what a publisher's API says it took is not yet what clients are
//! told (H19).

use crate::dns;
use crate::vantages::DNS_PORT;
use continuum_core::observe::{Answer, Seen};
use continuum_core::record::RecordSet;
use futures_util::future::{join_all, select_ok};
use futures_util::lock::Mutex;
use hickory_resolver::net::NetError;
use hickory_resolver::proto::rr::RecordType;
use hickory_resolver::{ConnectionProvider, Resolver};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The authoritative servers of a zone, where its resource lists none.
#[derive(Clone, Debug)]
pub enum Authorities {
    /// These.
    Listed(Vec<SocketAddr>),
    /// Those that the zone's NS records name. Their addresses stand in the zone itself, or these resolvers know them.
    OfZone {
        /// In the order in which they are asked.
        resolvers: Vec<SocketAddr>,
    },
}

/// Asks them. Those that one value asked are those that a change of its owner has to reach.
pub(crate) struct Authoritative<P: ConnectionProvider> {
    /// Where the resource lists none.
    pub which: Authorities,
    provider: P,
    asked: Asked<P>,
}

/// The servers that were asked so far, and whether each of them answered last.
type Asked<P> = Mutex<BTreeMap<SocketAddr, (Arc<Resolver<P>>, bool)>>;

impl<P: ConnectionProvider> Authoritative<P> {
    pub fn new(which: Authorities, provider: P) -> Self {
        Self { which, provider, asked: Mutex::default() }
    }

    /// For another owner: the same zone's servers, none of them asked yet.
    pub fn beside(&self) -> Self {
        Self::new(self.which.clone(), self.provider.clone())
    }

    /// What this server answers for the name, in both address families.
    pub async fn answer(&self, server: SocketAddr, hostname: &str) -> Seen<Answer> {
        let resolver = match self.resolver(server).await {
            Ok(resolver) => resolver,
            Err(error) => return Seen::Unknown(format!("the authoritative server cannot be asked: {error}")),
        };
        match dns::ask_both(&resolver, hostname).await {
            Ok(answer) => {
                self.asked.lock().await.insert(server, (resolver, true));
                Seen::Is(answer)
            }
            Err(error) => Seen::Unknown(format!("no answer from the authoritative server: {error}")),
        }
    }

    /// For a question to this server, which counts as not answered until it is.
    async fn resolver(&self, server: SocketAddr) -> Result<Arc<Resolver<P>>, NetError> {
        let mut asked = self.asked.lock().await;
        if let Some((resolver, answered)) = asked.get_mut(&server) {
            *answered = false;
            return Ok(resolver.clone());
        }
        let resolver = Arc::new(dns::resolver(server, self.provider.clone())?);
        asked.insert(server, (resolver.clone(), false));
        Ok(resolver)
    }

    /// Whether a server refuses to answer for a name of these sets: it has not noticed the zone yet. One that did not
    /// answer last is not waited for.
    pub async fn is_refused(&self, sets: &[RecordSet]) -> bool {
        let Some(set) = sets.first() else { return false };
        let known = self.asked.lock().await.clone();
        let asked = known.values().filter(|(_, answered)| *answered);
        let answers = join_all(asked.map(|(server, _)| dns::ask(server, &set.hostname, RecordType::A))).await;
        answers.iter().any(|answer| answer.as_ref().is_ok_and(|answer| answer.code == "REFUSED"))
    }

    /// The names of the zone's servers, from whichever resolver knows them first.
    pub async fn names(&self, zone: &str, resolvers: &[SocketAddr]) -> Result<Vec<String>, String> {
        let asked = resolvers.iter().map(|server| {
            Box::pin(async move {
                let resolver = dns::resolver(*server, self.provider.clone()).map_err(|error| error.to_string())?;
                match dns::name_servers(&resolver, zone).await {
                    Ok(names) if !names.is_empty() => Ok(names),
                    Ok(_) => Err(format!("{server} knows no NS records of it")),
                    Err(error) => Err(format!("{server}: {error}")),
                }
            })
        });
        first(asked, "there is no resolver to ask".to_owned()).await
    }

    /// The addresses of a server of the zone, from whichever resolver knows one first. `why`: why they are not known
    /// otherwise.
    pub async fn addresses(&self, name: &str, resolvers: &[SocketAddr], why: String) -> Result<Vec<IpAddr>, String> {
        let asked = resolvers.iter().map(|server| {
            Box::pin(async move {
                let resolver = dns::resolver(*server, self.provider.clone()).map_err(|error| error.to_string())?;
                match dns::ask_both(&resolver, name).await {
                    Ok(answer) if !answer.addresses.is_empty() => Ok(answer.addresses),
                    Ok(answer) => Err(format!("{server} answers {}", answer.code)),
                    Err(error) => Err(format!("{server}: {error}")),
                }
            })
        });
        first(asked, why).await
    }
}

/// What the first of them gives that succeeds; one that is silent holds up none. `none`: the error of an empty list.
async fn first<T>(
    asked: impl Iterator<Item = impl Future<Output = Result<T, String>> + Unpin>,
    none: String,
) -> Result<T, String> {
    let asked: Vec<_> = asked.collect();
    match asked.is_empty() {
        true => Err(none),
        false => select_ok(asked).await.map(|(found, _)| found),
    }
}

/// Where these servers are asked; or of which of them no address is known, and why.
pub(crate) fn sockets<'a>(
    found: impl IntoIterator<Item = (&'a String, Result<Vec<IpAddr>, String>)>,
) -> Seen<Vec<SocketAddr>> {
    let mut servers = BTreeSet::new();
    for (name, addresses) in found {
        match addresses {
            Ok(addresses) => servers.extend(addresses.into_iter().map(|ip| SocketAddr::new(ip, DNS_PORT))),
            Err(why) => return Seen::Unknown(format!("no address of its server {name} is known: {why}")),
        }
    }
    Seen::Is(servers.into_iter().collect())
}
