//! The watches of the API servers: one set for each region, however many Continuums there are, begun when the region is first
//! known.

use crate::metrics::Watched;
use crate::pause;
use crate::reload::Pool;
use continuum_core::clock::Clock;
use continuum_core::name::Region;
use continuum_live::watches::{ServerWatches, Watches};
use std::sync::{Arc, Mutex, PoisonError};

/// See the module.
#[derive(Clone)]
pub(crate) struct Watching(Arc<Inner>);

struct Inner {
    pool: Arc<Pool>,
    own: Region,
    clock: Arc<dyn Clock>,
    begun: Mutex<Watches>,
}

impl Watching {
    /// Of the servers that `pool` knows.
    pub fn new(pool: Arc<Pool>, own: Region, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner { pool, own, clock, begun: Mutex::default() }))
    }

    /// Those of every region that is known now. Must be called within a tokio runtime.
    pub fn all(&self) -> Watches {
        let mut begun = self.0.begun.lock().unwrap_or_else(PoisonError::into_inner);
        for region in self.0.pool.regions() {
            begun.entry(region).or_insert_with_key(|region| self.begin(region));
        }
        begun.clone()
    }

    /// Those of one's own cluster, which tell what Continuums there are.
    pub fn own(&self) -> Arc<ServerWatches> {
        self.all().remove(&self.0.own).expect("kubeconfigs hold the own region's")
    }

    /// Of each region and kind, whether it is known.
    pub fn known(&self) -> Watched {
        let begun = self.0.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let of_each = begun.iter().flat_map(|(region, watches)| {
            watches.unknown().map(|(kind, unknown)| (region.to_string(), kind, unknown.is_none()))
        });
        of_each.collect()
    }

    /// The region is reached by another kubeconfig now, which may lead to another server.
    pub fn replaced(&self, region: &Region) {
        let begun = self.0.begun.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watches) = begun.get(region) {
            watches.begin_anew();
        }
    }

    fn begin(&self, region: &Region) -> Arc<ServerWatches> {
        let watches = Arc::new(ServerWatches::new(region.clone(), *region == self.0.own));
        let (kept, client, clock) = (watches.clone(), self.0.pool.watching(region), self.0.clock.clone());
        tokio::spawn(async move {
            for panics in 1.. {
                let (kept, client, watch_clock) = (kept.clone(), client.clone(), clock.clone());
                let ended = tokio::spawn(async move { kept.run(client, &*watch_clock).await }).await;
                tracing::error!(?ended, "the watches ended, and are begun anew");
                clock.sleep(pause::after(panics)).await;
            }
        });
        watches
    }
}
