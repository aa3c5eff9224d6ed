//! What a controller asks API servers while nothing happens: its lease, and nothing that watches tell but once in five
//! minutes.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use continuum_sim::determinism::on_seeded_thread;
use continuum_sim::faults::Question;
use continuum_sim::world::{World, WorldOptions};
use std::collections::BTreeMap;
use std::time::Duration;

const MINUTES: u64 = 5;

fn wait(world: &mut World, seconds: u64) {
    let end = world.now() + Duration::from_secs(seconds);
    while world.now() < end {
        world.step().unwrap();
    }
}

#[test]
fn an_idle_controller_asks_for_nothing_that_is_watched_and_sends_at_most_twelve_requests_a_minute() {
    for seed in [7, 11, 23] {
        idle(seed);
    }
}

fn idle(seed: u64) {
    on_seeded_thread(seed, || {
        let mut world = World::new(WorldOptions::default(), None);
        wait(&mut world, 60);
        let before = world.board.asked();
        wait(&mut world, MINUTES * 60);
        let of_controllers =
            |question: &Question| question.from.starts_with("controller.") && question.server.starts_with("api.");
        let asked: BTreeMap<Question, u64> = world
            .board
            .asked()
            .into_iter()
            .map(|(question, times)| {
                let before = before.get(&question).copied().unwrap_or_default();
                (question, times - before)
            })
            .filter(|(question, times)| of_controllers(question) && *times > 0)
            .collect();
        for controller in ["controller.fsn", "controller.hel"] {
            let of_this = asked.iter().filter(|(question, _)| question.from == controller && question.verb != "watch");
            let mut sum = 0;
            for (question, times) in of_this {
                let lease = question.what.starts_with("leases/");
                // A watch lists everything anew every five minutes, however many Continuums there are.
                if question.verb == "list" && *times <= MINUTES / 5 {
                    continue;
                }
                assert!(lease || !["get", "list"].contains(&question.verb.as_str()), "{question:?}: {times}");
                sum += times;
            }
            assert!(sum <= 12 * MINUTES, "{controller} sent {sum} requests in {MINUTES} minutes: {asked:#?}");
            assert!(sum > 0);
        }
    })
    .unwrap();
}
