//! PostSwitchoverHealth: what the four checks look at.

use super::{OperationError, Sequencer};
use crate::audit::{EventQuery, EventType, window_since};
use crate::clock::within;
use crate::health::{
    AUDIT_POSTED, AUDIT_WINDOW_SECONDS, AuditFact, HealthFacts, LATENCY_AFTER, PROBE_LIMIT_SECONDS, Probe, health,
    since,
};
use crate::look::{half_of, limited, roles_of};
use crate::mailbox::Cancel;
use crate::name::{ByRegion, Region};
use crate::plan::backend;
use crate::ports::{Latencies, ObserveLatency};
use crate::record::{EndResult, Ended};
use crate::report::HealthReport;
use crate::spec::Spec;
use crate::term::{REQUEST_LIMIT, WITNESS_LIMIT};
use futures_util::future::join_all;
use std::time::Duration;

/// Limit of one vantage's answer.
const VANTAGE_LIMIT: Duration = Duration::from_secs(PROBE_LIMIT_SECONDS);

impl Sequencer {
    /// Checks the world after a switchover: `ended`, or where there was none, for the acting primary. `before`: the last
    /// report about the same. What was found in the audit stream then is not looked for again: it may be gone by age.
    pub async fn health(
        &self,
        ended: Option<&Ended>,
        primary: &Region,
        before: Option<&HealthReport>,
        cancel: &Cancel,
    ) -> Result<HealthReport, OperationError> {
        let operation = "PostSwitchoverHealth";
        let work = async {
            let (_, spec) = self.own_copy(&self.dry_observers, operation).await?;
            let facts = self.health_facts(&spec, ended, primary, before).await;
            Ok(health(&facts))
        };
        cancel.unless(work).await.unwrap_or(Err(OperationError::Cancelled { operation }))
    }

    async fn health_facts(
        &self,
        spec: &Spec,
        ended: Option<&Ended>,
        primary: &Region,
        before: Option<&HealthReport>,
    ) -> HealthFacts {
        let observers = &self.dry_observers;
        let other = spec.regions().find(|r| *r != primary);
        let other = other.unwrap_or(primary).clone();
        let mut halves = ByRegion::new();
        if let Some(pair) = &spec.pair {
            for region in [primary, &other] {
                let half = half_of(observers, &*self.clock, pair, region).await;
                halves.insert(region.clone(), half);
            }
        }
        let known = halves.iter().filter_map(|(region, half)| Some((region, half.cluster.known()?)));
        let roles = known.map(|(region, cluster)| async move {
            let roles = roles_of(observers, &*self.clock, region, cluster, region == primary).await;
            (region.clone(), roles)
        });
        let roles = join_all(roles).await.into_iter().collect();
        let mut routes = ByRegion::new();
        if let Some(route) = &spec.route {
            for region in [primary, &other] {
                let seen = limited(&*self.clock, REQUEST_LIMIT, observers.route.route(region, &route.object)).await;
                routes.insert(region.clone(), seen);
            }
        }
        HealthFacts {
            expected_primary: primary.clone(),
            routes,
            backends: (backend(&spec.application, primary), backend(&spec.application, &other)),
            other,
            halves,
            roles,
            expected_addresses: spec.addresses(primary).to_vec(),
            hostnames: spec.records.hostnames.clone(),
            probes: self.probes(&spec.records.hostnames).await,
            latency: match &observers.latency {
                None => None,
                Some(latency) => Some(self.latency(&**latency, spec, ended).await),
            },
            audit: match before.and_then(posted) {
                Some(detail) => AuditFact::Found(detail),
                None => self.audit_fact(ended).await,
            },
            now: self.clock.wall(),
        }
    }

    async fn latency(
        &self,
        latency: &dyn ObserveLatency,
        spec: &Spec,
        ended: Option<&Ended>,
    ) -> Result<Latencies, String> {
        let Some(ended) = ended.filter(|ended| ended.result == EndResult::Succeeded) else {
            return Ok(Latencies::NoVerdict("there was no switchover to compare with".into()));
        };
        let since = since(ended, self.clock.wall());
        if since < LATENCY_AFTER {
            let (since, least) = (since.as_secs(), LATENCY_AFTER.as_secs());
            let why = format!(
                "the switchover ended {since} s ago, and {least} s of requests are needed; it is looked at again"
            );
            return Ok(Latencies::NoVerdict(why));
        }
        let compared = latency.compare(&spec.application, ended.started_at, ended.finished_at);
        let compared = within(&*self.clock, VANTAGE_LIMIT, compared).await;
        compared.unwrap_or_else(|| Err("no answer in 3 s".into()))
    }

    async fn probes(&self, hostnames: &[String]) -> Option<Vec<Probe>> {
        let vantages = self.dry_observers.vantages.as_ref()?;
        let names = vantages.vantages();
        let looks = hostnames.iter().flat_map(|hostname| {
            names.iter().map(move |vantage| async move {
                let result = within(&*self.clock, VANTAGE_LIMIT, vantages.lookup(vantage, hostname))
                    .await
                    .unwrap_or_else(|| Err("no answer in 3 s".into()));
                Probe { hostname: hostname.clone(), vantage: vantage.clone(), result }
            })
        });
        Some(join_all(looks).await)
    }

    async fn audit_fact(&self, ended: Option<&Ended>) -> AuditFact {
        let Some(audit) = &self.dry_observers.audit else {
            return AuditFact::Deferred("no audit stream is configured".into());
        };
        let Some(ended) = ended.filter(|e| e.result == EndResult::Succeeded) else {
            return AuditFact::Deferred("there was no switchover to look for".into());
        };
        // Whenever the check runs: what was published after the switchover began is in the window.
        let window = window_since(ended.started_at, self.clock.wall());
        let query = EventQuery {
            continuum: self.name.clone(),
            kind: EventType::Switchover,
            from: Some(ended.from.clone()),
            to: Some(ended.to.clone()),
            message_id: Some(crate::audit::switchover_id(&self.name, &ended.id)),
            window_seconds: window.max(AUDIT_WINDOW_SECONDS),
        };
        let found = within(&*self.clock, WITNESS_LIMIT, audit.find(&query)).await;
        AuditFact::Looked { since: ended.started_at, found: found.unwrap_or_else(|| Err("no answer in 3 s".into())) }
    }
}

/// Where a report found the audit event.
fn posted(report: &HealthReport) -> Option<String> {
    let check = report.checks.iter().find(|check| check.name == AUDIT_POSTED)?;
    check.passed.then(|| check.detail.clone())
}
