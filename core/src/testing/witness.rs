//! A witness that does what its script says.

use super::HandClock;
use crate::clock::Clock;
use crate::name::Region;
use crate::ports::{ActOnWitness, Cas, ObserveWitness, Rank, Turn, Version};
use crate::record::Record;
use crate::spec::LeaseKind;
use async_trait::async_trait;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// What becomes of a write.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fate {
    /// Applied, and answered.
    Applied,
    /// Applied, and the answer is lost.
    AnswerLost,
    /// Neither.
    Lost,
    /// Refused for good.
    Refused,
    /// Another writer is faster.
    Overtaken,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Call {
    Read,
    Write,
}

pub(crate) struct Register {
    version: u64,
    pub record: Option<Record>,
    /// Of the next writes; then `Applied`.
    pub fates: VecDeque<Fate>,
    pub reads_hang: bool,
    /// How long an answer takes, each way.
    pub way: Duration,
    /// No turn to read comes before.
    pub no_read_before: Duration,
    /// No turn to write comes before.
    pub no_write_before: Duration,
    /// Of those that asked for a turn.
    pub ranks: Vec<(Call, Rank)>,
    calls: Vec<(Duration, Call)>,
}

/// See the module.
pub(crate) struct Witness {
    clock: Arc<HandClock>,
    register: Mutex<Register>,
}

impl Witness {
    pub fn new(clock: &Arc<HandClock>, record: Option<Record>) -> Arc<Self> {
        let version = u64::from(record.is_some());
        let way = Duration::from_millis(20);
        let register = Register {
            version,
            record,
            fates: VecDeque::new(),
            reads_hang: false,
            way,
            no_read_before: Duration::ZERO,
            no_write_before: Duration::ZERO,
            ranks: Vec::new(),
            calls: Vec::new(),
        };
        Arc::new(Self { clock: clock.clone(), register: Mutex::new(register) })
    }

    pub fn register(&self) -> MutexGuard<'_, Register> {
        self.register.lock().unwrap()
    }

    /// Another writer's change.
    pub fn change(&self, change: impl FnOnce(&mut Record)) {
        let mut register = self.register();
        register.version += 1;
        change(register.record.as_mut().unwrap());
    }

    pub fn script(&self, fates: impl IntoIterator<Item = Fate>) {
        self.register().fates = fates.into_iter().collect();
    }

    pub fn calls(&self) -> Vec<(Duration, Call)> {
        self.register().calls.clone()
    }

    pub fn record(&self) -> Record {
        self.register().record.clone().unwrap()
    }

    async fn turn(&self, call: Call, rank: Rank) -> Turn {
        let before = {
            let mut register = self.register();
            register.ranks.push((call, rank));
            match call {
                Call::Read => register.no_read_before,
                Call::Write => register.no_write_before,
            }
        };
        let now = self.clock.now().0;
        if before > now {
            self.clock.sleep(before - now).await;
        }
        Box::new(())
    }

    async fn call(&self, call: Call) {
        let way = {
            let mut register = self.register();
            register.calls.push((self.clock.now().0, call));
            register.way
        };
        self.clock.sleep(way).await;
    }
}

fn version(n: u64) -> Version {
    Version((n > 0).then(|| n.to_string()))
}

#[async_trait]
impl ObserveWitness for Witness {
    fn kind(&self) -> LeaseKind {
        LeaseKind::K8sLease
    }

    async fn turn(&self, rank: Rank) -> Turn {
        Witness::turn(self, Call::Read, rank).await
    }

    async fn read(&self) -> Result<(Version, Option<Record>), String> {
        self.call(Call::Read).await;
        if self.register().reads_hang {
            std::future::pending::<()>().await;
        }
        let (answer, way) = {
            let register = self.register();
            ((version(register.version), register.record.clone()), register.way)
        };
        self.clock.sleep(way).await;
        Ok(answer)
    }

    fn shares(&self) -> Option<Region> {
        None
    }
}

#[async_trait]
impl ActOnWitness for Witness {
    async fn turn(&self, rank: Rank) -> Turn {
        Witness::turn(self, Call::Write, rank).await
    }

    async fn compare_and_set(&self, expected: &Version, record: &Record) -> Cas {
        self.call(Call::Write).await;
        let (fate, way) = {
            let mut register = self.register();
            (register.fates.pop_front().unwrap_or(Fate::Applied), register.way)
        };
        if fate == Fate::Overtaken {
            self.change(|record| record.renewal += 1);
        }
        let answer = {
            let mut register = self.register();
            match fate {
                Fate::Lost => None,
                Fate::Refused => Some(Cas::Refused("forbidden".into())),
                _ if *expected != version(register.version) => Some(Cas::Conflict),
                _ => {
                    register.version += 1;
                    register.record = Some(record.clone());
                    (fate != Fate::AnswerLost).then(|| Cas::Done(version(register.version)))
                }
            }
        };
        match answer {
            Some(answer) => {
                self.clock.sleep(way).await;
                answer
            }
            None => std::future::pending().await,
        }
    }
}
