//! The command `continuum`: its arguments, and what each of its commands does. It runs no scenario itself.

mod run;

use crate::format::{self, Mistake, Scenario};
use crate::outcome;
use crate::runner::Runner;
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// The command was used wrongly, or a file is wrong; nothing ran.
pub const EXIT_USAGE: u8 = 64;

/// What was found out could not be written.
const EXIT_OUTPUT: u8 = 74;

const EXIT_CODES: &str = "Exit codes: 0 passed, 1 a check or an expectation failed, 2 did not finish, \
64 wrong arguments or a mistake in a file (nothing ran), 70 the simulator crashed, 74 the output cannot be written.";

/// Runs switchover scenarios in a simulated pair of regions, on the code that runs in production.
#[derive(Debug, Parser)]
#[command(name = "continuum", version, after_help = EXIT_CODES, max_term_width = 110)]
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
        /// Scenario files, or folders of them.
        #[arg(required = true, value_name = "FILE|FOLDER")]
        paths: Vec<PathBuf>,
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
}

/// Arguments of `continuum run`.
#[derive(Debug, clap::Args)]
struct RunArguments {
    /// Scenario files, or folders of them.
    #[arg(required = true, value_name = "FILE|FOLDER")]
    paths: Vec<PathBuf>,
    /// Seed of every run, instead of the scenario's own.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// How the outcome is shown.
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    output: Output,
    /// Write the trace of the run here: what a live controller logs, with simulated time and host. One scenario only.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// How many runs go side by side. Left out: one for each processor.
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Table,
    /// As `continuum schema --of report` describes.
    Json,
    /// The same in YAML.
    Yaml,
}

/// Runs the command with the process's arguments.
pub fn main(runner: &dyn Runner) -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nothing is left to do where even this cannot be printed.
            let _ = error.print();
            return if error.use_stderr() { EXIT_USAGE.into() } else { ExitCode::SUCCESS };
        }
    };
    match cli.command {
        Command::Run(arguments) => run::run(&arguments, runner),
        Command::Lint { paths } => lint(&paths),
        Command::Schema { of } => {
            let schema = match of {
                SchemaOf::Scenario => format::schema(),
                SchemaOf::Report => outcome::schema(),
            };
            show(&format!("{schema:#}\n")).unwrap_or(ExitCode::SUCCESS)
        }
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "continuum", &mut std::io::stdout());
            ExitCode::SUCCESS
        }
    }
}

/// Writes to standard output. The exit code where that cannot be done; a reader that closed the pipe has seen
/// what it wanted.
fn show(text: &str) -> Option<ExitCode> {
    let mut out = anstream::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    let error = written.err().filter(|error| error.kind() != ErrorKind::BrokenPipe)?;
    anstream::eprintln!("the output cannot be written: {error}");
    Some(EXIT_OUTPUT.into())
}

fn lint(paths: &[PathBuf]) -> ExitCode {
    match load_all(paths) {
        Ok(scenarios) => {
            anstream::println!("{} checked, no mistakes", counted(scenarios.len(), "scenario"));
            ExitCode::SUCCESS
        }
        Err(mistakes) => complain(&mistakes),
    }
}

/// Every scenario that the paths name, with its file; or every mistake in them.
fn load_all(paths: &[PathBuf]) -> Result<Vec<(String, Scenario)>, Vec<Mistake>> {
    let mut scenarios = Vec::new();
    let mut mistakes = Vec::new();
    for path in format::find(paths)? {
        match format::load(&path) {
            Ok(scenario) => scenarios.push((path.display().to_string(), scenario)),
            Err(found) => mistakes.extend(found),
        }
    }
    if mistakes.is_empty() { Ok(scenarios) } else { Err(mistakes) }
}

fn complain(mistakes: &[Mistake]) -> ExitCode {
    for mistake in mistakes {
        anstream::eprintln!("{mistake}\n");
    }
    anstream::eprintln!("{}; nothing ran", counted(mistakes.len(), "mistake"));
    EXIT_USAGE.into()
}

fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
