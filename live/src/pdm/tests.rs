use super::*;
use crate::byte_stream::ByteStream;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

/// What a server was sent, each request whole.
type Sent = Arc<Mutex<Vec<String>>>;

/// A server that gives each request this answer.
fn answering(answer: &'static str) -> (Connect, Sent) {
    let sent = Sent::default();
    let kept = sent.clone();
    let connect: Connect = Arc::new(move |_: &str, _: u16| {
        let (ours, mut theirs) = duplex(64 * 1024);
        let kept = kept.clone();
        tokio::spawn(async move {
            let mut text = String::new();
            while !text.ends_with('}') {
                let mut part = [0; 4096];
                let length = theirs.read(&mut part).await.expect("a stream in memory does not fail");
                text.push_str(std::str::from_utf8(&part[..length]).expect("requests are text"));
            }
            kept.lock().expect("no test panics with it").push(text);
            theirs.write_all(answer.as_bytes()).await.expect("a stream in memory does not fail");
        });
        Box::pin(async move { Ok(Box::new(ours) as Box<dyn ByteStream>) })
    });
    (connect, sent)
}

fn pdm(connect: &Connect, token: Option<&str>) -> Pdm<TokioRuntimeProvider> {
    let api = PdmApi {
        connect: connect.clone(),
        host: "pdm".into(),
        port: 8080,
        token: token.map(str::to_owned),
        user_agent: "continuum".into(),
    };
    Pdm::new(api, connect.clone(), Authorities::Listed(Vec::new()), &TokioRuntimeProvider::default())
}

fn set(hostname: &str, kind: &str, contents: &[&str]) -> RecordSet {
    let contents = contents.iter().map(|content| (*content).to_owned()).collect();
    RecordSet { hostname: hostname.into(), kind: kind.into(), ttl_seconds: 30, contents }
}

const PICK: &str = "A \"pickclosest({'10.2.0.1'})\"";

async fn published(answer: &'static str) -> Outcome {
    let (connect, _) = answering(answer);
    pdm(&connect, Some("word")).publish("example.org", &Region::new("hel"), &[set("a.example.org", LUA, &[PICK])]).await
}

#[tokio::test]
async fn records_are_sent_by_host_name_with_bare_bodies_and_the_token() {
    let (connect, sent) = answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
    let sets = [set("b.example.org", LUA, &[PICK]), set("a.example.org", LUA, &[PICK])];
    let hel = Region::new("hel");
    assert_eq!(pdm(&connect, Some("word")).beside().publish("example.org", &hel, &sets).await, Outcome::Done(()));
    let request = sent.lock().expect("no test panics with it").remove(0);
    let (head, body) = request.split_once("\r\n\r\n").expect("a request has a head");
    assert!(head.starts_with("POST /v1/lua/commit HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("x-catalyst-token: word"), "{head}");
    assert!(head.contains("content-type: application/json"), "{head}");
    let record = |name: &str| {
        format!(r#"{{"hostname":"{name}","luaBody":"pickclosest({{'10.2.0.1'}})","ttl":30,"primaryRegion":"hel"}}"#)
    };
    let expected =
        format!(r#"{{"zone":"example.org","records":[{},{}]}}"#, record("a.example.org"), record("b.example.org"));
    assert_eq!(body, expected);
}

#[tokio::test]
async fn without_a_token_none_is_sent_and_an_empty_set_is_not_sent_at_all() {
    let (connect, sent) = answering("HTTP/1.1 204 No Content\r\n\r\n");
    let hel = Region::new("hel");
    assert_eq!(pdm(&connect, None).publish("example.org", &hel, &[]).await, Outcome::Done(()));
    assert!(sent.lock().expect("no test panics with it").is_empty());
    let sets = [set("a.example.org", LUA, &[PICK])];
    assert_eq!(pdm(&connect, None).publish("example.org", &hel, &sets).await, Outcome::Done(()));
    assert!(!sent.lock().expect("no test panics with it")[0].contains("catalyst"));
}

#[tokio::test]
async fn an_answer_is_what_it_says_of_the_records() {
    let refused = published("HTTP/1.1 401 Unauthorized\r\ncontent-length: 4\r\n\r\nword").await;
    let Outcome::Refused(why) = refused else { panic!("{refused:?}") };
    assert!(why.contains("PDM_AUTH_TOKEN") && !why.contains("word"), "{why}");
    assert!(matches!(published("HTTP/1.1 400 Bad\r\ncontent-length: 0\r\n\r\n").await, Outcome::Refused(_)));
    assert!(matches!(published("HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n").await, Outcome::Refused(_)));
    assert!(matches!(published("HTTP/1.1 429 Slow\r\ncontent-length: 0\r\n\r\n").await, Outcome::NotApplied(_)));
    let failed = published("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 13\r\n\r\npowerdns: 500").await;
    assert_eq!(failed, Outcome::Unknown("PDM answered 502: powerdns: 500".into()));
    // The connection ends without an answer.
    assert!(matches!(published("").await, Outcome::Unknown(_)));
}

#[tokio::test]
async fn what_it_has_no_form_for_is_not_sent() {
    let (connect, sent) = answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let (pdm, hel) = (pdm(&connect, None), Region::new("hel"));
    let both = set("a.example.org", LUA, &[PICK, "AAAA \"pickclosest({'2001:db8::1'})\""]);
    for set in [both, set("a.example.org", "CNAME", &["b.example.org."]), set("a.example.org", LUA, &[])] {
        let Outcome::Refused(why) = pdm.publish("example.org", &hel, std::slice::from_ref(&set)).await else {
            panic!()
        };
        assert!(why.contains("IPv4") && why.contains("a.example.org"), "{why}");
        assert_eq!(pdm.takes("example.org", &set).await, Seen::Is(Err(why)));
    }
    assert_eq!(pdm.takes("example.org", &set("a.example.org", LUA, &[PICK])).await, Seen::NotLooked);
    assert!(sent.lock().expect("no test panics with it").is_empty());
}
