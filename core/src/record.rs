//! The record: what the witness holds for one Continuum. Holder and journal in one register, so that
//! ownership and the switchover under way move in one atomic write.
//!
//! Only data here. How a record becomes another is `transition`; who writes it, `keeper`.
//! Fields that a newer version wrote and this one does not know are kept (`extra`).

mod intent;
mod lsn;

pub use intent::{Direction, Former, FormerRule, FormerWeights, Intent, Left, StepState};
pub use lsn::{Lsn, NotAnLsn};

use crate::audit::Event;
use crate::name::Region;
use crate::requests::key_of;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Fields written by a newer version, kept as they are.
pub type Extra = BTreeMap<String, Value>;

/// The greatest length of an intent in JSON, bytes. A plan that does not fit is a blocker.
pub const INTENT_LENGTH_MAX: usize = 32 * 1024;

/// How many served requests are remembered.
pub const SERVED_COUNT_MAX: usize = 32;

/// So many events may be owed, in the record or in a copy, before interference and refusals, which others can make any
/// number of, add no more.
pub const OWED_COUNT_MAX: usize = 32;

/// The form in which a record is written. A controller that finds a greater one leaves it alone.
pub const RECORD_FORMAT: u32 = 1;

/// The register's content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// [`RECORD_FORMAT`] of who wrote it.
    #[serde(default = "first_format")]
    pub format: u32,
    /// The region that may be primary. Absent: free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<Region>,
    /// The region whose controller wrote the present holder in: a lease that its holder handed on was not lost.
    /// Absent: free, or an older version wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub named_by: Option<Region>,
    /// Grows by one at every change of holder, and never otherwise; by more where a free record is taken and a
    /// greater claim stands.
    #[serde(default)]
    pub generation: u64,
    /// Grows at every renewal: how others see that the holder lives.
    #[serde(default)]
    pub renewal: u64,
    /// The term, s.
    pub ttl_seconds: u32,
    /// Which half was last made primary, and on which timeline.
    #[serde(default)]
    pub lineage: Lineage,
    /// Where the holder's half stood at the last renewal. Absent: not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// Synchronous mode: the other half has every acknowledged write.
    #[serde(default)]
    pub in_sync: bool,
    /// The switchover under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<Box<Intent>>,
    /// Grows by one with every intent or pending failback.
    #[serde(default)]
    pub sequence: u64,
    /// The intent of this id is to be aborted: written by whichever controller read it in its copy of the resource,
    /// holder or not. It makes nothing writable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort: Option<String>,
    /// A failback that waits for approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Pending>,
    /// Identities of the last [`SERVED_COUNT_MAX`] requests, oldest first. Under one key there is one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub served: Vec<String>,
    /// The switchover that ended last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Box<Ended>>,
    /// Events owed to the audit stream, in order: each is put here by the write that makes what it tells of so, and
    /// taken away when the stream has acknowledged it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owed: Vec<Event>,
    /// What the last move left, whether it succeeded or was undone. Absent: nothing was moved yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Left>,
    /// What a newer version wrote.
    #[serde(flatten)]
    pub extra: Extra,
}

fn first_format() -> u32 {
    1
}

/// Which half was last made primary. `Unknown` from the moment a promotion may have been issued until
/// the new primary confirms it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Lineage {
    /// A promotion may be under way.
    #[default]
    Unknown,
    /// This region's half, on this timeline.
    Of {
        /// The region.
        region: Region,
        /// Its timeline.
        timeline: u32,
    },
}

impl Lineage {
    /// The timeline of this region's half, where it was made primary last.
    pub fn timeline_of(&self, region: &Region) -> Option<u32> {
        match self {
            Lineage::Of { region: last, timeline } if last == region => Some(*timeline),
            _ => None,
        }
    }
}

/// A place in the write-ahead log of one timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Position {
    /// Timeline.
    pub timeline: u32,
    /// Position in it.
    pub lsn: Lsn,
}

/// What kind of move an intent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// Both regions are there; nothing is lost.
    Planned,
    /// The holder's region is gone. (Decided in a later version; its place in the record is fixed.)
    Failover,
    /// A planned move back, perhaps after approval.
    Failback,
}

/// A set of DNS records of one name and type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordSet {
    /// Name, without the trailing dot.
    pub hostname: String,
    /// Record type: `LUA`, `A`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Time to live, s.
    pub ttl_seconds: u32,
    /// Contents, as the DNS server writes them. Empty: there are no such records.
    pub contents: Vec<String>,
}

/// A failback that waits for a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pending {
    /// The id that its intent will have.
    pub id: String,
    /// Where to.
    pub to: Region,
    /// Who asked.
    pub requested_by: String,
    /// Why.
    pub reason: String,
    /// Identity of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// When it was asked, wall time.
    pub since: Timestamp,
    /// How long it may wait, s; counted from when a process first saw it.
    pub timeout_seconds: u32,
    /// Whether a person must approve, as whoever asked, or either copy, said then.
    #[serde(default)]
    pub approval_required: bool,
    /// Fingerprint of the plan that it had when it was asked.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub fingerprint: String,
    /// What a newer version wrote.
    #[serde(flatten)]
    pub extra: Extra,
}

/// How a switchover ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EndResult {
    /// `to` is primary.
    Succeeded,
    /// It failed, and what was done was undone.
    Undone,
    /// A failback that was refused, cancelled or timed out: nothing had begun.
    Declined,
}

/// The switchover that ended last: report and health check survive a crash through it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ended {
    /// The intent's id.
    pub id: String,
    /// What kind of move.
    pub kind: Kind,
    /// From.
    pub from: Region,
    /// To.
    pub to: Region,
    /// Identity of the request that started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// Why it was asked.
    pub reason: String,
    /// Who asked.
    pub initiated_by: String,
    /// Who approved it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
    /// Its plan's fingerprint.
    pub fingerprint: String,
    /// When it began, wall time.
    pub started_at: Timestamp,
    /// When it ended, wall time.
    pub finished_at: Timestamp,
    /// How.
    pub result: EndResult,
    /// The step that failed; 0: none.
    pub failed_at_step: u8,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// The seven steps.
    pub steps: [StepState; 7],
    /// Between the last moment writes were seen accepted and the first they were again, ms. Absent: not
    /// measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_gap_ms: Option<u64>,
    /// From its beginning to its end, ms, each region's part by its own clock. Absent: not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
    /// By how much that was more than the objective, ms. Absent: it was not, or was not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rto_missed_by_ms: Option<u64>,
    /// Writes lost as replication lag at the takeover, s. Planned moves: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_seconds: Option<u64>,
    /// What a newer version wrote.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Record {
    /// A free record that nobody ever held.
    pub fn free(ttl_seconds: u32) -> Self {
        Self {
            format: RECORD_FORMAT,
            holder: None,
            named_by: None,
            generation: 0,
            renewal: 0,
            ttl_seconds,
            lineage: Lineage::Unknown,
            position: None,
            in_sync: false,
            intent: None,
            sequence: 0,
            abort: None,
            pending: None,
            served: Vec::new(),
            last: None,
            owed: Vec::new(),
            left: None,
            extra: Extra::new(),
        }
    }

    /// Whether `region` holds it.
    pub fn held_by(&self, region: &Region) -> bool {
        self.holder.as_ref() == Some(region)
    }

    /// Whether it is held, and nothing is under way or waited for.
    pub fn is_at_rest(&self) -> bool {
        self.holder.is_some() && self.intent.is_none() && self.pending.is_none()
    }

    /// Whether a request of this identity, or another under its key, is among those that are remembered.
    pub fn has_served(&self, request: &str) -> bool {
        self.served.iter().any(|served| key_of(served) == key_of(request))
    }

    /// The events owed that are about the intent, or the failback, of this id.
    pub fn owed_of(&self, id: &str) -> impl Iterator<Item = &Event> {
        self.owed.iter().filter(move |event| event.is_about(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_newer_version_are_kept() {
        let text = r#"{"ttlSeconds":30,"generation":4,"tomorrow":{"x":[1]},
            "last":null,"lineage":"unknown","sequence":2}"#;
        let record: Record = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_value(&record).unwrap()["tomorrow"], serde_json::json!({"x": [1]}));
        assert_eq!(serde_json::from_value::<Record>(serde_json::to_value(&record).unwrap()).unwrap(), record);
    }
}
