//! Returns to health: where a run comes to rest in health one was told of, and a phase that flaps is no flood of them.

use super::Told;
use super::place::{self, Place};
use crate::ground::Ground;
use crate::servers::kube_api::CONTINUUMS;
use std::time::Duration;

/// The event's type.
const KIND: &str = "continuum-reconcile-success";
/// One region tells of two no sooner after one another.
const APART: Duration = Duration::from_secs(10 * 60);
/// The ten minutes may end so much sooner: they are counted in renewals, which a controller that is begun anew makes at
/// once, and by a clock of its own.
const APART_SLACK: Duration = Duration::from_secs(2 * 60);
/// Within this time of the phase it is told.
const TOLD_WITHIN: Duration = Duration::from_secs(15);

/// What is not as it must be.
pub(super) fn lies(ground: &Ground, told: &[Told<'_>]) -> Vec<String> {
    let mut lies = Vec::new();
    let of_kind = || told.iter().filter(|(_, body)| body.kind == KIND);
    if let Some(holder) = healthy_at_rest(ground)
        && of_kind().all(|(_, body)| body.to.as_ref() != Some(&holder))
    {
        lies.push(format!("{KIND} of {holder} has 0 events, and it rests in health"));
    }
    let mut returns: Vec<(u64, Place)> =
        of_kind().filter_map(|(message, _)| Some((message.sequence, place::of(ground, message)?))).collect();
    // By region, and in the order in which they were told of.
    returns.sort_by(|(_, a), (_, b)| (&a.holder, a.span.from).cmp(&(&b.holder, b.span.from)));
    for ((first, before), (second, after)) in returns.iter().zip(returns.iter().skip(1)) {
        let apart = after.span.to.saturating_sub(before.span.from);
        // A record that was lost and made anew counts from its beginning.
        let same_record = before.holder == after.holder && before.renewal <= after.renewal;
        if same_record && apart + APART_SLACK < APART {
            let holder = &after.holder;
            lies.push(format!("messages {first} and {second} tell of two returns of {holder} within ten minutes"));
        }
    }
    lies
}

/// The region that holds the lease at the end, where there is a stream, and its copy has told for long enough that all
/// is well. That this is so, another check judges.
fn healthy_at_rest(ground: &Ground) -> Option<String> {
    let rests = ground.run.rest_since.is_some() && ground.run.broken.is_none() && !ground.messages.is_empty();
    let holder = ground.record()?.holder.as_ref().filter(|_| rests)?;
    let history = &ground.regions.get(holder)?.history;
    let copies = history.iter().filter(|change| *change.resource == CONTINUUMS);
    let last = copies.rev().take_while(|change| change.object["status"]["phase"] == "Healthy").last()?;
    (last.at + TOLD_WITHIN <= ground.end).then(|| holder.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use crate::checkers::fixture::{claimed, message, moved, region};
    use crate::ground::{Ground, Message};
    use crate::servers::kube_api::CONTINUUMS;
    use serde_json::json;
    use std::sync::Arc;
    use std::time::Duration;

    /// hel's copy says that all is well from 40 s on.
    fn healthy() -> Ground {
        let mut ground = moved();
        for (at, phase) in [(30.0, "FailedOver"), (40.0, "Healthy"), (50.0, "Healthy")] {
            let mut change = claimed(at, &CONTINUUMS, "shop", 1, "hel");
            change.object = Arc::new(json!({ "metadata": { "uid": "1" }, "status": { "phase": phase } }));
            ground.regions.get_mut(&region("hel")).unwrap().history.push(change);
        }
        ground
    }

    fn told(sequence: u64, place: &str) -> Message {
        message(sequence, &format!("{}:shop/shop:{place}", super::KIND), super::KIND, json!({ "toPrimary": "hel" }))
    }

    #[test]
    fn health_at_rest_that_nobody_told_of_is_caught() {
        let mut ground = healthy();
        let none = "continuum-reconcile-success of hel has 0 events, and it rests in health";
        assert_eq!(check(&ground).evidence, [none]);
        let mut restless = ground.clone();
        restless.run.rest_since = None;
        assert!(check(&restless).ok, "it did not come to rest");
        let mut soon = ground.clone();
        soon.end = Duration::from_secs(50);
        assert!(check(&soon).ok, "it has to be published first");
        ground.messages.push(told(4, "2.0"));
        assert_eq!(check(&ground).evidence, Vec::<String>::new());
    }

    #[test]
    fn a_flood_of_returns_is_caught() {
        let mut ground = healthy();
        for (renewal, at) in [(1, 60), (2, 70), (64, 690)] {
            let mut write = ground.lease.last().unwrap().clone();
            (write.record.renewal, write.at) = (renewal, Duration::from_secs(at));
            ground.lease.push(write);
        }
        ground.end = Duration::from_secs(800);
        ground.messages.extend([told(4, "2.1"), told(5, "2.64")]);
        assert_eq!(check(&ground).evidence, Vec::<String>::new());
        ground.messages.insert(3, told(6, "2.0"));
        assert_eq!(check(&ground).evidence, ["messages 6 and 4 tell of two returns of hel within ten minutes"]);
    }
}
