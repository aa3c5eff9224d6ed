use super::*;
use crate::preflight::fixture::{self, fsn, hel};
use crate::record::Kind;
use crate::transition::{self, Edit, Order};
use jiff::Timestamp;

fn halves() -> BTreeMap<Region, Half> {
    let seen = fixture::observations();
    seen.halves
}

fn at() -> Timestamp {
    Timestamp::from_second(1_795_000_000).unwrap()
}

#[test]
fn lag_that_is_not_measured_is_absent_and_never_zero() {
    let record = fixture::record();
    assert_eq!(replication(Some(&record), &halves()), (Some(Duration::ZERO), Some(true)));
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
