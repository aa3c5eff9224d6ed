//! The simulated world: servers on a simulated network, with faults, in which the production code runs.

pub mod gate;
