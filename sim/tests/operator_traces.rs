//! The simulated operator against the recorded real one: the same script, and then the same observable states in the
//! same order, after times of the same size. The recordings are in `tests/traces`, one test each.
//!
//! How it is compared. From both, the same kinds of events are taken for each half (changes of the object, and what a
//! client sees that connects anew or holds a session). Both must have the same events. Two events must come in the
//! recorded order unless their kinds are in [`MAY_COMMUTE`], which says where the recordings themselves differ or where
//! the order is of two observers that do not know of each other. An event's time since the last thing that the script
//! did to its half must be within a factor 2, or 1 s, of the recorded one; where that was made
//! under pressure, within 2.5 s above it and what pressure explains below it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "operator_traces/alone.rs"]
mod alone;
#[path = "operator_traces/compare.rs"]
mod compare;
#[path = "operator_traces/events.rs"]
mod events;
#[path = "operator_traces/unrecorded.rs"]
mod unrecorded;
#[path = "operator_traces/world.rs"]
mod world;

use compare::{Leeway, compare};
use continuum_sim::determinism::on_seeded_thread;
use events::What;
use world::{Start, World};

/// Plays a recording's script in the model, for several seeds, and compares.
fn holds(name: &str, start: Start) {
    holds_with(name, start, &Leeway::default());
}

fn holds_with(name: &str, start: Start, leeway: &Leeway) {
    let recording = events::Recording::read(name);
    for seed in 1..=3 {
        let mut world = World::start(seed, start);
        let model = world.play(&recording);
        if let Err(difference) = compare(&recording.events(), &model, recording.end(), leeway) {
            panic!("{name}, seed {seed}: {difference}");
        }
    }
}

#[test]
fn a_planned_switchover_with_a_session_held_restarts_smartly() {
    holds("planned-session-held", Start::switched_twice().session());
}

#[test]
fn a_planned_switchover_without_smart_shutdown_restarts_at_once() {
    holds("planned-session-held-smart-0", Start::born().session().smart_shutdown_timeout(0));
}

#[test]
fn a_promotion_whose_standby_had_not_replayed_waits_for_the_next_look() {
    holds("planned-no-session", Start::switched_once().standby_not_streaming().early_ready());
}

#[test]
fn a_synchronous_pair_acknowledges_when_the_old_primary_follows() {
    const LEEWAY: Leeway = Leeway {
        commuting: &[(
            &[What::FreshAccepted],
            &[What::TimelineGrew, What::ReportsPrimary, What::PhaseRestarting, What::SystemIdGone, What::SystemIdBack],
            "an acknowledgement waits for the other half, of which the operator does not know",
        )],
        optional: &[],
        busy: None,
    };
    holds_with("planned-synchronous", Start::born().synchronous(), &LEEWAY);
}

#[test]
fn a_demotion_goes_on_behind_a_fence() {
    holds("fence-then-demote", Start::switched_twice());
}

#[test]
fn a_fence_lifted_with_the_demotion_makes_a_writable_primary() {
    holds("fence-lifted-early", Start::switched_twice().token_removed());
}

#[test]
fn an_undo_with_its_own_token_at_once_takes_a_lease_time() {
    holds("undo-with-own-token", Start::switched_twice().token_removed());
}

#[test]
fn an_undo_after_a_wait_takes_a_lease_time_too() {
    holds("undo-waited-1", Start::born());
}

#[test]
fn a_role_change_during_a_demotion_is_refused_and_a_restart_delays_the_demotion() {
    const LEEWAY: Leeway = Leeway {
        commuting: &[],
        optional: &[(
            &[What::NoReadyInstance, What::ReadyInstance, What::SystemIdBack],
            "soon after a restart the start behind the fence takes 1.9 s in one recording and 4.5 s in this one; \
             readiness notices what takes over 3 s",
        )],
        busy: None,
    };
    holds_with("undo-during-demotion", Start::switched_twice().undone_just_now(), &LEEWAY);
}

#[test]
fn a_promotion_without_a_token_makes_two_writers_and_a_half_that_cannot_follow() {
    holds("promote-without-token-then-rejoin", Start::born());
}

#[test]
fn a_killed_primary_that_is_demoted_gives_no_token() {
    holds("killed-then-demoted", Start::born());
}

#[test]
fn a_promotion_soon_after_its_own_demotion_waits_for_a_deaf_instance_manager() {
    holds("planned-waited-2", Start::switched_once().smart_shutdown_timeout(0).rest(8.0));
}

fn busy(recording: &events::Recording) -> Leeway {
    Leeway { busy: recording.slowest_answer(), ..Leeway::default() }
}

/// The recordings made under pressure.
fn holds_busy(name: &str, start: Start) {
    holds_with(name, start.smart_shutdown_timeout(0), &busy(&events::Recording::read(name)));
}

#[test]
fn a_fence_soon_after_an_unfencing_is_carried_out_late() {
    holds_busy("busy-fence-soon-after-unfencing", Start::born());
}

#[test]
fn a_demotion_soon_after_an_unfencing_is_carried_out_late() {
    holds_busy("busy-demotion-soon-after-unfencing", Start::switched_once().token_removed());
}

#[test]
fn a_fence_in_the_restart_after_a_promotion_waits_for_its_end() {
    holds_busy("busy-fence-after-the-promotion", Start::born());
}

#[test]
fn fence_and_demotion_in_one_patch_end_in_a_token_and_no_fence() {
    holds_busy("busy-fence-and-demotion-in-one-patch", Start::switched_once().token_removed());
}

#[test]
fn a_model_that_is_never_late_is_told_from_a_busy_recording() {
    for (name, late) in [
        ("busy-fence-soon-after-unfencing", &[What::FreshUnreachable][..]),
        ("busy-demotion-soon-after-unfencing", &[What::FreshUnreachable, What::DemotionTokenSet]),
        ("busy-fence-after-the-promotion", &[What::FreshUnreachable]),
    ] {
        let recording = events::Recording::read(name);
        let (real, busy) = (recording.events(), busy(&recording));
        assert_eq!(compare(&real, &real, recording.end(), &busy), Ok(()), "{name}");
        let hurried = hurried(&real);
        let told = compare(&real, &hurried, recording.end(), &busy).expect_err(name);
        for what in late {
            let line = |line: &str| line.contains(&format!("{what:?}")) && line.contains("s after the script's step");
            assert!(told.lines().any(line), "{name}, {what:?}: {told}");
        }
    }
}

/// The same events in the same order, none of them later than half a second after the script's last step.
fn hurried(events: &[events::Event]) -> Vec<events::Event> {
    let mut step = 0.0;
    let hurry = |event: &events::Event| {
        if event.what == What::Script {
            step = event.at;
        }
        events::Event { at: event.at.min(step + 0.5), ..event.clone() }
    };
    events.iter().map(hurry).collect()
}

#[test]
fn the_same_seed_gives_the_same_events() {
    let once = || {
        on_seeded_thread(7, || {
            let recording = events::Recording::read("planned-session-held-smart-0");
            let events = World::start(7, Start::born().session().smart_shutdown_timeout(0)).play(&recording);
            events.iter().map(ToString::to_string).collect::<Vec<_>>()
        })
        .unwrap()
    };
    assert_eq!(once(), once());
}
