//! The contract's claims about the health check.

use super::*;
use crate::observe::ReplicaRow;
use crate::preflight::fixture::{self, fsn, hel};

fn looked(found: Result<Option<FoundEvent>, String>) -> AuditFact {
    AuditFact::Looked { since: Timestamp::UNIX_EPOCH, found }
}

fn drained() -> RouteView {
    let mut route = fixture::route();
    for (name, weight) in route.rules.iter_mut().flat_map(|rule| &mut rule.backends) {
        *weight = if name == "shop-hel" { 100 } else { 0 };
    }
    route
}

/// After a switchover from fsn to hel; latency alone has no source.
fn facts() -> HealthFacts {
    let mut new = fixture::cluster(&hel());
    new.role = Role::Primary;
    let mut old = fixture::cluster(&fsn());
    old.role = Role::Replica;
    let probe = |vantage: &str| Probe {
        hostname: "shop.example.org".into(),
        vantage: vantage.into(),
        result: Ok(vec![fixture::address(&hel())]),
    };
    HealthFacts {
        expected_primary: hel(),
        other: fsn(),
        halves: [
            (
                hel(),
                Half {
                    cluster: Seen::Is(new),
                    database: Seen::Is(fixture::primary_database("shop-fsn")),
                    ..Half::default()
                },
            ),
            (
                fsn(),
                Half { cluster: Seen::Is(old), database: Seen::Is(fixture::standby_database()), ..Half::default() },
            ),
        ]
        .into_iter()
        .collect(),
        roles: [hel(), fsn()].into_iter().map(|region| (region.clone(), fixture::roles(&region))).collect(),
        routes: [(hel(), Seen::Is(drained())), (fsn(), Seen::Is(drained()))].into_iter().collect(),
        backends: ("shop-hel".into(), "shop-fsn".into()),
        expected_addresses: vec![fixture::address(&hel())],
        hostnames: vec!["shop.example.org".into()],
        probes: Some(VANTAGES_DEFAULT.map(probe).to_vec()),
        latency: None,
        audit: looked(Ok(Some(FoundEvent { sequence: 4, at: Timestamp::UNIX_EPOCH }))),
        now: Timestamp::UNIX_EPOCH,
    }
}

fn checked(change: fn(&mut HealthFacts)) -> HealthReport {
    let mut facts = facts();
    change(&mut facts);
    let report = health(&facts);
    let names: Vec<&str> = report.checks.iter().map(|check| check.name.as_str()).collect();
    assert_eq!(names, ["replicas-healthy", "dns-probes", "latency-normal", "audit-posted"]);
    for check in &report.checks {
        assert!(!check.deferred || (!check.passed && check.detail.starts_with("deferred")), "{check:?}");
    }
    report
}

fn failed(change: fn(&mut HealthFacts), check: usize, text: &str) {
    let report = checked(change);
    assert!(!report.overall_healthy, "{text}");
    let faults: Vec<usize> = (0..4).filter(|i| !report.checks[*i].passed && !report.checks[*i].deferred).collect();
    assert_eq!(faults, [check], "{text}: {:?}", report.checks);
    assert!(report.checks[check].detail.contains(text), "{} lacks {text}", report.checks[check].detail);
}

fn cluster<'a>(facts: &'a mut HealthFacts, region: &Region) -> &'a mut ClusterView {
    match &mut facts.halves.get_mut(region).unwrap().cluster {
        Seen::Is(cluster) => cluster,
        _ => panic!("the fixture has it"),
    }
}

fn database<'a>(facts: &'a mut HealthFacts, region: &Region) -> &'a mut DatabaseView {
    match &mut facts.halves.get_mut(region).unwrap().database {
        Seen::Is(database) => database,
        _ => panic!("the fixture has it"),
    }
}

#[test]
fn happy_path_has_latency_deferred() {
    let report = checked(|_| {});
    assert!(report.overall_healthy);
    let verdicts: Vec<(bool, bool)> = report.checks.iter().map(|check| (check.passed, check.deferred)).collect();
    assert_eq!(verdicts, [(true, false), (true, false), (false, true), (true, false)]);
    assert_eq!(report.checks[0].detail, "shop-hel primary, shop-fsn replica, both Ready, streaming on timeline 3");
    assert_eq!(summary(&report), "healthy: 3 passed, 0 failed, 1 deferred (new primary=hel)");
}

#[test]
fn the_reports_json_has_the_contracts_shape() {
    let json = serde_json::to_value(checked(|_| {})).unwrap();
    assert_eq!(json["newPrimaryRegion"], "hel");
    assert_eq!(json["overallHealthy"], true);
    assert_eq!(json["generatedAt"], "1970-01-01T00:00:00Z");
    assert_eq!(json["checks"][0].get("deferred"), None);
    assert_eq!(json["checks"][2]["deferred"], true);
    assert_eq!(json["checks"][2]["passed"], false);
}

#[test]
fn replicas_not_ready_fail_and_are_named() {
    failed(|f| cluster(f, &fsn()).ready = Some(false), 0, "shop-fsn not Ready");
    failed(|f| cluster(f, &hel()).ready = None, 0, "shop-hel not Ready");
}

#[test]
fn each_half_must_have_its_role() {
    failed(|f| cluster(f, &hel()).role = Role::Replica, 0, "shop-hel's spec says replica, it should be primary");
    failed(|f| cluster(f, &fsn()).role = Role::Primary, 0, "shop-fsn's spec says primary, it should be replica");
}

#[test]
fn a_half_that_cannot_be_read_fails_and_is_never_deferred() {
    failed(|f| f.halves.clear(), 0, "the half in hel could not be read: not looked at");
    failed(
        |f| f.halves.get_mut(&fsn()).unwrap().cluster = Seen::Unknown("timed out".into()),
        0,
        "in fsn could not be read: timed out",
    );
    failed(|f| f.halves.get_mut(&hel()).unwrap().cluster = Seen::Unconfigured, 0, "not configured");
}

#[test]
fn a_diverged_half_that_looks_healthy_fails() {
    failed(|f| database(f, &hel()).replicas = Some(Vec::new()), 0, "shop-fsn does not stream from shop-hel");
    failed(|f| database(f, &fsn()).timeline = Some(2), 0, "timeline 2, the new primary on 3");
    failed(
        |f| {
            let row = ReplicaRow { streaming: false, ..database(f, &hel()).replicas.as_ref().unwrap()[0].clone() };
            database(f, &hel()).replicas = Some(vec![row]);
        },
        0,
        "does not stream",
    );
}

#[test]
fn a_new_primary_that_refuses_writes_fails() {
    failed(
        |f| {
            database(f, &hel()).accepts = Accepts::No;
            database(f, &hel()).detail = "read-only".into();
        },
        0,
        "shop-hel does not accept writes: read-only",
    );
    failed(|f| database(f, &fsn()).accepts = Accepts::Yes, 0, "shop-fsn accepts writes too");
}

#[test]
fn a_probe_that_fails_has_failed_and_one_that_is_not_configured_is_named() {
    failed(|f| f.halves.get_mut(&hel()).unwrap().database = Seen::Unknown("timed out".into()), 0, "timed out");
    let report = checked(|f| {
        for half in f.halves.iter_mut().map(|(_, half)| half) {
            half.database = Seen::Unconfigured;
        }
    });
    assert!(report.checks[0].passed);
    assert!(report.checks[0].detail.contains("streaming not checked: no database probe"));
}

#[test]
fn an_old_address_fails() {
    failed(
        |f| f.probes.as_mut().unwrap()[1].result = Ok(vec![fixture::address(&fsn())]),
        1,
        "shop.example.org at 1.1.1.1: answered [10.1.0.1], none in expected set",
    );
    failed(|f| f.probes.as_mut().unwrap()[0].result = Ok(Vec::new()), 1, "none in expected set");
}

#[test]
fn one_expected_address_among_others_passes() {
    let both = |f: &mut HealthFacts| {
        f.probes.as_mut().unwrap()[0].result = Ok(vec![fixture::address(&fsn()), fixture::address(&hel())]);
    };
    assert!(checked(both).overall_healthy);
}

#[test]
fn a_resolver_error_fails_and_is_named() {
    failed(
        |f| f.probes.as_mut().unwrap()[2].result = Err("no answer in 3 s".into()),
        1,
        "at 9.9.9.9: no answer in 3 s",
    );
}

#[test]
fn no_hostnames_and_no_addresses_fail_even_without_resolvers() {
    failed(
        |f| {
            f.hostnames.clear();
            f.probes = None
        },
        1,
        "no hostnames",
    );
    failed(
        |f| {
            f.expected_addresses.clear();
            f.probes = None
        },
        1,
        "no addresses of hel are known",
    );
    failed(|f| f.probes = Some(Vec::new()), 1, "shop.example.org: not probed");
}

#[test]
fn no_resolvers_and_no_tail_are_deferred() {
    let report = checked(|f| {
        f.probes = None;
        f.audit = AuditFact::Deferred("no audit stream is configured".into());
    });
    assert!(report.overall_healthy);
    assert_eq!(report.checks[3].detail, "deferred: no audit stream is configured");
    assert_eq!(summary(&report), "healthy: 1 passed, 0 failed, 3 deferred (new primary=hel)");
}

#[test]
fn a_missing_event_fails() {
    failed(
        |f| f.audit = looked(Ok(None)),
        3,
        "no continuum-switchover event fsn → hel found since 1970-01-01T00:00:00Z",
    );
}

#[test]
fn a_tail_error_fails_and_is_named() {
    failed(|f| f.audit = looked(Err("connection lost".into())), 3, "connection lost");
}

#[test]
fn latency_is_compared_where_there_is_a_source() {
    fn measured(now_ms: f64, before_ms: f64) -> Option<Result<Latencies, String>> {
        Some(Ok(Latencies::Measured { now_ms, before_ms }))
    }
    assert!(checked(|f| f.latency = measured(20.0, 10.0)).checks[2].passed);
    failed(|f| f.latency = measured(20.1, 10.0), 2, "median 20.1 ms, before 10.0 ms");
    failed(|f| f.latency = measured(f64::NAN, 10.0), 2, "before");
    let early = checked(|f| f.latency = Some(Ok(Latencies::NoVerdict("too early".into()))));
    assert!(early.overall_healthy && early.checks[2].deferred, "{early:?}");
    failed(|f| f.latency = Some(Err("503".into())), 2, "503");
}

#[test]
fn three_vantages_are_asked_by_default() {
    assert_eq!(VANTAGES_DEFAULT, ["8.8.8.8", "1.1.1.1", "9.9.9.9"]);
}

#[test]
fn all_four_checks_run_where_every_one_fails() {
    let report = checked(|f| {
        f.halves.clear();
        f.probes.as_mut().unwrap()[0].result = Err("refused".into());
        f.latency = Some(Err("503".into()));
        f.audit = looked(Ok(None));
    });
    assert!(report.checks.iter().all(|check| !check.passed && !check.deferred));
    assert!(
        summary(&report).starts_with("UNHEALTHY: 0 passed, 4 failed, 0 deferred (new primary=hel); replicas-healthy: ")
    );
    assert!(!summary(&report).contains('\n'));
}

#[test]
fn a_new_primary_that_does_not_archive_is_not_healthy() {
    failed(|f| cluster(f, &hel()).archiving = Some(false), 0, "shop-hel does not archive its WAL");
    assert!(checked(|f| cluster(f, &hel()).archiving = None).overall_healthy, "a half that has no archive");
    assert!(checked(|f| cluster(f, &fsn()).archiving = Some(false)).overall_healthy, "the replica's fills no volume");
}

#[test]
fn routes_that_lead_elsewhere_are_not_healthy() {
    fn weigh(facts: &mut HealthFacts, backend: &str, weight: u32) {
        let Some(Seen::Is(route)) = facts.routes.get_mut(&fsn()) else { panic!() };
        let backends = route.rules.iter_mut().flat_map(|rule| &mut rule.backends);
        backends.filter(|(name, _)| name == backend).for_each(|(_, stands)| *stands = weight);
    }
    failed(|f| weigh(f, "shop-hel", 0), 0, "the route in fsn sends nothing to shop-hel");
    failed(|f| weigh(f, "shop-fsn", 1), 0, "the route in fsn still sends to shop-fsn (weight 1)");
    let unread = |f: &mut HealthFacts| drop(f.routes.insert(hel(), Seen::Unknown("no answer".into())));
    failed(unread, 0, "the route in hel could not be read: no answer");
    assert!(checked(|f| f.routes.clear()).overall_healthy, "no route is configured");
}

#[test]
fn clients_that_would_be_locked_out_fail_the_check() {
    failed(
        |facts| facts.roles.get_mut(&fsn()).unwrap().secrets = Seen::Is([("app".into(), "other".into())].into()),
        0,
        "secrets shop-fsn-app and shop-hel-app differ",
    );
    failed(
        |facts| {
            let login = Seen::Is(Err("28P01 password authentication failed".into()));
            facts.roles.get_mut(&hel()).unwrap().logins.insert("app".into(), login);
        },
        0,
        "shop-hel refuses the password in secret shop-hel-app (28P01 password authentication failed)",
    );
    failed(
        |facts| {
            let login = Seen::Unknown("no answer in 3 s".into());
            facts.roles.get_mut(&hel()).unwrap().logins.insert("app".into(), login);
        },
        0,
        "whether shop-hel takes the password in secret shop-hel-app is not known: no answer in 3 s",
    );
    failed(
        |facts| facts.roles.get_mut(&hel()).unwrap().secrets = Seen::Unknown("no answer in 5 s".into()),
        0,
        "the role secrets of shop-hel could not be read: no answer in 5 s",
    );
}
