//! The audit stream replays to what happened: what must be told of is told of exactly once, the rest at most once, and
//! nothing that did not happen. Ids are unique, types reserved, and bodies what the contract says.

mod body;
mod happened;
mod lag;
mod place;
mod returns;

use self::body::Body;
use self::happened::Happened;
use super::{Verdict, count, interference};
use crate::ground::{Ground, Message};
use crate::servers::kube_api::{CONTINUUMS, Change};
use std::collections::BTreeMap;

/// A message, and what it tells.
type Told<'a> = (&'a Message, Body);

/// Checks.
pub fn check(ground: &Ground) -> Verdict {
    let mut evidence = Vec::new();
    let mut ids: BTreeMap<&str, u64> = BTreeMap::new();
    let mut told: Vec<Told<'_>> = Vec::new();
    for message in &ground.messages {
        let sequence = message.sequence;
        if message.id.is_empty() {
            evidence.push(format!("message {sequence} has no id"));
        } else if let Some(first) = ids.insert(&message.id, sequence) {
            evidence.push(format!("messages {first} and {sequence} have the same id {}", message.id));
        }
        match body::read(message) {
            Ok(body) => told.push((message, body)),
            Err(why) => evidence.push(format!("message {sequence}: {why}")),
        }
    }
    let happened = happened::all(ground);
    for one in &happened {
        let events = told.iter().filter(|(message, body)| tells_of(message, body, one)).count();
        if events > 1 || (events == 0 && one.must) {
            evidence.push(format!("{} of {} has {events} events", one.kind, one.fact));
        }
    }
    for (message, body) in &told {
        if !may_be_told(ground, message, body) && !happened.iter().any(|one| tells_of(message, body, one)) {
            let place = |region: &Option<String>| region.clone().unwrap_or_else(|| "?".to_owned());
            let (sequence, kind, from, to) = (message.sequence, &body.kind, place(&body.from), place(&body.to));
            evidence.push(format!("message {sequence} tells of a {kind} {from} -> {to} that did not happen"));
        }
    }
    evidence.extend(returns::lies(ground, &told));
    evidence.extend(lag::repeats(ground, &told));
    Verdict::of("audit", format!("{} events", count(ground.messages.len())), evidence)
}

fn tells_of(message: &Message, body: &Body, happened: &Happened) -> bool {
    let fact = message.id.strip_suffix(&happened.fact);
    body.kind == happened.kind
        && fact.is_some_and(|rest| rest.ends_with(':'))
        && body.from == happened.from
        && body.to == happened.to
}

/// What the list of what happened does not decide.
fn may_be_told(ground: &Ground, message: &Message, body: &Body) -> bool {
    let spec_changed = |change: &Change| {
        let before = change.before.as_ref().map(|before| &before["spec"]);
        let by_a_person = !change.by.contains("@controller.");
        by_a_person && *change.resource == CONTINUUMS && before.is_some_and(|before| *before != change.object["spec"])
    };
    match body.kind.as_str() {
        "continuum-config-changed" => ground.regions.values().any(|region| region.history.iter().any(spec_changed)),
        "continuum-error" if message.id.contains(":interference:") => {
            interference::untrue(ground, &body.message, ground.end).is_none()
        }
        // A request that was refused for a step's precondition: it never came to an intent.
        "continuum-error" => {
            let step = body.step.as_deref().and_then(|step| step.strip_suffix("/7")?.parse::<u8>().ok());
            body.from.is_none() && step.is_some_and(|step| (1..=7).contains(&step))
        }
        lag::KIND => lag::is_true(ground, message, body),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::fixture::{INTENT, lease_write, message, moved, region, switchover_message};
    use crate::moments::Move;
    use continuum_core::record::Pending;
    use jiff::Timestamp;
    use serde_json::json;

    #[test]
    fn a_switchover_that_was_told_twice_under_two_ids_is_caught() {
        let mut ground = moved();
        ground.messages.push(switchover_message(4, "continuum-switchover:again", "fsn", "hel"));
        assert_eq!(
            check(&ground).evidence,
            ["message 4 tells of a continuum-switchover fsn -> hel that did not happen"]
        );
        ground.messages[3].id = format!("again:{INTENT}");
        assert_eq!(check(&ground).evidence, [format!("continuum-switchover of {INTENT} has 2 events")]);
    }

    #[test]
    fn a_switchover_that_nobody_told_of_is_caught() {
        let mut ground = moved();
        ground.messages.pop();
        assert_eq!(check(&ground).evidence, [format!("continuum-switchover of {INTENT} has 0 events")]);
    }

    #[test]
    fn one_that_was_undone_has_no_event() {
        let mut ground = moved();
        let mut undone = Move::new("shop/shop/2.2", &region("hel"), &region("fsn"));
        undone.note_effect(2, ground.end);
        let moves = ground.moments.moves().iter().cloned().chain([undone]).collect();
        ground.moments = crate::moments::Moments::new(moves);
        assert!(check(&ground).ok);
        ground.messages.push(switchover_message(4, "continuum-switchover:shop/shop:shop/shop/2.2", "hel", "fsn"));
        assert_eq!(
            check(&ground).evidence,
            ["message 4 tells of a continuum-switchover hel -> fsn that did not happen"]
        );
    }

    #[test]
    fn a_repeated_id_an_unknown_type_and_a_header_that_lies_are_caught() {
        let mut ground = moved();
        let mut repeated = ground.messages[0].clone();
        repeated.sequence = 4;
        repeated.kind = "continuum-switchover".into();
        let mut unknown = ground.messages[0].clone();
        unknown.sequence = 5;
        unknown.id = "another".into();
        unknown.body = unknown.body.replace("continuum-lease-acquired", "continuum-made-up");
        ground.messages.extend([repeated, unknown]);
        let id = &ground.messages[0].id;
        assert_eq!(
            check(&ground).evidence,
            [
                format!("messages 1 and 4 have the same id {id}"),
                "message 4: its header says `continuum-switchover`, its body `continuum-lease-acquired`".to_owned(),
                "message 5: event type `continuum-made-up` is not reserved".to_owned(),
            ]
        );
    }

    #[test]
    fn an_event_of_any_type_that_did_not_happen_is_caught() {
        let facts = [
            ("continuum-lease-acquired", "2", json!({ "toPrimary": "fsn" }), "? -> fsn"),
            ("continuum-lease-acquired", "3", json!({ "toPrimary": "fsn" }), "? -> fsn"),
            ("continuum-lease-lost", "2.1", json!({ "fromPrimary": "fsn" }), "fsn -> ?"),
            ("continuum-lease-collision", "hel:3", json!({ "fromPrimary": "hel" }), "hel -> ?"),
            ("continuum-cnpg-promotable", "shop/shop/1.9", json!({ "fromPrimary": "fsn" }), "fsn -> ?"),
            ("continuum-failback-pending", INTENT, json!({ "fromPrimary": "fsn", "toPrimary": "hel" }), "fsn -> hel"),
            ("continuum-failback-completed", INTENT, json!({ "fromPrimary": "fsn", "toPrimary": "hel" }), "fsn -> hel"),
            (
                "continuum-error",
                "shop/shop/1.1:4",
                json!({ "fromPrimary": "fsn", "toPrimary": "hel", "step": "4/7" }),
                "fsn -> hel",
            ),
            ("continuum-reconcile-success", "2.77", json!({ "toPrimary": "hel" }), "? -> hel"),
            (
                "continuum-error",
                "interference:Cluster-in-fsn:unknown:takes-writes",
                json!({ "message": "Cluster in fsn: takes writes, by somebody else" }),
                "? -> ?",
            ),
            ("continuum-cr-created", "fsn:1234", json!({ "toPrimary": "fsn" }), "? -> fsn"),
            ("continuum-config-changed", "a:b", json!({ "toPrimary": "fsn" }), "? -> fsn"),
        ];
        for (kind, fact, fields, told) in facts {
            let mut ground = moved();
            ground.messages.push(message(4, &format!("{kind}:shop/shop:{fact}"), kind, fields));
            let told = format!("message 4 tells of a {kind} {told} that did not happen");
            assert_eq!(check(&ground).evidence.last(), Some(&told));
        }
    }

    #[test]
    fn a_lease_that_a_switchover_handed_on_is_no_collision() {
        let mut ground = moved();
        let kind = "continuum-lease-collision";
        ground.messages.push(message(4, &format!("{kind}:shop/shop:fsn:2"), kind, json!({ "fromPrimary": "fsn" })));
        assert!(check(&ground).ok, "hel took it: {:?}", check(&ground).evidence);
        for write in ground.lease.iter_mut().filter(|write| write.record.generation == 2) {
            write.by = "continuum@controller.fsn".into();
        }
        let told = "message 4 tells of a continuum-lease-collision fsn -> ? that did not happen";
        assert_eq!(check(&ground).evidence, [told]);
    }

    #[test]
    fn a_failback_that_waited_is_told_of_once_and_where_it_began_it_must_be() {
        let mut ground = moved();
        let mut waits = lease_write(50.0, "hel", 2);
        waits.record.pending = Some(Pending {
            id: "shop/shop/2.5".into(),
            to: region("fsn"),
            requested_by: "bob".into(),
            reason: "failback".into(),
            request: None,
            since: Timestamp::UNIX_EPOCH,
            approval_required: true,
            fingerprint: String::new(),
            timeout_seconds: 60,
            extra: Default::default(),
        });
        ground.lease.push(waits);
        assert!(check(&ground).ok, "one that never began may have gone untold");
        let kind = "continuum-failback-pending";
        let fields = json!({ "fromPrimary": "hel", "toPrimary": "fsn" });
        ground.messages.push(message(4, &format!("{kind}:shop/shop:shop/shop/2.5"), kind, fields.clone()));
        assert!(check(&ground).ok);
        ground.messages.push(message(5, "again:shop/shop/2.5", kind, fields));
        assert_eq!(check(&ground).evidence, [format!("{kind} of shop/shop/2.5 has 2 events")]);
        ground.messages.truncate(3);
        let begun = Move::new("shop/shop/2.5", &region("hel"), &region("fsn"));
        ground.moments = crate::moments::Moments::new(ground.moments.moves().iter().cloned().chain([begun]).collect());
        assert_eq!(check(&ground).evidence, [format!("{kind} of shop/shop/2.5 has 0 events")]);
    }

    #[test]
    fn a_new_holder_that_nobody_told_of_is_caught() {
        let mut ground = moved();
        ground.messages.remove(1);
        assert_eq!(check(&ground).evidence, ["continuum-lease-acquired of 2 has 0 events"]);
    }

    #[test]
    fn a_body_that_is_not_the_contracts_is_caught() {
        let bodies = [
            ("{\"type\":", "not an event"),
            (r#"{"surprise":"x"}"#, "`surprise` is no field of an event, or not with the value \"x\""),
            (r#"{"reason":""}"#, "`reason` is no field of an event, or not with the value \"\""),
            (r#"{"lagSeconds":1.5}"#, "`lagSeconds` is 1.5"),
            (r#"{"type":"continuum-switchover","continuumName":"shop"}"#, "its continuumName is `shop`"),
            (
                r#"{"type":"continuum-switchover","continuumName":"a/b","timestamp":"2026-01-01T00:00:00+01:00"}"#,
                "its timestamp is `2026-01-01T00:00:00+01:00`",
            ),
        ];
        for (body, why) in bodies {
            let mut ground = moved();
            ground.messages[2].body = body.into();
            assert_eq!(check(&ground).evidence[0], format!("message 3: {why}"));
        }
    }
}
