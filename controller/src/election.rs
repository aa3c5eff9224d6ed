//! Which of the replicas of a region leads, decided from what one process saw of a Lease. Pure: [`crate::leader`] reads
//! and writes it.
//!
//! Nothing is decided by a time that stands in the Lease: the clocks of two machines differ. Another's lease is over once it
//! stood unchanged for its duration while this process looked. One's own ends earlier, counted from when the last renewal
//! was sent: what was sent until then has its answer, or was given up, before another may lead.

use continuum_core::clock::Monotonic;
use std::time::Duration;

/// For so long after a renewal nobody else may lead.
pub(crate) const DURATION: Duration = Duration::from_secs(15);
/// For so long after the sending of a renewal its holder acts. The rest is for what it sent last: no request that drives is
/// waited for longer than that.
pub(crate) const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// How often a leader renews, and how often others look.
pub(crate) const EVERY: Duration = Duration::from_secs(2);
/// After a request that failed.
const RETRY: Duration = Duration::from_secs(1);

/// A Lease as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    /// Its `resourceVersion`.
    pub version: String,
    /// Who leads; absent: it was given back.
    pub holder: Option<String>,
    /// How long others wait.
    pub duration: Duration,
    /// How often it came into other hands.
    pub transitions: u32,
}

/// A write that is to make this process the holder, or keep it so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// The version that it replaces; absent: there is no Lease.
    pub over: Option<String>,
    /// How often it came into other hands, this time included.
    pub transitions: u32,
    /// It was not this process's before.
    pub takes: bool,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Look at the Lease.
    Read,
    /// Write it.
    Write(Claim),
    /// Nothing for so long.
    Wait(Duration),
}

/// What was seen.
#[derive(Debug)]
struct Seen {
    /// Absent: the server said that there is none.
    lease: Option<Lease>,
    /// When this process first saw it so.
    since: Monotonic,
    /// When it looked last.
    at: Monotonic,
}

/// What one process knows of the election.
#[derive(Debug)]
pub(crate) struct Election {
    me: String,
    seen: Option<Seen>,
    /// For how long another may lead that was seen to, where the Lease is gone since: somebody deleted it.
    another: Option<Duration>,
    /// What stands there is not known: another wrote, or nobody knows what became of a write.
    must_read: bool,
    /// When the last write that made the Lease this process's, or kept it so, was sent.
    renewed: Option<Monotonic>,
    /// When the last request failed, where it did.
    failed: Option<Monotonic>,
}

impl Election {
    /// Of the process with this identity, which no other has.
    pub fn new(me: String) -> Self {
        Self { me, seen: None, another: None, must_read: true, renewed: None, failed: None }
    }

    /// Who leads, as it was seen last; absent: nobody, or nothing was seen yet.
    pub fn holder(&self) -> Option<&str> {
        self.seen.as_ref()?.lease.as_ref()?.holder.as_deref()
    }

    /// Until when this process may act; absent: it does not lead.
    pub fn leads_until(&self) -> Option<Monotonic> {
        let mine = self.holder() == Some(&self.me);
        self.renewed.filter(|_| mine).map(|sent| sent + RENEW_DEADLINE)
    }

    /// What to do at `now`.
    pub fn next(&self, now: Monotonic) -> Next {
        let until = |due: Monotonic, then: Next| match due.since(now) {
            Duration::ZERO => then,
            pause => Next::Wait(pause),
        };
        let may_ask = self.failed.map_or(now, |failed| failed + RETRY);
        let Some(seen) = self.seen.as_ref().filter(|_| !self.must_read) else { return until(may_ask, Next::Read) };
        let takes = |over: Option<&Lease>, transitions| {
            Next::Write(Claim { over: over.map(|lease| lease.version.clone()), transitions, takes: true })
        };
        let Some(lease) = &seen.lease else {
            let free_at = self.another.map_or(now, |duration| seen.since + duration);
            return match free_at.since(now).is_zero() {
                true => until(may_ask, takes(None, 0)),
                false => until(may_ask.max(seen.at + EVERY).min(free_at), Next::Read),
            };
        };
        let from_another = takes(Some(lease), lease.transitions.saturating_add(1));
        match &lease.holder {
            None => until(may_ask, from_another),
            Some(holder) if *holder == self.me => {
                let over = Some(lease.version.clone());
                let renew = Next::Write(Claim { over, transitions: lease.transitions, takes: false });
                until(self.renewed.map_or(may_ask, |sent| may_ask.max(sent + EVERY)), renew)
            }
            Some(_) => {
                let over_at = seen.since + lease.duration;
                if over_at.since(now).is_zero() {
                    return until(may_ask, from_another);
                }
                until(may_ask.max(seen.at + EVERY).min(over_at), Next::Read)
            }
        }
    }

    /// The Lease was read at `now`.
    pub fn read(&mut self, lease: Option<Lease>, now: Monotonic) {
        let same = |seen: &&Seen| seen.lease == lease;
        let since = self.seen.as_ref().filter(same).map_or(now, |seen| seen.since);
        if let Some(lease) = &lease {
            let another = lease.holder.as_ref().is_some_and(|holder| *holder != self.me);
            self.another = another.then_some(lease.duration);
        }
        self.seen = Some(Seen { lease, since, at: now });
        (self.must_read, self.failed) = (false, None);
    }

    /// A write that was sent at `sent` made it this.
    pub fn wrote(&mut self, lease: Lease, sent: Monotonic, now: Monotonic) {
        self.read(Some(lease), now);
        self.renewed = Some(sent);
    }

    /// A request failed: nobody knows what stands there.
    pub fn failed(&mut self, now: Monotonic) {
        (self.must_read, self.failed) = (true, Some(now));
    }

    /// What to write in order to give it back; absent: it is not this process's.
    pub fn release(&self) -> Option<Claim> {
        let lease = self.seen.as_ref()?.lease.as_ref().filter(|lease| lease.holder.as_ref() == Some(&self.me))?;
        Some(Claim { over: Some(lease.version.clone()), transitions: lease.transitions, takes: false })
    }
}

#[cfg(test)]
mod tests;
