//! Where the record stood, as the ids of some events name it: from a durable name to the time that it stands for.

use crate::ground::{Ground, LeaseWrite, Message};
use crate::workload::Span;

/// A renewal of a generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Who held the lease then.
    pub holder: String,
    /// The generation.
    pub generation: u64,
    /// The renewal.
    pub renewal: u64,
    /// From its first write to that of the next.
    pub span: Span,
}

/// What the end of a message's id names: `4.17`. Absent: it names none, or the record never stood there.
pub(super) fn of(ground: &Ground, message: &Message) -> Option<Place> {
    let (generation, renewal) = message.id.rsplit(':').next()?.split_once('.')?;
    let (generation, renewal) = (generation.parse().ok()?, renewal.parse().ok()?);
    let stands = |write: &LeaseWrite| (write.record.generation, write.record.renewal) == (generation, renewal);
    let mut writes = ground.lease.iter().skip_while(|write| !stands(write));
    let first = writes.next()?;
    let to = writes.find(|write| !stands(write)).map_or(ground.end, |write| write.at);
    let holder = first.record.holder.as_ref()?.to_string();
    Some(Place { holder, generation, renewal, span: Span { from: first.at, to } })
}
