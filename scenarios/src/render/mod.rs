//! Shows outcomes. Every view shows the same facts; none adds any.

#[cfg(test)]
pub(crate) mod example;
mod fit;
mod layout;
mod sweep;
mod table;

pub use self::fit::fit;
pub use self::sweep::sweep;
pub use self::table::{summary, table};

use crate::outcome::{Outcome, RunReport};
use crate::sweep::SweepReport;
use serde::Serialize;

/// As JSON, with a line end.
pub fn json(outcomes: &[Outcome]) -> String {
    report_json(&RunReport::of(outcomes))
}

/// As YAML.
pub fn yaml(outcomes: &[Outcome]) -> String {
    report_yaml(&RunReport::of(outcomes))
}

/// A report as JSON.
pub fn report_json(report: &RunReport) -> String {
    to_json(report)
}

/// A report as YAML.
pub fn report_yaml(report: &RunReport) -> String {
    to_yaml(report)
}

/// Many seeds as JSON.
pub fn sweep_json(report: &SweepReport) -> String {
    to_json(report)
}

/// Many seeds as YAML.
pub fn sweep_yaml(report: &SweepReport) -> String {
    to_yaml(report)
}

fn to_json(report: &impl Serialize) -> String {
    serde_json::to_string_pretty(report).expect("a report has string keys only") + "\n"
}

fn to_yaml(report: &impl Serialize) -> String {
    serde_saphyr::to_string(report).expect("a report has string keys only")
}

#[cfg(test)]
mod tests;
