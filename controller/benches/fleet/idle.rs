//! A fleet to which nothing happens.

use crate::REGIONS;
use crate::fleet::Fleet;
use crate::machine::Usage;
use crate::options::Options;
use crate::renewals::{Kept, Renewals};
use crate::requests::{self, Counts};
use crate::servers::Servers;
use crate::sides::{Process, Side};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The term of the Continuums.
pub const TTL: Duration = Duration::from_secs(30);
/// For so long the servers are counted alone.
const ALONE_FOR: Duration = Duration::from_secs(20);
/// Everything has to be renewed within this.
const START_LIMIT: Duration = Duration::from_secs(600);

/// What one side has shown.
pub struct Idle {
    /// From the start of the process to the first renewal of any.
    pub first: Duration,
    /// The same, of the last one.
    pub all: Duration,
    /// At the end of each region's process; its CPU is that of the time that was measured.
    pub usage: [Usage; 2],
    pub kept: Kept,
    /// Requests a minute, by verb and resource, of one Continuum to one of its two controllers.
    pub requests: Counts,
}

/// See the module.
pub async fn measure(servers: &Servers, side: &Side, options: &Options) -> Idle {
    println!("{}: {} Continuums are made", side.name(), options.count);
    let fleet = Fleet::make(servers, side.name(), options.count).await;
    let renewals = Renewals::watch(servers, &fleet, TTL);
    until(|| renewals.count().0 == options.count, "the Leases to be known").await;
    let (before, began) = (requests::count(servers).await, Instant::now());
    sleep(ALONE_FOR).await;
    let alone = rate(&before, &requests::count(servers).await, began.elapsed());

    let processes = [0, 1].map(|index| side.start(servers, index, &fleet.lease_namespace, None));
    until(|| renewals.count().1 == options.count, "all to be renewed").await;
    let (first, last) = renewals.firsts().expect("all were renewed");
    // It is the first region's process that holds them.
    let [first, all] = [first, last].map(|at| at - processes[0].started);
    println!("{}: all renewed after {:.1} s", side.name(), all.as_secs_f64());
    tokio::time::sleep_until(processes[0].started + options.settle_for).await;

    let (before, began, used) = (requests::count(servers).await, Instant::now(), usage(&processes));
    while began.elapsed() < options.idle_for {
        sleep((options.idle_for - began.elapsed()).min(Duration::from_secs(60))).await;
        report(side, began.elapsed(), &used, &usage(&processes));
    }
    let (after, took, mut usage) = (requests::count(servers).await, began.elapsed(), usage(&processes));
    for (usage, before) in usage.iter_mut().zip(used) {
        usage.cpu = usage.cpu.saturating_sub(before.cpu).mul_f64(options.idle_for.as_secs_f64() / took.as_secs_f64());
    }
    let kept = renewals.kept();
    drop(processes);
    drop(renewals);
    fleet.clear().await;
    let controllers = (options.count * REGIONS.len()) as f64;
    let mut of_each = rate(&before, &after, took);
    for (key, count) in &mut of_each {
        *count = (*count - alone.get(key).copied().unwrap_or_default()) / controllers;
    }
    of_each.retain(|_, count| *count > 0.005);
    Idle { first, all, usage, kept, requests: of_each }
}

fn usage(processes: &[Process; 2]) -> [Usage; 2] {
    [processes[0].usage(), processes[1].usage()]
}

/// A minute.
fn rate(before: &Counts, after: &Counts, took: Duration) -> Counts {
    let mut came = requests::between(before, after);
    came.values_mut().for_each(|count| *count *= 60.0 / took.as_secs_f64());
    came
}

fn report(side: &Side, after: Duration, before: &[Usage; 2], now: &[Usage; 2]) {
    let of_each = REGIONS.into_iter().zip(before.iter().zip(now)).map(|(region, (before, now))| {
        format!(
            "{region} {:.1} MiB (peak {:.1}), {:.1} s CPU, {} threads, {} descriptors",
            now.resident_kib as f64 / 1024.0,
            now.peak_kib as f64 / 1024.0,
            (now.cpu - before.cpu).as_secs_f64(),
            now.threads,
            now.descriptors,
        )
    });
    println!("{}: {:>4.0} s idle: {}", side.name(), after.as_secs_f64(), of_each.collect::<Vec<_>>().join("; "));
}

pub async fn until(holds: impl Fn() -> bool, what: &str) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < START_LIMIT, "waited for {what}");
        sleep(Duration::from_millis(5)).await;
    }
}
