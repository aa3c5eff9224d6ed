use super::*;
use crate::preflight::fixture::{self, fsn, hel};

fn halves() -> ByRegion<Half> {
    fixture::observations().halves
}

fn cluster(half: &mut Half) -> &mut crate::observe::ClusterView {
    let Seen::Is(cluster) = &mut half.cluster else { panic!("seen") };
    cluster
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
    assert!(may_acquire(&fsn(), &fixture::spec(), &ByRegion::new()).is_err());
}

#[test]
fn it_is_said_whether_ones_own_half_is_not_seen_or_not_there_or_no_primary() {
    let why = |own: Seen<crate::observe::ClusterView>| {
        let mut halves = halves();
        halves.get_mut(&fsn()).unwrap().cluster = own;
        may_acquire(&fsn(), &fixture::spec(), &halves).unwrap_err()
    };
    assert!(why(Seen::Missing).contains("there is no Cluster"));
    assert!(why(Seen::Unknown("time-out".into())).contains("cannot be seen"));
    let mut replica = cluster(halves().get_mut(&fsn()).unwrap()).clone();
    replica.role = Role::Replica;
    let mut both = halves();
    both.get_mut(&fsn()).unwrap().cluster = Seen::Is(replica);
    both.get_mut(&hel()).unwrap().cluster = Seen::Unknown("time-out".into());
    let why = may_acquire(&fsn(), &fixture::spec(), &both).unwrap_err();
    assert!(why.contains("is not primary, and the other region"), "{why}");
}

#[test]
fn where_both_halves_say_primary_nobody_acquires() {
    let mut halves = halves();
    cluster(halves.get_mut(&hel()).unwrap()).role = Role::Primary;
    assert!(may_acquire(&fsn(), &fixture::spec(), &halves).is_err());
    assert!(may_acquire(&hel(), &fixture::spec(), &halves).is_err());
}
