//! `continuum run`: loads everything, runs it side by side, shows it.

use super::pool::{Ending, Plan, run_all};
use super::progress::Progress;
use super::seeds;
use super::trace_file::TraceFile;
use super::{EXIT_OUTPUT, EXIT_USAGE, Output, RunArguments, complain, counted, load_all, show, tell, width, worst};
use crate::outcome::{Outcome, RunReport, Verdict};
use crate::render;
use crate::runner::Runner;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

pub(super) fn run(arguments: &RunArguments, runner: &Arc<dyn Runner>) -> u8 {
    let scenarios = match load_all(&arguments.paths) {
        Ok(scenarios) => scenarios,
        Err(mistakes) => return complain(&mistakes),
    };
    if arguments.trace.is_some() && scenarios.len() != 1 {
        tell(&format!("--trace takes one scenario, and these are {}", scenarios.len()));
        return EXIT_USAGE;
    }
    let inputs: Vec<PathBuf> = scenarios.iter().map(|(path, _)| path.clone()).collect();
    let trace = match arguments.trace.as_deref().map(|path| TraceFile::open(path, &inputs)).transpose() {
        Ok(trace) => trace,
        Err(refused) => {
            tell(&format!("{}; nothing ran", refused.why));
            return refused.code;
        }
    };
    let jobs = arguments.jobs.map_or_else(|| thread::available_parallelism().map_or(1, NonZero::get), usize::from);
    let seeds = arguments.seeds.clone().or_else(|| arguments.seed.map(|seed| seed..=seed));
    let scenarios = scenarios.into_iter().map(|(path, scenario)| (path.display().to_string(), scenario)).collect();
    let plan = Arc::new(Plan { scenarios, seeds, fabric: arguments.fabric, trace: trace.is_some() });
    match &arguments.seeds {
        Some(range) => seeds::run(&plan, range, jobs, runner, arguments.output),
        None => run_each(&plan, jobs, runner, arguments.output, trace),
    }
}

/// Shows each run in full, or a line for each of several.
fn run_each(plan: &Arc<Plan>, jobs: usize, runner: &Arc<dyn Runner>, output: Output, trace: Option<TraceFile>) -> u8 {
    let mut outcomes: Vec<Option<Outcome>> = vec![None; plan.len()];
    let mut progress = Progress::new(plan.len());
    let ending = run_all(plan, jobs, runner, |index, outcome| {
        progress.one_more(&outcome);
        outcomes[index] = Some(outcome);
    });
    drop(progress);
    let outcomes: Vec<Outcome> = outcomes.into_iter().flatten().collect();
    let report = RunReport { not_run: plan.len() - outcomes.len(), ..RunReport::of(&outcomes) };
    let text = match (output, &outcomes[..]) {
        (Output::Json, _) => render::report_json(&report),
        (Output::Yaml, _) => render::report_yaml(&report),
        (Output::Table, [run]) if plan.len() == 1 => render::fit(&render::table(run), width()),
        (Output::Table, all) => render::fit(&render::summary(all), width()) + &left_out(report.not_run),
    };
    let written =
        trace.zip(outcomes.first()).map_or(Ok(()), |(file, run)| file.write(run.trace.as_deref().unwrap_or_default()));
    let mut codes = vec![report.worst().exit_code(), show(&text)];
    if let Err(why) = written {
        tell(&why);
        codes.push(EXIT_OUTPUT);
    }
    if ending == Ending::Interrupted {
        tell(&interrupted(report.not_run));
        codes.push(Verdict::DidNotFinish.exit_code());
    }
    worst(codes)
}

/// The last line of a summary that is not of all.
fn left_out(not_run: usize) -> String {
    if not_run == 0 { String::new() } else { format!("{not_run} not run\n") }
}

/// What a signal left undone.
pub(super) fn interrupted(not_run: usize) -> String {
    format!("interrupted: {} did not end; what did is above", counted(not_run, "run"))
}
