//! Arguments and exit codes.

use crate::clients::read_files;
use crate::config::{Config, Mistakes, VARIABLES, Values};
use crate::{chain, logs, run};
use clap::{Arg, ArgAction, Command};
use continuum_live::resource;
use std::process::ExitCode;
use tokio::task::JoinError;

/// The configuration is wrong.
pub const USAGE: u8 = 64;
/// Something that it needs at the start is not to be had: an address to listen on, a secret.
pub const UNAVAILABLE: u8 = 69;
/// It crashed.
pub const CRASH: u8 = 70;

const EXIT_CODES: &str = "Exit codes: 0 ended as it was told to; 64 the configuration is wrong; 69 something that it needs at \
the start is not to be had; 70 it crashed.";

/// What no option says.
fn after_help() -> String {
    let secrets = VARIABLES.iter().filter(|variable| variable.flag.is_none());
    let secrets: String = secrets.map(|secret| format!("\n  {}: {}", secret.name, secret.help)).collect();
    format!(
        "Every option is a variable of the environment as well; an option goes before it. Secrets are variables alone:\
         {secrets}\n\n{EXIT_CODES}"
    )
}

fn command() -> Command {
    let flag = |name: &'static str, help: &'static str| Arg::new(name).long(name).help(help).action(ArgAction::SetTrue);
    let mut command = Command::new("continuum-controller")
        .about("Moves the primary role of CloudNativePG pairs between two regions; one process in each region.")
        .version(env!("CARGO_PKG_VERSION"))
        .after_help(after_help())
        .arg(flag(
            "check-config",
            "Read the configuration and the files that it names, say what is wrong or where its Leases are, and end",
        ))
        .arg(flag("print-crd", "Print the definition of the resource Continuum, as YAML, and end"));
    for variable in VARIABLES {
        let Some(option) = variable.flag else { continue };
        let default = variable.default.map(|default| format!(" [default: {default}]")).unwrap_or_default();
        let option = Arg::new(variable.name)
            .long(option)
            .env(variable.name)
            .hide_env_values(true)
            .value_name("VALUE")
            .allow_hyphen_values(true)
            .help(format!("{}{default}", variable.help));
        command = command.arg(option);
    }
    command
}

/// What `main` is.
pub fn main() -> ExitCode {
    let matches = match command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    if matches.get_flag("print-crd") {
        return print_crd();
    }
    let value = |variable: &crate::config::Variable| match variable.flag {
        Some(_) => matches.get_one::<String>(variable.name).cloned(),
        // Bytes that are no UTF-8 become characters that no secret has, and are refused as such.
        None => std::env::var_os(variable.name).map(|value| value.to_string_lossy().into_owned()),
    };
    let values = Values::new(VARIABLES.iter().filter_map(|variable| Some((variable.name, value(variable)?))));
    let config = match Config::read(&values) {
        Ok(config) => config,
        Err(mistakes) => return refused(&mistakes),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return ended(UNAVAILABLE, &format!("no threads: {}", chain(&error))),
    };
    if matches.get_flag("check-config") {
        return match runtime.block_on(read_files(&config)) {
            Ok(kubeconfigs) => {
                println!("The configuration is good. What stands in secrets is read when the controller starts.");
                print!("{}", namespaces(&config, kubeconfigs.own_namespace()));
                ExitCode::SUCCESS
            }
            Err(mistakes) => refused(&mistakes),
        };
    }
    logs::begin(config.logs);
    // A task of its own, so that a panic of it is an exit code.
    let result = runtime.block_on(async { tokio::spawn(run::run(config)).await });
    // What still waits for a name server holds up nobody.
    runtime.shutdown_background();
    match result {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => ended(if error.is_configuration() { USAGE } else { UNAVAILABLE }, &chain(&error)),
        Err(ended_by) => ended(CRASH, &format!("it crashed: {}", panic_of(ended_by))),
    }
}

/// Where its Leases are, a line for each kind. Regions that name different ones do not see each other's, and nothing
/// else of a configuration shows it.
fn namespaces(config: &Config, own: &str) -> String {
    let source = |name: &str, set: bool| match set {
        true => name.to_owned(),
        false => format!("{name} is not set: this process's own"),
    };
    let witness = match (&config.witness, &config.witness_bucket) {
        (None, Some(bucket)) => format!("The witness is bucket {bucket} alone: it has no Leases."),
        _ => format!(
            "The witness's Leases are in namespace {} ({}). It must be the same in every region.",
            config.leases_in(own),
            source("CATALYST_LEASE_NS", config.lease_namespace.is_some())
        ),
    };
    let election = match &config.election {
        None => "There is no election (LEADER_ELECT).".to_owned(),
        Some(election) => format!(
            "The election's Lease is in namespace {} ({}).",
            election.lease_in(own),
            source("LEADER_ELECT_NS", election.namespace.is_some())
        ),
    };
    format!("{witness}\n{election}\n")
}

/// What a panic said.
fn panic_of(ended_by: JoinError) -> String {
    let Ok(payload) = ended_by.try_into_panic() else { return "its task was ended".to_owned() };
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
    let first = text.and_then(|text| text.lines().next());
    first.unwrap_or("the panic is in the log").to_owned()
}

fn print_crd() -> ExitCode {
    match serde_saphyr::to_string(&resource::crd()) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => ended(CRASH, &format!("the definition cannot be written: {error}")),
    }
}

fn refused(mistakes: &Mistakes) -> ExitCode {
    ended(USAGE, &format!("{mistakes}\nSee continuum-controller --help."))
}

/// The last line says why.
fn ended(code: u8, why: &str) -> ExitCode {
    eprintln!("continuum-controller: {why}");
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_well_formed_and_no_secret_is_one() {
        command().debug_assert();
        let help = command().render_long_help().to_string();
        for variable in VARIABLES {
            assert_eq!(
                variable.flag.is_some(),
                help.contains(&format!("[env: {}]", variable.name)),
                "{}",
                variable.name
            );
            // A secret is named beside the options.
            assert!(help.contains(variable.name), "{}", variable.name);
        }
        assert!(!help.contains("--api-token"));
    }

    #[test]
    fn a_good_configuration_says_where_its_leases_are() {
        let told = |set: &[(&'static str, &str)]| {
            let least = [("CATALYST_REGION", "fsn"), ("REGION_KUBECONFIGS_DIR", "/regions")];
            let values = least.iter().chain(set).map(|(name, value)| (*name, (*value).to_owned()));
            namespaces(&Config::read(&Values::new(values)).unwrap(), "dr")
        };
        let witness = ("WITNESS_KUBECONFIG", "/witness");
        assert_eq!(
            told(&[witness]),
            "The witness's Leases are in namespace dr (CATALYST_LEASE_NS is not set: this process's own). \
             It must be the same in every region.\n\
             The election's Lease is in namespace dr (LEADER_ELECT_NS is not set: this process's own).\n"
        );
        assert_eq!(
            told(&[witness, ("CATALYST_LEASE_NS", "leases"), ("LEADER_ELECT_NS", "elections")]),
            "The witness's Leases are in namespace leases (CATALYST_LEASE_NS). It must be the same in every region.\n\
             The election's Lease is in namespace elections (LEADER_ELECT_NS).\n"
        );
        assert_eq!(
            told(&[("WITNESS_BUCKET", "leases"), ("NATS_URL", "nats://n"), ("LEADER_ELECT", "false")]),
            "The witness is bucket leases alone: it has no Leases.\nThere is no election (LEADER_ELECT).\n"
        );
    }
}
