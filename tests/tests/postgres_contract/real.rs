//! A pair of real servers.

use super::{Ask, LIMIT, PRIMARY, Pair, STANDBY, Said, login, run_sql, say};
use async_trait::async_trait;
use continuum_core::name::{ObjectName, Region};
use continuum_live::byte_stream::ByteStream;
use continuum_live::postgres::{Connector, PostgresProbe};
use continuum_tests::real_postgres::{RealPostgres, SUPERUSER};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub struct Real {
    servers: RealPostgres,
    runtime: tokio::runtime::Runtime,
}

/// `fsn` is the first server, `hel` the second.
struct Loopback([SocketAddr; 2]);

#[async_trait]
impl Connector for Loopback {
    async fn connect(&self, region: &Region, _: &ObjectName) -> io::Result<Box<dyn ByteStream>> {
        let half = usize::from(region.as_str() == "hel");
        Ok(Box::new(tokio::net::TcpStream::connect(self.0[half]).await?))
    }
}

impl Real {
    pub fn new() -> Option<Self> {
        let servers = RealPostgres::start()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Some(Self { servers, runtime })
    }

    pub fn sql(&self, half: usize, user: &str, sql: &str) {
        self.try_sql(half, user, sql).unwrap();
    }

    fn try_sql(&self, half: usize, user: &str, sql: &str) -> Result<Vec<String>, String> {
        let address = self.servers.address(half);
        self.runtime.block_on(async {
            let stream = tokio::net::TcpStream::connect(address).await.unwrap();
            run_sql(stream, user, sql).await
        })
    }

    fn until(&mut self, mut condition: impl FnMut(&mut Self) -> bool) {
        for _ in 0..200 {
            if condition(self) {
                return;
            }
            self.runtime.block_on(async { tokio::time::sleep(Duration::from_millis(50)).await });
        }
        panic!("not within 10 s");
    }
}

impl Pair for Real {
    fn ask(&mut self, half: usize, ask: Ask, monitor: bool) -> Said {
        let connector = Loopback([0, 1].map(|half| self.servers.address(half)));
        let probe = PostgresProbe::new(Arc::new(connector), login(monitor));
        let said = self.runtime.block_on(async { tokio::time::timeout(LIMIT, say(probe, half, ask)).await });
        said.unwrap_or(Said::Silence)
    }

    fn query(&mut self, half: usize, user: &str, sql: &str) -> Result<Vec<String>, String> {
        self.try_sql(half, user, sql)
    }

    fn pause_replay(&mut self, paused: bool) {
        let sql = if paused { "select pg_wal_replay_pause()" } else { "select pg_wal_replay_resume()" };
        self.sql(STANDBY, SUPERUSER, sql);
    }

    fn wait_for(&mut self, standby: Option<&str>) {
        let names = standby.map(|name| format!("\"{name}\"")).unwrap_or_default();
        self.sql(PRIMARY, SUPERUSER, &format!("alter system set synchronous_standby_names = '{names}'"));
        self.servers.control(PRIMARY, &["reload"]);
        // A reload is a signal: nobody says when it was obeyed.
        let obeyed = format!("do $$ begin assert current_setting('synchronous_standby_names') = '{names}'; end $$");
        self.until(|real| real.try_sql(PRIMARY, SUPERUSER, &obeyed).is_ok());
    }

    fn stop(&mut self, half: usize) {
        self.servers.control(half, &["-m", "fast", "stop"]);
    }

    fn promote(&mut self) {
        self.servers.control(STANDBY, &["promote"]);
    }

    fn await_restart(&mut self, waits: bool) {
        let change = if waits { "set archive_mode = 'on'" } else { "reset archive_mode" };
        self.sql(STANDBY, SUPERUSER, &format!("alter system {change}"));
        self.servers.control(STANDBY, &["reload"]);
        self.until(|real| real.look(STANDBY).pending_restart == Some(waits));
    }

    fn probe_sessions(&mut self) -> usize {
        // A session that says goodbye is gone a moment later; one that waits stays.
        let gone = "do $$ begin assert not exists \
                    (select from pg_stat_activity where application_name like 'continuum%'); end $$";
        let deadline = (0..40).any(|_| {
            self.runtime.block_on(async { tokio::time::sleep(Duration::from_millis(50)).await });
            self.try_sql(PRIMARY, SUPERUSER, gone).is_ok()
        });
        usize::from(!deadline)
    }

    fn settle(&mut self) {
        self.until(|real| real.look(PRIMARY).lag_to("shop-hel") == Some(Duration::ZERO));
    }
}
