//! What a person may set.

use clap::{Arg, ArgAction, Command, value_parser};
use std::time::Duration;

/// See the module.
pub struct Options {
    /// Continuums of the fleet.
    pub count: usize,
    /// How long the idle fleet is measured.
    pub idle_for: Duration,
    /// Between the start of the processes and that.
    pub settle_for: Duration,
    /// Switchovers of each side.
    pub moves: usize,
    /// Whether the idle fleet is measured.
    pub idle: bool,
    /// Whether switchovers are.
    pub execute: bool,
    /// Whether the product alone is measured, with its HTTP API flooded.
    pub flood: bool,
}

impl Options {
    /// From the arguments. Ends the process where they are wrong.
    pub fn read() -> Self {
        let number = |name: &'static str, help: &'static str| {
            Arg::new(name).long(name).help(help).value_name("N").value_parser(value_parser!(u32).range(1..))
        };
        let flag =
            |name: &'static str, help: &'static str| Arg::new(name).long(name).help(help).action(ArgAction::SetTrue);
        let matches = Command::new("fleet")
            .about("Measures the controller beside its twin in Go")
            .arg(number("count", "Continuums of the fleet [default: 1000]"))
            .arg(number("minutes", "how long the idle fleet of each side is measured [default: 10]"))
            .arg(number("moves", "switchovers of each side [default: 6]"))
            .arg(flag("quick", "50 Continuums, one minute, two switchovers"))
            .arg(flag("idle-only", "no switchovers"))
            .arg(flag("execute-only", "switchovers alone").conflicts_with("idle-only"))
            .arg(
                flag("flood", "the product alone, quiet and then with its HTTP API flooded")
                    .conflicts_with_all(["idle-only", "execute-only"]),
            )
            // cargo says so to every benchmark.
            .arg(flag("bench", "").hide(true))
            .get_matches();
        let quick = matches.get_flag("quick");
        let of = |name: &str, quickly: u32, usually: u32| {
            let default = if quick { quickly } else { usually };
            matches.get_one::<u32>(name).copied().unwrap_or(default)
        };
        Self {
            count: of("count", 50, 1000) as usize,
            idle_for: Duration::from_secs(60 * u64::from(of("minutes", 1, 10))),
            settle_for: Duration::from_secs(if quick { 30 } else { 60 }),
            moves: of("moves", 2, 6) as usize,
            idle: !matches.get_flag("execute-only"),
            execute: !matches.get_flag("idle-only"),
            flood: matches.get_flag("flood"),
        }
    }
}
