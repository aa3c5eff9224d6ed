//! Watches of a real API server that is killed, and of one that stops answering without a word.

use continuum_core::name::{ObjectName, Region};
use continuum_core::observe::Seen;
use continuum_core::ports::{Cache, ObservePair};
use continuum_live::clock::SystemClock;
use continuum_live::kube_api::{self, Access, KubeApi, Regions};
use continuum_live::pair::{KubePair, PAIR_LABEL};
use continuum_live::watches::{KubeCache, ServerWatches};
use continuum_tests::exchange;
use continuum_tests::real_kube::{RealKube, Who};
use http::Method;
use kube::Client;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const CLUSTERS: &str = "/apis/postgresql.cnpg.io/v1/namespaces/default/clusters";

struct Bed {
    real: RealKube,
    admin: Client,
    watches: Arc<ServerWatches>,
    regions: Regions,
    cache: KubeCache,
}

impl Bed {
    /// A server with a half of its own, watched and known.
    async fn start() -> Option<Self> {
        let real = RealKube::another().await.expect("a real kube-apiserver")?;
        let admin = real.client(Who::Admin).await.expect("a client");
        let fsn = Region::new("fsn");
        let watches = Arc::new(ServerWatches::new(fsn.clone(), false));
        let api = KubeApi::new(Access::new(admin.clone()), "fsn").beside(Some(watches.clone()));
        let regions = kube_api::regions([(fsn.clone(), api)]);
        let name = ObjectName::new("default", "shop");
        let cache = KubeCache::new([(fsn, watches.clone())].into(), regions.clone(), name);
        let (kept, client) = (watches.clone(), admin.clone());
        tokio::spawn(async move { kept.run(client, &SystemClock::new()).await });
        let bed = Self { real, admin, watches, regions, cache };
        bed.create("shop-fsn").await;
        bed.until("known", 10, || bed.half() == Some("shop-fsn".into())).await;
        Some(bed)
    }

    async fn create(&self, name: &str) {
        let cluster = json!({
            "apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster",
            "metadata": { "name": name, "labels": { PAIR_LABEL: "shop" } }, "spec": { "instances": 1 },
        });
        let answer = exchange::ask(&self.admin, Method::POST, CLUSTERS, "application/json", cluster.to_string()).await;
        assert_eq!(answer.expect("the server answers").status, 201);
    }

    /// Whether it was answered.
    async fn delete(&self, name: &str) -> bool {
        let path = format!("{CLUSTERS}/{name}");
        let answer = exchange::ask(&self.admin, Method::DELETE, &path, "application/json", String::new()).await;
        answer.is_ok_and(|answer| answer.status == 200)
    }

    /// The half that is told of; absent: it is not known.
    fn half(&self) -> Option<String> {
        let seen = self.cache.cluster(&Region::new("fsn"), &ObjectName::new("default", "shop"))?;
        match seen {
            Seen::Is(view) => Some(view.object.name),
            other => Some(other.why().unwrap_or_default()),
        }
    }

    /// How long it took.
    async fn until(&self, what: &str, seconds: u64, is_so: impl Fn() -> bool) -> Duration {
        let started = Instant::now();
        while !is_so() {
            let why = self.watches.unknown();
            assert!(started.elapsed() < Duration::from_secs(seconds), "not in {seconds} s: {what}; {why:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        started.elapsed()
    }

    fn signal(&self, signal: &str) {
        self.real.server().signal(signal);
    }
}

#[tokio::test]
async fn from_the_death_of_its_server_on_nothing_is_known_until_everything_is_listed_anew() {
    let Some(bed) = Bed::start().await else { return };
    bed.real.server().kill();
    bed.until("it is noticed", 5, || bed.half().is_none()).await;
    bed.real.server().start();
    // Nothing tells of what goes while nobody watches: the watches may be tried again in a minute.
    while !bed.delete("shop-fsn").await {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bed.until("known anew", 90, || bed.half() == Some("not found".into())).await;
}

#[tokio::test]
async fn a_server_that_stops_answering_is_not_believed_for_longer_than_40_seconds() {
    let Some(bed) = Bed::start().await else { return };
    bed.signal("-STOP");
    let noticed = bed.until("it is noticed", 45, || bed.half().is_none()).await;
    bed.signal("-CONT");
    assert!(noticed < Duration::from_secs(40), "{noticed:?}");
    bed.until("known again", 60, || bed.half() == Some("shop-fsn".into())).await;
}

#[tokio::test]
async fn a_request_without_an_answer_makes_what_was_told_doubtful_at_once() {
    let Some(bed) = Bed::start().await else { return };
    let (pair, fsn, shop) = (
        KubePair::new(bed.regions.clone(), Region::new("fsn")),
        Region::new("fsn"),
        ObjectName::new("default", "shop"),
    );
    pair.cluster(&fsn, &shop).await;
    assert!(bed.half().is_some(), "it was answered");
    bed.signal("-STOP");
    let given_up = tokio::time::timeout(Duration::from_secs(1), pair.cluster(&fsn, &shop)).await;
    let told = bed.half();
    let unanswered = tokio::time::timeout(Duration::from_secs(2), pair.cluster(&fsn, &shop)).await;
    let told_then = bed.half();
    bed.signal("-CONT");
    assert!(given_up.is_err() && unanswered.is_err(), "it stood still");
    assert!(told.is_some(), "nobody waits long for what nothing depends on, and that proves nothing");
    assert_eq!(told_then, None);
    bed.until("known again", 60, || bed.half() == Some("shop-fsn".into())).await;
}
