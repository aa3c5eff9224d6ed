//! Opens streams to the halves of one Continuum, by what its Clusters say.

use super::place::{NoPlace, SecretKey, Target, Trust, other_half, own_half};
use super::tls::{TlsError, client_config, encrypt};
use crate::kept::Kept;
use crate::resource::Resource;
use crate::secrets::{SecretError, Secrets};
use crate::tls::TrustError;
use async_trait::async_trait;
use continuum_core::clock::Clock;
use continuum_core::name::{ObjectName, Region};
use continuum_core::spec::Invalid;
use continuum_live::byte_stream::ByteStream;
use continuum_live::postgres::Connector;
use continuum_live::resource::{DatabaseAccess, database_access, parse_spec};
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use serde_json::Value;
use std::io;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::rustls::ClientConfig;

/// On both Clusters of a pair, with its name.
const PAIR_LABEL: &str = "catalyst.openova.io/cnpg-pair";

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
    client: Client,
    secrets: Secrets,
    cluster_domain: String,
    resource: Arc<Resource>,
    kept: Kept<(Region, ObjectName), Route>,
}

/// A target with everything that is needed to connect to it.
#[derive(Clone)]
struct Route {
    access: DatabaseAccess,
    target: Target,
    tls: Option<(SecretKey, Arc<ClientConfig>)>,
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
        Self { region, client, secrets, cluster_domain, resource, kept: Kept::new(clock) }
    }

    async fn route(&self, region: &Region, cluster: &ObjectName) -> Result<Route, NotReached> {
        let object = self.resource.object();
        let access = database_access(&object).map_err(NotReached::Invalid)?;
        let key = (region.clone(), cluster.clone());
        if let Some(kept) = self.kept.get(&key).filter(|kept| kept.access == access) {
            return Ok(kept);
        }
        let place = access.places.get(region);
        let target = if *region == self.region {
            own_half(&self.cluster(cluster).await?, &self.cluster_domain, place)
        } else {
            let own = self.own_cluster(&object).await?;
            other_half(&own, &self.region, &cluster.name, place)
                .map_err(|source| NotReached::NoPlace { region: region.clone(), source })?
        };
        let tls = match &target.trust {
            Trust::Anyone => None,
            Trust::Authority(authority) => Some((authority.clone(), self.config(region, authority, false).await?)),
            Trust::AuthorityAndName(authority) => {
                Some((authority.clone(), self.config(region, authority, true).await?))
            }
        };
        let route = Route { access, target, tls };
        self.kept.put(key, route.clone());
        Ok(route)
    }

    async fn config(
        &self,
        region: &Region,
        authority: &SecretKey,
        with_name: bool,
    ) -> Result<Arc<ClientConfig>, NotReached> {
        let unknown = |source| NotReached::Secret { region: region.clone(), source };
        let secret = self.secrets.get(&authority.secret).await.map_err(unknown)?;
        let pem = secret.bytes(&authority.key).map_err(unknown)?;
        client_config(pem, with_name).map_err(|source| NotReached::Authority {
            region: region.clone(),
            authority: authority.clone(),
            source,
        })
    }

    fn clusters(&self, namespace: &str) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("postgresql.cnpg.io", "v1", "Cluster");
        Api::namespaced_with(self.client.clone(), namespace, &ApiResource::from_gvk_with_plural(&kind, "clusters"))
    }

    fn unreadable(&self, source: kube::Error) -> NotReached {
        NotReached::Cluster { region: self.region.clone(), source: Box::new(source) }
    }

    async fn cluster(&self, name: &ObjectName) -> Result<Value, NotReached> {
        let cluster = self.clusters(&name.namespace).get(&name.name).await.map_err(|error| self.unreadable(error))?;
        Ok(as_value(&cluster))
    }

    /// One's own Cluster of the pair, by its label.
    async fn own_cluster(&self, continuum: &Value) -> Result<Value, NotReached> {
        let pair = parse_spec(continuum).map_err(NotReached::Invalid)?.pair.ok_or(NotReached::NoPair)?;
        let labelled = ListParams::default().labels(&format!("{PAIR_LABEL}={}", pair.name));
        let found = self.clusters(&pair.namespace).list(&labelled).await.map_err(|error| self.unreadable(error))?;
        match &found.items[..] {
            [only] => Ok(as_value(only)),
            several => Err(NotReached::Clusters { region: self.region.clone(), count: several.len(), pair: pair.name }),
        }
    }

    async fn open(&self, region: &Region, route: &Route) -> io::Result<Box<dyn ByteStream>> {
        let Target { host, port, .. } = &route.target;
        // As it is: that a connection was refused is told apart by its kind.
        let stream = TcpStream::connect((host.as_str(), *port)).await?;
        stream.set_nodelay(true)?;
        let Some((authority, config)) = &route.tls else { return Ok(Box::new(stream)) };
        let encrypted = encrypt(stream, host, config.clone()).await.map_err(|source| NotReached::Tls {
            region: region.clone(),
            host: host.clone(),
            port: *port,
            authority: authority.clone(),
            source,
        });
        Ok(Box::new(encrypted.map_err(io::Error::other)?))
    }
}

fn as_value(object: &DynamicObject) -> Value {
    serde_json::to_value(object).expect("it was read from JSON")
}

#[async_trait]
impl Connector for HalfConnector {
    async fn connect(&self, region: &Region, cluster: &ObjectName) -> io::Result<Box<dyn ByteStream>> {
        let route = self.route(region, cluster).await.map_err(io::Error::other)?;
        let opened = self.open(region, &route).await;
        if opened.is_err() {
            // It may have moved, or have another certificate.
            self.kept.drop(&(region.clone(), cluster.clone()));
        }
        opened
    }
}
