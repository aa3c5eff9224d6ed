//! A region that does not hold the record.

use super::*;
use crate::next::standing::{Object, Place};

/// hel, while fsn holds the record.
struct Aside {
    record: Record,
    seen: Observations,
    me: Region,
    upkeep: Upkeep,
}

impl Aside {
    fn new() -> Self {
        let mut aside =
            Self { record: fixture::record(), seen: fixture::observations(), me: hel(), upkeep: Upkeep::default() };
        aside.own().0.claim = Some(Claim { generation: 4, intent: "held/4".into() });
        aside
    }

    fn own(&mut self) -> (&mut ClusterView, &mut DatabaseView) {
        parts(self.seen.half_mut(&self.me))
    }

    fn decide(&self, stood_still: u64) -> Decision {
        let holder = self.record.holder.clone().unwrap();
        let spec = fixture::spec().led_by(&if holder == fsn() { hel() } else { fsn() });
        let plan = Plan::new(&fixture::shop(), &spec, &holder, None, None).unwrap();
        let at = Monotonic(Duration::from_secs(100));
        let place = Place { record: &self.record, me: &self.me, plan: &plan, away: None, seen: &self.seen, at };
        give_way(&place, &self.upkeep, Duration::from_secs(stood_still))
    }
}

#[test]
fn a_standby_is_left_alone() {
    assert_eq!(Aside::new().decide(0), Decision::Rest(None));
    assert_eq!(Aside::new().decide(1_000), Decision::Rest(None), "no intent stands, so nothing is taken back");
}

#[test]
fn a_half_that_may_write_is_fenced_and_demoted_in_one_patch_whoever_told_it_so() {
    type Spoil = fn(&mut Aside);
    let spoils: [Spoil; 2] = [|a| a.own().0.role = Role::Primary, |_| ()];
    for spoil in spoils {
        let mut aside = Aside::new();
        *aside.own().1 = fixture::primary_database("shop-fsn");
        spoil(&mut aside);
        let Decision::Keep(Object::Half(region), Action::Cluster(write)) = aside.decide(0) else { panic!("H36") };
        assert_eq!((region, write.region, write.claim.generation), (hel(), hel(), 4));
        assert_eq!(write.change, ClusterChange::FenceAndDemote { primary: "shop-fsn".into() });
        aside.seen.half_mut(&fsn()).cluster = Seen::Unknown("time-out".into());
        assert!(matches!(aside.decide(0), Decision::Keep(..)), "the other region need not be seen");
    }
}

#[test]
fn a_standby_that_was_told_to_be_primary_is_told_back_and_not_fenced() {
    let mut aside = Aside::new();
    aside.own().0.role = Role::Primary;
    let Decision::Keep(_, Action::Cluster(write)) = aside.decide(0) else { panic!("H36") };
    assert_eq!(write.change, ClusterChange::Demote { primary: "shop-fsn".into() });
}

#[test]
fn a_half_that_a_newer_generation_wrote_than_the_record_that_was_read_is_left_alone() {
    let mut aside = Aside::new();
    aside.own().0.role = Role::Primary;
    aside.own().0.claim = Some(Claim { generation: 5, intent: "shop/shop/4.1".into() });
    assert!(matches!(aside.decide(0), Decision::Rest(Some(_))));
}

#[test]
fn an_installation_on_two_primaries_stops_no_database() {
    let mut aside = Aside::new();
    aside.own().0.role = Role::Primary;
    aside.own().0.claim = None;
    assert!(matches!(aside.decide(0), Decision::Rest(Some(why)) if why.contains("a person has to decide")));
}

/// fsn handed the lease on, and hel has not promoted its half yet.
fn handed_on() -> Aside {
    let world = World::before(6);
    let mut aside = Aside { record: world.record.clone(), seen: world.seen.clone(), me: fsn(), ..Aside::new() };
    aside.own().0.claim = Some(Claim { generation: 4, intent: ID.into() });
    aside
}

#[test]
fn the_old_region_takes_the_record_back_once_the_term_of_a_silent_new_one_is_over() {
    let aside = handed_on();
    assert_eq!(aside.decide(31), Decision::Rest(None), "31.3 s");
    let Decision::Keep(Object::Record, Action::Record(change)) = aside.decide(32) else { panic!("2.11") };
    let Edit::Write(record) = apply(&aside.record, &fsn(), "", 0, wall(90), &change) else { panic!() };
    assert!(record.held_by(&fsn()) && record.generation == 6 && !record.intent.as_ref().unwrap().forward());
    let mut renewed = aside.record.clone();
    renewed.renewal += 1;
    let edit = apply(&renewed, &fsn(), "", 0, wall(90), &change);
    assert!(matches!(edit, Edit::Stale(_)), "its holder lives: {edit:?}");
}

#[test]
fn nothing_is_taken_back_once_the_promotion_may_be_out() {
    let world = World::during(6);
    let aside = Aside { record: world.record.clone(), ..handed_on() };
    assert_eq!(aside.decide(1_000), Decision::Rest(None));
}

#[test]
fn a_promotion_of_its_own_that_the_intent_allowed_is_not_taken_back() {
    let mut world = World::during(6);
    world.promoted();
    world.record.holder = Some(fsn());
    let aside = Aside { record: world.record.clone(), seen: world.seen.clone(), me: hel(), ..Aside::new() };
    assert_eq!(aside.decide(0), Decision::Rest(None));
}

#[test]
fn a_half_whose_fence_was_lifted_before_it_was_demoted_is_fenced_again() {
    let mut aside = Aside::new();
    *aside.own().1 = fixture::primary_database("shop-fsn");
    aside.own().0.in_progress = true;
    assert!(matches!(aside.decide(0), Decision::Rest(Some(_))), "it may have been a moment ago");
    aside.seen.half_mut(&hel()).stalled_for = Duration::from_secs(1);
    let Decision::Keep(Object::Half(_), Action::Cluster(write)) = aside.decide(0) else { panic!() };
    assert_eq!((write.region, write.change), (hel(), ClusterChange::Fence));
}
