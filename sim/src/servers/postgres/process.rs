//! The postmaster's life: how one state follows from another, given orders and time. No I/O.
//!
//! ```text
//! Stopped -Start-> Starting -> Running -Stop(Smart)-> Stopping: until the last session ends, then as fast
//!    ^                            |-----Stop(Fast)--> Stopping: sessions terminated, checkpoint, WAL sent
//!    |                            '-----Promote-----> Running on a new timeline
//!    '--- Stop(Immediate), killed, host down: at once, and unclean
//! ```
//!
//! Durations are those of the recorded operator's PostgreSQL (15, small).

use super::instance::Inner;
use super::journal::Event;
use super::types::{Control, Order, Shutdown, State};
use super::wal::Content;
use rand::RngExt;
use std::ops::RangeInclusive;
use std::time::Duration;

/// A primary that was shut down cleanly is up this long after its start, ms.
const START_PRIMARY_MS: RangeInclusive<u64> = 130..=220;
/// A standby, ms.
const START_STANDBY_MS: RangeInclusive<u64> = 300..=550;
/// Recovery of one that was killed takes longer, ms.
const RECOVER_MS: RangeInclusive<u64> = 50..=250;
/// From the order to the shutdown checkpoint, ms.
const SHUTDOWN_MS: RangeInclusive<u64> = 120..=260;
/// From the order to the new timeline, ms.
const PROMOTE_MS: RangeInclusive<u64> = 250..=450;

/// Does what is due. Whether anything changed, and when to look again at the latest.
pub(super) fn advance(inner: &mut Inner, now: Duration) -> (bool, Option<Duration>) {
    let mut moved = false;
    while let Some(order) = inner.orders.pop_front() {
        moved |= obey(inner, now, order);
    }
    moved |= live(inner, now);
    inner.life += u64::from(moved);
    moved |= replay(inner, now);
    note_acceptance(inner, now);
    let replay_due = if inner.is_replay_paused() { None } else { inner.to_replay.front().map(|(_, due)| *due) };
    (moved, [inner.due, replay_due].into_iter().flatten().min())
}

/// Every process is gone.
pub(super) fn kill(inner: &mut Inner, now: Duration) {
    if inner.state != State::Stopped {
        write(inner, now, Event::Killed);
        end(inner);
        note_acceptance(inner, now);
    }
}

fn obey(inner: &mut Inner, now: Duration, order: Order) -> bool {
    match (order, inner.state) {
        (Order::Start, State::Stopped) => {
            let standby = inner.disk.configuration.standby;
            let clean = matches!(inner.disk.control, Control::ShutDown | Control::ShutDownInRecovery);
            let mut wait = pick(inner, if standby { START_STANDBY_MS } else { START_PRIMARY_MS });
            if !clean {
                wait += pick(inner, RECOVER_MS);
            }
            inner.state = State::Starting;
            inner.due = Some(now + wait);
            inner.in_recovery = standby;
            inner.archive_mode = inner.disk.configuration.archive_mode.clone();
            inner.limits = inner.disk.configuration.limits;
            inner.falls_short = false;
            inner.promoted = None;
            inner.disk.control = if standby { Control::InRecovery } else { Control::InProduction };
            // Whatever is on the disk is replayed before it is consistent.
            inner.replayed = inner.disk.wal.end();
            write(inner, now, Event::Started { standby });
            true
        }
        (Order::Stop(Shutdown::Immediate), State::Starting | State::Running | State::Stopping(_)) => {
            write(inner, now, Event::ShutDown { clean: false });
            end(inner);
            true
        }
        (Order::Stop(Shutdown::Smart), State::Running) => {
            inner.state = State::Stopping(Shutdown::Smart);
            inner.due = None;
            true
        }
        (Order::Stop(_), State::Starting) => {
            // Nothing to lose yet: a server that starts is told to end.
            inner.state = State::Stopping(Shutdown::Fast);
            inner.due = Some(now + pick(inner, SHUTDOWN_MS));
            true
        }
        (Order::Stop(Shutdown::Fast), State::Running | State::Stopping(Shutdown::Smart)) => {
            stop_fast(inner, now);
            true
        }
        // Promoted: recovery goes on until `live` sees the time come.
        (Order::Promote, State::Running) if inner.in_recovery && inner.due.is_none() => {
            inner.due = Some(now + pick(inner, PROMOTE_MS));
            true
        }
        _ => false,
    }
}

fn live(inner: &mut Inner, now: Duration) -> bool {
    let due = inner.due.is_some_and(|due| due <= now);
    match inner.state {
        State::Starting if due => {
            if inner.in_recovery && !inner.limits.cover(&inner.needed_limits()) {
                // FATAL: hot standby is not possible because of insufficient parameter settings.
                write(inner, now, Event::ShutDown { clean: false });
                end(inner);
                return true;
            }
            inner.state = State::Running;
            inner.due = None;
            if !inner.in_recovery {
                note_limits(inner);
            }
            true
        }
        State::Running if due && inner.falls_short => {
            // FATAL: recovery aborted because of insufficient parameter settings.
            write(inner, now, Event::ShutDown { clean: false });
            end(inner);
            true
        }
        State::Running if due => {
            promote(inner, now);
            true
        }
        State::Stopping(Shutdown::Smart) if inner.sessions.is_empty() => {
            stop_fast(inner, now);
            true
        }
        State::Stopping(_) if due => finish(inner, now),
        _ => false,
    }
}

fn stop_fast(inner: &mut Inner, now: Duration) {
    inner.sessions.values_mut().for_each(|session| session.terminated = true);
    inner.state = State::Stopping(Shutdown::Fast);
    inner.due = Some(now + pick(inner, SHUTDOWN_MS) + inner.shutdown_extra);
}

/// First the checkpoint, then the end, once every WAL receiver has all of it or stopped answering.
fn finish(inner: &mut Inner, now: Duration) -> bool {
    if inner.in_recovery {
        inner.disk.control = Control::ShutDownInRecovery;
    } else if inner.disk.control == Control::InProduction {
        inner.disk.wal.append_shutdown_checkpoint();
        inner.replayed = inner.disk.wal.end();
        inner.disk.control = Control::ShutDown;
        inner.due = Some(now + inner.disk.configuration.wal_sender_timeout);
        if inner.senders.is_empty() {
            return finish(inner, now);
        }
        return true;
    }
    write(inner, now, Event::ShutDown { clean: true });
    end(inner);
    true
}

/// Called when a WAL receiver acknowledged or went away: nobody may be left to wait for.
pub(super) fn sent(inner: &mut Inner, now: Duration) {
    let end_of_wal = inner.disk.wal.end();
    let waits = inner.state == State::Stopping(Shutdown::Fast) && inner.disk.control == Control::ShutDown;
    if waits && inner.senders.values().all(|row| row.flushed >= end_of_wal) {
        inner.due = Some(now);
    }
}

fn promote(inner: &mut Inner, now: Duration) {
    inner.due = None;
    inner.to_replay.clear();
    let lsn = inner.disk.wal.end();
    let name = inner.settings.cluster.clone();
    let timeline = inner.disk.wal.fork(&name);
    inner.replayed = inner.disk.wal.end();
    note_limits(inner);
    inner.promoted = Some((now, lsn));
    inner.in_recovery = false;
    inner.disk.configuration.standby = false;
    inner.disk.control = Control::InProduction;
    write(inner, now, Event::Promoted { timeline, lsn });
}

/// A primary writes down what its standbys need, where that is not what its log says.
fn note_limits(inner: &mut Inner) {
    if inner.needed_limits() != inner.limits {
        inner.replayed = inner.disk.wal.append(Content::Parameters(inner.limits));
    }
}

fn replay(inner: &mut Inner, now: Duration) -> bool {
    let mut moved = false;
    while !inner.is_replay_paused()
        && let Some((lsn, due)) = inner.to_replay.front().copied()
        && due <= now
    {
        if let Some(Content::Parameters(needed)) = inner.disk.wal.at(lsn).map(|record| &record.content)
            && !inner.limits.cover(needed)
        {
            // Sessions are still taken, and WAL is still received.
            inner.falls_short = true;
            return true;
        }
        inner.to_replay.pop_front();
        inner.replayed = lsn;
        moved = true;
    }
    moved
}

fn end(inner: &mut Inner) {
    inner.state = State::Stopped;
    inner.due = None;
    inner.incarnation += 1;
    inner.life += 1;
    inner.to_replay.clear();
    inner.sessions.clear();
    inner.senders.clear();
    inner.receiving = false;
}

/// Writes down when this server starts or stops to take writes. In a smart shutdown the old sessions may.
pub(super) fn note_acceptance(inner: &mut Inner, now: Duration) {
    let open = match inner.state {
        State::Running => true,
        State::Stopping(Shutdown::Smart) => !inner.sessions.is_empty(),
        _ => false,
    };
    let accepting = open && !inner.in_recovery;
    if accepting != inner.accepting {
        inner.accepting = accepting;
        let timeline = inner.disk.wal.timeline();
        write(inner, now, if accepting { Event::AcceptsWrites { timeline } } else { Event::RefusesWrites });
    }
}

pub(super) fn write(inner: &Inner, now: Duration, event: Event) {
    inner.journal.write(now, &inner.settings.cluster, event);
}

fn pick(inner: &mut Inner, ms: RangeInclusive<u64>) -> Duration {
    Duration::from_millis(inner.rng.random_range(ms))
}
