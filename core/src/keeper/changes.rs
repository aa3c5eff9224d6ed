//! Changes of the record that others hand in: written one after the other, each over what was read last, and tried again until
//! it is written, cannot be any more, or took too long.

use super::turns::For;
use super::{Keeper, NotWritten};
use crate::clock::Monotonic;
use crate::mailbox::{Slot, Waiting, slot};
use crate::record::Record;
use crate::transition::Edit;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// How long a handed-in change is tried before its caller hears that it could not be written.
const CHANGE_LIMIT: Duration = Duration::from_secs(10);

/// A pure function from record to record, applied to what was read last, perhaps more than once.
type Rewrite = Box<dyn Fn(&Record) -> Edit + Send + Sync>;

pub(super) struct Job {
    change: Rewrite,
    since: Monotonic,
    answer: Slot<Result<Record, NotWritten>>,
}

impl Keeper {
    /// Has a change written. The record it left, or why it was not.
    pub async fn update(&self, change: impl Fn(&Record) -> Edit + Send + Sync + 'static) -> Result<Record, NotWritten> {
        let waiting: Waiting<_> = {
            let (answer, waiting) = slot();
            let since = self.clock.now();
            self.state().jobs.push_back(Job { change: Box::new(change), since, answer });
            waiting
        };
        self.bell.ring();
        waiting.value().await.unwrap_or_else(|| Err(NotWritten::Unreachable("the keeper stopped".into())))
    }

    /// One try at the first job.
    pub(super) async fn work(&self) {
        let rank = self.state().renewal_rank(self.clock.now());
        let Some(_turn) = self.in_turn(For::Other, self.act.turn(rank)).await else { return };
        self.give_up_old_jobs();
        let (job, record) = {
            let mut state = self.state();
            let Some(job) = state.jobs.pop_front() else { return };
            let free = state.lease.map(|lease| Arc::new(Record::free(lease.ttl_seconds)));
            match state.view.as_ref().and_then(|v| v.record.clone()).or(free) {
                Some(record) => (job, record),
                None => return,
            }
        };
        match (job.change)(&record) {
            Edit::Already => job.answer.put(Ok(Record::clone(&record))),
            Edit::Stale(why) => job.answer.put(Err(NotWritten::Stale(why))),
            Edit::Write(next) => match self.write((*next).clone()).await {
                Ok(()) => job.answer.put(Ok(*next)),
                Err(NotWritten::Unreachable(cause)) if self.clock.now().since(job.since) < CHANGE_LIMIT => {
                    tracing::debug!(%cause, "a change of the record is tried again");
                    self.state().jobs.push_front(job);
                }
                Err(failed) => job.answer.put(Err(failed)),
            },
        }
    }

    pub(super) fn give_up_old_jobs(&self) {
        let now = self.clock.now();
        let cause = self.unreachable();
        let old = {
            let mut state = self.state();
            let (old, young): (VecDeque<Job>, VecDeque<Job>) =
                state.jobs.drain(..).partition(|job| now.since(job.since) >= CHANGE_LIMIT);
            state.jobs = young;
            old
        };
        let cause = cause.unwrap_or_else(|| "it answered, but not in time".into());
        for job in old {
            job.answer.put(Err(NotWritten::Unreachable(cause.clone())));
        }
    }
}
