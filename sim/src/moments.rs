//! When the steps of a switchover started and when the world first showed their effects, in simulated time.
//!
//! A step has *started* when the stored record first shows it; its *effect* is the one of the protocol's
//! table, seen in the servers, never by the controller under test. [`Watch`] looks, between ticks.

mod watch;

pub(crate) use watch::weights;
pub use watch::{Half, Sample, Sources, Watch};

use continuum_core::name::Region;
use std::time::Duration;

/// The moments of one switchover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// Id of its intent.
    pub intent: String,
    /// From.
    pub from: Region,
    /// To.
    pub to: Region,
    /// When the intent left the record. Absent: it stands there.
    pub ended: Option<Duration>,
    started: [Option<Duration>; 7],
    effect: [Option<Duration>; 7],
}

impl Move {
    /// One of which nothing was seen yet.
    pub fn new(intent: &str, from: &Region, to: &Region) -> Self {
        Self {
            intent: intent.to_owned(),
            from: from.clone(),
            to: to.clone(),
            ended: None,
            started: [None; 7],
            effect: [None; 7],
        }
    }

    /// When the record first showed that this step started, 1 to 7.
    pub fn started(&self, step: u8) -> Option<Duration> {
        self.started[usize::from(step) - 1]
    }

    /// When the world first showed this step's effect, 1 to 7.
    pub fn effect(&self, step: u8) -> Option<Duration> {
        self.effect[usize::from(step) - 1]
    }

    /// Notes that the step started, unless that is known.
    pub fn note_started(&mut self, step: u8, at: Duration) {
        self.started[usize::from(step) - 1].get_or_insert(at);
    }

    /// Notes that the step's effect is there, unless that is known.
    pub fn note_effect(&mut self, step: u8, at: Duration) {
        self.effect[usize::from(step) - 1].get_or_insert(at);
    }
}

/// Which moments were seen when it was taken: what comes after is told apart by order, not by time, since much
/// happens at one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    moves: usize,
    started: [bool; 7],
    effect: [bool; 7],
}

/// The moments of all switchovers of a run, in the order in which they began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moments {
    moves: Vec<Move>,
}

impl Moments {
    /// Of these switchovers.
    pub fn new(moves: Vec<Move>) -> Self {
        Self { moves }
    }

    /// Every switchover.
    pub fn moves(&self) -> &[Move] {
        &self.moves
    }

    /// A switchover begins.
    pub(crate) fn begin(&mut self, move_: Move) {
        self.moves.push(move_);
    }

    pub(crate) fn current_mut(&mut self) -> Option<&mut Move> {
        self.moves.last_mut()
    }

    /// The last switchover that began, whether it ended or not.
    pub fn current(&self) -> Option<&Move> {
        self.moves.last()
    }

    /// What was seen so far.
    pub fn seen(&self) -> Seen {
        let Some(current) = self.current() else { return Seen::default() };
        let (started, effect) = (current.started.map(|at| at.is_some()), current.effect.map(|at| at.is_some()));
        Seen { moves: self.moves.len(), started, effect }
    }

    /// Whether the record first showed after `seen` that this step of the last switchover started.
    pub fn has_started_since(&self, step: u8, seen: &Seen) -> bool {
        let known = seen.moves == self.moves.len() && seen.started[usize::from(step) - 1];
        self.started(step).is_some() && !known
    }

    /// Whether the world first showed after `seen` this step's effect in the last switchover.
    pub fn has_effect_since(&self, step: u8, seen: &Seen) -> bool {
        let known = seen.moves == self.moves.len() && seen.effect[usize::from(step) - 1];
        self.effect(step).is_some() && !known
    }

    /// When the record first showed that this step of the last switchover started.
    pub fn started(&self, step: u8) -> Option<Duration> {
        self.current()?.started(step)
    }

    /// When the world first showed this step's effect in the last switchover.
    pub fn effect(&self, step: u8) -> Option<Duration> {
        self.current()?.effect(step)
    }
}
