//! A demotion that cannot end by itself is fenced again, wherever the region stands.

use super::*;
use crate::next::Settling;

/// A half whose demotion is under way although its PostgreSQL runs unfenced, for so many seconds.
fn stall(half: &mut Half, seconds: u64, accepts: Accepts) {
    let (cluster, database) = parts(half);
    cluster.role = Role::Replica;
    cluster.in_progress = true;
    database.in_recovery = Some(accepts == Accepts::No);
    database.accepts = accepts;
    half.stalled_for = Duration::from_secs(seconds);
}

impl World {
    fn stalled(mut self, seconds: u64) -> Self {
        let from = fsn();
        stall(self.seen.half_mut(&from), seconds, Accepts::No);
        self
    }
}

fn fences(decision: Decision) -> bool {
    let (Decision::Act(_, Action::Cluster(write)) | Decision::Undo(_, Action::Cluster(write))) = decision else {
        return false;
    };
    assert_eq!((write.region, write.server_limit), (fsn(), None));
    assert!(write.change != ClusterChange::Fence || write.claim.fences());
    write.change == ClusterChange::Fence
}

#[test]
fn each_step_that_waits_for_the_end_of_a_demotion_fences_again_once_it_has_stalled() {
    for step in [3, 4, 5, 6] {
        assert!(!fences(World::during(step).stalled(4).decide()), "step {step}");
        assert!(fences(World::during(step).stalled(5).decide()), "step {step}");
    }
    let mut world = World::during(2);
    world.demoted();
    world.from().0.demotion_token = None;
    assert!(fences(world.stalled(5).decide()), "the fence was lifted before there was a token");
}

#[test]
fn a_refused_fence_is_tried_again_and_turns_nothing_back_before_the_limit() {
    for step in [2, 3, 5] {
        let mut world = World::during(step);
        if step == 2 {
            world.demoted();
            world.from().0.demotion_token = None;
        }
        let mut world = world.stalled(5);
        assert!(fences(world.try_with(Outcome::Refused("403".into()))), "step {step}");
        assert!(!fences(world.decide()), "step {step}: at once");
        world.pass(1);
        assert!(fences(world.decide()), "step {step}");
        let again = Action::Cluster(cluster_write(world.decide()));
        assert!(!world.memory.is_retry(&again, step), "step {step}: the journal counts the demotion's tries");
        if step == 2 {
            world.pass(60);
            let (failed, reason) = turns(world.decide());
            assert!(failed == 2 && reason.contains("403"), "{reason}");
        }
    }
}

#[test]
fn an_undo_fences_again_so_that_the_role_can_be_changed_at_all() {
    let mut world = World::before(3).turn(3).stalled(4);
    assert_eq!(waits(world.decide()), "its demotion has to end first");
    assert!(fences(world.stalled(5).decide()));
}

#[test]
fn one_that_takes_writes_is_not_waited_for_that_long() {
    let mut world = World::during(2);
    world.demoted();
    world.from().0.demotion_token = None;
    stall(world.seen.half_mut(&fsn()), 1, Accepts::Yes);
    assert!(fences(world.decide()));
    world.from().0.demotion_token = Some(token(3, "0/7000028"));
    assert!(fences(world.decide()), "whatever token is there");
    for step in [6, 7] {
        let mut world = World::during(step);
        stall(world.seen.half_mut(&fsn()), 1, Accepts::Yes);
        assert!(fences(world.decide()), "step {step}");
    }
}

#[test]
fn the_flag_alone_is_waited_for_beyond_the_limit_of_step_5() {
    let mut world = World::during(5);
    world.from().0.in_progress = true;
    assert_eq!(waits(world.decide()), "the demotion of shop/shop-fsn has to end first");
    world.pass(4);
    assert!(matches!(world.decide(), Decision::Wait(5, _)));
    // A write to the half took as long: its webhook stood still.
    world.pass(4);
    world.from().0.in_progress = false;
    world.set_beat(Some(2));
    assert_eq!(changes(world.decide()), Change::Swap, "its three seconds begin with the end of the demotion");

    let seen = world.seen.half(&fsn()).cluster.clone();
    world.from().0.in_progress = true;
    world.decide();
    world.pass(4);
    world.seen.half_mut(&fsn()).cluster = Seen::Unknown("no answer in 5 s".into());
    assert_eq!(turns(world.decide()).0, 5, "what is not seen is waited for no longer than the step's limit");
    world.seen.half_mut(&fsn()).cluster = seen;

    world.from().0.in_progress = true;
    world.pass(60);
    assert_eq!(turns(world.decide()).0, 5, "nothing is left of the objective");
}

/// Behind a fence, with nothing in progress, for so many seconds.
fn leave_fenced(half: &mut Half, seconds: u64) {
    let cluster = parts_of(half);
    (cluster.role, cluster.fenced, cluster.in_progress) = (Role::Replica, true, false);
    cluster.demotion_token = Some(token(3, "0/7000028"));
    cluster.claim = cluster.claim.take().map(Claim::fencing);
    half.database = Seen::Unknown("connection refused".into());
    half.left_fenced_for = Duration::from_secs(seconds);
}

#[test]
fn a_fence_that_outlived_the_demotion_it_was_put_on_again_for_is_lifted() {
    for step in [3, 4, 5, 6] {
        let mut world = World::during(step);
        leave_fenced(world.seen.half_mut(&fsn()), 14);
        let writes = |decision| matches!(decision, Decision::Act(_, Action::Cluster(write)) if write.region == fsn());
        assert!(!writes(world.decide()), "step {step}");
        leave_fenced(world.seen.half_mut(&fsn()), 15);
        let lifts = cluster_write(world.decide()).change;
        assert!(matches!(lifts, ClusterChange::Unfence { .. }), "step {step}: {lifts:?}");
    }
    let mut world = World::before(3).turn(3);
    leave_fenced(world.seen.half_mut(&fsn()), 15);
    assert!(matches!(cluster_write(world.decide()).change, ClusterChange::Unfence { .. }), "undo");
}

#[test]
fn a_fence_is_left_over_only_where_this_product_put_it_on_again_and_the_demotion_is_over() {
    let mut settling = Settling::default();
    let mut at = |seconds: u64, by: &str, look: &dyn Fn(&mut ClusterView)| {
        let mut seen = fixture::observations();
        leave_fenced(seen.half_mut(&fsn()), 0);
        let cluster = parts_of(seen.half_mut(&fsn()));
        cluster.claim = Some(Claim { generation: 4, intent: by.into() });
        look(cluster);
        settling.fill(&mut seen, Monotonic(Duration::from_secs(seconds)));
        seen.half(&fsn()).left_fenced_for.as_secs()
    };
    at(0, ID, &|_| {});
    assert_eq!(at(60, ID, &|_| {}), 0, "somebody else wants it");
    let again = format!("{ID}/fence");
    at(80, &again, &|cluster| cluster.in_progress = true);
    assert_eq!(at(90, &again, &|_| {}), 0, "the demotion went on behind it until now");
    assert_eq!(at(105, &again, &|_| {}), 15);
    at(106, &again, &|cluster| cluster.fenced = false);
    assert_eq!(at(107, &again, &|_| {}), 0);
}

fn parts_of(half: &mut Half) -> &mut ClusterView {
    match &mut half.cluster {
        Seen::Is(cluster) => cluster,
        other => panic!("the half is seen: {other:?}"),
    }
}

#[test]
fn it_is_counted_from_when_it_was_first_seen_so_and_anew_after_the_end() {
    let mut settling = Settling::default();
    let mut at = |seconds: u64, in_progress: bool, seen: bool| {
        let mut look = fixture::observations();
        stall(look.half_mut(&hel()), 0, Accepts::No);
        parts(look.half_mut(&hel())).0.in_progress = in_progress;
        if !seen {
            look.half_mut(&hel()).database = Seen::NotLooked;
        }
        settling.fill(&mut look, Monotonic(Duration::from_secs(seconds)));
        look.half(&hel()).stalled_for.as_secs()
    };
    assert_eq!(at(10, true, true), 0);
    assert_eq!(at(12, true, false), 0, "not looked at: nothing is said of it");
    assert_eq!(at(14, true, true), 4);
    assert_eq!(at(15, false, true), 0);
    assert_eq!(at(16, true, true), 0);
}

#[test]
fn a_lifted_fence_leaves_no_mark_by_which_somebody_elses_would_be_taken_for_it() {
    let mut world = World::during(5);
    let cluster = world.from().0;
    cluster.claim = cluster.claim.take().map(Claim::fencing);
    let write = cluster_write(world.decide());
    assert_eq!((write.change, write.claim.fences()), (ClusterChange::Claim, false));
}
