//! Back: order, limits, and what must be known before a half is made writable.

use super::*;

impl World {
    /// B's controller gave the lease back: A holds generation 6 and goes on undoing.
    fn given_back(self) -> Self {
        let mut world = if self.record.intent.as_ref().unwrap().past_return() { self.refused() } else { self.turn(0) };
        world.change(5, &Change::SwapBack);
        world.me = fsn();
        world
    }

    /// Every attempt at the promotion was refused.
    fn refused(mut self) -> Self {
        let change = Change::Turn { step: 6, reason: "403".into(), promotion_refused: true };
        self.change(6, &change);
        self
    }

    /// The undos of all steps above `step` were seen.
    fn undone_down_to(mut self, step: u8) -> Self {
        for number in (step + 1..=6).rev() {
            let state = self.record.intent.as_ref().unwrap().step(number);
            if state.started_at.is_some() && state.undone_at.is_none() {
                self.change(number, &Change::Undone(None));
            }
        }
        self
    }

    /// A is primary again under this intent's undo, as it was.
    fn primary_again(&mut self) {
        let claim = self.claim();
        let (cluster, database) = self.from();
        *cluster = fixture::cluster(&fsn());
        cluster.claim = claim;
        *database = fixture::primary_database("shop-hel");
    }
}

#[test]
fn what_was_done_or_tried_is_undone_in_reverse() {
    let mut world = World::during(5).turn(5);
    assert_eq!(world.decide(), Decision::Undo(5, Action::Record(Change::Undone(None))), "the lease never left");
    let mut world = world.undone_down_to(4);
    assert!(matches!(world.decide(), Decision::Undo(4, Action::Publish { .. })));
    let mut world = world.undone_down_to(3);
    assert!(matches!(world.decide(), Decision::Undo(3, Action::Route(_))));
    let mut world = world.undone_down_to(2);
    assert_eq!(world.decide(), Decision::Undo(2, Action::Record(Change::DoubtLineage)));
    let mut world = World::during(1).turn(1);
    assert_eq!(world.decide(), Decision::Finish(EndResult::Undone));
}

#[test]
fn past_its_limit_an_undo_is_left_to_later_tries_and_the_next_earlier_one_starts() {
    let mut world = World::before(5).turn(5);
    world.seen.zone = Seen::Unknown("401".into());
    assert_eq!(waits(world.decide()), "zone: 401");
    world.pass(5);
    waits(world.decide());
    world.pass(1);
    world.look();
    assert!(matches!(world.decide(), Decision::Undo(3, Action::Route(_))));
    let mut world = World { record: world.undone_down_to_but(4), ..world };
    world.primary_again();
    assert!(stuck(world.decide()).contains("undo of step 4: zone: 401"), "the intent stands until it is seen");
    world.seen.zone = fixture::observations().zone;
    assert_eq!(world.decide(), Decision::Undo(4, Action::Record(Change::Undone(None))));
}

impl World {
    /// The record where every undo was seen but that of `step`.
    fn undone_down_to_but(&self, step: u8) -> Record {
        let mut record = self.record.clone();
        let intent = record.intent.as_mut().unwrap();
        for number in [2, 3, 4].into_iter().filter(|n| *n != step) {
            intent.step_mut(number).undone_at = Some(wall(90));
        }
        record
    }
}

#[test]
fn nothing_earlier_is_undone_before_the_lease_is_back() {
    let mut world = World::during(6).refused();
    assert_eq!(world.decide(), Decision::Undo(5, Action::Record(Change::SwapBack)));
    let mut never_asked = World::before(6).turn(0);
    never_asked.seen.half_mut(&hel()).cluster = Seen::Unknown("time-out".into());
    assert_eq!(never_asked.decide(), Decision::Undo(5, Action::Record(Change::SwapBack)), "2.11");
    world.seen.half_mut(&hel()).cluster = Seen::Unknown("time-out".into());
    for _ in 0..10 {
        stuck(world.decide());
        world.pass(30);
    }
}

#[test]
fn where_the_promotion_is_out_the_only_way_is_forward_again() {
    let mut world = World::during(6);
    world.promoted();
    let mut world = world.refused();
    assert_eq!(world.decide(), Decision::Undo(5, Action::Record(Change::TurnForward)));
    let mut world = World::during(6).given_back().undone_down_to(2);
    world.to().0.role = Role::Primary;
    assert_eq!(world.decide(), Decision::Undo(2, Action::Record(Change::TurnForward)));
}

#[test]
fn a_half_that_somebody_else_made_primary_is_fenced_and_demoted_before_the_old_one_is_taken_back() {
    let mut world = World::before(6).turn(0);
    world.to().0.role = Role::Primary;
    *world.to().1 = fixture::primary_database("shop-fsn");
    let demote = ClusterChange::FenceAndDemote { primary: "shop-fsn".into() };
    assert_eq!(cluster_write(world.decide()).change, demote);
    let mut world = World::before(3).turn(3);
    world.to().0.role = Role::Primary;
    *world.to().1 = fixture::primary_database("shop-fsn");
    let write = cluster_write(world.decide());
    assert_eq!((write.change, write.region), (demote, hel()));
}

#[test]
fn a_demotion_that_goes_on_is_waited_for_since_the_operator_would_refuse() {
    let mut world = World::during(2).turn(2);
    world.demoted();
    world.from().0.in_progress = true;
    assert!(waits(world.decide()).contains("has to end first"));
}

#[test]
fn the_lineage_is_in_doubt_before_the_old_half_is_promoted_back_with_its_own_token() {
    let mut world = World::before(3).turn(3);
    assert_eq!(world.decide(), Decision::Undo(2, Action::Record(Change::DoubtLineage)));
    world.change(2, &Change::DoubtLineage);
    let write = cluster_write(world.decide());
    let own = Some(token(3, "0/7000028"));
    assert_eq!(
        write.change,
        ClusterChange::Promote { primary: "shop-fsn".into(), token: own, permit: Permit::forged() }
    );
    assert_eq!(write.claim, Claim { generation: 4, intent: format!("{ID}/undo") });
    assert_eq!((write.region, write.server_limit), (fsn(), Some(REQUEST_LIMIT)));
}

#[test]
fn a_half_that_goes_back_with_the_others_token_has_replayed_to_it_and_is_not_paused() {
    let mut world = World::before(3).turn(3);
    world.change(2, &Change::DoubtLineage);
    world.to().0.demotion_token = Some(token(4, "0/7000028"));
    assert!(matches!(cluster_write(world.decide()).change, ClusterChange::Promote { .. }));
    world.from().1.replay_paused = Some(true);
    assert_eq!(waits(world.decide()), "its replay is paused", "H49");
}

#[test]
fn a_killed_primary_is_promoted_back_without_a_token() {
    let mut world = World::during(2).turn(2);
    world.demoted();
    world.from().0.demotion_token = None;
    world.change(2, &Change::DoubtLineage);
    let write = cluster_write(world.decide());
    assert_eq!(
        write.change,
        ClusterChange::Promote { primary: "shop-fsn".into(), token: None, permit: Permit::forged() },
        "H31"
    );
}

#[test]
fn a_demotion_that_the_operator_does_not_begin_is_taken_back_after_five_seconds() {
    let mut world = World::during(2).turn(2);
    world.demoted();
    world.from().0.demotion_token = None;
    *world.from().1 = fixture::primary_database("shop-hel");
    world.change(2, &Change::DoubtLineage);
    waits(world.decide());
    world.seen.half_mut(&fsn()).untouched_for = Duration::from_secs(5);
    assert!(matches!(cluster_write(world.decide()).change, ClusterChange::Promote { token: None, .. }));
    world.from().0.fenced = true;
    waits(world.decide());
}

#[test]
fn a_fence_on_a_half_that_its_spec_calls_replica_is_never_lifted() {
    let mut world = World::during(2).turn(2);
    world.demoted();
    world.from().0.demotion_token = None;
    world.from().0.fenced = true;
    world.from().1.in_recovery = None;
    for _ in 0..5 {
        world.pass(20);
        assert!(matches!(world.decide(), Decision::Wait(..) | Decision::Stuck(..)), "H26");
    }
}

#[test]
fn once_its_promotion_was_tried_the_other_half_is_claimed_first_and_then_seen_to_refuse_writes() {
    let mut world = World::during(6).given_back().undone_down_to(2);
    assert_eq!(world.record.generation, 6);
    let write = cluster_write(world.decide());
    assert_eq!((write.change, write.region, write.claim.generation), (ClusterChange::Claim, hel(), 6));
    world.to().0.claim = world.claim();
    world.to().1.accepts = Accepts::Unknown;
    assert!(waits(world.decide()).contains("hel is not seen to refuse writes"));
    world.to().1.accepts = Accepts::Yes;
    assert!(waits(world.decide()).contains("still takes writes"));
    world.to().1.accepts = Accepts::No;
    assert!(matches!(cluster_write(world.decide()).change, ClusterChange::Promote { .. }));
    world.seen.half_mut(&hel()).database = Seen::Unknown("time-out".into());
    waits(world.decide());
    world.seen.half_mut(&hel()).cluster = Seen::Unknown("time-out".into());
    waits(world.decide());
}

#[test]
fn before_the_swap_the_other_half_need_not_be_seen() {
    let mut world = World::before(3).turn(3);
    *world.seen.half_mut(&hel()) = Half::default();
    world.change(2, &Change::DoubtLineage);
    assert!(matches!(cluster_write(world.decide()).change, ClusterChange::Promote { .. }));
}

#[test]
fn after_the_swap_a_half_that_still_runs_as_primary_is_not_promoted() {
    let mut world = World::before(6).given_back().undone_down_to(2);
    world.to().0.claim = world.claim();
    world.from().0.demotion_token = None;
    *world.from().1 = fixture::primary_database("shop-hel");
    waits(world.decide());
}

#[test]
fn a_demotion_that_never_landed_is_killed_by_a_claim_and_nothing_else_is_done() {
    let mut world = World::during(2).turn(2);
    assert_eq!(cluster_write(world.decide()).change, ClusterChange::Claim);
    world.primary_again();
    let lineage = Some(Lineage::Of { region: fsn(), timeline: 3 });
    assert_eq!(changes(world.decide()), Change::Undone(lineage.clone()));
    // The token of an earlier switchover stands in the spec of every half that was promoted once.
    world.from().0.promotion_token = Some(token(2, "0/5000028"));
    assert_eq!(changes(world.decide()), Change::Undone(lineage));
}

#[test]
fn the_undo_of_the_cordon_is_seen_when_the_half_takes_writes_and_its_restart_is_through() {
    type Spoil = fn(&mut World);
    let spoils: [(&str, Spoil); 6] = [
        ("refuses writes", |w| w.from().1.accepts = Accepts::No),
        ("nobody knows", |w| w.from().1.accepts = Accepts::Unknown),
        ("not seen", |w| w.seen.half_mut(&fsn()).database = Seen::Unknown("time-out".into())),
        ("the restart is not through", |w| w.from().1.archive_mode = Some("always".into())),
        ("not Ready", |w| w.from().0.ready = None),
        ("the timeline has not grown", |w| w.from().1.timeline = Some(3)),
    ];
    let mut world = World::before(3).turn(3);
    world.change(2, &Change::DoubtLineage);
    world.primary_again();
    world.from().0.promotion_token = Some(token(3, "0/7000028"));
    world.from().1.timeline = Some(4);
    for (name, spoil) in spoils {
        let mut world = world.clone();
        spoil(&mut world);
        assert!(matches!(world.decide(), Decision::Wait(2, _)), "{name}");
    }
    assert_eq!(changes(world.decide()), Change::Undone(Some(Lineage::Of { region: fsn(), timeline: 4 })));
}

#[test]
fn a_fence_that_is_left_on_the_old_primary_is_lifted_once_the_other_half_is_known_to_be_none() {
    let mut world = World::before(3).turn(3);
    world.change(2, &Change::DoubtLineage);
    world.primary_again();
    world.from().0.fenced = true;
    let decision = world.decide();
    let Decision::Undo(2, action) = &decision else { panic!("{decision:?}") };
    assert!(makes_writable(action) && irreversible(action));
    assert_eq!(cluster_write(decision).change, ClusterChange::Unfence { permit: Permit::forged() });
    world.from().0.in_progress = true;
    waits(world.decide());
    let mut swapped = World::during(6).given_back().undone_down_to(2);
    swapped.primary_again();
    swapped.from().0.fenced = true;
    let write = cluster_write(swapped.decide());
    assert_eq!((write.change, write.region), (ClusterChange::Claim, hel()));
}

#[test]
fn a_half_or_a_route_that_a_newer_generation_wrote_is_not_undone() {
    let newer = Some(Claim { generation: 9, intent: "another".into() });
    let mut world = World::during(2).turn(2);
    world.from().0.claim = newer.clone();
    assert!(waits(world.decide()).contains("newer"));
    let mut world = World::during(3).turn(3);
    world.route(&fsn()).claim = newer;
    let Decision::Undo(3, Action::Route(write)) = world.decide() else { panic!("the other route is put right") };
    assert_eq!(write.region, hel());
    world.seen.routes.insert(hel(), Seen::Unknown("time-out".into()));
    waits(world.decide());
}

#[test]
fn a_region_that_is_away_or_refuses_keeps_the_other_routes_weights_from_nobody() {
    for away in [fsn(), hel()] {
        let mut world = World::during(3).turn(3);
        world.weights(0, 100);
        world.seen.routes.insert(away.clone(), Seen::Unknown("time-out".into()));
        let Decision::Undo(3, Action::Route(write)) = world.decide() else { panic!("{away} is away") };
        assert_ne!(write.region, away);
    }
    let mut world = World::during(3).turn(3);
    world.weights(0, 100);
    let mut tried = Vec::new();
    for _ in 0..4 {
        let decision = world.try_with(Outcome::Refused("403".into()));
        let Decision::Undo(3, Action::Route(write)) = decision else { panic!("{decision:?}") };
        tried.push(write.region);
        world.pass(1);
    }
    assert_eq!(tried, [fsn(), hel(), fsn(), hel()], "A's own first, then each in its turn");
}

#[test]
fn records_that_others_write_keep_no_ended_undo_standing() {
    let mut world = World::during(4).turn(4);
    world.change(4, &Change::Undone(None));
    let mut world = world.undone_down_to(1);
    world.zone().records.clear();
    let mut published = 0;
    loop {
        world.pass(10);
        match world.try_with(done()) {
            Decision::Undo(4, Action::Publish { .. }) => published += 1,
            Decision::Finish(EndResult::Undone) => break,
            other => assert!(matches!(other, Decision::Wait(4, _)), "{other:?}"),
        }
    }
    assert_eq!(published, 3);
}

#[test]
fn former_weights_are_claimed_also_where_they_stand() {
    let mut world = World::during(3).turn(3);
    for region in [fsn(), hel()] {
        let decision = world.try_with(done());
        let Decision::Undo(3, Action::Route(write)) = decision else { panic!("{decision:?}") };
        assert_eq!((&write.region, Some(write.claim.clone())), (&region, world.claim()));
        assert_eq!(write.weights[0].values().copied().collect::<Vec<_>>(), [100, 0]);
        world.route(&region).claim = world.claim();
    }
    assert_eq!(changes(world.decide()), Change::Undone(None));
}

#[test]
fn a_publish_that_lands_after_its_undo_is_put_right_before_the_end() {
    let mut world = World::during(4);
    world.try_with(Outcome::Unknown("time-out".into()));
    let mut world = world.turn(4).undone_down_to(1);
    let former = world.zone().clone();
    assert!(waits(world.decide()).contains("once more"));
    world.pass(5);
    assert_eq!(world.clone().decide(), Decision::Finish(EndResult::Undone));
    world.flipped();
    assert!(matches!(world.try_with(done()), Decision::Undo(4, Action::Publish { .. })));
    *world.zone() = former;
    waits(world.decide());
    world.pass(5);
    world.seen.zone = Seen::Unknown("401".into());
    assert_eq!(world.decide(), Decision::Finish(EndResult::Undone), "they were seen; whoever tends looks on");
}

#[test]
fn a_set_is_the_same_in_whatever_order_its_server_keeps_it() {
    let mut world = World::during(4);
    world.zone().records[0] = RecordSet {
        kind: "A".into(),
        contents: vec!["10.1.0.9".into(), "10.1.0.10".into()],
        ..world.zone().records[0].clone()
    };
    world.record.intent.as_mut().unwrap().former.records = Some(world.zone().records.clone());
    let mut world = world.turn(4);
    world.zone().records[0].contents.reverse();
    assert!(!matches!(world.decide(), Decision::Undo(4, Action::Publish { .. })));
}

/// H19.
#[test]
fn the_undo_of_step_4_is_seen_when_the_names_lead_where_they_led() {
    let begun = || {
        let mut world = World::before(4);
        let Change::Start(what) = changes(world.decide()) else { panic!("step 4 begins") };
        assert_eq!(what.former.answered.as_deref(), Some(&["shop.example.org".to_owned()][..]));
        world.change(4, &Change::Start(what));
        world.turn(4)
    };
    let mut world = begun();
    let from = [fixture::address(&fsn())];
    assert_eq!(changes(world.decide()), Change::Undone(None), "the former records stand and are answered");
    for (code, addresses) in
        [("SERVFAIL", &[][..]), ("NOERROR", &[]), ("NOERROR", &[fixture::address(&hel()), from[0]])]
    {
        let mut world = begun();
        world.answer(code, addresses);
        assert!(waits(world.decide()).contains("the former records are published, but"), "{code} {addresses:?}");
    }
    let mut world = begun();
    world.seen.answers.clear();
    waits(world.decide());
    let mut world = begun();
    world.answers(&[Seen::Unknown("time-out".into())]);
    waits(world.decide());
    let [was, is] = [fsn(), hel()].map(|region| {
        let addresses = vec![fixture::address(&region)];
        Seen::Is(Answer { code: "NOERROR".into(), addresses, ttl_seconds: Some(30) })
    });
    world.answers(&[was.clone(), is]);
    assert!(waits(world.decide()).contains("10.2.0.1 by 10.0.0.2:53"), "each server is asked");
    world.answers(&[was.clone(), was]);
    assert_eq!(changes(world.decide()), Change::Undone(None));
}

#[test]
fn a_name_that_was_not_answered_before_step_4_holds_no_undo_up() {
    let mut world = World::before(4);
    world.answer("SERVFAIL", &[]);
    let Change::Start(what) = changes(world.decide()) else { panic!("step 4 begins") };
    world.change(4, &Change::Start(what));
    let mut world = world.turn(4);
    assert_eq!(changes(world.decide()), Change::Undone(None));
}

#[test]
fn an_undo_names_the_operator_that_was_told_to_do_nothing() {
    let mut world = World::before(3).turn(2);
    world.primary_again();
    world.from().0.in_progress = true;
    world.from().0.hibernated = true;
    assert!(waits(world.decide()).contains("shop-fsn: it is hibernated"));
}
