//! The simulated world: servers on a simulated network, with faults, in which the production code runs.

pub mod determinism;
pub mod fabric;
pub mod gate;
pub mod here;
pub mod servers;
pub mod trace;
