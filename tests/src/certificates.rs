//! Certificates, made with the command `openssl`, as `tools/servers` makes its keys.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A certificate with its key, in PEM.
pub struct Certified {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

/// An authority of one's own.
pub struct Authority {
    folder: PathBuf,
    /// Its certificate, in PEM.
    pub certificate: String,
}

impl Authority {
    /// One that nobody trusts yet. Panics where there is no `openssl`.
    #[allow(clippy::new_without_default)] // it writes files, which no default should
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("continuum-certificates-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a temporary folder can be made");
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key"];
        openssl(
            &folder,
            &[&["req", "-x509", "-days", "1", "-subj", "/CN=authority", "-out", "ca.crt"], &key[..]].concat(),
        );
        let certificate = read(&folder, "ca.crt");
        Self { folder, certificate }
    }

    /// For a server of this DNS name.
    pub fn certify(&self, name: &str) -> Certified {
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "server.key"];
        let subject = format!("/CN={name}");
        openssl(&self.folder, &[&["req", "-new", "-subj", &subject, "-out", "server.csr"], &key[..]].concat());
        std::fs::write(self.folder.join("names"), format!("subjectAltName=DNS:{name}\n"))
            .expect("a file can be written");
        openssl(
            &self.folder,
            &[
                "x509",
                "-req",
                "-days",
                "1",
                "-in",
                "server.csr",
                "-CA",
                "ca.crt",
                "-CAkey",
                "ca.key",
                "-CAcreateserial",
                "-extfile",
                "names",
                "-out",
                "server.crt",
            ],
        );
        Certified { certificate: read(&self.folder, "server.crt"), key: read(&self.folder, "server.key") }
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn read(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).expect("openssl wrote it")
}

fn openssl(folder: &Path, arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).current_dir(folder).output().expect("openssl is installed");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}
