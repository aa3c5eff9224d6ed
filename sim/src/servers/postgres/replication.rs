//! Streaming between the halves: the sender serves WAL on its own port, the receiver of a standby asks for it.
//!
//! One JSON object a line. The receiver says where its log ends; the sender finds that very record in its own log, or
//! refuses: the receiver is ahead, or has diverged (PostgreSQL finds the same out from the timelines' history files).
//! A standby sends too: after a switchover the new primary may get the last WAL from the old one that already follows.
//!
//! Loss and partitions are the network's. Both sides notice silence by a time-out, as CloudNativePG sets it (5 s; until
//! then the sender's row says "streaming" with its last good lag, also beside the row of a newer connection), and the
//! receiver tries again: once after its restore command found nothing, from then on every 5 s
//! (`wal_retrieve_retry_interval`), which is what a switchover may have to wait for.

use super::instance::{Inner, Instance, REPLICATION_PORT, SenderRow};
use super::process;
use super::session::serve_port;
use super::types::{Shutdown, State};
use super::wal::WalRecord;
use crate::fabric::{BoxStream, Net};
use continuum_core::record::Lsn;
use futures_util::future::{Either, select};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::io;
use std::pin::pin;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines, ReadHalf, WriteHalf};

/// `wal_receiver_timeout`, as CloudNativePG sets it.
const WAL_RECEIVER_TIMEOUT: Duration = Duration::from_secs(5);
/// `wal_retrieve_retry_interval`.
const RETRY: Duration = Duration::from_secs(5);
/// What a restore command takes to find that the archive has nothing.
const RESTORE_COMMAND: Duration = Duration::from_millis(350);
/// A receiver whose sender was promoted asks again after this long, on the new timeline.
const NEW_TIMELINE: Duration = Duration::from_millis(1_100);
/// The sender asks for a sign of life this often.
const KEEPALIVE: Duration = Duration::from_millis(2_000);
/// Records in one message.
const BATCH: usize = 200;

#[derive(Debug, Serialize, Deserialize)]
enum FromReceiver {
    /// The log ends here. WAL from there on is wanted.
    Start { application: String, end: Lsn, chain: u64 },
    /// Flushed and replayed to here, at this time by its own clock.
    Reply { flushed: Lsn, replayed: Lsn, at: Duration },
}

#[derive(Debug, Serialize, Deserialize)]
enum FromSender {
    Wal(Vec<WalRecord>),
    Keepalive,
    Refused(String),
    /// The sender was promoted: what follows is on another timeline.
    TimelineEnds,
}

/// A stream of messages.
struct Channel {
    lines: Lines<BufReader<ReadHalf<BoxStream>>>,
    out: WriteHalf<BoxStream>,
}

impl Channel {
    fn new(stream: BoxStream) -> Self {
        let (read, out) = tokio::io::split(stream);
        Self { lines: BufReader::new(read).lines(), out }
    }

    async fn send(&mut self, message: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        self.out.write_all(&line).await
    }

    /// Cancel-safe.
    async fn receive<T: for<'a> Deserialize<'a>>(&mut self) -> io::Result<T> {
        let line = self.lines.next_line().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(serde_json::from_str(&line)?)
    }
}

/// Serves WAL.
pub(super) async fn listen(instance: &Instance, net: &Net) {
    serve_port(instance, net, REPLICATION_PORT, |instance, net, stream, incarnation| async move {
        let id = instance.change(Inner::fresh_id);
        let mut sender = Sender { instance, net, id, incarnation };
        if let Err(error) = sender.serve(Channel::new(stream)).await {
            tracing::trace!(target: "continuum_sim::postgres", %error, "WAL sender ended");
        }
    })
    .await;
}

struct Sender {
    instance: Instance,
    net: Net,
    id: u64,
    incarnation: u64,
}

impl Drop for Sender {
    fn drop(&mut self) {
        let (id, now) = (self.id, self.net.now());
        self.instance.change(|inner| {
            inner.senders.remove(&id);
            process::sent(inner, now);
        });
    }
}

impl Sender {
    async fn serve(&mut self, mut channel: Channel) -> io::Result<()> {
        let FromReceiver::Start { application, end, chain } = channel.receive().await? else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let id = self.id;
        let accepted = self.instance.change(|inner| {
            check(inner, end, chain)?;
            let row = SenderRow { application, sent: end, flushed: end, replayed: end, replay_lag: None, heard: None };
            inner.senders.insert(id, row);
            Ok::<bool, String>(inner.in_recovery)
        });
        let cascading = match accepted {
            Ok(cascading) => cascading,
            Err(refusal) => return channel.send(&FromSender::Refused(refusal)).await,
        };
        // PostgreSQL shows itself at once, too.
        channel.send(&FromSender::Keepalive).await?;
        let mut lag = LagTracker::default();
        let mut sent = end;
        let (mut heard, mut said) = (self.net.now(), self.net.now());
        loop {
            let incarnation = self.incarnation;
            let more = self.instance.until(|inner| {
                if inner.incarnation != incarnation {
                    return Some(Next::Gone);
                }
                if cascading && !inner.in_recovery {
                    return Some(Next::TimelineEnds);
                }
                let records = inner.disk.wal.after(sent);
                (!records.is_empty()).then(|| Next::Wal(records.iter().take(BATCH).cloned().collect()))
            });
            let limit = self.instance.lock().disk.configuration.wal_sender_timeout;
            // A receiver that is there asks for a sign of life; one that fell silent is asked after half of the limit.
            let next_sign = if heard < said { (heard + limit / 2).max(said + KEEPALIVE) } else { said + KEEPALIVE };
            let patience = next_sign.min(heard + limit);
            let waited = tokio::time::sleep(patience.saturating_sub(self.net.now()));
            let event = {
                let (more, waited) = (pin!(more), pin!(waited));
                match select(select(more, waited), pin!(channel.receive::<FromReceiver>())).await {
                    Either::Left((Either::Left((next, _)), _)) => next,
                    Either::Left((Either::Right(_), _)) => Next::Keepalive,
                    Either::Right((reply, _)) => Next::Reply(reply?),
                }
            };
            let now = self.net.now();
            match event {
                Next::Gone => return Ok(()),
                Next::TimelineEnds => return channel.send(&FromSender::TimelineEnds).await,
                Next::Wal(records) => {
                    sent = records.last().map_or(sent, |record| record.lsn);
                    lag.sent(sent, now);
                    said = now;
                    channel.send(&FromSender::Wal(records)).await?;
                }
                Next::Keepalive => {
                    if now.saturating_sub(heard) >= limit {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                    said = now;
                    channel.send(&FromSender::Keepalive).await?;
                }
                Next::Reply(FromReceiver::Reply { flushed, replayed, at }) => {
                    heard = now;
                    let replay_lag = lag.replayed(replayed, now);
                    self.instance.change(|inner| {
                        if let Some(row) = inner.senders.get_mut(&id) {
                            *row = SenderRow { sent, flushed, replayed, replay_lag, heard: Some(at), ..row.clone() };
                        }
                        process::sent(inner, now);
                    });
                }
                Next::Reply(FromReceiver::Start { .. }) => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
    }
}

enum Next {
    Gone,
    TimelineEnds,
    Wal(Vec<WalRecord>),
    Keepalive,
    Reply(FromReceiver),
}

/// Whether a log that ends so is a beginning of ours.
fn check(inner: &Inner, end: Lsn, chain: u64) -> Result<(), String> {
    match inner.state {
        State::Running | State::Stopping(Shutdown::Smart) => {}
        _ => return Err("the database system is starting up or shutting down".into()),
    }
    match inner.disk.wal.at(end) {
        Some(record) if record.chain == chain => Ok(()),
        None if end > inner.disk.wal.end() => {
            Err(format!("requested starting point {end} is ahead of the WAL flush position of this server"))
        }
        _ => Err(format!("the timelines forked before {end}: this history cannot be followed from there")),
    }
}

/// How long replay takes, from what was sent when. Known after a reply that crossed something sent; kept until the
/// next one; away once two replies in a row found nothing left to replay; growing while replay is stuck.
#[derive(Default)]
struct LagTracker {
    pending: VecDeque<(Lsn, Duration)>,
    last: Option<Duration>,
    idle_reply_count: u32,
}

impl LagTracker {
    fn sent(&mut self, lsn: Lsn, now: Duration) {
        self.pending.push_back((lsn, now));
        self.idle_reply_count = 0;
    }

    fn replayed(&mut self, lsn: Lsn, now: Duration) -> Option<Duration> {
        let mut crossed = None;
        while let Some((_, at)) = self.pending.pop_front_if(|(sent, _)| *sent <= lsn) {
            crossed = Some(now.saturating_sub(at));
        }
        match (crossed, self.pending.front()) {
            (Some(lag), _) => self.last = Some(lag),
            (None, Some((_, at))) if self.last.is_some() => self.last = Some(now.saturating_sub(*at)),
            (None, Some(_)) => {}
            (None, None) => {
                self.idle_reply_count += 1;
                if self.idle_reply_count >= 2 {
                    self.last = None;
                }
            }
        }
        self.last
    }
}

/// Receives WAL, whenever this half is a standby.
pub(super) async fn receive(instance: &Instance, net: &Net) {
    let mut failed_at: Option<Duration> = None;
    loop {
        let (incarnation, upstream) =
            instance.until(|inner| follows(inner).then(|| (inner.incarnation, inner.settings.upstream.clone()))).await;
        let ended = receive_once(instance, net, incarnation, &upstream).await;
        instance.change(|inner| inner.receiving = false);
        let now = net.now();
        let wait = match ended {
            Ok(()) => NEW_TIMELINE,
            Err(error) => {
                tracing::trace!(target: "continuum_sim::postgres", %error, "WAL receiver ended");
                let wait =
                    failed_at.map_or(RESTORE_COMMAND, |at| (at + RETRY).saturating_sub(now).max(RESTORE_COMMAND));
                failed_at = Some(now + wait - RESTORE_COMMAND);
                wait
            }
        };
        let gone = instance.until(|inner| (inner.incarnation != incarnation).then_some(()));
        if let Either::Left(_) = select(pin!(gone), pin!(tokio::time::sleep(wait))).await {
            failed_at = None;
        }
    }
}

fn follows(inner: &Inner) -> bool {
    inner.state == State::Running && inner.in_recovery
}

/// One stream, to its end. `Ok` where the sender asks to be asked again.
async fn receive_once(instance: &Instance, net: &Net, incarnation: u64, upstream: &str) -> io::Result<()> {
    let connecting = net.connect(upstream, REPLICATION_PORT);
    let stream = tokio::time::timeout(WAL_RECEIVER_TIMEOUT, connecting).await??;
    let mut channel = Channel::new(stream);
    let start = {
        let inner = instance.lock();
        let (end, chain) = (inner.disk.wal.end(), inner.disk.wal.end_chain());
        FromReceiver::Start { application: inner.settings.cluster.clone(), end, chain }
    };
    channel.send(&start).await?;
    let mut replied = (Lsn::default(), Lsn::default());
    loop {
        let moved = instance.until(|inner| {
            if inner.incarnation != incarnation || !follows(inner) {
                return Some(None);
            }
            let position = (inner.disk.wal.end(), inner.replayed);
            (inner.receiving && position != replied).then_some(Some(position))
        });
        let received = async { tokio::time::timeout(WAL_RECEIVER_TIMEOUT, channel.receive::<FromSender>()).await? };
        let position = match select(pin!(moved), pin!(received)).await {
            Either::Left((None, _)) => return Err(io::ErrorKind::ConnectionAborted.into()),
            Either::Left((Some(position), _)) => position,
            Either::Right((message, _)) => match message? {
                FromSender::Refused(why) => return Err(io::Error::other(why)),
                FromSender::TimelineEnds => return Ok(()),
                FromSender::Keepalive => instance.change(|inner| {
                    inner.receiving = true;
                    (inner.disk.wal.end(), inner.replayed)
                }),
                FromSender::Wal(records) => instance.change(|inner| {
                    inner.receiving = true;
                    let due = net.now() + inner.replay_delay;
                    for record in records {
                        inner.to_replay.push_back((record.lsn, due));
                        inner.disk.wal.receive(record);
                    }
                    (inner.disk.wal.end(), inner.replayed)
                }),
            },
        };
        replied = position;
        let at = net.now() + instance.lock().clock_ahead;
        channel.send(&FromReceiver::Reply { flushed: position.0, replayed: position.1, at }).await?;
    }
}
