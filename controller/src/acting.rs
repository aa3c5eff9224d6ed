//! What acts and does not go through a Kubernetes client: records, events, a register that is no Lease, and
//! the database's own probe. It passes the gate of
//! its task group as requests of clients do, and like those it is waited for where the group ends.

use crate::gate::Gate;
use async_trait::async_trait;
use continuum_core::audit::Event;
use continuum_core::name::{ObjectName, Region};
use continuum_core::ports::{ActOnDatabase, ActOnWitness, Cas, Outcome, PublishAudit, PublishRecords, Version};
use continuum_core::record::{Record, RecordSet};
use continuum_live::postgres::PostgresProbe;
use continuum_nats::{AuditStream, KvWitness};
use std::sync::Arc;

/// Acts as far as the gate lets it.
pub(crate) struct Acting<T: ?Sized> {
    pub inner: Arc<T>,
    pub gate: Gate,
}

#[async_trait]
impl PublishRecords for Acting<dyn PublishRecords> {
    async fn publish(&self, zone: &str, leads_to: &Region, sets: &[RecordSet]) -> Outcome {
        self.gate.pass(self.inner.publish(zone, leads_to, sets)).await
    }
}

#[async_trait]
impl PublishAudit for Acting<AuditStream> {
    async fn publish(&self, event: &Event) -> Outcome<u64> {
        self.gate.pass(self.inner.publish(event)).await
    }
}

#[async_trait]
impl ActOnWitness for Acting<KvWitness> {
    async fn compare_and_set(&self, expected: &Version, record: &Record) -> Cas {
        self.gate.pass(self.inner.compare_and_set(expected, record)).await
    }
}

#[async_trait]
impl ActOnDatabase for Acting<PostgresProbe> {
    async fn try_write(&self, region: &Region, cluster: &ObjectName, commit: bool) -> Outcome {
        self.gate.pass(self.inner.try_write(region, cluster, commit)).await
    }
}
