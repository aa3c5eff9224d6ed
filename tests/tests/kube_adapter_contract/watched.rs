//! What watches tell is what a fresh read gives, or nothing.

use crate::bed::{Bed, fsn, version};
use crate::copies::continuum;
use crate::halves::cluster;
use crate::routes::route;
use continuum_core::name::Region;
use continuum_core::observe::{Claim, Seen};
use continuum_core::ports::{
    ActOnCopy, ActOnRoute, Cache, ObserveCopies, ObservePair, ObserveRoute, Outcome, RouteWrite,
};
use continuum_live::clock::SystemClock;
use continuum_live::copies::{KubeCopies, OwnCopy};
use continuum_live::kube_api::Regions;
use continuum_live::pair::{KubePair, PAIR_LABEL};
use continuum_live::route::KubeRoute;
use continuum_live::watches::{KubeCache, ServerWatches};
use futures_util::future::{Either, select};
use kube::Client;
use serde_json::json;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// What a case looks at: a cache, and adapters that share what was read with it.
struct Told {
    watches: Arc<ServerWatches>,
    regions: Regions,
    cache: KubeCache,
}

impl Told {
    fn new(bed: &Bed) -> Self {
        let watches = Arc::new(ServerWatches::new(fsn(), true));
        let regions = bed.regions();
        let cache = KubeCache::new([(fsn(), watches.clone())].into(), regions.clone(), bed.object("shop"));
        Self { watches, regions, cache }
    }

    fn is_known(&self) -> bool {
        self.watches.unknown().iter().all(|(_, why)| why.is_none())
    }
}

/// Runs a case beside the watches.
async fn beside(client: Client, told: &Told, case: impl Future<Output = ()>) {
    let clock = SystemClock::new();
    let watching = pin!(told.watches.run(client, &clock));
    match select(pin!(case), watching).await {
        Either::Left(_) => {}
        Either::Right(_) => panic!("the watches ended"),
    }
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..600 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not in 30 s: {what}");
}

pub async fn what_is_there_is_told_as_it_is_read_and_each_change_of_it(bed: Bed) {
    bed.create("clusters", cluster("shop-fsn", "shop")).await;
    bed.create("clusters", cluster("blog-fsn", "blog")).await;
    bed.create("httproutes", route()).await;
    bed.create("continuums", continuum()).await;
    let told = Told::new(&bed);
    let (pair, name) = (bed.object("shop"), bed.object("shop"));
    assert_eq!(told.cache.cluster(&fsn(), &pair), None, "nothing was listed yet");
    beside(bed.client(), &told, async {
        until("known", || told.is_known()).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(told.is_known(), "and it stays so: {:?}", told.watches.unknown());
        // Read anew, by adapters that share nothing with the cache.
        let (halves, routes) = (KubePair::new(bed.regions(), fsn()), KubeRoute::new(bed.regions()));
        let copies = KubeCopies::new(bed.regions(), name.clone());
        assert_eq!(told.cache.cluster(&fsn(), &pair), Some(halves.cluster(&fsn(), &pair).await));
        assert_eq!(told.cache.route(&fsn(), &name), Some(routes.route(&fsn(), &name).await));
        assert_eq!(told.cache.copy(&fsn()), Some(copies.copy(&fsn()).await));
        // What tells this product's writes from those of others.
        let half = told.cache.cluster(&fsn(), &pair).and_then(|seen| seen.known()?.role_writer.clone());
        let route = told.cache.route(&fsn(), &name).and_then(|seen| seen.known()?.weights_writer.clone());
        assert!(half.is_some() && route.is_some(), "who wrote them is told too: {half:?}, {route:?}");
        assert_eq!(told.cache.cluster(&Region::new("hel"), &pair), None, "no server of that region is watched");
        assert_eq!(told.cache.route(&fsn(), &bed.object("blog")), Some(Seen::Missing));

        bed.patch("clusters/shop-fsn", json!({"metadata": {"annotations": {"dr.openova.io/generation": "4"}}})).await;
        bed.patch("httproutes/shop", json!({"metadata": {"annotations": {"dr.openova.io/generation": "4"}}})).await;
        bed.patch("continuums/shop/status", json!({"status": {"phase": "Healthy"}})).await;
        let (cluster, route, copy) =
            (halves.cluster(&fsn(), &pair).await, routes.route(&fsn(), &name).await, copies.copy(&fsn()).await);
        until("the Cluster as it is now", || told.cache.cluster(&fsn(), &pair).as_ref() == Some(&cluster)).await;
        until("the route as it is now", || told.cache.route(&fsn(), &name).as_ref() == Some(&route)).await;
        until("the copy as it is now", || told.cache.copy(&fsn()).as_ref() == Some(&copy)).await;
    })
    .await;
    assert_eq!(told.cache.cluster(&fsn(), &pair), None, "nobody watches any more");
}

pub async fn what_is_deleted_or_loses_its_label_is_missing(bed: Bed) {
    bed.create("clusters", cluster("shop-fsn", "shop")).await;
    bed.create("httproutes", route()).await;
    bed.create("continuums", continuum()).await;
    let told = Told::new(&bed);
    let (pair, name) = (bed.object("shop"), bed.object("shop"));
    beside(bed.client(), &told, async {
        until("known", || told.is_known()).await;
        bed.patch("clusters/shop-fsn", json!({"metadata": {"labels": {PAIR_LABEL: null}}})).await;
        bed.delete("httproutes/shop").await;
        bed.delete("continuums/shop").await;
        until("no half", || told.cache.cluster(&fsn(), &pair) == Some(Seen::Missing)).await;
        until("no route", || told.cache.route(&fsn(), &name) == Some(Seen::Missing)).await;
        until("no copy", || told.cache.copy(&fsn()) == Some(Seen::Missing)).await;
        bed.patch("clusters/shop-fsn", json!({"metadata": {"labels": {PAIR_LABEL: "shop"}}})).await;
        until("a half again", || matches!(told.cache.cluster(&fsn(), &pair), Some(Seen::Is(_)))).await;
    })
    .await;
}

pub async fn two_clusters_with_the_label_are_told_as_they_are_read(bed: Bed) {
    bed.create("clusters", cluster("shop-fsn", "shop")).await;
    bed.create("clusters", cluster("shop-old", "shop")).await;
    let told = Told::new(&bed);
    beside(bed.client(), &told, async {
        until("known", || told.is_known()).await;
        let read = KubePair::new(bed.regions(), fsn()).cluster(&fsn(), &bed.object("shop")).await;
        assert_eq!(told.cache.cluster(&fsn(), &bed.object("shop")), Some(read));
    })
    .await;
}

pub async fn nothing_is_told_that_is_older_than_what_was_read_or_written(bed: Bed) {
    bed.create("httproutes", route()).await;
    bed.create("continuums", continuum()).await;
    let told = Told::new(&bed);
    let name = bed.object("shop");
    let routes = KubeRoute::new(told.regions.clone());
    let (copies, own) =
        (KubeCopies::new(told.regions.clone(), name.clone()), OwnCopy::new(&told.regions, fsn(), name.clone()));
    beside(bed.client(), &told, async {
        until("known", || told.is_known()).await;
        for weight in 0..20 {
            let Seen::Is(view) = routes.route(&fsn(), &name).await else { panic!("it is there") };
            let write = RouteWrite {
                region: fsn(),
                object: name.clone(),
                resource_version: view.resource_version,
                claim: Claim { generation: 3, intent: format!("shop/shop/3.{weight}") },
                weights: vec![[("shop-fsn".to_owned(), weight)].into(); 2],
            };
            assert_eq!(routes.set_weights(&write).await, Outcome::Done(()));
            // At once: the watch may not have told of it yet.
            if let Some(seen) = told.cache.route(&fsn(), &name) {
                assert_eq!(seen.known().and_then(|view| view.weight("shop-fsn")), Some(weight));
            }
            assert_eq!(own.patch_status(&json!({"switchoverStep": weight.to_string()})).await, Outcome::Done(()));
            if let Some(seen) = told.cache.copy(&fsn()) {
                assert_eq!(seen.known().expect("a copy").status.read()["switchoverStep"], weight.to_string());
            }
            // What another wrote, and was read here.
            let object = bed.patch("continuums/shop/status", json!({"status": {"phase": weight.to_string()}})).await;
            let read = copies.copy(&fsn()).await;
            assert_eq!(read.known().expect("a copy").resource_version, version(&object));
            if let Some(seen) = told.cache.copy(&fsn()) {
                assert_eq!(seen, read);
            }
        }
    })
    .await;
}

pub async fn what_may_not_be_watched_is_not_known_and_says_what_is_missing(bed: Bed) {
    bed.create("continuums", continuum()).await;
    let told = Told::new(&bed);
    let refused = || told.watches.unknown().iter().all(|(_, why)| why.as_ref().is_some_and(|why| why.contains("403")));
    beside(bed.powerless_client(), &told, async {
        until("refused", refused).await;
        let (_, why) = &told.watches.unknown()[2];
        let why = why.as_ref().expect("it was refused");
        assert!(
            why.contains("give this controller's account the verbs list and watch on continuums.dr.openova.io"),
            "{why}"
        );
        assert_eq!(told.cache.copy(&fsn()), None);
        assert!(told.watches.changes().is_err());
    })
    .await;
}

pub async fn another_server_is_listed_anew(bed: Bed) {
    bed.create("continuums", continuum()).await;
    let told = Told::new(&bed);
    let name = bed.object("shop");
    let is_told = || {
        let changes = told.watches.changes().unwrap_or_default();
        changes.iter().any(|(changed, object)| *changed == name && object.is_some())
    };
    beside(bed.client(), &told, async {
        until("known", || told.is_known() && is_told()).await;
        assert!(!is_told(), "it is told once");
        told.watches.begin_anew();
        until("listed once more", is_told).await;
    })
    .await;
}
