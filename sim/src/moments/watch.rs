//! Looks at the servers between ticks and notes the moments of the switchover under way.
//!
//! Cheap: the record is read where the witness changed, effects only of steps that started and whose effect
//! is not known yet, and those of stores and databases only where one of them changed.

use super::{Moments, Move};
use crate::register::{RecordWrite, Register};
use crate::servers::jetstream::JetStream;
use crate::servers::kube_api::{CLUSTERS, CONTINUUMS, HTTP_ROUTES, Store};
use crate::servers::postgres::{Event, Instance, Journal};
use crate::servers::powerdns::PowerDns;
use continuum_core::audit::EventType;
use continuum_core::name::{ByRegion, ObjectName, Region};
use continuum_core::plan::Plan;
use continuum_core::record::{Lsn, Record};
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// A region's servers.
#[derive(Clone)]
pub struct Half {
    /// Its API server.
    pub store: Store,
    /// Its PostgreSQL.
    pub instance: Instance,
    /// Namespace and name of its Cluster.
    pub cluster: ObjectName,
    /// Its operator leaves `archive_mode` as it is: no restart follows a promotion.
    pub keeps_archive_mode: bool,
}

/// The servers whose state is the ground truth.
#[derive(Clone)]
pub struct Sources {
    /// By region.
    pub halves: ByRegion<Half>,
    /// Absent: there is no witness.
    pub witness: Option<Register>,
    /// Of the instances.
    pub journal: Journal,
    /// The DNS server.
    pub dns: PowerDns,
    /// The audit stream's server.
    pub nats: JetStream,
}

/// How a half followed at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When.
    pub at: Duration,
    /// The half's region.
    pub region: Region,
    /// Its WAL receiver streams.
    pub streaming: bool,
    /// How far it has replayed.
    pub replayed: Lsn,
}

/// How often samples are taken.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// Sees the moments.
pub struct Watch {
    sources: Sources,
    moments: Moments,
    record: Option<Record>,
    plan: Option<Plan>,
    /// Timeline of the new half when the present switchover began.
    timeline_before: u32,
    /// Clusters whose instances take writes.
    accepting: BTreeSet<String>,
    journal_read: usize,
    witness_version: u64,
    versions: Vec<u64>,
    samples: Vec<Sample>,
    next_sample: Duration,
}

impl Watch {
    /// Over these servers. Nothing has begun yet.
    pub fn new(sources: Sources) -> Self {
        Self {
            sources,
            moments: Moments::default(),
            record: None,
            plan: None,
            timeline_before: 0,
            accepting: BTreeSet::new(),
            journal_read: 0,
            witness_version: 0,
            versions: Vec::new(),
            samples: Vec::new(),
            next_sample: Duration::ZERO,
        }
    }

    /// How the halves followed, each second.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// What was seen so far.
    pub fn moments(&self) -> &Moments {
        &self.moments
    }

    /// The record as it stands at the witness.
    pub fn record(&self) -> Option<&Record> {
        self.record.as_ref()
    }

    /// The Clusters whose instances take writes now.
    pub fn accepting(&self) -> &BTreeSet<String> {
        &self.accepting
    }

    /// Looks. To be called between ticks.
    pub fn look(&mut self, now: Duration) {
        self.sample(now);
        self.follow_journal();
        let ended = self.follow_record();
        let changed = self.has_changed();
        self.note_effects(now, changed);
        if let Some((id, at)) = ended
            && let Some(current) = self.moments.current_mut().filter(|current| current.intent == id)
        {
            current.ended.get_or_insert(at);
        }
    }

    fn sample(&mut self, now: Duration) {
        if now < self.next_sample {
            return;
        }
        self.next_sample = now + SAMPLE_EVERY;
        for (region, half) in &self.sources.halves {
            let snapshot = half.instance.snapshot();
            let (streaming, replayed) = (snapshot.streaming, snapshot.replayed);
            self.samples.push(Sample { at: now, region: region.clone(), streaming, replayed });
        }
    }

    fn follow_journal(&mut self) {
        for entry in self.sources.journal.entries_from(self.journal_read) {
            self.journal_read += 1;
            match entry.event {
                Event::AcceptsWrites { .. } => {
                    self.accepting.insert(entry.instance);
                }
                Event::RefusesWrites => {
                    self.accepting.remove(&entry.instance);
                }
                _ => {}
            }
        }
    }

    /// Reads what was written to the witness. An intent that left it, and when.
    fn follow_record(&mut self) -> Option<(String, Duration)> {
        let register = self.sources.witness.as_ref()?;
        let version = register.version();
        if version == self.witness_version {
            return None;
        }
        let writes = register.writes_since(self.witness_version);
        self.witness_version = version;
        let mut ended = None;
        for RecordWrite { at, record, .. } in writes {
            ended = self.follow_write(at, &record).or(ended);
            self.record = Some(record);
        }
        ended
    }

    fn follow_write(&mut self, at: Duration, record: &Record) -> Option<(String, Duration)> {
        let before = self.record.as_ref().and_then(|record| record.intent.as_ref()).map(|intent| intent.id.clone());
        let Some(intent) = &record.intent else { return before.map(|id| (id, at)) };
        if self.moments.current().is_none_or(|current| current.intent != intent.id) {
            self.moments.begin(Move::new(&intent.id, intent.from(), intent.to()));
            let to = self.sources.halves.get(intent.to());
            self.timeline_before = to.map_or(0, |half| half.instance.snapshot().timeline);
            self.versions.clear();
            self.plan = Some(intent.plan.clone());
        }
        if let Some(current) = self.moments.current_mut() {
            for (number, step) in (1..).zip(&intent.steps) {
                if step.started_at.is_some() {
                    current.note_started(number, at);
                }
            }
        }
        before.filter(|id| *id != intent.id).map(|id| (id, at))
    }

    fn has_changed(&mut self) -> bool {
        let stores = self.sources.halves.values().map(|half| half.store.version());
        let mut versions: Vec<u64> = stores.collect();
        versions.extend([self.journal_read as u64, self.witness_version]);
        std::mem::replace(&mut self.versions, versions) != self.versions
    }

    fn note_effects(&mut self, now: Duration, changed: bool) {
        let (Some(current), Some(plan)) = (self.moments.current(), &self.plan) else { return };
        let waits = |step: &u8| current.started(*step).is_some() && current.effect(*step).is_none();
        let awaited: Vec<u8> = match current.ended {
            None => (1..=7).filter(waits).collect(),
            // An event that was owed comes later; all else of an ended switchover is past.
            Some(_) => [7].into_iter().filter(waits).collect(),
        };
        let seen: Vec<u8> = awaited
            .into_iter()
            .filter(|step| match step {
                4 => self.answers_only(plan),
                7 => self.has_event(&current.intent),
                _ if !changed => false,
                1 => self.is_known_there(current),
                2 => self.is_demoted(&plan.from),
                3 => self.is_drained(plan),
                5 => self.record.as_ref().is_some_and(|record| record.held_by(&plan.to)),
                _ => self.is_promoted(&plan.to),
            })
            .collect();
        if let Some(current) = self.moments.current_mut() {
            for step in seen {
                current.note_effect(step, now);
            }
        }
    }

    /// The other region's controller has seen the intent.
    fn is_known_there(&self, current: &Move) -> bool {
        let (Some(half), Some(plan)) = (self.sources.halves.get(&current.to), &self.plan) else { return false };
        let copy = half.store.get(&CONTINUUMS, &plan.continuum.namespace, &plan.continuum.name);
        copy.is_some_and(|copy| copy["status"]["seen"]["intent"] == current.intent.as_str())
    }

    fn cluster(&self, region: &Region) -> Option<(&Half, Arc<Value>)> {
        let half = self.sources.halves.get(region)?;
        Some((half, half.store.get(&CLUSTERS, &half.cluster.namespace, &half.cluster.name)?))
    }

    /// Its PostgreSQL refuses writes and its Cluster has the token.
    fn is_demoted(&self, region: &Region) -> bool {
        let Some((half, cluster)) = self.cluster(region) else { return false };
        let has_token = cluster["status"]["demotionToken"].as_str().is_some_and(|token| !token.is_empty());
        has_token && !self.accepting.contains(&half.cluster.name)
    }

    /// In both regions' routes no weight leads to the old half.
    fn is_drained(&self, plan: &Plan) -> bool {
        let Some(route) = &plan.route else { return true };
        let backend = plan.backend(&plan.from);
        self.sources.halves.values().all(|half| {
            let route = half.store.get(&HTTP_ROUTES, &route.object.namespace, &route.object.name);
            route.is_some_and(|route| weights(&route).into_iter().all(|(name, weight)| name != backend || weight == 0))
        })
    }

    /// The authoritative server answers with addresses of the new region, and with no other.
    fn answers_only(&self, plan: &Plan) -> bool {
        let wanted: BTreeSet<IpAddr> = plan.addresses.iter().copied().collect();
        plan.records.hostnames.iter().all(|hostname| {
            let possible = self.sources.dns.possible_answers(hostname);
            possible.is_some_and(|possible| !possible.is_empty() && possible.is_subset(&wanted))
        })
    }

    /// It takes writes on a timeline that grew, and the restart that follows a promotion is through.
    fn is_promoted(&self, region: &Region) -> bool {
        let Some(half) = self.sources.halves.get(region) else { return false };
        let snapshot = half.instance.snapshot();
        let asked_for = half.keeps_archive_mode || half.instance.configuration().archive_mode == "on";
        let restarted = asked_for && !snapshot.pending_restart;
        self.accepting.contains(&half.cluster.name) && snapshot.timeline > self.timeline_before && restarted
    }

    /// The stream holds the event of this intent.
    fn has_event(&self, intent: &str) -> bool {
        let kind = EventType::Switchover.as_str();
        self.sources.nats.messages().iter().any(|stored| {
            let id = stored.message.message_id().unwrap_or_default();
            id.starts_with(kind) && id.ends_with(intent)
        })
    }
}

/// Backends and weights of all rules of an HTTPRoute (1 where none is given).
pub(crate) fn weights(route: &Value) -> Vec<(String, u64)> {
    let rules = route["spec"]["rules"].as_array().into_iter().flatten();
    let backends = rules.flat_map(|rule| rule["backendRefs"].as_array().into_iter().flatten());
    let name = |backend: &Value| backend["name"].as_str().unwrap_or_default().to_owned();
    backends.map(|backend| (name(backend), backend["weight"].as_u64().unwrap_or(1))).collect()
}
