//! The core of Continuum: what a switchover is, and every decision about one.
//!
//! ```text
//!   spec ──► plan ──► preflight ──► DryRunReport
//!                        │ (the same preconditions)
//!   record ◄── transition   next(record, observations, now, me) ──► Decision
//!     ▲            ▲                                                  │
//!     │ keeper     └──────────────── driver ◄─────────────────────────┘
//!     │ (renews, owns the record)      │ acts through ports
//!     ▼                                ▼
//!   witness port                  pair, route, DNS, audit ports
//! ```
//!
//! Decisions are pure functions. Drivers do the I/O around them and hold no logic. This crate names no
//! Kubernetes, NATS, DNS, HTTP, socket, clock or random source: what it needs of them stands in [`ports`].

pub mod audit;
pub mod clock;
pub mod controller;
pub mod driver;
pub mod health;
pub mod keeper;
pub mod ledger;
pub mod look;
pub mod mailbox;
pub mod measures;
pub mod name;
pub mod next;
pub mod observe;
pub mod plan;
pub mod ports;
pub mod preflight;
pub mod publisher;
pub mod record;
pub mod records;
pub mod report;
pub mod requests;
pub mod roles;
pub mod sequencer;
pub mod spec;
pub mod status;
pub mod steps;
pub mod summary;
pub mod term;
#[cfg(test)]
mod testing;
pub mod token;
pub mod transition;
pub mod weights;
