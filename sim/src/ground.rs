//! The ground truth at the end of a run: what really happened and what stands now, as plain data for checkers.
//! It is taken from the servers themselves; nothing in it is a controller's opinion but what the resource's
//! status says, which is there to be judged.

mod acts;
mod blind;
mod standing;

pub use acts::Place;
pub use blind::blind;
pub use standing::{Half, Standing};

use crate::gate::Asked;
use crate::moments::{Moments, Sample, Sources};
use crate::servers::kube_api::{self, CLUSTERS, CONTINUUMS, HTTP_ROUTES};
use crate::servers::postgres::{Entry, Event, Snapshot};
use crate::servers::powerdns;
use crate::workload::{Attempt, Memory, Missing, Span};
use continuum_core::name::{ObjectName, Region};
use continuum_core::record::{Lsn, Record};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// How the standby follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replication {
    /// A commit does not wait for it.
    Asynchronous,
    /// A commit waits for it.
    Synchronous,
}

/// What may be left when a run ends, because its scenario says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MayBeLeft {
    /// A switchover under way.
    pub intent: bool,
    /// A failback that waits for approval.
    pub pending: bool,
}

/// A write to the Lease.
#[derive(Clone, Debug, PartialEq)]
pub struct LeaseWrite {
    /// When.
    pub at: Duration,
    /// Who.
    pub by: String,
    /// What stands there since.
    pub record: Record,
}

/// A message in the audit stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Sequence in the stream.
    pub sequence: u64,
    /// `Nats-Msg-Id`; empty where it has none.
    pub id: String,
    /// Header `audit-type`.
    pub kind: String,
    /// Its body.
    pub body: String,
}

/// One region at the end.
#[derive(Clone, Debug)]
pub struct RegionGround {
    /// Namespace and name of its Cluster.
    pub cluster_name: ObjectName,
    /// Its Cluster. Absent: there is none.
    pub cluster: Option<Arc<Value>>,
    /// The application's HTTPRoute.
    pub route: Option<Arc<Value>>,
    /// Its copy of the Continuum.
    pub copy: Option<Arc<Value>>,
    /// Everything that happened to its API server's objects.
    pub history: Vec<kube_api::Change>,
    /// Its PostgreSQL.
    pub instance: Snapshot,
    /// The rows in the history of its PostgreSQL.
    pub rows: BTreeSet<(String, u64)>,
    /// Addresses of its gateway.
    pub addresses: BTreeSet<IpAddr>,
}

/// The DNS server at the end.
#[derive(Clone, Debug, Default)]
pub struct DnsGround {
    /// Every change that its API applied.
    pub history: Vec<powerdns::ZoneChange>,
    /// What it may answer for each hostname; `None`: SERVFAIL.
    pub answers: BTreeMap<String, Option<BTreeSet<IpAddr>>>,
}

/// What the dry runs of a run did. All of it must be empty.
#[derive(Clone, Debug, Default)]
pub struct DryRunGround {
    /// Changing requests that carried their mark.
    pub requests: Vec<Asked>,
    /// Changing statements that carried their mark.
    pub statement_count: u64,
    /// What controllers changed meanwhile beside their life, under whatever mark.
    pub acts: Vec<String>,
}

/// How the run as a whole went on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunGround {
    /// The time over which clients are measured: from the world's being ready to the end.
    pub measured: Span,
    /// How far apart two writes of one client may be.
    pub pause_max: Duration,
    /// When the last fault ended, the last deed was done and the last operation answered.
    pub quiet_since: Duration,
    /// Whether it is to come to rest, with one primary.
    pub expects_rest: bool,
    /// From when on it was at rest, to the end or until that broke. Absent: it never came to it.
    pub rest_since: Option<Duration>,
    /// When rest broke before the end, and what was missing then.
    pub broken: Option<(Duration, String)>,
    /// How the halves followed.
    pub samples: Vec<Sample>,
    /// When a region's controller could not see, or could not say what it saw.
    pub blind: Vec<(Region, Span)>,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Ground {
    /// When it was taken.
    pub end: Duration,
    /// How the standby follows.
    pub replication: Replication,
    /// What may be left.
    pub may_be_left: MayBeLeft,
    /// The regions.
    pub regions: BTreeMap<Region, RegionGround>,
    /// Journal of all instances.
    pub journal: Vec<Entry>,
    /// How many clients there are.
    pub client_count: u32,
    /// What the clients tried.
    pub attempts: Vec<Attempt>,
    /// Rows that their clients did not find again.
    pub missing: Vec<Missing>,
    /// How the run went on.
    pub run: RunGround,
    /// Every write to the Lease that holds a record.
    pub lease: Vec<LeaseWrite>,
    /// DNS.
    pub dns: DnsGround,
    /// The audit stream.
    pub messages: Vec<Message>,
    /// The switchovers.
    pub moments: Moments,
    /// What dry runs did.
    pub dry_run: DryRunGround,
}

/// What cannot be read from the servers.
#[derive(Clone, Debug)]
pub struct Known {
    /// How the standby follows.
    pub replication: Replication,
    /// What may be left.
    pub may_be_left: MayBeLeft,
    /// How many clients there are.
    pub client_count: u32,
    /// Namespace and name of the Continuum.
    pub continuum: ObjectName,
    /// Namespace and name of the HTTPRoute.
    pub route: ObjectName,
    /// The application's hostnames.
    pub hostnames: Vec<String>,
    /// Addresses of each region's gateway.
    pub addresses: BTreeMap<Region, BTreeSet<IpAddr>>,
    /// How the run went on.
    pub run: RunGround,
    /// Changing requests of dry runs, as the gate saw them.
    pub dry_run_requests: Vec<Asked>,
    /// What controllers changed during dry runs beside their life.
    pub dry_run_acts: Vec<String>,
}

impl Ground {
    /// Takes it from the servers.
    pub fn take(end: Duration, sources: &Sources, memory: &Memory, moments: Moments, known: Known) -> Self {
        let named = |name: &ObjectName| (name.namespace.clone(), name.name.clone());
        let regions = sources.halves.iter().map(|(region, half)| {
            let get = |resource, name: &ObjectName| {
                let (namespace, name) = named(name);
                half.store.get(resource, &namespace, &name)
            };
            let ground = RegionGround {
                cluster_name: half.cluster.clone(),
                cluster: get(&CLUSTERS, &half.cluster),
                route: get(&HTTP_ROUTES, &known.route),
                copy: get(&CONTINUUMS, &known.continuum),
                history: half.store.history(),
                instance: half.instance.snapshot(),
                rows: half.instance.rows(),
                addresses: known.addresses.get(region).cloned().unwrap_or_default(),
            };
            (region.clone(), ground)
        });
        let answers = known.hostnames.iter().map(|name| (name.clone(), sources.dns.possible_answers(name)));
        let header = |message: &crate::servers::jetstream::protocol::Publish, name: &str| {
            message.headers.get(name).cloned().unwrap_or_default()
        };
        let messages = sources.nats.messages().into_iter().map(|stored| Message {
            sequence: stored.sequence,
            id: header(&stored.message, "Nats-Msg-Id"),
            kind: header(&stored.message, "audit-type"),
            body: stored.message.payload,
        });
        Self {
            end,
            replication: known.replication,
            may_be_left: known.may_be_left,
            regions: regions.collect(),
            journal: sources.journal.entries(),
            client_count: known.client_count,
            attempts: memory.attempts(),
            missing: memory.missing(),
            run: known.run,
            lease: lease_writes(sources),
            dns: DnsGround { history: sources.dns.history(), answers: answers.collect() },
            messages: messages.collect(),
            moments,
            dry_run: DryRunGround {
                requests: known.dry_run_requests,
                statement_count: sources.halves.values().map(|half| half.instance.dry_run_write_count()).sum(),
                acts: known.dry_run_acts,
            },
        }
    }

    /// The record at the end.
    pub fn record(&self) -> Option<&Record> {
        self.lease.last().map(|write| &write.record)
    }

    /// The regions whose halves take writes at the end.
    pub fn accepting(&self) -> Vec<&Region> {
        let mut accepting = BTreeSet::new();
        for entry in &self.journal {
            match entry.event {
                Event::AcceptsWrites { .. } => accepting.insert(entry.instance.as_str()),
                Event::RefusesWrites => accepting.remove(entry.instance.as_str()),
                _ => continue,
            };
        }
        let regions = self.regions.iter().filter(|(_, ground)| accepting.contains(ground.cluster_name.name.as_str()));
        regions.map(|(region, _)| region).collect()
    }

    /// How far behind `primary` a standby was at `now` that had replayed so far: how long ago the first write was
    /// committed that it had not.
    pub fn lag(&self, primary: &Region, replayed: Lsn, now: Duration) -> Duration {
        let Some(truth) = self.regions.get(primary) else { return Duration::ZERO };
        let waiting = self.journal.iter().take_while(|entry| entry.at <= now).find(|entry| {
            entry.instance == truth.cluster_name.name
                && matches!(entry.event, Event::Committed { lsn, .. } if lsn > replayed)
        });
        waiting.map_or(Duration::ZERO, |entry| now.saturating_sub(entry.at))
    }

    /// The region whose half, and no other, takes writes at the end.
    pub fn primary(&self) -> Option<&Region> {
        match self.accepting().as_slice() {
            [primary] => Some(*primary),
            _ => None,
        }
    }
}

fn lease_writes(sources: &Sources) -> Vec<LeaseWrite> {
    let writes = sources.witness.iter().flat_map(|register| register.writes_since(0));
    writes.map(|write| LeaseWrite { at: write.at, by: write.by, record: write.record }).collect()
}

/// All that a dry run must leave as it is, in parts by name: objects, write-ahead logs and rows, zone, stream.
pub fn whole_world(sources: &Sources) -> BTreeMap<String, String> {
    let mut parts = BTreeMap::new();
    for (region, half) in &sources.halves {
        parts.insert(format!("objects in {region}"), half.store.digest());
        let snapshot = half.instance.snapshot();
        parts.insert(format!("write-ahead log in {region}"), format!("{} on {}", snapshot.end, snapshot.timeline));
        parts.insert(format!("rows in {region}"), half.instance.rows().len().to_string());
    }
    if let Some(register) = &sources.witness {
        parts.insert("objects of the witness".into(), register.digest());
    }
    parts.insert("zone".into(), format!("{:?}", sources.dns.record_sets()));
    parts.insert("audit stream".into(), sources.nats.messages().len().to_string());
    parts
}

/// The parts that differ, by name.
pub fn differences(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<String> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    names.into_iter().filter(|name| before.get(*name) != after.get(*name)).cloned().collect()
}
