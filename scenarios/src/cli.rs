//! The command `continuum`: its arguments, and what each of its commands does. It runs no scenario itself.

mod ask;
mod pool;
mod progress;
mod run;
mod seeds;
mod trace_file;

use crate::format::{self, Mistake, Scenario};
use crate::runner::{Fabric, Runner};
use crate::wrap::wrap;
use crate::{outcome, sweep};
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use std::collections::BTreeSet;
use std::io::{ErrorKind, Write};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// The command was used wrongly, or a file is wrong; nothing ran.
pub const EXIT_USAGE: u8 = 64;

/// What was found out could not be written.
pub const EXIT_OUTPUT: u8 = 74;

/// Exit codes of what ran, the worst last: a crashed simulator makes everything else doubtful, and what could not be
/// written may be missed.
const SEVERITY: [u8; 5] = [0, 2, 1, EXIT_OUTPUT, 70];

const EXIT_CODES: &str = "Exit codes: 0 passed, 1 a check or an expectation failed, 2 did not finish or was \
interrupted, 64 wrong arguments or a mistake in a file (nothing ran), 70 the simulator crashed, 74 the output or the \
trace cannot be written. Of several the worst: 70, then 74, 1, 2.";

/// Lines are no longer than this where the terminal is wider.
const WIDTH_MAX: usize = 110;
/// Lines are not made shorter than this.
const WIDTH_MIN: usize = 40;

/// Runs switchover scenarios in a simulated pair of regions. Their controllers are the same code that runs in
/// production; this command deploys and touches nothing real.
#[derive(Debug, Parser)]
#[command(name = "continuum", version, after_help = EXIT_CODES, max_term_width = WIDTH_MAX)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run scenarios and judge them.
    #[command(after_help = EXIT_CODES)]
    Run(RunArguments),
    /// Look for mistakes in scenario files; nothing runs.
    Lint {
        /// Scenario files, whatever their names end in, or folders of .yaml and .yml files.
        #[arg(required = true, value_name = "FILE|FOLDER")]
        paths: Vec<PathBuf>,
    },
    /// Explain a fault, an operation, a check, a step of a switchover, a key of the world, a condition, an
    /// expectation, a host, a moment, or an incident.
    Explain {
        /// A name: `partition`, `one-writer`, `swap-lease`, `step 4`, `dns.lua`, `H25`. Or a kind, to list its names:
        /// `fault`, `operation`, `check`, `step`, `world`, `condition`, `expectation`, `host`, `moment`, `incident`. Left out: all kinds.
        topic: Vec<String>,
    },
    /// Print a JSON schema, for editors and readers.
    Schema {
        /// What it describes.
        #[arg(long = "of", value_enum, default_value_t = SchemaOf::Scenario)]
        of: SchemaOf,
    },
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SchemaOf {
    /// A scenario file.
    Scenario,
    /// What `run --output json` writes.
    Report,
    /// What `run --seeds --output json` writes.
    Sweep,
}

/// Arguments of `continuum run`.
#[derive(Debug, clap::Args)]
struct RunArguments {
    /// Scenario files, whatever their names end in, or folders of .yaml and .yml files.
    #[arg(required = true, value_name = "FILE|FOLDER")]
    paths: Vec<PathBuf>,
    /// Seed of every run, instead of the scenario's own.
    #[arg(long, value_name = "N", value_parser = seeds::parse_one, allow_negative_numbers = true)]
    seed: Option<u64>,
    /// Run every scenario with each seed from A to B, and sum up. Whole outcomes are shown by `--seed`.
    #[arg(long, value_name = "A..B", value_parser = seeds::parse, allow_hyphen_values = true, conflicts_with_all = ["seed", "trace"])]
    seeds: Option<RangeInclusive<u64>>,
    /// The simulated network. Each moves bytes at times of its own, so one seed is two different runs on the two.
    #[arg(long, value_enum, default_value_t = Fabric::Turmoil)]
    fabric: Fabric,
    /// How the outcome is shown.
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    output: Output,
    /// Write the trace of the run here: what a live controller logs, with simulated time and host. A file that is
    /// there already is replaced, where it is no scenario. One scenario only.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// How many runs go side by side. Left out: one for each processor.
    #[arg(long, short, value_name = "N", value_parser = parse_jobs, allow_negative_numbers = true)]
    jobs: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Table,
    /// As `continuum schema --of report` describes, or `--of sweep`.
    Json,
    /// The same in YAML.
    Yaml,
}

/// Runs the command with the process's arguments.
pub fn main(runner: &Arc<dyn Runner>) -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nothing is left to do where even this cannot be printed.
            let _ = error.print();
            return if error.use_stderr() { EXIT_USAGE.into() } else { ExitCode::SUCCESS };
        }
    };
    let code = match cli.command {
        Command::Run(arguments) => run::run(&arguments, runner),
        Command::Lint { paths } => lint(&paths),
        Command::Explain { topic } => ask::explain(&topic.join(" ")),
        Command::Schema { of } => {
            let schema = match of {
                SchemaOf::Scenario => format::schema(),
                SchemaOf::Report => outcome::schema(),
                SchemaOf::Sweep => sweep::schema(),
            };
            show(&format!("{schema:#}\n"))
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "continuum", &mut script);
            show(&String::from_utf8_lossy(&script))
        }
    };
    code.into()
}

fn parse_jobs(text: &str) -> Result<u16, String> {
    let jobs = text.parse().ok().filter(|jobs| *jobs > 0);
    jobs.ok_or_else(|| format!("expected a whole number, 1 to {}", u16::MAX))
}

/// The worst of several exit codes.
fn worst(codes: impl IntoIterator<Item = u8>) -> u8 {
    let severity = |code: &u8| SEVERITY.iter().position(|known| known == code);
    codes.into_iter().max_by_key(severity).unwrap_or_default()
}

/// Writes to standard output. The exit code: a reader that closed the pipe has seen what it wanted.
fn show(text: &str) -> u8 {
    let mut out = anstream::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match written.err().filter(|error| error.kind() != ErrorKind::BrokenPipe) {
        None => 0,
        Some(error) => {
            tell(&format!("the output cannot be written: {error}"));
            EXIT_OUTPUT
        }
    }
}

/// Writes a line to standard error. Where nobody reads it, work goes on: what was found out is on standard output.
fn tell(line: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{line}");
}

/// How long a line may be: `COLUMNS` where it is set, else the terminal's width, within bounds.
fn width() -> usize {
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let terminal = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    columns.or_else(terminal).unwrap_or(WIDTH_MAX).clamp(WIDTH_MIN, WIDTH_MAX)
}

fn lint(paths: &[PathBuf]) -> u8 {
    match load_all(paths) {
        Ok(scenarios) => show(&format!("{} checked, no mistakes\n", counted(scenarios.len(), "scenario"))),
        Err(mistakes) => complain(&mistakes),
    }
}

/// Every scenario that the paths name, with its file; or every mistake in them.
fn load_all(paths: &[PathBuf]) -> Result<Vec<(PathBuf, Scenario)>, Vec<Mistake>> {
    let mut scenarios = Vec::new();
    let mut mistakes = Vec::new();
    let mut seen = BTreeSet::new();
    for path in format::find(paths)? {
        // What has no such path is told of when it is loaded.
        if !seen.insert(path.canonicalize().unwrap_or_else(|_| path.clone())) {
            tell(&format!("{}: named more than once; taken once", path.display()));
            continue;
        }
        match format::load(&path) {
            Ok(scenario) => scenarios.push((path, scenario)),
            Err(found) => mistakes.extend(found),
        }
    }
    if mistakes.is_empty() { Ok(scenarios) } else { Err(mistakes) }
}

fn complain(mistakes: &[Mistake]) -> u8 {
    for mistake in mistakes {
        tell(&format!("{}\n", mistake.within(width())));
    }
    let more = match (mistakes.iter().any(|mistake| mistake.may_hide_others), mistakes.len()) {
        (true, 1) => "; whether there are more shows when it is mended",
        (true, _) => "; whether there are more shows when they are mended",
        (false, _) => "",
    };
    let summary = format!("{}{more}; nothing ran", counted(mistakes.len(), "mistake"));
    tell(&wrap(&summary, width()).join("\n"));
    EXIT_USAGE
}

fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_is_worse_than_lost_output_and_a_failure_worse_than_no_end() {
        assert_eq!(worst([0, 2, 1, 74, 70]), 70);
        assert_eq!(worst([74, 1, 2]), 74);
        assert_eq!(worst([2, 1, 0]), 1);
        assert_eq!(worst([0, 2, 0]), 2);
        assert_eq!(worst([]), 0);
    }
}
