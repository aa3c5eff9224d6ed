//! Runs cases on all cores, judges them, and shows what came of them.

use super::cases::Case;
use continuum_core::report::ExecuteResult;
use continuum_scenarios::format;
use continuum_scenarios::outcome::{EntryKind, Outcome, Verdict};
use continuum_scenarios::render;
use continuum_scenarios::runner::{Fabric, RunOptions, Runner};
use continuum_scenarios::simulate::Simulation;
use std::fmt::{self, Write};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{fs, thread};

/// In the place of a checker: the run never came to its end.
pub const UNFINISHED: &str = "unfinished";

/// What came of one run.
pub struct Told {
    /// The case.
    pub case: Case,
    /// The seed.
    pub seed: u64,
    /// Everything that is known of it.
    pub outcome: Outcome,
    /// Why it failed; absent: it passed.
    pub failure: Option<String>,
}

impl Told {
    /// Whether this checker found something; [`UNFINISHED`]: whether the run never came to its end.
    pub fn is_caught_by(&self, checker: &str) -> bool {
        if checker == UNFINISHED {
            return self.outcome.verdict() == Verdict::DidNotFinish;
        }
        self.outcome.checks.iter().any(|check| check.name == checker && !check.ok)
    }
}

/// Runs each case with its seed, as many side by side as there are cores. In the order of `work`.
pub fn run_all(work: &[(Case, u64)], simulation: &Simulation) -> Vec<Told> {
    let next = AtomicUsize::new(0);
    let told: Mutex<Vec<(usize, Told)>> = Mutex::default();
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(&(case, seed)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let one = run(case, seed, simulation);
                    let index = work.iter().position(|item| *item == (case, seed)).unwrap();
                    told.lock().unwrap().push((index, one));
                }
            });
        }
    });
    let mut told = told.into_inner().unwrap();
    told.sort_by_key(|(index, _)| *index);
    told.into_iter().map(|(_, told)| told).collect()
}

fn run(case: Case, seed: u64, simulation: &Simulation) -> Told {
    let mut outcome = run_text(&case.text(), seed, simulation);
    outcome.reproduce = format!("continuum run {} --seed {seed}", file(case).display());
    let failure = failure(&outcome);
    if failure.is_some() {
        // The command that a failure names must find the scenario.
        fs::create_dir_all(file(case).parent().unwrap()).unwrap();
        fs::write(file(case), case.text()).unwrap();
    }
    Told { case, seed, outcome, failure }
}

/// Runs the scenario of this text.
pub fn run_text(text: &str, seed: u64, simulation: &Simulation) -> Outcome {
    let scenario = format::parse("", text).unwrap_or_else(|wrong| panic!("{}\n{text}", wrong[0]));
    simulation.run(&scenario, &RunOptions { file: String::new(), seed, fabric: Fabric::Direct, trace: false })
}

fn file(case: Case) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("fault-table").join(format!("{case}.yaml"))
}

/// Why the run is not what the protocol promises.
fn failure(outcome: &Outcome) -> Option<String> {
    if let Some(crash) = &outcome.crashed {
        return Some(format!("the simulator crashed: {crash}"));
    }
    if let Some(why) = &outcome.did_not_finish {
        return Some(format!("did not finish: {why}"));
    }
    if let Some(check) = outcome.checks.iter().find(|check| !check.ok) {
        return Some(format!("{}: {}", check.name, check.detail));
    }
    if let Some(unmet) = outcome.unmet.first() {
        return Some(format!("{}: expected {}, found {}", unmet.what, unmet.expected, unmet.found));
    }
    // What the checkers do not ask: the end is one of those that the protocol has for it.
    let promoted = outcome.timeline.iter().any(|entry| entry.kind == EntryKind::Step && entry.step == Some(6));
    let primary = outcome.result.primary.as_deref();
    match outcome.result.result {
        Some(ExecuteResult::Succeeded) if primary == Some("hel") => None,
        _ if promoted => Some(format!("step 6 started, and the end is {:?}", outcome.result.result)),
        // Honest where the witness gave no answer; what it came to is judged here.
        Some(ExecuteResult::Unknown) if primary == Some("fsn") && outcome.scenario.contains("api-witness") => None,
        Some(ExecuteResult::Undone | ExecuteResult::Refused) if primary == Some("fsn") => None,
        other => Some(format!("it ended as {other:?}, with {primary:?} as primary")),
    }
}

/// A line for each case: how its runs ended, and how long no client could write.
pub fn table(told: &[Told]) -> String {
    let mut table = String::new();
    let mut rest = told;
    while let Some(first) = rest.first() {
        let count = rest.iter().take_while(|told| told.case == first.case).count();
        let (same, others) = rest.split_at(count);
        rest = others;
        let ends: Vec<String> = same.iter().map(Told::end).collect();
        writeln!(table, "{:<44} {}", first.case.to_string(), ends.join("   ")).unwrap();
    }
    table
}

impl Told {
    fn end(&self) -> String {
        if self.failure.is_some() {
            return "FAILED".into();
        }
        let result = self.outcome.result.result.map_or("none".into(), |result| format!("{result:?}").to_lowercase());
        let gap_ms = self.outcome.result.write_gap_ms.unwrap_or_default();
        format!("{result} ({}.{} s without writes)", gap_ms / 1000, gap_ms % 1000 / 100)
    }
}

impl fmt::Display for Told {
    /// Everything that helps to find the cause of a failure.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failure = self.failure.as_deref().unwrap_or("passed");
        writeln!(f, "──── {} (seed {}): {failure}", self.case, self.seed)?;
        writeln!(f, "{}", self.case.text())?;
        writeln!(f, "{}", render::table(&self.outcome))
    }
}
