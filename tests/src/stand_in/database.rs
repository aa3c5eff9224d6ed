//! A server of a real PostgreSQL pair, as the operator's rules handle one: looked at through its files, and ordered about by
//! signals and `pg_ctl`, as the instance manager does it. Nothing in here waits for the server longer than [`ASK_LIMIT`].
//!
//! Of what a Cluster asks for, `archive_mode`, `standby.signal`, the synchronous standbys and `wal_sender_timeout` are written.
//! Not looked at: limits such as `max_connections`, which stay what the pair was made with; a standby that is preferred and
//! away is waited for.

use super::postmaster::{Postmaster, Says};
use crate::real_postgres::{RealPostgres, SUPERUSER};
use async_trait::async_trait;
use continuum_core::record::Lsn;
use continuum_sim::fabric::{HostFuture, Net};
use continuum_sim::servers::operator::{Database, Status};
use continuum_sim::servers::postgres::{Configuration, Control, Order, Shutdown, State};
use futures_util::future::select;
use std::collections::{BTreeMap, VecDeque};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tokio_postgres::SimpleQueryMessage;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(40);
/// Before an order is given again whose effect does not show.
const AGAIN: Duration = Duration::from_secs(2);
/// What an answer of the server is waited for.
const ASK_LIMIT: Duration = Duration::from_secs(3);

/// See the module. Clones are one.
#[derive(Clone)]
pub(super) struct RealDatabase(Arc<Shared>);

struct Shared {
    postgres: Arc<RealPostgres>,
    server: usize,
    /// The Cluster's.
    name: String,
    system_id: String,
    seen: Mutex<Seen>,
    changed: Notify,
    ordered: Notify,
}

struct Seen {
    status: Status,
    life: u64,
    configuration: Configuration,
    orders: VecDeque<Order>,
    /// How the last order to stop had it.
    stopping: Shutdown,
    /// An order whose effect was not seen yet, and when it was given last.
    pending: Option<(Order, Instant)>,
    /// What the present process said of itself.
    said: Option<Said>,
    /// The bytes of the control file that the status tells of.
    control_file: Vec<u8>,
}

/// What a process said, which it is asked once, and again when it has left recovery.
#[derive(Clone, PartialEq)]
struct Said {
    postmaster: Postmaster,
    archive_mode: String,
    /// Absent: it is a standby.
    timeline: Option<u32>,
}

impl RealDatabase {
    /// The server of the Cluster `name`. It is expected to be there, running or not.
    pub fn new(postgres: Arc<RealPostgres>, server: usize, name: &str) -> Self {
        let data = postgres.control_data(server).expect("a server that was made has a control file");
        let standby_signal = postgres.follows(server);
        let checkpoint = checkpoint(&data);
        let status = Status {
            alive: false,
            state: State::Stopped,
            in_recovery: standby_signal,
            control: control(&data).expect("a state that pg_controldata has"),
            checkpoint,
            standby_signal,
            timeline: checkpoint.map_or(1, |(timeline, _)| timeline),
            pending_restart: false,
        };
        let archive_mode = if standby_signal { "always" } else { "on" };
        let configuration =
            Configuration { archive_mode: archive_mode.into(), standby: standby_signal, ..Configuration::default() };
        let seen = Seen {
            status,
            life: 0,
            configuration,
            orders: VecDeque::new(),
            stopping: Shutdown::Fast,
            pending: None,
            said: None,
            control_file: Vec::new(),
        };
        let system_id = data["Database system identifier"].clone();
        let (changed, ordered) = (Notify::new(), Notify::new());
        let name = name.to_owned();
        Self(Arc::new(Shared { postgres, server, name, system_id, seen: Mutex::new(seen), changed, ordered }))
    }

    async fn keep_up(self) {
        let _up = Up::new(&self);
        loop {
            let mut ordered = pin!(self.0.ordered.notified());
            ordered.as_mut().enable();
            self.carry_out().await;
            if let Err(error) = self.look().await {
                // What is not known leaves what was known.
                self.tell(&format!("it cannot be seen how it is: {error}"));
            }
            select(ordered, pin!(tokio::time::sleep(LOOK))).await;
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.seen.lock().expect("nothing panics while it holds what was seen")
    }

    fn change(&self, f: impl FnOnce(&mut Seen)) {
        {
            let mut seen = self.seen();
            f(&mut seen);
            seen.life += 1;
        }
        self.0.changed.notify_waiters();
    }

    fn tell(&self, what: &str) {
        eprintln!("stand-in, PostgreSQL of {}: {what}", self.0.name);
    }

    fn postmaster(&self) -> std::io::Result<Option<Postmaster>> {
        Postmaster::of(&self.0.postgres.data(self.0.server))
    }

    /// Gives the orders that came, and those again that show no effect.
    async fn carry_out(&self) {
        loop {
            let order = {
                let mut seen = self.seen();
                let stale =
                    seen.pending.as_ref().filter(|(_, at)| at.elapsed() >= AGAIN).map(|(order, _)| order.clone());
                match seen.orders.pop_front() {
                    // What is ordered now takes the place of what was ordered before.
                    Some(order) => order,
                    None => match stale {
                        Some(order) => order,
                        None => return,
                    },
                }
            };
            self.give(&order).await;
            self.seen().pending = Some((order, Instant::now()));
        }
    }

    async fn give(&self, order: &Order) {
        let (postgres, server) = (self.0.postgres.clone(), self.0.server);
        let done = match order {
            Order::Start => {
                let start = move || postgres.try_control(server, &["-W", "start"]);
                tokio::task::spawn_blocking(start).await.expect("it does not panic")
            }
            Order::Promote => {
                let promote = move || postgres.try_control(server, &["-W", "promote"]);
                tokio::task::spawn_blocking(promote).await.expect("it does not panic")
            }
            Order::Stop(mode) => {
                self.seen().stopping = *mode;
                let signal = match mode {
                    Shutdown::Smart => "-TERM",
                    Shutdown::Fast => "-INT",
                    Shutdown::Immediate => "-QUIT",
                };
                match self.postmaster() {
                    Ok(Some(postmaster)) if !postmaster.signal(signal) => Err(format!("kill {signal} failed")),
                    Ok(_) => Ok(()),
                    Err(error) => Err(error.to_string()),
                }
            }
        };
        if let Err(error) = done {
            self.tell(&format!("{order:?} was not taken, and is given again: {error}"));
        }
    }

    /// Looks once more, and tells of what changed.
    async fn look(&self) -> Result<(), String> {
        let postmaster = self.postmaster().map_err(|error| error.to_string())?;
        let (former, stopping) = {
            let seen = self.seen();
            (seen.status.clone(), seen.stopping)
        };
        let says = postmaster.as_ref().map(|postmaster| postmaster.says);
        let state = match says {
            None => State::Stopped,
            Some(Says::Starting) => State::Starting,
            Some(Says::Stopping) => State::Stopping(stopping),
            Some(Says::Ready) => State::Running,
        };
        let mut status = Status { state, standby_signal: self.0.postgres.follows(self.0.server), ..former.clone() };
        if let Some(postmaster) = postmaster.filter(|_| state == State::Running) {
            // A promotion is not told of before the timeline is known that it came to.
            let said = self.said(postmaster, status.standby_signal).await?;
            status.in_recovery = said.timeline.is_none();
            status.timeline = said.timeline.unwrap_or(former.timeline);
            status.pending_restart = said.archive_mode != self.seen().configuration.archive_mode;
        } else {
            status.in_recovery = status.standby_signal;
            status.pending_restart = state != State::Stopped && former.pending_restart;
        }
        self.look_at_control_file(&mut status).await?;
        let is_through = self.seen().pending.as_ref().is_some_and(|(order, _)| shows(order, &status));
        if is_through {
            self.seen().pending = None;
        }
        if status != former {
            self.change(|seen| seen.status = status);
        }
        Ok(())
    }

    /// What a running process says, which is asked where it was not yet. One that leaves recovery removes `standby.signal`
    /// first.
    async fn said(&self, postmaster: Postmaster, standby_signal: bool) -> Result<Said, String> {
        let stands = |said: &Said| said.postmaster == postmaster && (said.timeline.is_some() || standby_signal);
        if let Some(said) = self.seen().said.clone().filter(stands) {
            return Ok(said);
        }
        let rows = self
            .ask(
                "select current_setting('archive_mode'), case when not pg_is_in_recovery() then \
                 ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int end",
            )
            .await?;
        let [archive_mode, timeline] = &rows[..] else { return Err(format!("it answers {rows:?}")) };
        let timeline =
            timeline.as_ref().map(|text| text.parse().map_err(|_| format!("timeline {text}"))).transpose()?;
        let said = Said { postmaster, archive_mode: archive_mode.clone().unwrap_or_default(), timeline };
        self.seen().said = Some(said.clone());
        Ok(said)
    }

    /// `pg_controldata`, where the file is another than it was.
    async fn look_at_control_file(&self, status: &mut Status) -> Result<(), String> {
        let path = self.0.postgres.data(self.0.server).join("global/pg_control");
        let bytes = std::fs::read(path).map_err(|error| format!("pg_control: {error}"))?;
        if bytes == self.seen().control_file {
            return Ok(());
        }
        let data = self.control_data().await?;
        status.control = control(&data).ok_or_else(|| format!("pg_controldata: state {:?}", data.get(STATE)))?;
        status.checkpoint = checkpoint(&data);
        if let Some((timeline, _)) = status.checkpoint.filter(|_| status.in_recovery) {
            status.timeline = timeline;
        }
        self.seen().control_file = bytes;
        Ok(())
    }

    async fn control_data(&self) -> Result<BTreeMap<String, String>, String> {
        let (postgres, server) = (self.0.postgres.clone(), self.0.server);
        tokio::task::spawn_blocking(move || postgres.control_data(server)).await.expect("it does not panic")
    }

    /// The first row of the answer.
    async fn ask(&self, statement: &str) -> Result<Vec<Option<String>>, String> {
        let asked = async {
            let session = self.0.postgres.session(self.0.server, SUPERUSER).await.map_err(|error| error.to_string())?;
            session.simple_query(statement).await.map_err(|error| match error.as_db_error() {
                Some(error) => error.to_string(),
                None => error.to_string(),
            })
        };
        let answer = timeout(ASK_LIMIT, asked).await.map_err(|_| format!("no answer in {ASK_LIMIT:?}"))??;
        let row = answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect()),
            _ => None,
        });
        Ok(row.unwrap_or_default())
    }
}

/// Whether an order's effect shows.
fn shows(order: &Order, status: &Status) -> bool {
    match order {
        Order::Start => status.state != State::Stopped,
        Order::Stop(_) => matches!(status.state, State::Stopped | State::Stopping(_)),
        // One that ended meanwhile is promoted by nobody.
        Order::Promote => !status.in_recovery || status.state == State::Stopped,
    }
}

#[async_trait]
impl Database for RealDatabase {
    fn run(&self, _net: Net) -> HostFuture {
        Box::pin(self.clone().keep_up())
    }

    fn status(&self) -> Status {
        // PostgreSQL removes the file by itself.
        Status { standby_signal: self.0.postgres.follows(self.0.server), ..self.seen().status.clone() }
    }

    fn life(&self) -> u64 {
        self.seen().life
    }

    fn changed(&self) -> &Notify {
        &self.0.changed
    }

    fn order(&self, order: Order) {
        let mut seen = self.seen();
        if seen.status.alive {
            seen.orders.push_back(order);
            self.0.ordered.notify_waiters();
        }
    }

    fn kill(&self) {
        match self.postmaster() {
            Ok(Some(postmaster)) => postmaster.kill(),
            Ok(None) => {}
            Err(error) => self.tell(&format!("it cannot be killed: {error}")),
        }
    }

    fn configure(&self, configuration: Configuration) {
        let Configuration { archive_mode, synchronous, standby, limits: _, wal_sender_timeout } = &configuration;
        let synchronous = match &synchronous.standbys[..] {
            [] => String::new(),
            names => format!("ANY 1 (\"{}\")", names.join("\", \"")),
        };
        let settings = format!(
            "archive_mode={archive_mode}\nsynchronous_standby_names='{synchronous}'\nwal_sender_timeout={}ms\n",
            wal_sender_timeout.as_millis()
        );
        let (postgres, server) = (&self.0.postgres, self.0.server);
        postgres.write_settings(server, &settings, &self.0.name);
        match self.postmaster() {
            // What a server that runs is to be at its next start is not for its files to say: it may be just promoted.
            Ok(Some(postmaster)) => drop(postmaster.signal("-HUP")),
            Ok(None) => postgres.set_standby_signal(server, *standby),
            Err(error) => self.tell(&format!("standby.signal is left as it is: {error}")),
        }
        self.change(|seen| seen.configuration = configuration);
    }

    fn configuration(&self) -> Configuration {
        Configuration { standby: self.0.postgres.follows(self.0.server), ..self.seen().configuration.clone() }
    }

    fn system_id(&self) -> String {
        self.0.system_id.clone()
    }

    async fn checkpoint(&self) -> Option<(u32, Lsn)> {
        let told = async {
            self.ask("checkpoint").await?;
            self.control_data().await
        };
        match told.await {
            Ok(data) => checkpoint(&data),
            Err(error) => {
                self.tell(&format!("no checkpoint: {error}"));
                None
            }
        }
    }

    async fn set_password(&self, role: &str, password: &str) -> bool {
        let set = self.ask(&format!("alter role \"{role}\" password '{}'", password.replace('\'', "''"))).await;
        if let Err(error) = &set {
            self.tell(&format!("the password of {role} was not set: {error}"));
        }
        set.is_ok()
    }
}

/// Its node is up as long as this lives.
struct Up(RealDatabase);

impl Up {
    fn new(database: &RealDatabase) -> Self {
        database.change(|seen| seen.status.alive = true);
        Self(database.clone())
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        self.0.change(|seen| {
            seen.status.alive = false;
            seen.orders.clear();
        });
    }
}

const STATE: &str = "Database cluster state";

/// As `pg_controldata` has it.
fn control(data: &BTreeMap<String, String>) -> Option<Control> {
    match data.get(STATE)?.as_str() {
        "shut down" => Some(Control::ShutDown),
        "shut down in recovery" => Some(Control::ShutDownInRecovery),
        "in production" | "shutting down" | "starting up" | "in crash recovery" => Some(Control::InProduction),
        "in archive recovery" => Some(Control::InRecovery),
        _ => None,
    }
}

fn checkpoint(data: &BTreeMap<String, String>) -> Option<(u32, Lsn)> {
    let timeline = data.get("Latest checkpoint's TimeLineID")?.parse().ok()?;
    Some((timeline, data.get("Latest checkpoint's REDO location")?.parse().ok()?))
}
