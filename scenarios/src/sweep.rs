//! One scenario with many seeds: how often it passed, what the gaps in writes were, and the runs that did not pass.
//! Whole outcomes are not kept, so that the memory does not grow with the number of seeds.

use crate::outcome::{Outcome, Verdict};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// Of so many runs that did not pass the reason is kept, those of the lowest seeds; the others are counted.
pub const KEPT_COUNT_MAX: usize = 100;

/// What `continuum run --seeds --output json` writes.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SweepReport {
    /// One for each scenario, in the order of their files.
    pub sweeps: Vec<Sweep>,
}

/// A scenario with a range of seeds.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sweep {
    /// Name of the scenario.
    pub scenario: String,
    /// Its file, as it was named.
    pub file: String,
    /// The first seed.
    pub first_seed: u64,
    /// The last seed.
    pub last_seed: u64,
    /// How many runs passed.
    pub passed: u64,
    /// How many failed.
    pub failed: u64,
    /// How many did not finish, or crashed.
    pub unfinished: u64,
    /// How many were not run, because a signal came before.
    pub not_run: u64,
    /// The longest time of each run in which no client's write was acknowledged. Absent: there were no clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_gap_ms: Option<Spread>,
    /// The runs that did not pass, by seed; of more than 100 the first.
    pub not_passed: Vec<NotPassed>,
}

/// How values spread: the smallest that is not below this part of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Spread {
    /// Half.
    pub p50: u64,
    /// 95 of 100.
    pub p95: u64,
    /// All.
    pub max: u64,
}

/// A run that did not pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NotPassed {
    /// Its seed.
    pub seed: u64,
    /// Its verdict.
    pub verdict: Verdict,
    /// The first thing that was wrong, and how many more were.
    pub why: String,
    /// The command that gives this run again.
    pub reproduce: String,
}

/// A sweep under way.
pub struct Tally {
    sweep: Sweep,
    /// How often each gap was seen, by its length in ms. Runs are judged by the tick: the lengths are few.
    gaps: BTreeMap<u64, u64>,
    not_passed: BTreeMap<u64, NotPassed>,
    worst: Verdict,
}

impl Tally {
    /// Nothing has run yet.
    pub fn new(scenario: String, file: String, seeds: &RangeInclusive<u64>) -> Self {
        let sweep = Sweep {
            scenario,
            file,
            first_seed: *seeds.start(),
            last_seed: *seeds.end(),
            passed: 0,
            failed: 0,
            unfinished: 0,
            not_run: (seeds.end() - seeds.start()).saturating_add(1),
            write_gap_ms: None,
            not_passed: Vec::new(),
        };
        Self { sweep, gaps: BTreeMap::new(), not_passed: BTreeMap::new(), worst: Verdict::Passed }
    }

    /// Counts a run.
    pub fn add(&mut self, run: Outcome) {
        let verdict = run.verdict();
        self.worst = self.worst.max(verdict);
        self.sweep.not_run -= 1;
        match verdict {
            Verdict::Passed => self.sweep.passed += 1,
            Verdict::Failed => self.sweep.failed += 1,
            Verdict::DidNotFinish | Verdict::Crashed => self.sweep.unfinished += 1,
        }
        if let Some(gap) = run.result.write_gap_ms {
            *self.gaps.entry(gap).or_default() += 1;
        }
        if verdict != Verdict::Passed {
            let why = why(&run);
            self.not_passed.insert(run.seed, NotPassed { seed: run.seed, verdict, why, reproduce: run.reproduce });
            if self.not_passed.len() > KEPT_COUNT_MAX {
                self.not_passed.pop_last();
            }
        }
    }

    /// The worst verdict so far.
    pub fn worst(&self) -> Verdict {
        self.worst
    }

    /// What it came to.
    pub fn end(self) -> Sweep {
        let write_gap_ms = spread(&self.gaps);
        Sweep { write_gap_ms, not_passed: self.not_passed.into_values().collect(), ..self.sweep }
    }
}

/// The value at these parts of all, by nearest rank.
fn spread(counts: &BTreeMap<u64, u64>) -> Option<Spread> {
    let total: u64 = counts.values().sum();
    let max = *counts.keys().next_back()?;
    let at = |percent: u64| {
        let rank = (total * percent).div_ceil(100);
        let mut seen = 0;
        let found = counts.iter().find(|(_, count)| {
            seen += **count;
            seen >= rank
        });
        found.map_or(max, |(value, _)| *value)
    };
    Some(Spread { p50: at(50), p95: at(95), max })
}

/// The first thing that was wrong with a run, and how many more were.
fn why(run: &Outcome) -> String {
    if let Some(why) = run.crashed.as_ref().or(run.did_not_finish.as_ref()) {
        return why.clone();
    }
    let checks = run.checks.iter().filter(|check| check.ok == check.expected_to_fail).map(|check| {
        let detail = if check.ok { "holds, and was expected to fail" } else { &check.detail };
        format!("{}: {detail}", check.name)
    });
    let unmet = run.unmet.iter().map(|unmet| unmet.to_string());
    let mut wrong = checks.chain(unmet);
    let first = wrong.next().unwrap_or_default();
    match wrong.count() {
        0 => first,
        more => format!("{first}; and {more} more"),
    }
}

/// The JSON schema of a [`SweepReport`].
pub fn schema() -> serde_json::Value {
    schemars::generate::SchemaSettings::default()
        .for_serialize()
        .into_generator()
        .into_root_schema_for::<SweepReport>()
        .to_value()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::example;

    fn run(seed: u64, gap_ms: u64) -> Outcome {
        let mut run = example::passed();
        run.seed = seed;
        run.result.write_gap_ms = Some(gap_ms);
        run
    }

    fn tally() -> Tally {
        Tally::new("a".into(), "a.yaml".into(), &(1..=200))
    }

    #[test]
    fn half_of_the_gaps_are_at_most_the_median() {
        let mut tally = tally();
        (1..=100).for_each(|seed| tally.add(run(seed, seed * 10)));
        let sweep = tally.end();
        assert_eq!(sweep.write_gap_ms, Some(Spread { p50: 500, p95: 950, max: 1_000 }));
        assert_eq!((sweep.passed, sweep.not_run), (100, 100));
    }

    #[test]
    fn one_run_is_all_of_its_spread_and_none_has_none() {
        let mut one = tally();
        one.add(run(1, 7));
        assert_eq!(one.end().write_gap_ms, Some(Spread { p50: 7, p95: 7, max: 7 }));
        assert_eq!(tally().end().write_gap_ms, None);
    }

    #[test]
    fn of_too_many_failures_the_lowest_seeds_are_kept_whichever_ended_first() {
        let mut tally = tally();
        for seed in (1..=150).rev() {
            tally.add(Outcome { seed, ..example::failed() });
        }
        let sweep = tally.end();
        assert_eq!((sweep.failed, sweep.not_passed.len()), (150, KEPT_COUNT_MAX));
        assert_eq!(sweep.not_passed.last().map(|run| run.seed), Some(100));
    }

    #[test]
    fn the_first_thing_that_was_wrong_is_why() {
        let mut tally = tally();
        tally.add(Outcome { seed: 1, ..example::failed() });
        tally.add(Outcome { seed: 2, did_not_finish: Some("past 10m".into()), ..example::failed() });
        assert_eq!(tally.worst(), Verdict::Failed);
        let why: Vec<String> = tally.end().not_passed.into_iter().map(|run| run.why).collect();
        assert!(why[0].starts_with("one-writer: fsn-1 and hel-1"), "{why:?}");
        assert_eq!(why[1], "past 10m");
    }
}
