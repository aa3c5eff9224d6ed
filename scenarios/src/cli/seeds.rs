//! `continuum run --seeds`: a line for each scenario, and one for each run that did not pass.

use super::pool::{Ending, Plan, run_all};
use super::progress::Progress;
use super::run::interrupted;
use super::{Output, show, tell, width, worst};
use crate::outcome::Verdict;
use crate::render;
use crate::runner::Runner;
use crate::sweep::{SweepReport, Tally};
use std::ops::RangeInclusive;
use std::sync::Arc;

pub(super) fn run(
    plan: &Arc<Plan>,
    seeds: &RangeInclusive<u64>,
    jobs: usize,
    runner: &Arc<dyn Runner>,
    output: Output,
) -> u8 {
    let tally = |(file, scenario): &(String, crate::format::Scenario)| {
        Tally::new(scenario.metadata.name.to_string(), file.clone(), seeds)
    };
    let mut tallies: Vec<Tally> = plan.scenarios.iter().map(tally).collect();
    let mut progress = Progress::new(plan.len());
    let mut ended = 0;
    let ending = run_all(plan, jobs, runner, |index, outcome| {
        progress.one_more(&outcome);
        ended += 1;
        tallies[index / plan.runs_of_each()].add(outcome);
    });
    drop(progress);
    let mut codes: Vec<u8> = tallies.iter().map(|tally| tally.worst().exit_code()).collect();
    let report = SweepReport { sweeps: tallies.into_iter().map(Tally::end).collect() };
    codes.push(show(&match output {
        Output::Json => render::sweep_json(&report),
        Output::Yaml => render::sweep_yaml(&report),
        Output::Table => render::sweep(&report, width()),
    }));
    if ending == Ending::Interrupted {
        tell(&interrupted(plan.len() - ended));
        codes.push(Verdict::DidNotFinish.exit_code());
    }
    worst(codes)
}

/// Reads a seed.
pub(super) fn parse_one(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "expected a whole number, 0 to 2^64 - 1".to_owned())
}

/// Reads `A..B`: from A to B, both included.
pub(super) fn parse(text: &str) -> Result<RangeInclusive<u64>, String> {
    let wrong = || "expected A..B, from seed A to seed B, both included: 1..200".to_owned();
    let (first, last) = text.split_once("..").ok_or_else(wrong)?;
    let number = |text: &str| text.parse::<u64>().map_err(|_| wrong());
    let (first, last) = (number(first)?, number(last)?);
    if first > last {
        return Err(format!("no seed is from {first} to {last}: exchange them"));
    }
    Ok(first..=last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_are_included() {
        assert_eq!(parse("1..200"), Ok(1..=200));
        assert_eq!(parse("7..7"), Ok(7..=7));
    }

    #[test]
    fn what_is_no_range_is_refused_with_an_example() {
        for text in ["5", "1..", "..5", "a..b", "1...5", "1..=5", "-1..5", ""] {
            assert!(parse(text).is_err_and(|why| why.contains("1..200")), "{text}");
        }
        assert!(parse("9..3").is_err());
    }
}
