//! Scenario files, what a run of one gives, and the command `continuum`.
//!
//! ```text
//!   file ──► format ──► Scenario ──► Runner ──► Outcome ──► render (table, json, yaml)
//!            (lint, schema)          (a simulated world)
//! ```
//!
//! This crate says what a scenario is and how a run is shown. What a switchover does is `core`'s, and what the
//! world does `sim`'s.

pub mod cli;
pub mod explain;
pub mod format;
pub mod outcome;
pub mod render;
pub mod runner;
pub mod simulate;
pub mod sweep;
mod wrap;
