//! The health check after a switchover: four checks, always, in one order. Pure: what was looked at is data.
//!
//! A check whose dependency is not configured is deferred; one whose dependency fails has failed. It decides
//! nothing about the switchover itself, which has ended.

use crate::name::{ByRegion, Region};
use crate::observe::{Accepts, ClusterView, DatabaseView, FoundEvent, Half, Role, RouteView, Seen};
use crate::ports::Latencies;
use crate::record::Ended;
use crate::report::{HealthCheck, HealthReport};
use crate::roles::{self, Roles};
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

/// The vantages where none are named.
pub const VANTAGES_DEFAULT: [&str; 3] = ["8.8.8.8", "1.1.1.1", "9.9.9.9"];
/// The longest that one vantage may take to answer, s.
pub const PROBE_LIMIT_SECONDS: u64 = 3;
/// How far back the audit event is looked for at least, s: the search begins where the switchover did.
pub const AUDIT_WINDOW_SECONDS: u32 = 300;
/// Latency is normal while it is at most this many times what it was before.
pub const LATENCY_RATIO_MAX: f64 = 2.0;
/// So long after a switchover latency is compared: a rate needs four scrapes, which come every 15 s in most places.
pub const LATENCY_AFTER: Duration = Duration::from_secs(60);
const LATENCY_NORMAL: &str = "latency-normal";

/// What one vantage answered for one hostname.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Asked for.
    pub hostname: String,
    /// Who was asked.
    pub vantage: String,
    /// Addresses, or why there are none.
    pub result: Result<Vec<IpAddr>, String>,
}

/// What the search for the switchover's event gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditFact {
    /// It could not be looked for, and why: no stream configured, or no switchover to look for.
    Deferred(String),
    /// It was found before, there.
    Found(String),
    /// It was looked for, among what was stored since the switchover began.
    Looked {
        /// When that was.
        since: Timestamp,
        /// What was found.
        found: Result<Option<FoundEvent>, String>,
    },
}

/// The check of this name looks for the switchover's event.
pub const AUDIT_POSTED: &str = "audit-posted";

/// What the health check decides from.
#[derive(Clone, Debug, PartialEq)]
pub struct HealthFacts {
    /// The region that should be primary now.
    pub expected_primary: Region,
    /// The region that should follow it.
    pub other: Region,
    /// The halves. A region without one was not looked at.
    pub halves: ByRegion<Half>,
    /// The roles of each half that was seen; the expected primary's database was asked for their logins.
    pub roles: ByRegion<Roles>,
    /// The route of each region. Empty: none is configured.
    pub routes: ByRegion<Seen<RouteView>>,
    /// Names of the route's backends: in the expected primary's region, and in the other.
    pub backends: (String, String),
    /// Addresses of the expected primary.
    pub expected_addresses: Vec<IpAddr>,
    /// The application's hostnames.
    pub hostnames: Vec<String>,
    /// Every pair of hostname and vantage. Absent: no resolvers configured.
    pub probes: Option<Vec<Probe>>,
    /// Median latency now and before. Absent: no metrics source configured.
    pub latency: Option<Result<Latencies, String>>,
    /// The audit event.
    pub audit: AuditFact,
    /// Wall time, for the report.
    pub now: Timestamp,
}

/// How a check came out.
enum Verdict {
    Passed(String),
    Failed(String),
    Deferred(String),
}

/// Runs the four checks.
pub fn health(facts: &HealthFacts) -> HealthReport {
    let checks: Vec<HealthCheck> = [
        ("replicas-healthy", replicas_healthy(facts)),
        ("dns-probes", dns_probes(facts)),
        (LATENCY_NORMAL, latency_normal(facts)),
        (AUDIT_POSTED, audit_posted(facts)),
    ]
    .into_iter()
    .map(|(name, verdict)| {
        let (passed, detail, deferred) = match verdict {
            Verdict::Passed(detail) => (true, detail, false),
            Verdict::Failed(detail) => (false, detail, false),
            Verdict::Deferred(reason) => (false, format!("deferred: {reason}"), true),
        };
        HealthCheck { name: name.to_owned(), passed, detail, deferred }
    })
    .collect();
    HealthReport {
        new_primary_region: facts.expected_primary.clone(),
        overall_healthy: checks.iter().all(|check| check.passed || check.deferred),
        checks,
        generated_at: facts.now,
    }
}

/// How long ago a move ended. A wall clock that was set back meanwhile says nothing of it: it counts as long enough, since
/// nobody is to wait for a clock.
pub fn since(moved: &Ended, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(moved.finished_at)).unwrap_or(LATENCY_AFTER)
}

/// Whether a report was made before there was any latency to compare, and says nothing of it for that reason.
pub fn before_latency(report: &HealthReport, moved: &Ended) -> bool {
    let unsaid = |check: &HealthCheck| check.name == LATENCY_NORMAL && check.deferred;
    since(moved, report.generated_at) < LATENCY_AFTER && report.checks.iter().any(unsaid)
}

/// One line for the condition `LastSwitchoverHealthy`.
pub fn summary(report: &HealthReport) -> String {
    let failed: Vec<&HealthCheck> = report.checks.iter().filter(|check| !check.passed && !check.deferred).collect();
    let passed = report.checks.iter().filter(|check| check.passed).count();
    let deferred = report.checks.iter().filter(|check| check.deferred).count();
    let word = if report.overall_healthy { "healthy" } else { "UNHEALTHY" };
    let counts = format!("{passed} passed, {} failed, {deferred} deferred", failed.len());
    let mut line = format!("{word}: {counts} (new primary={})", report.new_primary_region);
    for check in failed {
        line.push_str(&format!("; {}: {}", check.name, check.detail));
    }
    line
}

fn replicas_healthy(facts: &HealthFacts) -> Verdict {
    match replicas(facts) {
        Ok(detail) => Verdict::Passed(detail),
        Err(faults) => Verdict::Failed(faults.join("; ")),
    }
}

fn replicas(facts: &HealthFacts) -> Result<String, Vec<String>> {
    let mut faults = Vec::new();
    let mut clusters = Vec::new();
    for (region, role) in [(&facts.expected_primary, Role::Primary), (&facts.other, Role::Replica)] {
        match facts.halves.get(region).map(|half| &half.cluster) {
            Some(Seen::Is(cluster)) => {
                cluster_faults(cluster, role, &mut faults);
                clusters.push(cluster);
            }
            look => {
                let cause = look.and_then(Seen::why).unwrap_or_else(|| "not looked at".into());
                faults.push(format!("the half in {region} could not be read: {cause}"));
            }
        }
    }
    let [primary, replica] = clusters[..] else { return Err(faults) };
    let streaming = streaming(facts, primary, replica, &mut faults);
    if primary.archiving == Some(false) {
        let name = &primary.object.name;
        faults.push(format!(
            "{name} does not archive its WAL (condition ContinuousArchiving is False), which fills its volume"
        ));
    }
    traffic(facts, &mut faults);
    logins(facts, primary, replica, &mut faults);
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(format!("{} primary, {} replica, both Ready, {streaming}", primary.object.name, replica.object.name))
}

/// Clients log in with the password of either half's secret (H14).
fn logins(facts: &HealthFacts, primary: &ClusterView, replica: &ClusterView, faults: &mut Vec<String>) {
    let mut secrets = Vec::new();
    for (region, cluster) in [(&facts.expected_primary, primary), (&facts.other, replica)] {
        let Some(roles) = facts.roles.get(region) else { continue };
        match roles.secrets.unread() {
            Some(cause) => {
                faults.push(format!("the role secrets of {} could not be read: {cause}", cluster.object.name));
            }
            None => secrets.extend(roles.secrets.known().map(|hashes| (cluster, hashes))),
        }
        faults.extend(roles::refused(cluster, &roles.logins));
        faults.extend(roles::untried(cluster, &roles.logins));
    }
    if let [primary, replica] = secrets[..] {
        faults.extend(roles::differences(replica, primary));
    }
}

/// The new primary's region gets its traffic, and the old one none, in the route of each region.
fn traffic(facts: &HealthFacts, faults: &mut Vec<String>) {
    let (wanted, other) = &facts.backends;
    for (region, seen) in &facts.routes {
        let Some(route) = seen.known() else {
            faults.push(format!("the route in {region} could not be read: {}", seen.why().unwrap_or_default()));
            continue;
        };
        if route.weight(wanted).is_none_or(|weight| weight == 0) {
            faults.push(format!("the route in {region} sends nothing to {wanted}"));
        }
        if let Some(weight) = route.weight(other).filter(|weight| *weight > 0) {
            faults.push(format!("the route in {region} still sends to {other} (weight {weight})"));
        }
    }
}

fn cluster_faults(cluster: &ClusterView, role: Role, faults: &mut Vec<String>) {
    let name = &cluster.object.name;
    if cluster.role != role {
        let (is, should) = match role {
            Role::Primary => ("replica", "primary"),
            Role::Replica => ("primary", "replica"),
        };
        faults.push(format!("{name}'s spec says {is}, it should be {should}"));
    }
    if cluster.ready != Some(true) {
        let phase = cluster.phase.as_deref().map_or(String::new(), |phase| format!(" ({phase})"));
        faults.push(format!("{name} not Ready{phase}"));
    }
}

/// H32: a diverged half is Ready and "in healthy state" while it cannot stream, so PostgreSQL is asked too.
fn streaming(facts: &HealthFacts, primary: &ClusterView, replica: &ClusterView, faults: &mut Vec<String>) -> String {
    let database = |region: &Region| facts.halves.get(region).map(|half| &half.database);
    let (name, follower) = (&primary.object.name, &replica.object.name);
    let acting = match database(&facts.expected_primary) {
        Some(Seen::Is(acting)) => acting,
        None | Some(Seen::Unconfigured | Seen::NotLooked) => return "streaming not checked: no database probe".into(),
        Some(look) => {
            let cause = look.why().unwrap_or_default();
            faults.push(format!("PostgreSQL of {name} could not be looked at: {cause}"));
            return String::new();
        }
    };
    if acting.accepts != Accepts::Yes {
        faults.push(format!("{name} does not accept writes: {}", acting.detail));
    }
    match &acting.replicas {
        None => faults.push(format!("the probe's role may not see replication on {name}: grant it pg_monitor")),
        Some(rows) if !rows.iter().any(|row| row.application_name == *follower && row.streaming) => {
            faults.push(format!("{follower} does not stream from {name}"));
        }
        Some(_) => {}
    }
    let following = match database(&facts.other) {
        Some(Seen::Is(following)) => Some(following),
        Some(look) => {
            let cause = look.why().unwrap_or_default();
            faults.push(format!("PostgreSQL of {follower} could not be looked at: {cause}"));
            None
        }
        None => None,
    };
    if following.is_some_and(|database| database.accepts == Accepts::Yes) {
        faults.push(format!("{follower} accepts writes too"));
    }
    timelines(acting, following, follower, faults)
}

fn timelines(
    acting: &DatabaseView,
    following: Option<&DatabaseView>,
    follower: &str,
    faults: &mut Vec<String>,
) -> String {
    match (acting.timeline, following.and_then(|database| database.timeline)) {
        (Some(new), Some(old)) if new != old => {
            faults.push(format!(
                "{follower} is on timeline {old}, the new primary on {new}: it has diverged or does not follow"
            ));
            String::new()
        }
        (Some(timeline), _) => format!("streaming on timeline {timeline}"),
        (None, _) => "streaming".into(),
    }
}

fn dns_probes(facts: &HealthFacts) -> Verdict {
    if facts.hostnames.is_empty() {
        return Verdict::Failed("no hostnames".into());
    }
    if facts.expected_addresses.is_empty() {
        return Verdict::Failed(format!("no addresses of {} are known", facts.expected_primary));
    }
    let Some(probes) = &facts.probes else {
        return Verdict::Deferred("no vantage resolvers are configured".into());
    };
    let mut faults = Vec::new();
    for hostname in &facts.hostnames {
        if !probes.iter().any(|probe| probe.hostname == *hostname) {
            faults.push(format!("{hostname}: not probed"));
        }
    }
    for probe in probes {
        let asked = format!("{} at {}", probe.hostname, probe.vantage);
        match &probe.result {
            Err(cause) => faults.push(format!("{asked}: {cause}")),
            Ok(addresses) if addresses.iter().any(|address| facts.expected_addresses.contains(address)) => {}
            Ok(addresses) => {
                let answered: Vec<String> = addresses.iter().map(ToString::to_string).collect();
                faults.push(format!("{asked}: answered [{}], none in expected set", answered.join(", ")));
            }
        }
    }
    if !faults.is_empty() {
        return Verdict::Failed(faults.join("; "));
    }
    let vantages: BTreeSet<&str> = probes.iter().map(|probe| probe.vantage.as_str()).collect();
    Verdict::Passed(format!(
        "hostnames: {}, vantages: {}, all answer {}",
        facts.hostnames.len(),
        vantages.len(),
        facts.expected_primary
    ))
}

fn latency_normal(facts: &HealthFacts) -> Verdict {
    match &facts.latency {
        None => Verdict::Deferred("no metrics source is configured".into()),
        Some(Err(cause)) => Verdict::Failed(format!("latency could not be read: {cause}")),
        Some(Ok(Latencies::NoVerdict(why))) => Verdict::Deferred(why.clone()),
        Some(Ok(Latencies::Measured { now_ms, before_ms })) => {
            let text = format!("median {now_ms:.1} ms, before {before_ms:.1} ms");
            // A comparison with NaN is false, so a missing value fails.
            if *now_ms <= before_ms * LATENCY_RATIO_MAX { Verdict::Passed(text) } else { Verdict::Failed(text) }
        }
    }
}

fn audit_posted(facts: &HealthFacts) -> Verdict {
    match &facts.audit {
        AuditFact::Deferred(reason) => Verdict::Deferred(reason.clone()),
        AuditFact::Found(there) => Verdict::Passed(there.clone()),
        AuditFact::Looked { found: Err(cause), .. } => {
            Verdict::Failed(format!("the audit stream could not be read: {cause}"))
        }
        AuditFact::Looked { found: Ok(Some(event)), .. } => {
            Verdict::Passed(format!("sequence {} at {}", event.sequence, event.at))
        }
        AuditFact::Looked { since, found: Ok(None) } => Verdict::Failed(format!(
            "no continuum-switchover event {} → {} found since {since}",
            facts.other, facts.expected_primary
        )),
    }
}

#[cfg(test)]
#[path = "health/tests.rs"]
mod tests;
