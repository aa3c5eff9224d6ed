//! A lag above the objective: that it was so, by how the standby really followed, and that one lag is told of once.
//! That it must have been told of is not decided here: no server knows what a controller was able to measure.

use super::Told;
use super::body::Body;
use super::place::{self, Place};
use crate::ground::{Ground, Message};
use crate::servers::kube_api::CONTINUUMS;
use crate::workload::Span;
use continuum_live::resource::parse_spec;
use std::time::Duration;

/// The event's type.
pub(super) const KIND: &str = "continuum-cnpg-lag-breach";
/// A lag that differs by less is as good as right.
const TOLERANCE: Duration = Duration::from_secs(10);
/// What is told may have been measured so long before, or after a newer record was written than the teller knew.
const LATE: Duration = Duration::from_secs(15);

/// Whether a region that held the lease was, when it says so, about as far ahead as it says, and that was too far.
pub(super) fn is_true(ground: &Ground, message: &Message, body: &Body) -> bool {
    let Some((place, lag, objective)) = told_of(ground, message, body) else { return false };
    let around = Span { from: place.span.from.saturating_sub(LATE), to: place.span.to + LATE };
    lag > objective
        && was_asked_for(ground, objective)
        && lags(ground, &place.holder, around).any(|truth| truth + TOLERANCE >= Duration::from_secs(lag.into()))
}

/// Lags that were told of twice, though they never ended in between.
pub(super) fn repeats(ground: &Ground, told: &[Told<'_>]) -> Vec<String> {
    let breaches: Vec<_> = told
        .iter()
        .filter(|(_, body)| body.kind == KIND)
        .filter_map(|(message, body)| Some((message.sequence, told_of(ground, message, body)?)))
        .collect();
    let pairs = breaches.iter().zip(breaches.iter().skip(1));
    pairs
        .filter(|((_, (before, _, objective)), (_, (after, _, _)))| {
            let between = Span { from: before.span.from, to: after.span.to + LATE };
            let ended = Duration::from_secs((*objective).into()) + TOLERANCE;
            let least = lags(ground, &before.holder, between).min();
            before.generation == after.generation && least.is_some_and(|least| least > ended)
        })
        .map(|((first, _), (second, _))| format!("messages {first} and {second} tell of one lag that never ended"))
        .collect()
}

/// Where it was told, the lag and the objective, s.
fn told_of(ground: &Ground, message: &Message, body: &Body) -> Option<(Place, u32, u32)> {
    let place = place::of(ground, message)?;
    let fact = format!(":{}:{}.{}", place.holder, place.generation, place.renewal);
    let lag = u32::try_from(body.lag_seconds?).ok()?;
    let text = body.message.strip_prefix(&format!("replication lag {lag}s > RTO "))?;
    let objective = text.strip_suffix('s')?.parse().ok()?;
    let by_the_holder = body.from.as_ref() == Some(&place.holder) && message.id.ends_with(&fact);
    by_the_holder.then_some((place, lag, objective))
}

/// Whether a copy ever named this objective, s.
fn was_asked_for(ground: &Ground, objective: u32) -> bool {
    let copies = ground.regions.values().flat_map(|region| &region.history);
    let mut specs = copies.filter(|change| *change.resource == CONTINUUMS).map(|change| parse_spec(&change.object));
    specs.any(|spec| spec.is_ok_and(|spec| spec.rto_seconds == objective))
}

/// How far behind this primary the other half was.
fn lags<'a>(ground: &'a Ground, primary: &'a str, span: Span) -> impl Iterator<Item = Duration> + 'a {
    let samples = ground.run.samples.iter().filter(move |sample| sample.at >= span.from && sample.at <= span.to);
    let region = ground.regions.keys().find(|region| region.as_str() == primary);
    let others = samples.filter(move |sample| sample.region.as_str() != primary);
    others.filter_map(move |sample| Some(ground.lag(region?, sample.replayed, sample.at)))
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use crate::checkers::fixture::{claimed, entry, message, moved, region};
    use crate::ground::{Ground, Message};
    use crate::moments::Sample;
    use crate::servers::kube_api::CONTINUUMS;
    use crate::servers::postgres::Event;
    use crate::world::{WorldOptions, objects};
    use continuum_core::record::Lsn;
    use serde_json::json;
    use std::sync::Arc;
    use std::time::Duration;

    /// fsn stands still from 40 s to 90 s, while hel writes; the objective is 20 s.
    fn behind() -> Ground {
        let mut ground = moved();
        let mut copy = claimed(1.0, &CONTINUUMS, "shop", 1, "hel");
        copy.object = Arc::new(objects::continuum(&WorldOptions { rto_seconds: 20, ..WorldOptions::default() }));
        ground.regions.get_mut(&region("hel")).unwrap().history.push(copy);
        let committed = |number| Event::Committed { client: "c".into(), number, lsn: Lsn(200), timeline: 2 };
        ground.journal.push(entry(40.0, "shop-hel", committed(9)));
        let sample = |at| Sample {
            at: Duration::from_secs(at),
            region: region("fsn"),
            streaming: true,
            replayed: Lsn(if at < 90 { 100 } else { 200 }),
        };
        ground.run.samples = (30..100).map(sample).collect();
        for (renewal, at) in (1..).zip([45, 55, 65, 75, 85, 95]) {
            let mut write = ground.lease.last().unwrap().clone();
            (write.record.renewal, write.at) = (renewal, Duration::from_secs(at));
            ground.lease.push(write);
        }
        ground
    }

    fn told(sequence: u64, holder: &str, renewal: u64, lag: u64, objective: u64) -> Message {
        let text = format!("replication lag {lag}s > RTO {objective}s");
        let fields = json!({ "fromPrimary": holder, "lagSeconds": lag, "message": text });
        message(sequence, &format!("{}:shop/shop:{holder}:2.{renewal}", super::KIND), super::KIND, fields)
    }

    #[test]
    fn a_lag_that_was_so_may_be_told_of() {
        let mut ground = behind();
        ground.messages.push(told(4, "hel", 3, 25, 20));
        assert_eq!(check(&ground).evidence, Vec::<String>::new());
    }

    #[test]
    fn a_lag_that_was_not_so_or_not_too_great_or_not_the_holders_is_caught() {
        for (what, wrong) in [
            ("too great", told(4, "hel", 3, 75, 20)),
            ("before it was so", told(4, "hel", 0, 45, 20)),
            ("below the objective", told(4, "hel", 3, 19, 20)),
            ("another objective", told(4, "hel", 3, 25, 24)),
            ("another region's", told(4, "fsn", 3, 25, 20)),
            ("where the record never stood", told(4, "hel", 77, 25, 20)),
        ] {
            let mut ground = behind();
            ground.messages.push(wrong);
            let evidence = check(&ground).evidence;
            assert!(evidence.iter().any(|lie| lie.ends_with("that did not happen")), "{what}: {evidence:?}");
        }
    }

    #[test]
    fn a_lag_that_is_told_of_again_before_it_ended_is_caught() {
        let mut ground = behind();
        ground.messages.extend([told(4, "hel", 4, 36, 20), told(5, "hel", 4, 36, 20)]);
        ground.messages[4].id = format!("{}:again:hel:2.4", super::KIND);
        let mut ended = ground.clone();
        ground.run.samples.retain(|sample| sample.at < Duration::from_secs(90));
        assert_eq!(check(&ground).evidence, ["messages 4 and 5 tell of one lag that never ended"]);
        ended.messages[4] = told(5, "hel", 6, 36, 20);
        let evidence = check(&ended).evidence;
        assert!(!evidence.iter().any(|lie| lie.contains("never ended")), "{evidence:?}");
    }
}
