//! A controller as a process, with what it says and serves.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// For whatever is waited for here.
const LIMIT: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);
/// What callers of the API bear.
pub const TOKEN: &str = "a-token-of-the-test";

/// A folder that goes with its owner.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("continuum-controller-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a temporary folder can be made");
        Self(folder)
    }

    pub fn put(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().expect("it is in the folder")).expect("a folder can be made");
        std::fs::write(&path, text).expect("a file can be written");
        path.to_str().expect("temporary folders have plain names").to_owned()
    }

    pub fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("temporary folders have plain names").to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The program, with these variables and no others.
pub fn program(variables: &BTreeMap<&str, String>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_continuum-controller"));
    command.env_clear().envs(variables).stdin(Stdio::null());
    command
}

/// A running process. It is killed where a test fails.
pub struct Process {
    child: Child,
    log: PathBuf,
    _folder: Folder,
    api: u16,
    health: u16,
    metrics: u16,
}

impl Process {
    pub fn start(mut variables: BTreeMap<&str, String>) -> Self {
        let folder = Folder::new();
        let (api, health, metrics) = (free_port(), free_port(), free_port());
        variables.insert("CONTINUUM_API_ADDR", format!("127.0.0.1:{api}"));
        variables.insert("HEALTH_ADDR", format!("127.0.0.1:{health}"));
        variables.insert("METRICS_ADDR", format!("127.0.0.1:{metrics}"));
        variables.insert("CONTINUUM_API_TOKEN", TOKEN.into());
        let log = PathBuf::from(folder.put("log", ""));
        let stderr = std::fs::File::create(&log).expect("a file can be written");
        let child = program(&variables).stderr(stderr).spawn().expect("it was built");
        Self { child, log, _folder: folder, api, health, metrics }
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).expect("it is there")
    }

    /// `/readyz`: status and body, as soon as somebody listens.
    pub fn ready(&self) -> (u16, String) {
        ask(self.health, "GET /readyz", &[], "").unwrap_or((0, String::new()))
    }

    /// `/healthz`, as a kubelet asks whether to begin it anew.
    pub fn lives(&self) -> bool {
        ask(self.health, "GET /healthz", &[], "") == Some((200, "ok".into()))
    }

    /// `/metrics`.
    pub fn metrics(&self) -> String {
        let (status, body) = ask(self.metrics, "GET /metrics", &[], "").expect("the metrics listen");
        assert_eq!(status, 200, "{body}");
        body
    }

    /// Where the API is.
    pub fn api(&self) -> String {
        format!("http://127.0.0.1:{}", self.api)
    }

    /// The same, for who writes bytes.
    pub fn api_address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.api).into()
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// A call of the API as its platform makes it.
    pub fn call(&self, what: &str, body: &str) -> (u16, String) {
        let bearer = format!("Authorization: Bearer {TOKEN}");
        ask(self.api, what, &["X-Catalyst-Owner-Tier: true", &bearer], body).expect("the API listens")
    }

    /// An order that may come again.
    pub fn order(&self, what: &str, key: &str, body: &str) -> (u16, String) {
        let headers = [
            "X-Catalyst-Owner-Tier: true",
            &format!("Authorization: Bearer {TOKEN}"),
            &format!("Idempotency-Key: {key}"),
        ];
        ask(self.api, what, &headers, body).expect("the API listens")
    }

    /// The same without the token.
    pub fn call_as_a_stranger(&self, what: &str) -> u16 {
        ask(self.api, what, &["X-Catalyst-Owner-Tier: true"], "").expect("the API listens").0
    }

    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it is ours");
    }

    pub fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        let told = Command::new("kill").args([signal, &id]).status().expect("there is a kill");
        assert!(told.success());
    }

    pub async fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        until("the process to end", async || {
            status = self.child.try_wait().expect("it is ours");
            status.is_some()
        })
        .await;
        status.expect("it was waited for")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- log of the process\n{}", self.log());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for a condition.
pub async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    until_ok(what, async || if condition().await { Ok(()) } else { Err(String::new()) }).await;
}

/// Waits for a condition, and panics with what was last in its way.
pub async fn until_ok(what: &str, mut condition: impl AsyncFnMut() -> Result<(), String>) {
    let begun = Instant::now();
    let mut last = String::new();
    while begun.elapsed() < LIMIT {
        match condition().await {
            Ok(()) => return,
            Err(why) => last = why,
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("waited for {what}: {last}");
}

/// Free a moment ago, at least.
fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a loopback port can be taken");
    listener.local_addr().expect("a listener has an address").port()
}

/// One request over HTTP. `None`: nobody listens.
fn ask(port: u16, what: &str, headers: &[&str], body: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(LIMIT)).expect("a limit that is not zero");
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let length = body.len();
    write!(stream, "{what} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n{headers}\r\n{body}").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}
