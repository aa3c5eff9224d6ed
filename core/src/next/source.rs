//! Which half has the newest history, and with which token it is handed on (PROTOCOL 2.10). Every promotion,
//! forward, back and without a plan, asks this and nothing else.

use super::permit::{runs_as_standby, still_primary};
use super::settle::HEALTHY;
use crate::name::Region;
use crate::observe::{ClusterView, DemotionToken, Half, Role};
use crate::record::{Intent, Lineage};
use crate::token::decode_token;
use std::cmp::Ordering;

/// What a half is promoted with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Its own history is the newest. With its own token; without one where none was ever made: PostgreSQL was
    /// killed before its demotion (H31), or the operator has not begun.
    Own(Option<String>),
    /// The other half's is, and this is its token. The half must have replayed to it.
    Other(Token),
}

/// A token, as it is stored and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// As CloudNativePG writes it.
    pub text: String,
    /// Decoded.
    pub says: DemotionToken,
}

impl Token {
    /// Reads a stored token; absent where it cannot be read.
    pub fn read(text: &str) -> Option<Self> {
        Some(Self { text: text.to_owned(), says: decode_token(text).ok()? })
    }

    /// Which of two histories goes further: the later timeline, and on one timeline the later position.
    fn history(&self, other: &Token) -> Ordering {
        (self.says.timeline, self.says.redo).cmp(&(other.says.timeline, other.says.redo))
    }
}

/// The token that a half left when it was demoted; it is away while the half is not a replica.
fn token_of(cluster: Option<&ClusterView>) -> Option<Token> {
    Token::read(cluster?.demotion_token.as_deref()?)
}

/// What the half in `own` would be promoted with; or why that is not known.
///
/// The intent's token is the word of `from` where that cannot be asked, or has not said anything newer.
pub fn data_source(
    lineage: &Lineage,
    (own_region, own): (&Region, &Half),
    (other_region, other): (&Region, &Half),
    intent: Option<&Intent>,
) -> Result<Source, String> {
    let recorded = |region: &Region| {
        let intent = intent.filter(|intent| intent.from() == region)?;
        Token::read(intent.token.as_deref()?)
    };
    let newest = |seen: Option<Token>, recorded: Option<Token>| match (seen, recorded) {
        (Some(seen), Some(recorded)) if recorded.history(&seen).is_gt() => Some(recorded),
        (seen, recorded) => seen.or(recorded),
    };
    // What the half itself says of its own token is the truth: the operator takes it away once it is used.
    let own_token = token_of(own.cluster.known());
    let other_token = newest(token_of(other.cluster.known()), recorded(other_region));
    let other_is_newest = match (&own_token, &other_token) {
        (Some(own), Some(other)) => other.history(own).is_gt(),
        (own, other) => other.is_some() && own.is_none(),
    };
    if let (Some(intent), Some(cluster)) = (intent, other.cluster.known())
        && intent.from() == other_region
        && let Some(taken) = recorded(other_region)
        && cluster.role == Role::Replica
        && cluster.demotion_token.is_none()
        && !has_stayed_standby(other, &taken)
    {
        // The operator takes it away while the half is not a replica.
        return Err(format!("{other_region} was primary again since its token was taken, and left no newer one"));
    }
    // What was recorded as made primary last outlives every token of an earlier timeline.
    if other_is_newest && let Some(token) = other_token {
        // Nor is a token put in again with which this half was promoted since, before that was recorded (H37).
        let promoted = intent.is_some_and(|intent| intent.to() == own_region && intent.past_return());
        let since = own.database.known().and_then(|database| database.timeline).filter(|_| promoted);
        return match lineage.timeline_of(own_region).max(since) {
            Some(timeline) if timeline > token.says.timeline => without_token(own),
            _ => Ok(Source::Other(token)),
        };
    }
    let behind = lineage.timeline_of(other_region);
    let stale = |token: &Token| lineage.timeline_of(own_region).is_some_and(|timeline| timeline > token.says.timeline);
    match own_token.filter(|token| !stale(token)) {
        Some(own) if behind.is_none_or(|timeline| timeline <= own.says.timeline) => Ok(Source::Own(Some(own.text))),
        _ if behind.is_some() => Err(format!("{other_region} was primary last, and left no token that can be read")),
        _ => without_token(own),
    }
}

/// Whether a half whose token is gone never left recovery since it was made: somebody asked for a primary, and took it
/// back before its operator promoted anything. A promotion would have begun a timeline.
pub(super) fn has_stayed_standby(half: &Half, taken: &Token) -> bool {
    let cluster = half.cluster.known().is_some_and(|cluster| {
        let idle = !cluster.in_progress && cluster.phase.as_deref() == Some(HEALTHY) && cluster.ready == Some(true);
        idle && cluster.timeline.is_none_or(|timeline| timeline <= taken.says.timeline)
    });
    let database = half.database.known();
    cluster && database.is_some_and(|d| d.in_recovery == Some(true) && d.timeline == Some(taken.says.timeline))
}

/// Whether a half has replayed to the other's token, with which it is promoted; or what is waited for. H34, and rule 2.11:
/// asked for before, the operator looks again only after 10 s; asked for without the WAL, it waits for what may never
/// come.
pub(super) fn has_replayed(half: &Half, token: &Token) -> Result<(), String> {
    let database = half.database.known().ok_or("its PostgreSQL is not seen")?;
    match database.replay_paused {
        Some(false) => {}
        // A promotion would end its PostgreSQL, where a setting is too low (H49).
        Some(true) => return Err("its replay is paused".into()),
        None => return Err("whether its replay is paused is not known".into()),
    }
    match database.lsn {
        Some(lsn) if lsn >= token.says.redo => Ok(()),
        Some(lsn) => Err(format!("replaying to the token at {}; at {lsn}", token.says.redo)),
        None => Err(format!("replaying to the token at {}", token.says.redo)),
    }
}

/// The half's own history is the newest, and it left no token.
fn without_token(own: &Half) -> Result<Source, String> {
    let database = own.database.known();
    let cluster = own.cluster.known().ok_or("the half is not seen")?;
    if runs_as_standby(cluster, database) || !cluster.fenced && database.is_some_and(still_primary) {
        return Ok(Source::Own(None));
    }
    Err("the demotion has neither ended nor left a token".into())
}
