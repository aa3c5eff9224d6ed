//! How often a server is listed, and how long what was told counts: time that stands until everybody waits for it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
use super::*;
use crate::clock::SystemClock;
use http::Response;
use http_body_util::{BodyExt, Full, StreamBody};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

/// An API server of empty lists, whose watches tell nothing and end in time. How long the pages of a list of Clusters take:
/// one for each, and at once where none is left.
struct Server {
    lists: AtomicUsize,
    pages: Mutex<VecDeque<Duration>>,
}

fn client(server: Arc<Server>) -> Client {
    let service = service_fn(move |request: http::Request<Body>| {
        let server = server.clone();
        async move {
            let query = request.uri().query().unwrap_or_default().to_owned();
            if query.contains("watch=true") {
                let silent = futures_util::stream::once(async {
                    tokio::time::sleep(Duration::from_secs(LASTS_SECONDS.into())).await;
                    Ok::<_, BoxError>(hyper::body::Frame::data(bytes::Bytes::new()))
                });
                return Ok::<_, BoxError>(Response::new(StreamBody::new(silent).boxed_unsync()));
            }
            let mut token = String::new();
            if request.uri().path().ends_with(CLUSTERS.plural) {
                if !query.contains("continue=") {
                    server.lists.fetch_add(1, Ordering::Relaxed);
                }
                let page = server.pages.lock().unwrap().pop_front();
                if let Some(takes) = page {
                    tokio::time::sleep(takes).await;
                    token = "more".into();
                }
            }
            let list = serde_json::json!({
                "kind": "List", "apiVersion": "v1", "items": [],
                "metadata": { "resourceVersion": "7", "continue": token },
            });
            Ok(Response::new(Full::from(list.to_string()).map_err(BoxError::from).boxed_unsync()))
        }
    });
    Client::new(service, "shop")
}

async fn watched() -> (Arc<Server>, Arc<ServerWatches>) {
    let server = Arc::new(Server { lists: AtomicUsize::new(0), pages: Mutex::default() });
    let watches = Arc::new(ServerWatches::new(Region::new("fsn"), false));
    let (kept, client) = (watches.clone(), client(server.clone()));
    tokio::spawn(async move { kept.run(client, &SystemClock::new()).await });
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(watches.unknown()[0].1, None, "it was listed");
    (server, watches)
}

#[tokio::test(start_paused = true)]
async fn a_doubt_lists_everything_anew_at_once_and_doubts_in_a_row_do_not() {
    let (server, watches) = watched().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let before = server.lists.load(Ordering::Relaxed);
    watches.doubt(watches.told_so_far(), Instant::now());
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(watches.unknown()[0].1.is_some());
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(watches.unknown()[0].1, None, "one doubt is no reason to wait");
    assert_eq!(server.lists.load(Ordering::Relaxed), before + 1);
    for _ in 0..600 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        watches.doubt(watches.told_so_far(), Instant::now());
    }
    let lists = server.lists.load(Ordering::Relaxed) - before;
    assert!((60..130).contains(&lists), "{lists} lists in ten minutes of doubts");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_answers_what_was_sent_later_is_not_doubted() {
    let (_, watches) = watched().await;
    let is_known = || watches.unknown()[0].1.is_none();
    let (sent, told) = (Instant::now(), watches.told_so_far());
    tokio::time::sleep(Duration::from_secs(1)).await;
    watches.answered(Instant::now());
    tokio::time::sleep(Duration::from_millis(500)).await;
    watches.doubt(told, sent);
    assert!(is_known(), "one that was sent after it was answered half a second ago");
    tokio::time::sleep(Duration::from_secs(1)).await;
    watches.doubt(told, sent);
    assert!(!is_known(), "by now the server may be gone");
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_what_was_sent_before_is_no_sign_of_life() {
    let (_, watches) = watched().await;
    let before = Instant::now();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let (sent, told) = (Instant::now(), watches.told_so_far());
    watches.answered(before);
    watches.doubt(told, sent);
    assert!(watches.unknown()[0].1.is_some());
}

#[tokio::test(start_paused = true)]
async fn what_was_told_counts_for_20_s_of_a_list_that_takes_longer() {
    let (server, watches) = watched().await;
    *server.pages.lock().unwrap() = [9; 4].map(Duration::from_secs).into();
    let lists = || server.lists.load(Ordering::Relaxed);
    let before = lists();
    while lists() == before {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_millis(19_500)).await;
    assert_eq!(watches.unknown()[0].1, None);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let why = watches.unknown()[0].1.clone().unwrap();
    assert!(why.contains("a list of everything takes longer than 20 s"), "{why}");
    tokio::time::sleep(Duration::from_secs(17)).await;
    assert_eq!((watches.unknown()[0].1.clone(), lists()), (None, before + 1), "the same list ended");
}
