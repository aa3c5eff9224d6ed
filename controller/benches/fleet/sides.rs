//! The two that are measured, as processes.

use crate::REGIONS;
use crate::machine::Usage;
use crate::servers::Servers;
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tokio::time::Instant;

const PRODUCT: &str = env!("CARGO_BIN_EXE_continuum-controller");

/// Who is measured.
pub enum Side {
    /// `continuum-controller`.
    Product,
    /// The program of this path.
    Twin(PathBuf),
}

/// What a switchover needs beside API servers.
pub struct Beside {
    /// PowerDNS: its API, its key, and where it answers.
    pub powerdns: (String, String, String),
    /// nats-server, with user and password.
    pub nats: String,
}

/// Builds the twin beside the product. `None`: there is no Go, or it did not compile.
pub fn build_twin() -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/bench/twin");
    let program = Path::new(PRODUCT).parent()?.join("continuum-twin");
    println!("building the twin");
    let mut build = Command::new("go");
    build.args(["build", "-mod=readonly", "-trimpath", "-ldflags=-s -w", "-o"]).arg(&program).arg(".");
    // One that nobody put on PATH is where its installer leaves it.
    let path = std::env::var("PATH").unwrap_or_default();
    build.env("PATH", format!("{path}:/usr/local/go/bin")).current_dir(source);
    build.status().ok()?.success().then_some(program)
}

impl Side {
    /// In names of objects and files.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Product => "product",
            Self::Twin(_) => "twin",
        }
    }

    /// One process for a region, of which there is no second. Without `beside` records and events are told to nobody.
    pub fn start(&self, servers: &Servers, index: usize, leases: &str, beside: Option<&Beside>) -> Process {
        let api = free_port();
        let [metrics, health] = [free_port(), free_port()].map(|port| format!("127.0.0.1:{port}"));
        let listen = format!("127.0.0.1:{api}");
        let away = servers.away(index);
        let mut command = match self {
            Self::Product => {
                let mut command = Command::new(PRODUCT);
                command.env_clear().envs([
                    ("CATALYST_REGION", REGIONS[index]),
                    ("WITNESS_REGION", REGIONS[0]),
                    ("CATALYST_LEASE_NS", leases),
                    ("LEADER_ELECT", "false"),
                    ("CONTINUUM_VANTAGES", ""),
                    ("CONTINUUM_API_ADDR", &listen),
                    ("METRICS_ADDR", &metrics),
                    ("HEALTH_ADDR", &health),
                ]);
                command.env("OWN_KUBECONFIG", servers.own(index)).env("REGION_KUBECONFIGS_DIR", away);
                if let Some(Beside { powerdns: (api, key, dns), nats }) = beside {
                    command.env("POWERDNS_API_URL", api).env("POWERDNS_API_KEY", key).env("NATS_URL", nats);
                    command.env("CONTINUUM_VANTAGES", dns);
                }
                command
            }
            Self::Twin(program) => {
                let mut command = Command::new(program);
                command.env_clear().args(["-region", REGIONS[index], "-other", REGIONS[1 - index]]);
                command.args(["-lease-namespace", leases, "-api", &listen, "-metrics", &metrics, "-health", &health]);
                command.arg("-own").arg(servers.own(index)).arg("-witness").arg(servers.own(0));
                command.arg("-away").arg(away.join(format!("{}.kubeconfig", REGIONS[1 - index])));
                if let Some(Beside { powerdns: (api, key, _), nats }) = beside {
                    command.args(["-powerdns", api, "-powerdns-key", key, "-nats", nats]);
                }
                command
            }
        };
        let log = servers.file(&format!("{}-{}-{}.log", self.name(), REGIONS[index], api));
        let stderr = File::create(&log).expect("a file can be written");
        let started = Instant::now();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).spawn().expect("it was built");
        Process { child, log, api, started }
    }
}

/// A running process. It is killed when it is dropped.
pub struct Process {
    child: Child,
    log: PathBuf,
    /// Port of the API.
    pub api: u16,
    pub started: Instant,
}

impl Process {
    /// Fails where the process has ended: all that it costs would be told too low.
    pub fn usage(&self) -> Usage {
        Usage::of(self.child.id()).unwrap_or_else(|| {
            let log = self.log();
            let last: Vec<&str> = log.lines().rev().take(5).collect();
            panic!("the process has ended; its last lines, the newest first: {last:#?}");
        })
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).expect("it is there")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the log is {}", self.log.display());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Free a moment ago, at least.
fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a loopback port can be taken");
    listener.local_addr().expect("a listener has an address").port()
}
