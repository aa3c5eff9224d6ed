//! Turns at a witness that others ask as well.

use super::*;
use crate::ports::Rank;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What they asked for since this was asked last.
fn ranks(rig: &Rig) -> Vec<(Call, Rank)> {
    std::mem::take(&mut rig.witness.register().ranks)
}

fn last_sent(rig: &Rig) -> Duration {
    rig.witness.calls().last().unwrap().0
}

#[test]
fn a_renewal_that_waits_for_its_turn_was_not_sent_and_needs_no_read_when_the_turn_comes() {
    let mut rig = Rig::holding();
    let began = rig.clock.now().0;
    rig.witness.register().no_write_before = seconds(27);
    rig.run(18);
    assert_eq!(rig.keeper.unreachable(), None, "more is left of the term than its guard");
    rig.run(4);
    assert!(rig.keeper.unreachable().unwrap().contains("no turn in 3 s"), "told as an answer that does not come is");
    rig.run(6);
    assert_eq!(rig.since(began), [Call::Write]);
    assert_eq!(rig.keeper.unreachable(), None);
    assert!(rig.keeper.term().left > seconds(27), "counted from when it was sent");
}

#[test]
fn turns_go_by_how_long_one_has_been_due_and_what_somebody_waits_for_comes_first() {
    let mut rig = Rig::holding();
    let sent = last_sent(&rig);
    rig.witness.register().no_write_before = seconds(60);
    ranks(&rig);
    rig.run(20);
    let due = (Call::Write, Rank::Due(Monotonic(sent + seconds(10))));
    let asked = ranks(&rig);
    assert!(asked.len() > 1 && asked.iter().all(|asked| *asked == due), "{asked:?}");
    assert!(matches!(rig.update(mark), Err(NotWritten::Unreachable(_))));
    let asked = ranks(&rig);
    assert!(matches!(asked[0], (Call::Write, Rank::Awaited(since)) if since.0 < seconds(11)), "{asked:?}");
}

#[test]
fn a_renewal_that_failed_once_has_lost_no_turn_and_one_that_fails_on_keeps_nobody_waiting() {
    for fate in [Fate::Lost, Fate::Overtaken, Fate::Refused] {
        let mut rig = Rig::holding();
        let sent = last_sent(&rig);
        rig.witness.script([fate; 5]);
        ranks(&rig);
        rig.run(14);
        let asked: Vec<Rank> = ranks(&rig).into_iter().map(|(_, rank)| rank).collect();
        let due = Rank::Due(Monotonic(sent + seconds(10)));
        // What somebody else wrote is read, and the renewal tried again.
        assert!(asked[0] == due && asked[1] <= due, "{fate:?}: {asked:?}");
        if fate == Fate::Refused {
            // The second try, and those after it.
            assert!(asked[2] == due && asked[3] > due && asked[3..].is_sorted(), "{asked:?}");
        }
    }
}

#[test]
fn a_renewal_waits_for_no_turn_to_read_and_no_read_for_one_to_write() {
    let mut rig = Rig::holding();
    let began = rig.clock.now().0;
    rig.witness.register().no_read_before = seconds(60);
    rig.run(8);
    rig.keeper.read_soon();
    rig.run(4);
    assert_eq!(rig.since(began), [Call::Write]);
    assert!(rig.keeper.term().left > seconds(27), "it was sent when it was due");

    let mut rig = Rig::holding();
    rig.witness.register().no_write_before = seconds(60);
    rig.run(11);
    let began = rig.clock.now().0;
    rig.keeper.read_soon();
    rig.run(1);
    assert_eq!(rig.since(began), [Call::Read]);
}

#[test]
fn a_change_whose_turn_never_came_is_told_so_and_then_nothing_is_amiss() {
    let mut rig = Rig::new(hel(), Some(fixture::record()));
    rig.run(1);
    let began = rig.clock.now().0;
    rig.witness.register().no_write_before = seconds(600);
    match rig.update(mark) {
        Err(NotWritten::Unreachable(cause)) => assert!(cause.contains("no turn"), "{cause}"),
        other => panic!("{other:?}"),
    }
    rig.run(1);
    assert_eq!(rig.keeper.unreachable(), None);
    assert!(!rig.since(began).contains(&Call::Write));
}

#[test]
fn what_a_move_needs_comes_before_all_that_is_due() {
    for region in [fsn(), hel()] {
        let mut rig = Rig::new(region, Some(with_intent()));
        rig.run(1);
        ranks(&rig);
        rig.run(15);
        let asked = ranks(&rig);
        assert!(asked.len() > 30 && asked.iter().all(|(_, rank)| matches!(rank, Rank::Awaited(_))), "{asked:?}");
    }
}
