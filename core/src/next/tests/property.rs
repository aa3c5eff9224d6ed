//! Whatever the record says and whatever is seen: a decision is made, and none that the rules forbid.

use super::*;
use crate::observe::{ClusterView, DatabaseView};
use crate::testing::Random;
use crate::token::decode_token;

fn one_of<T: Clone>(random: &mut Random, of: &[T]) -> T {
    of[random.below(of.len())].clone()
}

/// Worlds as they come about, from which the strange ones are made.
fn bases() -> Vec<World> {
    let mut bases: Vec<World> = (1..=7).map(World::during).chain((2..=7).map(World::before)).collect();
    bases.extend((2..=5).map(|step| World::during(step).turn(step)));
    bases.push(World::before(6).turn(0));
    for step in 2..=3 {
        let mut doubted = World::during(step).turn(step);
        doubted.change(2, &Change::DoubtLineage);
        bases.push(doubted);
    }
    for claimed in [false, true, true] {
        let mut back = World::before(6).turn(0);
        back.change(5, &Change::SwapBack);
        back.me = fsn();
        back.change(4, &Change::Undone(None));
        back.change(3, &Change::Undone(None));
        back.to().0.claim = back.claim().filter(|_| claimed);
        bases.push(back);
    }
    bases
}

/// Changes about one of `rate` things in the record, also to what no controller would leave.
fn disturb_record(random: &mut Random, record: &mut Record, rate: usize) {
    let hit = |random: &mut Random| random.below(rate) == 0;
    if hit(random) {
        record.holder = one_of(random, &[Some(fsn()), Some(hel()), Some(Region::new("nbg")), None]);
    }
    if hit(random) {
        record.generation = one_of(random, &[4, 5, 6, 7]);
    }
    if hit(random) {
        record.lineage = one_of(random, &[Lineage::Unknown, Lineage::Of { region: fsn(), timeline: 3 }]);
    }
    let intent = record.intent.as_mut().unwrap();
    if hit(random) {
        let undo = Direction::Undo { step: 4, reason: "failed".into() };
        intent.direction = one_of(random, &[Direction::Forward, undo]);
    }
    if hit(random) {
        intent.token = one_of(random, &[None, Some(token(3, "0/7000028")), Some("bm8=".into())]);
    }
    if hit(random) {
        intent.beat_before = one_of(random, &[None, Some(1), Some(2)]);
    }
    if hit(random) {
        intent.former = Default::default();
    }
    for number in 1..=7u8 {
        let step = intent.step_mut(number);
        if hit(random) {
            step.started_at = one_of(random, &[None, Some(wall(1))]);
        }
        if hit(random) {
            step.finished_at = one_of(random, &[None, Some(wall(2))]);
        }
        if hit(random) {
            step.undone_at = one_of(random, &[None, Some(wall(3))]);
        }
        if hit(random) {
            step.attempts = random.below(3) as u32;
        }
    }
}

fn any_claim(random: &mut Random, generation: u64) -> Option<Claim> {
    let generation = one_of(random, &[generation, generation, generation - 1, generation + 1]);
    let intent = one_of(random, &[ID.to_owned(), format!("{ID}/undo"), "another".into()]);
    let claim = Claim { generation, intent };
    let again = claim.clone().again();
    one_of(random, &[None, Some(claim.clone()), Some(claim.fencing()), Some(again.clone()), Some(again.fencing())])
}

/// Changes about one of `rate` things in what is seen of a half.
fn disturb_half(random: &mut Random, half: &mut Half, generation: u64, rate: usize) {
    let hit = |random: &mut Random| random.below(rate) == 0;
    let tokens = [None, Some(token(3, "0/7000028")), Some(token(2, "0/5000028")), Some("bm8=".into())];
    let (cluster, database) = parts(half);
    if hit(random) {
        cluster.claim = any_claim(random, generation);
    }
    if hit(random) {
        cluster.role = one_of(random, &[Role::Primary, Role::Replica]);
    }
    if hit(random) {
        cluster.primary_name = one_of(random, &[Some("shop-fsn".into()), Some("shop-hel".into()), None]);
    }
    for field in [&mut cluster.promotion_token, &mut cluster.last_promotion_token, &mut cluster.demotion_token] {
        if hit(random) {
            *field = one_of(random, &tokens);
        }
    }
    for field in [&mut cluster.fenced, &mut cluster.in_progress] {
        *field ^= hit(random);
    }
    if hit(random) {
        cluster.ready = one_of(random, &[None, Some(false), Some(true)]);
    }
    if hit(random) {
        cluster.timeline = one_of(random, &[None, Some(3), Some(4)]);
    }
    if hit(random) {
        database.accepts = one_of(random, &[Accepts::Yes, Accepts::No, Accepts::Unknown]);
    }
    if hit(random) {
        database.in_recovery = one_of(random, &[None, Some(true), Some(false)]);
    }
    if hit(random) {
        database.archive_mode = one_of(random, &[None, Some("on".into()), Some("always".into())]);
    }
    if hit(random) {
        database.lsn = one_of(random, &[None, Some(crate::record::Lsn(1)), Some(crate::record::Lsn(0x900_0000))]);
    }
    if hit(random) {
        half.database = one_of(random, &[Seen::Missing, Seen::Unconfigured, Seen::Unknown("time-out".into())]);
    }
    for seconds in [&mut half.stalled_for, &mut half.left_fenced_for, &mut half.untouched_for] {
        *seconds = Duration::from_secs(one_of(random, &[0, 0, 6, 60]));
    }
    if random.below(rate * 3) == 0 {
        half.cluster = one_of(random, &[Seen::Missing, Seen::NotLooked, Seen::Unknown("time-out".into())]);
    }
}

fn any_world(seed: u64, bases: &[World]) -> World {
    let mut random = Random(seed);
    let random = &mut random;
    let rate = one_of(random, &[2, 8, 20]);
    let mut world = one_of(random, bases);
    let World { record, seen, .. } = &mut world;
    disturb_record(random, record, rate * 3);
    disturb_half(random, seen.half_mut(&fsn()), record.generation, rate);
    disturb_half(random, seen.half_mut(&hel()), record.generation, rate);
    for region in [fsn(), hel()] {
        if random.below(rate) == 0 {
            let mut route = fixture::route();
            route.claim = any_claim(random, record.generation);
            route.rules[0].backends.truncate(1 + random.below(2));
            let unknown = Seen::Unknown("time-out".into());
            seen.routes.insert(region, one_of(random, &[Seen::Is(route), unknown]));
        }
    }
    world.abort = one_of(random, &[None, None, None, Some(ID.into())]);
    world.preconditions = one_of(
        random,
        &[
            Preconditions::NotLooked,
            Preconditions::Hold,
            Preconditions::Unmeasured("lag".into()),
            Preconditions::Fail("lag".into()),
        ],
    );
    let beat = one_of(random, &[None, Some(1), Some(2)]);
    world.set_beat(beat);
    if random.below(rate) == 0 {
        world.seen.zone = Seen::Unknown("401".into());
    }
    world.look();
    for _ in 0..random.below(4) {
        let outcome = one_of(random, &[done(), Outcome::Refused("403".into()), Outcome::Unknown("time-out".into())]);
        world.try_with(outcome);
        let pause = one_of(random, &[0, 1, 4, 30]);
        world.pass(pause);
    }
    world
}

/// A half as seen, with what a rule asks of it.
fn known(half: &Half) -> (Option<&ClusterView>, Option<&DatabaseView>) {
    (half.cluster.known(), half.database.known())
}

fn check_cluster_write(world: &World, write: &ClusterWrite, seed: u64) {
    let intent = world.record.intent.as_ref().unwrap();
    let (own, other) = if write.region == fsn() {
        (world.seen.half(&fsn()), world.seen.half(&hel()))
    } else {
        (world.seen.half(&hel()), world.seen.half(&fsn()))
    };
    let purpose = |claim: &Claim| (claim.generation, claim.purpose().to_owned());
    let (cluster, database) = known(own);
    let cluster = cluster.expect("what was not seen is not written");
    assert_eq!(world.claim().as_ref().map(purpose), Some(purpose(&write.claim)), "seed {seed}");
    let is_new = cluster.claim.as_ref() != Some(&write.claim);
    assert!(is_new || !write.change.changes_role(), "seed {seed}: the policy refuses it");
    assert!(write.change != ClusterChange::Fence || write.claim.fences(), "seed {seed}: nobody could lift it later");
    assert_eq!(write.resource_version, cluster.resource_version);
    let newest = cluster.claim.as_ref().map_or(0, |claim| claim.generation);
    assert!(newest <= world.record.generation, "seed {seed}: written over a newer generation");
    let makes_writable = makes_writable(&Action::Cluster(write.clone()));
    assert_eq!(write.server_limit.is_some(), makes_writable, "seed {seed}: it dies young");
    if !makes_writable {
        return;
    }
    if matches!(write.change, ClusterChange::Unfence { .. }) && cluster.role == Role::Replica {
        let ours = cluster.claim.as_ref().is_some_and(Claim::fences) && own.left_fenced_for >= Duration::from_secs(15);
        assert!(ours && cluster.fenced && !cluster.in_progress, "seed {seed}: H26");
        return;
    }
    assert_eq!(write.region, world.me, "seed {seed}: a holder makes its own half writable");
    let claimed_replica_that_refuses = {
        let (cluster, database) = known(other);
        cluster.is_some_and(|c| {
            c.role == Role::Replica && c.claim.as_ref().map(purpose) == world.claim().as_ref().map(purpose)
        }) && database.is_some_and(|d| d.accepts == Accepts::No)
    };
    let token_in_intent = intent.forward()
        && write.region == hel()
        && intent.token.as_deref().is_some_and(|token| decode_token(token).is_ok());
    let never_allowed = !intent.forward() && write.region == fsn() && intent.step(6).started_at.is_none();
    let never_swapped = never_allowed && world.record.generation == intent.began_generation;
    assert!(
        claimed_replica_that_refuses || token_in_intent || never_allowed,
        "seed {seed}: made writable while the other half may be (2.4)"
    );
    let other_may_write = {
        let (cluster, database) = known(other);
        cluster.is_some_and(|c| c.role == Role::Primary) || database.is_some_and(|d| d.accepts == Accepts::Yes)
    };
    assert!(!other_may_write, "seed {seed}: made writable while the other half is seen to be (2.9)");
    match &write.change {
        ClusterChange::Unfence { .. } => assert_eq!(cluster.role, Role::Primary, "seed {seed}: H26"),
        _ => {
            let demoted = database.is_some_and(|d| d.in_recovery == Some(true)) && cluster.role == Role::Replica;
            let not_begun = never_swapped && database.is_some_and(|d| d.in_recovery == Some(false)) && !cluster.fenced;
            let own_token = never_allowed || claimed_replica_that_refuses;
            let ended = own_token && demoted && cluster.demotion_token.is_some() && !cluster.in_progress;
            assert!(demoted || not_begun || ended, "seed {seed}: promoted without being seen demoted (2.5)");
            assert!(!intent.forward() || intent.past_return(), "seed {seed}: promoted before it was written down");
            assert!(intent.forward() || world.record.lineage == Lineage::Unknown, "seed {seed}");
        }
    }
}

fn check(world: &World, decision: &Decision, seed: u64) {
    let intent = world.record.intent.as_ref().unwrap();
    if !world.record.held_by(&world.me) {
        assert_eq!(*decision, Decision::NotMine(world.record.holder.clone()), "seed {seed}");
        return;
    }
    match decision {
        Decision::NotMine(_) => panic!("seed {seed}: the holder drives"),
        Decision::Undo(..) => assert!(!intent.forward(), "seed {seed}"),
        Decision::Act(..) => assert!(intent.forward(), "seed {seed}"),
        Decision::Finish(EndResult::Succeeded) => {
            assert!(intent.forward() && intent.step(6).finished_at.is_some(), "seed {seed}");
        }
        Decision::Finish(_) => {
            let seen = |n: u8| intent.step(n).started_at.is_none() || intent.step(n).undone_at.is_some();
            assert!(!intent.forward() && (2..=6).all(seen), "seed {seed}: it ends before every undo was seen");
        }
        Decision::Wait(..) | Decision::Stuck(..) => {}
        Decision::Keep(..) | Decision::Rest(_) => panic!("seed {seed}: an intent stands"),
    }
    let (Decision::Act(_, action) | Decision::Undo(_, action)) = decision else { return };
    match action {
        Action::Cluster(write) => check_cluster_write(world, write, seed),
        Action::Route(write) => {
            let view = world.seen.routes[&write.region].known().expect("what was not seen is not written");
            assert!(view.claim.as_ref().is_none_or(|c| c.generation <= world.record.generation), "seed {seed}");
            assert_eq!(Some(write.claim.clone()), world.claim(), "seed {seed}");
        }
        Action::Record(Change::Turn { promotion_refused, .. }) => {
            assert!(!intent.past_return() || *promotion_refused, "seed {seed}: past the point of no return");
            if *promotion_refused {
                let replica = world.seen.half(&hel()).cluster.known().is_some_and(|c| c.role == Role::Replica);
                let tries = &world.memory.steps[6];
                assert!(replica && tries.refused > 0 && tries.refused == tries.count, "seed {seed}");
            }
        }
        Action::Record(Change::Swap) => {
            let Some(Seen::Is(copy)) = world.seen.copies.get(&hel()) else { panic!("seed {seed}") };
            assert!(copy.seen.as_ref().map(|s| s.beat) > intent.beat_before, "seed {seed}: a dead controller (2.8)");
        }
        Action::Record(Change::SwapBack) => assert_eq!(world.me, hel(), "seed {seed}"),
        _ => {}
    }
}

#[test]
fn every_state_has_a_decision_and_none_breaks_a_rule() {
    let bases = bases();
    let mut writable = 0;
    for seed in 0..20_000 {
        let mut world = any_world(seed, &bases);
        let decision = world.decide();
        check(&world, &decision, seed);
        if let Decision::Act(_, action) | Decision::Undo(_, action) = &decision {
            writable += u32::from(makes_writable(action));
        }
    }
    assert!(writable > 500, "{writable} decisions made a half writable: the property looked at too few");
}
