//! Step 6: the promotion, which nothing takes back.

use super::*;

#[test]
fn a_record_that_hands_step_6_to_the_old_region_is_not_acted_on() {
    let mut world = World::before(6);
    (world.record.holder, world.me) = (Some(fsn()), fsn());
    assert!(stuck(world.decide()).contains("hel drives this step"));
}

#[test]
fn a_promotion_waits_for_the_replay_and_without_the_wal_it_turns_back() {
    let mut world = World::before(6);
    world.to().1.lsn = Some(crate::record::Lsn(0x700_0027));
    assert_eq!(waits(world.decide()), "replaying to the token at 0/7000028; at 0/7000027", "H34");
    world.to().1.lsn = None;
    waits(world.decide());
    let mut there = world.clone();
    there.to().1.lsn = Some(crate::record::Lsn(0x700_0028));
    let mut there = there.admitted();
    let Change::Start(what) = changes(there.decide()) else { panic!("it starts") };
    assert_eq!(what.promoted_with, Some(token(3, "0/7000028")));
    world.pass(59);
    waits(world.decide());
    world.pass(2);
    assert_eq!(turns(world.decide()), (6, "replaying to the token at 0/7000028 (the objective is over)".into()));
}

#[test]
fn an_operator_that_was_told_to_do_nothing_after_the_dry_run_is_named() {
    let cause =
        "the operator does nothing for shop-hel: the annotation cnpg.io/reconciliationLoop is `disabled`; remove it";
    let mut world = World::before(6);
    world.to().1.lsn = None;
    world.to().0.reconciliation_disabled = true;
    assert!(waits(world.decide()).ends_with(cause));
    world.pass(61);
    assert!(turns(world.decide()).1.contains(cause));
}

#[test]
fn before_its_request_the_promotion_has_what_is_left_of_the_objective_and_ten_seconds_at_least() {
    let mut world = World::begun();
    world.look();
    world.pass(58);
    let mut late = World { memory: world.memory, at: world.at, ..World::before(6) };
    late.to().1.lsn = None;
    waits(late.decide());
    late.pass(9);
    waits(late.decide());
    late.pass(2);
    assert_eq!(turns(late.decide()).0, 6);
}

#[test]
fn an_abort_is_heard_after_the_swap_too_and_through_the_record() {
    let mut world = World::before(6);
    world.record.abort = Some(ID.into());
    assert_eq!(turns(world.decide()).1, "aborted by a person");
    world.record.abort = Some("shop/shop/3.1".into());
    assert!(matches!(world.decide(), Decision::Act(6, Action::Admit(_))));
}

#[test]
fn a_promotion_that_would_be_refused_is_not_asked_for() {
    let mut world = World::before(6);
    let decision = world.try_with(Outcome::NotApplied("the promotion would be refused: failed calling webhook".into()));
    assert!(matches!(decision, Decision::Act(6, Action::Admit(_))));
    assert!(waits(world.decide()).contains("failed calling webhook"), "H39");
    world.pass(61);
    assert_eq!(turns(world.decide()).0, 6);
}

#[test]
fn a_half_whose_replay_is_paused_is_not_promoted() {
    for paused in [Some(true), None] {
        let mut world = World::before(6);
        world.to().1.replay_paused = paused;
        assert!(waits(world.decide()).contains("paused"), "H49");
    }
}

#[test]
fn an_old_half_that_is_primary_again_is_fenced_and_demoted_and_nothing_is_promoted() {
    for mut world in [World::before(6), World::during(6)] {
        world.from().0.role = Role::Primary;
        *world.from().1 = fixture::primary_database("shop-hel");
        let write = cluster_write(world.try_with(done()));
        assert_eq!((write.region, write.claim.generation), (fsn(), 5));
        assert_eq!(write.change, ClusterChange::FenceAndDemote { primary: "shop-hel".into() }, "H35");
        waits(world.decide());
        world.from().0.role = Role::Replica;
        world.from().0.claim = world.claim();
        world.from().1.accepts = Accepts::Yes;
        assert!(waits(world.decide()).contains("it is being demoted"));
    }
}

#[test]
fn what_the_old_half_wrote_meanwhile_comes_with_its_new_token() {
    let mut world = World::before(6);
    world.from().0.demotion_token = Some(token(4, "0/9000028"));
    assert_eq!(changes(world.decide()), Change::Token(token(4, "0/9000028")), "2.10");
    world.change(6, &Change::Token(token(4, "0/9000028")));
    assert!(waits(world.decide()).contains("replaying to the token at 0/9000028"));
    world.from().0.demotion_token = None;
    assert!(waits(world.decide()).contains("left no newer one"));
}

#[test]
fn a_promotion_that_was_taken_back_is_done_anew_with_the_halfs_own_newer_token() {
    let mut world = World::during(6);
    world.promoted();
    let own = token(4, "0/8000028");
    let (cluster, database) = world.to();
    cluster.role = Role::Replica;
    cluster.demotion_token = Some(own.clone());
    *database = fixture::standby_database();
    assert_eq!(changes(world.decide()), Change::PromoteWith(Some(own.clone())), "H37");
    world.change(6, &Change::PromoteWith(Some(own.clone())));
    let write = cluster_write(world.decide());
    assert!(matches!(write.change, ClusterChange::Promote { token, .. } if token == Some(own)));
}

#[test]
fn a_promotion_carries_the_token_the_claim_and_a_limit_of_the_servers() {
    let mut world = World::during(6);
    let decision = world.decide();
    let Decision::Act(6, action) = &decision else { panic!("{decision:?}") };
    assert!(makes_writable(action) && irreversible(action));
    let write = cluster_write(decision);
    let token = Some(token(3, "0/7000028"));
    assert_eq!(write.change, ClusterChange::Promote { primary: "shop-hel".into(), token, permit: Permit::forged() });
    assert_eq!(write.claim, Claim { generation: 5, intent: ID.into() });
    assert_eq!((write.region, write.server_limit), (hel(), Some(REQUEST_LIMIT)));
}

#[test]
fn only_a_half_that_runs_as_a_standby_is_promoted() {
    type Spoil = fn(&mut World);
    let spoils: [(&str, Spoil); 5] = [
        ("behind a fence", |w| w.to().0.fenced = true),
        ("still a primary", |w| w.to().1.in_recovery = Some(false)),
        ("no connection", |w| w.to().1.in_recovery = None),
        ("not seen", |w| w.seen.half_mut(&hel()).database = Seen::Unknown("time-out".into())),
        ("a newer generation's", |w| w.to().0.claim = Some(Claim { generation: 6, intent: String::new() })),
    ];
    for (name, spoil) in spoils {
        let mut world = World::before(6);
        spoil(&mut world);
        waits(world.decide());
        world.pass(61);
        assert_eq!(turns(world.decide()).0, 6, "{name}");
        let mut world = World::during(6);
        spoil(&mut world);
        waits(world.decide());
        world.pass(61);
        stuck(world.decide());
        assert!(!name.is_empty());
    }
    let mut world = World::before(6);
    world.record.intent.as_mut().unwrap().token = None;
    assert!(stuck(world.decide()).contains("no token"));
}

#[test]
fn a_half_that_is_primary_under_an_older_generation_is_fenced_and_demoted_first() {
    let claims = [None, Some(Claim { generation: 4, intent: ID.into() })];
    for (claim, mut world) in claims.into_iter().flat_map(|c| [(c.clone(), World::before(6)), (c, World::during(6))]) {
        world.promoted();
        world.to().0.claim = claim;
        let write = cluster_write(world.decide());
        assert_eq!(write.change, ClusterChange::FenceAndDemote { primary: "shop-fsn".into() }, "H29");
        assert_eq!((write.region, write.claim.generation), (hel(), 5));
    }
}

/// An operator that has not heard of the promotion yet fences what it takes for a standby that takes writes.
#[test]
fn a_half_that_was_fenced_after_its_promotion_is_demoted_and_promoted_by_claims_that_do_not_stand_yet() {
    let mut world = World::during(6);
    world.promoted();
    world.to().0.claim = world.claim();
    world.to().0.fenced = true;
    let write = cluster_write(world.decide());
    assert_eq!(write.change, ClusterChange::FenceAndDemote { primary: "shop-fsn".into() });
    assert_eq!(Some(write.claim.clone()), world.claim().map(Claim::again), "the policy takes no claim that stands");
    assert!(!write.claim.fences(), "its operator's fence is its operator's to lift");
    let (cluster, database) = world.to();
    (cluster.role, cluster.fenced, cluster.claim) = (Role::Replica, false, Some(write.claim));
    (cluster.primary_name, cluster.promotion_token) = (Some("shop-fsn".into()), None);
    (cluster.demotion_token, database.in_recovery) = (Some(token(4, "0/8000028")), Some(true));
    database.accepts = Accepts::No;
    world.pass(1);
    let change = changes(world.decide());
    assert_eq!(change, Change::PromoteWith(Some(token(4, "0/8000028"))), "by its own token");
    world.change(6, &change);
    let write = cluster_write(world.decide());
    assert!(matches!(write.change, ClusterChange::Promote { .. }));
    assert_eq!(Some(write.claim), world.claim(), "it is another than the one that stands");
}

#[test]
fn a_half_that_this_record_did_not_say_it_would_promote_does_not_count() {
    let mut world = World::before(6);
    world.promoted();
    assert!(matches!(cluster_write(world.decide()).change, ClusterChange::FenceAndDemote { .. }));
}

#[test]
fn a_promotion_is_done_when_a_new_connection_writes_after_the_restart() {
    let mut world = World::during(6);
    world.promoted();
    let decision = world.try_with(done());
    assert_eq!(decision, Decision::Act(6, Action::TryWrite { region: hel(), commit: false }));
    assert_eq!(finishes(world.decide()).lineage, Some(Lineage::Of { region: hel(), timeline: 4 }));
}

#[test]
fn a_synchronous_half_must_commit() {
    let mut world = World::during(6);
    world.promoted();
    world.to().0.synchronous =
        Some(crate::observe::SynchronousView { number: 1, required: true, standby_names_pre: vec!["shop-fsn".into()] });
    assert_eq!(world.decide(), Decision::Act(6, Action::TryWrite { region: hel(), commit: true }));
}

#[test]
fn a_promotion_is_not_done_by_anything_less() {
    type Spoil = fn(&mut World);
    let spoils: [(&str, Spoil); 7] = [
        ("the operator has not taken the token", |w| w.to().0.last_promotion_token = None),
        ("an earlier token", |w| w.to().0.last_promotion_token = Some("old".into())),
        ("the timeline has not grown", |w| w.to().0.timeline = Some(3)),
        ("the timeline is not known", |w| w.to().0.timeline = None),
        ("not Ready", |w| w.to().0.ready = Some(false)),
        ("the restart is not through (H30)", |w| w.to().1.archive_mode = Some("always".into())),
        ("the restart is going on (H30)", |w| w.seen.half_mut(&hel()).database = Seen::Unknown("refused".into())),
    ];
    for (name, spoil) in spoils {
        let mut world = World::during(6);
        world.promoted();
        world.memory.write_passed = true;
        spoil(&mut world);
        waits(world.decide());
        world.pass(11);
        waits(world.decide());
        world.pass(50);
        stuck(world.decide());
        assert!(!name.is_empty());
    }
    let mut world = World::during(6);
    world.promoted();
    world.try_with(Outcome::NotApplied("53300".into()));
    assert_eq!(waits(world.decide()), "53300", "a write that did not pass is no write");
}

#[test]
fn past_the_point_of_no_return_it_goes_forward_only_with_growing_pauses() {
    let mut world = World::during(6);
    let mut tries = Vec::new();
    for second in 0..200 {
        match world.try_with(Outcome::Unknown("time-out".into())) {
            Decision::Act(6, Action::Cluster(_)) => tries.push(second),
            Decision::Wait(6, _) | Decision::Stuck(6, _) => {}
            other => panic!("{other:?}"),
        }
        world.pass(1);
    }
    let pauses: Vec<i32> = tries.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(pauses[..3], [1, 1, 1]);
    assert_eq!(pauses.last(), Some(&30));
}

#[test]
fn where_every_attempt_was_refused_the_lease_may_go_back() {
    let mut world = World::during(6);
    cluster_write(world.try_with(Outcome::Refused("403".into())));
    let Change::Turn { step: 6, reason, promotion_refused: true } = changes(world.decide()) else { panic!() };
    assert_eq!(reason, "403");
}

#[test]
fn one_attempt_that_was_not_refused_keeps_it_going_forward() {
    let mut world = World::during(6);
    cluster_write(world.try_with(Outcome::Unknown("time-out".into())));
    world.pass(1);
    world.change_retry(6);
    cluster_write(world.try_with(Outcome::Refused("403".into())));
    world.pass(60);
    cluster_write(world.decide());
}

#[test]
fn an_attempt_of_another_process_counts_as_not_refused() {
    let mut world = World::during(6);
    let decision = world.decide();
    let Decision::Act(6, action) = &decision else { panic!() };
    assert!(!world.memory.is_retry(action, 6));
    world.memory = Memory::default();
    world.look();
    assert!(world.memory.is_retry(action, 6), "the process before may have sent it");
    world.change_retry(6);
    cluster_write(world.try_with(Outcome::Refused("403".into())));
    world.pass(60);
    cluster_write(world.decide());
}

#[test]
fn a_refused_promotion_that_stands_all_the_same_is_followed_through() {
    let mut world = World::during(6);
    cluster_write(world.try_with(Outcome::Refused("403".into())));
    world.promoted();
    world.pass(1);
    assert!(matches!(world.decide(), Decision::Act(6, Action::TryWrite { .. })));
}

#[test]
fn steps_that_are_done_once_more_past_the_point_of_no_return_do_not_turn_back() {
    for step in 3..=5 {
        let mut world = World::before(step);
        world.record.intent.as_mut().unwrap().step_mut(6).started_at = Some(wall(6));
        world.start(step);
        world.seen.routes.clear();
        world.seen.zone = Seen::Unknown("401".into());
        world.abort = Some(ID.into());
        waits(world.decide());
        world.pass(61);
        stuck(world.decide());
    }
}

impl World {
    fn change_retry(&mut self, step: u8) {
        let Edit::Write(record) = transition::retry(&self.record, &self.me, ID, step) else { panic!("counts") };
        self.record = *record;
    }
}
