//! What a controller costs that keeps a fleet, beside a twin of the same duties in Go (`tests/bench/twin`): one after the
//! other in one run, on the same two real API servers, with the same objects. Absolute numbers are those of the machine; what
//! counts are the ratios.
//!
//! ```text
//! cargo bench --profile image -p continuum-controller --bench fleet               1,000 Continuums, ten minutes of each side
//! cargo bench --profile image -p continuum-controller --bench fleet -- --quick    50, one minute
//! cargo bench --profile image -p continuum-controller --bench fleet -- --flood --quick    the same, then with its HTTP API flooded
//! ```
//!
//! While the fleet is idle, PostgreSQL, records and events are left out: the twin does nothing with them. A switchover has
//! all of them.

mod execute;
mod fleet;
mod flood;
mod idle;
mod machine;
mod options;
mod renewals;
mod requests;
mod servers;
mod sides;
mod steps;
mod table;

use futures_util::future::{Either, select};
use options::Options;
use servers::Servers;
use sides::Side;
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;

/// The region that holds every lease at first, and the other one.
const REGIONS: [&str; 2] = ["fsn", "hel"];

fn main() -> ExitCode {
    let options = Options::read();
    let twin = if options.flood { None } else { sides::build_twin() };
    if twin.is_none() && !options.flood {
        eprintln!("fleet: the twin was not built: it needs Go 1.26 or later on PATH (https://go.dev/dl)");
        return ExitCode::from(69);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads");
    let outcome = runtime.block_on(async {
        let measured = pin!(measure(twin, &options));
        // What was started ends with what holds it, so an interrupted run has to come back here.
        match select(measured, pin!(tokio::signal::ctrl_c())).await {
            Either::Left((table, _)) => Some(table),
            Either::Right(_) => None,
        }
    });
    let table = match outcome {
        Some(Some(table)) => table,
        Some(None) => {
            eprintln!("fleet: a real server is missing; the line above says which, and how to get it");
            return ExitCode::from(69);
        }
        None => return ExitCode::from(130),
    };
    println!("\n{table}");
    ExitCode::SUCCESS
}

/// The table of both sides, one after the other; without a twin, of a flood.
async fn measure(twin: Option<PathBuf>, options: &Options) -> Option<String> {
    let servers = Servers::start().await?;
    let Some(twin) = twin else { return Some(flood::measure(&servers, options).await) };
    let sides = [Side::Product, Side::Twin(twin)];
    let (mut kept, mut moved) = (Vec::new(), Vec::new());
    for side in sides.iter().filter(|_| options.idle) {
        kept.push(idle::measure(&servers, side, options).await);
    }
    for side in sides.iter().filter(|_| options.execute) {
        moved.push(execute::measure(&servers, side, options).await?);
    }
    Some(table::of(&kept, &moved, options))
}
