//! One's turn at a witness that many keepers ask: when, and what is told while it does not come.
//!
//! Nothing was sent while one waits, so nothing of it is unknown, and the time of a request begins with its turn.

use super::{Keeper, State};
use crate::clock::{Monotonic, within};
use crate::ports::{Rank, Turn};
use crate::term::WITNESS_LIMIT;
use futures_util::future::{Either, select};
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

/// What one's turn is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    Renewal,
    /// A read, or a change that was handed in.
    Other,
}

/// A turn that is waited for.
pub(super) struct Wait {
    since: Monotonic,
    what: For,
    /// It was told that it lasts.
    told: bool,
}

impl State {
    fn waits_since(&self, now: Monotonic) -> Monotonic {
        self.waits.as_ref().map_or(now, |wait| wait.since)
    }

    /// Of a renewal. One that failed is due since the last success; what fails again and again, since it was tried last, so
    /// that it keeps nobody else waiting.
    pub(super) fn renewal_rank(&self, now: Monotonic) -> Rank {
        let since = self.waits_since(now);
        if self.moves() || !self.jobs.is_empty() {
            return Rank::Awaited(since);
        }
        let every = self.lease.map_or(Duration::ZERO, |lease| Duration::from_secs(lease.renew_seconds.into()));
        let last = match self.failed_in_a_row {
            0 | 1 => self.renewed().map(|renewed| renewed.sent).or(self.tried_at),
            _ => self.tried_at,
        };
        Rank::Due(last.map_or(since, |last| last + every))
    }

    /// Of a read. What is read often is so for a move, or for a person who is waited for.
    pub(super) fn read_rank(&self, now: Monotonic) -> Rank {
        let since = self.waits_since(now);
        let pending = self.record().is_some_and(|record| record.pending.is_some());
        if self.moves() || pending || self.read_wanted || !self.jobs.is_empty() {
            return Rank::Awaited(since);
        }
        let due = Rank::Due(self.asked_at.map_or(since, |asked| asked + Keeper::read_every(self)));
        if self.must_read { due.min(self.renewal_rank(now)) } else { due }
    }
}

impl Keeper {
    /// One's turn. `None`: it did not come yet, and it is time to look again at what is due: there are news, or a renewal is due,
    /// which waits for nothing else's turn. Whoever asks again has waited since it asked first.
    pub(super) async fn in_turn(&self, what: For, turn: impl Future<Output = Turn>) -> Option<Turn> {
        let limit = {
            let mut state = self.state();
            let now = self.clock.now();
            state.waits.get_or_insert(Wait { since: now, what, told: false }).what = what;
            let renewal = self.until_renewal(&state, now).filter(|_| what == For::Other && !state.must_read);
            renewal.map_or(WITNESS_LIMIT, |renewal| renewal.min(WITNESS_LIMIT))
        };
        let (turn, news) = (pin!(turn), pin!(self.bell.heard()));
        if let Some(Either::Left((turn, _))) = within(&*self.clock, limit, select(turn, news)).await {
            self.state().waits = None;
            return Some(turn);
        }
        self.tell_that_it_lasts();
        None
    }

    fn tell_that_it_lasts(&self) {
        let mut state = self.state();
        let Some(cause) = self.waits_in_vain(&state) else { return };
        if let Some(wait) = state.waits.as_mut().filter(|wait| !wait.told) {
            wait.told = true;
            tracing::warn!(%cause, "witness cannot be read");
        }
    }

    /// Where one's turn does not come for as long as an answer may take, it is none. A renewal has longer: for as long as more
    /// is left of the term than its guard, there is nothing amiss.
    pub(super) fn waits_in_vain(&self, state: &State) -> Option<String> {
        let wait = state.waits.as_ref()?;
        let term = self.term_of(state);
        let late = self.clock.now().since(wait.since) >= WITNESS_LIMIT;
        let harms = wait.what == For::Other || term.left <= term.guard;
        let limit = WITNESS_LIMIT.as_secs();
        (late && harms).then(|| format!("no turn in {limit} s: it does not answer, or too slowly for all that ask it"))
    }
}
