//! Steps 1, 2, 5 and 7, and what holds for all.

use super::*;

#[test]
fn who_does_not_hold_the_record_does_nothing() {
    for step in 1..=7 {
        let mut world = World::during(step);
        world.me = if world.me == fsn() { hel() } else { fsn() };
        let holder = world.record.holder.clone();
        assert_eq!(world.decide(), Decision::NotMine(holder), "step {step}");
    }
}

#[test]
fn an_abort_is_honoured_until_step_6_starts_and_only_for_its_own_intent() {
    for step in 1..=5 {
        let mut world = World::during(step);
        world.abort = Some("shop/shop/4.0".into());
        assert_ne!(world.decide(), World { abort: Some(ID.into()), ..world.clone() }.decide());
        world.abort = Some(ID.into());
        assert_eq!(turns(world.decide()), (0, "aborted by a person".into()), "step {step}");
    }
    let mut world = World { abort: Some(ID.into()), ..World::before(6) };
    assert_eq!(turns(world.decide()).0, 0);
    for mut world in [World::during(6), World::during(7)] {
        let without = world.decide();
        world.abort = Some(ID.into());
        assert_eq!(world.decide(), without);
    }
}

#[test]
fn step_1_wants_the_other_controller_to_name_this_intent() {
    let mut world = World::begun();
    for seen in [None, Some(SeenRecord { renewal: 7, intent: Some("shop/shop/4.0".into()), beat: 1 })] {
        let Some(Seen::Is(copy)) = world.seen.copies.get_mut(&hel()) else { panic!() };
        copy.seen = seen;
        assert!(waits(world.decide()).contains("has not confirmed"));
    }
    world.pass(3);
    waits(world.decide());
    world.pass(1);
    let (step, reason) = turns(world.decide());
    assert_eq!((step, reason.contains("limit 3 s")), (1, true), "{reason}");
}

#[test]
fn step_1_fails_for_the_first_blocker() {
    let mut world = World { preconditions: Preconditions::NotLooked, ..World::begun() };
    waits(world.decide());
    world.preconditions = Preconditions::Fail("lag is 16 s".into());
    assert_eq!(turns(world.decide()), (1, "lag is 16 s".into()));
    world.preconditions = Preconditions::Hold;
    finishes(world.decide());
}

#[test]
fn step_1_waits_for_its_limit_for_a_lag_that_is_not_measured_yet() {
    let unmeasured = Preconditions::Unmeasured("the replication lag of shop-hel is not measured".into());
    let mut world = World { preconditions: unmeasured, ..World::begun() };
    waits(world.decide());
    world.pass(4);
    let (step, reason) = turns(world.decide());
    assert_eq!((step, reason.as_str()), (1, "the replication lag of shop-hel is not measured (limit 3 s)"));
}

#[test]
fn step_2_is_written_down_and_then_demotes_with_a_claim() {
    let mut world = World::before(2);
    assert_eq!(changes(world.decide()), Change::Start(Beginning::default()));
    let mut world = World::during(2);
    let write = cluster_write(world.decide());
    assert_eq!(write.change, ClusterChange::Demote { primary: "shop-hel".into() });
    assert_eq!((write.region.clone(), write.resource_version.as_str()), (fsn(), "875"));
    assert_eq!((Some(write.claim.clone()), write.server_limit), (world.claim(), None));
}

#[test]
fn step_2_is_done_with_a_fresh_token_and_writes_seen_refused() {
    let mut world = World::during(2);
    world.demoted();
    assert_eq!(finishes(world.decide()).token, Some(token(3, "0/7000028")));
    let mut later = world.clone();
    later.from().0.demotion_token = Some(token(5, "0/9000028"));
    assert!(finishes(later.decide()).token.is_some(), "a failover inside the region came before");
}

#[test]
fn step_2_is_not_done_by_anything_less() {
    type Spoil = fn(&mut World);
    let spoils: [(&str, Spoil); 7] = [
        ("writes are taken", |w| w.from().1.accepts = Accepts::Yes),
        ("nobody knows whether writes are taken", |w| w.from().1.accepts = Accepts::Unknown),
        ("PostgreSQL is not seen", |w| w.seen.half_mut(&fsn()).database = Seen::Unknown("time-out".into())),
        ("no token", |w| w.from().0.demotion_token = None),
        ("a token of an older timeline than the recorded one", |w| {
            w.from().0.demotion_token = Some(token(2, "0/7000028"));
        }),
        ("a token of an older timeline than the half's", |w| w.from().0.timeline = Some(4)),
        ("a token that cannot be read", |w| w.from().0.demotion_token = Some("bm8=".into())),
    ];
    for (name, spoil) in spoils {
        let mut world = World::during(2);
        world.demoted();
        spoil(&mut world);
        waits(world.decide());
        world.pass(24);
        assert_eq!(turns(world.decide()).0, 2, "{name}");
    }
}

#[test]
fn step_2_asks_again_where_what_stands_is_not_what_it_asked() {
    type Spoil = fn(&mut World);
    let spoils: [(&str, Spoil); 4] = [
        ("another intent's claim", |w| w.from().0.claim.as_mut().unwrap().intent.push('x')),
        ("an older generation's", |w| w.from().0.claim.as_mut().unwrap().generation -= 1),
        ("a promotion token is left", |w| w.from().0.promotion_token = Some("old".into())),
        ("a replica of another", |w| w.from().0.primary_name = Some("shop-nbg".into())),
    ];
    for (name, spoil) in spoils {
        let mut world = World::during(2);
        world.demoted();
        spoil(&mut world);
        let write = cluster_write(world.decide());
        assert!(matches!(write.change, ClusterChange::Demote { .. }), "{name}");
    }
}

#[test]
fn a_half_that_a_newer_generation_wrote_is_left_alone() {
    let mut world = World::during(2);
    world.from().0.claim = Some(Claim { generation: 5, intent: "another".into() });
    assert!(waits(world.decide()).contains("newer"));
    let mut world = World::during(3);
    world.route(&hel()).claim = Some(Claim { generation: 5, intent: "another".into() });
    world.route(&fsn()).rules = vec![fixture::rule(&[("shop-fsn", 0), ("shop-hel", 100)])];
    world.route(&fsn()).claim = world.claim();
    assert!(waits(world.decide()).contains("newer"));
}

#[test]
fn a_killed_primary_leaves_no_token_and_the_reason_says_so() {
    let mut world = World::during(2);
    world.demoted();
    world.from().0.demotion_token = None;
    assert!(waits(world.decide()).contains("H31"));
    world.pass(24);
    assert!(turns(world.decide()).1.contains("H31"));
}

#[test]
fn an_action_is_tried_again_after_a_pause_and_not_past_the_limit() {
    let mut world = World::during(2);
    cluster_write(world.try_with(Outcome::Unknown("no answer in 5 s".into())));
    assert_eq!(waits(world.decide()), "no answer in 5 s");
    world.pass(1);
    cluster_write(world.try_with(Outcome::NotApplied("409".into())));
    world.pass(23);
    assert_eq!(turns(world.decide()), (2, "409 (limit 23 s)".into()));
}

#[test]
fn the_lease_is_not_handed_to_a_controller_whose_beat_did_not_grow() {
    let mut world = World::before(5);
    assert_eq!(changes(world.decide()), Change::Start(Beginning::default()));
    for beat in [None, Some(0), Some(1)] {
        let mut world = World::during(5);
        world.set_beat(beat);
        assert!(waits(world.decide()).contains("was not seen to read the witness"), "{beat:?}");
        world.pass(4);
        assert_eq!(turns(world.decide()).0, 5);
    }
    let mut world = World::during(5);
    world.set_beat(Some(2));
    assert_eq!(changes(world.decide()), Change::Swap);
    world.record.intent.as_mut().unwrap().beat_before = None;
    waits(world.decide());
}

#[test]
fn step_7_emits_until_the_stream_acknowledges() {
    let mut world = World::before(7);
    assert_eq!(changes(world.decide()), Change::Start(Beginning::default()));
    let mut world = World::during(7);
    let decision = world.try_with(Outcome::Unknown("time-out".into()));
    let Decision::Act(7, Action::Emit(event)) = &decision else { panic!("{decision:?}") };
    assert!(event.message_id.ends_with(ID), "{}", event.message_id);
    world.pass(1);
    assert_eq!(world.try_with(done()), decision);
    finishes(world.decide());
}

#[test]
fn the_end_comes_one_request_limit_after_the_last_publish_and_with_the_records_right() {
    let mut world = World::during(7);
    world.change(7, &Change::Finish(Effect::default()));
    assert!(waits(world.decide()).contains("once more"));
    world.pass(5);
    let mut late = world.clone();
    assert_eq!(world.decide(), Decision::Finish(EndResult::Succeeded));
    // A publish of before the swap landed after it.
    late.zone().records[0].contents = vec!["A \"old\"".into()];
    assert!(matches!(late.try_with(done()), Decision::Act(4, Action::Publish { .. })));
    late.flipped();
    waits(late.decide());
    late.pass(5);
    assert_eq!(late.decide(), Decision::Finish(EndResult::Succeeded));
}

#[test]
fn a_stream_that_never_acknowledges_does_not_hold_the_end_back() {
    let mut world = World::during(7);
    world.try_with(Outcome::Refused("no stream".into()));
    world.pass(6);
    assert_eq!(world.decide(), Decision::Finish(EndResult::Succeeded));
    assert!(!world.memory.event_passed());
}

#[test]
fn what_is_waited_for_now_is_told_and_not_what_went_wrong_earlier() {
    let mut world = World::during(2);
    world.try_with(Outcome::Unknown("no answer in 5 s: looking".into()));
    world.demoted();
    world.from().0.demotion_token = None;
    world.from().0.in_progress = true;
    assert!(waits(world.decide()).contains("in progress"));
}

#[test]
fn a_step_past_its_limit_waits_long_after_failures_and_not_after_a_success() {
    let mut world = World::during(6);
    world.pass(60);
    for _ in 0..4 {
        assert!(matches!(world.try_with(Outcome::Unknown("time-out".into())), Decision::Act(6, Action::Cluster(_))));
        world.pass(30);
    }
    world.try_with(done());
    world.promoted();
    world.pass(1);
    assert!(matches!(world.decide(), Decision::Act(6, Action::TryWrite { .. })), "writes are confirmed at once");
}

#[test]
fn a_witness_that_cannot_be_read_is_no_silence_of_the_other_controller() {
    for mut world in [World::during(5), World::during(1)] {
        world.seen.copies.insert(hel(), Seen::Unknown("time-out".into()));
        world.witness_unread = Some("connection refused".into());
        assert_eq!(waits(world.decide()), "the witness cannot be read: connection refused", "H10");
    }
}

#[test]
fn a_step_whose_time_is_over_tells_which_servers_did_not_answer_meanwhile() {
    let silence = "no answer in 5 s".to_owned();
    let mut world = World::during(3);
    world.decide();
    world.memory.begun(3);
    world.pass(30);
    world.seen.routes.insert(hel(), Seen::Unknown(silence.clone()));
    world.seen.copies.insert(hel(), Seen::Unknown(silence.clone()));
    world.seen.half_mut(&fsn()).database = Seen::Unknown(silence.clone());
    world.witness_unread = Some("wit:6443: no answer in 3 s".into());
    let (step, reason) = turns(world.decide());
    assert_eq!(step, 3);
    let silent = "the witness cannot be read: wit:6443: no answer in 3 s; PostgreSQL in fsn cannot be read: \
                  no answer in 5 s; the copy in hel cannot be read: no answer in 5 s";
    assert_eq!(reason, format!("route shop/shop in hel cannot be read: {silence} (limit 13 s); {silent}"), "each once");
}

#[test]
fn servers_that_did_not_answer_are_told_also_where_a_write_got_no_answer_either() {
    let mut world = World::during(4);
    assert!(matches!(world.try_with(Outcome::Unknown("no answer in 5 s: looking".into())), Decision::Act(4, _)));
    world.pass(100);
    world.seen.copies.insert(hel(), Seen::Unknown("no answer in 5 s".into()));
    let (_, reason) = turns(world.decide());
    assert!(reason.starts_with("no answer in 5 s: looking (limit "), "{reason}");
    assert!(reason.ends_with(" s); the copy in hel cannot be read: no answer in 5 s"), "{reason}");
}

#[test]
fn a_step_was_not_tried_only_where_nobody_tried_it() {
    const UNTRIED: &str = "its time was over before it was tried";
    type Before = fn(&mut World);
    let cases: [(&str, Before, bool); 4] = [
        ("nothing was sent", |w| w.memory.begun(5), true),
        ("another process began it", |w| w.memory = Memory::default(), false),
        (
            "the swap was sent, and what became of it is not known",
            |w| {
                w.memory.begun(5);
                w.memory.sent(5, &Change::Swap);
            },
            false,
        ),
        (
            "it was tried before the cordon was done anew",
            |w| {
                w.memory.begun(5);
                w.memory.sent(5, &Change::Swap);
                w.record.intent.as_mut().unwrap().redone += 1;
            },
            false,
        ),
    ];
    for (name, before, untried) in cases {
        let mut world = World::during(5);
        world.set_beat(Some(2));
        before(&mut world);
        world.look();
        world.pass(30);
        let (_, reason) = turns(world.decide());
        assert_eq!(reason.starts_with(UNTRIED), untried, "{name}: {reason}");
    }
}

#[test]
fn a_cordon_that_somebody_undid_is_done_anew_in_whichever_step_before_the_swap_it_is_seen() {
    type Spoil = fn(&mut World);
    let spoils: [(&str, Spoil); 4] = [
        ("told to be primary", |w| w.from().0.role = Role::Primary),
        ("takes writes", |w| w.from().1.accepts = Accepts::Yes),
        ("its token was taken away, and it is on another timeline", |w| {
            w.from().0.demotion_token = None;
            w.from().1.timeline = Some(4);
        }),
        ("another token", |w| w.from().0.demotion_token = Some(token(4, "0/8000028"))),
    ];
    for ((name, spoil), step) in spoils.into_iter().flat_map(|spoil| [3, 4, 5].map(|step| (spoil, step))) {
        let mut world = World::during(step);
        world.set_beat(Some(2));
        spoil(&mut world);
        if step < 5 && name.contains("token") {
            // The operator may still be at it: that is judged before the swap.
            assert!(!matches!(world.decide(), Decision::Act(2, _)), "{name} in step {step}");
            continue;
        }
        let change = changes(world.decide());
        assert!(matches!(change, Change::Redo(_)), "{name} in step {step}: H35");
        world.change(2, &change);
        let intent = world.record.intent.clone().unwrap();
        assert_eq!((&intent.token, intent.step(2).finished_at, intent.redone), (&None, None, 1), "{name}");
        assert_eq!(current_step(world.record.intent.as_ref().unwrap()), 2);
    }
    let mut world = World::during(5);
    world.set_beat(Some(2));
    world.from().1.accepts = Accepts::Unknown;
    waits(world.decide());
}

/// The operator makes no other token for a half that it never promoted (H35).
#[test]
fn a_half_that_was_told_back_before_it_was_promoted_keeps_the_token_that_it_left() {
    let mut world = World::during(5);
    world.set_beat(Some(2));
    let left = world.record.intent.as_ref().unwrap().token.clone();
    world.from().0.demotion_token = None;
    assert!(matches!(changes(world.decide()), Change::Swap), "told back by whoever it was");
    world.from().0.role = Role::Primary;
    let redo = changes(world.decide());
    assert!(matches!(redo, Change::Redo(_)));
    world.change(2, &redo);
    let demote = cluster_write(world.try_with(done()));
    world.from().0.role = Role::Replica;
    world.from().0.claim = Some(demote.claim);
    let mut away = world.clone();
    away.from().1.timeline = Some(4);
    assert!(waits(away.decide()).contains("no demotion token yet"), "it was promoted meanwhile");
    let Change::Finish(effect) = changes(world.decide()) else { panic!("the cordon stands again") };
    assert_eq!(effect.token, left);
}

#[test]
fn a_cordon_is_done_anew_within_what_is_left_of_the_objective() {
    let mut world = World::during(5);
    world.from().0.role = Role::Primary;
    world.change(2, &Change::Redo("again".into()));
    let demote = cluster_write(world.try_with(done()));
    assert_eq!(demote.change, ClusterChange::Demote { primary: "shop-hel".into() });
    world.pass(46);
    cluster_write(world.decide());
    world.pass(2);
    let (step, reason) = turns(world.decide());
    assert!(step == 2 && reason.contains("nothing is left of the objective"), "{reason}");
}

#[test]
fn what_is_left_of_the_drain_is_kept_of_the_objective() {
    // What else follows takes 18 s of the 60 s. The drain of 10 s goes on while the cordon is done anew.
    for (drained_for, at, is_enough) in
        [(0, 32, true), (0, 33, false), (4, 36, true), (4, 37, false), (10, 42, true), (10, 43, false), (30, 42, true)]
    {
        let mut world = World::during(3);
        world.weights(0, 100);
        world.pass(at - drained_for);
        world.look();
        world.pass(drained_for);
        world.from().0.role = Role::Primary;
        match changes(world.decide()) {
            Change::Redo(_) => assert!(is_enough, "drained for {drained_for} s, at {at} s"),
            Change::Turn { step: 2, .. } => assert!(!is_enough, "drained for {drained_for} s, at {at} s"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_journal_that_the_witness_refused_is_no_refused_action() {
    let mut world = World::during(2);
    world.memory.refused(2, &Change::Start(Beginning::default()), "403", world.at);
    world.pass(2);
    assert!(matches!(cluster_write(world.decide()).change, ClusterChange::Demote { .. }), "F10");
    let mut world = World::during(5);
    world.set_beat(Some(2));
    world.memory.refused(5, &Change::Swap, "403", world.at);
    assert_eq!(turns(world.decide()).1, "403");
}
