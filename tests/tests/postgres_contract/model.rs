//! The simulated pair.

use super::{Ask, LIMIT, PRIMARY, Pair, STANDBY, Said, login, run_sql, say};
use continuum_live::postgres::PostgresProbe;
use continuum_sim::determinism::Seeds;
use continuum_sim::fabric::{Fabric, FabricOptions, Net, TurmoilFabric};
use continuum_sim::servers::postgres::{
    Configuration, Instance, Journal, NetConnector, Order, Settings, Shutdown, Synchronous,
};
use continuum_tests::real_postgres::{MONITOR_ROLE, PASSWORD, PLAIN_ROLE, SUPERUSER};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub struct Model {
    fabric: TurmoilFabric,
    halves: [Instance; 2],
    client_count: u32,
}

type Work<T> = Pin<Box<dyn Future<Output = T>>>;

impl Model {
    pub fn new() -> Self {
        let mut fabric = TurmoilFabric::new(FabricOptions::default());
        let (journal, seeds) = (Journal::default(), Seeds::new(1));
        let settings = |cluster: &str, upstream: &str| Settings {
            cluster: cluster.into(),
            upstream: upstream.into(),
            system_id: "7711780216894003665".into(),
        };
        let fsn = Instance::new(settings("shop-fsn", "pg.hel"), journal.clone(), seeds.generator("pg.fsn"));
        let hel = Instance::standby_of(&fsn, settings("shop-hel", "pg.fsn"), journal, seeds.generator("pg.hel"));
        for (host, instance) in [("pg.fsn", &fsn), ("pg.hel", &hel)] {
            let (net, instance) = (fabric.net(), instance.clone());
            fabric.host(host, Box::new(move || Box::pin(instance.clone().run(net.clone()))));
        }
        let mut model = Self { fabric, halves: [fsn, hel], client_count: 0 };
        model.run(Duration::from_millis(100));
        model.halves.iter().for_each(|half| half.order(Order::Start));
        model.run(Duration::from_secs(2));
        for role in [SUPERUSER, PLAIN_ROLE, MONITOR_ROLE] {
            model.halves[PRIMARY].set_password(role, PASSWORD);
        }
        model
    }

    fn run(&mut self, for_: Duration) {
        let end = self.fabric.now() + for_;
        while self.fabric.now() < end {
            self.fabric.step().unwrap();
        }
    }

    /// Runs work on a host of its own, for at most [`LIMIT`].
    fn finish<T: 'static>(&mut self, work: impl Fn(Net) -> Work<T> + 'static) -> Option<T> {
        self.client_count += 1;
        let slot = Arc::new(Mutex::new(None));
        let (net, given, work) = (self.fabric.net(), slot.clone(), Arc::new(work));
        let software = move || -> Work<()> {
            let (net, given, work) = (net.clone(), given.clone(), work.clone());
            Box::pin(async move {
                let value = work(net).await;
                *given.lock().unwrap() = Some(value);
            })
        };
        self.fabric.host(&format!("client{}", self.client_count), Box::new(software));
        let end = self.fabric.now() + LIMIT;
        while self.fabric.now() < end && slot.lock().unwrap().is_none() {
            self.fabric.step().unwrap();
        }
        slot.lock().unwrap().take()
    }
}

impl Pair for Model {
    fn ask(&mut self, half: usize, ask: Ask, monitor: bool) -> Said {
        self.halves[half].set_statistics_hidden(!monitor);
        let said = self.finish(move |net| {
            let probe = PostgresProbe::new(Arc::new(NetConnector::new(net)), login(monitor));
            Box::pin(say(probe, half, ask))
        });
        said.unwrap_or(Said::Silence)
    }

    fn query(&mut self, half: usize, user: &str, sql: &str) -> Result<Vec<String>, String> {
        self.halves[half].set_statistics_hidden(user == PLAIN_ROLE);
        let (user, sql) = (user.to_owned(), sql.to_owned());
        let answer = self.finish(move |net| {
            let (user, sql) = (user.clone(), sql.clone());
            Box::pin(async move {
                let stream = net.connect(["pg.fsn", "pg.hel"][half], 5432).await.unwrap();
                run_sql(stream, &user, &sql).await
            })
        });
        answer.expect("an answer in time")
    }

    fn pause_replay(&mut self, paused: bool) {
        self.halves[STANDBY].set_replay_paused(paused);
    }

    fn wait_for(&mut self, standby: Option<&str>) {
        let standbys = standby.iter().map(|name| (*name).to_owned()).collect();
        let synchronous = Synchronous { standbys, required: true };
        let old = self.halves[PRIMARY].configuration();
        self.halves[PRIMARY].configure(Configuration { synchronous, ..old });
    }

    fn stop(&mut self, half: usize) {
        self.halves[half].order(Order::Stop(Shutdown::Fast));
        self.run(Duration::from_secs(1));
    }

    fn promote(&mut self) {
        self.halves[STANDBY].order(Order::Promote);
        while !self.halves[STANDBY].accepts_writes() {
            self.fabric.step().unwrap();
        }
    }

    fn await_restart(&mut self, waits: bool) {
        let old = self.halves[STANDBY].configuration();
        let archive_mode = if waits { "on" } else { "always" }.into();
        self.halves[STANDBY].configure(Configuration { archive_mode, ..old });
    }

    fn probe_sessions(&mut self) -> usize {
        self.run(Duration::from_millis(100));
        self.halves[PRIMARY].snapshot().session_count
    }

    fn settle(&mut self) {
        self.run(Duration::from_secs(1));
    }
}
