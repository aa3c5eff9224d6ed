//! The life of the process: from its configuration to the signal that ends it.

use crate::clients::{NoClients, read_files};
use crate::config::Config;
use crate::directory::Directory;
use crate::groups::Groups;
use crate::health::{self, Readiness};
use crate::host::Host;
use crate::kube_events::KubeEvents;
use crate::leader::{Candidate, Leadership, Standing, identity, pod};
use crate::metrics::{self, Counts};
use crate::reload::{self, Pool};
use crate::serve::{self, NotBound};
use crate::spans::{Exporter, follow};
use crate::watching::Watching;
use continuum_core::clock::{Clock, within};
use continuum_live::clock::SystemClock;
use futures_util::FutureExt;
use futures_util::future::{Either, join, select};
use hickory_resolver::net::NetError;
use http::{Method, StatusCode};
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
    /// Nothing tells this process from others.
    #[error("the kernel tells no name for this process, which the election needs: is /proc there?")]
    Identity(#[source] io::Error),
    /// The vantages give no resolver.
    #[error("CONTINUUM_VANTAGES gives no resolver")]
    Vantages(#[source] NetError),
}

impl NotRun {
    /// Whether it will be so until the configuration is another.
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::Clients(none) => none.is_configuration(),
            Self::Vantages(_) => true,
            _ => false,
        }
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
    let readiness = Readiness::new(config.election.is_some());
    let mut terminated = signal(SignalKind::terminate()).map_err(NotRun::Signals)?;
    let mut interrupted = signal(SignalKind::interrupt()).map_err(NotRun::Signals)?;
    if let Some(listen) = config.health {
        let listener = serve::bind("HEALTH_ADDR", listen).await?;
        tokio::spawn(health::serve(listener, readiness.clone()));
    }
    let metrics_listener = match config.metrics {
        Some(listen) => Some(serve::bind("METRICS_ADDR", listen).await?),
        None => None,
    };
    let api_listener = match config.api {
        Some(listen) => Some(serve::bind("CONTINUUM_API_ADDR", listen).await?),
        None => None,
    };
    kubeconfigs.read_secrets(&config).await?;
    let own_namespace = kubeconfigs.own_namespace().to_owned();
    let counts = Counts::default();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let pool = Pool::new(&config, std::mem::take(&mut kubeconfigs.places), counts.clone(), clock.clone())?;
    let lease_namespace = config.leases_in(&own_namespace).to_owned();
    let others: Vec<String> = pool.others().iter().map(ToString::to_string).collect();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        region = %config.region,
        others = others.join(","),
        lease_namespace,
        "starting"
    );
    match &config.records {
        Some(records) => tracing::info!(server = records.host, port = records.port, "records are published on this"),
        None => {
            tracing::warn!(
                "neither POWERDNS_API_URL nor PDM_API_URL is set: records are published nowhere, and no switchover is begun"
            )
        }
    }
    match &config.audit {
        Some(audit) => tracing::info!(servers = audit.told(), "the audit stream is published to these"),
        None => tracing::warn!("NATS_URL is not set: events are told to nobody, and no switchover is begun"),
    }
    if config.api.is_some() && config.api_token.is_none() {
        tracing::warn!(
            "CONTINUUM_API_TOKEN is not set: whoever reaches the HTTP API and says owner may move primaries"
        );
    }
    let audit = kubeconfigs.audit.take();
    let watching = Watching::new(pool.clone(), config.region.clone(), clock.clone());
    let host =
        Host::new(&config, pool.clone(), watching.clone(), lease_namespace, audit, clock.clone(), counts.clone())
            .map_err(NotRun::Vantages)?;
    let directory = Directory::default();
    let (stop_api, stopped) = oneshot::channel::<()>();
    let stop = stopped.map(drop).boxed().shared();
    let api = api_listener.map(|listener| {
        tokio::spawn(serve::api(listener, directory.clone(), config.api_token.clone(), clock.clone(), stop))
    });
    let leadership = Leadership::new(if config.election.is_some() { Standing::Waits } else { Standing::Leads(None) });
    if let Some(listener) = metrics_listener {
        let (directory, leadership, counts) = (directory.clone(), leadership.clone(), counts.clone());
        let watching = watching.clone();
        tokio::spawn(serve::pages(listener, move |method, path| match (method, path) {
            (&Method::GET | &Method::HEAD, "/metrics") => {
                let leads = matches!(leadership.now(), Standing::Leads(_));
                (
                    StatusCode::OK,
                    metrics::CONTENT_TYPE,
                    metrics::page(&counts, leads, &watching.known(), &directory.measured()),
                )
            }
            (_, "/metrics") => (StatusCode::METHOD_NOT_ALLOWED, "text/plain", "this path has not that verb".into()),
            _ => (StatusCode::NOT_FOUND, "text/plain", "no such path; /metrics is".into()),
        }));
    }
    if let Some(spans) = &config.spans {
        tracing::info!(server = spans.host, port = spans.port, "spans of switchovers are sent to this");
        let exporter = Exporter::new(spans, config.region.clone(), counts.clone(), clock.clone());
        let follow =
            follow(config.region.clone(), directory.clone(), leadership.clone(), exporter.clone(), clock.clone());
        tokio::spawn(join(async move { exporter.send().await }, follow));
    }
    let (end_candidacy, candidacy_ends) = oneshot::channel::<()>();
    let mut candidacy = match &config.election {
        Some(election) => {
            let namespace = election.lease_in(&own_namespace);
            let me = identity().map_err(NotRun::Identity)?;
            let (leadership, readiness) = (leadership.clone(), readiness.clone());
            let candidate = Candidate::new(pool.own(), namespace, me, clock.clone(), leadership, readiness);
            tokio::spawn(candidate.run(candidacy_ends.map(drop)))
        }
        // Nothing to take part in, until it is told to end.
        None => tokio::spawn(candidacy_ends.map(drop)),
    };
    let events = KubeEvents::new(pod().map_err(NotRun::Identity)?, counts.clone(), clock.clone());
    tokio::spawn({
        let (events, client) = (events.clone(), pool.own());
        async move { events.write(client).await }
    });
    let mut groups = Groups::new(Arc::new(host), directory, leadership.now(), events);
    let own_watches = watching.own();
    {
        let (terminated, interrupted) = (pin!(terminated.recv()), pin!(interrupted.recv()));
        let told = select(terminated, interrupted);
        let reload = reload::keep(&config, &pool, &watching, || leadership.again());
        let follow = join(groups.follow(&own_watches, &leadership, &readiness), reload);
        let follow = pin!(follow);
        match select(told, select(follow, &mut candidacy)).await {
            Either::Left(_) => {}
            Either::Right((Either::Left(_), _)) => unreachable!("what follows a watch never ends"),
            // Its term runs out, and then nothing would be driven here for ever: the process begins anew.
            Either::Right((Either::Right((ended, _)), _)) => panic!("the election ended: {ended:?}"),
        }
    }
    tracing::info!("stopping: what is under way gets its answer, and nothing more is begun");
    readiness.stopping();
    let _ = stop_api.send(());
    let leave = async {
        groups.end().await;
        // Then: whoever takes the lead finds nothing under way.
        let _ = end_candidacy.send(());
        if let Err(error) = candidacy.await {
            tracing::error!(%error, "the lead was not given back");
        }
    };
    let calls = async {
        if let Some(api) = api
            && within(&*clock, CALLS_LIMIT, api).await.is_none()
        {
            tracing::warn!("calls of the HTTP API were cut off");
        }
    };
    join(leave, calls).await;
    tracing::info!("stopped");
    Ok(())
}
