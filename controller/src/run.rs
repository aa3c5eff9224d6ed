//! The life of the process: from its configuration to the signal that ends it.

use crate::clients::{NoClients, read_files};
use crate::config::Config;
use crate::directory::Directory;
use crate::groups::Groups;
use crate::health::{self, Readiness};
use crate::host::Host;
use crate::serve::{self, NotBound};
use continuum_core::clock::{Clock, within};
use continuum_live::assemble::Twice;
use continuum_live::clock::SystemClock;
use continuum_live::kube_transport::{USER_AGENT, USER_AGENT_DRY_RUN};
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use hickory_resolver::net::NetError;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// So long calls of the HTTP API are let come to their end.
const CALLS_LIMIT: Duration = Duration::from_secs(10);

/// Why a process did not begin.
#[derive(Debug, thiserror::Error)]
pub enum NotRun {
    /// No way to the API servers.
    #[error(transparent)]
    Clients(#[from] NoClients),
    /// Nobody could ask.
    #[error(transparent)]
    Bound(#[from] NotBound),
    /// Signals cannot be waited for.
    #[error("signals cannot be waited for")]
    Signals(#[source] io::Error),
    /// The vantages give no resolver.
    #[error("CONTINUUM_VANTAGES gives no resolver")]
    Vantages(#[source] NetError),
}

impl NotRun {
    /// Whether it will be so until the configuration is another.
    pub fn is_configuration(&self) -> bool {
        matches!(self, Self::Clients(NoClients::Mistakes(_) | NoClients::Client { .. }) | Self::Vantages(_))
    }
}

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
///
/// It could not begin.
pub async fn run(config: Config) -> Result<(), NotRun> {
    let mut kubeconfigs = read_files(&config).await.map_err(NoClients::from)?;
    // Listens first: a liveness probe may ask while a server of ours is slow.
    let readiness = Readiness::default();
    let mut terminated = signal(SignalKind::terminate()).map_err(NotRun::Signals)?;
    let mut interrupted = signal(SignalKind::interrupt()).map_err(NotRun::Signals)?;
    if let Some(listen) = config.health {
        let listener = serve::bind("HEALTH_ADDR", listen).await?;
        tokio::spawn(health::serve(listener, readiness.clone()));
    }
    let api_listener = match config.api {
        Some(listen) => Some(serve::bind("CONTINUUM_API_ADDR", listen).await?),
        None => None,
    };
    kubeconfigs.read_secrets(&config).await?;
    let clients = Twice {
        driving: kubeconfigs.clients(&config, USER_AGENT)?,
        dry_run: kubeconfigs.clients(&config, USER_AGENT_DRY_RUN)?,
    };
    let own_namespace = kubeconfigs.own.default_namespace.clone();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let lease_namespace = config.lease_namespace.clone().unwrap_or(own_namespace);
    let others: Vec<&str> = kubeconfigs.others().map(continuum_core::name::Region::as_str).collect();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        region = %config.region,
        others = others.join(","),
        lease_namespace,
        "starting; metrics and the publishing of records are not built"
    );
    match &config.audit {
        Some(audit) => tracing::info!(servers = audit.settings.told(), "the audit stream is published to these"),
        None => tracing::warn!("NATS_URL is not set: events are told to nobody, and no switchover is begun"),
    }
    if config.api.is_some() && config.api_token.is_none() {
        tracing::warn!(
            "CONTINUUM_API_TOKEN is not set: whoever reaches the HTTP API and says owner may move primaries"
        );
    }
    let audit = kubeconfigs.audit.take();
    let host = Host::new(&config, clients, lease_namespace, audit, clock.clone()).map_err(NotRun::Vantages)?;
    let directory = Directory::default();
    let (stop_api, stopped) = oneshot::channel::<()>();
    let stop = stopped.map(drop).boxed().shared();
    let api = api_listener.map(|listener| {
        tokio::spawn(serve::api(listener, directory.clone(), config.api_token.clone(), clock.clone(), stop))
    });
    let mut groups = Groups::new(Arc::new(host), directory);
    let watching = kubeconfigs.watching()?;
    {
        let (terminated, interrupted) = (pin!(terminated.recv()), pin!(interrupted.recv()));
        let told = select(terminated, interrupted);
        let follow = pin!(groups.follow(&config.region, watching, &readiness));
        if let Either::Right(_) = select(told, follow).await {
            unreachable!("a watch of kube's never ends");
        }
    }
    tracing::info!("stopping: what is under way gets its answer, and nothing more is begun");
    readiness.stopping();
    groups.stop_driving();
    let _ = stop_api.send(());
    if let Some(api) = api
        && within(&*clock, CALLS_LIMIT, api).await.is_none()
    {
        tracing::warn!("calls of the HTTP API were cut off");
    }
    groups.end().await;
    tracing::info!("stopped");
    Ok(())
}
