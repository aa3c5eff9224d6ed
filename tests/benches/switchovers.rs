//! What a simulated planned switchover costs: CPU time of whole runs, and the peak memory of one world.
//!
//! CPU time and not wall time, so that a busy machine disturbs little. Absolute numbers are this machine's;
//! the ratios between ticks are the simulator's.

use continuum_scenarios::format::TimeSpan;
use continuum_scenarios::outcome::{Outcome, Verdict};
use continuum_scenarios::runner::{Fabric, RunOptions, Runner};
use continuum_scenarios::simulate::Simulation;
use continuum_tests::scenario_files;
use std::fs;
use std::time::Duration;

const NAME: &str = "planned-switchover";
const RUN_COUNT: u64 = 10;
/// The kernel counts CPU time in these.
const CLOCK_TICK: Duration = Duration::from_millis(10);

fn main() {
    run(10, 1);
    let peak_mib = peak_kib() / 1024;
    println!("{NAME}: peak memory of one world {peak_mib} MiB (limit 200)");
    let mut base = None;
    for tick_ms in [10, 20, 50] {
        let before = cpu_time();
        let simulated: u64 = (1..=RUN_COUNT).map(|seed| run(tick_ms, seed).result.simulated_ms).sum();
        let each = (cpu_time() - before).as_secs_f64() / RUN_COUNT as f64;
        let base = *base.get_or_insert(each);
        println!(
            "tick {tick_ms:2} ms: {:.2} runs for each second of one core, {:.0} ms CPU a run, {:.0} simulated seconds \
             for each of CPU, {:.2} of the cost at 10 ms",
            1.0 / each,
            each * 1000.0,
            simulated as f64 / 1000.0 / (each * RUN_COUNT as f64),
            each / base,
        );
    }
}

fn run(tick_ms: u64, seed: u64) -> Outcome {
    let mut scenario = scenario_files::load(NAME);
    scenario.spec.world.tick = TimeSpan(Duration::from_millis(tick_ms));
    let options = RunOptions { file: NAME.into(), seed, fabric: Fabric::Turmoil, trace: false };
    let outcome = Simulation::default().run(&scenario, &options);
    assert_ne!(outcome.verdict(), Verdict::Crashed, "seed {seed}");
    outcome
}

/// User and system time of this process.
fn cpu_time() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux tells a process its times");
    // The name in brackets may hold spaces; utime and stime are the 12th and 13th field after it.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u32 = fields.skip(11).take(2).filter_map(|field| field.parse::<u32>().ok()).sum();
    CLOCK_TICK * ticks
}

/// The most memory that this process ever had, KiB.
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux tells a process its memory");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or_default()
}
