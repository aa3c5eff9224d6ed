//! Controllers that break one rule of docs/protocol.md, section 2, each: all but 5, 6 and 7. A rule is broken where it is kept: in what the
//! controller sees, or in what it writes.

use async_trait::async_trait;
use continuum_core::name::{ObjectName, Region};
use continuum_core::next::{Permit, Token};
use continuum_core::observe::{Accepts, Claim, ClusterView, CopyView, DatabaseView, Role, Seen, SeenRecord};
use continuum_core::plan::Plan;
use continuum_core::ports::{
    ActOnPair, ActOnWitness, Cas, ClusterChange, ClusterWrite, ObserveCopies, ObserveDatabase, ObservePair,
    ObserveWitness, Outcome, Version,
};
use continuum_core::record::Record;
use continuum_core::roles::{LoginResult, RoleLogin, RoleSecret};
use continuum_core::spec::LeaseKind;
use continuum_live::assemble::Ports;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A rule that is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// 1: drives on after the lease was handed over.
    DrivesWithoutTheLease,
    /// 2: promotes its half, which was demoted, where another region holds the lease.
    PromotesWithoutTheLease,
    /// 3: writes whatever stands there meanwhile.
    WritesUnconditionally,
    /// 4: believes of the other half that it refuses writes.
    BelievesTheOtherStopped,
    /// 8: believes that the other controller lives.
    TrustsTheSilent,
    /// 9: does not look again at a demotion that it saw.
    LooksOnce,
    /// 10: promotes with the first token that it saw.
    KeepsTheFirstToken,
    /// 11: does not take the lease back.
    NeverTurnsBack,
    /// 12: hears an abort in its own copy alone.
    HearsItsOwnCopyAlone,
}

impl Rule {
    /// All, in the order of the rules.
    pub const ALL: [Rule; 9] = [
        Rule::DrivesWithoutTheLease,
        Rule::PromotesWithoutTheLease,
        Rule::WritesUnconditionally,
        Rule::BelievesTheOtherStopped,
        Rule::TrustsTheSilent,
        Rule::LooksOnce,
        Rule::KeepsTheFirstToken,
        Rule::NeverTurnsBack,
        Rule::HearsItsOwnCopyAlone,
    ];

    /// Puts it in the ports of the controller of `me`.
    pub fn break_in(self, me: &Region, mut ports: Ports) -> Ports {
        let liar = Arc::new(Liar {
            rule: self,
            me: me.clone(),
            pair: ports.observers.driving.pair.clone(),
            act: ports.actors.pair.clone(),
            copies: ports.observers.driving.copies.clone(),
            memory: Mutex::default(),
        });
        ports.actors.pair = liar.clone();
        let observers = &mut ports.observers.driving;
        observers.pair = liar.clone();
        observers.copies = liar.clone();
        let database = observers.database.take();
        observers.database = database.map(|observe| Arc::new(Database { observe, liar: liar.clone() }) as _);
        if let (Some(observe), Some(act)) = (observers.witness.take(), ports.actors.witness.take()) {
            let witness = Arc::new(Witness { observe, act, liar });
            observers.witness = Some(witness.clone());
            ports.actors.witness = Some(witness);
        }
        ports
    }
}

/// What a broken controller remembers.
#[derive(Default)]
struct Remembered {
    record: Option<Record>,
    beat: u64,
    token: Option<String>,
    promoted: bool,
}

struct Liar {
    rule: Rule,
    me: Region,
    pair: Arc<dyn ObservePair>,
    act: Arc<dyn ActOnPair>,
    copies: Arc<dyn ObserveCopies>,
    memory: Mutex<Remembered>,
}

impl Liar {
    fn memory(&self) -> MutexGuard<'_, Remembered> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn generation(&self) -> u64 {
        self.memory().record.as_ref().map_or(0, |record| record.generation)
    }

    /// Promotes its own half once, where it was demoted and another region holds the lease.
    async fn promote(&self, region: &Region, view: &ClusterView) {
        let claim = {
            let mut memory = self.memory();
            let gave = memory.record.as_ref().filter(|record| record.generation > 1 && !record.held_by(&self.me));
            let Some(generation) = gave.map(|record| record.generation) else { return };
            if *region != self.me || view.role == Role::Primary || std::mem::replace(&mut memory.promoted, true) {
                return;
            }
            Claim { generation, intent: "mine".into() }
        };
        let change = ClusterChange::Promote { primary: view.self_name.clone(), token: None, permit: Permit::forged() };
        let write = ClusterWrite {
            region: region.clone(),
            object: view.object.clone(),
            resource_version: view.resource_version.clone(),
            claim,
            change,
            server_limit: None,
        };
        // A mutant may fail; the run shows whether it did harm.
        let _ = self.act.write(&write).await;
    }

    /// The token in the record, where it is about to leave this region.
    fn taken(&self, region: &Region) -> Option<String> {
        let memory = self.memory();
        let intent = memory.record.as_ref()?.intent.as_ref()?;
        intent.token.clone().filter(|_| intent.from() == region && intent.forward())
    }

    fn sees(&self, region: &Region, mut view: ClusterView) -> ClusterView {
        let taken = self.taken(region);
        let mut memory = self.memory();
        memory.token = memory.token.take().or(view.demotion_token.clone());
        let was_handed_over = memory.record.as_ref().is_some_and(|record| record.generation > 1);
        match self.rule {
            Rule::BelievesTheOtherStopped if was_handed_over && *region != self.me => {
                view.role = Role::Replica;
                view.in_progress = false;
            }
            Rule::LooksOnce if taken.is_some() => {
                view.timeline = timeline_of(taken.as_deref());
                (view.role, view.in_progress, view.demotion_token) = (Role::Replica, false, taken);
            }
            _ => {}
        }
        view
    }
}

/// The timeline that a token was made on.
fn timeline_of(token: Option<&str>) -> Option<u32> {
    Some(Token::read(token?)?.says.timeline)
}

#[async_trait]
impl ObservePair for Liar {
    async fn cluster(&self, region: &Region, pair: &ObjectName) -> Seen<ClusterView> {
        let seen = self.pair.cluster(region, pair).await;
        if let (Rule::PromotesWithoutTheLease, Seen::Is(view)) = (self.rule, &seen) {
            self.promote(region, view).await;
        }
        seen.map(|view| self.sees(region, view))
    }

    async fn secrets(&self, region: &Region, cluster: &ClusterView) -> Seen<BTreeMap<String, RoleSecret>> {
        self.pair.secrets(region, cluster).await
    }

    async fn backup_runs(&self, region: &Region, cluster: &ClusterView) -> Seen<bool> {
        self.pair.backup_runs(region, cluster).await
    }

    async fn missing_rights(&self, region: &Region, plan: &Plan) -> Seen<Vec<String>> {
        self.pair.missing_rights(region, plan).await
    }

    async fn admits(&self, write: &ClusterWrite) -> Seen<Result<(), String>> {
        self.pair.admits(write).await
    }
}

#[async_trait]
impl ActOnPair for Liar {
    async fn write(&self, write: &ClusterWrite) -> Outcome {
        let mut write = write.clone();
        match (&self.rule, &mut write.change) {
            (Rule::WritesUnconditionally, _) => write.resource_version = String::new(),
            (Rule::KeepsTheFirstToken, ClusterChange::Promote { token, .. }) if token.is_some() => {
                *token = self.memory().token.clone();
            }
            _ => {}
        }
        self.act.write(&write).await
    }
}

#[async_trait]
impl ObserveCopies for Liar {
    async fn copy(&self, region: &Region) -> Seen<CopyView> {
        self.copies.copy(region).await.map(|mut copy| {
            let mut memory = self.memory();
            match self.rule {
                Rule::TrustsTheSilent if *region != self.me => {
                    memory.beat += 1;
                    let record = memory.record.as_ref();
                    copy.seen = Some(SeenRecord {
                        renewal: record.map_or(0, |record| record.renewal),
                        intent: record.and_then(|record| Some(record.intent.as_ref()?.id.clone())),
                        beat: memory.beat,
                    });
                }
                Rule::HearsItsOwnCopyAlone if *region != self.me => {
                    if let Ok(spec) = &mut copy.spec {
                        Arc::make_mut(spec).abort = None;
                    }
                }
                _ => {}
            }
            copy
        })
    }
}

/// The databases, as a broken controller sees them.
struct Database {
    observe: Arc<dyn ObserveDatabase>,
    liar: Arc<Liar>,
}

#[async_trait]
impl ObserveDatabase for Database {
    async fn look(&self, region: &Region, cluster: &ObjectName) -> Seen<DatabaseView> {
        let liar = &self.liar;
        self.observe.look(region, cluster).await.map(|mut view| {
            match liar.rule {
                Rule::BelievesTheOtherStopped if liar.generation() > 1 && *region != liar.me => {
                    view.accepts = Accepts::No;
                }
                Rule::LooksOnce => {
                    if let Some(taken) = liar.taken(region) {
                        (view.accepts, view.timeline) = (Accepts::No, timeline_of(Some(&taken)));
                    }
                }
                _ => {}
            }
            view
        })
    }

    async fn lets_in(&self, region: &Region, cluster: &ObjectName, login: &RoleLogin) -> LoginResult {
        self.observe.lets_in(region, cluster, login).await
    }
}

/// The witness, as a broken controller reads and writes it.
struct Witness {
    observe: Arc<dyn ObserveWitness>,
    act: Arc<dyn ActOnWitness>,
    liar: Arc<Liar>,
}

#[async_trait]
impl ObserveWitness for Witness {
    fn kind(&self) -> LeaseKind {
        self.observe.kind()
    }

    async fn read(&self) -> Result<(Version, Option<Record>), String> {
        let (version, record) = self.observe.read().await?;
        let Some(mut record) = record else { return Ok((version, None)) };
        let me = &self.liar.me;
        let mut memory = self.liar.memory();
        memory.record = Some(record.clone());
        let Some(intent) = &record.intent else { return Ok((version, Some(record))) };
        match self.liar.rule {
            Rule::DrivesWithoutTheLease if intent.from() == me => record.holder = Some(me.clone()),
            Rule::HearsItsOwnCopyAlone => record.abort = None,
            _ => {}
        }
        Ok((version, Some(record)))
    }

    fn shares(&self) -> Option<Region> {
        self.observe.shares()
    }

    async fn missing_rights(&self) -> Seen<Vec<String>> {
        self.observe.missing_rights().await
    }
}

#[async_trait]
impl ActOnWitness for Witness {
    async fn compare_and_set(&self, expected: &Version, record: &Record) -> Cas {
        let generation = self.liar.generation();
        let turns = record.intent.as_ref().is_some_and(|intent| !intent.forward() && record.generation > generation);
        match self.liar.rule {
            Rule::NeverTurnsBack if turns => Cas::Conflict,
            Rule::HearsItsOwnCopyAlone => {
                self.act.compare_and_set(expected, &Record { abort: None, ..record.clone() }).await
            }
            _ => self.act.compare_and_set(expected, record).await,
        }
    }
}
