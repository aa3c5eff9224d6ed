//! A pair with its operators and clients, brought to where a recording starts, then driven by its script.

use super::events::{Clients, Event, Recording, Step, What, changes, simplify};
use continuum_core::name::ObjectName;
use continuum_live::kube_transport::{Limits, USER_AGENT, plain_client};
use continuum_sim::determinism::Seeds;
use continuum_sim::fabric::{Fabric, FabricOptions, HostFuture, Net, TurmoilFabric};
use continuum_sim::gate::Open;
use continuum_sim::kube_client::{HostExecutor, KubeConnector};
use continuum_sim::servers::kube_api::{self, CLUSTERS, Store};
use continuum_sim::servers::operator::{ClusterOptions, Knobs, Operator, cluster_object, limits_of};
use continuum_sim::servers::postgres::{Instance, Journal, Settings};
use http::Request;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_postgres::{Client, NoTls, config::SslMode};

/// Role that writes as the recordings' clients do, and its password.
const WRITER: &str = "writer";

/// Where a recording starts.
#[derive(Clone, Copy)]
pub struct Start {
    switchovers: u32,
    session: bool,
    synchronous: bool,
    smart_shutdown_timeout: u32,
    token_removed: bool,
    undone_just_now: bool,
    standby_not_streaming: bool,
    early_ready: bool,
    rest: f64,
}

impl Start {
    /// The pair as it was made.
    pub fn born() -> Self {
        Self {
            switchovers: 0,
            session: false,
            synchronous: false,
            smart_shutdown_timeout: 180,
            token_removed: false,
            undone_just_now: false,
            standby_not_streaming: false,
            early_ready: false,
            rest: 30.0,
        }
    }

    /// The primary role has moved to hel.
    pub fn switched_once() -> Self {
        Self { switchovers: 1, ..Self::born() }
    }

    /// ... and back.
    pub fn switched_twice() -> Self {
        Self { switchovers: 2, ..Self::born() }
    }

    /// So long after a switchover the next thing happens. 30 s by default: longer than anything remembers.
    pub fn rest(self, rest: f64) -> Self {
        Self { rest, ..self }
    }

    /// Clients hold sessions, too.
    pub fn session(self) -> Self {
        Self { session: true, ..self }
    }

    pub fn synchronous(self) -> Self {
        Self { synchronous: true, ..self }
    }

    pub fn smart_shutdown_timeout(self, seconds: u32) -> Self {
        Self { smart_shutdown_timeout: seconds, ..self }
    }

    /// The primary's promotion token was removed from its spec.
    pub fn token_removed(self) -> Self {
        Self { token_removed: true, ..self }
    }

    /// fsn was demoted and promoted back; the restart that follows is still to come.
    pub fn undone_just_now(self) -> Self {
        Self { undone_just_now: true, ..self }
    }

    /// The promoted half is Ready for a moment before it is restarted.
    pub fn early_ready(self) -> Self {
        Self { early_ready: true, ..self }
    }

    /// The standby's stream is down when the script begins, and comes back after the demotion.
    pub fn standby_not_streaming(self) -> Self {
        Self { standby_not_streaming: true, ..self }
    }
}

pub struct Half {
    pub store: Store,
    pub instance: Instance,
    pub operator: Operator,
}

type Words = Arc<Mutex<Vec<(f64, String, bool, String)>>>;

pub struct World {
    pub fabric: TurmoilFabric,
    pub halves: BTreeMap<&'static str, Half>,
    words: Words,
    start: Start,
    asked: u32,
}

/// What an API server said.
pub struct Answer {
    pub status: u16,
    pub message: String,
    /// s.
    pub took: f64,
}

fn other(half: &str) -> &'static str {
    if half == "shop-fsn" { "shop-hel" } else { "shop-fsn" }
}

impl World {
    pub fn start(seed: u64, start: Start) -> Self {
        let tick = Duration::from_millis(10);
        let options = FabricOptions { seed, tick, ..FabricOptions::default() };
        let mut fabric = TurmoilFabric::new(options);
        let options = ClusterOptions {
            synchronous: start.synchronous,
            smart_shutdown_timeout_seconds: start.smart_shutdown_timeout,
            ..ClusterOptions::default()
        };
        let (seeds, journal) = (Seeds::new(seed), Journal::default());
        let mut halves = BTreeMap::new();
        let mut primary: Option<Instance> = None;
        for (name, region, upstream) in [("shop-fsn", "fsn", "pg.hel"), ("shop-hel", "hel", "pg.fsn")] {
            let settings =
                Settings { cluster: name.into(), upstream: upstream.into(), system_id: options.system_id.clone() };
            let rng = seeds.generator(&format!("pg.{region}"));
            let instance = match &primary {
                None => {
                    let first = Instance::new(settings, journal.clone(), rng);
                    first.set_password(WRITER, WRITER);
                    first
                }
                Some(primary) => Instance::standby_of(primary, settings, journal.clone(), rng),
            };
            primary.get_or_insert(instance.clone());
            let store = Store::new(&format!("api.{region}"));
            let rng = seeds.generator(&format!("operator.{region}"));
            let (api, host) = (format!("api.{region}"), format!("operator.{region}"));
            let operator = Operator::new(ObjectName::new("shop", name), &api, Arc::new(instance.clone()), rng);
            let object = cluster_object(name, other(name), "shop-fsn", 1, &options);
            instance.set_first_limits(limits_of(&object));
            operator.install(&store, &object, &host).unwrap();
            let early_ready_percent = if start.early_ready { 100 } else { 0 };
            operator.set_knobs(Knobs { early_ready_percent, ..Knobs::default() });
            let (net, served, server) = (fabric.net(), store.clone(), api.clone());
            let serve = move || {
                let served = kube_api::http::serve(net.clone(), server.clone(), served.clone(), Arc::new(Open));
                Box::pin(served) as HostFuture
            };
            fabric.host(&api, Box::new(serve));
            fabric.host(&format!("pg.{region}"), operator.node_software(fabric.net()));
            fabric.host(&host, operator.software(fabric.net()));
            halves.insert(name, Half { store, instance, operator });
        }
        let mut world = Self { fabric, halves, words: Words::default(), start, asked: 0 };
        world.prepare();
        world
    }

    /// Brings the pair to where the recording starts.
    fn prepare(&mut self) {
        self.run(10.0);
        let mut from = "shop-fsn";
        for _ in 0..self.start.switchovers {
            let token = self.demote(from);
            from = other(from);
            self.promote(from, &token);
            self.settle(from);
            self.run(self.start.rest);
        }
        if self.start.token_removed {
            self.patch(from, &json!({"spec": {"replica": {"promotionToken": null}}}));
            self.until(from, |cluster| cluster["status"]["lastPromotionToken"].is_null());
            self.run(3.0);
        }
        if self.start.undone_just_now {
            let token = self.demote(from);
            self.promote(from, &token);
            self.until(from, |cluster| !cluster["status"]["lastPromotionToken"].is_null());
        }
        if self.start.standby_not_streaming {
            self.fabric.partition("pg.fsn", "pg.hel");
            self.run(7.0);
        }
    }

    pub fn demote(&mut self, half: &str) -> String {
        self.patch(half, &json!({"spec": {"replica": {"primary": other(half), "promotionToken": null}}}));
        self.until(half, |cluster| {
            cluster["status"]["demotionToken"].is_string()
                && cluster["status"]["switchReplicaClusterStatus"]["inProgress"].is_null()
        });
        self.object(half)["status"]["demotionToken"].as_str().unwrap().to_owned()
    }

    pub fn promote(&mut self, half: &str, token: &str) {
        self.patch(half, &json!({"spec": {"replica": {"primary": half, "promotionToken": token}}}));
    }

    pub fn settle(&mut self, half: &str) {
        self.until(half, |cluster| cluster["status"]["lastPromotionToken"].is_string());
        self.run(1.5);
        self.until(half, |cluster| cluster["status"]["phase"] == "Cluster in healthy state");
        self.run(2.0);
    }

    pub fn run(&mut self, seconds: f64) {
        let end = self.fabric.now() + Duration::from_secs_f64(seconds.max(0.0));
        while self.fabric.now() < end {
            self.fabric.step().unwrap();
        }
    }

    pub fn object(&self, half: &str) -> Arc<Value> {
        self.halves[half].store.get(&CLUSTERS, "shop", half).unwrap()
    }

    pub fn until(&mut self, half: &str, condition: impl Fn(&Value) -> bool) {
        let limit = self.fabric.now() + Duration::from_secs(60);
        while !condition(&self.object(half)) {
            assert!(self.fabric.now() < limit, "{half} does not get there: {:#}", self.object(half)["status"]);
            self.fabric.step().unwrap();
        }
    }

    pub fn patch(&self, half: &str, body: &Value) -> (u64, String) {
        match self.halves[half].store.merge_patch(&CLUSTERS, "shop", half, "", body, "us") {
            Ok(_) => (200, String::new()),
            Err(refusal) => (refusal.code.into(), refusal.message),
        }
    }

    /// Asks a region's API server over the network, from a host of its own.
    pub fn ask(&mut self, region: &str, method: &str, path: &str, body: &Value) -> Answer {
        self.asked += 1;
        let (net, place) = (self.fabric.net(), Arc::new(Mutex::new(None)));
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let request = (method.to_owned(), path.to_owned(), bytes, format!("http://api.{region}:80"), place.clone());
        let begin = self.fabric.now();
        self.fabric.host(
            &format!("tester{}", self.asked),
            Box::new(move || {
                let (net, (method, path, body, base, place)) = (net.clone(), request.clone());
                Box::pin(async move {
                    let client = plain_client(
                        base.parse().unwrap(),
                        USER_AGENT,
                        Limits::WATCHES,
                        KubeConnector::new(net.clone()),
                        HostExecutor::new(net),
                    );
                    let request = Request::builder().method(method.as_str()).uri(path);
                    let request = request.header("content-type", "application/merge-patch+json").body(body).unwrap();
                    let answer = match client.request::<Value>(request).await {
                        Ok(_) => (200, String::new()),
                        Err(kube::Error::Api(status)) => (status.code, status.message.clone()),
                        Err(error) => panic!("{error}"),
                    };
                    *place.lock().unwrap() = Some(answer);
                })
            }),
        );
        loop {
            self.fabric.step().unwrap();
            if let Some((status, message)) = place.lock().unwrap().take() {
                return Answer { status, message, took: (self.fabric.now() - begin).as_secs_f64() };
            }
        }
    }

    /// Has a client hold a session to a half.
    pub fn hold_session(&mut self, half: &'static str) {
        self.client(half, true, 0.0);
        self.run(1.0);
    }

    /// Starts a client of a half on a host of its own.
    fn client(&mut self, half: &'static str, session: bool, begin: f64) {
        let kind = if session { "session" } else { "fresh" };
        let (net, words) = (self.fabric.net(), self.words.clone());
        self.fabric.host(
            &format!("client.{half}.{kind}"),
            Box::new(move || {
                let (net, words) = (net.clone(), words.clone());
                Box::pin(async move {
                    let mut held: Option<Client> = None;
                    for number in 0.. {
                        let word = attempt(&net, half, &mut held, number).await;
                        if !session {
                            held = None;
                        }
                        let at = net.now().as_secs_f64() - begin;
                        words.lock().unwrap().push((at, half.to_owned(), session, word));
                        tokio::time::sleep(Duration::from_millis(if session { 50 } else { 100 })).await;
                    }
                })
            }),
        );
    }

    /// Follows a recording's script, and gives what happened, to a few seconds after its end.
    pub fn play(&mut self, recording: &Recording) -> Vec<Event> {
        let begin = self.fabric.now().as_secs_f64();
        // Whether a half's report was read again after its last start depends on how long that took.
        for (name, half) in &self.halves {
            let known = recording.knows_system_id(name);
            let system_id = if known { Value::from(half.instance.system_id()) } else { Value::Null };
            let status = json!({"status": {"systemID": system_id}});
            half.store.merge_patch(&CLUSTERS, "shop", name, "status", &status, "recording").unwrap();
        }
        let versions: BTreeMap<&str, u64> =
            self.halves.iter().map(|(name, half)| (*name, half.store.version())).collect();
        for half in ["shop-fsn", "shop-hel"] {
            self.client(half, false, begin);
            if self.start.session {
                self.client(half, true, begin);
            }
        }
        let (mut last, mut waited_for, mut token) = (0.0, String::new(), String::new());
        let mut steps = Vec::new();
        for (at, step) in recording.script() {
            match step {
                Step::Wait { half, path } => {
                    self.until(&half, |cluster| !path.split('.').fold(cluster, |value, key| &value[key]).is_null());
                    // The recorder looked every 50 ms.
                    self.run(0.06);
                    if self.start.standby_not_streaming {
                        self.fabric.repair("pg.fsn", "pg.hel");
                    }
                    waited_for = half;
                }
                Step::Token => {
                    token = self.object(&waited_for)["status"]["demotionToken"].as_str().unwrap().to_owned();
                }
                Step::Kill { half } => {
                    self.run(at - last);
                    steps.push((self.fabric.now().as_secs_f64() - begin, "shop-fsn".to_owned()));
                    self.halves[half.as_str()].instance.kill();
                }
                Step::Patch { half, mut body, status, message } => {
                    self.run(at - last);
                    let given = &mut body["spec"]["replica"]["promotionToken"];
                    if given.is_string() {
                        *given = Value::from(token.clone());
                    } else if given.is_null() && body["spec"]["replica"].get("primary").is_none() {
                        // Indexing made a place for it; a patch of the fence alone has none.
                        body.as_object_mut().unwrap().remove("spec");
                    }
                    if recording.slowest_answer().is_some() {
                        steps.push((self.fabric.now().as_secs_f64() - begin, half.clone()));
                    }
                    let answer = self.patch(&half, &body);
                    assert_eq!(answer, (status, message), "the answer to {body}");
                }
            }
            last = at;
        }
        let now = self.fabric.now().as_secs_f64() - begin;
        self.run(recording.end() - now + 8.0);
        self.events(begin, &versions, &steps)
    }

    fn events(&self, begin: f64, versions: &BTreeMap<&str, u64>, steps: &[(f64, String)]) -> Vec<Event> {
        let mut events = Vec::new();
        for (at, half) in steps {
            events.push(Event { at: *at, half: half.clone(), what: What::Script });
        }
        for (name, half) in &self.halves {
            for change in half.store.history_since(versions[name]) {
                let (Some(before), true) = (&change.before, change.name == *name) else { continue };
                let at = change.at.as_secs_f64() - begin;
                let whats = changes(&simplify(before), &simplify(&change.object));
                events.extend(whats.into_iter().map(|what| Event { at, half: (*name).to_owned(), what }));
            }
        }
        let mut clients = Clients::default();
        for (at, half, session, word) in self.words.lock().unwrap().iter() {
            let what = clients.saw(half, *session, word);
            events.extend(what.map(|what| Event { at: *at, half: half.clone(), what }));
        }
        events.sort_by(|a, b| a.at.total_cmp(&b.at));
        events
    }
}

/// One write, over the session that is held or a new one.
async fn attempt(net: &Net, half: &str, held: &mut Option<Client>, number: u64) -> String {
    if held.is_none() {
        let connecting = async {
            let host = half.replace("shop-", "pg.");
            let stream = net.connect(&host, 5432).await.ok()?;
            let mut config = tokio_postgres::Config::new();
            config.user(WRITER).password(WRITER).ssl_mode(SslMode::Disable);
            let (client, connection) = config.connect_raw(stream, NoTls).await.ok()?;
            tokio::spawn(connection);
            Some(client)
        };
        *held = tokio::time::timeout(Duration::from_secs(1), connecting).await.ok().flatten();
    }
    let Some(client) = held else { return "unreachable".into() };
    match client.simple_query(&format!("insert into w values ('{half}', {number})")).await {
        Ok(_) => "accepted".into(),
        Err(error) => match error.code().map(|code| code.code()) {
            Some("25006") => "refused 25006".into(),
            _ => {
                *held = None;
                "unreachable".into()
            }
        },
    }
}
