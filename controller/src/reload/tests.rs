use super::*;
use continuum_live::clock::SystemClock;
use http::Response;
use serde_json::json;

/// A kubeconfig as it would be read; nobody is asked.
fn reached(host: &str) -> Reached {
    Reached::to(&format!("http://{host}:6443"))
}

const GOOD: Server = Server::Knows("continuum");
const REFUSED: Server = Server::Says(401, "Unauthorized");

/// How a server answers.
#[derive(Clone, Copy, Debug)]
enum Server {
    /// It knows this user.
    Knows(&'static str),
    /// With this code, and a message.
    Says(u16, &'static str),
    Silent,
}

fn server(answers: Server) -> Client {
    let service = service_fn(move |_: Request<Body>| async move {
        let (code, body) = match answers {
            Server::Silent => return std::future::pending().await,
            Server::Knows(user) => (201, json!({ "status": { "userInfo": { "username": user } } })),
            Server::Says(code, message) => {
                (code, json!({ "status": "Failure", "code": code, "reason": "no", "message": message }))
            }
        };
        let answer = Response::builder().status(code).body(Body::from(body.to_string().into_bytes()));
        Ok::<_, BoxError>(answer.unwrap())
    });
    Client::new(service, "default")
}

fn clients(host: &str, answers: Server) -> Clients {
    let client = || server(answers);
    Clients { reached: reached(host), driving: client(), dry_run: client(), keeping: client(), watching: client() }
}

/// A pool whose witness stands at a third place, and its server answers so.
fn pool(answers: Server) -> Arc<Pool> {
    Arc::new(Pool {
        own: Region::new("fsn"),
        witness: None,
        clients: Mutex::new(BTreeMap::from([(Place::Witness, clients("old", answers))])),
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
    let answered = pool(GOOD);
    ask(&answered, "/version", Duration::from_secs(1)).await;
    assert_eq!(answered.counts.told("201", "old:6443", "GET"), 1);
    let silent = pool(Server::Silent);
    for _ in 0..2 {
        ask(&silent, "/version", Duration::from_secs(1)).await;
    }
    assert_eq!(silent.counts.told("<error>", "old:6443", "GET"), 2, "their caller gave them up");
}

#[tokio::test(start_paused = true)]
async fn a_kubeconfig_that_is_not_answered_does_not_replace_one_that_is() {
    for (before, after, taken) in [
        (GOOD, GOOD, true),
        (GOOD, REFUSED, false),
        (GOOD, Server::Silent, false),
        (GOOD, Server::Knows("system:anonymous"), false),
        (GOOD, Server::Says(403, "User \"system:anonymous\" cannot create resource"), false),
        // It knows who asks.
        (GOOD, Server::Says(403, "User \"alice\" cannot create resource"), true),
        // So does one that is too old for this question.
        (GOOD, Server::Says(404, "the server could not find the requested resource"), true),
        (GOOD, Server::Says(500, "etcd is away"), false),
        (REFUSED, REFUSED, true),
        (REFUSED, GOOD, true),
        (Server::Silent, Server::Silent, true),
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
