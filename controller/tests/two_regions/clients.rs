//! Two clients that write to whichever server takes it, and a watcher that looks whether both do.

use continuum_tests::real_postgres::{PLAIN_ROLE, RealPostgres, SUPERUSER};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_postgres::Client;

/// Of a statement, and of a log-in.
const LIMIT: Duration = Duration::from_secs(1);
/// A client's, between two writes.
const BEAT: Duration = Duration::from_millis(20);

/// What clients and a watcher saw.
#[derive(Default)]
pub struct Truth {
    pub acknowledged: Vec<(String, i64)>,
    /// Between two acknowledgements of anybody.
    pub gap: Duration,
    pub both_writable: Vec<String>,
}

impl Truth {
    /// What was acknowledged and is not on this server; panics where both took writes at once.
    pub async fn lost(&self, postgres: &RealPostgres, server: usize) -> Vec<(String, i64)> {
        assert_eq!(self.both_writable, Vec::<String>::new());
        let kept = kept(postgres, server).await;
        self.acknowledged.iter().filter(|write| !kept.contains(*write)).cloned().collect()
    }
}

/// See the module.
pub struct Clients {
    truth: Arc<Mutex<Truth>>,
    over: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Clients {
    pub fn start(postgres: &Arc<RealPostgres>) -> Self {
        let truth = Arc::new(Mutex::new(Truth::default()));
        let over = Arc::new(AtomicBool::new(false));
        let last = Arc::new(Mutex::new(Instant::now()));
        let mut tasks = Vec::new();
        for name in ["one", "two"] {
            let (postgres, truth, over, last) = (postgres.clone(), truth.clone(), over.clone(), last.clone());
            tasks.push(tokio::spawn(async move {
                let (mut number, mut server, mut session) = (0_i64, 0, None);
                while !over.load(Ordering::Relaxed) {
                    number += 1;
                    if session.is_none() {
                        session = log_in(&postgres, server, PLAIN_ROLE).await;
                    }
                    let statement = format!("insert into w values ('{name}', {number})");
                    if taken(session.as_ref(), &statement).await {
                        let mut truth = truth.lock().expect("nothing panics while it holds it");
                        truth.acknowledged.push((name.to_owned(), number));
                        let mut last = last.lock().expect("nothing panics while it holds it");
                        truth.gap = truth.gap.max(last.elapsed());
                        *last = Instant::now();
                    } else {
                        (server, session) = (1 - server, None);
                    }
                    tokio::time::sleep(BEAT).await;
                }
            }));
        }
        let (postgres, seen, is_over) = (postgres.clone(), truth.clone(), over.clone());
        tasks.push(tokio::spawn(async move {
            let mut probes = [0, 1].map(|server| Probe { server, session: None });
            while !is_over.load(Ordering::Relaxed) {
                let [first, second] = &mut probes;
                // The first once more: it may have ceased before the second began.
                if first.writes(&postgres).await && second.writes(&postgres).await && first.writes(&postgres).await {
                    let mut truth = seen.lock().expect("nothing panics while it holds it");
                    let after = truth.acknowledged.len();
                    truth.both_writable.push(format!("after {after} writes"));
                }
                tokio::time::sleep(BEAT).await;
            }
        }));
        Self { truth, over, tasks }
    }

    pub fn acknowledged(&self) -> usize {
        self.truth.lock().expect("nothing panics while it holds it").acknowledged.len()
    }

    pub async fn end(self) -> Truth {
        self.over.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("clients do not panic");
        }
        std::mem::take(&mut *self.truth.lock().expect("nothing panics while it holds it"))
    }
}

async fn log_in(postgres: &RealPostgres, server: usize, role: &str) -> Option<Client> {
    tokio::time::timeout(LIMIT, postgres.session(server, role)).await.ok()?.ok()
}

/// Whether a statement was acknowledged in time.
async fn taken(session: Option<&Client>, statement: &str) -> bool {
    let Some(session) = session else { return false };
    matches!(tokio::time::timeout(LIMIT, session.batch_execute(statement)).await, Ok(Ok(())))
}

/// Asks a server whether it takes writes. The session is kept, since a server forks for each new one.
struct Probe {
    server: usize,
    session: Option<Client>,
}

impl Probe {
    async fn writes(&mut self, postgres: &RealPostgres) -> bool {
        if self.session.as_ref().is_none_or(Client::is_closed) {
            self.session = log_in(postgres, self.server, SUPERUSER).await;
        }
        // A standby refuses in the middle of the transaction, and leaves it open.
        taken(self.session.as_ref(), "rollback; begin; create temp table probe (); rollback").await
    }
}

async fn kept(postgres: &RealPostgres, server: usize) -> BTreeSet<(String, i64)> {
    let session = log_in(postgres, server, SUPERUSER).await.expect("it takes sessions");
    let rows = session.query("select client, number from w", &[]).await.expect("the table is there");
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}
