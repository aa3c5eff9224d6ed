//! A real Prometheus for the live suite, over samples that were written before it starts: made anew in a temporary folder
//! by whoever asks, killed and removed when dropped. It takes the server of `tools/prometheus`.

use crate::certificates::Certified;
use crate::live;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A running server.
pub struct RealPrometheus {
    /// Where it listens, on loopback.
    pub port: u16,
    folder: PathBuf,
    process: Child,
}

impl RealPrometheus {
    /// A server that holds `samples`, in the OpenMetrics format with times. `None`, with a line on stderr, where there is no
    /// program. Panics where there is none although `CONTINUUM_LIVE=require`, or it does not start.
    pub async fn start(samples: &str) -> Option<Self> {
        Self::start_as(Some(samples), None).await
    }

    /// One that holds nothing and speaks TLS alone. The same of programs.
    pub async fn start_with_tls(certified: &Certified) -> Option<Self> {
        Self::start_as(None, Some(certified)).await
    }

    async fn start_as(samples: Option<&str>, tls: Option<&Certified>) -> Option<Self> {
        let Some(bin) = live::built("prometheus") else {
            live::skip("Prometheus", "run `tools/prometheus build`");
            return None;
        };
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("continuum-prometheus-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a temporary folder can be made");
        let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).expect("a file can be written");
        write("prometheus.yml", "{}\n");
        if let Some(samples) = samples {
            write("samples", samples);
            let mut promtool = Command::new(bin.join("promtool"));
            promtool.args(["tsdb", "create-blocks-from", "openmetrics", "samples", "data"]).current_dir(&folder);
            let written = promtool.output().expect("promtool runs");
            assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
        }
        if let Some(Certified { certificate, key }) = tls {
            write("server.crt", certificate);
            write("server.key", key);
            write("web.yml", "tls_server_config: { cert_file: server.crt, key_file: server.key }\n");
        }
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
        let log = std::fs::File::create(folder.join("log")).expect("a file can be made");
        let mut command = Command::new(bin.join("prometheus"));
        command.args(["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--storage.tsdb.retention.time=1y"]);
        command.arg(format!("--web.listen-address=127.0.0.1:{port}")).current_dir(&folder);
        if tls.is_some() {
            command.arg("--web.config.file=web.yml");
        }
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("it runs");
        let server = Self { port, folder, process };
        server.wait().await;
        Some(server)
    }

    async fn wait(&self) {
        for _ in 0..200 {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        panic!("prometheus does not listen after 10 s:\n{log}");
    }
}

impl Drop for RealPrometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
