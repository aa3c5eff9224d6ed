//! Step 2: the two halves as their API servers have them.

use super::{Case, Findings, Id};
use crate::name::Region;
use crate::observe::{Accepts, ClusterView, Half, Role, Seen};
use crate::steps;
use std::time::Duration;

/// Fencing must be through this long before the guard ends, s.
const GUARD_MARGIN_SECONDS: u32 = 2;
/// What a demotion takes beyond the shutdown at worst: one look of the operator and the token, s.
const DEMOTION_MARGIN_SECONDS: u32 = 13;

pub(super) fn look(case: &Case, out: &mut Findings) {
    found(case, out);
    rights(case, out);
    let limit = steps::step(2).limit(case.plan);
    if limit.is_none() {
        out.add(
            Id::RtoTooShort,
            format!("an RTO of {} s leaves the demotion no time beside the other steps", case.plan.rto_seconds),
        );
    }
    if let Some(source) = case.source() {
        self::source(case, source, limit, out);
    }
    for (_, half) in case.halves() {
        if let Some(cluster) = half.cluster.known() {
            either(case, cluster, out);
        }
    }
    if let (Some(source), Some(target)) = (case.source(), case.target()) {
        both(case, source, target, out);
    }
}

fn found(case: &Case, out: &mut Findings) {
    let mut missing = Vec::new();
    for (region, half) in case.halves() {
        match (&half.cluster, case.api_down(region)) {
            (Seen::Is(_), _) => {}
            (Seen::Missing, _) => missing.push(region.as_str()),
            (_, Some(_)) => {
                out.unmet(2, format!("not read in {region}: see step 1"));
                out.unmet(6, format!("not read in {region}: see step 1"));
            }
            (look, None) => {
                let cause = look.why().unwrap_or_default();
                out.add(
                    Id::Pair,
                    format!("the Cluster of pair {} in {region} could not be read: {cause}", case.plan.pair),
                );
                out.unmet(6, format!("the Cluster in {region} was not read: see step 2"));
            }
        }
    }
    if !missing.is_empty() {
        let regions = missing.join(" and ");
        out.add(Id::Pair, format!("no Cluster of pair {} in {regions}", case.plan.pair));
        out.unmet(6, format!("no Cluster in {regions}: see step 2"));
    }
}

fn rights(case: &Case, out: &mut Findings) {
    for region in [&case.plan.from, &case.plan.to] {
        match case.read(out, region, case.seen().rights.get(region.as_str()), 2) {
            Ok(missing) => lacking(region.as_str(), missing, out),
            Err(Some(cause)) => out.add(Id::Rights, format!("the rights in {region} could not be read: {cause}")),
            Err(None) => {}
        }
    }
    match case.seen().rights.get("witness") {
        Some(Seen::Is(missing)) => lacking("the witness's cluster", missing, out),
        Some(Seen::Unknown(cause)) if case.facts.witness.known().is_some() => {
            out.add(Id::Rights, format!("the rights at the witness could not be read: {cause}"));
        }
        // A kind without rights of its own; and a witness that does not answer is a blocker already.
        _ => {}
    }
}

fn lacking(place: &str, missing: &[String], out: &mut Findings) {
    if !missing.is_empty() {
        out.add(Id::Rights, format!("the controller may not {} in {place}", missing.join(", ")));
    }
}

fn source(case: &Case, source: &ClusterView, limit: Option<Duration>, out: &mut Findings) {
    let name = &source.object.name;
    if !case.redundant() {
        source_primary(case, source, out);
    }
    if source.promotion_token.is_some() && source.promotion_token != source.last_promotion_token {
        out.add(
            Id::SourceToken,
            format!("{name} has a promotion token that is not its last one: a promotion is not through"),
        );
    }
    ready(case, source, case.from(), Id::SourceReady, out);
    match &case.seen().backup_runs {
        Seen::Is(true) => out.add(Id::Backup, format!("a backup of {name} runs, which would hold its shutdown")),
        // The kind may not be installed.
        Seen::Is(false) | Seen::Missing => {}
        seen => {
            out.note(2, format!("whether a backup of {name} runs is not known: {}", seen.why().unwrap_or_default()))
        }
    }
    let needed = source.switchover_delay_seconds.saturating_add(DEMOTION_MARGIN_SECONDS);
    if let Some(limit) = limit.filter(|limit| limit.as_secs() < u64::from(needed)) {
        out.add(
            Id::SwitchoverDelayLimit,
            format!(
                "switchoverDelay of {name} ({} s) and {DEMOTION_MARGIN_SECONDS} s are above the step's limit of {} s; \
                 lower it or raise the RTO",
                source.switchover_delay_seconds,
                limit.as_secs()
            ),
        );
    }
    if source.legacy_primary_annotation {
        out.add(Id::LegacyAnnotation, format!("{name} carries cnpg.io/cluster.primary, which does nothing; remove it"));
    }
}

fn source_primary(case: &Case, source: &ClusterView, out: &mut Findings) {
    let name = &source.object.name;
    if source.role == Role::Replica {
        return out.add(
            Id::SourcePrimary,
            format!("{name}'s spec says replica: there is no primary in {} to move", case.plan.from),
        );
    }
    match case.from().database.known().map(|database| (database.accepts, database.detail.as_str())) {
        Some((Accepts::No, detail)) => {
            out.add(Id::SourcePrimary, format!("{name} is primary by its spec but refuses writes: {detail}"));
        }
        Some((Accepts::Unknown, detail)) => {
            out.add(Id::SourcePrimary, format!("whether {name} accepts writes is not known: {detail}"));
        }
        // Where PostgreSQL was not seen at all, that is a blocker of its own.
        Some((Accepts::Yes, _)) | None => {}
    }
}

fn either(case: &Case, cluster: &ClusterView, out: &mut Findings) {
    let name = &cluster.object.name;
    if cluster.in_progress {
        out.add(Id::RoleChange, format!("a role change of {name} is in progress; wait for its end"));
    }
    if !cluster.kept_by.is_empty() {
        let tools = cluster.kept_by.join(", ");
        out.add(
            Id::KeptElsewhere,
            format!("{name} is kept by {tools}: exclude spec.replica there, or the role is set back (docs/gitops.md)"),
        );
    }
    match cluster.archiving {
        Some(false) => out.add(Id::Archiving, format!("{name} fails to archive its write-ahead log")),
        Some(true) => {}
        None => out.note(2, format!("{name} has no condition ContinuousArchiving")),
    }
    let most = case.plan.lease.guard_seconds.saturating_sub(GUARD_MARGIN_SECONDS);
    if cluster.switchover_delay_seconds > most {
        out.add(
            Id::SwitchoverDelayGuard,
            format!(
                "switchoverDelay of {name} is {} s; a fence is in time only with at most {most} s (guardSeconds less \
                 {GUARD_MARGIN_SECONDS})",
                cluster.switchover_delay_seconds
            ),
        );
    }
}

fn both(case: &Case, source: &ClusterView, target: &ClusterView, out: &mut Findings) {
    if case.redundant() {
        moved(case, source, target, out);
    } else {
        to_move(case, source, target, out);
    }
    known_to_each_other(source, target, out);
    known_to_each_other(target, source, out);
}

/// The lease is at the new region already: so must the role be, or there is nothing that this order mends.
fn moved(case: &Case, source: &ClusterView, target: &ClusterView, out: &mut Findings) {
    let to = &case.plan.to;
    if case.from().takes_writes() {
        out.add(Id::SinglePrimary, single_primary(&source.object.name, to));
    } else if source.role == Role::Primary {
        let name = &source.object.name;
        out.add(Id::SinglePrimary, format!("{name}'s spec says primary, although {to} holds the lease"));
    }
    if target.role == Role::Replica {
        let name = &target.object.name;
        out.add(
            Id::TargetPrimary,
            format!(
                "{to} holds the lease, but {name}'s spec says replica: there is no primary; its controller makes it one \
                 once the other half is seen to be none"
            ),
        );
    }
}

fn to_move(case: &Case, source: &ClusterView, target: &ClusterView, out: &mut Findings) {
    let from = &case.plan.from;
    if case.to().takes_writes() {
        // One that writes is named; that its spec says so too is the same cause.
        out.add(Id::SinglePrimary, single_primary(&target.object.name, from));
    } else if target.role == Role::Primary {
        out.add(
            Id::TargetReplica,
            format!("{}'s spec says primary; it must be a replica of {}", target.object.name, source.object.name),
        );
    }
}

fn single_primary(name: &str, held: &Region) -> String {
    format!("{name} accepts writes, although the primary role should be in {held}")
}

/// CloudNativePG wants `primary`, `self` and `source` of the replica stanza in `externalClusters`. They are names
/// of the topology, which need not be the Clusters'.
fn known_to_each_other(cluster: &ClusterView, other: &ClusterView, out: &mut Findings) {
    let (name, other) = (&cluster.object.name, &other.self_name);
    let missing: Vec<&str> = [other, &cluster.self_name]
        .into_iter()
        .filter(|wanted| !cluster.external_clusters.contains(wanted))
        .map(String::as_str)
        .collect();
    if !missing.is_empty() {
        out.add(Id::ExternalClusters, format!("{name} lacks {} in spec.externalClusters", missing.join(", ")));
    }
    if cluster.source.as_ref() != Some(other) {
        let source = cluster.source.as_deref().unwrap_or("absent");
        out.add(Id::ExternalClusters, format!("{name}'s spec.replica.source is {source}, it must be {other}"));
    }
}

/// Whether the half is Ready. Where its PostgreSQL is silent, that is the cause, and named at step 2.
pub(super) fn ready(case: &Case, cluster: &ClusterView, half: &Half, id: Id, out: &mut Findings) {
    if cluster.ready == Some(true) {
        return;
    }
    let name = &cluster.object.name;
    let phase = cluster.phase.as_deref().map_or(String::new(), |phase| format!(" ({phase})"));
    let text = match cluster.ready {
        Some(_) => format!("{name} is not Ready{phase}"),
        None => format!("{name} has no condition Ready{phase}"),
    };
    if case.silent(half) { out.unmet(id.check().step, text) } else { out.add(id, text) }
}

/// The name of the half in this region, where it is known; else the region's.
pub(super) fn name_of(case: &Case, region: &Region) -> String {
    let half = if *region == case.plan.from { case.from() } else { case.to() };
    half.cluster.known().map_or_else(|| region.to_string(), |cluster| cluster.object.name.clone())
}
