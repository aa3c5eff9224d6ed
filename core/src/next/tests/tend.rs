//! The holder without an intent.

use super::*;
use crate::next::standing::{Object, Place};
use crate::record::{Former, Left};

/// A pair that fsn holds, both halves claimed.
struct Kept {
    record: Record,
    seen: Observations,
    upkeep: Upkeep,
    at: Monotonic,
}

impl Kept {
    fn new() -> Self {
        let mut kept = Self {
            record: fixture::record(),
            seen: fixture::observations(),
            upkeep: Upkeep::default(),
            at: Monotonic(Duration::from_secs(100)),
        };
        for region in [fsn(), hel()] {
            kept.half(&region).0.claim = Some(Claim { generation: 4, intent: "held/4".into() });
        }
        kept
    }

    fn half(&mut self, region: &Region) -> (&mut ClusterView, &mut DatabaseView) {
        parts(self.seen.half_mut(region))
    }

    fn decide(&self) -> Decision {
        let spec = fixture::spec().led_by(&hel());
        let plan = Plan::new(&fixture::shop(), &spec, &fsn(), None, None).unwrap();
        let me = fsn();
        let place = Place { record: &self.record, me: &me, plan: &plan, away: None, seen: &self.seen, at: self.at };
        tend(&place, &self.upkeep)
    }

    fn try_with(&mut self, outcome: Outcome<()>) -> Decision {
        let decision = self.decide();
        if let Decision::Keep(object, _) = &decision {
            self.upkeep.tried(object, &outcome, self.at);
        }
        decision
    }

    /// fsn was told to be a replica and demoted, and left this token.
    fn demoted(mut self, text: Option<String>) -> Self {
        let (cluster, database) = self.half(&fsn());
        cluster.role = Role::Replica;
        cluster.demotion_token = text;
        *database = fixture::standby_database();
        self
    }

    /// The last move ended so.
    fn left(mut self, result: EndResult) -> Self {
        let former = crate::weights::former(&fixture::route(), "shop-fsn", "shop-hel");
        let weights = [(fsn(), former.clone()), (hel(), former)].into();
        let records = self.seen.zone.known().map(|zone| zone.records.clone());
        let former = Former { weights, records, ..Former::default() };
        self.record.left = Some(Left { plan: fixture::plan(), former, result, extra: Default::default() });
        self
    }
}

#[track_caller]
fn kept_write(decision: Decision) -> ClusterWrite {
    match decision {
        Decision::Keep(Object::Half(_), Action::Cluster(write)) => write,
        other => panic!("writes no half: {other:?}"),
    }
}

#[track_caller]
fn rests(decision: Decision) -> String {
    match decision {
        Decision::Rest(Some(why)) => why,
        other => panic!("does not rest with a reason: {other:?}"),
    }
}

#[test]
fn a_pair_that_is_as_the_record_says_is_left_alone() {
    assert_eq!(Kept::new().decide(), Decision::Rest(None));
    assert_eq!(Kept::new().left(EndResult::Undone).decide(), Decision::Rest(None));
}

#[test]
fn after_a_free_record_was_taken_the_other_half_is_claimed_first_and_its_own_as_it_runs() {
    let mut kept = Kept::new();
    kept.half(&fsn()).0.claim = None;
    kept.half(&hel()).0.claim = None;
    let write = kept_write(kept.decide());
    assert_eq!((write.region, write.change, write.claim.generation), (hel(), ClusterChange::Claim, 4));
    kept.half(&hel()).0.claim = Some(Claim { generation: 4, intent: "held/4".into() });
    kept.half(&hel()).1.accepts = Accepts::Unknown;
    rests(kept.decide());
    kept.half(&hel()).1.accepts = Accepts::No;
    let write = kept_write(kept.decide());
    assert_eq!((write.region, write.change), (fsn(), ClusterChange::Claim), "2.6: unfenced");
    kept.seen.half_mut(&hel()).cluster = Seen::Unknown("time-out".into());
    rests(kept.decide());
}

#[test]
fn two_primaries_that_nobody_ever_claimed_are_for_a_person_to_decide() {
    let mut kept = Kept::new();
    kept.half(&fsn()).0.claim = None;
    kept.half(&hel()).0.claim = None;
    kept.half(&hel()).0.role = Role::Primary;
    assert!(rests(kept.decide()).contains("a person has to decide"));
}

#[test]
fn another_half_that_was_told_to_be_primary_or_takes_writes_is_fenced_and_demoted_in_one_patch() {
    type Spoil = fn(&mut Kept);
    let spoils: [Spoil; 2] = [|k| k.half(&hel()).0.role = Role::Primary, |_| ()];
    for spoil in spoils {
        let mut kept = Kept::new();
        *kept.half(&hel()).1 = fixture::primary_database("shop-fsn");
        spoil(&mut kept);
        for _ in 0..10 {
            let write = kept_write(kept.try_with(done()));
            assert_eq!(write.change, ClusterChange::FenceAndDemote { primary: "shop-fsn".into() }, "H36");
            assert_eq!((write.region, write.claim.generation), (hel(), 4));
            kept.at = kept.at + Duration::from_secs(2);
        }
    }
}

#[test]
fn its_own_half_that_was_told_to_be_a_replica_is_told_otherwise_once_its_operator_is_seen_to_do_nothing() {
    let mut kept = Kept::new();
    kept.half(&fsn()).0.role = Role::Replica;
    assert_eq!(rests(kept.decide()), "its operator may have begun to demote it");
    kept.seen.half_mut(&fsn()).untouched_for = Duration::from_secs(5);
    let write = kept_write(kept.decide());
    assert!(matches!(write.change, ClusterChange::Promote { token: None, .. }), "H36");
    assert_eq!((write.region, write.server_limit), (fsn(), Some(REQUEST_LIMIT)));
}

#[test]
fn its_own_half_that_was_demoted_comes_back_with_its_own_token_once_the_demotion_has_ended() {
    let own = token(3, "0/9000028");
    let mut kept = Kept::new().demoted(Some(own.clone()));
    let write = kept_write(kept.decide());
    assert!(matches!(write.change, ClusterChange::Promote { token, .. } if token == Some(own)));
    kept.half(&fsn()).0.in_progress = true;
    rests(kept.decide());
    kept.half(&fsn()).0.in_progress = false;
    kept.half(&fsn()).0.fenced = true;
    rests(kept.decide());
}

#[test]
fn no_half_is_made_writable_before_the_other_was_claimed_and_seen_to_refuse() {
    let mut kept = Kept::new().demoted(Some(token(3, "0/9000028")));
    kept.half(&hel()).1.accepts = Accepts::Unknown;
    rests(kept.decide());
    kept.half(&hel()).0.claim = Some(Claim { generation: 3, intent: "shop/shop/3.1".into() });
    assert_eq!(kept_write(kept.decide()).region, hel());
    kept.seen.half_mut(&hel()).cluster = Seen::Unknown("time-out".into());
    rests(kept.decide());
}

#[test]
fn where_the_other_half_was_primary_last_its_token_is_waited_for_and_the_lineage_doubted_first() {
    let mut kept = Kept::new().demoted(Some(token(3, "0/5000028")));
    kept.record.lineage = Lineage::Of { region: hel(), timeline: 4 };
    assert!(rests(kept.decide()).contains("was primary last"));
    kept.half(&hel()).0.demotion_token = Some(token(4, "0/7000028"));
    let Decision::Keep(Object::Record, Action::Record(Change::Lineage(lineage))) = kept.decide() else { panic!() };
    assert_eq!(lineage, Lineage::Unknown);
    kept.record.lineage = lineage;
    let write = kept_write(kept.decide());
    assert!(matches!(write.change, ClusterChange::Promote { token: t, .. } if t == Some(token(4, "0/7000028"))));
    kept.half(&fsn()).1.replay_paused = Some(true);
    assert_eq!(rests(kept.decide()), "its replay is paused", "H49");
}

#[test]
fn a_lineage_in_doubt_is_confirmed_once_the_half_takes_writes() {
    let mut kept = Kept::new();
    kept.record.lineage = Lineage::Unknown;
    let Decision::Keep(_, Action::Record(Change::Lineage(lineage))) = kept.decide() else { panic!() };
    assert_eq!(lineage, Lineage::Of { region: fsn(), timeline: 3 });
    kept.half(&fsn()).1.accepts = Accepts::No;
    rests(kept.decide());
}

#[test]
fn a_fence_that_somebody_else_set_is_said_and_not_lifted() {
    let mut kept = Kept::new();
    kept.half(&fsn()).0.fenced = true;
    assert!(rests(kept.decide()).contains("not by this product"));
}

#[test]
fn weights_and_records_that_the_last_move_left_are_put_right_three_times_in_ten_minutes() {
    let mut kept = Kept::new().left(EndResult::Undone);
    let Some(Seen::Is(route)) = kept.seen.routes.get_mut(&hel()) else { panic!() };
    route.rules = vec![fixture::rule(&[("shop-fsn", 0), ("shop-hel", 100)])];
    for _ in 0..3 {
        let decision = kept.try_with(done());
        let Decision::Keep(Object::Route(region), Action::Route(write)) = decision else { panic!("{decision:?}") };
        assert_eq!((region, write.weights[0].values().copied().collect::<Vec<_>>()), (hel(), vec![100, 0]));
        kept.at = kept.at + Duration::from_secs(5);
    }
    assert_eq!(kept.decide(), Decision::Rest(None), "left to others");
    kept.at = kept.at + Duration::from_secs(600);
    assert!(matches!(kept.decide(), Decision::Keep(Object::Route(_), _)));
    kept.seen.routes.clear();
    let Seen::Is(zone) = &mut kept.seen.zone else { panic!() };
    zone.records.clear();
    assert!(matches!(kept.decide(), Decision::Keep(Object::Records, Action::Publish { .. })));
}

#[test]
fn what_a_person_changed_in_the_resource_is_not_put_back() {
    let mut kept = Kept::new().left(EndResult::Undone);
    let left = kept.record.left.as_mut().unwrap();
    left.plan.records.hostnames.push("other.example.org".into());
    left.plan.route = None;
    let Seen::Is(zone) = &mut kept.seen.zone else { panic!() };
    zone.records.clear();
    assert_eq!(kept.decide(), Decision::Rest(None));
}

#[test]
fn in_sync_is_written_once_the_other_half_follows_synchronously_and_taken_back_with_the_setting() {
    let mut kept = Kept::new();
    let setting =
        crate::observe::SynchronousView { number: 1, required: true, standby_names_pre: vec!["shop-hel".into()] };
    kept.half(&fsn()).0.synchronous = Some(setting);
    assert_eq!(kept.decide(), Decision::Rest(None), "it follows asynchronously as yet");
    kept.half(&fsn()).1.replicas.as_mut().unwrap()[0].sync_state = "sync".into();
    assert!(matches!(kept.decide(), Decision::Keep(_, Action::Record(Change::InSync(true)))));
    kept.record.in_sync = true;
    kept.half(&fsn()).1.replicas = Some(Vec::new());
    assert_eq!(kept.decide(), Decision::Rest(None), "nothing is acknowledged without it");
    kept.half(&fsn()).0.synchronous = None;
    assert!(matches!(kept.decide(), Decision::Keep(_, Action::Record(Change::InSync(false)))));
}

#[test]
fn a_demotion_that_stalled_is_fenced_again_in_either_half() {
    for region in [fsn(), hel()] {
        let mut kept = Kept::new();
        let (cluster, database) = kept.half(&region);
        (cluster.role, cluster.in_progress) = (Role::Replica, true);
        *database = fixture::standby_database();
        assert!(matches!(kept.decide(), Decision::Rest(Some(_))), "{region}: it may end by itself");
        kept.seen.half_mut(&region).stalled_for = Duration::from_secs(5);
        let Decision::Keep(Object::Half(of), Action::Cluster(write)) = kept.decide() else { panic!("{region}") };
        assert_eq!((of, write.change), (region, ClusterChange::Fence));
    }
}

#[test]
fn the_other_half_whose_fence_was_lifted_before_it_was_demoted_is_fenced_again() {
    let mut kept = Kept::new();
    let (cluster, database) = kept.half(&hel());
    cluster.in_progress = true;
    (database.in_recovery, database.accepts) = (Some(false), Accepts::Yes);
    assert!(matches!(kept.decide(), Decision::Rest(Some(_))), "it may have been a moment ago");
    kept.seen.half_mut(&hel()).stalled_for = Duration::from_secs(1);
    let Decision::Keep(Object::Half(of), Action::Cluster(write)) = kept.decide() else { panic!() };
    assert_eq!((of, write.change), (hel(), ClusterChange::Fence));
}

#[test]
fn a_fence_put_on_again_that_outlived_its_demotion_is_lifted_and_then_claimed_as_any_other_half() {
    let mut kept = Kept::new();
    let token = crate::testing::token(3, "0/7000028");
    let (cluster, _) = kept.half(&hel());
    (cluster.fenced, cluster.demotion_token) = (true, Some(token));
    assert_eq!(kept.decide(), Decision::Rest(None), "somebody else wants it");
    let write = |kept: &mut Kept| match kept.decide() {
        Decision::Keep(Object::Half(of), Action::Cluster(write)) if of == hel() => {
            kept.half(&hel()).0.claim = Some(write.claim.clone());
            write
        }
        other => panic!("{other:?}"),
    };
    kept.half(&hel()).0.claim = Some(Claim { generation: 3, intent: "shop/shop/3.1/fence".into() });
    assert!(write(&mut kept).claim.fences(), "a claim of this generation says so too");
    assert!(matches!(kept.decide(), Decision::Rest(Some(_))), "the operator may lift it yet");
    kept.seen.half_mut(&hel()).left_fenced_for = Duration::from_secs(15);
    assert!(matches!(write(&mut kept).change, ClusterChange::Unfence { .. }));
    kept.half(&hel()).0.claim = Some(Claim { generation: 4, intent: "held/4/fence".into() });
    kept.half(&hel()).0.fenced = false;
    let claim = write(&mut kept);
    assert_eq!((claim.change, claim.claim.fences()), (ClusterChange::Claim, false), "the operator lifted it");
    assert_eq!(kept.decide(), Decision::Rest(None));
}
