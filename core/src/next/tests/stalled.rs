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
    write.change == ClusterChange::Fence
}

#[test]
fn each_step_that_waits_for_the_end_of_a_demotion_fences_again_once_it_has_stalled() {
    for step in [5, 6] {
        assert!(matches!(World::during(step).stalled(4).decide(), Decision::Wait(at, _) if at == step), "step {step}");
        assert!(fences(World::during(step).stalled(5).decide()), "step {step}");
    }
    let mut world = World::during(2);
    world.demoted();
    world.from().0.demotion_token = None;
    assert!(fences(world.stalled(5).decide()), "the fence was lifted before there was a token");
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
    world.pass(60);
    assert_eq!(turns(world.decide()).0, 5, "nothing is left of the objective");
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
