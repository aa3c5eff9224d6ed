//! No two halves take writes at one instant. With synchronous replication a half may be open and acknowledge
//! nothing; there only acknowledgements count. And who acknowledged after another never does so on an older
//! timeline, nor on the same: between the two there was no promotion, so there were two writers, each in its turn.

use super::{Evidence, Verdict, at};
use crate::ground::{Ground, Replication};
use crate::servers::postgres::Event;
use std::collections::BTreeMap;
use std::time::Duration;

/// When an instance took writes.
struct Open<'a> {
    instance: &'a str,
    from: Duration,
    to: Duration,
}

/// Checks.
pub fn check(ground: &Ground) -> Verdict {
    let open = intervals(ground);
    let mut evidence = Vec::new();
    for (index, a) in open.iter().enumerate() {
        for b in &open[index + 1..] {
            let (from, to) = (a.from.max(b.from), a.to.min(b.to));
            if a.instance == b.instance || from >= to {
                continue;
            }
            let (did, span) = match ground.replication {
                Replication::Asynchronous => ("took", Some((from, to))),
                Replication::Synchronous => {
                    ("acknowledged", both_acknowledged(ground, a.instance, b.instance, from, to))
                }
            };
            if let Some((from, to)) = span {
                let (first, second) = (a.instance.min(b.instance), a.instance.max(b.instance));
                let text = format!("{first} and {second} both {did} writes, {} to {}", at(from), at(to));
                evidence.push(Evidence { at: Some(from), text });
            }
        }
    }
    evidence.extend(out_of_turn(ground));
    Verdict::of("one-writer", String::new(), evidence)
}

/// Acknowledgements of a half after another's without a promotion in between; the first of each such turn.
fn out_of_turn(ground: &Ground) -> Vec<Evidence> {
    let mut timelines: BTreeMap<&str, u32> = BTreeMap::new();
    let mut newest: Option<(&str, u32)> = None;
    let mut offender = None;
    let mut evidence = Vec::new();
    for entry in &ground.journal {
        let instance = entry.instance.as_str();
        match entry.event {
            Event::AcceptsWrites { timeline } => {
                timelines.insert(instance, timeline);
            }
            Event::Acknowledged { .. } => {
                let timeline = timelines.get(instance).copied().unwrap_or_default();
                match newest {
                    Some((other, latest)) if other != instance && timeline <= latest => {
                        if offender.replace(instance) != Some(instance) {
                            let (after, when) = (format!("after {other} did on {latest}"), at(entry.at));
                            let text = format!("{instance} acknowledged on timeline {timeline} {after}, at {when}");
                            evidence.push(Evidence { at: Some(entry.at), text });
                        }
                    }
                    _ => {
                        offender = None;
                        newest = Some((instance, timeline));
                    }
                }
            }
            _ => {}
        }
    }
    evidence
}

fn intervals(ground: &Ground) -> Vec<Open<'_>> {
    let mut since: BTreeMap<&str, Duration> = BTreeMap::new();
    let mut open = Vec::new();
    for entry in &ground.journal {
        let instance = entry.instance.as_str();
        match entry.event {
            Event::AcceptsWrites { .. } => {
                since.entry(instance).or_insert(entry.at);
            }
            Event::RefusesWrites => {
                if let Some(from) = since.remove(instance) {
                    open.push(Open { instance, from, to: entry.at });
                }
            }
            _ => {}
        }
    }
    open.extend(since.into_iter().map(|(instance, from)| Open { instance, from, to: ground.end }));
    open
}

/// The time in which both acknowledged, where it is not that one did after the other.
fn both_acknowledged(ground: &Ground, a: &str, b: &str, from: Duration, to: Duration) -> Option<(Duration, Duration)> {
    let span = |instance: &str| {
        let times = ground.journal.iter().filter(|entry| {
            entry.instance == instance
                && (from..to).contains(&entry.at)
                && matches!(entry.event, Event::Acknowledged { .. })
        });
        let times: Vec<Duration> = times.map(|entry| entry.at).collect();
        Some((*times.first()?, *times.last()?))
    };
    let ((a_first, a_last), (b_first, b_last)) = (span(a)?, span(b)?);
    (a_first <= b_last && b_first <= a_last).then(|| (a_first.max(b_first), a_last.min(b_last)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::fixture::{entry, moved};

    #[test]
    fn two_halves_that_take_writes_at_once_are_named_with_the_instants() {
        let mut ground = moved();
        // fsn comes back writable while hel is.
        ground.journal.push(entry(88.2, "shop-fsn", Event::AcceptsWrites { timeline: 2 }));
        ground.journal.push(entry(88.31, "shop-fsn", Event::RefusesWrites));
        let verdict = check(&ground);
        assert!(!verdict.ok);
        assert_eq!(verdict.evidence, ["shop-fsn and shop-hel both took writes, 88.20 s to 88.31 s"]);
    }

    #[test]
    fn one_that_is_never_closed_counts_to_the_end() {
        let mut ground = moved();
        ground.journal.push(entry(90.0, "shop-fsn", Event::AcceptsWrites { timeline: 2 }));
        assert_eq!(check(&ground).evidence, ["shop-fsn and shop-hel both took writes, 90.00 s to 100.00 s"]);
    }

    #[test]
    fn a_synchronous_half_that_is_open_and_acknowledges_nothing_is_no_writer() {
        let mut ground = moved();
        ground.replication = Replication::Synchronous;
        ground.journal.push(entry(80.0, "shop-fsn", Event::AcceptsWrites { timeline: 2 }));
        let acknowledged = |number| Event::Acknowledged { client: "c".into(), number };
        ground.journal.push(entry(81.0, "shop-hel", acknowledged(1)));
        ground.journal.push(entry(83.0, "shop-hel", acknowledged(2)));
        assert!(check(&ground).ok);
        ground.journal.push(entry(82.0, "shop-fsn", acknowledged(3)));
        assert_eq!(check(&ground).evidence[0], "shop-fsn and shop-hel both acknowledged writes, 82.00 s to 82.00 s");
    }

    #[test]
    fn halves_that_acknowledge_in_turns_without_a_promotion_in_between_are_caught() {
        let mut ground = moved();
        ground.replication = Replication::Synchronous;
        let acknowledged = |number| Event::Acknowledged { client: "c".into(), number };
        // fsn is open from 0.5 s to 22 s, hel from 26.5 s on.
        ground.journal.insert(1, entry(10.0, "shop-fsn", acknowledged(1)));
        ground.journal.push(entry(30.0, "shop-hel", acknowledged(2)));
        assert!(check(&ground).ok);
        ground.journal.push(entry(40.0, "shop-fsn", Event::AcceptsWrites { timeline: 1 }));
        ground.journal.push(entry(41.0, "shop-fsn", acknowledged(3)));
        ground.journal.push(entry(42.0, "shop-fsn", acknowledged(4)));
        let told = "shop-fsn acknowledged on timeline 1 after shop-hel did on 2, at 41.00 s";
        assert_eq!(check(&ground).evidence, [told]);
        let opened = ground.journal.len() - 3;
        ground.journal[opened].event = Event::AcceptsWrites { timeline: 3 };
        assert!(check(&ground).ok, "promoted on its way back");
    }
}
