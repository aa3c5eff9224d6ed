//! What the kernel tells of a process.

use std::fs;
use std::time::Duration;

/// The kernel counts CPU time in these.
const CLOCK_TICK: Duration = Duration::from_millis(10);

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// User and system time.
    pub cpu: Duration,
    /// Resident memory now, KiB.
    pub resident_kib: u64,
    /// The most that it ever was, KiB.
    pub peak_kib: u64,
    pub threads: u64,
    /// Sockets, pipes and files.
    pub descriptors: usize,
}

impl Usage {
    /// Of the child of this number; nothing where it has ended.
    pub fn of(process: u32) -> Option<Self> {
        let stat = read(process, "stat");
        // The name in brackets may hold spaces; utime and stime are the 12th and 13th field after it.
        let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        if fields.next() == Some("Z") {
            return None;
        }
        let ticks: u32 = fields.skip(10).take(2).filter_map(|field| field.parse::<u32>().ok()).sum();
        let status = read(process, "status");
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap_or_default()
        };
        Some(Self {
            cpu: CLOCK_TICK * ticks,
            resident_kib: number("VmRSS"),
            peak_kib: number("VmHWM"),
            threads: number("Threads"),
            descriptors: fs::read_dir(format!("/proc/{process}/fd")).map_or(0, Iterator::count),
        })
    }
}

fn read(process: u32, file: &str) -> String {
    fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_else(|error| panic!("process {process}: {error}"))
}
