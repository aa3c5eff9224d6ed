//! The model of PostgreSQL, seen through the production probe and through clients, on the simulated network.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
use continuum_core::name::{ObjectName, Region};
use continuum_core::observe::{Accepts, DatabaseView, Seen};
use continuum_core::ports::{ActOnDatabase, ObserveDatabase, Outcome};
use continuum_live::postgres::{Login, PostgresProbe};
use continuum_sim::determinism::Seeds;
use continuum_sim::fabric::{BoxStream, Fabric, FabricOptions, Net, TurmoilFabric};
use continuum_sim::servers::postgres::{
    Configuration, Event, Instance, Journal, Limits, NetConnector, Order, Settings, Shutdown, State, Synchronous,
};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_postgres::{Client, Connection, NoTls, config::SslMode, tls::NoTlsStream};

/// Of every role, until a test changes it.
const PASSWORD: &str = "right";

const SYSTEM_ID: &str = "7711780216894003665";

struct Pair {
    fabric: TurmoilFabric,
    fsn: Instance,
    hel: Instance,
    journal: Journal,
}

fn pair() -> Pair {
    let mut fabric = TurmoilFabric::new(FabricOptions::default());
    let journal = Journal::default();
    let settings = |cluster: &str, upstream: &str| Settings {
        cluster: cluster.into(),
        upstream: upstream.into(),
        system_id: SYSTEM_ID.into(),
    };
    let seeds = Seeds::new(1);
    let fsn = Instance::new(settings("shop-fsn", "pg.hel"), journal.clone(), seeds.generator("pg.fsn"));
    for role in ["app", "continuum", "monitor", "postgres"] {
        fsn.set_password(role, PASSWORD);
    }
    let hel = Instance::standby_of(&fsn, settings("shop-hel", "pg.fsn"), journal.clone(), seeds.generator("pg.hel"));
    for (host, instance) in [("pg.fsn", &fsn), ("pg.hel", &hel)] {
        let (net, instance) = (fabric.net(), instance.clone());
        fabric.host(host, Box::new(move || Box::pin(instance.clone().run(net.clone()))));
        // Orders wait for the host to be up.
    }
    let mut pair = Pair { fabric, fsn, hel, journal };
    pair.run(0.1);
    pair.fsn.order(Order::Start);
    pair.hel.order(Order::Start);
    pair.run(2.0);
    pair
}

type Work<T> = Pin<Box<dyn Future<Output = T>>>;

impl Pair {
    fn run(&mut self, seconds: f64) {
        let end = self.fabric.now() + Duration::from_secs_f64(seconds);
        while self.fabric.now() < end {
            self.fabric.step().unwrap();
        }
    }

    /// Starts work on a host of its own; what it gives arrives in the slot.
    fn start<T: 'static>(&mut self, host: &str, work: impl Fn(Net) -> Work<T> + 'static) -> Arc<Mutex<Option<T>>> {
        let slot = Arc::new(Mutex::new(None));
        let (net, given) = (self.fabric.net(), slot.clone());
        let work = Arc::new(work);
        self.fabric.host(
            host,
            Box::new(move || {
                let (net, given, work) = (net.clone(), given.clone(), work.clone());
                Box::pin(async move {
                    let value = work(net).await;
                    *given.lock().unwrap() = Some(value);
                })
            }),
        );
        slot
    }

    /// Runs work to its end, for at most this long.
    fn finish<T: 'static>(&mut self, host: &str, seconds: f64, work: impl Fn(Net) -> Work<T> + 'static) -> Option<T> {
        let slot = self.start(host, work);
        self.run(seconds);
        slot.lock().unwrap().take()
    }

    fn look(&mut self, host: &str, region: &'static str) -> Option<Seen<DatabaseView>> {
        self.finish(host, 1.0, move |net| {
            Box::pin(async move { probe(net).look(&Region::new(region), &ObjectName::new("shop", "shop")).await })
        })
    }

    fn view(&mut self, host: &str, region: &'static str) -> DatabaseView {
        match self.look(host, region) {
            Some(Seen::Is(view)) => view,
            other => panic!("no view of {region}: {other:?}"),
        }
    }

    fn try_write(&mut self, host: &str, region: &'static str, commit: bool, seconds: f64) -> Option<Outcome> {
        self.finish(host, seconds, move |net| {
            Box::pin(async move {
                probe(net).try_write(&Region::new(region), &ObjectName::new("shop", "shop"), commit).await
            })
        })
    }

    fn insert(&mut self, host: &str, region: &'static str, number: u64, seconds: f64) -> Option<Result<(), String>> {
        let sql = format!("insert into w values ('{host}', {number})");
        self.finish(host, seconds, move |net| {
            let sql = sql.clone();
            Box::pin(async move { query(&net, region, PASSWORD, &sql).await })
        })
    }

    fn events(&self, instance: &str) -> Vec<Event> {
        self.journal.entries().into_iter().filter(|entry| entry.instance == instance).map(|entry| entry.event).collect()
    }
}

fn probe(net: Net) -> PostgresProbe {
    let login = Login { user: "continuum".into(), password: Some(PASSWORD.into()), database: "app".into() };
    PostgresProbe::new(Arc::new(NetConnector::new(net)), login)
}

/// A new session, and its connection, which somebody has to drive.
async fn session(net: &Net, host: &str, user: &str) -> (Client, Connection<BoxStream, NoTlsStream>) {
    let stream = net.connect(host, 5432).await.unwrap();
    let mut config = tokio_postgres::Config::new();
    config.user(user).password(PASSWORD).ssl_mode(SslMode::Disable);
    config.connect_raw(stream, NoTls).await.unwrap()
}

/// The SQLSTATE, `refused`, or another error's text.
async fn query(net: &Net, region: &str, password: &str, sql: &str) -> Result<(), String> {
    let stream = net.connect(&format!("pg.{region}"), 5432).await.map_err(|error| error.kind().to_string())?;
    let mut config = tokio_postgres::Config::new();
    config.user("app").password(password).dbname("app").ssl_mode(SslMode::Disable);
    let code =
        |error: tokio_postgres::Error| error.code().map_or_else(|| error.to_string(), |code| code.code().to_owned());
    let (client, connection) = config.connect_raw(stream, NoTls).await.map_err(code)?;
    tokio::spawn(connection);
    client.simple_query(sql).await.map(|_| ()).map_err(code)
}

fn primary_configuration(synchronous: Synchronous) -> Configuration {
    Configuration { synchronous, ..Configuration::default() }
}

#[test]
fn the_production_probe_sees_primary_standby_and_lag() {
    let mut pair = pair();
    assert_eq!(pair.insert("clients.fsn", "fsn", 1, 0.5), Some(Ok(())));
    let fsn = pair.view("a", "fsn");
    assert_eq!((fsn.accepts, fsn.in_recovery, fsn.timeline), (Accepts::Yes, Some(false), Some(1)));
    assert_eq!(fsn.archive_mode.as_deref(), Some("on"));
    assert_eq!(fsn.system_id.as_deref(), Some(SYSTEM_ID));
    assert_eq!(fsn.lag_to("shop-hel"), Some(Duration::ZERO));
    let hel = pair.view("b", "hel");
    assert_eq!((hel.accepts, hel.in_recovery, hel.timeline), (Accepts::No, Some(true), Some(1)));
    assert_eq!((hel.lsn, hel.replay_paused), (fsn.lsn, Some(false)));
    assert_eq!(pair.hel.rows(), pair.fsn.rows());
}

#[test]
fn a_stopped_server_refuses_and_a_cut_off_one_is_silent() {
    let mut pair = pair();
    pair.fsn.order(Order::Stop(Shutdown::Fast));
    pair.run(1.0);
    let fsn = pair.view("a", "fsn");
    assert_eq!((fsn.accepts, fsn.detail.as_str()), (Accepts::No, "connection refused"));
    assert_eq!(pair.try_write("b", "fsn", false, 1.0), Some(Outcome::NotApplied("connection refused".into())));
    let _ = pair.start("c", |_| Box::pin(async {}));
    pair.fabric.partition("c", "pg.hel");
    pair.fabric.crash("pg.hel");
    assert_eq!(pair.look("d", "hel"), None, "a look at a dead host does not end by itself");
}

#[test]
fn the_acting_probe_is_refused_by_a_standby_and_taken_by_a_primary() {
    let mut pair = pair();
    assert_eq!(pair.try_write("a", "fsn", true, 1.0), Some(Outcome::Done(())));
    match pair.try_write("b", "hel", true, 1.0) {
        Some(Outcome::NotApplied(cause)) => assert!(cause.starts_with("25006"), "{cause}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_role_without_pg_monitor_leaves_lag_unmeasured() {
    let mut pair = pair();
    pair.fsn.set_statistics_hidden(true);
    assert_eq!(pair.view("a", "fsn").replicas, None);
}

#[test]
fn paused_replay_shows_as_a_position_behind() {
    let mut pair = pair();
    pair.hel.set_replay_paused(true);
    pair.run(6.0);
    assert_eq!(pair.insert("clients.fsn", "fsn", 1, 0.5), Some(Ok(())));
    let (fsn, hel) = (pair.view("a", "fsn"), pair.view("b", "hel"));
    assert_eq!(hel.replay_paused, Some(true));
    assert!(hel.lsn < fsn.lsn);
    assert_eq!(fsn.lag_to("shop-hel"), None, "behind with no lag that was ever measured");
}

#[test]
fn a_clean_shutdown_reaches_the_standby_before_it_ends() {
    let mut pair = pair();
    pair.insert("clients.fsn", "fsn", 1, 0.5);
    pair.fsn.order(Order::Stop(Shutdown::Fast));
    pair.run(1.0);
    let (fsn, hel) = (pair.fsn.snapshot(), pair.hel.snapshot());
    assert_eq!(fsn.state, State::Stopped);
    assert_eq!(fsn.checkpoint, hel.checkpoint);
    assert_eq!(fsn.end, hel.replayed);
}

#[test]
fn a_smart_shutdown_refuses_new_sessions_while_an_old_one_writes() {
    let mut pair = pair();
    let old = pair.start("pool", |net| {
        Box::pin(async move {
            let (client, connection) = session(&net, "pg.fsn", "app").await;
            tokio::spawn(connection);
            tokio::time::sleep(Duration::from_secs(2)).await;
            client.simple_query("insert into w values ('pool', 1)").await.is_ok()
        })
    });
    pair.run(0.5);
    pair.fsn.order(Order::Stop(Shutdown::Smart));
    assert_eq!(pair.insert("new", "fsn", 1, 0.5), Some(Err("57P03".into())));
    pair.run(2.0);
    assert_eq!(*old.lock().unwrap(), Some(true));
    assert_eq!(pair.fsn.snapshot().state, State::Stopped);
    assert_eq!(pair.events("shop-fsn").iter().filter(|event| **event == Event::RefusesWrites).count(), 1);
}

#[test]
fn a_fast_shutdown_terminates_sessions() {
    let mut pair = pair();
    let session = pair.start("pool", |net| {
        Box::pin(async move {
            let (client, connection) = session(&net, "pg.fsn", "app").await;
            let ended = connection.await;
            drop(client);
            ended.err().and_then(|error| error.code().map(|code| code.code().to_owned()))
        })
    });
    pair.run(0.5);
    pair.fsn.order(Order::Stop(Shutdown::Fast));
    pair.run(1.0);
    assert_eq!(session.lock().unwrap().clone(), Some(Some("57P01".to_owned())));
}

#[test]
fn promotion_starts_a_timeline_and_the_old_primary_follows_it() {
    let mut pair = pair();
    pair.insert("clients.fsn", "fsn", 1, 0.5);
    pair.fsn.order(Order::Stop(Shutdown::Fast));
    pair.run(1.0);
    pair.fsn.configure(Configuration {
        archive_mode: "always".into(),
        standby: true,
        ..primary_configuration(Synchronous::default())
    });
    pair.fsn.order(Order::Start);
    pair.hel.order(Order::Promote);
    pair.hel.configure(Configuration { standby: true, ..primary_configuration(Synchronous::default()) });
    pair.run(8.0);
    assert!(pair.hel.accepts_writes());
    assert!(pair.hel.snapshot().pending_restart, "it was started with archive_mode always");
    assert_eq!(pair.insert("clients.hel", "hel", 2, 0.5), Some(Ok(())));
    let fsn = pair.fsn.snapshot();
    assert_eq!((fsn.timeline, fsn.streaming), (2, true));
    assert_eq!(pair.fsn.rows(), pair.hel.rows());
}

#[test]
fn a_half_that_wrote_past_the_fork_cannot_follow() {
    let mut pair = pair();
    pair.hel.order(Order::Promote);
    pair.run(1.0);
    pair.insert("clients.fsn", "fsn", 1, 0.5);
    pair.fsn.order(Order::Stop(Shutdown::Fast));
    pair.run(1.0);
    pair.fsn.configure(Configuration {
        archive_mode: "always".into(),
        standby: true,
        ..primary_configuration(Synchronous::default())
    });
    pair.fsn.order(Order::Start);
    pair.run(12.0);
    let fsn = pair.fsn.snapshot();
    assert_eq!((fsn.in_recovery, fsn.streaming, fsn.timeline), (true, false, 1));
}

#[test]
fn a_synchronous_commit_waits_for_the_other_half() {
    let mut pair = pair();
    let synchronous = Synchronous { standbys: vec!["shop-hel".into()], required: true };
    pair.fsn.configure(primary_configuration(synchronous));
    assert_eq!(pair.insert("a", "fsn", 1, 0.5), Some(Ok(())));
    pair.fabric.partition("pg.fsn", "pg.hel");
    assert_eq!(pair.insert("b", "fsn", 2, 20.0), None, "nobody acknowledges");
    assert_eq!(pair.try_write("c", "fsn", false, 1.0), Some(Outcome::Done(())), "a roll back does not wait");
    pair.fabric.repair("pg.fsn", "pg.hel");
    assert_eq!(pair.insert("d", "fsn", 3, 12.0), Some(Ok(())));
    assert_eq!(pair.fsn.rows(), pair.hel.rows());
}

#[test]
fn a_partition_is_noticed_on_both_sides_and_the_stream_comes_back() {
    let mut pair = pair();
    pair.fabric.partition("pg.fsn", "pg.hel");
    pair.run(12.0);
    assert_eq!(pair.view("a", "fsn").replicas, Some(Vec::new()));
    assert!(!pair.hel.snapshot().streaming);
    pair.fabric.repair("pg.fsn", "pg.hel");
    pair.run(12.0);
    assert!(pair.hel.snapshot().streaming);
}

#[test]
fn a_crashed_host_loses_no_commit_and_recovers() {
    let mut pair = pair();
    assert_eq!(pair.insert("a", "fsn", 1, 0.5), Some(Ok(())));
    pair.fabric.crash("pg.fsn");
    assert!(pair.events("shop-fsn").contains(&Event::Killed));
    assert!(!pair.fsn.snapshot().alive);
    pair.run(1.0);
    pair.fabric.restart("pg.fsn");
    pair.run(0.1);
    pair.fsn.order(Order::Start);
    pair.run(2.0);
    assert!(pair.fsn.accepts_writes());
    assert_eq!(pair.fsn.rows().len(), 1);
}

#[test]
fn a_wrong_password_is_refused_with_28p01() {
    let mut pair = pair();
    let tried = |net: Net, password: &'static str| -> Work<_> {
        Box::pin(async move { query(&net, "fsn", password, "select 1").await })
    };
    assert_eq!(pair.finish("a", 0.5, move |net| tried(net, PASSWORD)), Some(Ok(())));
    assert_eq!(pair.finish("b", 0.5, move |net| tried(net, "wrong")), Some(Err("28P01".into())));
}

#[test]
fn a_commit_that_waits_outlives_its_client_and_is_acknowledged_when_it_is_cancelled() {
    let mut pair = pair();
    let synchronous = Synchronous { standbys: vec!["shop-hel".into()], required: true };
    pair.fsn.configure(primary_configuration(synchronous));
    pair.fabric.partition("pg.fsn", "pg.hel");
    let cancelled = pair.start("a", |net| {
        Box::pin(async move {
            let (client, connection) = session(&net, "pg.fsn", "app").await;
            tokio::spawn(connection);
            let cancel = client.cancel_token();
            let later = async {
                tokio::time::sleep(Duration::from_secs(5)).await;
                let stream = net.connect("pg.fsn", 5432).await.unwrap();
                cancel.cancel_query_raw(stream, NoTls).await.unwrap();
            };
            let insert = client.simple_query("insert into w values ('a', 1)");
            futures_util::future::join(insert, later).await.0.is_ok()
        })
    });
    pair.run(4.0);
    // Its client gives up, and its session stays.
    assert_eq!(pair.insert("b", "fsn", 2, 1.0), None);
    assert_eq!(*cancelled.lock().unwrap(), None);
    pair.run(2.0);
    assert_eq!(*cancelled.lock().unwrap(), Some(true), "told that it is done, though nobody else has it");
    pair.fabric.crash("b");
    pair.run(40.0);
    assert_eq!(pair.fsn.snapshot().session_count, 1, "it waits for no client");
}

#[test]
fn sessions_are_ended_by_the_name_of_their_role() {
    let mut pair = pair();
    let held =
        pair.start("a", |net| Box::pin(async move { query(&net, "fsn", PASSWORD, "select pg_sleep(60)").await }));
    pair.run(0.5);
    let ended = pair.finish("b", 0.5, |net| {
        Box::pin(async move {
            let sql = "select pg_terminate_backend(pid) from pg_stat_activity \
                       where usename = 'app' and pid <> pg_backend_pid()";
            query(&net, "fsn", PASSWORD, sql).await
        })
    });
    assert_eq!(ended, Some(Ok(())));
    assert!(matches!(&*held.lock().unwrap(), Some(Err(cause)) if cause.contains("closed") || cause == "57P01"));
}

/// The rows of a query as a client gets them, each as its columns joined; or the SQLSTATE.
fn ask(pair: &mut Pair, host: &str, region: &'static str, sql: &str) -> Result<Vec<String>, String> {
    let sql = sql.to_owned();
    let answer = pair.finish(host, 1.0, move |net| {
        let sql = sql.clone();
        Box::pin(async move {
            let (client, connection) = session(&net, &format!("pg.{region}"), "monitor").await;
            tokio::spawn(connection);
            let messages = client.simple_query(&sql).await;
            messages.map_err(|error| error.code().unwrap().code().to_owned()).map(|messages| {
                let rows = messages.iter().filter_map(|message| match message {
                    tokio_postgres::SimpleQueryMessage::Row(row) => Some(row),
                    _ => None,
                });
                rows.map(|row| (0..row.len()).map(|at| row.get(at).unwrap_or("NULL")).collect::<Vec<_>>().join(" "))
                    .collect()
            })
        })
    });
    answer.expect("an answer in time")
}

#[test]
fn a_standby_that_fell_silent_looks_streaming_until_its_sender_gives_up() {
    let mut pair = pair();
    let patient = Configuration { wal_sender_timeout: Duration::from_secs(60), ..Configuration::default() };
    pair.fsn.configure(patient);
    pair.insert("a", "fsn", 1, 0.5);
    let _ = pair.start("outside", |_| Box::pin(async {}));
    pair.fabric.partition("pg.fsn", "pg.hel");
    pair.insert("b", "fsn", 2, 0.5);
    pair.run(20.0);
    let rows = pair.view("c", "fsn").replicas.unwrap();
    assert_eq!(rows.iter().map(|row| row.streaming).collect::<Vec<_>>(), [true]);
    // Its receiver, which gave up sooner, comes back: two rows of one name, the dead one first.
    pair.fabric.repair("pg.fsn", "pg.hel");
    pair.run(8.0);
    let sql = "select extract(epoch from clock_timestamp() - reply_time) > 10 from pg_stat_replication";
    assert_eq!(ask(&mut pair, "d", "fsn", sql), Ok(vec!["t".to_owned(), "f".to_owned()]));
    pair.run(40.0);
    assert_eq!(ask(&mut pair, "e", "fsn", sql), Ok(vec!["f".to_owned()]));
}

#[test]
fn a_silent_standby_whose_clock_is_ahead_is_not_taken_for_fresh() {
    let mut pair = pair();
    let patient = Configuration { wal_sender_timeout: Duration::from_secs(60), ..Configuration::default() };
    pair.fsn.configure(patient);
    pair.hel.set_clock_ahead(Duration::from_secs(30));
    pair.insert("a", "fsn", 1, 0.5);
    assert_eq!(pair.view("b", "fsn").lag_to("shop-hel"), Some(Duration::ZERO), "it has everything, by any clock");
    let _ = pair.start("outside", |_| Box::pin(async {}));
    pair.fabric.partition("pg.fsn", "pg.hel");
    pair.insert("c", "fsn", 2, 0.5);
    pair.run(15.0);
    let view = pair.view("d", "fsn");
    let row = &view.replicas.as_ref().unwrap()[0];
    assert!(row.streaming && row.clock_ahead().is_some_and(|ahead| ahead > Duration::from_secs(5)), "{row:?}");
    assert_eq!(view.lag_to("shop-hel"), None);
}

#[test]
fn a_silent_standby_holds_a_fast_shutdown_up() {
    let mut pair = pair();
    pair.fsn.configure(Configuration { wal_sender_timeout: Duration::from_secs(60), ..Configuration::default() });
    pair.fabric.partition("pg.fsn", "pg.hel");
    pair.run(1.0);
    pair.fsn.order(Order::Stop(Shutdown::Fast));
    pair.run(50.0);
    assert_eq!(pair.fsn.snapshot().state, State::Stopping(Shutdown::Fast));
    pair.run(12.0);
    assert_eq!(pair.fsn.snapshot().state, State::Stopped);
}

#[test]
fn a_standby_with_lower_settings_streams_and_its_promotion_ends_it() {
    let mut pair = pair();
    let higher = Limits { max_connections: 300, ..Limits::default() };
    pair.fsn.order(Order::Stop(Shutdown::Fast));
    pair.run(1.0);
    pair.fsn.configure(Configuration { limits: higher, ..Configuration::default() });
    pair.fsn.order(Order::Start);
    pair.run(8.0);
    pair.insert("a", "fsn", 1, 0.5);
    let hel = pair.hel.snapshot();
    assert_eq!((hel.state, hel.streaming, hel.replay_paused), (State::Running, true, true));
    assert!(hel.replayed < hel.end);
    pair.hel.order(Order::Promote);
    pair.run(2.0);
    assert_eq!(pair.hel.snapshot().state, State::Stopped);
    // It does not start either, until the setting is raised.
    pair.hel.order(Order::Start);
    pair.run(2.0);
    assert_eq!(pair.hel.snapshot().state, State::Stopped);
    pair.hel.configure(Configuration { limits: higher, ..pair.hel.configuration() });
    pair.hel.order(Order::Start);
    pair.run(2.0);
    assert_eq!(pair.hel.snapshot().state, State::Running);
}

#[test]
fn more_sessions_than_max_connections_are_refused() {
    let mut pair = pair();
    pair.fsn.order(Order::Stop(Shutdown::Fast));
    pair.run(1.0);
    let limits = Limits { max_connections: 5, ..Limits::default() };
    pair.fsn.configure(Configuration { limits, ..Configuration::default() });
    pair.fsn.order(Order::Start);
    pair.run(1.0);
    let log_in = |user: &'static str| {
        move |net: Net| -> Work<Result<(), String>> {
            Box::pin(async move {
                let stream = net.connect("pg.fsn", 5432).await.unwrap();
                let mut config = tokio_postgres::Config::new();
                config.user(user).password(PASSWORD).ssl_mode(SslMode::Disable);
                let entered = config.connect_raw(stream, NoTls).await;
                let (client, connection) = entered.map_err(|error| error.as_db_error().unwrap().to_string())?;
                connection.await.unwrap();
                drop(client);
                Ok(())
            })
        }
    };
    let slots = ["app", "app", "app", "postgres", "postgres", "postgres", "postgres"];
    let answers = slots.iter().enumerate().map(|(at, user)| pair.finish(&format!("client{at}"), 0.5, log_in(user)));
    let reserved = "FATAL: remaining connection slots are reserved for non-replication superuser connections";
    let refused = |why: &str| Some(Err(why.to_owned()));
    // A session that is open has no answer yet.
    let expected = [None, None, refused(reserved), None, None, None, refused("FATAL: sorry, too many clients already")];
    assert_eq!(answers.collect::<Vec<_>>(), expected);
}

#[test]
fn a_password_that_a_role_gives_itself_locks_out_who_has_the_old_one() {
    let mut pair = pair();
    let tried = |net: Net, password: &'static str, sql: &'static str| -> Work<_> {
        Box::pin(async move { query(&net, "fsn", password, sql).await })
    };
    let change = "alter role app password 'new'";
    assert_eq!(pair.finish("a", 0.5, move |net| tried(net, PASSWORD, change)), Some(Ok(())));
    assert_eq!(pair.finish("b", 0.5, move |net| tried(net, PASSWORD, "select 1")), Some(Err("28P01".into())));
    assert_eq!(pair.finish("c", 0.5, move |net| tried(net, "new", "select 1")), Some(Ok(())));
    // It is WAL: the standby follows.
    assert_eq!(pair.hel.password_of("app").as_deref(), Some("new"));
}
