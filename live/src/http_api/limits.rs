//! What one server gives its callers, and how many it serves at a time.

use std::time::Duration;

/// What one server gives its callers.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For the head of a request.
    pub head: Duration,
    /// For its body, from the end of the head.
    pub body: Duration,
    /// For body and answer together.
    pub answer: Duration,
    /// For reading what was answered.
    pub write: Duration,
    /// Connections at one time that have not shown a credential.
    pub strangers_max: usize,
    /// So long one of these keeps its place, where all are taken and another caller waits.
    pub stranger_grace: Duration,
    /// Connections at one time whose request showed one.
    pub admitted_max: usize,
    /// Calls of a kind at one time, where each looks at every server of a Continuum. PostgreSQL lets 100 connections in,
    /// and the application wants them.
    pub looking_max: usize,
}

impl Limits {
    /// CONTRACT 7.
    pub const DEFAULT: Limits = Limits {
        head: Duration::from_secs(10),
        body: Duration::from_secs(30),
        answer: Duration::from_secs(60),
        write: Duration::from_secs(30),
        strangers_max: 64,
        stranger_grace: Duration::from_secs(1),
        admitted_max: 64,
        looking_max: 8,
    };
}
