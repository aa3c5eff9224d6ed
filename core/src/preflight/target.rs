//! Step 6: whether the new half can be promoted, and what happens to clients then.

use super::pair::ready;
use super::{Case, Findings, Id};
use crate::observe::ClusterView;
use crate::roles;

/// A longer `smartShutdownTimeout` is advised against, s (H30).
const SMART_SHUTDOWN_SECONDS_MAX: u32 = 5;

pub(super) fn look(case: &Case, out: &mut Findings) {
    for (_, half) in case.halves() {
        if let Some(cluster) = half.cluster.known().filter(|cluster| cluster.min_apply_delay) {
            out.add(
                Id::MinApplyDelay,
                format!("{} has minApplyDelay, which refuses a promotion token", cluster.object.name),
            );
        }
    }
    if let Some(target) = case.target() {
        self::target(case, target, out);
        if let Some(source) = case.source() {
            alike(source, target, out);
        }
    }
    secrets(case, out);
    out.note(6, "the point of no return: once the promotion is asked for, nothing is taken back");
}

fn target(case: &Case, target: &ClusterView, out: &mut Findings) {
    let name = &target.object.name;
    ready(case, target, case.to(), Id::TargetReady, out);
    if target.fenced {
        out.add(Id::TargetFenced, format!("{name} is fenced (cnpg.io/fencedInstances)"));
    }
    if case.redundant() {
        // The promoted half keeps its token; and where it is not writable, its holder sees to that.
        let writes = case.to().takes_writes();
        if !writes {
            out.note(6, format!("{} holds the lease, but {name} was not seen to accept writes", case.plan.to));
        }
    } else if target.promotion_token.is_some() {
        out.add(Id::TargetToken, format!("{name} is a replica with a promotion token in its spec; remove it"));
    }
    smart_shutdown(case, target, out);
}

/// The operator restarts a promoted half, and refuses new connections until the last old session ends (H30).
fn smart_shutdown(case: &Case, target: &ClusterView, out: &mut Findings) {
    let (name, timeout) = (&target.object.name, target.smart_shutdown_timeout_seconds);
    out.note(
        6,
        format!(
            "smartShutdownTimeout of {name} is {timeout} s: the restart after the promotion may refuse new \
             connections for as long"
        ),
    );
    if timeout > case.plan.rto_seconds {
        out.add(
            Id::SmartShutdownRto,
            format!("smartShutdownTimeout of {name} ({timeout} s) is above the RTO of {} s", case.plan.rto_seconds),
        );
    } else if timeout > SMART_SHUTDOWN_SECONDS_MAX {
        out.add(
            Id::SmartShutdownLong,
            format!("smartShutdownTimeout of {name} is {timeout} s; at most {SMART_SHUTDOWN_SECONDS_MAX} s is advised"),
        );
    }
}

fn alike(source: &ClusterView, target: &ClusterView, out: &mut Findings) {
    let (from, to) = (&source.object.name, &target.object.name);
    if target.instances < source.instances {
        out.add(
            Id::Instances,
            format!("{to} has fewer instances ({}) than {from} ({})", target.instances, source.instances),
        );
    }
    if target.configuration_hash != source.configuration_hash {
        out.add(Id::Configuration, format!("{from} and {to} differ in image or PostgreSQL parameters"));
    }
}

/// H33: at its first promotion a half without the secret gets a new one, and every client is locked out. H53: so they
/// are where both halves have an old one.
fn secrets(case: &Case, out: &mut Findings) {
    let looked = [&case.plan.from, &case.plan.to].map(|region| {
        let half = if *region == case.plan.from { case.from() } else { case.to() };
        // Without its Cluster its secrets have no names.
        let cluster = half.cluster.known()?;
        let roles = case.seen().roles.get(region);
        match case.read(out, region, roles.map(|roles| &roles.secrets), 6) {
            Ok(secrets) => Some((cluster, secrets)),
            Err(cause) => {
                if let Some(cause) = cause {
                    out.add(
                        Id::RoleSecrets,
                        format!("the role secrets of {} could not be read: {cause}", cluster.object.name),
                    );
                }
                None
            }
        }
    });
    if let [Some(from), Some(to)] = looked {
        roles::differences(from, to).into_iter().for_each(|text| out.add(Id::RoleSecrets, text));
    }
    if case.redundant() {
        return;
    }
    if let (Some(source), Some(seen)) = (case.source(), case.seen().roles.get(&case.plan.from)) {
        roles::refused(source, &seen.logins).into_iter().for_each(|text| out.add(Id::RoleLogin, text));
        roles::untried(source, &seen.logins).into_iter().for_each(|text| out.add(Id::RoleLoginUnknown, text));
    }
}
