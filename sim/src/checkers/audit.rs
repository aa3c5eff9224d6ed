//! The audit stream replays to what happened, exactly once: every switchover that was completed has one event,
//! every such event tells of one that was; ids are unique and types reserved.

use super::{Verdict, count};
use crate::ground::{Ground, Message};
use crate::moments::Move;
use continuum_core::audit::{EventBody, EventType};
use continuum_core::name::Region;
use std::collections::BTreeMap;

/// Checks.
pub fn check(ground: &Ground) -> Verdict {
    let mut evidence = Vec::new();
    let mut ids: BTreeMap<&str, u64> = BTreeMap::new();
    let mut told: Vec<(&Message, EventBody)> = Vec::new();
    for message in &ground.messages {
        let sequence = message.sequence;
        if message.id.is_empty() {
            evidence.push(format!("message {sequence} has no id"));
        } else if let Some(first) = ids.insert(&message.id, sequence) {
            evidence.push(format!("messages {first} and {sequence} have the same id {}", message.id));
        }
        match EventBody::parse(message.body.as_bytes()) {
            Ok(body) if body.kind.as_str() != message.kind => {
                let (header, inside) = (&message.kind, body.kind.as_str());
                evidence.push(format!("message {sequence}: its header says `{header}`, its body `{inside}`"));
            }
            Ok(body) if body.kind == EventType::Switchover => told.push((message, body)),
            Ok(_) => {}
            Err(error) => evidence.push(format!("message {sequence}: {error}")),
        }
    }
    let done = |move_: &&Move| move_.effect(6).is_some();
    for move_ in ground.moments.moves().iter().filter(done) {
        let events = told.iter().filter(|(message, body)| tells_of(message, body, move_)).count();
        let may_come = move_.ended.is_none() && ground.may_be_left.intent;
        if events != 1 && !(events == 0 && may_come) {
            let Move { intent, from, to, .. } = move_;
            evidence.push(format!("switchover {intent} {from} -> {to} has {events} events"));
        }
    }
    for (message, body) in &told {
        if !ground.moments.moves().iter().filter(done).any(|move_| tells_of(message, body, move_)) {
            let place = |region: &Option<Region>| region.as_ref().map_or("?".to_owned(), Region::to_string);
            let (from, to) = (place(&body.from_primary), place(&body.to_primary));
            let sequence = message.sequence;
            evidence.push(format!("message {sequence} tells of a switchover {from} -> {to} that did not happen"));
        }
    }
    Verdict::of("audit", format!("{} events", count(ground.messages.len())), evidence)
}

fn tells_of(message: &Message, body: &EventBody, move_: &Move) -> bool {
    message.id.ends_with(&move_.intent)
        && body.from_primary.as_ref() == Some(&move_.from)
        && body.to_primary.as_ref() == Some(&move_.to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::fixture::{INTENT, moved, switchover_message};

    #[test]
    fn a_switchover_that_was_told_twice_under_two_ids_is_caught() {
        let mut ground = moved();
        ground.messages.push(switchover_message(3, "continuum-switchover:again", "fsn", "hel"));
        assert_eq!(check(&ground).evidence, ["message 3 tells of a switchover fsn -> hel that did not happen"]);
        ground.messages[2].id = format!("again:{INTENT}");
        assert_eq!(check(&ground).evidence, [format!("switchover {INTENT} fsn -> hel has 2 events")]);
    }

    #[test]
    fn a_switchover_that_nobody_told_of_is_caught() {
        let mut ground = moved();
        ground.messages.pop();
        assert_eq!(check(&ground).evidence, [format!("switchover {INTENT} fsn -> hel has 0 events")]);
    }

    #[test]
    fn one_that_was_undone_has_no_event() {
        let mut ground = moved();
        let mut undone = Move::new("shop/shop/2.2", &Region::new("hel"), &Region::new("fsn"));
        undone.note_effect(2, ground.end);
        let moves = ground.moments.moves().iter().cloned().chain([undone]).collect();
        ground.moments = crate::moments::Moments::new(moves);
        assert!(check(&ground).ok);
        ground.messages.push(switchover_message(3, "continuum-switchover:shop/shop:shop/shop/2.2", "hel", "fsn"));
        assert_eq!(check(&ground).evidence, ["message 3 tells of a switchover hel -> fsn that did not happen"]);
    }

    #[test]
    fn a_repeated_id_an_unknown_type_and_a_header_that_lies_are_caught() {
        let mut ground = moved();
        let mut repeated = ground.messages[0].clone();
        repeated.sequence = 3;
        repeated.kind = "continuum-switchover".into();
        let mut unknown = ground.messages[0].clone();
        unknown.sequence = 4;
        unknown.id = "another".into();
        unknown.body = unknown.body.replace("continuum-lease-acquired", "continuum-made-up");
        ground.messages.extend([repeated, unknown]);
        let id = &ground.messages[0].id;
        assert_eq!(
            check(&ground).evidence,
            [
                format!("messages 1 and 3 have the same id {id}"),
                "message 3: its header says `continuum-switchover`, its body `continuum-lease-acquired`".to_owned(),
                "message 4: event type `continuum-made-up` is not reserved".to_owned(),
            ]
        );
    }
}
