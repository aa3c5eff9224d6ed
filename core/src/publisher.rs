//! The one way to the audit stream. It knows what this process published and what came of it, so that each event is
//! stored once: the stream drops a repeat for two minutes only, and after that it has to be searched.
//!
//! It is searched only where a publish of unknown outcome is so long ago, or where somebody else may have published
//! the event: a process that is gone, or the other region. Never from its beginning: nobody published an event before it
//! happened. Which events are owed is not decided here.

use crate::audit::Event;
use crate::clock::{Clock, Monotonic, within};
use crate::name::ObjectName;
use crate::ports::{ObserveAudit, Outcome, PublishAudit};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// For so long after the first publish of an event a repeat is surely dropped by the stream, whose window is two
/// minutes.
const REPEAT_FOR: Duration = Duration::from_secs(60);
/// For so long what became of an event is remembered after it was last asked for.
const REMEMBERED_FOR: Duration = Duration::from_secs(3600);
/// How long a search may take where nobody waits for it: a shared stream may hold much since the event happened.
const SEARCH_LIMIT: Duration = Duration::from_secs(30);

/// Who may have published an event before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// This process alone, if anybody.
    Us,
    /// Another one may have.
    Others,
}

/// What this process knows of one event.
#[derive(Clone, Copy, Debug)]
struct Tried {
    asked: Monotonic,
    /// When it was published first of those times whose outcome is not known, since the last search.
    unknown_since: Option<Monotonic>,
    /// Another process may have published it: it is searched for before this one does.
    others: bool,
    searched: bool,
    acknowledged: bool,
}

/// See the module.
pub struct Publisher {
    name: ObjectName,
    clock: Arc<dyn Clock>,
    observe: Option<Arc<dyn ObserveAudit>>,
    act: Option<Arc<dyn PublishAudit>>,
    tried: Mutex<BTreeMap<String, Tried>>,
}

impl Publisher {
    /// One for this Continuum.
    pub fn new(
        name: ObjectName,
        clock: Arc<dyn Clock>,
        observe: Option<Arc<dyn ObserveAudit>>,
        act: Option<Arc<dyn PublishAudit>>,
    ) -> Self {
        Self { name, clock, observe, act, tried: Mutex::default() }
    }

    /// Whether there is a stream to publish to.
    pub fn is_configured(&self) -> bool {
        self.observe.is_some() && self.act.is_some()
    }

    fn tried(&self) -> MutexGuard<'_, BTreeMap<String, Tried>> {
        self.tried.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of it, with that it was asked for now.
    fn ask(&self, id: &str, before: Before, now: Monotonic) -> Tried {
        let mut all = self.tried();
        all.retain(|_, tried| now.since(tried.asked) < REMEMBERED_FOR);
        let new = Tried { asked: now, unknown_since: None, others: false, searched: false, acknowledged: false };
        let tried = all.entry(id.to_owned()).or_insert(new);
        tried.asked = now;
        tried.others |= before == Before::Others;
        *tried
    }

    fn note(&self, id: &str, change: impl FnOnce(&mut Tried)) {
        if let Some(tried) = self.tried().get_mut(id) {
            change(tried);
        }
    }

    /// Publishes it, unless the stream has it. Done: it is there.
    pub async fn publish(&self, event: &Event, before: Before, limit: Duration) -> Outcome {
        let (Some(observe), Some(act)) = (&self.observe, &self.act) else {
            return Outcome::Refused("no audit stream is configured".into());
        };
        let id = event.message_id.as_str();
        let tried = self.ask(id, before, self.clock.now());
        if tried.acknowledged {
            return Outcome::Done(());
        }
        let long_ago = tried.unknown_since.is_some_and(|since| self.clock.now().since(since) >= REPEAT_FOR);
        if long_ago || tried.others && !tried.searched {
            let query = event.query(&self.name, self.clock.wall());
            match within(&*self.clock, SEARCH_LIMIT, observe.find(&query)).await {
                Some(Ok(Some(_))) => {
                    self.note(id, |tried| tried.acknowledged = true);
                    return Outcome::Done(());
                }
                Some(Ok(None)) => self.note(id, |tried| (tried.searched, tried.unknown_since) = (true, None)),
                Some(Err(cause)) => return Outcome::NotApplied(format!("the stream could not be searched: {cause}")),
                None => return Outcome::NotApplied(no_answer("the search of the stream", SEARCH_LIMIT)),
            }
        }
        let sent = self.clock.now();
        // What is given up while it is under way, by whomever, may still be stored.
        self.note(id, |tried| tried.unknown_since = tried.unknown_since.or(Some(sent)));
        let outcome = within(&*self.clock, limit, act.publish(event)).await;
        match outcome.unwrap_or_else(|| Outcome::Unknown(no_answer("the audit stream", limit))) {
            Outcome::Done(sequence) => {
                tracing::info!(kind = event.body.kind.as_str(), sequence, "event acknowledged");
                self.note(id, |tried| tried.acknowledged = true);
                Outcome::Done(())
            }
            Outcome::NotApplied(cause) => {
                self.unsend(id, sent);
                Outcome::NotApplied(cause)
            }
            Outcome::Refused(cause) => {
                self.unsend(id, sent);
                Outcome::Refused(cause)
            }
            Outcome::Unknown(cause) => Outcome::Unknown(cause),
        }
    }

    /// The publish of this moment stored nothing.
    fn unsend(&self, id: &str, sent: Monotonic) {
        self.note(id, |tried| tried.unknown_since = tried.unknown_since.filter(|since| *since != sent));
    }
}

fn no_answer(of: &str, limit: Duration) -> String {
    format!("no answer of {of} in {} s", limit.as_secs())
}

#[cfg(test)]
mod tests;
