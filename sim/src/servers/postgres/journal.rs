//! Ground truth of the databases, for checkers: written by the instances as things happen, read by nobody
//! whose decisions are under test.

use continuum_core::record::Lsn;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A postmaster started, as a standby or as a primary.
    Started {
        /// `standby.signal` was there.
        standby: bool,
    },
    /// From here on a write can be committed.
    AcceptsWrites {
        /// On this timeline.
        timeline: u32,
    },
    /// From here on none can.
    RefusesWrites,
    /// A row is durable here. Its client may not know.
    Committed {
        /// Client.
        client: String,
        /// The client's number of the row.
        number: u64,
        /// End of the record.
        lsn: Lsn,
        /// Timeline.
        timeline: u32,
    },
    /// Its client was told so.
    Acknowledged {
        /// Client.
        client: String,
        /// The client's number of the row.
        number: u64,
    },
    /// Recovery ended with a new timeline.
    Promoted {
        /// The new timeline.
        timeline: u32,
        /// Where it forked off.
        lsn: Lsn,
    },
    /// The postmaster ended.
    ShutDown {
        /// With a shutdown checkpoint.
        clean: bool,
    },
    /// Every process was killed.
    Killed,
    /// Its disk was replaced by a copy of the other half's.
    Recloned,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Simulated time since the start of the run.
    pub at: Duration,
    /// Name of the instance's Cluster.
    pub instance: String,
    /// What happened.
    pub event: Event,
}

/// The journal, shared by the instances of a world. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Journal(Arc<Mutex<Vec<Entry>>>);

impl Journal {
    /// Everything so far, in order.
    pub fn entries(&self) -> Vec<Entry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Everything from the `n`-th entry on: for checkers that follow along.
    pub fn entries_from(&self, n: usize) -> Vec<Entry> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(n..).map(<[Entry]>::to_vec).unwrap_or_default()
    }

    pub(super) fn write(&self, at: Duration, instance: &str, event: Event) {
        tracing::debug!(target: "continuum_sim::postgres", instance, ?event);
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.push(Entry { at, instance: instance.to_owned(), event });
    }
}
