//! One's own Clusters, for what they say of how PostgreSQL is reached: as their watch tells, or as their server says.

use super::connector::NotReached;
use crate::kept::Kept;
use continuum_core::clock::Clock;
use continuum_core::name::{ObjectName, Region};
use continuum_core::observe::Stored;
use continuum_live::pair::PAIR_LABEL;
use continuum_live::watches::{ServerWatches, reach};
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// So long a Cluster that was read counts where no watch tells of it: looks are many.
const KEPT_FOR: Duration = Duration::from_secs(60);

/// See the module.
pub(super) struct OwnClusters {
    region: Region,
    client: Client,
    told: Option<Told>,
}

/// What spares the server a request.
struct Told {
    watches: Option<Arc<ServerWatches>>,
    kept: Kept<Which, Stored>,
}

/// Which Cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Which {
    /// The one of this name.
    Named(ObjectName),
    /// The one with the label of this pair.
    OfPair(ObjectName),
}

impl OwnClusters {
    /// Those of `region`, whose API server is behind `client`. What was read is kept for a minute.
    pub fn new(region: Region, client: Client, clock: Arc<dyn Clock>) -> Self {
        Self { region, client, told: Some(Told { watches: None, kept: Kept::new(clock, KEPT_FOR) }) }
    }

    /// The same, as this watch of that server tells for as long as it knows.
    #[must_use]
    pub fn watched(self, watches: Arc<ServerWatches>) -> Self {
        Self { told: self.told.map(|told| Told { watches: Some(watches), ..told }), ..self }
    }

    /// The same, each read anew.
    pub fn afresh(&self) -> Self {
        Self { region: self.region.clone(), client: self.client.clone(), told: None }
    }

    /// How PostgreSQL is reached, by this Cluster ([`reach()`]).
    ///
    /// # Errors
    ///
    /// It cannot be read, or there is not exactly one.
    pub async fn reach(&self, which: Which) -> Result<Value, NotReached> {
        let Some(told) = &self.told else { return Ok(reach(&self.ask(&which).await?).read()) };
        let watched = told.watches.as_ref().and_then(|watches| match &which {
            Which::Named(cluster) => watches.reach_of(cluster),
            Which::OfPair(pair) => watches.reach_of_half(pair),
        });
        if let Some(watched) = watched {
            // It may be older, and must not come back where the watch breaks.
            told.kept.drop(&which);
            return Ok(watched.read());
        }
        if let Some(kept) = told.kept.get(&which) {
            return Ok(kept.read());
        }
        let asked = reach(&self.ask(&which).await?);
        told.kept.put(which, asked.clone());
        Ok(asked.read())
    }

    /// What it said led nowhere: it is asked anew where no watch tells.
    pub fn led_nowhere(&self, which: &Which) {
        if let Some(told) = &self.told {
            told.kept.drop(which);
        }
    }

    async fn ask(&self, which: &Which) -> Result<Value, NotReached> {
        let unreadable = |source| NotReached::Cluster { region: self.region.clone(), source: Box::new(source) };
        match which {
            Which::Named(cluster) => {
                let found = self.api(&cluster.namespace).get(&cluster.name).await.map_err(unreadable)?;
                Ok(as_value(&found))
            }
            Which::OfPair(pair) => {
                let labelled = ListParams::default().labels(&format!("{PAIR_LABEL}={}", pair.name));
                let found = self.api(&pair.namespace).list(&labelled).await.map_err(unreadable)?;
                match &found.items[..] {
                    [only] => Ok(as_value(only)),
                    several => Err(NotReached::Clusters {
                        region: self.region.clone(),
                        count: several.len(),
                        pair: pair.name.clone(),
                    }),
                }
            }
        }
    }

    fn api(&self, namespace: &str) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("postgresql.cnpg.io", "v1", "Cluster");
        Api::namespaced_with(self.client.clone(), namespace, &ApiResource::from_gvk_with_plural(&kind, "clusters"))
    }
}

fn as_value(object: &DynamicObject) -> Value {
    serde_json::to_value(object).expect("it was read from JSON")
}
