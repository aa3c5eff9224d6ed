//! The model of PostgreSQL, seen through the production probe and through clients, on the simulated network.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "postgres/replication.rs"]
mod replication;
#[path = "postgres/sessions.rs"]
mod sessions;

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
