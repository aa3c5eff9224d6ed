use super::*;
use continuum_live::clock::SystemClock;
use http::Response;
use serde_json::json;

/// A kubeconfig as it would be read; nobody is asked.
fn reached(host: &str) -> Reached {
    Reached::to(&format!("http://{host}:6443"))
}

/// A server that answers with this code; none: it is silent.
fn server(code: Option<u16>) -> Client {
    let service = service_fn(move |_: Request<Body>| async move {
        let Some(code) = code else { return std::future::pending().await };
        let body = match code {
            200 => json!({
                "major": "1", "minor": "37", "gitVersion": "v1.37.2", "gitCommit": "", "gitTreeState": "",
                "buildDate": "", "goVersion": "", "compiler": "", "platform": "",
            }),
            _ => json!({ "status": "Failure", "code": code, "reason": "no", "message": "no" }),
        };
        let answer = Response::builder().status(code).body(Body::from(body.to_string().into_bytes()));
        Ok::<_, BoxError>(answer.unwrap())
    });
    Client::new(service, "default")
}

fn clients(host: &str, code: Option<u16>) -> Clients {
    let client = || server(code);
    Clients { reached: reached(host), driving: client(), dry_run: client(), watching: client() }
}

/// A pool whose witness stands at a third place, and its server answers so.
fn pool(code: Option<u16>) -> Arc<Pool> {
    Arc::new(Pool {
        own: Region::new("fsn"),
        witness: None,
        clients: Mutex::new(BTreeMap::from([(Place::Witness, clients("old", code))])),
        refused: Notify::new(),
        counts: Counts::default(),
        clock: Arc::new(SystemClock::new()),
    })
}

async fn ask(pool: &Arc<Pool>, path: &str, limit: Duration) {
    let client = pool.handing(&Place::Witness, |clients| &clients.driving);
    let request = Request::get(path).body(Vec::new()).unwrap();
    let _ = tokio::time::timeout(limit, client.request::<serde_json::Value>(request)).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_is_counted_whatever_became_of_it_and_once() {
    let answered = pool(Some(200));
    ask(&answered, "/version", Duration::from_secs(1)).await;
    assert_eq!(answered.counts.told("200", "old:6443", "GET"), 1);
    let silent = pool(None);
    for _ in 0..2 {
        ask(&silent, "/version", Duration::from_secs(1)).await;
    }
    assert_eq!(silent.counts.told("<error>", "old:6443", "GET"), 2, "their caller gave them up");
}

#[tokio::test(start_paused = true)]
async fn a_kubeconfig_that_is_not_answered_does_not_replace_one_that_is() {
    const GOOD: Option<u16> = Some(200);
    const REFUSED: Option<u16> = Some(401);
    for (before, after, taken) in [
        (GOOD, GOOD, true),
        (GOOD, REFUSED, false),
        (GOOD, None, false),
        // It knows who asks.
        (GOOD, Some(403), true),
        (REFUSED, REFUSED, true),
        (REFUSED, GOOD, true),
        (None, None, true),
    ] {
        let pool = pool(before);
        let outcome = pool.take_over(&Place::Witness, clients("new", after)).await;
        assert_eq!(outcome.is_ok(), taken, "{before:?} {after:?}: {outcome:?}");
        let host = pool.clients()[&Place::Witness].reached.host();
        assert_eq!(host, if taken { "new:6443" } else { "old:6443" });
    }
    let refused = pool(GOOD).take_over(&Place::Witness, clients("new", REFUSED)).await.unwrap_err().to_string();
    assert!(
        refused.starts_with("the new kubeconfig of witness is not answered, and the one before is; mend"),
        "{refused}"
    );
}
