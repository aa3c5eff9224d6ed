//! The probe of a controller against a real PostgreSQL that takes TLS alone: by what the Clusters and secrets of an API
//! server say. That server is a table of objects here; how real ones answer is `two_regions`' to show.

use async_trait::async_trait;
use continuum_controller::postgres::connector::HalfConnector;
use continuum_controller::postgres::logins::SecretLogins;
use continuum_controller::resource::Resource;
use continuum_controller::secrets::Secrets;
use continuum_core::clock::{Clock, Monotonic};
use continuum_core::name::{ObjectName, Region};
use continuum_core::observe::{Accepts, Seen, Stored};
use continuum_core::ports::ObserveDatabase;
use continuum_live::postgres::PostgresProbe;
use continuum_tests::certificates::{Authority, Certified};
use continuum_tests::real_postgres::{MONITOR_ROLE, PASSWORD, RealPostgres};
use http::{Request, Response};
use k8s_openapi::ByteString;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The clock stands: whatever is read anew here was not kept for too long.
struct Standing;

#[async_trait]
impl Clock for Standing {
    fn now(&self) -> Monotonic {
        Monotonic::default()
    }
    fn wall(&self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH
    }
    async fn sleep(&self, _: Duration) {}
}

type Objects = Arc<Mutex<BTreeMap<String, Value>>>;

/// An API server that has these objects, by path.
fn server(objects: Objects) -> Client {
    let service = tower::service_fn(move |request: Request<Body>| {
        let found = objects.lock().expect("no test panics with it").get(request.uri().path()).cloned();
        let status = if found.is_some() { 200 } else { 404 };
        let missing = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound",
            "message": "not found", "code": 404 });
        let body = found.unwrap_or(missing).to_string().into_bytes();
        async move { Response::builder().status(status).body(Body::from(body)) }
    });
    Client::new(service, "shop")
}

const CONTINUUM: &str = "shop";
const SECRETS: &str = "/api/v1/namespaces/shop/secrets";
const CLUSTERS: &str = "/apis/postgresql.cnpg.io/v1/namespaces/shop/clusters";

fn secret(data: &[(&str, &str)]) -> Value {
    let data: BTreeMap<&str, ByteString> =
        data.iter().map(|(key, value)| (*key, ByteString(value.as_bytes().to_vec()))).collect();
    json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s", "namespace": "shop" }, "data": data })
}

struct Bed {
    objects: Objects,
    resource: Arc<Resource>,
    probe: PostgresProbe,
    port: u16,
}

impl Bed {
    /// The controller of fsn; PostgreSQL of both halves is at `port` of this machine.
    fn new(port: u16, authority: &Authority) -> Self {
        let objects = Objects::default();
        let client = server(objects.clone());
        let resource = Arc::new(Resource::new(Value::Null.into()));
        let (region, clock) = (Region::new("fsn"), Arc::new(Standing));
        let domain = "cluster.local".to_owned();
        let connector = HalfConnector::new(region.clone(), client.clone(), domain, resource.clone(), clock.clone());
        let logins = SecretLogins::new(Secrets::new(region, client), resource.clone(), clock);
        let probe = PostgresProbe::with_logins(Arc::new(connector), Arc::new(logins));
        let bed = Self { objects, resource, probe, port };
        bed.own_half_at(Value::Null);
        bed.put(&format!("{SECRETS}/probe"), secret(&[("username", MONITOR_ROLE), ("password", PASSWORD)]));
        bed.put(&format!("{SECRETS}/ca"), secret(&[("ca.crt", &authority.certificate)]));
        bed.put(&format!("{SECRETS}/shop-fsn-ca"), secret(&[("ca.crt", &authority.certificate)]));
        bed.other_half_at("localhost", "verify-full", "ca");
        bed
    }

    fn put(&self, path: &str, object: Value) {
        self.objects.lock().expect("no test panics with it").insert(path.to_owned(), object);
    }

    fn own_half_at(&self, place: Value) {
        self.resource.set(Stored::from(json!({
            "metadata": { "namespace": "shop", "name": CONTINUUM },
            "spec": {
                "applicationRef": "shop", "primaryRegion": "fsn", "hotStandbyRegions": ["hel"],
                "leaseClient": { "kind": "k8s-lease" }, "cnpgPair": { "name": "shop" },
                "probe": { "secretRef": { "name": "probe" } },
                "regions": [{ "name": "fsn", "postgres": place }],
            },
        })));
    }

    fn other_half_at(&self, host: &str, sslmode: &str, ca: &str) {
        let entry = json!({
            "name": "shop-hel",
            "connectionParameters": { "host": host, "port": self.port.to_string(), "sslmode": sslmode },
            "sslRootCert": { "name": ca, "key": "ca.crt" },
        });
        let cluster = json!({
            "apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster",
            "metadata": { "name": "shop-fsn", "namespace": "shop" },
            "spec": { "externalClusters": [entry] },
        });
        self.put(&format!("{CLUSTERS}/shop-fsn"), cluster.clone());
        self.put(CLUSTERS, json!({ "apiVersion": "v1", "kind": "List", "metadata": {}, "items": [cluster] }));
    }

    /// Whether PostgreSQL told of itself, or why it is not known.
    async fn look(&self, region: &str) -> Result<(), String> {
        let cluster = ObjectName::new("shop", format!("shop-{region}"));
        match self.probe.look(&Region::new(region), &cluster).await {
            Seen::Is(view) if view.accepts == Accepts::Yes => Ok(()),
            Seen::Is(view) => Err(format!("{:?}", view.accepts)),
            Seen::Unknown(cause) => Err(cause),
            other => Err(format!("{other:?}")),
        }
    }
}

/// PostgreSQL with the certificate of `localhost`, by the authority.
fn real() -> Option<(RealPostgres, Authority)> {
    let postgres = RealPostgres::start()?;
    let authority = Authority::new();
    let Certified { certificate, key } = authority.certify("localhost");
    postgres.take_tls_alone(0, &certificate, &key);
    Some((postgres, authority))
}

/// One test, since to make a pair takes seconds; each claim is said where it fails.
#[tokio::test]
async fn a_server_is_believed_where_its_authority_and_its_name_are_right_and_only_there() {
    let Some((postgres, authority)) = real() else { return };
    let stranger = Authority::new();
    let port = postgres.ports[0];
    let fresh = || Bed::new(port, &authority);

    assert_eq!(fresh().look("hel").await, Ok(()), "the right authority and name");

    let bed = fresh();
    bed.put(&format!("{SECRETS}/ca"), secret(&[("ca.crt", &stranger.certificate)]));
    let cause = bed.look("hel").await.unwrap_err();
    let said = format!(
        "PostgreSQL of hel at localhost:{port}, verified by key ca.crt of secret shop/ca: the server's \
                        certificate is not accepted: compare it with the CA and the host's name: "
    );
    assert!(cause.starts_with(&said), "another authority: {cause}");

    let bed = fresh();
    bed.other_half_at("localhost", "verify-ca", "ca");
    bed.put(&format!("{SECRETS}/ca"), secret(&[("ca.crt", &stranger.certificate)]));
    assert!(bed.look("hel").await.unwrap_err().starts_with(&said), "another authority, where no name is asked for");

    let bed = fresh();
    bed.other_half_at("127.0.0.1", "verify-full", "ca");
    let cause = bed.look("hel").await.unwrap_err();
    assert!(cause.contains("at 127.0.0.1:") && cause.contains("certificate is not accepted"), "another name: {cause}");

    let bed = fresh();
    bed.other_half_at("127.0.0.1", "verify-ca", "ca");
    assert_eq!(bed.look("hel").await, Ok(()), "another name, where none is asked for");

    let bed = fresh();
    bed.other_half_at("localhost", "disable", "ca");
    let cause = bed.look("hel").await.unwrap_err();
    assert!(cause.contains("28000") && cause.contains("no encryption"), "without TLS the server says no: {cause}");

    let bed = fresh();
    bed.other_half_at("localhost", "verify-full", "none");
    let cause = bed.look("hel").await.unwrap_err();
    assert_eq!(cause, "PostgreSQL of hel cannot be verified: secret shop/none in fsn is missing: make it");

    let bed = fresh();
    bed.put(&format!("{SECRETS}/ca"), secret(&[("tls.crt", "x")]));
    let cause = bed.look("hel").await.unwrap_err();
    assert_eq!(cause, "PostgreSQL of hel cannot be verified: secret shop/ca in fsn has no key ca.crt: add it");

    let bed = fresh();
    bed.put(&format!("{SECRETS}/ca"), secret(&[("ca.crt", "x")]));
    let cause = bed.look("hel").await.unwrap_err();
    assert!(cause.contains("by key ca.crt of secret shop/ca: the CA holds no certificate"), "{cause}");

    let bed = fresh();
    bed.own_half_at(json!({ "host": "localhost", "port": port }));
    assert_eq!(bed.look("fsn").await, Ok(()), "one's own half, by the authority that its Cluster names");
    let bed = fresh();
    bed.own_half_at(json!({ "host": "localhost", "port": port }));
    bed.put(&format!("{SECRETS}/shop-fsn-ca"), secret(&[("ca.crt", &stranger.certificate)]));
    assert!(bed.look("fsn").await.is_err(), "one's own half, by another authority");
    bed.put(&format!("{SECRETS}/shop-fsn-ca"), secret(&[("ca.crt", &authority.certificate)]));
    assert_eq!(bed.look("fsn").await, Ok(()), "an authority that a server is not verified by is read anew");
    bed.put(&format!("{SECRETS}/shop-fsn-ca"), secret(&[("ca.crt", &stranger.certificate)]));
    assert_eq!(bed.look("fsn").await, Ok(()), "it is kept for a while");
}

#[tokio::test]
async fn a_password_that_is_wrong_is_told_and_read_anew() {
    let Some((postgres, authority)) = real() else { return };
    let bed = Bed::new(postgres.ports[0], &authority);
    let probe = format!("{SECRETS}/probe");
    bed.put(&probe, secret(&[("username", MONITOR_ROLE), ("password", "wrong")]));
    let cause = bed.look("hel").await.unwrap_err();
    assert_eq!(cause, format!("28P01 password authentication failed for user \"{MONITOR_ROLE}\""));
    // With the end of a line behind it, as editors leave one.
    bed.put(
        &probe,
        secret(&[("username", MONITOR_ROLE), ("password", &format!("{PASSWORD}\n")), ("dbname", "template1")]),
    );
    assert_eq!(bed.look("hel").await, Ok(()), "it was rotated");
    bed.objects.lock().expect("no test panics with it").remove(&probe);
    assert_eq!(bed.look("hel").await, Ok(()), "it is kept for a while");
}

#[tokio::test]
async fn who_looks_must_be_said() {
    let authority = Authority::new();
    let bed = Bed::new(1, &authority);
    let known = "the role that looks at the databases is not known: secret shop/probe in fsn";
    bed.put(&format!("{SECRETS}/probe"), secret(&[("username", MONITOR_ROLE)]));
    assert_eq!(bed.look("hel").await, Err(format!("{known} has no key password: add it")));
    bed.objects.lock().expect("no test panics with it").remove(&format!("{SECRETS}/probe"));
    assert_eq!(bed.look("hel").await, Err(format!("{known} is missing: make it")));
    let mut object = bed.resource.object();
    object["spec"]["probe"] = Value::Null;
    bed.resource.set(object.into());
    let cause = bed.look("hel").await.unwrap_err();
    assert!(cause.starts_with("spec.probe.secretRef is missing: name a secret"), "{cause}");
}

#[tokio::test]
async fn a_refused_connection_is_the_servers_no_and_no_error() {
    let authority = Authority::new();
    // Nobody listens on port 1.
    let bed = Bed::new(1, &authority);
    assert_eq!(bed.look("hel").await, Err(format!("{:?}", Accepts::No)));
}
