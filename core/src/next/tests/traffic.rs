//! Steps 3 and 4: routes and records.

use super::*;

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
fn a_route_that_somebody_deleted_is_not_waited_for_neither_forward_nor_back() {
    let mut world = World::during(3);
    world.seen.routes.insert(hel(), Seen::Missing);
    let (step, reason) = turns(world.decide());
    assert!(step == 3 && reason.ends_with("in hel is not there any more"), "{reason}");
    let mut world = World::before(4).turn(4);
    world.seen.routes.insert(hel(), Seen::Missing);
    world.seen.routes.insert(fsn(), Seen::Missing);
    assert_eq!(changes(world.decide()), Change::Undone(None));
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
    let Decision::Act(4, Action::Publish { sets, .. }) = world.decide() else { panic!() };
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
            Decision::Act(4, Action::Publish { .. }) => published += 1,
            Decision::Finish(EndResult::Succeeded) => break,
            other => assert!(matches!(other, Decision::Wait(..)), "{other:?}"),
        }
    }
    assert_eq!(published, 3);
}

#[test]
fn weights_that_somebody_set_back_are_put_right_before_the_swap_and_at_the_end_three_times_at_most() {
    for step in [5, 7] {
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

/// H51: two writers' replacements at one moment leave both records in the set.
#[test]
fn a_set_that_is_not_exactly_ours_is_written_again() {
    let mut world = World::during(4);
    world.flipped();
    world.zone().records[0].contents.push("A \"pickclosest({'10.1.0.1'})\"".into());
    let Decision::Act(4, Action::Publish { sets, .. }) = world.decide() else {
        panic!("the records are published again")
    };
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
