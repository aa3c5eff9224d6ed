//! Shows outcomes. Every view shows the same facts; none adds any.

#[cfg(test)]
pub(crate) mod example;
mod layout;
mod table;

pub use self::table::{summary, table};

use crate::outcome::{Outcome, RunReport};

/// As JSON, with a line end.
pub fn json(outcomes: &[Outcome]) -> String {
    let text = serde_json::to_string_pretty(&RunReport::of(outcomes)).expect("a report has string keys only");
    text + "\n"
}

/// As YAML.
pub fn yaml(outcomes: &[Outcome]) -> String {
    serde_saphyr::to_string(&RunReport::of(outcomes)).expect("a report has string keys only")
}

#[cfg(test)]
mod tests;
