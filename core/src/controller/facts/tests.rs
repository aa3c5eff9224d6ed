use super::*;
use crate::preflight::fixture::{self, fsn, hel};
use crate::record::Kind;
use crate::spec::SwitchoverRequest;
use crate::transition::{self, Edit, Order};
use jiff::Timestamp;

fn halves() -> BTreeMap<Region, Half> {
    let seen = fixture::observations();
    seen.halves
}

fn cluster(half: &mut Half) -> &mut crate::observe::ClusterView {
    let Seen::Is(cluster) = &mut half.cluster else { panic!("seen") };
    cluster
}

fn at() -> Timestamp {
    Timestamp::from_second(1_795_000_000).unwrap()
}

#[test]
fn a_free_record_is_taken_by_the_region_of_the_acting_primary_whatever_the_spec_says() {
    let mut spec = fixture::spec();
    (spec.primary, spec.standbys) = (hel(), vec![fsn()]);
    assert_eq!(may_acquire(&fsn(), &spec, &halves()), Ok(Some(3)));
    assert!(may_acquire(&hel(), &spec, &halves()).is_err());
}

#[test]
fn where_neither_half_is_primary_yet_the_spec_decides() {
    let mut halves = halves();
    cluster(halves.get_mut(&fsn()).unwrap()).role = Role::Replica;
    assert_eq!(may_acquire(&fsn(), &fixture::spec(), &halves), Ok(None));
    assert!(may_acquire(&hel(), &fixture::spec(), &halves).is_err());
    halves.get_mut(&hel()).unwrap().cluster = Seen::Unknown("time-out".into());
    assert!(may_acquire(&fsn(), &fixture::spec(), &halves).is_err(), "the other may be primary");
    halves.remove(&hel());
    assert!(may_acquire(&fsn(), &fixture::spec(), &halves).is_err());
}

#[test]
fn a_half_that_is_not_seen_to_take_writes_acquires_nothing() {
    for database in [Seen::Unknown("time-out".into()), Seen::NotLooked, Seen::Is(fixture::standby_database())] {
        let mut halves = halves();
        halves.get_mut(&fsn()).unwrap().database = database;
        assert!(may_acquire(&fsn(), &fixture::spec(), &halves).is_err());
    }
    let mut unprobed = halves();
    unprobed.get_mut(&fsn()).unwrap().database = Seen::Unconfigured;
    assert_eq!(may_acquire(&fsn(), &fixture::spec(), &unprobed), Ok(Some(3)));
    assert!(may_acquire(&fsn(), &fixture::spec(), &BTreeMap::new()).is_err());
}

#[test]
fn where_both_halves_say_primary_nobody_acquires() {
    let mut halves = halves();
    cluster(halves.get_mut(&hel()).unwrap()).role = Role::Primary;
    assert!(may_acquire(&fsn(), &fixture::spec(), &halves).is_err());
    assert!(may_acquire(&hel(), &fixture::spec(), &halves).is_err());
}

#[test]
fn lag_that_is_not_measured_is_absent_and_never_zero() {
    let record = fixture::record();
    assert_eq!(replication(Some(&record), &halves()), (Some(0), Some(true)));
    let with = |change: fn(&mut crate::observe::DatabaseView)| {
        let mut halves = halves();
        let Seen::Is(database) = &mut halves.get_mut(&fsn()).unwrap().database else { panic!() };
        change(database);
        replication(Some(&record), &halves)
    };
    assert_eq!(with(|d| d.replicas = Some(Vec::new())), (None, Some(false)), "the standby is gone");
    assert_eq!(with(|d| d.replicas = None), (None, None), "hidden from the role");
    let behind = |d: &mut crate::observe::DatabaseView| d.replicas.as_mut().unwrap()[0].replay = None;
    assert_eq!(with(behind), (None, Some(true)));
    assert_eq!(replication(None, &halves()), (None, None));
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
fn a_spec_that_agrees_with_the_record_is_left_alone() {
    assert_eq!(mended(&fixture::record(), &fixture::spec()), None);
}

#[test]
fn after_a_switchover_the_spec_names_the_acting_primary_and_the_former_one_first() {
    let mut spec = fixture::spec();
    spec.standbys = vec![Region::new("nbg"), hel()];
    let mut record = fixture::record();
    record.lineage = Lineage::Of { region: hel(), timeline: 4 };
    let patch = mended(&record, &spec).unwrap();
    assert_eq!(patch, json!({ "primaryRegion": "hel", "hotStandbyRegions": ["fsn", "nbg"] }));
    record.lineage = Lineage::Unknown;
    assert_eq!(mended(&record, &spec), None, "nobody is known to be primary");
    record.lineage = Lineage::Of { region: Region::new("ash"), timeline: 4 };
    assert_eq!(mended(&record, &spec), None, "not a region of this Continuum");
}

#[test]
fn nothing_is_mended_while_a_switchover_is_under_way() {
    let mut spec = fixture::spec();
    (spec.primary, spec.standbys) = (hel(), vec![fsn()]);
    let order = Order { plan: fixture::plan(), kind: Kind::Planned, request: None, now: at() };
    let Edit::Write(record) = transition::begin(&fixture::record(), &fsn(), &order) else { panic!() };
    assert!(mended(&fixture::record(), &spec).is_some());
    assert_eq!(mended(&record, &spec), None);
}

#[test]
fn a_served_request_is_reset_and_one_that_is_not_stays() {
    let mut spec = fixture::spec();
    let request =
        SwitchoverRequest { target: hel(), requested_at: at(), requested_by: None, reason: None, confirmed: None };
    spec.switchover = Some(request.clone());
    let mut record = fixture::record();
    assert_eq!(mended(&record, &spec), None);
    record.served.push(requests::of_switchover(&request));
    assert_eq!(
        mended(&record, &spec),
        Some(json!({ "switchover": { "requested": false, "confirmedFingerprint": null } }))
    );
}

#[test]
fn an_answer_to_a_failback_does_not_stand_for_the_next_one() {
    let reset = Some(json!({ "failback": {
        "requested": false, "approved": false, "approvedAt": null, "approvedBy": null, "refused": false,
    } }));
    let mut record = fixture::record();
    let mut answered = fixture::spec();
    answered.failback.refused = true;
    assert_eq!(mended(&record, &answered), reset, "also in a copy that did not ask");
    let mut asked = fixture::spec();
    (asked.failback.requested_at, asked.failback.approved) = (Some(at()), true);
    assert_eq!(mended(&record, &asked), None, "asked and approved in one breath, not served yet");
    record.served.push(requests::of_failback(&asked.failback, &hel()).unwrap());
    assert_eq!(mended(&record, &asked), reset);
    let order = Order { plan: fixture::plan(), kind: Kind::Failback, request: None, now: at() };
    let approval = transition::Approval { required: true, timeout_seconds: 60 };
    let Edit::Write(waiting) = transition::pend(&record, &fsn(), &order, approval) else { panic!() };
    assert_eq!(mended(&waiting, &asked), None, "it waits, so the answer counts");
    assert_eq!(mended(&waiting, &answered), None);
}

#[test]
fn a_lease_is_lost_when_its_term_ran_out_and_found_with_another_later() {
    let record = fixture::record();
    let left = Duration::from_secs(1);
    assert_eq!(lease_news(&fsn(), None, Duration::ZERO, &record), None, "a process that just started had none");
    assert_eq!(lease_news(&fsn(), Some(4), left, &record), None);
    let lost = LeaseNews::Lost { generation: 4 };
    assert_eq!(lease_news(&fsn(), Some(4), Duration::ZERO, &record), Some(lost));
    let mut taken = record.clone();
    (taken.holder, taken.generation) = (Some(hel()), 5);
    let collision = LeaseNews::Collision { holder: hel(), generation: 5 };
    assert_eq!(lease_news(&fsn(), Some(4), Duration::ZERO, &taken), Some(collision));
    assert_eq!(lease_news(&hel(), None, left, &taken), None);
}

#[test]
fn a_lease_that_was_handed_on_is_not_lost() {
    let plan = fixture::plan();
    let order = Order { plan, kind: Kind::Planned, request: None, now: at() };
    let Edit::Write(mut moving) = transition::begin(&fixture::record(), &fsn(), &order) else { panic!("begun") };
    (moving.holder, moving.generation) = (Some(hel()), 5);
    assert_eq!(lease_news(&fsn(), Some(4), Duration::ZERO, &moving), None);
    (moving.holder, moving.generation) = (Some(fsn()), 6);
    assert_eq!(lease_news(&hel(), Some(5), Duration::ZERO, &moving), None, "nor one that was given back");
}
