//! Clients on the simulated network: what they write, where, and what they remember of it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
use continuum_core::record::RecordSet;
use continuum_sim::determinism::{Seeds, on_seeded_thread};
use continuum_sim::fabric::{Fabric, FabricOptions, TurmoilFabric};
use continuum_sim::gate::Open;
use continuum_sim::servers::kube_api::{HTTP_ROUTES, Store};
use continuum_sim::servers::postgres::{Configuration, Instance, Journal, Order, Settings, Shutdown};
use continuum_sim::servers::powerdns::{self, PowerDns};
use continuum_sim::servers::vantage::Vantage;
use continuum_sim::workload::{Attempt, Outcome, Workload, WorkloadOptions};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Of the application's role.
const PASSWORD: &str = "right";

const SHOP: &str = "shop.example.org";

struct World {
    fabric: TurmoilFabric,
    stores: BTreeMap<String, Store>,
    halves: BTreeMap<String, Instance>,
    dns: PowerDns,
    workload: Workload,
}

fn address(region: &str) -> IpAddr {
    if region == "fsn" { [10, 1, 0, 1].into() } else { [10, 2, 0, 1].into() }
}

fn world(seed: u64, held_session: Option<&str>) -> World {
    let mut fabric = TurmoilFabric::new(FabricOptions { seed, ..FabricOptions::default() });
    let (net, seeds) = (fabric.net(), Seeds::new(seed));
    let dns = PowerDns::new(net.clone(), Arc::new(Open), "example.org", "key", seeds.generator("dns"));
    fabric.host(powerdns::HOST, dns.software());
    let vantages = ["vantage1", "vantage2"];
    for name in vantages {
        fabric.host(name, Vantage::new(net.clone(), &[powerdns::HOST]).software());
    }
    let journal = Journal::default();
    let settings = |region: &str, other: &str| Settings {
        cluster: format!("shop-{region}"),
        upstream: format!("pg.{other}"),
        system_id: "7711780216894003665".into(),
    };
    let fsn = Instance::new(settings("fsn", "hel"), journal.clone(), seeds.generator("pg.fsn"));
    fsn.set_password("app", PASSWORD);
    let hel = Instance::standby_of(&fsn, settings("hel", "fsn"), journal, seeds.generator("pg.hel"));
    for (host, instance) in [("pg.fsn", &fsn), ("pg.hel", &hel)] {
        let (net, instance) = (net.clone(), instance.clone());
        fabric.host(host, Box::new(move || Box::pin(instance.clone().run(net.clone()))));
    }
    let stores = BTreeMap::from(["fsn", "hel"].map(|region| (region.to_owned(), Store::new(&format!("api.{region}")))));
    let options = WorkloadOptions {
        client_count: 4,
        writes_per_second: 20,
        held_session: held_session.map(str::to_owned),
        hostname: SHOP.into(),
        route: ("shop".into(), "shop".into()),
        regions: ["fsn", "hel"].map(|region| (region.to_owned(), address(region))).to_vec(),
        vantages: vantages.map(str::to_owned).to_vec(),
        user: "app".into(),
        password: PASSWORD.into(),
    };
    let workload = Workload::new(net, options, stores.clone(), seeds);
    for (host, software) in workload.hosts() {
        fabric.host(&host, software);
    }
    let halves = BTreeMap::from([("fsn".to_owned(), fsn), ("hel".to_owned(), hel)]);
    let mut world = World { fabric, stores, halves, dns, workload };
    world.answer("fsn");
    for store in world.stores.values() {
        store.create(&HTTP_ROUTES, route(100, 0), "test").unwrap();
    }
    world.run(0.1);
    world.halves["fsn"].order(Order::Start);
    world.halves["hel"].order(Order::Start);
    world
}

fn route(fsn: u32, hel: u32) -> serde_json::Value {
    json!({
        "metadata": { "namespace": "shop", "name": "shop" },
        "spec": { "rules": [{ "backendRefs": [
            { "name": "shop-fsn", "weight": fsn }, { "name": "shop-hel", "weight": hel },
        ] }] },
    })
}

impl World {
    fn run(&mut self, seconds: f64) {
        let end = self.fabric.now() + Duration::from_secs_f64(seconds);
        while self.fabric.now() < end {
            self.fabric.step().unwrap();
        }
    }

    fn answer(&self, region: &str) {
        let contents = vec![format!("A \"pickclosest({{'{}'}})\"", address(region))];
        self.dns.put(RecordSet { hostname: SHOP.into(), kind: "LUA".into(), ttl_seconds: 5, contents });
    }

    fn weigh(&self, fsn: u32, hel: u32) {
        for store in self.stores.values() {
            store.merge_patch(&HTTP_ROUTES, "shop", "shop", "", &route(fsn, hel), "test").unwrap();
        }
    }

    fn attempts(&self) -> Vec<Attempt> {
        self.workload.memory().attempts()
    }

    /// Attempts that began in the last seconds.
    fn recent(&self, seconds: u64) -> Vec<Attempt> {
        let since = self.fabric.now() - Duration::from_secs(seconds);
        self.attempts().into_iter().filter(|a| a.started >= since && a.ended.is_some()).collect()
    }
}

fn simulate(work: impl FnOnce() + Send + 'static) {
    on_seeded_thread(1, work).unwrap();
}

#[test]
fn writes_come_at_the_rate_asked_for_and_what_is_acknowledged_is_in_the_half() {
    simulate(|| {
        let mut world = world(1, None);
        world.run(30.0);
        let recent = world.recent(20);
        assert!((360..=440).contains(&recent.len()), "20 a second, not {} in 20 s", recent.len());
        assert!(recent.iter().all(|a| a.outcome == Outcome::Acknowledged && a.half.as_deref() == Some("fsn")));
        let clients: BTreeSet<String> = recent.into_iter().map(|a| a.client).collect();
        assert_eq!(
            clients.into_iter().collect::<Vec<_>>(),
            ["clients.fsn-1", "clients.fsn-3", "clients.hel-2", "clients.hel-4"]
        );
        let rows = world.halves["fsn"].rows();
        for attempt in world.attempts().into_iter().filter(|a| a.outcome == Outcome::Acknowledged) {
            assert!(rows.contains(&(attempt.client, attempt.number)));
        }
    });
}

#[test]
fn clients_follow_the_route_at_once_and_dns_within_its_time_to_live() {
    simulate(|| {
        let mut world = world(1, None);
        world.run(5.0);
        world.weigh(0, 0);
        world.run(2.0);
        assert!(world.recent(1).iter().all(|a| a.outcome == Outcome::NotSent("500".into())), "all weights are 0");
        world.weigh(0, 100);
        world.run(2.0);
        assert!(world.recent(1).iter().all(|a| a.outcome == Outcome::Refused("25006".into())), "hel is a standby");
        world.stores["fsn"].merge_patch(&HTTP_ROUTES, "shop", "shop", "", &route(100, 0), "test").unwrap();
        world.run(2.0);
        assert!(
            world.recent(1).iter().all(|a| a.half.as_deref() == Some("fsn")),
            "the gateway in fsn has its own route"
        );
        world.answer("hel");
        // Both caches may be 5 s old.
        world.run(11.0);
        assert!(world.recent(1).iter().all(|a| a.half.as_deref() == Some("hel")));
    });
}

#[test]
fn a_stopped_half_and_a_cut_off_one_are_told_apart() {
    simulate(|| {
        let mut world = world(1, None);
        world.run(5.0);
        world.fabric.partition("pg.fsn", "clients.fsn");
        world.run(6.0);
        let told = |client: &str| {
            let recent = world.recent(5);
            recent.into_iter().filter(|a| a.client.starts_with(client)).map(|a| a.outcome).collect::<Vec<_>>()
        };
        let silent =
            |o: &Outcome| matches!(o, Outcome::NotSent(cause) | Outcome::Unknown(cause) if cause == "no answer");
        let fsn = told("clients.fsn");
        assert!(!fsn.is_empty() && fsn.iter().all(silent), "{fsn:?}");
        assert!(told("clients.hel").iter().all(|outcome| *outcome == Outcome::Acknowledged));
        world.fabric.repair("pg.fsn", "clients.fsn");
        world.halves["fsn"].order(Order::Stop(Shutdown::Fast));
        world.run(6.0);
        let refused = |a: &Attempt| matches!(&a.outcome, Outcome::NotSent(cause) if cause.contains("refused"));
        let recent = world.recent(2);
        assert!(!recent.is_empty() && recent.iter().all(refused), "{recent:?}");
        world.halves["fsn"].order(Order::Start);
        world.run(3.0);
        assert!(world.recent(1).iter().all(|a| a.outcome == Outcome::Acknowledged), "they connect again");
    });
}

#[test]
fn clients_that_are_held_write_nothing_until_they_are_released() {
    simulate(|| {
        let mut world = world(1, None);
        world.run(3.0);
        world.workload.hold();
        world.run(3.0);
        assert!(world.workload.is_still());
        let count = world.attempts().len();
        world.run(5.0);
        assert_eq!(world.attempts().len(), count);
        world.workload.release();
        world.run(2.0);
        assert!(!world.workload.is_still() && world.attempts().len() > count);
        world.workload.stop();
        world.run(3.0);
        assert!(world.workload.is_still());
    });
}

#[test]
fn a_client_host_that_crashes_forgets_what_it_was_at_and_counts_on() {
    simulate(|| {
        let mut world = world(1, None);
        world.run(5.0);
        world.fabric.crash("clients.fsn");
        world.run(1.0);
        world.fabric.restart("clients.fsn");
        world.run(5.0);
        let mut numbers: Vec<u64> =
            world.attempts().into_iter().filter(|a| a.client == "clients.fsn-1").map(|a| a.number).collect();
        let count = numbers.len();
        numbers.dedup();
        assert_eq!(numbers.len(), count, "no number is used twice");
        assert!(world.recent(2).iter().any(|a| a.client == "clients.fsn-1"));
    });
}

#[test]
fn a_held_session_stays_on_the_standby_and_writes_nothing() {
    simulate(|| {
        let mut world = world(1, Some("hel"));
        world.run(60.0);
        assert_eq!(world.halves["hel"].snapshot().session_count, 1);
        let configuration = Configuration::default();
        world.halves["hel"].configure(configuration);
        world.halves["hel"].order(Order::Promote);
        world.run(2.0);
        assert_eq!(world.halves["hel"].snapshot().session_count, 1, "promotion ends no session");
        world.workload.stop();
        world.run(12.0);
        assert_eq!(world.halves["hel"].snapshot().session_count, 0);
    });
}

#[test]
fn the_same_seed_gives_the_same_writes() {
    let attempts = |seed| {
        on_seeded_thread(seed, move || {
            let mut world = world(seed, None);
            world.run(20.0);
            world.attempts()
        })
        .unwrap()
    };
    assert_eq!(attempts(3), attempts(3));
    assert_ne!(attempts(3), attempts(4));
}

#[test]
fn a_write_straight_to_a_half_is_told_as_acknowledged_refused_or_without_an_answer() {
    simulate(|| {
        let mut world = world(1, None);
        world.run(3.0);
        let outcome = |world: &mut World, region: &str| {
            let write = world.workload.write_straight(region);
            assert_eq!(write.outcome(), None);
            world.run(5.0);
            write.outcome().expect("every wait of a client has a limit")
        };
        assert_eq!(outcome(&mut world, "fsn"), Outcome::Acknowledged);
        assert!(world.halves["fsn"].rows().contains(&("clients.fsn-straight".into(), 1)), "the row is there");
        assert_eq!(outcome(&mut world, "hel"), Outcome::Refused("25006".into()));
        world.halves["fsn"].order(Order::Stop(Shutdown::Fast));
        world.run(3.0);
        let stopped = outcome(&mut world, "fsn");
        assert!(matches!(stopped, Outcome::NotSent(_)) && !stopped.is_silence(), "{stopped:?}");
        world.fabric.partition("pg.fsn", "clients.fsn");
        assert!(outcome(&mut world, "fsn").is_silence());
    });
}

#[test]
fn a_client_that_comes_to_another_half_looks_whether_its_last_row_is_there() {
    simulate(|| {
        let mut world = world(1, None);
        world.run(10.0);
        assert!(world.workload.memory().missing().is_empty());
        // The standby is cut off, forgets what follows, and is made primary without it.
        world.fabric.partition("pg.fsn", "pg.hel");
        world.run(5.0);
        world.halves["fsn"].order(Order::Stop(Shutdown::Immediate));
        world.halves["hel"].order(Order::Promote);
        world.weigh(0, 100);
        world.run(10.0);
        assert!(world.recent(2).iter().all(|a| a.outcome == Outcome::Acknowledged), "hel takes writes");
        let missing = world.workload.memory().missing();
        assert_eq!(missing.len(), 4, "one row of each client: {missing:?}");
        assert!(missing.iter().all(|missing| missing.half == "hel"));
    });
}
