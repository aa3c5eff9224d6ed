//! The gate every request to a simulated server passes, before it is applied and before it is answered:
//! where faults bite, and where ground truth is counted. Servers ask; they know no fault.

use std::sync::Arc;
use std::time::Duration;

/// A request as its server received it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Host of the server: `api.fsn`, `api.hel`, `api.witness`, `dns`, `nats`.
    pub server: String,
    /// Host that asks, `controller.fsn`.
    pub from: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `query`, `publish`.
    pub verb: String,
    /// Object: `clusters/shop-fsn`, `leases/shop.shop`, `zones/example.org`, `catalyst.audit`.
    pub what: String,
    /// Subresource, `status`; else empty.
    pub subresource: String,
    /// Whether it changes anything when it succeeds.
    pub changing: bool,
    /// It asks whether a change would be taken, and is one that never is (`dryRun=All`; a set that the DNS server
    /// refuses). Not `changing` then.
    pub trial: bool,
    /// It belongs to a dry run (its user agent or client name says so).
    pub dry_run: bool,
    /// The body, for faults that depend on it; empty where there is none.
    pub body: String,
}

/// What happens before a request is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Before {
    /// Apply it.
    Apply,
    /// Do not apply it; answer with this status code (409, 429, 500, 503 ...).
    Answer(u16),
    /// Apply it this much later, whatever its client does meanwhile.
    Delay(Duration),
    /// Never apply it and never answer.
    Hang,
}

/// What happens to the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum After {
    /// Send it.
    Send,
    /// It was applied; say nothing, ever.
    Lose,
    /// Send it this much later.
    Delay(Duration),
    /// It was applied, and its client is told this failure instead (500, 503 ...).
    Answer(u16),
}

/// Decides for every request, and hears of every answer.
pub trait Gate: Send + Sync {
    /// A request arrived.
    fn before(&self, asked: &Asked) -> Before;
    /// It was applied, with this HTTP-like status code.
    fn after(&self, asked: &Asked, status: u16) -> After;
}

/// A gate, shared by all servers of a world.
pub type SharedGate = Arc<dyn Gate>;

/// Lets everything through.
#[derive(Debug, Default)]
pub struct Open;

impl Gate for Open {
    fn before(&self, _: &Asked) -> Before {
        Before::Apply
    }

    fn after(&self, _: &Asked, _: u16) -> After {
        After::Send
    }
}
