//! A real Prometheus that speaks TLS alone, by whom its certificate is.

use continuum_controller::https::{Scheme, connect};
use continuum_live::http_client::{HttpClient, told};
use continuum_tests::certificates::Authority;
use continuum_tests::real_prometheus::RealPrometheus;
use http::Method;
use std::path::{Path, PathBuf};

struct Bed {
    server: RealPrometheus,
    authority: Authority,
    folder: PathBuf,
}

impl Bed {
    /// `None` where there is no Prometheus.
    async fn start() -> Option<Self> {
        let authority = Authority::new();
        let server = RealPrometheus::start_with_tls(&authority.certify("localhost")).await?;
        let folder = std::env::temp_dir().join(format!("continuum-https-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder can be made");
        Some(Self { server, authority, folder })
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.join(name);
        std::fs::write(&path, text).expect("a file can be written");
        path
    }

    /// The status, or why there is none.
    async fn ask(&self, scheme: &Scheme, host: &str) -> Result<u16, String> {
        let connect = connect(scheme);
        let client = HttpClient { connect, host: host.into(), port: self.server.port, user_agent: "test".into() };
        let answer = client.send(Method::GET, "/-/ready", &[], Vec::new()).await;
        answer.map(|answer| answer.status).map_err(|error| {
            assert!(!error.may_have_acted(), "nothing was asked");
            told(&error)
        })
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn by(file: &Path) -> Scheme {
    Scheme::Https(Some(file.to_owned()))
}

#[tokio::test]
async fn a_server_is_asked_by_its_name_and_an_authority_that_is_trusted() {
    let Some(bed) = Bed::start().await else { return };
    let good = bed.file("ca.crt", &bed.authority.certificate);
    assert!(bed.ask(&by(&good), "localhost").await.is_ok());
    let other = bed.file("other.crt", &Authority::new().certificate);
    let (empty, missing) = (bed.file("empty.crt", ""), bed.folder.join("none.crt"));
    for (scheme, host, said) in [
        (by(&good), "127.0.0.1", "the server's certificate is not accepted"),
        (by(&other), "localhost", "the server's certificate is not accepted"),
        (by(&empty), "localhost", "empty.crt: the CA holds no certificate"),
        (by(&missing), "localhost", "none.crt cannot be read"),
        (Scheme::Https(None), "localhost", "the server's certificate is not accepted"),
    ] {
        let cause = bed.ask(&scheme, host).await.expect_err("it is not trusted");
        assert!(cause.starts_with("cannot connect to ") && cause.contains(said), "{said}: {cause}");
    }
}

#[tokio::test]
async fn an_authority_that_took_the_place_of_another_is_trusted_from_the_next_request_on() {
    let Some(bed) = Bed::start().await else { return };
    let file = bed.file("turned.crt", &Authority::new().certificate);
    assert!(bed.ask(&by(&file), "localhost").await.is_err());
    bed.file("turned.crt", &bed.authority.certificate);
    assert!(bed.ask(&by(&file), "localhost").await.is_ok());
}

#[tokio::test]
async fn a_server_without_tls_says_so() {
    let Some(server) = RealPrometheus::start("# EOF\n").await else { return };
    let connect = connect(&Scheme::Https(None));
    let client = HttpClient { connect, host: "localhost".into(), port: server.port, user_agent: "test".into() };
    let error = client.send(Method::GET, "/", &[], Vec::new()).await.expect_err("it speaks no TLS");
    assert!(told(&error).contains("is it a server of https?"), "{}", told(&error));
}
