//! The write-ahead log of one half.
//!
//! Positions look as PostgreSQL's: 16 MB segments, a clean shutdown of a primary switches to the next segment, so
//! that its checkpoint stands at `.../..000028` (as in every recorded demotion token).

use super::types::Limits;
use continuum_core::record::Lsn;
use serde::{Deserialize, Serialize};

const SEGMENT_BYTES: u64 = 16 * 1024 * 1024;
const SEGMENT_HEADER_BYTES: u64 = 0x28;
const CHECKPOINT_BYTES: u64 = 0x78;

/// What a record holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// A committed row of table `w`.
    Row {
        /// Client.
        client: String,
        /// The client's number.
        number: u64,
    },
    /// A committed logical message: the acting probe.
    Message,
    /// A role's password was set.
    Password {
        /// Role.
        role: String,
        /// Password.
        password: String,
    },
    /// The primary's limits, written when it starts with others than before.
    Parameters(Limits),
    /// A shutdown checkpoint at this position.
    Checkpoint {
        /// Where replay would start.
        redo: Lsn,
    },
    /// A timeline starts.
    Timeline,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalRecord {
    /// Its end.
    pub lsn: Lsn,
    /// Timeline that it was written on.
    pub timeline: u32,
    /// Hash of this record and of all before it: equal chains are equal histories.
    pub chain: u64,
    /// What it holds.
    pub content: Content,
}

/// All records of a half's history, in order. Never empty.
#[derive(Clone, Debug)]
pub struct Wal {
    records: Vec<WalRecord>,
    /// Those that are neither rows nor messages: few, and looked for often.
    rare: Vec<usize>,
}

impl Wal {
    /// The log of a new database system.
    pub fn new(system_id: &str) -> Self {
        let first = WalRecord {
            lsn: Lsn(3 * SEGMENT_BYTES + SEGMENT_HEADER_BYTES),
            timeline: 1,
            chain: hash(0, system_id.as_bytes()),
            content: Content::Timeline,
        };
        Self { records: vec![first], rare: vec![0] }
    }

    fn last(&self) -> &WalRecord {
        self.records.last().expect("a log starts with one record and never loses one")
    }

    /// Where it ends.
    pub fn end(&self) -> Lsn {
        self.last().lsn
    }

    /// The chain at its end.
    pub fn end_chain(&self) -> u64 {
        self.last().chain
    }

    /// The timeline at its end.
    pub fn timeline(&self) -> u32 {
        self.last().timeline
    }

    /// The record that ends here.
    pub fn at(&self, lsn: Lsn) -> Option<&WalRecord> {
        self.records.binary_search_by_key(&lsn, |record| record.lsn).ok().map(|index| &self.records[index])
    }

    /// Records that end after this position.
    pub fn after(&self, lsn: Lsn) -> &[WalRecord] {
        &self.records[self.records.partition_point(|record| record.lsn <= lsn)..]
    }

    /// Records that end at or before this position.
    pub fn until(&self, lsn: Lsn) -> &[WalRecord] {
        &self.records[..self.records.partition_point(|record| record.lsn <= lsn)]
    }

    /// The newest record until `lsn` of which `f` makes something. Sees no rows and no messages.
    pub fn newest<T>(&self, lsn: Lsn, f: impl FnMut(&WalRecord) -> Option<T>) -> Option<T> {
        let rare = self.rare.iter().rev().map(|index| &self.records[*index]);
        rare.skip_while(|record| record.lsn > lsn).find_map(f)
    }

    /// Writes a record on the present timeline; gives its end.
    pub fn append(&mut self, content: Content) -> Lsn {
        let bytes = match &content {
            Content::Row { .. } | Content::Password { .. } => 0x98,
            Content::Message | Content::Parameters(_) => 0x68,
            Content::Checkpoint { .. } => CHECKPOINT_BYTES,
            Content::Timeline => 0x60,
        };
        self.push(Lsn(self.end().0 + bytes), self.timeline(), content)
    }

    /// Switches to the next segment and writes the shutdown checkpoint there; gives its position.
    pub fn append_shutdown_checkpoint(&mut self) -> Lsn {
        let segment = self.end().0 / SEGMENT_BYTES + 1;
        let redo = Lsn(segment * SEGMENT_BYTES + SEGMENT_HEADER_BYTES);
        self.push(Lsn(redo.0 + CHECKPOINT_BYTES), self.timeline(), Content::Checkpoint { redo });
        redo
    }

    /// Starts a timeline: the next number that this history knows of. `by` tells two halves that both do so apart.
    pub fn fork(&mut self, by: &str) -> u32 {
        let timeline = self.timeline() + 1;
        let salt = hash(self.end_chain(), by.as_bytes());
        self.push(Lsn(self.end().0 + 0x60), timeline, Content::Timeline);
        if let Some(last) = self.records.last_mut() {
            last.chain ^= salt;
        }
        timeline
    }

    /// Takes a record that was streamed. It follows what is here; the sender saw to that.
    pub fn receive(&mut self, record: WalRecord) {
        assert!(record.lsn > self.end(), "a streamed record ends after the log it is added to");
        self.store(record);
    }

    fn store(&mut self, record: WalRecord) {
        if !matches!(record.content, Content::Row { .. } | Content::Message) {
            self.rare.push(self.records.len());
        }
        self.records.push(record);
    }

    fn push(&mut self, lsn: Lsn, timeline: u32, content: Content) -> Lsn {
        let bytes = format!("{lsn} {timeline} {content:?}");
        let chain = hash(self.end_chain(), bytes.as_bytes());
        self.store(WalRecord { lsn, timeline, chain, content });
        lsn
    }
}

/// FNV-1a, from a state.
fn hash(state: u64, bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(state ^ 0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clean_shutdown_stands_where_the_recorded_tokens_do() {
        let mut wal = Wal::new("1");
        wal.append(Content::Message);
        assert_eq!(wal.append_shutdown_checkpoint().to_string(), "0/4000028");
        assert_eq!(wal.end().to_string(), "0/40000A0");
    }

    #[test]
    fn two_halves_that_both_promote_have_diverged() {
        let mut a = Wal::new("1");
        let mut b = a.clone();
        assert_eq!((a.fork("shop-fsn"), b.fork("shop-hel")), (2, 2));
        assert_eq!(a.end(), b.end());
        assert_ne!(a.end_chain(), b.end_chain());
    }
}
