//! Credentials that change while a process runs, against a server that writes down who came.

use super::*;
use crate::settings::Credentials;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex as Shared};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// The JWT or token of who is not let in.
const STRANGER: &str = "stranger";

/// A server that lets everybody in but one, and their JWTs, tokens or keys in the order of their coming.
async fn server() -> (u16, Arc<Shared<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let came = Arc::<Shared<Vec<String>>>::default();
    let noted = came.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, noted.clone()));
        }
    });
    (port, came)
}

async fn serve(stream: TcpStream, came: Arc<Shared<Vec<String>>>) {
    let (read, mut write) = stream.into_split();
    let info = r#"INFO {"server_id":"s","server_name":"s","version":"2.11.0","go":"","host":"h","port":1,"max_payload":1048576,"proto":1,"headers":true,"nonce":"n","auth_required":true}"#;
    let mut lines = BufReader::new(read).lines();
    let mut answer = info.to_owned();
    loop {
        if write.write_all(format!("{answer}\r\n").as_bytes()).await.is_err() {
            return;
        }
        answer = loop {
            let Ok(Some(line)) = lines.next_line().await else { return };
            if line.starts_with("PING") {
                break "PONG".to_owned();
            }
            let Some(body) = line.strip_prefix("CONNECT ") else { continue };
            let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
            let who = ["jwt", "auth_token", "nkey"].into_iter().find_map(|name| body[name].as_str());
            let who = who.expect("somebody").to_owned();
            let stranger = who == STRANGER;
            came.lock().expect("nobody panicked").push(who);
            if stranger {
                let _ = write.write_all(b"-ERR 'Authorization Violation'\r\n").await;
                return;
            }
        };
    }
}

/// A file of credentials that goes with its owner.
struct File(PathBuf);

impl File {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!(
            "continuum-nats-{}-{:?}.creds",
            std::process::id(),
            std::thread::current().id()
        )))
    }

    fn write(&self, text: &str) {
        std::fs::write(&self.0, text).expect("a file can be written");
    }

    /// Whose JWT, as a `.creds` file; the key is the same.
    fn put(&self, jwt: &str) {
        self.write(&format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\nSUANQDPB2RUOE4ETUA26CNX7FUKE5ZZKFCQIIW63OX225F2CO7UEXTM7ZY\n\
             ------END USER NKEY SEED------\n"
        ));
    }

    fn remove(&self) {
        std::fs::remove_file(&self.0).expect("it is there");
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn link(port: u16, credentials: Credentials) -> Link {
    let settings = Settings::new(&format!("nats://127.0.0.1:{port}"), "continuum").expect("a URL");
    Link::new(Settings { credentials, ..settings }, "the audit stream")
}

fn by_creds(port: u16, path: &Path) -> Link {
    link(port, Credentials::Creds(path.to_owned()))
}

#[tokio::test]
async fn credentials_that_change_are_used_and_those_that_are_not_taken_are_not() {
    let (port, came) = server().await;
    let came = || came.lock().expect("nobody panicked").clone();
    let file = File::new();
    file.put("one");
    let link = by_creds(port, &file.0);
    for _ in 0..2 {
        assert!(link.connection().await.is_ok());
    }
    assert_eq!(came(), ["one"], "the connection is kept");
    file.put("two");
    for _ in 0..2 {
        assert!(link.connection().await.is_ok());
    }
    assert_eq!(came(), ["one", "two"]);
    // Not let in: what stood there before goes on, and no request after the first pays for the try.
    file.put(STRANGER);
    assert!(link.connection().await.is_ok_and(|connection| connection.is_whole()));
    let tried = came();
    assert!(tried.len() > 2 && tried[2..].iter().all(|jwt| jwt == STRANGER), "{tried:?}");
    assert!(link.connection().await.is_ok());
    assert_eq!(came(), tried);
    // Gone: a new connection is made with what was read before.
    file.remove();
    drop(link.under_way(&link.connection().await.expect("one with what was read before")));
    assert!(link.connection().await.is_ok());
    assert_eq!(came().last().map(String::as_str), Some("two"));
    // Mended.
    file.put("three");
    assert!(link.connection().await.is_ok());
    assert_eq!(came().last().map(String::as_str), Some("three"));
}

#[tokio::test]
async fn a_token_and_a_key_that_change_are_used_and_a_file_that_holds_none_of_them_changes_nothing() {
    // Seeds, and their public halves.
    let keys = [
        (
            "SUAD7MIWVIGQRFNGTLH25P2UPVMBVF4UPUYZMW26LV4IT65KEFL236Y3RE",
            "UBAAYMGTKCJDHJWOQB3PXIMVIKDZBBYX7NJIEZS7KFFR5YT7JOIQPPIJ",
        ),
        (
            "SUAIJ42TCMIIVKPUSM6GN2RDIK372F5NI6JVZSLQJZFQ27QNAN6BH2IQPQ",
            "UACCBQGDYIN4BF3GSXPAAQZHDXZIK4567A4APXPXRV5UIPJPGO57J7JB",
        ),
    ];
    let tokens = [("one", "one"), ("two", "two")];
    let file = File::new();
    for (credentials, [(first, is_first), (second, is_second)]) in
        [(Credentials::Token(file.0.clone()), tokens), (Credentials::Nkey(file.0.clone()), keys)]
    {
        let (port, came) = server().await;
        let came = || came.lock().expect("nobody panicked").clone();
        let link = link(port, credentials);
        file.write(&format!("{first}\n"));
        assert!(link.connection().await.is_ok());
        file.write("");
        assert!(link.connection().await.is_ok_and(|connection| connection.is_whole()));
        assert_eq!(came(), [is_first], "nobody is asked to let in an empty file");
        file.write(second);
        assert!(link.connection().await.is_ok());
        assert_eq!(came(), [is_first, is_second]);
    }
}

#[tokio::test]
async fn who_is_not_let_in_is_told_the_cure_and_no_secret() {
    let (port, _) = server().await;
    let file = File::new();
    file.write(STRANGER);
    let cause = link(port, Credentials::Token(file.0.clone())).connection().await.err().expect("it is not let in");
    let cure = format!("; mend what {} holds, or whom the servers let in", file.0.display());
    assert!(cause.ends_with(&cure) && !cause.contains(STRANGER), "{cause}");
}

#[tokio::test]
async fn a_request_that_was_given_up_leaves_its_connection_and_no_other() {
    let (port, came) = server().await;
    let came = || came.lock().expect("nobody panicked").len();
    let file = File::new();
    file.put("one");
    let link = by_creds(port, &file.0);
    let first = link.connection().await.expect("it is let in");
    link.under_way(&first).ended(true);
    assert!(link.connection().await.is_ok());
    assert_eq!(came(), 1, "what became of the request is known");
    drop(link.under_way(&first));
    let second = link.connection().await.expect("it is let in");
    drop(link.under_way(&first));
    assert!(link.connection().await.is_ok_and(|connection| connection.is(&second)));
    assert_eq!(came(), 2, "what went over the first says nothing of the second");
}

#[tokio::test]
async fn what_is_no_creds_file_is_named_and_not_shown() {
    let (port, came) = server().await;
    let path = std::env::temp_dir().join(format!("continuum-nats-{}.no-creds", std::process::id()));
    std::fs::write(&path, "very-secret").expect("a file can be written");
    let cause = by_creds(port, &path).connection().await.err().expect("it is no such file");
    let _ = std::fs::remove_file(&path);
    assert!(cause.contains("it is no .creds file") && !cause.contains("very-secret"), "{cause}");
    assert!(came.lock().expect("nobody panicked").is_empty());
}
