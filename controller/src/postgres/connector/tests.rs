//! What the API server is asked for a stream, and what is taken from its watch.

use super::*;
use crate::postgres::test_server::{Hand, Server};
use continuum_core::observe::Stored;
use continuum_live::clock::SystemClock;
use continuum_tests::certificates::Authority;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::task::JoinHandle;

const ALL: &str = "/apis/postgresql.cnpg.io/v1/clusters";
const CLUSTERS: &str = "/apis/postgresql.cnpg.io/v1/namespaces/shop/clusters";

struct Bed {
    server: Server,
    clock: Arc<Hand>,
    connector: HalfConnector,
}

impl Bed {
    /// The controller of fsn, whose Cluster says that hel is at `db.hel`. Both halves have an authority.
    fn new() -> Self {
        let (server, clock) = (Server::default(), Arc::new(Hand::default()));
        let continuum = json!({
            "metadata": { "namespace": "shop", "name": "shop" },
            "spec": {
                "applicationRef": "shop", "primaryRegion": "fsn", "hotStandbyRegions": ["hel"],
                "leaseClient": { "kind": "k8s-lease" }, "cnpgPair": { "name": "shop" },
            },
        });
        let resource = Arc::new(Resource::new(Stored::from(continuum)));
        let connector = HalfConnector::new(fsn(), server.client(), "cluster.local".into(), resource, clock.clone());
        let bed = Self { server, clock, connector };
        bed.other_half_at(&["db.hel"]);
        let authority = Authority::new();
        for name in ["shop-fsn-ca", "hel-ca"] {
            bed.server.put_secret(name, &[("ca.crt", &authority.certificate)]);
        }
        bed
    }

    /// One Cluster with the label for each of these.
    fn other_half_at(&self, hosts: &[&str]) {
        let cluster = |(index, host): (usize, &&str)| {
            json!({
                "apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster",
                "metadata": {
                    "namespace": "shop", "name": if index == 0 { "shop-fsn" } else { "shop-old" },
                    "resourceVersion": "7", "labels": { PAIR_LABEL: "shop" },
                },
                "spec": { "externalClusters": [{
                    "name": "shop-hel", "connectionParameters": { "host": host, "sslmode": "verify-full" },
                    "sslRootCert": { "name": "hel-ca", "key": "ca.crt" },
                }] },
            })
        };
        let clusters: Vec<Value> = hosts.iter().enumerate().map(cluster).collect();
        self.server.put(&format!("{CLUSTERS}/shop-fsn"), clusters[0].clone());
        let list = json!({
            "kind": "ClusterList", "apiVersion": "postgresql.cnpg.io/v1",
            "metadata": { "resourceVersion": "7" }, "items": clusters,
        });
        self.server.put(CLUSTERS, list.clone());
        self.server.put(ALL, list);
    }

    /// The same, beside watches that know.
    async fn watched() -> (Self, Arc<ServerWatches>, JoinHandle<()>) {
        let bed = Self::new();
        let watches = Arc::new(ServerWatches::new(fsn(), true));
        let (kept, client) = (watches.clone(), bed.server.client());
        let watching = tokio::spawn(async move { kept.run(client, &SystemClock::new()).await });
        until_known(&watches).await;
        (Self { connector: bed.connector.beside(watches.clone()), ..bed }, watches, watching)
    }

    /// Where this half is.
    async fn host(&self, region: &str) -> Result<String, String> {
        host_by(&self.connector, region).await
    }
}

async fn host_by(connector: &HalfConnector, region: &str) -> Result<String, String> {
    let cluster = ObjectName::new("shop", format!("shop-{region}"));
    let route = connector.route(&Region::new(region), &cluster).await;
    route.map(|route| route.target.host).map_err(|error| crate::chain(&error))
}

async fn until_known(watches: &ServerWatches) {
    for _ in 0..100 {
        if watches.unknown().iter().all(|(_, why)| why.is_none()) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("not in 10 s: {:?}", watches.unknown());
}

fn fsn() -> Region {
    Region::new("fsn")
}

const OWN: &str = "shop-fsn-rw.shop.svc.cluster.local";

#[tokio::test]
async fn while_a_watch_knows_no_cluster_is_asked_for_and_each_authority_once_in_ten_minutes() {
    let (bed, _watches, _watching) = Bed::watched().await;
    for _ in 0..2 {
        // Looks are four seconds apart.
        for _ in 0..150 {
            assert_eq!(bed.host("fsn").await, Ok(OWN.into()));
            assert_eq!(bed.host("hel").await, Ok("db.hel".into()));
            bed.clock.advance(Duration::from_secs(4));
        }
        assert_eq!(bed.server.asked(), ["shop-fsn-ca", "hel-ca"], "of ten minutes");
    }
}

#[tokio::test]
async fn what_a_watch_tells_of_a_cluster_counts_at_once() {
    let (bed, watches, _watching) = Bed::watched().await;
    assert_eq!(bed.host("hel").await, Ok("db.hel".into()));
    bed.other_half_at(&["new.hel"]);
    watches.begin_anew();
    until_known(&watches).await;
    assert_eq!(bed.host("hel").await, Ok("new.hel".into()));
    assert_eq!(bed.server.asked(), ["hel-ca"]);
}

#[tokio::test]
async fn where_no_watch_knows_a_cluster_is_read_once_a_minute_and_anew_where_it_led_nowhere() {
    let (bed, watches, watching) = Bed::watched().await;
    watching.abort();
    let _ = watching.await;
    assert!(watches.reach_of(&ObjectName::new("shop", "shop-fsn")).is_none(), "nobody watches");
    assert_eq!((bed.host("fsn").await, bed.host("hel").await), (Ok(OWN.into()), Ok("db.hel".into())));
    assert_eq!(bed.server.asked(), ["shop-fsn", "shop-fsn-ca", "clusters", "hel-ca"]);
    bed.other_half_at(&["new.hel"]);
    bed.clock.advance(Duration::from_secs(59));
    assert_eq!(bed.host("hel").await, Ok("db.hel".into()));
    bed.clock.advance(Duration::from_secs(1));
    assert_eq!(bed.host("hel").await, Ok("new.hel".into()));
    assert_eq!(bed.server.asked(), ["clusters"]);
    bed.connector.clusters.led_nowhere(&Which::OfPair(ObjectName::new("shop", "shop")));
    assert_eq!(bed.host("hel").await, Ok("new.hel".into()));
    assert_eq!(bed.server.asked(), ["clusters"]);
}

#[tokio::test]
async fn what_is_acted_on_asks_for_the_cluster_each_time_and_shares_the_authorities() {
    let (bed, _watches, _watching) = Bed::watched().await;
    assert_eq!(bed.host("fsn").await, Ok(OWN.into()));
    assert_eq!(bed.server.asked(), ["shop-fsn-ca"]);
    let afresh = bed.connector.afresh();
    for _ in 0..2 {
        assert_eq!(host_by(&afresh, "fsn").await, Ok(OWN.into()));
    }
    assert_eq!(bed.server.asked(), ["shop-fsn", "shop-fsn"]);
    // The watch was told nothing of it.
    bed.other_half_at(&["new.hel"]);
    assert_eq!(host_by(&afresh, "hel").await, Ok("new.hel".into()));
    assert_eq!(bed.host("hel").await, Ok("db.hel".into()));
}

#[tokio::test]
async fn of_two_clusters_with_the_label_the_server_is_to_say() {
    let (bed, watches, _watching) = Bed::watched().await;
    bed.other_half_at(&["db.hel", "old.hel"]);
    watches.begin_anew();
    until_known(&watches).await;
    let cause = bed.host("hel").await.unwrap_err();
    assert!(cause.starts_with("2 Clusters in fsn carry the label"), "{cause}");
    assert_eq!(bed.server.asked(), ["clusters"]);
    assert_eq!(bed.host("fsn").await, Ok(OWN.into()), "which is named is known");
}

#[tokio::test]
async fn an_authority_that_a_server_is_not_verified_by_is_read_anew() {
    let bed = Bed::new();
    bed.host("fsn").await.unwrap();
    bed.host("fsn").await.unwrap();
    assert_eq!(bed.server.asked(), ["shop-fsn", "shop-fsn-ca"]);
    let own = SecretKey { secret: ObjectName::new("shop", "shop-fsn-ca"), key: "ca.crt".into() };
    bed.connector.authorities.distrusted(&Trust::AuthorityAndName(own));
    bed.host("fsn").await.unwrap();
    assert_eq!(bed.server.asked(), ["shop-fsn-ca"]);
}
