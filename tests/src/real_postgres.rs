//! A real PostgreSQL pair, primary and streaming standby, for the live suite: made anew in a temporary folder by whoever
//! asks, stopped and removed when dropped. Installs nothing: it takes the server in `CONTINUUM_POSTGRES_BIN`, where that is
//! set, else the newest in Debian's place, else one on the PATH. It needs no client programs, which some builds lack.
//!
//! PostgreSQL refuses to run as root, so root runs it as the user `postgres`.

use crate::live;
use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::net::UnixStream;
use tokio_postgres::{Client, NoTls};

/// Superuser of the pair.
pub const SUPERUSER: &str = "postgres";
/// A plain role that may write to table `w`.
pub const PLAIN_ROLE: &str = "app";
/// The same, and a member of `pg_monitor`.
pub const MONITOR_ROLE: &str = "continuum";
/// Password of these three. Everyone is asked for one, as by the operator's `pg_hba.conf`.
pub const PASSWORD: &str = "right";
/// A role that was given no password.
pub const NO_PASSWORD_ROLE: &str = "guest";

/// A server that finds it at its start follows another.
const STANDBY_SIGNAL: &str = "standby.signal";
/// What a server reads after its own settings.
const OPERATOR_SETTINGS: &str = "operator.conf";

/// A running pair.
#[derive(Debug)]
pub struct RealPostgres {
    bin: PathBuf,
    folder: PathBuf,
    as_postgres: bool,
    /// Port of the primary and of the standby at the start.
    pub ports: [u16; 2],
}

impl RealPostgres {
    /// A new pair. `None`, with a line on stderr, where there is no server. Panics where there is none although
    /// `CONTINUUM_LIVE=require`, or it does not start.
    pub fn start() -> Option<Self> {
        let Some(bin) = find() else {
            live::skip("PostgreSQL", "install it, or set CONTINUUM_POSTGRES_BIN");
            return None;
        };
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("continuum-postgres-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a temporary folder can be made");
        let as_postgres = output(Command::new("id").arg("-u")).stdout.starts_with(b"0\n");
        if as_postgres {
            output(Command::new("chown").arg(SUPERUSER).arg(&folder));
        }
        let pair = Self { bin, folder, as_postgres, ports: [free_port(), free_port()] };
        pair.make();
        Some(pair)
    }

    fn make(&self) {
        let [a, b] = ["a", "b"].map(|name| self.folder.join(name));
        self.run("initdb", &["-A", "trust", "-U", SUPERUSER, "-D", text(&a)]);
        self.configure(&a, self.ports[0], "on");
        // The one who asks reads a statement a line.
        let roles = format!(
            "alter role {SUPERUSER} password '{PASSWORD}';\n\
             create role {PLAIN_ROLE} login password '{PASSWORD}';\n\
             create role {MONITOR_ROLE} login in role pg_monitor password '{PASSWORD}';\n\
             create role {NO_PASSWORD_ROLE} login;\n\
             create table w (client text, number bigint);\ngrant all on w to {PLAIN_ROLE}, {MONITOR_ROLE};\n"
        );
        self.run_with("postgres", &["--single", "-D", text(&a), SUPERUSER], &roles);
        // The standby alone comes in without a password, and who stands in for the instance manager, over the socket.
        let access = format!(
            "local all {SUPERUSER} trust\nhost replication all 127.0.0.1/32 trust\nhost all all all scram-sha-256\n"
        );
        std::fs::write(a.join("pg_hba.conf"), access).expect("a file can be written");
        // A copy of a server that was shut down is a base backup.
        let copied = output(Command::new("cp").arg("-a").arg(&a).arg(&b));
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
        let signal = b.join(STANDBY_SIGNAL);
        std::fs::write(&signal, "").expect("a file can be written");
        self.configure(&b, self.ports[1], "always");
        self.control(0, &["start"]);
        self.control(1, &["start"]);
    }

    /// Later lines win, so those of the server that was copied are overridden. `wal_keep_size` is CloudNativePG's default:
    /// without it the restart after a promotion may recycle what the standby has not had yet, and it never follows again.
    fn configure(&self, data: &Path, port: u16, archive_mode: &str) {
        let folder = text(&self.folder);
        let settings = format!(
            "port={port}\nlisten_addresses='127.0.0.1'\nunix_socket_directories='{folder}'\nwal_level=logical\n\
             archive_mode={archive_mode}\narchive_command='true'\nwal_keep_size='512MB'\nfsync=off\n{}\n\
             include_if_exists '{OPERATOR_SETTINGS}'\n",
            conninfo(self.ports[0], "shop-hel")
        );
        append(data, &settings);
    }

    /// `pg_ctl` on the first (0) or the second (1) server, waiting for the end.
    pub fn control(&self, server: usize, arguments: &[&str]) {
        let data = self.data(server);
        let log = data.with_extension("log");
        let fixed = ["-D", text(&data), "-l", text(&log), "-w", "-s"];
        self.run("pg_ctl", &[&fixed, arguments].concat());
    }

    /// Has a server take TLS alone from whoever is not its standby, with this certificate and its key, in PEM. It is
    /// started anew for that.
    pub fn take_tls_alone(&self, server: usize, certificate: &str, key: &str) {
        let data = self.data(server);
        let write = |name: &str, text: &str| {
            let path = data.join(name);
            self.write(&path, text);
            // A key that others may read is refused by the server.
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("it is ours");
        };
        write("server.crt", certificate);
        write("server.key", key);
        // Who stands in for the instance manager comes over the socket, as the real one does.
        let access = format!(
            "local all {SUPERUSER} trust\nlocal all {PLAIN_ROLE} trust\nhost replication all 127.0.0.1/32 trust\n\
             hostssl all all all scram-sha-256\n"
        );
        write("pg_hba.conf", &access);
        self.set(server, "ssl=on");
        self.control(server, &["restart"]);
    }

    /// Adds a line to a server's settings, which counts from its next start on.
    pub fn set(&self, server: usize, line: &str) {
        append(&self.data(server), &format!("{line}\n"));
    }

    /// Writes the file of settings that stands for the operator's; the other server is followed under this name. Who runs is
    /// to be told to read them.
    pub(crate) fn write_settings(&self, server: usize, settings: &str, name: &str) {
        let data = self.data(server);
        let text = format!("{settings}{}\n", conninfo(self.ports[1 - server], name));
        let (new, old) = (data.join("operator.new"), data.join(OPERATOR_SETTINGS));
        self.write(&new, &text);
        // A server that reads them meanwhile reads the former or these.
        std::fs::rename(new, old).expect("a file can be renamed in its folder");
    }

    /// Has a server follow the other from its next start on, or not.
    pub(crate) fn set_standby_signal(&self, server: usize, follows: bool) {
        let signal = self.data(server).join(STANDBY_SIGNAL);
        match follows {
            true => self.write(&signal, ""),
            false if signal.exists() => std::fs::remove_file(signal).expect("it is there"),
            false => {}
        }
    }

    /// A file that the server may read.
    fn write(&self, path: &Path, text: &str) {
        std::fs::write(path, text).expect("a file can be written");
        let owner = std::fs::metadata(path.parent().expect("it is in a folder")).expect("the folder is there");
        std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid())).expect("it is ours, or root's to give");
    }

    /// Whether a server is told to follow. One that was promoted no longer is.
    pub fn follows(&self, server: usize) -> bool {
        self.data(server).join(STANDBY_SIGNAL).exists()
    }

    /// `pg_ctl`, without waiting for what comes of it.
    ///
    /// # Errors
    ///
    /// What it says.
    pub(crate) fn try_control(&self, server: usize, arguments: &[&str]) -> Result<(), String> {
        let data = self.data(server);
        let log = data.with_extension("log");
        let fixed = ["-D", text(&data), "-l", text(&log), "-s"];
        let mut command = self.command("pg_ctl");
        let output = output(command.args(fixed).args(arguments).current_dir(&self.folder).stdin(Stdio::null()));
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()) }
    }

    /// What `pg_controldata` prints of a server: name, value.
    ///
    /// # Errors
    ///
    /// What it says where it fails.
    pub fn control_data(&self, server: usize) -> Result<BTreeMap<String, String>, String> {
        let output = output(self.command("pg_controldata").arg(text(&self.data(server))));
        let printed = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            return Err(format!("pg_controldata: {}", String::from_utf8_lossy(&output.stderr).trim()));
        }
        let lines = printed.lines().filter_map(|line| line.split_once(':'));
        Ok(lines.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect())
    }

    /// A session over the socket, where nobody is asked for a password.
    ///
    /// # Errors
    ///
    /// The server takes none.
    pub async fn session(&self, server: usize, role: &str) -> Result<Client, Box<dyn Error + Send + Sync>> {
        let socket = self.folder.join(format!(".s.PGSQL.{}", self.ports[server]));
        let stream = UnixStream::connect(socket).await?;
        let config = tokio_postgres::Config::new().user(role).dbname(SUPERUSER).clone();
        let (client, connection) = config.connect_raw(stream, NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// What a server has logged so far.
    pub fn log(&self, server: usize) -> String {
        std::fs::read_to_string(self.data(server).with_extension("log")).unwrap_or_default()
    }

    /// A server's data folder.
    pub(crate) fn data(&self, server: usize) -> PathBuf {
        self.folder.join(["a", "b"][server])
    }

    /// Where a server listens.
    pub fn address(&self, server: usize) -> SocketAddr {
        ([127, 0, 0, 1], self.ports[server]).into()
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        self.run_with(program, arguments, "");
    }

    fn run_with(&self, program: &str, arguments: &[&str], input: &str) {
        let mut command = self.command(program);
        let command = command.args(arguments).current_dir(&self.folder);
        // A file, and no pipe: a server that goes on running would hold the pipe's other end.
        let file = self.folder.join("input");
        std::fs::write(&file, input).expect("a file can be written");
        let output = output(command.stdin(std::fs::File::open(&file).expect("it was just written")));
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments:?}: {errors}");
    }

    /// One of the server's programs, as a user as which it runs.
    fn command(&self, program: &str) -> Command {
        let program = self.bin.join(program);
        if !self.as_postgres {
            return Command::new(program);
        }
        let mut command = Command::new("runuser");
        command.args(["-u", SUPERUSER, "--"]).arg(program);
        command
    }
}

impl Drop for RealPostgres {
    fn drop(&mut self) {
        for name in ["a", "b"] {
            let data = self.folder.join(name);
            // One that is stopped already says so; the folder goes in any case.
            let _ = self.command("pg_ctl").args(["-D", text(&data), "-m", "immediate", "-s", "stop"]).output();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn find() -> Option<PathBuf> {
    let complete = |bin: &PathBuf| ["initdb", "pg_ctl", "postgres"].iter().all(|p| bin.join(p).is_file());
    if let Some(told) = std::env::var_os("CONTINUUM_POSTGRES_BIN").map(PathBuf::from) {
        assert!(complete(&told), "CONTINUUM_POSTGRES_BIN: no initdb, pg_ctl and postgres in {}", told.display());
        return Some(told);
    }
    let mut debian: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|versions| versions.filter_map(Result::ok).map(|version| version.path().join("bin")).collect())
        .unwrap_or_default();
    debian.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).collect::<Vec<_>>();
    debian.into_iter().rev().chain(on_path).find(complete)
}

fn append(data: &Path, settings: &str) {
    let path = data.join("postgresql.conf");
    let mut file = std::fs::OpenOptions::new().append(true).open(path).expect("initdb wrote it");
    file.write_all(settings.as_bytes()).expect("a file can be written");
}

fn conninfo(port: u16, name: &str) -> String {
    format!("primary_conninfo='host=127.0.0.1 port={port} user={SUPERUSER} application_name={name}'")
}

/// Free a moment ago, at least.
fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a loopback port can be taken");
    listener.local_addr().expect("a listener has an address").port()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}

fn output(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"))
}
