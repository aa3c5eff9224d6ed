//! Leave to make a half writable: the one place where PROTOCOL 2.4 to 2.6 are judged. Promoting and lifting a
//! fence can be built from a [`Permit`] only.

use crate::observe::{Accepts, ClusterView, DatabaseView, Half, Role, Seen};
use crate::record::{Intent, Record};
use std::time::Duration;

/// An operator that lives has begun a demotion within two seconds in every recording.
const UNTOUCHED_AFTER: Duration = Duration::from_secs(5);

/// Leave to make one half writable, given by [`permit`] for one decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permit {
    to_try: bool,
}

impl Permit {
    /// Leave to ask whether a write would be admitted, and not to make it: adapters refuse to send one that carries it.
    pub fn to_try() -> Self {
        Self { to_try: true }
    }

    /// Whether the write may only be asked about.
    pub fn is_to_try(&self) -> bool {
        self.to_try
    }

    /// For tests of adapters and for controllers that are broken on purpose. The product never calls it, which a
    /// test holds it to.
    #[doc(hidden)]
    pub fn forged() -> Self {
        Self { to_try: false }
    }
}

/// What is missing before a half may be made writable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Something that time or a look may bring.
    Awaited(String),
    /// The other half says primary, or takes writes: it is to be claimed, fenced and demoted in one patch.
    OtherMayWrite(String),
    /// The other half carries no claim of this generation, so an older writer may still change it.
    OtherUnclaimed,
}

/// Which of the ways of rule 2.4 applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// (a): claimed at this generation, then seen as a replica that refuses writes.
    ClaimedAndSeen,
    /// (b): its demotion token stands in the intent. It is looked at all the same (2.9); where it cannot be
    /// reached, the token is enough.
    ByToken,
    /// (d): nobody was ever allowed to promote it, since step 6 of this intent never started. Its API server need
    /// not answer.
    NeverAllowed,
}

fn way(intent: Option<&Intent>) -> Way {
    match intent {
        Some(intent) if intent.forward() && intent.token.is_some() => Way::ByToken,
        Some(intent) if !intent.forward() && intent.step(6).started_at.is_none() => Way::NeverAllowed,
        _ => Way::ClaimedAndSeen,
    }
}

/// Whether the holder may make its `own` half writable, as `other` was seen and `record` stands.
pub fn permit(own: &Half, other: &Half, record: &Record) -> Result<Permit, Missing> {
    let way = way(record.intent.as_deref());
    other_is_safe(other, record, way)?;
    own_is_demoted(own, record, way)?;
    Ok(Permit { to_try: false })
}

/// Leave to lift the fence of a half that is to follow: no demotion is under way behind it (2.5), so it starts as a standby.
/// Where it was primary in its files after all, its operator begins one.
pub(super) fn permit_to_follow(half: &Half, record: &Record) -> Option<Permit> {
    let cluster = half.cluster.known().filter(|cluster| newer_claim(cluster, record).is_none())?;
    (cluster.role == Role::Replica && !cluster.in_progress && cluster.fenced).then_some(Permit { to_try: false })
}

/// Rule 2.4.
fn other_is_safe(other: &Half, record: &Record, way: Way) -> Result<(), Missing> {
    let cluster = match &other.cluster {
        Seen::Is(cluster) => cluster,
        _ if other.takes_writes() => {
            return Err(Missing::Awaited("the other half takes writes, and its Cluster is not seen".into()));
        }
        // It was to be looked at, and was not: silence is known only where it was asked.
        Seen::NotLooked if way == Way::ByToken => return Err(Missing::Awaited("the other half is looked at".into())),
        _ if way != Way::ClaimedAndSeen => return Ok(()),
        unseen => {
            return Err(Missing::Awaited(format!("the other half is not seen: {}", unseen.why().unwrap_or_default())));
        }
    };
    if let Some(newer) = newer_claim(cluster, record) {
        return Err(Missing::Awaited(newer));
    }
    if cluster.role == Role::Primary {
        return Err(Missing::OtherMayWrite(format!("{} says that it is primary", cluster.object)));
    }
    if other.takes_writes() {
        return match way {
            // It was told to be a replica, and the operator is at it.
            _ if demotion_is_ours(cluster, record) => {
                Err(Missing::Awaited(format!("{} still takes writes; its demotion was asked", cluster.object)))
            }
            _ => Err(Missing::OtherMayWrite(format!("{} takes writes", cluster.object))),
        };
    }
    let refuses = match &other.database {
        Seen::Is(database) => database.accepts == Accepts::No,
        // Without a probe the spec is all there is to see.
        unseen => *unseen == Seen::Unconfigured,
    };
    match way {
        Way::ClaimedAndSeen if cluster.claim.as_ref().is_none_or(|claim| claim.generation != record.generation) => {
            Err(Missing::OtherUnclaimed)
        }
        Way::ClaimedAndSeen if !refuses => {
            Err(Missing::Awaited(format!("{} is not seen to refuse writes", cluster.object)))
        }
        // Its token is made at the end: until then it may have been primary again since the one that is recorded.
        Way::ByToken if cluster.in_progress => {
            Err(Missing::Awaited(format!("the demotion of {} is in progress", cluster.object)))
        }
        _ => Ok(()),
    }
}

/// Rule 2.5: a half is promoted only when it was seen demoted, and a fence is lifted only from one that is to be
/// primary.
fn own_is_demoted(own: &Half, record: &Record, way: Way) -> Result<(), Missing> {
    let cluster = match &own.cluster {
        Seen::Is(cluster) => cluster,
        unseen => return Err(Missing::Awaited(format!("the half is not seen: {}", unseen.why().unwrap_or_default()))),
    };
    if let Some(newer) = newer_claim(cluster, record) {
        return Err(Missing::Awaited(newer));
    }
    if cluster.in_progress {
        // The operator's webhook refuses the role until then.
        return Err(Missing::Awaited("its demotion has to end first".into()));
    }
    if cluster.role == Role::Primary {
        return Ok(());
    }
    if cluster.fenced {
        // H26: the operator lifts it at the end of the demotion behind it; nobody else may.
        return Err(Missing::Awaited(match cluster.demotion_token {
            Some(_) => "it is fenced, and no demotion is in progress: lift its fence, where nobody wants it so".into(),
            None => "its demotion behind the fence is not through".into(),
        }));
    }
    let database = own.database.known();
    // The operator does not begin to demote it: it may be told otherwise, where no other half may have a newer history.
    let leads =
        record.intent.is_none() && record.holder.as_ref().is_some_and(|me| record.lineage.timeline_of(me).is_some());
    let never_left = record.intent.as_ref().is_some_and(|intent| intent.began_generation == record.generation);
    if (way == Way::NeverAllowed && never_left || leads) && is_untouched(own) {
        if own.untouched_for >= UNTOUCHED_AFTER {
            return Ok(());
        }
        // Told otherwise between its operator's look and its operator's fence, the half stays behind that fence: nobody
        // goes on with a demotion that nobody asks for any more. It takes writes meanwhile, so waiting costs nothing.
        return Err(Missing::Awaited("its operator may have begun to demote it".into()));
    }
    if runs_as_standby(cluster, database) {
        return Ok(());
    }
    Err(Missing::Awaited("its PostgreSQL is not seen as a standby".into()))
}

/// A newer generation wrote the half than the one that holds the record, as it was read.
pub(super) fn newer_claim(cluster: &ClusterView, record: &Record) -> Option<String> {
    let claim = cluster.claim.as_ref().filter(|claim| claim.generation > record.generation)?;
    Some(format!(
        "{} was written by generation {}, which is newer than {}",
        cluster.object, claim.generation, record.generation
    ))
}

/// Whether this generation told the half to be a replica.
fn demotion_is_ours(cluster: &ClusterView, record: &Record) -> bool {
    cluster.role == Role::Replica && cluster.claim.as_ref().is_some_and(|claim| claim.generation == record.generation)
}

/// Whether a half was told to be a replica, and its operator has done nothing for that yet.
pub(super) fn is_untouched(half: &Half) -> bool {
    let told = |c: &ClusterView| c.role == Role::Replica && !c.in_progress && !c.fenced;
    half.cluster.known().is_some_and(told) && half.database.known().is_some_and(still_primary)
}

/// Whether PostgreSQL runs as a primary, whatever the spec asks.
pub(super) fn still_primary(database: &DatabaseView) -> bool {
    database.in_recovery == Some(false)
}

/// Whether a half runs as a standby: its spec says replica and PostgreSQL is in recovery.
pub(super) fn runs_as_standby(cluster: &ClusterView, database: Option<&DatabaseView>) -> bool {
    cluster.role == Role::Replica && database.is_some_and(|d| d.in_recovery == Some(true))
}
