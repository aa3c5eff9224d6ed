//! How the world stands at one moment, for whoever asks whether it is at rest.

use super::Ground;
use crate::moments::Sources;
use crate::servers::kube_api::{CLUSTERS, CONTINUUMS};
use crate::servers::postgres::Snapshot;
use continuum_core::name::{ObjectName, Region};
use continuum_core::record::Record;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A half and what is said of it.
pub struct Half<'a> {
    /// Its PostgreSQL.
    pub instance: Cow<'a, Snapshot>,
    /// Its Cluster.
    pub cluster: Option<Arc<Value>>,
    /// Its region's copy of the Continuum.
    pub copy: Option<Arc<Value>>,
}

/// See the module.
pub struct Standing<'a> {
    /// The regions whose halves take writes.
    pub accepting: Vec<&'a Region>,
    /// What the witness holds.
    pub record: Option<&'a Record>,
    /// The halves.
    pub halves: BTreeMap<&'a Region, Half<'a>>,
}

impl<'a> Standing<'a> {
    /// Now, given the record that stands at the witness.
    pub fn now(sources: &'a Sources, continuum: &ObjectName, record: Option<&'a Record>) -> Self {
        let halves = sources.halves.iter().map(|(region, half)| {
            let get = |resource, name: &ObjectName| half.store.get(resource, &name.namespace, &name.name);
            let instance = Cow::Owned(half.instance.snapshot());
            (region, Half { instance, cluster: get(&CLUSTERS, &half.cluster), copy: get(&CONTINUUMS, continuum) })
        });
        let accepting = sources.halves.iter().filter(|(_, half)| half.instance.accepts_writes());
        Self { accepting: accepting.map(|(region, _)| region).collect(), record, halves: halves.collect() }
    }
}

impl Ground {
    /// At the end.
    pub fn standing(&self) -> Standing<'_> {
        let halves = self.regions.iter().map(|(region, truth)| {
            let instance = Cow::Borrowed(&truth.instance);
            (region, Half { instance, cluster: truth.cluster.clone(), copy: truth.copy.clone() })
        });
        Standing { accepting: self.accepting(), record: self.record(), halves: halves.collect() }
    }
}
