//! Every write that a client was told is committed stands in the history of the half that is primary at the end.
//! Clients of whom none was told so prove nothing: that is no success.

use super::{Evidence, Verdict, at, count};
use crate::ground::Ground;
use crate::workload::{Attempt, Outcome};
use continuum_core::name::Region;

/// Checks.
pub fn check(ground: &Ground) -> Verdict {
    let acknowledged = acknowledged(ground).count();
    let lost = lost(ground);
    let mut evidence: Vec<Evidence> = Vec::new();
    let first = lost.iter().filter_map(|attempt| attempt.ended).min();
    if !lost.is_empty() {
        let by = judge(ground).map_or("no half".to_owned(), |region| format!("the half in {region}"));
        let text = format!("{} of {} lost: not in {by}", count(lost.len()), count(acknowledged));
        evidence.push(Evidence { at: first, text });
    }
    evidence.extend(lost.iter().map(|attempt| {
        let by = attempt.half.as_deref().unwrap_or("nobody");
        let when = at(attempt.ended.unwrap_or(attempt.started));
        Evidence {
            at: attempt.ended,
            text: format!("write {} of {}, acknowledged by {by} at {when}", attempt.number, attempt.client),
        }
    }));
    evidence.extend(ground.missing.iter().map(|missing| {
        let (number, client) = (missing.number, &missing.client);
        let place = format!("in the half in {} at {}", missing.half, at(missing.at));
        let text = format!("write {number} of {client}, acknowledged, was not found {place}");
        Evidence { at: Some(missing.at), text }
    }));
    if acknowledged == 0 && ground.client_count > 0 {
        let attempts = count(ground.attempts.len());
        evidence.push(format!("nothing to judge: of {attempts} writes none was acknowledged").into());
    }
    let detail = match ground.attempts.len() {
        0 => "no clients".to_owned(),
        _ => format!("{} acknowledged", count(acknowledged)),
    };
    Verdict::of("no-lost-write", detail, evidence)
}

/// The acknowledged writes that are lost.
pub fn lost(ground: &Ground) -> Vec<&Attempt> {
    let rows = judge(ground).and_then(|region| ground.regions.get(region)).map(|region| &region.rows);
    acknowledged(ground)
        .filter(|attempt| rows.is_none_or(|rows| !rows.contains(&(attempt.client.clone(), attempt.number))))
        .collect()
}

fn acknowledged(ground: &Ground) -> impl Iterator<Item = &Attempt> {
    ground.attempts.iter().filter(|attempt| attempt.outcome == Outcome::Acknowledged)
}

/// The half that counts: the primary one, or, where none or both take writes, that of the lease's holder.
fn judge(ground: &Ground) -> Option<&Region> {
    ground.primary().or_else(|| ground.record().and_then(|record| record.holder.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::fixture::{moved, region};
    use crate::workload::Missing;
    use std::time::Duration;

    #[test]
    fn an_acknowledged_write_that_the_new_primary_lacks_is_named() {
        let mut ground = moved();
        let hel = ground.regions.get_mut(&region("hel")).unwrap();
        hel.rows.remove(&("clients.fsn-1".to_owned(), 2));
        let verdict = check(&ground);
        assert_eq!(verdict.to_string(), "no-lost-write: 1 of 3 lost: not in the half in hel");
        assert_eq!(verdict.evidence[1], "write 2 of clients.fsn-1, acknowledged by fsn at 20.00 s");
    }

    #[test]
    fn a_row_that_its_client_did_not_find_again_is_lost_whatever_stands_there_at_the_end() {
        let mut ground = moved();
        let client = "clients.fsn-1".to_owned();
        ground.missing.push(Missing { client, number: 2, half: "hel".into(), at: Duration::from_secs(30) });
        let told = "write 2 of clients.fsn-1, acknowledged, was not found in the half in hel at 30.00 s";
        assert_eq!(check(&ground).evidence, [told]);
    }

    #[test]
    fn a_write_of_unknown_outcome_may_be_anywhere() {
        let mut ground = moved();
        ground.attempts[1].outcome = Outcome::Unknown("no answer".into());
        let hel = ground.regions.get_mut(&region("hel")).unwrap();
        hel.rows.remove(&("clients.fsn-1".to_owned(), 2));
        assert!(check(&ground).ok);
    }

    #[test]
    fn clients_of_whom_none_was_told_that_a_write_is_committed_prove_nothing() {
        let mut ground = moved();
        for attempt in &mut ground.attempts {
            attempt.outcome = Outcome::Refused("25006".into());
        }
        assert_eq!(check(&ground).to_string(), "no-lost-write: nothing to judge: of 3 writes none was acknowledged");
        ground.client_count = 0;
        ground.attempts.clear();
        assert_eq!(check(&ground).to_string(), "no-lost-write ok (no clients)");
    }
}
