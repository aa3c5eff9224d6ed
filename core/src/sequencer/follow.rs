//! Following what was begun: a caller waits for its report while whichever region holds the record drives.
//! What a follower sees is a pure function of the record that was last read; it ends with every record, also
//! where nobody drives any more or nothing can be read. Then the outcome is unknown, which is no failure.

use super::{Following, Sequencer, What};
use crate::clock::Monotonic;
use crate::keeper::View;
use crate::plan::Plan;
use crate::record::{Ended, Intent, Record};
use crate::report::ExecuteReport;
use crate::steps;
use crate::term::REQUEST_LIMIT;
use crate::transition::already_under_way;
use std::time::Duration;

/// How often a follower looks at the record.
const FOLLOW_PAUSE: Duration = Duration::from_millis(250);

/// How long a request is waited for to be served, which takes a holder seconds.
const UNSERVED_LIMIT: Duration = Duration::from_secs(60);

/// What the record shows of it.
#[derive(Clone, Debug, PartialEq)]
enum Sight {
    /// It ended, and so many of its events are owed.
    Ended(Box<Ended>, usize),
    /// It is under way forward, or waits for a person.
    UnderWay,
    /// The request was not served yet, or there is no record.
    Unserved,
    /// It is being undone.
    Undoing(Box<Intent>),
    /// It ended, and another one did since.
    Replaced,
    /// The record is one that never knew of it: the former was deleted, or put back to what it was.
    Lost,
    /// It was refused, and why, where that is known.
    Refused(Option<String>),
    /// The record stands unrenewed for so long that whoever drives it is not there, or nothing can be read.
    Silent(Duration),
}

fn sight(view: &View, what: &What, now: Monotonic) -> Sight {
    let Some(record) = &view.record else { return Sight::Unserved };
    let is = |id: &str, request: Option<&String>| match what {
        What::Id(wanted) => id == wanted,
        What::Request(wanted) => request == Some(wanted),
    };
    if let Some(last) = record.last.as_ref().filter(|last| is(&last.id, last.request.as_ref())) {
        return Sight::Ended(last.clone(), record.owed_of(&last.id).count());
    }
    let silent_for = now.since(view.first_seen);
    if silent_for >= silence_limit(record) {
        return Sight::Silent(silent_for);
    }
    if let Some(intent) = record.intent.as_ref().filter(|intent| is(&intent.id, intent.request.as_ref())) {
        return if intent.forward() { Sight::UnderWay } else { Sight::Undoing(intent.clone()) };
    }
    let waits = record.pending.as_ref().is_some_and(|pending| is(&pending.id, pending.request.as_ref()));
    match what {
        _ if waits => Sight::UnderWay,
        What::Id(id) if sequence_of(id).is_some_and(|sequence| record.sequence < sequence) => Sight::Lost,
        What::Id(_) => Sight::Replaced,
        What::Request(request) if record.has_served(request) => {
            Sight::Refused(record.intent.as_deref().map(already_under_way))
        }
        What::Request(_) => Sight::Unserved,
    }
}

/// Which one it is of those that its record began: the end of `namespace/name/generation.sequence`.
fn sequence_of(id: &str) -> Option<u64> {
    id.rsplit_once('.')?.1.parse().ok()
}

/// Twice the term: time for a holder that crashed to come back. Every renewal, by whomever, begins it anew.
fn silence_limit(record: &Record) -> Duration {
    Duration::from_secs(2 * u64::from(record.ttl_seconds))
}

impl Sequencer {
    /// Follows the record until `last` names it, or every undo was seen or passed its limit, or there is
    /// nobody to wait for.
    pub async fn follow(&self, what: &Following) -> ExecuteReport {
        let mut undoing: Option<Monotonic> = None;
        let began = self.clock.now();
        loop {
            let now = self.clock.now();
            let sight = self.keeper.as_ref().and_then(|k| k.view()).map(|view| sight(&view, &what.what, now));
            match sight.unwrap_or(Sight::Unserved) {
                Sight::Ended(last, owed) => return ExecuteReport::from_ended(&last, owed),
                Sight::UnderWay => undoing = None,
                Sight::Unserved if now.since(began) < UNSERVED_LIMIT => {}
                Sight::Unserved => {
                    let seconds = UNSERVED_LIMIT.as_secs();
                    let why = format!(
                        "in {seconds} s the holder's region has not served it; it still may, unless it is withdrawn in \
                         the resource (requested: false)"
                    );
                    return self.unknown(&what.plan, what.id(), &why, what.since);
                }
                Sight::Undoing(intent) => {
                    let since = *undoing.get_or_insert(now);
                    if now.since(since) >= undo_limit(&intent) {
                        return ExecuteReport::from_undoing(&intent, self.journal_time());
                    }
                }
                Sight::Replaced => {
                    let why = "it ended, and another one ended since; the audit stream tells how";
                    return self.unknown(&what.plan, what.id(), why, what.since);
                }
                Sight::Lost => {
                    let why = "the record of it is gone, deleted or put back to an older one, and with it how it would have \
                               ended; where the role stands is what the status says, and a new record follows that";
                    return self.unknown(&what.plan, what.id(), why, what.since);
                }
                Sight::Refused(why) => {
                    let why =
                        why.unwrap_or_else(|| "the holder's region refused the request: its dry run says why".into());
                    return self.unbegun(&what.plan, 1, &why, what.since);
                }
                Sight::Silent(silence) => {
                    return self.unknown(&what.plan, what.id(), &self.why(what, silence), what.since);
                }
            }
            self.clock.sleep(FOLLOW_PAUSE).await;
        }
    }

    fn why(&self, what: &Following, silence: Duration) -> String {
        let keeper = self.keeper.as_ref();
        let cause = match keeper.and_then(|k| k.unreachable()) {
            Some(cause) => format!("the witness cannot be read: {cause}"),
            None => {
                let holder = keeper.and_then(|k| k.record()).and_then(|r| r.holder.clone());
                let holder = holder.map_or("nobody".to_owned(), |holder| holder.to_string());
                format!("{holder} holds the lease and does not renew it")
            }
        };
        let then = match &what.what {
            What::Id(_) => "it goes on once that is mended, and the status tells",
            What::Request(_) => {
                "the request stands in the resource and is served once that is mended, unless withdrawn"
            }
        };
        format!("nothing was heard of it for {} s: {cause}; {then}", silence.as_secs())
    }

    /// The report of what may have begun, may go on, or may have ended: who asks must look.
    pub(super) fn unknown(&self, plan: &Plan, id: &str, why: &str, since: jiff::Timestamp) -> ExecuteReport {
        let mut report = ExecuteReport::unbegun(plan, 0, why, since, self.journal_time());
        report.id = id.to_owned();
        report.result = crate::report::ExecuteResult::Unknown;
        report
    }

    pub(super) fn unbegun(&self, plan: &Plan, step: u8, cause: &str, since: jiff::Timestamp) -> ExecuteReport {
        ExecuteReport::unbegun(plan, step, cause, since, self.journal_time())
    }
}

/// How long the undos of this intent may take together, and the look at the records after the last.
fn undo_limit(intent: &Intent) -> Duration {
    let tried = steps::STEPS.iter().filter(|step| intent.step(step.number).started_at.is_some());
    tried.filter_map(steps::Step::undo_limit).sum::<Duration>() + REQUEST_LIMIT
}

#[cfg(test)]
mod tests;
