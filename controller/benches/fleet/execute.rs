//! Switchovers of one Continuum, there and back. The product's move a real PostgreSQL pair, with a stand-in for its operator:
//! it does nothing before it sees what it waits for. The twin's write the same objects, records and event one after the
//! other, and wait for nothing, so they have no pair.

use crate::REGIONS;
use crate::fleet::{cluster, continuum, create, lease, route};
use crate::options::Options;
use crate::servers::{Servers, clusters, continuums, leases, routes};
use crate::sides::{Beside, Process, Side};
use crate::steps;
use continuum_tests::certificates::{Authority, Certified};
use continuum_tests::real_nats::{RealNats, USER};
use continuum_tests::real_postgres::{MONITOR_ROLE, PASSWORD, PLAIN_ROLE, RealPostgres};
use continuum_tests::real_powerdns::RealPowerDns;
use continuum_tests::stand_in::StandIn;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, PostParams};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const NAME: &str = "shop";
/// For whatever is waited for.
const LIMIT: Duration = Duration::from_secs(120);
/// Between two looks whether a move has ended.
const LOOK: Duration = Duration::from_millis(20);

/// What one side has shown.
pub struct Moves {
    /// From the order to the end, of each move.
    pub took: Vec<Duration>,
    /// The same, less what was waited for.
    pub own: Vec<Duration>,
    /// CPU time of both processes, of one move.
    pub cpu: Duration,
}

/// A pair with its operators.
struct Pair {
    postgres: Arc<RealPostgres>,
    authority: Authority,
}

/// One side's processes over its objects.
struct Staged<'a> {
    servers: &'a Servers,
    namespace: String,
    lease_namespace: String,
    processes: [Process; 2],
}

/// See the module. `None`, with a line on stderr, where a server is not built.
pub async fn measure(servers: &Servers, side: &Side, options: &Options) -> Option<Moves> {
    println!("{}: {} switchovers", side.name(), options.moves);
    let nats = RealNats::start().await?;
    let powerdns = RealPowerDns::start()?;
    let beside = Beside {
        powerdns: (format!("http://{}", powerdns.api), powerdns.key.clone(), powerdns.dns.to_string()),
        nats: nats.url(USER.0, USER.1),
    };
    let pair = match side {
        Side::Product => Some(Pair::start()?),
        Side::Twin(_) => None,
    };
    let (namespace, lease_namespace) = (format!("execute-{}", side.name()), format!("execute-{}-leases", side.name()));
    put(servers, &namespace, &lease_namespace, pair.as_ref(), &beside.powerdns.2).await;
    let mut operators = Vec::new();
    if let Some(pair) = &pair {
        for (index, region) in REGIONS.into_iter().enumerate() {
            let name = format!("{NAME}-{region}");
            let operator = StandIn::start(&servers.kube[index], &pair.postgres, index, &namespace, &name);
            operators.push(operator.await.expect("a stand-in for the operator"));
        }
    }
    let processes = [0, 1].map(|index| side.start(servers, index, &lease_namespace, Some(&beside)));
    let staged = Staged { servers, namespace, lease_namespace, processes };
    staged.until_healthy().await;
    let mut moves = Moves { took: Vec::new(), own: Vec::new(), cpu: Duration::ZERO };
    for number in 0..options.moves {
        let from = number % 2;
        let order = match side {
            Side::Product => staged.confirmed(from).await,
            Side::Twin(_) => Value::Null,
        };
        let (cpu, logs) = (staged.cpu(), staged.logs());
        let began = Instant::now();
        staged.call(from, "switchover", &order).expect("the order is taken");
        staged.until_held_by(REGIONS[1 - from]).await;
        let took = began.elapsed();
        moves.cpu += (staged.cpu() - cpu) / options.moves as u32;
        let waited: Duration = (logs.iter().zip(staged.logs()))
            .map(|(before, now)| now[before.len()..].to_owned())
            .reduce(|one, other| one + &other)
            .map(|log| steps::waited(&log))
            .unwrap_or_default();
        println!(
            "{}: to {} in {:.3} s, of which {:.3} s of waiting for others",
            side.name(),
            REGIONS[1 - from],
            took.as_secs_f64(),
            waited.as_secs_f64()
        );
        moves.took.push(took);
        moves.own.push(took.saturating_sub(waited));
        staged.until_healthy().await;
    }
    Some(moves)
}

impl Pair {
    fn start() -> Option<Self> {
        let postgres = Arc::new(RealPostgres::start()?);
        let authority = Authority::new();
        let Certified { certificate, key } = authority.certify("localhost");
        for half in 0..2 {
            postgres.take_tls_alone(half, &certificate, &key);
        }
        Some(Self { postgres, authority })
    }
}

/// The objects of both regions, for the product with what it looks at the pair by.
async fn put(servers: &Servers, namespace: &str, lease_namespace: &str, pair: Option<&Pair>, authority: &str) {
    servers.namespace(0, lease_namespace).await;
    let hostname = format!("{namespace}.example.org");
    for (index, region) in REGIONS.into_iter().enumerate() {
        servers.namespace(index, namespace).await;
        let mut object = continuum(NAME);
        object["spec"]["luaRecord"]["hostnames"] = json!([hostname]);
        object["spec"]["dns"] = json!({ "authorities": [authority] });
        if let Some(pair) = pair {
            object["spec"]["probe"] = json!({ "secretRef": { "name": "probe" } });
            for (place, port) in pair.postgres.ports.into_iter().enumerate() {
                object["spec"]["regions"][place]["postgres"] = json!({ "host": "localhost", "port": port });
            }
            let secrets: Api<Secret> = Api::namespaced(servers.clients[index].clone(), namespace);
            let ca = [("ca.crt", pair.authority.certificate.as_str())];
            let login = [("username", MONITOR_ROLE), ("password", PASSWORD)];
            let app = [("username", PLAIN_ROLE), ("password", PASSWORD)];
            let (fsn, hel) = (format!("{NAME}-{}-ca", REGIONS[0]), format!("{NAME}-{}-ca", REGIONS[1]));
            let role = format!("{NAME}-{region}-app");
            for (name, data) in [("probe", &login[..]), (&fsn, &ca), (&hel, &ca), (&role, &app)] {
                secrets.create(&PostParams::default(), &secret(name, data)).await.expect("a new secret");
            }
        }
        create(&servers.objects(index, namespace, &clusters()), cluster(NAME, region)).await;
        create(&servers.objects(index, namespace, &routes()), route(NAME)).await;
        create(&servers.objects(index, namespace, &continuums()), object).await;
    }
    create(&servers.objects(0, lease_namespace, &leases()), lease(&format!("{namespace}.{NAME}"))).await;
}

fn secret(name: &str, data: &[(&str, &str)]) -> Secret {
    let data = data.iter().map(|(key, text)| ((*key).to_owned(), ByteString(text.as_bytes().to_vec())));
    let mut secret = Secret { data: Some(data.collect()), ..Secret::default() };
    secret.metadata.name = Some(name.into());
    secret
}

impl Staged<'_> {
    fn cpu(&self) -> Duration {
        self.processes.iter().map(|process| process.usage().cpu).sum()
    }

    fn logs(&self) -> [String; 2] {
        [self.processes[0].log(), self.processes[1].log()]
    }

    async fn until_healthy(&self) {
        for index in 0..2 {
            let copies = self.servers.objects(index, &self.namespace, &continuums());
            until("both copies to be healthy", async || {
                let copy = copies.get(NAME).await.expect("it is there");
                copy.data["status"]["phase"] == "Healthy"
            })
            .await;
        }
    }

    /// The order that a dry run without blockers allows.
    async fn confirmed(&self, from: usize) -> Value {
        let to = json!({ "toRegion": REGIONS[1 - from] });
        let mut report = Value::Null;
        until("nothing to speak against the move", async || {
            report = self.call(from, "dry-run", &to).unwrap_or_default();
            report["planFingerprint"].is_string() && report["blockers"].is_null()
        })
        .await;
        json!({ "toRegion": REGIONS[1 - from], "confirmedFingerprint": report["planFingerprint"] })
    }

    /// Until a region holds the lease and no move is under way.
    async fn until_held_by(&self, region: &str) {
        let leases = self.servers.objects(0, &self.lease_namespace, &leases());
        let name = format!("{}.{NAME}", self.namespace);
        until("the move to end", async || {
            let lease = leases.get(&name).await.expect("it is there");
            let record = lease.metadata.annotations.as_ref().and_then(|all| all.get("dr.openova.io/record"));
            let record: Value = serde_json::from_str(record.expect("a record")).expect("JSON");
            lease.data["spec"]["holderIdentity"] == region && record["intent"].is_null()
        })
        .await;
    }

    /// A call of a region's process. What it answered, where it was willing.
    fn call(&self, index: usize, what: &str, body: &Value) -> Option<Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.processes[index].api)).ok()?;
        stream.set_read_timeout(Some(LIMIT)).expect("a limit that is not zero");
        let (path, body) = (format!("/v1/continuums/{}/{NAME}/{what}", self.namespace), body.to_string());
        let length = body.len();
        let head = "Host: x\r\nConnection: close\r\nContent-Type: application/json\r\nX-Catalyst-Owner-Tier: true";
        write!(stream, "POST {path} HTTP/1.1\r\n{head}\r\nContent-Length: {length}\r\n\r\n{body}").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        if !head.split(' ').nth(1)?.starts_with('2') {
            eprintln!("{what}: {head}\n{body}");
            return None;
        }
        Some(serde_json::from_str(body).unwrap_or_default())
    }
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < LIMIT, "waited for {what}");
        sleep(LOOK).await;
    }
}
