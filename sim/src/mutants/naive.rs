//! Controllers that are naive about one kind of fault, and sound otherwise: what proves that a fault hurts. A
//! run without that fault does not tell them from a sound controller.

use async_trait::async_trait;
use continuum_core::audit::{Event, EventQuery};
use continuum_core::name::Region;
use continuum_core::observe::{Answer, FoundEvent, Seen, Shown, StreamView, ZoneView};
use continuum_core::ports::{
    ObserveAudit, ObserveRecords, ObserveWitness, Outcome, PublishAudit, PublishRecords, Version,
};
use continuum_core::record::{Record, RecordSet};
use continuum_core::spec::LeaseKind;
use continuum_live::assemble::Ports;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long the one that takes silence for a yes listens.
const PATIENCE: Duration = Duration::from_secs(1);

/// A way to be naive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naive {
    /// Keeps what it is doing in its memory alone: after a crash it does not take up what it finds.
    ForgetsAtRestart,
    /// Takes an answer that does not come for a failure, does not look, and does it anew.
    DoesItAnew,
    /// Takes what it published last for what stands, and never looks again.
    BelievesItself,
    /// Takes silence for a yes.
    TakesSilenceForYes,
}

impl Naive {
    /// Puts it in the ports of a controller.
    pub fn alter(self, mut ports: Ports) -> Ports {
        let observers = &mut ports.observers.driving;
        let actors = &mut ports.actors;
        match self {
            Naive::ForgetsAtRestart => {
                if let Some(inner) = observers.witness.take() {
                    observers.witness = Some(Arc::new(ForgetsAtRestart { inner, found: Mutex::default() }));
                }
            }
            Naive::DoesItAnew => {
                if let (Some(act), Some(observe)) = (actors.audit.take(), observers.audit.take()) {
                    let mutant = Arc::new(DoesItAnew { act, observe, tried: Mutex::default() });
                    actors.audit = Some(mutant.clone());
                    observers.audit = Some(mutant);
                }
            }
            Naive::BelievesItself => {
                if let (Some(act), Some(observe)) = (actors.records.take(), observers.records.take()) {
                    let mutant = Arc::new(BelievesItself { act, observe, believed: Mutex::default() });
                    actors.records = Some(mutant.clone());
                    observers.records = Some(mutant);
                }
            }
            Naive::TakesSilenceForYes => {
                if let Some(inner) = actors.audit.take() {
                    actors.audit = Some(Arc::new(TakesSilenceForYes { inner }));
                }
            }
        }
        ports
    }
}

struct ForgetsAtRestart {
    inner: Arc<dyn ObserveWitness>,
    /// The switchover that was under way at the first read, if any; absent: nothing was read yet.
    found: Mutex<Option<Option<String>>>,
}

#[async_trait]
impl ObserveWitness for ForgetsAtRestart {
    fn kind(&self) -> LeaseKind {
        self.inner.kind()
    }

    async fn read(&self) -> Result<(Version, Option<Record>), String> {
        let (version, mut record) = self.inner.read().await?;
        if let Some(record) = &mut record {
            let under_way = record.intent.as_ref().map(|intent| intent.id.clone());
            let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
            let at_first = found.get_or_insert_with(|| under_way.clone());
            if under_way.is_some() && under_way == *at_first {
                record.intent = None;
            }
        }
        Ok((version, record))
    }

    fn shares(&self) -> Option<Region> {
        self.inner.shares()
    }

    async fn missing_rights(&self) -> Seen<Vec<String>> {
        self.inner.missing_rights().await
    }
}

struct DoesItAnew {
    act: Arc<dyn PublishAudit>,
    observe: Arc<dyn ObserveAudit>,
    /// Ids of what it tried.
    tried: Mutex<BTreeSet<String>>,
}

#[async_trait]
impl PublishAudit for DoesItAnew {
    async fn publish(&self, event: &Event) -> Outcome<u64> {
        let first = self.tried.lock().unwrap_or_else(PoisonError::into_inner).insert(event.message_id.clone());
        if first {
            return self.act.publish(event).await;
        }
        let anew = Event { message_id: format!("anew:{}", event.message_id), ..event.clone() };
        self.act.publish(&anew).await
    }
}

#[async_trait]
impl ObserveAudit for DoesItAnew {
    async fn stream(&self) -> Seen<StreamView> {
        self.observe.stream().await
    }

    async fn find(&self, query: &EventQuery) -> Result<Option<FoundEvent>, String> {
        if query.message_id.is_some() {
            return Ok(None);
        }
        self.observe.find(query).await
    }
}

struct BelievesItself {
    act: Arc<dyn PublishRecords>,
    observe: Arc<dyn ObserveRecords>,
    /// What was published last.
    believed: Mutex<Option<Vec<RecordSet>>>,
}

#[async_trait]
impl PublishRecords for BelievesItself {
    async fn publish(&self, zone: &str, leads_to: &Region, sets: &[RecordSet]) -> Outcome {
        *self.believed.lock().unwrap_or_else(PoisonError::into_inner) = Some(sets.to_vec());
        self.act.publish(zone, leads_to, sets).await
    }
}

#[async_trait]
impl ObserveRecords for BelievesItself {
    fn shows_zone(&self) -> bool {
        self.observe.shows_zone()
    }

    async fn zone(&self, zone: &str, hostnames: &[String]) -> Seen<ZoneView> {
        let believed = self.believed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match believed {
            Some(sets) => {
                let records = sets.into_iter().filter(|set| !set.contents.is_empty()).collect();
                Seen::Is(ZoneView { records, shown: Shown::ByApi })
            }
            None => self.observe.zone(zone, hostnames).await,
        }
    }

    async fn takes(&self, zone: &str, set: &RecordSet) -> Seen<Result<(), String>> {
        self.observe.takes(zone, set).await
    }

    async fn authorities(&self, zone: &str) -> Seen<Vec<SocketAddr>> {
        self.observe.authorities(zone).await
    }

    async fn answer(&self, server: SocketAddr, hostname: &str) -> Seen<Answer> {
        self.observe.answer(server, hostname).await
    }

    async fn health(&self, url: &str, address: IpAddr) -> Seen<u16> {
        self.observe.health(url, address).await
    }
}

struct TakesSilenceForYes {
    inner: Arc<dyn PublishAudit>,
}

#[async_trait]
impl PublishAudit for TakesSilenceForYes {
    async fn publish(&self, event: &Event) -> Outcome<u64> {
        tokio::time::timeout(PATIENCE, self.inner.publish(event)).await.unwrap_or(Outcome::Done(0))
    }
}
