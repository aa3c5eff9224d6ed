//! A real PowerDNS for the live suite, one for each test process.
//!
//! How it is found, started and stopped is `tools/powerdns`' own business: this runs it and talks to what it
//! started. Where `tools/powerdns run` started the whole test command, its server is used. It stops when the
//! pipe to it closes, however the test process ends.

use crate::live;
use crate::server::Server;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Exit code of `tools/powerdns run` where there is no server.
const NOT_BUILT: i32 = 3;

/// A running PowerDNS with the empty zone `example.org`.
#[derive(Debug)]
pub struct RealPowerDns {
    /// Its HTTP API.
    pub api: SocketAddr,
    /// Its authoritative server.
    pub dns: SocketAddr,
    /// Key of its API.
    pub key: String,
    /// Absent: somebody else's.
    server: Option<Server>,
}

impl RealPowerDns {
    /// The server of this test process, started by the first caller. `None`, with a line on stderr, where
    /// there is none. Panics where there is none although `CONTINUUM_LIVE=require`, or it does not start.
    pub fn start() -> Option<&'static RealPowerDns> {
        static SHARED: OnceLock<Option<RealPowerDns>> = OnceLock::new();
        let launch = || {
            let real = Self::launch();
            if real.is_none() {
                live::skip("PowerDNS", "run `tools/powerdns build`");
            }
            real
        };
        SHARED.get_or_init(launch).as_ref()
    }

    fn launch() -> Option<RealPowerDns> {
        let told = ["API", "DNS", "KEY"].map(|name| std::env::var(format!("CONTINUUM_POWERDNS_{name}")).ok());
        if let [Some(api), Some(dns), Some(key)] = told {
            return Some(Self::at(&api, &dns, &key, None));
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools/powerdns");
        let print = r#"echo "$CONTINUUM_POWERDNS_API" "$CONTINUUM_POWERDNS_DNS" "$CONTINUUM_POWERDNS_KEY"; exec cat"#;
        let mut server = Command::new(&script)
            .args(["run", "--", "sh", "-c", print])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {}: {error}", script.display()));
        let mut line = String::new();
        let stdout = server.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut line).expect("a pipe can be read");
        let [api, dns, key] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            let status = server.wait().expect("a child can be waited for");
            assert_eq!(status.code(), Some(NOT_BUILT), "`tools/powerdns run` ended early");
            return None;
        };
        Some(Self::at(api, dns, key, Some(Server::new(server, "pdns_server"))))
    }

    fn at(api: &str, dns: &str, key: &str, server: Option<Server>) -> Self {
        let address = |text: &str| text.parse().expect("tools/powerdns prints addresses");
        Self { api: address(api), dns: address(dns), key: key.to_owned(), server }
    }

    /// The process. Absent: somebody else's.
    pub fn server(&self) -> Option<&Server> {
        self.server.as_ref()
    }
}
