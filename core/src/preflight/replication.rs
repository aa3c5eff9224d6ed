//! Step 2: the two PostgreSQLs, and what flows between them. Unknown lag is not zero (H02).

use super::pair::name_of;
use super::{Case, Findings, Id, seconds};
use crate::observe::{ClusterView, DatabaseView, Half, REPLY_AGE_MAX, ReplicaRow, Seen};
use std::time::Duration;

/// An idle standby says something every [`REPLY_AGE_MAX`]. One that has not for longer is silent.
const SILENCE_MAX: Duration = REPLY_AGE_MAX.saturating_add(Duration::from_secs(5));

/// A standby that is so little behind is as good as up to date.
const LAG_OF_BUSY: Duration = Duration::from_millis(999);

pub(super) fn look(case: &Case, out: &mut Findings) {
    databases(case, out);
    let (Some(source), Some(target)) = (case.source(), case.target()) else { return };
    system_id(case, source, target, out);
    synchronous(case, source, target, out);
    // After the roles have moved, replication flows the other way, and is the health check's matter.
    if case.redundant() {
        return;
    }
    timeline(case, source, target, out);
    let primary = case.from().database.known();
    if let Some(primary) = primary {
        lag(case, primary, target, source.synchronous_to(&target.object.name), out);
        connections(primary, target, out);
    }
    if let Some(standby) = case.to().database.known().filter(|standby| standby.in_recovery == Some(true)) {
        let name = &target.object.name;
        match standby.replay_paused {
            Some(false) => {}
            Some(true) => out.add(Id::ReplayPaused, format!("replay is paused on {name}")),
            None => out.add(Id::ReplayPaused, format!("whether replay is paused on {name} is not known")),
        }
        if let Some(primary) = primary {
            settings((source, primary), (target, standby), out);
            slots((source, primary), (target, standby), out);
        }
    }
}

type Side<'a> = (&'a ClusterView, &'a DatabaseView);

/// A standby with less than its primary had pauses its replay, and ends for good when it is promoted.
fn settings((source, primary): Side, (target, standby): Side, out: &mut Findings) {
    let (Some(of_primary), Some(of_standby)) = (&primary.hot_standby, &standby.hot_standby) else { return };
    let lower: Vec<String> = of_primary
        .named()
        .into_iter()
        .zip(of_standby.named())
        .filter(|((_, primary), (_, standby))| standby < primary)
        .map(|((setting, primary), (_, standby))| format!("{setting} {standby} below {primary}"))
        .collect();
    if !lower.is_empty() {
        out.add(
            Id::HotStandbySettings,
            format!(
                "{} has less than {}, and would not survive its promotion: {}",
                target.object.name,
                source.object.name,
                lower.join(", ")
            ),
        );
    }
}

/// A logical slot is a server's own, unless it is kept in step: whoever reads it would lose what comes after.
fn slots((source, primary): Side, (target, standby): Side, out: &mut Findings) {
    let (Some(there), Some(here)) = (&primary.logical_slots, &standby.logical_slots) else { return };
    let lost: Vec<&str> = there.iter().filter(|slot| !here.contains(slot)).map(String::as_str).collect();
    if !lost.is_empty() {
        out.add(
            Id::LogicalSlots,
            format!(
                "logical slots of {} that are not on {} would be lost: {}; drop them, or have them synchronised",
                source.object.name,
                target.object.name,
                lost.join(", ")
            ),
        );
    }
}

/// Two connections of one name: one of them is dead, and a synchronous commit may wait for it. A standby that is
/// silent makes the shutdown of the primary last until it is given up.
fn connections(database: &DatabaseView, target: &ClusterView, out: &mut Findings) {
    let name = &target.object.name;
    let rows = database.rows_of(name).unwrap_or_default();
    let silent = |row: &ReplicaRow| row.silent_for().unwrap_or_default();
    if let [newest, .., oldest] = rows[..] {
        out.add(
            Id::ReplicaRows,
            format!(
                "{} connections follow as {name}, heard {} and {} ago: the newest counts, and a synchronous commit may \
                 wait for the other until it is given up",
                rows.len(),
                seconds(silent(newest)),
                seconds(silent(oldest))
            ),
        );
    }
    if let Some(age) = rows.first().map(|row| silent(row)).filter(|age| *age > SILENCE_MAX) {
        out.note(
            2,
            format!(
                "{name} has said nothing for {}: the shutdown of its primary waits until it is given up \
                 (wal_sender_timeout, 60 s by default)",
                seconds(age)
            ),
        );
    }
}

/// Why the lag of a half is not measured, with the cure where one is known.
fn unmeasured(database: &DatabaseView, target: &str) -> String {
    let rows = database.rows_of(target).unwrap_or_default();
    match rows.iter().find_map(|row| row.clock_ahead()) {
        Some(ahead) => format!(
            "the replication lag of {target} is not measured: its clock is ahead by {} at least, so how long it has been \
             silent is not known; set its host's clock",
            seconds(ahead)
        ),
        None => format!("the replication lag of {target} is not measured"),
    }
}

fn databases(case: &Case, out: &mut Findings) {
    if case.halves().iter().any(|(_, half)| half.database == Seen::Unconfigured) {
        return out.add(Id::Database, "no database probe is configured: lag and writability are not known");
    }
    for (region, half) in case.halves() {
        // Without its Cluster a half cannot be probed: that cause is named already.
        if half.cluster.known().is_none() {
            continue;
        }
        let name = name_of(case, region);
        if let Some(cause) = half.database.why() {
            out.add(Id::Database, format!("PostgreSQL of {name} could not be looked at: {cause}"));
        } else if *region == case.plan.to
            && !case.redundant()
            && let Some(database) = half.database.known().filter(|database| database.in_recovery.is_none())
        {
            out.add(Id::Database, format!("PostgreSQL of {name} does not answer: {}", database.detail));
        }
    }
}

fn system_of(half: &Half) -> Option<&str> {
    let database = half.database.known().and_then(|database| database.system_id.as_deref());
    database.or_else(|| half.cluster.known().and_then(|cluster| cluster.system_id.as_deref()))
}

fn timeline_of(half: &Half) -> Option<u32> {
    let database = half.database.known().and_then(|database| database.timeline);
    database.or_else(|| half.cluster.known().and_then(|cluster| cluster.timeline))
}

/// Whether PostgreSQL of this half answers: where it does not, that is a blocker of its own.
fn answers(half: &Half) -> bool {
    half.database.known().is_some_and(|database| database.in_recovery.is_some())
}

fn system_id(case: &Case, source: &ClusterView, target: &ClusterView, out: &mut Findings) {
    match (system_of(case.from()), system_of(case.to())) {
        (Some(from), Some(to)) if from == to => {}
        (Some(from), Some(to)) => out.add(
            Id::SystemId,
            format!(
                "{} and {} are not copies of one database: system identifiers {from} and {to}",
                source.object.name, target.object.name
            ),
        ),
        (from, _) => {
            let (cluster, half) = if from.is_none() { (source, case.from()) } else { (target, case.to()) };
            unknown(out, Id::SystemId, half, format!("the system identifier of {} is not known", cluster.object.name));
        }
    }
}

fn timeline(case: &Case, source: &ClusterView, target: &ClusterView, out: &mut Findings) {
    match (timeline_of(case.from()), timeline_of(case.to())) {
        (Some(from), Some(to)) if to >= from => {}
        (Some(from), Some(to)) => out.add(
            Id::Timeline,
            format!("{} is on timeline {to}, behind {}'s {from}", target.object.name, source.object.name),
        ),
        (from, _) => {
            let (cluster, half) = if from.is_none() { (source, case.from()) } else { (target, case.to()) };
            unknown(out, Id::Timeline, half, format!("the timeline of {} is not known", cluster.object.name));
        }
    }
}

/// A fact that an answering PostgreSQL did not give blocks; one of a silent PostgreSQL has its cause named.
fn unknown(out: &mut Findings, id: Id, half: &Half, text: String) {
    if answers(half) { out.add(id, text) } else { out.unmet(2, text) }
}

fn lag(case: &Case, database: &DatabaseView, target: &ClusterView, synchronous: bool, out: &mut Findings) {
    let (source, target) = (name_of(case, &case.plan.from), &target.object.name);
    // A primary that does not answer is named already.
    if database.in_recovery.is_none() {
        return out.unmet(2, "the replication lag is not known");
    }
    let Some(rows) = &database.replicas else {
        return out
            .add(Id::LagKnown, format!("the probe's role may not see replication on {source}: grant it pg_monitor"));
    };
    if !rows.iter().any(|row| row.application_name == *target && row.streaming) {
        if case.target().is_some_and(|target| target.ships_wal_only) {
            let text = format!(
                "{target} follows {source} by archived WAL alone (its external cluster has no connectionParameters): \
                 how far behind it is cannot be measured; give it a connection"
            );
            return out.add(Id::WalOnly, text);
        }
        let text = format!("{target} does not stream from {source}");
        return if case.silent(case.to()) { out.unmet(2, text) } else { out.add(Id::Streaming, text) };
    }
    let lag = if synchronous { database.worst_lag_to(target) } else { database.lag_to(target) };
    match lag {
        None => out.add(Id::LagKnown, unmeasured(database, target)),
        // A busy standby is always a little behind, and a planned switchover waits for the last write anyway: an
        // objective of 0 allows for less than a second.
        Some(lag) if lag > Duration::from_millis(u64::from(case.plan.rpo_seconds) * 1000).max(LAG_OF_BUSY) => out.add(
            Id::LagWithinRpo,
            format!("{target} is {} behind, the RPO is {} s", seconds(lag), case.plan.rpo_seconds),
        ),
        Some(Duration::ZERO) => out.note(2, format!("{target} has replayed everything")),
        Some(lag) => {
            out.note(2, format!("{target} is {} behind, the RPO is {} s", seconds(lag), case.plan.rpo_seconds))
        }
    }
}

fn synchronous(case: &Case, source: &ClusterView, target: &ClusterView, out: &mut Findings) {
    let (from, to) = (&source.object.name, &target.object.name);
    match (source.synchronous_to(to), target.synchronous_to(from)) {
        (false, false) => {}
        (true, true) => {
            if case.record().is_some_and(|record| !record.in_sync) {
                out.add(
                    Id::InSync,
                    format!("the pair is synchronous, but not in sync: {to} may lack acknowledged writes"),
                );
            }
        }
        (true, false) => out.add(Id::SynchronousBoth, one_only(from, to)),
        (false, true) => out.add(Id::SynchronousBoth, one_only(to, from)),
    }
}

fn one_only(with: &str, without: &str) -> String {
    format!("{with} is synchronous toward {without}, which is not toward {with}: set it on both halves or on neither")
}
