use super::*;
use crate::preflight::fixture::{self, fsn, hel};
use crate::record::{EndResult, FormerWeights, INTENT_LENGTH_MAX, Lsn, Position, RecordSet};
use crate::testing::Random;
use serde_json::json;

mod failback;
mod owed;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + second).unwrap()
}

fn order() -> Order {
    Order { plan: fixture::plan(), kind: Kind::Planned, request: Some("00c0ffee00c0ffee".into()), now: at(0) }
}

const APPROVAL: Approval = Approval { required: true, timeout_seconds: 60 };

fn written(edit: Edit) -> Record {
    match edit {
        Edit::Write(record) => *record,
        other => panic!("nothing was written: {other:?}"),
    }
}

fn refused(edit: Edit) -> String {
    match edit {
        Edit::Stale(why) => why,
        other => panic!("not refused: {other:?}"),
    }
}

/// A record with an intent in it, and the intent's id.
fn begun() -> (Record, String) {
    let record = written(begin(&fixture::record(), &fsn(), &order()));
    let id = record.intent.as_ref().unwrap().id.clone();
    (record, id)
}

fn failback() -> Order {
    Order { kind: Kind::Failback, ..order() }
}

#[test]
fn an_empty_record_is_acquired_with_a_new_generation() {
    let record = written(acquire(&Record::free(30), &fsn(), 20, Some(3), None));
    assert_eq!((record.held_by(&fsn()), record.generation, record.ttl_seconds), (true, 1, 20));
    assert_eq!(record.lineage, Lineage::Of { region: fsn(), timeline: 3 });
}

#[test]
fn where_neither_half_is_primary_the_lineage_stays_unknown() {
    assert_eq!(written(acquire(&Record::free(30), &fsn(), 30, None, None)).lineage, Lineage::Unknown);
}

#[test]
fn a_record_held_by_another_is_not_acquired_and_the_holder_is_named() {
    let why = refused(acquire(&fixture::record(), &hel(), 30, Some(3), None));
    assert_eq!(why, "ErrLeaseHeldByAnother: held by fsn, generation 4");
}

#[test]
fn acquiring_what_one_holds_changes_nothing() {
    assert_eq!(acquire(&fixture::record(), &fsn(), 30, Some(9), None), Edit::Already);
}

#[test]
fn a_renewal_extends_the_term_and_keeps_the_generation() {
    let position = Position { timeline: 3, lsn: Lsn(0x800_0000) };
    let record = written(renew(&fixture::record(), &fsn(), 40, Some(position)));
    assert_eq!((record.renewal, record.generation, record.ttl_seconds), (8, 4, 40));
    assert_eq!(record.position, Some(position));
    let blind = written(renew(&record, &fsn(), 40, None));
    assert_eq!(blind.position, Some(position), "a position that could not be measured is not forgotten");
}

#[test]
fn the_holders_timeline_grows_with_its_half_and_never_shrinks() {
    let with = |timeline| {
        let position = Position { timeline, lsn: Lsn(1) };
        written(renew(&fixture::record(), &fsn(), 30, Some(position))).lineage
    };
    assert_eq!(with(4), Lineage::Of { region: fsn(), timeline: 4 });
    assert_eq!(with(2), Lineage::Of { region: fsn(), timeline: 3 });
    let mut doubted = fixture::record();
    doubted.lineage = Lineage::Unknown;
    let position = Some(Position { timeline: 5, lsn: Lsn(1) });
    assert_eq!(written(renew(&doubted, &fsn(), 30, position)).lineage, Lineage::Unknown);
    doubted.lineage = Lineage::Of { region: hel(), timeline: 3 };
    assert_eq!(written(renew(&doubted, &fsn(), 30, position)).lineage, doubted.lineage);
}

#[test]
fn who_is_not_the_holder_renews_nothing() {
    assert_eq!(refused(renew(&fixture::record(), &hel(), 30, None)), "held by fsn, generation 4");
    assert_eq!(refused(renew(&Record::free(30), &hel(), 30, None)), "the record is free");
}

#[test]
fn a_register_that_was_made_anew_begins_above_the_claims_that_stand() {
    let record = written(acquire_above(&Record::free(30), &fsn(), 30, Some(3), 7, None));
    assert_eq!(record.generation, 8);
    assert_eq!(
        written(acquire_above(&Record { generation: 9, ..Record::free(30) }, &fsn(), 30, None, 7, None)).generation,
        10
    );
}

#[test]
fn a_release_frees_the_record_and_a_second_one_changes_nothing() {
    let free = written(release(&fixture::record(), &fsn()));
    assert_eq!((free.holder.clone(), free.generation), (None, 5));
    assert_eq!(release(&free, &fsn()), Edit::Already);
}

#[test]
fn who_is_not_the_holder_releases_nothing() {
    assert_eq!(release(&fixture::record(), &hel()), Edit::Already);
}

#[test]
fn a_record_is_not_released_while_a_switchover_is_under_way_or_waits() {
    assert!(refused(release(&begun().0, &fsn())).contains("is under way"));
    let waiting = written(pend(&fixture::record(), &fsn(), &failback(), APPROVAL));
    assert!(refused(release(&waiting, &fsn())).contains("waits for approval"));
}

#[test]
fn an_intent_carries_its_plan_and_counts_the_sequence() {
    let (record, id) = begun();
    let intent = record.intent.as_ref().unwrap();
    assert_eq!(id, "shop/shop/4.1");
    assert_eq!((record.sequence, record.generation, intent.began_generation), (1, 4, 4));
    assert_eq!(intent.fingerprint, fixture::plan().fingerprint());
    assert_eq!((intent.step(1).started_at, intent.step(1).attempts), (Some(at(0)), 1));
    assert_eq!(record.served, ["00c0ffee00c0ffee"]);
}

#[test]
fn a_second_switchover_does_not_begin_beside_the_first() {
    let (record, id) = begun();
    let another = Order { request: Some("1111111111111111".into()), ..order() };
    assert_eq!(refused(begin(&record, &fsn(), &another)), format!("switchover {id} is under way"));
    let waiting = written(pend(&fixture::record(), &fsn(), &failback(), APPROVAL));
    assert_eq!(refused(begin(&waiting, &fsn(), &another)), "failback shop/shop/4.1 waits for approval");
}

#[test]
fn an_intent_whose_write_was_not_answered_is_found_again_with_a_request_or_without() {
    let (record, _) = begun();
    assert_eq!(begin(&record, &fsn(), &order()), Edit::Already);
    let direct = Order { request: None, ..order() };
    let record = written(begin(&fixture::record(), &fsn(), &direct));
    assert_eq!(begin(&record, &fsn(), &direct), Edit::Already);
    let later = Order { now: at(1), ..direct };
    assert!(refused(begin(&record, &fsn(), &later)).contains("is under way"));
}

#[test]
fn a_request_is_served_once() {
    let (record, id) = begun();
    let ended = written(end(&turned(&record, &id), &fsn(), &id, &ending(EndResult::Undone)));
    assert!(refused(begin(&ended, &fsn(), &order())).contains("was served already"));
    assert!(refused(pend(&ended, &fsn(), &failback(), APPROVAL)).contains("was served already"));
    let refusal = written(refuse(&fixture::record(), &fsn(), "00c0ffee00c0ffee", None));
    assert!(refused(begin(&refusal, &fsn(), &order())).contains("was served already"));
    assert_eq!(refuse(&refusal, &fsn(), "00c0ffee00c0ffee", None), Edit::Already);
}

#[test]
fn only_the_holder_begins_and_only_away_from_its_own_region() {
    assert_eq!(refused(begin(&fixture::record(), &hel(), &order())), "not the holder any more");
    let mut record = fixture::record();
    record.holder = Some(hel());
    let why = "hel holds the record, and the plan moves the role away from fsn";
    assert_eq!(refused(begin(&record, &hel(), &order())), why);
    assert_eq!(refused(pend(&record, &hel(), &failback(), APPROVAL)), why);
}

#[test]
fn owed_events_hold_the_next_switchover_back() {
    let (record, id) = begun();
    let event = crate::audit::switchover(record.intent.as_ref().unwrap(), at(30));
    let ending = Ending { acknowledged: false, ..ending(EndResult::Succeeded) };
    let ended = written(end(&record, &fsn(), &id, &ending));
    assert_eq!(ended.owed, std::slice::from_ref(&event));
    let next = Order { request: None, ..order() };
    assert_eq!(refused(begin(&ended, &fsn(), &next)), format!("1 events of {id} are owed"));
    assert!(refused(pend(&ended, &fsn(), &next, APPROVAL)).contains("are owed"));
    assert_eq!(paid(&ended, &fsn(), "another"), Edit::Already);
    assert_eq!(refused(paid(&ended, &hel(), &event.message_id)), "not the holder any more");
    let settled = written(paid(&ended, &fsn(), &event.message_id));
    assert_eq!(written(begin(&settled, &fsn(), &next)).intent.unwrap().id, "shop/shop/4.2");
}

#[test]
fn the_last_32_requests_are_remembered() {
    let record =
        (0..40).fold(fixture::record(), |record, n| written(refuse(&record, &fsn(), &format!("{n:016x}"), None)));
    assert_eq!(record.served.len(), SERVED_COUNT_MAX);
    assert_eq!(record.served.first().unwrap(), &format!("{:016x}", 8));
    assert_eq!(record.served.last().unwrap(), &format!("{:016x}", 39));
}

#[test]
fn a_step_starts_once_and_keeps_what_undoing_needs() {
    let (record, id) = begun();
    let record = written(start(&record, &fsn(), &id, 2, at(1), &Beginning::default()));
    assert_eq!(record.intent.as_ref().unwrap().former.lineage, Lineage::Of { region: fsn(), timeline: 3 });
    let weights = [(fsn(), FormerWeights { from: 100, to: 0, ..FormerWeights::default() })].into();
    let what = Beginning { former: Former { weights, ..Former::default() }, ..Beginning::default() };
    let record = written(start(&record, &fsn(), &id, 3, at(2), &what));
    assert_eq!(start(&record, &fsn(), &id, 3, at(3), &Beginning::default()), Edit::Already);
    let what = Beginning {
        former: Former { records: Some(vec![]), ..Former::default() },
        beat: Some(7),
        ..Beginning::default()
    };
    let intent = written(start(&record, &fsn(), &id, 4, at(4), &what)).intent.unwrap();
    assert_eq!(intent.former.weights[&fsn()], FormerWeights { from: 100, to: 0, ..FormerWeights::default() });
    assert_eq!((intent.former.records, intent.beat_before), (Some(vec![]), Some(7)));
}

#[test]
fn every_further_attempt_is_counted() {
    let (record, id) = begun();
    let record = written(start(&record, &fsn(), &id, 2, at(1), &Beginning::default()));
    let record = written(retry(&record, &fsn(), &id, 2));
    assert_eq!(record.intent.unwrap().step(2).attempts, 2);
}

#[test]
fn an_effect_is_written_once_with_what_it_brought() {
    let (record, id) = begun();
    let effect = Effect { token: Some("token".into()), note: Some("in hand".into()), ..Effect::default() };
    let record = written(finish(&record, &fsn(), &id, 2, at(3), &effect));
    assert_eq!(finish(&record, &fsn(), &id, 2, at(4), &effect), Edit::Already);
    let intent = record.intent.unwrap();
    assert_eq!((intent.token.as_deref(), intent.step(2).finished_at), (Some("token"), Some(at(3))));
}

#[test]
fn the_swap_passes_holder_and_intent_in_one_write() {
    let (record, id) = begun();
    let swapped = written(swap(&record, &fsn(), &id, at(5)));
    assert_eq!((swapped.held_by(&hel()), swapped.generation), (true, 5));
    assert_eq!((swapped.lineage.clone(), swapped.position), (Lineage::Unknown, None));
    let intent = swapped.intent.as_ref().unwrap();
    assert_eq!((intent.id.as_str(), intent.step(5).finished_at), (id.as_str(), Some(at(5))));
    assert_eq!(intent.began_generation, 4);
    assert_eq!(refused(swap(&swapped, &fsn(), &id, at(6))), "not the holder any more");
    assert_eq!(swap(&swapped, &hel(), &id, at(6)), Edit::Already);
}

#[test]
fn a_switchover_that_is_being_undone_is_not_swapped_and_one_that_goes_on_not_swapped_back() {
    let (record, id) = begun();
    assert_eq!(refused(swap(&turned(&record, &id), &fsn(), &id, at(5))), "the switchover is being undone");
    let swapped = written(swap(&record, &fsn(), &id, at(5)));
    assert_eq!(refused(swap_back(&swapped, &hel(), &id, at(6))), "the switchover goes forward");
}

#[test]
fn swapping_back_is_one_more_generation_and_marks_the_undo() {
    let (record, id) = begun();
    let swapped = written(swap(&record, &fsn(), &id, at(5)));
    let back = written(turn(&swapped, &hel(), &id, 0, "aborted by a person", false, at(9)));
    let back = written(swap_back(&back, &hel(), &id, at(7)));
    assert_eq!((back.held_by(&fsn()), back.generation), (true, 6));
    assert_eq!(back.intent.as_ref().unwrap().step(5).undone_at, Some(at(7)));
    assert_eq!(back.lineage, Lineage::Unknown);
    assert_eq!(swap_back(&back, &fsn(), &id, at(8)), Edit::Already);
}

#[test]
fn past_the_point_of_no_return_nothing_turns_back_but_for_a_promotion_that_was_always_refused() {
    let (record, id) = begun();
    let swapped = written(swap(&record, &fsn(), &id, at(5)));
    let issued = written(start(&swapped, &hel(), &id, 6, at(6), &Beginning::default()));
    assert!(refused(turn(&issued, &hel(), &id, 0, "aborted by a person", false, at(9))).contains("point of no return"));
    let back = written(turn(&issued, &hel(), &id, 6, "forbidden", true, at(9)));
    let back = written(swap_back(&back, &hel(), &id, at(7)));
    assert_eq!(back.intent.unwrap().step(6).undone_at, Some(at(7)));
}

#[test]
fn a_turn_says_which_step_failed_and_why() {
    let (record, id) = begun();
    let record = written(turn(&record, &fsn(), &id, 4, "SERVFAIL", false, at(9)));
    assert_eq!(turn(&record, &fsn(), &id, 3, "later", false, at(9)), Edit::Already);
    let intent = record.intent.unwrap();
    assert_eq!(intent.direction, Direction::Undo { step: 4, reason: "SERVFAIL".into() });
    assert_eq!(intent.step(4).failure.as_deref(), Some("SERVFAIL"));
}

#[test]
fn forward_again_after_the_lease_was_given_back_it_is_swapped_once_more() {
    let (record, id) = begun();
    let swapped = written(swap(&record, &fsn(), &id, at(5)));
    let back = written(turn(&swapped, &hel(), &id, 0, "aborted by a person", false, at(9)));
    let still_there = written(turn_forward(&back, &hel(), &id)).intent.unwrap();
    assert!(still_there.forward() && still_there.step(5).finished_at.is_some());
    let back = written(swap_back(&back, &hel(), &id, at(7)));
    let again = written(turn_forward(&back, &fsn(), &id));
    assert_eq!(turn_forward(&again, &fsn(), &id), Edit::Already);
    let intent = again.intent.as_ref().unwrap();
    assert!(intent.forward() && (3..=5).all(|n| intent.step(n).finished_at.is_none()));
    assert_eq!(intent.beat_before, None, "hel has to show anew that it lives");
    let started = written(start(&again, &fsn(), &id, 4, at(8), &Beginning::default()));
    let lives = Beginning { beat: Some(9), ..Beginning::default() };
    let counted = written(start(&started, &fsn(), &id, 4, at(8), &lives));
    assert_eq!(counted.intent.unwrap().beat_before, Some(9));
    assert_eq!(start(&started, &fsn(), &id, 4, at(8), &Beginning::default()), Edit::Already);
    let swapped = written(swap(&again, &fsn(), &id, at(9)));
    assert_eq!((swapped.held_by(&hel()), swapped.generation), (true, 7));
}

#[test]
fn the_lineage_is_in_doubt_until_the_undo_was_seen() {
    let (record, id) = begun();
    let record = written(doubt_lineage(&turned(&record, &id), &fsn(), &id));
    assert_eq!(record.lineage, Lineage::Unknown);
    assert_eq!(doubt_lineage(&record, &fsn(), &id), Edit::Already);
    let known = Lineage::Of { region: fsn(), timeline: 4 };
    let record = written(undone(&record, &fsn(), &id, 2, at(9), Some(&known)));
    assert_eq!(record.lineage, known);
    assert_eq!(undone(&record, &fsn(), &id, 2, at(10), None), Edit::Already);
}

fn ending(result: EndResult) -> Ending {
    Ending { result, now: at(30), acknowledged: true, write_gap_ms: Some(1_500), took_ms: Some(2_500) }
}

fn turned(record: &Record, id: &str) -> Record {
    written(turn(record, &fsn(), id, 2, "no token", false, at(9)))
}

#[test]
fn one_write_moves_the_intent_to_last() {
    let (record, id) = begun();
    let ended = written(end(&record, &fsn(), &id, &ending(EndResult::Succeeded)));
    assert_eq!(ended.intent, None);
    let last = ended.last.as_ref().unwrap();
    assert_eq!((last.id.as_str(), last.result, last.failed_at_step), (id.as_str(), EndResult::Succeeded, 0));
    assert_eq!((last.write_gap_ms, last.loss_seconds), (Some(1_500), Some(0)));
    assert_eq!(refused(end(&ended, &fsn(), &id, &ending(EndResult::Undone))), format!("intent {id} stands no more"));
}

#[test]
fn an_undone_switchover_says_where_it_failed_and_that_its_intent_is_gone() {
    let (record, id) = begun();
    let last = written(end(&turned(&record, &id), &fsn(), &id, &ending(EndResult::Undone))).last.unwrap();
    assert_eq!((last.failed_at_step, last.failure.as_deref()), (2, Some("no token")));
    assert_eq!((last.steps[0].undone_at, last.loss_seconds), (Some(at(30)), None));
}

#[test]
fn what_is_meant_for_another_intent_or_by_another_region_changes_nothing() {
    let (record, id) = begun();
    let other = "shop/shop/4.0";
    let edits = |me: &Region, id: &str| {
        [
            start(&record, me, id, 2, at(1), &Beginning::default()),
            retry(&record, me, id, 2),
            finish(&record, me, id, 2, at(1), &Effect::default()),
            turn(&record, me, id, 2, "", false, at(9)),
            swap(&record, me, id, at(1)),
            swap_back(&record, me, id, at(1)),
            turn_forward(&record, me, id),
            doubt_lineage(&record, me, id),
            undone(&record, me, id, 2, at(1), None),
            end(&record, me, id, &ending(EndResult::Undone)),
        ]
    };
    for edit in edits(&fsn(), other) {
        assert_eq!(refused(edit), "intent shop/shop/4.0 stands no more");
    }
    for edit in edits(&hel(), &id) {
        assert_eq!(refused(edit), "not the holder any more");
    }
}

#[test]
fn an_intent_with_a_full_journal_stays_under_32_kib() {
    let (mut record, _) = begun();
    let intent = record.intent.as_mut().unwrap();
    intent.token = Some("x".repeat(600));
    let set = |n: usize| RecordSet {
        hostname: format!("{n}.shop.example.org"),
        kind: "LUA".into(),
        ttl_seconds: 30,
        contents: vec!["x".repeat(200)],
    };
    intent.plan.records.hostnames = (0..20).map(|n| set(n).hostname).collect();
    intent.former.records = Some((0..20).map(set).collect());
    for step in &mut intent.steps {
        *step = StepState {
            started_at: Some(at(1)),
            finished_at: Some(at(2)),
            attempts: 9,
            failure: Some("x".repeat(300)),
            undone_at: Some(at(3)),
            note: Some("x".repeat(300)),
            extra: Extra::new(),
        };
    }
    let length = serde_json::to_vec(intent).unwrap().len();
    assert!(length < INTENT_LENGTH_MAX, "{length}");
}

/// Every transition, with arguments that mostly fit the record.
fn any_edit(record: &Record, random: &mut Random) -> Edit {
    let me = [fsn(), hel()][random.below(2)].clone();
    let mut order = Order { request: None, now: at(random.below(1000) as i64), ..order() };
    if me == hel() {
        (order.plan.from, order.plan.to) = (hel(), fsn());
    }
    let id = record.intent.as_ref().map(|i| i.id.clone()).or(record.pending.as_ref().map(|p| p.id.clone()));
    let id = id.unwrap_or_else(|| "shop/shop/0.0".into());
    let step = 2 + random.below(6) as u8;
    match random.below(20) {
        0 => acquire(record, &me, 30, Some(3), None),
        1 => renew(record, &me, 30, Some(Position { timeline: random.below(6) as u32, lsn: Lsn(1) })),
        2 => release(record, &me),
        3 => begin(record, &me, &order),
        4 => pend(record, &me, &order, APPROVAL),
        5 => approve(record, &me, &id, &order, "alice"),
        6 => decline(record, &me, &id, "no", order.now),
        7 => refuse(record, &me, &format!("{:016x}", random.below(50)), None),
        8 | 9 => start(record, &me, &id, step, at(1), &Beginning::default()),
        10 => retry(record, &me, &id, step),
        11 => finish(record, &me, &id, step, at(1), &Effect::default()),
        12 => turn(record, &me, &id, step, "failed", random.below(4) == 0, at(1)),
        13 | 14 => swap(record, &me, &id, at(1)),
        15 => swap_back(record, &me, &id, at(1)),
        16 => turn_forward(record, &me, &id),
        17 => doubt_lineage(record, &me, &id),
        18 => undone(record, &me, &id, step, at(1), None),
        _ => end(record, &me, &id, &ending(EndResult::Undone)),
    }
}

#[test]
fn whatever_is_done_in_whatever_order_the_record_keeps_its_rules() {
    let mut writes = 0;
    for seed in 0..200 {
        let mut random = Random(seed);
        let mut record = Record::free(30);
        record.extra.insert("tomorrow".into(), json!({ "x": [1] }));
        for _ in 0..120 {
            let Edit::Write(next) = any_edit(&record, &mut random) else { continue };
            writes += 1;
            let changed = u64::from(next.holder != record.holder);
            assert_eq!(next.generation, record.generation + changed, "the generation counts changes of holder");
            assert!(next.renewal >= record.renewal && next.sequence >= record.sequence);
            assert!(next.intent.is_none() || next.pending.is_none(), "a failback waits beside an intent");
            assert!(next.served.len() <= SERVED_COUNT_MAX);
            assert_eq!(next.extra, record.extra, "what a newer version wrote is kept");
            let began =
                |r: &Record| r.intent.as_ref().map(|i| i.id.clone()).or(r.pending.as_ref().map(|p| p.id.clone()));
            if began(&next).is_some() && began(&next) != began(&record) {
                assert_eq!(next.sequence, record.sequence + 1, "every intent has a number of its own");
            }
            if let (Some(before), Some(after)) = (&record.intent, &next.intent) {
                assert_eq!(&after.extra, &before.extra);
                assert!(
                    before
                        .steps
                        .iter()
                        .zip(&after.steps)
                        .all(|(b, a)| b.started_at.is_none() || a.started_at == b.started_at)
                );
            }
            record = serde_json::from_value(serde_json::to_value(&*next).unwrap()).unwrap();
            assert_eq!(record, *next, "what is read back is what was written");
        }
    }
    assert!(writes > 2_000, "{writes}");
}
