//! The four operations: DryRun, Execute, RequestFailback, PostSwitchoverHealth.
//!
//! Execute writes the intent and follows the record; the driver of whichever region holds it does the
//! steps. So an Execute whose process dies loses nothing but its caller.

mod failback;
mod follow;
mod health;
mod orders;
mod refusal;

use crate::audit::About;
use crate::clock::{Clock, within};
use crate::keeper::{Keeper, NotWritten};
use crate::look::{Needs, limited, look};
use crate::mailbox::Cancel;
use crate::name::{ObjectName, Region};
use crate::observe::{Accepts, CopyView, Role, Seen};
use crate::plan::{InvalidPlan, Plan};
use crate::ports::{Actors, Observers, Outcome};
use crate::preflight::{Facts, Findings, preflight, report};
use crate::record::{Kind, Record};
use crate::report::{DryRunReport, ExecuteReport, ExecuteResult};
use crate::requests::{Given, failback_served, given, identity, of_failback, of_switchover};
use crate::spec::{Invalid, Spec};
use crate::term::{REQUEST_LIMIT, WITNESS_LIMIT};
use crate::transition::{self, Order, Told};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use orders::{FailbackAnswer, NotTaken};
pub use refusal::{Refusal, RefusedOrder};

/// How often a request is put into a copy that others change meanwhile.
const PUT_TRIES: u32 = 5;
/// Between two tries.
const PUT_PAUSE: Duration = Duration::from_millis(300);

/// Why an operation gave no report.
#[derive(Debug, thiserror::Error)]
pub enum OperationError {
    /// The plan cannot be.
    #[error("{operation}")]
    InvalidPlan {
        /// `dry-run`, `execute`, ...
        operation: &'static str,
        /// What is wrong.
        source: InvalidPlan,
    },
    /// The resource cannot be read.
    #[error("{operation}: the Continuum in {region} cannot be read: {cause}")]
    Unreadable {
        /// Operation.
        operation: &'static str,
        /// Region.
        region: Region,
        /// Why.
        cause: String,
    },
    /// The resource is invalid.
    #[error("{operation}: the resource is invalid")]
    Invalid {
        /// Operation.
        operation: &'static str,
        /// What is wrong.
        source: Invalid,
    },
    /// The caller gave up.
    #[error("{operation}: cancelled")]
    Cancelled {
        /// Operation.
        operation: &'static str,
    },
    /// Its key names another order.
    #[error("{operation}: another order was given with this key; each has its own")]
    KeyOfAnother {
        /// Operation.
        operation: &'static str,
    },
    /// Not approved in time.
    #[error("failback: {cause}")]
    ApprovalTimeout {
        /// Names the limit that it waited for.
        cause: String,
    },
}

impl OperationError {
    /// What went wrong, with every cause below it.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut below = std::error::Error::source(self);
        while let Some(cause) = below {
            text = format!("{text}: {cause}");
            below = cause.source();
        }
        text
    }

    /// The same without the operation's name before it.
    pub fn cause(&self) -> String {
        let (OperationError::InvalidPlan { operation, .. }
        | OperationError::Unreadable { operation, .. }
        | OperationError::Invalid { operation, .. }
        | OperationError::KeyOfAnother { operation }
        | OperationError::Cancelled { operation }) = self
        else {
            return self.chain();
        };
        let text = self.chain();
        text.strip_prefix(operation).and_then(|rest| rest.strip_prefix(": ")).map_or(text.clone(), str::to_owned)
    }
}

/// What Execute is asked.
#[derive(Clone, Debug, Default)]
pub struct ExecuteOrder {
    /// Why; default `operator-requested`.
    pub reason: Option<String>,
    /// Who; default `controller`.
    pub requested_by: Option<String>,
    /// Identity of the request; default: none.
    pub request: Option<String>,
    /// The fingerprint that a person confirmed; Execute refuses where its own differs.
    pub confirmed: Option<String>,
    /// Identity of this order, where the same may be given again; it begins once.
    pub key: Option<String>,
}

impl ExecuteOrder {
    /// What the record remembers it by.
    fn identity(&self) -> Option<String> {
        self.request.clone().or_else(|| self.key.clone())
    }
}

/// What was begun, or why not.
#[derive(Clone, Debug, PartialEq)]
pub enum Begun {
    /// This one, here or by whoever drives.
    Following(Box<Following>),
    /// Nothing was begun; this is the report.
    Report(Box<ExecuteReport>),
}

/// What an operation began, to be followed.
#[derive(Clone, Debug, PartialEq)]
pub struct Following {
    what: What,
    /// The plan, as this region has it.
    plan: Plan,
    /// When it was asked.
    since: Timestamp,
}

#[derive(Clone, Debug, PartialEq)]
enum What {
    /// The switchover, or waiting failback, of this id.
    Id(String),
    /// The request of this identity, which stands in the resource for whoever drives to serve.
    Request(String),
}

impl Following {
    /// The request that stands in the resource for whoever drives to serve; absent: it was begun here.
    pub fn request(&self) -> Option<&str> {
        match &self.what {
            What::Id(_) => None,
            What::Request(request) => Some(request),
        }
    }

    /// Its id; empty where that is not known yet.
    pub fn id(&self) -> &str {
        match &self.what {
            What::Id(id) => id,
            What::Request(_) => "",
        }
    }
}

/// See the module.
pub struct Sequencer {
    /// This region.
    pub me: Region,
    /// The Continuum.
    pub name: ObjectName,
    /// Clock.
    pub clock: Arc<dyn Clock>,
    /// Keeper of the record; absent where no witness is configured.
    pub keeper: Option<Arc<Keeper>>,
    /// What Execute looks through.
    pub observers: Observers,
    /// What a dry run looks through: the same, marked as a dry run's.
    pub dry_observers: Observers,
    /// What Execute writes through.
    pub actors: Actors,
    /// Another replica of this region leads: an order is left in the resource for it, which looks at the world and decides.
    pub waits: bool,
    /// Orders that were refused, until the controller takes them over.
    pub refused: Mutex<Vec<RefusedOrder>>,
    /// How many blockers the last dry run to each region found.
    pub found: Mutex<BTreeMap<Region, usize>>,
}

/// What is asked of another region.
#[derive(Clone, Copy, Debug)]
enum HandedOn {
    Switchover,
    Failback,
}

/// What became of a change of one's own copy.
enum Put {
    /// It stands.
    Done,
    /// It does not, and why.
    Not(String),
    /// Nobody knows.
    Unknown(String),
}

impl Sequencer {
    async fn own_copy(
        &self,
        observers: &Observers,
        operation: &'static str,
    ) -> Result<(CopyView, Arc<Spec>), OperationError> {
        match limited(&*self.clock, REQUEST_LIMIT, observers.copies.copy(&self.me)).await {
            Seen::Is(copy) => match copy.spec.clone() {
                Ok(spec) => Ok((copy, spec)),
                Err(source) => Err(OperationError::Invalid { operation, source }),
            },
            other => Err(OperationError::Unreadable {
                operation,
                region: self.me.clone(),
                cause: other.why().unwrap_or_default(),
            }),
        }
    }

    /// What Execute would find: read-only end to end.
    pub async fn dry_run(
        &self,
        to: &Region,
        reason: Option<&str>,
        cancel: &Cancel,
    ) -> Result<DryRunReport, OperationError> {
        let operation = "dry-run";
        let work = async {
            let (_, spec) = self.own_copy(&self.dry_observers, operation).await?;
            let plan = Plan::new(&self.name, &spec, to, reason, None)
                .map_err(|source| OperationError::InvalidPlan { operation, source })?;
            let (findings, _) = self.findings(&plan, &self.dry_observers).await;
            let found = findings.blockers().count();
            self.found.lock().unwrap_or_else(PoisonError::into_inner).insert(to.clone(), found);
            Ok(report(&plan, &findings, self.clock.wall()))
        };
        cancel.unless(work).await.unwrap_or(Err(OperationError::Cancelled { operation }))
    }

    /// Looks at everything and checks it.
    async fn findings(&self, plan: &Plan, observers: &Observers) -> (Findings, Facts<'static>) {
        let (observations, witness) =
            futures_util::future::join(look(observers, &*self.clock, plan, Needs::ALL, &[]), self.read(observers))
                .await;
        let view = self.keeper.as_ref().and_then(|k| k.view());
        let stale_for = view
            .filter(|v| matches!(&witness, Seen::Is(now) if now.as_ref() == v.record.as_deref()))
            .map(|v| self.clock.now().since(v.first_seen));
        let facts = Facts { observations, witness, stale_for, me: self.me.clone(), in_execution_of: None };
        (preflight(plan, &facts), facts)
    }

    async fn read(&self, observers: &Observers) -> Seen<Option<Record>> {
        let Some(witness) = &observers.witness else { return Seen::Unconfigured };
        match within(&*self.clock, WITNESS_LIMIT, witness.read()).await {
            Some(Ok((_, record))) => Seen::Is(record),
            Some(Err(cause)) => Seen::Unknown(cause),
            None => Seen::Unknown(format!("no answer in {} s", WITNESS_LIMIT.as_secs())),
        }
    }

    /// Moves the role to `to`, and follows the record until that ended.
    pub async fn execute(&self, to: &Region, order: &ExecuteOrder) -> Result<ExecuteReport, OperationError> {
        match self.order(to, order).await? {
            Begun::Report(report) => Ok(*report),
            Begun::Following(what) => Ok(self.follow(&what).await),
        }
    }

    /// Of the keeper's journal, where there is one.
    fn journal_time(&self) -> Timestamp {
        self.keeper.as_ref().map_or_else(|| self.clock.wall(), |keeper| keeper.journal_time())
    }

    /// Checks everything and writes the intent. Nothing is changed where it cannot be executed.
    pub async fn begin(&self, to: &Region, order: &ExecuteOrder) -> Result<Begun, OperationError> {
        let operation = "execute";
        let started = self.journal_time();
        let (_, spec) = self.own_copy(&self.observers, operation).await?;
        let plan = Plan::new(&self.name, &spec, to, order.reason.as_deref(), order.requested_by.as_deref())
            .map_err(|source| OperationError::InvalidPlan { operation, source })?;
        if let Some(former) = self.given_before(operation, order, &spec, &plan, started).await? {
            return Ok(former);
        }
        if self.waits {
            return Ok(self.hand_on(operation, plan, started, order, HandedOn::Switchover).await);
        }
        let refused = |step: u8, cause: &str| Begun::Report(Box::new(self.unbegun(&plan, step, cause, started)));
        // A dry run does not know who will order, so what it showed counts as well.
        let shown = Plan::new(&self.name, &spec, to, order.reason.as_deref(), None).ok();
        if let Some(cause) = orders::changed(order, &plan, shown.as_ref()) {
            return Ok(refused(1, &cause));
        }
        let record = self.keeper.as_ref().and_then(|k| k.record());
        let standing = record.as_ref().and_then(|record| record.intent.as_ref());
        if let Some(intent) = standing.filter(|intent| intent.to() == &plan.to && intent.forward()) {
            return Ok(refused(1, &transition::already_under_way(intent)));
        }
        let (findings, facts) = self.findings(&plan, &self.observers).await;
        if already_there(&plan, &facts) {
            let mut report = self.unbegun(&plan, 0, "", started);
            report.result = ExecuteResult::AlreadyThere;
            report.error = None;
            return Ok(Begun::Report(Box::new(report)));
        }
        if let Some(blocker) = findings.blockers().next() {
            return Ok(refused(blocker.step(), &blocker.text));
        }
        let Some(keeper) = &self.keeper else { return Ok(refused(1, "no witness is configured")) };
        // A free record is taken by the region that the role is to leave: only it may begin.
        let holder = facts.witness.known().and_then(|r| r.as_ref()?.holder.clone()).unwrap_or(plan.from.clone());
        if holder != self.me {
            if order.request.is_some() {
                return Ok(refused(1, &format!("{holder} drives it, and this request is not made another one")));
            }
            return Ok(self.hand_on(operation, plan, started, order, HandedOn::Switchover).await);
        }
        let order = Order { plan: plan.clone(), kind: Kind::Planned, request: order.identity(), now: started };
        let timeline = facts.observations.half(&order.plan.from).database.known().and_then(|d| d.timeline);
        match self.write_intent(keeper, &order, timeline).await {
            Ok(record) => {
                let id = record.intent.map(|i| i.id).unwrap_or_default();
                Ok(Begun::Following(Box::new(Following { what: What::Id(id), plan, since: started })))
            }
            Err(cause @ NotWritten::Unreachable(_)) => {
                // The write may still land, and then it is driven.
                let why = format!("whether it began is not known, the status will tell: {cause}");
                Ok(Begun::Report(Box::new(self.unknown(&plan, "", &why, started))))
            }
            Err(cause) => Ok(refused(1, &cause.to_string())),
        }
    }

    async fn write_intent(&self, keeper: &Keeper, order: &Order, timeline: Option<u32>) -> Result<Record, NotWritten> {
        let (me, ttl) = (self.me.clone(), order.plan.lease.ttl_seconds);
        if keeper.record().is_none_or(|r| r.holder.is_none()) {
            // The dry run warned that the lease is taken cold.
            let (plan, at) = (order.plan.clone(), order.now);
            let acquire = move |record: &Record| {
                transition::acquire(record, &me, ttl, timeline, Some(Told { about: About::plan(&plan), at }))
            };
            keeper.update(acquire).await?;
        }
        let (me, order) = (self.me.clone(), order.clone());
        keeper.update(move |record| transition::begin(record, &me, &order)).await
    }

    /// Puts the request into one's own copy, for the holder, which reads requests from both. Under the order's key, where it
    /// has one: given again, it finds itself there, and in the record once it was served.
    async fn hand_on(
        &self,
        operation: &'static str,
        plan: Plan,
        since: Timestamp,
        order: &ExecuteOrder,
        asked: HandedOn,
    ) -> Begun {
        let key = order.key.as_ref();
        let told_key = key.map(|key| format!("{since} {key}"));
        let patch = match asked {
            HandedOn::Switchover => json!({ "switchover": {
                "requested": true,
                "targetRegion": plan.to,
                "requestedAt": since,
                "idempotencyKey": told_key,
                "requestedBy": plan.initiated_by,
                "reason": plan.reason,
                "confirmedFingerprint": order.confirmed,
            } }),
            HandedOn::Failback => json!({ "failback": {
                "requested": true,
                "requestedAt": since,
                "idempotencyKey": told_key,
                "requestedBy": plan.initiated_by,
                "confirmedFingerprint": order.confirmed,
                "approved": false,
                "approvedAt": null,
                "refused": false,
                "answered": null,
            } }),
        };
        let unbegun = |cause: &str| Begun::Report(Box::new(self.unbegun(&plan, 1, cause, since)));
        match self.put(operation, Some((asked, key)), &patch).await {
            Put::Done => {
                let request = key.cloned().unwrap_or_else(|| identity(&plan.to, since, Some(&plan.initiated_by)));
                Begun::Following(Box::new(Following { what: What::Request(request), plan, since }))
            }
            Put::Not(why) => unbegun(&format!("the request could not be put into the resource: {why}")),
            Put::Unknown(why) => {
                let why = format!("whether the request stands in the resource is not known: {why}");
                Begun::Report(Box::new(self.unknown(&plan, "", &why, since)))
            }
        }
    }

    /// Patches the spec of one's own copy; where something is asked by it, over no request of somebody else. The status changes often, and with it
    /// the version, so it is tried again.
    async fn put(&self, operation: &'static str, asked: Option<(HandedOn, Option<&String>)>, patch: &Value) -> Put {
        let mut last = String::new();
        for _ in 0..PUT_TRIES {
            let (copy, spec) = match self.own_copy(&self.observers, operation).await {
                Ok(own) => own,
                Err(error) => return Put::Not(error.chain()),
            };
            if let Some((asked, key)) = asked
                && let Some(id) = self.standing(&spec, asked)
            {
                // With its own key it was left there before, and whoever left it did not hear so.
                let is_own = key.is_some_and(|key| given(key, &id) == Given::Again);
                let why = "another request, or an answer to one, stands there";
                return if is_own { Put::Done } else { Put::Not(why.into()) };
            }
            let write = self.actors.copy.patch_spec(&copy.resource_version, patch);
            match within(&*self.clock, REQUEST_LIMIT, write).await {
                Some(Outcome::Done(())) => return Put::Done,
                Some(Outcome::NotApplied(why)) => last = why,
                Some(Outcome::Refused(why)) => return Put::Not(why),
                Some(Outcome::Unknown(why)) => return Put::Unknown(why),
                None => return Put::Unknown(format!("no answer in {} s", REQUEST_LIMIT.as_secs())),
            }
            self.clock.sleep(PUT_PAUSE).await;
        }
        Put::Not(format!("tried {PUT_TRIES} times: {last}"))
    }

    /// The identity of a request that was not served, where one stands in the spec where this one is to be written.
    fn standing(&self, spec: &Spec, asked: HandedOn) -> Option<String> {
        let record = self.keeper.as_ref().and_then(|k| k.record());
        let served = |id: &String| record.as_ref().is_some_and(|record| record.has_served(id));
        match asked {
            HandedOn::Switchover => spec.switchover.as_ref().map(of_switchover).filter(|id| !served(id)),
            HandedOn::Failback => {
                let id = of_failback(&spec.failback, spec.standbys.first().unwrap_or(&spec.primary))?;
                record.as_ref().is_none_or(|record| !failback_served(record, spec)).then_some(id)
            }
        }
    }

    /// Whoever gave the order hears that it was refused; the stream is owed it too.
    fn note_refusal(&self, to: &Region, order: &ExecuteOrder, begun: &Result<Begun, OperationError>) {
        // Who waits tells the stream nothing: its ledger is the leader's.
        if let Some(refusal) = Refusal::of(to, begun).filter(|_| !self.waits) {
            let refused = RefusedOrder { refusal, by: order.requested_by.clone(), at: self.clock.wall() };
            self.refused.lock().unwrap_or_else(PoisonError::into_inner).push(refused);
        }
    }

    /// How many blockers the last dry run to each region found.
    pub fn blockers(&self) -> BTreeMap<Region, usize> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The orders that were refused since the last call.
    pub fn take_refused(&self) -> Vec<RefusedOrder> {
        std::mem::take(&mut *self.refused.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Part of the text of a failback that was not approved in time.
pub const TIMED_OUT: &str = "approval timeout";

/// `to` holds the lease and its half is the acting primary.
fn already_there(plan: &Plan, facts: &Facts<'_>) -> bool {
    let holds = matches!(&facts.witness, Seen::Is(Some(record)) if record.held_by(&plan.to) && record.intent.is_none());
    let half = facts.observations.half(&plan.to);
    holds
        && half.cluster.known().is_some_and(|c| c.role == Role::Primary)
        && match &half.database {
            Seen::Is(database) => database.accepts == Accepts::Yes,
            other => *other == Seen::Unconfigured,
        }
}
