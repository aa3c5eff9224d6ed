//! The register that the witness is, as its server knows it: a Lease, or the key of a bucket.

use crate::lease;
use crate::servers::jetstream::JetStream;
use crate::servers::kube_api::{Change, ChangeEvent, LEASES, Store};
use continuum_core::name::ObjectName;
use continuum_core::record::Record;
use std::time::Duration;

/// Where it stands.
#[derive(Clone)]
pub enum Register {
    /// A Lease in this API server.
    Lease(Store, ObjectName),
    /// The key of the bucket in this server.
    Key(JetStream),
}

/// What was written to it.
#[derive(Clone, Debug)]
pub struct RecordWrite {
    /// When.
    pub at: Duration,
    /// Who, `<software>@<host>`.
    pub by: String,
    /// What stood there; absent: nothing, or it was deleted by this.
    pub before: Option<Record>,
    /// What stands there since.
    pub record: Record,
}

impl Register {
    /// Grows with whatever its server is told.
    pub fn version(&self) -> u64 {
        match self {
            Self::Lease(store, _) => store.version(),
            Self::Key(nats) => nats.value_count() as u64,
        }
    }

    /// What was written to it after this version, in order.
    pub fn writes_since(&self, version: u64) -> Vec<RecordWrite> {
        match self {
            Self::Lease(store, name) => {
                store.history_since(version).iter().filter_map(|change| of_lease(change, name)).collect()
            }
            Self::Key(nats) => {
                let count = usize::try_from(version).expect("as many as there are in memory");
                let mut before = count.checked_sub(1).and_then(|last| record_of(nats, last));
                let values = nats.values_after(count).into_iter();
                let writes = values.filter_map(|kept| {
                    let record: Record = serde_json::from_str(&kept.stored.message.payload).ok()?;
                    let before = before.replace(record.clone());
                    Some(RecordWrite { at: kept.at, by: format!("continuum@{}", kept.from), before, record })
                });
                writes.collect()
            }
        }
    }

    /// Whether this change of its server is one of the record.
    pub fn is_record(&self, change: &Change) -> bool {
        matches!(self, Self::Lease(_, name) if of_lease(change, name).is_some())
    }

    /// The API server that it stands in, where it is a Lease.
    pub fn store(&self) -> Option<&Store> {
        match self {
            Self::Lease(store, _) => Some(store),
            Self::Key(_) => None,
        }
    }

    /// Everything that its server holds beside what stands in regions.
    pub fn digest(&self) -> String {
        match self {
            Self::Lease(store, _) => store.digest(),
            Self::Key(_) => self.version().to_string(),
        }
    }
}

fn record_of(nats: &JetStream, index: usize) -> Option<Record> {
    serde_json::from_str(&nats.values_after(index).first()?.stored.message.payload).ok()
}

fn of_lease(change: &Change, name: &ObjectName) -> Option<RecordWrite> {
    let is_it = *change.resource == LEASES && change.namespace == name.namespace && change.name == name.name;
    let record = is_it.then(|| lease::record(&change.object)).flatten()?;
    let before = change.before.as_ref().filter(|_| change.event == ChangeEvent::Modified);
    let before = before.and_then(|before| lease::record(before));
    Some(RecordWrite { at: change.at, by: change.by.clone(), before, record })
}
