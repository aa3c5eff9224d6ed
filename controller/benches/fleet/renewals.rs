//! A watch of the Leases, of the benchmark's own: when each was renewed, by whoever did it.

use crate::fleet::Fleet;
use crate::servers::{Servers, leases};
use futures_util::StreamExt;
use kube::api::DynamicObject;
use kube::runtime::watcher::{self, Event, watcher};
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// One Lease.
struct Renewed {
    /// As it says.
    at: String,
    /// The first that was seen.
    first: Option<Instant>,
    last: Instant,
    longest: Duration,
    missed: usize,
}

type Known = Arc<Mutex<BTreeMap<String, Renewed>>>;

/// See the module. It ends when it is dropped.
pub struct Renewals {
    known: Known,
    ttl: Duration,
    task: JoinHandle<()>,
}

/// What became of the terms.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kept {
    /// Renewals that came later than the term of the one before.
    pub missed: usize,
    /// The longest between two.
    pub longest: Duration,
}

impl Renewals {
    /// Of the fleet's Leases.
    pub fn watch(servers: &Servers, fleet: &Fleet<'_>, ttl: Duration) -> Self {
        let leases = servers.objects(0, &fleet.lease_namespace, &leases());
        let known = Known::default();
        let kept = known.clone();
        let task = tokio::spawn(async move {
            let mut events = pin!(watcher(leases, watcher::Config::default()));
            while let Some(event) = events.next().await {
                match event {
                    Ok(Event::Apply(lease) | Event::InitApply(lease)) => take(&mut lock(&kept), &lease, ttl),
                    Ok(_) => {}
                    // It goes on by itself; what was renewed meanwhile is told then.
                    Err(error) => eprintln!("watch of the Leases: {error}"),
                }
            }
        });
        Self { known, ttl, task }
    }

    /// How many Leases there are, and how many were renewed.
    pub fn count(&self) -> (usize, usize) {
        let known = lock(&self.known);
        (known.len(), known.values().filter(|lease| lease.first.is_some()).count())
    }

    /// When the first of them was renewed for the first time, and when the last one was.
    pub fn firsts(&self) -> Option<(Instant, Instant)> {
        let known = lock(&self.known);
        let firsts = || known.values().filter_map(|lease| lease.first);
        Some((firsts().min()?, firsts().max()?))
    }

    /// Counts from now on.
    pub fn forget(&self) {
        for lease in lock(&self.known).values_mut() {
            (lease.longest, lease.missed) = (Duration::ZERO, 0);
        }
    }

    /// Up to now, from the first renewals on.
    pub fn kept(&self) -> Kept {
        let now = Instant::now();
        lock(&self.known).values().fold(Kept::default(), |kept, lease| {
            // One that is overdue was missed as well.
            let open = now - lease.last;
            Kept {
                missed: kept.missed + lease.missed + usize::from(open > self.ttl),
                longest: kept.longest.max(lease.longest).max(open),
            }
        })
    }
}

impl Drop for Renewals {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(known: &Known) -> MutexGuard<'_, BTreeMap<String, Renewed>> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

fn take(known: &mut BTreeMap<String, Renewed>, lease: &DynamicObject, ttl: Duration) {
    let now = Instant::now();
    let at = lease.data["spec"]["renewTime"].as_str().unwrap_or_default().to_owned();
    let name = lease.metadata.name.clone().unwrap_or_default();
    let Some(renewed) = known.get_mut(&name) else {
        known.insert(name, Renewed { at, first: None, last: now, longest: Duration::ZERO, missed: 0 });
        return;
    };
    if renewed.at == at {
        return;
    }
    renewed.at = at;
    if renewed.first.is_some() {
        let since = now - renewed.last;
        renewed.longest = renewed.longest.max(since);
        renewed.missed += usize::from(since > ttl);
    }
    renewed.first.get_or_insert(now);
    renewed.last = now;
}
