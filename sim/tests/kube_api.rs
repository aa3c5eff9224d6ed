//! kube's client on the simulated network, against the simulated API server.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use continuum_live::kube_transport::{Limits, USER_AGENT, plain_client};
use continuum_sim::fabric::{Fabric, FabricOptions, Net, TurmoilFabric};
use continuum_sim::gate::{After, Asked, Before, Gate, Open, SharedGate};
use continuum_sim::kube_client::{HostExecutor, KubeConnector};
use continuum_sim::servers::kube_api::{CLUSTERS, ChangeEvent, LEASES, Refusal, Right, Store, http};
use continuum_sim::{determinism, trace};
use futures_util::StreamExt;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::runtime::watcher;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// What a test's client wrote down.
type Notes = Arc<Mutex<Vec<String>>>;

/// A fabric with `api.fsn` and one client.
struct World {
    fabric: TurmoilFabric,
    store: Store,
    notes: Notes,
}

impl World {
    fn new(seed: u64, gate: SharedGate) -> Self {
        let mut fabric = TurmoilFabric::new(FabricOptions { seed, ..FabricOptions::default() });
        let (net, store) = (fabric.net(), Store::new("fsn"));
        let served = store.clone();
        fabric.host(
            "api.fsn",
            Box::new(move || Box::pin(http::serve(net.clone(), "api.fsn".into(), served.clone(), gate.clone()))),
        );
        store.create(&CLUSTERS, cluster("shop-fsn"), "set-up").unwrap();
        World { fabric, store, notes: Notes::default() }
    }

    /// Runs `work` on `controller.fsn`.
    fn client<F: Future<Output = ()> + 'static>(
        &mut self,
        work: impl Fn(Api<DynamicObject>, Net, Notes) -> F + 'static,
    ) {
        let (net, notes) = (self.fabric.net(), self.notes.clone());
        self.fabric.host(
            "controller.fsn",
            Box::new(move || {
                let connector = KubeConnector::new(net.clone());
                let base = "http://api.fsn:80".parse().unwrap();
                let api = plain_api(plain_client(
                    base,
                    USER_AGENT,
                    Limits::WATCHES,
                    connector,
                    HostExecutor::new(net.clone()),
                ));
                Box::pin(work(api, net.clone(), notes.clone()))
            }),
        );
    }

    /// A client that watches, for so many seconds at a time, and has noted that it began.
    fn watches_from_one_beginning(&mut self, seconds: u32) {
        self.client(move |api, _, notes| async move {
            let mut events = watcher(api, watcher::Config::default().timeout(seconds)).boxed();
            while let Some(event) = events.next().await {
                match event {
                    Ok(watcher::Event::Init) => note(&notes, "init"),
                    Err(error) => note(&notes, error),
                    Ok(_) => {}
                }
            }
        });
        self.run(ms(1000));
        assert_eq!(self.notes(), ["init"]);
    }

    /// It was told that what it knew is too old, and began anew.
    fn begins_anew_after_410(&self) {
        let notes = self.notes();
        let told = notes.iter().position(|note| note.contains("too old resource version"));
        assert!(told.is_some_and(|at| notes[at..].contains(&"init".to_string())), "{notes:?}");
    }

    fn run(&mut self, length: Duration) {
        let end = self.fabric.now() + length;
        while self.fabric.now() < end {
            self.fabric.step().unwrap();
        }
    }

    fn notes(&self) -> Vec<String> {
        std::mem::take(&mut *self.notes.lock().unwrap())
    }

    fn spec(&self) -> Value {
        self.store.get(&CLUSTERS, "shop", "shop-fsn").unwrap()["spec"].clone()
    }
}

fn plain_api(client: kube::Client) -> Api<DynamicObject> {
    Api::namespaced_with(client, "shop", &resource())
}

fn resource() -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("postgresql.cnpg.io", "v1", "Cluster"), "clusters")
}

fn cluster(name: &str) -> Value {
    json!({
        "metadata": { "name": name, "namespace": "shop", "labels": { "pair": "shop" } },
        "spec": { "instances": 1 },
    })
}

fn note(notes: &Notes, what: impl ToString) {
    notes.lock().unwrap().push(what.to_string());
}

/// Sends one merge patch of the spec, and notes the instances or the code that came back.
async fn patch(api: &Api<DynamicObject>, notes: &Notes, body: Value) {
    let (params, body) = (PatchParams::default(), Patch::Merge(body));
    let sent = api.patch("shop-fsn", &params, &body);
    match tokio::time::timeout(ms(2000), sent).await {
        Ok(Ok(object)) => note(notes, object.data["spec"]["instances"].clone()),
        Ok(Err(kube::Error::Api(status))) => note(notes, format!("{} {}", status.code, status.reason)),
        Ok(Err(error)) => note(notes, error),
        Err(_) => note(notes, "no answer"),
    }
}

/// A gate that does the same to every patch.
struct Always(Before, After);

impl Gate for Always {
    fn before(&self, asked: &Asked) -> Before {
        if asked.verb == "patch" { self.0.clone() } else { Before::Apply }
    }

    fn after(&self, asked: &Asked, _: u16) -> After {
        if asked.verb == "patch" { self.1.clone() } else { After::Send }
    }
}

fn instances(count: u64) -> Value {
    json!({ "spec": { "instances": count } })
}

#[test]
fn kubes_watcher_sees_every_change_across_a_partition_and_a_restart_of_the_server() {
    let mut world = World::new(1, Arc::new(Open));
    world.client(|api, _, notes| async move {
        let config = watcher::Config::default().labels("pair=shop").timeout(20);
        let mut events = watcher(api, config).boxed();
        while let Some(event) = events.next().await {
            if let Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object)) = event {
                note(&notes, object.data["spec"]["instances"].clone());
            }
        }
    });
    let patch = |world: &World, count| {
        world.store.merge_patch(&CLUSTERS, "shop", "shop-fsn", "", &instances(count), "user").unwrap();
    };
    world.run(ms(1000));
    patch(&world, 2);
    world.run(ms(1000));
    assert_eq!(world.notes(), ["1", "2"]);
    world.fabric.partition("api.fsn", "controller.fsn");
    patch(&world, 3);
    world.run(ms(5000));
    assert!(world.notes().is_empty());
    world.fabric.repair("api.fsn", "controller.fsn");
    world.run(ms(120_000));
    assert_eq!(world.notes(), ["3"]);
    world.fabric.crash("api.fsn");
    patch(&world, 4);
    world.run(ms(1000));
    world.fabric.restart("api.fsn");
    world.run(ms(120_000));
    assert_eq!(world.notes().last().unwrap(), "4");
}

#[test]
fn the_store_survives_a_crash_of_its_host() {
    let mut world = World::new(1, Arc::new(Open));
    world.client(|api, _, notes| async move {
        patch(&api, &notes, instances(2)).await;
        tokio::time::sleep(ms(5000)).await;
        // The first one finds that the server does not know its connection any more.
        for _ in 0..2 {
            patch(&api, &notes, json!({})).await;
        }
    });
    world.run(ms(1000));
    let digest = world.store.digest();
    world.fabric.crash("api.fsn");
    world.run(ms(500));
    world.fabric.restart("api.fsn");
    world.run(ms(8000));
    let notes = world.notes();
    assert_eq!((notes[0].as_str(), notes[2].as_str()), ("2", "2"), "{notes:?}");
    assert_eq!(world.store.digest(), digest);
}

#[test]
fn a_patch_of_an_old_version_conflicts() {
    let mut world = World::new(1, Arc::new(Open));
    world.client(|api, _, notes| async move {
        let version = api.get("shop-fsn").await.unwrap().metadata.resource_version;
        let with_version =
            |count| json!({ "metadata": { "resourceVersion": version }, "spec": { "instances": count } });
        patch(&api, &notes, with_version(2)).await;
        patch(&api, &notes, with_version(3)).await;
    });
    world.run(ms(1000));
    assert_eq!(world.notes(), ["2", "409 Conflict"]);
}

#[test]
fn a_lost_answer_hides_that_the_write_was_applied() {
    let mut world = World::new(1, Arc::new(Always(Before::Apply, After::Lose)));
    world.client(|api, _, notes| async move { patch(&api, &notes, instances(2)).await });
    world.run(ms(3000));
    assert_eq!(world.notes(), ["no answer"]);
    assert_eq!(world.spec(), json!({ "instances": 2 }));
}

#[test]
fn a_request_that_hangs_is_never_applied() {
    let mut world = World::new(1, Arc::new(Always(Before::Hang, After::Send)));
    world.client(|api, _, notes| async move { patch(&api, &notes, instances(2)).await });
    world.run(ms(10_000));
    assert_eq!(world.notes(), ["no answer"]);
    assert_eq!(world.spec(), json!({ "instances": 1 }));
}

#[test]
fn a_delayed_write_is_applied_though_its_client_is_gone() {
    let mut world = World::new(1, Arc::new(Always(Before::Delay(ms(5000)), After::Send)));
    world.client(|api, _, notes| async move { patch(&api, &notes, instances(2)).await });
    world.run(ms(4000));
    assert_eq!(world.notes(), ["no answer"]);
    assert_eq!(world.spec(), json!({ "instances": 1 }));
    world.run(ms(2000));
    assert_eq!(world.spec(), json!({ "instances": 2 }));
}

#[test]
fn a_delayed_write_with_a_time_limit_dies_with_it() {
    let mut world = World::new(1, Arc::new(Always(Before::Delay(ms(5000)), After::Send)));
    world.client(|api, net, notes| async move {
        let client = api.into_client();
        let path = "/apis/postgresql.cnpg.io/v1/namespaces/shop/clusters/shop-fsn?timeout=1500ms";
        let request = ::http::Request::patch(path)
            .header("content-type", "application/merge-patch+json")
            .body(instances(2).to_string().into_bytes())
            .unwrap();
        let begun = net.now();
        let code = match client.request::<Value>(request).await {
            Err(kube::Error::Api(status)) => status.code,
            other => panic!("{other:?}"),
        };
        note(&notes, format!("{code} after {}", (net.now() - begun).as_millis() / 100));
    });
    world.run(ms(10_000));
    assert_eq!(world.notes(), ["504 after 15"]);
    assert_eq!(world.spec(), json!({ "instances": 1 }));
}

#[test]
fn a_server_in_trouble_answers_with_its_code() {
    for code in [429, 500, 503] {
        let mut world = World::new(1, Arc::new(Always(Before::Answer(code), After::Send)));
        world.client(|api, _, notes| async move { patch(&api, &notes, instances(2)).await });
        world.run(ms(1000));
        assert!(world.notes()[0].starts_with(&code.to_string()));
        assert_eq!(world.spec(), json!({ "instances": 1 }));
    }
}

#[test]
fn the_gate_hears_who_asked_for_what() {
    struct Listening(Mutex<Vec<String>>);
    impl Gate for Listening {
        fn before(&self, asked: &Asked) -> Before {
            let Asked { server, from, verb, what, subresource, changing, dry_run, .. } = asked;
            let line = format!("{server} {from} {verb} {what} {subresource} {changing} {dry_run}");
            self.0.lock().unwrap().push(line);
            Before::Apply
        }

        fn after(&self, _: &Asked, status: u16) -> After {
            self.0.lock().unwrap().push(status.to_string());
            After::Send
        }
    }
    let gate = Arc::new(Listening(Mutex::default()));
    let mut world = World::new(1, gate.clone());
    world.client(|api, _, _| async move {
        let status = Patch::Merge(json!({ "status": { "phase": "x" } }));
        api.patch_status("shop-fsn", &PatchParams::default(), &status).await.unwrap();
        api.get_opt("shop-hel").await.unwrap();
    });
    world.run(ms(1000));
    let heard = gate.0.lock().unwrap().clone();
    let first = "api.fsn controller.fsn patch clusters/shop-fsn status true false";
    assert_eq!(heard, [first, "200", "api.fsn controller.fsn get clusters/shop-hel  false false", "404"]);
}

#[test]
fn admission_refuses_in_the_words_of_the_hook() {
    let mut world = World::new(1, Arc::new(Open));
    let judge = |old: Option<&Value>, new: &Value| match old {
        Some(old) if old["spec"] != new["spec"] => Err(Refusal::invalid(&CLUSTERS, "shop-fsn", "spec: Forbidden: no")),
        _ => Ok(()),
    };
    world.store.add_admission(&CLUSTERS, Arc::new(judge));
    world.client(|api, _, notes| async move {
        patch(&api, &notes, instances(2)).await;
        patch(&api, &notes, json!({ "metadata": { "labels": { "a": "b" } } })).await;
    });
    world.run(ms(1000));
    assert_eq!(world.notes(), ["422 Invalid", "1"]);
}

#[test]
fn a_denied_right_is_forbidden_and_the_review_says_so() {
    let mut world = World::new(1, Arc::new(Open));
    let right = |verb: &str| Right {
        verb: verb.into(),
        group: "postgresql.cnpg.io".into(),
        resource: "clusters".into(),
        subresource: String::new(),
    };
    world.store.deny(right("patch"));
    world.client(|api, _, notes| async move {
        patch(&api, &notes, instances(2)).await;
        let reviews = ApiResource::from_gvk_with_plural(
            &GroupVersionKind::gvk("authorization.k8s.io", "v1", "SelfSubjectAccessReview"),
            "selfsubjectaccessreviews",
        );
        let reviews: Api<DynamicObject> = Api::all_with(api.into_client(), &reviews);
        for verb in ["patch", "get"] {
            let mut review = DynamicObject::new("", &resource());
            review.types = None;
            review.metadata.name = None;
            let attributes = json!({ "verb": verb, "group": "postgresql.cnpg.io", "resource": "clusters" });
            review.data = json!({ "spec": { "resourceAttributes": attributes } });
            let answer = reviews.create(&PostParams::default(), &review).await.unwrap();
            note(&notes, answer.data["status"]["allowed"].clone());
        }
    });
    world.run(ms(1000));
    assert_eq!(world.notes(), ["403 Forbidden", "false", "true"]);
}

#[test]
fn a_watch_from_a_forgotten_version_begins_anew() {
    let mut world = World::new(1, Arc::new(Open));
    world.watches_from_one_beginning(2);
    world.fabric.partition("api.fsn", "controller.fsn");
    world.run(ms(1000));
    for count in 2..5 {
        world.store.merge_patch(&CLUSTERS, "shop", "shop-fsn", "", &instances(count), "user").unwrap();
    }
    world.store.compact();
    world.fabric.repair("api.fsn", "controller.fsn");
    world.run(ms(200_000));
    world.begins_anew_after_410();
}

#[test]
fn a_server_that_begins_anew_tells_no_watch_of_what_was_before() {
    let mut world = World::new(12, Arc::new(Open));
    world.watches_from_one_beginning(20);
    world.fabric.crash("api.fsn");
    world.run(ms(1000));
    world.fabric.restart("api.fsn");
    world.run(ms(120_000));
    world.begins_anew_after_410();
}

#[test]
fn history_tells_who_changed_what_and_under_which_claim() {
    let store = Store::new("witness");
    let lease = json!({ "metadata": { "name": "shop.shop", "namespace": "continuum" } });
    store.create(&LEASES, lease, "set-up").unwrap();
    let claim = json!({ "metadata": { "annotations": { "dr.openova.io/generation": "7" } } });
    for _ in 0..2 {
        store.merge_patch(&LEASES, "continuum", "shop.shop", "", &claim, "keeper").unwrap();
    }
    store.delete(&LEASES, "continuum", "shop.shop", "user").unwrap();
    let told: Vec<_> = store.history().into_iter().map(|c| (c.event, c.by, c.claim)).collect();
    assert_eq!(
        told,
        [
            (ChangeEvent::Added, "set-up".to_string(), None),
            (ChangeEvent::Modified, "keeper".to_string(), Some(7)),
            (ChangeEvent::Deleted, "user".to_string(), Some(7)),
        ]
    );
}

/// A client that patches, watches and logs, through a partition and a crash: its trace and its history.
fn eventful_run(seed: u64) -> Vec<String> {
    trace::capture();
    let mut world = World::new(seed, Arc::new(Open));
    world.client(|api, net, _| async move {
        let watched = api.clone();
        net.spawn(Box::pin(async move {
            let mut events = Box::pin(watcher(watched, watcher::Config::default().timeout(20)));
            while let Some(event) = events.next().await {
                let what = event.map(|event| format!("{event:?}").split(['(', ' ']).next().map(str::to_string));
                tracing::info!(target: "continuum_test", ?what, "event");
            }
        }));
        for count in 1.. {
            tokio::time::sleep(ms(700)).await;
            let (params, body) = (PatchParams::default(), Patch::Merge(instances(count)));
            let sent = api.patch("shop-fsn", &params, &body);
            let done = tokio::time::timeout(ms(1500), sent).await.is_ok_and(|answer| answer.is_ok());
            tracing::info!(target: "continuum_test", count, done, "patched");
        }
    });
    world.run(ms(10_000));
    world.fabric.partition_one_way("api.fsn", "controller.fsn");
    world.run(ms(10_000));
    world.fabric.repair("api.fsn", "controller.fsn");
    world.run(ms(10_000));
    world.fabric.crash("api.fsn");
    world.run(ms(5000));
    world.fabric.restart("api.fsn");
    world.fabric.pause("controller.fsn");
    world.run(ms(5000));
    world.fabric.resume("controller.fsn");
    world.run(ms(30_000));
    let mut lines: Vec<String> = trace::take().iter().map(ToString::to_string).collect();
    lines.extend(world.store.history().iter().map(|c| format!("{:?} {} {} {}", c.at, c.version, c.by, c.object)));
    lines
}

#[test]
fn the_same_seed_gives_the_same_trace_also_with_four_runs_side_by_side() {
    let once = |seed| determinism::on_seeded_thread(seed, move || eventful_run(seed)).unwrap();
    let seeds = [1, 2, 3, 4];
    let first = seeds.map(once);
    assert!(first[0].len() > 50, "{:#?}", first[0]);
    assert_ne!(first[0], first[1]);
    let together = seeds.map(|seed| std::thread::spawn(move || once(seed)));
    let together = together.map(|thread| thread.join().unwrap());
    for (alone, together) in first.iter().zip(&together) {
        let difference = alone.iter().zip(together).find(|(a, b)| a != b);
        assert_eq!(difference, None);
        assert_eq!(alone.len(), together.len());
    }
}
