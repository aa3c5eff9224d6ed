//! `continuum run`: loads everything, runs it side by side, shows it.

use super::{EXIT_USAGE, Output, RunArguments, complain, load_all, show};
use crate::format::Scenario;
use crate::outcome::{Outcome, RunReport};
use crate::render;
use crate::runner::{RunOptions, Runner};
use indicatif::{ProgressBar, ProgressStyle};
use std::fs;
use std::io::IsTerminal;
use std::num::NonZero;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

pub(super) fn run(arguments: &RunArguments, runner: &dyn Runner) -> ExitCode {
    let scenarios = match load_all(&arguments.paths) {
        Ok(scenarios) => scenarios,
        Err(mistakes) => return complain(&mistakes),
    };
    if arguments.trace.is_some() && scenarios.len() != 1 {
        anstream::eprintln!("--trace takes one scenario, and these are {}", scenarios.len());
        return EXIT_USAGE.into();
    }
    let jobs = arguments.jobs.map_or_else(|| thread::available_parallelism().map_or(1, NonZero::get), usize::from);
    let outcomes = run_all(&scenarios, arguments, jobs, runner);
    if let (Some(file), [run]) = (&arguments.trace, &outcomes[..])
        && let Err(error) = fs::write(file, run.trace.as_deref().unwrap_or_default())
    {
        anstream::eprintln!("{}: the trace cannot be written: {error}", file.display());
        return EXIT_USAGE.into();
    }
    let text = match (arguments.output, &outcomes[..]) {
        (Output::Json, all) => render::json(all),
        (Output::Yaml, all) => render::yaml(all),
        (Output::Table, [run]) => render::table(run),
        (Output::Table, all) => render::summary(all),
    };
    show(&text).unwrap_or_else(|| RunReport::of(&outcomes).worst().exit_code().into())
}

/// Outcomes in the order of the scenarios, whichever ended first.
fn run_all(
    scenarios: &[(String, Scenario)],
    arguments: &RunArguments,
    jobs: usize,
    runner: &dyn Runner,
) -> Vec<Outcome> {
    let progress = Progress::new(scenarios.len());
    let next = AtomicUsize::new(0);
    let outcomes: Mutex<Vec<Option<Outcome>>> = Mutex::new(vec![None; scenarios.len()]);
    thread::scope(|scope| {
        for _ in 0..jobs.min(scenarios.len()) {
            scope.spawn(|| {
                while let Some((index, (file, scenario))) = take(&next, scenarios) {
                    let options = RunOptions {
                        file: file.clone(),
                        seed: arguments.seed.unwrap_or(scenario.spec.seed),
                        trace: arguments.trace.is_some(),
                    };
                    let outcome = run_one(scenario, &options, runner);
                    progress.one_more(&outcome);
                    outcomes.lock().expect("no run panics while it holds this")[index] = Some(outcome);
                }
            });
        }
    });
    progress.end();
    let outcomes = outcomes.into_inner().expect("no run panics while it holds this");
    outcomes.into_iter().map(|outcome| outcome.expect("every index was taken once")).collect()
}

fn take<'a>(next: &AtomicUsize, all: &'a [(String, Scenario)]) -> Option<(usize, &'a (String, Scenario))> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    all.get(index).map(|item| (index, item))
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

/// Shows how far several runs are: a bar on a terminal, a line for each off it, nothing for a single run.
struct Progress {
    bar: Option<ProgressBar>,
    total: usize,
    ended: AtomicUsize,
    on_terminal: bool,
}

impl Progress {
    fn new(total: usize) -> Self {
        let on_terminal = std::io::stderr().is_terminal();
        let bar = (total > 1 && on_terminal).then(|| {
            let style = ProgressStyle::with_template("[{bar:30}] {pos}/{len}  {msg}")
                .expect("the template is constant and right");
            ProgressBar::new(total as u64).with_style(style.progress_chars("##-"))
        });
        Self { bar, total, ended: AtomicUsize::new(0), on_terminal }
    }

    fn one_more(&self, outcome: &Outcome) {
        let ended = self.ended.fetch_add(1, Ordering::Relaxed) + 1;
        match &self.bar {
            Some(bar) => {
                bar.inc(1);
                bar.set_message(outcome.scenario.clone());
            }
            None if self.total > 1 && !self.on_terminal => {
                anstream::eprintln!("{ended}/{} {}", self.total, outcome.scenario);
            }
            None => {}
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::parse;
    use crate::outcome::Verdict;

    fn scenario(name: &str) -> (String, Scenario) {
        let text = format!(
            "{{apiVersion: continuum.openova.io/v1alpha1, kind: Scenario, metadata: {{name: {name}}}, \
             spec: {{seed: 3, steps: [execute: {{to: hel}}]}}}}"
        );
        (format!("{name}.yaml"), parse(name, &text).unwrap())
    }

    fn arguments(seed: Option<u64>) -> RunArguments {
        RunArguments { paths: Vec::new(), seed, output: Output::Table, trace: None, jobs: None }
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

    #[test]
    fn a_run_that_panics_crashes_alone_and_the_order_of_the_files_stays() {
        let scenarios = ["a", "b", "c", "d"].map(scenario);
        let outcomes = run_all(&scenarios, &arguments(None), 3, &Half);
        let verdicts: Vec<Verdict> = outcomes.iter().map(Outcome::verdict).collect();
        assert_eq!(verdicts, [Verdict::Passed, Verdict::Crashed, Verdict::Passed, Verdict::Passed]);
        assert_eq!(outcomes[1].crashed.as_deref(), Some("b is too much"));
        assert_eq!(RunReport::of(&outcomes).worst().exit_code(), 70);
    }

    #[test]
    fn every_run_has_a_thread_of_its_own() {
        let scenarios = ["a", "c"].map(scenario);
        let outcomes = run_all(&scenarios, &arguments(None), 1, &Half);
        let threads: Vec<_> = outcomes.iter().map(|run| run.trace.as_deref()).collect();
        assert_eq!(threads, [Some("a"), Some("c")]);
    }

    #[test]
    fn the_commands_seed_goes_before_the_scenarios() {
        let scenarios = ["a"].map(scenario);
        let seed = |given| run_all(&scenarios, &arguments(given), 1, &Half)[0].seed;
        assert_eq!((seed(None), seed(Some(9))), (3, 9));
    }
}
