//! Steps 1 to 5 and 7, and what holds for all.

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
    let mut world = World { blocker: None, ..World::begun() };
    waits(world.decide());
    world.blocker = Some(Some("lag is 16 s".into()));
    assert_eq!(turns(world.decide()), (1, "lag is 16 s".into()));
    world.blocker = Some(None);
    finishes(world.decide());
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
fn step_3_is_done_at_once_where_there_is_no_route() {
    let mut world = World::before(3);
    world.record.intent.as_mut().unwrap().plan.route = None;
    assert_eq!(finishes(world.decide()).note.as_deref(), Some("no route to drain"));
}

#[test]
fn step_3_fails_where_a_backend_is_missing_and_drains_nothing() {
    let mut world = World::before(3);
    world.route(&hel()).rules[0].backends.pop();
    assert!(turns(world.decide()).1.contains("lacks backend"), "H18");
}

#[test]
fn step_3_notes_the_former_weights_and_writes_one_region_after_the_other() {
    let mut world = World::before(3);
    world.route(&hel()).rules = vec![fixture::rule(&[("shop-fsn", 30), ("shop-hel", 70), ("other", 5)])];
    let Change::Start(what) = changes(world.decide()) else { panic!() };
    let weights: Vec<(u32, u32)> = what.former.weights.values().map(|w| (w.from, w.to)).collect();
    assert_eq!(weights, [(100, 0), (30, 70)]);
    world.change(3, &Change::Start(what));
    let mut written = Vec::new();
    for region in [fsn(), hel()] {
        let decision = world.try_with(done());
        let Decision::Act(3, Action::Route(write)) = decision else { panic!("{decision:?}") };
        assert_eq!((&write.region, Some(write.claim.clone())), (&region, world.claim()));
        written.push(write.weights[0].values().copied().collect::<Vec<_>>());
        let claim = world.claim();
        let route = world.route(&region);
        route.rules[0].backends = write.weights[0].clone().into_iter().collect();
        route.claim = claim;
    }
    assert_eq!(written, [[0, 100], [0, 70]]);
}

#[test]
fn step_3_ends_when_the_weight_was_zero_for_the_whole_drain() {
    let mut world = World::during(3);
    world.weights(0, 100);
    assert!(waits(world.decide()).contains("draining"));
    world.pass(9);
    waits(world.decide());
    world.weights(1, 100);
    world.decide();
    world.weights(0, 100);
    world.pass(1);
    waits(world.decide());
    world.pass(2);
    waits(world.decide());
    world.pass(2);
    assert_eq!(turns(world.decide()).0, 3, "interrupted, the drain no longer fits its limit");
    let mut world = World::during(3);
    world.weights(0, 100);
    world.decide();
    world.pass(10);
    finishes(world.decide());
}

#[test]
fn a_route_that_another_keeps_writing_is_not_written_without_a_pause() {
    let mut world = World::during(3);
    world.weights(0, 100);
    world.route(&fsn()).rules = fixture::route().rules;
    assert!(matches!(world.try_with(done()), Decision::Act(3, Action::Route(_))));
    assert!(matches!(world.try_with(done()), Decision::Act(3, Action::Route(_))));
    waits(world.decide());
}

#[test]
fn a_route_that_cannot_be_read_is_waited_for() {
    for step in [World::before(3), World::during(3)] {
        let mut world = step;
        world.seen.routes.insert(hel(), Seen::Unknown("time-out".into()));
        assert!(waits(world.decide()).contains("hel cannot be read"));
    }
}

#[test]
fn step_4_begins_with_the_former_records_and_the_beat() {
    let mut world = World::before(4);
    let former = world.zone().records.clone();
    let other = RecordSet { kind: "TXT".into(), ..former[0].clone() };
    world.zone().records.push(other);
    let Change::Start(what) = changes(world.decide()) else { panic!() };
    assert_eq!((what.former.records, what.beat), (Some(former), Some(1)));
}

#[test]
fn step_4_does_not_begin_without_the_beat_nor_without_the_zone() {
    let mut world = World::before(4);
    world.set_beat(None);
    assert!(waits(world.decide()).contains("cannot be read"));
    world.seen.copies.insert(hel(), Seen::Unknown("time-out".into()));
    assert!(waits(world.decide()).contains("cannot be read"));
    let mut world = World::before(4);
    world.seen.zone = Seen::Unknown("401".into());
    assert_eq!(waits(world.decide()), "zone: 401");
}

#[test]
fn the_beat_is_noted_also_where_there_is_no_hostname() {
    let mut world = World::before(4);
    world.record.intent.as_mut().unwrap().plan.records.hostnames.clear();
    world.seen.zone = Seen::Unconfigured;
    let Change::Start(what) = changes(world.decide()) else { panic!() };
    assert_eq!((what.former.records.clone(), what.beat), (None, Some(1)));
    world.change(4, &Change::Start(what));
    assert_eq!(finishes(world.decide()).note.as_deref(), Some("no hostnames to flip"));
}

#[test]
fn step_4_publishes_the_records_of_the_new_region_and_removes_what_would_answer_too() {
    let mut world = World::during(4);
    let plain = RecordSet { kind: "A".into(), contents: vec!["10.1.0.1".into()], ..world.zone().records[0].clone() };
    world.zone().records.push(plain.clone());
    let Decision::Act(4, Action::Publish(sets)) = world.decide() else { panic!() };
    let wanted = crate::records::record_sets(&fixture::plan()).unwrap();
    assert_eq!(sets, [RecordSet { contents: vec![], ..plain }, wanted[0].clone()]);
}

#[test]
fn step_4_is_done_when_the_server_answers_only_with_the_new_region() {
    let mut world = World::during(4);
    world.flipped();
    finishes(world.decide());
    let bad: [(&str, &[std::net::IpAddr]); 4] = [
        ("SERVFAIL", &[]),
        ("NXDOMAIN", &[]),
        ("NOERROR", &[]),
        ("NOERROR", &[fixture::address(&hel()), fixture::address(&fsn())]),
    ];
    for (code, addresses) in bad {
        let mut world = world.clone();
        world.answer(code, addresses);
        assert!(waits(world.decide()).contains("H19"), "{code}");
        world.pass(6);
        assert_eq!(turns(world.decide()).0, 4);
    }
    world.seen.answers.clear();
    waits(world.decide());
}

fn leads_to(region: &crate::name::Region) -> Seen<Answer> {
    Seen::Is(Answer { code: "NOERROR".into(), addresses: vec![fixture::address(region)], ttl_seconds: Some(30) })
}

#[test]
fn step_4_is_done_when_every_authoritative_server_answers_only_with_the_new_region() {
    let mut world = World::during(4);
    world.flipped();
    let (old, new) = (leads_to(&fsn()), leads_to(&hel()));
    world.answers(&[new.clone(), new.clone()]);
    finishes(world.decide());
    for (second, told) in [
        (old, "shop.example.org is answered with 10.1.0.1 by 10.0.0.2:53, which is not in hel"),
        (Seen::Unknown("time-out".into()), "shop.example.org at 10.0.0.2:53: time-out"),
    ] {
        world.answers(&[new.clone(), second.clone()]);
        assert!(waits(world.decide()).contains(told), "{told}");
        world.answers(&[second, new.clone()]);
        assert!(waits(world.decide()).contains("10.0.0.1:53"), "whichever it is");
    }
    world.seen.answers.clear();
    world.seen.authorities = Seen::Unknown("no NS".into());
    assert!(waits(world.decide()).contains("no NS"));
}

/// The caches of the second one hold for 20 s where LUA records stood, and for 40 s where others did.
#[test]
fn step_4_waits_for_as_long_as_the_caches_of_its_servers_hold() {
    let at = |servers: &[Seen<Answer>], seconds: u64, change: fn(&mut World)| {
        let mut world = World::during(4);
        world.flipped();
        change(&mut world);
        world.answers(servers);
        world.decide();
        world.pass(seconds);
        world.decide()
    };
    let (old, new) = (leads_to(&fsn()), leads_to(&hel()));
    let plain = |world: &mut World| {
        let former = world.record.intent.as_mut().unwrap().former.records.as_mut().unwrap();
        former.iter_mut().for_each(|set| set.kind = "A".into());
    };
    let said = |world: &mut World| world.record.intent.as_mut().unwrap().plan.dns.cache_seconds = Some(7);
    type Case = (Vec<Seen<Answer>>, u64, fn(&mut World));
    let cases: [Case; 4] = [
        (vec![old.clone()], 5, |_| {}),
        (vec![new.clone(), old.clone()], 25, |_| {}),
        (vec![new, old.clone()], 45, plain),
        (vec![old], 12, said),
    ];
    for (servers, limit, change) in cases {
        waits(at(&servers, limit, change));
        let (step, reason) = turns(at(&servers, limit + 1, change));
        assert_eq!(step, 4);
        assert!(
            reason.contains("answered with 10.1.0.1") && reason.contains(&format!("(limit {limit} s)")),
            "{reason}"
        );
    }
}

#[test]
fn records_that_would_not_run_are_never_published() {
    let mut world = World::during(4);
    world.record.intent.as_mut().unwrap().plan.records.selector = crate::spec::Selector::Pickfirst;
    assert!(turns(world.decide()).1.contains("SERVFAIL"));
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
    assert!(matches!(late.try_with(done()), Decision::Act(4, Action::Publish(_))));
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
fn a_look_that_failed_takes_back_no_drain_and_begins_none() {
    let mut world = World::during(3);
    world.weights(0, 100);
    let seen = world.seen.routes.clone();
    world.seen.routes.insert(hel(), Seen::Unknown("time-out".into()));
    world.look();
    world.pass(20);
    world.seen.routes = seen.clone();
    assert!(!matches!(world.decide(), Decision::Act(3, Action::Record(Change::Finish(_)))), "it begins now");
    let mut world = World::during(3);
    world.weights(0, 100);
    world.look();
    world.pass(9);
    world.seen.routes.insert(hel(), Seen::Unknown("time-out".into()));
    waits(world.decide());
    world.pass(1);
    world.seen.routes = seen;
    assert!(matches!(world.decide(), Decision::Act(3, Action::Record(Change::Finish(_)))));
}

#[test]
fn records_that_others_write_keep_no_finished_move_standing() {
    let mut world = World::during(7);
    world.change(7, &Change::Finish(Effect::default()));
    world.zone().records.clear();
    let mut published = 0;
    loop {
        world.pass(10);
        match world.try_with(done()) {
            Decision::Act(4, Action::Publish(_)) => published += 1,
            Decision::Finish(EndResult::Succeeded) => break,
            other => assert!(matches!(other, Decision::Wait(..)), "{other:?}"),
        }
    }
    assert_eq!(published, 3);
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
fn weights_that_somebody_set_back_are_put_right_in_each_later_step_three_times_at_most() {
    for step in [4, 5, 7] {
        let mut world = World::during(step);
        world.set_beat(Some(2));
        if step == 7 {
            world.memory.event_passed = true;
            world.change(7, &Change::Finish(Effect::default()));
        }
        world.route(&fsn()).rules = vec![fixture::rule(&[("shop-fsn", 100), ("shop-hel", 0)])];
        for _ in 0..3 {
            let Decision::Act(_, Action::Route(write)) = world.try_with(done()) else { panic!("step {step}: H38") };
            assert_eq!(write.weights[0].values().copied().collect::<Vec<_>>(), [0, 100]);
            world.pass(2);
        }
        assert!(!matches!(world.decide(), Decision::Act(_, Action::Route(_))), "then it is left, and said");
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

/// H51: two writers' replacements at one moment leave both records in the set.
#[test]
fn a_set_that_is_not_exactly_ours_is_written_again() {
    let mut world = World::during(4);
    world.flipped();
    world.zone().records[0].contents.push("A \"pickclosest({'10.1.0.1'})\"".into());
    let Decision::Act(4, Action::Publish(sets)) = world.decide() else { panic!("the records are published again") };
    assert_eq!(sets, crate::records::record_sets(&fixture::plan()).unwrap());
}

#[test]
fn a_rule_with_the_old_backend_alone_drains_nothing() {
    let mut world = World::before(3);
    world.route(&fsn()).rules.push(fixture::rule(&[("shop-fsn", 1)]));
    assert!(turns(world.decide()).1.contains("stands without shop-hel"), "H38");
}

#[test]
fn after_a_turn_forward_the_beat_is_counted_anew() {
    let mut world = World::during(4);
    world.record.intent.as_mut().unwrap().beat_before = None;
    let Change::Start(what) = changes(world.decide()) else { panic!("step 4 begins once more") };
    assert!(what.beat.is_some());
    world.change(4, &Change::Start(what.clone()));
    assert_eq!(world.record.intent.as_ref().unwrap().beat_before, what.beat);
    assert!(!matches!(world.decide(), Decision::Act(_, Action::Record(Change::Start(_)))));
}
