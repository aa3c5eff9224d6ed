//! What a case works with: adapters of one region on one API server, and the server itself.

use continuum_core::name::{ObjectName, Region};
use continuum_live::kube_api::{self, Access, KubeApi, Regions};
use continuum_tests::exchange;
use http::Method;
use kube::Client;
use serde_json::{Value, json};
use std::pin::Pin;

/// A case of the suite.
pub type Case = fn(Bed) -> Pin<Box<dyn Future<Output = ()>>>;

const CLUSTERS: &str = "/apis/postgresql.cnpg.io/v1";

pub struct Bed {
    pub namespace: String,
    /// Whose rights the adapters have.
    client: Client,
    powerless: Client,
    /// Who makes what a case needs, and looks at what became of it.
    admin: Client,
}

impl Bed {
    pub fn new(namespace: String, client: Client, powerless: Client) -> Self {
        Self { namespace, admin: client.clone(), client, powerless }
    }

    /// With adapters of less rights than the case itself.
    pub fn with_adapters_of(self, client: Client) -> Self {
        Self { client, ..self }
    }

    /// The region `fsn`, whose API server this is.
    pub fn regions(&self) -> Regions {
        kube_api::regions([(fsn(), KubeApi::new(Access::new(self.client.clone()), "fsn"))])
    }

    /// The same, for a user without rights.
    pub fn powerless_regions(&self) -> Regions {
        kube_api::regions([(fsn(), KubeApi::new(Access::new(self.powerless.clone()), "fsn"))])
    }

    /// The client of the adapters.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The same, of a user without rights.
    pub fn powerless_client(&self) -> Client {
        self.powerless.clone()
    }

    pub fn witness_api(&self) -> KubeApi {
        KubeApi::new(Access::new(self.client.clone()), "witness")
    }

    pub fn powerless_witness_api(&self) -> KubeApi {
        KubeApi::new(Access::new(self.powerless.clone()), "witness")
    }

    /// An object of the case's namespace.
    pub fn object(&self, name: &str) -> ObjectName {
        ObjectName::new(&self.namespace, name)
    }

    /// The path of `clusters/shop-fsn` or of `leases`.
    fn path(&self, rest: &str) -> String {
        let group = match rest.split('/').next().unwrap_or_default() {
            "clusters" | "backups" => CLUSTERS,
            "httproutes" => "/apis/gateway.networking.k8s.io/v1",
            "continuums" => "/apis/dr.openova.io/v1",
            "leases" => "/apis/coordination.k8s.io/v1",
            "secrets" => "/api/v1",
            other => panic!("the suite knows no resource {other}"),
        };
        format!("{group}/namespaces/{}/{rest}", self.namespace)
    }

    async fn ask(&self, method: Method, rest: &str, content_type: &str, body: &str) -> exchange::Answer {
        exchange::ask(&self.admin, method.clone(), &self.path(rest), content_type, body.to_owned())
            .await
            .unwrap_or_else(|error| panic!("{method} {rest}: {error}"))
    }

    /// Creates an object past the adapters.
    pub async fn create(&self, plural: &str, body: Value) -> Value {
        let answer = self.ask(Method::POST, plural, "application/json", &body.to_string()).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.body
    }

    /// Merges a patch past the adapters; into the status with `rest` = `clusters/shop-fsn/status`.
    pub async fn patch(&self, rest: &str, patch: Value) -> Value {
        let answer = self.ask(Method::PATCH, rest, "application/merge-patch+json", &patch.to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    /// The object as the server has it.
    pub async fn read(&self, rest: &str) -> Value {
        let answer = self.ask(Method::GET, rest, "application/json", "").await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    pub async fn is_there(&self, rest: &str) -> bool {
        self.ask(Method::GET, rest, "application/json", "").await.status == 200
    }

    pub async fn delete(&self, rest: &str) {
        let answer = self.ask(Method::DELETE, rest, "application/json", "").await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}

pub fn fsn() -> Region {
    Region::new("fsn")
}

pub fn hel() -> Region {
    Region::new("hel")
}

/// `metadata.resourceVersion`.
pub fn version(object: &Value) -> &str {
    object["metadata"]["resourceVersion"].as_str().expect("every object has a version")
}

/// The object without what every write changes, to compare the rest.
pub fn settled(object: &Value) -> Value {
    let mut object = object.clone();
    let metadata = object["metadata"].as_object_mut().expect("metadata");
    for field in ["resourceVersion", "generation", "managedFields"] {
        metadata.remove(field);
    }
    object
}

/// `object` with `value` at a JSON pointer. A map on the way is made where there is none; null removes.
pub fn with(object: &Value, pointer: &str, value: Value) -> Value {
    let mut object = object.clone();
    let mut place = &mut object;
    let mut keys = pointer.trim_start_matches('/').split('/').peekable();
    while let Some(key) = keys.next() {
        let key = key.replace("~1", "/");
        if keys.peek().is_some() {
            if place.get(&key).is_none() && place.is_object() {
                place[&key] = json!({});
            }
            place = match key.parse::<usize>() {
                Ok(index) => &mut place[index],
                Err(_) => &mut place[&key],
            };
        } else if value.is_null() {
            place.as_object_mut().expect("a map to remove from").remove(&key);
        } else {
            place[&key] = value.clone();
        }
    }
    object
}

/// The object with the annotations of a claim.
pub fn claimed(object: &Value, generation: u64, intent: &str) -> Value {
    let object = with(object, "/metadata/annotations/dr.openova.io~1generation", json!(generation.to_string()));
    with(&object, "/metadata/annotations/dr.openova.io~1intent", json!(intent))
}
