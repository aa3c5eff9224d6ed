use super::*;
use crate::audit::EventType;
use crate::next::Object;
use crate::preflight::fixture::{self, fsn, hel};
use crate::transition::{self, Edit};

fn now() -> Timestamp {
    Timestamp::from_second(1_795_000_000).unwrap()
}

fn seconds(seconds: u64) -> Monotonic {
    Monotonic(Duration::from_secs(seconds))
}

/// What fsn's controller knows; it holds the lease, and all is well but that nothing was decided of the phase.
struct World {
    name: ObjectName,
    copy: CopyView,
    spec: Spec,
    record: Record,
    read_at: u64,
    lapse: Option<(Lapse, Monotonic)>,
    lag: Option<Duration>,
    phase: Option<&'static str>,
    interferences: Vec<Interference>,
    ledger: Ledger,
}

impl World {
    fn new() -> Self {
        Self {
            name: fixture::shop(),
            copy: fixture::copy(),
            spec: fixture::spec(),
            record: fixture::record(),
            read_at: 0,
            lapse: None,
            lag: Some(Duration::ZERO),
            phase: None,
            interferences: Vec::new(),
            ledger: Ledger::default(),
        }
    }

    /// Looks as `me`; ids of what is owed since, without the resource's name.
    fn looks(&mut self, me: &Region) -> Vec<String> {
        let before = self.ledger.owed.len();
        let configuration = configuration(&self.name, &self.spec);
        let facts = Facts {
            me,
            name: &self.name,
            copy: &self.copy,
            spec: &self.spec,
            configuration: configuration.as_deref(),
            record: Some((&self.record, seconds(self.read_at))),
            lapse: self.lapse,
            lag: self.lag,
            phase: self.phase,
            interferences: &self.interferences,
            now: now(),
        };
        self.ledger.note(&facts);
        let ids = self.ledger.owed[before..].iter().map(|event| event.message_id.replace(":shop/shop:", ":"));
        ids.filter(|id| !id.starts_with("continuum-cr-created")).collect()
    }

    /// Another process begins with what the status says.
    fn restarts(&mut self) {
        let mut status = json!({ "phase": "Healthy" });
        for (key, value) in self.ledger.patch().as_object().unwrap() {
            status[key] = value.clone();
        }
        self.ledger = Ledger::of(&status);
    }

    /// Another process finds the status in this phase and the record at this renewal, and puts that there, if anything.
    fn is_in(&mut self, phase: &'static str, renewal: u64, told: Option<&str>) {
        (self.phase, self.record.renewal) = (Some(phase), renewal);
        self.restarts();
        let ids = self.looks(&fsn());
        assert_eq!(ids.first().map(String::as_str), told, "{phase} at {renewal}");
    }

    fn lapses(&mut self, generation: u64, renewal: u64) {
        self.lapse = Some((Lapse { generation, renewal }, seconds(self.read_at + 1)));
    }

    /// hel has the lease in the next generation, and `by` wrote it in.
    fn passes_to_hel(&mut self, by: &Region) {
        (self.record.holder, self.record.named_by) = (Some(hel()), Some(by.clone()));
        self.record.generation += 1;
        self.read_at += 5;
    }
}

#[test]
fn what_is_owed_survives_a_restart_with_its_marks() {
    let mut world = World::new();
    world.phase = Some("Healthy");
    world.looks(&fsn());
    let before = world.ledger.clone();
    assert_eq!(before.owed.len(), 2);
    world.restarts();
    assert_eq!(world.ledger, before);
    assert!(world.looks(&fsn()).is_empty(), "nothing is told again");
}

#[test]
fn the_resource_is_told_of_once_for_each_region_and_uid() {
    let mut world = World::new();
    let created = |world: &World| {
        let of = |event: &&Event| event.body.kind == EventType::CrCreated;
        world.ledger.owed.iter().filter(of).map(|event| event.message_id.clone()).collect::<Vec<_>>()
    };
    world.copy.uid = "a".into();
    world.looks(&fsn());
    let first = created(&world);
    assert_eq!(first, ["continuum-cr-created:shop/shop:fsn:a"]);
    world.ledger.paid(&first[0]);
    world.restarts();
    world.looks(&fsn());
    assert!(created(&world).is_empty(), "however long ago the stream forgot it");
    world.copy.uid = "b".into();
    world.looks(&fsn());
    assert_eq!(created(&world), ["continuum-cr-created:shop/shop:fsn:b"]);
}

#[test]
fn each_lapse_is_told_once_and_none_twice() {
    let mut world = World::new();
    world.lapses(4, 7);
    assert_eq!(world.looks(&fsn()), ["continuum-lease-lost:4.7"]);
    assert!(world.looks(&fsn()).is_empty());
    world.restarts();
    assert!(world.looks(&fsn()).is_empty(), "also in another process");
    world.record.renewal = 8;
    assert!(world.looks(&fsn()).is_empty());
    world.lapses(4, 8);
    assert_eq!(world.looks(&fsn()), ["continuum-lease-lost:4.8"], "another lapse of the same generation");
}

#[test]
fn a_lapsed_holder_that_finds_another_collides_with_it_once() {
    let mut world = World::new();
    // The last move was between the same two regions.
    world.record.last = None;
    world.lapses(4, 7);
    world.looks(&fsn());
    world.passes_to_hel(&hel());
    world.restarts();
    world.lapse = None;
    assert_eq!(world.looks(&fsn()), ["continuum-lease-collision:fsn:5"], "also where it crashed in between");
    assert!(world.looks(&fsn()).is_empty());
}

#[test]
fn a_lease_that_was_renewed_again_collides_with_nobody() {
    let mut world = World::new();
    world.lapses(4, 7);
    world.looks(&fsn());
    world.record.renewal = 8;
    world.looks(&fsn());
    world.passes_to_hel(&fsn());
    assert!(world.looks(&fsn()).is_empty());
}

#[test]
fn a_lease_that_was_handed_on_was_neither_lost_nor_taken() {
    let order =
        transition::Order { plan: fixture::plan(), kind: crate::record::Kind::Planned, request: None, now: now() };
    let Edit::Write(mut record) = transition::begin(&fixture::record(), &fsn(), &order) else { panic!() };
    record.intent.as_mut().unwrap().step_mut(5).started_at = Some(now());
    let mut world = World { record: *record, ..World::new() };
    world.lapses(4, 7);
    assert!(world.looks(&fsn()).is_empty(), "the swap may be in flight: the next read tells");
    world.passes_to_hel(&fsn());
    assert!(world.looks(&fsn()).is_empty());
    assert!(world.looks(&fsn()).is_empty());
    let mut kept = World { read_at: 5, ..World::new() };
    kept.record = world.record.clone();
    (kept.record.holder, kept.record.generation) = (Some(fsn()), 4);
    kept.lapse = Some((Lapse { generation: 4, renewal: 7 }, seconds(1)));
    assert_eq!(kept.looks(&fsn()), ["continuum-lease-lost:4.7"], "it was not swapped");
}

#[test]
fn a_lag_above_its_objective_is_told_once_for_each_time_and_never_because_of_a_restart() {
    let mut world = World::new();
    let above = Duration::from_secs(world.spec.rto_seconds.into()) + Duration::from_millis(1);
    assert!(world.looks(&fsn()).is_empty());
    world.lag = Some(above);
    assert_eq!(world.looks(&fsn()), ["continuum-cnpg-lag-breach:fsn:4.7"]);
    assert_eq!(world.ledger.owed.last().unwrap().body.message, "replication lag 61s > RTO 60s");
    world.record.renewal = 9;
    assert!(world.looks(&fsn()).is_empty());
    world.restarts();
    assert!(world.looks(&fsn()).is_empty());
    world.lag = None;
    world.looks(&fsn());
    world.lag = Some(above);
    assert!(world.looks(&fsn()).is_empty(), "what cannot be measured ends no breach");
    world.lag = Some(Duration::ZERO);
    world.looks(&fsn());
    world.lag = Some(above);
    assert_eq!(world.looks(&fsn()), ["continuum-cnpg-lag-breach:fsn:4.9"]);
    assert!(world.looks(&hel()).is_empty(), "another region's lag is its holder's to tell");
}

#[test]
fn every_return_to_health_is_told_and_a_restart_is_none() {
    let mut world = World::new();
    for (phase, renewal, told) in [
        ("Pending", 7, None),
        ("Healthy", 7, Some("continuum-reconcile-success:4.7")),
        ("Healthy", 8, None),
        ("Pending", 8, None),
        ("Healthy", 8, None),
        ("Degraded", 9, None),
        ("Pending", 9, None),
        ("Healthy", 100, Some("continuum-reconcile-success:4.100")),
        ("FailedOver", 101, None),
        ("Healthy", 200, Some("continuum-reconcile-success:4.200")),
    ] {
        world.is_in(phase, renewal, told);
    }
    assert!(world.looks(&hel()).is_empty(), "the holder tells it");
}

#[test]
fn returns_within_ten_minutes_are_told_once_when_those_are_over() {
    let mut world = World::new();
    assert_eq!(world.spec.lease.renew_seconds, 10);
    for (phase, renewal, told) in [
        ("Healthy", 7, Some("continuum-reconcile-success:4.7")),
        ("Degraded", 9, None),
        ("Healthy", 10, None),
        ("Degraded", 20, None),
        ("Healthy", 30, None),
        ("Healthy", 67, None),
        ("Healthy", 68, Some("continuum-reconcile-success:4.68")),
        ("Healthy", 200, None),
        ("Degraded", 201, None),
        ("Healthy", 202, Some("continuum-reconcile-success:4.202")),
        ("Degraded", 203, None),
        ("Healthy", 204, None),
        ("Degraded", 263, None),
        ("Degraded", 300, None),
    ] {
        world.is_in(phase, renewal, told);
    }
}

#[test]
fn a_return_of_before_a_switchover_and_back_counts_and_one_of_a_lost_record_does_not() {
    let mut world = World::new();
    world.is_in("Healthy", 7, Some("continuum-reconcile-success:4.7"));
    (world.record.generation, world.phase) = (6, Some("FailedOver"));
    world.looks(&fsn());
    world.is_in("Healthy", 20, None);
    world.record.generation = 7;
    world.is_in("Healthy", 0, Some("continuum-reconcile-success:7.0"));
}

#[test]
fn ten_minutes_are_as_many_renewals_as_fit_into_them() {
    for (renew_seconds, renewals) in [(1, 600), (7, 86), (10, 60), (60, 10)] {
        let told = |since: u64| {
            let record = Record { renewal: 7 + since, ..fixture::record() };
            may_tell_return(Some("3.7"), &record, renew_seconds)
        };
        assert!(!told(renewals), "{renew_seconds} s: it may have been told of just before the next renewal");
        assert!(told(renewals + 1), "{renew_seconds} s");
    }
    for unknown in [None, Some("an epoch"), Some("3.x")] {
        assert!(may_tell_return(unknown, &fixture::record(), 10), "{unknown:?}");
    }
}

#[test]
fn a_phase_of_before_a_switchover_tells_of_no_return_in_it() {
    let order =
        transition::Order { plan: fixture::plan(), kind: crate::record::Kind::Planned, request: None, now: now() };
    let Edit::Write(record) = transition::begin(&fixture::record(), &fsn(), &order) else { panic!() };
    let mut world = World { record: *record, phase: Some("Healthy"), ..World::new() };
    assert!(world.looks(&fsn()).is_empty());
    (world.record.intent, world.record.renewal) = (None, 9);
    assert_eq!(world.looks(&fsn()), ["continuum-reconcile-success:4.9"], "it is told when it is over");
}

#[test]
fn what_somebody_else_did_is_told_once() {
    let mut world = World::new();
    world.interferences.push(Interference {
        object: Object::Half(hel()),
        what: "told to be primary".into(),
        manager: Some("argocd-controller".into()),
        since: Some(now()),
    });
    assert_eq!(world.looks(&fsn()).len(), 1);
    world.restarts();
    assert!(world.looks(&fsn()).is_empty());
    world.interferences[0].since = Some(now() + Duration::from_secs(60));
    assert_eq!(world.looks(&fsn()).len(), 1, "once more, once more");
}

#[test]
fn a_changed_configuration_is_told_by_one_region_and_not_at_first_sight() {
    let mut world = World::new();
    assert!(world.looks(&fsn()).is_empty());
    world.spec.rto_seconds += 1;
    let mut other = World { spec: world.spec.clone(), ..World::new() };
    other.ledger = world.ledger.clone();
    assert!(other.looks(&hel()).is_empty(), "the holder tells it");
    let ids = world.looks(&fsn());
    assert!(ids[0].starts_with("continuum-config-changed:fsn:"), "{ids:?}");
    world.restarts();
    assert!(world.looks(&fsn()).is_empty());
}

#[test]
fn the_configuration_is_the_same_in_whichever_direction_the_role_stands() {
    let mut turned = fixture::spec();
    (turned.primary, turned.standbys) = (hel(), vec![fsn()]);
    let name = fixture::shop();
    assert_eq!(configuration(&name, &fixture::spec()), configuration(&name, &turned));
    turned.rto_seconds += 1;
    assert_ne!(configuration(&name, &fixture::spec()), configuration(&name, &turned));
    let mut automatic = fixture::spec();
    automatic.auto_failover = !automatic.auto_failover;
    assert_ne!(configuration(&name, &fixture::spec()), configuration(&name, &automatic), "it starts one by itself");
    let mut third = fixture::spec();
    third.standbys.push(Region::new("nbg"));
    assert_ne!(configuration(&name, &fixture::spec()), configuration(&name, &third));
}

#[test]
fn the_same_refusal_is_owed_once_until_it_was_taken() {
    let name = fixture::shop();
    let about = About { continuum: &name, application: "shop" };
    let refusal = |request: &str| audit::request_failed(about, request, &hel(), None, (1, "why"), now());
    let mut ledger = Ledger::default();
    ledger.owe_refusal(refusal("1"));
    ledger.owe_refusal(refusal("2"));
    assert_eq!(ledger.owed, [refusal("1")]);
    ledger.paid(&refusal("1").message_id);
    ledger.owe_refusal(refusal("3"));
    assert_eq!(ledger.owed, [refusal("3")]);
}

#[test]
fn what_cannot_be_read_costs_nothing_else_and_is_kept() {
    let mut world = World::new();
    world.phase = Some("Healthy");
    world.looks(&fsn());
    let before = world.ledger.clone();
    let mut status = before.patch();
    let strange = json!({ "messageId": "a", "body": { "type": "continuum-of-a-later-version" } });
    status["events"]["owed"].as_array_mut().unwrap().push(strange.clone());
    status["events"]["lapse"] = json!("an epoch");
    world.ledger = Ledger::of(&status);
    assert_eq!(world.ledger, Ledger { unread: vec![strange.clone()], ..before });
    assert!(world.looks(&fsn()).is_empty(), "nothing is told again");
    let paid: Vec<_> = world.ledger.owed.iter().map(|event| event.message_id.clone()).collect();
    paid.iter().for_each(|id| world.ledger.paid(id));
    assert_eq!(world.ledger.patch()["events"]["owed"], json!([strange]), "it waits for who can read it");
}
