//! Opens streams to the halves of one Continuum, by what its Clusters say.

use super::clusters::{OwnClusters, Which};
use super::place::{NoPlace, SecretKey, Target, Trust, other_half, own_half};
use super::tls::{TlsError, client_config, encrypt};
use crate::kept::Kept;
use crate::resource::Resource;
use crate::secrets::{self, SecretError, Secrets};
use crate::tls::TrustError;
use async_trait::async_trait;
use continuum_core::clock::Clock;
use continuum_core::name::{ObjectName, Region};
use continuum_core::spec::Invalid;
use continuum_live::byte_stream::ByteStream;
use continuum_live::pair::PAIR_LABEL;
use continuum_live::postgres::Connector;
use continuum_live::resource::{database_access, parse_spec};
use continuum_live::watches::ServerWatches;
use kube::Client;
use std::io;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::rustls::ClientConfig;

/// Why a half's PostgreSQL is not reached.
#[derive(Debug, thiserror::Error)]
pub enum NotReached {
    /// The resource is wrong.
    #[error("the Continuum does not say where PostgreSQL is")]
    Invalid(#[source] Invalid),
    /// The resource names no pair.
    #[error("spec.cnpgPair is missing: name the pair")]
    NoPair,
    /// Its own Cluster cannot be read.
    #[error("the Cluster in {region} cannot be read")]
    Cluster {
        /// One's own region.
        region: Region,
        /// Why.
        #[source]
        source: Box<kube::Error>,
    },
    /// There is none, or more than one.
    #[error("{count} Clusters in {region} carry the label {PAIR_LABEL}={pair}: exactly one must")]
    Clusters {
        /// One's own region.
        region: Region,
        /// How many.
        count: usize,
        /// Name of the pair.
        pair: String,
    },
    /// The Cluster does not say where the other half is.
    #[error("where PostgreSQL of {region} is, is not known")]
    NoPlace {
        /// Region of the half.
        region: Region,
        /// Why.
        #[source]
        source: NoPlace,
    },
    /// The certificate authority cannot be read.
    #[error("PostgreSQL of {region} cannot be verified")]
    Secret {
        /// Region of the half.
        region: Region,
        /// Why.
        #[source]
        source: SecretError,
    },
    /// The certificate authority is none.
    #[error("PostgreSQL of {region} cannot be verified by {authority}")]
    Authority {
        /// Region of the half.
        region: Region,
        /// Where it stands.
        authority: SecretKey,
        /// Why.
        #[source]
        source: TrustError,
    },
    /// There is no encrypted stream.
    #[error("PostgreSQL of {region} at {host}:{port}, verified by {authority}")]
    Tls {
        /// Region of the half.
        region: Region,
        /// Host.
        host: String,
        /// Port.
        port: u16,
        /// Where the certificate authority stands.
        authority: SecretKey,
        /// Why.
        #[source]
        source: TlsError,
    },
}

/// Reaches the halves of one Continuum.
pub struct HalfConnector {
    region: Region,
    clusters: OwnClusters,
    authorities: Arc<Authorities>,
    cluster_domain: String,
    resource: Arc<Resource>,
}

/// A target with everything that is needed to connect to it.
struct Route {
    target: Target,
    tls: Option<(SecretKey, Arc<ClientConfig>)>,
    /// By which Cluster.
    by: Which,
}

impl HalfConnector {
    /// For the controller of `region`, whose own API server is behind `client`.
    pub fn new(
        region: Region,
        client: Client,
        cluster_domain: String,
        resource: Arc<Resource>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let secrets = Secrets::new(region.clone(), client.clone());
        let authorities = Authorities { secrets, kept: Kept::new(clock.clone(), secrets::KEPT_FOR) };
        let clusters = OwnClusters::new(region.clone(), client, clock);
        Self { region, clusters, authorities: Arc::new(authorities), cluster_domain, resource }
    }

    /// The same, which goes by what the watches of that server tell of its Clusters for as long as they know.
    #[must_use]
    pub fn beside(self, watches: Arc<ServerWatches>) -> Self {
        Self { clusters: self.clusters.watched(watches), ..self }
    }

    /// The same, which reads the Cluster anew for each stream: for what is acted on. Certificate authorities are kept
    /// with those of this one, so that the first try of a write need not wait for them.
    pub fn afresh(&self) -> Self {
        Self {
            region: self.region.clone(),
            clusters: self.clusters.afresh(),
            authorities: self.authorities.clone(),
            cluster_domain: self.cluster_domain.clone(),
            resource: self.resource.clone(),
        }
    }

    async fn route(&self, region: &Region, cluster: &ObjectName) -> Result<Route, NotReached> {
        let object = self.resource.object();
        let access = database_access(&object).map_err(NotReached::Invalid)?;
        let place = access.places.get(region);
        let (by, target) = if *region == self.region {
            let by = Which::Named(cluster.clone());
            let own = self.clusters.reach(by.clone()).await?;
            (by, own_half(&own, &self.cluster_domain, place))
        } else {
            // One's own Cluster of the pair, by its label.
            let by = Which::OfPair(parse_spec(&object).map_err(NotReached::Invalid)?.pair.ok_or(NotReached::NoPair)?);
            let own = self.clusters.reach(by.clone()).await?;
            let target = other_half(&own, &self.region, &cluster.name, place);
            (by, target.map_err(|source| NotReached::NoPlace { region: region.clone(), source })?)
        };
        let tls = self.authorities.config(region, &target.trust).await?;
        Ok(Route { target, tls, by })
    }

    async fn open(&self, region: &Region, route: &Route) -> io::Result<Box<dyn ByteStream>> {
        let Target { host, port, trust } = &route.target;
        // As it is: that a connection was refused is told apart by its kind.
        let stream = TcpStream::connect((host.as_str(), *port)).await?;
        stream.set_nodelay(true)?;
        let Some((authority, config)) = &route.tls else { return Ok(Box::new(stream)) };
        let encrypted = encrypt(stream, host, config.clone()).await.map_err(|source| {
            if matches!(source, TlsError::Certificate(_)) {
                self.authorities.distrusted(trust);
            }
            NotReached::Tls {
                region: region.clone(),
                host: host.clone(),
                port: *port,
                authority: authority.clone(),
                source,
            }
        });
        Ok(Box::new(encrypted.map_err(io::Error::other)?))
    }
}

#[async_trait]
impl Connector for HalfConnector {
    async fn connect(&self, region: &Region, cluster: &ObjectName) -> io::Result<Box<dyn ByteStream>> {
        let route = self.route(region, cluster).await.map_err(io::Error::other)?;
        let opened = self.open(region, &route).await;
        if opened.is_err() {
            // It may have moved, or be verified by another authority.
            self.clusters.led_nowhere(&route.by);
        }
        opened
    }
}

/// Whom to trust, by secrets of one's own cluster.
struct Authorities {
    secrets: Secrets,
    kept: Kept<Trust, Arc<ClientConfig>>,
}

impl Authorities {
    /// For the server of `region`; absent: it is not verified, and the stream not encrypted.
    async fn config(
        &self,
        region: &Region,
        trust: &Trust,
    ) -> Result<Option<(SecretKey, Arc<ClientConfig>)>, NotReached> {
        let (authority, with_name) = match trust {
            Trust::Anyone => return Ok(None),
            Trust::Authority(authority) => (authority, false),
            Trust::AuthorityAndName(authority) => (authority, true),
        };
        if let Some(kept) = self.kept.get(trust) {
            return Ok(Some((authority.clone(), kept)));
        }
        let unknown = |source| NotReached::Secret { region: region.clone(), source };
        let secret = self.secrets.get(&authority.secret).await.map_err(unknown)?;
        let pem = secret.bytes(&authority.key).map_err(unknown)?;
        let config = client_config(pem, with_name).map_err(|source| NotReached::Authority {
            region: region.clone(),
            authority: authority.clone(),
            source,
        })?;
        self.kept.put(trust.clone(), config.clone());
        Ok(Some((authority.clone(), config)))
    }

    /// A server's certificate was not by it: the authority may be another by now, and is read anew.
    fn distrusted(&self, trust: &Trust) {
        self.kept.drop(trust);
    }
}

#[cfg(test)]
mod tests;
