//! Runs side by side. Who asks for them is told of each as it ends, and of the signal that ends them all: what has
//! finished by then is kept.

use crate::format::Scenario;
use crate::outcome::Outcome;
use crate::runner::{Fabric, RunOptions, Runner};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::thread;

/// What is to be run: every scenario with every seed. Each run is made when its turn comes.
pub(super) struct Plan {
    /// With the file of each.
    pub scenarios: Vec<(String, Scenario)>,
    /// The seeds. `None`: each scenario's own.
    pub seeds: Option<RangeInclusive<u64>>,
    /// The network of every run.
    pub fabric: Fabric,
    /// Whether traces are wanted.
    pub trace: bool,
}

impl Plan {
    /// How many runs there are of each scenario.
    pub fn runs_of_each(&self) -> usize {
        self.seeds
            .as_ref()
            .map_or(1, |seeds| usize::try_from(seeds.end() - seeds.start()).unwrap_or(usize::MAX).saturating_add(1))
    }

    /// How many runs there are.
    pub fn len(&self) -> usize {
        self.scenarios.len().saturating_mul(self.runs_of_each())
    }

    /// A run by its place.
    fn run(&self, index: usize) -> Option<(&Scenario, RunOptions)> {
        let (file, scenario) = self.scenarios.get(index / self.runs_of_each())?;
        let seed = match &self.seeds {
            Some(seeds) => seeds.start() + (index % self.runs_of_each()) as u64,
            None => scenario.spec.seed,
        };
        Some((scenario, RunOptions { file: file.clone(), seed, fabric: self.fabric, trace: self.trace }))
    }
}

/// How running ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Everything ran.
    Complete,
    /// A signal came before.
    Interrupted,
}

enum Event {
    Ended(usize, Box<Outcome>),
    Interrupted,
}

/// Runs all of a plan, `jobs` at a time, and hands over each outcome with its place as it ends. After a signal it
/// returns at once; the process is expected to end soon, and runs under way end with it.
pub(super) fn run_all(
    plan: &Arc<Plan>,
    jobs: usize,
    runner: &Arc<dyn Runner>,
    mut ended: impl FnMut(usize, Outcome),
) -> Ending {
    // Outcomes wait here only until they are taken: what is not kept by the taker costs no memory.
    let (events, inbox) = mpsc::sync_channel(jobs);
    let next = Arc::new(AtomicUsize::new(0));
    listen(events.clone());
    for _ in 0..jobs.min(plan.len()) {
        let (plan, runner, next, events) = (plan.clone(), runner.clone(), next.clone(), events.clone());
        thread::spawn(move || work(&plan, &next, &*runner, &events));
    }
    for _ in 0..plan.len() {
        match inbox.recv() {
            Ok(Event::Ended(index, outcome)) => ended(index, *outcome),
            Ok(Event::Interrupted) | Err(_) => return Ending::Interrupted,
        }
    }
    Ending::Complete
}

fn work(plan: &Plan, next: &AtomicUsize, runner: &dyn Runner, events: &SyncSender<Event>) {
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let Some((scenario, options)) = plan.run(index) else { return };
        let outcome = run_one(scenario, &options, runner);
        if events.send(Event::Ended(index, Box::new(outcome))).is_err() {
            return;
        }
    }
}

/// Tells of the first signal; a second one ends the process as if nobody listened.
fn listen(events: SyncSender<Event>) {
    // Where signals cannot be listened to, they do what they always do.
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM]) else { return };
    thread::spawn(move || {
        let mut heard = false;
        for signal in signals.forever() {
            if heard || events.send(Event::Interrupted).is_err() {
                // It returns only where it could do nothing.
                let _ = low_level::emulate_default_handler(signal);
            }
            heard = true;
        }
    });
}

/// Runs one on a fresh thread: what a thread keeps for itself (hash keys, generators) must not come from another run.
fn run_one(scenario: &Scenario, options: &RunOptions, runner: &dyn Runner) -> Outcome {
    let ended = thread::scope(|scope| {
        thread::Builder::new()
            .name(scenario.metadata.name.to_string())
            .spawn_scoped(scope, || runner.run(scenario, options))
            .map(|run| run.join())
    });
    let crash = match ended {
        Ok(Ok(outcome)) => return outcome,
        Ok(Err(panic)) => panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_else(|| "the run panicked".to_owned()),
        Err(error) => format!("no thread for the run: {error}"),
    };
    Outcome { crashed: Some(crash), ..Outcome::begin(scenario, options) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::parse;
    use crate::outcome::{RunReport, Verdict};

    fn plan(names: &[&str], seeds: Option<RangeInclusive<u64>>) -> Arc<Plan> {
        let scenario = |name: &&str| {
            let text = format!(
                "{{apiVersion: continuum.openova.io/v1alpha1, kind: Scenario, metadata: {{name: {name}}}, \
                 spec: {{seed: 3, steps: [execute: {{to: hel}}]}}}}"
            );
            (format!("{name}.yaml"), parse(name, &text).unwrap())
        };
        Arc::new(Plan { scenarios: names.iter().map(scenario).collect(), seeds, fabric: Fabric::Turmoil, trace: false })
    }

    /// Panics for the scenario `b`, and names the thread of every other.
    struct Half;

    impl Runner for Half {
        fn run(&self, scenario: &Scenario, options: &RunOptions) -> Outcome {
            assert!(scenario.metadata.name.as_str() != "b", "b is too much");
            let trace = thread::current().name().map(str::to_owned);
            Outcome { trace, ..Outcome::begin(scenario, options) }
        }
    }

    fn outcomes(plan: &Arc<Plan>, jobs: usize) -> Vec<Outcome> {
        let mut outcomes = vec![None; plan.len()];
        let runner: Arc<dyn Runner> = Arc::new(Half);
        let ending = run_all(plan, jobs, &runner, |index, outcome| outcomes[index] = Some(outcome));
        assert_eq!(ending, Ending::Complete);
        outcomes.into_iter().map(|outcome| outcome.expect("each ended once")).collect()
    }

    #[test]
    fn a_run_that_panics_crashes_alone_and_the_order_of_the_files_stays() {
        let outcomes = outcomes(&plan(&["a", "b", "c", "d"], None), 3);
        let verdicts: Vec<Verdict> = outcomes.iter().map(Outcome::verdict).collect();
        assert_eq!(verdicts, [Verdict::Passed, Verdict::Crashed, Verdict::Passed, Verdict::Passed]);
        assert_eq!(outcomes[1].crashed.as_deref(), Some("b is too much"));
        assert_eq!(RunReport::of(&outcomes).worst().exit_code(), 70);
    }

    #[test]
    fn every_run_has_a_thread_of_its_own() {
        let threads: Vec<_> = outcomes(&plan(&["a", "c"], None), 1).into_iter().map(|run| run.trace).collect();
        assert_eq!(threads, [Some("a".into()), Some("c".into())]);
    }

    #[test]
    fn every_scenario_runs_with_every_seed_or_with_its_own() {
        let seeds = |seeds| -> Vec<(String, u64)> {
            outcomes(&plan(&["a", "c"], seeds), 2).into_iter().map(|run| (run.scenario, run.seed)).collect()
        };
        let run = |name: &str, seed| (name.to_owned(), seed);
        assert_eq!(seeds(None), [run("a", 3), run("c", 3)]);
        assert_eq!(seeds(Some(8..=9)), [run("a", 8), run("a", 9), run("c", 8), run("c", 9)]);
    }
}
