//! A real nats-server with JetStream, for the live suite: made anew in a temporary folder by whoever asks, killed and
//! removed when dropped. It takes the server in `CONTINUUM_NATS_SERVER`, else the one of `tools/nats`, else one on the
//! PATH.

use crate::certificates::{Authority, Certified};
use crate::live;
use async_nats::ConnectOptions;
use async_nats::jetstream::{self, stream};
use continuum_core::audit::SUBJECT;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Name of the stream, as the platform would call it.
pub const STREAM: &str = "AUDIT";
/// A user that may do everything, and its password.
pub const USER: (&str, &str) = ("app", "right");
/// A user that may publish neither to the audit subject nor to the key of shop/shop in a bucket, with the same password.
pub const MUTE: &str = "mute";
/// Where the authority of a server with TLS is written down.
const CA: &str = "ca.crt";

/// How a server lets clients in.
pub enum Access {
    /// By user and password: [`USER`] and [`MUTE`].
    Users,
    /// By this token, and by nothing else.
    Token(&'static str),
    /// By the key with this public half, beside [`USER`].
    Nkey(&'static str),
    /// As `Users`, over TLS alone and at `localhost`, with a certificate of this authority.
    Tls(Authority),
}

impl Access {
    fn host(&self) -> &'static str {
        match self {
            Self::Tls(_) => "localhost",
            _ => "127.0.0.1",
        }
    }

    /// What the server's configuration says of it.
    fn configuration(&self, folder: &Path) -> String {
        let (user, password) = USER;
        let users = |other: &str| {
            format!("authorization {{ users: [\n{{ user: {user}, password: {password} }},\n{{ {other} }}\n] }}\n")
        };
        let mute = format!(
            "user: {MUTE}, password: {password}, \
             permissions: {{ publish: {{ deny: [\"{SUBJECT}\", \"$KV.*.shop.shop\"] }} }}"
        );
        match self {
            Self::Users => users(&mute),
            Self::Token(token) => format!("authorization {{ token: \"{token}\" }}\n"),
            Self::Nkey(public) => users(&format!("nkey: {public}")),
            Self::Tls(authority) => {
                let Certified { certificate, key } = authority.certify(self.host());
                let (certificate, key) = (put(folder, "server.crt", &certificate), put(folder, "server.key", &key));
                let tls = format!("tls {{ cert_file: {certificate:?}, key_file: {key:?} }}\n");
                put(folder, CA, &authority.certificate);
                users(&mute) + &tls
            }
        }
    }

    /// Of who may do everything.
    fn administrator(&self, folder: &Path) -> ConnectOptions {
        let user = || ConnectOptions::with_user_and_password(USER.0.into(), USER.1.into());
        match self {
            Self::Users | Self::Nkey(_) => user(),
            Self::Token(token) => ConnectOptions::with_token((*token).into()),
            Self::Tls(_) => user().add_root_certificates(folder.join(CA)).require_tls(true),
        }
    }
}

/// A running server.
pub struct RealNats {
    program: PathBuf,
    folder: PathBuf,
    port: u16,
    access: Access,
    process: Mutex<Option<Child>>,
}

impl RealNats {
    /// A new server with the stream. `None`, with a line on stderr, where there is no program. Panics where there is none
    /// although `CONTINUUM_LIVE=require`, or it does not start.
    pub async fn start() -> Option<Self> {
        Self::start_with(Access::Users).await
    }

    /// The same, with another access.
    pub async fn start_with(access: Access) -> Option<Self> {
        let Some(program) = find() else {
            live::skip("nats-server", "run `tools/nats build`");
            return None;
        };
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("continuum-nats-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a temporary folder can be made");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
        let configuration = format!(
            "listen: 127.0.0.1:{port}\njetstream {{ store_dir: \"{}\", max_file_store: 100M }}\n{}",
            folder.join("store").display(),
            access.configuration(&folder)
        );
        put(&folder, "nats.conf", &configuration);
        let server = Self { program, folder, port, access, process: Mutex::new(None) };
        server.restart().await;
        server.make_stream(stream::Config::default()).await;
        Some(server)
    }

    /// Where it listens, as this user.
    pub fn url(&self, user: &str, password: &str) -> String {
        format!("nats://{user}:{password}@{}", self.address())
    }

    /// Where it listens, for who proves himself by something else.
    pub fn bare_url(&self) -> String {
        format!("nats://{}", self.address())
    }

    fn address(&self) -> String {
        format!("{}:{}", self.access.host(), self.port)
    }

    /// A file with this text, which goes with the server.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        put(&self.folder, name, text)
    }

    async fn connect(&self) -> Result<async_nats::Client, async_nats::ConnectError> {
        self.access.administrator(&self.folder).connect(self.address()).await
    }

    /// A client of the administrator.
    pub async fn admin(&self) -> jetstream::Context {
        jetstream::new(self.connect().await.expect("the server runs"))
    }

    /// Makes the stream, or changes it where it is there.
    pub async fn make_stream(&self, changes: stream::Config) {
        let config = stream::Config { name: STREAM.into(), subjects: vec![SUBJECT.into()], ..changes };
        self.admin().await.create_or_update_stream(config).await.expect("the stream is made");
    }

    /// Makes a bucket, as its client does where it is told nothing but the name.
    pub async fn make_bucket(&self, name: &str, changes: stream::Config) {
        let config = stream::Config {
            name: format!("KV_{name}"),
            subjects: vec![format!("$KV.{name}.>")],
            max_messages_per_subject: 1,
            discard: stream::DiscardPolicy::New,
            allow_rollup: true,
            deny_delete: true,
            allow_direct: true,
            ..changes
        };
        self.admin().await.create_or_update_stream(config).await.expect("the bucket is made");
    }

    /// What a key of a bucket holds.
    pub async fn value(&self, bucket: &str, key: &str) -> Option<Vec<u8>> {
        let stream = self.admin().await.get_stream(format!("KV_{bucket}")).await.expect("there is such a bucket");
        let found = stream.get_last_raw_message_by_subject(&format!("$KV.{bucket}.{key}")).await.ok()?;
        Some(found.payload.to_vec())
    }

    /// Ids of all messages, in order.
    pub async fn ids(&self) -> Vec<String> {
        self.header("Nats-Msg-Id").await
    }

    /// Types of all events, in order.
    pub async fn types(&self) -> Vec<String> {
        self.header("audit-type").await
    }

    async fn header(&self, name: &str) -> Vec<String> {
        let mut found = Vec::new();
        let stream = self.admin().await.get_stream(STREAM).await.expect("there is a stream");
        let state = &stream.cached_info().state;
        // Of a stream that never had a message the first is 0, which is none.
        for sequence in state.first_sequence.max(1)..=state.last_sequence {
            let message = stream.get_raw_message(sequence).await.expect("nothing is deleted");
            found.push(message.headers.get(name).map(ToString::to_string).unwrap_or_default());
        }
        found
    }

    /// kill -9.
    pub fn kill(&self) {
        if let Some(mut process) = self.process().take() {
            process.kill().expect("it runs");
            process.wait().expect("it was killed");
        }
    }

    /// Starts it, and waits until it answers.
    pub async fn restart(&self) {
        let log = std::fs::File::create(self.folder.join("log")).expect("a file can be made");
        let mut command = Command::new(&self.program);
        command.arg("-c").arg(self.folder.join("nats.conf")).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("a file can be shared")).stderr(log);
        *self.process() = Some(command.spawn().expect("the program runs"));
        for _ in 0..200 {
            if let Ok(client) = self.connect().await
                && jetstream::new(client).query_account().await.is_ok()
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        panic!("nats-server does not answer after 10 s:\n{log}");
    }

    /// SIGSTOP (true) or SIGCONT.
    pub fn pause(&self, paused: bool) {
        let id = self.process().as_ref().expect("it runs").id();
        let signal = if paused { "-STOP" } else { "-CONT" };
        let status = Command::new("kill").args([signal, &id.to_string()]).status().expect("there is a kill");
        assert!(status.success());
        // On a busy machine its threads stop one after the other.
        while paused && !threads_stand_still(id) {
            std::thread::yield_now();
        }
    }

    fn process(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RealNats {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn put(folder: &Path, name: &str, text: &str) -> PathBuf {
    let file = folder.join(name);
    std::fs::write(&file, text).expect("a file can be written");
    file
}

/// By what the kernel says of each: `T` behind the name in parentheses.
fn threads_stand_still(process: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).expect("it runs");
    let mut states = threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("stat")).ok());
    states.all(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T')))
}

fn find() -> Option<PathBuf> {
    let given = std::env::var_os("CONTINUUM_NATS_SERVER").map(PathBuf::from);
    let on_path = || {
        std::env::split_paths(&std::env::var_os("PATH")?)
            .map(|folder| folder.join("nats-server"))
            .find(|file| file.is_file())
    };
    given.or_else(|| live::built("nats")).or_else(on_path)
}
