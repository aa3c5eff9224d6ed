//! Where records are published: on PowerDNS itself, or through a manager of zones.

use crate::config::{Publisher, RecordsConfig};
use crate::https;
use continuum_core::ports::{ObserveRecords, PublishRecords};
use continuum_live::assemble::Twice;
use continuum_live::authoritative::Authorities;
use continuum_live::http_client::plain_tcp;
use continuum_live::kube_transport::{USER_AGENT, USER_AGENT_DRY_RUN};
use continuum_live::pdm::{Pdm, PdmApi};
use continuum_live::powerdns::{PowerDns, PowerDnsApi};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use std::net::SocketAddr;
use std::sync::Arc;

/// The server of a process, from which each of its controllers has a value of its own.
pub(crate) enum Server {
    PowerDns(PowerDns<TokioRuntimeProvider>),
    Pdm(Pdm<TokioRuntimeProvider>),
}

/// One value of a controller's, which observes and publishes.
#[derive(Clone)]
pub(crate) struct Records {
    pub observe: Arc<dyn ObserveRecords>,
    pub act: Arc<dyn PublishRecords>,
}

impl Server {
    /// For another controller.
    pub fn beside(&self) -> Records {
        match self {
            Self::PowerDns(server) => Records::of(server.beside()),
            Self::Pdm(server) => Records::of(server.beside()),
        }
    }
}

impl Records {
    fn of<T: ObserveRecords + PublishRecords + 'static>(publisher: T) -> Self {
        let publisher = Arc::new(publisher);
        Self { observe: publisher.clone(), act: publisher }
    }
}

/// Where the resource lists no authoritative servers the zone names them, and the vantages know the addresses that do not
/// stand in it.
pub(crate) fn servers(config: &RecordsConfig, vantages: &[SocketAddr]) -> Twice<Server> {
    let named = |user_agent: &str| {
        let (connect, host, port) = (https::connect(&config.scheme), config.host.clone(), config.port);
        let authorities = Authorities::OfZone { resolvers: vantages.to_vec() };
        let (user_agent, sockets) = (user_agent.to_owned(), TokioRuntimeProvider::default());
        match &config.publisher {
            Publisher::PowerDns(key) => {
                let api = PowerDnsApi { connect, host, port, api_key: key.0.clone(), user_agent };
                Server::PowerDns(PowerDns::new(api, plain_tcp(), authorities, &sockets))
            }
            Publisher::Pdm(token) => {
                let token = token.as_ref().map(|token| token.0.clone());
                let api = PdmApi { connect, host, port, token, user_agent };
                Server::Pdm(Pdm::new(api, plain_tcp(), authorities, &sockets))
            }
        }
    };
    Twice { driving: named(USER_AGENT), dry_run: named(USER_AGENT_DRY_RUN) }
}
