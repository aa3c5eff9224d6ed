//! A publisher that shows no records: what the zone holds is known by what its servers answer.

use super::*;
use crate::name::Region;
use crate::record::RecordSet;
use crate::records::{former_sets, of_answers, record_sets};

/// What is answered is all that is seen of the zone.
fn see(world: &mut World) {
    let hostnames = fixture::plan().records.hostnames;
    world.seen.zone = Seen::Is(of_answers(&hostnames, &world.seen.answers));
}

fn leads_to(world: &mut World, region: &Region) {
    world.answer("NOERROR", &[fixture::address(region)]);
    see(world);
}

/// Step 4 has started, as such a publisher lets it start.
fn during_4() -> World {
    let mut world = World::before(4);
    leads_to(&mut world, &fsn());
    let what = match world.decide() {
        Decision::Act(4, Action::Record(Change::Start(what))) => what,
        other => panic!("{other:?}"),
    };
    world.change(4, &Change::Start(what));
    world.look();
    world.memory.begun(4);
    world
}

fn published(decision: &Decision) -> Option<(Region, Vec<RecordSet>)> {
    match decision {
        Decision::Act(4, Action::Publish { leads_to, sets })
        | Decision::Undo(4, Action::Publish { leads_to, sets }) => Some((leads_to.clone(), sets.clone())),
        _ => None,
    }
}

fn to_hel() -> Option<(Region, Vec<RecordSet>)> {
    Some((hel(), record_sets(&fixture::plan()).unwrap()))
}

fn to_fsn() -> Option<(Region, Vec<RecordSet>)> {
    Some((fsn(), former_sets(&fixture::plan()).unwrap()))
}

#[test]
fn step_4_begins_with_the_records_that_its_undo_would_publish() {
    let world = during_4();
    let former = &world.record.intent.as_ref().unwrap().former;
    assert_eq!(former.records, former_sets(&fixture::plan()).ok());
    assert_eq!(former.answered.as_deref(), Some(&["shop.example.org".to_owned()][..]));
}

#[test]
fn step_4_does_not_begin_where_its_undo_would_have_no_addresses() {
    let mut world = World::before(4);
    leads_to(&mut world, &fsn());
    world.record.intent.as_mut().unwrap().plan.former_addresses.clear();
    assert!(turns(world.decide()).1.contains("`fsn` has no addresses"));
}

#[test]
fn records_are_published_also_where_the_names_lead_there_already() {
    // A record with a health check of its own may lead there today, and back tomorrow (H20).
    let mut world = during_4();
    leads_to(&mut world, &hel());
    assert_eq!(published(&world.try_with(done())), to_hel());
    finishes(world.decide());
}

#[test]
fn what_was_not_taken_is_not_published() {
    let mut world = during_4();
    assert_eq!(published(&world.try_with(Outcome::NotApplied("429".into()))), to_hel());
    leads_to(&mut world, &hel());
    world.pass(2);
    assert_eq!(published(&world.try_with(done())), to_hel());
    finishes(world.decide());
}

#[test]
fn what_was_sent_without_an_answer_is_published_where_names_lead_there_since() {
    let mut world = during_4();
    assert_eq!(published(&world.try_with(Outcome::Unknown("time-out".into()))), to_hel());
    leads_to(&mut world, &hel());
    world.pass(6);
    finishes(world.decide());
    // It may be another's, where nobody saw them lead elsewhere; and what was not applied is nobody's.
    let mut world = World::before(4);
    leads_to(&mut world, &hel());
    let Change::Start(what) = changes(world.decide()) else { panic!() };
    world.change(4, &Change::Start(what));
    world.look();
    world.memory.begun(4);
    world.try_with(Outcome::Unknown("time-out".into()));
    world.pass(2);
    assert_eq!(published(&world.decide()), to_hel());
}

#[test]
fn another_process_publishes_anew() {
    let mut world = during_4();
    world.try_with(done());
    leads_to(&mut world, &hel());
    finishes(world.clone().decide());
    world.memory = Memory::default();
    assert_eq!(published(&world.decide()), to_hel());
}

#[test]
fn records_are_published_again_while_servers_go_on_answering_otherwise() {
    let mut world = during_4();
    world.record.intent.as_mut().unwrap().plan.dns.cache_seconds = Some(60);
    world.try_with(done());
    assert!(waits(world.decide()).contains("not in hel"));
    world.pass(4);
    waits(world.decide());
    world.pass(2);
    assert_eq!(published(&world.try_with(done())), to_hel(), "somebody may have written them since");
    leads_to(&mut world, &hel());
    finishes(world.decide());
}

/// Step 4 was sent with this outcome and is being undone, which fails as well.
fn undone_in_vain(world: &mut World, outcome: &Outcome<()>) {
    world.try_with(outcome.clone());
    let mut turned = world.clone().turn(4);
    assert_eq!(published(&turned.try_with(outcome.clone())), to_fsn());
    *world = turned;
}

#[test]
fn a_refusal_turns_the_step_at_once() {
    let mut world = during_4();
    world.try_with(Outcome::Refused("401".into()));
    assert_eq!(turns(world.decide()), (4, "401".into()));
}

#[test]
fn an_undo_that_is_not_taken_is_through_where_names_lead_as_before() {
    let failures =
        [Outcome::Refused("401".into()), Outcome::NotApplied("no route".into()), Outcome::Unknown("502".into())];
    for outcome in failures {
        let mut world = during_4();
        undone_in_vain(&mut world, &outcome);
        world.pass(4);
        assert!(published(&world.decide()).is_some(), "what was sent may be answered yet: {outcome:?}");
        world.pass(2);
        assert_eq!(changes(world.clone().decide()), Change::Undone(None), "{outcome:?}");
        // Where they do not, it goes on.
        leads_to(&mut world, &hel());
        assert_eq!(published(&world.decide()), to_fsn(), "{outcome:?}");
        world.answers(&[Seen::Unknown("time-out".into())]);
        see(&mut world);
        assert_eq!(published(&world.decide()), to_fsn(), "silence tells nothing: {outcome:?}");
    }
}

#[test]
fn names_that_led_elsewhere_or_nowhere_before_lead_as_before_too() {
    let elsewhere = "192.0.2.7".parse().unwrap();
    for before in [vec![elsewhere], vec![]] {
        let code = if before.is_empty() { "NXDOMAIN" } else { "NOERROR" };
        let mut world = World::before(4);
        world.answer(code, &before);
        see(&mut world);
        let Change::Start(what) = changes(world.decide()) else { panic!() };
        world.change(4, &Change::Start(what));
        world.look();
        world.memory.begun(4);
        undone_in_vain(&mut world, &Outcome::Refused("401".into()));
        world.pass(6);
        assert_eq!(changes(world.clone().decide()), Change::Undone(None), "{code}");
        leads_to(&mut world, &hel());
        assert_eq!(published(&world.decide()), to_fsn(), "{code}");
        // And nobody is led to the old region later because of what never stood there.
        let former = &world.record.intent.as_ref().unwrap().former;
        assert!(!former.led_home(&fixture::plan()), "{code}");
    }
}

#[test]
fn step_4_does_not_begin_where_no_server_says_what_stands_there() {
    let mut world = World::before(4);
    world.answers(&[Seen::Unknown("time-out".into())]);
    see(&mut world);
    assert!(waits(world.decide()).contains("no server answers"));
}

#[test]
fn the_undo_publishes_the_old_regions_records_whatever_is_answered() {
    for code in ["SERVFAIL", "NXDOMAIN", "NOERROR"] {
        let mut world = during_4();
        world.try_with(done());
        world.answer(code, &[]);
        see(&mut world);
        let mut world = world.turn(4);
        assert_eq!(published(&world.try_with(done())), to_fsn(), "{code}");
        assert!(waits(world.decide()).contains("H19"), "{code}");
        leads_to(&mut world, &fsn());
        assert_eq!(changes(world.decide()), Change::Undone(None));
    }
    let mut world = during_4();
    world.answers(&[Seen::Unknown("time-out".into())]);
    see(&mut world);
    let mut world = world.turn(4);
    assert_eq!(published(&world.try_with(done())), to_fsn(), "the manager may be there where no DNS server answers");
    assert!(waits(world.decide()).contains("time-out"));
}

#[test]
fn after_the_end_what_leads_elsewhere_is_put_right_and_silence_is_left_alone() {
    let mut world = World::before(7);
    leads_to(&mut world, &hel());
    world.start(7);
    world.look();
    world.memory.event_passed = true;
    world.change(7, &Change::Finish(Effect::default()));
    world.pass(6);
    world.answers(&[Seen::Unknown("time-out".into())]);
    see(&mut world);
    assert!(!matches!(world.clone().decide(), Decision::Act(4, _)));
    leads_to(&mut world, &fsn());
    assert_eq!(published(&world.decide()), to_hel());
}
