//! What somebody else made otherwise, and who.

use super::*;
use crate::next::{Place, interference};
use crate::observe::FieldWriter;
use crate::record::{EndResult, Former, Left};
use crate::records::record_sets;

/// What a controller of `me` makes of the world: which object, and who wrote it, `?` where that is not told.
fn found(record: &Record, seen: &Observations, me: Region) -> Vec<String> {
    let holder = record.holder.clone().unwrap();
    let away_from = fixture::spec().led_by(&holder);
    let other = away_from.standbys[0].clone();
    let away = Plan::new(&fixture::shop(), &away_from, &other, None, None).unwrap();
    let here = Plan::new(&fixture::shop(), &fixture::spec().led_by(&other), &holder, None, None).unwrap();
    let plan = record.intent.as_ref().map_or(&here, |intent| &intent.plan);
    let at = Monotonic(Duration::from_secs(100));
    let place = Place { record, me: &me, plan, away: Some(&away), seen, at };
    let line =
        |found: Interference| format!("{}: {} ({})", found.object, found.what, found.manager.unwrap_or("?".into()));
    interference(&place).into_iter().map(line).collect()
}

fn by(manager: &str) -> Option<FieldWriter> {
    Some(FieldWriter { manager: manager.into(), at: Some(wall(30)) })
}

fn set_weights(seen: &mut Observations, region: &Region, from: u32, to: u32, writer: Option<FieldWriter>) {
    let Some(Seen::Is(route)) = seen.routes.get_mut(region) else { panic!("no route in {region}") };
    route.rules = vec![fixture::rule(&[("shop-fsn", from), ("shop-hel", to)])];
    route.weights_writer = writer;
}

/// A pair at rest, whose last move was undone: everything is as before it.
fn undone() -> (Record, Observations) {
    let (mut record, seen) = (fixture::record(), fixture::observations());
    let former = crate::weights::former(&fixture::route(), "shop-fsn", "shop-hel");
    let weights = [(fsn(), former.clone()), (hel(), former)].into();
    let records = seen.zone.known().map(|zone| zone.records.clone());
    let former = Former { weights, records, ..Former::default() };
    record.left = Some(Left { plan: fixture::plan(), former, result: EndResult::Undone, extra: Default::default() });
    (record, seen)
}

#[test]
fn weights_are_told_with_who_wrote_them_and_not_where_that_is_this_product() {
    let (record, mut seen) = undone();
    assert_eq!(found(&record, &seen, fsn()), [""; 0]);
    set_weights(&mut seen, &hel(), 0, 100, by("argocd-controller"));
    let told = "HTTPRoute in hel: weights set to shop-fsn 0, shop-hel 100 (argocd-controller)";
    assert_eq!(found(&record, &seen, fsn()), [told]);
    assert_eq!(found(&record, &seen, hel()), [""; 0], "the holder keeps routes");
    set_weights(&mut seen, &hel(), 0, 100, by("continuum"));
    assert_eq!(found(&record, &seen, fsn()), [""; 0]);
}

#[test]
fn records_are_told_with_where_they_lead() {
    let (record, mut seen) = undone();
    let Seen::Is(zone) = &mut seen.zone else { panic!() };
    let set = &mut zone.records[0];
    (set.kind, set.contents) = ("A".into(), vec!["192.0.2.7".into()]);
    assert_eq!(found(&record, &seen, fsn()), ["DNS records: changed: they lead to 192.0.2.7 (?)"]);
    let Seen::Is(zone) = &mut seen.zone else { panic!() };
    zone.records.clear();
    assert_eq!(found(&record, &seen, fsn()), ["DNS records: deleted (?)"]);
}

#[test]
fn records_that_only_answers_tell_of_are_told_with_what_is_answered_and_not_by_silence() {
    let (record, mut seen) = undone();
    let zone = |records, silent: &[&str]| {
        let silent = silent.iter().map(|name| (*name).to_owned()).collect();
        Seen::Is(crate::observe::ZoneView { records, shown: crate::observe::Shown::ByAnswers { silent } })
    };
    let set = |address: &str| RecordSet {
        hostname: "shop.example.org".into(),
        kind: "A".into(),
        ttl_seconds: 30,
        contents: vec![address.into()],
    };
    seen.zone = zone(vec![set("10.1.0.1")], &[]);
    assert_eq!(found(&record, &seen, fsn()), [""; 0]);
    seen.zone = zone(vec![set("192.0.2.7")], &[]);
    assert_eq!(found(&record, &seen, fsn()), ["DNS records: changed: they lead to 192.0.2.7 (?)"]);
    seen.zone = zone(vec![], &[]);
    assert_eq!(found(&record, &seen, fsn()), ["DNS records: changed: they lead to no address (?)"]);
    seen.zone = zone(vec![], &["shop.example.org"]);
    assert_eq!(found(&record, &seen, fsn()), [""; 0]);
}

#[test]
fn in_a_move_what_its_steps_did_is_told_from_when_they_did_it() {
    let mut world = World::during(3);
    set_weights(&mut world.seen, &fsn(), 50, 50, by("helm"));
    assert_eq!(found(&world.record, &world.seen, fsn()), [""; 0], "step 3 has not written it yet");
    let claim = world.claim();
    world.route(&fsn()).claim = claim;
    let in_the_drain = "HTTPRoute in fsn: weights set to shop-fsn 50, shop-hel 50 (helm)";
    assert_eq!(found(&world.record, &world.seen, fsn()), [in_the_drain]);
    let mut world = World::during(5);
    assert_eq!(found(&world.record, &world.seen, fsn()), [""; 0]);
    set_weights(&mut world.seen, &fsn(), 100, 0, by("helm"));
    assert_eq!(
        found(&world.record, &world.seen, fsn()),
        ["HTTPRoute in fsn: weights set to shop-fsn 100, shop-hel 0 (helm)"]
    );
    world.from().0.role = Role::Primary;
    world.from().0.role_writer = by("flux");
    world.from().0.claim = Some(Claim { generation: 4, intent: ID.into() });
    assert_eq!(found(&world.record, &world.seen, fsn())[0], "Cluster in fsn: told to be primary (flux)");
}

/// A record that was deleted under way knows nothing of what that move brought away.
#[test]
fn what_a_lost_move_brought_away_is_led_here_again_and_told() {
    let (mut record, mut seen) = (fixture::record(), fixture::observations());
    for region in [fsn(), hel()] {
        set_weights(&mut seen, &region, 0, 100, None);
    }
    assert_eq!(found(&record, &seen, fsn()), [""; 0], "no move wrote them: so it was installed");
    for (_, route) in seen.routes.iter_mut() {
        let Seen::Is(route) = route else { panic!() };
        route.claim = Some(Claim { generation: 3, intent: "shop/shop/3.1".into() });
    }
    let told = "record: deleted while a move was under way, which led the HTTPRoute in hel away (?)";
    assert_eq!(found(&record, &seen, fsn()), [told]);
    for region in [fsn(), hel()] {
        set_weights(&mut seen, &region, 100, 0, None);
    }
    assert_eq!(found(&record, &seen, fsn()), [""; 0]);
    let Seen::Is(zone) = &mut seen.zone else { panic!() };
    zone.records = record_sets(&fixture::plan()).unwrap();
    assert_eq!(found(&record, &seen, fsn()).len(), 1, "exactly what a move would have published");
    record.generation = 1;
    assert_eq!(found(&record, &seen, fsn()), [""; 0], "nothing was ever moved");
}
