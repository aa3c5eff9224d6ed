//! Whom a real server lets in: by a token, by a key, and over TLS by an authority of one's own.

use super::event;
use super::real::on_tokio;
use continuum_core::ports::{Outcome, PublishAudit};
use continuum_nats::{AuditStream, Credentials, Settings};
use continuum_tests::certificates::Authority;
use continuum_tests::real_nats::{Access, RealNats, USER};
use std::path::{Path, PathBuf};

/// A throw-away key, and its public half.
const SEED: &str = "SUAD7MIWVIGQRFNGTLH25P2UPVMBVF4UPUYZMW26LV4IT65KEFL236Y3RE";
const PUBLIC: &str = "UBAAYMGTKCJDHJWOQB3PXIMVIKDZBBYX7NJIEZS7KFFR5YT7JOIQPPIJ";
/// One that no server knows.
const OTHER_SEED: &str = "SUAIJ42TCMIIVKPUSM6GN2RDIK372F5NI6JVZSLQJZFQ27QNAN6BH2IQPQ";

fn with_server(access: Access, work: impl AsyncFnOnce(&RealNats)) {
    on_tokio(async {
        if let Some(server) = RealNats::start_with(access).await {
            work(&server).await;
        }
    });
}

fn ports(url: &str, credentials: Credentials, ca: Option<PathBuf>) -> AuditStream {
    let mut settings = Settings::new(url, "continuum").expect("a right URL");
    (settings.credentials, settings.ca) = (credentials, ca);
    AuditStream::new(settings)
}

/// What is said to who is not let in.
async fn refusal(ports: &AuditStream) -> String {
    match ports.publish(&event("a", "hel")).await {
        Outcome::NotApplied(why) => why,
        other => panic!("it is let in: {other:?}"),
    }
}

/// Who comes with `right` is let in; who comes with `wrong` is not, until the file holds what is right.
async fn right_is_let_in_and_wrong_is_not(
    server: &RealNats,
    of: impl Fn(PathBuf) -> Credentials,
    right: &str,
    wrong: &str,
) {
    let good = ports(&server.bare_url(), of(server.file("right", &format!("{right}\n"))), None);
    assert_eq!(good.publish(&event("a", "hel")).await, Outcome::Done(1));

    let file = server.file("wrong", wrong);
    let mended = ports(&server.bare_url(), of(file.clone()), None);
    let why = refusal(&mended).await;
    assert!(why.contains("authorization violation") && !why.contains(wrong) && !why.contains(right), "{why}");
    assert!(why.ends_with(&format!("; mend what {} holds, or whom the servers let in", file.display())), "{why}");
    server.file("wrong", right);
    assert_eq!(mended.publish(&event("b", "hel")).await, Outcome::Done(2));

    let nobody = refusal(&ports(&server.bare_url(), Credentials::None, None)).await;
    assert!(nobody.ends_with("; mend user and password in the URL, or name a file of credentials"), "{nobody}");
    assert_eq!(server.ids().await, ["a", "b"]);
}

#[test]
fn a_token_out_of_a_file_lets_one_in_and_a_wrong_one_is_told_with_its_cure_and_not_shown() {
    with_server(Access::Token("hunter2"), async |server| {
        right_is_let_in_and_wrong_is_not(server, Credentials::Token, "hunter2", "hunter3").await;
    });
}

#[test]
fn the_seed_of_a_key_out_of_a_file_lets_one_in_and_a_wrong_one_is_told_with_its_cure_and_not_shown() {
    with_server(Access::Nkey(PUBLIC), async |server| {
        right_is_let_in_and_wrong_is_not(server, Credentials::Nkey, SEED, OTHER_SEED).await;
    });
}

#[test]
fn a_server_is_spoken_to_where_the_authority_of_its_certificate_is_in_the_file_and_refused_where_it_is_not() {
    let authority = Authority::new();
    let certificate = authority.certificate.clone();
    with_server(Access::Tls(authority), async |server| {
        let by =
            |ca: &Path, password: &str| ports(&server.url(USER.0, password), Credentials::None, Some(ca.to_owned()));
        let right = server.file("right.crt", &certificate);
        assert_eq!(by(&right, USER.1).publish(&event("a", "hel")).await, Outcome::Done(1));
        let why = refusal(&by(&right, "hunter2")).await;
        assert!(why.contains("authorization violation") && !why.contains("hunter2"), "{why}");

        let other = server.file("other.crt", &Authority::new().certificate);
        let mended = by(&other, USER.1);
        let why = refusal(&mended).await;
        assert!(why.contains("invalid peer certificate") && !why.contains(USER.1), "{why}");
        let cure = format!("; put the authority of the server's certificate into {}", other.display());
        assert!(why.ends_with(&cure), "{why}");
        server.file("other.crt", &certificate);
        assert_eq!(mended.publish(&event("b", "hel")).await, Outcome::Done(2));
        assert_eq!(server.ids().await, ["a", "b"]);
    });
}

#[test]
fn a_server_without_tls_is_told_nothing_where_authorities_are_set() {
    with_server(Access::Users, async |server| {
        let ca = server.file("ca.crt", &Authority::new().certificate);
        refusal(&ports(&server.url(USER.0, USER.1), Credentials::None, Some(ca))).await;
        assert!(server.ids().await.is_empty());
    });
}
